#include "ps/admission.h"

#include "common/hash.h"
#include "common/rng.h"
#include "ps/sample_count.h"

#define AHEAD 12 /* applicants between a prefetch and its use */

bool admission_by_step(const admit_config *c)
{
    return c->probability < 1 || (c->min_count > 1 && c->counter != COUNTER_DATASET);
}

err_t admission_init(admission *a, const admit_config *c, uint64_t salt, uint64_t seed,
                     uint32_t first, uint32_t end)
{
    *a = (admission){.config = c, .salt = salt, .seed = seed};
    if (c->min_count <= 1)
        return OK;
    if (c->counter == COUNTER_EXACT)
        return tally_new(&a->waiting, salt);
    if (c->counter == COUNTER_SKETCH) /* who reaches min_count is counted no more */
        return sketch_init(&a->sketch, c->min_count - 1, c->false_positive,
                           (double)c->expected_ids, first, end);
    return OK;
}

void admission_clear(admission *a)
{
    tally_free(&a->waiting);
    sketch_clear(&a->sketch);
}

err_t admission_reset(admission *a)
{
    if (a->waiting)
        tally_clear(a->waiting);
    return a->sketch.at ? sketch_reset(&a->sketch) : OK;
}

uint64_t admission_bytes(const admission *a)
{
    uint64_t buckets = a->sketch.end - a->sketch.first;

    return (a->waiting ? tally_bytes(a->waiting) : 0) + buckets * a->sketch.bytes;
}

/* Put the applicant at i among the first *admitted. */
static void admit(applicant *all, size_t i, size_t *admitted)
{
    applicant x        = all[i];
    all[i]             = all[*admitted];
    all[(*admitted)++] = x;
}

static err_t count_exactly(admission *a, applicant *all, size_t n, size_t *admitted)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t count;
        if (i + AHEAD < n)
            tally_prefetch(a->waiting, all[i + AHEAD].id);
        if (all[i].samples == 0)
            continue;
        TRY(tally_add(a->waiting, all[i].id, all[i].samples, &count));
        if (count < a->config->min_count)
            continue;
        tally_remove(a->waiting, all[i].id);
        all[i].samples = count;
        admit(all, i, admitted);
    }
    return OK;
}

/* First every applicant learns its count, then every cell is raised to the largest of those
 * whose cell it is. */
static void count_about(admission *a, applicant *all, size_t n, size_t *admitted)
{
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            sketch_prefetch(&a->sketch, hash_id(a->salt, all[i + AHEAD].id));
        if (all[i].samples)
            all[i].samples = sample_count_add(
                all[i].samples, sketch_get(&a->sketch, hash_id(a->salt, all[i].id)));
    }
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            sketch_prefetch(&a->sketch, hash_id(a->salt, all[i + AHEAD].id));
        sketch_raise(&a->sketch, hash_id(a->salt, all[i].id), all[i].samples);
    }
    for (size_t i = 0; i < n; i++)
        if (all[i].samples >= a->config->min_count)
            admit(all, i, admitted);
}

static void draw(const admission *a, uint64_t step, applicant *all, size_t n, size_t *admitted)
{
    for (size_t i = 0; i < n; i++) {
        rng r = rng_named(a->seed, RNG_ADMIT, a->salt + step, all[i].id);
        if (rng_uniform(&r) < a->config->probability)
            admit(all, i, admitted);
    }
}

err_t admission_step(admission *a, uint64_t step, applicant *all, size_t n, size_t *admitted)
{
    *admitted = 0;
    if (a->waiting)
        return count_exactly(a, all, n, admitted);
    if (a->sketch.at)
        count_about(a, all, n, admitted);
    else
        draw(a, step, all, n, admitted);
    return OK;
}
