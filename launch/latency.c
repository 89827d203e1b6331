#include "launch/latency.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/log.h"

err_t latency_add(latency *l, int64_t reading, int64_t ranking, int candidates)
{
    if (vec_push(&l->taken, reading + ranking) != OK)
        return err_memory(sizeof *l->taken.at, "the times of requests");
    l->reading += reading;
    l->candidates += (uint64_t)candidates;
    return OK;
}

void latency_clear(latency *l)
{
    vec_clear(&l->taken);
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

/* The time, in ms, that this share of the requests did not exceed (nearest rank). */
static double quantile(const latency *l, double share)
{
    size_t rank = (size_t)(share * (double)l->taken.n + 0.999999);

    return (double)l->taken.at[rank > 0 ? rank - 1 : 0] * 1e-6;
}

void latency_print(latency *l)
{
    size_t n = l->taken.n;

    if (n == 0)
        return;
    qsort(l->taken.at, n, sizeof *l->taken.at, by_time);
    log_once(
        LOG_INFO,
        "%zu request%s of %.4g candidates: p50 %.2f ms, p90 %.2f, p99 %.2f, max %.2f; of it "
        "%.2f ms to read the request",
        n, n == 1 ? "" : "s", (double)l->candidates / (double)n, quantile(l, 0.5),
        quantile(l, 0.9), quantile(l, 0.99), quantile(l, 1),
        (double)l->reading * 1e-6 / (double)n);
}
