#include "worker/layers/time_major.h"

static int length_of(const int *offsets, int i)
{
    return offsets[i + 1] - offsets[i];
}

/* begin[l]: where the sequences of length l begin, longer ones before. */
static void place_lengths(int *begin, const int *offsets, int sequences, int longest)
{
    for (int i = 0; i < sequences; i++)
        begin[length_of(offsets, i)]++;
    for (int l = longest, at = 0; l > 0; l--) {
        int count = begin[l];
        begin[l]  = at;
        at += count;
    }
}

err_t time_major_sort(time_major *m, const int *offsets, int sequences, arena *a)
{
    size_t bytes = (size_t)sequences * sizeof(int);
    int   *place;

    *m = (time_major){0};
    for (int i = 0; i < sequences; i++) {
        int l      = length_of(offsets, i);
        m->longest = l > m->longest ? l : m->longest;
        m->n += l > 0;
    }
    TRY(arena_take(a, bytes, &m->owner));
    TRY(arena_take(a, bytes, &m->first));
    TRY(arena_take(a, bytes, &m->length));
    TRY(arena_take_zero(a, ((size_t)m->longest + 1) * sizeof *place, &place));
    place_lengths(place, offsets, sequences, m->longest);
    for (int i = 0; i < sequences; i++) {
        int l = length_of(offsets, i);
        if (l == 0)
            continue;
        int at        = place[l]++;
        m->owner[at]  = i;
        m->first[at]  = offsets[i];
        m->length[at] = l;
    }
    return OK;
}

time_group time_major_group(const time_major *m, int begin)
{
    time_group g = {
        .n      = m->n - begin < GROUP_SEQUENCES ? m->n - begin : GROUP_SEQUENCES,
        .steps  = m->length[begin],
        .owner  = m->owner + begin,
        .first  = m->first + begin,
        .length = m->length + begin,
    };

    for (int i = 0; i < g.n; i++)
        g.events += g.length[i];
    return g;
}
