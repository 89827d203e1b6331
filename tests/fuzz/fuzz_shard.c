/* A shard is handed well-formed headers with bodies that the fuzzer invents: checksums are
 * right, so that everything behind them is reached. The input is a row of
 *     u8 kind   u8 sender   u8 step   u8 generation   u16 bytes of body   body
 * and goes to two shards, one of a synchronous run and one of an asynchronous one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/wire.h"
#include "ps/shard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char yaml[] = "tables:\n"
                           "  a: {dim: 2, optimizer: adam, penalty: {kind: minibatch_aware,"
                           " count: running}}\n"
                           "  b: {dim: 1, optimizer: rowwise_adagrad, admit: {min_count: 2,"
                           " counter: exact}, evict: {idle_steps: 1,"
                           " idle_days: 1}}\n"
                           "features: {a: {table: a}, b: {table: b}}\n";

static err_t swallow(void *self, uint64_t peer, net_message *m)
{
    (void)self, (void)peer;
    net_message_clear(m);
    return OK;
}

static void require(err_t err)
{
    if (err != OK)
        abort();
}

/* The message of a header and a body, sealed. */
static net_message seal(const wire_header *h, const uint8_t *body, size_t n)
{
    net_message head, m;

    require(wire_encode_empty(&head, h));
    require(net_message_new(&m, WIRE_HEADER_BYTES + n));
    memcpy(m.data, head.data, WIRE_HEADER_BYTES);
    memcpy(m.data + 24, &(uint64_t){n}, 8);
    if (n)
        memcpy(m.data + WIRE_HEADER_BYTES, body, n);
    wire_seal(&m);
    net_message_clear(&head);
    return m;
}

static void feed(shard *s, const uint8_t *data, size_t size)
{
    while (size >= 6) {
        wire_header h = {(wire_kind)(data[0] % (WIRE_KIND_COUNT - 1) + 1), data[3], data[1],
                         data[2]};
        size_t      n = (size_t)data[4] | (size_t)data[5] << 8;
        data += 6;
        size -= 6;
        n = n < size ? n : size;
        if (h.kind != WIRE_SAVE) { /* it would write wherever the fuzzer says */
            net_message m = seal(&h, data, n);
            require(shard_handle(s, h.sender, &m));
        }
        data += n;
        size -= n;
    }
}

/* A configuration, the same for every input. */
typedef struct setting {
    config *config;
    schema *schema;
} setting;

static void setting_make(setting *s, char *mode)
{
    require(config_parse(&s->config, "run.yaml", yaml, sizeof yaml - 1, 1, &mode));
    require(schema_new(&s->schema, s->config));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char    modes[2][32] = {"train.mode=sync", "train.mode=async"};
    static setting settings[2];

    log_threshold(LOG_ERROR);
    for (int i = 0; i < 2; i++) {
        shard *s;
        if (!settings[i].config)
            setting_make(&settings[i], modes[i]);
        shard_options options = {.config = settings[i].config,
                                 .schema = settings[i].schema,
                                 .shards = 1,
                                 .send   = swallow};
        require(shard_new(&s, &options));
        feed(s, data, size);
        shard_free(&s);
    }
    return 0;
}
