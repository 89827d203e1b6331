/* bench_reading - how fast samples are checked, copied into batches and made distinct.
 *
 *     bench_reading [SAMPLES [EVENTS]]
 *
 * Two shards with user, goods, cate and a history of goods, cate and time (EVENTS of them
 * each), Zipf-like ids, batches of 1024 in the default shuffled order. Batches are timed by
 * what the thread works, since other programs may run beside; the pipeline by the wall. */
#include "common/rng.h"
#include "common/safetensors.h"
#include "tests/bench/bench.h"
#include "worker/data/pipeline.h"

enum { BATCH = 1024 };

static table_config    configs[]   = {{.name = "user"}, {.name = "goods"}, {.name = "cate"}};
static schema_table    tables[]    = {{&configs[0], 1}, {&configs[1], 2}, {&configs[2], 3}};
static schema_slot     slots[]     = {{.name = "user", .table = 0, .sequence = -1},
                                      {.name = "goods", .table = 1, .sequence = -1},
                                      {.name = "cate", .table = 2, .sequence = -1},
                                      {.name = "history.goods", .table = 1, .sequence = 0},
                                      {.name = "history.cate", .table = 2, .sequence = 0}};
static schema_sequence sequences[] = {{.name = "history", .timed = true}};
static schema          world       = {.n_tables    = 3,
                                      .n_slots     = 5,
                                      .n_sequences = 1,
                                      .tables      = tables,
                                      .slots       = slots,
                                      .sequences   = sequences};

static err_t write_column(const char *path, safetensors_writer **w, const char *name,
                          dtype type, uint64_t n, int *tensor)
{
    if (!*w)
        TRY(safetensors_create(w, path));
    return safetensors_declare(*w, name, type, 1, &n, tensor);
}

/* Ids of n occurrences, low ones often: floor(ids * u^3). */
static err_t append_ids(safetensors_writer *w, int tensor, rng *chance, uint64_t n, double ids)
{
    for (uint64_t i = 0; i < n; i++) {
        double   u  = rng_uniform(chance);
        uint64_t id = (uint64_t)(ids * u * u * u);
        TRY(safetensors_append(w, tensor, &id, sizeof id));
    }
    return OK;
}

static err_t write_shard(const char *path, uint64_t n, uint64_t events)
{
    static const struct {
        const char *name;
        dtype       type;
        bool        per_event;
        double      ids;
    } columns[] = {
        {"user", DTYPE_U64, false, 1e6},        {"goods", DTYPE_U64, false, 1e6},
        {"cate", DTYPE_U64, false, 1e4},        {"history.goods", DTYPE_U64, true, 1e6},
        {"history.cate", DTYPE_U64, true, 1e4}, {"history.time", DTYPE_I64, true, 1e9}};
    enum { N_COLUMNS = sizeof columns / sizeof *columns };
    safetensors_writer *w      = NULL;
    rng                 chance = rng_named(1, RNG_TEST, n, 0);
    int                 at[N_COLUMNS], offsets, label;

    for (int i = 0; i < N_COLUMNS; i++)
        TRY(write_column(path, &w, columns[i].name, columns[i].type,
                         columns[i].per_event ? n * events : n, &at[i]));
    TRY(write_column(path, &w, "history.offsets", DTYPE_U64, n + 1, &offsets));
    TRY(write_column(path, &w, "label", DTYPE_F32, n, &label));
    for (int i = 0; i < N_COLUMNS; i++)
        TRY(append_ids(w, at[i], &chance, columns[i].per_event ? n * events : n,
                       columns[i].ids));
    for (uint64_t i = 0, offset = 0; i <= n; i++, offset += events)
        TRY(safetensors_append(w, offsets, &offset, sizeof offset));
    for (uint64_t i = 0; i < n; i++)
        TRY(safetensors_append(w, label, &(float){(float)(i & 1)}, sizeof(float)));
    return safetensors_finish(&w, NULL);
}

static err_t time_opening(dataset **d, char **paths, double bytes)
{
    int64_t begin = now();

    TRY(dataset_open(d, &world, &(config_names){2, paths}, true));
    double seconds = seconds_since(begin);
    printf("open and check   %8.1f ms  %6.2f GB/s of labels and offsets\n", seconds * 1e3,
           bytes / seconds * 1e-9);
    return OK;
}

/* One epoch of batches; distinct: with their id sets. */
static err_t time_batches(const dataset *d, order *o, bool distinct)
{
    static uint64_t samples[BATCH + 1];
    id_maker       *maker = NULL;
    arena           a     = {0};
    id_set          sets[3];
    double          read = 0, begin = thread_seconds();

    TRY(id_maker_new(&maker, &world, 2));
    for (int64_t step = 0; step < order_steps_per_epoch(o); step++) {
        batch    b;
        int      n;
        uint64_t first;
        arena_reset(&a);
        TRY(order_part(o, step, 0, 1, samples, &n, &first));
        TRY(dataset_batch(d, samples, n, first, &a, &b));
        if (distinct)
            TRY(id_maker_make(maker, &b, &a, sets));
        read += n;
    }
    double seconds = thread_seconds() - begin;
    printf("%s %8.0f k samples/s\n", distinct ? "batch, distinct  " : "batch            ",
           read / seconds * 1e-3);
    id_maker_free(&maker);
    arena_clear(&a);
    return OK;
}

static err_t time_pipeline(const dataset *d, order *o)
{
    const pipeline_options options = {.data        = d,
                                      .schema      = &world,
                                      .order       = o,
                                      .workers     = 1,
                                      .epoch_steps = order_steps_per_epoch(o),
                                      .shards      = 2,
                                      .end         = order_steps_per_epoch(o),
                                      .depth       = 3};
    pipeline              *p;
    int64_t                begin = now();

    TRY(pipeline_new(&p, &options));
    for (int64_t step = 0; step < options.end; step++) {
        pipeline_item *item;
        TRY(pipeline_next(p, &item, 60));
        pipeline_done(p, item);
    }
    double seconds = seconds_since(begin);
    printf("pipeline          %8.0f k samples/s\n",
           (double)dataset_samples(d) / seconds * 1e-3);
    pipeline_free(&p);
    return OK;
}

static err_t measure(char **paths, uint64_t samples, uint64_t events)
{
    dataset *d = NULL;
    order   *o = NULL;

    for (int i = 0; i < 2; i++)
        TRY(write_shard(paths[i], samples / 2, events));
    for (int again = 0; again < 2; again++) {
        dataset_close(&d);
        TRY(time_opening(&d, paths, 12.0 * (double)samples));
    }
    const order_options options = {.samples = dataset_samples(d),
                                   .batch   = BATCH,
                                   .shuffle = true,
                                   .block   = 128,
                                   .window  = 512,
                                   .seed    = 1};
    TRY(order_new(&o, &options));
    for (int again = 0; again < 2; again++) {
        TRY(time_batches(d, o, false));
        TRY(time_batches(d, o, true));
        TRY(time_pipeline(d, o));
    }
    order_free(&o);
    dataset_close(&d);
    return OK;
}

int main(int argc, char **argv)
{
    uint64_t samples  = argc > 1 ? strtoull(argv[1], NULL, 10) : 200000;
    uint64_t events   = argc > 2 ? strtoull(argv[2], NULL, 10) : 50;
    char     folder[] = "/tmp/dips-bench-XXXXXX", first[64], second[64];

    if (!mkdtemp(folder))
        return 5;
    snprintf(first, sizeof first, "%s/0.safetensors", folder);
    snprintf(second, sizeof second, "%s/1.safetensors", folder);
    print_machine();
    err_t err = measure((char *[]){first, second}, samples, events);
    if (err != OK)
        fprintf(stderr, "bench_reading: %s\n", err_text());
    unlink(first);
    unlink(second);
    rmdir(folder);
    return err_exit_status(err);
}
