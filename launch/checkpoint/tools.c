#include "launch/checkpoint/tools.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "launch/checkpoint_verify.h"

/* ---- words ---- */

tool_text tool_bytes(uint64_t bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    double                   x       = (double)bytes;
    int                      u       = 0;
    tool_text                t;

    for (; x >= 1000 && u < 4; u++)
        x /= 1000;
    snprintf(t.at, sizeof t.at, "%.*f %s", u == 0 ? 0 : 1, x, units[u]);
    return t;
}

tool_text tool_count(uint64_t n)
{
    char      digits[24];
    tool_text t      = {""};
    int       length = snprintf(digits, sizeof digits, "%" PRIu64, n);
    size_t    at     = 0;

    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            t.at[at++] = ',';
        t.at[at++] = digits[i];
    }
    return t;
}

tool_text tool_pace(uint64_t bytes, int64_t since)
{
    double    seconds = clock_seconds(clock_monotonic(), since);
    tool_text t;

    snprintf(t.at, sizeof t.at, "in %.3g s (%.4g MB/s)", seconds,
             seconds > 0 ? (double)bytes / seconds / 1e6 : 0);
    return t;
}

/* ---- which checkpoints a folder means ---- */

bool tool_is_checkpoint(const char *dir)
{
    char path[CONFIG_PATH_MAX + 16];

    snprintf(path, sizeof path, "%s/manifest.json", dir);
    return access(path, F_OK) == 0;
}

err_t tool_find_steps(int64_t **steps, int *n, char where[CONFIG_PATH_MAX], const char *dir)
{
    const char *slash = dir[0] && dir[strlen(dir) - 1] == '/' ? "" : "/";

    snprintf(where, CONFIG_PATH_MAX, "%s", dir);
    TRY(manifest_list(steps, n, where));
    if (*n > 0)
        return OK;
    free(*steps);
    *steps = NULL;
    snprintf(where, CONFIG_PATH_MAX, "%s%scheckpoints", dir, slash);
    TRY(manifest_list(steps, n, where));
    if (*n > 0)
        return OK;
    free(*steps);
    *steps = NULL;
    return err_set(ERR_DATA, "%s: there is no complete checkpoint", dir);
}

/* ---- what a checkpoint holds ---- */

uint64_t tool_total_bytes(const manifest *m)
{
    uint64_t sum = 0;

    for (int i = 0; i < m->n_files; i++)
        sum += m->files[i].digest.bytes;
    return sum;
}

static void add_file(uint64_t *rows, uint64_t *bytes, const manifest *m,
                     const safetensors *file)
{
    const char *what;

    for (int i = 0; i < safetensors_count(file); i++) {
        const safetensors_tensor *t = safetensors_at(file, i);
        for (int k = 0; k < m->n_tables; k++) {
            if (!checkpoint_belongs(t->name, m->tables[k].name, &what))
                continue;
            rows[k] += strcmp(what, "ids") ? 0 : t->count;
            if (bytes)
                bytes[k] += t->bytes;
        }
    }
}

err_t tool_count_rows(uint64_t *rows, uint64_t *bytes, const manifest *m, const char *folder)
{
    memset(rows, 0, (size_t)m->n_tables * sizeof *rows);
    if (bytes)
        memset(bytes, 0, (size_t)m->n_tables * sizeof *bytes);
    for (int k = 0; k < m->shards; k++) {
        char         name[CONFIG_NAME_MAX], path[CONFIG_PATH_MAX + CONFIG_NAME_MAX];
        safetensors *file;
        manifest_shard_name(name, k, m->shards);
        snprintf(path, sizeof path, "%s/%s", folder, name);
        TRY(safetensors_open(&file, path));
        add_file(rows, bytes, m, file);
        safetensors_close(&file);
    }
    return OK;
}
