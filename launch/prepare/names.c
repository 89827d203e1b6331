#include "launch/prepare/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/log.h"
#include "common/safetensors.h"
#include "common/vec.h"
#include "launch/prepare/sorter.h"
#include "launch/prepare/spill.h"

#define RECENT        (1u << 14) /* ids whose string need not be kept again */
#define PENDING_BYTES (1u << 20) /* strings that are not spilled yet */

/* A string that was seen. check is a second hash of it: two strings with one id differ
 * there, or in length, but for one case in 2^64. */
typedef struct seen_name {
    uint64_t id, check, offset, length;
} seen_name;

struct names {
    const char *folder;
    sorter     *seen;
    spill       file;
    VEC(char) pending; /* bytes of strings that follow those of file */
    seen_name recent[RECENT];
};

static int compare(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* By id; the same strings of one id stand together. */
static int by_id(const void *a, const void *b)
{
    const seen_name *x = a, *y = b;

    if (x->id != y->id)
        return compare(x->id, y->id);
    if (x->check != y->check)
        return compare(x->check, y->check);
    return x->length != y->length ? compare(x->length, y->length)
                                  : compare(x->offset, y->offset);
}

err_t names_new(names **out, size_t memory, const char *folder)
{
    names *n = *out = calloc(1, sizeof *n);

    if (!n)
        return err_memory(sizeof *n, "names");
    n->folder = folder;
    TRY(spill_open(&n->file, folder));
    return sorter_new(&n->seen, sizeof(seen_name), by_id, memory, folder);
}

void names_free(names **n)
{
    if (!*n)
        return;
    sorter_free(&(*n)->seen);
    spill_close(&(*n)->file);
    vec_clear(&(*n)->pending);
    free(*n);
    *n = NULL;
}

/* FNV-1a, 64 bits: unlike XXH3 enough. */
static uint64_t check_of(field text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < text.n; i++)
        h = (h ^ (unsigned char)text.at[i]) * UINT64_C(0x100000001b3);
    return h;
}

static err_t spill_pending(names *n)
{
    TRY(spill_append(&n->file, n->pending.at, n->pending.n));
    n->pending.n = 0;
    return OK;
}

err_t names_see(names *n, field text, uint64_t *id)
{
    *id = hash_bytes(text.at, text.n);
    return names_put(n, *id, text);
}

err_t names_put(names *n, uint64_t id, field text)
{
    seen_name  now  = {id, check_of(text), n->file.bytes + n->pending.n, text.n};
    seen_name *last = &n->recent[id % RECENT];

    if (last->check == now.check && last->id == now.id && last->length == now.length &&
        last->check != 0)
        return OK;
    *last = now;
    TRY(sorter_push(n->seen, &now));
    if (text.n == 0)
        return OK;
    TRY(vec_reserve(&n->pending, n->pending.n + text.n));
    memcpy(n->pending.at + n->pending.n, text.at, text.n);
    n->pending.n += text.n;
    return n->pending.n >= PENDING_BYTES ? spill_pending(n) : OK;
}

/* ---- writing ---- */

static bool is_same_string(const seen_name *a, const seen_name *b)
{
    return a->check == b->check && a->length == b->length;
}

/* The start of a string, for a message. */
static err_t show(const names *n, const seen_name *name, char text[64])
{
    size_t most = name->length < 63 ? (size_t)name->length : 63;

    text[most] = '\0';
    return spill_read(&n->file, name->offset, text, most);
}

static err_t report_collision(const names *n, const char *table, const seen_name *a,
                              const seen_name *b)
{
    char first[64], second[64];

    TRY(show(n, a, first));
    TRY(show(n, b, second));
    log_once(LOG_WARN, "table %s: '%s' and '%s' have one hash, %llu, and will share a row",
             table, first, second, (unsigned long long)a->id);
    return OK;
}

/* Call act with one string of each id, in order; where table is not NULL, two strings
 * with one id are reported and counted in *shared. */
static err_t each_name(names *n, const char *table, uint64_t *shared,
                       err_t (*act)(void *self, const seen_name *name), void *self)
{
    const void *record;
    seen_name   name  = {0}, last = {0};
    bool        first = true;

    TRY(sorter_rewind(n->seen));
    for (;;) {
        TRY(sorter_next(n->seen, &record));
        const seen_name *next = record;
        if (!next)
            return OK;
        if (first || next->id != name.id) {
            name  = *next;
            first = false;
            TRY(act(self, &name));
        } else if (table && !is_same_string(&last, next)) {
            TRY(report_collision(n, table, &name, next));
            ++*shared;
        }
        last = *next;
    }
}

/* How much there is to write. */
typedef struct extent {
    uint64_t n, bytes;
} extent;

static err_t measure(void *self, const seen_name *name)
{
    extent *e = self;

    e->n++;
    e->bytes += name->length;
    return OK;
}

/* A file being written. */
typedef struct names_file {
    const names        *names;
    safetensors_writer *to;
    int                 ids, offsets, bytes; /* its tensors */
    uint64_t            end;                 /* of the last string */
    VEC(char) text;
} names_file;

static err_t append(void *self, const seen_name *name)
{
    names_file *f = self;

    f->end += name->length;
    TRY(safetensors_append(f->to, f->ids, &name->id, sizeof name->id));
    TRY(safetensors_append(f->to, f->offsets, &f->end, sizeof f->end));
    TRY(vec_reserve(&f->text, name->length + 1));
    TRY(spill_read(&f->names->file, name->offset, f->text.at, name->length));
    return safetensors_append(f->to, f->bytes, f->text.at, name->length);
}

static err_t write_names(names *n, names_file *f, const char *table, uint64_t *shared)
{
    const uint64_t zero = 0;
    extent         all  = {0};

    TRY(each_name(n, table, shared, measure, &all));
    const uint64_t offsets = all.n + 1;
    TRY(safetensors_declare(f->to, "ids", DTYPE_U64, 1, &all.n, &f->ids));
    TRY(safetensors_declare(f->to, "offsets", DTYPE_U64, 1, &offsets, &f->offsets));
    TRY(safetensors_declare(f->to, "bytes", DTYPE_U8, 1, &all.bytes, &f->bytes));
    TRY(safetensors_append(f->to, f->offsets, &zero, sizeof zero));
    return each_name(n, NULL, NULL, append, f);
}

err_t names_write(names *n, const char *table, uint64_t *shared)
{
    names_file f     = {.names = n};
    uint64_t   found = 0;
    char       path[4096];

    TRY(spill_pending(n));
    snprintf(path, sizeof path, "%s/names-%s.safetensors", n->folder, table);
    TRY(safetensors_create(&f.to, path));
    err_t err = write_names(n, &f, table, &found);
    vec_clear(&f.text);
    if (shared)
        *shared = found;
    if (err != OK) {
        safetensors_abandon(&f.to);
        return err;
    }
    return safetensors_finish(&f.to, NULL);
}
