/* crosses - `dips crosses`: which pairs of fields an AFM attends to. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/safetensors.h"
#include "common/schema.h"
#include "launch/apply.h"
#include "launch/commands.h"
#include "launch/flags.h"
#include "worker/layers/layers.h"

/* What training keeps: the moving mean of each pair's weight, from 0 on. */
#define MEANS "attention.mean"
#define BAR   40 /* characters of the longest one */

/* A pair of fields and the mean of its weight, as a share of all. */
typedef struct cross {
    const char *first, *second; /* lent by configuration and schema */
    double      weight;
} cross;

typedef struct found {
    config *config;
    schema *schema;
    cross  *crosses; /* (n) heaviest first */
    int     n;
} found;

static int by_weight(const void *a, const void *b)
{
    const cross *one = a, *other = b;

    return (one->weight < other->weight) - (one->weight > other->weight);
}

/* Fill crosses from the means: shares, since early in training moving means are below what they
 * follow, all by the same factor. */
static err_t fill_crosses(found *f, const safetensors_tensor *means)
{
    const char *names[FIELDS_MAX];
    int         F   = fields_names(names, f->schema, &f->config->model);
    double      sum = 0;

    if (means->count != (uint64_t)F * (uint64_t)(F - 1) / 2)
        return err_set(ERR_FORMAT,
                       "%s holds the weights of %llu pairs, the %d fields of this "
                       "configuration have %d",
                       means->name, (unsigned long long)means->count, F, F * (F - 1) / 2);
    f->crosses = calloc(means->count + 1, sizeof *f->crosses);
    if (!f->crosses)
        return err_memory(means->count * sizeof *f->crosses, "the pairs of fields");
    for (int i = 0; i < F; i++)
        for (int j = i + 1; j < F; j++, f->n++) {
            double weight    = safetensors_get_double(means, (uint64_t)f->n);
            f->crosses[f->n] = (cross){names[i], names[j], weight};
            sum += weight;
        }
    for (int i = 0; i < f->n && sum > 0; i++)
        f->crosses[i].weight /= sum;
    qsort(f->crosses, (size_t)f->n, sizeof *f->crosses, by_weight);
    return OK;
}

static err_t read_crosses(found *f, const char *folder)
{
    char         path[CONFIG_PATH_MAX + 32];
    safetensors *file;

    snprintf(path, sizeof path, "%s/dense.safetensors", folder);
    TRY(safetensors_open(&file, path));
    const safetensors_tensor *means = safetensors_find(file, MEANS);
    err_t                     e     = OK;
    if (means)
        e = fill_crosses(f, means);
    else
        e = err_set(ERR_FORMAT, "there is no " MEANS ": no model of kind afm was trained here");
    if (e != OK)
        e = err_add(e, "%s", path);
    safetensors_close(&file);
    return e;
}

static void print_bars(const found *f, int n)
{
    double most = f->n > 0 ? f->crosses[0].weight : 0;

    printf("%8s  %s\n", "weight", "pair");
    for (int i = 0; i < n; i++) {
        const cross *c    = &f->crosses[i];
        int          used = printf("%8.5f  %s * %s", c->weight, c->first, c->second);
        printf("%*s ", used < 40 ? 40 - used : 0, "");
        for (int k = 0; k < (most > 0 ? (int)lround(BAR * c->weight / most) : 0); k++)
            putchar('#');
        putchar('\n');
    }
    if (n < f->n)
        printf("and %d more, each at most %.5f; all alike would be %.5f\n", f->n - n,
               f->crosses[n].weight, 1.0 / f->n);
}

static void print_json(const found *f, int n)
{
    for (int i = 0; i < n; i++)
        printf("{\"first\":\"%s\",\"second\":\"%s\",\"weight\":%.9g}\n", f->crosses[i].first,
               f->crosses[i].second, f->crosses[i].weight);
}

static err_t find_crosses(found *f, const char *source, int n, char *const *words,
                          const char *checkpoint)
{
    char folder[CONFIG_PATH_MAX];

    TRY(config_load(&f->config, source, n, words));
    TRY(schema_new(&f->schema, f->config));
    TRY(apply_find_checkpoint(folder, checkpoint));
    return read_crosses(f, folder);
}

err_t command_crosses(int argc, char **argv)
{
    static const char usage[] =
        "dips crosses RUN.yaml --checkpoint DIR [--top N] [--json] [key=value ...]";
    static const char about[] =
        "Which pairs of fields a model of kind afm attends to: the mean weight of each pair\n"
        "in training, as a share of all, the heaviest first.";
    struct {
        const char *checkpoint;
        int64_t     top;
        bool        json;
    } my               = {.top = 20};
    const flag flags[] = {
        {"checkpoint", FLAG_TEXT, &my.checkpoint, .meta = "DIR", .required = true,
         .help = "a step's folder, or a run folder or its checkpoints/: the newest"},
        {"top", FLAG_INT, &my.top, .min = 1, .max = 1e6, .help = "how many pairs to show"},
        {"json", FLAG_BOOL, &my.json, .help = "print a JSON object a line and nothing else"},
        {0}};
    found f = {0};
    int   n;
    bool  helped;

    TRY(flags_parse_run(flags, usage, about, argc, argv, &n, &helped));
    if (helped)
        return OK;
    err_t e    = find_crosses(&f, argv[0], n, argv + 1, my.checkpoint);
    int   most = my.top < f.n ? (int)my.top : f.n;
    if (e == OK)
        (my.json ? print_json : print_bars)(&f, most);
    free(f.crosses);
    schema_free(&f.schema);
    config_free(&f.config);
    return e;
}
