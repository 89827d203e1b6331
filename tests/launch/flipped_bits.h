/* flipped_bits - a small run's checkpoint, full and delta, of which one bit after the other is
 * flipped: each flip is noticed, and the sentence names the file. */
#ifndef DIPS_TESTS_LAUNCH_FLIPPED_BITS_H
#define DIPS_TESTS_LAUNCH_FLIPPED_BITS_H

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "common/manifest_chain.h"
#include "launch/checkpoint_verify.h"
#include "launch/commands.h"
#include "tests/launch/small_run.h"
#include "tests/must.h"
#include "tests/room.h"

/* Step 1 is full, step 2 a delta upon it. */
enum { FULL = 1, DELTA = 2, FLIPPED_FILES = 3 };

/* A file that is mapped, so that a flip is one store. */
typedef struct flipped_file {
    char           path[CONFIG_PATH_MAX + CONFIG_NAME_MAX];
    unsigned char *at;
    size_t         size;
} flipped_file;

/* What a flip has to be noticed by: the checkpoint of DELTA is read. */
typedef err_t flipped_reader(const char *folder);

static char last[CONFIG_PATH_MAX];

/* Several processes may share the bits: this one flips every flip_shares-th, from flip_share
 * on. */
static size_t flip_share, flip_shares = 1;

/* ---- the room ---- */

static inline void flipped_run(err_t (*run)(int, char **), int n, char **words)
{
    int   status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        if (!freopen("said", "w", stdout) || dup2(fileno(stdout), STDERR_FILENO) < 0)
            _exit(98);
        err_t err = run(n, words);
        if (err != OK)
            fprintf(stderr, "%s\n", err_text());
        fflush(stdout);
        _exit(err_exit_status(err));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0)
        fail_msg("%s: %s", words[0], read_bytes("said", NULL));
}

static inline int flipped_open_room(void **unused)
{
    char *prepare[] = {"prepare",   "synthetic", "--out",     "data", "--users",        "30",
                       "--goods",   "60",        "--shops",   "4",    "--cates",        "4",
                       "--history", "3",         "--samples", "96",   "--test-samples", "32",
                       "--seed",    "3",         NULL};
    char *train[]   = {"train", "run.yaml", "--run", "run", NULL};

    (void)unused;
    folder_make_in_memory(room);
    assert_int_equal(chdir(room), 0);
    write_text("run.yaml", small_run);
    flipped_run(command_prepare, 20, prepare);
    flipped_run(command_train, 4, train);
    manifest_folder(last, "run/checkpoints", DELTA);
    return 0;
}

/* ---- a file ---- */

static inline void flipped_open(flipped_file *f, int64_t step, const char *name)
{
    char        folder[CONFIG_PATH_MAX];
    struct stat st;

    manifest_folder(folder, "run/checkpoints", step);
    snprintf(f->path, sizeof f->path, "%s/%s", folder, name);
    int fd = open(f->path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    f->size = (size_t)st.st_size;
    f->at   = mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(f->at != MAP_FAILED);
    close(fd);
}

static inline void flipped_close(flipped_file *f)
{
    munmap(f->at, f->size);
}

static inline err_t flipped_verify(const char *folder)
{
    return checkpoint_verify(folder, true, NULL);
}

/* Flip the bits first, first + stride, ... below end, one at a time; this process's share. How
 * many it were. */
static inline size_t flip_each(const flipped_file *f, flipped_reader *read, size_t first,
                               size_t end, size_t stride)
{
    size_t n = 0;

    for (size_t bit = first + flip_share * stride; bit < end;
         bit += flip_shares * stride, n++) {
        unsigned char mask = (unsigned char)(1 << bit % 8);
        f->at[bit / 8] ^= mask;
        if (read(last) == OK)
            fail_msg("%s: nobody notices that bit %zu is flipped", f->path, bit);
        if (!strstr(err_text(), f->path))
            fail_msg("%s, bit %zu: '%s' does not name the file", f->path, bit, err_text());
        f->at[bit / 8] ^= mask;
    }
    return n;
}

static const char *const flipped_names[FLIPPED_FILES] = {"manifest.json", "dense.safetensors",
                                                         "shard-0000-of-0001.safetensors"};

/* Bytes of the header of a safetensors file. */
static inline size_t flipped_header(const flipped_file *f)
{
    uint64_t n;

    memcpy(&n, f->at, sizeof n);
    return sizeof n + (size_t)n;
}

/* One bit in `front` of a manifest, of dense weights, and of a shard's header; one in `rest` of
 * what follows it. */
static inline void flip_file(int64_t step, const char *name, size_t front, size_t rest)
{
    flipped_file f;

    flipped_open(&f, step, name);
    size_t bits = f.size * 8, head = strncmp(name, "shard", 5) ? bits : flipped_header(&f) * 8;
    size_t n = flip_each(&f, manifest_verify_all, 0, head, front);
    n += flip_each(&f, manifest_verify_all, head, bits, rest);
    printf("%s: of %zu bits one in %zu of the first %zu, one in %zu of the rest: %zu flips\n",
           f.path, bits, front, head, rest, n);
    fflush(stdout);
    flipped_close(&f);
}

#endif
