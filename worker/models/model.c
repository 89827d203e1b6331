#include "worker/models/model.h"

#include <string.h>

/* A line a model: NAME.c defines NAME_model. */
#define MODELS(X)                                                                              \
    X(lr)                                                                                      \
    X(fm)                                                                                      \
    X(afm)                                                                                     \
    X(base)                                                                                    \
    X(din)                                                                                     \
    X(dien)                                                                                    \
    X(dsin)                                                                                    \
    X(dstn)

#define X(name) extern const model name##_model;
MODELS(X)
#undef X

#define X(name) &name##_model,
const model *const models[] = {MODELS(X) NULL};
#undef X

const model *model_find(const char *name)
{
    for (const model *const *m = models; *m; m++)
        if (!strcmp((*m)->name, name))
            return *m;
    return NULL;
}

err_t model_build(graph *g, const config *c)
{
    const model *m = model_find(c->model.kind);

    if (!m)
        return err_set(ERR_CONFIG,
                       "model.kind is %s, which is no model; `dips options` lists them",
                       c->model.kind);
    tensor *logits = m->build(g, &c->model);
    err_t   e      = graph_error(g);
    if (e != OK)
        return err_add(e, "model %s", m->name);
    graph_set_logits(g, logits);
    return OK;
}
