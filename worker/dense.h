/* dense - the weights that every worker holds: names, values, gradients, updates.
 *
 * Parameters lie one after another in one buffer, in the order in which the model
 * names them; their gradients in a second of the same shape, so that one reduction and
 * one update serve all. Statistics (the moving moments of Dice and batch norm) are
 * parameters that no gradient moves: their gradient slots carry moments to be merged.
 *
 * They are reduced at once, after backward. Starting with the first weights while backward
 * works on the last would win little: two workers sum the 57 to 73 thousand weights of usual
 * models in 0.1 ms of a step of 20 ms, four times as many in 0.5 to 0.7
 * (tests/bench/bench_reduce); Open MPI hides of that 10 to 30 % where the computing thread
 * polls for it, and nothing with more workers than cores. What the phase `reduce` shows beyond
 * it is waiting for slower workers, which no overlap hides. */
#ifndef DIPS_WORKER_DENSE_H
#define DIPS_WORKER_DENSE_H

#include <stdbool.h>

#include "common/comm.h"
#include "common/config.h"
#include "common/safetensors.h"

/* First values: Xavier uniform over (fan_in, fan_out), N(0, constant^2), or a constant. */
typedef enum { FILL_XAVIER, FILL_NORMAL, FILL_CONSTANT } fill_kind;

typedef struct param {
    char      name[2 * CONFIG_NAME_MAX]; /* place in the model: mlp.0.weight */
    int       n_dims;
    int       shape[2]; /* a weight is (out, in), as PyTorch has it */
    size_t    count;
    fill_kind fill;
    double    constant;
    bool      decays;  /* dense.l2 acts on it (weights yes, biases and alphas no) */
    double    l2;      /* a lambda of its own besides; 0 unless its layer sets it */
    bool      trained; /* false: a statistic, which no gradient moves */
    real     *w;       /* (count) lent by the dense */
    real     *g;       /* (count) gradient, summed over samples */
} param;

/* Moving moments of one layer's channels: m <- momentum m + (1 - momentum) batch. A
 * forward pass in training stores its batch's count and moments; dense_reduce merges
 * them over workers, weighted by rows, and dense_update moves mean and var, unless there
 * were fewer than two rows in all. */
typedef struct moments {
    char   name[2 * CONFIG_NAME_MAX]; /* saved as NAME.mean and NAME.var */
    int    channels;
    double momentum;
    real  *mean, *var;             /* (channels) moving; lent by the dense */
    double rows;                   /* of this worker's last batch; 0: none seen */
    real  *batch_mean, *batch_var; /* (channels) of this worker's last batch */
} moments;

typedef struct dense dense;

/* No parameters yet; c is lent. dense_free. */
MUST_CHECK err_t dense_new(dense **out, const config *c);
void             dense_free(dense **d);

/* Name a parameter while the model is built; lent by d. ERR_CONFIG if the name is taken. */
MUST_CHECK err_t dense_param(dense *d, param **out, const char *name, int n_dims,
                             const int shape[2], fill_kind fill, double constant, bool decays);
MUST_CHECK err_t dense_moments(dense *d, moments **out, const char *name, int channels,
                               double momentum);

/* A vector that is saved with the rest and that no gradient moves. */
MUST_CHECK err_t dense_statistic(dense *d, param **out, const char *name, int count,
                                 double constant);

/* No more parameters: lay out the buffers and fill them by (seed, name). */
MUST_CHECK err_t dense_seal(dense *d, uint64_t seed);

int      dense_count(const dense *d);
param   *dense_at(const dense *d, int i);
param   *dense_find(const dense *d, const char *name); /* or NULL */
uint64_t dense_weights(const dense *d);                /* reals in all parameters */

void dense_clear_gradients(dense *d);

/* What the workers decide together about a step. In: this worker's part; out: all. */
typedef struct dense_step {
    double samples; /* sum of weights */
    double loss;    /* summed over samples */
    double auxiliary; /* likewise, of what is minimized besides */
    int    bad;     /* workers with a gradient that is not finite (in: 0 or 1) */
    int    interrupted, terminated; /* workers that got a signal (in: 0 or 1) */
} dense_step;

/* Collective: sum gradients, moments, and *step over the workers, in one reduction; then
 * average the gradients over step->samples. */
MUST_CHECK err_t dense_reduce(dense *d, comm *workers, dense_step *step);

/* Clip, add dense.l2, and update all parameters as of step; move the moments. The same on
 * every worker. A step with bad > 0 or no samples must not be applied: do not call. */
void dense_update(dense *d, int64_t step);

/* True unless a gradient of this worker is infinite or NaN. */
bool dense_finite(const dense *d);

/* XXH3 of all weights: equal on all workers unless something is broken. */
uint64_t dense_hash(const dense *d);

/* All parameters, optimizer state and moments as they are now, to be written later, and by any
 * thread; dense_image_free. */
typedef struct dense_image dense_image;
MUST_CHECK err_t dense_copy(dense_image **out, const dense *d);
MUST_CHECK err_t dense_image_save(const dense_image *x, const char *path,
                                  safetensors_digest *digest);
void             dense_image_free(dense_image **x);

/* Write path with all of them. */
MUST_CHECK err_t dense_save(const dense *d, const char *path, safetensors_digest *digest);

/* What dense_take did about a parameter. */
typedef enum {
    DENSE_TAKEN,
    DENSE_TAKEN_ANEW, /* its value; the optimizer's state begins anew */
    DENSE_NOT_THERE,
    DENSE_NOT_WANTED,
} dense_taking;

/* Take over from path, a file of another run, the parameters that wanted(self, name) says
 * (statistics among them), with their optimizer's state where with_state. taken
 * (dense_count), or NULL. ERR_CONFIG names one that has another shape there; then some are
 * taken and others not. */
MUST_CHECK err_t dense_take(dense *d, const char *path, bool with_state,
                            bool (*wanted)(const void *self, const char *name),
                            const void *self, dense_taking *taken);

/* Restore from path; ERR_FORMAT names a tensor that is missing or of another shape. */
MUST_CHECK err_t dense_load(dense *d, const char *path);

#endif
