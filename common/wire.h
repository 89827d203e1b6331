/* wire - every message that leaves a process, drawn and checked.
 *
 * All numbers are little-endian and of fixed width; every array starts at a multiple
 * of 8 bytes; bytes drawn as 0 and padding are zero. A message is one header and one
 * body, and nothing follows the body:
 *
 *   0  u32  magic "dips"                      24  u64  bytes of the body
 *   4  u16  version of this page             32  u64  XXH3 of the body
 *   6  u16  kind                             40  u64  XXH3 of bytes 0 .. 39
 *   8  u32  generation                       48  ...  body
 *  12  u32  sender: worker's rank, or shard
 *  16  u64  step
 *
 * An answer (DONE, ROWS, SAVED, STATED, FAILED) bears the generation and the step of its
 * request: that is how it is matched.
 *
 * BEGIN   worker 0 -> shard   a run starts or returns to a cut: drop everything and hold
 *                             the state of that cut; later messages carry the generation
 *   0  u32  workers                8  u32  bytes of path   12  u32  0
 *   4  u32  bytes per real        16  path of the checkpoint's folder, or nothing
 *                             header.step: the clock of that cut
 * DONE    shard -> worker     BEGIN, BIRTH were carried out; SAVE has begun: steps may go on
 *   0  u64  kind of the request    8  u64  rows held by the shard now
 *
 * PULL    worker -> shard     rows for header.step, from the state at version
 * READ    worker -> shard     the same without a ticket; header.step is the asker's number
 * BIRTH   worker -> shard     make rows of these ids; version: the clock it must be;
 *                             header.step is the asker's number
 *   0  u64  version                8  u32  tables T   12  u32  0
 *  16  T x { u32 n;  u32 1 if counts follow }
 *   .  T x { u64 id[n];  u32 count[n] where they follow, padded to 8 }
 *      id: distinct in a PULL; of one that is there more than once the first gradient counts
 *      count: in how many samples of the worker's part of the step the id occurs
 * ROWS    shard -> worker     the answer to PULL and READ: rows in the order of the ids
 *                             (async: version is the clock, which is what PULL named or later)
 *   0  u64  version                8  u32  tables T   12  u32  kind of the request
 *  16  T x { u32 n;  u16 dim;  u8 type: 0 real, 1 bf16;  u8 0 }
 *   .  T x { type row[n][dim], padded to 8 }
 *      bf16: the upper half of a float (common/bf16.h)
 * PUSH    worker -> shard     gradients for header.step, in the order of its PULL
 *   0  u64  pulled_until: the worker has sent its PULLs of all steps below
 *   8  f64  samples of the worker's part (the sum of their weights): finite, not negative
 *  16  i64  the latest time of these samples in seconds; WIRE_NO_TIME: they have none
 *  24  u32  finite: 1, or 0 if any gradient of the worker's part is not
 *  28  u32  tables T              32  T x { u32 n;  u16 dim;  u8 type;  u8 0 }
 *   .  T x { type gradient[n][dim], padded to 8 }       sums over samples
 *
 * SAVED   shard -> worker     SAVE was carried out, after its DONE: the file is on the disk
 *   0  u64  bytes of the file      8  u64  XXH3 of the file    16  u64  rows in it
 * STATS   worker -> shard     (empty body) header.step is the asker's number
 * STATED  shard -> worker
 *   0  u64  rows   8  u64  bytes of memory for them and for the counters of admission
 *  16  u64  messages dropped
 *                             and since the shard's BEGIN:
 *  24  u64  gradients refused   32  u64  ids admitted   40  u64  rows evicted
 *
 * HELLO   process -> coordinator   I am here
 *   0  u16  role (wire_role)       8  u32  pid
 *   2  u16  bytes of host         12  u16  endpoints E   14  u16  0
 *   4  u32  index                 16  E x { char endpoint[256], filled up with zeros }
 *                                  .  host
 * WELCOME coordinator -> process   all servers are here: the run can start
 *   0  u32  endpoints E   4  u32  0       8  E x { char endpoint[256] }   in order of shards
 * BEAT    both ways           I live; header.step changes while those threads live that work:
 *                             the computing one of a worker, all shards' of a server
 *
 * SAVE    worker 0 -> shard         write shard-K-of-N.safetensors of the cut header.step, while
 *                                   later steps go on; text: path of the checkpoint's folder;
 *                                   status: 0, or of a delta 1 + the step of its parent
 * FAILED  shard -> worker           a request could not be carried out; status: err_t
 * BYE     process -> coordinator    I end; status: exit status
 * END     coordinator -> process    end now; status: exit status
 *   0  u32  status                 8  u32  bytes of text   12  u32  0
 *   4  u32  kind of the request   16  text
 *           (FAILED; else 0)
 */
#ifndef DIPS_COMMON_WIRE_H
#define DIPS_COMMON_WIRE_H

#include "common/config.h"
#include "common/net.h"
#include "common/real.h"

#define WIRE_VERSION       3
#define WIRE_HEADER_BYTES  48
#define WIRE_MAX_TABLES    256
#define WIRE_MAX_DIM       UINT16_MAX
#define WIRE_MAX_TEXT      4096 /* bytes of a path, a host or a sentence */
#define WIRE_MAX_ENDPOINTS 4096
#define WIRE_MAX_BODY      (UINT64_C(1) << 32)
#define WIRE_NO_TIME       INT64_MIN

/* Steps from a shard's clock on for which it keeps a worker's pulls. With the rows of step t,
 * which are of version t - s or later, a worker pulls up to step t + s; at a drain point,
 * where step t is pushed, up to t + 1 + s. */
#define WIRE_TICKETS (2 * CONFIG_STALENESS_MAX + 2)

#define WIRE_KINDS(X)                                                                          \
    X(BEGIN) X(DONE) X(PULL) X(READ) X(BIRTH) X(ROWS) X(PUSH) X(SAVED) X(STATS) X(STATED)      \
    X(HELLO) X(WELCOME) X(BEAT) X(SAVE) X(FAILED) X(BYE) X(END)

typedef enum {
    WIRE_NONE,
#define X(name) WIRE_##name,
    WIRE_KINDS(X)
#undef X
    WIRE_KIND_COUNT
} wire_kind;

typedef enum { WIRE_SERVER = 1, WIRE_WORKER = 2 } wire_role;

/* "PULL" */
const char *wire_kind_name(wire_kind kind);

typedef struct wire_header {
    wire_kind kind;
    uint32_t  generation;
    uint32_t  sender;
    uint64_t  step;
} wire_header;

/* Ids of one table, or rows of one table. Pointers of a decoded message lead into it
 * and are lent as long as it lives. */
typedef struct wire_ids {
    uint32_t        n;
    const uint64_t *ids;
    const uint32_t *counts; /* NULL: none */
} wire_ids;

typedef struct wire_values {
    uint32_t       n, dim;
    real          *values; /* (n, dim)  PRECISION_FP32; else NULL */
    precision_kind type;
    uint16_t      *halves; /* (n, dim)  PRECISION_BF16; else NULL */
} wire_values;

typedef struct wire_request { /* PULL, READ, BIRTH */
    uint64_t version;
    int      tables;
    wire_ids table[WIRE_MAX_TABLES];
} wire_request;

typedef struct wire_rows { /* ROWS */
    uint64_t    version;
    wire_kind   request;
    int         tables;
    wire_values table[WIRE_MAX_TABLES];
} wire_rows;

typedef struct wire_push { /* PUSH */
    uint64_t    pulled_until;
    double      samples;
    int64_t     time;
    bool        finite;
    int         tables;
    wire_values table[WIRE_MAX_TABLES];
} wire_push;

/* ---- decoding: ERR_MESSAGE says what is wrong; nothing is read beyond m ---- */

/* Check size, magic, version, kind, and both checksums, and that the body is of the
 * header's length. */
MUST_CHECK err_t wire_open(wire_header *h, const net_message *m);

/* The body of an opened message of the kind that the name says. Sizes are checked
 * against the bytes that are there; what the numbers mean is the caller's to check. */
MUST_CHECK err_t wire_decode_request(wire_request *r, const net_message *m);
MUST_CHECK err_t wire_decode_rows(wire_rows *r, const net_message *m);
MUST_CHECK err_t wire_decode_push(wire_push *p, const net_message *m);

typedef struct wire_begin {
    uint32_t    workers, real_bytes;
    const char *path; /* not ended by zero: path_bytes */
    uint32_t    path_bytes;
} wire_begin;
MUST_CHECK err_t wire_decode_begin(wire_begin *b, const net_message *m);

typedef struct wire_done {
    wire_kind request;
    uint64_t  rows;
} wire_done;
MUST_CHECK err_t wire_decode_done(wire_done *d, const net_message *m);

typedef struct wire_text { /* SAVE, FAILED, BYE, END */
    uint32_t    status;
    wire_kind   request; /* FAILED; else WIRE_NONE */
    const char *text; /* not ended by zero: bytes */
    uint32_t    bytes;
} wire_text;
MUST_CHECK err_t wire_decode_text(wire_text *t, const net_message *m);

typedef struct wire_saved {
    uint64_t bytes, xxh3, rows;
} wire_saved;
MUST_CHECK err_t wire_decode_saved(wire_saved *s, const net_message *m);

typedef struct wire_stated {
    uint64_t rows, bytes, dropped;
    uint64_t refused, admitted, evicted;
} wire_stated;
MUST_CHECK err_t wire_decode_stated(wire_stated *s, const net_message *m);

typedef struct wire_hello {
    wire_role   role;
    uint32_t    index, pid;
    const char *host; /* not ended by zero: host_bytes */
    uint32_t    host_bytes;
    uint32_t    n_endpoints;
    const char (*endpoints)[NET_ENDPOINT_MAX]; /* each ended by zero */
} wire_hello;
MUST_CHECK err_t wire_decode_hello(wire_hello *h, const net_message *m);

typedef struct wire_welcome {
    uint32_t n_endpoints;
    const char (*endpoints)[NET_ENDPOINT_MAX];
} wire_welcome;
MUST_CHECK err_t wire_decode_welcome(wire_welcome *w, const net_message *m);

MUST_CHECK err_t wire_decode_empty(const net_message *m); /* STATS, BEAT */

/* ---- encoding: m is returned, complete and ready to send ----
 *
 * h->kind is one that the function's name stands for. ERR_MESSAGE where something is
 * beyond a limit of this page. */

MUST_CHECK err_t wire_encode_request(net_message *m, const wire_header *h,
                                     const wire_request *r);

/* ROWS and PUSH are made in two moves, so that values are written where they travel:
 * prepare allocates m and points every table's values (n, dim and type given) into it; the
 * caller writes them; wire_seal adds the checksums. What a push tells besides its tables
 * may still be changed before that. */
MUST_CHECK err_t wire_prepare_rows(net_message *m, const wire_header *h, wire_rows *r);
MUST_CHECK err_t wire_prepare_push(net_message *m, const wire_header *h, wire_push *p);
void             wire_change_push(net_message *m, const wire_push *p);
void             wire_seal(net_message *m);

/* The same checksum made while a large body is written from front to back, each piece while
 * it is still in the cache: begin after prepare, until (all bytes in front of `end` are as
 * they will be) as often as one likes, then seal. */
typedef struct wire_sum {
    struct hash_stream  *stream; /* NULL, for want of memory: seal sums up all */
    const unsigned char *end;
} wire_sum;
wire_sum wire_sum_begin(const net_message *m);
void     wire_sum_until(wire_sum *s, const void *end);
void     wire_sum_seal(wire_sum *s, net_message *m);

MUST_CHECK err_t wire_encode_begin(net_message *m, const wire_header *h, const wire_begin *b);
MUST_CHECK err_t wire_encode_done(net_message *m, const wire_header *h, const wire_done *d);
MUST_CHECK err_t wire_encode_text(net_message *m, const wire_header *h, const wire_text *t);
MUST_CHECK err_t wire_encode_saved(net_message *m, const wire_header *h, const wire_saved *s);
MUST_CHECK err_t wire_encode_stated(net_message *m, const wire_header *h, const wire_stated *s);
MUST_CHECK err_t wire_encode_hello(net_message *m, const wire_header *h,
                                   const wire_hello *hello);
MUST_CHECK err_t wire_encode_welcome(net_message *m, const wire_header *h,
                                     const wire_welcome *w);
MUST_CHECK err_t wire_encode_empty(net_message *m, const wire_header *h); /* STATS, BEAT */

#endif
