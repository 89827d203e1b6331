/* The world of crosses: fields without events, some pairs of which matter.
 *
 * Every field has one of its values, all equally likely. Fields 0 and 1, 2 and 3, ... of the
 * first SIGNALS pairs interact: each value of them has RANK hidden numbers u, independent and
 * normal,
 *
 *     logit p = bias + strength / sqrt(RANK) sum over these pairs (i, j) of u_i . u_j
 *
 * and all other pairs of fields, the most of them, are noise. No field tells anything by
 * itself. A factorization machine gives every pair the same say; attention over the pairs can
 * learn which of them to listen to. */
#include <assert.h>
#include <math.h>

#include "launch/prepare/world.h"

#define SIGNALS 3 /* pairs */
#define RANK    4

enum { LABEL, PROBABILITY, FIELDS, COLUMNS = FIELDS + WORLD_MOST_FIELDS };

static const char *const tables[1] = {"value"};

#define FIELD(number) [FIELDS + (number)] = {"field_" #number, DTYPE_U64, .table = 0}

static const shard_column columns[COLUMNS] = {
    [LABEL]       = {"label", DTYPE_F32, .table = -1},
    [PROBABILITY] = {"probability", DTYPE_F32, .table = -1},
    /* clang-format off */
    FIELD(0),  FIELD(1),  FIELD(2),  FIELD(3),  FIELD(4),  FIELD(5),  FIELD(6),  FIELD(7),
    FIELD(8),  FIELD(9),  FIELD(10), FIELD(11), FIELD(12), FIELD(13), FIELD(14), FIELD(15),
    FIELD(16), FIELD(17), FIELD(18), FIELD(19), FIELD(20), FIELD(21), FIELD(22), FIELD(23),
    FIELD(24), FIELD(25), FIELD(26), FIELD(27), FIELD(28), FIELD(29), FIELD(30), FIELD(31),
    /* clang-format on */
};

static_assert(WORLD_MOST_FIELDS == 32, "every field has a column");

static int n_columns(const world_options *o)
{
    return FIELDS + o->fields;
}

/* The hidden numbers of value v of a field: those of 2 k + 1 are those of 2 k with the other
 * sign, so that their mean over a field is zero. */
static void hidden(const world *w, int f, uint64_t v, double u[RANK])
{
    rng    r    = world_stream(w, WORLD_OF_SHAPE, (uint64_t)f, v / 2);
    double sign = v % 2 ? -1 : 1;

    for (int i = 0; i < RANK; i++)
        u[i] = sign * rng_normal(&r);
}

/* What value a of field f and value b of the next one say together. */
static double cross(const world *w, int f, uint64_t a, uint64_t b)
{
    double u[RANK], v[RANK], sum = 0;

    hidden(w, f, a, u);
    hidden(w, f + 1, b, v);
    for (int i = 0; i < RANK; i++)
        sum += u[i] * v[i];
    return sum / sqrt(RANK);
}

/* Value v of field f has the id f values + v: one table holds them all. */
static err_t write(const world *w, shard_writer *to, int split, uint64_t number,
                   prediction *truth)
{
    const world_options *o = &w->options;
    rng                  r = world_stream(w, WORLD_OF_SAMPLE, (uint64_t)split, number);
    uint64_t             values[WORLD_MOST_FIELDS];
    double               logit = o->bias;

    for (int f = 0; f < o->fields; f++) {
        values[f]   = rng_below(&r, o->values);
        uint64_t id = (uint64_t)f * o->values + values[f];
        TRY(shard_writer_u64(to, FIELDS + f, &id, 1));
    }
    for (int f = 0; f < 2 * SIGNALS; f += 2)
        logit += o->strength * cross(w, f, values[f], values[f + 1]);
    double p = 1 / (1 + exp(-logit));
    *truth   = (prediction){p, 0, rng_uniform(&r) < p, 1};
    TRY(shard_writer_f32(to, LABEL, &truth->label, 1));
    TRY(shard_writer_f32(to, PROBABILITY, &(float){(float)p}, 1));
    return shard_writer_end_sample(to);
}

const world_kind world_crosses = {
    .name         = "crosses",
    .help         = "crosses of fields, most of which are noise: which pairs matter, matters",
    .heeds        = WORLD_FIELDS,
    .least_fields = 2 * SIGNALS,
    .options      = {.fields = 16, .values = 20, .bias = -0.5, .strength = 1.2},
    .n_tables     = 1,
    .tables       = tables,
    .columns      = columns,
    .n_columns    = n_columns,
    .write        = write,
};
