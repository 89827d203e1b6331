/* clones - a loop built several times, for the vectors of several types of CPU.
 *
 * CLONES in front of a function makes gcc build it for 512-bit, 256-bit and plain vectors,
 * and the program take the widest that the machine has. Arithmetic loops are built with
 * -O3 besides (CMakeLists.txt). CLONES_256 leaves out the widest: for what copies rows that are
 * on their way from memory, where a load of 512 bits over two cache lines took twice as long
 * as two loads of 256. Sanitizers and clang get the plain build of the same lines. */
#ifndef DIPS_COMMON_CLONES_H
#define DIPS_COMMON_CLONES_H

#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&            \
    !defined(__SANITIZE_THREAD__) && !defined(DIPS_PLAIN_KERNELS)
#define CLONES     __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#define CLONES_256 __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define CLONES
#define CLONES_256
#endif

/* For what a cloned function calls: inside it, it is built as the function is. */
#define INLINE static inline __attribute__((always_inline))

/* INLINE for a function whose counts are constants in many callers: it stands there without
 * loops. Sanitizers check each of the numbers thus written out, for minutes and gigabytes of
 * the compiler's; they get the function once, with loops. */
#if defined(DIPS_SANITIZED) && defined(__clang__)
#define UNROLLED static __attribute__((noinline))
#elif defined(DIPS_SANITIZED)
#define UNROLLED static __attribute__((noipa)) /* nor a clone for each set of constants */
#else
#define UNROLLED INLINE
#endif

/* call(..., n), which is an INLINE function, with n as a constant where rows often have that
 * length: a loop over such a row has no loop left. Sanitizers get the loop alone. */
#ifdef DIPS_SANITIZED
#define BY_LENGTH(n, call, ...) call(__VA_ARGS__, n)
#else
#define BY_LENGTH(n, call, ...)                                                                \
    do {                                                                                       \
        switch (n) {                                                                           \
        case 8:                                                                                \
            call(__VA_ARGS__, 8);                                                              \
            break;                                                                             \
        case 12:                                                                               \
            call(__VA_ARGS__, 12);                                                             \
            break;                                                                             \
        case 16:                                                                               \
            call(__VA_ARGS__, 16);                                                             \
            break;                                                                             \
        case 18:                                                                               \
            call(__VA_ARGS__, 18);                                                             \
            break;                                                                             \
        case 32:                                                                               \
            call(__VA_ARGS__, 32);                                                             \
            break;                                                                             \
        case 64:                                                                               \
            call(__VA_ARGS__, 64);                                                             \
            break;                                                                             \
        default:                                                                               \
            call(__VA_ARGS__, n);                                                              \
        }                                                                                      \
    } while (0)
#endif

#endif
