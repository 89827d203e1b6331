#include "worker/data/pipeline.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct pipeline {
    pipeline_options options;
    id_maker        *maker;
    uint64_t        *samples; /* numbers of a part's samples */
    pipeline_item   *items;   /* (depth) step t stands in items[t % depth] */
    pthread_t        thread;
    pthread_mutex_t  lock; /* of all below */
    pthread_cond_t   changed;
    int64_t          done, taken, made; /* steps below are given back, taken, ready:
                                           done <= taken <= made <= done + depth */
    bool       stop;
    bool       failed; /* the thread has ended with report */
    err_report report;
};

/* ---- waiting ---- */

static struct timespec after(double seconds)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    int64_t ns = at.tv_nsec + (int64_t)(seconds * (double)NS_PER_S);
    at.tv_sec += ns / NS_PER_S;
    at.tv_nsec = ns % NS_PER_S;
    return at;
}

/* ---- the thread ---- */

/* Numbers of the samples of step; none where the order's own epoch is over already. */
static err_t find_samples(pipeline *p, int64_t step, int *n, uint64_t *first)
{
    const pipeline_options *o     = &p->options;
    int64_t                 own   = order_steps_per_epoch(o->order);
    int64_t                 epoch = step / o->epoch_steps, i = step % o->epoch_steps;

    *n     = 0;
    *first = 0;
    if (i >= own)
        return OK;
    if (o->deal) {
        deal_part(o->deal, step, o->worker, p->samples, n, first);
        order_samples(o->order, epoch, p->samples, *n);
        return OK;
    }
    return order_part(o->order, epoch * own + i, o->worker, o->workers, p->samples, n, first);
}

static err_t make_item(pipeline *p, pipeline_item *item, int64_t step)
{
    const pipeline_options *o     = &p->options;
    int64_t                 since = clock_now(clock_monotonic());
    int                     n;
    uint64_t                first;

    item->step = step;
    arena_reset(&item->arena);
    TRY(find_samples(p, step, &n, &first));
    TRY(dataset_batch(o->data, p->samples, n, o->place + first, &item->arena, &item->batch));
    TRY(arena_take(&item->arena, (size_t)o->schema->n_tables * sizeof *item->sets,
                   &item->sets));
    item->read_s = clock_seconds(clock_monotonic(), since);
    TRY(id_maker_make(p->maker, &item->batch, &item->arena, item->sets));
    item->distinct_s = clock_seconds(clock_monotonic(), since) - item->read_s;
    return OK;
}

/* Wait until there is room for step; false: the end was asked for. */
static bool wait_for_room(pipeline *p, int64_t step)
{
    pthread_mutex_lock(&p->lock);
    while (!p->stop && step >= p->done + p->options.depth) {
        const struct timespec soon = after(1);
        pthread_cond_timedwait(&p->changed, &p->lock, &soon);
    }
    bool go = !p->stop;
    pthread_mutex_unlock(&p->lock);
    return go;
}

static void *read_ahead(void *self)
{
    pipeline *p = self;

    for (int64_t step = p->options.first; step < p->options.end; step++) {
        if (!wait_for_room(p, step))
            break;
        err_t err = make_item(p, &p->items[step % p->options.depth], step);
        pthread_mutex_lock(&p->lock);
        if (err == OK)
            p->made = step + 1;
        else
            err_keep(&p->report, err);
        p->failed = err != OK;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
        if (err != OK)
            break;
    }
    return NULL;
}

/* ---- start and end ---- */

/* Signals are for the thread that started this one. */
static err_t start_thread(pipeline *p)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = pthread_create(&p->thread, NULL, read_ahead, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return errno == 0 ? OK : err_errno("starting the thread that reads ahead");
}

static void init_lock(pipeline *p)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&p->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void release(pipeline *p)
{
    for (int i = 0; p->items && i < p->options.depth; i++)
        arena_clear(&p->items[i].arena);
    id_maker_free(&p->maker);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p->samples);
    free(p->items);
    free(p);
}

static err_t prepare(pipeline *p)
{
    size_t room = (size_t)(order_batch(p->options.order) / p->options.workers) + 2;

    p->items   = calloc((size_t)p->options.depth, sizeof *p->items);
    p->samples = calloc(room, sizeof *p->samples);
    if (!p->items || !p->samples)
        return err_memory(room * sizeof *p->samples, "reading ahead");
    return id_maker_new(&p->maker, p->options.schema, p->options.shards);
}

err_t pipeline_new(pipeline **out, const pipeline_options *options)
{
    assert(options->depth >= 2 && options->epoch_steps > 0);
    pipeline *p = calloc(1, sizeof *p);

    *out = NULL;
    if (!p)
        return err_memory(sizeof *p, "reading ahead");
    p->options = *options;
    p->done = p->taken = p->made = options->first;
    init_lock(p);
    err_t err = prepare(p);
    if (err == OK)
        err = start_thread(p);
    if (err != OK) {
        release(p);
        return err;
    }
    *out = p;
    return OK;
}

/* The thread sees `stop` before its next item at the latest. */
void pipeline_free(pipeline **out)
{
    pipeline *p = *out;

    *out = NULL;
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    release(p);
}

/* ---- taking items ---- */

err_t pipeline_next(pipeline *p, pipeline_item **item, double timeout_s)
{
    const struct timespec deadline = after(timeout_s);
    err_t                 err      = OK;

    assert(p->taken < p->options.end);
    pthread_mutex_lock(&p->lock);
    while (p->taken == p->made && !p->failed && err == OK)
        if (pthread_cond_timedwait(&p->changed, &p->lock, &deadline) == ETIMEDOUT)
            err = ERR_TIMEOUT;
    if (p->taken < p->made) {
        *item = &p->items[p->taken++ % p->options.depth];
        err   = OK;
    } else if (p->failed) {
        err = err_give(&p->report);
    } else {
        err_set(err, "step %" PRId64 ": its samples were not read within %g s", p->taken,
                timeout_s);
    }
    pthread_mutex_unlock(&p->lock);
    return err;
}

void pipeline_done(pipeline *p, pipeline_item *item)
{
    pthread_mutex_lock(&p->lock);
    assert(item->step == p->done && p->done < p->taken);
    p->done++;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}
