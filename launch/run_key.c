#include "launch/run_key.h"

#include <string.h>
#include <unistd.h>

#include "launch/run_folder.h"

/* Whether HOST:PORT can be reached from elsewhere. */
static bool is_reachable(const char *address)
{
    static const char *const loopbacks[] = {"127.", "localhost:", "lo:", "[::1]:"};

    for (size_t i = 0; i < sizeof loopbacks / sizeof *loopbacks; i++)
        if (!strncmp(address, loopbacks[i], strlen(loopbacks[i])))
            return false;
    return true;
}

err_t run_key_path(char path[CONFIG_PATH_MAX], const config *c, const char *folder,
                   const char *given, const char *listen)
{
    bool beyond = *c->cluster.hostfile || (listen && is_reachable(listen));

    *path = '\0';
    if (c->cluster.curve == CURVE_OFF)
        return given ? err_set(ERR_USAGE, "--key %s: cluster.curve is off", given) : OK;
    if (c->cluster.curve == CURVE_AUTO && !beyond && !given)
        return OK;
    if (!given)
        return run_folder_path(path, folder, RUN_FOLDER_KEY);
    if (strlen(given) >= CONFIG_PATH_MAX)
        return err_set(ERR_USAGE, "--key: the path is longer than %d bytes",
                       CONFIG_PATH_MAX - 1);
    strcpy(path, given);
    return OK;
}

err_t run_key_net(net **out, const char *path)
{
    net_key key;

    *out = NULL;
    if (!path)
        return net_new(out);
    TRY(net_key_read(&key, path));
    err_t err = net_new_closed(out, &key);
    net_key_forget(&key);
    return err;
}

static err_t make(const char *path)
{
    net_key key;

    TRY(net_key_new(&key));
    err_t err = net_key_write(&key, path);
    net_key_forget(&key);
    return err;
}

err_t run_key_make_net(net **out, const char *path)
{
    *out = NULL;
    if (path && access(path, F_OK) != 0)
        TRY(make(path));
    return run_key_net(out, path);
}
