/* What all messages have: a header, and two checksums. */
#include "common/hash.h"
#include "common/wire_body.h"

#define HASHED_HEAD 40 /* bytes of the header in its own checksum */

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

err_t wire_open(wire_header *h, const net_message *m)
{
    if (m->size < WIRE_HEADER_BYTES)
        return err_set(ERR_MESSAGE, "%zu bytes are less than the header of a message",
                       m->size);
    wire_header_part head = wire_header_of(m);
    if (head.magic != WIRE_MAGIC)
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

/* ---- sealing ---- */

static void seal_with(net_message *m, uint64_t body_hash)
{
    wire_header_part head = wire_header_of(m);

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

/* ---- empty bodies ---- */

err_t wire_encode_empty(net_message *m, const wire_header *h)
{
    wire_writer w;

    TRY(wire_write_body(m, h, 0, &w));
    wire_seal(m);
    return OK;
}

err_t wire_decode_empty(const net_message *m)
{
    wire_reader r = wire_read_body(m);

    return wire_expect_end(&r);
}
