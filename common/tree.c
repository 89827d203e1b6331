#include "common/tree.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "common/vec.h"

typedef VEC(tree_node *) node_list;

/* One parse under way. */
typedef struct reader {
    yaml_parser_t parser;
    arena        *arena;
    const char   *origin;
    bool          is_word;
} reader;

/* ---- places and sentences ---- */

static void place(char where[TREE_PLACE_MAX], const char *origin, int line, int column)
{
    if (line > 0)
        snprintf(where, TREE_PLACE_MAX, "%.200s:%d:%d", origin, line, column);
    else
        snprintf(where, TREE_PLACE_MAX, "word '%.200s'", origin);
}

err_t tree_error(const tree_node *n, const char *format, ...)
{
    char    where[TREE_PLACE_MAX], sentence[ERR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    place(where, n->origin, n->line, n->column);
    return err_set(ERR_CONFIG, "%s: %s", where, sentence);
}

/* The same at a mark of libyaml, which counts from 0. */
static err_t error_at(const reader *r, yaml_mark_t mark, const char *sentence)
{
    char where[TREE_PLACE_MAX];

    place(where, r->origin, r->is_word ? 0 : (int)mark.line + 1, (int)mark.column + 1);
    return err_set(ERR_CONFIG, "%s: %s", where, sentence);
}

const char *tree_show(const tree_node *n, char shown[TREE_PLACE_MAX])
{
    if (n->kind != TREE_SCALAR)
        return n->kind == TREE_LIST ? "a list" : "a mapping";
    if (tree_is_null(n))
        return "empty";
    snprintf(shown, TREE_PLACE_MAX, "'%.80s%s'", n->text, strlen(n->text) > 80 ? "..." : "");
    for (char *c = shown; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    return shown;
}

bool tree_is_null(const tree_node *n)
{
    return n->kind == TREE_SCALAR && n->plain &&
           (n->text[0] == '\0' || !strcmp(n->text, "~") || !strcmp(n->text, "null"));
}

tree_node *tree_find(const tree_node *map, const char *key)
{
    if (map && map->kind == TREE_MAP)
        for (int i = 0; i < map->n; i++)
            if (!strcmp(map->keys[i], key))
                return map->at[i];
    return NULL;
}

/* ---- reading ---- */

static err_t new_node(const reader *r, tree_kind kind, yaml_mark_t mark, tree_node **out)
{
    TRY(arena_take_zero(r->arena, sizeof **out, out));
    (*out)->kind   = kind;
    (*out)->origin = r->origin;
    (*out)->line   = r->is_word ? 0 : (int)mark.line + 1;
    (*out)->column = (int)mark.column + 1;
    return OK;
}

static err_t next_event(reader *r, yaml_event_t *event)
{
    char sentence[256];

    if (yaml_parser_parse(&r->parser, event))
        return OK;
    if (r->parser.error == YAML_MEMORY_ERROR)
        return err_memory(0, "the configuration");
    yaml_mark_t mark = r->parser.problem_mark;
    if (r->parser.error == YAML_READER_ERROR)
        mark = r->parser.mark;
    snprintf(sentence, sizeof sentence, "not YAML: %s",
             r->parser.problem ? r->parser.problem : "cannot be read");
    return error_at(r, mark, sentence);
}

static err_t copy_text(const reader *r, const char *text, size_t length, char **out)
{
    TRY(arena_take(r->arena, length + 1, out));
    memcpy(*out, text, length);
    (*out)[length] = '\0';
    return OK;
}

/* Refuse what YAML can and a configuration does not need. */
static err_t check_properties(const reader *r, const yaml_event_t *e, const void *anchor,
                              const void *tag)
{
    if (anchor)
        return error_at(r, e->start_mark, "anchors (&name) are not read here; write it out");
    if (tag)
        return error_at(r, e->start_mark, "tags (!name) are not read here");
    return OK;
}

static err_t read_scalar(reader *r, const yaml_event_t *e, tree_node **out)
{
    const char *text   = (const char *)e->data.scalar.value;
    size_t      length = e->data.scalar.length;

    TRY(check_properties(r, e, e->data.scalar.anchor, e->data.scalar.tag));
    if (memchr(text, 0, length))
        return error_at(r, e->start_mark, "a zero byte inside a value");
    TRY(new_node(r, TREE_SCALAR, e->start_mark, out));
    (*out)->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return copy_text(r, text, length, &(*out)->text);
}

static err_t read_node(reader *r, const yaml_event_t *e, int depth, tree_node **out);

/* Take the list over into the arena, as a node's array. */
static err_t keep_list(const reader *r, const node_list *list, tree_node ***out)
{
    TRY(arena_take(r->arena, list->n * sizeof **out, out));
    if (list->n > 0)
        memcpy(*out, list->at, list->n * sizeof **out);
    return OK;
}

static err_t read_items(reader *r, int depth, node_list *items)
{
    for (;;) {
        yaml_event_t e;
        tree_node   *item = NULL;

        TRY(next_event(r, &e));
        bool  end = e.type == YAML_SEQUENCE_END_EVENT;
        err_t err = end ? OK : read_node(r, &e, depth, &item);
        if (err == OK && items->n >= TREE_MAX_ITEMS)
            err = error_at(r, e.start_mark, "the list is too long");
        yaml_event_delete(&e);
        if (err != OK || end)
            return err;
        TRY(vec_push(items, item));
    }
}

static err_t read_list(reader *r, const yaml_event_t *e, int depth, tree_node **out)
{
    node_list items = {0};

    TRY(check_properties(r, e, e->data.sequence_start.anchor, e->data.sequence_start.tag));
    TRY(new_node(r, TREE_LIST, e->start_mark, out));
    err_t err = read_items(r, depth, &items);
    if (err == OK)
        err = keep_list(r, &items, &(*out)->at);
    (*out)->n = err == OK ? (int)items.n : 0;
    vec_clear(&items);
    return err;
}

static err_t check_key(const node_list *keys, const tree_node *key)
{
    char shown[TREE_PLACE_MAX];

    if (key->kind != TREE_SCALAR)
        return tree_error(key, "a key is %s, wanted a name", tree_show(key, shown));
    if (!strcmp(key->text, "<<"))
        return tree_error(key, "merge keys (<<) are not read here; write it out");
    if (keys->n >= TREE_MAX_KEYS)
        return tree_error(key, "more than %d keys in one mapping", TREE_MAX_KEYS);
    for (size_t i = 0; i < keys->n; i++)
        if (!strcmp(keys->at[i]->text, key->text))
            return tree_error(key, "the key %s stands here twice, first at line %d",
                              tree_show(key, shown), keys->at[i]->line);
    return OK;
}

static err_t read_pairs(reader *r, int depth, node_list *keys, node_list *values)
{
    for (;;) {
        yaml_event_t e;
        tree_node   *node    = NULL;
        bool         for_key = keys->n == values->n;

        TRY(next_event(r, &e));
        bool  end = e.type == YAML_MAPPING_END_EVENT;
        err_t err = end ? OK : read_node(r, &e, depth, &node);
        yaml_event_delete(&e);
        if (err != OK || end)
            return err;
        if (for_key)
            TRY(check_key(keys, node));
        TRY(vec_push(for_key ? keys : values, node));
    }
}

static err_t read_map(reader *r, const yaml_event_t *e, int depth, tree_node **out)
{
    node_list keys = {0}, values = {0};

    TRY(check_properties(r, e, e->data.mapping_start.anchor, e->data.mapping_start.tag));
    TRY(new_node(r, TREE_MAP, e->start_mark, out));
    err_t err = read_pairs(r, depth, &keys, &values);
    if (err == OK)
        err = keep_list(r, &keys, &(*out)->key_at);
    if (err == OK)
        err = keep_list(r, &values, &(*out)->at);
    if (err == OK)
        err = arena_take(r->arena, keys.n * sizeof *(*out)->keys, &(*out)->keys);
    for (size_t i = 0; err == OK && i < keys.n; i++)
        (*out)->keys[i] = keys.at[i]->text;
    (*out)->n = err == OK ? (int)keys.n : 0;
    vec_clear(&keys);
    vec_clear(&values);
    return err;
}

static err_t read_node(reader *r, const yaml_event_t *e, int depth, tree_node **out)
{
    if (depth >= TREE_MAX_DEPTH)
        return error_at(r, e->start_mark, "nested too deeply");
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(r, e, out);
    case YAML_SEQUENCE_START_EVENT:
        return read_list(r, e, depth + 1, out);
    case YAML_MAPPING_START_EVENT:
        return read_map(r, e, depth + 1, out);
    case YAML_ALIAS_EVENT:
        return error_at(r, e->start_mark, "aliases (*name) are not read here; write it out");
    default:
        return error_at(r, e->start_mark, "something else than a value");
    }
}

/* The stream: at most one document. */
static err_t read_stream(reader *r, tree_node **out)
{
    for (;;) {
        yaml_event_t e;
        err_t        err = OK;

        TRY(next_event(r, &e));
        bool end = e.type == YAML_STREAM_END_EVENT;
        if (e.type == YAML_DOCUMENT_START_EVENT && *out)
            err = error_at(r, e.start_mark, "a second document; wanted one");
        else if (!end && e.type != YAML_STREAM_START_EVENT &&
                 e.type != YAML_DOCUMENT_START_EVENT && e.type != YAML_DOCUMENT_END_EVENT)
            err = read_node(r, &e, 0, out);
        yaml_event_delete(&e);
        if (err != OK || end)
            return err;
    }
}

/* Where the text holds nothing: a node of kind empty (scalar or mapping). */
static err_t parse(tree_node **out, reader *r, tree_kind empty, const char *text, size_t size)
{
    yaml_mark_t begin = {0};

    *out = NULL;
    if (size > TREE_MAX_BYTES)
        return error_at(r, begin, "longer than 1 MiB");
    if (!yaml_parser_initialize(&r->parser))
        return err_memory(sizeof r->parser, "the YAML parser");
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)text, size);
    err_t err = read_stream(r, out);
    yaml_parser_delete(&r->parser);
    if (err != OK || *out)
        return err;
    TRY(new_node(r, empty, begin, out));
    (*out)->plain = true;
    return copy_text(r, "", 0, &(*out)->text);
}

err_t tree_parse(tree_node **out, arena *a, const char *origin, const char *text, size_t size)
{
    reader r = {.arena = a, .origin = origin};

    return parse(out, &r, TREE_MAP, text, size);
}

/* ---- words of the command line ---- */

static err_t put(tree_node *map, arena *a, char *key, tree_node *key_at, tree_node *value)
{
    size_t      n = (size_t)map->n;
    char      **keys;
    tree_node **at, **places;

    for (size_t i = 0; i < n; i++)
        if (!strcmp(map->keys[i], key)) {
            map->at[i] = value;
            return OK;
        }
    if (n >= TREE_MAX_KEYS)
        return tree_error(value, "more than %d keys in one mapping", TREE_MAX_KEYS);
    TRY(arena_take(a, (n + 1) * sizeof *keys, &keys));
    TRY(arena_take(a, (n + 1) * sizeof *at, &at));
    TRY(arena_take(a, (n + 1) * sizeof *places, &places));
    for (size_t i = 0; i < n; i++) {
        keys[i]   = map->keys[i];
        at[i]     = map->at[i];
        places[i] = map->key_at[i];
    }
    keys[n]     = key;
    at[n]       = value;
    places[n]   = key_at;
    map->keys   = keys;
    map->at     = at;
    map->key_at = places;
    map->n++;
    return OK;
}

/* Lay value over what map has as key. */
static err_t merge(tree_node *map, arena *a, char *key, tree_node *value)
{
    tree_node *old = tree_find(map, key);

    if (!old || old->kind != TREE_MAP || value->kind != TREE_MAP)
        return put(map, a, key, value, value);
    for (int i = 0; i < value->n; i++)
        TRY(merge(old, a, value->keys[i], value->at[i]));
    return OK;
}

/* The mapping that map has as key, made (at the place of the word) where there is none. */
static err_t step_into(tree_node *map, arena *a, char *key, const tree_node *word,
                       tree_node **out)
{
    *out = tree_find(map, key);
    if (*out && (*out)->kind == TREE_MAP)
        return OK;
    TRY(arena_take_zero(a, sizeof **out, out));
    (*out)->kind   = TREE_MAP;
    (*out)->origin = word->origin;
    (*out)->column = word->column;
    return put(map, a, key, *out, *out);
}

err_t tree_override(tree_node *root, arena *a, const char *word)
{
    reader      r      = {.arena = a, .origin = word, .is_word = true};
    const char *equals = strchr(word, '=');
    tree_node  *value;
    char       *path;
    int         depth = 0;

    if (!equals || equals == word)
        return err_set(ERR_CONFIG, "word '%.200s': wanted KEY=VALUE", word);
    TRY(parse(&value, &r, TREE_SCALAR, equals + 1, strlen(equals + 1)));
    TRY(arena_take_zero(a, (size_t)(equals - word) + 1, &path));
    memcpy(path, word, (size_t)(equals - word));
    for (char *dot; (dot = strchr(path, '.')); path = dot + 1) {
        *dot = '\0';
        if (++depth > TREE_MAX_DEPTH)
            return tree_error(value, "nested too deeply");
        TRY(step_into(root, a, path, value, &root));
    }
    return merge(root, a, path, value);
}
