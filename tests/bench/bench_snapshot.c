/* bench_snapshot FOLDER [ROWS [DIM [PRECISION]]] - how fast a shard's part of a checkpoint is
 * written and read, beside a plain write of as many bytes to the same disk in the same run
 * (what `dd conv=fdatasync` does), and what memory that takes beyond the rows. */
#include <sys/stat.h>

#include "ps/snapshot.h"
#include "tests/bench/disk_bench.h"

#define ROUNDS 3

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
    char                  path[4096];
    table                 t, again;
    safetensors_digest    digest;

    snprintf(path, sizeof path, "%s/shard-0000-of-0001.safetensors", folder);
    must(table_init(&t, &s->tables[0], 1, NULL, 0, HASH_BUCKETS));
    int64_t began = now();
    fill_table(&t, rows);
    double filled = seconds_since(began), held = status_bytes("VmRSS");
    printf("%llu rows in %.1f MB, born at %.2f M rows/s\n", (unsigned long long)rows,
           (double)row_store_bytes(t.rows) * 1e-6, (double)rows / filled * 1e-6);
    printf("%8s %10s %10s %10s %10s %14s\n", "", "MB", "write", "plain", "ratio", "of a core");
    for (int i = 0; i < ROUNDS; i++) {
        double cpu = process_seconds();
        began      = now();
        must(snapshot_write(folder, 0, 1, &t, 1, &digest));
        double wrote = seconds_since(began), mb = (double)digest.bytes * 1e-6;
        cpu       = process_seconds() - cpu;
        double dd = plain_write(folder, digest.bytes);
        printf("%8s %10.1f %5.0f MB/s %5.0f MB/s %10.2f %9.0f MB/s\n", "write", mb, mb / wrote,
               mb / dd, dd / wrote, mb / cpu);
    }
    printf("memory beyond the rows while writing: %.1f MB\n",
           (status_bytes("VmHWM") - held) * 1e-6);
    table_clear(&t);
    for (int i = 0; i < ROUNDS; i++) {
        must(table_init(&again, &s->tables[0], 1, NULL, 0, HASH_BUCKETS));
        if (i > 0)
            forget_file(path);
        double cpu = process_seconds();
        began      = now();
        must(snapshot_read(folder, UINT32_MAX, 1, whole, &again, 1));
        double took = seconds_since(began), mb = (double)digest.bytes * 1e-6;
        cpu = process_seconds() - cpu;
        printf(
            "%8s %10.1f %5.0f MB/s, %.2f M rows/s %-13s %18.0f MB/s; most resident %.1f MB\n",
            "read", mb, mb / took, (double)rows / took * 1e-6,
            i > 0 ? "from the disk" : "cached", mb / cpu, status_bytes("VmHWM") * 1e-6);
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
