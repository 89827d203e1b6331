#include "launch/report/page.h"

#include <stdlib.h>
#include <string.h>

#include "launch/report/chart.h"
#include "launch/report/spending.h"

#define THIN_POINTS  400 /* of a line of steps */
#define SMOOTH_SHARE 100 /* half of a smooth value's weight lies within this part of a run */

static const char style[] =
    ":root{--paper:#f6f7f9;--card:#fff;--ink:#1c2430;--soft:#667085;--rule:#e4e7ec;"
    "--c0:#2563eb;--c1:#dc6803;--c2:#079455;--c3:#c11574;--c4:#6938ef;--c5:#0e9384;"
    "--c6:#b42318;--c7:#667085}\n"
    "@media(prefers-color-scheme:dark){:root{--paper:#0f1319;--card:#181e27;--ink:#e7ebf1;"
    "--soft:#94a0b2;--rule:#2b3442;--c0:#7aa5ff;--c1:#fdb022;--c2:#47cd89;--c3:#f670c7;"
    "--c4:#a48afb;--c5:#2ed3b7;--c6:#f97066;--c7:#98a2b3}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--paper);color:var(--ink);"
    "font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\n"
    "main{max-width:1240px;margin:0 auto;padding:32px 24px 48px}\n"
    "h1{font-size:24px;font-weight:650;letter-spacing:-.01em;margin:0 0 20px}\n"
    "h1 span{font-weight:400;color:var(--soft);font-size:16px;margin-left:8px}\n"
    "h2{font-size:15px;font-weight:600;margin:0 0 10px}\n"
    "section,figure{background:var(--card);border:1px solid var(--rule);border-radius:12px;"
    "padding:18px 20px;margin:0 0 20px;overflow-x:auto}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));"
    "gap:20px}\n"
    ".charts figure{margin:0}.charts{margin-bottom:20px}\n"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:7px 12px;text-align:right;white-space:nowrap}\n"
    "th{font-weight:500;color:var(--soft);font-size:13px}\n"
    "thead tr:last-child th{border-bottom:1px solid var(--rule)}\n"
    "th.group{text-align:center}\n"
    "th.t,td.t{text-align:left}\n"
    "tbody tr+tr td{border-top:1px solid var(--rule)}\n"
    "td.best{font-weight:700}\n"
    "td code{font:13px ui-monospace,SFMono-Regular,Menlo,monospace;white-space:pre-wrap;"
    "overflow-wrap:anywhere}\n"
    ".swatch{display:inline-block;width:14px;height:4px;border-radius:2px;margin-right:8px;"
    "vertical-align:middle;background:currentColor}\n"
    ".legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:13px;color:var(--soft);"
    "margin:0 0 8px}\n"
    ".note{font-size:13px;color:var(--soft);margin:10px 0 0}\n"
    "svg{display:block;width:100%;height:auto;overflow:visible}\n"
    "svg svg{overflow:hidden}\n"
    "svg text{fill:var(--soft);font-size:12px;font-variant-numeric:tabular-nums}\n"
    "svg .x{text-anchor:middle}svg .y{text-anchor:end}\n"
    ".grid path{stroke:var(--rule);fill:none}.grid .axis{stroke:var(--soft);opacity:.6}\n"
    ".line{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round;"
    "stroke-linecap:round}\n"
    ".faint{stroke-width:1;opacity:.28}.dashed{stroke-dasharray:6 4}\n"
    ".points circle{fill:currentColor;stroke:var(--card);stroke-width:1.5;opacity:0}\n"
    ".points circle:hover{opacity:1}.points.marks circle{opacity:1}\n"
    "details{margin:6px 0}summary{cursor:pointer;color:var(--soft)}\n"
    "pre{font:12.5px/1.45 ui-monospace,SFMono-Regular,Menlo,monospace;overflow-x:auto;"
    "margin:10px 0 0}\n";

static void print_swatch(FILE *to, int i)
{
    fprintf(to, "<span class=\"swatch c%d\"></span>", i % CHART_COLORS);
}

static void print_head(FILE *to, int n)
{
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n"
          "<title>dips report</title>\n<style>\n",
          to);
    fputs(style, to);
    for (int i = 0; i < CHART_COLORS; i++)
        fprintf(to, ".c%d{color:var(--c%d)}", i, i);
    fprintf(to, "\n</style></head>\n<body><main>\n<h1>dips report <span>%d run%s</span></h1>\n",
            n, n == 1 ? "" : "s");
}

/* ---- tables ---- */

static void print_groups(FILE *to)
{
    fputs("<tr>", to);
    for (int i = 0, end; i < SUMMARY_COLUMNS; i = end) {
        for (end = i + 1; end < SUMMARY_COLUMNS && *summary_group(i) &&
                          !strcmp(summary_group(end), summary_group(i));)
            end++;
        fprintf(to, "<th class=\"group\" colspan=\"%d\">%s</th>", end - i, summary_group(i));
    }
    fputs("</tr>\n", to);
}

static void print_summary(FILE *to, const run *runs, const summary_row *rows, int n)
{
    fputs("<section>\n<table><thead>", to);
    print_groups(to);
    fputs("<tr>", to);
    for (int i = 0; i < SUMMARY_COLUMNS; i++)
        fprintf(to, "<th%s>%s</th>", summary_is_text(i) ? " class=\"t\"" : "",
                summary_title(i));
    fputs("</tr></thead>\n<tbody>\n", to);
    for (int k = 0; k < n; k++) {
        fputs("<tr>", to);
        for (int i = 0; i < SUMMARY_COLUMNS; i++) {
            const summary_cell *cell = &rows[k].cells[i];
            fprintf(to, "<td class=\"%s%s\"", summary_is_text(i) ? "t" : "",
                    cell->best ? " best" : "");
            if (i == 0) {
                fputs(" title=\"", to);
                chart_print_escaped(to, runs[k].path);
                fputs("\"", to);
            }
            fputs(">", to);
            if (i == 0)
                print_swatch(to, k);
            chart_print_escaped(to, cell->text);
            fputs("</td>", to);
        }
        fputs("</tr>\n", to);
    }
    fputs(
        "</tbody></table>\n<p class=\"note\">On the test split. RelaImpr (DIN, eq. 11) of the "
        "best AUC over the first run's. samples/s is the median of the steps.</p></section>\n",
        to);
}

static void print_spending(FILE *to, const run *runs, int n)
{
    char cell[SPENDING_CELL_MAX];

    if (!spending_known(runs, n))
        return;
    fputs("<section><h2>Where the time of a step goes</h2>\n<table><thead><tr>", to);
    for (int i = 0; i < SPENDING_COLUMNS; i++)
        fprintf(to, "<th%s>%s</th>", i == 0 ? " class=\"t\"" : "", spending_title(i));
    fputs("</tr></thead>\n<tbody>\n", to);
    for (int k = 0; k < n; k++) {
        fputs("<tr>", to);
        for (int i = 0; i < SPENDING_COLUMNS; i++) {
            spending_cell(cell, &runs[k], i);
            fputs(i == 0 ? "<td class=\"t\">" : "<td>", to);
            if (i == 0)
                print_swatch(to, k);
            chart_print_escaped(to, cell);
            fputs("</td>", to);
        }
        fputs("</tr>\n", to);
    }
    fputs("</tbody></table>\n<p class=\"note\">Of the first worker's wall clock; reading and "
          "finding distinct ids go on beside it, in a thread of their own. Pulls hidden: the "
          "share of their way during which the worker did something else.</p></section>\n",
          to);
}

static void print_return(FILE *to, const run *r, int k, const run_return *back)
{
    fputs("<tr><td class=\"t\">", to);
    print_swatch(to, k);
    chart_print_escaped(to, r->name);
    fprintf(to, "</td><td>%.0f</td><td class=\"t\">", back->step);
    chart_print_escaped(to, back->why);
    fputs("</td></tr>\n", to);
}

static void print_returns(FILE *to, const run *runs, int n)
{
    bool any = false;

    for (int k = 0; k < n; k++)
        any = any || runs[k].returns.n > 0;
    if (!any)
        return;
    fputs("<section><h2>Returns to a checkpoint</h2>\n<table><thead><tr><th class=\"t\">run</th>"
          "<th>step</th><th class=\"t\">why</th></tr></thead><tbody>\n",
          to);
    for (int k = 0; k < n; k++)
        for (size_t i = 0; i < runs[k].returns.n; i++)
            print_return(to, &runs[k], k, &runs[k].returns.at[i]);
    fputs("</tbody></table></section>\n", to);
}

static void print_differences(FILE *to, const run *runs, const differences *d, int n)
{
    if (d->list.n == 0)
        return;
    fputs("<section><h2>What differs in the configurations</h2>\n<table><thead><tr>"
          "<th class=\"t\">option</th>",
          to);
    for (int k = 0; k < n; k++) {
        fputs("<th class=\"t\">", to);
        print_swatch(to, k);
        chart_print_escaped(to, runs[k].name);
        fputs("</th>", to);
    }
    fputs("</tr></thead><tbody>\n", to);
    for (size_t i = 0; i < d->list.n; i++) {
        fputs("<tr><td class=\"t\"><code>", to);
        chart_print_escaped(to, d->list.at[i].key);
        fputs("</code></td>", to);
        for (int k = 0; k < n; k++) {
            const char *value = d->list.at[i].values[k];
            fputs("<td class=\"t\"><code>", to);
            chart_print_escaped(to, value ? value : "-");
            fputs("</code></td>", to);
        }
        fputs("</tr>\n", to);
    }
    fputs("</tbody></table></section>\n", to);
}

static void print_configurations(FILE *to, const run *runs, int n)
{
    fputs("<section><h2>Configurations</h2>\n", to);
    for (int k = 0; k < n; k++) {
        fputs("<details><summary>", to);
        print_swatch(to, k);
        chart_print_escaped(to, runs[k].path);
        fputs("</summary><pre>", to);
        chart_print_escaped(to, runs[k].yaml);
        fputs("</pre></details>\n", to);
    }
    fputs("</section>\n", to);
}

/* ---- charts ---- */

static void print_figure(FILE *to, const chart *c, const run *runs, int n)
{
    fprintf(to, "<figure><h2>%s</h2>\n<div class=\"legend\">", c->title);
    for (int k = 0; k < n; k++) {
        fputs("<span>", to);
        print_swatch(to, k);
        chart_print_escaped(to, runs[k].name);
        fputs("</span>", to);
    }
    fputs("</div>\n", to);
    chart_print(to, c);
    fputs("</figure>\n", to);
}

static double most_steps(const run *runs, int n)
{
    double most = 0;

    for (int k = 0; k < n; k++)
        most = runs[k].steps > most ? runs[k].steps : most;
    return most;
}

/* A curve of evaluations of each run, as it is. */
static err_t print_evaluations(FILE *to, const char *title, const char *unit, size_t place,
                               const run *runs, int n)
{
    chart_line *lines = calloc((size_t)n, sizeof *lines);

    if (!lines)
        return err_memory((size_t)n * sizeof *lines, "a chart");
    for (int k = 0; k < n; k++)
        lines[k] = (chart_line){.name  = runs[k].name,
                                .color = k,
                                .curve = (const curve *)((const char *)&runs[k] + place),
                                .marks = true};
    print_figure(to, &(chart){title, unit, "%.4f", most_steps(runs, n), lines, n}, runs, n);
    free(lines);
    return OK;
}

/* What a line of steps becomes: rough, thinned, and smooth, thinned after smoothing. */
typedef struct shades {
    curve rough, whole, smooth;
} shades;

static err_t make_shades(shades *s, const curve *c)
{
    double half_life = (double)c->n / SMOOTH_SHARE;

    TRY(curve_thin(c, THIN_POINTS, &s->rough));
    TRY(curve_smooth(c, half_life > 1 ? half_life : 1, &s->whole));
    return curve_thin(&s->whole, THIN_POINTS, &s->smooth);
}

static void clear_shades(shades *s)
{
    vec_clear(&s->rough);
    vec_clear(&s->whole);
    vec_clear(&s->smooth);
}

/* A curve of steps of each run: smoothed, with the rough one faintly behind it. */
static err_t print_steps(FILE *to, const char *title, const char *unit, const char *format,
                         size_t place, const run *runs, int n)
{
    shades     *all   = calloc((size_t)n, sizeof *all);
    chart_line *lines = calloc(2 * (size_t)n, sizeof *lines);
    err_t       err   = all && lines ? OK : err_memory((size_t)n * sizeof *all, "a chart");

    for (int k = 0; k < n && err == OK; k++) {
        err          = make_shades(&all[k], (const curve *)((const char *)&runs[k] + place));
        lines[2 * k] = (chart_line){runs[k].name, k, &all[k].rough, .faint = true};
        lines[2 * k + 1] = (chart_line){runs[k].name, k, &all[k].smooth, .faint = false};
    }
    if (err == OK)
        print_figure(to, &(chart){title, unit, format, most_steps(runs, n), lines, 2 * n}, runs,
                     n);
    for (int k = 0; all && k < n; k++)
        clear_shades(&all[k]);
    free(all);
    free(lines);
    return err;
}

static err_t print_charts(FILE *to, const run *runs, int n)
{
    fputs("<div class=\"charts\">\n", to);
    TRY(print_evaluations(to, "AUC", "AUC of the test split", offsetof(run, auc), runs, n));
    TRY(print_evaluations(to, "GAUC", "GAUC of the test split", offsetof(run, gauc), runs, n));
    TRY(print_evaluations(to, "Test log loss", "log loss of the test split",
                          offsetof(run, logloss), runs, n));
    TRY(print_steps(to, "Training loss", "log loss, smoothed", "%.4f", offsetof(run, loss),
                    runs, n));
    TRY(print_evaluations(to, "Calibration", "predicted / actual clicks, test split",
                          offsetof(run, calibration), runs, n));
    TRY(print_steps(to, "Speed", "samples/s, smoothed", "%.0f samples/s", offsetof(run, speed),
                    runs, n));
    fputs("</div>\n", to);
    return OK;
}

err_t page_print(FILE *to, const run *runs, const summary_row *rows, const differences *d,
                 int n)
{
    print_head(to, n);
    print_summary(to, runs, rows, n);
    TRY(print_charts(to, runs, n));
    print_spending(to, runs, n);
    print_returns(to, runs, n);
    print_differences(to, runs, d, n);
    print_configurations(to, runs, n);
    fputs("</main></body></html>\n", to);
    return OK;
}
