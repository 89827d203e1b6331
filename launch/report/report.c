/* report - `dips report RUN...`: runs side by side, as a table here and as curves in an
 * HTML file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/commands.h"
#include "launch/flags.h"
#include "launch/report/page.h"
#include "launch/report/spending.h"

/* ---- text ---- */

static void print_padded(const char *text, int width, bool left)
{
    printf(left ? "%-*s" : "%*s", width, text);
}

static int column_width(int i, const summary_row *rows, int n)
{
    int width = (int)strlen(summary_title(i));

    for (int k = 0; k < n; k++) {
        int cell = (int)strlen(rows[k].cells[i].text);
        width    = cell > width ? cell : width;
    }
    return width + 2;
}

/* The line above the titles: a group's name over the first of its columns. */
static void print_groups(const summary_row *rows, int n)
{
    for (int i = 0; i < SUMMARY_COLUMNS; i++) {
        bool first = i == 0 || strcmp(summary_group(i), summary_group(i - 1)) != 0;
        print_padded(first ? summary_group(i) : "", column_width(i, rows, n),
                     summary_is_text(i));
    }
    printf("\n");
}

static void print_table(const summary_row *rows, int n)
{
    print_groups(rows, n);
    for (int k = -1; k < n; k++) {
        for (int i = 0; i < SUMMARY_COLUMNS; i++)
            print_padded(k < 0 ? summary_title(i) : rows[k].cells[i].text,
                         column_width(i, rows, n), summary_is_text(i));
        printf("\n");
    }
}

static int spending_width(int i, const run *runs, int n)
{
    char cell[SPENDING_CELL_MAX];
    int  width = (int)strlen(spending_title(i));

    for (int k = 0; k < n; k++) {
        spending_cell(cell, &runs[k], i);
        width = (int)strlen(cell) > width ? (int)strlen(cell) : width;
    }
    return width + 2;
}

static void print_spending(const run *runs, int n)
{
    char cell[SPENDING_CELL_MAX];

    if (!spending_known(runs, n))
        return;
    printf("\nwhere the time of a step goes\n");
    for (int i = 0; i < SPENDING_COLUMNS; i++)
        print_padded(spending_title(i), spending_width(i, runs, n), i == 0);
    printf("\n");
    for (int k = 0; k < n; k++) {
        for (int i = 0; i < SPENDING_COLUMNS; i++) {
            spending_cell(cell, &runs[k], i);
            print_padded(cell, spending_width(i, runs, n), i == 0);
        }
        printf("\n");
    }
}

static void print_returns(const run *runs, int n)
{
    bool titled = false;

    for (int k = 0; k < n; k++)
        for (size_t i = 0; i < runs[k].returns.n; i++) {
            const run_return *r = &runs[k].returns.at[i];
            printf(titled ? "" : "\nreturns to a checkpoint\n");
            titled = true;
            printf("  %-20s step %-10.0f %s\n", runs[k].name, r->step, r->why);
        }
}

static void print_differences(const run *runs, const differences *d, int n)
{
    if (n > 1)
        printf("\n%s\n", d->list.n ? "what differs" : "the configurations do not differ");
    for (size_t i = 0; i < d->list.n; i++) {
        printf("  %s\n", d->list.at[i].key);
        for (int k = 0; k < n; k++) {
            const char *value = d->list.at[i].values[k];
            printf("    %-20s %s\n", runs[k].name, value ? value : "-");
        }
    }
}

/* ---- the page ---- */

/* Write under another name first: what stands at path is a whole page, always. */
static err_t write_page(const char *path, const run *runs, const summary_row *rows,
                        const differences *d, int n)
{
    char partial[CONFIG_PATH_MAX + 16];

    if (snprintf(partial, sizeof partial, "%s.partial", path) >= (int)sizeof partial)
        return err_set(ERR_USAGE, "the name of the page is too long: %.100s...", path);
    FILE *f = fopen(partial, "w");
    if (!f)
        return err_errno("writing %s", partial);
    err_t err = page_print(f, runs, rows, d, n);
    if (err == OK && (fflush(f) != 0 || ferror(f)))
        err = err_errno("writing %s", partial);
    fclose(f);
    if (err == OK && rename(partial, path) != 0)
        err = err_errno("writing %s", path);
    if (err != OK)
        unlink(partial);
    return err;
}

/* Runs whose folders have the same name are told apart by their paths. */
static void name_apart(run *runs, int n)
{
    for (int k = 0; k < n; k++)
        for (int i = 0; i < n; i++)
            if (i != k && !strcmp(runs[i].name, runs[k].name)) {
                size_t length = strlen(runs[k].path), most = sizeof runs[k].name - 1;
                snprintf(runs[k].name, sizeof runs[k].name, "%s",
                         runs[k].path + (length > most ? length - most : 0));
            }
}

static err_t show(const char *out, const run *runs, int n)
{
    summary_row *rows = calloc((size_t)n, sizeof *rows);
    differences  d    = {0};

    if (!rows)
        return err_memory((size_t)n * sizeof *rows, "the table");
    summary_make(rows, runs, n);
    err_t err = differences_find(&d, runs, n);
    if (err == OK) {
        print_table(rows, n);
        print_spending(runs, n);
        print_returns(runs, n);
        print_differences(runs, &d, n);
        err = write_page(out, runs, rows, &d, n);
    }
    if (err == OK)
        printf("\ncurves: %s\n", out);
    differences_clear(&d);
    free(rows);
    return err;
}

err_t command_report(int argc, char **argv)
{
    static const char usage[] = "dips report RUN [RUN...] [--out FILE.html]";
    static const char about[] =
        "Compare runs: a table of their best and last figures and of what differs in their\n"
        "configurations, and curves over steps in one HTML file that opens anywhere.\n"
        "RelaImpr is (AUC - 0.5) / (AUC of the first run - 0.5) - 1, of the best AUCs. RUN\n"
        "is the folder of a run, also of one that is still going on.";
    const char *out     = "report.html";
    const flag  flags[] = {{"out", FLAG_TEXT, &out, .meta = "FILE.html", .help = "the page"},
                           {0}};
    int         n;
    bool        helped;
    err_t       err = OK;

    TRY(flags_parse(flags, usage, about, argc, argv, &n, &helped));
    if (helped)
        return OK;
    if (n == 0)
        return err_set(ERR_USAGE, "which run? usage: %s", usage);
    run *runs = calloc((size_t)n, sizeof *runs);
    if (!runs)
        return err_memory((size_t)n * sizeof *runs, "the runs");
    for (int k = 0; k < n && err == OK; k++)
        err = run_read(&runs[k], argv[k]);
    if (err == OK) {
        name_apart(runs, n);
        err = show(out, runs, n);
    }
    for (int k = 0; k < n; k++)
        run_clear(&runs[k]);
    free(runs);
    return err;
}
