/* bench_snapshot FOLDER [ROWS [DIM [PRECISION]]] - how fast a shard's part of a checkpoint is
 * written and read, beside a plain write of as many bytes to the same disk in the same run
 * (what `dd conv=fdatasync` does), and what memory that takes beyond the rows. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/hash.h"
#include "ps/snapshot.h"

#define ROUNDS 3
#define BLOCK  ((size_t)1 << 20)

static void must(err_t err)
{
    if (err == OK)
        return;
    fprintf(stderr, "bench_snapshot: %s\n", err_text());
    exit(1);
}

static double seconds_since(int64_t since)
{
    return clock_seconds(clock_monotonic(), since);
}

/* Of all threads of this process, so far. */
static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int64_t now(void)
{
    return clock_now(clock_monotonic());
}

/* A number of /proc/self/status in MB. */
static double status_mb(const char *key)
{
    char   line[256];
    double kb = 0;
    FILE  *f  = fopen("/proc/self/status", "r");

    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key)))
            kb = strtod(line + strlen(key) + 1, NULL);
    if (f)
        fclose(f);
    return kb * 1024e-6;
}

static void fill(table *t, uint64_t rows)
{
    uint64_t ids[1024];
    uint32_t numbers[1024];

    for (uint64_t first = 0; first < rows; first += 1024) {
        size_t n = rows - first < 1024 ? (size_t)(rows - first) : 1024;
        for (size_t i = 0; i < n; i++)
            ids[i] = hash_mix(first + i + 1);
        must(table_bear(t, ids, n, numbers));
    }
}

/* Seconds of a plain write of bytes, to the disk. */
static double plain_write(const char *path, uint64_t bytes)
{
    char   *block = malloc(BLOCK);
    int64_t began = now();
    int     fd    = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

    if (!block || fd < 0)
        exit(1);
    for (size_t i = 0; i < BLOCK / 8; i++)
        ((uint64_t *)(void *)block)[i] = hash_mix(i);
    for (uint64_t at = 0; at < bytes; at += BLOCK)
        if (write(fd, block, bytes - at < BLOCK ? (size_t)(bytes - at) : BLOCK) < 0)
            exit(1);
    fdatasync(fd);
    double seconds = seconds_since(began);
    close(fd);
    unlink(path);
    free(block);
    return seconds;
}

/* The file leaves the page cache, so that it is read from the disk. */
static void forget_file(const char *path)
{
    int fd = open(path, O_RDONLY);

    if (fd < 0)
        return;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

static void run(const char *folder, uint64_t rows, const schema *s)
{
    static const uint32_t whole[] = {0, HASH_BUCKETS};
    char                  path[4096], plain[4096];
    table                 t, again;
    safetensors_digest    digest;

    snprintf(path, sizeof path, "%s/shard-0000-of-0001.safetensors", folder);
    snprintf(plain, sizeof plain, "%s/plain", folder);
    must(table_init(&t, &s->tables[0], 1, NULL, 0, HASH_BUCKETS));
    int64_t began = now();
    fill(&t, rows);
    double filled = seconds_since(began), held = status_mb("VmRSS");
    printf("%llu rows in %.1f MB, born at %.2f M rows/s\n", (unsigned long long)rows,
           (double)row_store_bytes(t.rows) * 1e-6, (double)rows / filled * 1e-6);
    printf("%8s %10s %10s %10s %10s %14s\n", "", "MB", "write", "plain", "ratio", "of a core");
    for (int i = 0; i < ROUNDS; i++) {
        double cpu = cpu_seconds();
        began      = now();
        must(snapshot_write(folder, 0, 1, &t, 1, &digest));
        double wrote = seconds_since(began), mb = (double)digest.bytes * 1e-6;
        cpu       = cpu_seconds() - cpu;
        double dd = plain_write(plain, digest.bytes);
        printf("%8s %10.1f %5.0f MB/s %5.0f MB/s %10.2f %9.0f MB/s\n", "write", mb, mb / wrote,
               mb / dd, dd / wrote, mb / cpu);
    }
    printf("memory beyond the rows while writing: %.1f MB\n", status_mb("VmHWM") - held);
    table_clear(&t);
    for (int i = 0; i < ROUNDS; i++) {
        must(table_init(&again, &s->tables[0], 1, NULL, 0, HASH_BUCKETS));
        if (i > 0)
            forget_file(path);
        double cpu = cpu_seconds();
        began      = now();
        must(snapshot_read(folder, UINT32_MAX, 1, whole, &again, 1));
        double took = seconds_since(began), mb = (double)digest.bytes * 1e-6;
        cpu = cpu_seconds() - cpu;
        printf("%8s %10.1f %5.0f MB/s, %.2f M rows/s %-13s %18.0f MB/s; most resident %.1f MB\n",
               "read", mb, mb / took, (double)rows / took * 1e-6,
               i > 0 ? "from the disk" : "cached", mb / cpu, status_mb("VmHWM"));
        table_clear(&again);
    }
    unlink(path);
}

int main(int argc, char **argv)
{
    char     yaml[256];
    config  *c;
    schema  *s;
    uint64_t rows = argc > 2 ? strtoull(argv[2], NULL, 10) : 2000000;

    if (argc < 2) {
        fprintf(stderr, "usage: bench_snapshot FOLDER [ROWS [DIM [fp32|bf16]]]\n");
        return 2;
    }
    snprintf(yaml, sizeof yaml,
             "tables: {t: {dim: %s, precision: %s}}\nfeatures: {f: {table: t}}\n",
             argc > 3 ? argv[3] : "16", argc > 4 ? argv[4] : "fp32");
    must(config_parse(&c, "bench", yaml, strlen(yaml), 0, NULL));
    must(schema_new(&s, c));
    mkdir(argv[1], 0777);
    run(argv[1], rows, s);
    schema_free(&s);
    config_free(&c);
    return 0;
}
