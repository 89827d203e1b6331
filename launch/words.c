#include "launch/words.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/vec.h"

void words_add(words *w, const char *format, ...)
{
    char   *word = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&word, format, args) < 0)
        word = NULL;
    va_end(args);
    size_t need = (size_t)w->n + 2;
    if (!word ||
        (need > w->capacity && vec_grow(&w->at, &w->capacity, sizeof *w->at, need) != OK)) {
        free(word);
        w->failed = ERR_MEMORY;
        return;
    }
    w->at[w->n++] = word;
    w->at[w->n]   = NULL;
}

err_t words_check(const words *w)
{
    return w->failed ? err_memory((size_t)w->n, "a command line") : OK;
}

/* 'it'\''s' where a shell would see more than a plain word. */
static void print_quoted(const char *word, FILE *to)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_-+=./:,%";

    if (*word && word[strspn(word, plain)] == '\0') {
        fputs(word, to);
        return;
    }
    fputc('\'', to);
    for (; *word; word++) {
        if (*word == '\'')
            fputs("'\\''", to);
        else
            fputc(*word, to);
    }
    fputc('\'', to);
}

void words_print(const words *w, FILE *to)
{
    for (int i = 0; i < w->n; i++) {
        if (i > 0)
            fputc(' ', to);
        print_quoted(w->at[i], to);
    }
    fputc('\n', to);
}

void words_clear(words *w)
{
    for (int i = 0; i < w->n; i++)
        free(w->at[i]);
    free(w->at);
    *w = (words){0};
}
