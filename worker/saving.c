#include "worker/saving.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/manifest_chain.h"

/* The thread writes the dense weights; then nobody runs until all shards are done; then it writes
 * the manifest. */
typedef enum { WRITING_DENSE, WAITING_FOR_SHARDS, WRITING_MANIFEST, ENDED } stage;

struct saving {
    const job   *job;
    ps_client   *client;
    const char  *dir; /* lent */
    char         folder[CONFIG_PATH_MAX];
    manifest     manifest;
    dense_image *dense;
    stage        stage;
    bool         asked; /* the shards have begun, and have not been heard out */

    pthread_t   thread;
    bool        running; /* the thread is to be joined */
    atomic_bool done;    /* it has nothing left to do */
    err_report  written; /* what it came to */
    err_report  failure; /* the first one; code OK: none yet */
};

static void fail(saving *s, err_t err)
{
    if (err != OK && s->failure.code == OK)
        err_keep(&s->failure, err);
}

/* ---- the thread ---- */

static void *write_dense(void *argument)
{
    saving *s = argument;
    char    path[CONFIG_PATH_MAX + CONFIG_NAME_MAX];

    snprintf(path, sizeof path, "%s/%s", s->folder, s->manifest.files[0].name);
    err_keep(&s->written, dense_image_save(s->dense, path, &s->manifest.files[0].digest));
    atomic_store(&s->done, true);
    return NULL;
}

static void *write_manifest(void *argument)
{
    saving *s = argument;

    err_keep(&s->written, manifest_write(s->folder, &s->manifest, s->job->schema));
    if (s->written.code == OK &&
        manifest_keep(s->dir, s->job->config->checkpoint.keep) != OK)
        log_once(LOG_WARN, "an old checkpoint stays: %s", err_text());
    atomic_store(&s->done, true);
    return NULL;
}

static err_t run(saving *s, stage next, void *(*work)(void *))
{
    s->stage = next;
    atomic_store(&s->done, false);
    int failure = pthread_create(&s->thread, NULL, work, s);
    if (failure)
        return err_set(ERR_SYSTEM, "no thread for a checkpoint: %s", strerror(failure));
    s->running = true;
    return OK;
}

/* Wait for the thread's end. */
static void join(saving *s)
{
    if (!s->running)
        return;
    pthread_join(s->thread, NULL);
    s->running = false;
    fail(s, err_give(&s->written));
}

/* ---- beginning ---- */

/* What a delta is to stand upon; a full one where base will not do. */
static err_t find_parent(saving *s, int64_t base)
{
    char     folder[CONFIG_PATH_MAX];
    manifest m;

    if (base < 0 || base >= s->manifest.step)
        return OK;
    manifest_folder(folder, s->dir, base);
    TRY(manifest_read(&m, folder));
    if (manifest_is_of_kind(&s->manifest, &m))
        s->manifest.parent = (manifest_parent){true, base, m.xxh3};
    manifest_clear(&m);
    return OK;
}

/* The cursor outlives the call. */
static err_t copy_dealt(manifest_dealt *to, const manifest_dealt *from)
{
    *to = (manifest_dealt){.next = from->next, .n = from->n};
    if (from->n == 0)
        return OK;
    to->held = malloc((size_t)from->n * sizeof *to->held);
    if (!to->held)
        return err_memory((size_t)from->n * sizeof *to->held, "the cursor of a manifest");
    memcpy(to->held, from->held, (size_t)from->n * sizeof *to->held);
    return OK;
}

static err_t fill_manifest(saving *s, const learner_cut *cut)
{
    const job *j      = s->job;
    int        shards = j->shards->peers;
    size_t     text_bytes;

    s->manifest = (manifest){
        .step        = cut->step,
        .bad_steps   = cut->bad_steps,
        .seed        = j->config->train.seed,
        .shards      = shards,
        .schema_hash = j->schema->hash,
        .real        = REAL_NAME,
        .n_files     = shards + 1,
    };
    s->manifest.files = calloc((size_t)shards + 1, sizeof *s->manifest.files);
    if (!s->manifest.files)
        return err_memory((size_t)shards * sizeof *s->manifest.files, "a manifest");
    snprintf(s->manifest.files[0].name, sizeof s->manifest.files[0].name, "dense.safetensors");
    TRY(copy_dealt(&s->manifest.dealt, &cut->dealt));
    return config_text(&s->manifest.configuration, &text_bytes, j->config);
}

static err_t begin(saving *s, const dense *d, const learner_cut *cut, int64_t base)
{
    TRY(fill_manifest(s, cut));
    if (cut->delta)
        TRY(find_parent(s, base));
    TRY(manifest_begin(s->folder));
    TRY(dense_copy(&s->dense, d));
    const manifest_parent *p = &s->manifest.parent;
    TRY(ps_save_begin(s->client, cut->step, p->there ? p->step : -1, s->folder));
    s->asked  = true;
    err_t err = run(s, WRITING_DENSE, write_dense);
    if (err != OK) /* the shards are heard out first */
        s->stage = WAITING_FOR_SHARDS;
    fail(s, err);
    return OK;
}

err_t saving_begin(saving **out, const job *j, ps_client *client, const dense *d,
                   const char *dir, const learner_cut *cut, int64_t base)
{
    saving *s = calloc(1, sizeof *s);

    *out = s;
    if (!s)
        return err_memory(sizeof *s, "a checkpoint");
    *s = (saving){.job = j, .client = client, .dir = dir};
    manifest_folder(s->folder, dir, cut->step);
    err_t err = begin(s, d, cut, base);
    if (err == OK)
        return OK;
    err = err_add(err, "checkpoint of step %" PRId64, cut->step);
    err_report report;
    err_keep(&report, err);
    saving_abandon(out);
    return err_give(&report);
}

/* ---- going on ---- */

/* All shards are done, or are waited for. A shard that failed to write is the checkpoint's
 * failure; one that is silent is the run's. */
static err_t hear_shards(saving *s)
{
    s->asked  = false;
    err_t err = ps_save_end(s->client, s->manifest.files + 1);
    for (int k = 0; s->job->config->checkpoint.compression && k < s->manifest.shards; k++)
        manifest_name_compressed(&s->manifest.files[1 + k]);
    if (err != OK && err != ERR_SYSTEM && err != ERR_MEMORY)
        return err;
    fail(s, err);
    if (s->failure.code == OK)
        fail(s, run(s, WRITING_MANIFEST, write_manifest));
    if (s->failure.code != OK)
        s->stage = ENDED;
    return OK;
}

err_t saving_poll(saving *s, bool *ended)
{
    bool done;

    if (s->running && atomic_load(&s->done)) {
        join(s);
        s->stage = s->stage == WRITING_DENSE ? WAITING_FOR_SHARDS : ENDED;
    }
    if (s->stage == WAITING_FOR_SHARDS) {
        TRY(ps_save_is_done(s->client, &done));
        if (done)
            TRY(hear_shards(s));
    }
    *ended = s->stage == ENDED;
    return OK;
}

err_t saving_wait(saving *s)
{
    join(s);
    if (s->asked)
        TRY(hear_shards(s));
    join(s);
    s->stage = ENDED;
    return OK;
}

/* ---- the end ---- */

static void free_saving(saving **s)
{
    join(*s);
    dense_image_free(&(*s)->dense);
    manifest_clear(&(*s)->manifest);
    free(*s);
    *s = NULL;
}

err_t saving_end(saving **s_, int64_t *step)
{
    saving *s    = *s_;
    int64_t mine = s->manifest.step;
    err_t   err  = err_give(&s->failure);

    if (err == OK)
        *step = mine;
    else
        err = err_add(err, "checkpoint of step %" PRId64, mine);
    err_report report;
    err_keep(&report, err);
    free_saving(s_);
    return err_give(&report);
}

void saving_abandon(saving **s)
{
    if (*s)
        free_saving(s);
}
