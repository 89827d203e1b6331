#include "worker/layers/packing.h"

#include <string.h>

#include "worker/kernels/kernel.h"

static int longest(const int *offsets, int groups)
{
    int most = 0;

    for (int i = 0; i < groups; i++)
        if (offsets[i + 1] - offsets[i] > most)
            most = offsets[i + 1] - offsets[i];
    return most;
}

/* starts[t+1] - starts[t]: the groups with more than t rows. */
static void count_steps(packing *k, const int *offsets, int groups)
{
    for (int i = 0; i < groups; i++) /* those that end with row t, at t + 1 */
        k->starts[offsets[i + 1] - offsets[i]]++;
    for (int t = k->steps, wide = 0; t >= 0; t--) {
        int ending   = k->starts[t];
        k->starts[t] = wide; /* of step t */
        wide += ending;
    }
    for (int t = 0, at = 0; t <= k->steps; t++) {
        int width    = k->starts[t];
        k->starts[t] = at;
        at += width;
    }
}

/* place[n]: where the first group of n rows stands among all, then the next one. */
static void count_places(int *place, const packing *k, const int *offsets, int groups)
{
    for (int i = 0; i < groups; i++)
        place[offsets[i + 1] - offsets[i]]++;
    for (int n = k->steps, at = 0; n > 0; n--) {
        int equal = place[n];
        place[n]  = at;
        at += equal;
    }
}

err_t packing_take(packing *k, int per, bool backwards, pass *p)
{
    const int *offsets = pass_offsets(p, per);
    int        groups  = pass_parent_rows(p, per), *place;

    *k = (packing){.rows = pass_rows(p, per), .steps = longest(offsets, groups)};
    TRY(arena_take_zero(p->arena, (size_t)(k->steps + 1) * sizeof *k->starts, &k->starts));
    TRY(arena_take_zero(p->arena, (size_t)(k->steps + 1) * sizeof *place, &place));
    TRY(arena_take(p->arena, (size_t)k->rows * sizeof *k->row, &k->row));
    count_steps(k, offsets, groups);
    count_places(place, k, offsets, groups);
    for (int i = 0; i < groups; i++) {
        int first = offsets[i], n = offsets[i + 1] - first;
        if (n == 0)
            continue;
        int at = place[n]++;
        for (int t = 0; t < n; t++)
            k->row[k->starts[t] + at] = backwards ? first + n - 1 - t : first + t;
    }
    return OK;
}

void packing_gather(real *to, const packing *k, const real *from, int D)
{
    for (int i = 0; i < k->rows; i++)
        memcpy(ROW(to, i, D), ROW(from, k->row[i], D), (size_t)D * sizeof *to);
}

void packing_scatter(real *to, const packing *k, const real *from, bool add, int D)
{
    for (int i = 0; i < k->rows; i++) {
        real       *to_i   = ROW(to, k->row[i], D);
        const real *from_i = ROW(from, i, D);
        for (int d = 0; d < D; d++)
            to_i[d] = (add ? to_i[d] : 0) + from_i[d];
    }
}
