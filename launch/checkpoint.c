/* checkpoint - `dips checkpoint`: tools for what `dips train` wrote. */
#include "launch/checkpoint/tools.h"
#include "launch/commands.h"

static const command commands[] = {
    {"list", "which checkpoints there are", checkpoint_list},
    {"inspect", "what a checkpoint holds", checkpoint_inspect},
    {"verify", "is it whole?", checkpoint_verify_command},
    {"diff", "in what two checkpoints differ", checkpoint_diff},
    {"reshard", "the same rows in another number of shards", checkpoint_reshard},
    {"compact", "a delta becomes a full checkpoint", checkpoint_compact},
    {"export", "rows and weights as files for other programs", checkpoint_export},
    {"import", "a checkpoint from such files", checkpoint_import},
    {0},
};

err_t command_checkpoint(int argc, char **argv)
{
    return commands_run("dips checkpoint",
                        "dips checkpoint looks at what dips train wrote, and changes its form.",
                        commands, argc, argv);
}
