/*
 * engine-openloop: what clients of a running server feel while an operator works.
 *
 * One thread sends requests at a fixed rate over several connections, whether or not earlier ones
 * were answered, and measures each from the moment when it was due: a server that stands still for
 * 10 ms delays every request of those 10 ms, and all of them count. The main thread is the operator
 * and takes one step of a plan after the other on a connection of its own.
 *
 * main.c reads the options and the plan; operator.c takes the steps; bulk.c are pipelined requests
 * of the operator; wire.c is the binary protocol; loop.c is the open loop; samples.c keeps what it
 * measured and sums it up; table.c and json.c print; common.c serves all. A file uses files of
 * lower rank only; tests/tidy has the ranks.
 */
#ifndef CH_BENCH_OPENLOOP_H
#define CH_BENCH_OPENLOOP_H

#include <memcached/protocol_binary.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    HEADER_BYTES = sizeof(protocol_binary_request_header),
    KEY_BYTES = 16,         /* "key-" and twelve digits */
    VALUE_HEAD_BYTES = 13,  /* the digits, and the letter of who wrote it */
    SET_EXTRAS_BYTES = 8,
    GET_EXTRAS_BYTES = 4,
    CONNECTIONS_MAX = 256,
    STEPS_MAX = 64,
    NAME_ROOM = 32
};

/* Letters of values: who wrote them. A window's letter is this and its number. */
enum { LETTER_LOOP = 'o', LETTER_LOADED = 'a' };

struct options {
    const char *host;
    const char *port;
    double rate;        /* requests a second */
    unsigned gets;      /* per cent of them; the rest are sets */
    size_t keys;
    size_t window;      /* keys that a window changes */
    size_t value_size;
    unsigned connections;
    double around;      /* seconds before and after a command that are compared with it */
    double interval_ms; /* of the series */
    bool spin;          /* the loop never sleeps */
    bool realtime;      /* the loop goes before all other threads */
    const char *json;
    const char *samples;
};

/* ---- common.c ---- */

/* Ends the process with a line that says why. */
void fatal(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void *must_allocate(size_t size);
uint64_t clock_ns(void);

/* ---- wire.c ---- */

/* A connected socket without delay. */
int wire_connect(const struct options *o);
/* The bytes of a request; returns how many. Room: wire_request_room. */
size_t wire_get(unsigned char *to, uint8_t opcode, uint64_t number, uint32_t opaque);
size_t wire_set(unsigned char *to, uint8_t opcode, uint64_t number, char letter, size_t value_size,
                uint32_t opaque);
size_t wire_bare(unsigned char *to, uint8_t opcode, uint32_t opaque);
size_t wire_delete(unsigned char *to, uint8_t opcode, uint64_t number, uint32_t opaque);
size_t wire_request_room(size_t value_size);

struct answer {
    uint8_t opcode;
    uint16_t status;
    uint32_t opaque;
    const unsigned char *key;
    size_t key_size;
    const unsigned char *value;
    size_t value_size;
};
/* Reads an answer at the front of some bytes; returns its size, or 0 if it is not whole. */
size_t wire_parse(const unsigned char *bytes, size_t size, struct answer *answer);
/* Whether a value is the one of a key, and of another writer than `forbidden`. */
bool wire_is_value(const struct answer *answer, uint64_t number, size_t value_size, char forbidden);

/* ---- samples.c ---- */

enum outcome {
    OUTCOME_GOOD,
    OUTCOME_MISS,    /* a get of a key that is not there */
    OUTCOME_REFUSED, /* for now: busy, or out of memory */
    OUTCOME_FAILED,  /* any other status */
    OUTCOME_WRONG,   /* another key's value, or one that was taken back */
    OUTCOME_LOST,    /* no answer before the end */
    OUTCOMES
};

struct sample {
    uint64_t due;
    uint64_t latency; /* from due to the answer */
    uint64_t late;    /* from due to the sending: the client's own part in it */
    uint8_t outcome;
    bool is_set;
};

struct samples;
struct samples *samples_new(void);
void samples_free(struct samples *s);
void samples_add(struct samples *s, const struct sample *sample);
size_t samples_count(const struct samples *s);
const struct sample *samples_at(const struct samples *s, size_t index);

enum { SHARES = 3 };
struct summary {
    size_t count;
    uint64_t at[SHARES]; /* p50, p99, p99.9: nearest rank, exact */
    uint64_t max;
    uint64_t late;       /* p99 of how late the client was itself */
    size_t outcomes[OUTCOMES];
};

enum which { WHICH_GETS, WHICH_SETS, WHICH_ALL };
/* Of what was due in a span; with `overlapping` of what was under way in it. */
struct summary samples_summary(const struct samples *s, enum which which, uint64_t from,
                               uint64_t to, bool overlapping);

/* ---- operator.c: the plan ---- */

enum step_kind {
    STEP_LOAD,
    STEP_READ,
    STEP_DRAIN,
    STEP_BEGIN,
    STEP_END,
    STEP_WAIT,
    STEP_TOUCH,
    STEP_SHRINK,
    STEP_START,
    STEP_COMPLETE,
    STEP_REVERT,
    STEP_FLUSH,
    STEP_ASK,
    STEP_KINDS
};

struct step {
    enum step_kind kind;
    double seconds;       /* of a wait */
    char name[NAME_ROOM]; /* for people; of an ask: what is asked for */
    /* results */
    bool skipped; /* makes no sense here: the engine has no online update */
    uint64_t begin;
    uint64_t end;
    size_t count;   /* requests of a bulk step */
    size_t refused; /* of them, and repeated */
    int status;     /* of a command */
};

struct plan {
    struct step steps[STEPS_MAX];
    size_t count;
};

/* False if there is no such step. */
bool plan_add(struct plan *plan, const char *text);
/* Whether a step is one that clients may feel, and that gets rows of its own. */
bool step_is_command(const struct step *step);
struct samples *plan_run(struct plan *plan, const struct options *o);

/* The spans to compare: before, during, the first second after, and later. */
enum part { PART_BEFORE, PART_DURING, PART_AFTER, PART_LATER, PARTS };
struct span {
    uint64_t from;
    uint64_t to;
};
struct span plan_span(const struct plan *plan, size_t step, enum part part,
                      const struct options *o);
const char *part_name(enum part part);

/* ---- bulk.c ---- */

struct bulk;
struct bulk *bulk_new(const struct options *o);
void bulk_free(struct bulk *b);
/* Pipelined quiet requests for keys of numbers from..to; a refused set is repeated. */
void bulk_sets(struct bulk *b, size_t from, size_t to, char letter, struct step *step);
void bulk_gets(struct bulk *b, struct step *step);
void bulk_deletes(struct bulk *b, size_t from, size_t to, struct step *step);
/* Status of the answer, or -1 if the server closed the connection, which is made again. */
int bulk_command(struct bulk *b, uint8_t opcode);
/* Whether there is nothing left to write, as far as the engine tells. */
bool bulk_is_drained(struct bulk *b);

/* ---- loop.c ---- */

struct loop;
struct loop *loop_begin(const struct options *o, struct samples *samples);
/* From now on a get must not see a value with that letter. */
void loop_forbid(struct loop *loop, char letter);
void loop_end(struct loop *loop);

/* ---- table.c, json.c ---- */

void table_print(const struct plan *plan, const struct samples *s, const struct options *o);
void json_write(FILE *to, const struct plan *plan, const struct samples *s,
                const struct options *o);
void samples_write(FILE *to, const struct samples *s);

#endif
