/* prepare_room - a folder of its own for a test, raw files written into it, the commands
 * of `dips prepare` called as functions, and the shards they made.
 *
 * Include after <cmocka.h>. */
#ifndef DIPS_TESTS_LAUNCH_PREPARE_ROOM_H
#define DIPS_TESTS_LAUNCH_PREPARE_ROOM_H

#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "common/err.h"
#include "common/safetensors.h"
#include "tests/room.h"

#define WORDS_MOST 40

static inline void write_gzip(const char *name, const char *text)
{
    gzFile f = gzopen(inside(name), "wb");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, text, (unsigned)strlen(text)), (int)strlen(text));
    assert_int_equal(gzclose(f), Z_OK);
}

/* Call a command with words parted by blanks, in which @NAME is NAME in the room. */
static inline err_t run(err_t (*command)(int argc, char **argv), const char *words)
{
    char  text[2048], expanded[WORDS_MOST][256];
    char *argv[WORDS_MOST + 2] = {text};
    int   argc                 = 1;

    snprintf(text, sizeof text, "command %s", words);
    for (char *w = strtok(text, " "); (w = strtok(NULL, " ")) && argc <= WORDS_MOST; argc++) {
        char *at = strchr(w, '@');
        snprintf(expanded[argc - 1], sizeof expanded[0], "%.*s%s%s", at ? (int)(at - w) : 255,
                 w, at ? room : "", at ? "/" : "");
        if (at)
            strncat(expanded[argc - 1], at + 1, 100);
        argv[argc] = expanded[argc - 1];
    }
    return command(argc, argv);
}

/* The command must go well. */
#define run_well(command, words)                                                               \
    do {                                                                                       \
        err_t err_ = run(command, words);                                                      \
        if (err_ != OK)                                                                        \
            fail_msg("%s: %s", words, err_text());                                             \
    } while (0)

/* The command must fail with this code and a sentence that contains part. */
#define run_badly(command, words, code, part)                                                  \
    do {                                                                                       \
        err_t err_ = run(command, words);                                                      \
        if (err_ != (code) || !strstr(err_text(), part))                                       \
            fail_msg("%s: code %d, '%s'; wanted '%s'", words, err_, err_text(), part);         \
    } while (0)

/* How many files of the room match a pattern. */
static inline size_t count_files(const char *pattern)
{
    glob_t found = {0};
    size_t n     = glob(inside(pattern), GLOB_PERIOD, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return n;
}

static inline safetensors *open_file(const char *name)
{
    safetensors *file = NULL;
    if (safetensors_open(&file, inside(name)) != OK)
        fail_msg("%s", err_text());
    return file;
}

static inline const safetensors_tensor *tensor_of(const safetensors *file, const char *name)
{
    const safetensors_tensor *t = safetensors_find(file, name);
    if (!t)
        fail_msg("%s has no tensor %s", safetensors_path(file), name);
    return t;
}

static inline uint64_t u64_at(const safetensors *file, const char *name, uint64_t i)
{
    const safetensors_tensor *t = tensor_of(file, name);
    assert_true(i < t->count);
    return safetensors_get_u64(t, i);
}

/* A tensor of integers must be exactly these n. */
static inline void check_u64(const safetensors *file, const char *name, const uint64_t *want,
                             size_t n)
{
    const safetensors_tensor *t = tensor_of(file, name);
    if (t->count != n)
        fail_msg("%s has %llu elements, wanted %zu", name, (unsigned long long)t->count, n);
    for (size_t i = 0; i < n; i++)
        if (safetensors_get_u64(t, i) != want[i])
            fail_msg("%s[%zu] is %llu, wanted %llu", name, i,
                     (unsigned long long)safetensors_get_u64(t, i),
                     (unsigned long long)want[i]);
}

#define EXPECT_U64(file, name, ...)                                                            \
    check_u64(file, name, (const uint64_t[]){__VA_ARGS__},                                     \
              sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static inline void check_double(const safetensors *file, const char *name, const double *want,
                                size_t n)
{
    const safetensors_tensor *t = tensor_of(file, name);
    assert_int_equal(t->count, n);
    for (size_t i = 0; i < n; i++)
        if (safetensors_get_double(t, i) != want[i])
            fail_msg("%s[%zu] is %g, wanted %g", name, i, safetensors_get_double(t, i),
                     want[i]);
}

#define EXPECT_DOUBLE(file, name, ...)                                                         \
    check_double(file, name, (const double[]){__VA_ARGS__},                                    \
                 sizeof((const double[]){__VA_ARGS__}) / sizeof(double))

/* The count of id in a counts file; 0 where it is not there. */
static inline uint64_t count_of(const safetensors *file, const char *table, uint64_t id)
{
    char ids[100], count[100];

    snprintf(ids, sizeof ids, "%s.ids", table);
    snprintf(count, sizeof count, "%s.count", table);
    for (uint64_t i = 0; i < tensor_of(file, ids)->count; i++)
        if (u64_at(file, ids, i) == id)
            return u64_at(file, count, i);
    return 0;
}

/* Every file of folder a (its names begin with no dot) is in b with the same bytes, and
 * the other way round. */
static inline void check_same_folder(const char *a, const char *b)
{
    char   pattern[300];
    glob_t files = {0};
    size_t n_a, n_b;

    snprintf(pattern, sizeof pattern, "%s/*", inside(b));
    assert_int_equal(glob(pattern, 0, NULL, &files), 0);
    size_t in_b = files.gl_pathc;
    globfree(&files);
    snprintf(pattern, sizeof pattern, "%s/*", inside(a));
    assert_int_equal(glob(pattern, 0, NULL, &files), 0);
    assert_int_equal(files.gl_pathc, in_b);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        const char *name = strrchr(files.gl_pathv[i], '/');
        snprintf(pattern, sizeof pattern, "%s%s", inside(b), name);
        char *of_a = read_bytes(files.gl_pathv[i], &n_a), *of_b = read_bytes(pattern, &n_b);
        if (n_a != n_b || memcmp(of_a, of_b, n_a) != 0)
            fail_msg("%s differs from %s", files.gl_pathv[i], pattern);
        free(of_a);
        free(of_b);
    }
    globfree(&files);
}

#define IN_ROOM(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)

#endif
