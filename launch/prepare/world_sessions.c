/* The world of sessions: what somebody pursued at one sitting, and what comes up at each.
 *
 * A history is 4 or 5 sessions, a day apart; events within one are minutes apart. Each session
 * has a theme, a cate of 2 to 4 of its events; as many habits are cates that have 2 to 4 events
 * in the history, too, but in different sessions. Most candidates are of one or the other:
 *
 *     e = events of the candidate's cate in the session that has most of them, less one
 *
 * so it is a theme that makes a click. Themes and habits have the same counts, and a sum over
 * the history cannot tell one from the other; who knows where sessions begin can. */
#include <assert.h>

#include "launch/prepare/world_history.h"

#define LEAST_SESSIONS 4
#define MOST_SESSIONS  5
#define LEAST_TIMES    2 /* events of a theme, or of a habit */
#define MOST_TIMES     4
#define MOST_LENGTH    (MOST_TIMES + MOST_SESSIONS) /* of a session: a theme, all habits */
#define THEME_SHARE    0.45                         /* of candidates */
#define HABIT_SHARE    0.45

#define FIRST_TIME    INT64_C(1500000000)
#define DAY           INT64_C(86400)
#define DAYS          1000          /* that samples are spread over */
#define SECONDS_APART UINT64_C(600) /* at most, within a session */

static_assert(MOST_SESSIONS * MOST_LENGTH <= WORLD_ROOM, "a history has room");

/* The cates of a history, by session. */
typedef struct plan {
    int      sessions;
    uint64_t themes[MOST_SESSIONS], habits[MOST_SESSIONS];
    int      length[MOST_SESSIONS];
    uint64_t cate[MOST_SESSIONS][MOST_LENGTH];
} plan;

/* n different numbers below most, which is at least n, in any order. */
static void draw_different(uint64_t *x, int n, uint64_t most, rng *r)
{
    for (int i = 0; i < n; i++) {
        x[i] = rng_below(r, most);
        for (int j = 0; j < i; j++)
            if (x[j] == x[i]) {
                i--; /* again */
                break;
            }
    }
}

static int draw_times(rng *r)
{
    return LEAST_TIMES + (int)rng_below(r, MOST_TIMES - LEAST_TIMES + 1);
}

static void add(plan *p, uint64_t session, uint64_t cate)
{
    p->cate[session][p->length[session]++] = cate;
}

/* Fisher and Yates. */
static void shuffle(uint64_t *x, int n, rng *r)
{
    for (int i = n - 1; i > 0; i--) {
        uint64_t j = rng_below(r, (uint64_t)i + 1), kept = x[i];
        x[i] = x[j];
        x[j] = kept;
    }
}

static plan draw_plan(const world *w, rng *r)
{
    plan     p = {.sessions =
                      LEAST_SESSIONS + (int)rng_below(r, MOST_SESSIONS - LEAST_SESSIONS + 1)};
    uint64_t cates[2 * MOST_SESSIONS], places[MOST_TIMES];

    draw_different(cates, 2 * p.sessions, w->options.cates, r);
    for (int i = 0; i < p.sessions; i++) {
        p.themes[i] = cates[2 * i];
        p.habits[i] = cates[2 * i + 1];
        for (int n = draw_times(r); n > 0; n--)
            add(&p, (uint64_t)i, p.themes[i]);
        int times = draw_times(r);
        draw_different(places, times, (uint64_t)p.sessions, r);
        while (times > 0)
            add(&p, places[--times], p.habits[i]);
    }
    for (int i = 0; i < p.sessions; i++)
        shuffle(p.cate[i], p.length[i], r);
    return p;
}

static void fill_history(const world *w, const plan *p, int64_t first, rng *r, world_sample *s)
{
    for (int i = 0; i < p->sessions; i++) {
        int64_t time = first + i * DAY + (int64_t)rng_below(r, (uint64_t)DAY / 2);
        for (int k = 0; k < p->length[i]; k++) {
            world_event *e = &s->history[s->n++];
            e->time        = time;
            world_fill_event(w, e, p->cate[i][k], r);
            time += 1 + (int64_t)rng_below(r, SECONDS_APART);
        }
    }
}

static double evidence_of(const world_sample *s)
{
    int most = 0, here = 0;

    for (int i = 0; i < s->n; i++) {
        if (i > 0 && s->history[i].time - s->history[i - 1].time > (int64_t)SECONDS_APART)
            here = 0;
        here += s->history[i].cate == s->candidate.cate;
        most = here > most ? here : most;
    }
    return most > 1 ? most - 1 : 0;
}

static uint64_t draw_candidate(const world *w, const plan *p, rng *r)
{
    double   u = rng_uniform(r);
    uint64_t i = rng_below(r, (uint64_t)p->sessions);

    return u < THEME_SHARE                 ? p->themes[i]
           : u < THEME_SHARE + HABIT_SHARE ? p->habits[i]
                                           : rng_below(r, w->options.cates);
}

static void fill(const world *w, rng *r, world_sample *s)
{
    plan    p     = draw_plan(w, r);
    int64_t first = FIRST_TIME + (int64_t)rng_below(r, DAYS) * DAY;

    fill_history(w, &p, first, r, s);
    uint64_t cate = draw_candidate(w, &p, r);
    world_fill_event(w, &s->candidate, cate, r);
    s->candidate.time = first + p.sessions * DAY + (int64_t)rng_below(r, (uint64_t)DAY / 2);
    s->probability    = world_click(w, cate, evidence_of(s));
}

const world_kind world_sessions = {
    .name        = "sessions",
    .help        = "what was pursued at one sitting counts: sessions matter",
    .heeds       = WORLD_USERS | WORLD_GOODS | WORLD_SHOPS | WORLD_ZIPF | WORLD_NEGATIVES,
    .least_cates = 2 * MOST_SESSIONS,
    .options     = {.users      = 20000,
                    .goods      = 2000,
                    .shops      = 200,
                    .cates      = 30,
                    .zipf       = 1.0,
                    .bias       = -2.0,
                    .strength   = 4.5,
                    .saturation = 0.8,
                    .quality    = 0.3},
    WORLD_HISTORY_SHARD,
    .fill = fill,
};
