/* `dips checkpoint diff`: in what two checkpoints differ, in words and in JSON. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "launch/checkpoint/differ.h"
#include "launch/checkpoint/tools.h"
#include "launch/flags.h"

/* ---- in words ---- */

static void print_fields(const difference *d)
{
    for (size_t i = 0; i < d->fields.n; i++) {
        const field_difference *f = &d->fields.at[i];
        printf("manifest: %s %s against %s%s\n", f->name, f->a, f->b,
               f->counts ? "" : " (no difference in what is held)");
    }
}

/* A line about a tensor that differs. */
static void print_tensor(const char *before, const tensor_difference *t, const char *unit)
{
    if (!strcmp(t->name, "sketch"))
        unit = "buckets";

    printf("%s%s: ", before, t->name);
    if (t->only_a || t->only_b)
        printf("only in %s\n", t->only_a ? "A" : "B");
    else if (*t->form)
        printf("%s\n", t->form);
    else
        printf("%s of %s %s differ, by %.3g at most\n", tool_count(t->different).at,
               tool_count(t->compared).at, unit, t->largest);
}

static void print_table(const table_difference *t)
{
    if (t->only_a || t->only_b) {
        printf("table %s: only in %s\n", t->name, t->only_a ? "A" : "B");
        return;
    }
    printf("table %s: %s rows only in A, %s only in B, %s in both, of which %s differ\n",
           t->name, tool_count(t->rows_a).at, tool_count(t->rows_b).at,
           tool_count(t->rows_both).at, tool_count(t->different).at);
    for (size_t i = 0; i < t->columns.n; i++)
        if (tensor_differs(&t->columns.at[i]))
            print_tensor("  ", &t->columns.at[i], "rows");
}

static void print_words(const difference *d)
{
    print_fields(d);
    for (size_t i = 0; i < d->tables.n; i++)
        print_table(&d->tables.at[i]);
    for (size_t i = 0; i < d->dense.n; i++)
        print_tensor("dense ", &d->dense.at[i], "numbers");
    printf("dense: %s tensors in both, %zu differ\n", tool_count(d->dense_compared).at,
           d->dense.n);
    printf("%s\n", d->any ? "different" : "equal");
}

/* ---- in JSON ---- */

static json_t *number_or_null(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *json_of_tensor(const tensor_difference *t)
{
    return json_pack("{s:s, s:b, s:b, s:s, s:I, s:I, s:o}", "name", t->name, "only_a",
                     t->only_a, "only_b", t->only_b, "form", t->form, "compared",
                     (json_int_t)t->compared, "different", (json_int_t)t->different, "largest",
                     number_or_null(t->largest));
}

static json_t *json_of_table(const table_difference *t)
{
    json_t *columns = json_array();

    for (size_t i = 0; i < t->columns.n; i++)
        json_array_append_new(columns, json_of_tensor(&t->columns.at[i]));
    return json_pack("{s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:o}", "name", t->name, "only_a",
                     t->only_a, "only_b", t->only_b, "rows_only_a", (json_int_t)t->rows_a,
                     "rows_only_b", (json_int_t)t->rows_b, "rows_both",
                     (json_int_t)t->rows_both, "rows_different", (json_int_t)t->different,
                     "columns", columns);
}

static void print_json(const difference *d)
{
    json_t *fields = json_array(), *tables = json_array(), *dense = json_array();

    for (size_t i = 0; i < d->fields.n; i++)
        json_array_append_new(fields,
                              json_pack("{s:s, s:s, s:s, s:b}", "name", d->fields.at[i].name,
                                        "a", d->fields.at[i].a, "b", d->fields.at[i].b,
                                        "counts", d->fields.at[i].counts));
    for (size_t i = 0; i < d->tables.n; i++)
        json_array_append_new(tables, json_of_table(&d->tables.at[i]));
    for (size_t i = 0; i < d->dense.n; i++)
        json_array_append_new(dense, json_of_tensor(&d->dense.at[i]));
    json_t *all =
        json_pack("{s:b, s:o, s:o, s:I, s:o}", "equal", !d->any, "manifest", fields, "tables",
                  tables, "dense_compared", (json_int_t)d->dense_compared, "dense", dense);
    json_dumpf(all, stdout, JSON_INDENT(1));
    printf("\n");
    json_decref(all);
}

/* ---- the command ---- */

static err_t compare(const source *a, const source *b, double tolerance, bool json)
{
    difference d;
    err_t      err = difference_find(&d, a, b, tolerance);

    if (err == OK && json)
        print_json(&d);
    else if (err == OK)
        print_words(&d);
    if (err == OK && d.any)
        err = err_set(ERR_DIFFERENT, "%s and %s differ", a->folder, b->folder);
    difference_clear(&d);
    return err;
}

static err_t diff(const char *a, const char *b, double tolerance, bool json)
{
    source x = {0}, y = {0};
    err_t  err = source_open(&x, a);

    if (err == OK)
        err = source_open(&y, b);
    if (err == OK)
        err = compare(&x, &y, tolerance, json);
    source_close(&x);
    source_close(&y);
    return err;
}

err_t checkpoint_diff(int argc, char **argv)
{
    static const char usage[] = "dips checkpoint diff [flags] A B";
    static const char about[] =
        "Tell in what two checkpoints differ: rows of each table that one of them alone\n"
        "has, or that are others in it, dense tensors, and what the manifests say. On how\n"
        "many shards they lie is of no matter, nor whether as deltas. The exit status is 0\n"
        "where they are equal, 1 where they differ, 2 or more where they could not be\n"
        "compared. One bucket of 4096 of each is in memory at a time.";
    double     tolerance = 0;
    bool       json      = false, helped;
    const flag flags[]   = {{"tolerance", FLAG_REAL, &tolerance, .min = 0, .max = 1e300,
                             .help = "weights and states that are no further apart are equal"},
                            {"json", FLAG_BOOL, &json, .help = "print one JSON object"},
                            {0}};
    int        n;

    TRY(flags_parse(flags, usage, about, argc, argv, &n, &helped));
    if (helped)
        return OK;
    if (n != 2)
        return err_set(ERR_USAGE, "wanted A and B, not %d words; usage: %s", n, usage);
    return diff(argv[0], argv[1], tolerance, json);
}
