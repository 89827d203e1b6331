#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/hash.h"
#include "launch/checkpoint_verify.h"
#include "tests/room.h"

/* A checkpoint of two shards by hand: goods (dim 2, Adam) with the ids 1 .. ROWS, and an
 * empty table. Its hashes are always right: only what the tensors say may be wrong. */
enum { ROWS = 1000, SHARDS = 2, STEP = 10 };

enum fault {
    NONE,
    NO_STATE,
    DIM,
    DTYPE,
    SHORT_COUNT,
    WRONG_BUCKET,
    DESCENDING,
    TWICE,
    DECREASING,
    FOREIGN_BUCKET,
    END,
    TOUCHED,
    UNKNOWN,
    DENSE_DTYPE,
    DENSE_STATE,
};

static char folder[CONFIG_PATH_MAX];

/* Declare one tensor, whose bytes are written by the caller's order of numbers. */
static int declare(safetensors_writer *w, const char *name, dtype type, uint64_t rows,
                   uint64_t columns)
{
    uint64_t shape[2] = {rows, columns};
    int      tensor;

    assert_int_equal(safetensors_declare(w, name, type, columns ? 2 : 1, shape, &tensor), OK);
    return tensor;
}

static void zeros(safetensors_writer *w, int tensor, uint64_t bytes)
{
    static const char none[1 << 17];
    assert_int_equal(safetensors_append(w, tensor, none, bytes), OK);
}

static void begin_file(safetensors_writer **w, const char *name)
{
    char path[CONFIG_PATH_MAX + CONFIG_NAME_MAX];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(safetensors_create(w, path), OK);
}

/* The shard's ids by bucket, then ascending, and the offsets of all buckets. */
static uint64_t list_ids(uint64_t *ids, uint64_t *buckets, int shard)
{
    uint64_t salt = hash_table_salt("goods"), n = 0;

    for (uint32_t b = 0; b < HASH_BUCKETS; b++) {
        buckets[b] = n;
        for (uint64_t id = 1; id <= ROWS; id++)
            if (hash_bucket(hash_id(salt, id)) == b && hash_shard_of_bucket(b, SHARDS) == shard)
                ids[n++] = id;
    }
    buckets[HASH_BUCKETS] = n;
    return n;
}

/* The first bucket of shard 1 with at least two rows. */
static uint32_t full_bucket(const uint64_t *buckets)
{
    uint32_t b = HASH_BUCKETS / 2;

    while (buckets[b + 1] - buckets[b] < 2)
        b++;
    return b;
}

static void spoil(enum fault fault, uint64_t *ids, uint64_t *buckets)
{
    uint32_t b    = full_bucket(buckets);
    uint64_t a    = buckets[b];
    uint64_t swap = ids[a];

    switch (fault) {
    case WRONG_BUCKET:
        ids[a] = ROWS + 1;
        break;
    case DESCENDING:
        ids[a]     = ids[a + 1];
        ids[a + 1] = swap;
        break;
    case TWICE:
        ids[a + 1] = ids[a];
        break;
    case DECREASING:
        buckets[b + 1] = buckets[b] - 1;
        break;
    case FOREIGN_BUCKET:
        for (uint32_t k = 7; k <= HASH_BUCKETS / 2; k++)
            buckets[k] = 1;
        break;
    case END:
        buckets[HASH_BUCKETS]--;
        break;
    default:
        break;
    }
}

static void write_empty_table(safetensors_writer *w, int *buckets)
{
    declare(w, "user.ids", DTYPE_U64, 0, 0);
    declare(w, "user.weight", DTYPE_REAL, 0, 3);
    declare(w, "user.count", DTYPE_U32, 0, 0);
    declare(w, "user.touched", DTYPE_U32, 0, 0);
    *buckets = declare(w, "user.buckets", DTYPE_U64, HASH_BUCKETS + 1, 0);
}

static void write_shard(int shard, enum fault fault, safetensors_digest *digest)
{
    static uint64_t     ids[ROWS], buckets[HASH_BUCKETS + 1];
    uint32_t            touched = fault == TOUCHED ? STEP + 1 : STEP;
    uint64_t            n       = list_ids(ids, buckets, shard);
    safetensors_writer *w;
    char                name[CONFIG_NAME_MAX];
    int                 empty;

    if (fault != NONE)
        spoil(fault, ids, buckets);
    manifest_shard_name(name, shard, SHARDS);
    begin_file(&w, name);
    int t_ids     = declare(w, "goods.ids", DTYPE_U64, n, 0);
    int t_buckets = declare(w, "goods.buckets", DTYPE_U64, HASH_BUCKETS + 1, 0);
    int t_touched = declare(w, "goods.touched", DTYPE_U32, n, 0);
    int t_weight  = declare(w, "goods.weight", DTYPE_REAL, n, fault == DIM ? 3 : 2);
    int t_m       = declare(w, "goods.@m", fault == DTYPE ? DTYPE_I64 : DTYPE_REAL, n, 2);
    int t_v       = declare(w, fault == NO_STATE ? "goods.@u" : "goods.@v", DTYPE_REAL, n, 2);
    int t_step    = declare(w, "goods.@step", DTYPE_REAL, n, 0);
    int t_count   = declare(w, "goods.count", DTYPE_U32, fault == SHORT_COUNT ? n - 1 : n, 0);
    write_empty_table(w, &empty);
    if (fault == UNKNOWN)
        declare(w, "shop.ids", DTYPE_U64, 0, 0);

    assert_int_equal(safetensors_append(w, t_ids, ids, n * 8), OK);
    assert_int_equal(safetensors_append(w, t_buckets, buckets, sizeof buckets), OK);
    for (uint64_t i = 0; i < n; i++)
        assert_int_equal(safetensors_append(w, t_touched, &touched, 4), OK);
    zeros(w, t_weight, n * (fault == DIM ? 3 : 2) * sizeof(real));
    zeros(w, t_m, n * 2 * (fault == DTYPE ? 8 : sizeof(real)));
    zeros(w, t_v, n * 2 * sizeof(real));
    zeros(w, t_step, n * sizeof(real));
    zeros(w, t_count, (fault == SHORT_COUNT ? n - 1 : n) * 4);
    zeros(w, empty, (HASH_BUCKETS + 1) * 8);
    assert_int_equal(safetensors_finish(&w, digest), OK);
}

static void write_dense(enum fault fault, safetensors_digest *digest)
{
    safetensors_writer *w;

    begin_file(&w, "dense.safetensors");
    int weight = declare(w, "mlp.0.weight", DTYPE_REAL, 4, 3);
    int m      = declare(w, fault == DENSE_STATE ? "mlp.1.weight@m" : "mlp.0.weight@m",
                    fault == DENSE_DTYPE ? DTYPE_I8 : DTYPE_REAL, 4, 3);
    int step   = declare(w, "mlp.0.weight@step", DTYPE_REAL, 1, 0);
    zeros(w, weight, 12 * sizeof(real));
    zeros(w, m, 12 * (fault == DENSE_DTYPE ? 1 : sizeof(real)));
    zeros(w, step, sizeof(real));
    assert_int_equal(safetensors_finish(&w, digest), OK);
}

static void write_checkpoint(enum fault fault)
{
    static const table_config tables[2] = {
        {.name = "goods", .dim = 2, .optimizer = {.kind = OPTIMIZER_ADAM}},
        {.name = "user", .dim = 3, .optimizer = {.kind = OPTIMIZER_SGD}}};
    schema_table   entries[2]        = {{.config = &tables[0]}, {.config = &tables[1]}};
    const schema   s                 = {.n_tables = 2, .tables = entries};
    manifest_file  files[SHARDS + 1] = {{.name = "dense.safetensors"}};
    const manifest m                 = {.step    = STEP,
                                        .shards  = SHARDS,
                                        .real    = REAL_NAME,
                                        .n_files = SHARDS + 1,
                                        .files   = files};

    manifest_folder(folder, room, STEP);
    assert_int_equal(manifest_begin(folder), OK);
    write_dense(fault, &files[0].digest);
    for (int k = 0; k < SHARDS; k++) {
        manifest_shard_name(files[k + 1].name, k, SHARDS);
        /* all faults are shard 1's */
        write_shard(k, k == 0 ? NONE : fault, &files[k + 1].digest);
    }
    assert_int_equal(manifest_write(folder, &m, &s), OK);
}

/* Verify it; *said is what was told, free it. */
static err_t verify(char **said)
{
    size_t size;
    FILE  *tell = open_memstream(said, &size);
    err_t  err  = checkpoint_verify(folder, false, tell);

    fclose(tell);
    return err;
}

static void a_whole_checkpoint_is_told_file_by_file(void **state)
{
    (void)state;
    char *said;

    write_checkpoint(NONE);
    assert_int_equal(verify(&said), OK);
    assert_non_null(
        strstr(said, "manifest.json                    step 10, 2 tables, 3 files"));
    assert_non_null(strstr(said, "dense.safetensors                size, hash, 3 tensors"));
    uint64_t rows[2];
    for (int k = 0; k < 2; k++) {
        char *line = strstr(said, k ? "shard-0001" : "shard-0000");
        assert_non_null(line);
        assert_int_equal(
            sscanf(line, "%*s size, hash, 13 tensors, %" SCNu64 " rows in", &rows[k]), 1);
    }
    assert_int_equal(rows[0] + rows[1], ROWS);
    free(said);
}

static void every_fault_is_named(void **state)
{
    (void)state;
    static const struct {
        enum fault  fault;
        const char *words;
    } cases[] = {
        {NO_STATE, "tensor goods.@v is missing"},
        {DIM, "tensor goods.weight has rows of 3, the table's dim is 2"},
        {DTYPE, "tensor goods.@m is I64"},
        {SHORT_COUNT, "tensor goods.count has "},
        {WRONG_BUCKET, "is 1001, which does not belong to bucket "},
        {DESCENDING, " after "},
        {TWICE, " after "},
        {DECREASING, "goods.buckets["},
        {FOREIGN_BUCKET, "goods.buckets has rows of bucket 6, which is not the shard's"},
        {END, "goods.buckets ends with "},
        {TOUCHED, "goods.touched[0] is 11, after the cut at step 10"},
        {UNKNOWN, "tensor shop.ids belongs to no table"},
        {DENSE_DTYPE, "tensor mlp.0.weight@m is I8"},
        {DENSE_STATE, "mlp.1.weight@m is no state of a weight 'mlp.1.weight'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *said;
        write_checkpoint(cases[i].fault);
        assert_int_equal(verify(&said), ERR_FORMAT);
        free(said);
        const char *file = cases[i].fault >= DENSE_DTYPE ? "dense.safetensors"
                                                         : "shard-0001-of-0002.safetensors";
        if (!strstr(err_text(), cases[i].words) || !strstr(err_text(), file))
            fail_msg("'%s' does not say '%s'", err_text(), cases[i].words);
    }
}

static void a_flipped_bit_is_found(void **state)
{
    (void)state;
    char path[CONFIG_PATH_MAX + CONFIG_NAME_MAX], *said;

    write_checkpoint(NONE);
    snprintf(path, sizeof path, "%s/shard-0000-of-0002.safetensors", folder);
    flip_bits(path, 1, 64);
    assert_int_equal(verify(&said), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "shard-0000-of-0002.safetensors is damaged"));
    free(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_checkpoint_is_told_file_by_file),
        cmocka_unit_test(every_fault_is_named),
        cmocka_unit_test(a_flipped_bit_is_found),
    };
    return cmocka_run_group_tests(tests, room_open, room_close);
}
