#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <cmocka.h>

#include "common/manifest.h"
#include "tests/room.h"

/* ---- a schema and a checkpoint by hand ---- */

static table_config two_tables[2] = {
    {.name = "goods", .dim = 18, .optimizer = {.kind = OPTIMIZER_ROWWISE_ADAGRAD}},
    {.name = "user", .dim = 8, .optimizer = {.kind = OPTIMIZER_ADAM}},
};

static schema_table two_entries[2] = {{&two_tables[0], 1}, {&two_tables[1], 2}};

static schema run = {.n_tables = 2, .tables = two_entries, .hash = 0xfedcba9876543210};

/* The folder of a checkpoint at step whose three files hold their own names, with a map of
 * buckets (NULL: the usual one). */
static char *make_checkpoint_of(int64_t step, uint32_t *first_bucket)
{
    static char   folder[CONFIG_PATH_MAX];
    char          path[2 * CONFIG_PATH_MAX];
    manifest_file files[3] = {{.name = "dense.safetensors"},
                              {.name = "shard-0000-of-0002.safetensors"},
                              {.name = "shard-0001-of-0002.safetensors"}};
    uint64_t      held[][2] = {{1, 5}, {100, 4096}};
    manifest      m         = {.step          = step,
                               .dealt         = {4096, 2, held},
                               .bad_steps     = 3,
                               .seed          = UINT64_MAX,
                               .shards        = 2,
                               .first_bucket  = first_bucket,
                               .schema_hash   = run.hash,
                               .real          = REAL_NAME,
                               .configuration = "tables:\n  goods: {dim: 18}\n# \xc3\xa9 \"quoted\"\n",
                               .n_files       = 3,
                               .files         = files};

    manifest_folder(folder, room, step);
    assert_int_equal(manifest_begin(folder), OK);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
        write_text(path, files[i].name);
        files[i].digest.bytes = strlen(files[i].name);
        files[i].digest.xxh3  = XXH3_64bits(files[i].name, strlen(files[i].name));
    }
    assert_int_equal(manifest_write(folder, &m, &run), OK);
    return folder;
}

static char *make_checkpoint(int64_t step)
{
    return make_checkpoint_of(step, NULL);
}

/* ---- the manifest ---- */

static void what_was_written_is_read_back(void **state)
{
    (void)state;
    manifest m;

    assert_int_equal(manifest_read(&m, make_checkpoint(1200)), OK);
    assert_int_equal(m.step, 1200);
    assert_int_equal(m.bad_steps, 3);
    assert_true(m.seed == UINT64_MAX);
    assert_int_equal(m.dealt.next, 4096);
    assert_int_equal(m.dealt.n, 2);
    assert_int_equal(m.dealt.held[0][1], 5);
    assert_int_equal(m.dealt.held[1][0], 100);
    assert_int_equal(m.shards, 2);
    assert_int_equal(m.first_bucket[0], 0);
    assert_int_equal(m.first_bucket[1], 2048);
    assert_int_equal(m.first_bucket[2], 4096);
    assert_true(m.schema_hash == run.hash);
    assert_string_equal(m.real, REAL_NAME);
    assert_string_equal(m.configuration,
                        "tables:\n  goods: {dim: 18}\n# \xc3\xa9 \"quoted\"\n");
    assert_int_equal(m.n_files, 3);
    assert_string_equal(m.files[2].name, "shard-0001-of-0002.safetensors");
    assert_int_equal(m.files[2].digest.bytes, 30);
    assert_true(m.files[2].digest.xxh3 == XXH3_64bits("shard-0001-of-0002.safetensors", 30));
    assert_int_equal(m.n_tables, 2);
    assert_string_equal(m.tables[0].name, "goods");
    assert_int_equal(m.tables[0].dim, 18);
    assert_string_equal(m.tables[0].optimizer, "rowwise_adagrad");
    manifest_clear(&m);
    assert_null(m.files);
    folder_empty(room);
}

static void buckets_may_lie_on_shards_in_any_parts(void **state)
{
    (void)state;
    static uint32_t good[][2] = {{0, 1}, {0, 0}, {0, 4096}}, bad[][2] = {{1, 2048}, {0, 4097}};
    manifest        m;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(manifest_read(&m, make_checkpoint_of(1300, good[i])), OK);
        assert_int_equal(m.first_bucket[1], good[i][1]);
        assert_int_equal(m.first_bucket[2], 4096);
        manifest_clear(&m);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(manifest_read(&m, make_checkpoint_of(1300, bad[i])), ERR_FORMAT);
        assert_non_null(strstr(err_text(), "begins with bucket"));
    }
    folder_empty(room);
}

static void a_file_that_is_not_a_shards_is_not_written_down(void **state)
{
    (void)state;
    manifest_file files[3] = {{.name = "dense.safetensors"},
                              {.name = "shard-0000-of-0002.safetensors"},
                              {.name = "shard-0000-of-0002.safetensors"}};
    manifest      m        = {
                    .shards = 2, .schema_hash = run.hash, .real = REAL_NAME, .n_files = 3, .files = files};

    assert_int_equal(manifest_write(room, &m, &run), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "shard-0000-of-0002.safetensors is listed twice"));
    m.n_files = 2;
    assert_int_equal(manifest_write(room, &m, &run), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "shard-0001-of-0002.safetensors is not listed"));
    snprintf(files[1].name, sizeof files[1].name, "../shard-0000-of-0002.safetensors");
    assert_int_equal(manifest_write(room, &m, &run), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "no file of a checkpoint of 2 shards"));
    m.shards = 0;
    assert_int_equal(manifest_write(room, &m, &run), ERR_FORMAT);
    assert_int_equal(access(inside("manifest.json"), F_OK), -1);
    assert_int_equal(access(inside("manifest.json.tmp"), F_OK), -1);
}

static void every_flipped_bit_and_truncation_is_noticed(void **state)
{
    (void)state;
    manifest whole, m;
    char     path[2 * CONFIG_PATH_MAX];
    size_t   n;

    snprintf(path, sizeof path, "%s/manifest.json", make_checkpoint(7));
    char *text = read_bytes(path, &n);

    assert_int_equal(manifest_parse(&whole, "m", text, n), OK);
    for (size_t bit = 0; bit < 8 * n; bit++) {
        text[bit / 8] ^= (char)(1 << bit % 8);
        err_t err = manifest_parse(&m, "m", text, n);
        if (err == OK) { /* between the words alone */
            assert_int_equal(m.step, whole.step);
            assert_memory_equal(m.files, whole.files, 3 * sizeof *m.files);
            assert_memory_equal(m.tables, whole.tables, 2 * sizeof *m.tables);
            assert_string_equal(m.configuration, whole.configuration);
            manifest_clear(&m);
        } else {
            assert_int_equal(err, ERR_FORMAT);
            assert_int_equal(strncmp(err_text(), "m:", 2), 0);
        }
        text[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t size = 0; size + 1 < n; size++)
        assert_int_equal(manifest_parse(&m, "m", text, size), ERR_FORMAT);
    manifest_clear(&whole);
    free(text);
    folder_empty(room);
}

static void another_format_is_refused_in_words(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"{}", "\"format\" is missing"},
        {"[]", "\"format\" is missing"},
        {"{\"format\": 3}", "\"format\" is 3; wanted: 1 .. 2"},
        {"{\"format\": 1}", "\"xxh3\" is missing"},
        {"{\"format\": 1, \"xxh3\": \"0123456789abcdef\"}", "checksum does not fit"},
        {"{\"format\": 1, \"xxh3\": \"0123456789ABCDEF\"}", "no number of 64 bits"},
        {"{\"format\": 1, \"format\": 1}", "m.json:1:"},
    };
    manifest m;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(manifest_parse(&m, "m.json", cases[i].text, strlen(cases[i].text)),
                         ERR_FORMAT);
        if (!strstr(err_text(), cases[i].words) || strncmp(err_text(), "m.json", 6) != 0)
            fail_msg("'%s' does not say '%s'", err_text(), cases[i].words);
    }
    assert_int_equal(manifest_read(&m, inside("nowhere")), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "not a complete checkpoint"));
}

/* ---- against the files ---- */

static void a_damaged_file_is_named(void **state)
{
    (void)state;
    char    *folder = make_checkpoint(5), path[2 * CONFIG_PATH_MAX];
    manifest m;

    assert_int_equal(manifest_read(&m, folder), OK);
    assert_int_equal(manifest_verify(&m, folder), OK);
    snprintf(path, sizeof path, "%s/shard-0001-of-0002.safetensors", folder);
    write_text(path, "shard-0001-of-0002.safetensorr");
    assert_int_equal(manifest_verify(&m, folder), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "shard-0001-of-0002.safetensors is damaged"));
    write_text(path, "shard-0001-of-0002.safetensor");
    assert_int_equal(manifest_verify(&m, folder), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "has 29 bytes; the manifest says 30"));
    unlink(path);
    assert_int_equal(manifest_verify(&m, folder), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "shard-0001-of-0002.safetensors is missing"));
    manifest_clear(&m);
    folder_empty(room);
}

static void what_differs_from_the_run_is_said(void **state)
{
    (void)state;
    manifest     m;
    table_config others[3] = {two_tables[1], two_tables[0], two_tables[1]};
    schema_table entries[] = {{&others[0], 2}, {&others[1], 1}, {&others[2], 3}};
    schema       other     = {.n_tables = 2, .tables = entries, .hash = run.hash};

    assert_int_equal(manifest_read(&m, make_checkpoint(5)), OK);
    assert_int_equal(manifest_agrees(&m, "F", &run), OK);
    assert_int_equal(manifest_agrees(&m, "F", &other), OK); /* the order is free */

    others[1].dim = 16;
    assert_int_equal(manifest_agrees(&m, "F", &other), ERR_FORMAT);
    assert_string_equal(err_text(), "F: table goods has dim 18 in the checkpoint, 16 here");
    others[1].dim            = 18;
    others[0].optimizer.kind = OPTIMIZER_FTRL;
    assert_int_equal(manifest_agrees(&m, "F", &other), ERR_FORMAT);
    assert_string_equal(err_text(),
                        "F: table user has the optimizer adam in the checkpoint, ftrl here");
    others[0].optimizer.kind = OPTIMIZER_ADAM;
    snprintf(others[2].name, sizeof others[2].name, "cate");
    other.n_tables = 3;
    assert_int_equal(manifest_agrees(&m, "F", &other), ERR_FORMAT);
    assert_string_equal(err_text(), "F: the checkpoint has no table cate");
    other.n_tables = 1;
    assert_int_equal(manifest_agrees(&m, "F", &other), ERR_FORMAT);
    assert_string_equal(err_text(), "F: the checkpoint has a table goods, which is not here");
    other.n_tables = 2;
    other.hash++;
    assert_int_equal(manifest_agrees(&m, "F", &other), ERR_FORMAT);
    strcpy(m.real, REAL_NAME[0] == 'f' ? "double" : "float");
    assert_int_equal(manifest_agrees(&m, "F", &run), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "build"));
    manifest_clear(&m);
    folder_empty(room);
}

/* ---- folders ---- */

static void only_folders_with_a_manifest_are_checkpoints(void **state)
{
    (void)state;
    int64_t *steps, newest;
    int      n;

    assert_int_equal(manifest_newest(&newest, inside("nowhere")), OK);
    assert_int_equal(newest, -1);
    assert_int_equal(manifest_newest(&newest, room), OK);
    assert_int_equal(newest, -1);
    make_checkpoint(900);
    make_checkpoint(1000);
    make_checkpoint(0);
    mkdir(inside("step-000000002000"), 0777);     /* cut off */
    mkdir(inside("step-000000001000-old"), 0777); /* no name of ours */
    write_text(inside("step-000000001000-old/manifest.json"), "{}");
    assert_int_equal(manifest_newest(&newest, room), OK);
    assert_int_equal(newest, 1000);
    assert_int_equal(manifest_list(&steps, &n, room), OK);
    assert_int_equal(n, 3);
    assert_true(steps[0] == 0 && steps[1] == 900 && steps[2] == 1000);
    free(steps);
    folder_empty(room);
}

static void the_newest_are_kept_and_the_cut_off_are_cleaned(void **state)
{
    (void)state;
    static const int64_t whole[] = {100, 200, 300, 400};

    for (int i = 0; i < 4; i++)
        make_checkpoint(whole[i]);
    mkdir(inside("step-000000000350"), 0777);
    write_text(inside("step-000000000350/dense.safetensors.tmp"), "torn");
    mkdir(inside("step-000000000500"), 0777); /* perhaps being written */
    mkdir(inside("mine"), 0777);
    assert_int_equal(manifest_keep(room, 2), OK);
    assert_int_equal(access(inside("step-000000000100"), F_OK), -1);
    assert_int_equal(access(inside("step-000000000200"), F_OK), -1);
    assert_int_equal(access(inside("step-000000000300/manifest.json"), F_OK), 0);
    assert_int_equal(access(inside("step-000000000400/manifest.json"), F_OK), 0);
    assert_int_equal(access(inside("step-000000000350"), F_OK), -1);
    assert_int_equal(access(inside("step-000000000500"), F_OK), 0);
    assert_int_equal(access(inside("mine"), F_OK), 0);
    assert_int_equal(manifest_keep(room, 0), OK); /* never the last one */
    assert_int_equal(access(inside("step-000000000300"), F_OK), -1);
    assert_int_equal(access(inside("step-000000000400/manifest.json"), F_OK), 0);
    assert_int_equal(manifest_keep(inside("nowhere"), 2), OK);
    folder_empty(room);
}

static void beginning_again_removes_what_was_cut_off(void **state)
{
    (void)state;
    char folder[CONFIG_PATH_MAX];

    snprintf(folder, sizeof folder, "%s/new/checkpoints/step-000000000001", room);
    assert_int_equal(manifest_begin(folder), OK);
    write_text(inside("new/checkpoints/step-000000000001/shard-0000-of-0007.safetensors"),
               "torn");
    write_text(inside("new/checkpoints/step-000000000001/manifest.json"), "old");
    assert_int_equal(manifest_begin(folder), OK);
    assert_int_equal(rmdir(folder), 0);
    write_text(inside("file"), "");
    snprintf(folder, sizeof folder, "%s/file/step-000000000001", room);
    assert_int_equal(manifest_begin(folder), ERR_SYSTEM);
    assert_non_null(strstr(err_text(), "/file"));
    folder_empty(room);
}

/* On a full disk every attempt leaves a torn folder; the next needs its room. */
static void beginning_frees_the_room_of_other_attempts(void **state)
{
    (void)state;
    char folder[CONFIG_PATH_MAX];

    make_checkpoint(100);
    mkdir(inside("step-000000000150"), 0777);
    write_text(inside("step-000000000150/dense.safetensors.tmp"), "torn");
    mkdir(inside("step-000000000160"), 0777);
    mkdir(inside("step-000000000160/mine"), 0777); /* cannot be removed */
    manifest_folder(folder, room, 200);
    assert_int_equal(manifest_begin(folder), OK);
    assert_int_equal(access(folder, F_OK), 0);
    assert_int_equal(access(inside("step-000000000150"), F_OK), -1);
    assert_int_equal(access(inside("step-000000000160/mine"), F_OK), 0);
    assert_int_equal(access(inside("step-000000000100/manifest.json"), F_OK), 0);
    folder_empty(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_back),
        cmocka_unit_test(buckets_may_lie_on_shards_in_any_parts),
        cmocka_unit_test(a_file_that_is_not_a_shards_is_not_written_down),
        cmocka_unit_test(every_flipped_bit_and_truncation_is_noticed),
        cmocka_unit_test(another_format_is_refused_in_words),
        cmocka_unit_test(a_damaged_file_is_named),
        cmocka_unit_test(what_differs_from_the_run_is_said),
        cmocka_unit_test(only_folders_with_a_manifest_are_checkpoints),
        cmocka_unit_test(the_newest_are_kept_and_the_cut_off_are_cleaned),
        cmocka_unit_test(beginning_again_removes_what_was_cut_off),
        cmocka_unit_test(beginning_frees_the_room_of_other_attempts),
    };
    return cmocka_run_group_tests(tests, room_open, room_close);
}
