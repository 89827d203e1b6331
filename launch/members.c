#include "launch/members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

err_t members_init(members *m, int servers, int workers)
{
    size_t n = (size_t)servers + (size_t)workers;

    *m    = (members){.servers = servers, .workers = workers};
    m->at = calloc(n, sizeof *m->at);
    if (!m->at)
        return err_memory(n * sizeof *m->at, "the list of processes");
    for (int i = 0; i < members_count(m); i++)
        m->at[i] = (member){.role    = i < servers ? WIRE_SERVER : WIRE_WORKER,
                            .index   = i < servers ? i : i - servers,
                            .process = {.pidfd = -1}};
    return OK;
}

void members_clear(members *m)
{
    for (int i = 0; m->at && i < members_count(m); i++)
        member_vacate(&m->at[i], 0);
    free(m->at);
    *m = (members){0};
}

int members_count(const members *m)
{
    return m->servers + m->workers;
}

member *members_find(members *m, wire_role role, uint32_t index)
{
    if (role == WIRE_SERVER)
        return index < (uint32_t)m->servers ? &m->at[index] : NULL;
    return index < (uint32_t)m->workers ? &m->at[m->servers + (int)index] : NULL;
}

member *members_find_peer(members *m, uint64_t peer)
{
    for (int i = 0; i < members_count(m); i++)
        if (m->at[i].here && m->at[i].peer == peer)
            return &m->at[i];
    return NULL;
}

err_t member_here(member *m, uint64_t peer, const wire_hello *hello, int64_t now)
{
    char own[256] = "";

    m->endpoints = calloc((size_t)hello->n_endpoints + 1, sizeof *m->endpoints);
    if (!m->endpoints)
        return err_memory((size_t)hello->n_endpoints * sizeof *m->endpoints, "endpoints");
    for (uint32_t i = 0; i < hello->n_endpoints; i++)
        memcpy(m->endpoints[i], hello->endpoints[i], sizeof m->endpoints[i]);
    m->n_endpoints = (int)hello->n_endpoints;
    snprintf(m->host, sizeof m->host, "%.*s", (int)hello->host_bytes, hello->host);
    m->here = true;
    m->peer = peer;
    m->pid  = (long)hello->pid;
    silence_heard(&m->silence, now);
    silence_heard(&m->stillness, now);
    gethostname(own, sizeof own - 1);
    if (m->process.pid == 0 && !strcmp(own, m->host))
        process_watch(&m->process, (pid_t)hello->pid);
    return OK;
}

err_t member_gone(member *m, const wire_text *bye)
{
    m->gone   = true;
    m->status = (int)bye->status;
    m->text   = strndup(bye->text, bye->bytes);
    return m->text ? OK : err_memory(bye->bytes, "the last words of a process");
}

void member_vacate(member *m, uint32_t generation)
{
    process_clear(&m->process);
    free(m->endpoints);
    free(m->text);
    *m = (member){
        .role = m->role, .index = m->index, .process = {.pidfd = -1}, .generation = generation};
}

void member_place(const member *m, char *text, size_t size)
{
    snprintf(text, size, "%s %d", m->role == WIRE_SERVER ? "server" : "worker", m->index);
}

void member_name(const member *m, char *text, size_t size)
{
    char place[64];

    member_place(m, place, sizeof place);
    if (m->here)
        snprintf(text, size, "%s (host %s, process %ld)", place, m->host, m->pid);
    else if (m->process.pid != 0)
        snprintf(text, size, "%s (process %ld)", place, (long)m->process.pid);
    else if (*m->host)
        snprintf(text, size, "%s (host %s)", place, m->host);
    else
        snprintf(text, size, "%s", place);
}
