#include "common/schema.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"

#define SECONDS_PER_DAY 86400.0

/* What a checkpoint must agree on, summed over the tables: their order is free. */
static uint64_t hash_table(const table_config *t)
{
    char text[256];
    int  n = snprintf(text, sizeof text, "%s %d %s%s", t->name, t->dim,
                      config_optimizer_name(t->optimizer.kind),
                      t->precision == PRECISION_BF16 ? " bf16" : "");

    return hash_bytes(text, (size_t)n);
}

static void add_table(schema *s, const table_config *t)
{
    s->tables[s->n_tables++] = (schema_table){t, hash_table_salt(t->name)};
    s->hash += hash_table(t);
}

/* The slot of f; sequence: the number of the one it is a column of, or -1. */
static err_t add_slot(schema *s, const feature_config *f, int sequence)
{
    schema_slot *slot = &s->slots[s->n_slots++];

    slot->table    = schema_find_table(s, f->table);
    slot->sequence = sequence;
    slot->pool     = f->pool;
    slot->drop_ids = f->drop_ids;
    slot->is_gap   = f->kind == FEATURE_GAP;
    slot->to       = f->to;
    if (sequence < 0)
        snprintf(slot->name, sizeof slot->name, "%s", f->name);
    else
        snprintf(slot->name, sizeof slot->name, "%s.%s", s->sequences[sequence].name, f->name);
    if (slot->table < 0)
        return err_set(ERR_CONFIG, "feature %s: there is no table '%s'", slot->name, f->table);
    return OK;
}

static void add_float(schema *s, const feature_config *f)
{
    schema_float *number = &s->floats[s->n_floats++];

    snprintf(number->name, sizeof number->name, "%s", f->name);
    number->transform = f->transform;
    number->width     = f->width;
}

static err_t add_sequence(schema *s, const feature_config *f)
{
    int              number   = s->n_sequences++;
    schema_sequence *sequence = &s->sequences[number];

    snprintf(sequence->name, sizeof sequence->name, "%s", f->name);
    sequence->max_len = f->max_len;
    sequence->keep    = f->keep;
    sequence->seconds = llround(f->history_days * SECONDS_PER_DAY);
    for (int i = 0; i < f->n_columns; i++) {
        if (f->columns[i].kind == FEATURE_TIME)
            sequence->timed = true;
        else
            TRY(add_slot(s, &f->columns[i], number));
    }
    return OK;
}

static err_t add_feature(schema *s, const feature_config *f)
{
    switch (f->kind) {
    case FEATURE_FLOAT:
        add_float(s, f);
        return OK;
    case FEATURE_SEQUENCE:
        return add_sequence(s, f);
    default:
        return add_slot(s, f, -1);
    }
}

/* Room for all that c can give; one element more, so that none is no special case. */
static err_t reserve(schema *s, const config *c)
{
    size_t slots = 1, features = (size_t)c->n_features + 1;

    for (int i = 0; i < c->n_features; i++)
        slots += 1 + (size_t)c->features[i].n_columns;
    s->tables    = calloc((size_t)c->n_tables + 1, sizeof *s->tables);
    s->slots     = calloc(slots, sizeof *s->slots);
    s->sequences = calloc(features, sizeof *s->sequences);
    s->floats    = calloc(features, sizeof *s->floats);
    if (!s->tables || !s->slots || !s->sequences || !s->floats)
        return err_memory(slots * sizeof *s->slots, "the schema");
    return OK;
}

/* model.auxiliary.negatives; names of nothing are the model's to refuse. */
static void mark_negatives(schema *s, const model_config *m)
{
    char name[2 * CONFIG_NAME_MAX];

    for (int i = 0; i < m->auxiliary.negatives.n; i++) {
        snprintf(name, sizeof name, "%s.%s", m->history, m->auxiliary.negatives.at[i]);
        int slot = schema_find_slot(s, name);
        if (slot >= 0)
            s->slots[slot].is_negative = s->slots[slot].pool == POOL_NONE;
    }
}

err_t schema_new(schema **out, const config *c)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return err_memory(sizeof **out, "the schema");
    err_t err = reserve(*out, c);
    for (int i = 0; err == OK && i < c->n_tables; i++)
        add_table(*out, &c->tables[i]);
    for (int i = 0; err == OK && i < c->n_features; i++)
        err = add_feature(*out, &c->features[i]);
    if (err == OK)
        mark_negatives(*out, &c->model);
    else
        schema_free(out);
    return err;
}

void schema_free(schema **s)
{
    if (!*s)
        return;
    free((*s)->tables);
    free((*s)->slots);
    free((*s)->sequences);
    free((*s)->floats);
    free(*s);
    *s = NULL;
}

bool schema_needs_time(const schema *s)
{
    for (int i = 0; i < s->n_sequences; i++)
        if (s->sequences[i].seconds > 0)
            return true;
    for (int i = 0; i < s->n_slots; i++)
        if (s->slots[i].is_gap && s->slots[i].to == GAP_REQUEST)
            return true;
    return false;
}

int schema_find_table(const schema *s, const char *name)
{
    for (int i = 0; i < s->n_tables; i++)
        if (!strcmp(s->tables[i].config->name, name))
            return i;
    return -1;
}

int schema_find_slot(const schema *s, const char *name)
{
    for (int i = 0; i < s->n_slots; i++)
        if (!strcmp(s->slots[i].name, name))
            return i;
    return -1;
}

int schema_find_sequence(const schema *s, const char *name)
{
    for (int i = 0; i < s->n_sequences; i++)
        if (!strcmp(s->sequences[i].name, name))
            return i;
    return -1;
}

int schema_find_float(const schema *s, const char *name)
{
    for (int i = 0; i < s->n_floats; i++)
        if (!strcmp(s->floats[i].name, name))
            return i;
    return -1;
}
