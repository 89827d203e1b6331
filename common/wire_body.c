#include "common/wire_body.h"

wire_header_part wire_header_of(const net_message *m)
{
    wire_header_part head;

    assert(m->size >= sizeof head);
    memcpy(&head, m->data, sizeof head);
    return head;
}

/* ---- reading ---- */

wire_reader wire_read_body(const net_message *m)
{
    return (wire_reader){.kind = wire_kind_name(wire_header_of(m).kind),
                         .at   = m->data + WIRE_HEADER_BYTES,
                         .left = m->size - WIRE_HEADER_BYTES};
}

/* The next bytes of the body; *piece is lent by the message. */
err_t wire_take(wire_reader *r, uint64_t bytes, const char *what, unsigned char **piece)
{
    if (bytes > r->left)
        return err_set(ERR_MESSAGE, "%s: %s of %llu bytes, %zu are left", r->kind, what,
                       (unsigned long long)bytes, r->left);
    *piece = r->at;
    r->at += bytes;
    r->left -= bytes;
    return OK;
}

err_t wire_take_copy(wire_reader *r, void *to, size_t bytes, const char *what)
{
    unsigned char *piece = NULL;

    TRY(wire_take(r, bytes, what, &piece));
    memcpy(to, piece, bytes);
    return OK;
}

/* Skip what brings a piece of `bytes` bytes to a multiple of 8. */
err_t wire_take_padding(wire_reader *r, uint64_t bytes)
{
    unsigned char *piece = NULL;
    size_t         n     = (size_t)(-bytes & 7);

    TRY(wire_take(r, n, "padding", &piece));
    for (size_t i = 0; i < n; i++)
        if (piece[i])
            return err_set(ERR_MESSAGE, "%s: padding that is not zero", r->kind);
    return OK;
}

err_t wire_expect_end(const wire_reader *r)
{
    if (r->left)
        return err_set(ERR_MESSAGE, "%s: %zu bytes behind its end", r->kind, r->left);
    return OK;
}

err_t wire_expect_zero(const wire_reader *r, uint64_t value)
{
    if (value)
        return err_set(ERR_MESSAGE, "%s: %llu in a field that must be 0", r->kind,
                       (unsigned long long)value);
    return OK;
}

err_t wire_refuse_request(const wire_reader *r, uint64_t kind)
{
    return err_set(ERR_MESSAGE, "%s: it cannot answer a request of kind %llu", r->kind,
                   (unsigned long long)kind);
}

/* ---- writing ---- */

err_t wire_write_body(net_message *m, const wire_header *h, uint64_t body_bytes, wire_writer *w)
{
    wire_header_part head = {.magic      = WIRE_MAGIC,
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

void wire_put(wire_writer *w, const void *from, size_t bytes)
{
    if (bytes)
        memcpy(w->at, from, bytes);
    w->at += bytes;
}

/* Zeros that bring a piece of `bytes` bytes to a multiple of 8. */
void wire_put_padding(wire_writer *w, size_t bytes)
{
    wire_put(w, (const char[8]){0}, -bytes & 7);
}
