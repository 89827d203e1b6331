#include "worker/data/order.h"

#include <assert.h>
#include <stdlib.h>

#include "common/rng.h"

#define WINDOW_MAX   ((uint64_t)1 << 28) /* samples: its permutation takes 2 GB */
#define ROUNDS       6
#define NO_WINDOW    UINT64_MAX
#define BLOCK_STREAM UINT64_MAX /* where the windows of an epoch have their numbers */

struct order {
    order_options options;
    int64_t       steps;       /* of an epoch */
    uint64_t      window;      /* samples of a window but the last */
    uint64_t      full_blocks; /* blocks of `block` samples; a short one may follow */

    /* The current window's permutation. */
    int64_t   epoch;
    uint64_t  current; /* its number, or NO_WINDOW */
    uint64_t *samples; /* (window) */

    uint64_t keys[ROUNDS]; /* of the epoch's permutation of blocks */
    int      half_bits;
};

/* ---- blocks: a permutation that needs no memory ---- */

/* Luby and Rackoff's construction: each round xors one half of the bits with a keyed
 * hash of the other, which can be undone, so that the whole is a permutation of
 * 0 .. 4^half_bits - 1. */
static uint64_t feistel(const order *o, uint64_t x)
{
    uint64_t mask = ((uint64_t)1 << o->half_bits) - 1;
    uint64_t left = x >> o->half_bits, right = x & mask;

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t mixed = left ^ (hash_mix(o->keys[round] ^ right) & mask);
        left           = right;
        right          = mixed;
    }
    return left << o->half_bits | right;
}

/* The block at place i of the epoch: walk the cycle until it is back among the full
 * blocks (Black and Rogaway 2002), which is again a permutation of them. */
static uint64_t block_at(const order *o, uint64_t i)
{
    if (i == o->full_blocks)
        return i;
    do
        i = feistel(o, i);
    while (i >= o->full_blocks);
    return i;
}

/* Few blocks get a wide network all the same: with narrow halves not every
 * permutation could come up. */
static int half_bits_for(uint64_t blocks)
{
    int bits = 4;

    while (bits < 32 && (UINT64_C(1) << (2 * bits)) < blocks)
        bits++;
    return bits;
}

static void begin_epoch(order *o, int64_t epoch)
{
    rng chance = rng_named(o->options.seed, RNG_ORDER, (uint64_t)epoch, BLOCK_STREAM);

    for (int round = 0; round < ROUNDS; round++)
        o->keys[round] = rng_next(&chance);
    o->epoch   = epoch;
    o->current = NO_WINDOW;
}

/* ---- windows ---- */

static void swap(uint64_t *a, uint64_t *b)
{
    uint64_t kept = *a;

    *a = *b;
    *b = kept;
}

/* Fill o->samples: the window's blocks one after another, then Fisher and Yates. */
static void make_window(order *o, uint64_t window)
{
    uint64_t block = (uint64_t)o->options.block, n = 0;
    uint64_t first_block = window * (uint64_t)o->options.window;

    for (uint64_t i = 0; i < (uint64_t)o->options.window; i++) {
        if (first_block + i > o->full_blocks)
            break;
        uint64_t begin = block_at(o, first_block + i) * block;
        for (uint64_t j = begin; j < begin + block && j < o->options.samples; j++)
            o->samples[n++] = j;
    }
    rng chance = rng_named(o->options.seed, RNG_ORDER, (uint64_t)o->epoch, window);
    for (uint64_t left = n; left > 1; left--)
        swap(&o->samples[left - 1], &o->samples[rng_below(&chance, left)]);
    o->current = window;
}

/* The sample at place i of the current epoch. */
static uint64_t sample_at(order *o, uint64_t i)
{
    if (!o->options.shuffle)
        return i;
    if (i / o->window != o->current)
        make_window(o, i / o->window);
    return o->samples[i % o->window];
}

/* ---- steps ---- */

static err_t check(const order_options *options)
{
    if (options->batch < 1)
        return err_set(ERR_CONFIG, "a batch of %d samples, wanted at least 1 for each worker",
                       options->batch);
    if (options->samples > INT64_MAX)
        return err_set(ERR_DATA, "%llu samples are too many",
                       (unsigned long long)options->samples);
    if (!options->shuffle)
        return OK;
    if (options->block < 1 || options->window < 1)
        return err_set(ERR_CONFIG, "data.block is %d and data.window is %d, wanted at least 1",
                       options->block, options->window);
    if ((uint64_t)options->block * (uint64_t)options->window > WINDOW_MAX)
        return err_set(ERR_CONFIG, "data.block %d times data.window %d is over %llu samples",
                       options->block, options->window, (unsigned long long)WINDOW_MAX);
    return OK;
}

err_t order_new(order **out, const order_options *options)
{
    *out = NULL;
    TRY(check(options));
    order *o = calloc(1, sizeof *o);
    if (!o)
        return err_memory(sizeof *o, "the order of the samples");
    uint64_t batch = (uint64_t)options->batch;
    o->options     = *options;
    o->steps       = (int64_t)(options->samples / batch + (options->samples % batch != 0));
    if (options->shuffle) {
        o->window      = (uint64_t)options->block * (uint64_t)options->window;
        o->full_blocks = options->samples / (uint64_t)options->block;
        o->half_bits   = half_bits_for(o->full_blocks);
        size_t room    = o->window < options->samples ? o->window : options->samples;
        o->samples     = malloc((room + 1) * sizeof *o->samples);
        if (!o->samples) {
            free(o);
            return err_memory(room * sizeof *o->samples, "the order of a window of samples");
        }
    }
    begin_epoch(o, 0);
    *out = o;
    return OK;
}

void order_free(order **o)
{
    if (!*o)
        return;
    free((*o)->samples);
    free(*o);
    *o = NULL;
}

int64_t order_steps_per_epoch(const order *o)
{
    return o->steps;
}

int order_batch(const order *o)
{
    return o->options.batch;
}

err_t order_part(order *o, int64_t step, int worker, int workers, uint64_t *samples, int *n,
                 uint64_t *first)
{
    assert(step >= 0 && worker >= 0 && worker < workers);
    uint64_t batch = (uint64_t)o->options.batch, size = 0, begin = 0;

    if (o->steps > 0) {
        if (step / o->steps != o->epoch)
            begin_epoch(o, step / o->steps);
        begin = (uint64_t)(step % o->steps) * batch;
    }
    if (begin < o->options.samples)
        size = o->options.samples - begin < batch ? o->options.samples - begin : batch;
    uint64_t low  = size * (uint64_t)worker / (uint64_t)workers;
    uint64_t high = size * ((uint64_t)worker + 1) / (uint64_t)workers;
    for (uint64_t i = low; i < high; i++)
        samples[i - low] = sample_at(o, begin + i);
    *n     = (int)(high - low);
    *first = low;
    return OK;
}

void order_samples(order *o, int64_t epoch, uint64_t *places, int n)
{
    if (epoch != o->epoch)
        begin_epoch(o, epoch);
    for (int i = 0; i < n; i++)
        places[i] = sample_at(o, places[i]);
}
