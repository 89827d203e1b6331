/* folder - folders of a test's own, and whole small files.
 *
 * What goes wrong fails the test that asked. Include after <cmocka.h>. */
#ifndef DIPS_TESTS_FOLDER_H
#define DIPS_TESTS_FOLDER_H

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- folders ---- */

/* Make a new folder under parent, named after the program.
 *   path  room for 64 bytes; caller's */
static inline void folder_make_under(char path[64], const char *parent)
{
    snprintf(path, 64, "%s/dips-%.40s-XXXXXX", parent, program_invocation_short_name);
    assert_non_null(mkdtemp(path));
}

static inline void folder_make(char path[64])
{
    folder_make_under(path, "/tmp");
}

/* In memory where there is such a place: for tests that sync many files. */
static inline void folder_make_in_memory(char path[64])
{
    folder_make_under(path, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
}

static inline int folder_remove_one(const char *path, const struct stat *st, int kind,
                                    struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

/* Remove the folder at path with all that is in it. */
static inline void folder_remove(const char *path)
{
    assert_int_equal(nftw(path, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* Remove all that is in the folder at path. */
static inline void folder_empty(const char *path)
{
    folder_remove(path);
    assert_int_equal(mkdir(path, 0700), 0);
}

/* ---- whole small files ---- */

static inline void write_bytes(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static inline void write_text(const char *path, const char *text)
{
    write_bytes(path, text, strlen(text));
}

/* The bytes of the file at path, and a zero behind them; returned, free.
 *   n  how many; may be NULL */
static inline char *read_bytes(const char *path, size_t *n)
{
    FILE       *f = fopen(path, "rb");
    struct stat st;

    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    size_t size  = (size_t)st.st_size;
    char  *bytes = malloc(size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, size, f), size);
    fclose(f);
    bytes[size] = '\0';
    if (n)
        *n = size;
    return bytes;
}

/* Flip the bits of the byte that stands from_end bytes before the end of the file. */
static inline void flip_bits(const char *path, long from_end, int bits)
{
    FILE *f = fopen(path, "r+b");

    assert_non_null(f);
    assert_int_equal(fseek(f, -from_end, SEEK_END), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, -from_end, SEEK_END), 0);
    assert_int_equal(fputc(c ^ bits, f), c ^ bits);
    assert_int_equal(fclose(f), 0);
}

#endif
