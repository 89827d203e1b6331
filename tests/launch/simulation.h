/* simulation - a whole run in one process, from one seed: shards, plain workers, their clock,
 * the wire between them, and deaths.
 *
 * Workers are threads of which one runs at a time: it hands over where it waits, and who goes
 * on is drawn by lot. Time is a number that leaps to the next event. A message may be lost,
 * come twice, late, and in any order. When a shard or a worker dies, the generation is raised
 * and all return to the last cut, while messages of the old generation are still under way.
 * So a history is replayed by its seed: the trace, a hash of all that happened, tells. */
#ifndef DIPS_TESTS_LAUNCH_SIMULATION_H
#define DIPS_TESTS_LAUNCH_SIMULATION_H

#include <pthread.h>

#include "plain_worker.h"

#include "common/vec.h"
#include "ps/shard.h"

typedef struct sim_faults {
    double lost, twice, late; /* of messages: their share */
    int    deaths;            /* at most */
    bool   unordered;         /* each message takes its own time */
} sim_faults;

enum { SIM_NOBODY = -1, SIM_NAME = 256 };

/* A message on its way. */
typedef struct sim_mail {
    int64_t     due;
    uint64_t    number;        /* in the order of sending */
    int         shard, worker; /* one of them is the receiver, the other the sender */
    bool        to_shard;
    uint64_t    peer; /* the worker's connection */
    net_message message;
} sim_mail;

typedef VEC(sim_mail) sim_mails;

struct simulation;

typedef struct sim_shard {
    struct simulation *sim;
    int                index;
    shard             *shard; /* NULL: dead */
    int64_t            idle;  /* while a cut is written: when it finds time for a piece */
} sim_shard;

typedef struct sim_worker {
    struct simulation *sim;
    int                rank;
    uint64_t           peer;
    transport          wire;
    plain_worker       worker;
    pthread_t          thread;
    pthread_cond_t     turn;
    int64_t            until; /* it waits till then, or for what comes first of: */
    bool               wants_mail, meets, ended, dead;
    sim_mails          mail;
    err_report         report;
} sim_worker;

typedef struct simulation {
    plain_run       run;
    sim_faults      faults;
    rng             chance;
    uint64_t        trace;
    int64_t         now;
    clock_source    clock;
    sim_shard       shards[PLAIN_SHARDS_MOST];
    sim_worker      workers[PLAIN_WORKERS_MOST];
    sim_mails       mail;
    uint64_t        sent, peers;
    uint32_t        generation;
    int             deaths, deltas; /* deltas: that were returned to */
    int64_t         next_death; /* INT64_MAX: none */
    int64_t         noticed;    /* when a death is; INT64_MAX: all live */
    bool            returning;  /* to the last cut: every wait ends */
    int             waiting;    /* workers that meet */
    pthread_mutex_t lock;
    pthread_cond_t  over; /* a worker hands over */
    int             running;
} simulation;

/* ---- chance ---- */

static inline bool sim_happens(simulation *s, double share)
{
    return rng_uniform(&s->chance) < share;
}

static inline int64_t sim_between(simulation *s, int64_t least, int64_t most)
{
    return least + (int64_t)rng_below(&s->chance, (uint64_t)(most - least) + 1);
}

static inline void sim_note(simulation *s, uint64_t what, uint64_t who)
{
    s->trace = hash_mix(s->trace + hash_mix((uint64_t)s->now + hash_mix(what * 64 + who)));
}

/* Soon, or when there are some cuts to return to. */
static inline void sim_plan_death(simulation *s)
{
    int64_t most = (sim_happens(s, 0.5) ? 400 : 3000) * NS_PER_MS;

    s->next_death = s->deaths < s->faults.deaths ? s->now + sim_between(s, 0, most) : INT64_MAX;
}

/* ---- the wire ---- */

static inline err_t sim_post(simulation *s, sim_mail mail)
{
    int64_t base = s->faults.unordered ? sim_between(s, 100000, 3 * NS_PER_MS) : NS_PER_MS;

    mail.number = s->sent++;
    mail.due    = s->now + base;
    if (sim_happens(s, s->faults.late))
        mail.due += sim_between(s, NS_PER_MS, 300 * NS_PER_MS);
    return vec_push(&s->mail, mail);
}

/* Give mail, whose message is taken, to the wire. */
static inline err_t sim_send(simulation *s, sim_mail mail)
{
    if (sim_happens(s, s->faults.twice)) {
        sim_mail again = mail;
        TRY(net_message_new(&again.message, mail.message.size));
        memcpy(again.message.data, mail.message.data, mail.message.size);
        TRY(sim_post(s, again));
    }
    if (!sim_happens(s, s->faults.lost))
        return sim_post(s, mail);
    net_message_clear(&mail.message);
    return OK;
}

static inline err_t sim_answer(void *self, uint64_t peer, net_message *m)
{
    sim_shard *from = self;
    sim_mail   mail = {.shard = from->index, .worker = SIM_NOBODY, .peer = peer, .message = *m};

    *m = (net_message){0};
    for (int w = 0; w < from->sim->run.workers; w++)
        if (from->sim->workers[w].peer == peer)
            mail.worker = w;
    return sim_send(from->sim, mail);
}

/* ---- workers: threads of which one runs ---- */

/* The worker has nothing to do until `until`, or what it waits for. */
static inline err_t sim_wait(sim_worker *w)
{
    simulation *s = w->sim;

    pthread_mutex_lock(&s->lock);
    s->running = SIM_NOBODY;
    pthread_cond_signal(&s->over);
    while (s->running != w->rank)
        pthread_cond_wait(&w->turn, &s->lock);
    pthread_mutex_unlock(&s->lock);
    return s->returning ? err_set(ERR_DEATH, "all return to the last cut") : OK;
}

static inline err_t sim_meet(void *self)
{
    sim_worker *w = self;
    simulation *s = w->sim;

    if (++s->waiting == s->run.workers) {
        s->waiting = 0;
        for (int i = 0; i < s->run.workers; i++)
            s->workers[i].meets = false;
        return OK;
    }
    w->meets = true;
    w->until = INT64_MAX;
    return sim_wait(w);
}

static inline err_t sim_work(void *self)
{
    sim_worker *w = self;
    simulation *s = w->sim;

    w->until = s->now + (sim_happens(s, 0.02) ? sim_between(s, 0, 200 * NS_PER_MS)
                                              : sim_between(s, 0, 2 * NS_PER_MS));
    return sim_wait(w);
}

static inline err_t sim_ask(void *self, int to, net_message *m, int timeout_ms)
{
    sim_worker *w    = self;
    sim_mail    mail = {
           .shard = to, .worker = w->rank, .to_shard = true, .peer = w->peer, .message = *m};

    (void)timeout_ms;
    *m = (net_message){0};
    return sim_send(w->sim, mail);
}

static inline err_t sim_receive(void *self, int *from, net_message *m, int timeout_ms)
{
    sim_worker *w = self;

    *m = (net_message){0};
    if (w->mail.n == 0) {
        w->until      = w->sim->now + timeout_ms * NS_PER_MS;
        w->wants_mail = true;
        err_t err     = sim_wait(w);
        w->wants_mail = false;
        TRY(err);
    }
    if (w->mail.n == 0)
        return OK;
    *from = w->mail.at[0].shard;
    *m    = w->mail.at[0].message;
    memmove(w->mail.at, w->mail.at + 1, --w->mail.n * sizeof *w->mail.at);
    return OK;
}

static inline int64_t sim_time(void *self)
{
    return ((simulation *)self)->now;
}

static inline err_t sim_train(sim_worker *w)
{
    simulation       *s = w->sim;
    ps_client_options o = {.transport            = &w->wire,
                           .clock                = &s->clock,
                           .generation           = s->generation,
                           .timeout_s            = 60,
                           .checkpoint_timeout_s = 60,
                           .repeat_s             = 0.02};

    TRY(plain_open(&w->worker, &s->run, w->rank, o));
    w->worker.meet = sim_meet;
    w->worker.work = sim_work;
    w->worker.self = w;
    return plain_train(&w->worker);
}

static inline void *sim_run_worker(void *self)
{
    sim_worker *w = self;
    simulation *s = w->sim;

    pthread_mutex_lock(&s->lock);
    while (s->running != w->rank)
        pthread_cond_wait(&w->turn, &s->lock);
    pthread_mutex_unlock(&s->lock);
    err_t err = sim_train(w);
    err_keep(&w->report, err);
    plain_close(&w->worker);
    pthread_mutex_lock(&s->lock);
    w->ended   = true;
    s->running = SIM_NOBODY;
    pthread_cond_signal(&s->over);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static inline bool sim_can_go_on(const simulation *s, const sim_worker *w)
{
    if (w->ended || s->returning)
        return !w->ended;
    if (w->dead || w->meets)
        return false;
    return w->until == INT64_MAX || w->until <= s->now || (w->wants_mail && w->mail.n > 0);
}

/* Let a worker that can go on run until it waits; false: none can. */
static inline bool sim_turn(simulation *s)
{
    int able[PLAIN_WORKERS_MOST], n = 0;

    for (int w = 0; w < s->run.workers; w++)
        if (sim_can_go_on(s, &s->workers[w]))
            able[n++] = w;
    if (n == 0)
        return false;
    int chosen = able[rng_below(&s->chance, (uint64_t)n)];
    sim_note(s, 1, (uint64_t)chosen);
    pthread_mutex_lock(&s->lock);
    s->running = chosen;
    pthread_cond_signal(&s->workers[chosen].turn);
    while (s->running != SIM_NOBODY)
        pthread_cond_wait(&s->over, &s->lock);
    pthread_mutex_unlock(&s->lock);
    return true;
}

/* ---- events ---- */

static inline void sim_open_shard(simulation *s, int k)
{
    sim_shard    *h = &s->shards[k];
    shard_options o = {.config       = s->run.config,
                       .schema       = s->run.schema,
                       .index        = k,
                       .shards       = s->run.shards,
                       .save         = SAVE_BY_PIECES,
                       .save_buckets = 1 << sim_between(s, 4, 12),
                       .send         = sim_answer,
                       .self         = h};

    *h = (sim_shard){.sim = s, .index = k, .idle = INT64_MAX};
    must(shard_new(&h->shard, &o));
}

/* A shard dies, or a worker, with whom all others end. */
static inline void sim_die(simulation *s)
{
    uint64_t who = rng_below(&s->chance, (uint64_t)(s->run.shards + s->run.workers));

    s->deaths++;
    s->next_death = INT64_MAX;
    s->noticed    = s->now + sim_between(s, 0, 100 * NS_PER_MS);
    if (who < (uint64_t)s->run.shards)
        shard_free(&s->shards[who].shard);
    else
        s->workers[who - (uint64_t)s->run.shards].dead = true;
    sim_note(s, 2, who);
}

/* A shard that writes a cut packs pieces of it when no message waits. */
static inline void sim_plan_idle(simulation *s, int k)
{
    sim_shard *h = &s->shards[k];

    h->idle =
        shard_is_saving(h->shard) ? s->now + sim_between(s, 1000, 2 * NS_PER_MS) : INT64_MAX;
}

/* The first shard that finds time; SIM_NOBODY: none will. */
static inline int sim_next_idle(const simulation *s)
{
    int first = SIM_NOBODY;

    for (int k = 0; k < s->run.shards; k++)
        if (s->shards[k].shard && s->shards[k].idle < INT64_MAX &&
            (first == SIM_NOBODY || s->shards[k].idle < s->shards[first].idle))
            first = k;
    return first;
}

static inline void sim_idle(simulation *s, int k)
{
    bool more;

    s->now = s->shards[k].idle;
    sim_note(s, 4, (uint64_t)k);
    must(shard_idle(s->shards[k].shard, &more));
    sim_plan_idle(s, k);
}

static inline void sim_deliver(simulation *s, sim_mail mail)
{
    sim_note(s, 3, (uint64_t)mail.shard + 8 * mail.to_shard + 16 * mail.message.size);
    if (mail.to_shard && s->shards[mail.shard].shard) {
        must(shard_handle(s->shards[mail.shard].shard, mail.peer, &mail.message));
        sim_plan_idle(s, mail.shard);
    } else if (!mail.to_shard && mail.worker != SIM_NOBODY &&
               s->workers[mail.worker].peer == mail.peer) {
        must(vec_push(&s->workers[mail.worker].mail, mail));
    } else {
        net_message_clear(&mail.message);
    }
}

static inline size_t sim_next_mail(const simulation *s)
{
    size_t first = 0;

    for (size_t i = 1; i < s->mail.n; i++) {
        const sim_mail *a = &s->mail.at[i], *b = &s->mail.at[first];
        if (a->due < b->due || (a->due == b->due && a->number < b->number))
            first = i;
    }
    return first;
}

/* Leap to the next event. */
static inline void sim_event(simulation *s)
{
    size_t  i    = sim_next_mail(s);
    int     k    = sim_next_idle(s);
    int64_t idle = k == SIM_NOBODY ? INT64_MAX : s->shards[k].idle;
    int64_t next = s->next_death < s->noticed ? s->next_death : s->noticed;
    int64_t wake = INT64_MAX;

    for (int w = 0; w < s->run.workers; w++)
        if (!s->workers[w].ended && !s->workers[w].dead && !s->workers[w].meets &&
            s->workers[w].until < wake)
            wake = s->workers[w].until;
    if (idle < INT64_MAX && idle <= next && idle <= wake &&
        (s->mail.n == 0 || idle <= s->mail.at[i].due)) {
        sim_idle(s, k);
    } else if (s->mail.n > 0 && s->mail.at[i].due <= next && s->mail.at[i].due <= wake) {
        sim_mail mail = s->mail.at[i];
        s->mail.at[i] = s->mail.at[--s->mail.n];
        s->now        = mail.due;
        sim_deliver(s, mail);
    } else if (wake <= next) {
        if (wake == INT64_MAX)
            fail_msg("seed %llu: all stand still", (unsigned long long)s->run.seed);
        s->now = wake;
    } else if (s->noticed <= s->next_death) {
        s->now       = s->noticed;
        s->returning = true;
    } else {
        s->now = s->next_death;
        sim_die(s);
    }
}

/* ---- a history ---- */

static inline bool sim_all_ended(const simulation *s)
{
    for (int w = 0; w < s->run.workers; w++)
        if (!s->workers[w].ended)
            return false;
    return true;
}

static inline void sim_clear_mails(sim_mails *mails)
{
    for (size_t i = 0; i < mails->n; i++)
        net_message_clear(&mails->at[i].message);
    mails->n = 0;
}

/* Workers return under the name that they had, or as new processes, whose mail is lost. */
static inline void sim_open_workers(simulation *s)
{
    bool anew = s->generation == 0 || sim_happens(s, 0.5);

    for (int i = 0; i < s->run.workers; i++) {
        sim_worker *w = &s->workers[i];
        if (anew) {
            w->peer = ++s->peers;
            sim_clear_mails(&w->mail);
        }
        w->sim   = s;
        w->rank  = i;
        w->wire  = (transport){w, s->run.shards, sim_ask, sim_receive};
        w->ended = w->meets = w->wants_mail = w->dead = false;
        w->until                                      = s->now;
        pthread_cond_init(&w->turn, NULL);
    }
}

/* The cut that all return to is read once more than they do: is it a delta? */
static inline void sim_look_at_cut(simulation *s)
{
    char           folder[CONFIG_PATH_MAX];
    manifest_chain chain;
    int64_t        step;

    must(manifest_newest(&step, s->run.folder));
    if (step < 0)
        return;
    manifest_folder(folder, s->run.folder, step);
    must(manifest_chain_read(&chain, folder));
    must(manifest_chain_verify(&chain));
    s->deltas += chain.n > 1;
    manifest_chain_clear(&chain);
}

/* From a cut to the end, or to the next death: whether it was the end. */
static inline bool sim_generation(simulation *s)
{
    sim_look_at_cut(s);
    sim_open_workers(s);
    s->generation++;
    s->waiting   = 0;
    s->returning = false;
    s->noticed   = INT64_MAX;
    for (int k = 0; k < s->run.shards; k++)
        if (!s->shards[k].shard)
            sim_open_shard(s, k);
    sim_plan_death(s);
    for (int w = 0; w < s->run.workers; w++)
        assert_int_equal(
            pthread_create(&s->workers[w].thread, NULL, sim_run_worker, &s->workers[w]), 0);
    while (!sim_all_ended(s))
        if (!sim_turn(s))
            sim_event(s);
    bool returned = s->returning;
    for (int w = 0; w < s->run.workers; w++) {
        pthread_join(s->workers[w].thread, NULL);
        pthread_cond_destroy(&s->workers[w].turn);
        err_t code = s->workers[w].report.code;
        if (code != OK && !(returned && code == ERR_DEATH))
            fail_msg("seed %llu: worker %d: %s", (unsigned long long)s->run.seed, w,
                     s->workers[w].report.text);
    }
    return !returned;
}

typedef struct sim_result {
    uint64_t trace;
    uint64_t seen; /* by worker 0: all rows in the end; 0: the last return was to the end */
    uint64_t evicted; /* since the last return */
    int      deaths, deltas;
} sim_result;

/* Run it to its end; the cuts are in run->folder. */
static inline sim_result simulate(const plain_run *run, const sim_faults *faults)
{
    simulation s = {.run        = *run,
                    .faults     = *faults,
                    .chance     = rng_named(run->seed, RNG_TEST, 1, 1),
                    .next_death = INT64_MAX,
                    .noticed    = INT64_MAX,
                    .running    = SIM_NOBODY};

    s.clock = (clock_source){.now = sim_time, .self = &s};
    pthread_mutex_init(&s.lock, NULL);
    pthread_cond_init(&s.over, NULL);
    while (!sim_generation(&s))
        ;
    for (int k = 0; k < run->shards; k++)
        shard_free(&s.shards[k].shard);
    for (int w = 0; w < run->workers; w++) {
        sim_clear_mails(&s.workers[w].mail);
        vec_clear(&s.workers[w].mail);
    }
    sim_clear_mails(&s.mail);
    vec_clear(&s.mail);
    pthread_cond_destroy(&s.over);
    pthread_mutex_destroy(&s.lock);
    const plain_worker *w = &s.workers[0].worker;
    return (sim_result){s.trace, w->seen, w->evicted, s.deaths, s.deltas};
}

#endif
