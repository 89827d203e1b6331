#include <stdio.h>

#include "worker/layers/layers.h"

tensor *mlp(graph *g, tensor *x, const mlp_config *c, const char *name)
{
    for (int i = 0; i < c->units.n; i++) {
        char place[CONFIG_NAME_MAX + 16], norm[CONFIG_NAME_MAX + 24];
        snprintf(place, sizeof place, "%s.%d", name, i);
        snprintf(norm, sizeof norm, "%s.norm", place);
        x = linear(g, x, c->units.at[i], place);
        x = c->batch_norm ? batch_norm(g, x, norm) : x;
        x = activation(g, x, c->activation, place);
        x = dropout(g, x, c->dropout, place);
    }
    return x;
}
