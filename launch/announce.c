#include "launch/announce.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "launch/shards.h"

#define BEAT_NS (NS_PER_S / 2)
#define SEND_MS 500

static void send_to(coordinator *c, member *m, err_t encoded, net_message *message)
{
    if (encoded != OK || net_listener_send(c->listener, m->peer, message, SEND_MS) != OK)
        log_each(LOG_DEBUG, "to %s %d: %s", m->role == WIRE_SERVER ? "server" : "worker",
                 m->index, err_text());
}

bool announce_reaches(const member *m)
{
    return m->here && !m->gone;
}

void announce_end(coordinator *c, member *m, int status, const char *text)
{
    wire_header h = {.kind = WIRE_END};
    wire_text   t = {.status = (uint32_t)status, .text = text, .bytes = (uint32_t)strlen(text)};
    net_message message;

    send_to(c, m, wire_encode_text(&message, &h, &t), &message);
}

void announce_beats(coordinator *c)
{
    wire_header h   = {.kind = WIRE_BEAT};
    int64_t     now = clock_now(c->clock);
    net_message message;

    watchdog_beat(&c->watchdog);
    if (now - c->beaten < BEAT_NS)
        return;
    c->beaten = now;
    for (int i = 0; i < members_count(&c->members); i++)
        if (announce_reaches(&c->members.at[i]))
            send_to(c, &c->members.at[i], wire_encode_empty(&message, &h), &message);
}

err_t announce_welcome(coordinator *c)
{
    int n = 0, shards = c->members.servers > 0 ? shards_total(c->launch->config) : 0;
    char(*endpoints)[NET_ENDPOINT_MAX] = calloc((size_t)shards + 1, sizeof *endpoints);

    if (!endpoints)
        return err_memory((size_t)shards * sizeof *endpoints, "the endpoints of the shards");
    for (int i = 0; i < c->members.servers; i++)
        for (int k = 0; k < c->members.at[i].n_endpoints && n < shards; k++)
            memcpy(endpoints[n++], c->members.at[i].endpoints[k], sizeof *endpoints);
    wire_header  h = {.kind = WIRE_WELCOME, .generation = c->generation};
    wire_welcome w = {.n_endpoints = (uint32_t)n,
                      .endpoints   = (const char(*)[NET_ENDPOINT_MAX])endpoints};
    net_message  message;
    for (int i = 0; i < members_count(&c->members); i++)
        if (announce_reaches(&c->members.at[i]))
            send_to(c, &c->members.at[i], wire_encode_welcome(&message, &h, &w), &message);
    free(endpoints);
    c->welcomed = c->begun = true;
    return OK;
}
