/* fuzz_rows - any bytes as a line of a raw file: every row parser ends with an error's
 * sentence or with a row that keeps what its header promises.
 *
 * Input: a byte that chooses the parser, then the line; for tsv the header, a line's end
 * ("\n"), the line. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/prepare/amazon_rows.h"
#include "launch/prepare/delimited.h"
#include "launch/prepare/movielens_rows.h"
#include "launch/prepare/python_json.h"
#include "launch/prepare/tsv_rows.h"

#define PARSERS 6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROMISE(fact)                                                                          \
    do {                                                                                       \
        if (!(fact)) {                                                                         \
            fprintf(stderr, "broken: %s\n", #fact);                                            \
            abort();                                                                           \
        }                                                                                      \
    } while (0)

static bool within(field f, const char *line, size_t n)
{
    return f.at >= line && f.at + f.n <= line + n;
}

static void try_rating(char *line, size_t n)
{
    movielens_rating r;
    bool             header;

    if (movielens_parse_rating(line, n, &r, &header) == OK && !header)
        PROMISE(r.half_stars >= 1 && r.half_stars <= 10);
}

static void try_movie(char *line, size_t n)
{
    movielens_movie m;
    bool            header;

    if (movielens_parse_movie(line, n, &m, &header) == OK && !header)
        PROMISE(m.genre.n > 0 && within(m.genre, line, n));
}

static void try_review(char *line, size_t n)
{
    amazon_row row;

    if (amazon_parse_review(line, n, &row) == OK)
        PROMISE(row.user.n > 0 && row.goods.n > 0);
    amazon_row_clear(&row);
}

static void try_meta(char *line, size_t n)
{
    amazon_row row;
    char      *json = malloc(PYTHON_JSON_ROOM(n));

    PROMISE(json != NULL);
    PROMISE(python_json(json, line, n) < PYTHON_JSON_ROOM(n));
    free(json);
    if (amazon_parse_meta(line, n, &row) == OK)
        PROMISE(row.goods.n > 0 && row.cate.n > 0);
    amazon_row_clear(&row);
}

static void try_split(char *line, size_t n)
{
    field  fields[16];
    size_t n_fields;

    if (delimited_split(line, n, ",", true, fields, 16, &n_fields) != OK)
        return;
    PROMISE(n_fields >= 1 && n_fields <= 16);
    for (size_t i = 0; i < n_fields; i++)
        PROMISE(within(fields[i], line, n));
}

static const char configuration[] =
    "tables: {user: {dim: 2, ids: string}, goods: {dim: 2}, tag: {dim: 2}}\n"
    "features:\n"
    "    user: {table: user}\n"
    "    tags: {table: tag, pool: sum}\n"
    "    price: {kind: float, width: 2}\n"
    "    history:\n"
    "        columns: {goods: {table: goods}, tags: {table: tag, pool: mean}, time: {kind: "
    "time}}\n"
    "model: {kind: din, profile: [user], candidate: [tags], history: history}\n"
    "data: {train: x, test: x}\n";

/* The schema of the configuration above; stays. */
static const schema *world_schema(void)
{
    static config *c;
    static schema *s;

    if (!s && (config_parse(&c, "fuzz", configuration, strlen(configuration), 0, NULL) != OK ||
               schema_new(&s, c) != OK)) {
        fprintf(stderr, "%s\n", err_text());
        abort();
    }
    return s;
}

/* Every slot of a row has as many rows as its sequence has events. */
static void check_row(const schema *s, const tsv_row *row)
{
    PROMISE(row->label == 0 || row->label == 1);
    PROMISE(row->weight >= 0);
    for (int i = 0; i < s->n_slots; i++) {
        const tsv_ids *x    = &row->slots[i];
        size_t         rows =
            s->slots[i].sequence < 0 ? 1 : row->sequences[s->slots[i].sequence].events;
        uint64_t       ids  = 0;
        for (size_t k = 0; k < x->lengths.n; k++)
            ids += x->lengths.at[k];
        if (s->slots[i].pool == POOL_NONE)
            PROMISE(x->ids.n == rows);
        else
            PROMISE(x->lengths.n == rows && ids == x->ids.n);
    }
    for (int i = 0; i < s->n_floats; i++)
        PROMISE(row->floats[i].n == (size_t)s->floats[i].width);
    for (int i = 0; i < s->n_sequences; i++)
        PROMISE(row->sequences[i].time.n == row->sequences[i].events);
}

static void try_tsv(char *line, size_t n)
{
    const schema *s    = world_schema();
    char         *end  = memchr(line, '\n', n);
    size_t        head = end ? (size_t)(end - line) : n;
    tsv_plan      plan;
    tsv_row       row;

    if (tsv_row_init(&row, s) != OK)
        abort();
    if (tsv_plan_init(&plan, s, (tsv_format){",", "|", ";", true}, line, head) == OK && end &&
        tsv_parse(&plan, end + 1, n - head - 1, &row) == OK)
        check_row(s, &row);
    tsv_plan_clear(&plan);
    tsv_row_clear(&row, s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const try[PARSERS])(char *line, size_t n) = {
        try_rating, try_movie, try_review, try_meta, try_split, try_tsv,
    };

    if (size < 2)
        return 0;
    char *line = malloc(size - 1); /* no byte more: the sanitizer sees what reads further */
    PROMISE(line != NULL);
    memcpy(line, data + 1, size - 1);
    try[data[0] % PARSERS](line, size - 1);
    free(line);
    return 0;
}
