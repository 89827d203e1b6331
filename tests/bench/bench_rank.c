/* bench_rank - how long a request with many candidates takes to rank.
 *
 *     bench_rank [seconds a line] [candidates] [events] [kind ...]
 *
 * For each kind of model (din where none is named) at two sizes: a request of one user, with a
 * history of so many events, is made ready (distinct ids, what is repeated) and ranked, again
 * and again, in one thread; rows lie in memory as a pull leaves them. Beside it the same with
 * each candidate as a sample of its own, as predict computes them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/rng.h"
#include "worker/models/model.h"
#include "worker/requests.h"

#define MUST(call)                                                                             \
    do {                                                                                       \
        if ((call) != OK) {                                                                    \
            fprintf(stderr, "bench_rank: %s\n", err_text());                                   \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

typedef struct setting {
    const char *name;
    int         fields, dim, mlp[2];
} setting;

static const setting settings[] = {
    {"3 fields x 16, mlp 200-80", 3, 16, {200, 80}},
    {"2 fields x 64, mlp 80-40", 2, 64, {80, 40}},
};

enum { IDS = 2000, TABLES_MOST = 8, TIMES_MOST = 100000 };

typedef struct bench {
    const setting *setting;
    const char    *kind, *activation;
    int            candidates, events;
    config        *config;
    schema        *schema;
    dense         *dense;
    graph         *graph;
    id_maker      *maker;
    arena          inputs, step;
    real          *rows[TABLES_MOST];
} bench;

/* ---- setting up ---- */

static void configure(bench *b)
{
    char           yaml[4096], *at = yaml, *end = yaml + sizeof yaml;
    const setting *s = b->setting;

    at += snprintf(at, (size_t)(end - at), "tables: {user: {dim: %d}", s->dim);
    for (int f = 0; f < s->fields; f++)
        at += snprintf(at, (size_t)(end - at), ", f%d: {dim: %d}", f, s->dim);
    at += snprintf(at, (size_t)(end - at), "}\nfeatures:\n  user: {table: user}\n");
    for (int f = 0; f < s->fields; f++)
        at += snprintf(at, (size_t)(end - at), "  f%d: {table: f%d}\n", f, f);
    at += snprintf(at, (size_t)(end - at), "  history: {columns: {time: {kind: time}");
    for (int f = 0; f < s->fields; f++)
        at += snprintf(at, (size_t)(end - at), ", f%d: {table: f%d}", f, f);
    at += snprintf(at, (size_t)(end - at),
                   "}}\nmodel: {kind: %s, profile: [user], history: history, candidate: [",
                   b->kind);
    for (int f = 0; f < s->fields; f++)
        at += snprintf(at, (size_t)(end - at), "%sf%d", f ? ", " : "", f);
    snprintf(at, (size_t)(end - at),
             "], attention: {units: [80, 40], activation: %s}, mlp: {units: [%d, %d]}, "
             "auxiliary: {kind: none}}\n",
             b->activation, s->mlp[0], s->mlp[1]);
    MUST(config_parse(&b->config, "bench", yaml, strlen(yaml), 0, NULL));
    MUST(schema_new(&b->schema, b->config));
    MUST(dense_new(&b->dense, b->config));
    MUST(graph_new(&b->graph, b->config, b->schema, b->dense));
    MUST(model_build(b->graph, b->config));
    MUST(dense_seal(b->dense, 1));
    MUST(id_maker_new(&b->maker, b->schema, 1));
}

static void draw_rows(bench *b)
{
    size_t n = (size_t)IDS * (size_t)b->setting->dim;
    rng    r = rng_named(1, RNG_TEST, 0, 0);

    for (int t = 0; t < b->schema->n_tables; t++) {
        MUST(arena_take(&b->inputs, n * sizeof(real), &b->rows[t]));
        for (size_t i = 0; i < n; i++)
            b->rows[t][i] = (real)(.1 * rng_normal(&r));
    }
}

static void clear(bench *b)
{
    id_maker_free(&b->maker);
    graph_free(&b->graph);
    dense_free(&b->dense);
    schema_free(&b->schema);
    config_free(&b->config);
    arena_clear(&b->inputs);
    arena_clear(&b->step);
}

/* ---- a request ---- */

static void draw_slot(bench *b, batch_slot *slot, int rows, rng *r)
{
    *slot = (batch_slot){.rows = rows, .n = rows};
    MUST(arena_take(&b->step, (size_t)rows * sizeof *slot->ids, &slot->ids));
    for (int i = 0; i < rows; i++)
        slot->ids[i] = rng_below(r, IDS);
}

static void draw_request(bench *b, requests *q, rng *r)
{
    const schema *s    = b->schema;
    size_t        room = (size_t)s->n_slots * sizeof(batch_slot);

    *q = (requests){.asked = {.B = 1}};
    MUST(arena_take_zero(&b->step, room, &q->asked.slots));
    MUST(arena_take_zero(&b->step, room, &q->each.slots));
    MUST(arena_take_zero(&b->step, sizeof *q->asked.sequences, &q->asked.sequences));
    MUST(arena_take_zero(&b->step, 2 * sizeof *q->first, &q->first));
    batch_sequence *h = q->asked.sequences;
    MUST(arena_take_zero(&b->step, 2 * sizeof *h->offsets, &h->offsets));
    MUST(arena_take_zero(&b->step, (size_t)b->events * sizeof *h->time, &h->time));
    h->events = h->offsets[1] = b->events;
    q->first[1]               = b->candidates;
    for (int i = 0; i < b->events; i++)
        h->time[i] = 600 * i;
    for (int k = 0; k < s->n_slots; k++) {
        if (requests_slot_of_candidate(s, &b->config->model, k))
            draw_slot(b, &q->each.slots[k], b->candidates, r);
        else
            draw_slot(b, &q->asked.slots[k], s->slots[k].sequence < 0 ? 1 : b->events, r);
    }
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* Milliseconds of processor time. */
static double rank(bench *b, bool plain, rng *r)
{
    requests q;
    id_set   sets[TABLES_MOST];
    real    *logits;
    double   probabilities[4096];

    arena_reset(&b->step);
    draw_request(b, &q, r);
    double since = now();
    MUST(requests_complete(&q, b->schema, &b->config->model,
                           plain || graph_reads_events(b->graph), b->maker, &b->step, sets));
    pass p = {.batch      = plain ? &q.each : &q.asked,
              .candidates = plain ? NULL : &q.each,
              .request_of = plain ? NULL : q.request_of,
              .rows       = b->rows,
              .arena      = &b->step};
    MUST(graph_forward(b->graph, &p, &logits));
    graph_probabilities(&p, logits, probabilities);
    return now() - since;
}

/* ---- timing ---- */

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int time_all(bench *b, bool plain, double seconds, double *times)
{
    rng    r   = rng_named(2, RNG_TEST, 0, 0);
    double all = 0;
    int    n   = 0;

    for (int i = 0; i < 3; i++)
        rank(b, plain, &r);
    while (n < TIMES_MOST && (n < 5 || all < seconds * 1e3))
        all += times[n++] = rank(b, plain, &r);
    qsort(times, (size_t)n, sizeof *times, by_number);
    return n;
}

static void measure(bench *b, double seconds)
{
    static double times[TIMES_MOST];

    configure(b);
    draw_rows(b);
    int    n_plain = time_all(b, true, seconds, times);
    double plain   = times[n_plain / 2];
    int    n       = time_all(b, false, seconds, times);
    printf("%-5s %-26s %-8s %7.2f %7.2f %7.2f %7.2f %12.2f\n", b->kind, b->setting->name,
           b->activation, times[n / 2], times[n * 9 / 10], times[n * 99 / 100], times[n - 1],
           plain);
    clear(b);
}

int main(int argc, char **argv)
{
    static const char *const activations[] = {"dice", "sigmoid"};
    char                    *usual[]       = {"din"};
    double                   seconds       = argc > 1 ? atof(argv[1]) : 2;
    int                      candidates = argc > 2 ? atoi(argv[2]) : 400, kinds = argc - 4;
    int                      events = argc > 3 ? atoi(argv[3]) : 50;

    if (candidates < 1 || candidates > 4096 || events < 0)
        return 2;
    printf("%d candidates, %d events, attention 80-40; ms of one thread\n"
           "%-5s %-26s %-8s %7s %7s %7s %7s %12s\n",
           candidates, events, "model", "size", "", "p50", "p90", "p99", "max", "plain p50");
    for (int k = 0; k < (kinds > 0 ? kinds : 1); k++)
        for (size_t s = 0; s < sizeof settings / sizeof *settings; s++)
            for (size_t a = 0; a < 2; a++) {
                bench b = {.setting    = &settings[s],
                           .kind       = kinds > 0 ? argv[4 + k] : usual[0],
                           .activation = activations[a],
                           .candidates = candidates,
                           .events     = events};
                measure(&b, seconds);
            }
    return 0;
}
