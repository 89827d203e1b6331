/* options - `dips options`: every option of the configuration. */
#include <stdio.h>
#include <string.h>

#include "common/config.h"
#include "launch/commands.h"
#include "launch/flags.h"
#include "worker/models/model.h"

/* What model.kind may say, which only the models know. */
static void print_models(void)
{
    printf("\nthe models of model.kind\n");
    for (const model *const *m = models; *m; m++)
        printf("    %-8s %s\n", (*m)->name, (*m)->about);
}

err_t command_options(int argc, char **argv)
{
    static const char usage[] = "dips options [WORD]";
    static const char about[] =
        "Print every option of the configuration: key, default, meaning, what it wants. A\n"
        "WORD narrows the list to the keys that contain it. An option is set in the YAML\n"
        "file, one mapping inside the other, or on the command line as KEY=VALUE.";
    const flag flags[] = {{0}};
    int        n;
    bool       helped;

    TRY(flags_parse(flags, usage, about, argc, argv, &n, &helped));
    if (helped)
        return OK;
    if (n > 1)
        return err_set(ERR_USAGE, "one word at most, not '%s'; usage: %s", argv[1], usage);
    TRY(config_print_options(stdout, n ? argv[0] : NULL));
    if (n == 0 || strstr("model.kind", argv[0]))
        print_models();
    return OK;
}
