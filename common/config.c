#include "common/config.h"

#include <errno.h>
#include <glob.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/config_option.h"

/* ---- load ---- */

static err_t read_and_complete(config *c, arena *a, const char *name, const char *text,
                               size_t size, int n, char *const *words)
{
    tree_node *root;

    TRY(tree_parse(&root, a, name, text, size));
    if (root->kind != TREE_MAP)
        return tree_error(root, "wanted a mapping (tables, features, model, ...)");
    for (int i = 0; i < n; i++)
        TRY(tree_override(root, a, words[i]));
    TRY(config_read(c, root));
    return config_complete(c, root);
}

err_t config_parse(config **out, const char *name, const char *text, size_t size, int n,
                   char *const *words)
{
    arena a = {0};

    *out = calloc(1, sizeof **out);
    if (!*out)
        return err_memory(sizeof **out, "the configuration");
    err_t err = read_and_complete(*out, &a, name, text, size, n, words);
    arena_clear(&a);
    if (err != OK)
        config_free(out);
    return err;
}

/* All of the file, one byte more than is allowed at most; returned, free it. */
static err_t read_file(const char *path, char **text, size_t *size)
{
    FILE *f = fopen(path, "rb");

    if (!f)
        return err_set(ERR_CONFIG, "%s: %s", path, strerror(errno));
    *text = malloc(TREE_MAX_BYTES + 1);
    if (!*text) {
        fclose(f);
        return err_memory(TREE_MAX_BYTES, path);
    }
    *size       = fread(*text, 1, TREE_MAX_BYTES + 1, f);
    bool  wrong = ferror(f);
    err_t err   = wrong ? err_set(ERR_CONFIG, "%s: %s", path, strerror(errno)) : OK;
    fclose(f);
    if (wrong)
        free(*text);
    return err;
}

err_t config_load(config **out, const char *path, int n, char *const *words)
{
    char  *text = NULL;
    size_t size = 0;

    *out = NULL;
    if (!path)
        return config_parse(out, "no file", "", 0, n, words);
    TRY(read_file(path, &text, &size));
    err_t err = config_parse(out, path, text, size, n, words);
    free(text);
    return err;
}

static void release(void *base, const char *scope)
{
    for (int i = 0; i < option_count; i++)
        if (option_in_scope(&option_table[i], scope))
            option_release(&option_table[i], base);
}

void config_free(config **c)
{
    if (!*c)
        return;
    for (int i = 0; i < (*c)->n_features; i++)
        free((*c)->features[i].columns);
    free((*c)->features);
    free((*c)->tables);
    release(*c, "");
    free(*c);
    *c = NULL;
}

/* ---- use ---- */

bool config_needs_counts(const table_config *t)
{
    return (t->admit.min_count > 1 && t->admit.counter == COUNTER_DATASET) ||
           (t->penalty.kind == PENALTY_MINIBATCH_AWARE && t->penalty.count == COUNT_EXACT);
}

bool config_has_deltas(const config *c)
{
    return c->checkpoint.delta_every.steps > 0 || c->checkpoint.delta_every.epochs > 0;
}

double config_lr_factor(const config *c, int64_t step)
{
    double periods = (double)step / (double)c->schedule.every;

    switch (c->schedule.kind) {
    case SCHEDULE_EXPONENTIAL:
        return pow(c->schedule.rate, periods);
    case SCHEDULE_STEP:
        return pow(c->schedule.rate, floor(periods));
    default:
        return 1;
    }
}

static err_t append_files(config_names *files, size_t n, char *const *paths)
{
    char **at = realloc(files->at, ((size_t)files->n + n) * sizeof *at);

    if (!at)
        return err_memory(n * sizeof *at, "a list of files");
    files->at = at;
    for (size_t i = 0; i < n; i++) {
        at[files->n] = strdup(paths[i]);
        if (!at[files->n])
            return err_memory(strlen(paths[i]), "a list of files");
        files->n++;
    }
    return OK;
}

static err_t expand(config_names *files, const char *pattern)
{
    glob_t found;
    int    failed = glob(pattern, GLOB_ERR, NULL, &found);
    err_t  err    = OK;

    if (failed == 0)
        err = append_files(files, found.gl_pathc, found.gl_pathv);
    else if (failed == GLOB_NOMATCH)
        err = err_set(ERR_DATA, "%s: no such file", pattern);
    else if (failed == GLOB_NOSPACE)
        err = err_memory(0, "a list of files");
    else
        err = err_errno("%s: a folder cannot be read", pattern);
    globfree(&found);
    return err;
}

err_t config_expand_files(config_names *files, const config_names *patterns)
{
    err_t err = OK;

    *files = (config_names){0};
    for (int i = 0; i < patterns->n && err == OK; i++)
        err = expand(files, patterns->at[i]);
    if (err != OK)
        config_names_clear(files);
    return err;
}
