/* saving - SAVE: a checkpoint's file, written while the shard goes on (ps/cut.h). */
#include <inttypes.h>
#include <string.h>

#include "ps/state.h"

/* The parent that a SAVE names: its step, plus one; 0: the file is to be a full one. */
static err_t find_parent(const shard *s, uint32_t status, cut_options *o)
{
    o->delta  = status > 0;
    o->parent = o->delta ? status - 1 : 0;
    if (!o->delta || o->parent == s->noted_since)
        return OK;
    return err_set(ERR_CONFIG,
                   "a delta upon step %" PRIu64 ": rows that left are known since step %" PRIu64,
                   o->parent, s->noted_since);
}

/* Whether the tables are as they are after the clock's steps. */
static err_t check_drained(const shard *s)
{
    return !s->async || s->front == s->clock
               ? OK
               : err_set(ERR_MESSAGE,
                         "a checkpoint of step %" PRIu64 ", and step %" PRIu64 " is applied",
                         s->clock, s->front - 1);
}

static int compression_of(const shard *s)
{
    const config *c = s->options.config;

    return c->checkpoint.compression == COMPRESSION_ZSTD ? c->checkpoint.compression_level : 0;
}

static err_t begin(shard *s, const char *folder, uint32_t status)
{
    cut_options o = {.folder = folder,
                     .shard  = s->options.index,
                     .shards = s->options.shards,
                     .step   = s->clock,
                     .thread = s->options.save == SAVE_IN_BACKGROUND,
                     .compression   = compression_of(s),
                     .piece_buckets = s->options.save_buckets};

    TRY(check_drained(s));
    TRY(find_parent(s, status, &o));
    s->noted_since = s->clock;
    return cut_begin(&s->saving.cut, s->tables, s->n_tables, &o);
}

/* The cut has begun. */
static err_t make_begun(const shard *s, const wire_header *asked, net_message *m)
{
    wire_header h = answer_header(s, WIRE_DONE, asked);
    wire_done   d = {.request = WIRE_SAVE};

    return wire_encode_done(m, &h, &d);
}

/* Begin to carry out a SAVE whose step the clock is at. */
static err_t save(shard *s, const incoming *in, net_message *m)
{
    char      folder[CONFIG_PATH_MAX];
    wire_text t;

    TRY(wire_decode_text(&t, &in->message));
    if (t.bytes == 0 || t.bytes >= sizeof folder)
        return err_set(ERR_CONFIG, "a checkpoint's path of %u bytes", t.bytes);
    memcpy(folder, t.text, t.bytes);
    folder[t.bytes] = 0;
    s->saving.ended  = false;
    s->saving.credit = 0;
    s->saving.asked = in->header;
    s->saving.peer  = in->peer;
    TRY(begin(s, folder, t.status));
    return make_begun(s, &in->header, m);
}

static err_t end(shard *s)
{
    wire_saved         saved = {.rows = cut_rows_packed(s->saving.cut)};
    safetensors_digest digest;

    TRY(cut_finish(&s->saving.cut, &digest));
    saved.bytes     = digest.bytes;
    saved.xxh3      = digest.xxh3;
    s->saving.saved = saved;
    s->saving.ended = true;
    return OK;
}

/* What the shard tells when the file is on the disk. */
static err_t answer_saved(shard *s)
{
    wire_header h = answer_header(s, WIRE_SAVED, &s->saving.asked);
    net_message m;

    TRY(wire_encode_saved(&m, &h, &s->saving.saved));
    return answer(s, s->saving.peer, &m);
}

/* The file is done, good or bad. */
static err_t tell_end(shard *s)
{
    err_t err = end(s);

    return err == OK ? answer_saved(s)
                     : answer_failed(s, s->saving.peer, &s->saving.asked, err);
}

/* One who asks again, of the cut under way or the one before, lost an answer. */
static err_t answer_again(shard *s, const incoming *in)
{
    net_message m;

    s->saving.peer = in->peer;
    if (s->saving.ended)
        return answer_saved(s);
    TRY(make_begun(s, &in->header, &m));
    return answer(s, in->peer, &m);
}

err_t save_advance(shard *s, bool *more)
{
    *more = false;
    if (!s->saving.cut)
        return OK;
    do
        *more = cut_advance(s->saving.cut);
    while (*more && s->options.save == SAVE_AT_ONCE);
    return cut_is_done(s->saving.cut) ? tell_end(s) : OK;
}

/* Where messages never end the checkpoint comes to one all the same, at the cost of a sixteenth of
 * their work or so: as many bytes are packed as a sixteenth of those that were handled. To keep
 * rows as they were costs about as much again. */
#define SHARE    16
#define AT_LEAST 512 /* bytes that any message is worth */

err_t save_advance_after(shard *s, size_t bytes)
{
    bool more;

    if (!s->saving.cut)
        return OK;
    s->saving.credit += (int64_t)(bytes / SHARE) + AT_LEAST;
    if (s->saving.credit < 0 && s->options.save != SAVE_AT_ONCE &&
        !cut_is_done(s->saving.cut))
        return OK;
    uint64_t before = cut_bytes_done(s->saving.cut);
    TRY(save_advance(s, &more));
    if (s->saving.cut)
        s->saving.credit -= (int64_t)(cut_bytes_done(s->saving.cut) - before);
    return OK;
}

void save_abandon(shard *s)
{
    cut_abandon(&s->saving.cut);
    s->saving.ended = false;
}

err_t handle_save(shard *s, incoming *in)
{
    wire_text t;

    TRY(wire_decode_text(&t, &in->message));
    if ((s->saving.cut || s->saving.ended) && in->header.step == s->saving.asked.step)
        return answer_again(s, in);
    if (!s->saving.cut)
        return answer_at(s, in, in->header.step, save);
    return answer_failed(s, in->peer, &in->header,
                         err_set(ERR_CONFIG,
                                 "the checkpoint of step %" PRIu64 " is still being written",
                                 s->saving.asked.step));
}
