/* The elements of a tensor, and what they are of. */
#include "common/safetensors.h"

#include <assert.h>
#include <math.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensors are little-endian and read as they are");

/* ---- dtypes ---- */

static const struct {
    const char *name;
    size_t      size;
    bool        integer;
} dtypes[] = {
    /* clang-format off */
    [DTYPE_F64]  = {"F64",  8, false},
    [DTYPE_I64]  = {"I64",  8, true},
    [DTYPE_U64]  = {"U64",  8, true},
    [DTYPE_F32]  = {"F32",  4, false},
    [DTYPE_I32]  = {"I32",  4, true},
    [DTYPE_U32]  = {"U32",  4, true},
    [DTYPE_F16]  = {"F16",  2, false},
    [DTYPE_BF16] = {"BF16", 2, false},
    [DTYPE_I16]  = {"I16",  2, true},
    [DTYPE_U16]  = {"U16",  2, true},
    [DTYPE_I8]   = {"I8",   1, true},
    [DTYPE_U8]   = {"U8",   1, true},
    [DTYPE_BOOL] = {"BOOL", 1, true},
    /* clang-format on */
};

#define N_DTYPES ((int)(sizeof dtypes / sizeof *dtypes))

size_t dtype_size(dtype type)
{
    return dtypes[type].size;
}

const char *dtype_name(dtype type)
{
    return dtypes[type].name;
}

bool dtype_is_integer(dtype type)
{
    return dtypes[type].integer;
}

int dtype_find(const char *name)
{
    for (int i = 0; i < N_DTYPES; i++)
        if (!strcmp(dtypes[i].name, name))
            return i;
    return -1;
}

/* ---- elements ---- */

/* The element of type type at index i of unaligned bytes from. */
#define LOAD(type, from, i)                                                                    \
    __extension__({                                                                            \
        type value_;                                                                           \
        memcpy(&value_, (const char *)(from) + (i) * sizeof value_, sizeof value_);            \
        value_;                                                                                \
    })

/* IEEE 754 half precision: 1 sign, 5 exponent (bias 15), 10 fraction. */
static double half_to_double(uint16_t h)
{
    int    exponent = h >> 10 & 31;
    double fraction = h & 1023;
    double value    = exponent == 31  ? (fraction != 0 ? (double)NAN : (double)INFINITY)
                      : exponent == 0 ? ldexp(fraction, -24)
                                      : ldexp(fraction + 1024, exponent - 25);
    return h >> 15 ? -value : value;
}

/* bfloat16 is the upper half of a float. */
static double bfloat_to_double(uint16_t b)
{
    uint32_t bits = (uint32_t)b << 16;
    return (double)LOAD(float, &bits, 0);
}

uint64_t safetensors_get_u64(const safetensors_tensor *t, uint64_t i)
{
    assert(i < t->count && dtype_is_integer(t->type));
    switch (t->type) {
    case DTYPE_I64:
    case DTYPE_U64:
        return LOAD(uint64_t, t->data, i);
    case DTYPE_I32:
        return (uint64_t)LOAD(int32_t, t->data, i);
    case DTYPE_U32:
        return LOAD(uint32_t, t->data, i);
    case DTYPE_I16:
        return (uint64_t)LOAD(int16_t, t->data, i);
    case DTYPE_U16:
        return LOAD(uint16_t, t->data, i);
    case DTYPE_I8:
        return (uint64_t)LOAD(int8_t, t->data, i);
    default:
        return LOAD(uint8_t, t->data, i);
    }
}

double safetensors_get_double(const safetensors_tensor *t, uint64_t i)
{
    assert(i < t->count);
    switch (t->type) {
    case DTYPE_F64:
        return LOAD(double, t->data, i);
    case DTYPE_F32:
        return (double)LOAD(float, t->data, i);
    case DTYPE_F16:
        return half_to_double(LOAD(uint16_t, t->data, i));
    case DTYPE_BF16:
        return bfloat_to_double(LOAD(uint16_t, t->data, i));
    case DTYPE_I64:
    case DTYPE_I32:
    case DTYPE_I16:
    case DTYPE_I8:
        return (double)(int64_t)safetensors_get_u64(t, i);
    default:
        return (double)safetensors_get_u64(t, i);
    }
}

/* n elements from first on lie within t, without an overflow of the sum. */
static bool within(const safetensors_tensor *t, uint64_t first, uint64_t n)
{
    return first <= t->count && n <= t->count - first;
}

void safetensors_copy_u64(uint64_t *to, const safetensors_tensor *t, uint64_t first, uint64_t n)
{
    assert(within(t, first, n));
    if (n == 0)
        return;
    if (t->type == DTYPE_U64 || t->type == DTYPE_I64) {
        memcpy(to, (const char *)t->data + first * sizeof *to, n * sizeof *to);
        return;
    }
    for (uint64_t i = 0; i < n; i++)
        to[i] = safetensors_get_u64(t, first + i);
}

void safetensors_copy_real(real *to, const safetensors_tensor *t, uint64_t first, uint64_t n)
{
    assert(within(t, first, n));
    if (n == 0)
        return;
    if (t->type == DTYPE_REAL) {
        memcpy(to, (const char *)t->data + first * sizeof *to, n * sizeof *to);
        return;
    }
    for (uint64_t i = 0; i < n; i++)
        to[i] = (real)safetensors_get_double(t, first + i);
}
