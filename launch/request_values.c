#include "launch/request_values.h"

#include <errno.h>
#include <stdlib.h>

#include "common/hash.h"

/* ---- ids ---- */

err_t id_list_push(id_list *ids, uint64_t id)
{
    return vec_push(ids, id) == OK ? OK : err_memory(sizeof id, "a request");
}

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

/* The ids of one cell: a list of them, or a single one; nothing where value is NULL. */
static err_t read_ids(id_list *ids, const json_t *value, const table_config *table,
                      const char *what)
{
    uint64_t id;
    size_t   n = json_is_array(value) ? json_array_size(value) : value != NULL;

    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(value) ? json_array_get(value, i) : value;
        TRY(request_id(&id, one, table, what));
        TRY(id_list_push(ids, id));
    }
    return OK;
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

err_t request_cell(id_list *ids, const json_t *value, const schema *s, int slot,
                   const char *what)
{
    TRY(check_single(&s->slots[slot], value, what));
    return read_ids(ids, value, s->tables[s->slots[slot].table].config, what);
}

/* ---- numbers and times ---- */

err_t request_time(int64_t *time, const json_t *value, const char *what)
{
    if (!value)
        return err_set(ERR_DATA, "%s is missing: wanted whole seconds", what);
    if (!json_is_integer(value))
        return err_set(ERR_DATA, "%s is no time: wanted whole seconds", what);
    *time = json_integer_value(value);
    return OK;
}

static err_t read_number(double *x, const json_t *value, const char *what)
{
    if (!json_is_number(value))
        return err_set(ERR_DATA, "%s is no number", what);
    *x = json_number_value(value);
    return OK;
}

err_t request_numbers(float *x, int width, const json_t *value, const char *what)
{
    bool   list   = json_is_array(value);
    double number = 0;

    if (!value)
        return err_set(ERR_DATA, "%s is missing", what);
    if ((list ? json_array_size(value) : 1) != (size_t)width)
        return err_set(ERR_DATA, "%s has %zu numbers, its width is %d", what,
                       list ? json_array_size(value) : (size_t)1, width);
    for (int d = 0; d < width; d++) {
        TRY(read_number(&number, list ? json_array_get(value, (size_t)d) : value, what));
        x[d] = (float)number;
    }
    return OK;
}

/* ---- events ---- */

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
