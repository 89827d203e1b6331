#include "common/vec.h"

#include <stdint.h>
#include <string.h>

err_t vec_grow(void *at, size_t *capacity, size_t size, size_t need)
{
    void  *old, *grown;
    size_t want = *capacity < 8 ? 8 : *capacity * 2;

    if (want < need)
        want = need;
    if (want > SIZE_MAX / size)
        return err_memory(SIZE_MAX, "an array");
    memcpy(&old, at, sizeof old);
    grown = realloc(old, want * size);
    if (!grown)
        return err_memory(want * size, "an array");
    memcpy(at, &grown, sizeof grown);
    *capacity = want;
    return OK;
}
