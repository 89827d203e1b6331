#include "launch/request_shard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/request_values.h"
#include "worker/requests.h"

typedef struct making {
    const request_rules *rules;
    const json_t        *line;
    json_t              *header;
    FILE                *data;
    size_t               size;
} making;

static err_t put(making *m, const char *name, const char *type, const void *bytes, size_t width,
                 size_t n, size_t columns)
{
    json_t *shape = columns ? json_pack("[I,I]", (json_int_t)n, (json_int_t)columns)
                            : json_pack("[I]", (json_int_t)n);
    size_t  all   = n * (columns ? columns : 1) * width;

    if (json_object_set_new(m->header, name,
                            json_pack("{s:s, s:o, s:[I,I]}", "dtype", type, "shape", shape,
                                      "data_offsets", (json_int_t)m->size,
                                      (json_int_t)(m->size + all))) != 0 ||
        (all > 0 && fwrite(bytes, 1, all, m->data) != all))
        return err_memory(all, "a request");
    m->size += all;
    return OK;
}

/* NAME with the ids of rows; NAME.offsets (n+1) before it where they are bags. */
static err_t put_ids(making *m, const char *name, bool bag, const id_list *offsets,
                     const id_list *ids)
{
    char full[REQUEST_NAME_MAX];

    snprintf(full, sizeof full, "%s.offsets", name);
    if (bag)
        TRY(put(m, full, "U64", offsets->at, sizeof *offsets->at, offsets->n, 0));
    return put(m, name, "U64", ids->at, sizeof *ids->at, ids->n, 0);
}

static err_t add_cell(making *m, int slot, const json_t *value, const char *what,
                      id_list *offsets, id_list *ids)
{
    TRY(request_cell(ids, value, m->rules->schema, slot, what));
    return id_list_push(offsets, ids->n);
}

/* A feature of the request, or what stands for one of candidates. */
static err_t add_feature(making *m, int slot, id_list *offsets, id_list *ids)
{
    const schema       *s     = m->rules->schema;
    const char         *name  = s->slots[slot].name;
    const json_t       *value = json_object_get(m->line, name);
    const model_config *model = &m->rules->config->model;

    if (!requests_slot_of_candidate(s, model, slot))
        return add_cell(m, slot, value, name, offsets, ids);
    if (s->slots[slot].pool == POOL_NONE)
        TRY(id_list_push(ids, 0));
    return id_list_push(offsets, ids->n);
}

static err_t add_column(making *m, int slot, const json_t *sequence, size_t events,
                        id_list *offsets, id_list *ids)
{
    const schema *s      = m->rules->schema;
    const char   *name   = s->slots[slot].name;
    const char   *column = name + strlen(s->sequences[s->slots[slot].sequence].name) + 1;
    char          what[REQUEST_NAME_MAX];

    for (size_t i = 0; i < events; i++) {
        snprintf(what, sizeof what, "%s[%zu]", name, i);
        TRY(add_cell(m, slot, request_event(sequence, column, i), what, offsets, ids));
    }
    return OK;
}

static err_t put_slot(making *m, int slot, const json_t *sequence, size_t events)
{
    const schema_slot *about   = &m->rules->schema->slots[slot];
    id_list            offsets = {0}, ids = {0};
    err_t              err = id_list_push(&offsets, 0);

    if (err == OK)
        err = about->sequence < 0 ? add_feature(m, slot, &offsets, &ids)
                                  : add_column(m, slot, sequence, events, &offsets, &ids);
    if (err == OK)
        err = put_ids(m, about->name, about->pool != POOL_NONE, &offsets, &ids);
    vec_clear(&offsets);
    vec_clear(&ids);
    return err;
}

/* The name of the column of kind time. */
static const char *time_column(const config *c, const char *sequence)
{
    for (int i = 0; i < c->n_features; i++)
        for (int k = 0; k < c->features[i].n_columns; k++)
            if (!strcmp(c->features[i].name, sequence) &&
                c->features[i].columns[k].kind == FEATURE_TIME)
                return c->features[i].columns[k].name;
    return "time";
}

static err_t put_times(making *m, const char *name, const json_t *sequence, size_t events)
{
    const char *column = time_column(m->rules->config, name);
    char        full[REQUEST_NAME_MAX];
    int64_t    *times = calloc(events + 1, sizeof *times);
    err_t       err   = times ? OK : err_memory(events * sizeof *times, "a request");

    for (size_t i = 0; err == OK && i < events; i++) {
        snprintf(full, sizeof full, "%s.%s[%zu]", name, column, i);
        err = request_time(&times[i], request_event(sequence, column, i), full);
    }
    snprintf(full, sizeof full, "%s.time", name);
    if (err == OK)
        err = put(m, full, "I64", times, sizeof *times, events, 0);
    free(times);
    return err;
}

/* Events of the sequence; ERR_DATA where its columns are not equally long. */
static err_t count_events(size_t *events, const making *m, int sequence, const json_t *value)
{
    const schema *s     = m->rules->schema;
    bool          first = true;

    *events = json_is_array(value) ? json_array_size(value) : 0;
    for (int k = 0; json_is_object(value) && k < s->n_slots; k++) {
        if (s->slots[k].sequence != sequence || s->slots[k].is_gap)
            continue;
        const char *column = s->slots[k].name + strlen(s->sequences[sequence].name) + 1;
        size_t      n      = request_events(value, column);
        if (!first && n != *events)
            return err_set(ERR_DATA, "%s has %zu values, the columns before it have %zu",
                           s->slots[k].name, n, *events);
        *events = n;
        first   = false;
    }
    return OK;
}

static err_t put_sequence(making *m, int i)
{
    const schema *s     = m->rules->schema;
    const char   *name  = s->sequences[i].name;
    const json_t *value = json_object_get(m->line, name);
    char          full[REQUEST_NAME_MAX];
    size_t        events;

    TRY(count_events(&events, m, i, value));
    snprintf(full, sizeof full, "%s.offsets", name);
    TRY(put(m, full, "U64", (const uint64_t[]){0, events}, sizeof(uint64_t), 2, 0));
    if (s->sequences[i].timed)
        TRY(put_times(m, name, value, events));
    for (int k = 0; k < s->n_slots; k++)
        if (s->slots[k].sequence == i && !s->slots[k].is_gap)
            TRY(put_slot(m, k, value, events));
    return OK;
}

static err_t put_numbers(making *m, int i)
{
    const schema_float *about = &m->rules->schema->floats[i];
    float              *x     = calloc((size_t)about->width, sizeof *x);
    err_t               err   = x ? OK : err_memory(sizeof *x, "a request");

    if (err == OK &&
        !requests_float_of_candidate(m->rules->schema, &m->rules->config->model, i))
        err = request_numbers(x, about->width, json_object_get(m->line, about->name),
                              about->name);
    if (err == OK)
        err = put(m, about->name, "F32", x, sizeof *x, 1, (size_t)about->width);
    free(x);
    return err;
}

static err_t put_all(making *m)
{
    const schema *s    = m->rules->schema;
    const json_t *time = json_object_get(m->line, "time");
    int64_t       now;

    if (time && schema_find_slot(s, "time") < 0 && schema_find_float(s, "time") < 0) {
        TRY(request_time(&now, time, "time"));
        TRY(put(m, "time", "I64", &now, sizeof now, 1, 0));
    }
    for (int k = 0; k < s->n_slots; k++)
        if (s->slots[k].sequence < 0)
            TRY(put_slot(m, k, NULL, 0));
    for (int i = 0; i < s->n_floats; i++)
        TRY(put_numbers(m, i));
    for (int i = 0; i < s->n_sequences; i++)
        TRY(put_sequence(m, i));
    return OK;
}

/* Header and data in one piece; *bytes is returned. */
static err_t join(const making *m, const char *data, char **bytes, size_t *size)
{
    char  *header = json_dumps(m->header, JSON_COMPACT);
    size_t n      = header ? strlen(header) : 0;

    *size  = 8 + n + m->size;
    *bytes = header ? malloc(*size) : NULL;
    if (!*bytes) {
        free(header);
        return err_memory(*size, "a request");
    }
    for (int i = 0; i < 8; i++)
        (*bytes)[i] = (char)((uint64_t)n >> 8 * i);
    memcpy(*bytes + 8, header, n);
    memcpy(*bytes + 8 + n, data, m->size);
    free(header);
    return OK;
}

err_t request_shard_make(char **bytes, size_t *size, const request_rules *rules,
                         const json_t *line)
{
    char  *data = NULL;
    size_t n    = 0;
    making m    = {.rules  = rules,
                   .line   = line,
                   .header = json_object(),
                   .data   = open_memstream(&data, &n)};
    err_t  err  = m.header && m.data ? put_all(&m) : err_memory(0, "a request");

    if (m.data && fclose(m.data) != 0 && err == OK)
        err = err_memory(n, "a request");
    if (err == OK)
        err = join(&m, data, bytes, size);
    json_decref(m.header);
    free(data);
    return err;
}
