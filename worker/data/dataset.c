#include "worker/data/dataset.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/data/gap.h"

struct dataset {
    const schema *schema;
    int           n;
    data_shard   *shards;         /* (n) */
    uint64_t     *first;          /* (n+1) number of each shard's first sample */
    bool          weighted;       /* some shard has weights */
    bool          timed, grouped; /* every shard with samples has them */
};

/* Rows of a shard that stand one after another: a sample, or its events. */
typedef struct span {
    const data_shard *shard;
    uint64_t          first, n;
} span;

/* ---- opening ---- */

/* A shard with samples has `time` (or a group) if and only if the ones before have it. */
static err_t agree(const data_shard *shard, const data_shard *model)
{
    const char *path = safetensors_path(shard->file), *other = safetensors_path(model->file);

    if (!shard->time != !model->time)
        return err_set(ERR_DATA, "%s: %s tensor time, other than %s", path,
                       shard->time ? "a" : "no", other);
    if (!shard->group != !model->group)
        return err_set(ERR_DATA, "%s: %s tensor group or user, other than %s", path,
                       shard->group ? "a" : "no", other);
    if (!shard->label != !model->label)
        return err_set(ERR_DATA, "%s: %s tensor label, other than %s", path,
                       shard->label ? "a" : "no", other);
    return OK;
}

/* What all shards have as the first one with samples has it; model: NULL where there is none. */
static err_t take_note(dataset *d, const data_shard *model)
{
    if (model && !model->time && schema_needs_time(d->schema))
        return err_set(ERR_DATA,
                       "%s: no tensor time, which history_days and gaps to the request need",
                       safetensors_path(model->file));
    d->timed   = model && model->time;
    d->grouped = !model || model->group;
    return OK;
}

static err_t take_rooms(dataset *d, int n)
{
    d->shards = calloc((size_t)n + 1, sizeof *d->shards);
    d->first  = calloc((size_t)n + 1, sizeof *d->first);
    return d->shards && d->first ? OK
                                 : err_memory((size_t)n * sizeof *d->shards, "the data files");
}

static err_t open_shards(dataset *d, const config_names *files, bool need_label)
{
    const data_shard *model = NULL; /* the first one with samples */

    TRY(take_rooms(d, files->n));
    for (int i = 0; i < files->n; i++) {
        data_shard *shard = &d->shards[d->n++];
        TRY(data_shard_open(shard, d->schema, files->at[i], need_label));
        d->first[i + 1] = d->first[i] + shard->samples;
        d->weighted |= shard->weight != NULL;
        if (shard->samples == 0)
            continue;
        if (!model)
            model = shard;
        TRY(agree(shard, model));
    }
    return take_note(d, model);
}

err_t dataset_open(dataset **out, const schema *s, const config_names *files, bool need_label)
{
    dataset *d = calloc(1, sizeof *d);

    *out = NULL;
    if (!d)
        return err_memory(sizeof *d, "the data");
    d->schema = s;
    err_t err = open_shards(d, files, need_label);
    if (err != OK)
        dataset_close(&d);
    *out = d;
    return err;
}

static err_t use_file(dataset *d, safetensors *file)
{
    err_t err = take_rooms(d, 1);

    if (err != OK) {
        safetensors_close(&file);
        return err;
    }
    data_shard *shard = &d->shards[d->n++];
    TRY(data_shard_use(shard, d->schema, file, false));
    d->first[1] = shard->samples;
    d->weighted = shard->weight != NULL;
    return take_note(d, shard);
}

err_t dataset_open_one(dataset **out, const schema *s, safetensors *file)
{
    dataset *d = calloc(1, sizeof *d);

    *out = NULL;
    if (!d) {
        safetensors_close(&file);
        return err_memory(sizeof *d, "the data");
    }
    d->schema = s;
    err_t err = use_file(d, file);
    if (err != OK)
        dataset_close(&d);
    *out = d;
    return err;
}

void dataset_close(dataset **out)
{
    dataset *d = *out;

    *out = NULL;
    if (!d)
        return;
    for (int i = 0; i < d->n; i++)
        data_shard_clear(&d->shards[i]);
    free(d->shards);
    free(d->first);
    free(d);
}

const data_shard *dataset_shard(const dataset *d, int i)
{
    return &d->shards[i];
}

uint64_t dataset_samples(const dataset *d)
{
    return d->first[d->n];
}

bool dataset_timed(const dataset *d)
{
    return d->timed || dataset_samples(d) == 0;
}

bool dataset_grouped(const dataset *d)
{
    return d->grouped;
}

/* ---- where samples stand ---- */

/* The shard that holds a sample; hint is tried first. */
static int find_shard(const dataset *d, uint64_t sample, int hint)
{
    int low = 0, high = d->n; /* first[low] <= sample < first[high] */

    if (d->first[hint] <= sample && sample < d->first[hint + 1])
        return hint;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (d->first[middle] <= sample)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static err_t locate(const dataset *d, const uint64_t *samples, int n, arena *a, span **rows)
{
    int shard = 0;

    TRY(arena_take(a, (size_t)n * sizeof **rows, rows));
    for (int i = 0; i < n; i++) {
        assert(samples[i] < dataset_samples(d));
        shard      = find_shard(d, samples[i], shard);
        (*rows)[i] = (span){&d->shards[shard], samples[i] - d->first[shard], 1};
    }
    return OK;
}

/* ---- what each sample has ---- */

static err_t take_labels(arena *a, const span *rows, batch *b)
{
    TRY(arena_take(a, (size_t)b->B * sizeof *b->label, &b->label));
    for (int i = 0; i < b->B; i++) {
        const safetensors_tensor *label = rows[i].shard->label;
        b->label[i] = label ? (real)safetensors_get_double(label, rows[i].first) : 0;
    }
    return OK;
}

static err_t take_weights(const dataset *d, arena *a, const span *rows, batch *b)
{
    b->weight_sum = b->B;
    if (!d->weighted)
        return OK;
    TRY(arena_take(a, (size_t)b->B * sizeof *b->weight, &b->weight));
    b->weight_sum = 0;
    for (int i = 0; i < b->B; i++) {
        const safetensors_tensor *weight = rows[i].shard->weight;
        b->weight[i] = weight ? (real)safetensors_get_double(weight, rows[i].first) : 1;
        b->weight_sum += (double)b->weight[i];
    }
    return OK;
}

static err_t take_times_and_groups(const dataset *d, arena *a, const span *rows, batch *b)
{
    if (d->timed) {
        TRY(arena_take(a, (size_t)b->B * sizeof *b->time, &b->time));
        for (int i = 0; i < b->B; i++)
            b->time[i] = (int64_t)safetensors_get_u64(rows[i].shard->time, rows[i].first);
    }
    if (d->grouped) {
        TRY(arena_take(a, (size_t)b->B * sizeof *b->group, &b->group));
        for (int i = 0; i < b->B; i++)
            b->group[i] = safetensors_get_u64(rows[i].shard->group, rows[i].first);
    }
    return OK;
}

static err_t take_floats(const dataset *d, arena *a, const span *rows, batch *b)
{
    TRY(arena_take(a, (size_t)d->schema->n_floats * sizeof *b->floats, &b->floats));
    for (int f = 0; f < d->schema->n_floats; f++) {
        size_t width = (size_t)d->schema->floats[f].width;
        real  *x;
        TRY(arena_take(a, (size_t)b->B * width * sizeof *x, &x));
        for (int i = 0; i < b->B; i++)
            safetensors_copy_real(x + (size_t)i * width, rows[i].shard->floats[f],
                                  rows[i].first * width, width);
        b->floats[f] = (batch_float){(int)width, x};
    }
    return OK;
}

/* ---- sequences and ids ---- */

static err_t check_size(uint64_t n, const char *name)
{
    if (n <= INT_MAX)
        return OK;
    return err_set(ERR_DATA,
                   "a batch with %" PRIu64
                   " values of %s is too large; lower train.batch or the "
                   "sequence's max_len",
                   n, name);
}

/* The first of the events begin .. end-1, which stand in the order of their times, that is not
 * older than so many seconds at time now. */
static uint64_t first_young(const safetensors_tensor *times, uint64_t begin, uint64_t end,
                            int64_t now, int64_t seconds)
{
    uint64_t first = end;

    while (first > begin && gap_seconds((int64_t)safetensors_get_u64(times, first - 1), now) <=
                                (uint64_t)seconds)
        first--;
    return first;
}

/* The events of a sample that history_days, then max_len and keep leave. */
static span kept_events(const schema_sequence *s, const data_shard *shard,
                        const data_events *events, uint64_t row)
{
    uint64_t bounds[2], most = s->max_len > 0 ? (uint64_t)s->max_len : UINT64_MAX;

    safetensors_copy_u64(bounds, events->offsets, row, 2);
    if (s->seconds > 0)
        bounds[0] = first_young(events->time, bounds[0], bounds[1],
                                (int64_t)safetensors_get_u64(shard->time, row), s->seconds);
    uint64_t n = bounds[1] - bounds[0];
    if (n <= most)
        return (span){shard, bounds[0], n};
    return (span){shard, s->keep == KEEP_LAST ? bounds[1] - most : bounds[0], most};
}

/* Fill b->sequences[i]; *events (B) is where each sample's events stand. */
static err_t take_sequence(const dataset *d, int i, arena *a, const span *rows, batch *b,
                           span **events)
{
    const schema_sequence *s     = &d->schema->sequences[i];
    batch_sequence        *out   = &b->sequences[i];
    uint64_t               total = 0;

    *out = (batch_sequence){0};
    TRY(arena_take(a, (size_t)b->B * sizeof **events, events));
    TRY(arena_take(a, ((size_t)b->B + 1) * sizeof *out->offsets, &out->offsets));
    out->offsets[0] = 0;
    for (int j = 0; j < b->B; j++) {
        const data_shard *shard = rows[j].shard;
        (*events)[j]            = kept_events(s, shard, &shard->sequences[i], rows[j].first);
        total += (*events)[j].n;
        TRY(check_size(total, s->name));
        out->offsets[j + 1] = (int)total;
    }
    out->events = (int)total;
    if (!s->timed)
        return OK;
    TRY(arena_take(a, (size_t)total * sizeof *out->time, &out->time));
    for (int j = 0; j < b->B; j++)
        safetensors_copy_u64((uint64_t *)out->time + out->offsets[j],
                             rows[j].shard->sequences[i].time, (*events)[j].first,
                             (*events)[j].n);
    return OK;
}

/* Ids of a slot with one id for each row of the spans; where there are none, nobody reads them.
 */
static err_t take_single_ids(int slot, arena *a, const span *spans, int n, batch_slot *out)
{
    uint64_t *to;

    out->n = out->rows;
    TRY(arena_take(a, (size_t)out->n * sizeof *out->ids, &out->ids));
    to = out->ids;
    for (int i = 0; i < n; i++) {
        const safetensors_tensor *ids = spans[i].shard->slots[slot].ids;
        if (ids)
            safetensors_copy_u64(to, ids, spans[i].first, spans[i].n);
        else
            memset(to, 0, spans[i].n * sizeof *to);
        to += spans[i].n;
    }
    return OK;
}

/* Offset of row's first id in its shard; a column without offsets has one id a row. */
static uint64_t bag_begin(const data_ids *column, uint64_t row)
{
    return column->offsets ? safetensors_get_u64(column->offsets, row) : row;
}

/* Ids of a slot with a bag for each row of the spans. */
static err_t take_bags(const dataset *d, int slot, arena *a, const span *spans, int n,
                       batch_slot *out)
{
    uint64_t total = 0;
    int      row   = 0;

    TRY(arena_take(a, ((size_t)out->rows + 1) * sizeof *out->offsets, &out->offsets));
    out->offsets[0] = 0;
    for (int i = 0; i < n; i++) {
        const data_ids *column = &spans[i].shard->slots[slot];
        uint64_t        begin  = bag_begin(column, spans[i].first);
        for (uint64_t j = 1; j <= spans[i].n; j++) {
            uint64_t ids = total + bag_begin(column, spans[i].first + j) - begin;
            TRY(check_size(ids, d->schema->slots[slot].name));
            out->offsets[++row] = (int)ids;
        }
        total = (uint64_t)out->offsets[row];
    }
    out->n = (int)total;
    TRY(arena_take(a, (size_t)total * sizeof *out->ids, &out->ids));
    row = 0;
    for (int i = 0; i < n; i++) {
        const data_ids *column = &spans[i].shard->slots[slot];
        int             from   = out->offsets[row];
        row += (int)spans[i].n;
        safetensors_copy_u64(out->ids + from, column->ids, bag_begin(column, spans[i].first),
                             (uint64_t)(out->offsets[row] - from));
    }
    return OK;
}

/* Ids of a column of gaps: buckets of what the sequence's times say. The event before a
 * sample's first one counts where the file has it, though it was left out. */
static err_t take_gaps(const dataset *d, int slot, arena *a, const span *rows,
                       const span *events, const batch *b, batch_slot *out)
{
    const schema_slot    *about      = &d->schema->slots[slot];
    const batch_sequence *of         = &b->sequences[about->sequence];
    bool                  to_request = about->to == GAP_REQUEST;

    out->n = out->rows;
    TRY(arena_take(a, (size_t)out->n * sizeof *out->ids, &out->ids));
    for (int j = 0; j < b->B; j++) {
        const data_events *file  = &rows[j].shard->sequences[about->sequence];
        uint64_t           first = safetensors_get_u64(file->offsets, rows[j].first);
        for (int i = of->offsets[j]; i < of->offsets[j + 1]; i++) {
            uint64_t at = events[j].first + (uint64_t)(i - of->offsets[j]);
            if (to_request)
                out->ids[i] = gap_bucket(of->time[i], b->time[j]);
            else
                out->ids[i] = at == first
                                  ? GAP_NONE
                                  : gap_bucket((int64_t)safetensors_get_u64(file->time, at - 1),
                                               of->time[i]);
        }
    }
    return OK;
}

/* Slots of one owner: the samples themselves (-1), or a sequence's events. */
static err_t take_slots(const dataset *d, int owner, arena *a, const span *samples,
                        const span *spans, int rows, batch *b)
{
    for (int i = 0; i < d->schema->n_slots; i++) {
        if (d->schema->slots[i].sequence != owner)
            continue;
        b->slots[i] = (batch_slot){.rows = rows};
        if (d->schema->slots[i].is_gap)
            TRY(take_gaps(d, i, a, samples, spans, b, &b->slots[i]));
        else if (d->schema->slots[i].pool == POOL_NONE)
            TRY(take_single_ids(i, a, spans, b->B, &b->slots[i]));
        else
            TRY(take_bags(d, i, a, spans, b->B, &b->slots[i]));
    }
    return OK;
}

err_t dataset_batch(const dataset *d, const uint64_t *samples, int n, uint64_t first, arena *a,
                    batch *b)
{
    const schema *s = d->schema;
    span         *rows, *events;

    *b = (batch){.B = n, .first = first};
    TRY(locate(d, samples, n, a, &rows));
    TRY(take_labels(a, rows, b));
    TRY(take_weights(d, a, rows, b));
    TRY(take_times_and_groups(d, a, rows, b));
    TRY(take_floats(d, a, rows, b));
    TRY(arena_take(a, (size_t)s->n_slots * sizeof *b->slots, &b->slots));
    TRY(arena_take(a, (size_t)s->n_sequences * sizeof *b->sequences, &b->sequences));
    TRY(take_slots(d, -1, a, rows, rows, n, b));
    for (int i = 0; i < s->n_sequences; i++) {
        TRY(take_sequence(d, i, a, rows, b, &events));
        TRY(take_slots(d, i, a, rows, events, b->sequences[i].events, b));
    }
    return OK;
}

/* ---- moments ---- */

/* Add the numbers of one sample, the n-th. Welford 1962:
 *     far = x - mean;  mean += far / n;  squares += far (x - mean) */
static err_t add_moments(const data_shard *shard, int i, uint64_t row, size_t width, uint64_t n,
                         double *mean, double *squares)
{
    const safetensors_tensor *t = shard->floats[i];

    for (size_t j = 0; j < width; j++) {
        double x = safetensors_get_double(t, row * width + j);
        if (!isfinite(x))
            return err_set(ERR_DATA,
                           "%s: %s of sample %" PRIu64 " is %g, which has no mean or deviation",
                           safetensors_path(shard->file), t->name, row, x);
        double far = x - mean[j];
        mean[j] += far / (double)n;
        squares[j] += far * (x - mean[j]);
    }
    return OK;
}

err_t dataset_float_moments(const dataset *d, int i, uint64_t begin, uint64_t end, double *mean,
                            double *squares)
{
    size_t width = (size_t)d->schema->floats[i].width;
    int    shard = 0;

    memset(mean, 0, width * sizeof *mean);
    memset(squares, 0, width * sizeof *squares);
    for (uint64_t sample = begin; sample < end; sample++) {
        shard = find_shard(d, sample, shard);
        TRY(add_moments(&d->shards[shard], i, sample - d->first[shard], width,
                        sample - begin + 1, mean, squares));
    }
    return OK;
}
