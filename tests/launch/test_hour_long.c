/* An hour's worth of requests: as many steps as a run makes in an hour at 30 a second,
 * batches of every size, two workers that run ahead; memory stands still. */
#include "cluster.h"

enum { HOUR_STEPS = 108000, UNIVERSE = 40000, AHEAD = 3, MOST = 3000, WARM = 5 /* % */ };

/* A worker's pulls under way, and their memory. */
typedef struct flight {
    arena  memory[AHEAD];
    id_set sets[AHEAD][TABLES];
} flight;

/* Mostly small parts, now and then one of thousands of ids, sometimes none. */
static err_t draw_sets(worker *w, flight *f, int64_t step)
{
    rng             r = rng_named(9, RNG_TEST, (uint64_t)step, (uint64_t)w->rank);
    size_t          n = rng_below(&r, rng_below(&r, 100) ? 60 : MOST);
    arena          *a = &f->memory[step % AHEAD];
    uint64_t       *ids;
    const uint64_t *lists[TABLES];
    size_t          many[TABLES];

    arena_reset(a);
    TRY(arena_take(a, n * sizeof *ids, &ids));
    for (size_t i = 0; i < n; i++)
        ids[i] = step * WARM < HOUR_STEPS ? (uint64_t)step * 60 + i : rng_next(&r);
    for (size_t i = 0; i < n; i++)
        ids[i] %= UNIVERSE;
    for (int t = 0; t < TABLES; t++) {
        lists[t] = ids;
        many[t]  = n;
    }
    return id_maker_make_bare(w->maker, lists, many, a, f->sets[step % AHEAD]);
}

static err_t train_hour(worker *w, flight *f, int64_t first, int64_t end)
{
    int64_t pulled = first;
    real   *rows[TABLES], *gradients[TABLES];

    for (int64_t step = first; step < end; step++) {
        id_set *sets = f->sets[step % AHEAD];
        for (; pulled < end && pulled < step + AHEAD; pulled++) {
            int64_t sees = pulled - (AHEAD - 1);
            TRY(draw_sets(w, f, pulled));
            TRY(ps_pull(w->client, pulled, sees > first ? sees : first,
                        f->sets[pulled % AHEAD]));
        }
        TRY(ps_rows(w->client, step, sets, rows));
        TRY(ps_gradients(w->client, step, sets, gradients));
        TRY(ps_push(w->client, step, pulled, &(ps_part){1, 0, true}, sets));
    }
    return OK;
}

/* One of two threads; its memory after each tenth. */
typedef struct hour {
    worker worker;
    flight flight;
    int    kb[10];
} hour;

static void *run_hour(void *argument)
{
    hour *h   = argument;
    err_t err = OK;

    for (int i = 0; err == OK && i < 10; i++) {
        err =
            train_hour(&h->worker, &h->flight, HOUR_STEPS / 10 * i, HOUR_STEPS / 10 * (i + 1));
        h->kb[i] = resident_kb();
    }
    err_keep(&h->worker.report, err);
    return NULL;
}

static void memory_stands_still_for_an_hour_of_requests(void **unused)
{
    static hour hours[WORKERS];
    cluster     c;

    (void)unused;
    open_cluster(&c, 2, "tcp://127.0.0.1:*");
    c.staleness = AHEAD - 1;
    for (int i = 0; i < WORKERS; i++)
        must(open_worker(&hours[i].worker, &c, i));
    must(ps_begin(hours[0].worker.client, NULL, 0));
    assert_int_equal(pthread_create(&hours[1].worker.thread, NULL, run_hour, &hours[1]), 0);
    run_hour(&hours[0]);
    pthread_join(hours[1].worker.thread, NULL);
    for (int i = 0; i < WORKERS; i++)
        must(err_give(&hours[i].worker.report));
    printf("kB after each tenth of %d steps:", HOUR_STEPS);
    for (int i = 0; i < 10; i++)
        printf(" %d", hours[0].kb[i]);
    printf("\n");
#ifndef __SANITIZE_ADDRESS__ /* which keeps what is freed */
    assert_in_range(hours[0].kb[9], 0, hours[0].kb[2] + hours[0].kb[2] / 20);
#endif
    for (int i = 0; i < WORKERS; i++) {
        close_worker(&hours[i].worker);
        for (int k = 0; k < AHEAD; k++)
            arena_clear(&hours[i].flight.memory[k]);
    }
    close_cluster(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_stands_still_for_an_hour_of_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
