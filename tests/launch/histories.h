/* histories - what simulated runs must hold whatever happens to them: each ends with the bits
 * of the run that nothing happened to.
 *
 * All cuts of the calm run are full; most of the rough one's are deltas, which it returns to,
 * and the last one, folded, is the calm run's. */
#ifndef DIPS_TESTS_LAUNCH_HISTORIES_H
#define DIPS_TESTS_LAUNCH_HISTORIES_H

#include "common/log.h"
#include "launch/checkpoint/rewrite.h"
#include "ps/eviction.h"
#include "simulation.h"

/* Runs in two folders, disturbed and not, are told by their last cuts. */
typedef struct histories {
    config *config;
    schema *schema;
    char    calm[64], rough[64], folded[64];
} histories;

static inline void histories_open(histories *h, const char *yaml)
{
    log_threshold(LOG_ERROR); /* drops are meant here */
    must(config_parse(&h->config, "run.yaml", yaml, strlen(yaml), 0, NULL));
    must(schema_new(&h->schema, h->config));
}

static inline void histories_close(histories *h)
{
    schema_free(&h->schema);
    config_free(&h->config);
}

/* A run drawn by seed. */
static inline plain_run histories_draw(const histories *h, uint64_t seed)
{
    rng       r   = rng_named(seed, RNG_TEST, 2, 2);
    plain_run run = {.config = h->config, .schema = h->schema, .seed = seed};

    run.workers   = 1 + (int)rng_below(&r, PLAIN_WORKERS_MOST);
    run.shards    = 1 + (int)rng_below(&r, PLAIN_SHARDS_MOST);
    run.staleness = (int)rng_below(&r, PLAIN_AHEAD);
    if (plain_is_exact(&run))
        run.workers = 2;
    run.steps     = 10 + (int64_t)rng_below(&r, 40);
    run.cut_every  = 2 + (int)rng_below(&r, 12);
    run.full_every = 1 + (int)rng_below(&r, 6);
    run.keep       = 1 + (int)rng_below(&r, 3);
    return run;
}

/* The checkpoint at the end of the run in folder, made a full one if it is a delta. */
static inline void histories_fold(const histories *h, const plain_run *run, const char *folder)
{
    char      from[CONFIG_PATH_MAX], to[CONFIG_PATH_MAX];
    source    s;
    rewritten done;

    manifest_folder(from, folder, run->steps);
    manifest_folder(to, h->folded, run->steps);
    must(source_open(&s, from));
    must(rewrite_checkpoint(&s, to, false, 0, &done));
    source_close(&s);
}

static inline void histories_compare_cuts(histories *h, const plain_run *run)
{
    folder_make_in_memory(h->folded);
    histories_fold(h, run, h->rough);
    if (!plain_equal(run, h->calm, h->folded))
        fail_msg("seed %llu: the last cut is not that of the undisturbed run (%s, %s)",
                 (unsigned long long)run->seed, h->rough, h->calm);
    folder_remove(h->folded);
}

/* The disturbed run's result; fails, naming the seed, where its end is not that of the other.
 */
static inline sim_result histories_compare(histories *h, plain_run run,
                                           const sim_faults *faults)
{
    folder_make_in_memory(h->calm);
    folder_make_in_memory(h->rough);
    plain_run still  = run;
    still.folder     = h->calm;
    still.full_every = 1;
    sim_result calm  = simulate(&still, &(sim_faults){0});
    run.folder       = h->rough;
    sim_result rough = simulate(&run, faults);
    if (rough.seen != 0 && rough.seen != calm.seen)
        fail_msg("seed %llu: rows in the end are not those of the undisturbed run",
                 (unsigned long long)run.seed);
    if (!plain_is_exact(&run))
        histories_compare_cuts(h, &run);
    folder_remove(h->calm);
    folder_remove(h->rough);
    return rough;
}

static const sim_faults rough_weather = {
    .lost = 0.05, .twice = 0.05, .late = 0.05, .deaths = 4, .unordered = true};

/* Histories of the seeds first .. first + n - 1. */
static inline void histories_run(const char *yaml, uint64_t first, int n)
{
    histories  h;
    sim_result all = {0};

    histories_open(&h, yaml);
    for (uint64_t seed = first; seed < first + (uint64_t)n; seed++) {
        sim_result one = histories_compare(&h, histories_draw(&h, seed), &rough_weather);
        all.deaths += one.deaths;
        all.deltas += one.deltas;
        all.evicted += one.evicted;
    }
    printf("%d histories from seed %llu on: %d deaths, %d returns to a delta, %llu rows left "
           "after the last return\n",
           n, (unsigned long long)first, all.deaths, all.deltas,
           (unsigned long long)all.evicted);
    assert_true(n < 20 || all.deltas > n / 4);
    assert_true(n < 20 || all.evicted > 0 || !eviction_wanted(&h.config->tables[0].evict));
    histories_close(&h);
}

/* Runs of many steps on a wire that loses, repeats, delays and reorders, where nobody dies:
 * what is done twice is what the wire repeats. */
static inline void histories_run_long(const char *yaml, uint64_t first, int64_t steps,
                                      int staleness_step)
{
    sim_faults wire = rough_weather;
    histories  h;

    wire.deaths = 0;
    histories_open(&h, yaml);
    for (int staleness = 0; staleness < PLAIN_AHEAD; staleness += staleness_step) {
        const plain_run run = {.config     = h.config,
                               .schema     = h.schema,
                               .seed       = first + (uint64_t)staleness,
                               .steps      = steps,
                               .workers    = 2,
                               .shards     = 2,
                               .staleness  = staleness,
                               .cut_every  = 400,
                               .full_every = 4};
        histories_compare(&h, run, &wire);
    }
    histories_close(&h);
}

/* The seed of a history to be replayed alone: the program's argument, or DIPS_SEED. */
static inline const char *histories_replayed(int argc, char **argv)
{
    return argc > 1 ? argv[1] : getenv("DIPS_SEED");
}

#endif
