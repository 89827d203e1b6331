/* fuzz_dataset - any bytes as a data shard: refused with a sentence, or every sample of it
 * comes out as a batch whose offsets hold. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "worker/data/dataset.h"
#include "worker/data/id_set.h"

#define MAX_SAMPLES 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static table_config    configs[]   = {{.name = "user"}, {.name = "goods"}};
static schema_table    tables[]    = {{&configs[0], 1}, {&configs[1], 2}};
static schema_slot     slots[]     = {{.name = "user", .table = 0, .sequence = -1},
                                      {.name = "goods", .table = 1, .sequence = -1},
                                      {.name = "tags", .sequence = -1, .pool = POOL_SUM},
                                      {.name = "history.goods", .table = 1, .sequence = 0},
                                      {.name = "history.tags", .sequence = 0, .pool = POOL_MEAN}};
static schema_sequence sequences[] = {{.name = "history", .max_len = 3, .timed = true}};
static schema_float floats[] = {{.name = "price", .width = 1}, {.name = "shape", .width = 2}};
static schema       world    = {.n_tables    = 2,
                                .n_slots     = 5,
                                .n_sequences = 1,
                                .n_floats    = 2,
                                .tables      = tables,
                                .slots       = slots,
                                .sequences   = sequences,
                                .floats      = floats};

static void require(int holds)
{
    if (!holds)
        abort();
}

static void check_batch(const batch *b, const id_set *sets)
{
    int events = b->sequences[0].events;

    require(b->sequences[0].offsets[b->B] == events && events <= 3 * b->B);
    for (int i = 0; i < world.n_slots; i++) {
        const batch_slot *s = &b->slots[i];
        require(s->rows == (slots[i].sequence < 0 ? b->B : events));
        require(!s->offsets ? s->n == s->rows
                            : s->offsets[0] == 0 && s->offsets[s->rows] == s->n);
        for (int j = 0; j < s->n; j++)
            require(sets[slots[i].table].ids[s->distinct[j]] == s->ids[j]);
    }
    for (int i = 0; i < b->B; i++)
        require((b->label[i] == 0 || b->label[i] == 1) && (!b->weight || b->weight[i] >= 0));
}

static void read_samples(const dataset *d)
{
    uint64_t  samples[MAX_SAMPLES], all = dataset_samples(d);
    int       n     = all < MAX_SAMPLES ? (int)all : MAX_SAMPLES;
    arena     a     = {0};
    id_maker *maker = NULL;
    id_set    sets[2];
    batch     b;

    for (int i = 0; i < n; i++) /* the last ones, last first */
        samples[i] = all - 1 - (uint64_t)i;
    require(id_maker_new(&maker, &world, 2) == OK);
    if (dataset_batch(d, samples, n, 0, &a, &b) == OK) {
        require(id_maker_make(maker, &b, &a, sets) == OK);
        check_batch(&b, sets);
    }
    id_maker_free(&maker);
    arena_clear(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dataset *d;
    char     path[64];
    int      file = memfd_create("shard", MFD_CLOEXEC);

    require(file >= 0 && write(file, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (dataset_open(&d, &world, &(config_names){1, (char *[]){path}}, true) == OK)
        read_samples(d);
    else
        require(!d && *err_text());
    dataset_close(&d);
    close(file);
    return 0;
}
