/* Shards behind real sockets, in threads of their own. */
#include "harness.h"

#include <unistd.h>

#include "ps/server.h"

static const char yaml[] = "tables: {t: {dim: 2, optimizer: sgd, lr: 1}}\n"
                           "features: {f: {table: t}}\n";

typedef struct site {
    config   *config;
    schema   *schema;
    net      *net;
    server   *server;
    net_link *link;
} site;

static err_t site_start(site *s, const char *endpoint, const char *counts)
{
    *s = (site){0};
    must(config_parse(&s->config, "run.yaml", yaml, sizeof yaml - 1, 0, NULL));
    must(schema_new(&s->schema, s->config));
    must(net_new(&s->net));
    server_options o = {.config      = s->config,
                        .schema      = s->schema,
                        .shards_here = 2,
                        .shards      = 2,
                        .counts      = counts,
                        .endpoint    = endpoint};
    return server_start(&s->server, s->net, &o);
}

static void site_end(site *s)
{
    net_link_close(&s->link);
    must(server_stop(&s->server));
    net_free(&s->net);
    schema_free(&s->schema);
    config_free(&s->config);
}

static void dial(site *s)
{
    const char *endpoints[] = {server_endpoint(s->server, 0), server_endpoint(s->server, 1)};

    must(net_dial(&s->link, s->net, 2, endpoints));
}

static net_message ask_and_wait(site *s, int to, net_message m, wire_kind kind)
{
    const transport *t = net_link_transport(s->link);
    wire_header      h;
    int              from;

    must(t->send(t->self, to, &m, 5000));
    must(t->receive(t->self, &from, &m, 5000));
    assert_non_null(m.data);
    assert_int_equal(from, to);
    must(wire_open(&h, &m));
    assert_int_equal(h.kind, kind);
    assert_int_equal(h.sender, to);
    return m;
}

static void begin(site *s, int to)
{
    wire_header h = {WIRE_BEGIN, 1, 0, 0};
    wire_begin  b = {.workers = 1, .real_bytes = sizeof(real)};
    net_message m;

    must(wire_encode_begin(&m, &h, &b));
    m = ask_and_wait(s, to, m, WIRE_DONE);
    net_message_clear(&m);
}

/* PULL and PUSH a step without ids. */
static void step(site *s, int to, uint64_t t)
{
    wire_header  h = {WIRE_PULL, 1, 0, t};
    wire_request q = {.version = t, .tables = 1};
    wire_push    p = {.pulled_until = t + 1, .samples = 1, .finite = true, .tables = 1};
    net_message  m;

    must(wire_encode_request(&m, &h, &q));
    m = ask_and_wait(s, to, m, WIRE_ROWS);
    net_message_clear(&m);
    h.kind     = WIRE_PUSH;
    p.table[0] = (wire_values){.n = 0, .dim = 2};
    must(wire_prepare_push(&m, &h, &p));
    wire_seal(&m);
    must(net_link_transport(s->link)->send(net_link_transport(s->link)->self, to, &m, 5000));
}

static void steps_pass_over(const char *endpoint)
{
    site s;

    must(site_start(&s, endpoint, NULL));
    dial(&s);
    for (int to = 0; to < 2; to++)
        begin(&s, to);
    for (uint64_t t = 0; t < 3; t++)
        for (int to = 0; to < 2; to++)
            step(&s, to, t);
    must(server_check(s.server));
    site_end(&s);
}

static void shards_serve_inside_the_process(void **unused)
{
    (void)unused;
    steps_pass_over("inproc://test-server-%d");
}

static void shards_serve_over_sockets(void **unused)
{
    (void)unused;
    steps_pass_over("tcp://127.0.0.1:*");
}

static void a_pulse_goes_on_without_messages(void **unused)
{
    site s;

    (void)unused;
    must(site_start(&s, "inproc://test-server-%d", NULL));
    int64_t first = server_pulse(s.server);
    for (int waited = 0; server_pulse(s.server) < first + 3; waited++) {
        assert_true(waited < 5000);
        usleep(1000);
    }
    must(server_check(s.server));
    site_end(&s);
}

/* ---- checkpoints, with a thread of their own ---- */

#define MANY 3000

static void tell(site *s, int to, net_message *m)
{
    const transport *t = net_link_transport(s->link);
    must(t->send(t->self, to, m, 5000));
}

/* The next answer of kind; a SAVED that comes in between is noted. */
static net_message await(site *s, wire_kind kind, bool *saved)
{
    const transport *t = net_link_transport(s->link);

    for (;;) {
        net_message m;
        wire_header h;
        int         from;
        must(t->receive(t->self, &from, &m, 20000));
        assert_non_null(m.data);
        must(wire_open(&h, &m));
        *saved |= h.kind == WIRE_SAVED;
        if (h.kind == kind)
            return m;
        assert_int_equal(h.kind, WIRE_SAVED);
        net_message_clear(&m);
    }
}

/* A step with MANY ids of shard 0, new ones and old ones. */
static void crowded_step(site *s, uint64_t t, bool *saved)
{
    static uint64_t ids[MANY];
    wire_header     h = {WIRE_PULL, 1, 0, t};
    wire_request    q = {.version = t, .tables = 1};
    wire_push       p = {.pulled_until = t + 1, .samples = 1, .finite = true, .tables = 1};
    uint64_t        salt = s->schema->tables[0].salt, id = t * MANY / 2;
    net_message     m;

    for (int n = 0; n < MANY; id++)
        if (hash_shard_of_bucket(hash_bucket(hash_id(salt, id)), 2) == 0)
            ids[n++] = id;
    q.table[0] = (wire_ids){MANY, ids, NULL};
    must(wire_encode_request(&m, &h, &q));
    tell(s, 0, &m);
    m = await(s, WIRE_ROWS, saved);
    net_message_clear(&m);
    h.kind     = WIRE_PUSH;
    p.table[0] = (wire_values){.n = MANY, .dim = 2};
    must(wire_prepare_push(&m, &h, &p));
    for (int i = 0; i < MANY * 2; i++)
        p.table[0].values[i] = (real)i / 64;
    wire_seal(&m);
    tell(s, 0, &m);
}

static void ask_save(site *s, uint64_t step, const char *folder)
{
    wire_header h = {WIRE_SAVE, 1, 0, step};
    wire_text   t = {.text = folder, .bytes = (uint32_t)strlen(folder)};
    net_message m;

    must(wire_encode_text(&m, &h, &t));
    tell(s, 0, &m);
}

static bool has_file(const char *name)
{
    return access(inside(name), F_OK) == 0;
}

static void steps_go_on_while_a_checkpoint_is_written(void **unused)
{
    (void)unused;
    site        s;
    uint64_t    t = 0;
    bool        saved = false;
    net_message m;

    must(site_start(&s, "inproc://test-server-%d", NULL));
    dial(&s);
    begin(&s, 0);
    for (; t < 20; t++)
        crowded_step(&s, t, &saved);
    for (int n = 0; n < 3; n++) {
        saved = false;
        ask_save(&s, t, room);
        m = await(&s, WIRE_DONE, &saved);
        net_message_clear(&m);
        for (int steps = 0; !saved && steps < 2000; steps++)
            crowded_step(&s, t++, &saved);
        assert_true(saved);
        assert_true(has_file("shard-0000-of-0002.safetensors"));
    }
    site_end(&s);
}

/* A new generation, and the end of the server, do not wait for SAVED to be told. */
static void a_checkpoint_under_way_is_given_up(void **unused)
{
    (void)unused;
    for (int ends = 0; ends < 2; ends++) {
        site        s;
        bool        saved = false;
        wire_header h     = {WIRE_BEGIN, 2, 0, 0};
        wire_begin  b     = {.workers = 1, .real_bytes = sizeof(real)};
        net_message m;
        must(site_start(&s, "inproc://test-server-%d", NULL));
        dial(&s);
        begin(&s, 0);
        for (uint64_t t = 0; t < 20; t++)
            crowded_step(&s, t, &saved);
        ask_save(&s, 20, room);
        m = await(&s, WIRE_DONE, &saved);
        net_message_clear(&m);
        if (!ends) {
            must(wire_encode_begin(&m, &h, &b));
            tell(&s, 0, &m);
            m = await(&s, WIRE_DONE, &saved);
            net_message_clear(&m);
        }
        site_end(&s);
        assert_false(has_file("shard-0000-of-0002.safetensors.tmp"));
    }
}

static void a_server_that_cannot_start_says_why_and_leaves_nothing(void **unused)
{
    (void)unused;
    site s;

    assert_int_not_equal(site_start(&s, "inproc://test-server-%d", "/nowhere/counts"), OK);
    assert_non_null(strstr(err_text(), "/nowhere/counts"));
    site_end(&s);
    assert_int_not_equal(site_start(&s, "tcp://127.0.0.1:notaport", NULL), OK);
    assert_non_null(strstr(err_text(), "notaport"));
    site_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_serve_inside_the_process),
        cmocka_unit_test(shards_serve_over_sockets),
        cmocka_unit_test(a_pulse_goes_on_without_messages),
        cmocka_unit_test(steps_go_on_while_a_checkpoint_is_written),
        cmocka_unit_test(a_checkpoint_under_way_is_given_up),
        cmocka_unit_test(a_server_that_cannot_start_says_why_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, room_open, room_close);
}
