/* What a store of so many rows will take, by the shapes of what they lie in. */
#include "ps/row_store_state.h"

#include <math.h>

/* The bytes of a full directory and of those that it has outgrown. */
static uint64_t directory_bytes(uint32_t n_blocks)
{
    uint32_t length = 4;

    while (length < n_blocks)
        length *= 2;
    return 2 * length * sizeof(uint32_t);
}

/* An array just long enough for n elements. */
static slab_array shortest(slab_shape shape, uint32_t n)
{
    return (slab_array){.n_blocks = n ? slab_array_block(shape, n - 1) + 1 : 0};
}

/* Rows of the bucket where there are `mean` of them in the mean: one of eight equally
 * frequent numbers of the normal distribution with the variance of Poisson's. */
static uint32_t rows_of_bucket(uint32_t bucket_number, double mean)
{
    static const double octile[] = {-1.534, -.887, -.489, -.157, .157, .489, .887, 1.534};
    double              n        = mean + octile[bucket_number / 8 % 8] * sqrt(mean);

    return n > 0 ? (uint32_t)ceil(n) : 0;
}

/* Of so many rows in a bucket in the mean; even: in each. */
static uint64_t plan_bytes(double mean, bool even, int reals)
{
    size_t   size      = sizeof(row) + (size_t)reals * sizeof(real);
    uint64_t row_bytes = 0, group_bytes = 0, directories = 0;
    uint32_t in_lane = 0;

    for (uint32_t b = 0; b < HASH_BUCKETS; b++) {
        uint32_t   n      = even ? (uint32_t)mean : rows_of_bucket(b, mean);
        slab_array groups = {0}, runs = shortest(run_shape, n);
        while (room_of(b, n_groups(&groups)) < n)
            groups = shortest(group_shape, more_groups(n_groups(&groups)));
        group_bytes += n_groups(&groups) * sizeof(group);
        directories += n ? directory_bytes(runs.n_blocks) : 0;
        in_lane += slab_array_length(&runs, run_shape);
        if ((b + 1) % (HASH_BUCKETS / STORE_LANES))
            continue;
        slab_array all = shortest(lane_shape, in_lane);
        row_bytes += (uint64_t)slab_array_length(&all, lane_shape) * size;
        in_lane = 0;
    }
    return sizeof(row_store) + slab_ready_bytes(row_bytes) + slab_ready_bytes(group_bytes) +
           slab_page_bytes(directories);
}

uint64_t row_store_plan_bytes(uint64_t rows, int reals)
{
    return plan_bytes((double)rows / HASH_BUCKETS, false, reals);
}

uint64_t row_store_full_bytes(uint32_t bucket_rows, int reals)
{
    return plan_bytes(bucket_rows, true, reals);
}
