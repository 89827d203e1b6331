/* BEGIN, DONE, SAVED, STATED, HELLO, WELCOME, SAVE, FAILED, BYE, END: numbers, texts. */
#include "common/wire_body.h"

/* The parts of fixed size, as wire.h draws them: no hole, no padding. */
typedef struct begin_part {
    uint32_t workers, real_bytes, path_bytes, zero;
} begin_part;

typedef struct done_part {
    uint64_t request, rows;
} done_part;

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

static_assert(sizeof(begin_part) == 16 && sizeof(done_part) == 16, "as drawn");
static_assert(sizeof(hello_part) == 16 && sizeof(welcome_part) == 8, "as drawn");
static_assert(sizeof(text_part) == 16, "as drawn");
static_assert(sizeof(wire_saved) == 24 && sizeof(wire_stated) == 48, "as drawn");

/* ---- texts and endpoints ---- */

static err_t take_text(wire_reader *r, uint32_t bytes, const char *what, const char **text)
{
    unsigned char *piece = NULL;

    if (bytes > WIRE_MAX_TEXT)
        return err_set(ERR_MESSAGE, "%s: %s of %u bytes, at most %d are allowed", r->kind, what,
                       bytes, WIRE_MAX_TEXT);
    TRY(wire_take(r, bytes, what, &piece));
    if (memchr(piece, 0, bytes))
        return err_set(ERR_MESSAGE, "%s: %s with a zero byte in it", r->kind, what);
    *text = (const char *)piece;
    return OK;
}

static err_t take_endpoints(wire_reader *r, uint32_t n,
                            const char (**endpoints)[NET_ENDPOINT_MAX])
{
    unsigned char *piece = NULL;

    if (n > WIRE_MAX_ENDPOINTS)
        return err_set(ERR_MESSAGE, "%s: %u endpoints, at most %d are allowed", r->kind, n,
                       WIRE_MAX_ENDPOINTS);
    TRY(wire_take(r, (uint64_t)n * NET_ENDPOINT_MAX, "endpoints", &piece));
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

static void put_endpoints(wire_writer *w, uint32_t n, const char (*endpoints)[NET_ENDPOINT_MAX])
{
    for (uint32_t i = 0; i < n; i++) {
        size_t length = strnlen(endpoints[i], NET_ENDPOINT_MAX - 1);
        memcpy(w->at, endpoints[i], length);
        memset(w->at + length, 0, NET_ENDPOINT_MAX - length);
        w->at += NET_ENDPOINT_MAX;
    }
}

/* ---- bodies that begin with a part of fixed size ---- */

static err_t encode_fixed(net_message *m, const wire_header *h, const void *fixed, size_t bytes)
{
    wire_writer w;

    TRY(wire_write_body(m, h, bytes, &w));
    wire_put(&w, fixed, bytes);
    wire_seal(m);
    return OK;
}

static err_t decode_fixed(void *fixed, size_t bytes, const net_message *m)
{
    wire_reader r = wire_read_body(m);

    TRY(wire_take_copy(&r, fixed, bytes, "fixed part"));
    return wire_expect_end(&r);
}

/* Behind it n endpoints, and then a text. */
static err_t encode_with(net_message *m, const wire_header *h, const void *fixed, size_t bytes,
                         uint32_t n, const char (*endpoints)[NET_ENDPOINT_MAX],
                         const char *text, uint32_t text_bytes)
{
    wire_writer w;

    if (n > WIRE_MAX_ENDPOINTS)
        return err_set(ERR_MESSAGE, "a %s with %u endpoints: at most %d are allowed",
                       wire_kind_name(h->kind), n, WIRE_MAX_ENDPOINTS);
    if (text_bytes > WIRE_MAX_TEXT)
        return err_set(ERR_MESSAGE, "a %s with a text of %u bytes: at most %d are allowed",
                       wire_kind_name(h->kind), text_bytes, WIRE_MAX_TEXT);
    TRY(wire_write_body(m, h, bytes + (uint64_t)n * NET_ENDPOINT_MAX + text_bytes, &w));
    wire_put(&w, fixed, bytes);
    put_endpoints(&w, n, endpoints);
    wire_put(&w, text, text_bytes);
    wire_seal(m);
    return OK;
}

/* ---- BEGIN, DONE ---- */

err_t wire_encode_begin(net_message *m, const wire_header *h, const wire_begin *b)
{
    begin_part fixed = {b->workers, b->real_bytes, b->path_bytes, 0};

    return encode_with(m, h, &fixed, sizeof fixed, 0, NULL, b->path, b->path_bytes);
}

err_t wire_decode_begin(wire_begin *b, const net_message *m)
{
    wire_reader r = wire_read_body(m);
    begin_part  fixed;

    TRY(wire_take_copy(&r, &fixed, sizeof fixed, "fixed part"));
    TRY(wire_expect_zero(&r, fixed.zero));
    *b = (wire_begin){.workers    = fixed.workers,
                      .real_bytes = fixed.real_bytes,
                      .path_bytes = fixed.path_bytes};
    TRY(take_text(&r, fixed.path_bytes, "path", &b->path));
    return wire_expect_end(&r);
}

err_t wire_encode_done(net_message *m, const wire_header *h, const wire_done *d)
{
    done_part fixed = {(uint64_t)d->request, d->rows};

    return encode_fixed(m, h, &fixed, sizeof fixed);
}

err_t wire_decode_done(wire_done *d, const net_message *m)
{
    wire_reader r = wire_read_body(m);
    done_part   fixed;

    TRY(wire_take_copy(&r, &fixed, sizeof fixed, "fixed part"));
    if (fixed.request != WIRE_BEGIN && fixed.request != WIRE_BIRTH &&
        fixed.request != WIRE_SAVE)
        return wire_refuse_request(&r, fixed.request);
    *d = (wire_done){(wire_kind)fixed.request, fixed.rows};
    return wire_expect_end(&r);
}

/* ---- SAVED, STATED: as they stand in their structs ---- */

err_t wire_encode_saved(net_message *m, const wire_header *h, const wire_saved *s)
{
    return encode_fixed(m, h, s, sizeof *s);
}

err_t wire_decode_saved(wire_saved *s, const net_message *m)
{
    return decode_fixed(s, sizeof *s, m);
}

err_t wire_encode_stated(net_message *m, const wire_header *h, const wire_stated *s)
{
    return encode_fixed(m, h, s, sizeof *s);
}

err_t wire_decode_stated(wire_stated *s, const net_message *m)
{
    return decode_fixed(s, sizeof *s, m);
}

/* ---- HELLO, WELCOME ---- */

err_t wire_encode_hello(net_message *m, const wire_header *h, const wire_hello *hello)
{
    hello_part fixed = {.role       = (uint16_t)hello->role,
                        .host_bytes = (uint16_t)hello->host_bytes,
                        .index      = hello->index,
                        .pid        = hello->pid,
                        .endpoints  = (uint16_t)hello->n_endpoints};

    return encode_with(m, h, &fixed, sizeof fixed, hello->n_endpoints, hello->endpoints,
                       hello->host, hello->host_bytes);
}

err_t wire_decode_hello(wire_hello *hello, const net_message *m)
{
    wire_reader r = wire_read_body(m);
    hello_part  fixed;

    TRY(wire_take_copy(&r, &fixed, sizeof fixed, "fixed part"));
    TRY(wire_expect_zero(&r, fixed.zero));
    if (fixed.role != WIRE_SERVER && fixed.role != WIRE_WORKER)
        return err_set(ERR_MESSAGE, "%s: unknown role %u", r.kind, fixed.role);
    *hello = (wire_hello){.role        = (wire_role)fixed.role,
                          .index       = fixed.index,
                          .pid         = fixed.pid,
                          .host_bytes  = fixed.host_bytes,
                          .n_endpoints = fixed.endpoints};
    TRY(take_endpoints(&r, fixed.endpoints, &hello->endpoints));
    TRY(take_text(&r, fixed.host_bytes, "host", &hello->host));
    return wire_expect_end(&r);
}

err_t wire_encode_welcome(net_message *m, const wire_header *h, const wire_welcome *welcome)
{
    welcome_part fixed = {.endpoints = welcome->n_endpoints};

    return encode_with(m, h, &fixed, sizeof fixed, welcome->n_endpoints, welcome->endpoints,
                       NULL, 0);
}

err_t wire_decode_welcome(wire_welcome *welcome, const net_message *m)
{
    wire_reader  r = wire_read_body(m);
    welcome_part fixed;

    TRY(wire_take_copy(&r, &fixed, sizeof fixed, "fixed part"));
    TRY(wire_expect_zero(&r, fixed.zero));
    welcome->n_endpoints = fixed.endpoints;
    TRY(take_endpoints(&r, fixed.endpoints, &welcome->endpoints));
    return wire_expect_end(&r);
}

/* ---- SAVE, FAILED, BYE, END ---- */

err_t wire_encode_text(net_message *m, const wire_header *h, const wire_text *t)
{
    text_part fixed = {t->status, (uint32_t)t->request, t->bytes, 0};

    return encode_with(m, h, &fixed, sizeof fixed, 0, NULL, t->text, t->bytes);
}

err_t wire_decode_text(wire_text *t, const net_message *m)
{
    wire_reader r = wire_read_body(m);
    text_part   fixed;

    TRY(wire_take_copy(&r, &fixed, sizeof fixed, "fixed part"));
    TRY(wire_expect_zero(&r, fixed.zero));
    bool failed = wire_header_of(m).kind == WIRE_FAILED;
    if (failed ? fixed.request == WIRE_NONE || fixed.request >= WIRE_KIND_COUNT : fixed.request)
        return wire_refuse_request(&r, fixed.request);
    *t = (wire_text){.status  = fixed.status,
                     .request = (wire_kind)fixed.request,
                     .bytes   = fixed.bytes};
    TRY(take_text(&r, fixed.bytes, "text", &t->text));
    return wire_expect_end(&r);
}
