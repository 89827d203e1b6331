#include "worker/ps_state.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

err_t ps_client_new(ps_client **out, const ps_client_options *options)
{
    ps_client *c     = calloc(1, sizeof *c);
    size_t     calls = (size_t)options->in_flight + 2;
    int        n     = options->transport->peers;

    assert(n > 0 && options->in_flight > 0 && options->schema->n_tables <= WIRE_MAX_TABLES);
    *out = NULL;
    if (!c)
        return err_memory(sizeof *c, "a client of the servers");
    *c            = (ps_client){.options = *options, .shards = n};
    c->pulls      = calloc((size_t)options->in_flight, sizeof *c->pulls);
    c->complained = calloc((size_t)n, sizeof *c->complained);
    /* one piece for all exchanges; the call's is the first */
    c->call.answers = calloc(calls * (size_t)n, sizeof *c->call.answers);
    if (!c->pulls || !c->complained || !c->call.answers) {
        ps_client_free(&c);
        return err_memory(calls * (size_t)n * sizeof(net_message), "a client of the servers");
    }
    for (int i = 0; i < options->in_flight; i++)
        c->pulls[i].answers = c->call.answers + (size_t)(i + 1) * (size_t)n;
    c->save.answers = c->call.answers + (calls - 1) * (size_t)n;
    /* Rows of step t are of version t + 1 - in_flight or later; async: the clock is at most as
       many steps behind as a shard has tickets for. */
    err_t err =
        push_log_init(&c->pushed, n, options->async ? WIRE_TICKETS : options->in_flight);
    if (err != OK)
        ps_client_free(&c);
    *out = c;
    return err;
}

void ps_client_free(ps_client **out)
{
    ps_client *c = *out;

    if (!c)
        return;
    if (c->pulls && c->call.answers) {
        for (int i = 0; i < c->options.in_flight; i++) {
            exchange_close(c, &c->pulls[i]);
            free(c->pulls[i].room);
        }
        exchange_close(c, &c->call);
        if (c->save.answers)
            exchange_close(c, &c->save);
    }
    net_message_clear(&c->push);
    push_log_clear(&c->pushed);
    free(c->room);
    free(c->call.room);
    free(c->pulls);
    free(c->complained);
    free(c->call.answers);
    free(c);
    *out = NULL;
}

/* ---- requests ---- */

err_t ps_begin(ps_client *c, const char *folder, int64_t step)
{
    wire_begin begin = {.workers    = (uint32_t)c->options.workers,
                        .real_bytes = sizeof(real),
                        .path       = folder,
                        .path_bytes = folder ? (uint32_t)strlen(folder) : 0};
    err_t err = exchange_call(c, WIRE_BEGIN, (uint64_t)step, 0, NULL, ps_encode_begin, &begin);

    exchange_close(c, &c->call);
    return err;
}

static exchange *pull_of(ps_client *c, int64_t step)
{
    exchange *x = exchange_find(c, WIRE_PULL, (uint64_t)step);

    assert(x);
    return x;
}

static exchange *free_pull(ps_client *c)
{
    exchange *x = c->pulls;

    while (x < c->pulls + c->options.in_flight && x->request != WIRE_NONE)
        x++;
    assert(x < c->pulls + c->options.in_flight);
    return x;
}

err_t ps_pull(ps_client *c, int64_t step, int64_t version, const id_set *sets)
{
    exchange *x = free_pull(c);

    TRY(exchange_open(c, x, WIRE_PULL, (uint64_t)step, (uint64_t)version, sets));
    x->wanted = (ids_wanted){.version = version, .sets = sets};
    return exchange_ask(c, x, ps_encode_ids, &x->wanted);
}

/* Where the rows of x are, all answers of which are here. */
static err_t lend_rows(const ps_client *c, exchange *x, real **rows)
{
    wire_rows got;

    if (!ps_in_place(c)) {
        ps_place_pieces(rows, c->options.schema, x->sets, x->room);
        exchange_clear(c, x);
        return OK;
    }
    TRY(wire_decode_rows(&got, &x->answers[0]));
    for (int t = 0; t < got.tables; t++)
        rows[t] = got.table[t].values;
    return OK;
}

err_t ps_rows(ps_client *c, int64_t step, const id_set *sets, real **rows)
{
    exchange *x = pull_of(c, step);

    assert(x->sets == sets);
    TRY(exchange_await(c, x));
    return lend_rows(c, x, rows);
}

int64_t ps_rows_version(ps_client *c, int64_t step)
{
    return (int64_t)pull_of(c, step)->oldest;
}

/* A push to the only shard, whose values are where the gradients are written. */
static err_t prepare_in_place(ps_client *c, int64_t step, const id_set *sets, real **gradients)
{
    wire_header h = ps_header(c, WIRE_PUSH, (uint64_t)step);
    wire_push   p = ps_push_to(c, 0, sets);

    net_message_clear(&c->push);
    TRY(wire_prepare_push(&c->push, &h, &p));
    for (int t = 0; t < p.tables; t++)
        gradients[t] = p.table[t].values;
    return OK;
}

err_t ps_gradients(ps_client *c, int64_t step, const id_set *sets, real **gradients)
{
    const schema *s = c->options.schema;

    if (ps_in_place(c)) {
        TRY(prepare_in_place(c, step, sets, gradients));
    } else {
        TRY(ps_reserve_room(&c->room, &c->room_size, s, sets));
        ps_place_pieces(gradients, s, sets, c->room);
    }
    for (int t = 0; t < s->n_tables; t++)
        memset(gradients[t], 0,
               (size_t)sets[t].n * (size_t)s->tables[t].config->dim * sizeof(real));
    return OK;
}

/* m is taken. */
static err_t send_push(ps_client *c, int64_t step, int shard, net_message *m)
{
    err_t err = push_log_keep(&c->pushed, shard, (uint64_t)step, m);

    if (err == OK)
        return ps_send(c, WIRE_PUSH, (uint64_t)step, shard, m);
    net_message_clear(m);
    return err;
}

/* The gradients are where they travel. */
static err_t push_in_place(ps_client *c, int64_t step, int64_t pulled_until,
                           const ps_part *part)
{
    wire_push p = {.tables = c->options.schema->n_tables};

    assert(c->push.data);
    ps_tell_part(&p, pulled_until, part);
    wire_change_push(&c->push, &p);
    wire_seal(&c->push);
    return send_push(c, step, 0, &c->push);
}

err_t ps_push(ps_client *c, int64_t step, int64_t pulled_until, const ps_part *part,
              const id_set *sets)
{
    const gradients_made made = {pulled_until, part, sets};

    exchange_close(c, pull_of(c, step));
    if (ps_in_place(c))
        return push_in_place(c, step, pulled_until, part);
    for (int k = 0; k < c->shards; k++) {
        net_message m = {0};
        TRY(ps_make(c, WIRE_PUSH, (uint64_t)step, k, ps_encode_push, &made, &m));
        TRY(send_push(c, step, k, &m));
    }
    return OK;
}

err_t ps_drain(ps_client *c, int64_t version)
{
    ids_wanted nothing = {.version = version};

    if (push_log_empty(&c->pushed))
        return OK;
    TRY(exchange_call(c, WIRE_READ, ++c->asked, (uint64_t)version, NULL, ps_encode_nothing,
                      &nothing));
    for (int k = 0; k < c->shards; k++)
        push_log_applied(&c->pushed, k, (uint64_t)version);
    exchange_close(c, &c->call);
    return OK;
}

err_t ps_read(ps_client *c, int64_t version, const id_set *sets, real **rows)
{
    ids_wanted wanted = {.version = version, .sets = sets};

    TRY(exchange_call(c, WIRE_READ, ++c->asked, (uint64_t)version, sets, ps_encode_ids,
                      &wanted));
    return lend_rows(c, &c->call, rows);
}

err_t ps_birth(ps_client *c, int64_t version, const id_set *sets)
{
    ids_wanted wanted = {.version = version, .sets = sets};
    err_t err = exchange_call(c, WIRE_BIRTH, ++c->asked, (uint64_t)version, NULL, ps_encode_ids,
                              &wanted);

    exchange_close(c, &c->call);
    return err;
}

/* The file that the shard has written, or why it could not. */
static err_t read_saved(manifest_file *file, const ps_client *c, int shard)
{
    const net_message *m = &c->save.answers[shard];
    wire_header        h;
    wire_saved         saved;
    wire_text          failed;

    TRY(wire_open(&h, m));
    if (h.kind == WIRE_FAILED) {
        TRY(wire_decode_text(&failed, m));
        return ps_failure(shard, &failed);
    }
    TRY(wire_decode_saved(&saved, m));
    manifest_shard_name(file->name, shard, c->shards);
    file->digest = (safetensors_digest){.bytes = saved.bytes, .xxh3 = saved.xxh3};
    return OK;
}

err_t ps_save_begin(ps_client *c, int64_t step, int64_t parent, const char *folder)
{
    if (strlen(folder) >= sizeof c->save_folder)
        return err_set(ERR_CONFIG, "a checkpoint's path of %zu bytes", strlen(folder));
    snprintf(c->save_folder, sizeof c->save_folder, "%s", folder);
    c->save_text = (wire_text){.status = (uint32_t)(parent + 1),
                               .text   = c->save_folder,
                               .bytes  = (uint32_t)strlen(folder)};
    TRY(exchange_open(c, &c->save, WIRE_SAVE, (uint64_t)step, 0, NULL));
    c->save.encode = ps_encode_save;
    c->save.what   = &c->save_text;
    err_t err =
        exchange_call(c, WIRE_SAVE, (uint64_t)step, 0, NULL, ps_encode_save, &c->save_text);
    c->save_news = clock_now(c->options.clock);
    exchange_close(c, &c->call);
    if (err != OK)
        exchange_close(c, &c->save);
    return err;
}

err_t ps_save_is_done(ps_client *c, bool *done)
{
    *done = c->save.missing == 0;
    if (!*done && clock_seconds(c->options.clock, c->save_news) >= c->save.timeout_s)
        return exchange_tell_silence(c, &c->save);
    return OK;
}

err_t ps_save_end(ps_client *c, manifest_file *files)
{
    err_t err = exchange_await(c, &c->save);

    for (int k = 0; err == OK && k < c->shards; k++)
        err = read_saved(&files[k], c, k);
    exchange_close(c, &c->save);
    return err;
}

err_t ps_client_stats(ps_client *c, ps_stats *stats)
{
    err_t err = exchange_call(c, WIRE_STATS, ++c->asked, 0, NULL, ps_encode_stats, NULL);

    *stats = (ps_stats){0};
    for (int k = 0; err == OK && k < c->shards; k++) {
        wire_stated stated = {0};
        err                = wire_decode_stated(&stated, &c->call.answers[k]);
        stats->rows += stated.rows;
        stats->bytes += stated.bytes;
        stats->dropped += stated.dropped;
        stats->refused += stated.refused;
        stats->admitted += stated.admitted;
        stats->evicted += stated.evicted;
    }
    exchange_close(c, &c->call);
    return err;
}

ps_traffic ps_client_traffic(const ps_client *c)
{
    return c->traffic;
}
