/* What manifest.json says: written, read, checked. The folders that hold manifests are
 * manifest_folder.c's. */
#include "common/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/hash.h"
#include "common/new_file.h"

#define DENSE_NAME     "dense.safetensors"
#define MANIFEST_NAME  "manifest.json"
#define MANIFEST_BYTES (64 << 20) /* a larger manifest.json is none */

void manifest_shard_name(char name[CONFIG_NAME_MAX], int shard, int shards)
{
    snprintf(name, CONFIG_NAME_MAX, "shard-%04d-of-%04d.safetensors", shard, shards);
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
    return strcmp(name, expected) ? -1 : shard;
}

/* A checkpoint is the dense weights and every shard, once each. */
static err_t check_files(const manifest *m, const char *path)
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

/* ---- writing ---- */

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

/* XXH3 of an object as compact JSON with sorted keys; 0 where memory is short. */
static uint64_t checksum(const json_t *object)
{
    char    *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    uint64_t sum  = text ? hash_bytes(text, strlen(text)) : 0;

    free(text);
    return sum;
}

/* The whole manifest as JSON; NULL where a text is no UTF-8, or memory is short. */
static json_t *to_json(const manifest *m, const schema *s)
{
    json_t *all = json_pack(
        "{s:i, s:s, s:s, s:I, s:I, s:{s:o}, s:o, s:o, s:{s:o, s:o}, s:i, s:o, s:o, s:s}",
        "format", m->parent.there ? MANIFEST_FORMAT_DELTA : MANIFEST_FORMAT, "dips", DIPS_VERSION, "real", m->real, "step",
        (json_int_t)m->step, "bad_steps", (json_int_t)m->bad_steps, "seeds", "train",
        json_sprintf("%" PRIu64, m->seed), "cursor", make_cursor(m), "parent",
        make_parent(&m->parent), "schema", "hash",
        hex(m->schema_hash), "tables", list_tables(m, s), "buckets", HASH_BUCKETS, "shards",
        list_buckets(m), "files", list_files(m), "configuration",
        m->configuration ? m->configuration : "");

    if (all)
        json_object_set_new(all, "xxh3", hex(checksum(all)));
    return all;
}

err_t manifest_write(const char *folder, const manifest *m, const schema *s)
{
    char path[CONFIG_PATH_MAX + sizeof MANIFEST_NAME];

    snprintf(path, sizeof path, "%s/" MANIFEST_NAME, folder);
    TRY(check_files(m, path));
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

/* ---- reading ---- */

/* object[key] as a whole number of min .. max. */
static err_t get_integer(int64_t *out, const json_t *object, const char *key, int64_t min,
                         int64_t max, const char *path)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value))
        return err_set(ERR_FORMAT, "%s: \"%s\" is missing or no whole number", path, key);
    *out = json_integer_value(value);
    if (*out < min || *out > max)
        return err_set(ERR_FORMAT, "%s: \"%s\" is %" PRId64 "; wanted: %" PRId64 " .. %" PRId64,
                       path, key, *out, min, max);
    return OK;
}

/* object[key] as a text of less than size bytes. */
static err_t get_text(char *out, size_t size, const json_t *object, const char *key,
                      const char *path)
{
    const char *text = json_string_value(json_object_get(object, key));

    if (!text || strlen(text) >= size)
        return err_set(ERR_FORMAT, "%s: \"%s\" is missing or no text below %zu bytes", path,
                       key, size);
    memcpy(out, text, strlen(text) + 1);
    return OK;
}

/* object[key] as a text of one number in base 10 or 16, as manifest_write writes it. */
static err_t get_u64(uint64_t *out, const json_t *object, const char *key, int base,
                     const char *path)
{
    char text[24], again[24];

    TRY(get_text(text, sizeof text, object, key, path));
    *out = strtoull(text, NULL, base);
    snprintf(again, sizeof again, base == 10 ? "%" PRIu64 : "%016" PRIx64, *out);
    if (strcmp(text, again) != 0)
        return err_set(ERR_FORMAT, "%s: \"%s\" is '%s', no number of 64 bits", path, key, text);
    return OK;
}

static err_t get_tables(manifest *m, const json_t *object, const char *path)
{
    const json_t *list = json_object_get(json_object_get(object, "schema"), "tables"), *entry;
    size_t        i, n = json_array_size(list);

    if (!json_is_array(list))
        return err_set(ERR_FORMAT, "%s: \"schema\" has no \"tables\"", path);
    m->tables = calloc(n + 1, sizeof *m->tables);
    if (!m->tables)
        return err_memory(n * sizeof *m->tables, "the tables of a manifest");
    json_array_foreach (list, i, entry) {
        manifest_table *t = &m->tables[m->n_tables++];
        int64_t         dim;
        TRY(get_text(t->name, sizeof t->name, entry, "name", path));
        TRY(get_integer(&dim, entry, "dim", 1, INT32_MAX, path));
        TRY(get_text(t->optimizer, sizeof t->optimizer, entry, "optimizer", path));
        t->dim = (int)dim;
    }
    return OK;
}

/* The map of buckets: shards take all of them, in order. Which shard has how many is not for
 * this program to say: another one may have placed them otherwise. */
static err_t get_shards(manifest *m, const json_t *object, const char *path)
{
    const json_t *list = json_object_get(object, "shards"), *first;
    size_t        k, n            = json_array_size(list);
    int64_t       buckets, before = 0;

    TRY(get_integer(&buckets, object, "buckets", HASH_BUCKETS, HASH_BUCKETS, path));
    if (n < 1 || n > HASH_BUCKETS)
        return err_set(ERR_FORMAT, "%s: \"shards\" is no list of 1 .. %d first buckets", path,
                       HASH_BUCKETS);
    m->shards       = (int)n;
    m->first_bucket = malloc((n + 1) * sizeof *m->first_bucket);
    if (!m->first_bucket)
        return err_memory(n * sizeof *m->first_bucket, "the shards of a manifest");
    json_array_foreach (list, k, first) {
        int64_t at = json_is_integer(first) ? json_integer_value(first) : -1;
        if (at < before || at > HASH_BUCKETS || (k == 0 && at != 0))
            return err_set(ERR_FORMAT,
                           "%s: \"shards\": shard %zu begins with bucket %" PRId64
                           "; wanted: 0 for the first one, then ascending to %d at most",
                           path, k, at, HASH_BUCKETS);
        m->first_bucket[k] = (uint32_t)at;
        before             = at;
    }
    m->first_bucket[n] = HASH_BUCKETS;
    return OK;
}

static err_t get_files(manifest *m, const json_t *object, const char *path)
{
    const json_t *list = json_object_get(object, "files"), *entry;
    size_t        i, n = json_array_size(list);

    if (n != (size_t)m->shards + 1)
        return err_set(ERR_FORMAT, "%s: \"files\" lists %zu files; %d shards have %d", path, n,
                       m->shards, m->shards + 1);
    m->files = calloc(n, sizeof *m->files);
    if (!m->files)
        return err_memory(n * sizeof *m->files, "the files of a manifest");
    json_array_foreach (list, i, entry) {
        manifest_file *f = &m->files[m->n_files++];
        int64_t        bytes;
        TRY(get_text(f->name, sizeof f->name, entry, "name", path));
        TRY(get_integer(&bytes, entry, "bytes", 0, INT64_MAX, path));
        TRY(get_u64(&f->digest.xxh3, entry, "xxh3", 16, path));
        f->digest.bytes = (uint64_t)bytes;
    }
    return check_files(m, path);
}

/* The place in the data: the step, and what is dealt of its epoch. */
static err_t get_cursor(manifest *m, const json_t *object, const char *path)
{
    const json_t *cursor = json_object_get(object, "cursor"), *entry;
    const json_t *held   = json_object_get(cursor, "held");
    size_t        i, n = json_array_size(held);
    int64_t       at;

    TRY(get_integer(&at, cursor, "step", m->step, m->step, path));
    if (!held)
        return OK;
    TRY(get_integer(&at, cursor, "dealt", 0, INT64_MAX, path));
    if (n < 1 || n > INT32_MAX)
        return err_set(ERR_FORMAT, "%s: \"held\" is no list of pieces", path);
    m->dealt = (manifest_dealt){.next = (uint64_t)at, .held = calloc(n, sizeof *m->dealt.held)};
    if (!m->dealt.held)
        return err_memory(n * sizeof *m->dealt.held, "the cursor of a manifest");
    json_array_foreach (held, i, entry) {
        json_int_t begin = json_integer_value(json_array_get(entry, 0));
        json_int_t end   = json_integer_value(json_array_get(entry, 1));
        if (json_array_size(entry) != 2 || begin < 0 || end < begin || end > at)
            return err_set(ERR_FORMAT,
                           "%s: \"held\": piece %zu is not [begin, end] of what is dealt", path,
                           i);
        m->dealt.held[i][0] = (uint64_t)begin;
        m->dealt.held[i][1] = (uint64_t)end;
    }
    m->dealt.n = (int)n;
    return OK;
}

/* What a delta, and nothing else, stands upon: an earlier step. */
static err_t get_parent(manifest *m, const json_t *object, bool delta, const char *path)
{
    const json_t *parent = json_object_get(object, "parent");

    if (!delta && !json_is_null(parent))
        return err_set(ERR_FORMAT,
                       "%s: a delta upon another checkpoint, which format %d is not", path,
                       MANIFEST_FORMAT);
    if (!delta)
        return OK;
    m->parent.there = true;
    TRY(get_integer(&m->parent.step, parent, "step", 0, INT64_MAX, path));
    if (m->parent.step >= m->step)
        return err_set(ERR_FORMAT,
                       "%s: a delta of step %" PRId64 " upon step %" PRId64
                       ", which is not before it",
                       path, m->step, m->parent.step);
    return get_u64(&m->parent.xxh3, parent, "xxh3", 16, path);
}

/* The checksum is first looked at when the rest is known to be of our format. */
static err_t check_checksum(manifest *m, json_t *object, const char *path)
{
    TRY(get_u64(&m->xxh3, object, "xxh3", 16, path));
    json_object_del(object, "xxh3");
    if (m->xxh3 != checksum(object))
        return err_set(ERR_FORMAT,
                       "%s: its checksum does not fit: it was damaged, or changed by hand",
                       path);
    return OK;
}

static err_t from_json(manifest *m, json_t *object, const char *path)
{
    int64_t format;

    TRY(get_integer(&format, object, "format", MANIFEST_FORMAT, MANIFEST_FORMAT_DELTA, path));
    TRY(check_checksum(m, object, path));
    TRY(get_text(m->real, sizeof m->real, object, "real", path));
    if (strcmp(m->real, "float") != 0 && strcmp(m->real, "double") != 0)
        return err_set(ERR_FORMAT, "%s: \"real\" is '%s'; wanted: float or double", path,
                       m->real);
    TRY(get_integer(&m->step, object, "step", 0, INT64_MAX, path));
    TRY(get_integer(&m->bad_steps, object, "bad_steps", 0, INT64_MAX, path));
    TRY(get_u64(&m->seed, json_object_get(object, "seeds"), "train", 10, path));
    TRY(get_cursor(m, object, path));
    TRY(get_parent(m, object, format == MANIFEST_FORMAT_DELTA, path));
    TRY(get_u64(&m->schema_hash, json_object_get(object, "schema"), "hash", 16, path));
    TRY(get_tables(m, object, path));
    TRY(get_shards(m, object, path));
    TRY(get_files(m, object, path));
    const char *text = json_string_value(json_object_get(object, "configuration"));
    if (!text)
        return err_set(ERR_FORMAT, "%s: \"configuration\" is missing or no text", path);
    m->configuration = strdup(text);
    return m->configuration ? OK
                            : err_memory(strlen(text), "the configuration of a checkpoint");
}

err_t manifest_parse(manifest *m, const char *name, const char *bytes, size_t size)
{
    json_error_t error;
    json_t      *object = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &error);

    *m = (manifest){0};
    if (!object)
        return err_set(ERR_FORMAT, "%s:%d:%d: %s", name, error.line, error.column, error.text);
    err_t err = from_json(m, object, name);
    json_decref(object);
    if (err != OK)
        manifest_clear(m);
    return err;
}

/* The whole file behind fd; *bytes is returned, free it. */
static err_t read_all(char **bytes, size_t *size, int fd, const char *path)
{
    struct stat st;

    *bytes = NULL;
    *size  = 0;
    if (fstat(fd, &st) != 0)
        return err_errno("%s: cannot be examined", path);
    if (!S_ISREG(st.st_mode) || st.st_size > MANIFEST_BYTES)
        return err_set(ERR_FORMAT, "%s: no file of at most %d bytes", path, MANIFEST_BYTES);
    *bytes = malloc((size_t)st.st_size + 1);
    if (!*bytes)
        return err_memory((size_t)st.st_size, "a manifest");
    while (*size < (size_t)st.st_size) {
        ssize_t n = read(fd, *bytes + *size, (size_t)st.st_size - *size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno("%s: reading", path);
        if (n == 0)
            break;
        *size += (size_t)n;
    }
    return OK;
}

err_t manifest_read(manifest *m, const char *folder)
{
    char   path[CONFIG_PATH_MAX + sizeof MANIFEST_NAME];
    char  *bytes;
    size_t size;

    *m = (manifest){0};
    snprintf(path, sizeof path, "%s/" MANIFEST_NAME, folder);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(ERR_FORMAT, "%s: not a complete checkpoint: it has no " MANIFEST_NAME,
                       folder);
    if (fd < 0)
        return err_errno("%s: cannot be opened", path);
    err_t err = read_all(&bytes, &size, fd, path);
    if (err == OK)
        err = manifest_parse(m, path, bytes, size);
    free(bytes);
    close(fd);
    return err;
}

/* ---- against the files, and against a run ---- */

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
