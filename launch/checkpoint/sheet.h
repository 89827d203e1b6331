/* sheet - named arrays for other programs: one safetensors file, or a folder of .npy files.
 *
 *   NAME.safetensors                 with the array under its name
 *   NAME/ARRAY.npy                   a file each */
#ifndef DIPS_LAUNCH_CHECKPOINT_SHEET_H
#define DIPS_LAUNCH_CHECKPOINT_SHEET_H

#include "common/safetensors.h"
#include "launch/checkpoint/npy.h"

typedef enum { SHEET_SAFETENSORS, SHEET_NPY } sheet_format;

/* ---- writing ---- */

typedef struct sheet sheet;

/* Begin the sheet called name in folder; sheet_finish or sheet_abandon. */
MUST_CHECK err_t sheet_create(sheet **out, sheet_format format, const char *folder,
                              const char *name);

/* All arrays are declared before the first append; *array is its number, from 0 on. */
MUST_CHECK err_t sheet_declare(sheet *s, const char *name, dtype type, int n_dims,
                               const uint64_t *shape, int *array);

/* A text beside the arrays; .npy files have none, and do without. */
MUST_CHECK err_t sheet_say(sheet *s, const char *key, const char *text);
MUST_CHECK err_t sheet_append(sheet *s, int array, const void *data, uint64_t bytes);

/* Bring it to the disk and free; *bytes (may be NULL): of its numbers. */
MUST_CHECK err_t sheet_finish(sheet **s, uint64_t *bytes);
void             sheet_abandon(sheet **s);

/* ---- reading ---- */

/* The arrays of a safetensors file or of a folder of .npy files, which are mapped. */
typedef struct sheet_reader {
    char         path[1024];
    safetensors *file; /* or */
    int          n;
    npy         *arrays; /* (n) owned, with their names */
} sheet_reader;

/* sheet_close, after a failure too. */
MUST_CHECK err_t          sheet_open(sheet_reader *r, const char *path);
void                      sheet_close(sheet_reader *r);
int                       sheet_count(const sheet_reader *r);
const safetensors_tensor *sheet_at(const sheet_reader *r, int i);
const safetensors_tensor *sheet_find(const sheet_reader *r, const char *name); /* or NULL */
const char               *sheet_said(const sheet_reader *r, const char *key);  /* or NULL */

#endif
