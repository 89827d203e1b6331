#include "worker/models/opposite.h"

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
    if (o->n == MAX_COLUMNS)
        return err_set(ERR_CONFIG, "history %s has more than %d id columns", history,
                       MAX_COLUMNS);
    o->slots[o->n++] = slot;
    return OK;
}

/* The first column of sequence that shares table and stands opposite nothing yet, or -1. */
static int find_column(const opposite *o, const schema *s, int sequence, int table)
{
    for (int i = 0; i < s->n_slots; i++)
        if (s->slots[i].sequence == sequence && s->slots[i].table == table && !taken(o, i))
            return i;
    return -1;
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
        int column = slot < 0 ? -1 : find_column(o, s, sequence, s->slots[slot].table);
        if (column < 0)
            continue;
        TRY(take(o, column, c->history));
        o->features[o->matched++] = c->candidate.at[i];
    }
    for (int i = 0; i < s->n_slots; i++)
        if (s->slots[i].sequence == sequence && !taken(o, i))
            TRY(take(o, i, c->history));
    if (o->n == 0)
        return err_set(ERR_CONFIG, "history %s has no column of ids", c->history);
    return OK;
}
