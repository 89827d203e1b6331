/* A coordinator in a process of its own, its job's processes, and a peer who says again what
 * was said in other generations of the run, and in this one by others: he learns nothing, and
 * the job goes to its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "common/log.h"
#include "common/wire.h"
#include "launch/control.h"
#include "launch/coordinator.h"
#include "launch/run_key.h"
#include "tests/must.h"
#include "tests/room.h"

enum { WORKERS = 2, MEMBERS = WORKERS + 1, WAIT_MS = 10000, GENERATIONS = 3 };

static const char yaml[] = "tables: {t: {dim: 2}}\n"
                           "features: {f: {table: t}}\n"
                           "model: {kind: lr, candidate: [f]}\n"
                           "data: {train: [none]}\n"
                           "cluster: {servers: 1, workers: 2, shards: 1}\n";

static const char shard_endpoint[] = "ipc://@dips-test-coordinator-shard";

/* ---- the coordinator's process ---- */

static void tell_endpoint(void *self, const char *endpoint)
{
    char text[NET_ENDPOINT_MAX] = "";

    snprintf(text, sizeof text, "%s", endpoint);
    if (write(*(int *)self, text, sizeof text) != sizeof text)
        _exit(98);
}

_Noreturn static void coordinate(const char *key, int pipe)
{
    const coordinator_options o = {
        .listen = "127.0.0.1:*", .listening = tell_endpoint, .self = &pipe};
    run_folder held = {.lock = -1};
    launch     l    = {.folder = room, .key = key, .held = &held};
    config    *c;
    schema    *s;

    if (!freopen(inside("said"), "w", stdout) || !freopen(inside("log"), "w", stderr))
        _exit(98);
    err_t err = config_parse(&c, "run.yaml", yaml, sizeof yaml - 1, 0, NULL);
    if (err == OK)
        err = schema_new(&s, c);
    if (err == OK) {
        l.config = c;
        l.schema = s;
        err      = coordinator_run(&l, &o);
    }
    if (err != OK)
        fprintf(stderr, "%s\n", err_text());
    fflush(NULL);
    _exit(err_exit_status(err));
}

typedef struct coordinating {
    pid_t pid;
    char  endpoint[NET_ENDPOINT_MAX];
} coordinating;

static void begin(coordinating *c, const char *key)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    c->pid = fork();
    assert_true(c->pid >= 0);
    if (c->pid == 0)
        coordinate(key, ends[1]);
    close(ends[1]);
    assert_int_equal(read(ends[0], c->endpoint, sizeof c->endpoint), sizeof c->endpoint);
    close(ends[0]);
}

/* ---- who says it again ---- */

typedef struct peer {
    net             *net;
    net_link        *link;
    const transport *wire;
    int              sent, hellos, refused;
} peer;

static void dial(peer *p, const coordinating *c, const char *key)
{
    const char *endpoint = c->endpoint;

    *p = (peer){0};
    must(run_key_net(&p->net, key));
    must(net_dial(&p->link, p->net, 1, &endpoint));
    p->wire = net_link_transport(p->link);
}

static void hang_up(peer *p)
{
    net_link_close(&p->link);
    net_free(&p->net);
}

static void say(peer *p, net_message *m)
{
    must(p->wire->send(p->wire->self, 0, m, WAIT_MS));
    p->sent++;
}

static void say_hello(peer *p, uint32_t generation, wire_role role, uint32_t index)
{
    static const char host[]                  = "elsewhere";
    const char        at[1][NET_ENDPOINT_MAX] = {"tcp://127.0.0.1:1"};
    const wire_header h                       = {WIRE_HELLO, generation, index, 0};
    const wire_hello  hello                   = {.role        = role,
                                                 .index       = index,
                                                 .pid         = 1,
                                                 .host        = host,
                                                 .host_bytes  = sizeof host - 1,
                                                 .n_endpoints = role == WIRE_SERVER,
                                                 .endpoints   = at};
    net_message       m;

    must(wire_encode_hello(&m, &h, &hello));
    say(p, &m);
    p->hellos++;
}

static void say_text(peer *p, wire_kind kind, uint32_t generation, uint32_t index, int status)
{
    const wire_header h = {kind, generation, index, 7};
    const wire_text   t = {.status = (uint32_t)status, .text = "it is over", .bytes = 10};
    net_message       m;

    must(wire_encode_text(&m, &h, &t));
    say(p, &m);
}

static void say_beat(peer *p, uint32_t generation, uint32_t index)
{
    const wire_header h = {WIRE_BEAT, generation, index, 9};
    net_message       m;

    must(wire_encode_empty(&m, &h));
    say(p, &m);
}

static void say_welcome(peer *p, uint32_t generation)
{
    const wire_header  h                       = {WIRE_WELCOME, generation, 0, 0};
    const char         at[1][NET_ENDPOINT_MAX] = {"tcp://127.0.0.1:1"};
    const wire_welcome w                       = {.n_endpoints = 1, .endpoints = at};
    net_message        m;

    must(wire_encode_welcome(&m, &h, &w));
    say(p, &m);
}

/* All that a process of the job, or its coordinator, may have said in that generation. */
static void say_all(peer *p, uint32_t generation)
{
    for (uint32_t index = 0; index <= WORKERS; index++) {
        say_hello(p, generation, WIRE_WORKER, index);
        say_hello(p, generation, WIRE_SERVER, index);
        say_beat(p, generation, index);
        say_text(p, WIRE_BYE, generation, index, 0);
        say_text(p, WIRE_BYE, generation, index, err_exit_status(ERR_DEATH));
        say_text(p, WIRE_END, generation, index, err_exit_status(ERR_DEATH));
    }
    say_welcome(p, generation);
}

/* Every HELLO is answered, by a refusal; nothing else is. */
static void hear_refusals(peer *p)
{
    while (p->refused < p->hellos) {
        net_message m = {0};
        wire_header h;
        wire_text   t;
        int         from;
        must(p->wire->receive(p->wire->self, &from, &m, WAIT_MS));
        assert_non_null(m.data);
        must(wire_open(&h, &m));
        assert_int_equal(h.kind, WIRE_END);
        must(wire_decode_text(&t, &m));
        assert_int_equal(t.status, err_exit_status(ERR_USAGE));
        net_message_clear(&m);
        p->refused++;
    }
}

/* ---- the job's processes, all of them here ---- */

static void come(control *all[MEMBERS], net *n, const coordinating *c, const char *key)
{
    const char *shard = shard_endpoint;

    for (int i = 0; i < MEMBERS; i++) {
        const control_options o = {.coordinator       = c->endpoint,
                                   .role              = i ? WIRE_WORKER : WIRE_SERVER,
                                   .index             = i ? (uint32_t)i - 1 : 0,
                                   .n_endpoints       = i ? 0 : 1,
                                   .endpoints         = &shard,
                                   .key               = key,
                                   .heartbeat_timeout = 20};
        must(control_open(&all[i], n, &o));
    }
    for (int i = 0; i < MEMBERS; i++) {
        control_welcome w;
        must(control_wait_welcome(all[i], 0, &w, 10));
        assert_int_equal(w.generation, 0);
        assert_int_equal(w.n, 1);
        assert_string_equal(w.endpoints[0], shard_endpoint);
        free(w.endpoints);
    }
}

static void leave(control *all[MEMBERS])
{
    bool ended = false;

    for (int i = 0; i < MEMBERS; i++) {
        must(control_stop(all[i]));
        assert_int_equal(control_generation(all[i]), 0);
    }
    for (int i = 1; i < MEMBERS; i++)
        control_close(&all[i], 0, i == 1 ? "the work is done\n" : "");
    control_wait_end(all[0], 10, &ended);
    assert_true(ended);
    control_close(&all[0], 0, "");
}

static void replay_to(const char *key)
{
    coordinating c;
    peer         early, late;
    control     *all[MEMBERS];
    net         *n;
    int          status;

    begin(&c, key);
    must(run_key_net(&n, key));
    dial(&early, &c, key);
    for (uint32_t generation = 1; generation <= GENERATIONS; generation++)
        say_all(&early, generation); /* before anybody has come */
    hear_refusals(&early);
    come(all, n, &c, key);
    dial(&late, &c, key);
    for (int again = 0; again < 2; again++)
        for (uint32_t generation = 0; generation <= GENERATIONS; generation++) {
            say_all(&early, generation);
            say_all(&late, generation);
        }
    hear_refusals(&early);
    hear_refusals(&late);
    leave(all);
    assert_int_equal(waitpid(c.pid, &status, 0), c.pid);
    char *said = read_bytes(inside("said"), NULL);
    if (status != 0)
        fail_msg("the coordinator ended with %d: %s", status, read_bytes(inside("log"), NULL));
    assert_string_equal(said, "the work is done\n");
    free(said);
    printf("%d messages were said again, %d of them HELLO\n", early.sent + late.sent,
           early.hellos + late.hellos);
    hang_up(&early);
    hang_up(&late);
    net_free(&n);
}

static void an_open_coordinator_is_told_it_again_and_goes_on(void **unused)
{
    (void)unused;
    replay_to(NULL);
}

static void so_does_a_closed_one_where_he_has_the_key(void **unused)
{
    (void)unused;
    replay_to(inside("key"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_coordinator_is_told_it_again_and_goes_on),
        cmocka_unit_test(so_does_a_closed_one_where_he_has_the_key),
    };
    log_threshold(LOG_ERROR); /* drops are meant here */
    return cmocka_run_group_tests(tests, room_open, room_close);
}
