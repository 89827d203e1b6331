/* Pieces of a unit's batch, and what is asked of memory for the next one. */
#include "worker/layers/unit.h"

piece unit_next_piece(const unit *u, int begin)
{
    const int *offsets = u->pair.offsets;
    int        end     = piece_end(offsets, begin, u->pair.B);

    return (piece){begin, end, offsets[begin], offsets[end] - offsets[begin]};
}

const int *unit_offsets(const unit *u, const piece *e)
{
    for (int b = e->begin; b <= e->end; b++)
        u->offsets[b - e->begin] = u->pair.offsets[b] - e->first;
    return u->offsets;
}

const real *unit_events(unit *u, const piece *e)
{
    if (u->held != e->begin)
        u->k_here = tensor_rows(u->k, u->p, u->k_room, e->first, e->events);
    u->held = e->begin;
    return u->k_here;
}

err_t unit_take_stored(stored *s, bool whole, int events, int longest, int stride, pass *p)
{
    size_t rows = (size_t)(whole ? events : longest);

    s->whole = whole;
    return arena_take(p->arena, rows * (size_t)stride * sizeof *s->at, &s->at);
}

real *unit_stored(const stored *s, const piece *e, int stride)
{
    return s->whole ? ROW(s->at, e->first, stride) : s->at;
}

/* ---- what the next piece needs ---- */

static void ask_for_stored(unit *u, const stored *s, const piece *e, int l)
{
    int stride = u->hidden[l].stride;

    if (s->whole)
        ahead_range(&u->next, ROW(s->at, e->first, stride),
                    (size_t)e->events * (size_t)stride * sizeof *s->at);
}

static void ask_for_events(unit *u, const piece *e, bool backward)
{
    tensor_rows_ahead(u->k, u->p, &u->next, e->first, e->events, backward);
}

/* The list begins anew; *e becomes the piece behind it. false: there is none, or products are
 * in bf16, and too soon over to ask for anything meanwhile. */
static bool begin_ahead(unit *u, piece *e)
{
    u->next.n = u->next.next = 0;
    u->next.rate             = 1;
    if (u->bf16 || e->end == u->pair.B)
        return false;
    *e = unit_next_piece(u, e->end);
    return true;
}

/* Where a pass multiplies nothing, its other kernels must ask for all. */
static void set_rate(unit *u, const piece *e, int l)
{
    int vectors = e->events * u->hidden[l].stride / VECTOR;

    if (vectors > 0)
        u->next.rate = 1 + u->next.n / vectors;
}

/* Events are asked for where the first layer's products leave time for it. A pass that gathers
 * them for sums alone has none to spare: the gather's own asking does as well there. */
void unit_forward_ahead(unit *u, piece e, int l, int end)
{
    if (!begin_ahead(u, &e))
        return;
    if (l > 0)
        ask_for_stored(u, &u->x[l - 1], &e, l - 1);
    if (l == 0)
        ask_for_events(u, &e, false);
    for (int i = l; i < end && i < u->n; i++)
        ask_for_stored(u, &u->x[i], &e, i);
    if (l == u->n)
        set_rate(u, &e, u->n - 1);
}

void unit_backward_ahead(unit *u, piece e, int l, int end)
{
    if (!begin_ahead(u, &e))
        return;
    for (int i = least(l + 1, u->n - 1); i >= 0 && i >= end; i--) {
        ask_for_stored(u, &u->x[i], &e, i);
        ask_for_stored(u, &u->g[i], &e, i);
    }
    if (end < 0)
        ask_for_events(u, &e, u->k->wants_gradient);
    if (end == u->n - 1)
        set_rate(u, &e, u->n - 1);
}
