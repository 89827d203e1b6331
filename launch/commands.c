#include "launch/commands.h"

#include <stdio.h>
#include <string.h>

static void list(const char *program, const char *about, const command *commands)
{
    printf("%s\n\nusage: %s COMMAND ...      (%s COMMAND --help tells more)\n\n", about, program,
           program);
    for (const command *c = commands; c->name; c++)
        printf("  %-12s %s\n", c->name, c->about);
}

err_t commands_run(const char *program, const char *about, const command *commands, int argc,
                   char **argv)
{
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
        !strcmp(argv[1], "help")) {
        list(program, about, commands);
        return OK;
    }
    for (const command *c = commands; c->name; c++)
        if (!strcmp(c->name, argv[1]))
            return c->run(argc - 1, argv + 1);
    return err_set(ERR_USAGE, "there is no command '%s %s'; '%s --help' lists them", program,
                   argv[1], program);
}
