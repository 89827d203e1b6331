#include "launch/prepare/auxiliary.h"

#include "worker/data/gap.h"

int impression_order(const void *a, const void *b)
{
    const impression *x = a, *y = b;

    if (x->user != y->user)
        return x->user < y->user ? -1 : 1;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

static bool belongs(const impression *other, const impression *of, auxiliary_list kind)
{
    if (kind == AUXILIARY_CONTEXTUAL)
        return other->page == of->page;
    return other->page != of->page && other->time < of->time &&
           other->clicked == (kind == AUXILIARY_CLICKED);
}

static void reverse(size_t *x, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        size_t kept  = x[i];
        x[i]         = x[n - 1 - i];
        x[n - 1 - i] = kept;
    }
}

size_t auxiliary_pick(const impression *shown, size_t i, auxiliary_list kind,
                      auxiliary_limits limits, size_t picked[AUXILIARY_MOST])
{
    size_t n = 0;

    for (size_t k = i; k-- > 0 && n < limits.most;) {
        if (limits.seconds > 0 &&
            gap_seconds(shown[k].time, shown[i].time) > (uint64_t)limits.seconds)
            break;
        if (belongs(&shown[k], &shown[i], kind))
            picked[n++] = k;
    }
    reverse(picked, n);
    return n;
}
