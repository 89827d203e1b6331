/* The fields that factorization machines cross, all of one width, side by side. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/layers/layers.h"
#include "worker/layers/places.h"

#define NUMBER_ROWS_DEVIATION 0.01 /* of a number's first row, as tables draw theirs */

/* ---- numbers:  y_bf = sum_d x_bd W_d;   gW_d += sum_b x_bd gy_bf ---- */

/* Features of numbers: m[f] of them from column first[f] on; parameter f is W of feature f. */
typedef struct number_rows {
    int n, width;
    int first[NODE_MAX_PARAMS], m[NODE_MAX_PARAMS];
} number_rows;

static err_t number_rows_forward(node *n, pass *p)
{
    const number_rows *c = n->config;
    const tensor      *x = n->inputs[0];
    tensor            *y = n->output;

    TRY(graph_output(n, p, x->rows));
    memset(y->x, 0, (size_t)y->rows * (size_t)y->cols * sizeof *y->x);
    for (int b = 0; b < y->rows; b++)
        for (int f = 0; f < c->n; f++) {
            const real *x_f = x->x + (size_t)b * (size_t)x->cols + c->first[f];
            real       *y_f = y->x + (size_t)b * (size_t)y->cols + f * c->width;
            for (int d = 0; d < c->m[f]; d++)
                for (int i = 0; i < c->width; i++)
                    y_f[i] += x_f[d] * n->params[f]->w[d * c->width + i];
        }
    return OK;
}

static err_t number_rows_backward(node *n, pass *p)
{
    const number_rows *c = n->config;
    const tensor      *x = n->inputs[0], *y = n->output;

    (void)p;
    for (int b = 0; b < y->rows; b++)
        for (int f = 0; f < c->n; f++) {
            const real *x_f  = x->x + (size_t)b * (size_t)x->cols + c->first[f];
            const real *gy_f = y->g + (size_t)b * (size_t)y->cols + f * c->width;
            for (int d = 0; d < c->m[f]; d++)
                for (int i = 0; i < c->width; i++)
                    n->params[f]->g[d * c->width + i] += x_f[d] * gy_f[i];
        }
    return OK;
}

static const layer number_rows_layer = {.name     = "rows of numbers",
                                        .forward  = number_rows_forward,
                                        .backward = number_rows_backward};

static tensor *embed_numbers(graph *g, const config_names *names, int width)
{
    const schema *s = graph_schema(g);
    tensor       *x = embed_features(g, names);
    node         *n;

    if (!x)
        return NULL;
    if (names->n > NODE_MAX_PARAMS)
        return graph_fail(g, err_set(ERR_CONFIG, "%d features of numbers, wanted at most %d",
                                     names->n, NODE_MAX_PARAMS));
    n = graph_add(g, &number_rows_layer, 1, &x, names->n * width, PER_SAMPLE,
                  sizeof(number_rows));
    if (!n)
        return NULL;
    number_rows *c = n->config;
    c->n           = names->n;
    c->width       = width;
    for (int f = 0, first = 0; f < names->n; f++) {
        char place[CONFIG_NAME_MAX + 16];
        snprintf(place, sizeof place, "fields.%s", names->at[f]);
        c->first[f] = first;
        c->m[f]     = s->floats[schema_find_float(s, names->at[f])].width;
        first += c->m[f];
        node_weight_normal(g, n, f, place, c->m[f], width, NUMBER_ROWS_DEVIATION);
    }
    return n->output;
}

/* ---- which fields a sample has ---- */

#define ALWAYS (-1) /* in place of a slot: numbers */

typedef struct presence {
    const schema *schema;
    int           n;
    int           slots[FIELDS_MAX];
} presence;

/* Ids of slot that sample b still has: of all its events where the slot is of a sequence. */
static int ids_left(const presence *c, int slot, const int *places, int b, const pass *p)
{
    int        sequence = c->schema->slots[slot].sequence, left = 0, begin = b, end = b + 1;
    const int *offsets = p->batch->slots[slot].offsets;

    if (sequence >= 0) {
        begin = p->batch->sequences[sequence].offsets[b];
        end   = p->batch->sequences[sequence].offsets[b + 1];
    }
    if (offsets) {
        begin = offsets[begin];
        end   = offsets[end];
    }
    for (int i = begin; i < end; i++)
        left += places[i] >= 0;
    return left;
}

static err_t presence_forward(node *n, pass *p)
{
    const presence *c = n->config;
    tensor         *y = n->output;

    TRY(graph_output(n, p, p->batch->B));
    for (int f = 0; f < c->n; f++) {
        int *places = NULL, slot = c->slots[f];
        if (slot != ALWAYS)
            TRY(places_take(&places, c->schema, slot, p));
        for (int b = 0; b < y->rows; b++)
            y->x[(size_t)b * (size_t)c->n + (size_t)f] =
                slot == ALWAYS || ids_left(c, slot, places, b, p) > 0;
    }
    return OK;
}

static const layer presence_layer = {.name = "presence", .forward = presence_forward};

static bool may_be_missing(const schema_slot *slot)
{
    return slot->sequence >= 0 || slot->pool != POOL_NONE || slot->drop_ids > 0;
}

/* ---- all fields ---- */

/* Features by their kind, and slots of the history's columns; strings are lent. */
typedef struct kinds {
    config_names ids, numbers;
    char        *id_names[FIELDS_MAX], *number_names[FIELDS_MAX];
    int          n_columns, columns[FIELDS_MAX];
} kinds;

static int count_fields(const kinds *k)
{
    return k->ids.n + k->numbers.n + k->n_columns;
}

static void sort_names(kinds *k, const schema *s, const config_names *names)
{
    for (int i = 0; i < names->n && count_fields(k) < FIELDS_MAX; i++)
        if (schema_find_float(s, names->at[i]) >= 0)
            k->number_names[k->numbers.n++] = names->at[i];
        else
            k->id_names[k->ids.n++] = names->at[i];
}

static void sort_fields(kinds *k, const schema *s, const model_config *c)
{
    int sequence = c->history[0] ? schema_find_sequence(s, c->history) : -1;

    memset(k, 0, sizeof *k);
    k->ids.at     = k->id_names;
    k->numbers.at = k->number_names;
    sort_names(k, s, &c->profile);
    sort_names(k, s, &c->candidate);
    sort_names(k, s, &c->context);
    for (int i = 0; sequence >= 0 && i < s->n_slots && count_fields(k) < FIELDS_MAX; i++)
        if (s->slots[i].sequence == sequence)
            k->columns[k->n_columns++] = i;
}

int fields_names(const char *names[FIELDS_MAX], const schema *s, const model_config *c)
{
    kinds k;
    int   n = 0;

    sort_fields(&k, s, c);
    for (int i = 0; i < k.ids.n; i++)
        names[n++] = k.id_names[i];
    for (int i = 0; i < k.numbers.n; i++)
        names[n++] = k.number_names[i];
    for (int i = 0; i < k.n_columns; i++)
        names[n++] = s->slots[k.columns[i]].name;
    return n;
}

/* The slot of field i, or ALWAYS. */
static int slot_of(const kinds *k, const schema *s, int i)
{
    if (i < k->ids.n)
        return schema_find_slot(s, k->id_names[i]);
    i -= k->ids.n;
    return i < k->numbers.n ? ALWAYS : k->columns[i - k->numbers.n];
}

/* The dim that the tables of all fields have in common. */
static err_t common_width(int *width, const kinds *k, const schema *s, const char *model)
{
    const table_config *first = NULL;

    for (int i = 0; i < count_fields(k); i++) {
        int slot = slot_of(k, s, i);
        if (slot == ALWAYS)
            continue;
        if (slot < 0)
            return err_set(ERR_CONFIG, "the model uses feature %s, which the samples lack",
                           k->id_names[i]);
        const table_config *t = s->tables[s->slots[slot].table].config;
        if (first && t->dim != first->dim)
            return err_set(ERR_CONFIG,
                           "model.kind %s wants fields of one dim, and table %s has %d, table "
                           "%s %d",
                           model, first->name, first->dim, t->name, t->dim);
        first = first ? first : t;
    }
    if (!first)
        return err_set(ERR_CONFIG,
                       "model.kind %s takes its width from a table: name a feature of ids in "
                       "model.profile, model.candidate or model.context",
                       model);
    *width = first->dim;
    return OK;
}

static err_t check_fields(const fields *f, const model_config *c, int least_fields, int least_v)
{
    if (f->n >= FIELDS_MAX)
        return err_set(ERR_CONFIG, "the model has %d fields, wanted less than %d", f->n,
                       FIELDS_MAX);
    if (f->n < least_fields)
        return err_set(
            ERR_CONFIG,
            "model.kind %s crosses fields in pairs and has %d, wanted at least %d in "
            "model.profile, model.candidate, model.context and model.history",
            c->kind, f->n, least_fields);
    if (f->width - f->first < least_v)
        return err_set(ERR_CONFIG,
                       "model.kind %s has rows of dim %d, and the first number of a row is its "
                       "first-order weight: wanted a dim of at least %d, or model.first_order "
                       "none",
                       c->kind, f->width, least_v + f->first);
    return OK;
}

/* Whether a sample has them, field by field. */
static tensor *presence_of(graph *g, const kinds *k, int n)
{
    const schema *s       = graph_schema(g);
    bool          certain = true;

    for (int i = 0; i < n; i++) {
        int slot = slot_of(k, s, i);
        certain &= slot == ALWAYS || !may_be_missing(&s->slots[slot]);
    }
    if (certain)
        return NULL;
    node *added = graph_add(g, &presence_layer, 0, NULL, n, PER_SAMPLE, sizeof(presence));
    if (!added)
        return NULL;
    presence *c = added->config;
    c->schema   = s;
    c->n        = n;
    for (int i = 0; i < n; i++)
        c->slots[i] = slot_of(k, s, i);
    return added->output;
}

bool embed_fields(graph *g, fields *f, const model_config *c, int least_fields, int least_v)
{
    kinds k;

    sort_fields(&k, graph_schema(g), c);
    *f      = (fields){.n = count_fields(&k), .first = c->first_order == FIRST_ORDER_ROW};
    err_t e = common_width(&f->width, &k, graph_schema(g), c->kind);
    if (e == OK)
        e = check_fields(f, c, least_fields, least_v);
    if (e != OK) {
        graph_fail(g, e);
        return false;
    }
    tensor *events = embed_slots(g, k.n_columns, k.columns);
    f->x       = CONCAT(g, embed_features(g, &k.ids), embed_numbers(g, &k.numbers, f->width),
                        pool_events(g, events, c->pool, c->half_life, c->decay_normalized));
    f->present = presence_of(g, &k, f->n);
    return graph_error(g) == OK;
}
