/* fuzz_wire - any bytes as a message. Magic, version, length and checksums are made right,
 * so that the decoders behind them are reached; what a decoder accepts must encode to the
 * same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../common/wire_again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes as they are: opening them must not go wrong, whatever it says. */
static void open_raw(const uint8_t *data, size_t size)
{
    net_message m = {0};
    wire_header h;

    if (net_message_new(&m, size) != OK)
        return;
    if (size)
        memcpy(m.data, data, size);
    if (wire_open(&h, &m) == OK && h.kind >= WIRE_KIND_COUNT)
        abort();
    net_message_clear(&m);
}

static void repair(net_message *m)
{
    const uint16_t version = WIRE_VERSION;
    const uint64_t body    = m->size - WIRE_HEADER_BYTES;
    uint16_t       kind;

    memcpy(m->data, "dips", 4);
    memcpy(m->data + 4, &version, sizeof version);
    memcpy(&kind, m->data + 6, sizeof kind);
    if (kind == WIRE_NONE || kind >= WIRE_KIND_COUNT)
        kind = (uint16_t)(1 + kind % (WIRE_KIND_COUNT - 1));
    memcpy(m->data + 6, &kind, sizeof kind);
    memcpy(m->data + 24, &body, sizeof body);
    wire_seal(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    net_message m = {0}, again = {0};
    wire_header h;

    open_raw(data, size);
    if (size < WIRE_HEADER_BYTES || net_message_new(&m, size) != OK)
        return 0;
    memcpy(m.data, data, size);
    repair(&m);
    if (wire_open(&h, &m) != OK)
        abort();
    if (wire_again(&again, &h, &m) == OK &&
        (again.size != m.size || memcmp(again.data, m.data, m.size) != 0))
        abort();
    net_message_clear(&again);
    net_message_clear(&m);
    return 0;
}
