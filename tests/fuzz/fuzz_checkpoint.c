/* A small checkpoint and a delta upon it, which the fuzzer edits, are read by all that reads
 * checkpoints; so are the files of an export, by import. Sizes and checksums are made right
 * after the edits, so that what stands behind them is reached. The input is
 *
 *     u8 who reads   edits: u8 file   u8 how   u16 where   u8 n   n bytes
 *
 * Whoever refuses does it in one sentence, and who accepts agrees with the others: what verify
 * finds whole is restored, and what compact makes of it is whole. Seeds are named by whole
 * paths: the target works in a folder of its own. */
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/hash.h"
#include "common/log.h"
#include "common/manifest_chain.h"
#include "common/wire.h"
#include "launch/checkpoint_verify.h"
#include "launch/commands.h"
#include "ps/shard.h"
#include "tests/launch/small_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FULL  "run/checkpoints/step-000000000001"
#define DELTA "run/checkpoints/step-000000000002"
#define SHARD "/shard-0000-of-0001.safetensors"

/* A file as it was, and as an input has it. */
typedef struct edited {
    const char *path;
    char       *first, *now;
    size_t      first_size, size;
    bool        written; /* the file is not as it was */
} edited;

enum { FULL_MANIFEST, FULL_DENSE, FULL_SHARD, DELTA_MANIFEST, DELTA_DENSE, DELTA_SHARD };
enum { CHECKPOINT_FILES = 6, FILES = 12, ROOM = 4096 /* bytes that edits may add */ };

static bool manifests_edited, untouched; /* by the input, beyond sizes and checksums */

static edited files[FILES] = {
    {.path = FULL "/manifest.json"},
    {.path = FULL "/dense.safetensors"},
    {.path = FULL SHARD},
    {.path = DELTA "/manifest.json"},
    {.path = DELTA "/dense.safetensors"},
    {.path = DELTA SHARD},
    {.path = "sheets/table-goods.safetensors"},
    {.path = "sheets/table-user.safetensors"},
    {.path = "sheets/dense.safetensors"},
    {.path = "arrays/table-goods/weight.npy"},
    {.path = "arrays/table-goods/ids.npy"},
    {.path = "arrays/dense/output.bias.npy"},
};

/* ---- the world, made once ---- */

static void require(bool fact, const char *what)
{
    if (fact)
        return;
    fprintf(stderr, "fuzz_checkpoint: %s: %s\n", what, err_text());
    abort();
}

static char room[] = "/dev/shm/dips-fuzz-XXXXXX";

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static void remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void remove_room(void)
{
    remove_tree(room);
}

/* In a process of its own: a run leaves threads and signal handlers. */
static void run_apart(err_t (*run)(int, char **), int n, char **words)
{
    int   status;
    pid_t child = fork();

    if (child == 0) {
        err_t err = run(n, words);
        fflush(stdout);
        if (err != OK)
            fprintf(stderr, "%s\n", err_text());
        _exit(err == OK ? 0 : 1);
    }
    require(child > 0 && waitpid(child, &status, 0) == child && status == 0, words[0]);
}

static void read_file(edited *f)
{
    FILE       *in = fopen(f->path, "rb");
    struct stat st;

    require(in && fstat(fileno(in), &st) == 0, f->path);
    f->first_size = (size_t)st.st_size;
    f->first      = malloc(f->first_size);
    f->now        = malloc(f->first_size + ROOM);
    require(f->first && f->now && fread(f->first, 1, f->first_size, in) == f->first_size,
            f->path);
    fclose(in);
}

static void write_file(const char *path, const char *bytes, size_t size)
{
    FILE *out = fopen(path, "wb");

    require(out && fwrite(bytes, 1, size, out) == size && fclose(out) == 0, path);
}

static void make_world(void)
{
    char *prepare[] = {"prepare",   "synthetic", "--out",     "data", "--users",        "30",
                       "--goods",   "60",        "--shops",   "4",    "--cates",        "4",
                       "--history", "3",         "--samples", "96",   "--test-samples", "32",
                       "--seed",    "3",         NULL};
    char *train[]   = {"train", "run.yaml", "--run", "run", NULL};
    char *sheets[]  = {"checkpoint", "export", FULL, "sheets", NULL};
    char *arrays[]  = {"checkpoint", "export", "--format", "npy", FULL, "arrays", NULL};

    if (access("/dev/shm", W_OK) != 0)
        memcpy(room, "/tmp/./", 7);
    require(mkdtemp(room) && chdir(room) == 0, "a folder");
    atexit(remove_room);
    require(freopen("/dev/null", "w", stdout) != NULL, "/dev/null");
    log_threshold(LOG_ERROR);
    write_file("run.yaml", small_run, sizeof small_run - 1);
    run_apart(command_prepare, 20, prepare);
    run_apart(command_train, 4, train);
    run_apart(command_checkpoint, 4, sheets);
    run_apart(command_checkpoint, 6, arrays);
    for (int i = 0; i < FILES; i++)
        read_file(&files[i]);
}

/* ---- edits ---- */

/* Where the text of a file begins, and its bytes: all of a manifest, or a header. */
static size_t text_of(const edited *f, size_t *begin)
{
    uint64_t n = 0;

    *begin = 0;
    if (f->path[0] == 'a') /* .npy */
        return f->size < 128 ? f->size : 128;
    if (strstr(f->path, "manifest"))
        return f->size;
    if (f->size >= 8)
        memcpy(&n, f->now, 8);
    *begin = 8;
    return n < f->size - 8 ? (size_t)n : 0;
}

/* The header of a safetensors file has grown. */
static void tell_header(edited *f, size_t begin, int64_t by)
{
    uint64_t n;

    if (begin != 8)
        return;
    memcpy(&n, f->now, 8);
    n += (uint64_t)by;
    memcpy(f->now, &n, 8);
}

static void insert(edited *f, size_t at, const uint8_t *bytes, size_t n)
{
    if (f->size + n > f->first_size + ROOM)
        return;
    memmove(f->now + at + n, f->now + at, f->size - at);
    memcpy(f->now + at, bytes, n);
    f->size += n;
}

static void erase(edited *f, size_t at, size_t n)
{
    n = n < f->size - at ? n : f->size - at;
    memmove(f->now + at, f->now + at + n, f->size - at - n);
    f->size -= n;
}

/* Make the eight bytes at `at` a number of those that programs get wrong. */
static void put_number(edited *f, size_t at, uint8_t which)
{
    static const uint64_t numbers[] = {
        0,    1,    UINT64_MAX, (uint64_t)1 << 63, (uint64_t)1 << 32,
        4096, 4097, UINT32_MAX, 0x7ff8000000000000};
    uint64_t now;

    if (at + 8 > f->size)
        return;
    memcpy(&now, f->now + at, 8);
    now = which < 128 ? numbers[which % 9] : now + (uint64_t)(int64_t)(which - 192);
    memcpy(f->now + at, &now, 8);
}

static void edit(edited *f, uint8_t how, size_t where, const uint8_t *bytes, size_t n)
{
    size_t begin, text = text_of(f, &begin), rest = f->size - begin - text;

    if (f->size <= begin)
        return;
    size_t in_text = begin + (text ? where % text : 0);
    size_t in_rest = begin + text + (rest ? where * 8 % rest : 0);
    switch (how % 7) {
    case 0: /* other text of the same length */
        memcpy(f->now + in_text, bytes, n < f->size - in_text ? n : f->size - in_text);
        break;
    case 1:
        insert(f, in_text, bytes, n);
        tell_header(f, begin, (int64_t)n);
        break;
    case 2:
        n = n < text ? n % 16 : 0;
        erase(f, in_text, n);
        tell_header(f, begin, -(int64_t)n);
        break;
    case 3:
        memcpy(f->now + in_rest, bytes, n < f->size - in_rest ? n : f->size - in_rest);
        break;
    case 4:
        if (n)
            put_number(f, in_rest, bytes[0]);
        break;
    case 5:
        erase(f, where % f->size, f->size);
        break;
    default:
        insert(f, f->size, bytes, n);
    }
}

static uint64_t digest(const edited *f)
{
    return hash_bytes(f->now, f->size);
}

/* Say in the manifest what its files are now; what is no manifest any more stays as it is. */
static uint64_t seal(edited *m, const edited *dense, const edited *rows, uint64_t parent)
{
    json_t  *object = json_loadb(m->now, m->size, 0, NULL), *one;
    json_t  *list   = json_object_get(object, "files");
    size_t   i;
    uint64_t sum = 0;

    json_array_foreach (list, i, one) {
        const char   *name = json_string_value(json_object_get(one, "name"));
        const edited *f    = name && !strcmp(name, "dense.safetensors") ? dense : rows;
        if (!json_is_object(one))
            continue;
        json_object_set_new(one, "bytes", json_integer((json_int_t)f->size));
        json_object_set_new(one, "xxh3", json_sprintf("%016" PRIx64, digest(f)));
    }
    if (json_is_object(json_object_get(object, "parent")))
        json_object_set_new(json_object_get(object, "parent"), "xxh3",
                            json_sprintf("%016" PRIx64, parent));
    if (json_is_object(object)) {
        json_object_del(object, "xxh3");
        char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
        sum        = text ? hash_bytes(text, strlen(text)) : 0;
        free(text);
        json_object_set_new(object, "xxh3", json_sprintf("%016" PRIx64, sum));
        text = json_dumps(object, 0);
        if (text && strlen(text) <= m->first_size + ROOM)
            memcpy(m->now, text, m->size = strlen(text));
        free(text);
    }
    json_decref(object);
    return sum;
}

static void apply(const uint8_t *data, size_t size, int first, int n_files)
{
    for (int i = 0; i < FILES; i++)
        memcpy(files[i].now, files[i].first, files[i].size = files[i].first_size);
    manifests_edited = false;
    untouched        = size < 5;
    while (size >= 5) {
        size_t where = (size_t)data[2] | (size_t)data[3] << 8, n = data[4];
        n         = n < size - 5 ? n : size - 5;
        edited *f = &files[first + data[0] % n_files];
        manifests_edited |= strstr(f->path, "manifest") != NULL;
        edit(f, data[1], where, data + 5, n);
        data += 5 + n;
        size -= 5 + n;
    }
    uint64_t sum = seal(&files[FULL_MANIFEST], &files[FULL_DENSE], &files[FULL_SHARD], 0);
    seal(&files[DELTA_MANIFEST], &files[DELTA_DENSE], &files[DELTA_SHARD], sum);
    for (int i = 0; i < FILES; i++) {
        edited *f       = &files[i];
        bool    differs = f->size != f->first_size || memcmp(f->now, f->first, f->size) != 0;
        if (differs || f->written)
            write_file(f->path, f->now, f->size);
        f->written = differs;
    }
}

/* ---- readers ---- */

/* A refusal is one sentence; what is whole is not refused. */
static bool accepted(err_t err)
{
    if (err == OK)
        return true;
    if (!*err_text() || strchr(err_text(), '\n'))
        require(false, "no sentence");
    if (untouched)
        require(false, "refused, and nothing is wrong");
    return false;
}

/* What a shard answered. */
typedef struct answered {
    wire_kind kind;
    char      text[512]; /* of FAILED */
} answered;

static err_t keep_answer(void *self, uint64_t peer, net_message *m)
{
    answered   *a = self;
    wire_header h;
    wire_text   t;

    (void)peer;
    require(wire_open(&h, m) == OK, "an answer");
    a->kind = h.kind;
    if (h.kind == WIRE_FAILED && wire_decode_text(&t, m) == OK)
        snprintf(a->text, sizeof a->text, "%.*s", (int)t.bytes, t.text);
    net_message_clear(m);
    return OK;
}

/* A shard returns to the cut in folder. */
static answered restore(const char *folder, uint64_t step)
{
    static config *c;
    static schema *s;
    answered       a = {0};
    wire_header    h = {WIRE_BEGIN, 1, 0, step};
    wire_begin     b = {.workers    = 1,
                        .real_bytes = sizeof(real),
                        .path       = folder,
                        .path_bytes = (uint32_t)strlen(folder)};
    shard         *here;
    net_message    m;

    if (!c) {
        require(config_parse(&c, "run.yaml", small_run, sizeof small_run - 1, 0, NULL) == OK, "yaml");
        require(schema_new(&s, c) == OK, "schema");
    }
    shard_options o = {.config = c, .schema = s, .shards = 1, .send = keep_answer, .self = &a};
    require(shard_new(&here, &o) == OK, "a shard");
    require(wire_encode_begin(&m, &h, &b) == OK, "BEGIN");
    require(shard_handle(here, 1, &m) == OK, "a shard ends");
    shard_free(&here);
    return a;
}

/* Of counters verify looks at the shape alone: what they say is for the configuration. */
static void verify_and_restore(void)
{
    bool     whole = accepted(checkpoint_verify(DELTA, true, NULL));
    answered a     = restore(DELTA, 2);

    if (!whole || manifests_edited || a.kind == WIRE_DONE || strstr(a.text, "sketch") ||
        strstr(a.text, "days"))
        return;
    err_set(ERR_FORMAT, "%s", a.text);
    require(false, "found whole, and not restored");
}

static bool tool(int n, char **words)
{
    return accepted(command_checkpoint(n, words));
}

static void look(void)
{
    char *list[]    = {"checkpoint", "list", "run", NULL};
    char *inspect[] = {"checkpoint", "inspect", DELTA, NULL};
    char *json[]    = {"checkpoint", "inspect", "--json", FULL, NULL};

    tool(3, list);
    tool(3, inspect);
    tool(4, json);
}

static void differ(void)
{
    char *words[] = {"checkpoint", "diff", FULL, DELTA, NULL};

    untouched = false; /* they differ */
    tool(4, words);
}

static void compact(void)
{
    char *words[] = {"checkpoint", "compact", DELTA, "out", NULL};

    if (tool(4, words) && !accepted(checkpoint_verify("out", true, NULL)))
        if (checkpoint_verify(DELTA, true, NULL) == OK)
            require(false, "compacted, and not whole");
    remove_tree("out");
}

static void reshard(void)
{
    char *words[] = {"checkpoint", "reshard", "--shards", "3", FULL, "out", NULL};

    tool(6, words);
    remove_tree("out");
}

static void export(void)
{
    static char *formats[] = {"safetensors", "npy"};

    for (int i = 0; i < 2; i++) {
        char *words[] = {"checkpoint", "export", "--format", formats[i], DELTA, "out", NULL};
        tool(6, words);
        remove_tree("out");
    }
}

static void recall(void)
{
    char *words[] = {"recall",    "--checkpoint",        FULL, "--table", "goods", "--k", "3",
                     "--vectors", "vectors.safetensors", NULL};

    if (access("vectors.safetensors", F_OK) != 0) {
        safetensors_writer *w;
        int                 tensor;
        const real          one[2] = {1, -1};
        require(safetensors_create(&w, "vectors.safetensors") == OK &&
                    safetensors_declare(w, "vector", DTYPE_REAL, 2, (uint64_t[]){1, 2},
                                        &tensor) == OK &&
                    safetensors_append(w, tensor, one, sizeof one) == OK &&
                    safetensors_finish(&w, NULL) == OK,
                "vectors");
    }
    accepted(command_recall(9, words));
}

static void import(char *from)
{
    char *words[] = {"checkpoint", "import", "--config", "run.yaml",
                     "--out",      "out",    from,       NULL};

    if (tool(7, words) && !accepted(checkpoint_verify("out", true, NULL)))
        require(false, "imported, and not whole");
    remove_tree("out");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool made;

    if (!made)
        make_world();
    made = true;
    if (size == 0)
        return 0;
    int who = data[0] % 9;
    apply(data + 1, size - 1, who < 7 ? 0 : who == 7 ? 6 : 9, who < 7 ? 6 : 3);
    switch (who) {
    case 0:
        verify_and_restore();
        break;
    case 1:
        look();
        break;
    case 2:
        differ();
        break;
    case 3:
        compact();
        break;
    case 4:
        reshard();
        break;
    case 5:
        export();
        break;
    case 6:
        recall();
        break;
    default:
        import(who == 7 ? "sheets" : "arrays");
    }
    return 0;
}
