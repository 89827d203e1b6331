/* python_json - from how Python prints a value to JSON. */
#ifndef DIPS_LAUNCH_PREPARE_PYTHON_JSON_H
#define DIPS_LAUNCH_PREPARE_PYTHON_JSON_H

#include <stddef.h>

/* Write the n bytes of text as JSON to json, which has room for PYTHON_JSON_ROOM(n):
 * 'strings' get double quotes, their escapes \xNN and \' are translated, True, False and
 * None become true, false and null. Returns the bytes written. Nothing is checked: what
 * is neither Python nor JSON comes out as what is not JSON either. */
size_t python_json(char *json, const char *text, size_t n);

#define PYTHON_JSON_ROOM(n) (2 * (n) + 1)

#endif
