/* vec - arrays that grow.
 *
 *     VEC(uint64_t) ids = {0};
 *     TRY(vec_push(&ids, id));        ids.at[0 .. ids.n-1]
 *     vec_clear(&ids);
 *
 * Growth doubles; a grown array moves, so keep indices rather than pointers. */
#ifndef DIPS_COMMON_VEC_H
#define DIPS_COMMON_VEC_H

#include <stdlib.h>

#include "common/err.h"

#define VEC(type)                                                                              \
    struct {                                                                                   \
        type  *at;                                                                             \
        size_t n, capacity;                                                                    \
    }

/* Room for at least need elements of size bytes. Use vec_reserve. */
MUST_CHECK err_t vec_grow(void *at, size_t *capacity, size_t size, size_t need);

#define vec_reserve(v, need)                                                                   \
    ((need) <= (v)->capacity ? OK                                                              \
                             : vec_grow(&(v)->at, &(v)->capacity, sizeof *(v)->at, (need)))

#define vec_push(v, element)                                                                   \
    (vec_reserve((v), (v)->n + 1) == OK ? ((v)->at[(v)->n++] = (element), OK) : ERR_MEMORY)

#define vec_clear(v) (free((v)->at), (v)->at = NULL, (v)->n = (v)->capacity = 0)

#endif
