#include "worker/requests.h"

#include <string.h>

static bool is_candidate(const model_config *c, const char *name)
{
    for (int i = 0; i < c->candidate.n; i++)
        if (!strcmp(c->candidate.at[i], name))
            return true;
    return false;
}

bool requests_slot_of_candidate(const schema *s, const model_config *c, int slot)
{
    return s->slots[slot].sequence < 0 && is_candidate(c, s->slots[slot].name);
}

bool requests_float_of_candidate(const schema *s, const model_config *c, int number)
{
    return is_candidate(c, s->floats[number].name);
}

/* ---- candidates as bags of their requests, so that ids are made distinct together ---- */

static err_t gather_candidates(requests *r, const schema *s, const model_config *c, arena *a)
{
    for (int k = 0; k < s->n_slots; k++) {
        if (!requests_slot_of_candidate(s, c, k))
            continue;
        const batch_slot *from = &r->each.slots[k];
        batch_slot       *to   = &r->asked.slots[k];
        *to = (batch_slot){.rows = r->asked.B, .n = from->n, .ids = from->ids};
        TRY(arena_take(a, ((size_t)to->rows + 1) * sizeof *to->offsets, &to->offsets));
        for (int i = 0; i <= to->rows; i++)
            to->offsets[i] = from->offsets ? from->offsets[r->first[i]] : r->first[i];
    }
    return OK;
}

/* ---- what is the request's, once for each candidate ---- */

/* Row i of to is row origin[i] of from, rows of them. */
static err_t repeat_slot(batch_slot *to, const batch_slot *from, const int *origin, int rows,
                         arena *a)
{
    int n = 0;

    *to = (batch_slot){.rows = rows};
    for (int i = 0; i < rows; i++)
        n += from->offsets ? from->offsets[origin[i] + 1] - from->offsets[origin[i]] : 1;
    to->n = n;
    TRY(arena_take(a, (size_t)n * sizeof *to->distinct, &to->distinct));
    if (from->offsets)
        TRY(arena_take(a, ((size_t)rows + 1) * sizeof *to->offsets, &to->offsets));
    for (int i = 0, at = 0; i < rows; i++) {
        int k   = from->offsets ? from->offsets[origin[i]] : origin[i];
        int end = from->offsets ? from->offsets[origin[i] + 1] : k + 1;
        if (to->offsets)
            to->offsets[i] = at;
        while (k < end)
            to->distinct[at++] = from->distinct[k++];
    }
    if (to->offsets)
        to->offsets[rows] = n;
    return OK;
}

static err_t repeat_float(batch_float *to, const batch_float *from, const int *origin, int rows,
                          arena *a)
{
    size_t width = (size_t)from->width;

    *to = (batch_float){.width = from->width};
    TRY(arena_take(a, (size_t)rows * width * sizeof *to->x, &to->x));
    for (int i = 0; i < rows; i++)
        memcpy(to->x + (size_t)i * width, from->x + (size_t)origin[i] * width,
               width * sizeof *to->x);
    return OK;
}

static err_t repeat_times(int64_t **to, const int64_t *from, const int *origin, int rows,
                          arena *a)
{
    if (!from)
        return OK;
    TRY(arena_take(a, (size_t)rows * sizeof **to, to));
    for (int i = 0; i < rows; i++)
        (*to)[i] = from[origin[i]];
    return OK;
}

/* *origin (events): the request's event that each of the candidates' repeats. */
static err_t repeat_sequence(requests *r, int sequence, int **origin, arena *a)
{
    const batch_sequence *from = &r->asked.sequences[sequence];
    batch_sequence       *to   = &r->each.sequences[sequence];
    int                   B = r->each.B, at = 0;

    *to = (batch_sequence){0};
    TRY(arena_take(a, ((size_t)B + 1) * sizeof *to->offsets, &to->offsets));
    for (int i = 0; i < B; i++) {
        to->offsets[i] = to->events;
        to->events += from->offsets[r->request_of[i] + 1] - from->offsets[r->request_of[i]];
    }
    to->offsets[B] = to->events;
    TRY(arena_take(a, (size_t)to->events * sizeof **origin, origin));
    for (int i = 0; i < B; i++)
        for (int k = from->offsets[r->request_of[i]]; at < to->offsets[i + 1]; k++)
            (*origin)[at++] = k;
    return repeat_times(&to->time, from->time, *origin, to->events, a);
}

static err_t repeat_slots(requests *r, const schema *s, const model_config *c, int sequence,
                          const int *origin, int rows, arena *a)
{
    for (int k = 0; k < s->n_slots; k++) {
        batch_slot *to = &r->each.slots[k], *from = &r->asked.slots[k];
        if (s->slots[k].sequence != sequence)
            continue;
        if (requests_slot_of_candidate(s, c, k))
            to->distinct = from->distinct;
        else
            TRY(repeat_slot(to, from, origin, rows, a));
    }
    return OK;
}

static err_t repeat_all(requests *r, const schema *s, const model_config *c, bool events,
                        arena *a)
{
    batch *b = &r->each;
    int   *origin;

    TRY(arena_take_zero(a, (size_t)b->B * sizeof *b->label, &b->label));
    TRY(repeat_times(&b->time, r->asked.time, r->request_of, b->B, a));
    TRY(repeat_slots(r, s, c, -1, r->request_of, b->B, a));
    for (int i = 0; i < s->n_floats; i++)
        if (!requests_float_of_candidate(s, c, i))
            TRY(repeat_float(&b->floats[i], &r->asked.floats[i], r->request_of, b->B, a));
    for (int i = 0; i < s->n_sequences; i++) {
        TRY(repeat_sequence(r, i, &origin, a));
        if (events)
            TRY(repeat_slots(r, s, c, i, origin, b->sequences[i].events, a));
    }
    return OK;
}

err_t requests_complete(requests *r, const schema *s, const model_config *c, bool events,
                        id_maker *maker, arena *a, id_set *sets)
{
    batch *b = &r->each;

    b->B          = r->first[r->asked.B];
    b->weight_sum = b->B;
    TRY(arena_take(a, (size_t)b->B * sizeof *r->request_of, &r->request_of));
    for (int i = 0; i < r->asked.B; i++)
        for (int k = r->first[i]; k < r->first[i + 1]; k++)
            r->request_of[k] = i;
    TRY(gather_candidates(r, s, c, a));
    TRY(id_maker_make(maker, &r->asked, a, sets));
    TRY(arena_take_zero(a, (size_t)s->n_sequences * sizeof *b->sequences, &b->sequences));
    return repeat_all(r, s, c, events, a);
}
