#include "ps/cut_writer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define SPARE_BYTES ((size_t)4 << 20) /* of a piece that is used again */
#define NICE        10                /* than the threads that train: a tenth of their share */

struct cut_writer {
    pthread_t       thread;
    bool            threaded;
    pthread_mutex_t lock;
    pthread_cond_t  news; /* of anything below, which the lock guards */

    cut_piece *first, *last; /* on their way */
    cut_piece *spare;        /* written, to be used again: a list */
    size_t     bytes;        /* on their way, that being written included */
    bool       ended, abandoned, done;
    err_report failure; /* code OK: none yet */

    safetensors_writer *file; /* the thread's alone while it runs; NULL: finished or given up */
    safetensors_digest  digest;
};

/* ---- pieces ---- */

err_t cut_piece_add(cut_piece *p, int tensor, size_t bytes, void **data)
{
    cut_segment segment = {tensor, bytes};

    TRY(vec_push(&p->segments, segment));
    TRY(vec_reserve(&p->data, p->data.n + bytes + 1));
    *data = p->data.at + p->data.n;
    p->data.n += bytes;
    return OK;
}

static void piece_free(cut_piece *p)
{
    vec_clear(&p->segments);
    vec_clear(&p->data);
    free(p);
}

static void free_list(cut_piece *p)
{
    for (cut_piece *next; p; p = next) {
        next = p->next;
        piece_free(p);
    }
}

static err_t write_piece(safetensors_writer *file, const cut_piece *p)
{
    const char *data = p->data.at;

    for (size_t i = 0; i < p->segments.n; i++) {
        TRY(safetensors_append(file, p->segments.at[i].tensor, data, p->segments.at[i].bytes));
        data += p->segments.at[i].bytes;
    }
    return OK;
}

/* ---- what the thread does, or who puts a piece where there is none ---- */

/* Bring the file to its end, good or bad. */
static void end_file(cut_writer *w, err_t err)
{
    if (err != OK)
        safetensors_abandon(&w->file);
    else
        err = safetensors_finish(&w->file, &w->digest);
    pthread_mutex_lock(&w->lock);
    if (err != OK)
        err_keep(&w->failure, err);
    w->done = true;
    pthread_mutex_unlock(&w->lock);
}

/* The next piece, which is on its way still; NULL: there is none, and none will come. */
static cut_piece *next_piece(cut_writer *w)
{
    cut_piece *p = NULL;

    pthread_mutex_lock(&w->lock);
    while (!w->first && !w->ended && !w->abandoned)
        pthread_cond_wait(&w->news, &w->lock);
    if (!w->abandoned && w->first) {
        p        = w->first;
        w->first = p->next;
    }
    pthread_mutex_unlock(&w->lock);
    return p;
}

/* A piece is written, or is not to be. Its memory serves again: to have new memory for each
 * from the system would cost the shard's thread as much as to fill it. */
static void put_away(cut_writer *w, cut_piece *p)
{
    size_t bytes = p->data.n;
    bool   keep  = p->data.capacity <= SPARE_BYTES;

    p->data.n = p->segments.n = 0;
    pthread_mutex_lock(&w->lock);
    w->bytes -= bytes;
    if (keep) {
        p->next  = w->spare;
        w->spare = p;
    }
    pthread_mutex_unlock(&w->lock);
    if (!keep)
        piece_free(p);
}

static bool is_abandoned(cut_writer *w)
{
    pthread_mutex_lock(&w->lock);
    bool abandoned = w->abandoned;
    pthread_mutex_unlock(&w->lock);
    return abandoned;
}

/* This thread steps back where others want its core. A wish. */
static void be_modest(void)
{
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), getpriority(PRIO_PROCESS, 0) + NICE);
}

static void *run(void *argument)
{
    cut_writer *w   = argument;
    err_t       err = OK;

    be_modest();

    for (cut_piece *p; err == OK && (p = next_piece(w));) {
        err = write_piece(w->file, p);
        put_away(w, p);
    }
    if (err == OK && is_abandoned(w))
        err = err_set(ERR_SYSTEM, "the checkpoint is given up");
    end_file(w, err);
    return NULL;
}

/* ---- the writer ---- */

static void free_writer(cut_writer **writer)
{
    cut_writer *w = *writer;

    free_list(w->first);
    free_list(w->spare);
    safetensors_abandon(&w->file);
    pthread_cond_destroy(&w->news);
    pthread_mutex_destroy(&w->lock);
    free(w);
    *writer = NULL;
}

err_t cut_writer_start(cut_writer **out, safetensors_writer *file, bool thread)
{
    cut_writer *w = calloc(1, sizeof *w);

    *out = NULL;
    if (!w) {
        safetensors_abandon(&file);
        return err_memory(sizeof *w, "a checkpoint's writer");
    }
    w->file     = file;
    w->threaded = thread;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->news, NULL);
    int failure = thread ? pthread_create(&w->thread, NULL, run, w) : 0;
    if (failure) {
        free_writer(&w);
        return err_set(ERR_SYSTEM, "no thread for a checkpoint's file: %s", strerror(failure));
    }
    *out = w;
    return OK;
}

bool cut_writer_has_room(cut_writer *w)
{
    pthread_mutex_lock(&w->lock);
    bool room = w->bytes < CUT_WRITER_BYTES && !w->done;
    pthread_mutex_unlock(&w->lock);
    return room;
}

err_t cut_writer_take(cut_writer *w, cut_piece **piece)
{
    pthread_mutex_lock(&w->lock);
    *piece = w->spare;
    if (*piece)
        w->spare = (*piece)->next;
    pthread_mutex_unlock(&w->lock);
    if (!*piece)
        *piece = calloc(1, sizeof **piece);
    return *piece ? OK : err_memory(sizeof **piece, "a piece of a checkpoint");
}

static void put_now(cut_writer *w, cut_piece *p)
{
    err_t err = w->done ? OK : write_piece(w->file, p);

    put_away(w, p);
    if (err != OK)
        end_file(w, err);
}

void cut_writer_put(cut_writer *w, cut_piece *p)
{
    pthread_mutex_lock(&w->lock);
    p->next = NULL;
    w->bytes += p->data.n;
    if (w->threaded) {
        if (w->first)
            w->last->next = p;
        else
            w->first = p;
        w->last = p;
        pthread_cond_signal(&w->news);
    }
    pthread_mutex_unlock(&w->lock);
    if (!w->threaded)
        put_now(w, p);
}

void cut_writer_end(cut_writer *w)
{
    pthread_mutex_lock(&w->lock);
    w->ended = true;
    pthread_cond_signal(&w->news);
    pthread_mutex_unlock(&w->lock);
    if (!w->threaded && !w->done)
        end_file(w, OK);
}

bool cut_writer_is_done(cut_writer *w)
{
    pthread_mutex_lock(&w->lock);
    bool done = w->done;
    pthread_mutex_unlock(&w->lock);
    return done;
}

err_t cut_writer_finish(cut_writer **writer, safetensors_digest *digest)
{
    cut_writer *w = *writer;

    if (w->threaded)
        pthread_join(w->thread, NULL);
    *digest   = w->digest;
    err_t err = err_give(&w->failure);
    free_writer(writer);
    return err;
}

void cut_writer_abandon(cut_writer **writer)
{
    cut_writer *w = *writer;

    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->abandoned = true;
    pthread_cond_signal(&w->news);
    pthread_mutex_unlock(&w->lock);
    if (w->threaded)
        pthread_join(w->thread, NULL);
    free_writer(writer);
}
