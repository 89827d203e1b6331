#include "worker/warm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/log.h"

#define LINE_MOST 400 /* bytes of a list of names in one line */

/* A table: its rows come, and with or without their state. */
typedef struct table_fate {
    char        name[CONFIG_NAME_MAX], rule_there[32];
    const char *rule_here;
    warm_table  taken;
    uint64_t    rows;
} table_fate;

typedef struct dense_fate {
    char         name[2 * CONFIG_NAME_MAX];
    dense_taking taken;
} dense_fate;

struct warm_report {
    char        from[CONFIG_PATH_MAX];
    char        model[CONFIG_NAME_MAX]; /* there; "" where it is not known */
    int64_t     step;
    int         n_tables, n_dense;
    table_fate *tables;
    dense_fate *dense;
};

/* ---- taking ---- */

static bool wanted(const void *self, const char *name)
{
    return warm_start_wants(self, name);
}

/* Every pattern must meet something that was taken. */
static err_t check_patterns(const dense *d, const dense_taking *taken, const saved_cut *from,
                            const config *c, const schema *s)
{
    int          n     = 0;
    const char **names = calloc((size_t)(dense_count(d) + s->n_tables) + 1, sizeof *names);

    if (!names)
        return err_memory((size_t)dense_count(d) * sizeof *names, "the names of init.only");
    for (int i = 0; i < dense_count(d); i++)
        if (taken[i] == DENSE_TAKEN || taken[i] == DENSE_TAKEN_ANEW)
            names[n++] = dense_at(d, i)->name;
    for (int t = 0; t < s->n_tables; t++)
        if (saved_cut_find_table(from, s->tables[t].config->name) >= 0)
            names[n++] = s->tables[t].config->name;
    err_t err = warm_start_check_patterns(c, from, n, names);
    free(names);
    return err;
}

static err_t count_rows(uint64_t *rows, const saved_cut *from, const char *table)
{
    *rows = 0;
    for (int k = 0; k < from->manifest->shards; k++) {
        saved_rows one;
        err_t      err = saved_rows_open(&one, from, table, k, 0, HASH_BUCKETS);
        *rows += err == OK ? one.n : 0;
        saved_rows_close(&one);
        TRY(err);
    }
    return OK;
}

static err_t fill_table(table_fate *f, const saved_cut *from, const config *c,
                        const table_config *table)
{
    TRY(warm_start_table(&f->taken, from, c, table));
    snprintf(f->name, sizeof f->name, "%s", table->name);
    f->rule_here = config_optimizer_name(table->optimizer.kind);
    if (!warm_table_taken(&f->taken))
        return OK;
    snprintf(f->rule_there, sizeof f->rule_there, "%s", f->taken.theirs->optimizer);
    f->taken.theirs = NULL; /* it goes with the cut */
    return count_rows(&f->rows, from, table->name);
}

static err_t fill(warm_report *r, const dense *d, const dense_taking *taken,
                  const saved_cut *from, const config *c, const schema *s)
{
    r->tables = calloc((size_t)s->n_tables + 1, sizeof *r->tables);
    r->dense  = calloc((size_t)dense_count(d) + 1, sizeof *r->dense);
    if (!r->tables || !r->dense)
        return err_memory((size_t)dense_count(d) * sizeof *r->dense,
                          "the words about init.from");
    snprintf(r->from, sizeof r->from, "%s", from->folder);
    if (from->config)
        snprintf(r->model, sizeof r->model, "%s", from->config->model.kind);
    r->step = from->manifest->step;
    for (; r->n_tables < s->n_tables; r->n_tables++)
        TRY(fill_table(&r->tables[r->n_tables], from, c, s->tables[r->n_tables].config));
    for (; r->n_dense < dense_count(d); r->n_dense++) {
        dense_fate *f = &r->dense[r->n_dense];
        snprintf(f->name, sizeof f->name, "%s", dense_at(d, r->n_dense)->name);
        f->taken = taken[r->n_dense];
    }
    return OK;
}

static err_t take(dense *d, const saved_cut *from, const config *c, const schema *s,
                  dense_taking *taken, warm_report *r)
{
    char path[CONFIG_PATH_MAX + CONFIG_NAME_MAX];

    if (!r) /* once, before anything is started */
        TRY(manifest_chain_verify(&from->chain));
    for (int t = 0; t < s->n_tables; t++) {
        warm_table one;
        TRY(warm_start_table(&one, from, c, s->tables[t].config));
    }
    snprintf(path, sizeof path, "%s/dense.safetensors", from->folder);
    TRY(dense_take(d, path, warm_start_dense_state(from, c), wanted, c, taken));
    TRY(check_patterns(d, taken, from, c, s));
    return r ? fill(r, d, taken, from, c, s) : OK;
}

err_t warm_take(dense *d, const config *c, const schema *s, warm_report **out)
{
    saved_cut     from;
    warm_report  *r     = out ? calloc(1, sizeof *r) : NULL;
    dense_taking *taken = calloc((size_t)dense_count(d) + 1, sizeof *taken);
    err_t         err   = saved_cut_open(&from, c->init.from);

    if (err == OK && (!taken || (out && !r)))
        err = err_memory((size_t)dense_count(d) * sizeof *taken, "a warm start");
    if (err == OK)
        err = take(d, &from, c, s, taken, r);
    saved_cut_close(&from);
    free(taken);
    if (err != OK)
        warm_report_free(&r);
    if (out)
        *out = r;
    return err == OK ? OK : err_add(err, "init.from");
}

void warm_report_free(warm_report **r)
{
    if (!*r)
        return;
    free((*r)->tables);
    free((*r)->dense);
    free(*r);
    *r = NULL;
}

/* ---- telling ---- */

static void print_table(const table_fate *f)
{
    const char *why = !f->taken.there ? "it is not there" : "init.only leaves it out";

    if (!warm_table_taken(&f->taken))
        log_once(LOG_INFO, "  table %s begins anew: %s", f->name, why);
    else if (f->taken.state)
        log_once(LOG_INFO, "  table %s: %" PRIu64 " rows with the state of %s", f->name,
                 f->rows, f->rule_here);
    else
        log_once(LOG_INFO,
                 "  table %s: %" PRIu64 " rows; their state begins anew: %s there, %s here",
                 f->name, f->rows, f->rule_there, f->rule_here);
}

/* "  NAMES: what", in as many lines as it takes; nothing where none had this fate. */
static void print_dense(const warm_report *r, dense_taking taken, const char *what)
{
    char   line[LINE_MOST];
    size_t used = 0;

    for (int i = 0; i < r->n_dense; i++) {
        const char *name = r->dense[i].name;
        if (r->dense[i].taken != taken)
            continue;
        if (used + strlen(name) + 3 > sizeof line) {
            log_once(LOG_INFO, "  %s: %s", line, what);
            used = 0;
        }
        used +=
            (size_t)snprintf(line + used, sizeof line - used, "%s%s", used ? ", " : "", name);
    }
    if (used > 0)
        log_once(LOG_INFO, "  %s: %s", line, what);
}

void warm_report_print(const warm_report *r)
{
    log_once(LOG_INFO, "beginning with what %s holds (%s%sstep %" PRId64 ")", r->from, r->model,
             *r->model ? ", " : "", r->step);
    for (int i = 0; i < r->n_tables; i++)
        print_table(&r->tables[i]);
    print_dense(r, DENSE_TAKEN, "taken");
    print_dense(r, DENSE_TAKEN_ANEW, "taken; the state of another update rule begins anew");
    print_dense(r, DENSE_NOT_THERE, "not there, begins anew");
    print_dense(r, DENSE_NOT_WANTED, "left out by init.only");
}

err_t warm_report_log(const warm_report *r, metrics_log *log)
{
    for (int i = 0; i < r->n_tables; i++) {
        const table_fate   *f        = &r->tables[i];
        const metrics_field fields[] = {
            METRIC_TEXT("from", r->from),
            METRIC_INT("step", 0),
            METRIC_TEXT("table", f->name),
            METRIC_INT("taken", warm_table_taken(&f->taken)),
            METRIC_INT("state", f->taken.state),
            METRIC_INT("rows", (int64_t)f->rows),
        };
        TRY(metrics_log_write(log, "init", sizeof fields / sizeof *fields, fields));
    }
    for (int i = 0; i < r->n_dense; i++) {
        dense_taking        taken    = r->dense[i].taken;
        const metrics_field fields[] = {
            METRIC_TEXT("from", r->from),
            METRIC_INT("step", 0),
            METRIC_TEXT("dense", r->dense[i].name),
            METRIC_INT("taken", taken == DENSE_TAKEN || taken == DENSE_TAKEN_ANEW),
            METRIC_INT("state", taken == DENSE_TAKEN),
        };
        TRY(metrics_log_write(log, "init", sizeof fields / sizeof *fields, fields));
    }
    return OK;
}
