#include "launch/starter.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launch/lines.h"
#include "launch/run_folder.h"

static err_t start_line(coordinator *c, process *p, words *w, err_t built, const char *log,
                        int out)
{
    int   descriptor;
    err_t err = built;

    if (err == OK)
        err = run_folder_log(c->launch->folder, log, &descriptor);
    if (err == OK) {
        const process_options o = {.argv         = w->at,
                                   .out          = out >= 0 ? out : descriptor,
                                   .err          = descriptor,
                                   .death_signal = SIGTERM};
        err                     = process_start(p, &o);
        close(descriptor);
    }
    words_clear(w);
    return err;
}

/* What the lines of this generation of the run are made of. */
static launch launch_now(const coordinator *c)
{
    launch l = *c->launch;

    l.generation = c->generation;
    l.workers    = c->members.workers;
    l.hostfile   = *c->hostfile ? c->hostfile : NULL;
    l.hosts      = c->hosts.n > 0 ? &c->hosts : NULL;
    return l;
}

err_t starter_server(coordinator *c, int index)
{
    const launch l = launch_now(c);
    words        w;
    char         log[32], session[CONFIG_PATH_MAX];

    snprintf(log, sizeof log, "server-%d", index);
    TRY(leftovers_session(session, &c->leftovers, log));
    if (l.hosts)
        c->members.at[index].host_index = hosts_of_server(l.hosts, index);
    err_t built = lines_server(&w, &l, c->leftovers.endpoint, index, session);
    return start_line(c, &c->members.at[index].process, &w, built, log, -1);
}

err_t starter_question(coordinator *c, const char *host, int i, process *p)
{
    words w;
    char  name[32], session[CONFIG_PATH_MAX];

    if (!process_program_exists("mpirun"))
        return err_set(ERR_SYSTEM, "hosts are asked by mpirun, which is not installed (Debian: "
                                   "apt-get install openmpi-bin)");
    snprintf(name, sizeof name, "host-%d", i);
    TRY(leftovers_session(session, &c->leftovers, name));
    return start_line(c, p, &w, lines_question(&w, c->launch->config, host, session), "hosts",
                      -1);
}

/* What mpirun passes on is worker 0's, for the user's eyes; its own words go to a log. */
err_t starter_workers(coordinator *c)
{
    const leftovers *l   = &c->leftovers;
    const launch     now = launch_now(c);
    words            w;

    if (lines_need_mpirun(c->launch->config)) {
        if (!process_program_exists("mpirun"))
            return err_set(ERR_SYSTEM,
                           "%d workers need mpirun, which is not installed (Debian: "
                           "apt-get install openmpi-bin)",
                           c->members.workers);
        struct stat st;
        char        log[CONFIG_PATH_MAX], session[CONFIG_PATH_MAX];
        TRY(run_folder_path(log, c->launch->folder, "logs/mpirun.log"));
        TRY(leftovers_session(session, l, "workers"));
        c->log_begin = stat(log, &st) == 0 ? st.st_size : 0;
        bool  away   = lines_leave_host(c->launch->config);
        err_t built  = lines_workers(&w, &now, l->endpoint, session,
                                    away || !*l->shared_memory ? NULL : l->shared_memory);
        return start_line(c, &c->mpirun, &w, built, "mpirun", STDERR_FILENO);
    }
    member *m     = members_find(&c->members, WIRE_WORKER, 0);
    err_t   built = lines_workers(&w, &now, l->endpoint, NULL, NULL);
    return start_line(c, &m->process, &w, built, "worker-0", STDERR_FILENO);
}
