/* product_bf16 by AMX: eight registers that are tiles of 16 rows of 64 bytes. An instruction
 * adds to 16 x 16 sums the products of 16 rows of A and 16 columns of B over 32 steps of K. A
 * block of 2 x 2 tiles of sums loads a tile for each product, the fewest that eight registers
 * allow.
 *
 * The kernel keeps tiles of a thread through a change of threads only while they are in use, so
 * each product sets their shapes and gives them back: some 0.2 us. */
#include "worker/kernels/product_bf16_paths.h"

#ifdef BF16_INSTRUCTIONS

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TARGET __attribute__((target("amx-tile,amx-bf16")))
#define TILE   16 /* rows and columns of sums */
#define DEPTH  32 /* steps of K */
#define BLOCK  (2 * TILE)

/* GCC's intrinsics do not say that they read memory. */
#define MEMORY_IS_READ() __asm__ volatile("" ::: "memory")

/* ---- whether ---- */

/* The tile registers' contents in the state that the kernel saves, and the request for them. */
#define STATE_TILES     18
#define REQUEST_STATE   0x1023
#define CPUID_AMX_BF16  (1u << 22)
#define CPUID_AMX_TILES (1u << 24)

static bool cpu_has_tiles(void)
{
    unsigned a, b, c, d, both = CPUID_AMX_BF16 | CPUID_AMX_TILES;

    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & both) == both;
}

bool bf16_has_tiles(void)
{
#if defined(__linux__) && defined(SYS_arch_prctl)
    return cpu_has_tiles() && syscall(SYS_arch_prctl, REQUEST_STATE, STATE_TILES) == 0;
#else
    return false;
#endif
}

/* ---- shapes ---- */

/* As the instruction wants it. */
typedef struct tile_shapes {
    uint8_t  palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t  rows[16];
} tile_shapes;

_Static_assert(sizeof(tile_shapes) == 64, "the shapes of tiles are 64 bytes");

static const tile_shapes all_whole = {
    .palette   = 1,
    .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
    .rows      = {TILE, TILE, TILE, TILE, TILE, TILE, TILE, TILE},
};

/* ---- a block of sums ---- */

/* Where its sums come from (NULL: they begin as 0) and go to; strides in bytes. */
typedef struct sums_place {
    const float *from;
    float       *to;
    size_t       from_stride, to_stride;
} sums_place;

/* Where in the block tile (row, column) begins. */
static inline const float *from_tile(const sums_place *s, int row, int column)
{
    return (const float *)((const char *)s->from + (size_t)row * TILE * s->from_stride) +
           column * TILE;
}

static inline float *to_tile(const sums_place *s, int row, int column)
{
    return (float *)((char *)s->to + (size_t)row * TILE * s->to_stride) + column * TILE;
}

/* Registers: sums 0 1 / 2 3, rows of A 4 / 5, columns of B 6 7; the intrinsics want their
 * numbers written out. */
TARGET INLINE void sums_begin(const sums_place *s, const bool two_rows, const bool two_columns)
{
    if (!s->from) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        return;
    }
    _tile_loadd(0, from_tile(s, 0, 0), s->from_stride);
    if (two_columns)
        _tile_loadd(1, from_tile(s, 0, 1), s->from_stride);
    if (two_rows)
        _tile_loadd(2, from_tile(s, 1, 0), s->from_stride);
    if (two_rows && two_columns)
        _tile_loadd(3, from_tile(s, 1, 1), s->from_stride);
}

TARGET INLINE void sums_end(const sums_place *s, const bool two_rows, const bool two_columns)
{
    _tile_stored(0, to_tile(s, 0, 0), s->to_stride);
    if (two_columns)
        _tile_stored(1, to_tile(s, 0, 1), s->to_stride);
    if (two_rows)
        _tile_stored(2, to_tile(s, 1, 0), s->to_stride);
    if (two_rows && two_columns)
        _tile_stored(3, to_tile(s, 1, 1), s->to_stride);
}

TARGET INLINE void sums_add(bf16_left A, bf16_right B, int K, const bool two_rows,
                            const bool two_columns)
{
    size_t a_stride = (size_t)A.stride * sizeof *A.at,
           b_stride = (size_t)B.stride * sizeof *B.at;

    for (int k = 0; k < K; k += DEPTH) {
        const uint16_t *a = A.at + k;
        const uint32_t *b = ROW(B.at, k / 2, B.stride);
        _tile_loadd(4, a, a_stride);
        _tile_loadd(6, b, b_stride);
        _tile_dpbf16ps(0, 4, 6);
        if (two_columns) {
            _tile_loadd(7, b + TILE, b_stride);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (two_rows) {
            _tile_loadd(5, ROW(a, TILE, A.stride), a_stride);
            _tile_dpbf16ps(2, 5, 6);
        }
        if (two_rows && two_columns)
            _tile_dpbf16ps(3, 5, 7);
    }
}

TARGET INLINE void block(const sums_place *s, const bf16_work *w, int m, int n,
                         const bool two_rows, const bool two_columns)
{
    sums_begin(s, two_rows, two_columns);
    for (int i = 0; i < w->n; i++) {
        bf16_left  A = w->factors[i].A;
        bf16_right B = w->factors[i].B;
        A.at         = ROW(A.at, m, A.stride);
        B.at += n;
        sums_add(A, B, w->K, two_rows, two_columns);
    }
    sums_end(s, two_rows, two_columns);
}

/* From row m and column n on. */
TARGET static void block_of(const sums_place *s, const bf16_work *w, int m, int n, int rows,
                            int columns)
{
    if (rows > TILE && columns > TILE)
        block(s, w, m, n, true, true);
    else if (rows > TILE)
        block(s, w, m, n, true, false);
    else if (columns > TILE)
        block(s, w, m, n, false, true);
    else
        block(s, w, m, n, false, false);
}

/* ---- a product ---- */

static void copy(float *to, int to_stride, const float *from, int from_stride, int rows,
                 int columns)
{
    for (int r = 0; r < rows; r++)
        memcpy(ROW(to, r, to_stride), ROW(from, r, from_stride), (size_t)columns * sizeof *to);
}

/* A block that reaches over C's edge: its sums lie beside. */
static void edge_block(const bf16_work *w, int m, int n, int rows, int columns)
{
    float            sums[BLOCK * BLOCK];
    const sums_place s = {w->first ? sums : NULL, sums, BLOCK * sizeof *sums,
                          BLOCK * sizeof *sums};

    if (w->first)
        copy(sums, BLOCK, ROW(w->first, m, w->first_stride) + n, w->first_stride, rows,
             columns);
    MEMORY_IS_READ();
    block_of(&s, w, m, n, rows, columns);
    copy(ROW(w->C, m, w->stride) + n, w->stride, sums, BLOCK, rows, columns);
}

static void whole_block(const bf16_work *w, int m, int n, int rows, int columns)
{
    const sums_place s = {
        w->first ? ROW(w->first, m, w->first_stride) + n : NULL, ROW(w->C, m, w->stride) + n,
        (size_t)w->first_stride * sizeof *w->first, (size_t)w->stride * sizeof *w->C};

    block_of(&s, w, m, n, rows, columns);
}

TARGET void bf16_by_tiles(const bf16_work *w)
{
    MEMORY_IS_READ();
    _tile_loadconfig(&all_whole);
    for (int m = 0; m < w->M; m += BLOCK)
        for (int n = 0; n < w->N; n += BLOCK) {
            int rows = least(BLOCK, w->M - m), columns = least(BLOCK, w->N - n);
            if (rows % TILE || columns % TILE)
                edge_block(w, m, n, rows, columns);
            else
                whole_block(w, m, n, rows, columns);
        }
    _tile_release();
}

#else
typedef int no_tiles; /* an empty file is no C */
#endif
