/* The pace of a step: by hand, and against a cluster that is played event by event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/bench/simulated_cluster.h"

static const pace_costs costs = {.worker_row     = 50e-9,
                                 .worker_message = 30e-6,
                                 .server_row     = 130e-9,
                                 .server_birth   = 470e-9,
                                 .server_message = 230e-6,
                                 .io_message     = 27e-6,
                                 .io_byte        = 0.25e-9,
                                 .sum_message    = 10e-6,
                                 .sum_byte       = 0.8e-9,
                                 .crowding       = 1.2};

/* 256 samples of a model that takes 20 ms, 16,000 distinct ids of 12 bytes to ask for, rows of
 * 64 bytes; 200 KB of dense gradients; 25 Gbit/s, 50 us. */
static sim_options usual(int workers, int servers, int staleness)
{
    return (sim_options){
        .load    = {.samples    = 256,
                    .arithmetic = 20e-3,
                    .reading    = 2e-3,
                    .distinct   = 16000,
                    .pull       = 16000 * 12,
                    .rows       = 16000 * 64,
                    .push       = 16000 * 64,
                    .dense      = 200e3},
        .cluster = {.workers          = workers,
                    .servers          = servers,
                    .shards           = 1,
                    .staleness        = staleness,
                    .network          = 25e9 / 8,
                    .latency          = 50e-6,
                    .workers_per_host = 1},
        .costs   = costs,
        .seed    = 1,
    };
}

static pace pace_in(const sim_options *o)
{
    return pace_of(&o->load, &o->cluster, &o->costs);
}

static double played(const sim_options *o)
{
    double step_s;

    assert_int_equal(simulate(&step_s, o, 40), OK);
    return step_s;
}

/* The closed form is within `share` of what is played, and held up by `part`. */
static void agrees(const sim_options *o, pace_part part, double share)
{
    const pace p = pace_in(o);

    assert_int_equal(p.largest, part);
    assert_true(fabs(p.step / played(o) - 1) <= share);
}

static void one_worker_alone_takes_its_arithmetic(void **unused)
{
    (void)unused;
    const pace_load    l = {.samples = 100, .arithmetic = 0.01};
    const pace_cluster c = {
        .workers = 1, .servers = 1, .shards = 1, .staleness = 1, .workers_per_host = 1};
    const pace_costs k = {0};
    const pace       p = pace_of(&l, &c, &k);

    assert_int_equal(p.largest, PACE_WORKER);
    assert_float_equal(p.step, 0.01, 1e-12);
    assert_float_equal(p.samples_per_s, 10000, 1e-6);
}

/* The formulas at the top of pace.h with numbers that are easy to add. */
static void each_part_is_what_its_formula_says(void **unused)
{
    (void)unused;
    const pace_load    l = {.samples    = 10,
                            .arithmetic = 100,
                            .reading    = 7,
                            .distinct   = 40,
                            .births     = 8,
                            .pull       = 10,
                            .rows       = 100,
                            .push       = 50,
                            .dense      = 1e6};
    const pace_cluster c = {.workers          = 5,
                            .servers          = 2,
                            .shards           = 2,
                            .staleness        = 1,
                            .network          = 10,
                            .latency          = 3,
                            .workers_per_host = 2};
    const pace_costs   k = {.worker_row     = 1,
                            .worker_message = 2,
                            .server_row     = 3,
                            .server_birth   = 4,
                            .server_message = 5,
                            .io_message     = 6,
                            .io_byte        = 7,
                            .sum_message    = 8,
                            .sum_byte       = 9};
    const pace         p = pace_of(&l, &c, &k);
    double summed = 2 * 4 / 5. * 1e6, sum = 2 * 4 * 8 + summed * 9 + summed * 2 / 10 + 2 * 3;

    assert_float_equal(p.compute, 100 + 40 * 1 + 4 * 2, 1e-9);
    assert_true(fabs(p.part[PACE_WORKER] - (148 + sum)) < 1e-6);
    assert_float_equal(p.part[PACE_READER], 7, 1e-9);
    assert_float_equal(p.part[PACE_SHARD], 5 * (5 + 3 * 10 + 4 * 2), 1e-9);
    assert_float_equal(p.part[PACE_CARRIER], 5 * (3 * 6 * 2 + 7 * 160 / 2), 1e-9);
    assert_float_equal(p.part[PACE_SERVER_LINK], 5 * 100 / 2. / 10, 1e-9);
    assert_true(fabs(p.part[PACE_WORKER_LINK] - (100 + summed) * 2 / 10) < 1e-6);
    assert_float_equal(p.part[PACE_CORES], 0, 0);
}

static void few_workers_are_held_up_by_their_arithmetic(void **unused)
{
    (void)unused;
    for (int workers = 1; workers <= 16; workers *= 4) {
        sim_options o = usual(workers, 8, 1);
        agrees(&o, PACE_WORKER, 0.02);
    }
}

static void many_workers_are_held_up_by_the_shards(void **unused)
{
    (void)unused;
    sim_options o = usual(32, 2, 1);

    agrees(&o, PACE_SHARD, 0.02);
    double before     = pace_in(&o).samples_per_s;
    o.cluster.workers = 64; /* brings nothing */
    agrees(&o, PACE_SHARD, 0.02);
    assert_float_equal(pace_in(&o).samples_per_s / before, 1, 1e-6);
    o.cluster.shards = 2; /* does, as far as rows go; there are more messages now */
    agrees(&o, PACE_SHARD, 0.02);
    assert_true(pace_in(&o).samples_per_s > 1.5 * before);
}

static void a_narrow_network_holds_up(void **unused)
{
    (void)unused;
    sim_options o = usual(16, 4, 3);

    o.cluster.network = 1e9 / 8;
    agrees(&o, PACE_SERVER_LINK, 0.05);
    o.cluster.workers_per_host = 16; /* behind one link, narrower than those of four servers */
    o.load.dense               = 0;
    agrees(&o, PACE_WORKER_LINK, 0.05);
}

/* Everybody waits for everybody: here no closed form is exact. */
static void sync_goes_through_all_of_it_in_turn(void **unused)
{
    (void)unused;
    for (int workers = 1; workers <= 32; workers *= 4) {
        sim_options o = usual(workers, 4, 0);
        agrees(&o, PACE_CHAIN, 0.10);
    }
}

static void staleness_hides_a_slow_network(void **unused)
{
    (void)unused;
    double steps[5];

    for (int s = 0; s <= 4; s++) {
        sim_options o     = usual(2, 2, s);
        o.cluster.latency = 10e-3;
        o.load.dense      = 0; /* the sum of gradients waits for the network in any case */
        steps[s]          = played(&o);
        assert_true(fabs(pace_in(&o).step / steps[s] - 1) < 0.12);
    }
    assert_true(steps[0] > 2 * 20e-3);
    assert_true(steps[1] < 0.75 * steps[0]);
}

static void on_one_machine_all_cpu_time_is_shared_by_its_cores(void **unused)
{
    (void)unused;
    sim_options o = usual(4, 2, 1);

    o.cluster.network = o.cluster.latency = 0;
    o.cluster.cores                       = 2;
    agrees(&o, PACE_CORES, 0.02);
    double step     = pace_in(&o).step;
    o.cluster.cores = 1;
    assert_float_equal(pace_in(&o).step / step, 2, 1e-6);
    agrees(&o, PACE_CORES, 0.02);
}

/* A step waits for the slowest of many, with times of +-20 % nearly that. */
static void uneven_steps_cost_what_the_slowest_takes(void **unused)
{
    (void)unused;
    sim_options o    = usual(32, 16, 1);
    double      even = played(&o);

    o.jitter      = 0.2;
    double uneven = played(&o);
    assert_true(uneven > 1.12 * even && uneven < 1.2 * even);
    assert_float_equal(played(&o), uneven, 0);
    o.seed = 2;
    assert_true(played(&o) != uneven);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_worker_alone_takes_its_arithmetic),
        cmocka_unit_test(each_part_is_what_its_formula_says),
        cmocka_unit_test(few_workers_are_held_up_by_their_arithmetic),
        cmocka_unit_test(many_workers_are_held_up_by_the_shards),
        cmocka_unit_test(a_narrow_network_holds_up),
        cmocka_unit_test(sync_goes_through_all_of_it_in_turn),
        cmocka_unit_test(staleness_hides_a_slow_network),
        cmocka_unit_test(on_one_machine_all_cpu_time_is_shared_by_its_cores),
        cmocka_unit_test(uneven_steps_cost_what_the_slowest_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
