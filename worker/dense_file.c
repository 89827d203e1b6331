/* dense_file - dense weights, their optimizer's state and moments, as tensors of a file. */
#include <stdio.h>
#include <string.h>

#include "common/vec.h"
#include "worker/dense_state.h"

/* What a parameter consists of in a file: itself, then the parts of its state. */
typedef struct piece {
    char     name[sizeof((param *)0)->name + 32];
    int      n_dims;
    uint64_t shape[2];
    uint64_t count;
    real    *at;
} piece;

#define MAX_PIECES 8

static int pieces_of(const dense *d, size_t i, piece pieces[MAX_PIECES])
{
    const param      *p = d->params.at[i];
    int               n_parts;
    const optim_part *parts = optim_parts(d->config->dense.kind, &n_parts);
    real             *state = d->state[i];
    int               n     = 1;

    pieces[0] = (piece){.n_dims = p->n_dims,
                        .shape  = {(uint64_t)p->shape[0], (uint64_t)p->shape[1]},
                        .count  = p->count,
                        .at     = p->w};
    snprintf(pieces[0].name, sizeof pieces[0].name, "%s", p->name);
    for (int k = 0; p->trained && k < n_parts && n < MAX_PIECES; k++, n++) {
        pieces[n] =
            parts[k].wide ? pieces[0] : (piece){.n_dims = 1, .shape = {1, 1}, .count = 1};
        snprintf(pieces[n].name, sizeof pieces[n].name, "%s@%s", p->name, parts[k].name);
        pieces[n].at = state;
        state += pieces[n].count;
    }
    return n;
}

typedef err_t piece_function(void *file, const piece *one, int *number);

/* Call f with every piece of every parameter; number counts through. */
static err_t each_piece(const dense *d, piece_function *f, void *file, int *number)
{
    piece pieces[MAX_PIECES];

    *number = 0;
    for (size_t i = 0; i < d->params.n; i++) {
        int n = pieces_of(d, i, pieces);
        for (int k = 0; k < n; k++, ++*number)
            TRY(f(file, &pieces[k], number));
    }
    return OK;
}

/* Pieces as they were: their values lie one after another. */
struct dense_image {
    VEC(piece) pieces;
    real *values;
};

static err_t list_piece(void *image, const piece *one, int *number)
{
    dense_image *x = image;

    (void)number;
    return vec_push(&x->pieces, *one);
}

err_t dense_copy(dense_image **out, const dense *d)
{
    dense_image *x = calloc(1, sizeof *x);
    size_t       n = 0;
    int          number;

    *out = x;
    if (!x)
        return err_memory(sizeof *x, "a copy of the dense weights");
    err_t err = each_piece(d, list_piece, x, &number);
    for (size_t i = 0; i < x->pieces.n; i++)
        n += x->pieces.at[i].count;
    x->values = err == OK ? malloc((n + 1) * sizeof *x->values) : NULL;
    if (!x->values) {
        dense_image_free(out);
        return err == OK ? err_memory(n * sizeof(real), "a copy of the dense weights") : err;
    }
    real *to = x->values;
    for (size_t i = 0; i < x->pieces.n; i++) {
        piece *p = &x->pieces.at[i];
        memcpy(to, p->at, p->count * sizeof *to);
        p->at = to;
        to += p->count;
    }
    return OK;
}

void dense_image_free(dense_image **x)
{
    if (!*x)
        return;
    vec_clear(&(*x)->pieces);
    free((*x)->values);
    free(*x);
    *x = NULL;
}

/* Tensors are numbered in the order of their declaration. */
static err_t write_image(const dense_image *x, safetensors_writer *file)
{
    int tensor;

    for (size_t i = 0; i < x->pieces.n; i++) {
        const piece *p = &x->pieces.at[i];
        TRY(safetensors_declare(file, p->name, DTYPE_REAL, p->n_dims, p->shape, &tensor));
    }
    for (size_t i = 0; i < x->pieces.n; i++)
        TRY(safetensors_append(file, (int)i, x->pieces.at[i].at,
                               x->pieces.at[i].count * sizeof(real)));
    return OK;
}

err_t dense_image_save(const dense_image *x, const char *path, safetensors_digest *digest)
{
    safetensors_writer *file;

    TRY(safetensors_create(&file, path));
    err_t err = write_image(x, file);
    if (err == OK)
        return safetensors_finish(&file, digest);
    safetensors_abandon(&file);
    return err;
}

err_t dense_save(const dense *d, const char *path, safetensors_digest *digest)
{
    dense_image *x;

    TRY(dense_copy(&x, d));
    err_t err = dense_image_save(x, path, digest);
    dense_image_free(&x);
    return err;
}

static err_t check(void *file, const piece *one, int *number)
{
    const safetensors_tensor *t    = safetensors_find(file, one->name);
    const char               *path = safetensors_path(file);

    (void)number;
    if (!t)
        return err_set(ERR_FORMAT, "%s has no tensor %s, which this model has", path,
                       one->name);
    if (t->type != DTYPE_REAL)
        return err_set(ERR_FORMAT, "%s: %s is %s, this program computes in %s", path, one->name,
                       dtype_name(t->type), dtype_name(DTYPE_REAL));
    if (t->n_dims == one->n_dims && t->shape[0] == one->shape[0] &&
        (t->n_dims == 1 || t->shape[1] == one->shape[1]))
        return OK;
    return err_set(ERR_FORMAT,
                   "%s: %s has %llu numbers in %d dimensions, this model wants %llu in %d",
                   path, one->name, (unsigned long long)t->count, t->n_dims,
                   (unsigned long long)one->count, one->n_dims);
}

static err_t copy(void *file, const piece *one, int *number)
{
    (void)number;
    safetensors_copy_real(one->at, safetensors_find(file, one->name), 0, one->count);
    return OK;
}

/* All is checked before anything is changed. */
err_t dense_load(dense *d, const char *path)
{
    safetensors *file;
    int          number;

    TRY(safetensors_open(&file, path));
    err_t e = each_piece(d, check, file, &number);
    if (e == OK && number != safetensors_count(file))
        e = err_set(ERR_FORMAT, "%s has %d tensors, this model has %d", path,
                    safetensors_count(file), number);
    if (e == OK)
        e = each_piece(d, copy, file, &number);
    safetensors_close(&file);
    return e;
}

/* ---- from another run ---- */

static bool same_shape(const safetensors_tensor *t, const piece *one)
{
    return t->n_dims == one->n_dims && t->shape[0] == one->shape[0] &&
           (t->n_dims == 1 || t->shape[1] == one->shape[1]);
}

static void shape_text(char text[48], int n_dims, const uint64_t *shape)
{
    if (n_dims == 2)
        snprintf(text, 48, "[%llu, %llu]", (unsigned long long)shape[0],
                 (unsigned long long)shape[1]);
    else
        snprintf(text, 48, "[%llu]%s", (unsigned long long)shape[0], n_dims > 2 ? "..." : "");
}

static err_t refuse_shape(const char *path, const piece *one, const safetensors_tensor *t)
{
    char here[48], there[48];

    shape_text(here, one->n_dims, one->shape);
    shape_text(there, t->n_dims, t->shape);
    return err_set(ERR_CONFIG,
                   "%s: %s is %s there, this model wants %s; init.only can leave it out", path,
                   one->name, there, here);
}

/* Whether the file has all parts of a parameter's state, as they are here. */
static bool has_state(const safetensors *file, const piece *pieces, int n)
{
    for (int k = 1; k < n; k++) {
        const safetensors_tensor *t = safetensors_find(file, pieces[k].name);
        if (!t || !same_shape(t, &pieces[k]))
            return false;
    }
    return true;
}

/* pieces (n): a parameter and its state. */
static err_t take_pieces(const safetensors *file, const piece *pieces, int n, bool with_state,
                         dense_taking *taken)
{
    const safetensors_tensor *t = safetensors_find(file, pieces[0].name);

    *taken = DENSE_NOT_THERE;
    if (!t)
        return OK;
    if (!same_shape(t, &pieces[0]))
        return refuse_shape(safetensors_path(file), &pieces[0], t);
    with_state = with_state && has_state(file, pieces, n);
    *taken     = with_state || n == 1 ? DENSE_TAKEN : DENSE_TAKEN_ANEW;
    for (int k = 0; k < (with_state ? n : 1); k++)
        safetensors_copy_real(pieces[k].at, safetensors_find(file, pieces[k].name), 0,
                              pieces[k].count);
    return OK;
}

err_t dense_take(dense *d, const char *path, bool with_state,
                 bool (*wanted)(const void *self, const char *name), const void *self,
                 dense_taking *taken)
{
    safetensors *file;
    err_t        err = OK;

    TRY(safetensors_open(&file, path));
    for (size_t i = 0; i < d->params.n && err == OK; i++) {
        piece        pieces[MAX_PIECES];
        dense_taking one = DENSE_NOT_WANTED;
        int          n   = pieces_of(d, i, pieces);
        if (wanted(self, pieces[0].name))
            err = take_pieces(file, pieces, n, with_state, &one);
        if (taken)
            taken[i] = one;
    }
    safetensors_close(&file);
    return err;
}
