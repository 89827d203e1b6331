#include "launch/hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/vec.h"

#define SLOTS_MOST 100000

/* N of the word slots=N; 1 where there is none, or it makes no sense (mpirun says so). */
static int slots_of(const char *line)
{
    const char *word = strstr(line, "slots=");

    while (word && word > line && word[-1] != ' ' && word[-1] != '\t') /* max_slots=N */
        word = strstr(word + 1, "slots=");
    long slots = word ? strtol(word + strlen("slots="), NULL, 10) : 1;
    return slots >= 1 && slots <= SLOTS_MOST ? (int)slots : 1;
}

/* A line that names no host adds none. */
static err_t add_line(hosts *h, size_t *capacity, const char *line)
{
    hosts_line x = {.slots = slots_of(line), .there = true};

    if (sscanf(line, " %255s", x.name) != 1 || *x.name == '#')
        return OK;
    TRY(vec_grow(&h->at, capacity, sizeof *h->at, (size_t)h->n + 1));
    x.line = strndup(line, strcspn(line, "\r\n"));
    if (!x.line)
        return err_memory(strlen(line), "the list of hosts");
    h->at[h->n++] = x;
    return OK;
}

err_t hosts_read(hosts *h, const char *path)
{
    FILE  *f        = fopen(path, "re");
    char  *line     = NULL;
    size_t capacity = 0, room = 0;
    err_t  err = OK;

    *h = (hosts){0};
    if (!f)
        return err_errno("cluster.hostfile: opening %s", path);
    while (err == OK && getline(&line, &room, f) > 0)
        err = add_line(h, &capacity, line);
    free(line);
    fclose(f);
    if (err == OK && h->n == 0)
        err = err_set(ERR_CONFIG, "cluster.hostfile: %s names no host", path);
    return err;
}

void hosts_clear(hosts *h)
{
    for (int i = 0; i < h->n; i++)
        free(h->at[i].line);
    free(h->at);
    *h = (hosts){0};
}

int hosts_there(const hosts *h)
{
    int n = 0;

    for (int i = 0; i < h->n; i++)
        n += h->at[i].there;
    return n;
}

int hosts_of_server(const hosts *h, int server)
{
    int home = server % h->n, left = server % hosts_there(h);

    for (int i = 0; i < h->n && !h->at[home].there; i++)
        if (h->at[i].there && left-- == 0)
            return i;
    return home;
}

int hosts_workers(const hosts *h, int workers)
{
    int64_t all = 0, there = 0;

    for (int i = 0; i < h->n; i++) {
        all += h->at[i].slots;
        there += h->at[i].there ? h->at[i].slots : 0;
    }
    int64_t places = all < workers ? (there * workers + all - 1) / all : there;
    return places < workers ? (int)places : workers;
}

err_t hosts_write(const hosts *h, const char *path)
{
    FILE *f = fopen(path, "we");

    if (!f)
        return err_errno("writing %s", path);
    for (int i = 0; i < h->n; i++)
        if (h->at[i].there)
            fprintf(f, "%s\n", h->at[i].line);
    bool bad = ferror(f) != 0;
    return fclose(f) != 0 || bad ? err_errno("writing %s", path) : OK;
}

void hosts_missing(const hosts *h, char *text, size_t size)
{
    size_t used = 0;

    *text = '\0';
    for (int i = 0; i < h->n && used < size; i++)
        if (!h->at[i].there)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
                                     h->at[i].name);
}
