#include "launch/items.h"

#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/hash.h"

typedef struct entry {
    uint64_t id, row;
    uint32_t file; /* number + 1; 0: nothing here */
} entry;

/* Open addressing; at most half of the entries are taken. */
struct items {
    safetensors **files;
    int           n_files;
    entry        *entries;
    uint64_t      n, room; /* room: a power of two */
};

static entry *entry_of(const items *x, uint64_t id)
{
    uint64_t at = hash_mix(id) & (x->room - 1);

    while (x->entries[at].file && x->entries[at].id != id)
        at = (at + 1) & (x->room - 1);
    return &x->entries[at];
}

static err_t reserve(items *x, uint64_t n)
{
    items wide = *x;

    while (wide.room < 2 * n)
        wide.room = wide.room ? 2 * wide.room : 1024;
    if (wide.room == x->room)
        return OK;
    wide.entries = calloc(wide.room, sizeof *wide.entries);
    if (!wide.entries)
        return err_memory(wide.room * sizeof *wide.entries, "the items");
    for (uint64_t i = 0; i < x->room; i++)
        if (x->entries[i].file)
            *entry_of(&wide, x->entries[i].id) = x->entries[i];
    free(x->entries);
    *x = wide;
    return OK;
}

static err_t read_keys(items *x, int file, const char *key)
{
    const safetensors_tensor *t = safetensors_find(x->files[file], key);

    if (!t || t->n_dims != 1 || !dtype_is_integer(t->type))
        return err_set(ERR_DATA, "--items: %s has no tensor %s of one id a row",
                       safetensors_path(x->files[file]), key);
    for (uint64_t row = 0; row < t->count; row++) {
        TRY(reserve(x, x->n + 1));
        uint64_t id = safetensors_get_u64(t, row);
        entry   *e  = entry_of(x, id);
        x->n += e->file == 0;
        *e = (entry){id, row, (uint32_t)file + 1};
    }
    return OK;
}

/* Patterns parted by commas. */
static err_t split(config_names *list, char *text)
{
    list->at = calloc(strlen(text) + 1, sizeof *list->at);
    if (!list->at)
        return err_memory(strlen(text) * sizeof *list->at, "the files of --items");
    for (char *word = strtok(text, ","); word; word = strtok(NULL, ","))
        list->at[list->n++] = word;
    return OK;
}

static err_t open_files(items *x, const config_names *files, const char *key)
{
    x->files = calloc((size_t)files->n + 1, sizeof *x->files);
    if (!x->files)
        return err_memory((size_t)files->n * sizeof *x->files, "the files of --items");
    for (; x->n_files < files->n; x->n_files++) {
        TRY(safetensors_open(&x->files[x->n_files], files->at[x->n_files]));
        TRY(read_keys(x, x->n_files, key));
    }
    return OK;
}

err_t items_open(items **out, const char *patterns, const char *key)
{
    config_names list = {0}, files = {0};
    char        *text = strdup(patterns);
    items       *x    = calloc(1, sizeof *x);

    *out      = x;
    err_t err = text && x ? split(&list, text) : err_memory(sizeof *x, "the items");
    if (err == OK)
        err = config_expand_files(&files, &list);
    if (err == OK)
        err = open_files(x, &files, key);
    config_names_clear(&files);
    free(list.at);
    free(text);
    if (err != OK)
        items_free(out);
    return err;
}

void items_free(items **x)
{
    if (!*x)
        return;
    for (int i = 0; i <= (*x)->n_files && (*x)->files; i++)
        safetensors_close(&(*x)->files[i]);
    free((*x)->files);
    free((*x)->entries);
    free(*x);
    *x = NULL;
}

bool items_find(const items *x, uint64_t id, items_place *place)
{
    const entry *e = x->room > 0 ? entry_of(x, id) : NULL;

    if (!e || !e->file)
        return false;
    *place = (items_place){x->files[e->file - 1], e->row};
    return true;
}
