/* Any bytes as a safetensors file: as they are, and with a header length that fits, so
 * that changes of the JSON's length reach the checks behind it. Whatever is accepted must
 * be readable to its last element. */
#include <stdlib.h>
#include <string.h>

#include "common/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;

static void read_everything(const safetensors *file)
{
    for (int i = 0; i < safetensors_count(file); i++) {
        const safetensors_tensor *t = safetensors_at(file, i);
        if (safetensors_find(file, t->name) != t)
            abort();
        for (uint64_t k = 0; k < t->count; k++) {
            sink += safetensors_get_double(t, k) > 0;
            sink += dtype_is_integer(t->type) ? safetensors_get_u64(t, k) : 0;
        }
        for (uint64_t k = 0; k < t->count; k += 7) {
            real     x[7];
            uint64_t u[7], n = t->count - k < 7 ? t->count - k : 7;
            safetensors_copy_real(x, t, k, n);
            if (dtype_is_integer(t->type))
                safetensors_copy_u64(u, t, k, n);
        }
    }
    sink += safetensors_metadata(file, "format") != NULL;
}

static void open_and_read(const uint8_t *data, size_t size)
{
    safetensors *file;

    if (safetensors_open_memory(&file, "fuzz", data, size) != OK)
        return;
    read_everything(file);
    safetensors_close(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t length = size;

    open_and_read(data, size);
    while (length > 8 && data[length - 1] != '}')
        length--;
    if (length <= 8)
        return 0;
    uint8_t *repaired = malloc(size);
    if (!repaired)
        return 0;
    length -= 8;
    memcpy(repaired, data, size);
    memcpy(repaired, &length, 8);
    open_and_read(repaired, size);
    free(repaired);
    return 0;
}
