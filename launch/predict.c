/* predict - `dips predict`: a checkpoint's probabilities for data.test, in its order. */
#include <stdlib.h>

#include "launch/apply.h"
#include "launch/commands.h"
#include "launch/flags.h"

err_t command_predict(int argc, char **argv)
{
    static const char usage[] =
        "dips predict RUN.yaml --checkpoint DIR --out FILE [key=value ...]";
    static const char about[] =
        "Write the probability of a click for every sample of data.test, in the order of the\n"
        "data, as `probability` F32 [n] of a safetensors file.";
    task       t       = {.kind = TASK_PREDICT};
    const flag flags[] = {
        {"checkpoint", FLAG_TEXT, &t.checkpoint, .meta = "DIR", .required = true,
         .help = "a step's folder, or a run folder or its checkpoints/: the newest"},
        {"out", FLAG_TEXT, &t.out, .meta = "FILE", .required = true,
         .help = "the file to write"},
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
