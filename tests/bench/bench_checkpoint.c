/* bench_checkpoint FOLDER [ROWS [DIM]] - how fast the tools of `dips checkpoint` go over a
 * checkpoint of one table, and what memory each takes. Every tool is a process of its own; the
 * bar is 300 MB/s for reshard. Memory: what it holds at most beyond what it began with, pages
 * of mapped files among it. */
#include <sys/resource.h>
#include <sys/wait.h>

#include "launch/checkpoint/differ.h"
#include "launch/checkpoint/rewrite.h"
#include "launch/checkpoint/target.h"
#include "launch/checkpoint/tools.h"
#include "tests/bench/bench.h"

static char     folder[CONFIG_PATH_MAX - 64];
static uint64_t rows = 2000000;
static uint64_t dim  = 16;

static void path_of(char path[CONFIG_PATH_MAX], const char *name)
{
    snprintf(path, CONFIG_PATH_MAX, "%s/%s", folder, name);
}

/* ---- a checkpoint of random rows, the same number in each bucket ---- */

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* hash_mix backwards, so that ids of a wanted bucket can be told. */
static uint64_t unmix(uint64_t x)
{
    x = x ^ (x >> 31) ^ (x >> 62);
    x *= UINT64_C(0x319642b2d24d8ec3);
    x = x ^ (x >> 27) ^ (x >> 54);
    x *= UINT64_C(0x96de1b173f119089);
    return x ^ (x >> 30) ^ (x >> 60);
}

static void fill_ids(uint64_t *ids, uint32_t bucket, size_t n, uint64_t salt)
{
    for (size_t i = 0; i < n; i++)
        ids[i] =
            unmix((uint64_t)bucket << (64 - HASH_BUCKET_BITS) | (i * 7919 + bucket)) ^ salt;
    qsort(ids, n, sizeof *ids, compare_ids);
}

static void fill_bytes(void *to, size_t bytes, uint64_t seed)
{
    for (size_t i = 0; i + 4 <= bytes; i += 4) {
        float x = (float)(hash_mix(seed + i) >> 40) * 0x1p-24f;
        memcpy((char *)to + i, &x, 4);
    }
}

static void write_rows(target *t, const row_form *form, safetensors_writer *w)
{
    size_t      each = rows / HASH_BUCKETS;
    uint64_t   *ids  = malloc(each * sizeof *ids);
    void       *columns[COLUMNS_MOST];
    list_writer x;

    (void)t;
    must(list_declare(&x, w, "goods", "", form, each * HASH_BUCKETS));
    for (int i = 0; i < form->n; i++)
        columns[i] = calloc(each, form->at[i].bytes);
    for (uint32_t b = 0; b < HASH_BUCKETS; b++) {
        bucket_rows some = {.bucket = b, .n = each, .ids = ids};
        fill_ids(ids, b, each, hash_table_salt("goods"));
        for (int i = 0; i < form->n; i++) {
            if (form->at[i].type == DTYPE_F32)
                fill_bytes(columns[i], each * form->at[i].bytes, b);
            some.columns[i] = columns[i];
        }
        must(list_add(&x, w, &some));
    }
    must(list_end(&x, w));
    for (int i = 0; i < form->n; i++)
        free(columns[i]);
    free(ids);
}

static void write_dense(const char *path, safetensors_digest *digest)
{
    safetensors_writer *w;
    int                 tensor;

    must(safetensors_create(&w, path));
    must(safetensors_declare(w, "output.bias", DTYPE_F32, 1, (uint64_t[]){1}, &tensor));
    must(safetensors_append(w, tensor, &(float){1}, sizeof(float)));
    must(safetensors_finish(&w, digest));
}

static void make(void)
{
    manifest_table      table = {"goods", (int)dim, "rowwise_adagrad"};
    manifest            m     = {.step          = 1,
                                 .shards        = 1,
                                 .real          = "float",
                                 .configuration = (char *)"none",
                                 .n_tables      = 1,
                                 .tables        = &table};
    char                path[CONFIG_PATH_MAX], file[FILE_PATH_MOST];
    target              t;
    row_form            form;
    safetensors_writer *w;

    path_of(path, "in");
    must(row_form_of(&form, &table, DTYPE_F32, DTYPE_F32));
    must(target_begin(&t, path, false, &m));
    safetensors_digest *digest = target_shard(&t, 0, file);
    must(safetensors_create(&w, file));
    write_rows(&t, &form, w);
    must(safetensors_finish(&w, digest));
    digest = target_dense(&t, file);
    write_dense(file, digest);
    must(target_finish(&t, NULL));
}

/* ---- the tools ---- */

static void tool(err_t (*run)(int, char **), int argc, char **argv)
{
    must(run(argc, argv));
}

static void reshard(void)
{
    char  in[CONFIG_PATH_MAX], out[CONFIG_PATH_MAX];
    char *words[] = {(char *)"reshard", (char *)"--shards", (char *)"8", in, out};

    path_of(in, "in");
    path_of(out, "eight");
    tool(checkpoint_reshard, 5, words);
}

static void reshard_back(void)
{
    char  in[CONFIG_PATH_MAX], out[CONFIG_PATH_MAX];
    char *words[] = {(char *)"reshard", (char *)"--shards", (char *)"3", in, out};

    path_of(in, "eight");
    path_of(out, "three");
    tool(checkpoint_reshard, 5, words);
}

static void diff(void)
{
    char  in[CONFIG_PATH_MAX], out[CONFIG_PATH_MAX];
    char *words[] = {(char *)"diff", in, out};

    path_of(in, "in");
    path_of(out, "eight");
    tool(checkpoint_diff, 3, words);
}

static void verify(void)
{
    char  in[CONFIG_PATH_MAX];
    char *words[] = {(char *)"verify", in};

    path_of(in, "eight");
    tool(checkpoint_verify_command, 2, words);
}

/* One piece of work in a process of its own; times: of the checkpoint's bytes that it goes
 * over. */
static void measure(const char *name, void (*work)(void), double bytes)
{
    struct rusage used, before;
    int64_t       since = now();
    int           status;

    getrusage(RUSAGE_SELF, &before);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stdout))
            exit(1);
        work();
        exit(0);
    }
    if (wait4(child, &status, 0, &used) != child || status != 0)
        must(err_set(ERR_DEATH, "%s ended with status %d", name, status));
    double seconds = seconds_since(since);
    printf("%-20s %7.2f s %8.0f MB/s   %6.1f MB of memory\n", name, seconds,
           bytes / seconds / 1e6, (double)(used.ru_maxrss - before.ru_maxrss) * 1024e-6);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench_checkpoint FOLDER [ROWS [DIM]]\n");
        return 2;
    }
    snprintf(folder, sizeof folder, "%s", argv[1]);
    rows         = argc > 2 ? strtoull(argv[2], NULL, 10) : rows;
    dim          = argc > 3 ? strtoull(argv[3], NULL, 10) : dim;
    double bytes = (double)rows * (8 + 4 * (double)dim + 12);
    printf("%.0f rows of %.0f weights, %.1f MB: %.0f KB in a bucket\n", (double)rows,
           (double)dim, bytes / 1e6, bytes / HASH_BUCKETS / 1e3);
    measure("made", make, bytes);
    measure("reshard 1 -> 8", reshard, bytes);
    measure("reshard 8 -> 3", reshard_back, bytes);
    measure("diff", diff, 2 * bytes);
    measure("verify", verify, bytes);
    return 0;
}
