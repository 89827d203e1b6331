#include "worker/models/opposite.h"

#include <stdio.h>
#include <string.h>

static bool taken(const opposite *o, int slot)
{
    for (int i = 0; i < o->n; i++)
        if (o->slots[i] == slot)
            return true;
    return false;
}

static err_t take(opposite *o, int slot, const char *history)
{
    if (o->n == OPPOSITE_MOST)
        return err_set(ERR_CONFIG, "history %s has more than %d id columns", history,
                       OPPOSITE_MOST);
    o->slots[o->n++] = slot;
    return OK;
}

/* The slot of column name of the history, or -1. */
static int find_slot(const schema *s, const model_config *c, const char *name)
{
    char full[2 * CONFIG_NAME_MAX];

    snprintf(full, sizeof full, "%s.%s", c->history, name);
    return schema_find_slot(s, full);
}

static bool is_negative(const schema *s, const model_config *c, int slot)
{
    for (int i = 0; i < c->auxiliary.negatives.n; i++)
        if (find_slot(s, c, c->auxiliary.negatives.at[i]) == slot)
            return true;
    return false;
}

/* Whether slot is a column of the events that stands opposite nothing yet. */
static bool is_free(const opposite *o, const schema *s, const model_config *c, int sequence,
                    int slot)
{
    return s->slots[slot].sequence == sequence && !taken(o, slot) && !is_negative(s, c, slot);
}

/* The first free column of sequence that shares table, or -1. */
static int find_column(const opposite *o, const schema *s, const model_config *c, int sequence,
                       int table)
{
    for (int i = 0; i < s->n_slots; i++)
        if (s->slots[i].table == table && is_free(o, s, c, sequence, i))
            return i;
    return -1;
}

/* Put a negative opposite the first column of its table that has none. */
static err_t place_negative(opposite *o, const schema *s, const model_config *c,
                            const char *name)
{
    int slot = find_slot(s, c, name), i = 0;

    if (slot < 0)
        return err_set(
            ERR_CONFIG,
            "model.auxiliary.negatives names %s, and history %s has no column of ids "
            "of that name",
            name, c->history);
    while (i < o->n && (s->slots[o->slots[i]].table != s->slots[slot].table ||
                        o->negatives[i] != o->slots[i]))
        i++;
    if (i == o->n)
        return err_set(
            ERR_CONFIG,
            "model.auxiliary.negatives names %s, and history %s has no column of its "
            "table that it could stand opposite to",
            name, c->history);
    o->negatives[i] = slot;
    o->n_negatives++;
    return OK;
}

static err_t place_negatives(opposite *o, const schema *s, const model_config *c)
{
    memcpy(o->negatives, o->slots, sizeof o->negatives);
    for (int i = 0; i < c->auxiliary.negatives.n; i++)
        TRY(place_negative(o, s, c, c->auxiliary.negatives.at[i]));
    return OK;
}

err_t opposite_find(opposite *o, const schema *s, const model_config *c)
{
    *o = (opposite){0};
    if (!c->history[0])
        return OK;
    int sequence = schema_find_sequence(s, c->history);
    if (sequence < 0)
        return err_set(ERR_CONFIG,
                       "model.history is %s, which is no sequence among the features",
                       c->history);
    for (int i = 0; i < c->candidate.n; i++) {
        int slot   = schema_find_slot(s, c->candidate.at[i]);
        int column = slot < 0 ? -1 : find_column(o, s, c, sequence, s->slots[slot].table);
        if (column < 0)
            continue;
        TRY(take(o, column, c->history));
        o->features[o->matched++] = c->candidate.at[i];
    }
    for (int i = 0; i < s->n_slots; i++)
        if (is_free(o, s, c, sequence, i))
            TRY(take(o, i, c->history));
    if (o->n == 0)
        return err_set(ERR_CONFIG, "history %s has no column of ids", c->history);
    return place_negatives(o, s, c);
}
