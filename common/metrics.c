/* The figures of a list of predictions. The lines of metrics.jsonl are metrics_log.c's. */
#include "common/metrics.h"

#include <math.h>
#include <string.h>

/* ---- sorting ---- */

/* The 16 bytes of a prediction's key, most significant first: the group, then the bits of
 * the probability, which order as the numbers do since none is negative. */
static inline unsigned key_byte(const prediction *p, int level)
{
    uint64_t word = p->group;

    if (level >= 8)
        memcpy(&word, &p->probability, sizeof word);
    return (unsigned)(word >> (56 - 8 * (level % 8))) & 255;
}

enum { LEVEL_GROUP = 0, LEVEL_PROBABILITY = 8, LEVEL_END = 16 };

static bool stands_before(const prediction *a, const prediction *b, int level)
{
    if (level < LEVEL_PROBABILITY && a->group != b->group)
        return a->group < b->group;
    return a->probability < b->probability;
}

static void insertion_sort(prediction *p, size_t n, int level)
{
    for (size_t i = 1; i < n; i++) {
        prediction moved = p[i];
        size_t     k     = i;
        for (; k > 0 && stands_before(&moved, &p[k - 1], level); k--)
            p[k] = p[k - 1];
        p[k] = moved;
    }
}

/* Sort by the bytes of the key from level on: American flag sort (McIlroy, Bostic and
 * McIlroy 1993), a radix sort in place. O(n) passes over memory of n predictions, so
 * that an evaluation of 10^8 needs no second copy. */
static void radix_sort(prediction *p, size_t n, int level)
{
    size_t begin[257] = {0}, next[256];

    if (n <= 32) {
        insertion_sort(p, n, level);
        return;
    }
    for (size_t i = 0; i < n; i++)
        begin[key_byte(&p[i], level) + 1]++;
    for (int b = 0; b < 256; b++) {
        next[b] = begin[b];
        begin[b + 1] += begin[b];
    }
    for (unsigned b = 0; b < 256; b++) {
        while (next[b] < begin[b + 1]) {
            prediction moved = p[next[b]];
            unsigned   home  = key_byte(&moved, level);
            while (home != b) {
                prediction other = p[next[home]];
                p[next[home]++]  = moved;
                moved            = other;
                home             = key_byte(&moved, level);
            }
            p[next[b]++] = moved;
        }
    }
    if (level + 1 < LEVEL_END)
        for (int b = 0; b < 256; b++)
            radix_sort(p + begin[b], begin[b + 1] - begin[b], level + 1);
}

/* ---- sums over sorted predictions ---- */

typedef struct sums {
    double clicks, rest; /* weight of the samples with label 1, and 0 */
    double ordered;      /* weight of (click, rest) pairs in the right order; ties half */
    double loss, predicted;
} sums;

static double log_clamped(double p)
{
    return log(fmin(fmax(p, 1e-15), 1 - 1e-15));
}

/* Add the samples of one probability to s. What they add does not depend on the order in
 * which they stand, so neither do the figures depend on who sent them first. */
static void add_ties(sums *s, const prediction *p, size_t n)
{
    double clicks = 0, rest = 0;

    for (size_t i = 0; i < n; i++)
        *(p[i].label > 0 ? &clicks : &rest) += (double)p[i].weight;
    s->ordered += clicks * (s->rest + rest / 2);
    s->clicks += clicks;
    s->rest += rest;
    s->predicted += (clicks + rest) * p->probability;
    if (clicks > 0)
        s->loss -= clicks * log_clamped(p->probability);
    if (rest > 0)
        s->loss -= rest * log_clamped(1 - p->probability);
}

/* The sums over n predictions of ascending probability. */
static sums add_up(const prediction *p, size_t n)
{
    sums   s = {0};
    size_t end;

    for (size_t i = 0; i < n; i = end) {
        for (end = i + 1; end < n && p[end].probability == p[i].probability;)
            end++;
        add_ties(&s, p + i, end - i);
    }
    return s;
}

/* AUC = P(p+ > p-) + P(p+ = p-) / 2 */
static double auc_of(const sums *s)
{
    return s->clicks > 0 && s->rest > 0 ? s->ordered / (s->clicks * s->rest) : (double)NAN;
}

/* GAUC = sum_i imp_i AUC_i / sum_i imp_i   over the groups i with both classes,
 * imp_i the weight of the group's samples.  Zhou et al. 2018 (DIN), eq. 10. */
static void grouped_auc(metrics *m, prediction *p, size_t n)
{
    double weighted = 0, impressions = 0;
    size_t end;

    radix_sort(p, n, LEVEL_GROUP);
    for (size_t i = 0; i < n; i = end) {
        for (end = i + 1; end < n && p[end].group == p[i].group;)
            end++;
        sums s = add_up(p + i, end - i);
        if (!(s.clicks > 0 && s.rest > 0))
            continue;
        weighted += (s.clicks + s.rest) * auc_of(&s);
        impressions += s.clicks + s.rest;
        m->groups++;
    }
    m->gauc = impressions > 0 ? weighted / impressions : (double)NAN;
}

/* Refuse what has no place in the sums, and make -0 a 0 (their bits differ). */
static err_t check(prediction *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!(p[i].probability >= 0 && p[i].probability <= 1))
            return err_set(ERR_NUMERIC, "prediction %zu of group %llu is %g, no probability", i,
                           (unsigned long long)p[i].group, p[i].probability);
        if (!(p[i].weight >= 0) || isinf(p[i].weight))
            return err_set(ERR_NUMERIC, "prediction %zu of group %llu has the weight %g", i,
                           (unsigned long long)p[i].group, (double)p[i].weight);
        p[i].probability += 0.0;
    }
    return OK;
}

err_t metrics_compute(metrics *m, prediction *p, size_t n, bool grouped)
{
    *m = (metrics){.gauc = (double)NAN};
    TRY(check(p, n));
    if (grouped)
        grouped_auc(m, p, n);
    radix_sort(p, n, LEVEL_PROBABILITY);
    sums s         = add_up(p, n);
    m->samples     = s.clicks + s.rest;
    m->auc         = auc_of(&s);
    m->logloss     = m->samples > 0 ? s.loss / m->samples : (double)NAN;
    m->calibration = s.clicks > 0 ? s.predicted / s.clicks : (double)NAN;
    return OK;
}

/* RelaImpr = ((AUC - .5) / (AUC_base - .5) - 1) x 100%.  Zhou et al. 2018, eq. 11. */
double metrics_rela_impr(double auc, double base_auc)
{
    return ((auc - 0.5) / (base_auc - 0.5) - 1) * 100;
}
