#include "worker/ranker.h"

#include <stdlib.h>

#include "worker/evaluator.h"

struct ranker {
    const job *job;
    learner   *learner;
    id_maker  *maker;
    arena      memory;
    int64_t    step; /* of the checkpoint */
};

err_t ranker_new(ranker **out, const job *j, const char *folder)
{
    ranker *r = calloc(1, sizeof *r);

    *out = r;
    if (!r)
        return err_memory(sizeof *r, "a ranker");
    r->job    = j;
    err_t err = evaluator_hold(j, folder, &r->learner, &r->step);
    if (err == OK)
        err = id_maker_new(&r->maker, j->schema, j->shards->peers);
    if (err != OK)
        ranker_free(out);
    return err;
}

void ranker_free(ranker **r)
{
    if (!*r)
        return;
    learner_free(&(*r)->learner);
    id_maker_free(&(*r)->maker);
    arena_clear(&(*r)->memory);
    free(*r);
    *r = NULL;
}

arena *ranker_memory(ranker *r)
{
    arena_reset(&r->memory);
    return &r->memory;
}

learner *ranker_learner(ranker *r)
{
    return r->learner;
}

err_t ranker_rank(ranker *r, requests *q, bool plain, double **probabilities)
{
    const job *j = r->job;
    id_set    *sets;

    TRY(arena_take(&r->memory, (size_t)j->schema->n_tables * sizeof *sets, &sets));
    bool events = plain || learner_reads_events(r->learner);
    TRY(requests_complete(q, j->schema, &j->config->model, events, r->maker, &r->memory, sets));
    TRY(arena_take(&r->memory, (size_t)q->each.B * sizeof **probabilities, probabilities));
    return learner_rank(r->learner, r->step, q, sets, plain, &r->memory, *probabilities);
}
