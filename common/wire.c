#include "common/wire.h"

#include <assert.h>
#include <string.h>

#include "common/hash.h"

/* The parts of fixed size, as wire.h draws them: no hole, no padding. */
typedef struct header_part {
    uint32_t magic;
    uint16_t version, kind;
    uint32_t generation, sender;
    uint64_t step, body_bytes, body_hash, header_hash;
} header_part;

typedef struct begin_part {
    uint32_t workers, real_bytes, path_bytes, zero;
} begin_part;

typedef struct done_part {
    uint64_t request, rows;
} done_part;

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

typedef struct hello_part {
    uint16_t role, host_bytes;
    uint32_t index, pid;
    uint16_t endpoints, zero;
} hello_part;

typedef struct welcome_part {
    uint32_t endpoints, zero;
} welcome_part;

typedef struct text_part {
    uint32_t status, request, bytes, zero;
} text_part;

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "wire.h is little-endian");
static_assert(sizeof(header_part) == WIRE_HEADER_BYTES, "as drawn");
static_assert(sizeof(begin_part) == 16 && sizeof(done_part) == 16, "as drawn");
static_assert(sizeof(tables_part) == 16 && sizeof(push_part) == 32, "as drawn");
static_assert(sizeof(values_part) == 8, "as drawn");
static_assert(sizeof(table_part) == 8 && sizeof(welcome_part) == 8, "as drawn");
static_assert(sizeof(hello_part) == 16 && sizeof(text_part) == 16, "as drawn");
static_assert(sizeof(wire_saved) == 24 && sizeof(wire_stated) == 48, "as drawn");

#define MAGIC       UINT32_C(0x73706964) /* "dips" */
#define HASHED_HEAD 40

const char *wire_kind_name(wire_kind kind)
{
    static const char *const names[] = {
        [WIRE_NONE] = "NONE",
#define X(name) [WIRE_##name] = #name,
        WIRE_KINDS(X)
#undef X
    };
    return (unsigned)kind < WIRE_KIND_COUNT ? names[kind] : "unknown";
}

static size_t padded(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

/* ---- a message's body, read from front to back ---- */

typedef struct reader {
    const char    *kind; /* for sentences */
    unsigned char *at;
    size_t         left;
} reader;

static header_part header_of(const net_message *m)
{
    header_part head;

    assert(m->size >= sizeof head);
    memcpy(&head, m->data, sizeof head);
    return head;
}

static reader read_body(const net_message *m)
{
    return (reader){.kind = wire_kind_name(header_of(m).kind),
                    .at   = m->data + WIRE_HEADER_BYTES,
                    .left = m->size - WIRE_HEADER_BYTES};
}

/* The next bytes of the body; *piece is lent by the message. */
static err_t take(reader *r, uint64_t bytes, const char *what, unsigned char **piece)
{
    if (bytes > r->left)
        return err_set(ERR_MESSAGE, "%s: %s of %llu bytes, %zu are left", r->kind, what,
                       (unsigned long long)bytes, r->left);
    *piece = r->at;
    r->at += bytes;
    r->left -= bytes;
    return OK;
}

static err_t take_copy(reader *r, void *to, size_t bytes, const char *what)
{
    unsigned char *piece = NULL;

    TRY(take(r, bytes, what, &piece));
    memcpy(to, piece, bytes);
    return OK;
}

/* Skip what brings a piece of `bytes` bytes to a multiple of 8. */
static err_t take_padding(reader *r, uint64_t bytes)
{
    unsigned char *piece = NULL;
    size_t         n     = (size_t)(-bytes & 7);

    TRY(take(r, n, "padding", &piece));
    for (size_t i = 0; i < n; i++)
        if (piece[i])
            return err_set(ERR_MESSAGE, "%s: padding that is not zero", r->kind);
    return OK;
}

static err_t take_text(reader *r, uint32_t bytes, const char *what, const char **text)
{
    unsigned char *piece = NULL;

    if (bytes > WIRE_MAX_TEXT)
        return err_set(ERR_MESSAGE, "%s: %s of %u bytes, at most %d are allowed", r->kind, what,
                       bytes, WIRE_MAX_TEXT);
    TRY(take(r, bytes, what, &piece));
    if (memchr(piece, 0, bytes))
        return err_set(ERR_MESSAGE, "%s: %s with a zero byte in it", r->kind, what);
    *text = (const char *)piece;
    return OK;
}

static err_t take_endpoints(reader *r, uint32_t n, const char (**endpoints)[NET_ENDPOINT_MAX])
{
    unsigned char *piece = NULL;

    if (n > WIRE_MAX_ENDPOINTS)
        return err_set(ERR_MESSAGE, "%s: %u endpoints, at most %d are allowed", r->kind, n,
                       WIRE_MAX_ENDPOINTS);
    TRY(take(r, (uint64_t)n * NET_ENDPOINT_MAX, "endpoints", &piece));
    *endpoints = (const char(*)[NET_ENDPOINT_MAX])piece;
    for (uint32_t i = 0; i < n; i++) {
        size_t length = strnlen((*endpoints)[i], NET_ENDPOINT_MAX);
        if (length == NET_ENDPOINT_MAX)
            return err_set(ERR_MESSAGE, "%s: endpoint %u has no end", r->kind, i);
        for (size_t k = length; k < NET_ENDPOINT_MAX; k++)
            if ((*endpoints)[i][k])
                return err_set(ERR_MESSAGE, "%s: bytes behind the end of endpoint %u", r->kind,
                               i);
    }
    return OK;
}

static err_t expect_end(const reader *r)
{
    if (r->left)
        return err_set(ERR_MESSAGE, "%s: %zu bytes behind its end", r->kind, r->left);
    return OK;
}

static err_t expect_zero(const reader *r, uint64_t value)
{
    if (value)
        return err_set(ERR_MESSAGE, "%s: %llu in a field that must be 0", r->kind,
                       (unsigned long long)value);
    return OK;
}

static err_t expect_tables(const reader *r, uint32_t tables)
{
    if (tables > WIRE_MAX_TABLES)
        return err_set(ERR_MESSAGE, "%s: %u tables, at most %d are allowed", r->kind, tables,
                       WIRE_MAX_TABLES);
    return OK;
}

static err_t refuse_request(const reader *r, uint64_t kind)
{
    return err_set(ERR_MESSAGE, "%s: it cannot answer a request of kind %llu", r->kind,
                   (unsigned long long)kind);
}

/* ---- a message's body, written from front to back ---- */

typedef struct writer {
    unsigned char *at;
} writer;

static err_t write_body(net_message *m, const wire_header *h, uint64_t body_bytes, writer *w)
{
    header_part head = {.magic      = MAGIC,
                        .version    = WIRE_VERSION,
                        .kind       = (uint16_t)h->kind,
                        .generation = h->generation,
                        .sender     = h->sender,
                        .step       = h->step,
                        .body_bytes = body_bytes};

    if (body_bytes > WIRE_MAX_BODY)
        return err_set(ERR_MESSAGE, "a %s of %llu bytes is too big: at most %llu are allowed",
                       wire_kind_name(h->kind), (unsigned long long)body_bytes,
                       (unsigned long long)WIRE_MAX_BODY);
    TRY(net_message_new(m, WIRE_HEADER_BYTES + (size_t)body_bytes));
    memcpy(m->data, &head, sizeof head);
    w->at = m->data + WIRE_HEADER_BYTES;
    return OK;
}

static void put(writer *w, const void *from, size_t bytes)
{
    if (bytes)
        memcpy(w->at, from, bytes);
    w->at += bytes;
}

/* Zeros that bring a piece of `bytes` bytes to a multiple of 8. */
static void put_padding(writer *w, size_t bytes)
{
    put(w, (const char[8]){0}, -bytes & 7);
}

static void put_endpoints(writer *w, uint32_t n, const char (*endpoints)[NET_ENDPOINT_MAX])
{
    for (uint32_t i = 0; i < n; i++) {
        size_t length = strnlen(endpoints[i], NET_ENDPOINT_MAX - 1);
        memcpy(w->at, endpoints[i], length);
        memset(w->at + length, 0, NET_ENDPOINT_MAX - length);
        w->at += NET_ENDPOINT_MAX;
    }
}

static err_t check_text(const wire_header *h, uint32_t bytes)
{
    if (bytes > WIRE_MAX_TEXT)
        return err_set(ERR_MESSAGE, "a %s with a text of %u bytes: at most %d are allowed",
                       wire_kind_name(h->kind), bytes, WIRE_MAX_TEXT);
    return OK;
}

static err_t check_endpoints(const wire_header *h, uint32_t n)
{
    if (n > WIRE_MAX_ENDPOINTS)
        return err_set(ERR_MESSAGE, "a %s with %u endpoints: at most %d are allowed",
                       wire_kind_name(h->kind), n, WIRE_MAX_ENDPOINTS);
    return OK;
}

/* ---- header ---- */

err_t wire_open(wire_header *h, const net_message *m)
{
    if (m->size < WIRE_HEADER_BYTES)
        return err_set(ERR_MESSAGE, "%zu bytes are less than the header of a message",
                       m->size);
    header_part head = header_of(m);
    if (head.magic != MAGIC)
        return err_set(ERR_MESSAGE, "%08x does not begin a message of dips", head.magic);
    if (head.header_hash != hash_bytes(m->data, HASHED_HEAD))
        return err_set(ERR_MESSAGE, "a message whose header does not match its checksum");
    if (head.version != WIRE_VERSION)
        return err_set(ERR_MESSAGE, "a message of version %u; this program speaks %d",
                       head.version, WIRE_VERSION);
    if (head.kind == WIRE_NONE || head.kind >= WIRE_KIND_COUNT)
        return err_set(ERR_MESSAGE, "a message of unknown kind %u", head.kind);
    if (head.body_bytes > WIRE_MAX_BODY || head.body_bytes != m->size - WIRE_HEADER_BYTES)
        return err_set(ERR_MESSAGE, "%s: its header tells %llu bytes of body, %zu came",
                       wire_kind_name(head.kind), (unsigned long long)head.body_bytes,
                       m->size - WIRE_HEADER_BYTES);
    if (head.body_hash != hash_bytes(m->data + WIRE_HEADER_BYTES, m->size - WIRE_HEADER_BYTES))
        return err_set(ERR_MESSAGE, "%s: its body does not match its checksum",
                       wire_kind_name(head.kind));
    *h = (wire_header){.kind       = (wire_kind)head.kind,
                       .generation = head.generation,
                       .sender     = head.sender,
                       .step       = head.step};
    return OK;
}

static void seal_with(net_message *m, uint64_t body_hash)
{
    header_part head = header_of(m);

    head.body_hash = body_hash;
    memcpy(m->data, &head, sizeof head);
    head.header_hash = hash_bytes(m->data, HASHED_HEAD);
    memcpy(m->data, &head, sizeof head);
}

void wire_seal(net_message *m)
{
    seal_with(m, hash_bytes(m->data + WIRE_HEADER_BYTES, m->size - WIRE_HEADER_BYTES));
}

wire_sum wire_sum_begin(const net_message *m)
{
    return (wire_sum){hash_stream_new(), m->data + WIRE_HEADER_BYTES};
}

void wire_sum_until(wire_sum *s, const void *end)
{
    if (s->stream)
        hash_stream_add(s->stream, s->end, (size_t)((const unsigned char *)end - s->end));
    s->end = end;
}

void wire_sum_seal(wire_sum *s, net_message *m)
{
    wire_sum_until(s, m->data + m->size);
    if (s->stream)
        seal_with(m, hash_stream_value(s->stream));
    else
        wire_seal(m);
    hash_stream_free(&s->stream);
}

err_t wire_encode_empty(net_message *m, const wire_header *h)
{
    writer w;

    TRY(write_body(m, h, 0, &w));
    wire_seal(m);
    return OK;
}

err_t wire_decode_empty(const net_message *m)
{
    reader r = read_body(m);

    return expect_end(&r);
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
    writer      w;

    assert(r->tables >= 0 && r->tables <= WIRE_MAX_TABLES);
    for (int t = 0; t < r->tables; t++)
        bytes += (uint64_t)r->table[t].n * sizeof(uint64_t) + counts_bytes(&r->table[t]);
    TRY(write_body(m, h, bytes, &w));
    put(&w, &fixed, sizeof fixed);
    for (int t = 0; t < r->tables; t++)
        put(&w, &(table_part){r->table[t].n, r->table[t].counts != NULL}, sizeof(table_part));
    for (int t = 0; t < r->tables; t++) {
        const wire_ids *ids = &r->table[t];
        put(&w, ids->ids, (size_t)ids->n * sizeof *ids->ids);
        if (!ids->counts)
            continue;
        put(&w, ids->counts, (size_t)ids->n * sizeof *ids->counts);
        put_padding(&w, (size_t)ids->n * sizeof *ids->counts);
    }
    wire_seal(m);
    return OK;
}

static err_t take_ids(reader *r, wire_ids *t, bool counted)
{
    unsigned char *piece = NULL;

    TRY(take(r, (uint64_t)t->n * sizeof *t->ids, "ids", &piece));
    t->ids    = (const uint64_t *)(void *)piece;
    t->counts = NULL;
    if (!counted)
        return OK;
    TRY(take(r, (uint64_t)t->n * sizeof *t->counts, "counts", &piece));
    t->counts = (const uint32_t *)(void *)piece;
    return take_padding(r, (uint64_t)t->n * sizeof *t->counts);
}

err_t wire_decode_request(wire_request *q, const net_message *m)
{
    reader      r = read_body(m);
    tables_part fixed;
    table_part  tables[WIRE_MAX_TABLES];

    TRY(take_copy(&r, &fixed, sizeof fixed, "fixed part"));
    TRY(expect_zero(&r, fixed.request));
    TRY(expect_tables(&r, fixed.tables));
    TRY(take_copy(&r, tables, fixed.tables * sizeof *tables, "list of tables"));
    q->version = fixed.version;
    q->tables  = (int)fixed.tables;
    for (int t = 0; t < q->tables; t++) {
        if (tables[t].counted > 1)
            return err_set(ERR_MESSAGE, "%s: table %d has counts: %u; wanted 0 or 1", r.kind, t,
                           tables[t].counted);
        q->table[t].n = tables[t].n;
        TRY(take_ids(&r, &q->table[t], tables[t].counted));
    }
    return expect_end(&r);
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
static void place_values(writer *w, int tables, wire_values *table)
{
    for (int t = 0; t < tables; t++) {
        values_part part = {table[t].n, (uint16_t)table[t].dim, (uint8_t)table[t].type, 0};
        put(w, &part, sizeof part);
    }
    for (int t = 0; t < tables; t++) {
        size_t bytes = values_bytes(&table[t]);
        values_at(&table[t], w->at);
        w->at += bytes;
        put_padding(w, bytes);
    }
}

static err_t take_values(reader *r, int n_tables, wire_values *table)
{
    values_part tables[WIRE_MAX_TABLES];

    TRY(take_copy(r, tables, (size_t)n_tables * sizeof *tables, "list of tables"));
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
        TRY(take(r, values_bytes(&table[t]), "values", &piece));
        TRY(take_padding(r, values_bytes(&table[t])));
        values_at(&table[t], piece);
    }
    return expect_end(r);
}

err_t wire_prepare_rows(net_message *m, const wire_header *h, wire_rows *r)
{
    tables_part fixed = {r->version, (uint32_t)r->tables, (uint32_t)r->request};
    writer      w;

    assert(r->tables >= 0 && r->tables <= WIRE_MAX_TABLES);
    TRY(write_body(m, h, sizeof fixed + tables_bytes(r->tables, r->table), &w));
    put(&w, &fixed, sizeof fixed);
    place_values(&w, r->tables, r->table);
    return OK;
}

err_t wire_decode_rows(wire_rows *rows, const net_message *m)
{
    reader      r = read_body(m);
    tables_part fixed;

    TRY(take_copy(&r, &fixed, sizeof fixed, "fixed part"));
    TRY(expect_tables(&r, fixed.tables));
    if (fixed.request != WIRE_PULL && fixed.request != WIRE_READ)
        return refuse_request(&r, fixed.request);
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
    push_part fixed = push_part_of(p);
    writer    w;

    assert(p->tables >= 0 && p->tables <= WIRE_MAX_TABLES);
    TRY(write_body(m, h, sizeof fixed + tables_bytes(p->tables, p->table), &w));
    put(&w, &fixed, sizeof fixed);
    place_values(&w, p->tables, p->table);
    return OK;
}

void wire_change_push(net_message *m, const wire_push *p)
{
    push_part fixed = push_part_of(p);

    assert(header_of(m).kind == WIRE_PUSH);
    memcpy(m->data + WIRE_HEADER_BYTES, &fixed, sizeof fixed);
}

err_t wire_decode_push(wire_push *p, const net_message *m)
{
    reader    r = read_body(m);
    push_part fixed;

    TRY(take_copy(&r, &fixed, sizeof fixed, "fixed part"));
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

/* ---- BEGIN, DONE ---- */

err_t wire_encode_begin(net_message *m, const wire_header *h, const wire_begin *b)
{
    begin_part fixed = {b->workers, b->real_bytes, b->path_bytes, 0};
    writer     w;

    TRY(check_text(h, b->path_bytes));
    TRY(write_body(m, h, sizeof fixed + b->path_bytes, &w));
    put(&w, &fixed, sizeof fixed);
    put(&w, b->path, b->path_bytes);
    wire_seal(m);
    return OK;
}

err_t wire_decode_begin(wire_begin *b, const net_message *m)
{
    reader     r = read_body(m);
    begin_part fixed;

    TRY(take_copy(&r, &fixed, sizeof fixed, "fixed part"));
    TRY(expect_zero(&r, fixed.zero));
    *b = (wire_begin){.workers    = fixed.workers,
                      .real_bytes = fixed.real_bytes,
                      .path_bytes = fixed.path_bytes};
    TRY(take_text(&r, fixed.path_bytes, "path", &b->path));
    return expect_end(&r);
}

err_t wire_encode_done(net_message *m, const wire_header *h, const wire_done *d)
{
    done_part fixed = {(uint64_t)d->request, d->rows};
    writer    w;

    TRY(write_body(m, h, sizeof fixed, &w));
    put(&w, &fixed, sizeof fixed);
    wire_seal(m);
    return OK;
}

err_t wire_decode_done(wire_done *d, const net_message *m)
{
    reader    r = read_body(m);
    done_part fixed;

    TRY(take_copy(&r, &fixed, sizeof fixed, "fixed part"));
    if (fixed.request != WIRE_BEGIN && fixed.request != WIRE_BIRTH &&
        fixed.request != WIRE_SAVE)
        return refuse_request(&r, fixed.request);
    *d = (wire_done){(wire_kind)fixed.request, fixed.rows};
    return expect_end(&r);
}

/* ---- SAVED, STATED: numbers, as they stand in their structs ---- */

static err_t encode_numbers(net_message *m, const wire_header *h, const void *numbers,
                            size_t bytes)
{
    writer w;

    TRY(write_body(m, h, bytes, &w));
    put(&w, numbers, bytes);
    wire_seal(m);
    return OK;
}

static err_t decode_numbers(void *numbers, size_t bytes, const net_message *m)
{
    reader r = read_body(m);

    TRY(take_copy(&r, numbers, bytes, "fixed part"));
    return expect_end(&r);
}

err_t wire_encode_saved(net_message *m, const wire_header *h, const wire_saved *s)
{
    return encode_numbers(m, h, s, sizeof *s);
}

err_t wire_decode_saved(wire_saved *s, const net_message *m)
{
    return decode_numbers(s, sizeof *s, m);
}

err_t wire_encode_stated(net_message *m, const wire_header *h, const wire_stated *s)
{
    return encode_numbers(m, h, s, sizeof *s);
}

err_t wire_decode_stated(wire_stated *s, const net_message *m)
{
    return decode_numbers(s, sizeof *s, m);
}

/* ---- HELLO, WELCOME ---- */

err_t wire_encode_hello(net_message *m, const wire_header *h, const wire_hello *hello)
{
    hello_part fixed = {.role       = (uint16_t)hello->role,
                        .host_bytes = (uint16_t)hello->host_bytes,
                        .index      = hello->index,
                        .pid        = hello->pid,
                        .endpoints  = (uint16_t)hello->n_endpoints};
    writer     w;

    TRY(check_text(h, hello->host_bytes));
    TRY(check_endpoints(h, hello->n_endpoints));
    TRY(write_body(m, h,
                   sizeof fixed + (uint64_t)hello->n_endpoints * NET_ENDPOINT_MAX +
                       hello->host_bytes,
                   &w));
    put(&w, &fixed, sizeof fixed);
    put_endpoints(&w, hello->n_endpoints, hello->endpoints);
    put(&w, hello->host, hello->host_bytes);
    wire_seal(m);
    return OK;
}

err_t wire_decode_hello(wire_hello *hello, const net_message *m)
{
    reader     r = read_body(m);
    hello_part fixed;

    TRY(take_copy(&r, &fixed, sizeof fixed, "fixed part"));
    TRY(expect_zero(&r, fixed.zero));
    if (fixed.role != WIRE_SERVER && fixed.role != WIRE_WORKER)
        return err_set(ERR_MESSAGE, "%s: unknown role %u", r.kind, fixed.role);
    *hello = (wire_hello){.role        = (wire_role)fixed.role,
                          .index       = fixed.index,
                          .pid         = fixed.pid,
                          .host_bytes  = fixed.host_bytes,
                          .n_endpoints = fixed.endpoints};
    TRY(take_endpoints(&r, fixed.endpoints, &hello->endpoints));
    TRY(take_text(&r, fixed.host_bytes, "host", &hello->host));
    return expect_end(&r);
}

err_t wire_encode_welcome(net_message *m, const wire_header *h, const wire_welcome *welcome)
{
    welcome_part fixed = {.endpoints = welcome->n_endpoints};
    writer       w;

    TRY(check_endpoints(h, welcome->n_endpoints));
    TRY(write_body(m, h, sizeof fixed + (uint64_t)welcome->n_endpoints * NET_ENDPOINT_MAX, &w));
    put(&w, &fixed, sizeof fixed);
    put_endpoints(&w, welcome->n_endpoints, welcome->endpoints);
    wire_seal(m);
    return OK;
}

err_t wire_decode_welcome(wire_welcome *welcome, const net_message *m)
{
    reader       r = read_body(m);
    welcome_part fixed;

    TRY(take_copy(&r, &fixed, sizeof fixed, "fixed part"));
    TRY(expect_zero(&r, fixed.zero));
    welcome->n_endpoints = fixed.endpoints;
    TRY(take_endpoints(&r, fixed.endpoints, &welcome->endpoints));
    return expect_end(&r);
}

/* ---- SAVE, FAILED, BYE, END ---- */

err_t wire_encode_text(net_message *m, const wire_header *h, const wire_text *t)
{
    text_part fixed = {t->status, (uint32_t)t->request, t->bytes, 0};
    writer    w;

    TRY(check_text(h, t->bytes));
    TRY(write_body(m, h, sizeof fixed + t->bytes, &w));
    put(&w, &fixed, sizeof fixed);
    put(&w, t->text, t->bytes);
    wire_seal(m);
    return OK;
}

err_t wire_decode_text(wire_text *t, const net_message *m)
{
    reader    r = read_body(m);
    text_part fixed;

    TRY(take_copy(&r, &fixed, sizeof fixed, "fixed part"));
    TRY(expect_zero(&r, fixed.zero));
    bool failed = header_of(m).kind == WIRE_FAILED;
    if (failed ? fixed.request == WIRE_NONE || fixed.request >= WIRE_KIND_COUNT : fixed.request)
        return refuse_request(&r, fixed.request);
    *t = (wire_text){.status  = fixed.status,
                     .request = (wire_kind)fixed.request,
                     .bytes   = fixed.bytes};
    TRY(take_text(&r, fixed.bytes, "text", &t->text));
    return expect_end(&r);
}
