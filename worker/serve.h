/* serve - the rows of requests, repeated for their candidates. For graph_pass.c and the layers
 * that share; graph.h tells what a pass that serves is. */
#ifndef DIPS_WORKER_SERVE_H
#define DIPS_WORKER_SERVE_H

#include "worker/graph.h"

/* The pass over the candidates of p's requests. n_axes: of the graph. */
MUST_CHECK err_t serve_open(pass *each, const pass *p, int n_axes);

/* Run n, whose output is not per request, over each. Inputs that are per request are repeated
 * unless its layer shares them. */
MUST_CHECK err_t serve_forward(node *n, pass *each, const pass *p);

/* Candidates first .. end-1 of a pass over candidates: neighbours of one request, whose rows
 * along an axis begin at row `begin` of the request's, `rows` of them. For layers that
 * share. */
typedef struct served_group {
    int first, end, begin, rows;
} served_group;

/* The group that begins with candidate first, of `candidates`. */
served_group serve_group(const pass *each, int per, int first, int candidates);

/* *t, which is per request, becomes one with the rows of candidates; made once in a pass. */
MUST_CHECK err_t serve_repeat(tensor **t, pass *each, const pass *p);

#endif
