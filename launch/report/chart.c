#include "launch/report/chart.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* The picture, in units of its viewBox. */
#define WIDTH        640.0
#define HEIGHT       340.0
#define LEFT         62.0
#define RIGHT        18.0
#define TOP          14.0
#define BOTTOM       46.0
#define MAX_TITLES   150 /* points of a line that can be pointed at */
#define MOST_X_TICKS 7
#define MOST_Y_TICKS 6

/* What the axes show. */
typedef struct frame {
    double x_min, x_max, y_min, y_max;
    double x_tick, y_tick;
} frame;

void chart_print_escaped(FILE *to, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '<':
            fputs("&lt;", to);
            break;
        case '>':
            fputs("&gt;", to);
            break;
        case '&':
            fputs("&amp;", to);
            break;
        case '"':
            fputs("&quot;", to);
            break;
        case '\'':
            fputs("&#39;", to);
            break;
        default:
            fputc(*text, to);
        }
    }
}

/* ---- axes ---- */

/* 1, 2 or 5 times a power of ten, so that range has at most most ticks. */
static double nice_tick(double range, int most)
{
    double least = range / most, power = pow(10, floor(log10(least)));

    if (least <= power)
        return power;
    if (least <= 2 * power)
        return 2 * power;
    return least <= 5 * power ? 5 * power : 10 * power;
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The range of the lines' values. Of faint lines, which are rough, only what lies between
 * the 2nd and the 98th percentile must be seen. Falls back to what is there. */
static void add_range(frame *f, const chart_line *line)
{
    const curve *c = line->curve;
    double      *sorted;

    if (c->n == 0)
        return;
    f->x_min = fmin(f->x_min, c->at[0].step);
    f->x_max = fmax(f->x_max, c->at[c->n - 1].step);
    sorted   = line->faint ? malloc(c->n * sizeof *sorted) : NULL;
    if (!sorted) {
        f->y_min = fmin(f->y_min, curve_min(c));
        f->y_max = fmax(f->y_max, curve_max(c));
        return;
    }
    for (size_t i = 0; i < c->n; i++)
        sorted[i] = c->at[i].value;
    qsort(sorted, c->n, sizeof *sorted, by_number);
    f->y_min = fmin(f->y_min, sorted[c->n / 50]);
    f->y_max = fmax(f->y_max, sorted[c->n - 1 - c->n / 50]);
    free(sorted);
}

/* False: there is nothing to show. */
static bool make_frame(frame *f, const chart *c)
{
    *f = (frame){.x_min = 0, .x_max = c->steps, .y_min = DBL_MAX, .y_max = -DBL_MAX};
    for (int i = 0; i < c->n; i++)
        add_range(f, &c->lines[i]);
    if (f->y_min > f->y_max)
        return false;
    if (f->x_max <= f->x_min)
        f->x_max = f->x_min + 1;
    double pad = (f->y_max - f->y_min) * 0.06;
    if (!(pad > fabs(f->y_max) * 1e-9)) /* a flat line stands in the middle */
        pad = f->y_max != 0 ? fabs(f->y_max) * 0.05 : 1;
    f->y_min -= pad;
    f->y_max += pad;
    f->x_tick = nice_tick(f->x_max - f->x_min, MOST_X_TICKS);
    f->y_tick = nice_tick(f->y_max - f->y_min, MOST_Y_TICKS);
    return isfinite(f->y_min) && isfinite(f->y_max);
}

static double x_of(const frame *f, double step)
{
    return LEFT + (step - f->x_min) / (f->x_max - f->x_min) * (WIDTH - LEFT - RIGHT);
}

static double y_of(const frame *f, double value)
{
    double y =
        HEIGHT - BOTTOM - (value - f->y_min) / (f->y_max - f->y_min) * (HEIGHT - TOP - BOTTOM);

    return fmax(-HEIGHT, fmin(2 * HEIGHT, y)); /* what lies outside is clipped */
}

/* 1500 -> 1.5k, and as many decimals as neighbouring ticks need to differ. */
static void print_number(FILE *to, double x, double tick)
{
    static const struct {
        double      factor;
        const char *letter;
    } units[] = {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}};
    size_t u  = 0;

    while (u < 3 && fabs(x) < units[u].factor && tick < units[u].factor)
        u++;
    double step   = tick / units[u].factor;
    int    digits = step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0;
    fprintf(to, "%.*f%s", digits, x / units[u].factor + 0.0,
            fabs(x) < tick / 2 ? "" : units[u].letter);
}

static void print_grid(FILE *to, const frame *f)
{
    double bottom = HEIGHT - BOTTOM, right = WIDTH - RIGHT;

    fputs("<g class=\"grid\">\n", to);
    for (double k = ceil(f->y_min / f->y_tick); k * f->y_tick <= f->y_max; k++) {
        double y = y_of(f, k * f->y_tick);
        fprintf(to, "<path d=\"M%.1f %.1fH%.1f\"/>", LEFT, y, right);
        fprintf(to, "<text class=\"y\" x=\"%.1f\" y=\"%.1f\">", LEFT - 8, y + 4);
        print_number(to, k * f->y_tick, f->y_tick);
        fputs("</text>\n", to);
    }
    for (double k = ceil(f->x_min / f->x_tick); k * f->x_tick <= f->x_max; k++) {
        double x = x_of(f, k * f->x_tick);
        fprintf(to, "<path d=\"M%.1f %.1fv5\"/>", x, bottom);
        fprintf(to, "<text class=\"x\" x=\"%.1f\" y=\"%.1f\">", x, bottom + 19);
        print_number(to, k * f->x_tick, f->x_tick);
        fputs("</text>\n", to);
    }
    fprintf(to, "<path class=\"axis\" d=\"M%.1f %.1fH%.1f\"/></g>\n", LEFT, bottom, right);
}

static void print_labels(FILE *to, const chart *c)
{
    double middle = (TOP + HEIGHT - BOTTOM) / 2;

    fprintf(to, "<text class=\"label x\" x=\"%.1f\" y=\"%.1f\">step</text>\n",
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6);
    fprintf(to, "<text class=\"label x\" transform=\"translate(14 %.1f) rotate(-90)\">",
            middle);
    chart_print_escaped(to, c->unit);
    fputs("</text>\n", to);
}

/* ---- lines ---- */

static void print_path(FILE *to, const frame *f, const chart_line *line)
{
    const curve *c = line->curve;

    fprintf(to, "<path class=\"line c%d%s%s\" d=\"", line->color % CHART_COLORS,
            line->color >= CHART_COLORS ? " dashed" : "", line->faint ? " faint" : "");
    for (size_t i = 0; i < c->n; i++)
        fprintf(to, "%c%.1f %.1f", i ? 'L' : 'M', x_of(f, c->at[i].step),
                y_of(f, c->at[i].value));
    fputs("\"/>\n", to);
}

/* Points that tell their values; of a long line some, evenly, with the last one. */
static void print_points(FILE *to, const frame *f, const chart *c, const chart_line *line)
{
    size_t n = line->curve->n, every = n / MAX_TITLES + 1;

    fprintf(to, "<g class=\"points c%d%s\">", line->color % CHART_COLORS,
            line->marks ? " marks" : "");
    for (size_t i = (n - 1) % every; i < n; i += every) {
        const point *p = &line->curve->at[i];
        fprintf(to, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\"><title>", x_of(f, p->step),
                y_of(f, p->value), line->marks ? "4" : "5");
        chart_print_escaped(to, line->name);
        fprintf(to, "\nstep %.0f: ", p->step);
        fprintf(to, c->format, p->value);
        fputs("</title></circle>\n", to);
    }
    fputs("</g>\n", to);
}

void chart_print(FILE *to, const chart *c)
{
    frame f;

    fprintf(to, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    chart_print_escaped(to, c->title);
    fputs(" over steps\">\n", to);
    if (!make_frame(&f, c)) {
        fprintf(to,
                "<text class=\"label x\" x=\"%.0f\" y=\"%.0f\">no values yet</text></svg>\n",
                WIDTH / 2, HEIGHT / 2);
        return;
    }
    print_grid(to, &f);
    print_labels(to, c);
    /* an svg of its own clips what does not fit between the axes */
    fprintf(to,
            "<svg y=\"%.0f\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 %.0f %.0f %.0f\">\n",
            TOP, WIDTH, HEIGHT - TOP - BOTTOM, TOP, WIDTH, HEIGHT - TOP - BOTTOM);
    for (int i = 0; i < c->n; i++)
        if (c->lines[i].curve->n > 0 && c->lines[i].faint)
            print_path(to, &f, &c->lines[i]);
    for (int i = 0; i < c->n; i++)
        if (c->lines[i].curve->n > 0 && !c->lines[i].faint)
            print_path(to, &f, &c->lines[i]);
    for (int i = 0; i < c->n; i++)
        if (c->lines[i].curve->n > 0 && !c->lines[i].faint)
            print_points(to, &f, c, &c->lines[i]);
    fputs("</svg></svg>\n", to);
}
