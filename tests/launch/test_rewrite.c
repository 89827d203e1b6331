#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/rng.h"
#include "launch/checkpoint/differ.h"
#include "launch/checkpoint/rewrite.h"
#include "launch/checkpoint/tools.h"
#include "tests/room.h"

/* A plain model of a table: what each id's row is, and since when it is gone. From it cuts are
 * written by hand, full ones and deltas, so that what the tools make of a chain can be held
 * against the file that a full cut would have been. */
enum { IDS = 12000, DIM = 3 };

typedef struct plain_row {
    bool     there;
    int64_t  left; /* the step after which it was removed; -1: never */
    float    w[DIM], sum;
    uint32_t count, touched;
} plain_row;

static plain_row rows[IDS];

static uint64_t id_of(int i)
{
    return (uint64_t)i * UINT64_C(0x9e3779b97f4a7c15);
}

static void touch(int i, int64_t step, rng *r)
{
    plain_row *p = &rows[i];

    if (!p->there)
        *p = (plain_row){.there = true, .left = p->left};
    for (int d = 0; d < DIM; d++)
        p->w[d] = (float)rng_uniform(r);
    p->sum += 1;
    p->count++;
    p->touched = (uint32_t)step;
}

/* One step: a tenth of the ids are touched, and a few of the others leave. */
static void live(int64_t step, rng *r)
{
    for (int i = 0; i < IDS; i++) {
        uint64_t draw = rng_next(r) % 100;
        if (draw < 10)
            touch(i, step, r);
        else if (draw < 12 && rows[i].there)
            rows[i].there = false, rows[i].left = step;
    }
}

/* ---- cuts by hand ---- */

typedef struct file_rows {
    uint64_t  n, evicted;
    uint64_t *ids, *gone; /* (IDS) */
    int      *at;         /* (IDS) which rows */
    uint64_t  buckets[HASH_BUCKETS + 1], gone_buckets[HASH_BUCKETS + 1];
} file_rows;

static int compare_places(const void *a, const void *b)
{
    uint64_t salt = hash_table_salt("goods"), x = id_of(*(const int *)a),
             y    = id_of(*(const int *)b);
    uint32_t left = hash_bucket(hash_id(salt, x)), right = hash_bucket(hash_id(salt, y));

    return left != right ? (left < right ? -1 : 1) : x < y ? -1 : x > y;
}

/* The rows of the buckets first .. end-1 that a full cut (parent -1) or a delta has. */
static void choose(file_rows *f, uint32_t first, uint32_t end, int64_t parent)
{
    static int order[IDS];
    uint64_t   salt = hash_table_salt("goods");

    for (int i = 0; i < IDS; i++)
        order[i] = i;
    qsort(order, IDS, sizeof *order, compare_places);
    f->n = f->evicted = 0;
    uint32_t next     = 0;
    for (int k = 0; k <= IDS; k++) {
        uint32_t b = k < IDS ? hash_bucket(hash_id(salt, id_of(order[k]))) : HASH_BUCKETS;
        for (; next <= b; next++) {
            f->buckets[next]      = f->n;
            f->gone_buckets[next] = f->evicted;
        }
        if (k == IDS || b < first || b >= end)
            continue;
        const plain_row *p = &rows[order[k]];
        if (p->there && (parent < 0 || p->touched >= parent)) {
            f->at[f->n]    = order[k];
            f->ids[f->n++] = id_of(order[k]);
        }
        if (!p->there && parent >= 0 && p->left > parent)
            f->gone[f->evicted++] = id_of(order[k]);
    }
}

static int declare(safetensors_writer *w, const char *name, dtype type, uint64_t n,
                   uint64_t width)
{
    int tensor;

    assert_int_equal(
        safetensors_declare(w, name, type, width ? 2 : 1, (uint64_t[]){n, width}, &tensor), OK);
    return tensor;
}

static void put(safetensors_writer *w, int tensor, const void *data, size_t bytes)
{
    assert_int_equal(safetensors_append(w, tensor, data, bytes), OK);
}

/* As ps/snapshot.h draws the file of a shard. */
static void write_shard(const char *path, const file_rows *f, bool delta, int64_t step,
                        safetensors_digest *digest)
{
    safetensors_writer *w;
    int64_t             days[2][2] = {{18000, 0}, {18001, step}};

    assert_int_equal(safetensors_create(&w, path), OK);
    int ids     = declare(w, "goods.ids", DTYPE_U64, f->n, 0);
    int buckets = declare(w, "goods.buckets", DTYPE_U64, HASH_BUCKETS + 1, 0);
    int weight  = declare(w, "goods.weight", DTYPE_F32, f->n, DIM);
    int sum     = declare(w, "goods.@sum", DTYPE_F32, f->n, 0);
    int count   = declare(w, "goods.count", DTYPE_U32, f->n, 0);
    int touched = declare(w, "goods.touched", DTYPE_U32, f->n, 0);
    int dated   = declare(w, "goods.days", DTYPE_I64, 2, 2);
    int gone = 0, gone_buckets = 0;
    if (delta) {
        gone         = declare(w, "goods.evicted", DTYPE_U64, f->evicted, 0);
        gone_buckets = declare(w, "goods.evicted.buckets", DTYPE_U64, HASH_BUCKETS + 1, 0);
        put(w, gone, f->gone, f->evicted * 8);
        put(w, gone_buckets, f->gone_buckets, sizeof f->gone_buckets);
    }
    put(w, ids, f->ids, f->n * 8);
    put(w, buckets, f->buckets, sizeof f->buckets);
    for (uint64_t i = 0; i < f->n; i++) {
        const plain_row *p = &rows[f->at[i]];
        put(w, weight, p->w, sizeof p->w);
        put(w, sum, &p->sum, sizeof p->sum);
        put(w, count, &p->count, sizeof p->count);
        put(w, touched, &p->touched, sizeof p->touched);
    }
    put(w, dated, days, sizeof days);
    assert_int_equal(safetensors_finish(&w, digest), OK);
}

static void write_dense(const char *path, int64_t step, safetensors_digest *digest)
{
    safetensors_writer *w;
    float               x = (float)step;

    assert_int_equal(safetensors_create(&w, path), OK);
    put(w, declare(w, "output.bias", DTYPE_F32, 1, 0), &x, sizeof x);
    assert_int_equal(safetensors_finish(&w, digest), OK);
}

/* Write the cut of the model as it is. parent: NULL, or the checkpoint that it is a delta of.
 */
static void write_cut(char folder[CONFIG_PATH_MAX], const char *name, int64_t step, int shards,
                      const char *parent)
{
    static uint64_t  ids[IDS], gone[IDS];
    static int       at[IDS];
    static file_rows f;
    manifest_table   table = {"goods", DIM, "rowwise_adagrad"};
    manifest_file    files[65];
    manifest         m     = {.step          = step,
                              .shards        = shards,
                              .real          = "float",
                              .configuration = (char *)"none",
                              .n_files       = shards + 1,
                              .files         = files,
                              .n_tables      = 1,
                              .tables        = &table};
    manifest         above = {0};
    char             path[CONFIG_PATH_MAX + CONFIG_NAME_MAX];

    f.ids = ids, f.gone = gone, f.at = at;
    snprintf(folder, CONFIG_PATH_MAX, "%s/%s", room, name);
    if (parent) {
        assert_int_equal(manifest_read(&above, parent), OK);
        m.parent = (manifest_parent){true, above.step, above.xxh3};
        manifest_clear(&above);
    }
    assert_int_equal(manifest_begin(folder), OK);
    for (int k = 0; k < shards; k++) {
        choose(&f, hash_first_bucket(k, shards), hash_first_bucket(k + 1, shards),
               parent ? m.parent.step : -1);
        manifest_shard_name(files[k].name, k, shards);
        snprintf(path, sizeof path, "%.1000s/%.63s", folder, files[k].name);
        write_shard(path, &f, parent != NULL, step, &files[k].digest);
    }
    snprintf(files[shards].name, sizeof files->name, "dense.safetensors");
    snprintf(path, sizeof path, "%s/dense.safetensors", folder);
    write_dense(path, step, &files[shards].digest);
    assert_int_equal(manifest_write(folder, &m, NULL), OK);
}

static void step_name(char name[64], int64_t step)
{
    snprintf(name, 64, "step-%012" PRId64, step);
}

/* ---- what is held against what ---- */

/* Both folders list the same files with the same bytes. */
static void assert_same_files(const char *a, const char *b)
{
    manifest x, y;

    assert_int_equal(manifest_read(&x, a), OK);
    assert_int_equal(manifest_read(&y, b), OK);
    assert_int_equal(x.n_files, y.n_files);
    assert_int_equal(manifest_verify(&x, a), OK);
    for (int i = 0; i < x.n_files; i++) {
        assert_string_equal(x.files[i].name, y.files[i].name);
        assert_true(x.files[i].digest.bytes == y.files[i].digest.bytes);
        assert_true(x.files[i].digest.xxh3 == y.files[i].digest.xxh3);
    }
    assert_false(x.parent.there);
    manifest_clear(&x);
    manifest_clear(&y);
}

static err_t rewrite(const char *from, const char *to, int shards)
{
    source    s;
    rewritten done;
    err_t     err = source_open(&s, from);

    if (err == OK)
        err = rewrite_checkpoint(&s, to, false, shards, &done);
    source_close(&s);
    return err;
}

/* Folders and files in room whose names contain text. */
static int count_names(const char *text)
{
    DIR *d = opendir(room);
    int  n = 0;

    for (struct dirent *e; (e = readdir(d));)
        n += strstr(e->d_name, text) != NULL;
    closedir(d);
    return n;
}

/* ---- claims ---- */

static void a_chain_becomes_the_file_that_a_full_cut_would_have_been(void **state)
{
    static const int shards_of[] = {1, 3, 8, 64};
    char             folder[CONFIG_PATH_MAX], parent[CONFIG_PATH_MAX] = "";
    char             full[CONFIG_PATH_MAX], out[CONFIG_PATH_MAX], name[64];
    rng              r = rng_named(1, RNG_DENSE, 0, 0);

    (void)state;
    memset(rows, 0, sizeof rows);
    for (int i = 0; i < IDS; i++)
        rows[i].left = -1;
    for (int link = 0; link < 4; link++) {
        for (int64_t step = 10 * link + 1; step <= 10 * link + 10; step++)
            live(step, &r);
        step_name(name, 10 * link + 10);
        write_cut(folder, name, 10 * link + 10, 3, link ? parent : NULL);
        snprintf(parent, sizeof parent, "%s", folder);
    }
    for (size_t k = 0; k < sizeof shards_of / sizeof *shards_of; k++) {
        snprintf(name, sizeof name, "full-%d", shards_of[k]);
        write_cut(full, name, 40, shards_of[k], NULL);
        snprintf(out, sizeof out, "%s/out-%d", room, shards_of[k]);
        assert_int_equal(rewrite(folder, out, shards_of[k]), OK);
        assert_same_files(out, full);
    }
    snprintf(out, sizeof out, "%s/out", room);
    assert_int_equal(rewrite(folder, out, 0), OK);
    snprintf(full, sizeof full, "%s/full-3", room);
    assert_same_files(out, full);
}

static void find(difference *d, const char *a, const char *b, double tolerance)
{
    source x, y;

    assert_int_equal(source_open(&x, a), OK);
    assert_int_equal(source_open(&y, b), OK);
    assert_int_equal(difference_find(d, &x, &y, tolerance), OK);
    source_close(&x);
    source_close(&y);
}

/* The model is as the test above left it. */
static void a_difference_counts_what_was_changed(void **state)
{
    char       delta[CONFIG_PATH_MAX], changed[CONFIG_PATH_MAX], name[64];
    difference d;
    int        gone = 0, other = 0, more = 0, both = 0;

    (void)state;
    step_name(name, 40);
    snprintf(delta, sizeof delta, "%s/%s", room, name);
    for (int i = 0; i < IDS; i++) {
        bool was = rows[i].there;
        if (i % 10 == 0)
            rows[i].there = !rows[i].there;
        gone += was && !rows[i].there;
        more += !was && rows[i].there;
        both += was && rows[i].there;
        if (i % 10 == 1 && was) {
            rows[i].w[1] += i == 1 ? 0.5f : 0.125f;
            other++;
        }
    }
    write_cut(changed, "changed", 40, 5, NULL);
    find(&d, delta, changed, 0);
    const table_difference *t = &d.tables.at[0];
    assert_true(d.any);
    assert_int_equal(t->rows_a, gone);
    assert_int_equal(t->rows_b, more);
    assert_int_equal(t->rows_both, both);
    assert_int_equal(t->different, other);
    assert_string_equal(t->columns.at[0].name, "weight");
    assert_int_equal(t->columns.at[0].different, other);
    assert_true(t->columns.at[0].largest > 0.12 && t->columns.at[0].largest < 0.51);
    assert_int_equal(d.dense.n, 0);
    difference_clear(&d);

    find(&d, delta, changed, 1);
    assert_int_equal(d.tables.at[0].different, 0);
    assert_true(d.any); /* rows of one alone have no tolerance */
    difference_clear(&d);
    snprintf(changed, sizeof changed, "%s/full-8", room);
    find(&d, delta, changed, 0);
    assert_false(d.any);
    difference_clear(&d);
}

static void flip(const char *folder, const char *name, long from_end)
{
    char path[CONFIG_PATH_MAX + 64];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    flip_bits(path, from_end, 4);
}

static void a_damaged_parent_is_named_and_nothing_is_left(void **state)
{
    char folder[CONFIG_PATH_MAX], parent[CONFIG_PATH_MAX], out[CONFIG_PATH_MAX], name[64];

    (void)state;
    step_name(name, 40);
    snprintf(folder, sizeof folder, "%s/%s", room, name);
    step_name(name, 20);
    snprintf(parent, sizeof parent, "%s/%s", room, name);
    snprintf(out, sizeof out, "%s/refused", room);
    flip(parent, "shard-0001-of-0003.safetensors", 9);
    assert_int_equal(rewrite(folder, out, 2), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "step-000000000020/shard-0001-of-0003.safetensors"));
    flip(parent, "shard-0001-of-0003.safetensors", 9);
    assert_int_equal(count_names("refused"), 0);

    assert_int_equal(rewrite(folder, out, 2), OK);
    assert_int_equal(rewrite(folder, out, 2), ERR_USAGE);
    assert_non_null(strstr(err_text(), "is there already"));
    assert_int_equal(count_names(".dips-new"), 0);
}

/* Hashes are right, but an id stands in a bucket that is not its own. */
static void an_id_out_of_its_bucket_stops_the_work(void **state)
{
    static uint64_t  ids[IDS], gone[IDS];
    static int       at[IDS];
    static file_rows f;
    char             folder[CONFIG_PATH_MAX], out[CONFIG_PATH_MAX];
    char             path[CONFIG_PATH_MAX + CONFIG_NAME_MAX];
    manifest         m;

    (void)state;
    write_cut(folder, "wrong", 40, 1, NULL);
    assert_int_equal(manifest_read(&m, folder), OK);
    f.ids = ids, f.gone = gone, f.at = at;
    choose(&f, 0, HASH_BUCKETS, -1);
    uint64_t swap = ids[0];
    ids[0]        = ids[f.n - 1];
    ids[f.n - 1]  = swap;
    snprintf(path, sizeof path, "%s/%s", folder, m.files[0].name);
    write_shard(path, &f, false, 40, &m.files[0].digest);
    assert_int_equal(manifest_write(folder, &m, NULL), OK);
    manifest_clear(&m);
    snprintf(out, sizeof out, "%s/refused-too", room);
    assert_int_equal(rewrite(folder, out, 2), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "does not belong to bucket"));
    assert_int_equal(count_names("refused-too"), 0);
}

static err_t compact(const char *folder)
{
    char *words[] = {(char *)"compact", (char *)folder};
    return checkpoint_compact(2, words);
}

static void a_delta_is_folded_in_its_place_if_none_stands_upon_it(void **state)
{
    char folder[CONFIG_PATH_MAX], full[CONFIG_PATH_MAX], out[CONFIG_PATH_MAX], name[64];

    (void)state;
    step_name(name, 20);
    snprintf(folder, sizeof folder, "%s/%s", room, name);
    assert_int_equal(compact(folder), ERR_USAGE);
    assert_non_null(strstr(err_text(), "step-000000000030 stands upon"));
    step_name(name, 40);
    snprintf(folder, sizeof folder, "%s/%s", room, name);
    snprintf(full, sizeof full, "%s/full-3", room);
    assert_int_equal(compact(folder), OK);
    assert_same_files(folder, full);
    assert_int_equal(compact(folder), OK); /* it is full already */
    step_name(name, 30);
    snprintf(folder, sizeof folder, "%s/%s", room, name);
    assert_int_equal(compact(folder), OK);
    step_name(name, 20);
    snprintf(folder, sizeof folder, "%s/%s", room, name);
    snprintf(out, sizeof out, "%s/of-20", room);
    assert_int_equal(rewrite(folder, out, 1), OK);
    assert_int_equal(count_names(".dips-"), 0);
}

/* A job holds the lock of its run folder. */
static void a_run_at_work_keeps_its_deltas(void **state)
{
    char line[2 * CONFIG_PATH_MAX], path[CONFIG_PATH_MAX];

    (void)state;
    snprintf(line, sizeof line,
             "mkdir -p %s/run/checkpoints && cp -r %s/step-* %s/run/checkpoints", room, room,
             room);
    assert_int_equal(system(line), 0);
    snprintf(path, sizeof path, "%s/run/lock", room);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    snprintf(path, sizeof path, "%s/run/checkpoints/step-000000000020", room);
    assert_int_equal(compact(path), ERR_USAGE);
    assert_non_null(strstr(err_text(), "a job is at work"));
    close(lock);
    assert_int_equal(compact(path), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_becomes_the_file_that_a_full_cut_would_have_been),
        cmocka_unit_test(a_difference_counts_what_was_changed),
        cmocka_unit_test(a_damaged_parent_is_named_and_nothing_is_left),
        cmocka_unit_test(an_id_out_of_its_bucket_stops_the_work),
        cmocka_unit_test(a_delta_is_folded_in_its_place_if_none_stands_upon_it),
        cmocka_unit_test(a_run_at_work_keeps_its_deltas),
    };
    return cmocka_run_group_tests(tests, room_open, room_close);
}
