/* The phases of a benchmark, as they run in an engine's own process. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

enum {
    CHECK_CLOCK_EVERY = 64,
    KEY_SIZE_MAX = 250,
    SETTLE_SECONDS_MAX = 30,
    STEADY_SECONDS = 3
};

struct workload {
    const struct settings *settings;
    struct bench_engine *engine;
    struct connection *control;
    char *keys;
    uint32_t *order; /* a random permutation of the loaded keys, then the spare ones */
    char *value;
    size_t key_total;
    unsigned version;
    uint64_t turn; /* so that rounds start at different places */
};

/* One thread of a round. */
struct runner {
    struct workload *w;
    pthread_t thread;
    pthread_barrier_t *barrier;
    struct connection *connection;
    unsigned get_percent;
    size_t from; /* place in the order */
    uint64_t ops_max;
    uint64_t deadline_after; /* nanoseconds; 0: by ops */
    bool each_key_once;
    /* results */
    uint64_t ops;
    uint64_t began;
    uint64_t ended;
    uint64_t refused;
    bool failed;
    struct histogram latency;
    struct histogram gets;
};

static void *must_allocate(size_t size) {
    void *memory = calloc(1, size == 0 ? 1 : size);
    if (memory == NULL) {
        (void)fprintf(stderr, "engine-bench: out of memory\n");
        exit(EXIT_FAILURE);
    }
    return memory;
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void shuffle(uint32_t *order, size_t from, size_t to, uint64_t seed) {
    for (size_t i = to - from; i > 1; i--) {
        const size_t other = (size_t)(next_random(&seed) % i);
        const uint32_t kept = order[from + i - 1];
        order[from + i - 1] = order[from + other];
        order[from + other] = kept;
    }
}

struct workload *workload_new(const struct settings *settings, struct bench_engine *engine) {
    struct workload *w = must_allocate(sizeof *w);
    const size_t size = settings->key_size;
    w->settings = settings;
    w->engine = engine;
    w->control = connection_new();
    w->key_total = settings->keys + settings->revert_keys;
    w->keys = must_allocate(w->key_total * size + 1);
    w->order = must_allocate(w->key_total * sizeof *w->order);
    w->value = must_allocate(settings->value_size + 1);
    memset(w->value, 'v', settings->value_size);
    for (size_t i = 0; i < w->key_total; i++) {
        char digits[32];
        (void)snprintf(digits, sizeof digits, "%012zu", i);
        char *key = w->keys + i * size;
        memset(key, 'k', size);
        memcpy(key + (size > 12 ? size - 12 : 0), digits + (size < 12 ? 12 - size : 0),
               size < 12 ? size : 12);
        w->order[i] = (uint32_t)i;
    }
    shuffle(w->order, 0, settings->keys, 0x9e3779b97f4a7c15ULL);
    shuffle(w->order, settings->keys, w->key_total, 0xbf58476d1ce4e5b9ULL);
    return w;
}

void workload_free(struct workload *w) {
    connection_free(w->control);
    free(w->keys);
    free(w->order);
    free(w->value);
    free(w);
}

const struct settings *workload_settings(const struct workload *w) {
    return w->settings;
}

struct bench_engine *workload_engine(const struct workload *w) {
    return w->engine;
}

struct bench_key workload_key(const struct workload *w, size_t place) {
    const size_t number = w->order[place % w->key_total];
    return (struct bench_key){.text = w->keys + number * w->settings->key_size,
                              .size = w->settings->key_size,
                              .vbucket = (uint16_t)(number % w->settings->vbuckets)};
}

const char *workload_value(struct workload *w, unsigned version) {
    w->version = version;
    w->value[0] = (char)version;
    return w->value;
}

unsigned workload_version(const struct workload *w) {
    return w->version;
}

/* ---- rounds ---- */

static bool one_op(struct runner *r, size_t place, bool gets) {
    struct workload *w = r->w;
    const struct settings *s = w->settings;
    /* A host has the key in its read buffer: the miss on the benchmark's own key is not timed. */
    char text[KEY_SIZE_MAX];
    struct bench_key key = workload_key(w, place);
    memcpy(text, key.text, s->key_size);
    key.text = text;
    const uint64_t start = clock_ns();
    bool good;
    if (gets) {
        bool wrong = false;
        good = engine_get(w->engine, r->connection, &key, -1, &wrong);
        histogram_add(&r->gets, clock_ns() - start);
    } else {
        good = engine_set(w->engine, r->connection, &key, w->value, s->value_size, &r->refused);
        histogram_add(&r->latency, clock_ns() - start);
    }
    return good;
}

static void *run(void *argument) {
    struct runner *r = argument;
    const size_t keys = r->w->settings->keys;
    uint64_t seed = 0x94d049bb133111ebULL + r->from;
    size_t place = r->from;
    (void)pthread_barrier_wait(r->barrier);
    r->began = clock_ns();
    const uint64_t deadline = r->began + r->deadline_after;
    while (!r->failed && r->ops < r->ops_max) {
        const bool gets = r->get_percent == 100 ||
                          (r->get_percent != 0 && next_random(&seed) % 100 < r->get_percent);
        r->failed = !one_op(r, place, gets) && !gets;
        r->ops++;
        place = place + 1 < keys || r->each_key_once ? place + 1 : 0;
        if (r->deadline_after != 0 && r->ops % CHECK_CLOCK_EVERY == 0 && clock_ns() > deadline) {
            break;
        }
    }
    r->ended = clock_ns();
    return NULL;
}

static void gather(const struct runner *runners, unsigned count, struct result *result) {
    uint64_t began = UINT64_MAX;
    uint64_t ended = 0;
    double refused = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct runner *r = &runners[i];
        began = r->began < began ? r->began : began;
        ended = r->ended > ended ? r->ended : ended;
        refused += (double)r->refused;
        result->ops += r->ops;
        result->failed = result->failed || r->failed;
        histogram_merge(&result->latency, &r->latency);
        histogram_merge(&result->gets, &r->gets);
    }
    result->seconds += (double)(ended - began) / 1e9;
    result->figures[FIG_REFUSED] = refused > 0 ? refused : -1;
}

/* Runs the threads of one round. With `once`, each key is written once, by one of them. */
static void run_threads(struct workload *w, unsigned count, unsigned get_percent, bool once,
                        struct result *result) {
    const struct settings *s = w->settings;
    struct runner *runners = must_allocate(count * sizeof *runners);
    pthread_barrier_t barrier;
    (void)pthread_barrier_init(&barrier, NULL, count);
    w->turn++;
    for (unsigned i = 0; i < count; i++) {
        struct runner *r = &runners[i];
        const size_t share = s->keys / count;
        r->w = w;
        r->barrier = &barrier;
        r->connection = connection_new();
        r->get_percent = get_percent;
        r->each_key_once = once;
        r->from = once ? i * share : (i * share + w->turn * 7919U) % s->keys;
        r->ops_max = once ? (i + 1 == count ? s->keys - i * share : share)
                          : (s->ops != 0 ? s->ops : UINT64_MAX);
        r->deadline_after = once || s->ops != 0 ? 0 : (uint64_t)(s->seconds * 1e9);
        if (pthread_create(&r->thread, NULL, run, r) != 0) {
            (void)fprintf(stderr, "engine-bench: no thread\n");
            exit(EXIT_FAILURE);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        (void)pthread_join(runners[i].thread, NULL);
        connection_free(runners[i].connection);
    }
    (void)pthread_barrier_destroy(&barrier);
    gather(runners, count, result);
    free(runners);
}

/* ---- phases ---- */

static double stat_or(struct workload *w, const char *name, double fallback) {
    double value = 0;
    return engine_stat(w->engine, w->control, name, &value) ? value : fallback;
}

static double beyond(const struct settings *s, double before, double after) {
    if (before < 0 || after < 0) {
        return -1;
    }
    const double payload = (double)(s->key_size + s->value_size);
    return (after - before) / (double)s->keys - payload;
}

/* Sets every key once and waits until it is written. */
static void write_all(struct workload *w, unsigned threads, struct result *result) {
    const uint64_t start = clock_ns();
    (void)workload_value(w, w->version + 1);
    run_threads(w, threads, 0, true, result);
    const uint64_t sets_done = clock_ns();
    result->failed = !engine_drain(w->engine, w->control) || result->failed;
    const uint64_t all_done = clock_ns();
    const double keys = (double)w->settings->keys;
    result->figures[FIG_SETS_PER_SECOND] = keys / ((double)(sets_done - start) / 1e9);
    result->figures[FIG_TOTAL_PER_SECOND] = keys / ((double)(all_done - start) / 1e9);
    result->figures[FIG_DRAIN_SECONDS] = (double)(all_done - sets_done) / 1e9;
}

/* Waits until the engine has held no less memory for some seconds: a database library gives back
 * in the background what it wrote with. Not part of any timing. */
static void wait_for_memory(struct workload *w) {
    const struct timespec moment = {.tv_sec = 1};
    double least = stat_or(w, "mem_used", -1);
    int steady = 0;
    for (int i = 0; i < SETTLE_SECONDS_MAX && steady < STEADY_SECONDS && least >= 0; i++) {
        (void)nanosleep(&moment, NULL);
        const double now = stat_or(w, "mem_used", -1);
        steady = now < least ? 0 : steady + 1;
        least = now < least ? now : least;
    }
}

static void phase_load(struct workload *w, unsigned threads, struct result *result) {
    const struct memory before = memory_now();
    const double used_before = stat_or(w, "mem_used", -1);
    write_all(w, threads, result);
    wait_for_memory(w);
    const struct memory after = memory_now();
    const double used_after = stat_or(w, "mem_used", -1);
    result->figures[FIG_RSS_PER_ITEM] = beyond(w->settings, before.resident, after.resident);
    result->figures[FIG_DIRTY_PER_ITEM] =
        beyond(w->settings, before.private_dirty, after.private_dirty);
    result->figures[FIG_MEM_USED_PER_ITEM] = beyond(w->settings, used_before, used_after);
    result->figures[FIG_ITEMS] = stat_or(w, "curr_items", -1);
}

static void phase_restart(struct workload *w, struct result *result) {
    if (engine_is_baseline(w->engine)) {
        return;
    }
    const uint64_t start = clock_ns();
    engine_stop(w->engine);
    const uint64_t stopped = clock_ns();
    result->failed = !engine_start(w->engine);
    const uint64_t started = clock_ns();
    if (result->failed) {
        return;
    }
    const double items = stat_or(w, "curr_items", -1);
    result->figures[FIG_STOP_SECONDS] = (double)(stopped - start) / 1e9;
    result->figures[FIG_START_SECONDS] = (double)(started - stopped) / 1e9;
    result->figures[FIG_ITEMS] = items;
    wait_for_memory(w);
    result->figures[FIG_MEM_USED_PER_ITEM] =
        beyond(w->settings, 0, stat_or(w, "mem_used", -1));
    result->figures[FIG_WARMUP_PER_SECOND] =
        items > 0 ? items / ((double)(started - stopped) / 1e9) : -1;
}

void workload_run(struct workload *w, const struct job *job, struct result *result) {
    switch (job->phase) {
    case PHASE_LOAD:
        phase_load(w, job->threads, result);
        break;
    case PHASE_GET:
        run_threads(w, job->threads, 100, false, result);
        break;
    case PHASE_SET:
        run_threads(w, job->threads, 0, false, result);
        break;
    case PHASE_MIXED:
        run_threads(w, job->threads, w->settings->get_percent, false, result);
        break;
    case PHASE_FLUSH:
        write_all(w, job->threads, result);
        break;
    case PHASE_RESTART:
        phase_restart(w, result);
        break;
    case PHASE_REVERT:
        break;
    }
}
