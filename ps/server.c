#include "ps/server.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "common/log.h"
#include "ps/shard.h"

#define POLL_MS   100 /* between looks at the stop flag */
#define SAVING_MS 5   /* the same while a checkpoint's file is written */

/* A shard, its listener, and the thread that brings them together. */
typedef struct shard_thread {
    pthread_t       thread;
    bool            started;
    bool            busy;     /* there is work for when no message waits */
    net_listener   *listener; /* the thread's alone while it runs, as is shard */
    shard          *shard;
    atomic_bool    *stop;
    bool            complained; /* of a peer that does not read */
    int             number;     /* the shard's */
    uint64_t        seen;       /* of turns, by server_pulse */
    _Atomic uint64_t turns;     /* signs of life */
    atomic_bool     failed; /* report holds why, and does not change any more */
    err_report      report;
} shard_thread;

struct server {
    atomic_bool   stop;
    int           n;
    shard_thread *threads;
    int64_t       pulse;
};

/* A worker has fewer answers under way than its queue has places. Who asks on and on and
 * reads nothing finds the queue full and loses answers; nobody else waits for it. */
static err_t send_answer(void *self, uint64_t peer, net_message *m)
{
    shard_thread *t   = self;
    err_t         err = net_listener_send(t->listener, peer, m, 0);

    if (err != ERR_TIMEOUT)
        return err;
    if (!t->complained)
        log_each(LOG_WARN, "an answer is dropped (the next ones in silence): %s", err_text());
    t->complained = true;
    return OK;
}

/* Handle the message that waits; if there is none, do a piece of what can be done meanwhile. */
static err_t serve_one(shard_thread *t)
{
    uint64_t    peer;
    net_message m;

    int patience = t->busy ? 0 : shard_is_saving(t->shard) ? SAVING_MS : POLL_MS;
    TRY(net_listener_receive(t->listener, &peer, &m, patience));
    if (!m.data)
        return shard_idle(t->shard, &t->busy);
    t->busy = true;
    return shard_handle(t->shard, peer, &m);
}

static void live(void *self)
{
    shard_thread *t = self;

    atomic_fetch_add(&t->turns, 1);
}

static void *serve(void *argument)
{
    shard_thread *t   = argument;
    err_t         err = OK;
    char          name[16];

    snprintf(name, sizeof name, "dips-shard-%u", (unsigned)t->number % 10000);
    prctl(PR_SET_NAME, name);
    while (err == OK && !atomic_load(t->stop)) {
        err = serve_one(t);
        live(t);
    }
    if (err != OK) {
        err_keep(&t->report, err);
        atomic_store(&t->failed, true);
    }
    return NULL;
}

static void join(server *s)
{
    atomic_store(&s->stop, true);
    for (int i = 0; i < s->n; i++)
        if (s->threads[i].started)
            pthread_join(s->threads[i].thread, NULL);
    for (int i = 0; i < s->n; i++)
        s->threads[i].started = false;
}

/* Join the threads and free everything. */
static void end(server *s)
{
    join(s);
    for (int i = 0; i < s->n; i++) {
        net_listener_close(&s->threads[i].listener);
        shard_free(&s->threads[i].shard);
    }
    free(s->threads);
    free(s);
}

/* ---- starting ---- */

/* endpoint with the shard's number in the place of "%d". */
static err_t shard_endpoint(char out[NET_ENDPOINT_MAX], const char *endpoint, int number)
{
    const char *place = strstr(endpoint, "%d");
    int         n;

    if (place)
        n = snprintf(out, NET_ENDPOINT_MAX, "%.*s%d%s", (int)(place - endpoint), endpoint,
                     number, place + 2);
    else
        n = snprintf(out, NET_ENDPOINT_MAX, "%s", endpoint);
    if (n >= NET_ENDPOINT_MAX)
        return err_set(ERR_CONFIG, "the endpoint '%s' is longer than %d bytes", endpoint,
                       NET_ENDPOINT_MAX - 1);
    return OK;
}

static err_t start_one(shard_thread *t, net *n, const server_options *options, int number)
{
    char          endpoint[NET_ENDPOINT_MAX];
    shard_options of_shard = {.config = options->config,
                              .schema = options->schema,
                              .index  = number,
                              .shards = options->shards,
                              .counts = options->counts,
                              .save   = SAVE_IN_BACKGROUND,
                              .send   = send_answer,
                              .self   = t,
                              .pulse  = {live, t}};

    t->number = number;
    TRY(shard_endpoint(endpoint, options->endpoint, number));
    TRY(shard_new(&t->shard, &of_shard));
    TRY(net_listen(&t->listener, n, endpoint));
    int failure = pthread_create(&t->thread, NULL, serve, t);
    if (failure)
        return err_set(ERR_SYSTEM, "no thread for shard %d: %s", number, strerror(failure));
    t->started = true;
    return OK;
}

err_t server_start(server **out, net *n, const server_options *options)
{
    server *s = calloc(1, sizeof *s);
    err_t   err;

    *out = NULL;
    if (!s)
        return err_memory(sizeof *s, "a server");
    s->threads = calloc((size_t)options->shards_here, sizeof *s->threads);
    err        = s->threads ? OK : err_memory(sizeof *s->threads, "a server's threads");
    for (int i = 0; err == OK && i < options->shards_here; i++) {
        s->threads[i].stop = &s->stop;
        s->n               = i + 1;
        err                = start_one(&s->threads[i], n, options, options->first_shard + i);
    }
    if (err == OK) {
        *out = s;
        return OK;
    }
    end(s);
    return err;
}

/* ---- while it runs ---- */

const char *server_endpoint(const server *s, int i)
{
    return net_listener_endpoint(s->threads[i].listener);
}

int64_t server_pulse(server *s)
{
    for (int i = 0; i < s->n; i++)
        if (atomic_load(&s->threads[i].turns) == s->threads[i].seen)
            return s->pulse;
    for (int i = 0; i < s->n; i++)
        s->threads[i].seen = atomic_load(&s->threads[i].turns);
    return ++s->pulse;
}

err_t server_check(server *s)
{
    for (int i = 0; i < s->n; i++)
        if (atomic_load(&s->threads[i].failed))
            return err_give(&s->threads[i].report);
    return OK;
}

err_t server_stop(server **server_)
{
    server *s = *server_;

    if (!s)
        return OK;
    join(s);
    err_t err = server_check(s);
    end(s);
    *server_ = NULL;
    return err;
}
