#include "ps/sketch.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "common/hash.h"
#include "common/rng.h"

/* The cells of an id are draws of the stream that begins at its hash. */
static uint64_t next_cell(const sketch *s, rng *r)
{
    return rng_below(r, s->cells);
}

static int bits_for(uint32_t limit)
{
    return limit < 2 ? 1 : limit < 4 ? 2 : limit < 16 ? 4 : 8;
}

static void choose_size(sketch *s, double p, double expected_ids)
{
    double k = ceil(-log2(p));
    double n = expected_ids / HASH_BUCKETS + k / 2;
    double m = ceil(-k * n / log1p(-pow(p, 1 / k)));

    s->hashes = (int)k;
    s->cells  = (uint64_t)m;
    s->bytes  = (size_t)((s->cells * (uint64_t)s->bits + 63) / 64 * 8);
}

err_t sketch_init(sketch *s, uint32_t limit, double false_positive, double expected_ids,
                  uint32_t first, uint32_t end)
{
    assert(limit >= 1 && limit <= SKETCH_LIMIT && false_positive > 0 && false_positive < 1);
    *s = (sketch){.first = first, .end = end, .limit = limit, .bits = bits_for(limit)};
    choose_size(s, false_positive, expected_ids);
    return sketch_reset(s);
}

void sketch_clear(sketch *s)
{
    free(s->at);
    s->at = NULL;
}

/* New memory from the system is zero and costs nothing before it is used. */
err_t sketch_reset(sketch *s)
{
    size_t buckets = s->end - s->first;

    sketch_clear(s);
    s->at = calloc(buckets ? buckets : 1, s->bytes);
    return s->at ? OK : err_memory(buckets * s->bytes, "a sketch of ids");
}

uint8_t *sketch_bucket(const sketch *s, uint32_t bucket)
{
    return s->at + (size_t)(bucket - s->first) * s->bytes;
}

static uint8_t *cells_of(const sketch *s, uint64_t hash)
{
    return sketch_bucket(s, hash_bucket(hash));
}

void sketch_prefetch(const sketch *s, uint64_t hash)
{
    const uint8_t *cells = cells_of(s, hash);
    rng            r     = {hash};

    for (int i = 0; i < s->hashes; i++)
        __builtin_prefetch(cells + next_cell(s, &r) * (uint64_t)s->bits / 8);
}

static uint32_t get_cell(const sketch *s, const uint8_t *cells, uint64_t cell)
{
    uint64_t bit = cell * (uint64_t)s->bits;

    return cells[bit / 8] >> bit % 8 & ((1u << s->bits) - 1);
}

static void set_cell(const sketch *s, uint8_t *cells, uint64_t cell, uint32_t count)
{
    uint64_t bit  = cell * (uint64_t)s->bits;
    uint32_t mask = ((1u << s->bits) - 1) << bit % 8;

    cells[bit / 8] = (uint8_t)((cells[bit / 8] & ~mask) | count << bit % 8);
}

uint32_t sketch_get(const sketch *s, uint64_t hash)
{
    const uint8_t *cells = cells_of(s, hash);
    rng            r     = {hash};
    uint32_t       least = s->limit;

    for (int i = 0; i < s->hashes && least; i++) {
        uint32_t count = get_cell(s, cells, next_cell(s, &r));
        least          = count < least ? count : least;
    }
    return least;
}

int sketch_places(const sketch *s, uint64_t hash, uint32_t *places, int most)
{
    rng r = {hash};
    int n = s->hashes < most ? s->hashes : most;

    for (int i = 0; i < n; i++)
        places[i] = (uint32_t)(next_cell(s, &r) * (uint64_t)s->bits / 8);
    return n;
}

void sketch_raise(sketch *s, uint64_t hash, uint32_t count)
{
    uint8_t *cells = cells_of(s, hash);
    rng      r     = {hash};

    count = count < s->limit ? count : s->limit;
    for (int i = 0; i < s->hashes; i++) {
        uint64_t cell = next_cell(s, &r);
        if (get_cell(s, cells, cell) < count)
            set_cell(s, cells, cell, count);
    }
}
