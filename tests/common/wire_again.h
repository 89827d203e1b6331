/* wire_again - decode a message and encode what was understood: for a valid message the
 * bytes must be the same. Shared by the test and the fuzzer of common/wire. */
#ifndef DIPS_TESTS_COMMON_WIRE_AGAIN_H
#define DIPS_TESTS_COMMON_WIRE_AGAIN_H

#include <string.h>

#include "common/wire.h"

/* Encode by prepare, copying the values of a decoded message. */
static inline void wire_again_values(const wire_values *from, const wire_values *to, int tables)
{
    for (int t = 0; t < tables; t++) {
        size_t n = (size_t)from[t].n * from[t].dim;
        if (n && from[t].type == PRECISION_BF16)
            memcpy(to[t].halves, from[t].halves, n * sizeof *from[t].halves);
        else if (n)
            memcpy(to[t].values, from[t].values, n * sizeof *from[t].values);
    }
}

static inline err_t wire_again_rows(net_message *again, const wire_header *h,
                                    const net_message *m)
{
    static _Thread_local wire_rows was, is;

    TRY(wire_decode_rows(&was, m));
    is = was;
    TRY(wire_prepare_rows(again, h, &is));
    wire_again_values(was.table, is.table, was.tables);
    wire_seal(again);
    return OK;
}

static inline err_t wire_again_push(net_message *again, const wire_header *h,
                                    const net_message *m)
{
    static _Thread_local wire_push was, is;

    TRY(wire_decode_push(&was, m));
    is = was;
    TRY(wire_prepare_push(again, h, &is));
    wire_again_values(was.table, is.table, was.tables);
    wire_seal(again);
    return OK;
}

#define WIRE_AGAIN(what)                                                                      \
    {                                                                                         \
        wire_##what x;                                                                        \
        TRY(wire_decode_##what(&x, m));                                                       \
        return wire_encode_##what(again, h, &x);                                              \
    }

/* m has been opened into h. again is returned where the result is OK. */
static inline err_t wire_again(net_message *again, const wire_header *h, const net_message *m)
{
    switch (h->kind) {
    case WIRE_PULL:
    case WIRE_READ:
    case WIRE_BIRTH:
        WIRE_AGAIN(request)
    case WIRE_SAVE:
    case WIRE_FAILED:
    case WIRE_BYE:
    case WIRE_END:
        WIRE_AGAIN(text)
    case WIRE_BEGIN:
        WIRE_AGAIN(begin)
    case WIRE_DONE:
        WIRE_AGAIN(done)
    case WIRE_SAVED:
        WIRE_AGAIN(saved)
    case WIRE_STATED:
        WIRE_AGAIN(stated)
    case WIRE_HELLO:
        WIRE_AGAIN(hello)
    case WIRE_WELCOME:
        WIRE_AGAIN(welcome)
    case WIRE_ROWS:
        return wire_again_rows(again, h, m);
    case WIRE_PUSH:
        return wire_again_push(again, h, m);
    case WIRE_STATS:
    case WIRE_BEAT:
        TRY(wire_decode_empty(m));
        return wire_encode_empty(again, h);
    case WIRE_NONE:
    case WIRE_KIND_COUNT:
        break;
    }
    return err_set(ERR_MESSAGE, "kind %d", (int)h->kind);
}

#endif
