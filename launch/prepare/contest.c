#include "launch/prepare/contest.h"

#include <stdio.h>
#include <string.h>

#include "common/rng.h"

#define TEXT_MOST 1024 /* bytes of "FIELD=text" */

const char *const contest_tables[CONTEST_TABLES] = {"value"};

err_t contest_begin_sample(contest *c)
{
    rng chance = rng_named(c->seed, RNG_PREPARE, c->samples++, 0);

    return output_split(c->out, rng_uniform(&chance) < c->test_part ? "test" : "train", &c->to);
}

err_t contest_write(contest *c, int column, const char *name, field text)
{
    char     whole[TEXT_MOST];
    size_t   n = strlen(name) + 1;
    uint64_t id;

    if (n + text.n > sizeof whole)
        return err_set(ERR_DATA, "%s has %zu bytes, wanted at most %zu", name, text.n,
                       sizeof whole - n);
    snprintf(whole, sizeof whole, "%s=", name);
    if (text.n > 0)
        memcpy(whole + n, text.at, text.n);
    TRY(names_see(c->names, (field){whole, n + text.n}, &id));
    return shard_writer_u64(c->to, column, &id, 1);
}

err_t contest_label(field f, float *label)
{
    if (!field_is(f, "0") && !field_is(f, "1"))
        return err_set(ERR_DATA, "label '%.*s' is neither 0 nor 1", field_shown(f), f.at);
    *label = f.at[0] == '1';
    return OK;
}

static err_t convert(contest *c,
                     err_t (*parse)(void *self, char *line, size_t n, uint64_t number),
                     void *self)
{
    TRY(raw_lines_each(c->in, &c->bad, parse, self));
    if (c->samples == 0)
        return err_set(ERR_DATA, "%s has no samples", c->in);
    return names_write(c->names, contest_tables[0], NULL);
}

err_t contest_run(contest *c, const prepare_options *o, const shard_column *columns,
                  int n_columns,
                  err_t (*parse)(void *self, char *line, size_t n, uint64_t number), void *self)
{
    err_t err = output_open(&c->out, o, contest_tables, CONTEST_TABLES, columns, n_columns);

    if (err == OK)
        err = names_new(&c->names, output_memory(c->out), output_folder(c->out));
    if (err == OK)
        err = convert(c, parse, self);
    names_free(&c->names);
    if (err == OK)
        err = output_finish(&c->out);
    output_abandon(&c->out);
    raw_lines_report_skipped(err, &c->bad);
    return err;
}
