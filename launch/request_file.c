#include "launch/request_file.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

#define OFFSETS "request.offsets"

struct request_file {
    const request_rules      *rules;
    dataset                  *data;
    const data_shard         *shard;
    const safetensors_tensor *offsets;         /* NULL: samples that are alike */
    uint64_t                  request, sample; /* the next ones */
};

/* ---- opening ---- */

/* That offsets begin with 0, grow, and end with the samples. */
static err_t check_offsets(const request_file *f, const char *path)
{
    const safetensors_tensor *t = f->offsets;

    if (!dtype_is_integer(t->type) || t->n_dims != 1 || t->count == 0)
        return err_set(ERR_DATA, "%s: " OFFSETS " is no list of whole numbers", path);
    if (safetensors_get_u64(t, 0) != 0)
        return err_set(ERR_DATA, "%s: " OFFSETS "[0] is %" PRIu64 ", wanted 0", path,
                       safetensors_get_u64(t, 0));
    for (uint64_t i = 1; i < t->count; i++)
        if (safetensors_get_u64(t, i) <= safetensors_get_u64(t, i - 1))
            return err_set(ERR_DATA,
                           "%s: " OFFSETS "[%" PRIu64 "] = %" PRIu64
                           " is not above the one before it: a request has one sample at least",
                           path, i, safetensors_get_u64(t, i));
    if (safetensors_get_u64(t, t->count - 1) != f->shard->samples)
        return err_set(ERR_DATA,
                       "%s: " OFFSETS " ends with %" PRIu64 ", there are %" PRIu64 " samples",
                       path, safetensors_get_u64(t, t->count - 1), f->shard->samples);
    return OK;
}

static err_t open_file(request_file *f, const char *path)
{
    safetensors *file;

    if (f->rules->config->model.candidate.n == 0)
        return err_set(ERR_CONFIG, "model.candidate is empty: nothing tells candidates apart");
    TRY(safetensors_open(&file, path));
    TRY(dataset_open_one(&f->data, f->rules->schema, file));
    f->shard   = dataset_shard(f->data, 0);
    f->offsets = safetensors_find(f->shard->file, OFFSETS);
    return f->offsets ? check_offsets(f, path) : OK;
}

err_t request_file_open(request_file **out, const request_rules *rules, const char *path)
{
    request_file *f = calloc(1, sizeof *f);

    *out = f;
    if (!f)
        return err_memory(sizeof *f, "a file of requests");
    f->rules  = rules;
    err_t err = open_file(f, path);
    if (err != OK)
        request_file_free(out);
    return err == OK ? OK : err_add(err, "--requests");
}

void request_file_free(request_file **f)
{
    if (!*f)
        return;
    dataset_close(&(*f)->data);
    free(*f);
    *f = NULL;
}

/* ---- what samples have in common ---- */

/* Whether n elements from a on are those from b on. */
static bool same_elements(const safetensors_tensor *t, uint64_t a, uint64_t b, uint64_t n)
{
    size_t      size = dtype_size(t->type);
    const char *data = t->data;

    return memcmp(data + a * size, data + b * size, n * size) == 0;
}

/* The same of rows that have lengths: of bags, or of sequences. *first_a, *first_b, *elements:
 * what the rows consist of. */
static bool same_lengths(const safetensors_tensor *offsets, uint64_t a, uint64_t b, uint64_t n,
                         uint64_t *first_a, uint64_t *first_b, uint64_t *elements)
{
    *first_a  = safetensors_get_u64(offsets, a);
    *first_b  = safetensors_get_u64(offsets, b);
    *elements = safetensors_get_u64(offsets, a + n) - *first_a;
    for (uint64_t i = 1; i <= n; i++)
        if (safetensors_get_u64(offsets, a + i) - *first_a !=
            safetensors_get_u64(offsets, b + i) - *first_b)
            return false;
    return true;
}

/* Whether n rows of a slot are the same ids. */
static bool same_ids(const data_ids *x, uint64_t a, uint64_t b, uint64_t n)
{
    if (x->offsets && !same_lengths(x->offsets, a, b, n, &a, &b, &n))
        return false;
    return same_elements(x->ids, a, b, n);
}

/* The name of the first feature of the request, not of candidates, that is not alike; columns
 * of sequence, or features where it is -1. Negatives are nobody's feature here. */
static const char *other_slot(const request_file *f, int sequence, uint64_t a, uint64_t b,
                              uint64_t n)
{
    const schema *s = f->rules->schema;

    for (int k = 0; k < s->n_slots; k++)
        if (s->slots[k].sequence == sequence && !s->slots[k].is_gap &&
            !s->slots[k].is_negative &&
            !requests_slot_of_candidate(s, &f->rules->config->model, k) &&
            !same_ids(&f->shard->slots[k], a, b, n))
            return s->slots[k].name;
    return NULL;
}

static const char *other_sequence(const request_file *f, uint64_t a, uint64_t b)
{
    const schema *s = f->rules->schema;

    for (int i = 0; i < s->n_sequences; i++) {
        const data_events *x = &f->shard->sequences[i];
        uint64_t           first_a, first_b, n;
        if (!same_lengths(x->offsets, a, b, 1, &first_a, &first_b, &n) ||
            (x->time && !same_elements(x->time, first_a, first_b, n)))
            return s->sequences[i].name;
        const char *column = other_slot(f, i, first_a, first_b, n);
        if (column)
            return column;
    }
    return NULL;
}

static const char *other_float(const request_file *f, uint64_t a, uint64_t b)
{
    const schema *s = f->rules->schema;

    for (int i = 0; i < s->n_floats; i++) {
        uint64_t width = (uint64_t)s->floats[i].width;
        if (!requests_float_of_candidate(s, &f->rules->config->model, i) &&
            !same_elements(f->shard->floats[i], a * width, b * width, width))
            return s->floats[i].name;
    }
    return NULL;
}

/* What tells samples a and b apart that is not their candidate's; NULL: nothing. */
static const char *difference(const request_file *f, uint64_t a, uint64_t b)
{
    const char *other = other_slot(f, -1, a, b, 1);

    if (!other)
        other = other_float(f, a, b);
    if (!other && f->shard->time && !same_elements(f->shard->time, a, b, 1))
        other = "time";
    return other ? other : other_sequence(f, a, b);
}

static bool same_group(const request_file *f, uint64_t a, uint64_t b)
{
    return !f->shard->group || same_elements(f->shard->group, a, b, 1);
}

/* The samples of the next request end before *end. */
static err_t find_end(const request_file *f, uint64_t *end)
{
    uint64_t    first = f->sample, i = first + 1;
    const char *other;

    if (!f->offsets) {
        while (i < f->shard->samples && same_group(f, first, i) && !difference(f, first, i))
            i++;
        *end = i;
        return OK;
    }
    *end = safetensors_get_u64(f->offsets, f->request + 1);
    for (; i < *end; i++)
        if ((other = difference(f, first, i)))
            return err_set(ERR_DATA,
                           "sample %" PRIu64 " has another %s than sample %" PRIu64
                           ", and " OFFSETS " puts both into one request",
                           i, other, first);
    return OK;
}

/* ---- candidates ---- */

static err_t take_ids(const request_file *f, int slot, uint64_t n, arena *a, batch_slot *to)
{
    const data_ids *from  = &f->shard->slots[slot];
    uint64_t        first = f->sample, end = first + n;

    *to = (batch_slot){.rows = (int)n};
    if (f->rules->schema->slots[slot].pool != POOL_NONE)
        TRY(arena_take(a, (n + 1) * sizeof *to->offsets, &to->offsets));
    if (from->offsets) {
        first = safetensors_get_u64(from->offsets, f->sample);
        end   = safetensors_get_u64(from->offsets, f->sample + n);
    }
    if (end - first > INT_MAX)
        return err_set(ERR_DATA, "%" PRIu64 " ids of %s are too many", end - first,
                       f->rules->schema->slots[slot].name);
    for (uint64_t i = 0; i <= n && to->offsets; i++)
        to->offsets[i] = from->offsets
                             ? (int)(safetensors_get_u64(from->offsets, f->sample + i) - first)
                             : (int)i;
    to->n = (int)(end - first);
    TRY(arena_take(a, (end - first) * sizeof *to->ids, &to->ids));
    safetensors_copy_u64(to->ids, from->ids, first, end - first);
    return OK;
}

static err_t take_numbers(const request_file *f, int i, uint64_t n, arena *a, batch_float *to)
{
    uint64_t width = (uint64_t)f->rules->schema->floats[i].width;

    *to = (batch_float){.width = (int)width};
    TRY(arena_take(a, n * width * sizeof *to->x, &to->x));
    safetensors_copy_real(to->x, f->shard->floats[i], f->sample * width, n * width);
    return OK;
}

static err_t take_candidates(const request_file *f, uint64_t n, requests *r, arena *a)
{
    const schema       *s     = f->rules->schema;
    const model_config *model = &f->rules->config->model;

    TRY(arena_take_zero(a, (size_t)s->n_slots * sizeof *r->each.slots, &r->each.slots));
    TRY(arena_take_zero(a, (size_t)s->n_floats * sizeof *r->each.floats, &r->each.floats));
    TRY(arena_take(a, 2 * sizeof *r->first, &r->first));
    r->first[0] = 0;
    r->first[1] = (int)n;
    for (int k = 0; k < s->n_slots; k++)
        if (requests_slot_of_candidate(s, model, k))
            TRY(take_ids(f, k, n, a, &r->each.slots[k]));
    for (int i = 0; i < s->n_floats; i++)
        if (requests_float_of_candidate(s, model, i))
            TRY(take_numbers(f, i, n, a, &r->each.floats[i]));
    return OK;
}

/* ---- as JSON, for the answer ---- */

/* JSON's integers end below those of ids; those beyond are text. */
static json_t *id_as_json(uint64_t id)
{
    char text[24];

    if (id <= INT64_MAX)
        return json_integer((json_int_t)id);
    snprintf(text, sizeof text, "%" PRIu64, id);
    return json_string(text);
}

static json_t *ids_as_json(const batch_slot *ids, int row)
{
    if (!ids->offsets)
        return id_as_json(ids->ids[row]);
    json_t *list = json_array();
    for (int k = ids->offsets[row]; k < ids->offsets[row + 1]; k++)
        json_array_append_new(list, id_as_json(ids->ids[k]));
    return list;
}

static json_t *numbers_as_json(const batch_float *numbers, int row)
{
    const real *x = numbers->x + (size_t)row * (size_t)numbers->width;

    if (numbers->width == 1)
        return json_real((double)x[0]);
    json_t *list = json_array();
    for (int d = 0; d < numbers->width; d++)
        json_array_append_new(list, json_real((double)x[d]));
    return list;
}

static json_t *candidate_as_json(const request_file *f, const batch *each, int row)
{
    const schema       *s     = f->rules->schema;
    const model_config *model = &f->rules->config->model;
    json_t             *one   = json_pack("{s:I}", "sample", (json_int_t)f->sample + row);

    for (int k = 0; k < s->n_slots; k++)
        if (requests_slot_of_candidate(s, model, k))
            json_object_set_new(one, s->slots[k].name, ids_as_json(&each->slots[k], row));
    for (int i = 0; i < s->n_floats; i++)
        if (requests_float_of_candidate(s, model, i))
            json_object_set_new(one, s->floats[i].name, numbers_as_json(&each->floats[i], row));
    return one;
}

static err_t describe(const request_file *f, request *q, uint64_t n)
{
    q->line       = json_pack("{s:I}", "request", (json_int_t)f->request);
    q->candidates = json_array();
    for (uint64_t i = 0; i < n; i++)
        if (json_array_append_new(q->candidates,
                                  candidate_as_json(f, &q->batches.each, (int)i)) != 0)
            return err_memory(n, "the candidates of a request");
    return q->line ? OK : err_memory(n, "a request");
}

/* ---- a request ---- */

static err_t take_request(request_file *f, request *q, arena *a)
{
    uint64_t end;

    TRY(find_end(f, &end));
    if (end - f->sample > INT_MAX)
        return err_set(ERR_DATA, "%" PRIu64 " candidates are too many", end - f->sample);
    TRY(dataset_batch(f->data, &f->sample, 1, 0, a, &q->batches.asked));
    TRY(take_candidates(f, end - f->sample, &q->batches, a));
    TRY(describe(f, q, end - f->sample));
    f->sample = end;
    f->request++;
    return OK;
}

err_t request_file_next(request_file *f, request *q, bool *more, arena *a)
{
    *q    = (request){.since = clock_now(clock_monotonic())};
    *more = f->sample < f->shard->samples;
    if (!*more)
        return OK;
    snprintf(q->name, sizeof q->name, "request %" PRIu64 ", from sample %" PRIu64 " on",
             f->request, f->sample);
    err_t err = take_request(f, q, a);
    return err == OK ? OK
                     : err_add(err, "%s: request %" PRIu64, safetensors_path(f->shard->file),
                               f->request);
}
