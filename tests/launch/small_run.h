/* small_run - a run of three steps whose first checkpoint is a full one and whose second is a
 * delta, with all that a checkpoint can have: rows that leave, counters of admission by id and
 * by sketch. What `prepare synthetic` is to make for it are 30 users, 60 goods and 4 shops. */
#ifndef DIPS_TESTS_SMALL_RUN_H
#define DIPS_TESTS_SMALL_RUN_H

static const char small_run[] =
    "tables:\n"
    "  goods: {dim: 2, optimizer: adam, lr: 0.05, evict: {max_bytes: 1300K}}\n"
    "  user:  {dim: 2, lr: 0.05, admit: {min_count: 2, counter: exact}, evict: {idle_days: 1}}\n"
    "  shop:  {dim: 2, lr: 0.05, admit: {min_count: 2, counter: sketch, expected_ids: 100}}\n"
    "features: {user: {table: user}, goods: {table: goods}, shop: {table: shop}}\n"
    "model: {kind: lr, profile: [user], candidate: [goods, shop]}\n"
    "data: {train: [data/train-*.safetensors]}\n"
    "train: {batch: 32, seed: 7, steps: 3}\n"
    "checkpoint: {delta_every: 1 steps, keep: 10}\n";

#endif
