#include "common/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char sentence[ERR_TEXT_MAX];

err_t err_set(err_t code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return code;
}

err_t err_add(err_t code, const char *format, ...)
{
    char    rest[ERR_TEXT_MAX];
    va_list args;

    memcpy(rest, sentence, sizeof rest);
    va_start(args, format);
    int n = vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof sentence)
        snprintf(sentence + n, sizeof sentence - (size_t)n, ": %s", rest);
    return code;
}

err_t err_errno(const char *format, ...)
{
    const char *cause = strerror(errno);
    va_list     args;

    va_start(args, format);
    int n = vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof sentence)
        snprintf(sentence + n, sizeof sentence - (size_t)n, ": %s", cause);
    return ERR_SYSTEM;
}

err_t err_memory(size_t bytes, const char *what)
{
    return err_set(ERR_MEMORY, "no memory for %s (%zu bytes)", what, bytes);
}

const char *err_text(void)
{
    return sentence;
}

int err_exit_status(err_t code)
{
    static const int status[] = {
        [OK] = 0,
#define X(code, exit, text) [code] = exit,
        ERR_LIST(X)
#undef X
    };
    return status[code];
}

void err_keep(err_report *report, err_t code)
{
    report->code = code;
    memcpy(report->text, sentence, sizeof report->text);
}

err_t err_give(const err_report *report)
{
    memcpy(sentence, report->text, sizeof sentence);
    return report->code;
}
