#include "launch/prepare/python_json.h"

#include <string.h>

/* A reader of text and a writer of json. */
typedef struct translation {
    const char *from, *end;
    char       *to;
} translation;

static void put(translation *t, const char *text, size_t n)
{
    memcpy(t->to, text, n);
    t->to += n;
}

/* A backslash and what follows it, inside a string. "\xNN" is four bytes and becomes the
 * six of "\u00NN"; every other character becomes two at most. */
static void translate_escape(translation *t)
{
    char c = t->from + 1 < t->end ? t->from[1] : '\\';

    if (c == 'x') {
        put(t, "\\u00", 4);
    } else if (c == '\'') {
        put(t, "'", 1);
    } else {
        put(t, "\\", 1);
        put(t, &c, 1);
    }
    t->from += t->from + 1 < t->end ? 2 : 1;
}

static void translate_string(translation *t)
{
    char quote = *t->from++;

    put(t, "\"", 1);
    while (t->from < t->end && *t->from != quote) {
        if (*t->from == '\\') {
            translate_escape(t);
        } else {
            if (*t->from == '"')
                put(t, "\\", 1);
            put(t, t->from++, 1);
        }
    }
    if (t->from < t->end) {
        put(t, "\"", 1);
        t->from++;
    }
}

/* One of Python's words at t->from, or one character. */
static void translate_outside(translation *t)
{
    static const struct {
        const char *python, *json;
    } words[] = {{"True", "true"}, {"False", "false"}, {"None", "null"}};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i].python);
        if ((size_t)(t->end - t->from) >= n && memcmp(t->from, words[i].python, n) == 0) {
            put(t, words[i].json, strlen(words[i].json));
            t->from += n;
            return;
        }
    }
    put(t, t->from++, 1);
}

size_t python_json(char *json, const char *text, size_t n)
{
    translation t = {text, text + n, json};

    while (t.from < t.end) {
        if (*t.from == '\'' || *t.from == '"')
            translate_string(&t);
        else
            translate_outside(&t);
    }
    return (size_t)(t.to - json);
}
