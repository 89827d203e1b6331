#include "common/manifest_chain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"

void manifest_chain_clear(manifest_chain *c)
{
    for (int i = 0; i < c->n; i++)
        manifest_clear(&c->links[i].manifest);
    free(c->links);
    *c = (manifest_chain){0};
}

const manifest_link *manifest_chain_end(const manifest_chain *c)
{
    return &c->links[c->n - 1];
}

/* The first bucket of shard k: as the manifest says, or as this program places them. */
static uint32_t first_bucket(const manifest *m, int k)
{
    return m->first_bucket ? m->first_bucket[k] : hash_first_bucket(k, m->shards);
}

bool manifest_is_of_kind(const manifest *m, const manifest *parent)
{
    if (m->shards != parent->shards || m->schema_hash != parent->schema_hash ||
        strcmp(m->real, parent->real) != 0)
        return false;
    for (int k = 0; k < m->shards; k++)
        if (first_bucket(m, k) != first_bucket(parent, k))
            return false;
    return true;
}

/* The folder of the checkpoint at step beside another one. */
static void folder_beside(char out[CONFIG_PATH_MAX], const char *folder, int64_t step)
{
    char   dir[CONFIG_PATH_MAX];
    size_t length = strlen(folder);

    while (length > 1 && folder[length - 1] == '/')
        length--;
    while (length > 0 && folder[length - 1] != '/')
        length--;
    while (length > 1 && folder[length - 1] == '/')
        length--;
    snprintf(dir, sizeof dir, "%.*s", length ? (int)length : 1, length ? folder : ".");
    manifest_folder(out, dir, step);
}

/* Whether parent is what the delta was made upon. */
static err_t check_parent(const manifest_link *delta, const manifest_link *parent)
{
    if (parent->manifest.xxh3 != delta->manifest.parent.xxh3)
        return err_set(ERR_FORMAT,
                       "%s stands upon %s with checksum %016" PRIx64
                       ", and there is another one with %016" PRIx64,
                       delta->folder, parent->folder, delta->manifest.parent.xxh3,
                       parent->manifest.xxh3);
    if (!manifest_is_of_kind(&delta->manifest, &parent->manifest))
        return err_set(ERR_FORMAT,
                       "%s stands upon %s, whose tables or shards are not the same",
                       delta->folder, parent->folder);
    return OK;
}

/* The links from folder down, the end first. Steps descend, so there is a last one. */
static err_t read_down(manifest_chain *c, const char *folder)
{
    char at[CONFIG_PATH_MAX];

    snprintf(at, sizeof at, "%s", folder);
    for (bool more = true; more;) {
        manifest_link *links = realloc(c->links, ((size_t)c->n + 1) * sizeof *links);
        if (!links)
            return err_memory(sizeof *links, "the manifests of a checkpoint");
        c->links           = links;
        manifest_link *now = &links[c->n];
        snprintf(now->folder, sizeof now->folder, "%s", at);
        err_t err = manifest_read(&now->manifest, at);
        if (err != OK)
            return c->n ? err_add(err, "%s stands upon step %" PRId64, links[c->n - 1].folder,
                                  links[c->n - 1].manifest.parent.step)
                        : err;
        c->n++;
        if (c->n > 1)
            TRY(check_parent(&links[c->n - 2], now));
        more = now->manifest.parent.there;
        if (more)
            folder_beside(at, folder, now->manifest.parent.step);
    }
    return OK;
}

err_t manifest_chain_read(manifest_chain *c, const char *folder)
{
    *c = (manifest_chain){0};
    TRY(read_down(c, folder));
    for (int i = 0, k = c->n - 1; i < k; i++, k--) {
        manifest_link swap = c->links[i];
        c->links[i]        = c->links[k];
        c->links[k]        = swap;
    }
    return OK;
}

err_t manifest_chain_verify(const manifest_chain *c)
{
    for (int i = 0; i < c->n; i++)
        TRY(manifest_verify(&c->links[i].manifest, c->links[i].folder));
    return OK;
}

err_t manifest_verify_all(const char *folder)
{
    manifest_chain c;
    err_t          err = manifest_chain_read(&c, folder);

    if (err == OK)
        err = manifest_chain_verify(&c);
    manifest_chain_clear(&c);
    return err;
}
