#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "tests/folder.h"

/* The example of the design, letter by letter. */
static const char example[] =
    "tables:\n"
    "  goods: {dim: 18, optimizer: rowwise_adagrad, lr: 0.05,"
    " penalty: {kind: minibatch_aware, lambda: 0.01}}\n"
    "  cate:  {dim: 18}\n"
    "  user:  {dim: 18, admit: {min_count: 2}}\n"
    "features:\n"
    "  user:    {table: user}\n"
    "  goods:   {table: goods}\n"
    "  cate:    {table: cate}\n"
    "  history: {columns: {goods: {table: goods}, cate: {table: cate}, time: {kind: time}},"
    " max_len: 100, keep: last}\n"
    "model:\n"
    "  kind: din\n"
    "  profile: [user]\n"
    "  candidate: [goods, cate]\n"
    "  history: history\n"
    "  attention: {score: mlp, parts: [q, k, q-k, q*k], units: [80, 40], activation: dice,"
    " normalize: none, groups: joint}\n"
    "  mlp: {units: [200, 80], activation: dice}\n"
    "data:    {train: data/ml-1m/train-*.safetensors, test: data/ml-1m/test-*.safetensors}\n"
    "train:   {batch: 1024, epochs: 2, mode: sync, staleness: 0, seed: 1}\n"
    "cluster: {servers: 0, workers: 1}\n"
    "checkpoint: {every: 500 steps, keep: 3}\n";

static config *load(const char *text, int n, char **words)
{
    config *c = NULL;

    if (config_parse(&c, "run.yaml", text, strlen(text), n, words) != OK)
        fail_msg("%s", err_text());
    return c;
}

/* Loading text with one word (NULL: none) fails with this sentence. */
static void refuse_word(const char *text, char *word, const char *sentence)
{
    config *c = NULL;

    assert_int_equal(config_parse(&c, "run.yaml", text, strlen(text), word != NULL, &word),
                     ERR_CONFIG);
    assert_null(c);
    assert_string_equal(err_text(), sentence);
}

static void refuse(const char *text, const char *sentence)
{
    refuse_word(text, NULL, sentence);
}

/* The configuration as text; free. */
static char *print(const config *c)
{
    char  *text = NULL;
    size_t size;
    FILE  *f = open_memstream(&text, &size);

    assert_non_null(f);
    assert_int_equal(config_print(c, f), OK);
    fclose(f);
    return text;
}

static void the_example_of_the_design_loads(void **state)
{
    (void)state;
    config *c = load(example, 0, NULL);

    assert_int_equal(c->n_tables, 3);
    assert_string_equal(c->tables[0].name, "goods");
    assert_int_equal(c->tables[0].dim, 18);
    assert_int_equal(c->tables[0].penalty.kind, PENALTY_MINIBATCH_AWARE);
    assert_true(c->tables[0].penalty.lambda == 0.01);
    assert_int_equal(c->tables[1].optimizer.kind, OPTIMIZER_ROWWISE_ADAGRAD);
    assert_true(c->tables[1].optimizer.lr == 0.05);
    assert_int_equal(c->tables[2].admit.min_count, 2);
    assert_int_equal(c->n_features, 4);
    assert_int_equal(c->features[3].kind, FEATURE_SEQUENCE);
    assert_int_equal(c->features[3].n_columns, 3);
    assert_int_equal(c->features[3].max_len, 100);
    assert_int_equal(c->features[3].columns[2].kind, FEATURE_TIME);
    assert_string_equal(c->model.kind, "din");
    assert_int_equal(c->model.candidate.n, 2);
    assert_string_equal(c->model.candidate.at[1], "cate");
    assert_int_equal(c->model.attention.n_parts, 4);
    assert_int_equal(c->model.attention.parts[3], PART_PRODUCT);
    assert_int_equal(c->model.mlp.units.n, 2);
    assert_int_equal(c->model.mlp.units.at[0], 200);
    assert_int_equal(c->data.train.n, 1);
    assert_string_equal(c->data.train.at[0], "data/ml-1m/train-*.safetensors");
    assert_true(c->train.epochs == 2);
    assert_int_equal(c->train.steps, -1);
    assert_int_equal(c->checkpoint.every.steps, 500);
    assert_int_equal(c->dense.kind, OPTIMIZER_ADAM);
    assert_true(c->dense.lr == 0.001);
    config_free(&c);
    assert_null(c);
}

static void what_is_printed_loads_to_the_same(void **state)
{
    (void)state;
    char   *words[] = {"data.train=[a, 'b \"c\\d', \"\\u00e9\\U0001F600\"]",
                       "train.seed=18446744073709551615",
                       "clip.row_norm=0.1",
                       "schedule={kind: step, rate: 0.30000000000000004, every: 7}",
                       "checkpoint.every=2.5 epochs",
                       "cluster.hostfile='null'",
                       "tables.bag.dim=4",
                       "tables.bag.eps=auto",
                       "tables.cate.optimizer=adagrad",
                       "features.tags={table: bag, pool: mean, drop_ids: 0.1}",
                       "features.price={kind: float, transform: log}",
                       "model.context=[tags, price]"};
    config *first   = load(example, sizeof words / sizeof *words, words);
    char   *printed = print(first);
    config *second  = load(printed, 0, NULL);
    char   *again   = print(second);

    assert_string_equal(printed, again);
    assert_string_equal(second->data.train.at[1], "b \"c\\d");
    assert_string_equal(second->data.train.at[2], "\xc3\xa9\xf0\x9f\x98\x80");
    assert_true(second->train.seed == UINT64_MAX);
    assert_true(second->schedule.rate == 0.30000000000000004);
    assert_true(second->checkpoint.every.epochs == 2.5);
    assert_string_equal(second->cluster.hostfile, "null");
    assert_true(second->tables[1].optimizer.eps == 1e-10);
    assert_int_equal(second->features[4].pool, POOL_MEAN);
    assert_int_equal(second->features[5].transform, TRANSFORM_LOG);
    free(printed);
    free(again);
    config_free(&first);
    config_free(&second);
}

static void what_is_printed_as_words_loads_to_the_same(void **state)
{
    (void)state;
    config *first = load(example, 0, NULL);
    char   *text = NULL, *words[400], *printed = print(first);
    int     n = 0;
    size_t  size;
    FILE   *f = open_memstream(&text, &size);

    assert_int_equal(config_print_words(first, f), OK);
    fclose(f);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        words[n++] = line;
    config *second = load("", n, words);
    char   *again  = print(second);
    assert_string_equal(printed, again);
    assert_string_equal(words[0], "tables.goods.dim=18");
    free(text);
    free(printed);
    free(again);
    config_free(&first);
    config_free(&second);
}

static void large_numbers_have_units(void **state)
{
    static const struct {
        const char *text, *printed;
        int64_t     value;
    } cases[] = {
        {"0", "0", 0},
        {"12G", "12G", 12000000000},
        {"1.5K", "1500", 1500},
        {"2T", "2T", 2000000000000},
        {"3MiB", "3MiB", 3 << 20},
        {"12GiB", "12GiB", (int64_t)12 << 30},
        {"1e6", "1M", 1000000},
        {"4294967297", "4294967297", 4294967297},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char word[80], wanted[80];
        snprintf(word, sizeof word, "tables.t.evict.max_bytes=%s", cases[i].text);
        snprintf(wanted, sizeof wanted, "max_bytes: %s\n", cases[i].printed);
        config *c    = load("tables: {t: {dim: 4}}\n", 1, (char *[]){word});
        char   *text = print(c);
        assert_true(c->tables[0].evict.max_bytes == cases[i].value);
        assert_non_null(strstr(text, wanted));
        free(text);
        config_free(&c);
    }
    refuse("tables: {t: {dim: 4, evict: {max_bytes: 12X}}}\n",
           "run.yaml:1:41: tables.t.evict.max_bytes is '12X', wanted a whole number, also as "
           "600M or 12GiB, in 0 .. 1e+15 bytes");
    refuse(
        "tables: {t: {dim: 4, evict: {max_bytes: 1.0001K}}}\n",
        "run.yaml:1:41: tables.t.evict.max_bytes is '1.0001K', wanted a whole number, also as "
        "600M or 12GiB, in 0 .. 1e+15 bytes");
    refuse("tables: {t: {dim: 4, evict: {max_bytes: 2000T}}}\n",
           "run.yaml:1:41: tables.t.evict.max_bytes is '2000T', wanted a whole number, also as "
           "600M or 12GiB, in 0 .. 1e+15 bytes");
    refuse("tables: {t: {dim: 4, evict: {max_bytes: -1K}}}\n",
           "run.yaml:1:41: tables.t.evict.max_bytes is '-1K', wanted a whole number, also as "
           "600M or 12GiB, in 0 .. 1e+15 bytes");
}

static void admission_is_by_one_rule_that_can_work(void **state)
{
    (void)state;
    refuse("tables: {t: {dim: 4, admit: {min_count: 2, probability: 0.5}}}\n",
           "run.yaml:1:57: tables.t.admit.probability is 0.5 and admit.min_count 2: one of "
           "them decides who gets a row, wanted 1 or no min_count");
    refuse("tables: {t: {dim: 4, admit: {counter: exact}}}\n",
           "run.yaml:1:39: tables.t.admit.counter counts up to admit.min_count, which is 0, "
           "wanted 2 or more");
    refuse(
        "tables: {t: {dim: 4, admit: {counter: sketch, min_count: 3}}}\n",
        "run.yaml:1:29: tables.t.admit.expected_ids is missing: for how many different ids the "
        "sketch is made, as 600M");
    refuse(
        "tables: {t: {dim: 4, admit: {counter: sketch, min_count: 257, expected_ids: 1M}}}\n",
        "run.yaml:1:58: tables.t.admit.min_count is 257, wanted at most 256, which a sketch "
        "counts "
        "to; admit.counter: exact has no limit");
    refuse("tables: {t: {dim: 4, admit: {probability: 0}}}\n",
           "run.yaml:1:43: tables.t.admit.probability is '0', wanted a number in 1e-09 .. 1");
}

static void an_empty_file_is_all_defaults(void **state)
{
    (void)state;
    config *c       = load("", 0, NULL);
    char   *printed = print(c);
    config *again   = load(printed, 0, NULL);

    assert_int_equal(c->n_tables, 0);
    assert_true(again->dense.eps == 1e-8);
    assert_int_equal(again->train.eval_every.steps, 0);
    assert_true(again->checkpoint.every.epochs == 1);
    assert_int_equal(again->model.attention.units.at[1], 40);
    free(printed);
    config_free(&c);
    config_free(&again);
}

static void words_win_over_the_file_and_later_words_over_earlier(void **state)
{
    (void)state;
    char   *words[] = {"train.batch=5", "model.mlp.units=[7]", "train.batch=6",
                       "tables.goods={lr: 1}", "data.test="};
    config *c       = load(example, 5, words);

    assert_int_equal(c->train.batch, 6);
    assert_int_equal(c->model.mlp.units.n, 1);
    assert_int_equal(c->model.mlp.units.at[0], 7);
    assert_true(c->tables[0].optimizer.lr == 1);
    assert_int_equal(c->tables[0].dim, 18);
    assert_int_equal(c->data.test.n, 0);
    config_free(&c);
}

static void an_unknown_key_names_place_and_nearest(void **state)
{
    (void)state;
    refuse("model:\n  kind: din\n  atention: {score: dot}\n",
           "run.yaml:3:3: unknown key model.atention (nearest: model.attention)");
    refuse("tables:\n  goods:\n    dim: 8\n    penalty: {kin: l2}\n",
           "run.yaml:4:15: unknown key tables.goods.penalty.kin (nearest: "
           "tables.goods.penalty.kind)");
    refuse("trian: {batch: 3}\n", "run.yaml:1:1: unknown key trian (nearest: train)");
    refuse("hostfile: x\n", "run.yaml:1:1: unknown key hostfile (nearest: cluster.hostfile)");
    refuse("features: {h: {columns: {g: {tabel: x}}}}\n",
           "run.yaml:1:30: unknown key features.h.columns.g.tabel (nearest: "
           "features.h.columns.g.table)");
    refuse("train.batch: 3\n",
           "run.yaml:1:1: the key 'train.batch' has a dot: write one mapping inside the other "
           "here");
    refuse_word("", "train.bacth=3",
                "word 'train.bacth=3': unknown key train.bacth (nearest: train.batch)");
}

static void a_value_of_the_wrong_type_or_range_is_named(void **state)
{
    (void)state;
    refuse("train:\n  batch: 0\n",
           "run.yaml:2:10: train.batch is '0', wanted a whole number in 1 .. 16777216 samples");
    refuse("train: {batch: many}\n", "run.yaml:1:16: train.batch is 'many', wanted a whole "
                                     "number in 1 .. 16777216 samples");
    refuse("train: {batch: 1.5}\n", "run.yaml:1:16: train.batch is '1.5', wanted a whole "
                                    "number in 1 .. 16777216 samples");
    refuse(
        "train: {batch: 99999999999999999999}\n",
        "run.yaml:1:16: train.batch is '99999999999999999999', wanted a whole number in 1 .. "
        "16777216 samples");
    refuse("train: {batch: [1]}\n", "run.yaml:1:16: train.batch is a list, wanted a whole "
                                    "number in 1 .. 16777216 samples");
    refuse("train: {batch: }\n", "run.yaml:1:16: train.batch is empty, wanted a whole number "
                                 "in 1 .. 16777216 samples");
    refuse("train: {seed: -1}\n", "run.yaml:1:15: train.seed is '-1', wanted a whole number in "
                                  "0 .. 18446744073709551615");
    refuse("dense: {lr: nan}\n",
           "run.yaml:1:13: dense.lr is 'nan', wanted a number in 0 .. 1000");
    refuse("dense: {lr: -0.1}\n",
           "run.yaml:1:13: dense.lr is '-0.1', wanted a number in 0 .. 1000");
    refuse("data: {shuffle: maybe}\n",
           "run.yaml:1:17: data.shuffle is 'maybe', wanted true or false");
    refuse("dense: {optimizer: ftrl}\n", "run.yaml:1:20: dense.optimizer is 'ftrl', wanted one "
                                         "of sgd, momentum, adagrad, adam");
    refuse("model: {mlp: {units: [80, 0]}}\n",
           "run.yaml:1:22: model.mlp.units is a list, wanted a list of whole numbers in 1 .. "
           "16384");
    refuse("cluster: {workers: 4097}\n", /* more than a shard has tickets for */
           "run.yaml:1:20: cluster.workers is '4097', wanted a whole number in 1 .. 4096 "
           "processes");
    refuse("model: {attention: {parts: [q, z]}}\n",
           "run.yaml:1:28: model.attention.parts is a list, wanted a list out of q, k, q-k, "
           "q*k");
    refuse("model: {attention: {parts: []}}\n",
           "run.yaml:1:28: model.attention.parts is a list, wanted a list out of q, k, q-k, "
           "q*k");
    refuse("model: {attention: {parts: [q, k, q]}}\n",
           "run.yaml:1:35: model.attention.parts names 'q' twice");
    refuse("model: {kind: 'a b'}\n", "run.yaml:1:15: model.kind is 'a b', wanted a name (at "
                                     "most 63 letters, digits, _ and -)");
    refuse("checkpoint: {every: 5 days}\n", "run.yaml:1:21: checkpoint.every is '5 days', "
                                            "wanted 'N steps', 'N epochs' or 'never'");
    refuse("train: 5\n", "run.yaml:1:8: train is '5', wanted a mapping of its options");
    refuse("cluster: {hostfile: \"a\\nb\"}\n",
           "run.yaml:1:21: cluster.hostfile is 'a?b', wanted a text of at most 1023 bytes "
           "without control characters");
    refuse_word("", "train.epochs=x",
                "word 'train.epochs=x': train.epochs is 'x', wanted a number in 0 .. 1000000 "
                "epochs");
}

static void yaml_that_is_none_is_refused_with_its_place(void **state)
{
    (void)state;
    refuse("train: {batch: 3\n", "run.yaml:2:1: not YAML: did not find expected ',' or '}'");
    refuse("train:\n  batch: 3\n  batch: 4\n",
           "run.yaml:3:3: the key 'batch' stands here twice, first at line 2");
    refuse("train: &a {batch: 3}\n",
           "run.yaml:1:8: anchors (&name) are not read here; write it out");
    refuse("train: *a\n", "run.yaml:1:8: aliases (*name) are not read here; write it out");
    refuse("train: {<<: {batch: 3}}\n",
           "run.yaml:1:9: merge keys (<<) are not read here; write it out");
    refuse("train: !!map {batch: 3}\n", "run.yaml:1:8: tags (!name) are not read here");
    refuse("train: {batch: 3}\n---\ntrain: {batch: 4}\n",
           "run.yaml:2:1: a second document; wanted one");
    refuse("{[1]: 2}\n", "run.yaml:1:2: a key is a list, wanted a name");
    refuse("[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]\n", "run.yaml:1:17: nested too deeply");
    refuse("5\n", "run.yaml:1:1: wanted a mapping (tables, features, model, ...)");
    refuse("train: \"\\0\"\n", "run.yaml:1:8: a zero byte inside a value");
    refuse("a: \xff\n", "run.yaml:1:1: not YAML: invalid leading UTF-8 octet");
    refuse_word("", "batch", "word 'batch': wanted KEY=VALUE");
    refuse_word("", "train.batch=[1",
                "word 'train.batch=[1': not YAML: did not find expected ',' or ']'");
}

#define TWO_TABLES "tables: {user: {dim: 4}, goods: {dim: 4}}\n"

static void names_must_name_something(void **state)
{
    (void)state;
    refuse("tables: {user: {lr: 1}}\n",
           "run.yaml:1:16: tables.user.dim is missing: how many numbers a row has");
    refuse("tables: {a.b: {dim: 4}}\n",
           "run.yaml:1:10: 'a.b' is no name (at most 63 letters, digits, _ and -)");
    refuse(TWO_TABLES "features: {u: {table: usr}}\n",
           "run.yaml:2:23: features.u.table is 'usr', and tables has none of that name "
           "(nearest: user)");
    refuse(TWO_TABLES "features: {u: {pool: sum}}\n",
           "run.yaml:2:15: features.u.table is missing: the table that the id is looked up in");
    refuse(TWO_TABLES "features:\n  h:\n    columns:\n      g: {table: good}\n",
           "run.yaml:5:18: features.h.columns.g.table is 'good', and tables has none of that "
           "name (nearest: goods)");
    refuse(TWO_TABLES "features: {u: {table: user}}\nmodel: {profile: [u, v]}\n",
           "run.yaml:3:22: model.profile names 'v', and features has none of that name "
           "(nearest: u)");
    refuse(TWO_TABLES "features: {u: {table: user}}\nmodel: {profile: [u, u]}\n",
           "run.yaml:3:22: model.profile names 'u' twice");
    refuse(TWO_TABLES "features: {u: {table: user}}\nmodel: {history: u}\n",
           "run.yaml:3:18: model.history names 'u', which is no sequence");
    refuse(TWO_TABLES "features: {h: {columns: {g: {table: goods}}}}\nmodel: {context: [h]}\n",
           "run.yaml:3:19: model.context names 'h', a sequence; it belongs in model.history");
    refuse_word(
        TWO_TABLES, "features.u.table=usr",
        "word 'features.u.table=usr': features.u.table is 'usr', and tables has none of "
        "that name (nearest: user)");
}

static void features_are_of_one_kind(void **state)
{
    (void)state;
    refuse(TWO_TABLES "features: {label: {table: user}}\n",
           "run.yaml:2:19: features.label: the name 'label' means something else in data "
           "shards");
    refuse(TWO_TABLES "features: {u: {table: user, max_len: 3}}\n",
           "run.yaml:2:38: features.u.max_len is not for an id, which features.u is");
    refuse(TWO_TABLES "features: {u: {kind: float, table: user}}\n",
           "run.yaml:2:36: features.u.table is not for a float, which features.u is");
    refuse(TWO_TABLES "features: {h: {kind: sequence}}\n",
           "run.yaml:2:15: features.h.columns is missing: what a sequence consists of");
    refuse(TWO_TABLES "features: {h: {kind: id, columns: {g: {table: goods}}}}\n",
           "run.yaml:2:22: features.h has columns, so its kind must be sequence");
    refuse(
        TWO_TABLES "features: {h: {columns: {when: {kind: time}}}}\n",
        "run.yaml:2:39: features.h.columns.when is of kind time, so its name must be 'time'");
    refuse(TWO_TABLES "features: {h: {columns: {time: {table: goods}}}}\n",
           "run.yaml:2:32: features.h.columns.time: a column called 'time' must have kind: "
           "time");
    refuse(TWO_TABLES "features: {h: {columns: {g: {kind: gap}, time: {kind: time}}}}\n",
           "run.yaml:2:29: features.h.columns.g.table is missing: the table that the gap is "
           "looked up in");
    refuse(TWO_TABLES "features: {h: {columns: {g: {kind: gap, table: user, pool: sum}, time: "
                      "{kind: time}}}}\n",
           "run.yaml:2:60: features.h.columns.g.pool is not for a gap, which "
           "features.h.columns.g is");
}

static void what_is_made_of_times_needs_them(void **state)
{
    (void)state;
    refuse(TWO_TABLES "features: {h: {history_days: 3, columns: {g: {table: goods}}}}\n",
           "run.yaml:2:30: features.h.history_days is 3, and features.h has no column time of "
           "kind time");
    refuse(TWO_TABLES "features: {h: {columns: {g: {kind: gap, table: goods}}}}\n",
           "run.yaml:2:29: features.h.columns.g is a gap, and features.h has no column time of "
           "kind time");
    config *c =
        load(TWO_TABLES "features: {h: {history_days: 0.5, columns: {g: {kind: gap, to: "
                        "request, table: goods}, time: {kind: time}}}}\n",
             0, NULL);
    assert_true(c->features[0].history_days == 0.5);
    assert_int_equal(c->features[0].columns[0].to, GAP_REQUEST);
    config_free(&c);
}

static void choices_that_exclude_each_other_are_refused(void **state)
{
    (void)state;
    refuse("train: {mode: sync, staleness: 1}\n",
           "run.yaml:1:32: train.staleness is '1', and train.mode sync wants 0");
    config *c = load("train: {mode: async, staleness: 3}\n", 0, NULL);
    assert_int_equal(c->train.staleness, 3);
    config_free(&c);
    refuse("train: {mode: pipelined}\n", "run.yaml:1:8: train.staleness is '0', and train.mode "
                                         "pipelined wants 1 .. 64");
    refuse(TWO_TABLES "features: {h: {columns: {g: {table: goods}}}}\n"
                      "model: {history: h, pool: decay}\n",
           "run.yaml:3:27: model.pool is 'decay', and features.h has no column of kind time");
    refuse("tables: {t: {dim: 2, penalty: {lambda: 0.5}}}\n",
           "run.yaml:1:40: tables.t.penalty.lambda is 0.5, and penalty.kind is missing: none, "
           "l1, l2, decay or minibatch_aware");
    refuse("tables: {t: {dim: 2, l2: 0.5}}\n",
           "run.yaml:1:26: tables.t.l2 is 0.5, which is for optimizer ftrl and not "
           "rowwise_adagrad, wanted 0 (or penalty: {kind: l2})");
    refuse("tables: {t: {dim: 2, optimizer: adam, l1: 0.25, l2: 0.5}}\n",
           "run.yaml:1:43: tables.t.l1 is 0.25, which is for optimizer ftrl and not adam, wanted "
           "0 (or penalty: {kind: l1})");
    refuse("tables: {t: 3}\n", "run.yaml:1:13: tables.t is '3', wanted a mapping");
    refuse("tables: {t: {dim: 2, optimizer: ftrl, penalty: {kind: decay}}}\n",
           "run.yaml:1:55: tables.t.penalty.kind is decay and its optimizer is ftrl, whose "
           "weights follow from its sums and cannot decay; l2 is ftrl's own");
    refuse("tables: {t: {dim: 2, lr: 10, penalty: {kind: decay, lambda: 0.25}}}\n",
           "run.yaml:1:46: tables.t.penalty: decay takes lr lambda = 10 x 0.25 of a weight in a "
           "step, wanted less than 1");
    refuse("cluster: {servers: 4096, shards: 2}\n",
           "run.yaml:1:34: 4096 servers of 2 shards are 8192 shards, wanted at most 4096");
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    config *c = NULL;

    assert_int_equal(config_load(&c, "/nowhere/run.yaml", 0, NULL), ERR_CONFIG);
    assert_string_equal(err_text(), "/nowhere/run.yaml: No such file or directory");
    assert_null(c);
}

/* models.md 2.4: SGD of rate 1.0 with exponential decay 0.1, and the step form. */
static void schedules_are_powers_of_the_rate(void **state)
{
    (void)state;
    char   *exponential[] = {"schedule={kind: exponential, rate: 0.1, every: 100}"};
    char   *steps[]       = {"schedule={kind: step, rate: 0.5, every: 10}"};
    config *c             = load("", 1, exponential);

    assert_true(config_lr_factor(c, 0) == 1);
    assert_true(fabs(config_lr_factor(c, 50) - 0.31622776601683794) < 1e-15);
    assert_true(fabs(config_lr_factor(c, 200) - 0.01) < 1e-15);
    config_free(&c);
    c = load("", 1, steps);
    assert_true(config_lr_factor(c, 9) == 1);
    assert_true(config_lr_factor(c, 10) == 0.5);
    assert_true(config_lr_factor(c, 35) == 0.125);
    config_free(&c);
    c = load("", 0, NULL);
    assert_true(config_lr_factor(c, 1000000) == 1);
    config_free(&c);
}

static void patterns_expand_in_order_and_must_match(void **state)
{
    (void)state;
    char         folder[64], path[80], pattern[80];
    config_names files;

    folder_make(folder);
    for (int i = 3; i > 0; i--) {
        snprintf(path, sizeof path, "%s/part-%d", folder, i);
        write_text(path, "");
    }
    snprintf(pattern, sizeof pattern, "%s/part-*", folder);
    char *both[] = {path, pattern};
    assert_int_equal(config_expand_files(&files, &(config_names){2, both}), OK);
    assert_int_equal(files.n, 4);
    assert_string_equal(files.at[0], path);
    assert_string_equal(files.at[1], path);
    assert_int_equal(files.at[3][strlen(files.at[3]) - 1], '3');
    config_names_clear(&files);

    snprintf(pattern, sizeof pattern, "%s/none-*", folder);
    assert_int_equal(config_expand_files(&files, &(config_names){2, both}), ERR_DATA);
    assert_non_null(strstr(err_text(), "none-*: no such file"));
    assert_int_equal(files.n, 0);
    folder_remove(folder);
}

/* A comparison of models compares models: kind is all that differs. */
static void configurations_that_come_in_pairs_differ_in_the_model_alone(void **state)
{
    (void)state;
    static const char *const data[] = {"ml-1m", "synthetic"};
    char                    *word   = "model.kind=din";

    for (int i = 0; i < 2; i++) {
        config *base = NULL, *din = NULL;
        char    path[512];
        snprintf(path, sizeof path, DIPS_SOURCE "/configs/%s-base.yaml", data[i]);
        assert_int_equal(config_load(&base, path, 1, &word), OK);
        snprintf(path, sizeof path, DIPS_SOURCE "/configs/%s-din.yaml", data[i]);
        assert_int_equal(config_load(&din, path, 0, NULL), OK);
        char *base_text = print(base), *din_text = print(din);
        assert_string_equal(base_text, din_text);
        free(base_text);
        free(din_text);
        config_free(&base);
        config_free(&din);
    }
}

static void the_list_of_options_can_be_narrowed(void **state)
{
    (void)state;
    char  *text = NULL;
    size_t size;
    FILE  *f = open_memstream(&text, &size);

    assert_int_equal(config_print_options(f, "clip."), OK);
    assert_int_equal(config_print_options(f, "no such option"), ERR_USAGE);
    fclose(f);
    assert_non_null(strstr(text, "clip.dense_norm"));
    assert_non_null(strstr(text, "joint"));
    assert_null(strstr(text, "train.batch"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_design_loads),
        cmocka_unit_test(what_is_printed_loads_to_the_same),
        cmocka_unit_test(what_is_printed_as_words_loads_to_the_same),
        cmocka_unit_test(large_numbers_have_units),
        cmocka_unit_test(admission_is_by_one_rule_that_can_work),
        cmocka_unit_test(an_empty_file_is_all_defaults),
        cmocka_unit_test(words_win_over_the_file_and_later_words_over_earlier),
        cmocka_unit_test(an_unknown_key_names_place_and_nearest),
        cmocka_unit_test(a_value_of_the_wrong_type_or_range_is_named),
        cmocka_unit_test(yaml_that_is_none_is_refused_with_its_place),
        cmocka_unit_test(names_must_name_something),
        cmocka_unit_test(features_are_of_one_kind),
        cmocka_unit_test(what_is_made_of_times_needs_them),
        cmocka_unit_test(choices_that_exclude_each_other_are_refused),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(schedules_are_powers_of_the_rate),
        cmocka_unit_test(patterns_expand_in_order_and_must_match),
        cmocka_unit_test(configurations_that_come_in_pairs_differ_in_the_model_alone),
        cmocka_unit_test(the_list_of_options_can_be_narrowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
