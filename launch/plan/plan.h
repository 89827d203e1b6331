/* plan - what a run will need, from its configuration alone, before anyone starts it.
 *
 * Bytes of rows are the row store's own account, bytes of messages and of a worker's step
 * those of a rehearsal (launch/plan/rehearsal.h); the rest is arithmetic that stands in
 * plan.c line by line. */
#ifndef DIPS_LAUNCH_PLAN_PLAN_H
#define DIPS_LAUNCH_PLAN_PLAN_H

#include <stdint.h>
#include <stdio.h>

#include "launch/plan/pace.h"
#include "launch/plan/rehearsal.h"

typedef struct plan_options {
    const config   *config;
    const schema   *schema;
    const uint64_t *ids;        /* (n_tables) rows that each table will have */
    const char     *shared_out; /* how a total was shared out over tables; NULL: it was not */
    int             servers;    /* 0: threads in worker 0's process */
    double          memory;     /* bytes of each server's host; 0: not told */
    /* bytes and samples a second; 0: not told */
    double network, disk, samples_per_s;
    double births;           /* share of a step's distinct ids that have no row yet */
    double latency;          /* seconds of a message */
    int    workers_per_host; /* who share a link; 0: 1 */
    int    cores; /* of the one machine that all run on; 0: each thread has its own */
} plan_options;

typedef struct plan_table {
    uint64_t ids, rows; /* evict.max_bytes may keep fewer rows than there are ids */
    double   weights, state, overhead; /* bytes of a row */
    double   memory, file;             /* bytes of all rows */
    double   counts;                   /* bytes of counts.safetensors that are mapped */
    double   sketch;                   /* bytes of admission's sketch, in memory and in file */
} plan_table;

typedef struct plan {
    plan_options options;
    rehearsal    step;
    plan_table   tables[WIRE_MAX_TABLES];
    plan_table   all;     /* ids, rows, memory, file, counts, sketch: of all tables */
    double       largest; /* rows of the fullest shard, of all rows */
    double server_rows, server_sketches, server_messages, server; /* bytes of each server */
    double server_cut;     /* bytes of a checkpoint on their way to the disk, more than these */
    double servers_needed; /* with options.memory each; 0: not told or none will do */
    double shard_file, checkpoint, kept; /* bytes of a shard's file, of all, of `keep` */
    double worker;                       /* bytes of memory */
    pace   pace;                         /* of a step */
} plan;

/* ERR_CONFIG where something is missing that it needs to know. */
MUST_CHECK err_t plan_make(plan *p, const plan_options *options, double distinct);

/* Seconds, or 0 where the rate was not told: the least that the wire of a worker, or of a
 * server, leaves a step; a step at samples_per_s; a checkpoint. */
double plan_worker_wire_s(const plan *p);
double plan_server_wire_s(const plan *p);
double plan_step_s(const plan *p);
double plan_checkpoint_s(const plan *p);

/* The plan as a table for people, or as one JSON object. */
void             plan_print(const plan *p, const char *source, FILE *to);
MUST_CHECK err_t plan_print_json(const plan *p, FILE *to);

#endif
