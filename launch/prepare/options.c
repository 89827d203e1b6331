#include "launch/prepare/options.h"

#include <stdlib.h>

err_t prepare_flags_parse(const flag *flags, const char *usage, const char *about, int argc,
                          char **argv, bool *helped)
{
    char **words = calloc((size_t)argc + 1, sizeof *words);
    int    n     = 0;

    if (!words)
        return err_memory((size_t)argc * sizeof *words, "the words of the command");
    err_t err = flags_parse(flags, usage, about, argc, argv, words, &n, helped);
    if (err == OK && !*helped && n > 0)
        err = err_set(ERR_USAGE, "'%s' is not wanted here; usage: %s", words[0], usage);
    free(words);
    return err;
}
