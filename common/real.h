/* real - the number that rows, weights and activations are made of.
 *
 * float in the product. The gradient tests build the same sources with
 * -DDIPS_REAL=double (CMake), where a comparison is sharp; rows, wire and files
 * are F64 then, and the two builds refuse each other's files and messages. */
#ifndef DIPS_COMMON_REAL_H
#define DIPS_COMMON_REAL_H

#include <math.h>

#ifdef DIPS_REAL_IS_DOUBLE
typedef double real;
#define REAL_NAME "double"
#define REAL_EPSILON 2.2204460492503131e-16
#define log1p_real(x) log1p(x)
#define sqrt_real(x) sqrt(x)
#define fabs_real(x) fabs(x)
#define fmax_real(x, y) fmax(x, y)
#else
typedef float real;
#define REAL_NAME "float"
#define REAL_EPSILON 1.1920929e-7f
#define log1p_real(x) log1pf(x)
#define sqrt_real(x) sqrtf(x)
#define fabs_real(x) fabsf(x)
#define fmax_real(x, y) fmaxf(x, y)
#endif

#endif
