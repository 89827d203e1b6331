/* `dips checkpoint export`: rows and weights as files for other programs. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/saved_cut.h"
#include "common/new_folder.h"
#include "common/powers.h"
#include "launch/checkpoint/sheet.h"
#include "launch/checkpoint/source.h"
#include "launch/checkpoint/tools.h"
#include "launch/flags.h"

#define DENSE "dense"

typedef struct exporting {
    const source *source;
    config       *config; /* of the run: what its tables' penalties are; owned */
    new_folder    folder;
    sheet_format  format;
    const char   *tables; /* "goods,cate"; NULL: all */
    bool          weights_only;
    uint64_t      rows, bytes;
} exporting;

/* A table on its way. */
typedef struct table_sheet {
    source_list list;
    sheet      *out;
    int         ids, arrays[COLUMNS_MOST]; /* -1: the column stays behind */
    int         touched;                   /* its column */
    double      decay;
    powers      left;
    VEC(real) weights;
    VEC(uint32_t) steps;
} table_sheet;

/* ---- which tables ---- */

static bool is_listed(const char *list, const char *name)
{
    size_t length = strlen(name);

    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strcspn(at, ",") == length && !strncmp(at, name, length))
            return true;
    return list == NULL;
}

static err_t check_listed(const exporting *e)
{
    for (const char *at = e->tables; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        char name[CONFIG_NAME_MAX];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at, ","), at);
        if (source_find_table(e->source, name) < 0)
            return err_set(ERR_USAGE, "--tables: %s has no table '%s'", e->source->folder,
                           name);
    }
    return OK;
}

/* ---- a table ---- */

static err_t say_origin(sheet *s, const exporting *e, const manifest_table *table)
{
    char step[24];

    snprintf(step, sizeof step, "%" PRId64, e->source->manifest->step);
    TRY(sheet_say(s, "step", step));
    if (!table)
        return OK;
    TRY(sheet_say(s, "table", table->name));
    return sheet_say(s, "optimizer", table->optimizer);
}

/* Weights are told as reals, whatever they are kept as. */
static err_t declare(table_sheet *x, const exporting *e, uint64_t n)
{
    const row_form *form = &x->list.form;

    TRY(sheet_declare(x->out, "ids", DTYPE_U64, 1, &n, &x->ids));
    for (int i = 0; i < form->n; i++) {
        const row_column *c = &form->at[i];
        x->arrays[i]        = -1;
        if (i == 0 || !e->weights_only)
            TRY(sheet_declare(x->out, c->what, i == 0 ? DTYPE_REAL : c->type, c->wide ? 2 : 1,
                              (uint64_t[]){n, c->width}, &x->arrays[i]));
    }
    return OK;
}

/* The weights of rows as a pull at the cut tells them (common/saved_cut.h). */
static err_t read_weights(table_sheet *x, const bucket_rows *rows, uint64_t clock)
{
    const row_column  *column = &x->list.form.at[0];
    size_t             dim    = column->width;
    safetensors_tensor w      = {
             .type = column->type, .data = rows->columns[0], .count = rows->n * dim};
    safetensors_tensor touched = {
        .type = DTYPE_U32, .data = rows->columns[x->touched], .count = rows->n};

    TRY(vec_reserve(&x->weights, rows->n * dim));
    safetensors_copy_real(x->weights.at, &w, 0, rows->n * dim);
    for (size_t i = 0; x->decay != 0 && i < rows->n; i++) {
        uint64_t at = safetensors_get_u64(&touched, i);
        if (at >= clock)
            continue;
        real left = (real)powers_of(&x->left, (uint32_t)(clock - at));
        for (size_t d = 0; d < dim; d++)
            x->weights.at[i * dim + d] *= left;
    }
    return OK;
}

/* What has decayed until the cut is touched there, so that it does not decay once more. */
static err_t append_touched(table_sheet *x, const bucket_rows *rows, uint64_t clock)
{
    int array = x->arrays[x->touched];

    if (array < 0)
        return OK;
    if (x->decay == 0)
        return sheet_append(x->out, array, rows->columns[x->touched],
                            rows->n * sizeof(uint32_t));
    TRY(vec_reserve(&x->steps, rows->n));
    for (size_t i = 0; i < rows->n; i++)
        x->steps.at[i] = (uint32_t)clock;
    return sheet_append(x->out, array, x->steps.at, rows->n * sizeof(uint32_t));
}

static err_t export_bucket(table_sheet *x, const bucket_rows *rows, uint64_t clock)
{
    const row_form *form = &x->list.form;

    TRY(sheet_append(x->out, x->ids, rows->ids, rows->n * sizeof *rows->ids));
    TRY(read_weights(x, rows, clock));
    TRY(sheet_append(x->out, x->arrays[0], x->weights.at,
                     rows->n * form->at[0].width * sizeof(real)));
    for (int i = 1; i < form->n; i++)
        if (i != x->touched && x->arrays[i] >= 0)
            TRY(sheet_append(x->out, x->arrays[i], rows->columns[i],
                             rows->n * form->at[i].bytes));
    return append_touched(x, rows, clock);
}

static err_t fill_table(table_sheet *x, exporting *e, const manifest_table *table)
{
    uint64_t    clock = (uint64_t)e->source->manifest->step, n, bytes;
    char        name[CONFIG_NAME_MAX + 8];
    bucket_rows rows;

    snprintf(name, sizeof name, "table-%.63s", table->name);
    x->touched = row_form_find(&x->list.form, "touched");
    x->decay   = saved_cut_decay(e->config, e->source->manifest->step, table->name);
    if (x->decay != 0)
        powers_init(&x->left, 1 - x->decay);
    TRY(source_list_count(&x->list, 0, HASH_BUCKETS, &n));
    TRY(sheet_create(&x->out, e->format, e->folder.temporary, name));
    TRY(say_origin(x->out, e, table));
    TRY(declare(x, e, n));
    for (uint32_t b = 0; b < HASH_BUCKETS; b++) {
        TRY(source_list_read(&x->list, b, &rows));
        TRY(export_bucket(x, &rows, clock));
    }
    TRY(sheet_finish(&x->out, &bytes));
    e->rows += n;
    e->bytes += bytes;
    printf("table %s: %s rows of %d\n", table->name, tool_count(n).at, table->dim);
    return OK;
}

static err_t export_table(exporting *e, int t)
{
    table_sheet *x = calloc(1, sizeof *x);
    err_t err      = x ? source_rows(&x->list, e->source, t) : err_memory(sizeof *x, "a table");

    if (!x)
        return err;
    if (err == OK)
        err = fill_table(x, e, &e->source->manifest->tables[t]);
    sheet_abandon(&x->out);
    source_list_close(&x->list);
    vec_clear(&x->weights);
    vec_clear(&x->steps);
    free(x);
    return err;
}

/* ---- the dense weights ---- */

static bool is_exported(const exporting *e, const safetensors_tensor *t)
{
    return !e->weights_only || !strchr(t->name, '@');
}

static err_t copy_tensors(sheet *out, const exporting *e, const safetensors *file)
{
    int array = 0;

    TRY(say_origin(out, e, NULL));
    for (int i = 0; i < safetensors_count(file); i++) {
        const safetensors_tensor *t = safetensors_at(file, i);
        if (is_exported(e, t))
            TRY(sheet_declare(out, t->name, t->type, t->n_dims, t->shape, &array));
    }
    array = 0;
    for (int i = 0; i < safetensors_count(file); i++) {
        const safetensors_tensor *t = safetensors_at(file, i);
        if (is_exported(e, t))
            TRY(sheet_append(out, array++, t->data, t->bytes));
    }
    printf("dense: %d tensors\n", array);
    return OK;
}

static err_t export_dense(exporting *e)
{
    char         path[CONFIG_PATH_MAX + CONFIG_NAME_MAX];
    safetensors *file;
    sheet       *out   = NULL;
    uint64_t     bytes = 0;

    snprintf(path, sizeof path, "%s/" DENSE ".safetensors", e->source->folder);
    TRY(safetensors_open(&file, path));
    err_t err = sheet_create(&out, e->format, e->folder.temporary, DENSE);
    if (err == OK)
        err = copy_tensors(out, e, file);
    if (err == OK)
        err = sheet_finish(&out, &bytes);
    sheet_abandon(&out);
    safetensors_close(&file);
    e->bytes += bytes;
    return err;
}

/* ---- all ---- */

static err_t fill(exporting *e)
{
    const manifest *m = e->source->manifest;

    for (int t = 0; t < m->n_tables; t++)
        if (is_listed(e->tables, m->tables[t].name))
            TRY(export_table(e, t));
    return export_dense(e);
}

/* Weights are told as a pull of this program would tell them. */
static err_t prepare(exporting *e)
{
    const manifest *m = e->source->manifest;

    TRY(check_listed(e));
    if (strcmp(m->real, REAL_NAME) != 0)
        return err_set(ERR_FORMAT, "%s is of the %s build, this is the %s one",
                       e->source->folder, m->real, REAL_NAME);
    err_t err = config_parse(&e->config, e->source->folder, m->configuration,
                             strlen(m->configuration), 0, NULL);
    return err == OK ? OK
                     : err_add(ERR_FORMAT, "%s: its configuration is of another version",
                               e->source->folder);
}

static err_t export_all(exporting *e, const char *to)
{
    int64_t since = clock_now(clock_monotonic());

    TRY(prepare(e));
    TRY(new_folder_begin(&e->folder, to, false));
    err_t err = fill(e);
    if (err != OK) {
        new_folder_abandon(&e->folder);
        return err;
    }
    TRY(new_folder_finish(&e->folder));
    printf("%s: step %" PRId64 ", %s rows, %s %s\n", to, e->source->manifest->step,
           tool_count(e->rows).at, tool_bytes(e->bytes).at, tool_pace(e->bytes, since).at);
    return OK;
}

err_t checkpoint_export(int argc, char **argv)
{
    static const char usage[] = "dips checkpoint export [flags] CHECKPOINT OUTDIR";
    static const char about[] =
        "Write a checkpoint's rows and dense weights for serving, or for PyTorch and NumPy:\n"
        "  OUTDIR/table-T.safetensors   ids U64 [n], weight F32 [n, dim], and unless\n"
        "                               --weights-only @STATE, count, touched\n"
        "  OUTDIR/dense.safetensors     the dense tensors by name\n"
        "or as folders OUTDIR/table-T/ and OUTDIR/dense/ of .npy files, one for each array.\n"
        "Weights are those that a pull at the checkpoint's step would tell: bf16 widened,\n"
        "decay caught up. A delta is read with all that it stands upon. OUTDIR appears\n"
        "complete or not at all.";
    exporting   e      = {0};
    const char *format = "safetensors";
    source      s;
    const flag  flags[] = {
         {"format", FLAG_TEXT, &format, .choices = "safetensors|npy", .help = "of the files"},
         {"tables", FLAG_TEXT, &e.tables, .meta = "A,B", .help = "these tables alone"},
         {"weights-only", FLAG_BOOL, &e.weights_only,
          .help = "no state of optimizers, no counts and steps"},
         {0}};
    int  n;
    bool helped;

    TRY(flags_parse(flags, usage, about, argc, argv, &n, &helped));
    if (helped)
        return OK;
    if (n != 2)
        return err_set(ERR_USAGE, "wanted CHECKPOINT and OUTDIR, not %d words; usage: %s", n,
                       usage);
    e.format  = strcmp(format, "npy") ? SHEET_SAFETENSORS : SHEET_NPY;
    e.source  = &s;
    err_t err = source_open(&s, argv[0]);
    if (err == OK)
        err = export_all(&e, argv[1]);
    config_free(&e.config);
    source_close(&s);
    return err;
}
