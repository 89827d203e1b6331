#include "common/bucket_offsets.h"

#include <inttypes.h>

#include "common/hash.h"

err_t bucket_offsets_expect(const safetensors_tensor **out, const safetensors *file,
                            const char *name, uint64_t n, uint32_t first, uint32_t end)
{
    const char *path   = safetensors_path(file);
    uint64_t    before = 0;

    TRY(safetensors_expect(out, file, name, DTYPE_U64, 1, &(uint64_t){HASH_BUCKETS + 1}));
    for (uint32_t b = 0; b <= HASH_BUCKETS; b++) {
        uint64_t here = safetensors_get_u64(*out, b);
        if (here < before || (b == 0 && here != 0))
            return err_set(ERR_FORMAT, "%s: %s[%u] is %" PRIu64 " after %" PRIu64, path, name,
                           b, here, before);
        if (here > before && (b <= first || b > end))
            return err_set(ERR_FORMAT, "%s: %s has rows of bucket %u, which is not the shard's",
                           path, name, b - 1);
        before = here;
    }
    if (before != n)
        return err_set(ERR_FORMAT, "%s: %s ends with %" PRIu64 ", there are %" PRIu64 " ids",
                       path, name, before, n);
    return OK;
}
