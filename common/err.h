/* err - a failure is a code and a sentence.
 *
 * The deepest function sets the sentence with the value that failed; each caller
 * may put in front what it was doing:
 *     dips: loading checkpoint 12: shard-3.safetensors: row of 16 reals, table has 18
 * The sentence belongs to the thread. Libraries never exit: launch/main.c alone
 * turns a code into the process's exit status (ERR_LIST's second column). */
#ifndef DIPS_COMMON_ERR_H
#define DIPS_COMMON_ERR_H

#include <stdarg.h>
#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(string, first) __attribute__((format(printf, string, first)))

/*    code          exit  what went wrong */
#define ERR_LIST(X)                                                                            \
    X(ERR_DIFFERENT, 1, "what was compared differs")                                           \
    X(ERR_USAGE,     2, "wrong command or option")                                             \
    X(ERR_CONFIG,    2, "wrong configuration")                                                 \
    X(ERR_DATA,      3, "bad data")                                                            \
    X(ERR_FORMAT,    3, "bad file")                                                            \
    X(ERR_MESSAGE,   4, "bad message")                                                         \
    X(ERR_NUMERIC,   3, "not a finite number")                                                 \
    X(ERR_DEATH,     4, "a process died")                                                      \
    X(ERR_TIMEOUT,   4, "a wait ran out of time")                                              \
    X(ERR_SYSTEM,    5, "the machine said no")                                                 \
    X(ERR_MEMORY,    5, "out of memory")                                                       \
    X(ERR_INTERRUPT, 130, "interrupted")                                                       \
    X(ERR_TERMINATE, 143, "terminated")

typedef enum {
    OK = 0,
#define X(code, exit, text) code,
    ERR_LIST(X)
#undef X
} err_t;

#define ERR_TEXT_MAX 1024

/* The error of one thread, to be carried to another one. */
typedef struct err_report {
    err_t code;
    char  text[ERR_TEXT_MAX];
} err_report;

/* Set this thread's sentence and return code. */
err_t err_set(err_t code, const char *format, ...) PRINTF_LIKE(2, 3);

/* Put "format: " in front of this thread's sentence and return code. */
err_t err_add(err_t code, const char *format, ...) PRINTF_LIKE(2, 3);

/* err_set(ERR_SYSTEM, ...) with ": " and the text of errno behind it. */
err_t err_errno(const char *format, ...) PRINTF_LIKE(1, 2);

/* err_set(ERR_MEMORY, ...): bytes could not be had for what. */
err_t err_memory(size_t bytes, const char *what);

/* This thread's sentence; lent until the next error of this thread. */
const char *err_text(void);

/* The exit status that belongs to code; 0 for OK. */
int err_exit_status(err_t code);

/* Copy this thread's error into report; make a report this thread's error, and return its
 * code. */
void  err_keep(err_report *report, err_t code);
err_t err_give(const err_report *report);

/* Pass a failure up as it is. */
#define TRY(call)                                                                              \
    do {                                                                                       \
        err_t try_err_ = (call);                                                               \
        if (try_err_ != OK)                                                                    \
            return try_err_;                                                                   \
    } while (0)

#endif
