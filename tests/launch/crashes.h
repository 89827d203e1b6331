/* crashes - a run whose process dies, whose power fails, or whose disk says no at a call that
 * writes a checkpoint: what is there afterwards is whole, and the run goes on from it to the
 * same end. */
#ifndef DIPS_TESTS_LAUNCH_CRASHES_H
#define DIPS_TESTS_LAUNCH_CRASHES_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "common/manifest.h"
#include "launch/checkpoint_verify.h"
#include "launch/commands.h"
#include "tests/must.h"
#include "tests/room.h"

#include "faulty_disk.h"

#define RUN    "work/run"
#define FOLDER RUN "/checkpoints"

/* A checkpoint every two steps, of which one is kept; a run that was disturbed goes on for two
 * more, so that what it left is cleaned. In chains: one at every step, of which the second and
 * the third are deltas, that the full one of step 4 has removed; then another chain begins. The
 * end is the same either way, to the bit. */
enum { LAST = 4, RESUMED = 6, FILES = 3 };

typedef struct cut_rhythm {
    const char *full, *delta;
} cut_rhythm;

static const cut_rhythm fulls  = {"checkpoint.every=2 steps", "checkpoint.delta_every=never"};
static const cut_rhythm chains = {"checkpoint.every=4 steps", "checkpoint.delta_every=1 steps"};

static const char yaml[] = "tables:\n"
                           "  goods: {dim: 2, optimizer: adam, lr: 0.05}\n"
                           "  user:  {dim: 2, lr: 0.05}\n"
                           "features: {user: {table: user}, goods: {table: goods}}\n"
                           "model: {kind: lr, profile: [user], candidate: [goods]}\n"
                           "data: {train: [data/train-*.safetensors]}\n"
                           "train: {batch: 32, seed: 7, steps: 4}\n"
                           "cluster: {shards: 2}\n"
                           "checkpoint: {keep: 1}\n";

static int          *counted; /* calls of the last child, which shares it */
static int           calls;   /* of an undisturbed run */
static cut_rhythm    rhythm;
static manifest_file whole[FILES];

/* ---- children ---- */

/* What the child prints goes to the file `said`. */
static int run_child(err_t (*run)(int, char **), int n, char **words, const disk_plan *plan)
{
    int   status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        if (!freopen("said", "w", stdout) || dup2(fileno(stdout), STDERR_FILENO) < 0)
            _exit(98);
        disk_begin(plan, counted);
        err_t err = run(n, words);
        fflush(stdout);
        if (err != OK)
            fprintf(stderr, "dips: %s\n", err_text());
        _exit(err_exit_status(err));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status))
        fail_msg("call %d: the child ended by signal %d", plan->at, WTERMSIG(status));
    return WEXITSTATUS(status);
}

static int train(disk_plan plan, int steps)
{
    char  until[32], full[64], delta[64];
    char *words[] = {"train", "run.yaml", "--run", RUN, until, full, delta, NULL};

    snprintf(until, sizeof until, "train.steps=%d", steps);
    snprintf(full, sizeof full, "%s", rhythm.full);
    snprintf(delta, sizeof delta, "%s", rhythm.delta);
    plan.folder = FOLDER;
    return run_child(command_train, 7, words, &plan);
}

static void remove_all(const char *what)
{
    if (access(what, F_OK) == 0)
        folder_remove(what);
}

static int entries(const char *folder)
{
    DIR *d = opendir(folder);
    int  n = -2; /* . and .. */

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static bool was_said(const char *word)
{
    char *text  = read_bytes("said", NULL);
    bool  found = strstr(text, word) != NULL;

    free(text);
    return found;
}

/* ---- what must hold ---- */

/* The newest checkpoint, or -1; all that are there must be whole. */
static int64_t newest_whole(const disk_plan *p)
{
    char     folder[CONFIG_PATH_MAX];
    int64_t *steps, newest = -1;
    int      n;
    FILE    *nowhere = fopen("/dev/null", "w");

    assert_non_null(nowhere);
    must(manifest_list(&steps, &n, FOLDER));
    for (int i = 0; i < n; i++) {
        newest = steps[i];
        manifest_folder(folder, FOLDER, newest);
        if (checkpoint_verify(folder, true, nowhere) != OK)
            fail_msg("after call %d: %s", p->at, err_text());
    }
    free(steps);
    fclose(nowhere);
    return newest;
}

static void read_files(int64_t step, manifest_file files[FILES])
{
    char     folder[CONFIG_PATH_MAX];
    manifest m;

    manifest_folder(folder, FOLDER, step);
    must(manifest_read(&m, folder));
    assert_int_equal(m.n_files, FILES);
    memcpy(files, m.files, sizeof *files * FILES);
    manifest_clear(&m);
}

/* There is the checkpoint of the step RESUMED with the right bits, and nothing else. */
static void assert_undisturbed(const disk_plan *p)
{
    manifest_file files[FILES];
    char          folder[CONFIG_PATH_MAX];

    if (newest_whole(p) != RESUMED)
        fail_msg("call %d: the last checkpoint is not there", p->at);
    read_files(RESUMED, files);
    for (int i = 0; i < FILES; i++)
        if (strcmp(files[i].name, whole[i].name) != 0 ||
            files[i].digest.xxh3 != whole[i].digest.xxh3)
            fail_msg("call %d: %s has other bits", p->at, files[i].name);
    manifest_folder(folder, FOLDER, RESUMED);
    if (entries(FOLDER) != 1 || entries(folder) != FILES + 1)
        fail_msg("call %d: %d checkpoints, %d files in the last one", p->at, entries(FOLDER),
                 entries(folder));
}

static void assert_goes_on(const disk_plan *p)
{
    int status = train((disk_plan){.fault = DISK_SOUND}, RESUMED);

    if (status != 0)
        fail_msg("call %d: the run does not go on: status %d", p->at, status);
    assert_undisturbed(p);
}

/* ---- the claims ---- */

/* At every stride-th call from the first on: what the run leaves is whole, and no older than
 * what was whole before the call; it goes on to the right end. */
static void die_at(disk_fault fault, uint64_t seed, int first, int stride)
{
    int64_t before = -1;

    for (int at = first; at <= calls; at += stride) {
        disk_plan p = {.fault = fault, .at = at, .seed = seed};
        remove_all(RUN);
        assert_int_equal(train(p, LAST), DISK_DIED);
        int64_t there = newest_whole(&p);
        if (there < before)
            fail_msg("call %d: checkpoint %lld is gone, %lld is there", at, (long long)before,
                     (long long)there);
        before = there;
        assert_goes_on(&p);
    }
    assert_true(before >= LAST - 2);
}

/* A call that fails, and those behind it, how_many in all: training goes on with a warning,
 * unless it was the last checkpoint. */
static void fail_at(int error, int how_many, int first, int stride)
{
    for (int at = first; at <= calls; at += stride) {
        disk_plan p = {.fault = DISK_FAILS, .at = at, .calls = how_many, .error = error};
        remove_all(RUN);
        int  status = train(p, LAST);
        bool last   = newest_whole(&p) == LAST;
        if (status != 0 && status != 5)
            fail_msg("call %d, %s: status %d", at, strerror(error), status);
        if (status == 0 ? !last : !was_said(strerror(error)))
            fail_msg("call %d, %s: status %d, and the last checkpoint is%s there", at,
                     strerror(error), status, last ? "" : " not");
        assert_goes_on(&p);
    }
}

/* ---- the room ---- */

/* From now on checkpoints are written like this; how many calls that takes. */
static void set_rhythm(cut_rhythm wanted)
{
    rhythm = wanted;
    remove_all(RUN);
    assert_int_equal(train((disk_plan){0}, LAST), 0);
    calls = *counted;
    printf("%s, %s: %d calls\n", rhythm.full, rhythm.delta, calls);
    fflush(stdout); /* or children would say it again */
}

static int open_room(void **unused)
{
    char     *words[] = {"prepare",   "synthetic", "--out",     "data", "--users",        "30",
                         "--goods",   "60",        "--shops",   "4",    "--cates",        "4",
                         "--history", "3",         "--samples", "256",  "--test-samples", "32",
                         "--seed",    "3",         NULL};
    disk_plan none    = {0};

    (void)unused;
    counted =
        mmap(NULL, sizeof *counted, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    folder_make_in_memory(room);
    if (counted == MAP_FAILED || chdir(room) != 0 || mkdir("work", 0777) != 0)
        return -1;
    write_text("run.yaml", yaml);
    assert_int_equal(run_child(command_prepare, 20, words, &none), 0);
    set_rhythm(fulls);
    assert_true(calls > 60);
    assert_int_equal(train(none, RESUMED), 0);
    read_files(RESUMED, whole);
    return 0;
}

static int close_room(void **unused)
{
    (void)unused;
    remove_all(room);
    return 0;
}

#endif
