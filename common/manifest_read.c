/* manifest.json as it is read: nothing of it is believed before it is checked. */
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

#define MANIFEST_BYTES (64 << 20) /* a larger manifest.json is none */

/* ---- one value ---- */

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

/* ---- its parts ---- */

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
    return manifest_check_files(m, path);
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
    if (m->xxh3 != manifest_checksum(object))
        return err_set(ERR_FORMAT,
                       "%s: its checksum does not fit: it was damaged, or changed by hand",
                       path);
    return OK;
}

/* ---- the whole ---- */

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
