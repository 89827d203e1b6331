#include "launch/prepare/raw_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "common/log.h"
#include "launch/prepare/progress.h"

#define BUFFER_FIRST (256u << 10)
#define BAD_SHOWN    10 /* skipped lines that are told one by one */

struct raw_lines {
    const char *path;
    gzFile      file;
    uint64_t    bytes; /* of the file; 0: unknown */
    uint64_t    number;
    char       *buffer;
    size_t      capacity, begin, end; /* unread bytes are buffer[begin .. end) */
    bool        over;
};

static gzFile open_file(const char *path)
{
    int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? NULL : gzdopen(fd, "rb");
}

err_t raw_lines_open(raw_lines **out, const char *path)
{
    struct stat st;
    raw_lines  *l = *out = calloc(1, sizeof *l);

    if (!l || !(l->buffer = malloc(BUFFER_FIRST)))
        return err_memory(BUFFER_FIRST, "reading lines");
    l->path     = path;
    l->capacity = BUFFER_FIRST;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return err_set(ERR_DATA, "%s is a folder, wanted a file", path);
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
        l->bytes = (uint64_t)st.st_size;
    errno   = 0;
    l->file = open_file(path);
    if (!l->file) {
        err_t err = errno == ENOENT ? ERR_DATA : ERR_SYSTEM;
        (void)err_errno("opening %s", path);
        return err;
    }
    gzbuffer(l->file, BUFFER_FIRST);
    return OK;
}

void raw_lines_close(raw_lines **l)
{
    if (!*l)
        return;
    if ((*l)->file)
        gzclose((*l)->file);
    free((*l)->buffer);
    free(*l);
    *l = NULL;
}

/* What zlib says of a damaged file, without the descriptor it names in front: "<fd:4>: ". */
static const char *damage(const char *reason, int code)
{
    const char *behind = strstr(reason, ">: ");

    if (code == Z_BUF_ERROR)
        return "the compressed data ends too early";
    return behind ? behind + 3 : reason;
}

/* Make room behind the unread bytes and read more of them. */
static err_t read_more(raw_lines *l)
{
    memmove(l->buffer, l->buffer + l->begin, l->end - l->begin);
    l->end -= l->begin;
    l->begin = 0;
    if (l->end == l->capacity) {
        if (l->capacity >= LINE_MOST)
            return err_set(ERR_DATA, "%s:%llu: line of more than %u bytes", l->path,
                           (unsigned long long)l->number + 1, LINE_MOST);
        char *grown = realloc(l->buffer, 2 * l->capacity);
        if (!grown)
            return err_memory(2 * l->capacity, "a line");
        l->buffer = grown;
        l->capacity *= 2;
    }
    int n = gzread(l->file, l->buffer + l->end, (unsigned)(l->capacity - l->end));
    int code;
    const char *reason = gzerror(l->file, &code);
    if (code == Z_ERRNO)
        return err_errno("reading %s", l->path);
    if (n < 0 || (n == 0 && code != Z_OK))
        return err_set(ERR_DATA, "%s is damaged after line %llu: %s", l->path,
                       (unsigned long long)l->number, damage(reason, code));
    l->end += (size_t)n;
    l->over = n == 0;
    return OK;
}

err_t raw_lines_next(raw_lines *l, char **line, size_t *n)
{
    size_t searched = 0;
    char  *end;

    *line = NULL;
    for (;;) {
        end = memchr(l->buffer + l->begin + searched, '\n', l->end - l->begin - searched);
        if (end || l->over)
            break;
        searched = l->end - l->begin;
        TRY(read_more(l));
    }
    if (!end && l->begin == l->end)
        return OK;
    *line = l->buffer + l->begin;
    *n    = end ? (size_t)(end - *line) : l->end - l->begin;
    l->begin += *n + (end != NULL);
    if (*n > 0 && (*line)[*n - 1] == '\r')
        --*n;
    l->number++;
    return OK;
}

double raw_lines_part(const raw_lines *l)
{
    z_off_t at = gzoffset(l->file);
    return l->bytes > 0 && at >= 0 ? (double)at / (double)l->bytes : -1;
}

err_t raw_lines_judge(const raw_lines *l, bad_lines *bad, err_t err, bool *skip)
{
    *skip = err != OK;
    if (err != ERR_DATA)
        return err;
    (void)err_add(err, "%s:%llu", l->path, (unsigned long long)l->number);
    if (bad->n >= bad->most)
        return bad->most == 0 ? err
                              : err_add(err, "more than %lld bad lines", (long long)bad->most);
    if (bad->n++ < BAD_SHOWN)
        log_once(LOG_WARN, "%s; skipped", err_text());
    return OK;
}

static err_t each(raw_lines *l, bad_lines *bad, progress *shown,
                  err_t (*parse)(void *self, char *line, size_t n, uint64_t number), void *self)
{
    char  *line;
    size_t n;
    bool   skip;

    for (;;) {
        TRY(raw_lines_next(l, &line, &n));
        if (!line)
            return OK;
        TRY(raw_lines_judge(l, bad, parse(self, line, n, l->number), &skip));
        if (shown->calls % 1024 == 0) /* raw_lines_part asks the system */
            TRY(progress_tell(shown, l->number, "lines", raw_lines_part(l)));
        else
            shown->calls++;
    }
}

err_t raw_lines_each(const char *path, bad_lines *bad,
                     err_t (*parse)(void *self, char *line, size_t n, uint64_t number),
                     void *self)
{
    raw_lines *l = NULL;
    progress   shown;

    progress_begin(&shown, path);
    err_t err = raw_lines_open(&l, path);
    if (err == OK)
        err = each(l, bad, &shown, parse, self);
    progress_end(&shown);
    raw_lines_close(&l);
    return err;
}

void raw_lines_report_skipped(err_t err, const bad_lines *bad)
{
    if (err == OK && bad->n > 0)
        log_once(LOG_WARN, "%lld bad lines were skipped", (long long)bad->n);
}
