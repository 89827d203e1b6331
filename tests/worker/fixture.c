#include "tests/worker/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/rng.h"
#include "worker/kernels/loss.h"

/* All but the graph's nodes. */
static err_t open_empty(world *w, const char *yaml)
{
    memset(w, 0, sizeof *w);
    w->training = true;
    TRY(config_parse(&w->config, "test", yaml, strlen(yaml), 0, NULL));
    TRY(schema_new(&w->schema, w->config));
    TRY(comm_self(&w->workers));
    TRY(dense_new(&w->dense, w->config));
    return graph_new(&w->graph, w->config, w->schema, w->dense);
}

err_t world_try(world *w, const char *yaml)
{
    TRY(open_empty(w, yaml));
    TRY(model_build(w->graph, w->config));
    return dense_seal(w->dense, w->config->train.seed);
}

void world_refused(const char *yaml, const char *says)
{
    world w;

    assert_int_equal(world_try(&w, yaml), ERR_CONFIG);
    if (!strstr(err_text(), says))
        fail_msg("'%s' does not say '%s'", err_text(), says);
    world_close(&w);
}

void world_open_graph(world *w, const char *yaml, tensor *(*build)(graph *g))
{
    MUST(open_empty(w, yaml));
    graph_set_logits(w->graph, build(w->graph));
    MUST(graph_error(w->graph));
    MUST(dense_seal(w->dense, w->config->train.seed));
}

void world_open(world *w, const char *yaml)
{
    MUST(world_try(w, yaml));
}

void world_close(world *w)
{
    graph_free(&w->graph);
    dense_free(&w->dense);
    comm_close(&w->workers);
    schema_free(&w->schema);
    config_free(&w->config);
    arena_clear(&w->step);
    arena_clear(&w->inputs);
}

size_t world_row_numbers(const world *w, int t)
{
    return (size_t)w->n_rows[t] * (size_t)w->schema->tables[t].config->dim;
}

void world_rows(world *w, int n, double deviation)
{
    rng r = rng_named(5, RNG_TEST, 0, 0);

    for (int t = 0; t < w->schema->n_tables; t++) {
        w->n_rows[t] = n;
        MUST(arena_take(&w->inputs, world_row_numbers(w, t) * sizeof(real), &w->rows[t]));
        MUST(arena_take(&w->inputs, world_row_numbers(w, t) * sizeof(real), &w->gradients[t]));
        for (size_t i = 0; i < world_row_numbers(w, t); i++)
            w->rows[t][i] = (real)(deviation * rng_normal(&r));
    }
}

static void *room(world *w, size_t bytes)
{
    void *piece = NULL;

    MUST(arena_take_zero(&w->inputs, bytes, &piece));
    return piece;
}

static void draw_slot(world *w, int s, int rows, rng *r)
{
    const schema_slot *about = &w->schema->slots[s];
    batch_slot        *slot  = &w->batch.slots[s];

    slot->rows = rows;
    slot->n    = rows;
    if (about->pool != POOL_NONE) {
        slot->offsets = room(w, (size_t)(rows + 1) * sizeof *slot->offsets);
        for (int i = 0; i < rows; i++)
            slot->offsets[i + 1] = slot->offsets[i] + (int)rng_below(r, 4);
        slot->n = slot->offsets[rows];
    }
    slot->ids      = room(w, (size_t)slot->n * sizeof *slot->ids);
    slot->distinct = room(w, (size_t)slot->n * sizeof *slot->distinct);
    for (int i = 0; i < slot->n; i++) {
        slot->distinct[i] = (int)rng_below(r, (uint64_t)w->n_rows[about->table]);
        slot->ids[i]      = (uint64_t)slot->distinct[i];
    }
}

static void draw_sequence(world *w, int s, int n_lengths, const int *lengths, rng *r)
{
    batch_sequence *sequence = &w->batch.sequences[s];
    int             B        = w->batch.B;

    sequence->offsets = room(w, (size_t)(B + 1) * sizeof *sequence->offsets);
    for (int b = 0; b < B; b++)
        sequence->offsets[b + 1] = sequence->offsets[b] + lengths[b % n_lengths];
    sequence->events = sequence->offsets[B];
    sequence->time   = room(w, (size_t)sequence->events * sizeof *sequence->time);
    for (int i = 0; i < sequence->events; i++)
        sequence->time[i] = 1000000 - (int64_t)rng_below(r, 20000);
}

static void draw_float(world *w, int f, rng *r)
{
    batch_float *numbers = &w->batch.floats[f];

    numbers->width = w->schema->floats[f].width;
    numbers->x     = room(w, (size_t)(w->batch.B * numbers->width) * sizeof *numbers->x);
    for (int i = 0; i < w->batch.B * numbers->width; i++)
        numbers->x[i] = (real)(3 * rng_normal(r));
}

void world_draw(world *w, int B, int n_lengths, const int *lengths, uint64_t seed)
{
    const schema *s = w->schema;
    batch        *b = &w->batch;
    rng           r = rng_named(seed, RNG_TEST, 1, 0);

    *b           = (batch){.B = B, .weight_sum = B};
    b->label     = room(w, (size_t)B * sizeof *b->label);
    b->time      = room(w, (size_t)B * sizeof *b->time);
    b->slots     = room(w, (size_t)s->n_slots * sizeof *b->slots);
    b->sequences = room(w, (size_t)s->n_sequences * sizeof *b->sequences);
    b->floats    = room(w, (size_t)s->n_floats * sizeof *b->floats);
    for (int i = 0; i < B; i++) {
        b->label[i] = (real)rng_below(&r, 2);
        b->time[i]  = 1000000;
    }
    for (int i = 0; i < s->n_sequences; i++)
        draw_sequence(w, i, n_lengths, lengths, &r);
    for (int i = 0; i < s->n_floats; i++)
        draw_float(w, i, &r);
    for (int i = 0; i < s->n_slots; i++)
        draw_slot(w, i,
                  s->slots[i].sequence < 0 ? B : b->sequences[s->slots[i].sequence].events, &r);
}

static pass open_pass(world *w)
{
    arena_reset(&w->step);
    return (pass){.batch         = &w->batch,
                  .rows          = w->rows,
                  .row_gradients = w->gradients,
                  .arena         = &w->step,
                  .training      = w->training,
                  .seed          = 7,
                  .step          = w->step_number,
                  .workers       = w->workers};
}

/* What the candidates alone have. */
static void draw_candidates(world *w, requests *r, uint64_t seed)
{
    const schema       *s    = w->schema;
    const model_config *c    = &w->config->model;
    rng                 draw = rng_named(seed, RNG_TEST, 3, 0);
    batch               kept = w->batch;
    int                 n    = r->first[r->asked.B];

    w->batch       = (batch){.B = n};
    w->batch.slots = r->each.slots = room(w, (size_t)s->n_slots * sizeof *r->each.slots);
    w->batch.floats = r->each.floats = room(w, (size_t)s->n_floats * sizeof *r->each.floats);
    for (int i = 0; i < s->n_slots; i++)
        if (requests_slot_of_candidate(s, c, i))
            draw_slot(w, i, n, &draw);
    for (int i = 0; i < s->n_floats; i++)
        if (requests_float_of_candidate(s, c, i))
            draw_float(w, i, &draw);
    w->batch = kept;
}

void world_requests(world *w, requests *r, int n_counts, const int *counts, uint64_t seed)
{
    id_maker *maker;
    id_set    sets[MAX_TABLES];

    *r       = (requests){.asked = w->batch};
    r->first = room(w, (size_t)(w->batch.B + 1) * sizeof *r->first);
    for (int i = 0; i < w->batch.B; i++)
        r->first[i + 1] = r->first[i] + counts[i % n_counts];
    draw_candidates(w, r, seed);
    MUST(id_maker_new(&maker, w->schema, 1));
    MUST(requests_complete(r, w->schema, &w->config->model, true, maker, &w->inputs, sets));
    id_maker_free(&maker);
}

const real *world_rank(world *w, requests *r, bool plain)
{
    pass p          = open_pass(w);
    p.row_gradients = NULL;
    p.training      = false;
    p.batch         = plain ? &r->each : &r->asked;
    if (!plain && !graph_reads_events(w->graph)) /* then nobody misses them */
        for (int k = 0; k < w->schema->n_slots; k++)
            if (w->schema->slots[k].sequence >= 0)
                r->each.slots[k] = (batch_slot){0};
    p.candidates    = plain ? NULL : &r->each;
    p.request_of    = plain ? NULL : r->request_of;
    MUST(graph_forward(w->graph, &p, &w->logits));
    return w->logits;
}

double world_loss(world *w)
{
    pass p          = open_pass(w);
    p.row_gradients = NULL;
    MUST(graph_forward(w->graph, &p, &w->logits));
    return cross_entropy_forward(w->logits, w->batch.label, w->batch.weight, w->batch.B) +
           (pass_learns(&p) ? graph_auxiliary(w->graph, &p) : 0);
}

double world_backward(world *w)
{
    pass   p = open_pass(w);
    double loss;

    for (int t = 0; t < w->schema->n_tables; t++)
        memset(w->gradients[t], 0, world_row_numbers(w, t) * sizeof(real));
    dense_clear_gradients(w->dense);
    if (w->training) /* as a worker has it: they come when forward is done */
        p.row_gradients = NULL;
    MUST(graph_forward(w->graph, &p, &w->logits));
    p.row_gradients = w->gradients;
    MUST(graph_backward(w->graph, &p, &loss));
    return loss + graph_auxiliary(w->graph, &p);
}

void world_update(world *w, double loss, double row_lr)
{
    dense_step step = {.samples = w->batch.weight_sum, .loss = loss};

    MUST(dense_reduce(w->dense, w->workers, &step));
    dense_update(w->dense, w->step_number++);
    for (int t = 0; t < w->schema->n_tables; t++)
        for (size_t k = 0; k < world_row_numbers(w, t); k++)
            w->rows[t][k] -= (real)(row_lr / step.samples) * w->gradients[t][k];
}

void assert_near(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance * fmax(1, fabs(b))))
        fail_msg("%.15g is not within %g of %.15g", a, tolerance, b);
}

const char *shared_file(const char *name)
{
    static char path[1024];
    const char *folder = getenv("DIPS_SHARED");

    snprintf(path, sizeof path, "%s/%s", folder ? folder : DIPS_SOURCE "/../shared", name);
    return access(path, R_OK) == 0 ? path : NULL;
}
