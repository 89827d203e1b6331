#include "launch/request_source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "launch/request_file.h"
#include "launch/signals.h"

struct request_source {
    const request_rules *rules;
    request_file        *file; /* NULL: lines */
    char                *line; /* the one that was read last */
    size_t               room;
    int64_t              lines; /* read so far */
};

err_t request_source_open(request_source **out, const request_rules *rules, const char *file)
{
    request_source *s = calloc(1, sizeof *s);

    *out = s;
    if (!s)
        return err_memory(sizeof *s, "the requests");
    s->rules  = rules;
    err_t err = file ? request_file_open(&s->file, rules, file) : OK;
    if (err != OK)
        request_source_free(out);
    return err;
}

void request_source_free(request_source **s)
{
    if (!*s)
        return;
    request_file_free(&(*s)->file);
    free((*s)->line);
    free(*s);
    *s = NULL;
}

/* The next line that is not blank; *n < 0: there is none. */
static err_t next_line(request_source *s, ssize_t *n)
{
    do {
        *n = getline(&s->line, &s->room, stdin);
        s->lines++;
    } while (*n >= 0 && strspn(s->line, " \t\r\n") == (size_t)*n);
    TRY(signals_stop());
    return *n < 0 && ferror(stdin) ? err_errno("reading standard input") : OK;
}

err_t request_source_next(request_source *s, request *q, bool *more, arena *a)
{
    ssize_t n;

    *q    = (request){0};
    *more = false;
    TRY(signals_stop());
    if (s->file)
        return request_file_next(s->file, q, more, a);
    TRY(next_line(s, &n));
    if (n < 0)
        return OK;
    *more    = true;
    q->since = clock_now(clock_monotonic());
    snprintf(q->name, sizeof q->name, "request in line %" PRId64, s->lines);
    return request_read(q, s->rules, s->line, (size_t)n, a);
}
