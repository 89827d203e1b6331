/* row_fields - a row as the tensors of a file (ps/snapshot.h). */
#ifndef DIPS_PS_ROW_FIELDS_H
#define DIPS_PS_ROW_FIELDS_H

#include "common/safetensors.h"
#include "ps/table.h"

#define ROW_FIELDS_MOST 8 /* the weights and the parts of a rule's state */

typedef char tensor_name[CONFIG_NAME_MAX + 32];

/* Of each row's payload the reals from offset on are one tensor's: width elements of type. */
typedef struct row_field {
    tensor_name name;
    dtype       type;
    int         offset, width;
    bool        wide;  /* [r, width]; else [r] */
    size_t      bytes; /* of the elements of a row */
} row_field;

/* The weights, then the parts of the state; how many there are. */
int row_fields_list(const table *t, row_field fields[ROW_FIELDS_MOST]);

/* name = T.WHAT, which is returned. */
const char *row_fields_name(tensor_name name, const table *t, const char *what);

/* Declare T.WHAT, of n elements, or of n times width where width is not 0. */
MUST_CHECK err_t row_fields_declare(safetensors_writer *w, const table *t, const char *what,
                                    dtype type, uint64_t n, uint64_t width, int *tensor);

/* The path of the file of shard k of n in folder. */
#define ROW_FIELDS_PATH (CONFIG_PATH_MAX + CONFIG_NAME_MAX)
void row_fields_path(char path[ROW_FIELDS_PATH], const char *folder, int shard, int shards);

#endif
