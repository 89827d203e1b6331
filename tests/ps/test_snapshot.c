/* Cuts: written by any number of shards, read by any other, believed only when whole. */
#include "harness.h"

#define IDS 400

static const char yaml[] = "tables:\n"
                           "  goods: {dim: 3, optimizer: adam, lr: 0.1}\n"
                           "  user: {dim: 5, optimizer: rowwise_adagrad}\n"
                           "  shop: {dim: 2, optimizer: ftrl}\n"
                           "features: {goods: {table: goods}, user: {table: user}}\n";

enum { TABLES = 3, LARGEST_DIM = 5 };

static uint64_t id_at(uint64_t i)
{
    return i % 3 ? i * 65537 : UINT64_MAX - i;
}

/* One worker's step: a third of the ids, with counts; shop stays empty. */
static void train(world *w, uint64_t step)
{
    static uint64_t ids[TABLES][IDS];
    static uint32_t counts[TABLES][IDS];
    static real     x[TABLES][IDS * LARGEST_DIM];
    need            needs[TABLES] = {{0}};
    real           *at[]          = {x[0], x[1], x[2]};

    for (int t = 0; t < TABLES; t++) {
        needs[t] = (need){0, ids[t], counts[t]};
        for (uint64_t i = step % 3; t < 2 && i < IDS; i += 3) {
            ids[t][needs[t].n]      = id_at(i);
            counts[t][needs[t].n++] = 1 + (uint32_t)(i % 5);
        }
    }
    ask(w, WIRE_PULL, 0, step, step, needs);
    deliver_all(w);
    take_rows(w, 0, step, needs, at);
    for (int t = 0; t < TABLES; t++)
        for (uint32_t i = 0; i < needs[t].n * LARGEST_DIM; i++)
            x[t][i] += (real)(i % 7) - 3;
    push(w, 0, step, step + 1, 10, true, needs, at);
    deliver_all(w);
}

static world *trained(int shards, uint64_t steps)
{
    world *w = world_new(yaml, shards, NULL);

    world_begin(w, 1, NULL, 0);
    for (uint64_t step = 0; step < steps; step++)
        train(w, step);
    return w;
}

static void expect_same_rows(const world *a, const world *b)
{
    for (int t = 0; t < TABLES; t++) {
        const table_config *c = a->schema->tables[t].config;
        size_t reals = (size_t)c->dim + optim_state_size(c->optimizer.kind, (size_t)c->dim);
        assert_int_equal(rows_held_by_all(a, t), rows_held_by_all(b, t));
        for (uint64_t i = 0; i < IDS; i++) {
            const row *x = row_of(a, t, id_at(i)), *y = row_of(b, t, id_at(i));
            assert_true(!x == !y);
            if (x)
                assert_memory_equal(x, y, sizeof *x + reals * sizeof(real));
        }
    }
}

static void any_number_of_shards_reads_the_cut_of_any_other(void **unused)
{
    (void)unused;
    for (int from = 1; from <= SHARDS_MOST; from++) {
        world *a = trained(from, 4);
        assert_int_equal(rows_held_by_all(a, 0), IDS);
        world_save(a, inside("cut"), 4);
        for (int to = 1; to <= SHARDS_MOST; to++) {
            world *b = world_new(yaml, to, NULL);
            world_begin(b, 1, inside("cut"), 4);
            for (int i = 0; i < to; i++)
                assert_int_equal(shard_clock(b->shards[i]), 4);
            expect_same_rows(a, b);
            world_free(b);
        }
        world_free(a);
    }
}

static void count_beat(void *self)
{
    ++*(int *)self;
}

/* Nobody takes a shard that reads for long for one that hangs: however large the cut, what lies
 * between two signs of life is a bucket of one table. */
static void whoever_reads_a_cut_gives_a_sign_of_life_at_every_bucket(void **unused)
{
    world         *a = trained(2, 4);
    manifest_chain chain;
    table          tables[TABLES];
    int            beats = 0, buckets = 0;
    const pulse    p = {count_beat, &beats};

    (void)unused;
    world_save(a, inside("cut"), 4);
    must(manifest_chain_read(&chain, inside("cut")));
    for (int t = 0; t < TABLES; t++) {
        const table *like = &a->shards[0]->tables[t];
        must(table_init(&tables[t], &a->schema->tables[t], a->config->train.seed, NULL,
                        like->first_bucket, like->end_bucket));
        buckets += (int)(like->end_bucket - like->first_bucket);
    }
    must(snapshot_read_chain(&chain, tables, TABLES, &p));
    assert_int_equal(beats, buckets);
    assert_true(buckets > TABLES);
    for (int t = 0; t < TABLES; t++)
        table_clear(&tables[t]);
    manifest_chain_clear(&chain);
    world_free(a);
}

/* What table t of w, which is one shard, holds of the buckets first .. end-1. */
static void copy_buckets(table *to, const world *w, int t, uint32_t first, uint32_t end)
{
    const table_config *c = &w->config->tables[t];
    size_t reals = (size_t)c->dim + optim_state_size(c->optimizer.kind, (size_t)c->dim);

    must(table_init(to, &w->schema->tables[t], w->config->train.seed, NULL, first, end));
    for (uint64_t i = 0; i < IDS; i++) {
        uint64_t   id = id_at(i);
        const row *r  = row_of(w, t, id);
        uint32_t   number;
        if (!r || !table_owns(to, &id, 1))
            continue;
        must(row_store_insert(to->rows, &id, 1, &number));
        memcpy(row_store_at(to->rows, number), r, sizeof *r + reals * sizeof(real));
    }
}

static void write_dense(const char *folder, manifest_file *file)
{
    safetensors_writer *dense;
    char                path[CONFIG_PATH_MAX];

    snprintf(file->name, sizeof file->name, "dense.safetensors");
    snprintf(path, sizeof path, "%s/%s", folder, file->name);
    must(safetensors_create(&dense, path));
    must(safetensors_finish(&dense, &file->digest));
}

/* Write the rows of w, which is one shard, as those of shards that own the buckets
 * first_bucket[k] .. first_bucket[k+1] - 1. */
static void save_by_map(const world *w, const char *folder, int shards, uint32_t *first_bucket)
{
    manifest_file files[SHARDS_MOST + 1];
    table         tables[TABLES];
    manifest      m = {.step          = 4,
                       .shards        = shards,
                       .first_bucket  = first_bucket,
                       .schema_hash   = w->schema->hash,
                       .real          = REAL_NAME,
                       .configuration = (char[]){""},
                       .n_files       = shards + 1,
                       .files         = files};

    must(manifest_begin(folder));
    for (int k = 0; k < shards; k++) {
        for (int t = 0; t < TABLES; t++)
            copy_buckets(&tables[t], w, t, first_bucket[k], first_bucket[k + 1]);
        manifest_shard_name(files[k].name, k, shards);
        must(snapshot_write(folder, k, shards, tables, TABLES, &files[k].digest));
        for (int t = 0; t < TABLES; t++)
            table_clear(&tables[t]);
    }
    write_dense(folder, &files[shards]);
    must(manifest_write(folder, &m, w->schema));
}

/* Another program may have placed the buckets: the map of the manifest tells, and a shard may
 * have had none. */
static void the_map_of_the_manifest_says_who_had_which_buckets(void **unused)
{
    (void)unused;
    static uint32_t  maps[][SHARDS_MOST] = {{0, HASH_BUCKETS},
                                            {0, 1, HASH_BUCKETS},
                                            {0, 3000, 3001, HASH_BUCKETS},
                                            {0, 0, 700, 700, 4000, HASH_BUCKETS, HASH_BUCKETS}};
    static const int n[]                 = {1, 2, 3, 6};
    world           *a                   = trained(1, 4);

    for (int i = 0; i < 4; i++) {
        save_by_map(a, inside("map"), n[i], maps[i]);
        for (int to = 1; to <= SHARDS_MOST; to++) {
            world *b = world_new(yaml, to, NULL);
            world_begin(b, 1, inside("map"), 4);
            expect_same_rows(a, b);
            world_free(b);
        }
    }
    world_free(a);
}

static void stopped_and_resumed_is_never_stopped(void **unused)
{
    (void)unused;
    world *whole = trained(2, 8), *before = trained(3, 4), *after = world_new(yaml, 2, NULL);

    world_save(before, inside("cut"), 4);
    world_begin(after, 1, inside("cut"), 4);
    for (uint64_t step = 4; step < 8; step++)
        train(after, step);
    expect_same_rows(whole, after);
    world_free(whole);
    world_free(before);
    world_free(after);
}

/* Equal states are equal files, however their rows came to lie. */
static void a_file_depends_on_the_rows_alone(void **unused)
{
    (void)unused;
    manifest one, two;
    world   *a = trained(1, 4), *b = world_new(yaml, 1, NULL);

    world_save(a, inside("cut"), 4);
    world_begin(b, 1, inside("cut"), 4);
    world_save(b, inside("again"), 4);
    must(manifest_read(&one, inside("cut")));
    must(manifest_read(&two, inside("again")));
    for (int i = 0; i < one.n_files; i++) {
        assert_true(one.files[i].digest.bytes == two.files[i].digest.bytes);
        assert_true(one.files[i].digest.xxh3 == two.files[i].digest.xxh3);
    }
    manifest_clear(&one);
    manifest_clear(&two);
    world_free(a);
    world_free(b);
}

static void a_save_waits_for_its_step(void **unused)
{
    (void)unused;
    world      *w = trained(1, 2);
    wire_header h = head(w, WIRE_SAVE, 0, 3);
    wire_text   t = {.text = room, .bytes = (uint32_t)strlen(room)};
    net_message m;

    must(wire_encode_text(&m, &h, &t));
    post(w, 0, 0, m);
    deliver_all(w);
    assert_false(take_answer(w, 0, 0, WIRE_SAVED, 3, &m));
    train(w, 2);
    expect_answer(w, 0, 0, WIRE_SAVED, 3, &m);
    net_message_clear(&m);
    assert_int_equal(remove(inside("shard-0000-of-0001.safetensors")), 0);
    world_free(w);
}

static void a_save_that_fails_is_told_and_the_shard_goes_on(void **unused)
{
    (void)unused;
    world      *w    = trained(1, 2);
    wire_header h    = head(w, WIRE_SAVE, 0, 2);
    const char *path = inside("nowhere/at/all");
    wire_text   t    = {.text = path, .bytes = (uint32_t)strlen(path)};
    net_message m;

    must(wire_encode_text(&m, &h, &t));
    post(w, 0, 0, m);
    deliver_all(w);
    expect_answer(w, 0, 0, WIRE_FAILED, 2, &m);
    must(wire_decode_text(&t, &m));
    assert_int_equal(t.status, ERR_SYSTEM);
    assert_int_equal(t.request, WIRE_SAVE);
    assert_non_null(memmem(t.text, t.bytes, "nowhere", 7));
    net_message_clear(&m);
    train(w, 2);
    assert_int_equal(shard_clock(w->shards[0]), 3);
    world_free(w);
}

/* ---- files that must not be believed ---- */

static const char small[] = "tables: {t: {dim: 2, optimizer: sgd}}\n"
                            "features: {f: {table: t}}\n";

#define CUT 7 /* the step that a file is of */

/* A shard's file, as it should be or not. */
typedef struct file {
    uint64_t ids[4], n;
    uint64_t buckets[HASH_BUCKETS + 1], n_buckets, dim;
    dtype    weight, touched;
    uint64_t n_counts;
    uint32_t last_touched; /* of the fourth row; that of the others is 0 */
    bool     no_weight;
} file;

/* Four ids of two buckets, in order. */
static file good_file(void)
{
    uint64_t salt = hash_table_salt("t");
    uint32_t last = 0;
    file     f    = {.n            = 4,
                     .n_buckets    = HASH_BUCKETS + 1,
                     .dim          = 2,
                     .weight       = DTYPE_REAL,
                     .touched      = DTYPE_U32,
                     .n_counts     = 4,
                     .last_touched = CUT};

    for (uint64_t id = 0, n = 0; n < 4; id++) {
        uint32_t bucket = hash_bucket(hash_id(salt, id));
        if (bucket != (n < 2 ? 100 : 3000))
            continue;
        f.ids[n++] = id;
        last       = bucket;
    }
    for (uint32_t b = 0; b <= HASH_BUCKETS; b++)
        f.buckets[b] = b <= 100 ? 0 : b <= last ? 2 : 4;
    return f;
}

static void write_file(const char *path, const file *f)
{
    uint64_t            shape[2] = {f->n, f->dim};
    int                 ids, buckets, weight = 0, count, touched;
    char                zeros[256] = {0};
    uint32_t            steps[4]   = {0, 0, 0, f->last_touched};
    safetensors_writer *w;

    must(safetensors_create(&w, path));
    must(safetensors_declare(w, "t.ids", DTYPE_U64, 1, &f->n, &ids));
    must(safetensors_declare(w, "t.buckets", DTYPE_U64, 1, &f->n_buckets, &buckets));
    if (!f->no_weight)
        must(safetensors_declare(w, "t.weight", f->weight, 2, shape, &weight));
    must(safetensors_declare(w, "t.count", DTYPE_U32, 1, &f->n_counts, &count));
    must(safetensors_declare(w, "t.touched", f->touched, 1, &f->n, &touched));
    must(safetensors_append(w, ids, f->ids, f->n * 8));
    must(safetensors_append(w, buckets, f->buckets, f->n_buckets * 8));
    if (!f->no_weight)
        must(safetensors_append(w, weight, zeros, f->n * f->dim * dtype_size(f->weight)));
    must(safetensors_append(w, count, zeros, f->n_counts * 4));
    must(safetensors_append(w, touched, steps, f->n * dtype_size(f->touched)));
    must(safetensors_finish(&w, NULL));
}

/* Maps of buckets. */
static const uint32_t whole[] = {0, HASH_BUCKETS}, halves[] = {0, 2048, HASH_BUCKETS},
                      sevenths[] = {0, 585, 1170, 1755, 2340, 2925, 3510, HASH_BUCKETS};

/* What reading f says; OK and four rows, or a sentence with the file's name. */
static err_t read_back(const file *f)
{
    world *w = world_new(small, 1, NULL);

    write_file(inside("shard-0000-of-0001.safetensors"), f);
    err_t err = snapshot_read(room, CUT, 1, whole, w->shards[0]->tables, 1);
    if (err == OK)
        assert_int_equal(rows_held_by_all(w, 0), 4);
    else
        assert_non_null(strstr(err_text(), "shard-0000-of-0001.safetensors"));
    world_free(w);
    return err;
}

static void a_file_is_refused_for_any_fault(void **unused)
{
    (void)unused;
    file f = good_file();

    assert_int_equal(read_back(&f), OK);
    f.dim = 3;
    assert_int_equal(read_back(&f), ERR_FORMAT);
    f        = good_file();
    f.weight = sizeof(real) == 4 ? DTYPE_F64 : DTYPE_F32;
    assert_int_equal(read_back(&f), ERR_FORMAT);
    f         = good_file();
    f.touched = DTYPE_I32;
    assert_int_equal(read_back(&f), ERR_FORMAT);
    f          = good_file();
    f.n_counts = 3;
    assert_int_equal(read_back(&f), ERR_FORMAT);
    f              = good_file();
    f.last_touched = CUT + 1;
    assert_int_equal(read_back(&f), ERR_FORMAT);
    f           = good_file();
    f.no_weight = true;
    assert_int_equal(read_back(&f), ERR_FORMAT);
    f           = good_file();
    f.n_buckets = HASH_BUCKETS;
    assert_int_equal(read_back(&f), ERR_FORMAT);
    f        = good_file();
    f.ids[1] = f.ids[0]; /* twice */
    assert_int_equal(read_back(&f), ERR_FORMAT);
    f        = good_file();
    f.ids[1]++; /* in the wrong bucket */
    assert_int_equal(read_back(&f), ERR_FORMAT);
    f              = good_file();
    f.buckets[200] = 3;
    assert_int_equal(read_back(&f), ERR_FORMAT);
    f              = good_file();
    f.buckets[200] = UINT64_MAX;
    assert_int_equal(read_back(&f), ERR_FORMAT);
    f            = good_file();
    f.buckets[0] = 1;
    assert_int_equal(read_back(&f), ERR_FORMAT);
    f                       = good_file();
    f.buckets[HASH_BUCKETS] = 5;
    assert_int_equal(read_back(&f), ERR_FORMAT);
}

static void a_shard_does_not_read_anothers_buckets_from_the_wrong_file(void **unused)
{
    (void)unused;
    file   f = good_file(); /* buckets 100 and 3000: the second half is not shard 0 of 2's */
    world *w = world_new(small, 1, NULL);

    write_file(inside("shard-0000-of-0002.safetensors"), &f);
    write_file(inside("shard-0001-of-0002.safetensors"), &f);
    assert_int_equal(snapshot_read(room, CUT, 2, halves, w->shards[0]->tables, 1), ERR_FORMAT);
    world_free(w);
}

static void a_missing_file_is_named(void **unused)
{
    (void)unused;
    world *w = world_new(small, 1, NULL);

    assert_int_not_equal(snapshot_read(room, CUT, 7, sevenths, w->shards[0]->tables, 1), OK);
    assert_non_null(strstr(err_text(), "shard-0000-of-0007.safetensors"));
    world_free(w);
}

/* ---- counters that must not be believed ---- */

/* A file without rows, and what it says of who waits for a row and of days. */
typedef struct counters_file {
    uint64_t ids[3], buckets[HASH_BUCKETS + 1];
    uint32_t count[3];
    uint64_t n_counts, n_days;
    int64_t  days[4];
    uint64_t form[3]; /* of a sketch; 0: there is none */
    uint64_t sketch_bytes;
} counters_file;

static const char counted[] = "tables: {t: {dim: 2, optimizer: sgd, evict: {idle_days: 3}, "
                              "admit: {min_count: 3, counter: exact}}}\n"
                              "features: {f: {table: t}}\n";
static const char sketched[] = "tables: {t: {dim: 2, optimizer: sgd, admit: {min_count: 3, "
                               "counter: sketch, expected_ids: 40960}}}\n"
                               "features: {f: {table: t}}\n";

/* Two ids that wait in bucket 100, one in bucket 3000, two days. */
static counters_file good_counters(void)
{
    file          ids = good_file();
    counters_file f   = {.ids      = {ids.ids[0], ids.ids[1], ids.ids[2]},
                         .count    = {1, 2, 1},
                         .n_counts = 3,
                         .n_days   = 2,
                         .days     = {-4, 0, 7, 12}};

    for (uint32_t b = 0; b <= HASH_BUCKETS; b++)
        f.buckets[b] = b <= 100 ? 0 : b <= 3000 ? 2 : 3;
    return f;
}

static void write_counters(const counters_file *f)
{
    const uint64_t      none = 0, three = 3, offsets = HASH_BUCKETS + 1;
    const uint64_t      weight[2] = {0, 2}, days[2] = {f->n_days, 2};
    const uint64_t      cells[2]    = {HASH_BUCKETS, f->sketch_bytes};
    uint64_t           *no_buckets = calloc(HASH_BUCKETS + 1, sizeof *no_buckets);
    int                 t[11];
    safetensors_writer *w;

    must(safetensors_create(&w, inside("shard-0000-of-0001.safetensors")));
    must(safetensors_declare(w, "t.ids", DTYPE_U64, 1, &none, &t[0]));
    must(safetensors_declare(w, "t.buckets", DTYPE_U64, 1, &offsets, &t[1]));
    must(safetensors_declare(w, "t.weight", DTYPE_REAL, 2, weight, &t[2]));
    must(safetensors_declare(w, "t.count", DTYPE_U32, 1, &none, &t[3]));
    must(safetensors_declare(w, "t.touched", DTYPE_U32, 1, &none, &t[4]));
    must(safetensors_declare(w, "t.waiting.ids", DTYPE_U64, 1, &three, &t[5]));
    must(safetensors_declare(w, "t.waiting.buckets", DTYPE_U64, 1, &offsets, &t[6]));
    must(safetensors_declare(w, "t.waiting.count", DTYPE_U32, 1, &f->n_counts, &t[7]));
    must(safetensors_declare(w, "t.days", DTYPE_I64, 2, days, &t[8]));
    if (f->form[0]) {
        must(safetensors_declare(w, "t.sketch.form", DTYPE_U64, 1, &three, &t[9]));
        must(safetensors_declare(w, "t.sketch", DTYPE_U8, 2, cells, &t[10]));
    }
    must(safetensors_append(w, t[1], no_buckets, sizeof f->buckets));
    must(safetensors_append(w, t[5], f->ids, sizeof f->ids));
    must(safetensors_append(w, t[6], f->buckets, sizeof f->buckets));
    must(safetensors_append(w, t[7], f->count, f->n_counts * 4));
    must(safetensors_append(w, t[8], f->days, f->n_days * 16));
    if (f->form[0]) {
        void *zeros = calloc(HASH_BUCKETS, f->sketch_bytes);
        must(safetensors_append(w, t[9], f->form, sizeof f->form));
        must(safetensors_append(w, t[10], zeros, HASH_BUCKETS * f->sketch_bytes));
        free(zeros);
    }
    must(safetensors_finish(&w, NULL));
    free(no_buckets);
}

/* What reading f into a world of this configuration says. */
static err_t read_counters(const char *of, const counters_file *f)
{
    world *w = world_new(of, 1, NULL);

    write_counters(f);
    err_t err = snapshot_read(room, CUT, 1, whole, w->shards[0]->tables, 1);
    if (err != OK)
        assert_non_null(strstr(err_text(), "shard-0000-of-0001.safetensors"));
    else if (of == counted)
        assert_int_equal(tally_ids(w->shards[0]->tables[0].admission.waiting), 3);
    world_free(w);
    return err;
}

static void counters_are_refused_for_any_fault(void **unused)
{
    (void)unused;
    counters_file f = good_counters();

    assert_int_equal(read_counters(counted, &f), OK);
    f.ids[0] = f.ids[1]; /* twice */
    assert_int_equal(read_counters(counted, &f), ERR_FORMAT);
    f        = good_counters();
    f.ids[2] = f.ids[2] + 1; /* in the wrong bucket */
    assert_int_equal(read_counters(counted, &f), ERR_FORMAT);
    f          = good_counters();
    f.count[1] = 0; /* who was never seen does not wait */
    assert_int_equal(read_counters(counted, &f), ERR_FORMAT);
    f          = good_counters();
    f.n_counts = 2;
    assert_int_equal(read_counters(counted, &f), ERR_FORMAT);
    f              = good_counters();
    f.buckets[200] = UINT64_MAX;
    assert_int_equal(read_counters(counted, &f), ERR_FORMAT);
    f              = good_counters();
    f.buckets[200] = 1; /* less than before */
    assert_int_equal(read_counters(counted, &f), ERR_FORMAT);
    f                       = good_counters();
    f.buckets[HASH_BUCKETS] = 2;
    assert_int_equal(read_counters(counted, &f), ERR_FORMAT);
    f         = good_counters();
    f.days[2] = -4; /* a day twice */
    assert_int_equal(read_counters(counted, &f), ERR_FORMAT);
    f         = good_counters();
    f.days[3] = 0; /* two days of one step */
    assert_int_equal(read_counters(counted, &f), ERR_FORMAT);
    f         = good_counters();
    f.days[1] = -1;
    assert_int_equal(read_counters(counted, &f), ERR_FORMAT);
}

static void a_sketch_of_another_form_is_refused(void **unused)
{
    (void)unused;
    world        *w    = world_new(sketched, 1, NULL);
    const sketch *s    = &w->shards[0]->tables[0].admission.sketch;
    counters_file good = good_counters(), f;

    good.form[0]      = (uint64_t)s->hashes;
    good.form[1]      = (uint64_t)s->bits;
    good.form[2]      = s->cells;
    good.sketch_bytes = s->bytes;
    world_free(w);
    assert_int_equal(read_counters(sketched, &good), OK);
    for (int i = 0; i < 3; i++) {
        f = good;
        f.form[i]++;
        assert_int_equal(read_counters(sketched, &f), ERR_CONFIG);
    }
    f = good;
    f.sketch_bytes -= 8;
    assert_int_equal(read_counters(sketched, &f), ERR_FORMAT);
}

/* BEGIN at step from folder: the shard says why it cannot. */
static void expect_no_begin(world *w, const char *folder, uint64_t step, const char *words)
{
    wire_header h = {WIRE_BEGIN, 1, 0, step};
    wire_begin  b = {.workers    = 1,
                     .real_bytes = sizeof(real),
                     .path       = folder,
                     .path_bytes = (uint32_t)strlen(folder)};
    net_message m;
    wire_text   t;

    w->generation = 1;
    must(wire_encode_begin(&m, &h, &b));
    post(w, 0, 0, m);
    deliver_all(w);
    expect_answer(w, 0, 0, WIRE_FAILED, step, &m);
    must(wire_decode_text(&t, &m));
    if (!memmem(t.text, t.bytes, words, strlen(words)))
        fail_msg("'%.*s' does not say '%s'", (int)t.bytes, t.text, words);
    net_message_clear(&m);
}

static void a_cut_of_another_step_is_refused(void **unused)
{
    (void)unused;
    world *a = trained(1, 2), *b = world_new(yaml, 1, NULL);

    world_save(a, inside("cut"), 2);
    expect_no_begin(b, inside("cut"), 3, "is the cut at step 2, not 3");
    world_free(a);
    world_free(b);
}

/* The server was started with another configuration than the workers. */
static void a_cut_of_other_tables_is_refused(void **unused)
{
    (void)unused;
    static const char other[] = "tables:\n"
                                "  goods: {dim: 3, optimizer: adam}\n"
                                "  user: {dim: 5, optimizer: adagrad}\n"
                                "  shop: {dim: 2, optimizer: ftrl}\n"
                                "features: {goods: {table: goods}, user: {table: user}}\n";
    world            *a = trained(1, 2), *b = world_new(other, 1, NULL);

    world_save(a, inside("cut"), 2);
    expect_no_begin(b, inside("cut"), 2,
                    "table user has the optimizer rowwise_adagrad in the checkpoint");
    world_free(a);
    world_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_shards_reads_the_cut_of_any_other),
        cmocka_unit_test(whoever_reads_a_cut_gives_a_sign_of_life_at_every_bucket),
        cmocka_unit_test(the_map_of_the_manifest_says_who_had_which_buckets),
        cmocka_unit_test(stopped_and_resumed_is_never_stopped),
        cmocka_unit_test(a_file_depends_on_the_rows_alone),
        cmocka_unit_test(a_save_waits_for_its_step),
        cmocka_unit_test(a_save_that_fails_is_told_and_the_shard_goes_on),
        cmocka_unit_test(a_file_is_refused_for_any_fault),
        cmocka_unit_test(counters_are_refused_for_any_fault),
        cmocka_unit_test(a_sketch_of_another_form_is_refused),
        cmocka_unit_test(a_shard_does_not_read_anothers_buckets_from_the_wrong_file),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(a_cut_of_another_step_is_refused),
        cmocka_unit_test(a_cut_of_other_tables_is_refused),
    };
    return cmocka_run_group_tests(tests, room_open, room_close);
}
