/* wire_body - a message's body, piece by piece from front to back; for common/wire*.c alone.
 *
 * wire.c has the header that all messages begin with, wire_tables.c those that carry ids and
 * rows, wire_control.c all others. */
#ifndef DIPS_COMMON_WIRE_BODY_H
#define DIPS_COMMON_WIRE_BODY_H

#include <assert.h>
#include <string.h>

#include "common/wire.h"

/* The header as wire.h draws it: no hole, no padding. */
typedef struct wire_header_part {
    uint32_t magic;
    uint16_t version, kind;
    uint32_t generation, sender;
    uint64_t step, body_bytes, body_hash, header_hash;
} wire_header_part;

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "wire.h is little-endian");
static_assert(sizeof(wire_header_part) == WIRE_HEADER_BYTES, "as drawn");

#define WIRE_MAGIC UINT32_C(0x73706964) /* "dips" */

wire_header_part wire_header_of(const net_message *m);

/* ---- reading: ERR_MESSAGE names the kind and what is wrong ---- */

typedef struct wire_reader {
    const char    *kind; /* for sentences */
    unsigned char *at;
    size_t         left;
} wire_reader;

wire_reader wire_read_body(const net_message *m);

/* The next bytes of the body, which are what; *piece is lent by the message. */
MUST_CHECK err_t wire_take(wire_reader *r, uint64_t bytes, const char *what,
                           unsigned char **piece);

/* The same, copied. */
MUST_CHECK err_t wire_take_copy(wire_reader *r, void *to, size_t bytes, const char *what);

/* Skip the zeros that bring a piece of `bytes` bytes to a multiple of 8. */
MUST_CHECK err_t wire_take_padding(wire_reader *r, uint64_t bytes);

/* Nothing may be left. */
MUST_CHECK err_t wire_expect_end(const wire_reader *r);

/* A field that must be 0 has this value. */
MUST_CHECK err_t wire_expect_zero(const wire_reader *r, uint64_t value);

/* An answer to a request of kind, which has no such answer: always ERR_MESSAGE. */
err_t wire_refuse_request(const wire_reader *r, uint64_t kind);

/* ---- writing ---- */

typedef struct wire_writer {
    unsigned char *at;
} wire_writer;

/* A message with header h and room for body_bytes, which w writes: all of them. */
MUST_CHECK err_t wire_write_body(net_message *m, const wire_header *h, uint64_t body_bytes,
                                 wire_writer *w);

void wire_put(wire_writer *w, const void *from, size_t bytes);

/* Zeros that bring a piece of `bytes` bytes to a multiple of 8. */
void wire_put_padding(wire_writer *w, size_t bytes);

#endif
