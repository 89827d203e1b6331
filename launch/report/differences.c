#include "launch/report/differences.h"

#include <stdlib.h>
#include <string.h>

/* The entry of key among all keys seen so far, made where it is not there. */
static err_t find_or_add(differences *d, char *key, differing_key **out)
{
    for (size_t i = 0; i < d->list.n; i++) {
        *out = &d->list.at[i];
        if (!strcmp((*out)->key, key))
            return OK;
    }
    char **values = calloc((size_t)d->n_runs, sizeof *values);
    if (!values)
        return err_memory((size_t)d->n_runs * sizeof *values, "the runs' differences");
    err_t err = vec_push(&d->list, ((differing_key){key, values}));
    if (err != OK) {
        free(values);
        return err;
    }
    *out = &d->list.at[d->list.n - 1];
    return OK;
}

/* Take the lines KEY=VALUE of text, which is cut into them, as run i's. */
static err_t add_words(differences *d, char *text, int i)
{
    for (char *end; (end = strchr(text, '\n')); text = end + 1) {
        char          *equals = strchr(text, '=');
        differing_key *entry  = NULL;
        *end                  = '\0';
        if (!equals)
            continue;
        *equals = '\0';
        TRY(find_or_add(d, text, &entry));
        entry->values[i] = equals + 1;
    }
    return OK;
}

static bool differs(const differing_key *entry, int n)
{
    for (int i = 1; i < n; i++) {
        const char *a = entry->values[0], *b = entry->values[i];
        if (!a || !b ? a != b : strcmp(a, b) != 0)
            return true;
    }
    return false;
}

static void keep_what_differs(differences *d)
{
    size_t kept = 0;

    for (size_t i = 0; i < d->list.n; i++) {
        if (differs(&d->list.at[i], d->n_runs))
            d->list.at[kept++] = d->list.at[i];
        else
            free(d->list.at[i].values);
    }
    d->list.n = kept;
}

err_t differences_find(differences *d, const run *runs, int n)
{
    *d       = (differences){.n_runs = n};
    d->texts = calloc((size_t)n, sizeof *d->texts);
    if (!d->texts)
        return err_memory((size_t)n * sizeof *d->texts, "the runs' differences");
    for (int i = 0; i < n; i++) {
        d->texts[i] = strdup(runs[i].words);
        if (!d->texts[i])
            return err_memory(strlen(runs[i].words), "the runs' differences");
        TRY(add_words(d, d->texts[i], i));
    }
    keep_what_differs(d);
    return OK;
}

void differences_clear(differences *d)
{
    for (size_t i = 0; i < d->list.n; i++)
        free(d->list.at[i].values);
    vec_clear(&d->list);
    for (int i = 0; d->texts && i < d->n_runs; i++)
        free(d->texts[i]);
    free(d->texts);
    *d = (differences){0};
}
