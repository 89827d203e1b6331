#include "launch/shards.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

int shards_per_server(const config *c)
{
    return c->cluster.shards;
}

int shards_total(const config *c)
{
    return c->cluster.shards * (c->cluster.servers > 0 ? c->cluster.servers : 1);
}

void shards_endpoint(char endpoint[NET_ENDPOINT_MAX], const config *c, const char *name)
{
    unsigned random = 0;

    if (*c->cluster.hostfile) {
        snprintf(endpoint, NET_ENDPOINT_MAX, "tcp://%s:*", c->cluster.interface);
        return;
    }
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (unsigned)getppid();
    snprintf(endpoint, NET_ENDPOINT_MAX, "ipc://@dips-%ld-%08x-%s", (long)getpid(), random,
             name);
}

static bool needs_counts(const config *c)
{
    for (int t = 0; t < c->n_tables; t++)
        if (config_needs_counts(&c->tables[t]))
            return true;
    return false;
}

/* The error of a file of counts that cannot be read; where the training files beside it are
 * not there either, that is what to say. */
static err_t miss_counts(const char *path, const config *c)
{
    config_names files;

    if (errno != ENOENT)
        return err_errno("data.counts: %s", path);
    if (!*c->data.counts) {
        TRY(config_expand_files(&files, &c->data.train));
        config_names_clear(&files);
    }
    return err_set(ERR_DATA,
                   "data.counts: %s: no such file; `dips prepare` writes it, and a table's "
                   "penalty or admission needs to know how often each id occurs",
                   path);
}

err_t shards_counts_path(char path[CONFIG_PATH_MAX], const config *c)
{
    const char *first = c->data.train.n > 0 ? c->data.train.at[0] : "";
    const char *slash = strrchr(first, '/');

    if (*c->data.counts)
        snprintf(path, CONFIG_PATH_MAX, "%s", c->data.counts);
    else if (snprintf(path, CONFIG_PATH_MAX, "%.*scounts.safetensors",
                      slash ? (int)(slash + 1 - first) : 0, first) >= CONFIG_PATH_MAX)
        return err_set(ERR_CONFIG, "data.train: the path %s is too long", first);
    return OK;
}

err_t shards_find_counts(char path[CONFIG_PATH_MAX], const config *c)
{
    if (!*c->data.counts && !needs_counts(c)) {
        *path = '\0';
        return OK;
    }
    TRY(shards_counts_path(path, c));
    return access(path, R_OK) == 0 ? OK : miss_counts(path, c);
}

err_t shards_start(server **out, net *n, const config *c, const schema *s, int index,
                   const char *endpoint)
{
    char counts[CONFIG_PATH_MAX];

    *out = NULL;
    TRY(shards_find_counts(counts, c));
    const server_options options = {
        .config      = c,
        .schema      = s,
        .first_shard = index * shards_per_server(c),
        .shards_here = shards_per_server(c),
        .shards      = shards_total(c),
        .counts      = *counts ? counts : NULL,
        .endpoint    = endpoint,
    };
    return server_start(out, n, &options);
}
