/* request_values - what the JSON of a request says: ids, numbers, times, events.
 *
 * An id is a number or a decimal string; in a table of strings a string is what dips prepare
 * hashed. A bag is a list of ids or a single one. A sequence is a list of events, objects of
 * their columns, or an object of columns side by side. */
#ifndef DIPS_LAUNCH_REQUEST_VALUES_H
#define DIPS_LAUNCH_REQUEST_VALUES_H

#include <jansson.h>

#include "common/schema.h"
#include "common/vec.h"

#define REQUEST_NAME_MAX (3 * CONFIG_NAME_MAX) /* bytes of what a value is called in errors */

typedef VEC(uint64_t) id_list;

MUST_CHECK err_t id_list_push(id_list *ids, uint64_t id);

/* Each is ERR_DATA, and names the value by `what`, where it is none of its kind. */

/* The id that value is in table. */
MUST_CHECK err_t request_id(uint64_t *id, const json_t *value, const table_config *table,
                            const char *what);

/* Add the ids of one cell of a slot: those of a bag, none where it is NULL; or exactly one. */
MUST_CHECK err_t request_cell(id_list *ids, const json_t *value, const schema *s, int slot,
                              const char *what);

/* Whole seconds. */
MUST_CHECK err_t request_time(int64_t *time, const json_t *value, const char *what);

/* The numbers of a float feature, width of them: a list, or a single one. */
MUST_CHECK err_t request_numbers(float *x, int width, const json_t *value, const char *what);

/* What event i of a sequence, in either of its forms, has in column; NULL: nothing. */
const json_t *request_event(const json_t *sequence, const char *column, size_t i);

/* How many events it has, by column where the columns stand side by side. */
size_t request_events(const json_t *sequence, const char *column);

#endif
