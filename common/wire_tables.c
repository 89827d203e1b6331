/* PULL, READ, BIRTH, ROWS, PUSH: tables of ids and of values. */
#include <math.h>

#include "common/wire_body.h"

/* The parts of fixed size, as wire.h draws them: no hole, no padding. */
typedef struct tables_part { /* PULL, READ, BIRTH (request 0), ROWS */
    uint64_t version;
    uint32_t tables, request;
} tables_part;

typedef struct push_part {
    uint64_t pulled_until;
    double   samples;
    int64_t  time;
    uint32_t finite, tables;
} push_part;

typedef struct table_part {
    uint32_t n, counted; /* 1: counts follow the ids */
} table_part;

typedef struct values_part {
    uint32_t n;
    uint16_t dim;
    uint8_t  type, zero;
} values_part;

static_assert(sizeof(tables_part) == 16 && sizeof(push_part) == 32, "as drawn");
static_assert(sizeof(table_part) == 8 && sizeof(values_part) == 8, "as drawn");

static size_t padded(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

static err_t expect_tables(const wire_reader *r, uint32_t tables)
{
    if (tables > WIRE_MAX_TABLES)
        return err_set(ERR_MESSAGE, "%s: %u tables, at most %d are allowed", r->kind, tables,
                       WIRE_MAX_TABLES);
    return OK;
}

/* ---- PULL, READ, BIRTH ---- */

static size_t counts_bytes(const wire_ids *t)
{
    return t->counts ? padded((size_t)t->n * sizeof *t->counts) : 0;
}

err_t wire_encode_request(net_message *m, const wire_header *h, const wire_request *r)
{
    tables_part fixed = {.version = r->version, .tables = (uint32_t)r->tables};
    uint64_t    bytes = sizeof fixed + (uint64_t)r->tables * sizeof(table_part);
    wire_writer w;

    assert(r->tables >= 0 && r->tables <= WIRE_MAX_TABLES);
    for (int t = 0; t < r->tables; t++)
        bytes += (uint64_t)r->table[t].n * sizeof(uint64_t) + counts_bytes(&r->table[t]);
    TRY(wire_write_body(m, h, bytes, &w));
    wire_put(&w, &fixed, sizeof fixed);
    for (int t = 0; t < r->tables; t++)
        wire_put(&w, &(table_part){r->table[t].n, r->table[t].counts != NULL},
                 sizeof(table_part));
    for (int t = 0; t < r->tables; t++) {
        const wire_ids *ids = &r->table[t];
        wire_put(&w, ids->ids, (size_t)ids->n * sizeof *ids->ids);
        if (!ids->counts)
            continue;
        wire_put(&w, ids->counts, (size_t)ids->n * sizeof *ids->counts);
        wire_put_padding(&w, (size_t)ids->n * sizeof *ids->counts);
    }
    wire_seal(m);
    return OK;
}

static err_t take_ids(wire_reader *r, wire_ids *t, bool counted)
{
    unsigned char *piece = NULL;

    TRY(wire_take(r, (uint64_t)t->n * sizeof *t->ids, "ids", &piece));
    t->ids    = (const uint64_t *)(void *)piece;
    t->counts = NULL;
    if (!counted)
        return OK;
    TRY(wire_take(r, (uint64_t)t->n * sizeof *t->counts, "counts", &piece));
    t->counts = (const uint32_t *)(void *)piece;
    return wire_take_padding(r, (uint64_t)t->n * sizeof *t->counts);
}

err_t wire_decode_request(wire_request *q, const net_message *m)
{
    wire_reader r = wire_read_body(m);
    tables_part fixed;
    table_part  tables[WIRE_MAX_TABLES];

    TRY(wire_take_copy(&r, &fixed, sizeof fixed, "fixed part"));
    TRY(wire_expect_zero(&r, fixed.request));
    TRY(expect_tables(&r, fixed.tables));
    TRY(wire_take_copy(&r, tables, fixed.tables * sizeof *tables, "list of tables"));
    q->version = fixed.version;
    q->tables  = (int)fixed.tables;
    for (int t = 0; t < q->tables; t++) {
        if (tables[t].counted > 1)
            return err_set(ERR_MESSAGE, "%s: table %d has counts: %u; wanted 0 or 1", r.kind, t,
                           tables[t].counted);
        q->table[t].n = tables[t].n;
        TRY(take_ids(&r, &q->table[t], tables[t].counted));
    }
    return wire_expect_end(&r);
}

/* ---- ROWS, PUSH: tables of values ---- */

static uint64_t values_bytes(const wire_values *v)
{
    size_t each = v->type == PRECISION_BF16 ? sizeof *v->halves : sizeof *v->values;

    return (uint64_t)v->n * v->dim * each;
}

static uint64_t tables_bytes(int tables, const wire_values *table)
{
    uint64_t bytes = 0;

    for (int t = 0; t < tables; t++) {
        assert(table[t].dim > 0 && table[t].dim <= WIRE_MAX_DIM);
        bytes += sizeof(values_part) + padded(values_bytes(&table[t]));
    }
    return bytes;
}

/* Point the values to where they lie. */
static void values_at(wire_values *v, void *at)
{
    v->values = v->type == PRECISION_BF16 ? NULL : at;
    v->halves = v->type == PRECISION_BF16 ? at : NULL;
}

/* Write the list of tables and point each table's values to its place. */
static void place_values(wire_writer *w, int tables, wire_values *table)
{
    for (int t = 0; t < tables; t++) {
        values_part part = {table[t].n, (uint16_t)table[t].dim, (uint8_t)table[t].type, 0};
        wire_put(w, &part, sizeof part);
    }
    for (int t = 0; t < tables; t++) {
        size_t bytes = values_bytes(&table[t]);
        values_at(&table[t], w->at);
        w->at += bytes;
        wire_put_padding(w, bytes);
    }
}

static err_t take_values(wire_reader *r, int n_tables, wire_values *table)
{
    values_part tables[WIRE_MAX_TABLES];

    TRY(wire_take_copy(r, tables, (size_t)n_tables * sizeof *tables, "list of tables"));
    for (int t = 0; t < n_tables; t++) {
        unsigned char *piece = NULL;
        if (tables[t].dim == 0)
            return err_set(ERR_MESSAGE, "%s: table %d has dim 0; wanted 1 .. %d", r->kind, t,
                           WIRE_MAX_DIM);
        if (tables[t].type > PRECISION_BF16 || tables[t].zero)
            return err_set(ERR_MESSAGE, "%s: table %d has type %u; wanted 0 or 1", r->kind, t,
                           tables[t].type | (unsigned)tables[t].zero << 8);
        table[t] = (wire_values){
            .n = tables[t].n, .dim = tables[t].dim, .type = (precision_kind)tables[t].type};
        TRY(wire_take(r, values_bytes(&table[t]), "values", &piece));
        TRY(wire_take_padding(r, values_bytes(&table[t])));
        values_at(&table[t], piece);
    }
    return wire_expect_end(r);
}

err_t wire_prepare_rows(net_message *m, const wire_header *h, wire_rows *r)
{
    tables_part fixed = {r->version, (uint32_t)r->tables, (uint32_t)r->request};
    wire_writer w;

    assert(r->tables >= 0 && r->tables <= WIRE_MAX_TABLES);
    TRY(wire_write_body(m, h, sizeof fixed + tables_bytes(r->tables, r->table), &w));
    wire_put(&w, &fixed, sizeof fixed);
    place_values(&w, r->tables, r->table);
    return OK;
}

err_t wire_decode_rows(wire_rows *rows, const net_message *m)
{
    wire_reader r = wire_read_body(m);
    tables_part fixed;

    TRY(wire_take_copy(&r, &fixed, sizeof fixed, "fixed part"));
    TRY(expect_tables(&r, fixed.tables));
    if (fixed.request != WIRE_PULL && fixed.request != WIRE_READ)
        return wire_refuse_request(&r, fixed.request);
    rows->version = fixed.version;
    rows->request = (wire_kind)fixed.request;
    rows->tables  = (int)fixed.tables;
    return take_values(&r, rows->tables, rows->table);
}

static push_part push_part_of(const wire_push *p)
{
    return (push_part){p->pulled_until, p->samples, p->time, p->finite, (uint32_t)p->tables};
}

err_t wire_prepare_push(net_message *m, const wire_header *h, wire_push *p)
{
    push_part   fixed = push_part_of(p);
    wire_writer w;

    assert(p->tables >= 0 && p->tables <= WIRE_MAX_TABLES);
    TRY(wire_write_body(m, h, sizeof fixed + tables_bytes(p->tables, p->table), &w));
    wire_put(&w, &fixed, sizeof fixed);
    place_values(&w, p->tables, p->table);
    return OK;
}

void wire_change_push(net_message *m, const wire_push *p)
{
    push_part fixed = push_part_of(p);

    assert(wire_header_of(m).kind == WIRE_PUSH);
    memcpy(m->data + WIRE_HEADER_BYTES, &fixed, sizeof fixed);
}

err_t wire_decode_push(wire_push *p, const net_message *m)
{
    wire_reader r = wire_read_body(m);
    push_part   fixed;

    TRY(wire_take_copy(&r, &fixed, sizeof fixed, "fixed part"));
    TRY(expect_tables(&r, fixed.tables));
    if (!(fixed.samples >= 0 && isfinite(fixed.samples)))
        return err_set(ERR_MESSAGE, "%s: %g samples", r.kind, fixed.samples);
    if (fixed.finite > 1)
        return err_set(ERR_MESSAGE, "%s: finite: %u; wanted 0 or 1", r.kind, fixed.finite);
    p->pulled_until = fixed.pulled_until;
    p->samples      = fixed.samples;
    p->time         = fixed.time;
    p->finite       = fixed.finite;
    p->tables       = (int)fixed.tables;
    return take_values(&r, p->tables, p->table);
}
