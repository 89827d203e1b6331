/* schema - what a run's samples consist of: tables and the slots that look them up.
 *
 * Derived from the configuration once; every part reads it and none changes it. A
 * slot is one place of a sample that holds ids of one table: a feature ("goods") or a
 * column of a sequence ("history.goods"). Slots stand in the order of the
 * configuration. A column of kind gap is a slot whose ids no file has. */
#ifndef DIPS_COMMON_SCHEMA_H
#define DIPS_COMMON_SCHEMA_H

#include "common/config.h"

typedef struct schema_table {
    const table_config *config; /* lent by the config */
    uint64_t            salt;   /* of hash_id */
} schema_table;

typedef struct schema_slot {
    char      name[2 * CONFIG_NAME_MAX]; /* its tensor in a data shard: goods, history.goods */
    int       table;
    int       sequence; /* -1: one row per sample; else one row per event of that sequence */
    pool_kind pool;     /* POOL_NONE: exactly one id per row; else a bag */
    double    drop_ids;
    bool      is_gap; /* its ids are made of the sequence's times: no tensor has them */
    gap_kind  to;     /* of a gap */
    bool      is_negative; /* for training alone: data without labels need not have it */
} schema_slot;

typedef struct schema_sequence {
    char      name[CONFIG_NAME_MAX];
    int       max_len; /* 0: no limit */
    keep_kind keep;
    bool      timed; /* has a column of kind time */
    int64_t   seconds; /* events older than so many are left out; 0: none is */
} schema_sequence;

typedef struct schema_float {
    char           name[CONFIG_NAME_MAX];
    transform_kind transform;
    int            width; /* numbers per sample; data of another width are refused */
} schema_float;

typedef struct schema {
    int              n_tables, n_slots, n_sequences, n_floats;
    schema_table    *tables;
    schema_slot     *slots;
    schema_sequence *sequences;
    schema_float    *floats;
    uint64_t         hash; /* of tables' names, dims, rules: what a checkpoint must agree on */
} schema;

/* Derive the schema of c, which must outlive it; schema_free. ERR_CONFIG names a
 * feature whose table is not there, and the like. */
MUST_CHECK err_t schema_new(schema **out, const config *c);
void             schema_free(schema **s);

/* Whether the samples themselves must have times. */
bool schema_needs_time(const schema *s);

/* Index by name, or -1. */
int schema_find_table(const schema *s, const char *name);
int schema_find_slot(const schema *s, const char *name);
int schema_find_sequence(const schema *s, const char *name);
int schema_find_float(const schema *s, const char *name);

#endif
