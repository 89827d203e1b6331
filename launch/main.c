/* main - the sub-commands, and the one place where an error becomes words and a status. */
#include <stdio.h>
#include <string.h>

#include "common/real.h"
#include "launch/commands.h"

static const command commands[] = {
    {"checkpoint", "tools for checkpoints: list, diff, reshard, export and others", command_checkpoint},
    {"crosses", "which pairs of fields an AFM attends to", command_crosses},
    {"eval", "how good a checkpoint is on the test data", command_eval},
    {"explain", "what a prediction was weighed by, as bars", command_explain},
    {"options", "list every option with its default and meaning", command_options},
    {"plan", "the memory, disk and wire that a run will need", command_plan},
    {"predict", "write a checkpoint's probabilities for the test data", command_predict},
    {"prepare", "raw files, or an invented world, become data shards", command_prepare},
    {"rank", "the candidates of requests in order, with their probabilities", command_rank},
    {"recall", "the ids of a table that are nearest to what is asked", command_recall},
    {"report", "compare runs: a table, and curves in one HTML file", command_report},
    {"server", "one server of a run (`dips train` starts it)", command_server},
    {"train", "train a model, in one process or on many", command_train},
    {"worker", "one worker of a run (`dips train` starts it)", command_worker},
    {0},
};

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        printf("dips %s (%s)\n", DIPS_VERSION, REAL_NAME);
        return 0;
    }
    err_t err = commands_run("dips", "dips trains click-through-rate models on CPU clusters.",
                             commands, argc, argv);
    if (err == OK && (fflush(stdout) != 0 || ferror(stdout)))
        err = err_errno("writing to standard output");
    if (err != OK)
        fprintf(stderr, "dips: %s\n", err_text());
    return err_exit_status(err);
}
