#include "launch/prepare/tsv_rows.h"

#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "launch/prepare/delimited.h"

#define FIELDS_MOST 4096

/* ---- the header ---- */

/* "history" of "history.time", or -1. */
static int find_timed(const schema *s, field name)
{
    for (int i = 0; i < s->n_sequences; i++) {
        size_t n = strlen(s->sequences[i].name);
        if (s->sequences[i].timed && name.n == n + 5 &&
            memcmp(name.at, s->sequences[i].name, n) == 0 &&
            memcmp(name.at + n, ".time", 5) == 0)
            return i;
    }
    return -1;
}

static tsv_column column_called(const schema *s, field name)
{
    static const char *const reserved[] = {[TSV_LABEL]  = "label",
                                           [TSV_WEIGHT] = "weight",
                                           [TSV_GROUP]  = "group",
                                           [TSV_TIME]   = "time"};

    for (tsv_role r = TSV_LABEL; r <= TSV_TIME; r++)
        if (field_is(name, reserved[r]))
            return (tsv_column){r, 0};
    for (int i = 0; i < s->n_slots; i++)
        if (!s->slots[i].is_gap && field_is(name, s->slots[i].name))
            return (tsv_column){TSV_SLOT, i};
    for (int i = 0; i < s->n_floats; i++)
        if (field_is(name, s->floats[i].name))
            return (tsv_column){TSV_FLOAT, i};
    int timed = find_timed(s, name);
    return timed < 0 ? (tsv_column){TSV_UNUSED, 0} : (tsv_column){TSV_EVENT_TIME, timed};
}

static bool has_column(const tsv_plan *plan, tsv_role role, int number)
{
    for (size_t i = 0; i < plan->columns.n; i++)
        if (plan->columns.at[i].role == role && plan->columns.at[i].number == number)
            return true;
    return false;
}

static err_t need(const tsv_plan *plan, tsv_role role, int number, const char *name,
                  const char *rest)
{
    if (has_column(plan, role, number))
        return OK;
    return err_set(ERR_FORMAT, "the header has no column '%s%s'", name, rest);
}

static err_t check_complete(const tsv_plan *plan)
{
    const schema *s = plan->schema;

    TRY(need(plan, TSV_LABEL, 0, "label", ""));
    for (int i = 0; i < s->n_slots; i++)
        if (!s->slots[i].is_gap)
            TRY(need(plan, TSV_SLOT, i, s->slots[i].name, ""));
    for (int i = 0; i < s->n_floats; i++)
        TRY(need(plan, TSV_FLOAT, i, s->floats[i].name, ""));
    for (int i = 0; i < s->n_sequences; i++)
        if (s->sequences[i].timed)
            TRY(need(plan, TSV_EVENT_TIME, i, s->sequences[i].name, ".time"));
    if (schema_needs_time(s) && !plan->has[TSV_TIME])
        return err_set(ERR_FORMAT, "the header has no column 'time', which history_days and "
                                   "gaps to the request need");
    return OK;
}

err_t tsv_plan_init(tsv_plan *plan, const schema *s, tsv_format format, char *header, size_t n)
{
    size_t n_fields;

    *plan = (tsv_plan){.schema = s, .format = format};
    TRY(vec_reserve(&plan->fields, FIELDS_MOST));
    TRY(delimited_split(header, n, format.separator, format.quotes, plan->fields.at,
                        FIELDS_MOST, &n_fields));
    for (size_t i = 0; i < n_fields; i++) {
        field      name = plan->fields.at[i];
        tsv_column c    = column_called(s, name);
        if (c.role != TSV_UNUSED && has_column(plan, c.role, c.number))
            return err_set(ERR_FORMAT, "the header has the column '%.*s' twice",
                           field_shown(name), name.at);
        TRY(vec_push(&plan->columns, c));
        plan->has[c.role] = true;
    }
    return check_complete(plan);
}

void tsv_plan_clear(tsv_plan *plan)
{
    vec_clear(&plan->columns);
    vec_clear(&plan->fields);
}

/* ---- rows ---- */

err_t tsv_row_init(tsv_row *row, const schema *s)
{
    *row           = (tsv_row){0};
    row->slots     = calloc((size_t)s->n_slots + 1, sizeof *row->slots);
    row->floats    = calloc((size_t)s->n_floats + 1, sizeof *row->floats);
    row->sequences = calloc((size_t)s->n_sequences + 1, sizeof *row->sequences);
    if (!row->slots || !row->floats || !row->sequences)
        return err_memory(((size_t)s->n_slots + 1) * sizeof *row->slots, "a row");
    return OK;
}

void tsv_row_clear(tsv_row *row, const schema *s)
{
    for (int i = 0; row->slots && i < s->n_slots; i++) {
        vec_clear(&row->slots[i].ids);
        vec_clear(&row->slots[i].texts);
        vec_clear(&row->slots[i].lengths);
    }
    for (int i = 0; row->floats && i < s->n_floats; i++)
        vec_clear(&row->floats[i]);
    for (int i = 0; row->sequences && i < s->n_sequences; i++)
        vec_clear(&row->sequences[i].time);
    free(row->slots);
    free(row->floats);
    free(row->sequences);
    *row = (tsv_row){0};
}

static void empty_row(tsv_row *row, const schema *s)
{
    row->label  = 0;
    row->weight = 1;
    row->group  = 0;
    row->time   = 0;
    for (int i = 0; i < s->n_slots; i++)
        row->slots[i].ids.n = row->slots[i].texts.n = row->slots[i].lengths.n = 0;
    for (int i = 0; i < s->n_floats; i++)
        row->floats[i].n = 0;
    for (int i = 0; i < s->n_sequences; i++) {
        row->sequences[i].events = row->sequences[i].time.n = 0;
        row->sequences[i].known                             = false;
    }
}

/* Take the first element of list off it; false where none is left. An empty list has
 * none; *list is {NULL, 0} when the last one was taken. */
static bool next_element(field *list, const char *separator, field *element)
{
    if (!list->at)
        return false;
    size_t      width = strlen(separator);
    const char *end   = memmem(list->at, list->n, separator, width);
    *element          = (field){list->at, end ? (size_t)(end - list->at) : list->n};
    if (end)
        *list = (field){end + width, list->n - element->n - width};
    else
        *list = (field){NULL, 0};
    return true;
}

/* A field as a list: an empty one has no elements. */
static field as_list(field f)
{
    return f.n > 0 ? f : (field){NULL, 0};
}

static err_t take_id(const tsv_plan *plan, const schema_slot *slot, field f, tsv_ids *to)
{
    uint64_t id = 0;

    if (plan->schema->tables[slot->table].config->ids == IDS_STRING) {
        id = hash_bytes(f.at, f.n);
        TRY(vec_push(&to->texts, f));
    } else {
        TRY(field_u64(f, slot->name, &id));
    }
    return vec_push(&to->ids, id);
}

/* The ids of one row of a slot (a sample, or an event): one, or a bag. */
static err_t take_ids(const tsv_plan *plan, const schema_slot *slot, field f,
                      const char *separator, tsv_ids *to)
{
    field  list = as_list(f), id;
    size_t before = to->ids.n;

    if (slot->pool == POOL_NONE)
        return take_id(plan, slot, f, to);
    while (next_element(&list, separator, &id))
        TRY(take_id(plan, slot, id, to));
    return vec_push(&to->lengths, to->ids.n - before);
}

/* All columns of a sequence are equally long. */
static err_t agree(const schema_sequence *s, tsv_sequence *sequence, size_t events,
                   const char *column)
{
    if (sequence->known && sequence->events != events)
        return err_set(ERR_DATA, "%s has %zu events, another column of %s has %zu", column,
                       events, s->name, sequence->events);
    sequence->known  = true;
    sequence->events = events;
    return OK;
}

static err_t take_slot(const tsv_plan *plan, int number, field f, tsv_row *row)
{
    const schema_slot *slot   = &plan->schema->slots[number];
    tsv_ids           *to     = &row->slots[number];
    field              list   = as_list(f), event;
    size_t             events = 0;

    if (slot->sequence < 0)
        return take_ids(plan, slot, f, plan->format.list, to);
    if (slot->pool != POOL_NONE && f.n == 0)
        return OK; /* for settle_empty_bags to tell, once the other columns are known */
    for (; next_element(&list, plan->format.list, &event); events++)
        TRY(take_ids(plan, slot, event, plan->format.bag, to));
    return agree(&plan->schema->sequences[slot->sequence], &row->sequences[slot->sequence],
                 events, slot->name);
}

static err_t take_event_times(const tsv_plan *plan, int number, field f, tsv_row *row)
{
    const schema_sequence *s    = &plan->schema->sequences[number];
    tsv_sequence          *to   = &row->sequences[number];
    field                  list = as_list(f), event;
    int64_t                time;

    while (next_element(&list, plan->format.list, &event)) {
        TRY(field_i64(event, "time of an event", &time));
        TRY(vec_push(&to->time, time));
    }
    return agree(s, to, to->time.n, "its time");
}

static err_t take_float(field f, const char *what, float *x)
{
    double number;

    TRY(field_double(f, what, &number));
    *x = (float)number;
    if (*x > 3.4028234e38f || *x < -3.4028234e38f)
        return err_set(ERR_DATA, "%s '%.*s' does not fit into 32 bits", what, field_shown(f),
                       f.at);
    return OK;
}

static err_t take_floats(const tsv_plan *plan, int number, field f, tsv_row *row)
{
    const schema_float *s    = &plan->schema->floats[number];
    tsv_floats         *to   = &row->floats[number];
    field               list = as_list(f), element;
    float               x;

    while (next_element(&list, plan->format.list, &element)) {
        TRY(take_float(element, s->name, &x));
        TRY(vec_push(to, x));
    }
    if (to->n != (size_t)s->width)
        return err_set(ERR_DATA, "%s has %zu numbers, wanted %d", s->name, to->n, s->width);
    return OK;
}

static err_t take_label(field f, tsv_row *row)
{
    TRY(take_float(f, "label", &row->label));
    if (row->label != 0 && row->label != 1)
        return err_set(ERR_DATA, "label '%.*s' is neither 0 nor 1", field_shown(f), f.at);
    return OK;
}

static err_t take_weight(field f, tsv_row *row)
{
    TRY(take_float(f, "weight", &row->weight));
    if (row->weight < 0)
        return err_set(ERR_DATA, "weight '%.*s' is negative", field_shown(f), f.at);
    return OK;
}

static err_t take(const tsv_plan *plan, tsv_column c, field f, tsv_row *row)
{
    switch (c.role) {
    case TSV_LABEL:
        return take_label(f, row);
    case TSV_WEIGHT:
        return take_weight(f, row);
    case TSV_GROUP:
        return field_u64(f, "group", &row->group);
    case TSV_TIME:
        return field_i64(f, "time", &row->time);
    case TSV_SLOT:
        return take_slot(plan, c.number, f, row);
    case TSV_FLOAT:
        return take_floats(plan, c.number, f, row);
    case TSV_EVENT_TIME:
        return take_event_times(plan, c.number, f, row);
    default:
        return OK;
    }
}

/* An empty field of a column of bags is a sequence without events, or a single event whose bag is
 * empty: the other columns of the sequence tell which. */
static err_t settle_empty_bags(const tsv_plan *plan, tsv_row *row)
{
    for (int i = 0; i < plan->schema->n_slots; i++) {
        const schema_slot *slot = &plan->schema->slots[i];
        tsv_ids           *to   = &row->slots[i];
        if (slot->sequence < 0 || slot->pool == POOL_NONE || to->lengths.n > 0 || slot->is_gap)
            continue;
        tsv_sequence *sequence = &row->sequences[slot->sequence];
        if (sequence->known && sequence->events == 1)
            TRY(vec_push(&to->lengths, 0));
        TRY(agree(&plan->schema->sequences[slot->sequence], sequence, to->lengths.n,
                  slot->name));
    }
    return OK;
}

err_t tsv_parse(tsv_plan *plan, char *line, size_t n, tsv_row *row)
{
    size_t n_fields;

    empty_row(row, plan->schema);
    TRY(delimited_split(line, n, plan->format.separator, plan->format.quotes, plan->fields.at,
                        FIELDS_MOST, &n_fields));
    if (n_fields != plan->columns.n)
        return err_set(ERR_DATA, "%zu fields, the header has %zu", n_fields, plan->columns.n);
    for (size_t i = 0; i < n_fields; i++)
        TRY(take(plan, plan->columns.at[i], plan->fields.at[i], row));
    return settle_empty_bags(plan, row);
}
