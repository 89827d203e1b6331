#include "worker/data/deal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/vec.h"

/* Places begin .. end-1. */
typedef struct piece {
    uint64_t begin, end;
} piece;

struct deal {
    deal_options options;
    int64_t      epoch_steps;
    int64_t      step; /* where it stands */
    uint64_t     next; /* places below are dealt */
    piece       *held; /* (workers) */
    VEC(piece) left;   /* pieces of workers that are no more; dealt before new blocks */
};

static uint64_t length(const piece *p)
{
    return p->end - p->begin;
}

err_t deal_new(deal **out, const deal_options *options)
{
    deal    *d     = calloc(1, sizeof *d);
    uint64_t batch = (uint64_t)options->batch;

    *out = NULL;
    if (!d)
        return err_memory(sizeof *d, "dealing samples");
    assert(options->batch > 0 && options->block > 0 && options->workers > 0);
    d->options     = *options;
    d->epoch_steps = (int64_t)(options->samples / batch + (options->samples % batch != 0));
    d->held        = calloc((size_t)options->workers, sizeof *d->held);
    if (!d->held) {
        free(d);
        return err_memory((size_t)options->workers * sizeof *d->held, "dealing samples");
    }
    *out = d;
    return OK;
}

void deal_free(deal **d)
{
    if (!*d)
        return;
    free((*d)->held);
    vec_clear(&(*d)->left);
    free(*d);
    *d = NULL;
}

/* ---- dealing ---- */

static void begin_epoch(deal *d)
{
    d->next   = 0;
    d->left.n = 0;
    memset(d->held, 0, (size_t)d->options.workers * sizeof *d->held);
}

static void take_half(deal *d, piece *mine)
{
    piece *longest = d->held;

    for (int r = 1; r < d->options.workers; r++)
        if (length(&d->held[r]) > length(longest))
            longest = &d->held[r];
    mine->end    = longest->end;
    longest->end = longest->begin + length(longest) / 2;
    mine->begin  = longest->end;
}

/* What a worker gets that asks. */
static void give(deal *d, piece *mine)
{
    if (d->left.n > 0) {
        *mine = d->left.at[0];
        memmove(d->left.at, d->left.at + 1, --d->left.n * sizeof *d->left.at);
    } else if (d->next < d->options.samples) {
        uint64_t rest  = d->options.samples - d->next;
        uint64_t block = rest < d->options.block ? rest : d->options.block;
        *mine          = (piece){d->next, d->next + block};
        d->next += block;
    } else {
        take_half(d, mine);
    }
}

/* The worker takes n places, which are there, into places (NULL: nobody wants to know). */
static void take(deal *d, int worker, uint64_t n, uint64_t *places)
{
    piece *mine = &d->held[worker];

    while (n > 0) {
        if (length(mine) == 0)
            give(d, mine);
        uint64_t now = length(mine) < n ? length(mine) : n;
        for (uint64_t i = 0; places && i < now; i++)
            *places++ = mine->begin + i;
        mine->begin += now;
        n -= now;
    }
}

/* Which places of the step, low .. high-1, are worker's to bring. */
static void share_of(const deal *d, int64_t step, int worker, uint64_t *low, uint64_t *high)
{
    uint64_t batch = (uint64_t)d->options.batch, W = (uint64_t)d->options.workers;
    uint64_t begin = (uint64_t)(step % d->epoch_steps) * batch;
    uint64_t rest = d->options.samples - begin, size = rest < batch ? rest : batch;

    *low  = size * (uint64_t)worker / W;
    *high = size * ((uint64_t)worker + 1) / W;
}

/* Deal the step it stands at. */
static void deal_step(deal *d, int worker, uint64_t *places)
{
    if (d->step % d->epoch_steps == 0)
        begin_epoch(d);
    for (int r = 0; r < d->options.workers; r++) {
        uint64_t low, high;
        share_of(d, d->step, r, &low, &high);
        take(d, r, high - low, r == worker ? places : NULL);
    }
    d->step++;
}

/* Deal until it stands at step, from the beginning of that epoch where it is far away. */
static void go_to(deal *d, int64_t step)
{
    int64_t begin = d->epoch_steps > 0 ? step / d->epoch_steps * d->epoch_steps : step;

    if (d->step < begin || d->step > step)
        d->step = begin;
    while (d->step < step)
        deal_step(d, 0, NULL);
}

void deal_part(deal *d, int64_t step, int worker, uint64_t *places, int *n, uint64_t *first)
{
    uint64_t low, high;

    *n     = 0;
    *first = 0;
    if (d->epoch_steps == 0)
        return;
    go_to(d, step);
    share_of(d, step, worker, &low, &high);
    deal_step(d, worker, places);
    *n     = (int)(high - low);
    *first = low;
}

/* ---- checkpoints ---- */

/* Whether that, and nothing else, is what is left of the epoch at step. */
static bool fits(const deal *d, int64_t step, const manifest_dealt *dealt)
{
    uint64_t n = d->options.samples, left = 0;

    if (dealt->n == 0 || d->epoch_steps == 0 || dealt->next > n)
        return false;
    for (int i = 0; i < dealt->n; i++) {
        if (dealt->held[i][0] > dealt->held[i][1] || dealt->held[i][1] > dealt->next)
            return false;
        left += dealt->held[i][1] - dealt->held[i][0];
    }
    uint64_t done = (uint64_t)(step % d->epoch_steps) * (uint64_t)d->options.batch;
    return done > 0 && done + left + (n - dealt->next) == n;
}

err_t deal_begin(deal *d, int64_t step, const manifest_dealt *dealt)
{
    if (!dealt || !fits(d, step, dealt)) {
        go_to(d, step);
        return OK;
    }
    begin_epoch(d);
    for (int i = 0; i < dealt->n; i++) {
        piece p = {dealt->held[i][0], dealt->held[i][1]};
        if (i < d->options.workers)
            d->held[i] = p;
        else if (length(&p) > 0)
            TRY(vec_push(&d->left, p));
    }
    d->next = dealt->next;
    d->step = step;
    return OK;
}

err_t deal_record(deal *d, int64_t step, manifest_dealt *dealt)
{
    int workers = d->options.workers, n = 0;

    *dealt = (manifest_dealt){0};
    if (d->epoch_steps == 0 || step % d->epoch_steps == 0)
        return OK;
    go_to(d, step);
    dealt->held = calloc((size_t)workers + d->left.n, sizeof *dealt->held);
    if (!dealt->held)
        return err_memory(((size_t)workers + d->left.n) * sizeof *dealt->held,
                          "what is dealt of the samples");
    for (int r = 0; r < workers; r++, n++)
        memcpy(dealt->held[n], (uint64_t[]){d->held[r].begin, d->held[r].end},
               sizeof *dealt->held);
    for (size_t i = 0; i < d->left.n; i++, n++)
        memcpy(dealt->held[n], (uint64_t[]){d->left.at[i].begin, d->left.at[i].end},
               sizeof *dealt->held);
    dealt->n    = n;
    dealt->next = d->next;
    return OK;
}
