/* eval - `dips eval`: how good a checkpoint is on data.test. */
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
        APPLY_FLAG_CHECKPOINT(t.checkpoint),
        {"json", FLAG_BOOL, &t.json, .help = "print one JSON object and nothing else"},
        {0}};
    int  n;
    bool helped;

    TRY(flags_parse_run(flags, usage, about, argc, argv, &n, &helped));
    if (helped)
        return OK;
    return apply_task(&t, argv[0], n, argv + 1);
}
