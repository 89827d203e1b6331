#include "launch/request.h"

#include <stdlib.h>

#include "launch/request_candidates.h"
#include "launch/request_shard.h"

static err_t take_asked(request *q, const request_rules *rules, arena *a)
{
    size_t       size = 0;
    safetensors *file;

    TRY(request_shard_make(&q->bytes, &size, rules, q->line));
    TRY(safetensors_open_memory(&file, q->name, q->bytes, size));
    TRY(dataset_open_one(&q->data, rules->schema, file));
    return dataset_batch(q->data, (const uint64_t[]){0}, 1, 0, a, &q->batches.asked);
}

static err_t read_line(request *q, const request_rules *rules, const char *line, size_t size,
                       arena *a)
{
    const model_config *model = &rules->config->model;
    json_error_t        wrong;

    q->line = json_loadb(line, size, JSON_REJECT_DUPLICATES, &wrong);
    if (!q->line)
        return err_set(ERR_DATA, "no JSON: %s at column %d", wrong.text, wrong.column);
    if (!json_is_object(q->line))
        return err_set(ERR_DATA, "no JSON object");
    if (model->candidate.n == 0)
        return err_set(ERR_CONFIG, "model.candidate is empty: nothing tells candidates apart");
    TRY(take_asked(q, rules, a));
    TRY(request_candidates_list(q, model->candidate.at[0]));
    return request_candidates_take(q, rules, a);
}

err_t request_read(request *q, const request_rules *rules, const char *line, size_t size,
                   arena *a)
{
    err_t err = read_line(q, rules, line, size, a);

    return err == OK ? OK : err_add(err, "%s", q->name);
}

void request_clear(request *q)
{
    dataset_close(&q->data);
    free(q->bytes);
    json_decref(q->candidates);
    json_decref(q->line);
    *q = (request){0};
}
