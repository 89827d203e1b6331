/* bench_cut FOLDER [ROWS [DIM]] - what a shard's checkpoint costs those who go on meanwhile.
 *
 * One shard in one thread takes the steps of one worker, each with 2,000 random rows of a table
 * of ROWS rows (1 M) of DIM (16), as fast as it can: alone, and while it writes a full
 * checkpoint. The longest pause is that between two answers; a thread that only spins tells
 * which pauses are the machine's. Then a checkpoint is written by a shard that nobody asks,
 * beside a plain write of as many bytes to the same disk (what `dd conv=fdatasync` does), and
 * the same where a step comes every 20 ms, as with workers that compute. */
#include <sys/stat.h>

#include "common/rng.h"
#include "common/wire.h"
#include "ps/state.h"
#include "tests/bench/disk_bench.h"

enum { IDS = 2000, QUIET_S = 4 };

#define STEP_NS (20 * NS_PER_MS)

static double ms(int64_t ns)
{
    return (double)ns * 1e-6;
}

/* ---- a shard and its worker ---- */

typedef struct bench {
    shard      *shard;
    config     *config;
    schema     *schema;
    const char *folder;
    uint64_t    rows, step;
    rng         chance;
    int64_t     answered, longest; /* clock of the last answer; the longest pause since it */
    spinner     spinner;
    bool        saved;
    uint64_t    bytes; /* of the file */
} bench;

static err_t take_answer(void *self, uint64_t peer, net_message *m)
{
    bench      *b = self;
    wire_header h;
    int64_t     t = now();

    (void)peer;
    must(wire_open(&h, m));
    if (h.kind == WIRE_ROWS && b->answered && t - b->answered > b->longest)
        b->longest = t - b->answered;
    if (h.kind == WIRE_ROWS)
        b->answered = t;
    if (h.kind == WIRE_SAVED) {
        wire_saved saved;
        must(wire_decode_saved(&saved, m));
        b->saved = true;
        b->bytes = saved.bytes;
    }
    if (h.kind == WIRE_FAILED) {
        wire_text text;
        must(wire_decode_text(&text, m));
        fprintf(stderr, "bench_cut: %.*s\n", (int)text.bytes, text.text);
        exit(1);
    }
    net_message_clear(m);
    return OK;
}

static void open_bench(bench *b, const char *folder, uint64_t rows, const char *dim)
{
    char        yaml[256];
    net_message m;
    wire_header h     = {WIRE_BEGIN, 1, 0, 0};
    wire_begin  begin = {.workers = 1, .real_bytes = sizeof(real)};

    *b = (bench){.folder = folder, .rows = rows, .chance = rng_named(1, RNG_TEST, 0, 0)};
    snprintf(yaml, sizeof yaml, "tables: {t: {dim: %s}}\nfeatures: {f: {table: t}}\n", dim);
    must(config_parse(&b->config, "bench", yaml, strlen(yaml), 0, NULL));
    must(schema_new(&b->schema, b->config));
    shard_options o = {.config = b->config,
                       .schema = b->schema,
                       .shards = 1,
                       .save   = SAVE_IN_BACKGROUND,
                       .send   = take_answer,
                       .self   = b};
    must(shard_new(&b->shard, &o));
    must(wire_encode_begin(&m, &h, &begin));
    must(shard_handle(b->shard, 1, &m));
    fill_table(&b->shard->tables[0], rows);
    mkdir(folder, 0777);
}

static void close_bench(bench *b)
{
    shard_free(&b->shard);
    schema_free(&b->schema);
    config_free(&b->config);
}

static void take_step(bench *b)
{
    static uint64_t ids[IDS];
    net_message     m;
    wire_header     h = {WIRE_PULL, 1, 0, b->step};
    wire_request    q = {.version = b->step, .tables = 1};
    wire_push       p = {.pulled_until = b->step + 1, .samples = 1, .finite = true, .tables = 1};
    uint32_t        dim = (uint32_t)b->config->tables[0].dim;

    for (int i = 0; i < IDS; i++) /* now and then one is there twice, which does no harm */
        ids[i] = id_of_row(rng_below(&b->chance, b->rows));
    q.table[0] = (wire_ids){IDS, ids, NULL};
    must(wire_encode_request(&m, &h, &q));
    must(shard_handle(b->shard, 1, &m));
    h.kind     = WIRE_PUSH;
    p.table[0] = (wire_values){.n = IDS, .dim = dim};
    must(wire_prepare_push(&m, &h, &p));
    memset(p.table[0].values, 0, IDS * dim * sizeof(real));
    wire_seal(&m);
    must(shard_handle(b->shard, 1, &m));
    b->step++;
}

static void ask_save(bench *b)
{
    net_message m;
    wire_header h = {WIRE_SAVE, 1, 0, b->step};
    wire_text   t = {.text = b->folder, .bytes = (uint32_t)strlen(b->folder)};

    b->saved = false;
    must(wire_encode_text(&m, &h, &t));
    must(shard_handle(b->shard, 1, &m));
}

/* What a while of steps came to. */
typedef struct stretch {
    double  seconds;
    int64_t steps, longest, spinner;
} stretch;

static void begin_stretch(bench *b)
{
    b->answered = b->longest = 0;
    atomic_store(&b->spinner.longest, 0);
}

static stretch end_stretch(const bench *b, int64_t began, int64_t steps)
{
    return (stretch){seconds_since(began), steps, b->longest, atomic_load(&b->spinner.longest)};
}

/* Steps without rest for some seconds, or, where it is 0, until the checkpoint is saved. */
static stretch run_busy(bench *b, double seconds)
{
    int64_t began = now(), steps = 0;

    begin_stretch(b);
    if (seconds == 0)
        ask_save(b);
    for (; seconds > 0 ? seconds_since(began) < seconds : !b->saved; steps++)
        take_step(b);
    return end_stretch(b, began, steps);
}

/* A checkpoint, and a step every `every` ns (0: none); the shard rests as its server does. */
static stretch run_idle(bench *b, int64_t every)
{
    int64_t began = now(), steps = 0, due = began + every;
    bool    more = true;

    begin_stretch(b);
    ask_save(b);
    while (!b->saved) {
        if (every && now() >= due) {
            take_step(b);
            steps++;
            due += every;
            continue;
        }
        if (!more)
            usleep(1000);
        must(shard_idle(b->shard, &more));
    }
    return end_stretch(b, began, steps);
}

/* ---- figures ---- */

static void tell(const char *what, const stretch *s, const stretch *quiet)
{
    printf("%-28s %8.0f steps/s %5.2f s  longest pause %6.1f ms (spinning %5.1f ms)", what,
           (double)s->steps / s->seconds, s->seconds, ms(s->longest), ms(s->spinner));
    if (quiet)
        printf("  throughput %+.1f %%", 100 * ((double)s->steps / s->seconds) /
                                               ((double)quiet->steps / quiet->seconds) - 100);
    printf("\n");
}

int main(int argc, char **argv)
{
    bench    b;
    uint64_t rows = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;

    if (argc < 2) {
        fprintf(stderr, "usage: bench_cut FOLDER [ROWS [DIM]]\n");
        return 2;
    }
    open_bench(&b, argv[1], rows, argc > 3 ? argv[3] : "16");
    spinner_start(&b.spinner);
    run_busy(&b, 0.5);
    double  held  = status_bytes("VmHWM");
    stretch quiet = run_busy(&b, QUIET_S), busy = run_busy(&b, 0);
    double  grown = status_bytes("VmHWM") - held;
    stretch paced = run_idle(&b, STEP_NS);
    spinner_stop(&b.spinner);
    stretch alone = run_idle(&b, 0);
    double  mb = (double)b.bytes * 1e-6, plain = plain_write(argv[1], b.bytes);

    printf("%llu rows, a file of %.1f MB\n", (unsigned long long)rows, mb);
    tell("steps alone", &quiet, NULL);
    tell("and a checkpoint", &busy, &quiet);
    printf("%-28s %8.1f MB\n", "memory beyond the rows", grown * 1e-6);
    tell("a step every 20 ms", &paced, NULL);
    printf("%-28s %8.0f MB/s; nobody asks: %.0f MB/s; a plain write: %.0f MB/s, ratio %.2f\n",
           "written", mb / paced.seconds, mb / alone.seconds, mb / plain,
           plain / alone.seconds);
    close_bench(&b);
    return 0;
}
