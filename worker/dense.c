#include "worker/dense_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/rng.h"
#include "worker/kernels/finite.h"

#define ALIGN        64
#define STEP_NUMBERS 6 /* of a dense_step */

err_t dense_new(dense **out, const config *c)
{
    dense *d = calloc(1, sizeof *d);

    if (!d)
        return err_memory(sizeof *d, "the dense parameters");
    d->config = c;
    optim_init(&d->rule, &c->dense);
    *out = d;
    return OK;
}

void dense_free(dense **d)
{
    if (!*d)
        return;
    for (size_t i = 0; i < (*d)->params.n; i++)
        free((*d)->params.at[i]);
    for (size_t i = 0; i < (*d)->moments.n; i++)
        free((*d)->moments.at[i]);
    vec_clear(&(*d)->params);
    vec_clear(&(*d)->moments);
    free((*d)->w);
    free((*d)->g);
    free((*d)->batch);
    free((*d)->numbers);
    free((*d)->state);
    free((*d)->states);
    free(*d);
    *d = NULL;
}

/* ---- naming ---- */

err_t dense_param(dense *d, param **out, const char *name, int n_dims, const int shape[2],
                  fill_kind fill, double constant, bool decays)
{
    if (dense_find(d, name))
        return err_set(ERR_CONFIG, "two dense parameters are called %s", name);
    param *p = calloc(1, sizeof *p);
    if (!p || vec_push(&d->params, p) != OK) {
        free(p);
        return err_memory(sizeof *p, "a dense parameter");
    }
    snprintf(p->name, sizeof p->name, "%s", name);
    p->n_dims   = n_dims;
    p->shape[0] = shape[0];
    p->shape[1] = n_dims == 2 ? shape[1] : 1;
    p->count    = (size_t)p->shape[0] * (size_t)p->shape[1];
    p->fill     = fill;
    p->constant = constant;
    p->decays   = decays;
    p->trained  = true;
    d->count += p->count;
    *out = p;
    return OK;
}

err_t dense_statistic(dense *d, param **out, const char *name, int count, double constant)
{
    TRY(dense_param(d, out, name, 1, (const int[2]){count, 1}, FILL_CONSTANT, constant, false));
    (*out)->trained = false;
    return OK;
}

err_t dense_moments(dense *d, moments **out, const char *name, int channels, double momentum)
{
    char    full[sizeof((param *)0)->name];
    merged *m = calloc(1, sizeof *m);

    if (!m || vec_push(&d->moments, m) != OK) {
        free(m);
        return err_memory(sizeof *m, "moving moments");
    }
    if ((size_t)snprintf(full, sizeof full, "%s.mean", name) >= sizeof full)
        return err_set(ERR_CONFIG, "the name %s.mean is longer than %zu bytes", name,
                       sizeof full - 1);
    TRY(dense_statistic(d, &m->mean, full, channels, 0));
    snprintf(full, sizeof full, "%.*s.var", (int)sizeof full - 6, name);
    TRY(dense_statistic(d, &m->var, full, channels, 1));
    snprintf(m->at.name, sizeof m->at.name, "%s", name);
    m->at.channels = channels;
    m->at.momentum = momentum;
    *out           = &m->at;
    return OK;
}

int dense_count(const dense *d)
{
    return (int)d->params.n;
}

param *dense_at(const dense *d, int i)
{
    return d->params.at[i];
}

param *dense_find(const dense *d, const char *name)
{
    for (size_t i = 0; i < d->params.n; i++)
        if (!strcmp(d->params.at[i]->name, name))
            return d->params.at[i];
    return NULL;
}

uint64_t dense_weights(const dense *d)
{
    return d->count;
}

/* ---- laying out ---- */

/* Cleared memory for n reals, on a cache line. */
static err_t reals(real **out, size_t n)
{
    size_t bytes = (n * sizeof(real) + ALIGN) / ALIGN * ALIGN;

    *out = aligned_alloc(ALIGN, bytes);
    if (!*out)
        return err_memory(bytes, "the dense parameters");
    memset(*out, 0, bytes);
    return OK;
}

static void lay_out_moments(dense *d)
{
    real *batch = d->batch;

    for (size_t i = 0; i < d->moments.n; i++) {
        merged *m        = d->moments.at[i];
        m->at.mean       = m->mean->w;
        m->at.var        = m->var->w;
        m->at.batch_mean = batch;
        m->at.batch_var  = batch + m->at.channels;
        batch += 2 * m->at.channels;
    }
}

/* Xavier (Glorot and Bengio 2010): uniform over +-sqrt(6 / (fan_in + fan_out)). */
static double first_value(const param *p, rng *r)
{
    switch (p->fill) {
    case FILL_XAVIER:
        return sqrt(6.0 / ((double)p->shape[0] + (double)p->shape[1])) *
               (2 * rng_uniform(r) - 1);
    case FILL_NORMAL:
        return p->constant * rng_normal(r);
    case FILL_CONSTANT:
        break;
    }
    return p->constant;
}

static void fill(param *p, uint64_t seed)
{
    rng r = rng_named(seed, RNG_DENSE, hash_bytes(p->name, strlen(p->name)), 0);

    for (size_t i = 0; i < p->count; i++)
        p->w[i] = (real)first_value(p, &r);
}

static size_t state_size(const dense *d, const param *p)
{
    return p->trained ? optim_state_size(d->config->dense.kind, p->count) : 0;
}

static err_t lay_out_states(dense *d)
{
    size_t total = 0;

    for (size_t i = 0; i < d->params.n; i++)
        total += state_size(d, d->params.at[i]);
    TRY(reals(&d->states, total));
    d->state = calloc(d->params.n ? d->params.n : 1, sizeof *d->state);
    if (!d->state)
        return err_memory(d->params.n * sizeof *d->state, "the dense parameters");
    real *next = d->states;
    for (size_t i = 0; i < d->params.n; i++) {
        param *p = d->params.at[i];
        if (!p->trained)
            continue;
        d->state[i] = next;
        next += state_size(d, p);
    }
    return OK;
}

err_t dense_seal(dense *d, uint64_t seed)
{
    size_t at = 0, channels = 0;

    for (size_t i = 0; i < d->moments.n; i++)
        channels += (size_t)d->moments.at[i]->at.channels;
    TRY(reals(&d->w, d->count));
    TRY(reals(&d->g, d->count));
    TRY(reals(&d->batch, 2 * channels));
    d->numbers = calloc(STEP_NUMBERS + d->moments.n, sizeof *d->numbers);
    if (!d->numbers)
        return err_memory((STEP_NUMBERS + d->moments.n) * sizeof *d->numbers, "a reduction");
    for (size_t i = 0; i < d->params.n; i++) {
        param *p = d->params.at[i];
        p->w     = d->w + at;
        p->g     = d->g + at;
        at += p->count;
        fill(p, seed);
    }
    lay_out_moments(d);
    return lay_out_states(d);
}

/* ---- a step ---- */

void dense_clear_gradients(dense *d)
{
    memset(d->g, 0, d->count * sizeof *d->g);
}

/* Merging moments over workers, relative to the moving ones so that float sums do not
 * cancel. Sent, with n rows:    n (mean - moving),   n (var + (mean - moving)^2);
 * of their sums over N rows:    mean = moving + S1/N,   var = S2/N - (S1/N)^2. */
static void send_moments(merged *m)
{
    for (int c = 0; c < m->at.channels; c++) {
        double far    = (double)m->at.batch_mean[c] - (double)m->at.mean[c];
        m->mean->g[c] = (real)(m->at.rows > 0 ? m->at.rows * far : 0);
        m->var->g[c] =
            (real)(m->at.rows > 0 ? m->at.rows * ((double)m->at.batch_var[c] + far * far) : 0);
    }
}

static void receive_moments(merged *m, double rows)
{
    m->at.rows = rows;
    for (int c = 0; c < m->at.channels && rows > 0; c++) {
        double far          = (double)m->mean->g[c] / rows;
        m->at.batch_mean[c] = (real)((double)m->at.mean[c] + far);
        m->at.batch_var[c]  = (real)fmax((double)m->var->g[c] / rows - far * far, 0);
    }
}

static void average(dense *d, double samples)
{
    real share = (real)(1 / samples);

    for (size_t i = 0; i < d->params.n; i++) {
        param *p = d->params.at[i];
        for (size_t k = 0; p->trained && k < p->count; k++)
            p->g[k] *= share;
    }
}

static void pack(dense *d, const dense_step *step)
{
    d->numbers[0] = step->samples;
    d->numbers[1] = step->loss;
    d->numbers[2] = step->bad;
    d->numbers[3] = step->interrupted;
    d->numbers[4] = step->terminated;
    d->numbers[5] = step->auxiliary;
    for (size_t i = 0; i < d->moments.n; i++) {
        d->numbers[STEP_NUMBERS + i] = d->moments.at[i]->at.rows;
        send_moments(d->moments.at[i]);
    }
}

static void unpack(dense *d, dense_step *step)
{
    step->samples     = d->numbers[0];
    step->loss        = d->numbers[1];
    step->bad         = (int)d->numbers[2];
    step->interrupted = (int)d->numbers[3];
    step->terminated  = (int)d->numbers[4];
    step->auxiliary   = d->numbers[5];
    for (size_t i = 0; i < d->moments.n; i++)
        receive_moments(d->moments.at[i], d->numbers[STEP_NUMBERS + i]);
}

/* Samples, losses and votes are summed in double, beside the gradients. */
err_t dense_reduce(dense *d, comm *workers, dense_step *step)
{
    pack(d, step);
    err_t e = comm_sum_both(workers, d->g, d->count, d->numbers, STEP_NUMBERS + d->moments.n);
    if (e != OK)
        return err_add(e, "summing the dense gradients");
    unpack(d, step);
    if (step->samples > 0)
        average(d, step->samples);
    return OK;
}

/* PyTorch's clip_grad_norm_: g *= max / (norm + 1e-6) where that is below 1. */
static void clip(dense *d, double most)
{
    double squares = 0;

    for (size_t i = 0; i < d->params.n; i++) {
        const param *p = d->params.at[i];
        for (size_t k = 0; p->trained && k < p->count; k++)
            squares += (double)p->g[k] * (double)p->g[k];
    }
    double factor = most / (sqrt(squares) + 1e-6);
    if (factor >= 1)
        return;
    for (size_t i = 0; i < d->params.n; i++) {
        param *p = d->params.at[i];
        for (size_t k = 0; p->trained && k < p->count; k++)
            p->g[k] *= (real)factor;
    }
}

/* One batch of one row has no variance: moments of fewer than two rows are left out. */
static void move(moments *m)
{
    real keep = (real)m->momentum;

    for (int c = 0; c < m->channels && m->rows >= 2; c++) {
        m->mean[c] = keep * m->mean[c] + (1 - keep) * m->batch_mean[c];
        m->var[c]  = keep * m->var[c] + (1 - keep) * m->batch_var[c];
    }
    m->rows = 0;
}

void dense_update(dense *d, int64_t step)
{
    const config *c  = d->config;
    double        lr = c->dense.lr * config_lr_factor(c, step);

    if (c->clip.dense_norm > 0)
        clip(d, c->clip.dense_norm);
    for (size_t i = 0; i < d->params.n; i++) {
        param *p = d->params.at[i];
        if (!p->trained)
            continue;
        double lambda = p->l2 + (p->decays ? c->dense_l2 : 0);
        for (size_t k = 0; lambda > 0 && k < p->count; k++)
            p->g[k] += (real)lambda * p->w[k];
        optim_update(&d->rule, lr, p->w, d->state[i], p->g, p->count);
    }
    for (size_t i = 0; i < d->moments.n; i++)
        move(&d->moments.at[i]->at);
}

bool dense_finite(const dense *d)
{
    for (size_t i = 0; i < d->params.n; i++)
        if (d->params.at[i]->trained && !all_finite(d->params.at[i]->g, d->params.at[i]->count))
            return false;
    for (size_t i = 0; i < d->moments.n; i++) {
        const moments *m = &d->moments.at[i]->at;
        if (m->rows > 0 && !all_finite(m->batch_mean, 2 * (size_t)m->channels))
            return false;
    }
    return true;
}

uint64_t dense_hash(const dense *d)
{
    return hash_bytes(d->w, d->count * sizeof *d->w);
}
