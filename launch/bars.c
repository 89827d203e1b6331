#include "launch/bars.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/new_file.h"
#include "launch/report/chart.h"

#define TEXT_WIDTH 24  /* characters of the longest bar */
#define SVG_LINE   20  /* units from one bar to the next */
#define SVG_LONG   220 /* of the longest bar */
#define SVG_LEFT   80  /* where bars begin: values stand in front */
#define SVG_WIDTH  960

typedef struct bar {
    double value;
    char  *label;
} bar;

struct bars {
    FILE       *to, *drawing; /* drawing: the SVG's insides; NULL: none is wanted */
    const char *svg;
    char       *inside;
    size_t      size;
    int         y; /* where the next line goes */
    bar        *at;
    int         n, room, most; /* most: to be shown */
    char        name[128];
};

err_t bars_new(bars **out, FILE *to, const char *svg)
{
    bars *b = calloc(1, sizeof *b);

    *out = b;
    if (!b)
        return err_memory(sizeof *b, "a chart");
    b->to  = to;
    b->svg = svg;
    b->y   = SVG_LINE;
    if (svg && !(b->drawing = open_memstream(&b->inside, &b->size)))
        return err_memory(0, "a chart");
    return OK;
}

static void draw_text(bars *b, int x, const char *class, const char *text)
{
    if (!b->drawing)
        return;
    fprintf(b->drawing, "<text x=\"%d\" y=\"%d\" class=\"%s\">", x, b->y, class);
    chart_print_escaped(b->drawing, text);
    fputs("</text>\n", b->drawing);
}

err_t bars_title(bars *b, const char *text)
{
    b->y += SVG_LINE / 2;
    draw_text(b, 10, "t", text);
    b->y += SVG_LINE;
    return fprintf(b->to, "%s\n", text) < 0 ? err_errno("writing to standard output") : OK;
}

static void forget(bars *b)
{
    for (int i = 0; i < b->n; i++)
        free(b->at[i].label);
    b->n = 0;
}

err_t bars_begin(bars *b, const char *name, int n, int most)
{
    forget(b);
    b->most = most;
    snprintf(b->name, sizeof b->name, "%s", name);
    if (n <= b->room)
        return OK;
    bar *at = realloc(b->at, (size_t)n * sizeof *at);
    if (!at)
        return err_memory((size_t)n * sizeof *at, "a chart");
    b->at   = at;
    b->room = n;
    return OK;
}

void bars_add(bars *b, double value, const char *label)
{
    if (b->n < b->room)
        b->at[b->n++] = (bar){value, strdup(label)};
}

static void print_bar(const bars *b, const bar *one, double scale)
{
    int n = (int)(fabs(one->value) * scale * TEXT_WIDTH + 0.5);

    fprintf(b->to, "    %9.4f ", one->value);
    for (int i = 0; i < TEXT_WIDTH; i++)
        fputs(i < n ? (one->value < 0 ? "\u2592" : "\u2588") : " ", b->to);
    fprintf(b->to, " %s\n", one->label ? one->label : "");
}

static void draw_bar(bars *b, const bar *one, double scale)
{
    char   value[32];
    double length = fabs(one->value) * scale * SVG_LONG;

    if (!b->drawing)
        return;
    snprintf(value, sizeof value, "%.4f", one->value);
    draw_text(b, 14, "v", value);
    fprintf(b->drawing, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"13\" class=\"%s\"/>\n",
            SVG_LEFT, b->y - 11, length, one->value < 0 ? "n" : "p");
    draw_text(b, SVG_LEFT + SVG_LONG + 12, "l", one->label ? one->label : "");
    b->y += SVG_LINE;
}

/* A line of text in both. */
static void print_line(bars *b, const char *text)
{
    fprintf(b->to, "  %s\n", text);
    draw_text(b, 14, "l", text);
    b->y += SVG_LINE;
}

/* What the bars from number shown on are, which are not. */
static void print_rest(bars *b, int shown)
{
    double most = 0;
    char   text[128];

    for (int i = shown; i < b->n; i++)
        most = fmax(most, fabs(b->at[i].value));
    snprintf(text, sizeof text, "and %d more, of %.4f at most", b->n - shown, most);
    if (shown < b->n)
        print_line(b, text);
}

err_t bars_end(bars *b)
{
    double most = 0, sum = 0;
    int    shown = b->n < b->most ? b->n : b->most;
    char   head[256];

    for (int i = 0; i < b->n; i++) {
        most = fmax(most, fabs(b->at[i].value));
        sum += b->at[i].value;
    }
    if (b->n > 0)
        snprintf(head, sizeof head, "%s: %d weights, their sum %.4f", b->name, b->n, sum);
    else
        snprintf(head, sizeof head, "%s: there is nothing to weigh here", b->name);
    print_line(b, head);
    for (int i = 0; i < shown; i++) {
        print_bar(b, &b->at[i], most > 0 ? 1 / most : 0);
        draw_bar(b, &b->at[i], most > 0 ? 1 / most : 0);
    }
    print_rest(b, shown);
    forget(b);
    return ferror(b->to) ? err_errno("writing to standard output") : OK;
}

static err_t write_svg(bars *b)
{
    char  *text = NULL;
    size_t size = 0;
    FILE  *to   = open_memstream(&text, &size);

    if (!to)
        return err_memory(b->size, "a chart");
    fprintf(to,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
            "font-family=\"sans-serif\" font-size=\"12\">\n"
            "<style>.t{font-weight:bold;font-size:14px}.v{fill:#555}.p{fill:#2a78d6}"
            ".n{fill:#d66a2a}</style>\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
            SVG_WIDTH, b->y + SVG_LINE, SVG_WIDTH);
    fwrite(b->inside, 1, b->size, to);
    fputs("</svg>\n", to);
    err_t err =
        fclose(to) == 0 ? new_file_put(b->svg, text, size) : err_memory(size, "a chart");
    free(text);
    return err;
}

err_t bars_close(bars **b)
{
    err_t err = OK;

    if ((*b)->drawing) {
        err           = fclose((*b)->drawing) == 0 ? write_svg(*b) : err_memory(0, "a chart");
        (*b)->drawing = NULL;
    }
    bars_abandon(b);
    return err;
}

void bars_abandon(bars **b)
{
    if (!*b)
        return;
    if ((*b)->drawing)
        fclose((*b)->drawing);
    forget(*b);
    free((*b)->at);
    free((*b)->inside);
    free(*b);
    *b = NULL;
}
