/* The first layer of DIN's activation unit alone: a row of out numbers for each event. */
#include "worker/kernels/kernel.h"
#include "worker/layers/folded_pair.h"
#include "worker/layers/layers.h"

/* What forward leaves to backward; z of a sample lies in whole vectors before it is copied. */
typedef struct pair_scratch {
    folded_pair pair;
    real       *rows; /* (events of a sample, padded out) */
} pair_scratch;

static void copy_rows(real *to, int to_stride, const real *from, int from_stride, int N, int D)
{
    for (int n = 0; n < N; n++)
        memcpy(ROW(to, n, to_stride), ROW(from, n, from_stride), (size_t)D * sizeof *to);
}

static err_t pair_linear_forward(node *n, pass *p)
{
    pair_scratch *s;
    tensor       *z = n->output;

    TRY(graph_output(n, p, n->inputs[1]->rows));
    TRY(arena_take(p->arena, sizeof *s, &s));
    folded_pair  *a = &s->pair;
    const tensor *k = n->inputs[1];
    TRY(folded_pair_open(a, n->config, n->inputs[0], n->inputs[1], n->params[0], n->params[1],
                         p));
    size_t room = (size_t)piece_longest(a->offsets, a->B) * (size_t)a->U_stride;
    TRY(arena_take_zero(p->arena, room * sizeof *s->rows, &s->rows));
    for (int b = 0; b < a->B; b++) {
        folded_pair_forward(a, s->rows, ROW(k->x, a->offsets[b], a->Dk), b);
        copy_rows(ROW(z->x, a->offsets[b], z->cols), z->cols, s->rows, a->U_stride,
                  a->offsets[b + 1] - a->offsets[b], z->cols);
    }
    n->scratch = s;
    return OK;
}

static err_t pair_linear_backward(node *n, pass *p)
{
    pair_scratch *s = n->scratch;
    folded_pair  *a = &s->pair;
    const tensor *z = n->output, *k = n->inputs[1];
    bool          add = !n->fresh[1];

    TRY(folded_pair_open_backward(a, n, p));
    if (k->wants_gradient && !add && a->D < a->Dk) {
        memset(k->g, 0, (size_t)k->rows * (size_t)k->cols * sizeof *k->g);
        add = true;
    }
    for (int i = 0; i < piece_longest(a->offsets, a->B); i++) /* zero behind the last column */
        memset(ROW(s->rows, i, a->U_stride), 0, (size_t)a->U_stride * sizeof *s->rows);
    for (int b = 0; b < a->B; b++) {
        copy_rows(s->rows, a->U_stride, ROW(z->g, a->offsets[b], z->cols), z->cols,
                  a->offsets[b + 1] - a->offsets[b], z->cols);
        folded_pair_backward(a, k->wants_gradient ? ROW(k->g, a->offsets[b], a->Dk) : NULL,
                             s->rows, ROW(k->x, a->offsets[b], a->Dk), add, b);
    }
    folded_pair_close_backward(a, n->params[0], n->params[1]);
    return OK;
}

static const layer pair_layer = {.name       = "pair linear",
                                 .forward    = pair_linear_forward,
                                 .backward   = pair_linear_backward,
                                 .overwrites = true};

tensor *pair_linear(graph *g, tensor *q, tensor *k, int n_parts, const part_kind *parts,
                    int out, const char *name)
{
    pair_parts c = {0};

    if (!q || !k || !pair_parts_place(g, &c, n_parts, parts, q->cols, k->cols))
        return NULL;
    node *n = graph_add(g, &pair_layer, 2, (tensor *[]){q, k}, out, k->per, sizeof c);
    if (n)
        *(pair_parts *)n->config = c;
    node_weight(g, n, 0, name, out, c.in);
    node_vector(g, n, 1, name, "bias", out, 0);
    return node_output(n);
}
