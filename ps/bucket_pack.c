#include "ps/bucket_pack.h"

#include <stdlib.h>
#include <string.h>

#include "common/vec.h"

#define FEW   32 /* places that are sorted by moving them */
#define MOVES 16 /* of a place, in the mean, to sort by */

void bucket_pack_clear(bucket_pack *p)
{
    free(p->places);
    free(p->sorted);
    free(p->rows);
    *p = (bucket_pack){0};
}

static err_t make_room(bucket_pack *p, size_t n, size_t row_bytes)
{
    if (n > p->capacity) {
        size_t most = p->capacity, sorted = most;
        TRY(vec_grow(&p->places, &most, sizeof *p->places, n));
        TRY(vec_grow(&p->sorted, &sorted, sizeof *p->sorted, n));
        p->capacity = most;
    }
    return n * row_bytes > p->bytes ? vec_grow(&p->rows, &p->bytes, 1, n * row_bytes) : OK;
}

/* ---- sorting ---- */

/* By moving each to its place among those before it, n times MOVES places in all; false: that
 * was not enough, and they are in some order. */
static bool sort_neighbours(bucket_place *x, size_t n)
{
    size_t moves = n * MOVES;

    for (size_t i = 1; i < n; i++) {
        bucket_place one = x[i];
        size_t       k   = i;
        for (; k > 0 && x[k - 1].id > one.id && moves > 0; k--, moves--)
            x[k] = x[k - 1];
        x[k] = one;
        if (moves == 0)
            return false;
    }
    return true;
}

/* A stable counting sort by the 8 bits at shift. */
static void sort_by_byte(bucket_pack *p, int shift)
{
    uint32_t      begin[256] = {0}, sum = 0;
    bucket_place *swap       = p->places;

    for (size_t i = 0; i < p->n; i++)
        begin[p->places[i].id >> shift & 0xff]++;
    for (int v = 0; v < 256; v++) {
        uint32_t here = begin[v];
        begin[v]      = sum;
        sum += here;
    }
    for (size_t i = 0; i < p->n; i++)
        p->sorted[begin[p->places[i].id >> shift & 0xff]++] = p->places[i];
    p->places = p->sorted;
    p->sorted = swap;
}

/* The number of the highest bit in which ids differ; -1: in none. */
static int highest_difference(const bucket_pack *p)
{
    uint64_t all = 0;

    for (size_t i = 1; i < p->n; i++)
        all |= p->places[i].id ^ p->places[0].id;
    return all ? 63 - __builtin_clzll(all) : -1;
}

/* By the 16 highest bits that tell ids apart, which mostly leaves few to be moved; by all of
 * them where it does not. */
static void sort_places(bucket_pack *p)
{
    int highest = highest_difference(p), shift = highest > 15 ? highest - 15 : 0;

    for (int bits = shift; bits <= highest; bits += 8)
        sort_by_byte(p, bits);
    if (sort_neighbours(p->places, p->n))
        return;
    for (int bits = 0; bits <= highest; bits += 8)
        sort_by_byte(p, bits);
}

/* ---- packing ---- */

static bool is_chosen(const bucket_choice *c, const row *r)
{
    return r->touched >= c->from && r->touched <= c->until;
}

static void add(bucket_pack *p, const row *r)
{
    memcpy(p->rows + p->n * p->row_bytes, r, p->row_bytes);
    p->places[p->n] = (bucket_place){r->id, (uint32_t)p->n};
    p->n++;
}

static const row *kept_row(const ledger *l, const ledger_block *b, uint32_t i)
{
    return (const row *)(b->records + i * l->size);
}

/* Of equal ids, side by side now, one stays. */
static void drop_repeated(bucket_pack *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->n; i++)
        if (n == 0 || p->places[i].id != p->places[n - 1].id)
            p->places[n++] = p->places[i];
    p->n = n;
}

err_t bucket_pack_fill(bucket_pack *p, const row_store *s, uint32_t bucket,
                       const bucket_choice *choice, size_t row_bytes)
{
    const ledger *kept   = choice->kept;
    size_t        n_kept = kept ? ledger_count(kept, bucket) : 0;
    uint32_t      cursor = 0, number;

    p->n         = 0;
    p->row_bytes = row_bytes;
    TRY(make_room(p, row_store_bucket_count(s, bucket) + n_kept, row_bytes));
    while (row_store_next(s, bucket, &cursor, &number))
        if (is_chosen(choice, row_store_at(s, number)))
            add(p, row_store_at(s, number));
    for (const ledger_block *b = n_kept ? ledger_newest(kept, bucket) : NULL; b; b = b->next)
        for (uint32_t i = 0; i < b->n; i++)
            if (is_chosen(choice, kept_row(kept, b, i)))
                add(p, kept_row(kept, b, i));
    if (p->n > FEW || !sort_neighbours(p->places, p->n))
        sort_places(p);
    if (n_kept)
        drop_repeated(p);
    return OK;
}

void bucket_pack_column(const bucket_pack *p, void *to, size_t offset, size_t bytes)
{
    const char *rows = p->rows + offset;
    char       *next = to;

    if (bytes == sizeof(uint32_t)) /* a move, not a call */
        for (size_t i = 0; i < p->n; i++, next += sizeof(uint32_t))
            memcpy(next, rows + p->places[i].at * p->row_bytes, sizeof(uint32_t));
    else
        for (size_t i = 0; i < p->n; i++, next += bytes)
            memcpy(next, rows + p->places[i].at * p->row_bytes, bytes);
}
