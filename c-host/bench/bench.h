/*
 * engine-bench: what its files know of each other.
 *
 * The parent parses options, forks one process per engine, sends them jobs one after the other (so
 * that engines run interleaved and never at the same time), collects the results and prints tables.
 * Only the children load engines. A file uses files of lower rank only; tests/tidy has the ranks.
 */
#ifndef CH_BENCH_BENCH_H
#define CH_BENCH_BENCH_H

#include <memcached/engine.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"
#include "host.h"

enum {
    ENGINES_MAX = 12, /* the two baselines among them */
    THREADS_MAX = 64,
    PHASES = 7,
    THREAD_LISTS_MAX = 8,
    CURSORS_MAX = 64,
    CFG_ROOM = 1024
};

enum phase {
    PHASE_LOAD,
    PHASE_GET,
    PHASE_SET,
    PHASE_MIXED,
    PHASE_FLUSH,
    PHASE_RESTART,
    PHASE_REVERT
};

/* Two contenders are no engines: see baseline.c. */
enum contender_kind { CONTENDER_ENGINE, CONTENDER_HARNESS, CONTENDER_FLOOR };

struct contender {
    enum contender_kind kind;
    const char *path; /* of an engine */
    const char *cfg; /* may be NULL; @DIR@ stands for a fresh directory */
    const char *name;
    bool memcached_layout;
};

struct settings {
    struct contender engines[ENGINES_MAX];
    size_t engine_count;
    bool phases[PHASES];
    unsigned threads[THREAD_LISTS_MAX];
    size_t thread_count;
    size_t keys;
    size_t key_size;
    size_t value_size;
    size_t revert_keys;
    size_t vbuckets; /* keys are spread over them */
    size_t cursors;  /* TAP streams that read along */
    unsigned rounds;
    unsigned get_percent; /* of the mixed phase */
    double seconds;       /* a round, unless ops is given */
    uint64_t ops;         /* of each thread in a round; 0: by time */
    const char *json;     /* a file, or NULL */
};

struct bench_key {
    const char *text;
    size_t size;
    uint16_t vbucket;
};

/* From the parent to a child. */
struct job {
    enum phase phase;
    unsigned threads;
};

/* Numbers that are not latencies; negative means "does not apply". */
enum figure {
    FIG_SETS_PER_SECOND,
    FIG_TOTAL_PER_SECOND,
    FIG_DRAIN_SECONDS,
    FIG_RSS_PER_ITEM,
    FIG_DIRTY_PER_ITEM,
    FIG_MEM_USED_PER_ITEM,
    FIG_ITEMS,
    FIG_STOP_SECONDS,
    FIG_START_SECONDS,
    FIG_WARMUP_PER_SECOND,
    FIG_START_COMMAND_MS,
    FIG_REVERT_MS,
    FIG_READ_BACK_PER_SECOND,
    FIG_WRONG_VALUES,
    FIG_REVERT_SET_MAX_MS,
    FIG_COMPLETE_MS,
    FIG_COMPLETE_GET_MAX_MS,
    FIG_COMPLETE_SET_MAX_MS,
    FIG_COMPLETE_WRONG,
    FIG_REFUSED,
    FIGURES
};

/* From a child to the parent. */
struct result {
    bool failed;
    uint64_t ops;
    double seconds;
    double figures[FIGURES];
    struct histogram latency;
    struct histogram gets; /* of the mixed and revert phases */
};

/* ---- client.c: a host with one engine ---- */

struct connection;
struct bench_engine;

struct bench_engine *engine_open(const struct settings *settings,
                                 const struct contender *contender, const char *cfg);
bool engine_start(struct bench_engine *e); /* loads and initialises */
void engine_stop(struct bench_engine *e);  /* destroys; engine_start may follow */
void engine_close(struct bench_engine *e);
bool engine_is_baseline(const struct bench_engine *e);

struct connection *connection_new(void);
void connection_free(struct connection *c);

uint64_t clock_ns(void);
/* False on a miss or error. `expect` is the first byte the value should have, or -1. */
bool engine_get(struct bench_engine *e, struct connection *c, const struct bench_key *key,
                int expect, bool *wrong);
/* Repeats while the engine says "later". Counts those in *refused. */
bool engine_set(struct bench_engine *e, struct connection *c, const struct bench_key *key,
                const char *value, size_t length, uint64_t *refused);
bool engine_remove(struct bench_engine *e, struct connection *c, const struct bench_key *key);
/* Status of the reply, or -1. */
int engine_command(struct bench_engine *e, struct connection *c, uint8_t opcode);
/* False if there is no such statistic. */
bool engine_stat(struct bench_engine *e, struct connection *c, const char *name, double *out);
/* Waits until the engine has written everything, as far as it tells. */
bool engine_drain(struct bench_engine *e, struct connection *c);

/* ---- baseline.c: what engines are measured against ---- */

struct baseline;

struct baseline *baseline_new(bool is_floor, size_t keys);
void baseline_free(struct baseline *b);
bool baseline_get(struct baseline *b, const struct bench_key *key, int expect, bool *wrong);
bool baseline_set(struct baseline *b, const struct bench_key *key, const char *value,
                  size_t length);

/* ---- cursors.c ---- */

struct cursors;

/* Each stream is of a connection of its own. */
struct cursors *cursors_open(ENGINE_HANDLE *h, ENGINE_HANDLE_V1 *v1, size_t count,
                             struct connection *(*connect)(void));
void cursors_close(struct cursors *s);

/* ---- memory.c ---- */

struct memory {
    double resident;
    double private_dirty;
};
struct memory memory_now(void);

/* ---- workload.c, revert.c: phases in a child ---- */

struct workload;

struct workload *workload_new(const struct settings *settings, struct bench_engine *engine);
void workload_free(struct workload *w);
/* Any phase but the revert. */
void workload_run(struct workload *w, const struct job *job, struct result *result);

/* What revert.c needs of a workload. */
const struct settings *workload_settings(const struct workload *w);
struct bench_engine *workload_engine(const struct workload *w);
/*
 * The key at a place of the random order; places beyond the number of keys are keys never loaded.
 */
struct bench_key workload_key(const struct workload *w, size_t place);
/* A value whose first byte is its version. */
const char *workload_value(struct workload *w, unsigned version);
unsigned workload_version(const struct workload *w);
void workload_revert(struct workload *w, struct result *result);

/* ---- report.c ---- */

void report_phase(const struct settings *settings, enum phase phase,
                  const struct result results[ENGINES_MAX][THREAD_LISTS_MAX]);
const char *phase_name(enum phase phase);
const char *figure_name(enum figure figure);

/* ---- json.c: the same for programs ---- */

/* False after saying why. */
bool json_begin(const struct settings *settings);
void json_phase(const struct settings *settings, enum phase phase,
                const struct result results[ENGINES_MAX][THREAD_LISTS_MAX]);
bool json_end(const struct settings *settings);

#endif
