/* fixture - a model on a batch made by hand, without server, files or MPI.
 *
 *     world w;
 *     world_open(&w, "model: {kind: din, ...}", batch_text);
 *     double loss = world_backward(&w);
 *     world_close(&w);
 *
 * Configurations are YAML, as users write them. */
#ifndef DIPS_TESTS_WORKER_FIXTURE_H
#define DIPS_TESTS_WORKER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/models/model.h"
#include "worker/requests.h"

#define MAX_TABLES 8

/* Everything that a pass needs, and one graph over it. */
typedef struct world {
    config *config;
    schema *schema;
    dense  *dense;
    graph  *graph;
    comm   *workers;
    arena   step;   /* reset by each forward */
    arena   inputs; /* the batch and the rows */
    batch   batch;
    int     n_rows[MAX_TABLES];
    real   *rows[MAX_TABLES], *gradients[MAX_TABLES];
    bool    training;
    int64_t step_number;
    real   *logits; /* of the last forward */
} world;

/* Fail the test with the error's sentence unless call is OK. */
#define MUST(call)                                                                             \
    do {                                                                                       \
        if ((call) != OK)                                                                      \
            fail_msg("%s: %s", #call, err_text());                                             \
    } while (0)

/* Build the model of the YAML text, in training. The batch is empty. */
void world_open(world *w, const char *yaml);

/* The same where it may be an error. world_close in any case. */
err_t world_try(world *w, const char *yaml);

/* Fail the test unless that is an ERR_CONFIG whose sentence has these words. */
void world_refused(const char *yaml, const char *says);

/* The same with a graph of the test's own; build returns the logits. */
void world_open_graph(world *w, const char *yaml, tensor *(*build)(graph *g));
void world_close(world *w);

/* Room for n rows of every table, each number drawn from N(0, deviation^2). */
void world_rows(world *w, int n, double deviation);

/* A batch of B samples drawn by seed: histories of lengths[b mod n_lengths] events, every
 * id one of the tables' rows, bags of 0 to 3 ids, labels 0 or 1, times before the request. */
void world_draw(world *w, int B, int n_lengths, const int *lengths, uint64_t seed);

/* Forward; loss summed over samples (without backward's gradients). */
double world_loss(world *w);

/* Clear all gradients, forward, backward; the summed loss. */
double world_backward(world *w);

/* Reduce among the one worker and update, as a training step does; the rows by plain SGD. */
void world_update(world *w, double loss, double row_lr);

/* The world's batch as requests: request i has counts[i mod n_counts] candidates, drawn by
 * seed. The arrays are the world's. */
void world_requests(world *w, requests *r, int n_counts, const int *counts, uint64_t seed);

/* The logits of all candidates, which are lent until the next pass; plain: each as a sample of
 * its own. */
const real *world_rank(world *w, requests *r, bool plain);

/* Numbers in all rows of table t. */
size_t world_row_numbers(const world *w, int t);

/* Numbers near each other: |a - b| <= tolerance max(1, |b|). */
void assert_near(double a, double b, double tolerance);

/* Path of a file of the shared data set folder, or NULL where the folder is not there. */
const char *shared_file(const char *name);

#endif
