/* disk_bench - what programs share that measure a shard's checkpoint: rows, and what the same
 * disk does with plain bytes. */
#ifndef DIPS_TESTS_BENCH_DISK_BENCH_H
#define DIPS_TESTS_BENCH_DISK_BENCH_H

#include <fcntl.h>

#include "common/hash.h"
#include "ps/table.h"
#include "tests/bench/bench.h"

/* The id of row number i. */
static inline uint64_t id_of_row(uint64_t i)
{
    return hash_mix(i + 1);
}

/* Bear rows 0 .. rows - 1. */
static inline void fill_table(table *t, uint64_t rows)
{
    uint64_t ids[1024];
    uint32_t numbers[1024];

    for (uint64_t first = 0; first < rows; first += 1024) {
        size_t n = rows - first < 1024 ? (size_t)(rows - first) : 1024;
        for (size_t i = 0; i < n; i++)
            ids[i] = id_of_row(first + i);
        must(table_bear(t, ids, n, numbers));
    }
}

/* Seconds of a plain write of so many bytes to a file of folder, and on to the disk (what `dd
 * conv=fdatasync` does). */
static inline double plain_write(const char *folder, uint64_t bytes)
{
    enum { WORDS = 1 << 17 };
    const size_t most = WORDS * sizeof(uint64_t);
    char         path[4096];
    uint64_t    *block = malloc(most);

    snprintf(path, sizeof path, "%s/plain", folder);
    if (!block)
        must(err_memory(most, "a block to write"));
    for (size_t i = 0; i < WORDS; i++)
        block[i] = hash_mix(i);
    int64_t began = now();
    int     fd    = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0)
        must(err_errno("making %s", path));
    for (uint64_t at = 0; at < bytes; at += most)
        if (write(fd, block, bytes - at < most ? bytes - at : most) < 0)
            must(err_errno("writing %s", path));
    if (fdatasync(fd) != 0)
        must(err_errno("writing %s to the disk", path));
    double seconds = seconds_since(began);
    close(fd);
    unlink(path);
    free(block);
    return seconds;
}

#endif
