#include "launch/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/vec.h"

#define WHAT_MAX (3 * CONFIG_NAME_MAX)

/* ---- values ---- */

err_t request_id(uint64_t *id, const json_t *value, const table_config *table, const char *what)
{
    const char *text = json_string_value(value);
    char       *end;

    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *id = (uint64_t)json_integer_value(value);
        return OK;
    }
    if (text && table->ids == IDS_STRING) {
        *id = hash_bytes(text, json_string_length(value));
        return OK;
    }
    errno = 0;
    if (text && *text >= '0' && *text <= '9') {
        *id = strtoull(text, &end, 10);
        if (errno == 0 && *end == '\0')
            return OK;
    }
    return err_set(ERR_DATA, "%s is no id: wanted a whole number, or one as a string", what);
}

static err_t read_number(double *x, const json_t *value, const char *what)
{
    if (!json_is_number(value))
        return err_set(ERR_DATA, "%s is no number", what);
    *x = json_number_value(value);
    return OK;
}

static err_t read_time(int64_t *time, const json_t *value, const char *what)
{
    if (!json_is_integer(value))
        return err_set(ERR_DATA, "%s is no time: wanted whole seconds", what);
    *time = json_integer_value(value);
    return OK;
}

const json_t *request_event(const json_t *sequence, const char *column, size_t i)
{
    return json_is_array(sequence) ? json_object_get(json_array_get(sequence, i), column)
                                   : json_array_get(json_object_get(sequence, column), i);
}

size_t request_events(const json_t *sequence, const char *column)
{
    return json_is_array(sequence) ? json_array_size(sequence)
                                   : json_array_size(json_object_get(sequence, column));
}

/* ---- the request's part, as a data shard of one sample ----
 *
 * So max_len, history_days, gaps and whatever else a sequence is made of are those that
 * training and predict know. Features of candidates stand in it empty. */

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

/* NAME.offsets (n+1) and NAME with the ids of n bags: value(m, i) tells bag i. */
typedef VEC(uint64_t) id_list;

static err_t push_id(id_list *ids, uint64_t id)
{
    return vec_push(ids, id) == OK ? OK : err_memory(sizeof id, "a request");
}

/* The ids of one cell: a list of them, or a single one; nothing where value is NULL. */
static err_t read_cell(id_list *ids, const json_t *value, const table_config *table,
                       const char *what)
{
    uint64_t id;
    size_t   n = json_is_array(value) ? json_array_size(value) : value != NULL;

    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(value) ? json_array_get(value, i) : value;
        TRY(request_id(&id, one, table, what));
        TRY(push_id(ids, id));
    }
    return OK;
}

static err_t put_ids(making *m, const char *name, bool bag, const id_list *offsets,
                     const id_list *ids)
{
    char full[WHAT_MAX];

    snprintf(full, sizeof full, "%s.offsets", name);
    if (bag)
        TRY(put(m, full, "U64", offsets->at, sizeof *offsets->at, offsets->n, 0));
    return put(m, name, "U64", ids->at, sizeof *ids->at, ids->n, 0);
}

static const table_config *table_of(const making *m, int slot)
{
    return m->rules->schema->tables[m->rules->schema->slots[slot].table].config;
}

/* One cell of a slot must hold one id unless it is a bag. */
static err_t check_single(const schema_slot *slot, const json_t *value, const char *what)
{
    if (slot->pool != POOL_NONE)
        return OK;
    if (!value)
        return err_set(ERR_DATA, "%s is missing", what);
    return json_is_array(value) ? err_set(ERR_DATA, "%s is a list, wanted one id", what) : OK;
}

static err_t add_cell(making *m, int slot, const json_t *value, const char *what,
                      id_list *offsets, id_list *ids)
{
    TRY(check_single(&m->rules->schema->slots[slot], value, what));
    TRY(read_cell(ids, value, table_of(m, slot), what));
    return push_id(offsets, ids->n);
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
        TRY(push_id(ids, 0));
    return push_id(offsets, ids->n);
}

static err_t add_column(making *m, int slot, const json_t *sequence, size_t events,
                        id_list *offsets, id_list *ids)
{
    const schema *s      = m->rules->schema;
    const char   *name   = s->slots[slot].name;
    const char   *column = name + strlen(s->sequences[s->slots[slot].sequence].name) + 1;
    char          what[WHAT_MAX];

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
    err_t              err = push_id(&offsets, 0);

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
    char        full[WHAT_MAX];
    int64_t    *times = calloc(events + 1, sizeof *times);
    err_t       err   = times ? OK : err_memory(events * sizeof *times, "a request");

    for (size_t i = 0; err == OK && i < events; i++) {
        snprintf(full, sizeof full, "%s.%s[%zu]", name, column, i);
        err = read_time(&times[i], request_event(sequence, column, i), full);
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
    char          full[WHAT_MAX];
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

/* The width numbers of a float feature: a list of them, or a single one. */
static err_t read_numbers(float *x, int width, const json_t *value, const char *name)
{
    bool   list = json_is_array(value);
    double number = 0;

    if (!value)
        return err_set(ERR_DATA, "%s is missing", name);
    if ((list ? json_array_size(value) : 1) != (size_t)width)
        return err_set(ERR_DATA, "%s has %zu numbers, its width is %d", name,
                       list ? json_array_size(value) : (size_t)1, width);
    for (int d = 0; d < width; d++) {
        TRY(read_number(&number, list ? json_array_get(value, (size_t)d) : value, name));
        x[d] = (float)number;
    }
    return OK;
}

static err_t put_numbers(making *m, int i)
{
    const schema_float *about = &m->rules->schema->floats[i];
    float              *x     = calloc((size_t)about->width, sizeof *x);
    err_t               err   = x ? OK : err_memory(sizeof *x, "a request");

    if (err == OK &&
        !requests_float_of_candidate(m->rules->schema, &m->rules->config->model, i))
        err = read_numbers(x, about->width, json_object_get(m->line, about->name), about->name);
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
        TRY(read_time(&now, time, "time"));
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

static err_t make_shard(request *q, const request_rules *rules, size_t *size)
{
    char  *data = NULL;
    size_t n    = 0;
    making m    = {.rules  = rules,
                   .line   = q->line,
                   .header = json_object(),
                   .data   = open_memstream(&data, &n)};
    err_t  err  = m.header && m.data ? put_all(&m) : err_memory(0, "a request");

    if (m.data && fclose(m.data) != 0 && err == OK)
        err = err_memory(n, "a request");
    if (err == OK)
        err = join(&m, data, &q->bytes, size);
    json_decref(m.header);
    free(data);
    return err;
}

static err_t take_asked(request *q, const request_rules *rules, const char *name, arena *a)
{
    size_t       size = 0;
    safetensors *file;

    TRY(make_shard(q, rules, &size));
    TRY(safetensors_open_memory(&file, name, q->bytes, size));
    TRY(dataset_open_one(&q->data, rules->schema, file));
    return dataset_batch(q->data, (const uint64_t[]){0}, 1, 0, a, &q->batches.asked);
}

/* ---- candidates ---- */

/* {"goods": [1, 2], "cate": [7, 8]} -> [{"goods": 1, "cate": 7}, ...] */
static err_t turn_columns(json_t *list, const json_t *columns)
{
    const char *name;
    json_t     *column;
    size_t      n = SIZE_MAX;

    json_object_foreach ((json_t *)columns, name, column) {
        if (!json_is_array(column) || (n != SIZE_MAX && json_array_size(column) != n))
            return err_set(ERR_DATA, "candidates.%s is no list as long as the other columns",
                           name);
        n = json_array_size(column);
    }
    for (size_t i = 0; i < n && n != SIZE_MAX; i++) {
        json_t *one = json_object();
        json_object_foreach ((json_t *)columns, name, column)
            json_object_set(one, name, json_array_get(column, i));
        if (json_array_append_new(list, one) != 0)
            return err_memory(n, "the candidates of a request");
    }
    return OK;
}

static err_t list_candidates(request *q, const char *key)
{
    const json_t *given = json_object_get(q->line, "candidates");
    size_t        i;
    json_t       *one;

    q->candidates = json_array();
    if (!given)
        return err_set(ERR_DATA, "there are no candidates");
    if (json_is_object(given))
        return turn_columns(q->candidates, given);
    if (!json_is_array(given))
        return err_set(ERR_DATA, "candidates is no list and no object of columns");
    json_array_foreach ((json_t *)given, i, one) {
        json_t *object = json_is_object(one) ? json_incref(one) : json_pack("{s:O}", key, one);
        if (json_array_append_new(q->candidates, object) != 0)
            return err_memory(i, "the candidates of a request");
    }
    return OK;
}

/* What the items' files say of a candidate: ids begin .. end-1 of *ids. ERR_DATA: nothing. */
static err_t look_up(const request_rules *rules, uint64_t key, const char *name,
                     const safetensors_tensor **values, uint64_t *begin, uint64_t *end)
{
    items_place place;
    char        full[WHAT_MAX];

    if (!rules->items)
        return err_set(ERR_DATA, "%s is missing; --items can tell it", name);
    if (!items_find(rules->items, key, &place))
        return err_set(ERR_DATA, "%s is missing, and --items do not know the id %" PRIu64, name,
                       key);
    snprintf(full, sizeof full, "%s.offsets", name);
    const safetensors_tensor *offsets = safetensors_find(place.file, full);
    *values                           = safetensors_find(place.file, name);
    if (!*values ||
        (offsets ? offsets->count : (*values)->shape[0]) < place.row + 1 + (offsets != NULL))
        return err_set(ERR_DATA, "--items: %s has no %s for row %" PRIu64,
                       safetensors_path(place.file), name, place.row);
    *begin = offsets ? safetensors_get_u64(offsets, place.row) : place.row;
    *end   = offsets ? safetensors_get_u64(offsets, place.row + 1) : place.row + 1;
    return *begin <= *end && *end <= (*values)->count
               ? OK
               : err_set(ERR_DATA, "--items: %s: %s.offsets are not in order",
                         safetensors_path(place.file), name);
}

/* The key of the items: the first id among the candidate's features. */
static int key_slot(const request_rules *rules)
{
    return rules->config->model.candidate.n > 0
               ? schema_find_slot(rules->schema, rules->config->model.candidate.at[0])
               : -1;
}

static err_t key_of(uint64_t *id, const request_rules *rules, const json_t *candidate)
{
    int key = key_slot(rules);

    if (key < 0)
        return err_set(ERR_DATA, "the first feature of model.candidate is no id to look up");
    const schema_slot *slot = &rules->schema->slots[key];
    return request_id(id, json_object_get(candidate, slot->name),
                      rules->schema->tables[slot->table].config, slot->name);
}

static err_t candidate_ids(id_list *ids, const request_rules *rules, int slot,
                           const json_t *candidate)
{
    const schema_slot        *about = &rules->schema->slots[slot];
    const json_t             *value = json_object_get(candidate, about->name);
    const safetensors_tensor *known;
    uint64_t                  key, i, end;

    if (value) {
        TRY(check_single(about, value, about->name));
        return read_cell(ids, value, rules->schema->tables[about->table].config, about->name);
    }
    if (about->pool != POOL_NONE && !rules->items)
        return OK;
    TRY(key_of(&key, rules, candidate));
    TRY(look_up(rules, key, about->name, &known, &i, &end));
    if (!dtype_is_integer(known->type))
        return err_set(ERR_DATA, "--items: %s holds no ids", about->name);
    for (; i < end; i++)
        TRY(push_id(ids, safetensors_get_u64(known, i)));
    return OK;
}

static err_t fill_slot(batch_slot *to, const request_rules *rules, int slot,
                       const json_t *candidates, id_list *ids, arena *a)
{
    int n = (int)json_array_size(candidates);

    *to = (batch_slot){.rows = n};
    TRY(arena_take(a, ((size_t)n + 1) * sizeof *to->offsets, &to->offsets));
    for (int i = 0; i < n; i++) {
        to->offsets[i] = (int)ids->n;
        err_t err      = candidate_ids(ids, rules, slot, json_array_get(candidates, (size_t)i));
        if (err != OK)
            return err_add(err, "candidate %d", i);
    }
    to->offsets[n] = to->n = (int)ids->n;
    TRY(arena_take(a, ids->n * sizeof *to->ids, &to->ids));
    if (ids->n > 0)
        memcpy(to->ids, ids->at, ids->n * sizeof *to->ids);
    if (rules->schema->slots[slot].pool == POOL_NONE)
        to->offsets = NULL;
    return OK;
}

static err_t candidate_numbers(float *x, const request_rules *rules, int i,
                               const json_t *candidate)
{
    const schema_float       *about = &rules->schema->floats[i];
    const json_t             *value = json_object_get(candidate, about->name);
    const safetensors_tensor *known;
    uint64_t                  key, row, end;

    if (value)
        return read_numbers(x, about->width, value, about->name);
    TRY(key_of(&key, rules, candidate));
    TRY(look_up(rules, key, about->name, &known, &row, &end));
    if (known->count != known->shape[0] * (uint64_t)about->width)
        return err_set(ERR_DATA, "--items: %s is not %d wide", about->name, about->width);
    for (int d = 0; d < about->width; d++)
        x[d] = (float)safetensors_get_double(known, row * (uint64_t)about->width + (uint64_t)d);
    return OK;
}

static err_t fill_float(batch_float *to, const request_rules *rules, int i,
                        const json_t *candidates, arena *a)
{
    int    width = rules->schema->floats[i].width;
    size_t n     = json_array_size(candidates);
    float *x;

    *to = (batch_float){.width = width};
    TRY(arena_take(a, n * (size_t)width * sizeof *to->x, &to->x));
    TRY(arena_take(a, (size_t)width * sizeof *x, &x));
    for (size_t k = 0; k < n; k++) {
        err_t err = candidate_numbers(x, rules, i, json_array_get(candidates, k));
        if (err != OK)
            return err_add(err, "candidate %zu", k);
        for (int d = 0; d < width; d++)
            to->x[k * (size_t)width + (size_t)d] = (real)x[d];
    }
    return OK;
}

static err_t take_candidates(request *q, const request_rules *rules, arena *a)
{
    const schema       *s     = rules->schema;
    const model_config *model = &rules->config->model;
    requests           *r     = &q->batches;
    id_list             ids   = {0};
    err_t               err   = OK;

    TRY(arena_take_zero(a, (size_t)s->n_slots * sizeof *r->each.slots, &r->each.slots));
    TRY(arena_take_zero(a, (size_t)s->n_floats * sizeof *r->each.floats, &r->each.floats));
    TRY(arena_take(a, 2 * sizeof *r->first, &r->first));
    r->first[0] = 0;
    r->first[1] = (int)json_array_size(q->candidates);
    for (int k = 0; k < s->n_slots && err == OK; k++) {
        ids.n = 0;
        if (requests_slot_of_candidate(s, model, k))
            err = fill_slot(&r->each.slots[k], rules, k, q->candidates, &ids, a);
    }
    for (int i = 0; i < s->n_floats && err == OK; i++)
        if (requests_float_of_candidate(s, model, i))
            err = fill_float(&r->each.floats[i], rules, i, q->candidates, a);
    vec_clear(&ids);
    return err;
}

/* ---- a line ---- */

static err_t read_line(request *q, const request_rules *rules, const char *name,
                       const char *line, size_t size, arena *a)
{
    const model_config *model = &rules->config->model;
    json_error_t        wrong;

    q->line = json_loadb(line, size, JSON_REJECT_DUPLICATES, &wrong);
    if (!q->line)
        return err_set(ERR_DATA, "no JSON: %s at column %d", wrong.text, wrong.column);
    if (!json_is_object(q->line))
        return err_set(ERR_DATA, "no JSON object");
    if (model->candidate.n == 0)
        return err_set(ERR_CONFIG, "model.candidate is empty: nothing tells candidates apart");
    TRY(take_asked(q, rules, name, a));
    TRY(list_candidates(q, model->candidate.at[0]));
    return take_candidates(q, rules, a);
}

err_t request_read(request *q, const request_rules *rules, const char *name, const char *line,
                   size_t size, arena *a)
{
    *q        = (request){0};
    err_t err = read_line(q, rules, name, line, size, a);

    return err == OK ? OK : err_add(err, "%s", name);
}

void request_clear(request *q)
{
    dataset_close(&q->data);
    free(q->bytes);
    json_decref(q->candidates);
    json_decref(q->line);
    *q = (request){0};
}
