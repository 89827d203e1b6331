#include "launch/prepare/amazon_rows.h"

#include <stdlib.h>
#include <string.h>

#include "launch/prepare/python_json.h"

void amazon_row_clear(amazon_row *row)
{
    json_decref(row->json);
    *row = (amazon_row){0};
}

static err_t parse_object(const char *text, size_t n, json_t **object)
{
    json_error_t error;

    *object = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    if (!*object)
        return err_set(ERR_DATA, "not JSON at byte %d: %s", error.position, error.text);
    return json_is_object(*object) ? OK : err_set(ERR_DATA, "not a JSON object");
}

/* As parse_object, in Python's notation. */
static err_t parse_python(const char *text, size_t n, json_t **object)
{
    char *json = malloc(PYTHON_JSON_ROOM(n));

    if (!json)
        return err_memory(PYTHON_JSON_ROOM(n), "a line");
    err_t err = parse_object(json, python_json(json, text, n), object);
    free(json);
    return err;
}

static err_t take_text(const json_t *value, const char *what, field *f)
{
    if (!json_is_string(value) || json_string_length(value) == 0)
        return err_set(ERR_DATA, "%s is not there or not a string", what);
    *f = (field){json_string_value(value), json_string_length(value)};
    return OK;
}

err_t amazon_parse_review(char *line, size_t n, amazon_row *row)
{
    *row = (amazon_row){0};
    TRY(parse_object(line, n, &row->json));
    const json_t *time = json_object_get(row->json, "unixReviewTime");
    TRY(take_text(json_object_get(row->json, "reviewerID"), "reviewerID", &row->user));
    TRY(take_text(json_object_get(row->json, "asin"), "asin", &row->goods));
    if (!json_is_integer(time))
        return err_set(ERR_DATA, "unixReviewTime is not there or not a whole number");
    row->time = json_integer_value(time);
    return OK;
}

static const json_t *last_of(const json_t *list)
{
    size_t n = json_array_size(list); /* 0 where it is not a list */
    return n > 0 ? json_array_get(list, n - 1) : NULL;
}

err_t amazon_parse_meta(char *line, size_t n, amazon_row *row)
{
    *row = (amazon_row){0};
    if (n > 1 && memchr("'}", line[1], 2))
        TRY(parse_python(line, n, &row->json));
    else
        TRY(parse_object(line, n, &row->json));
    TRY(take_text(json_object_get(row->json, "asin"), "asin", &row->goods));
    return take_text(last_of(last_of(json_object_get(row->json, "categories"))),
                     "the last of categories", &row->cate);
}
