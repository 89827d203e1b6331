/* commands - the sub-commands of `dips`: one function each, one line each in main.c.
 *
 * A command gets its words (argv[0] is its own name), prints its --help itself (flags.h
 * does it), and returns OK or an error that main.c turns into a sentence and a status. */
#ifndef DIPS_LAUNCH_COMMANDS_H
#define DIPS_LAUNCH_COMMANDS_H

#include "common/err.h"

typedef struct command {
    const char *name;
    const char *about; /* one line */
    err_t (*run)(int argc, char **argv);
} command;

/* Find argv[1] among commands (ended by a NULL name) and run it with the words from
 * there on. "--help", or no word: list them. program: "dips", "dips prepare". */
MUST_CHECK err_t commands_run(const char *program, const char *about, const command *commands,
                              int argc, char **argv);

err_t command_checkpoint(int argc, char **argv);
err_t command_crosses(int argc, char **argv);
err_t command_eval(int argc, char **argv);
err_t command_explain(int argc, char **argv);
err_t command_options(int argc, char **argv);
err_t command_plan(int argc, char **argv);
err_t command_predict(int argc, char **argv);
err_t command_prepare(int argc, char **argv);
err_t command_rank(int argc, char **argv);
err_t command_recall(int argc, char **argv);
err_t command_report(int argc, char **argv);
err_t command_server(int argc, char **argv);
err_t command_train(int argc, char **argv);
err_t command_worker(int argc, char **argv);

#endif
