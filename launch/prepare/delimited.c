#include "launch/prepare/delimited.h"

#include <string.h>

/* Take the quotes off a field that begins at line[*at], which is a quote; *at moves
 * behind the closing one. */
static err_t unquote(char *line, size_t n, size_t *at, field *f)
{
    size_t from = *at + 1, to = *at;

    f->at = line + to;
    while (from < n) {
        if (line[from] == '"') {
            if (from + 1 >= n || line[from + 1] != '"') {
                *at  = from + 1;
                f->n = (size_t)(line + to - f->at);
                return OK;
            }
            from++;
        }
        line[to++] = line[from++];
    }
    return err_set(ERR_DATA, "a quoted field does not end on its line");
}

err_t delimited_split(char *line, size_t n, const char *separator, bool quotes, field *fields,
                      size_t most, size_t *n_fields)
{
    size_t width = strlen(separator), at = 0;

    *n_fields = 0;
    for (;;) {
        field f = {line + at, 0};
        if (*n_fields == most)
            return err_set(ERR_DATA, "more than %zu fields", most);
        if (quotes && at < n && line[at] == '"') {
            TRY(unquote(line, n, &at, &f));
            if (at < n && (n - at < width || memcmp(line + at, separator, width) != 0))
                return err_set(ERR_DATA, "something follows the closing quote of field %zu",
                               *n_fields + 1);
        } else {
            const char *end = memmem(line + at, n - at, separator, width);
            f.n             = end ? (size_t)(end - f.at) : n - at;
            at += f.n;
        }
        fields[(*n_fields)++] = f;
        if (at >= n)
            return OK;
        at += width;
    }
}
