#include "launch/control.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "launch/silence.h"

#define BEAT_NS    (NS_PER_S / 2)
#define RECEIVE_MS 20
#define SEND_MS    1000

struct control {
    net_link           *link;
    const transport    *coordinator;
    const clock_source *clock;
    pthread_t           thread;
    char                endpoint[NET_ENDPOINT_MAX];
    wire_role           role;
    uint32_t            index, generation;
    double              heartbeat_timeout;
    silence             silence;
    bool                answered; /* the coordinator has said something */
    char               *key;      /* file; NULL: none */

    atomic_llong progress;
    atomic_int   wish; /* OK, ERR_INTERRUPT, ERR_TERMINATE */
    atomic_bool  closing;
    int          bye_status;
    const char  *bye_text;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t  news;
    bool            ended;
    int             n;                   /* -1: not welcomed yet */
    char (*endpoints)[NET_ENDPOINT_MAX]; /* (n) */
    atomic_uint welcomed;                /* the generation; changes with the lock held */
};

/* ---- the thread ---- */

_Noreturn static void end_process(int status, const char *format, ...) PRINTF_LIKE(2, 3);

/* Not by way of main.c: the other threads may hang in a wait. */
_Noreturn static void end_process(int status, const char *format, ...)
{
    char    text[ERR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_each(LOG_ERROR, "%s", text);
    _exit(status);
}

static wire_header header(const control *c, wire_kind kind)
{
    return (wire_header){.kind       = kind,
                         .generation = c->generation,
                         .sender     = c->index,
                         .step       = (uint64_t)atomic_load(&c->progress)};
}

/* Failing to send is not fatal: the coordinator will miss our beats, or we its. */
static void say(control *c, net_message *m, int timeout_ms)
{
    if (c->coordinator->send(c->coordinator->self, 0, m, timeout_ms) != OK)
        log_each(timeout_ms ? LOG_WARN : LOG_DEBUG, "to the coordinator: %s", err_text());
}

static void beat(control *c)
{
    wire_header h = header(c, WIRE_BEAT);
    net_message m;

    if (wire_encode_empty(&m, &h) == OK)
        say(c, &m, 0); /* who waits to be heard does not hear how silent it is */
}

static void say_bye(control *c)
{
    wire_header h = header(c, WIRE_BYE);
    wire_text   t = {.status = (uint32_t)c->bye_status,
                     .text   = c->bye_text,
                     .bytes  = (uint32_t)strlen(c->bye_text)};
    net_message m;

    if (wire_encode_text(&m, &h, &t) == OK)
        say(c, &m, SEND_MS);
}

static err_t take_welcome(control *c, const net_message *m, uint32_t generation)
{
    wire_welcome w;

    TRY(wire_decode_welcome(&w, m));
    if (c->n >= 0 && generation <= atomic_load(&c->welcomed))
        return OK;
    size_t n                    = w.n_endpoints;
    char(*at)[NET_ENDPOINT_MAX] = malloc((n + 1) * sizeof *at);
    if (!at)
        return err_memory(n * sizeof *at, "the endpoints of the shards");
    if (n > 0)
        memcpy(at, w.endpoints, n * sizeof *at);
    pthread_mutex_lock(&c->lock);
    free(c->endpoints);
    c->endpoints = at;
    c->n         = (int)n;
    atomic_store(&c->welcomed, generation);
    pthread_cond_broadcast(&c->news);
    pthread_mutex_unlock(&c->lock);
    return OK;
}

static err_t take_end(control *c, const net_message *m)
{
    wire_text t;

    TRY(wire_decode_text(&t, m));
    if (t.status == (uint32_t)err_exit_status(ERR_INTERRUPT)) {
        atomic_store(&c->wish, ERR_INTERRUPT);
    } else if (t.status == (uint32_t)err_exit_status(ERR_TERMINATE)) {
        atomic_store(&c->wish, ERR_TERMINATE);
    } else if (t.status != 0) {
        end_process((int)t.status, "the coordinator ended the job: %.*s", (int)t.bytes, t.text);
    } else {
        pthread_mutex_lock(&c->lock);
        c->ended = true;
        pthread_cond_broadcast(&c->news);
        pthread_mutex_unlock(&c->lock);
    }
    return OK;
}

static err_t take(control *c, const net_message *m)
{
    wire_header h;

    TRY(wire_open(&h, m));
    silence_heard(&c->silence, clock_now(c->clock));
    c->answered = true;
    if (h.kind == WIRE_WELCOME)
        return take_welcome(c, m, h.generation);
    if (h.kind == WIRE_END)
        return take_end(c, m);
    return OK;
}

static void listen(control *c)
{
    net_message m = {0};
    int         from;

    if (c->coordinator->receive(c->coordinator->self, &from, &m, RECEIVE_MS) != OK ||
        (m.data && take(c, &m) != OK))
        log_each(LOG_WARN, "from the coordinator: %s", err_text());
    net_message_clear(&m);
}

_Noreturn static void end_for_silence(const control *c)
{
    bool stranger = c->key && !c->answered;

    end_process(err_exit_status(ERR_TIMEOUT),
                "nothing from the coordinator (%s) for %.1f s%s%s", c->endpoint,
                c->heartbeat_timeout,
                stranger ? ", who answers nobody without the run's key; was it not in " : "",
                stranger ? c->key : "");
}

static void *run(void *self)
{
    control *c      = self;
    int64_t  beaten = clock_now(c->clock);

    silence_heard(&c->silence, beaten);
    while (!atomic_load(&c->closing)) {
        listen(c);
        int64_t now = clock_now(c->clock);
        if (now - beaten >= BEAT_NS) {
            beat(c);
            beaten = now;
        }
        if (silence_seconds(&c->silence, now) > c->heartbeat_timeout)
            end_for_silence(c);
    }
    say_bye(c);
    return NULL;
}

/* ---- the process's side ---- */

static err_t say_hello(control *c, const control_options *o)
{
    char host[256]                     = "";
    char(*endpoints)[NET_ENDPOINT_MAX] = NULL;
    wire_header h                      = header(c, WIRE_HELLO);
    net_message m;

    gethostname(host, sizeof host - 1);
    endpoints = calloc((size_t)o->n_endpoints + 1, sizeof *endpoints);
    if (!endpoints)
        return err_memory((size_t)o->n_endpoints * sizeof *endpoints, "endpoints");
    for (int i = 0; i < o->n_endpoints; i++)
        snprintf(endpoints[i], sizeof endpoints[i], "%s", o->endpoints[i]);
    wire_hello hello = {.role        = o->role,
                        .index       = o->index,
                        .pid         = (uint32_t)getpid(),
                        .host        = host,
                        .host_bytes  = (uint32_t)strlen(host),
                        .n_endpoints = (uint32_t)o->n_endpoints,
                        .endpoints   = (const char(*)[NET_ENDPOINT_MAX])endpoints};
    err_t      err   = wire_encode_hello(&m, &h, &hello);
    free(endpoints);
    TRY(err);
    return c->coordinator->send(c->coordinator->self, 0, &m, SEND_MS);
}

static void release(control *c)
{
    net_link_close(&c->link);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->news);
    free(c->endpoints);
    free(c->key);
    free(c);
}

static err_t begin(control *c, net *n, const control_options *o)
{
    const char *endpoint = c->endpoint;

    if (o->key && !(c->key = strdup(o->key)))
        return err_memory(strlen(o->key), "a name");
    TRY(net_dial(&c->link, n, 1, &endpoint));
    c->coordinator = net_link_transport(c->link);
    TRY(say_hello(c, o));
    int code = pthread_create(&c->thread, NULL, run, c);
    if (code != 0)
        return err_set(ERR_SYSTEM, "starting a thread: %s", strerror(code));
    return OK;
}

err_t control_open(control **out, net *n, const control_options *options)
{
    control *c = calloc(1, sizeof *c);

    *out = NULL;
    if (!c)
        return err_memory(sizeof *c, "the tie to the coordinator");
    snprintf(c->endpoint, sizeof c->endpoint, "%s", options->coordinator);
    c->clock             = clock_monotonic();
    c->role              = options->role;
    c->index             = options->index;
    c->generation        = options->generation;
    c->heartbeat_timeout = options->heartbeat_timeout;
    c->n                 = -1;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->news, NULL);
    err_t err = begin(c, n, options);
    if (err != OK) {
        release(c);
        return err_add(err, "dialling the coordinator");
    }
    *out = c;
    return OK;
}

static struct timespec time_in(double seconds)
{
    struct timespec t;
    int64_t         ns = (int64_t)(seconds * 1e9);

    clock_gettime(CLOCK_REALTIME, &t);
    ns += t.tv_nsec;
    t.tv_sec += ns / NS_PER_S;
    t.tv_nsec = ns % NS_PER_S;
    return t;
}

/* Copy what the newest WELCOME said; c->lock is held. */
static err_t copy_welcome(const control *c, control_welcome *w)
{
    size_t n = (size_t)c->n;

    *w           = (control_welcome){.generation = atomic_load(&c->welcomed), .n = c->n};
    w->endpoints = malloc((n + 1) * sizeof *w->endpoints + n * sizeof *c->endpoints);
    if (!w->endpoints)
        return err_memory(n * sizeof *c->endpoints, "the endpoints of the shards");
    char *texts = (char *)(w->endpoints + n + 1);
    for (size_t i = 0; i < n; i++) {
        w->endpoints[i] = memcpy(texts, c->endpoints[i], sizeof *c->endpoints);
        texts += sizeof *c->endpoints;
    }
    return OK;
}

err_t control_wait_welcome(control *c, uint32_t generation, control_welcome *w,
                           double timeout_s)
{
    struct timespec until = time_in(timeout_s);
    int             code  = 0;

    pthread_mutex_lock(&c->lock);
    while ((c->n < 0 || atomic_load(&c->welcomed) < generation) && code == 0)
        code = pthread_cond_timedwait(&c->news, &c->lock, &until);
    err_t err = code == 0
                    ? copy_welcome(c, w)
                    : err_set(ERR_TIMEOUT,
                              "not all processes of the job were there within %g s", timeout_s);
    pthread_mutex_unlock(&c->lock);
    return err;
}

uint32_t control_generation(const control *c)
{
    return atomic_load(&c->welcomed);
}

void control_progress(control *c, int64_t progress)
{
    atomic_store(&c->progress, progress);
}

err_t control_stop(control *c)
{
    err_t wish = (err_t)atomic_load(&c->wish);

    if (wish != OK)
        return err_set(wish, wish == ERR_INTERRUPT ? "interrupted" : "terminated by a signal");
    return OK;
}

void control_wait_end(control *c, double timeout_s, bool *ended)
{
    struct timespec until = time_in(timeout_s);

    pthread_mutex_lock(&c->lock);
    while (!c->ended && pthread_cond_timedwait(&c->news, &c->lock, &until) == 0)
        ;
    *ended = c->ended;
    pthread_mutex_unlock(&c->lock);
}

void control_close(control **c, int status, const char *text)
{
    if (!*c)
        return;
    (*c)->bye_status = status;
    (*c)->bye_text   = text;
    atomic_store(&(*c)->closing, true);
    pthread_join((*c)->thread, NULL);
    release(*c);
    *c = NULL;
}
