#include "common/log.h"

#include <stdio.h>

static char      process_name[64] = "dips";
static log_level threshold        = LOG_INFO;
static bool      speaks_for_job   = true;

void log_name(const char *name)
{
    snprintf(process_name, sizeof process_name, "%s", name);
}

void log_threshold(log_level least)
{
    threshold = least;
}

void log_speaks_for_job(bool yes)
{
    speaks_for_job = yes;
}

/* One write per line, so that lines of several processes do not mix. */
static void write_line(log_level level, const char *who, const char *format, va_list args)
{
    static const char *const mark[] = {"debug: ", "", "warning: ", "error: "};
    char                     text[ERR_TEXT_MAX];

    vsnprintf(text, sizeof text, format, args);
    fprintf(stderr, "%s: %s%s\n", who, mark[level], text);
}

void log_once(log_level level, const char *format, ...)
{
    if (level < threshold || !speaks_for_job)
        return;
    va_list args;
    va_start(args, format);
    write_line(level, "dips", format, args);
    va_end(args);
}

void log_each(log_level level, const char *format, ...)
{
    if (level < threshold)
        return;
    va_list args;
    va_start(args, format);
    write_line(level, process_name, format, args);
    va_end(args);
}
