/* predict - `dips predict`: a checkpoint's probabilities for data.test, in its order. */
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
        APPLY_FLAG_CHECKPOINT(t.checkpoint),
        {"out", FLAG_TEXT, &t.out, .meta = "FILE", .required = true,
         .help = "the file to write"},
        {0}};
    int  n;
    bool helped;

    TRY(flags_parse_run(flags, usage, about, argc, argv, &n, &helped));
    if (helped)
        return OK;
    return apply_task(&t, argv[0], n, argv + 1);
}
