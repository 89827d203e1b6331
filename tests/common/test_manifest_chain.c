/* A checkpoint and those that it stands upon: read together, verified together, kept together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmocka.h>

#include "common/manifest_chain.h"
#include "tests/room.h"

#define FULL (-1) /* a parent's step */

static int empty_room(void **unused)
{
    (void)unused;
    folder_empty(room);
    return 0;
}

static table_config one_table = {.name      = "goods",
                                 .dim       = 18,
                                 .optimizer = {.kind = OPTIMIZER_ADAM}};
static schema_table one_entry = {&one_table, 1};
static schema       run       = {.n_tables = 1, .tables = &one_entry, .hash = 77};

static char *folder_of(int64_t step)
{
    static char folder[CONFIG_PATH_MAX];
    manifest_folder(folder, room, step);
    return folder;
}

static char *file_of(int64_t step, const char *name)
{
    static char path[CONFIG_PATH_MAX + CONFIG_NAME_MAX + 64];
    snprintf(path, sizeof path, "%s/%.64s", folder_of(step), name);
    return path;
}

static manifest read_one(int64_t step)
{
    manifest m;
    assert_int_equal(manifest_read(&m, folder_of(step)), OK);
    return m;
}

/* A checkpoint at step of one shard, upon that at parent. Its files hold their names. */
static void make(int64_t step, int64_t parent, uint64_t bad_steps)
{
    manifest_file files[] = {{.name = "dense.safetensors"},
                             {.name = "shard-0000-of-0001.safetensors"}};
    manifest      m       = {.step          = step,
                             .bad_steps     = (int64_t)bad_steps,
                             .shards        = 1,
                             .schema_hash   = run.hash,
                             .real          = REAL_NAME,
                             .configuration = (char[]){""},
                             .n_files       = 2,
                             .files         = files};

    if (parent != FULL) {
        manifest under = read_one(parent);
        m.parent       = (manifest_parent){true, parent, under.xxh3};
        manifest_clear(&under);
    }
    assert_int_equal(manifest_begin(folder_of(step)), OK);
    for (int i = 0; i < 2; i++) {
        write_text(file_of(step, files[i].name), files[i].name);
        files[i].digest.bytes = strlen(files[i].name);
        files[i].digest.xxh3  = XXH3_64bits(files[i].name, strlen(files[i].name));
    }
    assert_int_equal(manifest_write(folder_of(step), &m, &run), OK);
}

static void expect_failure(int64_t step, const char *words)
{
    manifest_chain c;
    err_t          err = manifest_chain_read(&c, folder_of(step));

    if (err == OK)
        err = manifest_chain_verify(&c);
    assert_int_equal(err, ERR_FORMAT);
    if (!strstr(err_text(), words))
        fail_msg("'%s' does not say '%s'", err_text(), words);
    manifest_chain_clear(&c);
}

static void a_chain_begins_with_a_full_one_and_ends_with_the_checkpoint(void **state)
{
    (void)state;
    manifest_chain c;

    make(10, FULL, 0);
    make(12, 10, 0);
    make(17, 12, 0);
    assert_int_equal(manifest_chain_read(&c, folder_of(17)), OK);
    assert_int_equal(c.n, 3);
    assert_int_equal(c.links[0].manifest.step, 10);
    assert_false(c.links[0].manifest.parent.there);
    assert_int_equal(c.links[1].manifest.step, 12);
    assert_int_equal(c.links[2].manifest.parent.step, 12);
    assert_string_equal(manifest_chain_end(&c)->folder, folder_of(17));
    assert_int_equal(manifest_chain_verify(&c), OK);
    manifest_chain_clear(&c);
    assert_int_equal(manifest_chain_read(&c, folder_of(10)), OK);
    assert_int_equal(c.n, 1);
    manifest_chain_clear(&c);
}

static void a_chain_is_found_from_wherever_one_stands(void **state)
{
    (void)state;
    manifest_chain c;
    char           here[CONFIG_PATH_MAX];
    static const char *const names[] = {"step-000000000012", "./step-000000000012/", NULL};

    make(10, FULL, 0);
    make(12, 10, 0);
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(room), 0);
    for (int i = 0; names[i]; i++) {
        assert_int_equal(manifest_chain_read(&c, names[i]), OK);
        assert_int_equal(c.n, 2);
        manifest_chain_clear(&c);
    }
    assert_int_equal(chdir(here), 0);
}

static void a_delta_whose_parent_is_gone_or_another_is_refused(void **state)
{
    (void)state;
    make(10, FULL, 0);
    make(12, 10, 0);
    make(10, FULL, 1); /* once more, not the same */
    expect_failure(12, "there is another one");
    assert_int_equal(unlink(file_of(10, "manifest.json")), 0);
    expect_failure(12, "stands upon step 10");
}

static void a_damaged_file_of_a_parent_is_named(void **state)
{
    (void)state;
    make(10, FULL, 0);
    make(12, 10, 0);
    write_text(file_of(10, "dense.safetensors"), "dense.safetensorz");
    expect_failure(12, "step-000000000010/dense.safetensors is damaged");
}

static void a_delta_does_not_stand_upon_a_later_step(void **state)
{
    (void)state;
    manifest m;
    size_t   n;

    make(10, FULL, 0);
    make(12, 10, 0);
    char *text = read_bytes(file_of(12, "manifest.json"), &n);
    char *at   = strstr(text, "\"step\": 10");
    assert_non_null(at);
    memcpy(at, "\"step\": 99", 10);
    assert_int_equal(manifest_parse(&m, "m.json", text, n), ERR_FORMAT);
    free(text);
}

static void expect_kept(int64_t step, bool kept)
{
    assert_int_equal(access(file_of(step, "manifest.json"), F_OK) == 0, kept);
}

static void what_a_kept_one_stands_upon_is_kept(void **state)
{
    (void)state;
    make(10, FULL, 0);
    make(20, FULL, 0);
    make(22, 20, 0);
    make(24, 22, 0);
    make(30, FULL, 0);
    make(32, 30, 0);
    assert_int_equal(manifest_keep(room, 3), OK); /* 32, 30, and 24 with 22 and 20 */
    expect_kept(10, false);
    for (int64_t step = 20; step <= 24; step += 2)
        expect_kept(step, true);
    assert_int_equal(manifest_keep(room, 1), OK);
    for (int64_t step = 20; step <= 24; step += 2)
        expect_kept(step, false);
    expect_kept(30, true);
    expect_kept(32, true);
}

static void nothing_goes_where_a_parent_cannot_be_told(void **state)
{
    (void)state;
    make(10, FULL, 0);
    make(20, FULL, 0);
    write_text(file_of(20, "manifest.json"), "{");
    assert_int_equal(manifest_keep(room, 1), ERR_FORMAT);
    expect_kept(10, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_chain_begins_with_a_full_one_and_ends_with_the_checkpoint,
                                  empty_room),
        cmocka_unit_test_teardown(a_chain_is_found_from_wherever_one_stands, empty_room),
        cmocka_unit_test_teardown(a_delta_whose_parent_is_gone_or_another_is_refused,
                                  empty_room),
        cmocka_unit_test_teardown(a_damaged_file_of_a_parent_is_named, empty_room),
        cmocka_unit_test_teardown(a_delta_does_not_stand_upon_a_later_step, empty_room),
        cmocka_unit_test_teardown(what_a_kept_one_stands_upon_is_kept, empty_room),
        cmocka_unit_test_teardown(nothing_goes_where_a_parent_cannot_be_told, empty_room),
    };
    return cmocka_run_group_tests(tests, room_open, room_close);
}
