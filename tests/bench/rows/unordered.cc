#include "tests/bench/rows/contender.h"

#include <cstring>
#include <new>
#include <unordered_map>
#include <vector>

namespace {

struct unordered {
    size_t                                          dim;
    std::unordered_map<uint64_t, std::vector<real>> rows;
};

bool fill(void *self, const uint64_t *ids, size_t n) noexcept
{
    unordered *u = static_cast<unordered *>(self);

    try {
        for (size_t i = 0; i < n; i++)
            u->rows.try_emplace(ids[i], u->dim + 1);
    } catch (const std::bad_alloc &) {
        return false;
    }
    return true;
}

void gather(void *self, const uint64_t *ids, size_t n, real *values)
{
    unordered *u = static_cast<unordered *>(self);

    for (size_t i = 0; i < n; i++)
        std::memcpy(values + i * u->dim, u->rows.find(ids[i])->second.data(),
                    u->dim * sizeof *values);
}

void update(void *self, int ticket, const uint64_t *ids, size_t n, real *g)
{
    unordered *u = static_cast<unordered *>(self);

    (void)ticket;
    for (size_t i = 0; i < n; i++) {
        real *x = u->rows.find(ids[i])->second.data();
        contender_update(x, x + u->dim, g + i * u->dim, static_cast<int>(u->dim));
    }
}

void destroy(void *self)
{
    delete static_cast<unordered *>(self);
}

} // namespace

contender contender_unordered(int dim)
{
    return {"unordered_map",
            new (std::nothrow) unordered{static_cast<size_t>(dim), {}},
            fill,
            gather,
            nullptr,
            update,
            destroy};
}
