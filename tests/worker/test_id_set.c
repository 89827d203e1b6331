#include "worker/data/id_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/hash.h"
#include "common/rng.h"

/* Two tables; goods stands in a feature, a bag, a sequence's column and a bag per event. */
enum { GOODS, TAGS, VISITED, VISITED_TAGS, SHOP, SLOTS };
enum { TABLES = 2, SEQUENCES = 1, MOST_IDS = 4096 };

static schema_table    tables[TABLES];
static schema_slot     slots[SLOTS];
static schema_sequence sequences[SEQUENCES];
static schema          world = {.n_tables    = TABLES,
                                .n_slots     = SLOTS,
                                .n_sequences = SEQUENCES,
                                .tables      = tables,
                                .slots       = slots,
                                .sequences   = sequences};

static void make_world(void)
{
    tables[0].salt      = hash_table_salt("goods");
    tables[1].salt      = hash_table_salt("shop");
    slots[GOODS]        = (schema_slot){.name = "goods", .table = 0, .sequence = -1};
    slots[TAGS]         = (schema_slot){.table = 0, .sequence = -1, .pool = POOL_SUM};
    slots[VISITED]      = (schema_slot){.table = 0, .sequence = 0};
    slots[VISITED_TAGS] = (schema_slot){.table = 0, .sequence = 0, .pool = POOL_MEAN};
    slots[SHOP]         = (schema_slot){.table = 1, .sequence = -1};
}

/* A batch in static memory. */
static struct {
    batch          batch;
    batch_slot     slots[SLOTS];
    batch_sequence sequences[SEQUENCES];
    int            event_offsets[MOST_IDS];
    int            offsets[SLOTS][MOST_IDS];
    uint64_t       ids[SLOTS][MOST_IDS];
} room;

/* ids are drawn from 0 .. variety-1, spread over all 64 bits where `wide`. */
static batch *random_batch(rng *r, int B, uint64_t variety, bool wide)
{
    batch *b  = &room.batch;
    *b        = (batch){.B = B, .slots = room.slots, .sequences = room.sequences};
    int events = 0;

    for (int i = 0; i < B; i++) {
        room.event_offsets[i] = events;
        events += (int)rng_below(r, 5);
    }
    room.event_offsets[B] = events;
    room.sequences[0]     = (batch_sequence){.events = events, .offsets = room.event_offsets};
    for (int s = 0; s < SLOTS; s++) {
        batch_slot *slot = &room.slots[s];
        int         rows = slots[s].sequence < 0 ? B : events, n = 0;
        bool        bag  = slots[s].pool != POOL_NONE;
        for (int i = 0; i < rows; i++) {
            room.offsets[s][i] = n;
            n += bag ? (int)rng_below(r, 4) : 1;
        }
        room.offsets[s][rows] = n;
        assert_true(n <= MOST_IDS && rows < MOST_IDS);
        for (int j = 0; j < n; j++) {
            uint64_t id       = rng_below(r, variety);
            room.ids[s][j] = wide ? id * UINT64_C(0x9e3779b97f4a7c15) - 1 : id;
        }
        *slot = (batch_slot){
            .rows = rows, .n = n, .offsets = bag ? room.offsets[s] : NULL, .ids = room.ids[s]};
    }
    return b;
}

/* ---- the same by the plainest means ---- */

typedef struct plain_id {
    uint64_t id;
    uint32_t bucket;
    int      order, samples, last;
} plain_id;

static int by_bucket_then_order(const void *a, const void *b)
{
    const plain_id *x = a, *y = b;

    if (x->bucket != y->bucket)
        return x->bucket < y->bucket ? -1 : 1;
    return x->order - y->order;
}

static uint32_t bucket_of(int table, uint64_t id)
{
    return hash_bucket(hash_id(tables[table].salt, id));
}

static int plain_ids(plain_id *out, const batch *b, int table)
{
    int n = 0;

    for (int i = 0; i < b->B; i++)
        for (int s = 0; s < SLOTS; s++) {
            const batch_slot *slot = &b->slots[s];
            int row = i, end = i + 1;
            if (slots[s].table != table)
                continue;
            if (slots[s].sequence >= 0) {
                row = b->sequences[0].offsets[i];
                end = b->sequences[0].offsets[i + 1];
            }
            for (; row < end; row++)
                for (int j = slot->offsets ? slot->offsets[row] : row;
                     j < (slot->offsets ? slot->offsets[row + 1] : row + 1); j++) {
                    int k = 0;
                    while (k < n && out[k].id != slot->ids[j])
                        k++;
                    if (k == n)
                        out[n++] = (plain_id){.id     = slot->ids[j],
                                              .bucket = bucket_of(table, slot->ids[j]),
                                              .order  = k,
                                              .last   = -1};
                    out[k].samples += out[k].last != i;
                    out[k].last = i;
                }
        }
    qsort(out, (size_t)n, sizeof *out, by_bucket_then_order);
    return n;
}

static void assert_as_plain(const batch *b, const id_set *sets)
{
    static plain_id plain[SLOTS * MOST_IDS];

    for (int t = 0; t < TABLES; t++) {
        int n = plain_ids(plain, b, t);
        assert_int_equal(sets[t].n, n);
        for (int i = 0; i < n; i++) {
            assert_int_equal(sets[t].ids[i], plain[i].id);
            assert_int_equal(sets[t].samples[i], plain[i].samples);
        }
    }
    for (int s = 0; s < SLOTS; s++)
        for (int j = 0; j < b->slots[s].n; j++) {
            const id_set *set = &sets[slots[s].table];
            int           at  = b->slots[s].distinct[j];
            assert_in_range(at, 0, set->n - 1);
            assert_int_equal(set->ids[at], b->slots[s].ids[j]);
        }
}

/* Each shard's piece holds exactly the ids of its buckets. */
static void assert_pieces(const id_set *sets, int shards)
{
    for (int t = 0; t < TABLES; t++) {
        assert_int_equal(sets[t].shard_begin[0], 0);
        assert_int_equal(sets[t].shard_begin[shards], sets[t].n);
        for (int k = 0; k < shards; k++) {
            assert_true(sets[t].shard_begin[k] <= sets[t].shard_begin[k + 1]);
            for (int i = sets[t].shard_begin[k]; i < sets[t].shard_begin[k + 1]; i++) {
                uint32_t bucket = bucket_of(t, sets[t].ids[i]);
                assert_true(bucket >= hash_first_bucket(k, shards));
                assert_true(bucket < hash_first_bucket(k + 1, shards));
            }
        }
    }
}

static void sets_are_those_of_a_plain_search(void **state)
{
    rng       r = rng_named(1, RNG_TEST, 0, 0);
    arena     a = {0};
    id_maker *m = NULL;

    (void)state;
    make_world();
    assert_int_equal(id_maker_new(&m, &world, 3), OK);
    for (int round = 0; round < 120; round++) { /* big and small ones in turn: old epochs */
        id_set sets[TABLES];
        batch *b = random_batch(&r, (int)rng_below(&r, round % 3 ? 20 : 200),
                                1 + rng_below(&r, round % 2 ? 2000 : 30), round % 5 < 2);
        arena_reset(&a);
        assert_int_equal(id_maker_make(m, b, &a, sets), OK);
        assert_as_plain(b, sets);
        assert_pieces(sets, 3);
    }
    id_maker_free(&m);
    arena_clear(&a);
}

static void the_order_is_the_same_for_any_number_of_shards(void **state)
{
    static const int shards[] = {1, 2, 3, 8, 4096};
    rng              r        = rng_named(2, RNG_TEST, 0, 0);
    arena            a        = {0};
    batch           *b        = NULL;
    id_set           first[TABLES];

    (void)state;
    make_world();
    b = random_batch(&r, 150, 5000, true);
    for (size_t k = 0; k < sizeof shards / sizeof *shards; k++) {
        id_set    sets[TABLES];
        id_maker *m = NULL;
        assert_int_equal(id_maker_new(&m, &world, shards[k]), OK);
        assert_int_equal(id_maker_make(m, b, &a, sets), OK);
        if (k == 0)
            memcpy(first, sets, sizeof first);
        for (int t = 0; t < TABLES; t++) {
            assert_int_equal(sets[t].n, first[t].n);
            size_t n = (size_t)first[t].n;
            assert_memory_equal(sets[t].ids, first[t].ids, n * sizeof(uint64_t));
            assert_memory_equal(sets[t].samples, first[t].samples, n * sizeof(uint32_t));
        }
        assert_pieces(sets, shards[k]);
        id_maker_free(&m);
    }
    arena_clear(&a);
}

/* id 5: in goods and in the tags of sample 0, twice in the history of sample 1. */
static void an_id_counts_once_per_sample_wherever_it_stands(void **state)
{
    uint64_t       goods[] = {5, 6}, tags[] = {5, 5}, visited[] = {5, 5}, shop[] = {5, 5};
    int            tag_offsets[] = {0, 2, 2}, events[] = {0, 0, 2}, none[] = {0, 0, 0};
    batch_sequence sequence      = {.events = 2, .offsets = events};
    batch_slot     in[SLOTS]     = {
        [GOODS]        = {.rows = 2, .n = 2, .ids = goods},
        [TAGS]         = {.rows = 2, .n = 2, .ids = tags, .offsets = tag_offsets},
        [VISITED]      = {.rows = 2, .n = 2, .ids = visited},
        [VISITED_TAGS] = {.rows = 2, .n = 0, .offsets = none},
        [SHOP]         = {.rows = 2, .n = 2, .ids = shop},
    };
    batch     b = {.B = 2, .slots = in, .sequences = &sequence};
    arena     a = {0};
    id_maker *m = NULL;
    id_set    sets[TABLES];

    (void)state;
    make_world();
    assert_int_equal(id_maker_new(&m, &world, 1), OK);
    assert_int_equal(id_maker_make(m, &b, &a, sets), OK);
    assert_int_equal(sets[0].n, 2);
    int five = in[GOODS].distinct[0];
    assert_int_equal(sets[0].ids[five], 5);
    assert_int_equal(sets[0].samples[five], 2);
    assert_int_equal(sets[0].samples[1 - five], 1);
    assert_int_equal(in[VISITED].distinct[1], five);
    assert_int_equal(sets[1].n, 1);
    assert_int_equal(sets[1].samples[0], 2);
    id_maker_free(&m);
    arena_clear(&a);
}

static void an_empty_batch_has_empty_sets(void **state)
{
    rng       r = rng_named(3, RNG_TEST, 0, 0);
    arena     a = {0};
    id_maker *m = NULL;
    id_set    sets[TABLES];

    (void)state;
    make_world();
    assert_int_equal(id_maker_new(&m, &world, 2), OK);
    assert_int_equal(id_maker_make(m, random_batch(&r, 0, 10, false), &a, sets), OK);
    for (int t = 0; t < TABLES; t++) {
        assert_int_equal(sets[t].n, 0);
        assert_int_equal(sets[t].shard_begin[0], 0);
        assert_int_equal(sets[t].shard_begin[2], 0);
    }
    id_maker_free(&m);
    arena_clear(&a);
}

static void bare_ids_become_sets_without_counts(void **state)
{
    uint64_t        goods[] = {9, UINT64_MAX, 0, 9, 0};
    const uint64_t *ids[]   = {goods, NULL};
    const size_t    n[]     = {5, 0};
    arena           a       = {0};
    id_maker       *m       = NULL;
    id_set          sets[TABLES];

    (void)state;
    make_world();
    assert_int_equal(id_maker_new(&m, &world, 3), OK);
    assert_int_equal(id_maker_make_bare(m, ids, n, &a, sets), OK);
    assert_int_equal(sets[0].n, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sets[0].samples[i], 0);
    assert_int_equal(sets[1].n, 0);
    assert_pieces(sets, 3);
    id_maker_free(&m);
    arena_clear(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_are_those_of_a_plain_search),
        cmocka_unit_test(the_order_is_the_same_for_any_number_of_shards),
        cmocka_unit_test(an_id_counts_once_per_sample_wherever_it_stands),
        cmocka_unit_test(an_empty_batch_has_empty_sets),
        cmocka_unit_test(bare_ids_become_sets_without_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
