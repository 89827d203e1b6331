/* Lines of JSON: what metrics.h says about metrics.jsonl. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/decimal.h"
#include "common/metrics.h"
#include "common/new_file.h"

struct metrics_log {
    int   fd; /* -1: all is dropped */
    char *path;
};

/* ---- one object ---- */

/* Bytes that are no UTF-8 are read as Latin-1, so that every line stays JSON. */
static void print_text(FILE *to, const char *text)
{
    json_t *utf8 = json_string(text);

    fputc('"', to);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(to, "\\%c", *c);
        else if (*c < 0x20 || (*c >= 0x80 && !utf8))
            fprintf(to, "\\u%04x", *c);
        else
            fputc(*c, to);
    }
    fputc('"', to);
    json_decref(utf8);
}

static void print_fields(FILE *to, int n, const metrics_field *fields, const char *before)
{
    char number[DECIMAL_MAX];

    for (int i = 0; i < n; i++) {
        fputs(before, to);
        print_text(to, fields[i].key);
        fputc(':', to);
        if (fields[i].kind == FIELD_REAL)
            fputs(isfinite(fields[i].real) ? decimal(number, fields[i].real) : "null", to);
        else if (fields[i].kind == FIELD_INT)
            fprintf(to, "%lld", (long long)fields[i].integer);
        else if (fields[i].text)
            print_text(to, fields[i].text);
        else
            fputs("null", to);
        before = ",";
    }
}

void metrics_print_json(FILE *to, int n, const metrics_field *fields)
{
    fputc('{', to);
    print_fields(to, n, fields, "");
    fputc('}', to);
}

/* ---- going on where an earlier stretch ended ---- */

/* Does a line of the earlier stretch stay? One that is not an object was torn. */
static bool stays(const char *line, size_t length, int64_t resume_step)
{
    json_t *object = length > 0 && line[length - 1] == '\n'
                         ? json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL)
                         : NULL;
    json_t *step   = json_object_get(object, "step");
    bool    kept   = json_is_object(object) && !(resume_step >= 0 && json_is_number(step) &&
                                            json_number_value(step) > (double)resume_step);

    json_decref(object);
    return kept;
}

/* Write the lines that stay to whole; *cut tells whether any does not. */
static err_t copy_lines(FILE *from, const char *path, int64_t resume_step,
                        const new_file *whole, bool *cut)
{
    char    *line = NULL;
    size_t   room = 0;
    uint64_t at   = 0;
    err_t    err  = OK;
    ssize_t  length;

    while (err == OK && (length = getline(&line, &room, from)) > 0) {
        if (!stays(line, (size_t)length, resume_step)) {
            *cut = true;
            continue;
        }
        err = new_file_write(whole, at, line, (size_t)length);
        at += (uint64_t)length;
    }
    if (err == OK && ferror(from))
        err = err_errno("%s: reading", path);
    free(line);
    return err;
}

static err_t cut_off(const char *path, int64_t resume_step)
{
    new_file whole;
    bool     cut  = false;
    FILE    *from = fopen(path, "re");

    if (!from)
        return errno == ENOENT ? OK : err_errno("%s: cannot be opened", path);
    err_t err = new_file_create(&whole, path);
    if (err == OK) {
        err = copy_lines(from, path, resume_step, &whole, &cut);
        if (err == OK && cut)
            err = new_file_finish(&whole);
        else
            new_file_abandon(&whole);
    }
    fclose(from);
    return err;
}

/* ---- the log ---- */

err_t metrics_log_open(metrics_log **out, const char *path, int64_t resume_step)
{
    *out             = NULL;
    metrics_log *log = malloc(sizeof *log);
    if (!log)
        return err_memory(sizeof *log, "the log of metrics");
    *log      = (metrics_log){.fd = -1, .path = path ? strdup(path) : NULL};
    err_t err = path && !log->path ? err_memory(strlen(path), "the log of metrics") : OK;
    if (err == OK && path)
        err = cut_off(path, resume_step);
    if (err == OK && path) {
        log->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
        if (log->fd < 0)
            err = err_errno("%s: cannot be written", path);
    }
    if (err != OK)
        metrics_log_close(&log);
    *out = log;
    return err;
}

void metrics_log_close(metrics_log **log)
{
    if (!*log)
        return;
    if ((*log)->fd >= 0)
        close((*log)->fd);
    free((*log)->path);
    free(*log);
    *log = NULL;
}

/* Append a line as one write; one that does not fit is taken back, so that the next one
 * begins at the beginning of a line. */
static err_t append(const metrics_log *log, const char *line, size_t length)
{
    off_t   before = lseek(log->fd, 0, SEEK_END);
    ssize_t n;

    do
        n = write(log->fd, line, length);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)length)
        return OK;
    if (n >= 0)
        errno = ENOSPC;
    err_t err = err_errno("%s: writing a line", log->path);
    if (n > 0 && before >= 0 && ftruncate(log->fd, before) != 0)
        return err_add(err, "and it could not be taken back");
    return err;
}

err_t metrics_log_write(metrics_log *log, const char *event, int n, const metrics_field *fields)
{
    char  *line   = NULL;
    size_t length = 0;

    if (log->fd < 0)
        return OK;
    FILE *to = open_memstream(&line, &length);
    if (!to)
        return err_memory(4096, "a line of metrics");
    fputs("{\"event\":", to);
    print_text(to, event);
    print_fields(to, n, fields, ",");
    fputs("}\n", to);
    err_t err =
        fclose(to) == 0 ? append(log, line, length) : err_memory(length, "a line of metrics");
    free(line);
    return err;
}
