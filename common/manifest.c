/* A manifest against its files, and against a run. manifest_write.c and manifest_read.c have
 * its text, manifest_folder.c the folders that hold manifests. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/hash.h"
#include "common/manifest_json.h"
#include "common/zst_file.h"

#define DENSE_NAME "dense.safetensors"

void manifest_shard_name(char name[CONFIG_NAME_MAX], int shard, int shards)
{
    snprintf(name, CONFIG_NAME_MAX, "shard-%04d-of-%04d.safetensors", shard, shards);
}

void manifest_name_compressed(manifest_file *file)
{
    size_t n = strlen(file->name);

    snprintf(file->name + n, sizeof file->name - n, ZST_SUFFIX);
}

void manifest_dealt_clear(manifest_dealt *dealt)
{
    free(dealt->held);
    *dealt = (manifest_dealt){0};
}

void manifest_clear(manifest *m)
{
    manifest_dealt_clear(&m->dealt);
    free(m->configuration);
    free(m->first_bucket);
    free(m->files);
    free(m->tables);
    *m = (manifest){0};
}

/* XXH3 of an object as compact JSON with sorted keys; 0 where memory is short. */
uint64_t manifest_checksum(const json_t *object)
{
    char    *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    uint64_t sum  = text ? hash_bytes(text, strlen(text)) : 0;

    free(text);
    return sum;
}

/* ---- the list of files ---- */

/* Which file of a checkpoint of shards shards is called name: the number of the shard,
 * shards for the dense weights, or -1. */
static int file_role(const char *name, int shards)
{
    char expected[CONFIG_NAME_MAX];
    int  shard;

    if (!strcmp(name, DENSE_NAME))
        return shards;
    if (sscanf(name, "shard-%d-", &shard) != 1 || shard < 0 || shard >= shards)
        return -1;
    manifest_shard_name(expected, shard, shards);
    if (strncmp(name, expected, strlen(expected)) != 0)
        return -1;
    name += strlen(expected);
    return *name == 0 || !strcmp(name, ZST_SUFFIX) ? shard : -1;
}

/* A checkpoint is the dense weights and every shard, once each. */
err_t manifest_check_files(const manifest *m, const char *path)
{
    bool seen[HASH_BUCKETS + 1] = {false};

    if (m->shards < 1 || m->shards > HASH_BUCKETS)
        return err_set(ERR_FORMAT, "%s: %d shards; wanted: 1 .. %d", path, m->shards,
                       HASH_BUCKETS);
    for (int i = 0; i < m->n_files; i++) {
        int role = file_role(m->files[i].name, m->shards);
        if (role < 0)
            return err_set(ERR_FORMAT, "%s: '%s' is no file of a checkpoint of %d shards", path,
                           m->files[i].name, m->shards);
        if (seen[role])
            return err_set(ERR_FORMAT, "%s: %s is listed twice", path, m->files[i].name);
        seen[role] = true;
    }
    for (int role = 0; role <= m->shards; role++) {
        char name[CONFIG_NAME_MAX] = DENSE_NAME;
        if (role < m->shards)
            manifest_shard_name(name, role, m->shards);
        if (!seen[role])
            return err_set(ERR_FORMAT, "%s: %s is not listed", path, name);
    }
    return OK;
}

/* ---- against the files ---- */

/* Size and XXH3 of what fd reads. */
static err_t digest_of(safetensors_digest *digest, int fd, const char *path)
{
    enum { PIECE = 1 << 20 };
    char        *buffer = malloc(PIECE);
    hash_stream *hash   = hash_stream_new();
    err_t        err    = buffer && hash ? OK : err_memory(PIECE, "reading a file");
    ssize_t      n;

    *digest = (safetensors_digest){0};
    while (err == OK && (n = read(fd, buffer, PIECE)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err = err_errno("%s: reading", path);
            break;
        }
        hash_stream_add(hash, buffer, (size_t)n);
        digest->bytes += (uint64_t)n;
    }
    if (err == OK)
        digest->xxh3 = hash_stream_value(hash);
    if (hash)
        hash_stream_free(&hash);
    free(buffer);
    return err;
}

/* The size is looked at first: a truncated file need not be read to be refused. */
static err_t check_size(const manifest_file *f, int fd, const char *path)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_errno("%s: cannot be examined", path);
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != f->digest.bytes)
        return err_set(ERR_FORMAT, "%s has %lld bytes; the manifest says %" PRIu64, path,
                       (long long)st.st_size, f->digest.bytes);
    return OK;
}

static err_t verify_file(const manifest_file *f, const char *folder)
{
    char               path[CONFIG_PATH_MAX + CONFIG_NAME_MAX];
    safetensors_digest digest;

    snprintf(path, sizeof path, "%s/%s", folder, f->name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_set(ERR_FORMAT, "%s is missing", path);
    if (fd < 0)
        return err_errno("%s: cannot be opened", path);
    err_t err = check_size(f, fd, path);
    if (err == OK)
        err = digest_of(&digest, fd, path);
    if (err == OK && digest.xxh3 != f->digest.xxh3)
        err =
            err_set(ERR_FORMAT,
                    "%s is damaged: its XXH3 is %016" PRIx64 ", the manifest says %016" PRIx64,
                    path, digest.xxh3, f->digest.xxh3);
    close(fd);
    return err;
}

err_t manifest_verify(const manifest *m, const char *folder)
{
    for (int i = 0; i < m->n_files; i++)
        TRY(verify_file(&m->files[i], folder));
    return OK;
}

/* ---- against a run ---- */

static const manifest_table *find_table(const manifest *m, const char *name)
{
    for (int i = 0; i < m->n_tables; i++)
        if (!strcmp(m->tables[i].name, name))
            return &m->tables[i];
    return NULL;
}

static err_t table_agrees(const manifest *m, const char *folder, const table_config *here)
{
    const manifest_table *there = find_table(m, here->name);
    const char           *rule  = config_optimizer_name(here->optimizer.kind);

    if (!there)
        return err_set(ERR_FORMAT, "%s: the checkpoint has no table %s", folder, here->name);
    if (there->dim != here->dim)
        return err_set(ERR_FORMAT, "%s: table %s has dim %d in the checkpoint, %d here", folder,
                       here->name, there->dim, here->dim);
    if (strcmp(there->optimizer, rule) != 0)
        return err_set(ERR_FORMAT,
                       "%s: table %s has the optimizer %s in the checkpoint, %s here", folder,
                       here->name, there->optimizer, rule);
    return OK;
}

err_t manifest_agrees(const manifest *m, const char *folder, const schema *s)
{
    if (strcmp(m->real, REAL_NAME) != 0)
        return err_set(ERR_FORMAT, "%s: the checkpoint is of the %s build, this is the %s one",
                       folder, m->real, REAL_NAME);
    for (int i = 0; i < s->n_tables; i++)
        TRY(table_agrees(m, folder, s->tables[i].config));
    for (int i = 0; i < m->n_tables; i++)
        if (schema_find_table(s, m->tables[i].name) < 0)
            return err_set(ERR_FORMAT, "%s: the checkpoint has a table %s, which is not here",
                           folder, m->tables[i].name);
    if (m->schema_hash != s->hash)
        return err_set(ERR_FORMAT, "%s: the tables' rules are others in the checkpoint",
                       folder);
    return OK;
}
