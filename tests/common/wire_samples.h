/* wire_samples - a valid message of each kind, with parts of odd and zero lengths. Shared
 * by the test of common/wire and the writer of the fuzzer's seeds. */
#ifndef DIPS_TESTS_COMMON_WIRE_SAMPLES_H
#define DIPS_TESTS_COMMON_WIRE_SAMPLES_H

#include "common/wire.h"

static const uint64_t sample_ids[]    = {7, UINT64_MAX, 0};
static const uint32_t sample_counts[] = {1, 2, UINT32_MAX};
static const char     sample_endpoints[2][NET_ENDPOINT_MAX] = {"tcp://10.0.0.1:4001",
                                                               "ipc://@shard-1"};

static inline err_t sample_request(net_message *m, const wire_header *h)
{
    wire_request r = {.version = 12,
                      .tables  = 3,
                      .table   = {{3, sample_ids, sample_counts},
                                  {0, sample_ids, NULL},
                                  {2, sample_ids + 1, NULL}}};
    return wire_encode_request(m, h, &r);
}

static inline err_t sample_rows(net_message *m, const wire_header *h)
{
    wire_rows r = {.version = 12,
                   .request = WIRE_READ,
                   .tables  = 4,
                   .table   = {{.n = 1, .dim = 3},
                               {.n = 0, .dim = 5},
                               {.n = 2, .dim = 1},
                               {.n = 1, .dim = 3, .type = PRECISION_BF16}}};

    TRY(wire_prepare_rows(m, h, &r));
    for (int i = 0; i < 3; i++)
        r.table[0].values[i] = (real)(i + 0.5);
    for (int i = 0; i < 2; i++)
        r.table[2].values[i] = (real)-i;
    for (int i = 0; i < 3; i++)
        r.table[3].halves[i] = (uint16_t)(0x3f80 + i);
    wire_seal(m);
    return OK;
}

static inline err_t sample_push(net_message *m, const wire_header *h)
{
    wire_push p = {.pulled_until = 14,
                   .samples      = 31.5,
                   .time         = -5000000000,
                   .finite       = true,
                   .tables       = 3,
                   .table        = {{.n = 3, .dim = 1},
                                    {.n = 0, .dim = 18},
                                    {.n = 3, .dim = 2, .type = PRECISION_BF16}}};

    TRY(wire_prepare_push(m, h, &p));
    for (int i = 0; i < 3; i++)
        p.table[0].values[i] = (real)(0.25 * i);
    for (int i = 0; i < 6; i++)
        p.table[2].halves[i] = (uint16_t)(0xc000 + i);
    wire_seal(m);
    return OK;
}

/* A message of h->kind; the caller's to clear. */
static inline err_t wire_sample(net_message *m, const wire_header *h)
{
    switch (h->kind) {
    case WIRE_PULL:
    case WIRE_READ:
    case WIRE_BIRTH:
        return sample_request(m, h);
    case WIRE_ROWS:
        return sample_rows(m, h);
    case WIRE_PUSH:
        return sample_push(m, h);
    case WIRE_BEGIN:
        return wire_encode_begin(m, h, &(wire_begin){2, sizeof(real), "runs/a/step-7", 13});
    case WIRE_DONE:
        return wire_encode_done(m, h, &(wire_done){WIRE_BIRTH, 99});
    case WIRE_SAVE:
        return wire_encode_text(m, h, &(wire_text){0, WIRE_NONE, "runs/a/step-9", 13});
    case WIRE_FAILED:
        return wire_encode_text(m, h, &(wire_text){ERR_FORMAT, WIRE_BEGIN, "a bad file", 10});
    case WIRE_BYE:
    case WIRE_END:
        return wire_encode_text(m, h, &(wire_text){4, WIRE_NONE, "worker 1 died", 13});
    case WIRE_SAVED:
        return wire_encode_saved(m, h, &(wire_saved){1, 2, 3});
    case WIRE_STATED:
        return wire_encode_stated(m, h, &(wire_stated){4, 5, 6, 7, 8, 9});
    case WIRE_HELLO:
        return wire_encode_hello(
            m, h, &(wire_hello){WIRE_SERVER, 1, 4242, "node7", 5, 2, sample_endpoints});
    case WIRE_WELCOME:
        return wire_encode_welcome(m, h, &(wire_welcome){2, sample_endpoints});
    case WIRE_STATS:
    case WIRE_BEAT:
        return wire_encode_empty(m, h);
    case WIRE_NONE:
    case WIRE_KIND_COUNT:
        break;
    }
    return err_set(ERR_MESSAGE, "kind %d", (int)h->kind);
}

#endif
