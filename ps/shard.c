#include "ps/shard.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/hash.h"
#include "common/log.h"
#include "ps/eviction.h"
#include "ps/state.h"

err_t shard_new(shard **out, const shard_options *options)
{
    int    n_tables = options->schema->n_tables;
    bool   deltas   = config_has_deltas(options->config);
    shard *s        = calloc(1, sizeof *s);

    if (!s)
        return err_memory(sizeof *s, "a shard");
    s->options        = *options;
    s->options.counts = NULL; /* the file is open from here on */
    s->generation     = -1;
    s->async          = options->config->train.mode == MODE_ASYNC;
    s->tables         = calloc((size_t)n_tables + 1, sizeof *s->tables);
    err_t err         = s->tables ? OK : err_memory(sizeof *s->tables, "a shard's tables");
    if (err == OK && options->counts)
        err = safetensors_open(&s->counts, options->counts);
    for (int t = 0; err == OK && t < n_tables; t++) {
        err =
            table_init(&s->tables[t], &options->schema->tables[t], options->config->train.seed,
                       s->counts, hash_first_bucket(options->index, options->shards),
                       hash_first_bucket(options->index + 1, options->shards));
        s->n_tables = t + 1;
        if (err == OK)
            err = eviction_init(&s->tables[t]);
        if (err == OK && deltas && eviction_wanted(&s->tables[t].config->evict))
            err = table_note_removed(&s->tables[t]);
    }
    if (err != OK)
        shard_free(&s);
    *out = s;
    return err;
}

void shard_free(shard **shard_)
{
    shard *s = *shard_;

    if (!s)
        return;
    shard_forget(s);
    save_abandon(s);
    for (int t = 0; t < s->n_tables; t++)
        table_clear(&s->tables[t]);
    free(s->tables);
    if (s->counts)
        safetensors_close(&s->counts);
    vec_clear(&s->parked);
    vec_clear(&s->noted);
    free(s->parts);
    free(s->halves);
    free(s->paces);
    arena_clear(&s->scratch);
    free(s);
    *shard_ = NULL;
}

err_t shard_idle(shard *s, bool *more)
{
    *more = false;
    TRY(save_advance(s, more));
    for (int t = 0; !*more && t < s->n_tables; t++)
        *more = row_store_prefault(s->tables[t].rows);
    return OK;
}

bool shard_is_saving(const shard *s)
{
    return s->saving.cut;
}

int64_t shard_clock(const shard *s)
{
    return (int64_t)s->clock;
}

/* ---- what is held for the workers ---- */

void ticket_release(ticket *t)
{
    net_message_clear(&t->pull);
    net_message_clear(&t->reply);
    net_message_clear(&t->push);
    vec_clear(&t->rows);
    t->state = TICKET_FREE;
}

void shard_forget(shard *s)
{
    for (size_t i = 0; s->tickets && i < (size_t)s->workers * TICKETS; i++)
        ticket_release(&s->tickets[i]);
    free(s->tickets);
    s->tickets = NULL;
    s->workers = 0;
    for (size_t i = 0; i < s->parked.n; i++)
        net_message_clear(&s->parked.at[i].in.message);
    s->parked.n = 0;
}

/* ---- messages ---- */

static bool was_noted(const shard *s, uint64_t peer)
{
    for (size_t i = 0; i < s->noted.n; i++)
        if (s->noted.at[i] == peer)
            return true;
    return s->noted.n == NOTED_MOST;
}

/* Count a message that was dropped because of this thread's error. */
static err_t drop(shard *s, const incoming *in)
{
    s->dropped++;
    if (was_noted(s, in->peer))
        return OK;
    log_each(LOG_WARN,
             "shard %d drops a message of peer %" PRIx64 " (its next bad ones in silence): %s",
             s->options.index, in->peer, err_text());
    return vec_push(&s->noted, in->peer);
}

/* Who may say this now. */
static err_t check_header(const shard *s, const wire_header *h)
{
    if (h->kind == WIRE_BEGIN)
        return OK;
    if (!s->begun || h->generation != s->generation)
        return err_set(ERR_MESSAGE, "%s of generation %u; the shard is at %" PRId64,
                       wire_kind_name(h->kind), h->generation, s->begun ? s->generation : -1);
    if (h->sender >= (uint32_t)s->workers)
        return err_set(ERR_MESSAGE, "%s of worker %u; there are %d", wire_kind_name(h->kind),
                       h->sender, s->workers);
    return OK;
}

static err_t handle(shard *s, incoming *in)
{
    static err_t (*const handlers[WIRE_KIND_COUNT])(shard *, incoming *) = {
        [WIRE_BEGIN] = handle_begin, [WIRE_PULL] = handle_pull, [WIRE_READ] = handle_read,
        [WIRE_BIRTH] = handle_birth, [WIRE_PUSH] = handle_push, [WIRE_SAVE] = handle_save,
        [WIRE_STATS] = handle_stats,
    };

    TRY(check_header(s, &in->header));
    if (!handlers[in->header.kind])
        return err_set(ERR_MESSAGE, "%s is nothing for a shard",
                       wire_kind_name(in->header.kind));
    return handlers[in->header.kind](s, in);
}

static err_t finish(shard *s, incoming *in, err_t err)
{
    if (err == ERR_MESSAGE)
        err = drop(s, in);
    net_message_clear(&in->message);
    return err;
}

err_t shard_dispatch(shard *s, incoming *in)
{
    return finish(s, in, handle(s, in));
}

err_t shard_handle(shard *s, uint64_t peer, net_message *m)
{
    incoming in    = {.peer = peer, .message = *m};
    size_t   bytes = m->size;

    *m        = (net_message){0};
    err_t err = wire_open(&in.header, &in.message);
    TRY(err == OK ? shard_dispatch(s, &in) : finish(s, &in, err));
    return save_advance_after(s, bytes);
}
