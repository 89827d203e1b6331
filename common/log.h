/* log - sentences for the reader of a long run, on standard error.
 *
 * log_once speaks for the whole job and is silent but on the process that called
 * log_speaks_for_job(true); log_each speaks for a process and names it.
 *   ERROR  someone must act          WARN   the run goes on, but differently
 *   INFO   a few lines per minute    DEBUG  off unless asked for
 * Numbers for plots go to metrics.jsonl (common/metrics.h), not here. */
#ifndef DIPS_COMMON_LOG_H
#define DIPS_COMMON_LOG_H

#include <stdbool.h>

#include "common/err.h"

typedef enum { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR } log_level;

/* Name this process in log_each lines ("server 2", "worker 0"); copied. */
void log_name(const char *name);

/* Lines below `least` are left out; at first those below LOG_INFO. */
void log_threshold(log_level least);
void log_speaks_for_job(bool yes);

void log_once(log_level level, const char *format, ...) PRINTF_LIKE(2, 3);
void log_each(log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
