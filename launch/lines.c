#include "launch/lines.h"

#include <stdio.h>
#include <unistd.h>

#include "launch/process.h"

bool lines_leave_host(const config *c)
{
    return *c->cluster.hostfile != '\0';
}

bool lines_need_mpirun(const config *c)
{
    return c->cluster.workers > 1 || lines_leave_host(c);
}

/* ---- hosts ---- */

/* The host of server index: the hosts in turn. */
static err_t find_host(char host[256], const launch *l, int index)
{
    hosts all = {0};

    if (l->hosts) {
        snprintf(host, 256, "%s", l->hosts->at[hosts_of_server(l->hosts, index)].name);
        return OK;
    }
    err_t err = hosts_read(&all, l->config->cluster.hostfile);
    if (err == OK)
        snprintf(host, 256, "%s", all.at[hosts_of_server(&all, index)].name);
    hosts_clear(&all);
    return err;
}

/* ---- mpirun ---- */

static void mca(words *w, const char *key, const char *value)
{
    words_add(w, "--mca");
    words_add(w, "%s", key);
    words_add(w, "%s", value);
}

/* mpirun up to -n: quiet about roots and cores, and on its own network. */
static void add_mpirun(words *w, const config *c, const char *session,
                       const char *shared_memory)
{
    const char *interface = lines_leave_host(c) ? c->cluster.interface : "lo";

    if (session) {
        words_add(w, "env");
        words_add(w, "TMPDIR=%s", session);
    }
    words_add(w, "mpirun");
    if (geteuid() == 0)
        words_add(w, "--allow-run-as-root");
    words_add(w, "--oversubscribe");
    words_add(w, "--bind-to");
    words_add(w, "none");
    /* Open MPI's tcp listens at every interface, whichever it is told to use. */
    mca(w, "btl", lines_leave_host(c) ? "self,vader,tcp" : "self,vader");
    if (lines_leave_host(c) && *interface)
        mca(w, "btl_tcp_if_include", interface);
    if (*interface)
        mca(w, "oob_tcp_if_include", interface);
    if (lines_leave_host(
            c)) { /* a daemon of mpirun whose network is gone ends in 16 s, not 8 min */
        mca(w, "oob_tcp_keepalive_time", "10");
        mca(w, "oob_tcp_keepalive_intvl", "2");
        mca(w, "oob_tcp_keepalive_probes", "3");
    }
    mca(w, "btl_vader_single_copy_mechanism", "none"); /* needs ptrace rights in containers */
    if (shared_memory)
        mca(w, "btl_vader_backing_directory", shared_memory);
    mca(w, "mpi_yield_when_idle", "1");
    words_add(w, "-x");
    words_add(w, "OPENBLAS_NUM_THREADS=1");
}

/* mpirun of one process, up to its program. */
static void add_launcher(words *w, const config *c, const char *host, const char *session)
{
    add_mpirun(w, c, session, NULL);
    words_add(w, "--host");
    words_add(w, "%s", host);
    words_add(w, "-n");
    words_add(w, "1");
}

/* ---- the lines ---- */

static void add_key(words *w, const launch *l)
{
    if (!l->key)
        return;
    words_add(w, "--key");
    words_add(w, "%s", l->key);
}

static void add_role(words *w, const char *dips, const char *role, const launch *l,
                     const char *coordinator)
{
    words_add(w, "%s", dips);
    words_add(w, "%s", role);
    words_add(w, "--coordinator");
    words_add(w, "%s", coordinator);
    words_add(w, "--folder");
    words_add(w, "%s", l->folder);
    if (l->generation > 0) {
        words_add(w, "--generation");
        words_add(w, "%u", l->generation);
    }
    add_key(w, l);
}

err_t lines_server(words *w, const launch *l, const char *coordinator, int index,
                   const char *session)
{
    char dips[4096], host[256];

    *w = (words){0};
    TRY(process_own_path(dips, sizeof dips));
    if (lines_leave_host(l->config)) {
        TRY(find_host(host, l, index));
        add_launcher(w, l->config, host, session);
    }
    add_role(w, dips, "server", l, coordinator);
    words_add(w, "--index");
    words_add(w, "%d", index);
    return words_check(w);
}

err_t lines_question(words *w, const config *c, const char *host, const char *session)
{
    *w = (words){0};
    add_launcher(w, c, host, session);
    words_add(w, "true");
    return words_check(w);
}

err_t lines_workers(words *w, const launch *l, const char *coordinator, const char *session,
                    const char *shared_memory)
{
    char dips[4096];
    int  workers = l->workers ? l->workers : l->config->cluster.workers;

    *w = (words){0};
    TRY(process_own_path(dips, sizeof dips));
    if (lines_need_mpirun(l->config)) {
        add_mpirun(w, l->config, session, shared_memory);
        if (lines_leave_host(l->config)) {
            words_add(w, "--hostfile");
            words_add(w, "%s", l->hostfile ? l->hostfile : l->config->cluster.hostfile);
        }
        words_add(w, "-n");
        words_add(w, "%d", workers);
    } else {
        words_add(w, "env");
        words_add(w, "OPENBLAS_NUM_THREADS=1");
    }
    add_role(w, dips, "worker", l, coordinator);
    if (workers != l->config->cluster.workers) {
        words_add(w, "--workers");
        words_add(w, "%d", workers);
    }
    words_add(w, "--columns");
    words_add(w, "%d", l->columns);
    words_add(w, "--task");
    words_add(w, "%s", task_name(l->task.kind));
    if (l->task.checkpoint) {
        words_add(w, "--checkpoint");
        words_add(w, "%s", l->task.checkpoint);
    }
    if (l->task.out) {
        words_add(w, "--out");
        words_add(w, "%s", l->task.out);
    }
    if (l->task.json)
        words_add(w, "--json");
    return words_check(w);
}

static err_t print_line(words *w, err_t err, FILE *to)
{
    if (err == OK)
        words_print(w, to);
    words_clear(w);
    return err;
}

/* The words that begin `dips train` of this run. */
static err_t begin_train(words *w, const launch *l, const char *source)
{
    char dips[4096];

    *w = (words){0};
    TRY(process_own_path(dips, sizeof dips));
    words_add(w, "%s", dips);
    words_add(w, "train");
    words_add(w, "%s", source);
    words_add(w, "--run");
    words_add(w, "%s", l->folder);
    return OK;
}

static err_t end_train(words *w, int n, char *const *words_given, FILE *to)
{
    for (int i = 0; i < n; i++)
        words_add(w, "%s", words_given[i]);
    return print_line(w, words_check(w), to);
}

err_t lines_print_alone(const launch *l, const char *source, int n, char *const *words_given,
                        FILE *to)
{
    words w;

    TRY(begin_train(&w, l, source));
    fprintf(to, "# one process:\n");
    return end_train(&w, n, words_given, to);
}

err_t lines_print(const launch *l, const char *source, int n, char *const *words_given,
                  const char *listen, FILE *to)
{
    char  endpoint[512];
    words w;

    snprintf(endpoint, sizeof endpoint, "tcp://%s", listen);
    TRY(begin_train(&w, l, source));
    words_add(&w, "--attach");
    words_add(&w, "--listen");
    words_add(&w, "%s", listen);
    add_key(&w, l);
    fprintf(to, "# the coordinator, which waits for the others:\n");
    TRY(end_train(&w, n, words_given, to));
    for (int k = 0; k < l->config->cluster.servers; k++) {
        fprintf(to, "# server %d:\n", k);
        TRY(print_line(&w, lines_server(&w, l, endpoint, k, NULL), to));
    }
    fprintf(to, "# the workers:\n");
    return print_line(&w, lines_workers(&w, l, endpoint, NULL, NULL), to);
}
