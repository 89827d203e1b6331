/* bench_rank - how long a request with many candidates takes to rank.
 *
 *     bench_rank [seconds a line] [candidates] [events] [kind ...]
 *
 * For each kind of model (din where none is named) at two sizes: a request of one user, with a
 * history of so many events, is made ready (distinct ids, what is repeated) and ranked, again
 * and again, in one thread; rows lie in memory as a pull leaves them. Beside it the same with
 * each candidate as a sample of its own, as predict computes them. */
#include "tests/bench/model_bench.h"
#include "worker/requests.h"

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
    model_bench    m;
    const setting *setting;
    const char    *kind, *activation;
    int            candidates, events;
    id_maker      *maker;
} bench;

/* ---- setting up ---- */

static void configure(bench *b)
{
    const setting *s    = b->setting;
    yaml_text      kind = {0};
    rng            r    = rng_named(1, RNG_TEST, 0, 0);

    b->m = (model_bench){.fields = s->fields, .dim = s->dim, .ids = IDS};
    yaml_add(&kind,
             "kind: %s, attention: {units: [80, 40], activation: %s}, mlp: {units: [%d, %d]}, "
             "auxiliary: {kind: none}",
             b->kind, b->activation, s->mlp[0], s->mlp[1]);
    model_bench_open(&b->m, ", time: {kind: time}", kind.at, "");
    MUST(model_build(b->m.graph, b->m.config));
    MUST(dense_seal(b->m.dense, 1));
    MUST(id_maker_new(&b->maker, b->m.schema, 1));
    b->m.rows = draw_numbers(&b->m, &r);
}

/* ---- a request ---- */

static void draw_slot(bench *b, batch_slot *slot, int rows, rng *r)
{
    *slot = (batch_slot){.rows = rows, .n = rows};
    MUST(arena_take(&b->m.step, (size_t)rows * sizeof *slot->ids, &slot->ids));
    for (int i = 0; i < rows; i++)
        slot->ids[i] = rng_below(r, IDS);
}

static void draw_request(bench *b, requests *q, rng *r)
{
    const schema *s    = b->m.schema;
    size_t        room = (size_t)s->n_slots * sizeof(batch_slot);

    *q = (requests){.asked = {.B = 1}};
    MUST(arena_take_zero(&b->m.step, room, &q->asked.slots));
    MUST(arena_take_zero(&b->m.step, room, &q->each.slots));
    MUST(arena_take_zero(&b->m.step, sizeof *q->asked.sequences, &q->asked.sequences));
    MUST(arena_take_zero(&b->m.step, 2 * sizeof *q->first, &q->first));
    batch_sequence *h = q->asked.sequences;
    MUST(arena_take_zero(&b->m.step, 2 * sizeof *h->offsets, &h->offsets));
    MUST(arena_take_zero(&b->m.step, (size_t)b->events * sizeof *h->time, &h->time));
    h->events = h->offsets[1] = b->events;
    q->first[1]               = b->candidates;
    for (int i = 0; i < b->events; i++)
        h->time[i] = 600 * i;
    for (int k = 0; k < s->n_slots; k++) {
        if (requests_slot_of_candidate(s, &b->m.config->model, k))
            draw_slot(b, &q->each.slots[k], b->candidates, r);
        else
            draw_slot(b, &q->asked.slots[k], s->slots[k].sequence < 0 ? 1 : b->events, r);
    }
}

/* Milliseconds of processor time. */
static double rank(bench *b, bool plain, rng *r)
{
    requests q;
    id_set   sets[TABLES_MOST];
    real    *logits;
    double   probabilities[4096];

    arena_reset(&b->m.step);
    draw_request(b, &q, r);
    double since = 1e3 * thread_seconds();
    MUST(requests_complete(&q, b->m.schema, &b->m.config->model,
                           plain || graph_reads_events(b->m.graph), b->maker, &b->m.step,
                           sets));
    pass p = {.batch      = plain ? &q.each : &q.asked,
              .candidates = plain ? NULL : &q.each,
              .request_of = plain ? NULL : q.request_of,
              .rows       = b->m.rows,
              .arena      = &b->m.step};
    MUST(graph_forward(b->m.graph, &p, &logits));
    graph_probabilities(&p, logits, probabilities);
    return 1e3 * thread_seconds() - since;
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
    int    n_plain = time_all(b, true, seconds, times);
    double plain   = times[n_plain / 2];
    int    n       = time_all(b, false, seconds, times);
    printf("%-5s %-26s %-8s %7.2f %7.2f %7.2f %7.2f %12.2f\n", b->kind, b->setting->name,
           b->activation, times[n / 2], times[n * 9 / 10], times[n * 99 / 100], times[n - 1],
           plain);
    id_maker_free(&b->maker);
    model_bench_clear(&b->m);
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
