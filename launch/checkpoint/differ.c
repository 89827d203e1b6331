#include "launch/checkpoint/differ.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- numbers ---- */

/* n numbers at a and b of type: whether some differ, and by how much. */
static uint64_t compare_numbers(dtype type, const void *a, const void *b, uint64_t n,
                                double tolerance, double *largest)
{
    const safetensors_tensor x         = {.type = type, .data = a, .count = n};
    const safetensors_tensor y         = {.type = type, .data = b, .count = n};
    size_t                   size      = dtype_size(type);
    uint64_t                 different = 0;

    if (memcmp(a, b, n * size) == 0)
        return 0;
    for (uint64_t i = 0; i < n; i++) {
        if (memcmp((const char *)a + i * size, (const char *)b + i * size, size) == 0)
            continue;
        double far = fabs(safetensors_get_double(&x, i) - safetensors_get_double(&y, i));
        if (!dtype_is_integer(type) && far <= tolerance)
            continue;
        different++;
        if (!(far <= *largest))
            *largest = far;
    }
    return different;
}

/* ---- rows ---- */

/* A list of both checkpoints while it is compared. */
typedef struct pair {
    source_list        a, b;
    double             tolerance;
    table_difference  *table;
    tensor_difference *columns; /* (form.n) */
} pair;

static void compare_row(pair *p, const bucket_rows *a, size_t i, const bucket_rows *b, size_t k)
{
    bool different = false;

    for (int c = 0; c < p->a.form.n; c++) {
        const row_column *column = &p->a.form.at[c];
        uint64_t          n =
            compare_numbers(column->type, (const char *)a->columns[c] + i * column->bytes,
                            (const char *)b->columns[c] + k * column->bytes, column->width,
                            p->tolerance, &p->columns[c].largest);
        p->columns[c].compared++;
        p->columns[c].different += n > 0;
        different |= n > 0;
    }
    p->table->rows_both++;
    p->table->different += different;
}

static void compare_bucket(pair *p, const bucket_rows *a, const bucket_rows *b)
{
    size_t i = 0, k = 0;

    while (i < a->n && k < b->n) {
        if (a->ids[i] == b->ids[k])
            compare_row(p, a, i++, b, k++);
        else if (a->ids[i] < b->ids[k])
            p->table->rows_a++, i++;
        else
            p->table->rows_b++, k++;
    }
    p->table->rows_a += a->n - i;
    p->table->rows_b += b->n - k;
}

static err_t compare_buckets(pair *p)
{
    for (uint32_t bucket = 0; bucket < HASH_BUCKETS; bucket++) {
        bucket_rows a, b;
        TRY(source_list_read(&p->a, bucket, &a));
        TRY(source_list_read(&p->b, bucket, &b));
        compare_bucket(p, &a, &b);
    }
    source_list_leave(&p->a);
    source_list_leave(&p->b);
    return OK;
}

static void describe_column(char text[48], const row_column *c)
{
    if (c->wide)
        snprintf(text, 48, "%s [.., %" PRIu64 "]", dtype_name(c->type), c->width);
    else
        snprintf(text, 48, "%s [..]", dtype_name(c->type));
}

/* Columns stand in one order in all checkpoints of one update rule. Those that are in one of
 * both alone, or of another shape, are told and make the rest incomparable. */
static err_t compare_forms(table_difference *t, const row_form *a, const row_form *b,
                           const char *prefix, bool *same)
{
    *same = a->n == b->n;
    for (int i = 0; i < a->n || i < b->n; i++) {
        const row_column *x = i < a->n ? &a->at[i] : NULL, *y = i < b->n ? &b->at[i] : NULL;
        tensor_difference d        = {0};
        char              left[48] = "nothing", right[48] = "nothing";
        snprintf(d.name, sizeof d.name, "%s%s%s", prefix, *prefix ? "." : "",
                 x ? x->what : y->what);
        if (!x || !y || strcmp(x->what, y->what) != 0 || x->type != y->type ||
            x->wide != y->wide || x->width != y->width) {
            *same = false;
            if (x)
                describe_column(left, x);
            if (y)
                describe_column(right, y);
            snprintf(d.form, sizeof d.form, "%.46s against %.46s", left, right);
        }
        TRY(vec_push(&t->columns, d));
    }
    return OK;
}

/* Where forms differ no row is compared, but ids are. */
static err_t compare_lists(pair *p, table_difference *t, const char *prefix)
{
    size_t first = t->columns.n;
    bool   same;

    TRY(compare_forms(t, &p->a.form, &p->b.form, prefix, &same));
    p->table   = t;
    p->columns = t->columns.at + first;
    if (!same)
        p->a.form.n = p->b.form.n = 0;
    return compare_buckets(p);
}

static err_t compare_rows(table_difference *t, const source *a, int x, const source *b, int y,
                          double tolerance)
{
    pair  p   = {.tolerance = tolerance};
    err_t err = source_rows(&p.a, a, x);

    if (err == OK)
        err = source_rows(&p.b, b, y);
    if (err == OK)
        err = compare_lists(&p, t, "");
    source_list_close(&p.a);
    source_list_close(&p.b);
    return err;
}

/* ---- what a table has besides rows ---- */

/* Ids that wait are compared like rows, and told as one line. */
static err_t compare_waiting(table_difference *t, const source *a, int x, const source *b,
                             int y)
{
    pair              p     = {0};
    table_difference  waits = {0};
    bool              here = false, there = false;
    tensor_difference d   = {.name = "waiting"};
    err_t             err = source_waiting(&p.a, a, x, &here);

    if (err == OK)
        err = source_waiting(&p.b, b, y, &there);
    if (err == OK && here && there)
        err = compare_lists(&p, &waits, "waiting");
    d.only_a    = here && !there;
    d.only_b    = there && !here;
    d.compared  = waits.rows_a + waits.rows_b + waits.rows_both;
    d.different = waits.rows_a + waits.rows_b + waits.different;
    if (waits.columns.n > 0)
        d.largest = waits.columns.at[0].largest;
    if (err == OK && (here || there))
        err = vec_push(&t->columns, d);
    vec_clear(&waits.columns);
    source_list_close(&p.a);
    source_list_close(&p.b);
    return err;
}

static err_t compare_sketches(table_difference *t, const source *a, int x, const source *b,
                              int y)
{
    tensor_difference d = {.name = "sketch"};

    for (uint32_t bucket = 0; bucket < HASH_BUCKETS; bucket++) {
        const void *left, *right;
        uint64_t    n = 0, m = 0;
        TRY(source_sketch(a, x, bucket, &left, &n));
        TRY(source_sketch(b, y, bucket, &right, &m));
        if (!left && !right)
            return OK;
        d.only_a |= !right;
        d.only_b |= !left;
        d.compared++;
        d.different += !left || !right || n != m || memcmp(left, right, n) != 0;
    }
    return vec_push(&t->columns, d);
}

static void shape_text(char text[46], const safetensors_tensor *t)
{
    int n = snprintf(text, 46, "%s [", dtype_name(t->type));

    for (int i = 0; i < t->n_dims && n < 40; i++)
        n += snprintf(text + n, (size_t)(46 - n), "%s%" PRIu64, i ? ", " : "", t->shape[i]);
    if (n < 45)
        snprintf(text + n, (size_t)(46 - n), "]");
}

static bool same_shape(const safetensors_tensor *a, const safetensors_tensor *b)
{
    return a->type == b->type && a->n_dims == b->n_dims &&
           memcmp(a->shape, b->shape, (size_t)a->n_dims * sizeof *a->shape) == 0;
}

/* One tensor of both files, either of which may be missing (NULL). */
static tensor_difference compare_tensors(const char *name, const safetensors_tensor *a,
                                         const safetensors_tensor *b, double tolerance)
{
    tensor_difference d = {.only_a = !b, .only_b = !a};
    char              left[46], right[46];

    snprintf(d.name, sizeof d.name, "%s", name);
    if (!a || !b)
        return d;
    if (!same_shape(a, b)) {
        shape_text(left, a);
        shape_text(right, b);
        snprintf(d.form, sizeof d.form, "%s against %s", left, right);
        return d;
    }
    d.compared  = a->count;
    d.different = compare_numbers(a->type, a->data, b->data, a->count, tolerance, &d.largest);
    return d;
}

static err_t compare_constant(table_difference *t, const source *a, int x, const source *b,
                              int y, const char *what)
{
    const safetensors_tensor *left  = source_constant(a, x, what);
    const safetensors_tensor *right = source_constant(b, y, what);

    if (!left && !right)
        return OK;
    return vec_push(&t->columns, compare_tensors(what, left, right, 0));
}

/* ---- tables ---- */

static err_t compare_table(table_difference *t, const source *a, int x, const source *b, int y,
                           double tolerance)
{
    snprintf(t->name, sizeof t->name, "%s",
             x >= 0 ? a->manifest->tables[x].name : b->manifest->tables[y].name);
    t->only_a = y < 0;
    t->only_b = x < 0;
    if (x < 0 || y < 0)
        return OK;
    TRY(compare_rows(t, a, x, b, y, tolerance));
    TRY(compare_waiting(t, a, x, b, y));
    TRY(compare_sketches(t, a, x, b, y));
    TRY(compare_constant(t, a, x, b, y, "sketch.form"));
    return compare_constant(t, a, x, b, y, "days");
}

static err_t add_table(difference *d, const source *a, int x, const source *b, int y,
                       double tolerance)
{
    table_difference t   = {0};
    err_t            err = compare_table(&t, a, x, b, y, tolerance);

    d->any |= t.only_a || t.only_b || t.rows_a || t.rows_b || t.different;
    for (size_t i = 0; i < t.columns.n; i++)
        d->any |= tensor_differs(&t.columns.at[i]);
    if (err == OK)
        err = vec_push(&d->tables, t);
    if (err != OK)
        vec_clear(&t.columns);
    return err;
}

static err_t compare_all_tables(difference *d, const source *a, const source *b,
                                double tolerance)
{
    for (int x = 0; x < a->manifest->n_tables; x++)
        TRY(add_table(d, a, x, b, source_find_table(b, a->manifest->tables[x].name),
                      tolerance));
    for (int y = 0; y < b->manifest->n_tables; y++)
        if (source_find_table(a, b->manifest->tables[y].name) < 0)
            TRY(add_table(d, a, -1, b, y, tolerance));
    return OK;
}

/* ---- dense weights ---- */

static err_t open_dense(safetensors **file, const source *s)
{
    char path[CONFIG_PATH_MAX + CONFIG_NAME_MAX];

    snprintf(path, sizeof path, "%s/dense.safetensors", s->folder);
    return safetensors_open(file, path);
}

static err_t add_tensor(difference *d, const char *name, const safetensors_tensor *a,
                        const safetensors_tensor *b, double tolerance)
{
    tensor_difference t = compare_tensors(name, a, b, tolerance);

    d->dense_compared += a && b;
    d->any |= tensor_differs(&t);
    return tensor_differs(&t) ? vec_push(&d->dense, t) : OK;
}

static err_t compare_dense_files(difference *d, const safetensors *a, const safetensors *b,
                                 double tolerance)
{
    for (int i = 0; i < safetensors_count(a); i++) {
        const safetensors_tensor *t = safetensors_at(a, i);
        TRY(add_tensor(d, t->name, t, safetensors_find(b, t->name), tolerance));
    }
    for (int i = 0; i < safetensors_count(b); i++) {
        const safetensors_tensor *t = safetensors_at(b, i);
        if (!safetensors_find(a, t->name))
            TRY(add_tensor(d, t->name, NULL, t, tolerance));
    }
    return OK;
}

static err_t compare_dense(difference *d, const source *a, const source *b, double tolerance)
{
    safetensors *x = NULL, *y = NULL;
    err_t        err = open_dense(&x, a);

    if (err == OK)
        err = open_dense(&y, b);
    if (err == OK)
        err = compare_dense_files(d, x, y, tolerance);
    safetensors_close(&x);
    safetensors_close(&y);
    return err;
}

/* ---- manifests ---- */

static err_t add_field(difference *d, const char *name, bool counts, const char *a,
                       const char *b)
{
    field_difference f = {.name = name, .counts = counts};

    if (!strcmp(a, b))
        return OK;
    snprintf(f.a, sizeof f.a, "%.63s", a);
    snprintf(f.b, sizeof f.b, "%.63s", b);
    d->any |= counts;
    return vec_push(&d->fields, f);
}

static err_t add_number(difference *d, const char *name, bool counts, int64_t a, int64_t b)
{
    char left[32], right[32];

    snprintf(left, sizeof left, "%" PRId64, a);
    snprintf(right, sizeof right, "%" PRId64, b);
    return add_field(d, name, counts, left, right);
}

/* Where the data go on within an epoch. */
static bool same_cursor(const manifest_dealt *a, const manifest_dealt *b)
{
    return a->next == b->next && a->n == b->n &&
           (a->n == 0 || memcmp(a->held, b->held, (size_t)a->n * sizeof *a->held) == 0);
}

static err_t compare_manifests(difference *d, const manifest *a, const manifest *b)
{
    char left[24], right[24];

    TRY(add_number(d, "step", true, a->step, b->step));
    TRY(add_number(d, "bad_steps", true, a->bad_steps, b->bad_steps));
    snprintf(left, sizeof left, "%" PRIu64, a->seed);
    snprintf(right, sizeof right, "%" PRIu64, b->seed);
    TRY(add_field(d, "seed", true, left, right));
    if (!same_cursor(&a->dealt, &b->dealt))
        TRY(add_field(d, "cursor", true, "what was dealt", "is another part"));
    TRY(add_field(d, "real", true, a->real, b->real));
    snprintf(left, sizeof left, "%016" PRIx64, a->schema_hash);
    snprintf(right, sizeof right, "%016" PRIx64, b->schema_hash);
    TRY(add_field(d, "schema", true, left, right));
    TRY(add_number(d, "shards", false, a->shards, b->shards));
    return strcmp(a->configuration, b->configuration)
               ? add_field(d, "configuration", false, "one", "another")
               : OK;
}

err_t difference_find(difference *d, const source *a, const source *b, double tolerance)
{
    *d = (difference){0};
    TRY(compare_manifests(d, a->manifest, b->manifest));
    TRY(compare_all_tables(d, a, b, tolerance));
    return compare_dense(d, a, b, tolerance);
}

void difference_clear(difference *d)
{
    for (size_t i = 0; i < d->tables.n; i++)
        vec_clear(&d->tables.at[i].columns);
    vec_clear(&d->fields);
    vec_clear(&d->tables);
    vec_clear(&d->dense);
}
