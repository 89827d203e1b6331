#include "common/optim.h"

#include "common/optim_rules.h"

#define PARTS_MAX 3

/* Everything a rule is. */
static const struct rule {
    int         n_parts;
    optim_part  parts[PARTS_MAX];
    optim_rule *update;
} rules[] = {
    [OPTIMIZER_SGD]             = {0, {{0}}, optim_sgd},
    [OPTIMIZER_MOMENTUM]        = {1, {{"momentum", true}}, optim_momentum},
    [OPTIMIZER_ADAGRAD]         = {1, {{"sum", true}}, optim_adagrad},
    [OPTIMIZER_ROWWISE_ADAGRAD] = {1, {{"sum", false}}, optim_rowwise_adagrad},
    [OPTIMIZER_ADAM]            = {3, {{"m", true}, {"v", true}, {"step", false}}, optim_adam},
    [OPTIMIZER_FTRL]            = {2, {{"z", true}, {"n", true}}, optim_ftrl},
};

const optim_part *optim_parts(optimizer_kind kind, int *n)
{
    *n = rules[kind].n_parts;
    return rules[kind].parts;
}

size_t optim_state_size(optimizer_kind kind, size_t n)
{
    const struct rule *rule = &rules[kind];
    size_t             size = 0;

    for (int i = 0; i < rule->n_parts; i++)
        size += rule->parts[i].wide ? n : 1;
    return size;
}

void optim_init(optim *o, const optimizer_config *c)
{
    o->config = c;
    powers_init(&o->beta1, c->beta1);
    powers_init(&o->beta2, c->beta2);
}

void optim_update(const optim *o, double lr, real *w, real *state, const real *g, size_t n)
{
    rules[o->config->kind].update(o, (real)lr, w, state, g, n);
}
