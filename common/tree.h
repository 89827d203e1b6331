/* tree - a YAML text as a tree whose nodes know where they were written.
 *
 * The part of YAML that a configuration needs: scalars, lists, mappings, block and flow
 * style, comments, quotes. Refused, each with a sentence: anchors and aliases, merge
 * keys, tags, a second document, a key that stands twice, keys that are not scalars, and
 * what goes beyond the limits below. What a scalar means (a number, a name) is for the
 * reader of the tree to say. Nodes are lent by the arena that they were made in. */
#ifndef DIPS_COMMON_TREE_H
#define DIPS_COMMON_TREE_H

#include <stdbool.h>

#include "common/arena.h"

#define TREE_MAX_BYTES ((size_t)1 << 20) /* of a text */
#define TREE_MAX_DEPTH 16                /* lists and mappings within each other */
#define TREE_MAX_KEYS  1024              /* of one mapping */
#define TREE_MAX_ITEMS 65536             /* of one list */
#define TREE_PLACE_MAX 256

typedef enum { TREE_SCALAR, TREE_LIST, TREE_MAP } tree_kind;

typedef struct tree_node {
    tree_kind          kind;
    const char        *origin;       /* "run.yaml", or a word of the command line */
    int                line, column; /* from 1; line 0: a word, which has no lines */
    char              *text;         /* of a scalar; no zero bytes inside */
    bool               plain;        /* a scalar without quotes */
    int                n;            /* of a list or mapping */
    char             **keys;         /* (n) of a mapping */
    struct tree_node **at;           /* (n) */
    struct tree_node **key_at;       /* (n) of a mapping: where each key stands */
} tree_node;

/* Parse size bytes of YAML. origin names the text in errors and is lent like the nodes.
 * An empty text is an empty mapping. ERR_CONFIG says where and what is wrong. */
MUST_CHECK err_t tree_parse(tree_node **out, arena *a, const char *origin, const char *text,
                            size_t size);

/* Lay "a.b.c=VALUE" (VALUE in YAML's flow style) over root: mappings on the way are made
 * where they are missing, a mapping as value is merged key by key, anything else takes
 * the place of what was there. word is lent like the nodes. */
MUST_CHECK err_t tree_override(tree_node *root, arena *a, const char *word);

/* The child of a mapping called key, or NULL; also where map is NULL or no mapping. */
tree_node *tree_find(const tree_node *map, const char *key);

/* Nothing was written: empty, ~ or null without quotes. */
bool tree_is_null(const tree_node *n);

/* ERR_CONFIG with "PLACE: " and the sentence: run.yaml:12:9, or word 'train.batch=0'. */
err_t tree_error(const tree_node *n, const char *format, ...) PRINTF_LIKE(2, 3);

/* What stands there, for a sentence: 'some text', shortened and without control
 * characters; "a list"; "a mapping"; "empty". */
const char *tree_show(const tree_node *n, char shown[TREE_PLACE_MAX]);

#endif
