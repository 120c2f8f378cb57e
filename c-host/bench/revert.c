/*
 * The revert phase: open a window, overwrite, delete and add keys, take it back, and look at what
 * other clients notice. Of the touched keys eight tenths are overwritten, one tenth deleted, one
 * tenth added.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "bench.h"

/* A client that reads while the operator's command is under way. */
struct reader {
    struct workload *w;
    struct connection *connection;
    atomic_bool running;
    atomic_bool stop;
    struct histogram gets;
};

static void *read_on(void *argument) {
    struct reader *r = argument;
    const struct settings *s = workload_settings(r->w);
    struct bench_engine *e = workload_engine(r->w);
    for (size_t place = 0; !atomic_load(&r->stop); place = (place + 1) % s->keys) {
        bool wrong = false;
        const char *key = workload_key(r->w, place);
        const uint64_t start = clock_ns();
        (void)engine_get(e, r->connection, key, s->key_size, -1, &wrong);
        const uint64_t took = clock_ns() - start;
        /* Only what overlaps the command counts. */
        if (atomic_load(&r->running)) {
            histogram_add(&r->gets, took);
        }
    }
    return NULL;
}

static bool touch_keys(struct workload *w, struct connection *c, size_t touched, unsigned version) {
    const struct settings *s = workload_settings(w);
    struct bench_engine *e = workload_engine(w);
    const char *value = workload_value(w, version);
    uint64_t refused = 0;
    const size_t added = touched / 10;
    const size_t deleted = touched / 10;
    const size_t updated = touched - added - deleted;
    bool good = true;
    for (size_t i = 0; good && i < updated; i++) {
        good = engine_set(e, c, workload_key(w, i), s->key_size, value, s->value_size, &refused);
    }
    for (size_t i = updated; good && i < updated + deleted; i++) {
        good = engine_remove(e, c, workload_key(w, i), s->key_size);
    }
    for (size_t i = 0; good && i < added; i++) {
        good = engine_set(e, c, workload_key(w, s->keys + i), s->key_size, value, s->value_size,
                          &refused);
    }
    return good;
}

/* Sends REVERT while another client reads. */
static bool revert_beside_reader(struct workload *w, struct connection *c, struct result *result) {
    struct reader reader = {.w = w, .connection = connection_new()};
    pthread_t thread;
    if (pthread_create(&thread, NULL, read_on, &reader) != 0) {
        connection_free(reader.connection);
        return false;
    }
    const uint64_t settle = clock_ns() + 50000000U;
    while (clock_ns() < settle) {
        (void)sched_yield();
    }
    atomic_store(&reader.running, true);
    const uint64_t start = clock_ns();
    const int status =
        engine_command(workload_engine(w), c, PROTOCOL_BINARY_CMD_ONLINE_UPDATE_REVERT);
    const uint64_t took = clock_ns() - start;
    /* The read that was under way at the answer still counts, so that a stall is not missed. */
    const uint64_t rest = clock_ns() + 2000000U;
    while (clock_ns() < rest) {
        (void)sched_yield();
    }
    atomic_store(&reader.running, false);
    atomic_store(&reader.stop, true);
    (void)pthread_join(thread, NULL);
    connection_free(reader.connection);
    result->figures[FIG_REVERT_MS] = (double)took / 1e6;
    result->gets = reader.gets;
    return status == PROTOCOL_BINARY_RESPONSE_SUCCESS;
}

static void read_back(struct workload *w, struct connection *c, size_t touched, unsigned version,
                      struct result *result) {
    const struct settings *s = workload_settings(w);
    struct bench_engine *e = workload_engine(w);
    const size_t back = touched - touched / 10;
    uint64_t wrong_count = 0;
    bool wrong = false;
    const uint64_t start = clock_ns();
    for (size_t i = 0; i < back; i++) {
        const uint64_t begin = clock_ns();
        wrong = false;
        const bool found =
            engine_get(e, c, workload_key(w, i), s->key_size, (int)(version & 0xff), &wrong);
        histogram_add(&result->latency, clock_ns() - begin);
        wrong_count += !found || wrong ? 1 : 0;
    }
    const double seconds = (double)(clock_ns() - start) / 1e9;
    for (size_t i = 0; i < touched / 10; i++) {
        wrong_count +=
            engine_get(e, c, workload_key(w, s->keys + i), s->key_size, -1, &wrong) ? 1 : 0;
    }
    result->figures[FIG_READ_BACK_PER_SECOND] = (double)back / seconds;
    result->figures[FIG_WRONG_VALUES] = (double)wrong_count;
    result->ops += back;
    result->seconds += seconds;
}

void workload_revert(struct workload *w, struct result *result) {
    const struct settings *s = workload_settings(w);
    struct bench_engine *e = workload_engine(w);
    struct connection *c = connection_new();
    const size_t touched = s->revert_keys < s->keys ? s->revert_keys : s->keys;
    const unsigned before = workload_version(w);
    uint64_t refused = 0;
    /* Known values first, whatever earlier phases did to them. */
    const char *value = workload_value(w, before);
    for (size_t i = 0; i < touched; i++) {
        result->failed =
            !engine_set(e, c, workload_key(w, i), s->key_size, value, s->value_size, &refused) ||
            result->failed;
    }
    result->failed = !engine_drain(e, c) || result->failed;
    const uint64_t start = clock_ns();
    const int status = engine_command(e, c, PROTOCOL_BINARY_CMD_ONLINE_UPDATE_START);
    if (result->failed || status != PROTOCOL_BINARY_RESPONSE_SUCCESS) {
        connection_free(c); /* an engine without online update: all figures stay "-" */
        return;
    }
    result->figures[FIG_START_COMMAND_MS] = (double)(clock_ns() - start) / 1e6;
    result->failed = !touch_keys(w, c, touched, before + 1);
    (void)workload_value(w, before);
    /* ep-engine needs its flusher to reach the window before it may be taken back. */
    const struct timespec settle = {.tv_sec = 3};
    (void)nanosleep(&settle, NULL);
    if (!result->failed && revert_beside_reader(w, c, result)) {
        read_back(w, c, touched, before, result);
    } else {
        result->failed = true;
    }
    connection_free(c);
}
