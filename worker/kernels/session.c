#include "worker/kernels/session.h"

static bool apart(int64_t before, int64_t after, int64_t gap)
{
    uint64_t b = (uint64_t)before, a = (uint64_t)after;

    return (before < after ? a - b : b - a) > (uint64_t)gap;
}

/* First event of the session whose last is `last`. */
static int begin_of(const int64_t *time, int last, int64_t gap)
{
    while (last > 0 && !apart(time[last - 1], time[last], gap))
        last--;
    return last;
}

static void turn_around(session *s, int n)
{
    for (int i = 0, j = n - 1; i < j; i++, j--) {
        session kept = s[i];
        s[i]         = s[j];
        s[j]         = kept;
    }
}

int session_cut(session *out, const session_rule *r, const int64_t *time, int n)
{
    int count = 0;

    for (int end = n, first; end > 0 && count < r->keep; end = first) {
        first   = begin_of(time, end - 1, r->gap);
        int len = end - first;
        if (len < r->min_len)
            continue;
        if (len > r->max_len)
            len = r->max_len;
        out[count++] = (session){end - len, len};
    }
    turn_around(out, count);
    return count;
}
