/* `dips checkpoint verify`: the command; what is checked is launch/checkpoint_verify.h's. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "launch/checkpoint/tools.h"
#include "launch/checkpoint_verify.h"
#include "launch/flags.h"

/* Check one (parents: also those that it stands upon) and tell: in words, the first fault ends
 * it; in JSON it stands in the list. */
static err_t verify_one(const char *folder, bool parents, json_t *list)
{
    if (!list)
        return checkpoint_verify(folder, parents, stdout);
    err_t   err = checkpoint_verify(folder, parents, NULL);
    json_t *o   = json_pack("{s:s, s:b}", "folder", folder, "whole", err == OK);
    if (o && err != OK)
        json_object_set_new(o, "fault", json_string(err_text()));
    json_array_append_new(list, o);
    return err;
}

/* A list is of all of dir, and what it ends with the first fault in it. */
static err_t verify_all(const char *dir, json_t *list, int *checked)
{
    char       where[CONFIG_PATH_MAX], folder[CONFIG_PATH_MAX];
    int64_t   *steps;
    err_report first = {0};

    TRY(tool_find_steps(&steps, checked, where, dir));
    for (int i = 0; i < *checked && (list || first.code == OK); i++) {
        manifest_folder(folder, where, steps[i]);
        err_t err = verify_one(folder, false, list);
        if (first.code == OK)
            err_keep(&first, err);
    }
    free(steps);
    return err_give(&first);
}

static err_t verify(const char *dir, bool json)
{
    json_t *list    = json ? json_array() : NULL;
    int     checked = 1;
    err_t   err =
        tool_is_checkpoint(dir) ? verify_one(dir, true, list) : verify_all(dir, list, &checked);

    if (json) {
        json_dumpf(list, stdout, JSON_INDENT(1));
        printf("\n");
    } else if (err == OK) {
        printf("whole: %d checkpoint%s\n", checked, checked == 1 ? "" : "s");
    }
    json_decref(list);
    return err;
}

err_t checkpoint_verify_command(int argc, char **argv)
{
    static const char usage[] = "dips checkpoint verify [--json] DIR";
    static const char about[] =
        "Check every size, hash and shape of a checkpoint, and that each row stands in the\n"
        "bucket and shard of its id; of a delta also all that it stands upon. DIR as for\n"
        "inspect; of several, all are checked. The first fault is named, and the exit status\n"
        "is 3.";
    bool       json    = false, helped;
    const flag flags[] = {
        {"json", FLAG_BOOL, &json, .help = "print a JSON array with the fault of each"}, {0}};
    int n;

    TRY(flags_parse(flags, usage, about, argc, argv, &n, &helped));
    if (helped)
        return OK;
    if (n != 1)
        return err_set(ERR_USAGE, "wanted one DIR, not %d; usage: %s", n, usage);
    return verify(argv[0], json);
}
