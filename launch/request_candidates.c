#include "launch/request_candidates.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "launch/request_values.h"

/* ---- as a list ---- */

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

err_t request_candidates_list(request *q, const char *key)
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
    char        full[REQUEST_NAME_MAX];

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

    if (value)
        return request_cell(ids, value, rules->schema, slot, about->name);
    if (about->pool != POOL_NONE && !rules->items)
        return OK;
    TRY(key_of(&key, rules, candidate));
    TRY(look_up(rules, key, about->name, &known, &i, &end));
    if (!dtype_is_integer(known->type))
        return err_set(ERR_DATA, "--items: %s holds no ids", about->name);
    for (; i < end; i++)
        TRY(id_list_push(ids, safetensors_get_u64(known, i)));
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
        return request_numbers(x, about->width, value, about->name);
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

err_t request_candidates_take(request *q, const request_rules *rules, arena *a)
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
