/* bench_rows - a table of very many rows: what they take, how fast they come, are found and
 * updated.
 *
 *     bench_rows [ROWS [DIM [PRECISION [WHAT [SECONDS]]]]]
 *
 * PRECISION: fp32, bf16. WHAT: fill; limit: also look-ups and updates beside a bare probe and
 * a bare update over the same rows (rows/bare.h); all: also beside a std::unordered_map and a
 * naive chained table. SECONDS of each figure. Memory: fill needs 1.05 ROWS (payload + 22),
 * limit 13 bytes a row more; the others are dropped, by name, where there is no room.
 *
 * Rows come in batches of 256 through table_bear_missing, as a step's births do, and memory is
 * made ready between them, as a server does when no message waits. Meanwhile a thread on
 * another core does nothing but look at the clock: the longest time that the machine took from
 * it is to be subtracted from the longest batch. The rate of insertion, like all others, is by
 * the thread's processor time, which has the system's clearing of pages in it.
 *
 * A look-up is table_gather, an update update_apply with the ticket of its ids, both of
 * distinct ids in batches of 16,384: uniform, or Zipf's with exponent 1.05 over ids in the
 * order in which they came, shuffled. 32 tickets are taken before the first is used, so that
 * no update finds its rows in the near caches. All contenders take turns; a round's figure is
 * that of its median batch, and the figure is the median of its rounds. At the end, watched
 * rows must be what as many updates make of them. */
#include "common/rng.h"
#include "ps/update.h"
#include "tests/bench/bench.h"
#include "tests/bench/rows/bare.h"

enum { BATCH = 16384, BIRTHS = 256, SIZES = 20, ROUNDS = 7, MOST_CONTENDERS = 4, WATCHED = 4096, TICKETS = 32,
       MOST_TIMES = 4096 };

#define EXPONENT 1.05

/* What must be, or the program ends, saying what. */
static void need(bool right, const char *what)
{
    must(right ? OK : err_set(ERR_SYSTEM, "%s", what));
}

/* ---- the table ---- */

typedef struct bench {
    uint64_t  rows;
    int       dim;
    double    seconds;
    config   *config;
    schema   *schema;
    table     table;
    int64_t   step;
    arena     scratch;
    uint32_t *numbers; /* (TICKETS, BATCH) what the ids of each ticket mean */
    rng       chance;
    uint64_t  stride;                  /* rank r is the row number r stride mod rows */
    double    zipf_first, zipf_last;   /* H(1.5) - 1, H(rows + 0.5) */
    uint64_t *indices, *ids;           /* (TICKETS, BATCH) drawn; distinct in a ticket */
    uint64_t *seen;                    /* (4 BATCH) indices of this draw, plus one; 0: none */
    real     *gradients, *values;      /* (BATCH, dim) */
} bench;

static uint64_t id_of(uint64_t index)
{
    return hash_mix(index + 1);
}

static void open_table(bench *b, const char *precision)
{
    char yaml[512];
    int  n = snprintf(yaml, sizeof yaml,
                      "tables:\n"
                      "  t: {dim: %d, precision: %s, optimizer: rowwise_adagrad, lr: %g}\n"
                      "features: {f: {table: t}}\n",
                      b->dim, precision, CONTENDER_LR);

    must(config_parse(&b->config, "bench_rows", yaml, (size_t)n, 0, NULL));
    must(schema_new(&b->schema, b->config));
    must(table_init(&b->table, &b->schema->tables[0], 1, NULL, 0, HASH_BUCKETS));
}

/* Bytes of a row's weights and state. */
static double payload(const bench *b)
{
    return (double)((size_t)b->table.state_at + 1) * sizeof(real);
}

typedef struct fill_times {
    double total, total_ready;     /* of the processor; for memory made ready */
    double longest, longest_ready; /* of the clock on the wall */
} fill_times;

static void bear_some(bench *b, uint64_t first, fill_times *t)
{
    uint64_t ids[BIRTHS];
    uint32_t numbers[BIRTHS];
    size_t   n = b->rows - first < BIRTHS ? (size_t)(b->rows - first) : BIRTHS;

    for (size_t i = 0; i < n; i++) {
        ids[i]     = id_of(first + i);
        numbers[i] = ROW_NONE;
    }
    double busy = thread_seconds(), begin = wall_seconds();
    must(table_bear_missing(&b->table, ids, n, numbers));
    double born = thread_seconds(), ready = wall_seconds();
    (void)row_store_prefault(b->table.rows);
    double end = wall_seconds(), done = thread_seconds();
    t->total += done - busy;
    t->total_ready += done - born;
    t->longest       = fmax(t->longest, ready - begin);
    t->longest_ready = fmax(t->longest_ready, end - ready);
}

static void print_size(const bench *b, uint64_t rows, double rate)
{
    double bytes = (double)row_store_bytes(b->table.rows) / (double)rows;

    printf("  %10llu rows: %6.2f bytes a row, overhead %5.2f; %5.2f M rows/s so far\n",
           (unsigned long long)rows, bytes, bytes - payload(b), rate * 1e-6);
}

static void fill(bench *b)
{
    fill_times t      = {0};
    spinner    s;
    double     before = status_bytes("VmRSS");
    int        size   = 0;

    spinner_start(&s);
    for (uint64_t first = 0; first < b->rows; first += BIRTHS) {
        bear_some(b, first, &t);
        uint64_t now = first + BIRTHS < b->rows ? first + BIRTHS : b->rows;
        if ((double)now >= (double)b->rows * pow(10, (size + 1.0) / SIZES - 1)) {
            print_size(b, now, (double)now / t.total);
            size++;
        }
    }
    spinner_stop(&s);
    double rss  = status_bytes("VmRSS") - before,
           most = 1.05 * (double)b->rows * (payload(b) + 22);
    printf("fill: %.2f M rows/s, and %.0f %% of that time the system clears memory; longest batch "
           "of %d %.2f ms, clearing %.2f ms, longest stall of an idle thread %.2f ms\n",
           (double)b->rows / t.total * 1e-6, 100 * t.total_ready / t.total, BIRTHS,
           t.longest * 1e3, t.longest_ready * 1e3, (double)atomic_load(&s.longest) * 1e-6);
    printf("resident: %.3f GB, %.1f %% of 1.05 rows (payload + 22)\n", rss * 1e-9,
           100 * rss / most);
    printf("figures fill rows=%llu insert=%.4g overhead=%.4g stall=%.4g spin=%.4g rss=%.6g\n",
           (unsigned long long)b->rows, (double)b->rows / t.total,
           (double)row_store_bytes(b->table.rows) / (double)b->rows - payload(b), t.longest,
           (double)atomic_load(&s.longest) * 1e-9, rss);
}

/* ---- dips as a contender ---- */

static void dips_gather(void *self, const uint64_t *ids, size_t n, real *values)
{
    bench *b = self;

    table_gather(&b->table, ids, n, b->numbers, values);
}

static void dips_find(void *self, int ticket, const uint64_t *ids, size_t n)
{
    bench *b = self;

    row_store_find(b->table.rows, ids, n, b->numbers + ticket * BATCH);
}

static void dips_update(void *self, int ticket, const uint64_t *ids, size_t n, real *g)
{
    bench      *b    = self;
    update_part part = {
        .n = n, .ids = ids, .rows = b->numbers + ticket * BATCH, .gradients = g};
    update_step step = {.step = b->step++, .samples = 1, .lr = CONTENDER_LR};

    arena_reset(&b->scratch);
    must(update_apply(&b->table, &part, 1, &step, &b->scratch));
}

static contender bare_of(bench *b)
{
    contender c = bare_new(b->rows, b->dim, TICKETS, BATCH);
    uint32_t  number;

    need(c.self, "no memory for the bare table");
    for (uint32_t bucket = 0; bucket < HASH_BUCKETS; bucket++)
        for (uint32_t cursor = 0; row_store_next(b->table.rows, bucket, &cursor, &number);)
            bare_add(&c, row_store_at(b->table.rows, number));
    return c;
}

/* ---- drawing ---- */

/* Hoermann and Derflinger 1996, rejection-inversion: H is an integral of x^-EXPONENT. */
static double H(double x)
{
    return (pow(x, 1 - EXPONENT) - 1) / (1 - EXPONENT);
}

static double H_inverse(double y)
{
    return pow(1 + (1 - EXPONENT) * y, 1 / (1 - EXPONENT));
}

/* A rank from 0 on. */
static uint64_t draw_zipf(bench *b)
{
    for (;;) {
        double u = b->zipf_last + rng_uniform(&b->chance) * (b->zipf_first - b->zipf_last);
        double x = H_inverse(u), k = floor(x + .5);
        if (u >= H(k + .5) - pow(k, -EXPONENT)) {
            uint64_t rank = k < 1 ? 0 : (uint64_t)k - 1;
            return rank < b->rows ? rank : b->rows - 1;
        }
    }
}

static void prepare_draws(bench *b)
{
    size_t n      = BATCH * (size_t)b->dim;
    b->chance     = rng_named(1, RNG_TEST, 0, 0);
    b->zipf_first = H(1.5) - 1;
    b->zipf_last  = H((double)b->rows + .5);
    b->stride     = UINT64_C(0x9e3779b97f4a7c15) % b->rows;
    for (uint64_t x = b->stride, y = b->rows; x != 1; x = b->stride, y = b->rows) {
        while (y) {
            uint64_t rest = x % y;
            x = y;
            y = rest;
        }
        if (x == 1)
            break;
        b->stride++;
    }
    b->numbers   = malloc(TICKETS * BATCH * sizeof *b->numbers);
    b->indices   = malloc(TICKETS * BATCH * sizeof *b->indices);
    b->ids       = malloc(TICKETS * BATCH * sizeof *b->ids);
    b->seen      = malloc(4 * BATCH * sizeof *b->seen);
    b->gradients = malloc(n * sizeof *b->gradients);
    b->values    = malloc(n * sizeof *b->values);
    need(b->numbers && b->indices && b->ids && b->seen && b->gradients && b->values,
         "no memory for batches");
    for (size_t i = 0; i < n; i++)
        b->gradients[i] = 1;
}

/* Whether index is new in this draw. */
static bool see(bench *b, uint64_t index)
{
    size_t at = hash_mix(index) % (4 * BATCH);

    for (; b->seen[at]; at = (at + 1) % (4 * BATCH))
        if (b->seen[at] == index + 1)
            return false;
    b->seen[at] = index + 1;
    return true;
}

__extension__ typedef unsigned __int128 u128;

static void draw(bench *b, int ticket, bool zipf)
{
    size_t first = (size_t)ticket * BATCH;

    memset(b->seen, 0, 4 * BATCH * sizeof *b->seen);
    for (size_t n = 0; n < BATCH;) {
        uint64_t index = zipf ? (uint64_t)((u128)draw_zipf(b) * b->stride % b->rows)
                              : rng_below(&b->chance, b->rows);
        if (see(b, index)) {
            b->indices[first + n] = index;
            b->ids[first + n++]   = id_of(index);
        }
    }
}

/* ---- rounds ---- */

typedef struct result {
    double lookups[2][ROUNDS], updates[2][ROUNDS]; /* rows/s: uniform, Zipf */
} result;

typedef struct field {
    int       n;
    contender at[MOST_CONTENDERS];
    uint32_t *updated[MOST_CONTENDERS]; /* (WATCHED) of the row numbers k rows / WATCHED */
    result    results[MOST_CONTENDERS];
} field;

/* The watched row that index is; WATCHED: none. */
static uint64_t watched(const bench *b, uint64_t index)
{
    uint64_t k = (uint64_t)((u128)index * WATCHED / b->rows);

    while (k < WATCHED && (uint64_t)((u128)k * b->rows / WATCHED) < index)
        k++;
    return k < WATCHED && (uint64_t)((u128)k * b->rows / WATCHED) == index ? k : WATCHED;
}

/* Seconds of the batches of a round. */
typedef struct times {
    int    n;
    double total, at[MOST_TIMES];
} times;

static void times_add(times *t, double since)
{
    double took = thread_seconds() - since;

    t->total += took;
    if (t->n < MOST_TIMES)
        t->at[t->n++] = took;
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, ascending);
    return values[n / 2];
}

static double time_lookups(bench *b, const contender *c, bool zipf)
{
    times t = {0};

    while (t.total < b->seconds / ROUNDS) {
        draw(b, 0, zipf);
        double begin = thread_seconds();
        c->gather(c->self, b->ids, BATCH, b->values);
        times_add(&t, begin);
    }
    return BATCH / median(t.at, t.n);
}

static void count_watched(const bench *b, const uint64_t *indices, uint32_t *updated)
{
    for (size_t i = 0; i < BATCH; i++) {
        uint64_t k = watched(b, indices[i]);
        if (k < WATCHED)
            updated[k]++;
    }
}

static double time_updates(bench *b, const contender *c, uint32_t *updated, bool zipf)
{
    times t = {0};

    while (t.total < b->seconds / ROUNDS) {
        for (int k = 0; k < TICKETS; k++) {
            draw(b, k, zipf);
            count_watched(b, b->indices + k * BATCH, updated);
            if (c->find)
                c->find(c->self, k, b->ids + k * BATCH, BATCH);
        }
        for (int k = 0; k < TICKETS; k++) {
            double begin = thread_seconds();
            c->update(c->self, k, b->ids + k * BATCH, BATCH, b->gradients);
            times_add(&t, begin);
        }
    }
    return BATCH / median(t.at, t.n);
}

/* The watched rows are what their updates make of them: of zeros, or of dips' birth values.
 * loose: weights were rounded by chance, upwards as often as downwards. */
static void check(bench *b, const contender *c, const uint32_t *updated, bool born, bool loose)
{
    for (uint64_t k = 0; k < WATCHED; k++) {
        uint64_t id = id_of((uint64_t)((u128)k * b->rows / WATCHED));
        real     want[CONFIG_DIM_MAX] = {0};
        double   way                  = 0;
        if (born)
            table_birth_value(&b->table, id, want);
        c->gather(c->self, &id, 1, b->values);
        for (uint32_t u = 1; u <= updated[k]; u++)
            way += CONTENDER_LR / (sqrt(u) + CONTENDER_EPS);
        for (int d = 0; d < b->dim; d++) {
            double off = fabs((double)b->values[d] - ((double)want[d] - way));
            need(off <= (loose ? .02 : 1e-4) * (way + fabs((double)want[d])) + 1e-6,
                 "a row is not what its updates make of it");
        }
    }
}

static void play(bench *b, field *f)
{
    for (int round = 0; round < ROUNDS; round++)
        for (int zipf = 0; zipf < 2; zipf++)
            for (int k = 0; k < f->n; k++) {
                result *r                = &f->results[k];
                r->lookups[zipf][round] = time_lookups(b, &f->at[k], zipf);
                r->updates[zipf][round] = time_updates(b, &f->at[k], f->updated[k], zipf);
            }
}

static void print_field(const bench *b, field *f)
{
    static const char *const chance[] = {"uniform", "zipf"};

    printf("M rows/s, medians of %d rounds     look-up (share of dips)     update (share)\n",
           ROUNDS);
    for (int zipf = 0; zipf < 2; zipf++)
        for (int k = 0; k < f->n; k++) {
            double l = median(f->results[k].lookups[zipf], ROUNDS),
                   u = median(f->results[k].updates[zipf], ROUNDS);
            printf("  %-8s %-14s           %6.2f (%4.2f)              %6.2f (%4.2f)\n",
                   chance[zipf], f->at[k].name, l * 1e-6,
                   l / median(f->results[0].lookups[zipf], ROUNDS), u * 1e-6,
                   u / median(f->results[0].updates[zipf], ROUNDS));
        }
    for (int zipf = 0; zipf < 2; zipf++)
        for (int k = 0; k < f->n; k++)
            printf("figures speed rows=%llu chance=%s name=%s lookup=%.4g update=%.4g\n",
                   (unsigned long long)b->rows, chance[zipf], f->at[k].name,
                   median(f->results[k].lookups[zipf], ROUNDS),
                   median(f->results[k].updates[zipf], ROUNDS));
}

/* ---- who takes part ---- */

static void join_in(field *f, contender c, uint32_t *updated)
{
    f->at[f->n]      = c;
    f->updated[f->n] = updated ? updated : calloc(WATCHED, sizeof *updated);
    need(f->updated[f->n], "no memory");
    f->n++;
}

/* A contender with rows of its own, if there is room for it: about `bytes` a row. */
static void invite(bench *b, field *f, contender c, double bytes)
{
    uint64_t ids[BIRTHS];
    double   begin = wall_seconds();

    if (!c.self || bytes * (double)b->rows > .95 * memory_available()) {
        printf("%s does not take part: %s\n", c.name,
               c.self ? "it would need more memory than there is" : "it was not built");
        if (c.self)
            c.free(c.self);
        return;
    }
    double before = status_bytes("VmRSS"), longest = 0;
    for (uint64_t first = 0; first < b->rows; first += BIRTHS) {
        size_t n = b->rows - first < BIRTHS ? (size_t)(b->rows - first) : BIRTHS;
        for (size_t i = 0; i < n; i++)
            ids[i] = id_of(first + i);
        double start = wall_seconds();
        need(c.fill(c.self, ids, n), "no memory for a contender's rows");
        longest = fmax(longest, wall_seconds() - start);
    }
    printf("%s: filled at %.2f M rows/s, longest batch %.1f ms, %.1f bytes a row beside the "
           "payload\n",
           c.name, (double)b->rows / (wall_seconds() - begin) * 1e-6, longest * 1e3,
           (status_bytes("VmRSS") - before) / (double)b->rows -
               ((double)b->dim + 1) * sizeof(real));
    join_in(f, c, NULL);
}

static void compete(bench *b, bool rivals)
{
    field     f    = {0};
    bool      bf16 = b->table.config->precision == PRECISION_BF16;
    contender dips = {.name   = "dips",
                      .self   = b,
                      .gather = dips_gather,
                      .find   = dips_find,
                      .update = dips_update};
    double    bare_row = ((double)b->dim + 1) * sizeof(real);

    prepare_draws(b);
    join_in(&f, dips, NULL);
    if (!bf16) /* its arithmetic is of fp32 alone */
        join_in(&f, bare_of(b), f.updated[0]);
    if (rivals) {
        invite(b, &f, contender_unordered(b->dim), bare_row + 76);
        invite(b, &f, contender_chained(b->dim), bare_row + 44);
    }
    play(b, &f);
    print_field(b, &f);
    for (int k = 0; k < f.n; k++)
        check(b, &f.at[k], f.updated[k], k < (bf16 ? 1 : 2), bf16);
    printf("checked: %d rows of each are what their updates make of them\n", WATCHED);
    for (int k = 0; k < f.n; k++) {
        if (f.at[k].free)
            f.at[k].free(f.at[k].self);
        if (!k || f.updated[k] != f.updated[0])
            free(f.updated[k]);
    }
    free(b->numbers);
    free(b->indices);
    free(b->ids);
    free(b->seen);
    free(b->gradients);
    free(b->values);
}

int main(int n, char **words)
{
    bench       b         = {.rows    = n > 1 ? strtoull(words[1], NULL, 10) : 20000000,
                             .dim     = n > 2 ? atoi(words[2]) : 16,
                             .seconds = n > 5 ? atof(words[5]) : 3};
    const char *precision = n > 3 ? words[3] : "fp32", *what = n > 4 ? words[4] : "all";

    need(b.rows >= 4 * BATCH && b.dim > 0 && b.dim <= CONFIG_DIM_MAX,
         "wanted at least 65536 rows, and a dim that a table can have");
    print_machine();
    open_table(&b, precision);
    printf("%llu rows of dim %d %s with row-wise Adagrad: %.0f bytes of payload\n",
           (unsigned long long)b.rows, b.dim, precision, payload(&b));
    fill(&b);
    if (strcmp(what, "fill"))
        compete(&b, !strcmp(what, "all"));
    table_clear(&b.table);
    arena_clear(&b.scratch);
    schema_free(&b.schema);
    config_free(&b.config);
    return 0;
}
