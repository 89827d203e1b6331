/* eval - `dips eval`: how good a checkpoint is on data.test. */
#include <stdlib.h>

#include "launch/apply.h"
#include "launch/commands.h"
#include "launch/flags.h"

err_t command_eval(int argc, char **argv)
{
    static const char usage[] = "dips eval RUN.yaml --checkpoint DIR [--json] [key=value ...]";
    static const char about[] =
        "AUC, GAUC, log loss and calibration of a checkpoint on data.test of a configuration.";
    task       t       = {.kind = TASK_EVALUATE};
    const flag flags[] = {
        {"checkpoint", FLAG_TEXT, &t.checkpoint, .meta = "DIR", .required = true,
         .help = "a step's folder, or a run folder or its checkpoints/: the newest"},
        {"json", FLAG_BOOL, &t.json, .help = "print one JSON object and nothing else"},
        {0}};
    char **words = calloc((size_t)argc + 1, sizeof *words);
    int    n;
    bool   helped;

    if (!words)
        return err_memory((size_t)argc * sizeof *words, "the command line");
    err_t err = flags_parse(flags, usage, about, argc, argv, words, &n, &helped);
    if (err == OK && !helped && n < 1)
        err = err_set(ERR_USAGE, "which configuration? usage: %s", usage);
    if (err == OK && !helped)
        err = apply_task(&t, words[0], n - 1, words + 1);
    free(words);
    return err;
}
