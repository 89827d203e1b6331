/* manifest.json as it is written. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/manifest_json.h"
#include "common/new_file.h"

static json_t *hex(uint64_t x)
{
    return json_sprintf("%016" PRIx64, x);
}

static json_t *table_entry(const char *name, int dim, const char *optimizer)
{
    return json_pack("{s:s, s:i, s:s}", "name", name, "dim", dim, "optimizer", optimizer);
}

static json_t *list_tables(const manifest *m, const schema *s)
{
    json_t *list = json_array();

    for (int i = 0; s && i < s->n_tables; i++) {
        const table_config *t = s->tables[i].config;
        json_array_append_new(
            list, table_entry(t->name, t->dim, config_optimizer_name(t->optimizer.kind)));
    }
    for (int i = 0; !s && i < m->n_tables; i++)
        json_array_append_new(list, table_entry(m->tables[i].name, m->tables[i].dim,
                                                m->tables[i].optimizer));
    return list;
}

static json_t *list_buckets(const manifest *m)
{
    json_t *list = json_array();

    for (int k = 0; k < m->shards; k++)
        json_array_append_new(list,
                              json_integer(m->first_bucket ? m->first_bucket[k]
                                                           : hash_first_bucket(k, m->shards)));
    return list;
}

static json_t *list_files(const manifest *m)
{
    json_t *list = json_array();

    for (int i = 0; i < m->n_files; i++)
        json_array_append_new(list, json_pack("{s:s, s:I, s:o}", "name", m->files[i].name,
                                              "bytes", (json_int_t)m->files[i].digest.bytes,
                                              "xxh3", hex(m->files[i].digest.xxh3)));
    return list;
}

static json_t *make_cursor(const manifest *m)
{
    json_t *cursor = json_pack("{s:I}", "step", (json_int_t)m->step), *held;

    if (m->dealt.n == 0)
        return cursor;
    held = json_array();
    for (int i = 0; i < m->dealt.n; i++)
        json_array_append_new(held, json_pack("[I, I]", (json_int_t)m->dealt.held[i][0],
                                              (json_int_t)m->dealt.held[i][1]));
    json_object_set_new(cursor, "dealt", json_integer((json_int_t)m->dealt.next));
    json_object_set_new(cursor, "held", held);
    return cursor;
}

/* Steps are below 2^53, so any reader of JSON has them whole. */
static json_t *make_parent(const manifest_parent *p)
{
    return p->there ? json_pack("{s:I, s:o}", "step", (json_int_t)p->step, "xxh3", hex(p->xxh3))
                    : json_null();
}

/* The whole manifest as JSON; NULL where a text is no UTF-8, or memory is short. */
static json_t *to_json(const manifest *m, const schema *s)
{
    int     format = m->parent.there ? MANIFEST_FORMAT_DELTA : MANIFEST_FORMAT;
    json_t *all    = json_pack(
        /* clang-format off */
        "{s:i, s:s, s:s, s:I, s:I, s:{s:o}, s:o, s:o, s:{s:o, s:o}, s:i, s:o, s:o, s:s}",
        "format",        format,
        "dips",          DIPS_VERSION,
        "real",          m->real,
        "step",          (json_int_t)m->step,
        "bad_steps",     (json_int_t)m->bad_steps,
        "seeds",         "train", json_sprintf("%" PRIu64, m->seed),
        "cursor",        make_cursor(m),
        "parent",        make_parent(&m->parent),
        "schema",        "hash", hex(m->schema_hash), "tables", list_tables(m, s),
        "buckets",       HASH_BUCKETS,
        "shards",        list_buckets(m),
        "files",         list_files(m),
        "configuration", m->configuration ? m->configuration : "");
    /* clang-format on */

    if (all)
        json_object_set_new(all, "xxh3", hex(manifest_checksum(all)));
    return all;
}

err_t manifest_write(const char *folder, const manifest *m, const schema *s)
{
    char path[CONFIG_PATH_MAX + sizeof MANIFEST_NAME];

    snprintf(path, sizeof path, "%s/" MANIFEST_NAME, folder);
    TRY(manifest_check_files(m, path));
    if (s && m->schema_hash != s->hash)
        return err_set(ERR_FORMAT, "%s: the manifest is of another schema than the run", path);
    json_t *all  = to_json(m, s);
    char   *text = all ? json_dumps(all, JSON_INDENT(1)) : NULL;
    json_decref(all);
    if (!text)
        return err_set(ERR_FORMAT, "%s: a name or the configuration is not UTF-8", path);
    err_t err = new_file_put(path, text, strlen(text));
    free(text);
    return err;
}
