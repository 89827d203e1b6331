/* fuzz_config - any bytes as a YAML file and words of the command line: an error with a
 * sentence, or a configuration that prints to what loads to the same.
 *
 * Input: the file, then after each zero byte a word KEY=VALUE. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/schema.h"

#define MAX_WORDS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The configuration as text; free. */
static char *print(const config *c, size_t *size)
{
    char *text = NULL;
    FILE *f    = open_memstream(&text, size);

    if (!f || config_print(c, f) != OK || fclose(f) != 0)
        abort();
    return text;
}

static void check(const config *c)
{
    config *again = NULL;
    schema *s     = NULL;
    size_t  size, size_again;
    char   *text = print(c, &size);

    if (size > 1 << 20) { /* escapes may make it longer than a file may be */
        free(text);
        return;
    }
    if (config_parse(&again, "printed", text, size, 0, NULL) != OK) {
        fprintf(stderr, "%s\n%s", err_text(), text);
        abort();
    }
    char *text_again = print(again, &size_again);
    if (size != size_again || memcmp(text, text_again, size) != 0)
        abort();
    if (schema_new(&s, c) != OK)
        abort();
    schema_free(&s);
    config_free(&again);
    free(text);
    free(text_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char   *copy = malloc(size + 1);
    char   *words[MAX_WORDS];
    int     n = 0;
    config *c = NULL;

    if (!copy)
        return 0;
    if (size > 0)
        memcpy(copy, data, size);
    copy[size]  = '\0';
    size_t text = strlen(copy);
    for (size_t at = text + 1; at < size && n < MAX_WORDS; at += strlen(copy + at) + 1)
        words[n++] = copy + at;
    if (config_parse(&c, "fuzz", copy, text, n, words) == OK) {
        check(c);
        config_free(&c);
    } else if (c || !*err_text()) {
        abort();
    }
    free(copy);
    return 0;
}
