/*
 * The revert phase: open a window, overwrite, delete and add keys, take it back, and look at what
 * four other clients notice; then the same again, and COMPLETE. Of the touched keys eight tenths
 * are overwritten, one tenth deleted, one tenth added.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "bench.h"

enum { CLIENTS = 4 }; /* two that read the touched keys, two that write others */

/* What the clients of one command share. */
struct beside {
    struct workload *w;
    const char *value;
    size_t touched;
    atomic_bool running; /* the command is under way */
    atomic_bool stop;
};

/* A client that works while the operator's command is under way. */
struct client {
    struct beside *beside;
    struct connection *connection;
    bool writes;
    bool failed;
    size_t first; /* place of the first key that it writes */
    struct histogram took;
};

static void *work_on(void *argument) {
    struct client *c = argument;
    struct beside *b = c->beside;
    const struct settings *s = workload_settings(b->w);
    struct bench_engine *e = workload_engine(b->w);
    const size_t keys = c->writes ? b->touched / 4 + 1 : s->keys;
    uint64_t refused = 0;
    for (size_t place = 0; !atomic_load(&b->stop); place = (place + 1) % keys) {
        bool wrong = false;
        const struct bench_key key = workload_key(b->w, c->first + place);
        const uint64_t start = clock_ns();
        if (c->writes) {
            c->failed = !engine_set(e, c->connection, &key, b->value, s->value_size, &refused) ||
                        c->failed;
        } else {
            (void)engine_get(e, c->connection, &key, -1, &wrong);
        }
        const uint64_t took = clock_ns() - start;
        /* Only what overlaps the command counts. */
        if (atomic_load(&b->running)) {
            histogram_add(&c->took, took);
        }
    }
    return NULL;
}

static bool set_at(struct workload *w, struct connection *c, size_t place, const char *value,
                   uint64_t *refused) {
    const struct bench_key key = workload_key(w, place);
    return engine_set(workload_engine(w), c, &key, value, workload_settings(w)->value_size,
                      refused);
}

/* Whether the key at a place is there; with the value of that version, unless negative. */
static bool get_at(struct workload *w, struct connection *c, size_t place, int version,
                   bool *wrong) {
    const struct bench_key key = workload_key(w, place);
    return engine_get(workload_engine(w), c, &key, version < 0 ? -1 : version & 0xff, wrong);
}

static bool touch_keys(struct workload *w, struct connection *c, size_t touched, unsigned version) {
    const struct settings *s = workload_settings(w);
    const char *value = workload_value(w, version);
    uint64_t refused = 0;
    const size_t added = touched / 10;
    const size_t deleted = touched / 10;
    const size_t updated = touched - added - deleted;
    bool good = true;
    for (size_t i = 0; good && i < updated; i++) {
        good = set_at(w, c, i, value, &refused);
    }
    for (size_t i = updated; good && i < updated + deleted; i++) {
        const struct bench_key key = workload_key(w, i);
        good = engine_remove(workload_engine(w), c, &key);
    }
    for (size_t i = 0; good && i < added; i++) {
        good = set_at(w, c, s->keys + i, value, &refused);
    }
    return good;
}

static void wait_ns(uint64_t ns) {
    const uint64_t end = clock_ns() + ns;
    while (clock_ns() < end) {
        (void)sched_yield();
    }
}

/*
 * Sends a command while the clients work. Their latencies are left in `gets` and `sets`, its own
 * in milliseconds in `*ms`.
 */
static bool command_beside_clients(struct workload *w, struct connection *c, uint8_t opcode,
                                   struct beside *b, struct histogram *gets,
                                   struct histogram *sets, double *ms) {
    struct client clients[CLIENTS] = {0};
    pthread_t threads[CLIENTS];
    const struct settings *s = workload_settings(w);
    size_t running = 0;
    for (; running < CLIENTS; running++) {
        struct client *client = &clients[running];
        client->beside = b;
        client->connection = connection_new();
        client->writes = running % 2 == 1;
        /* Behind the keys that the window adds, each its own quarter. */
        const size_t quarter = b->touched / 4;
        client->first = client->writes ? s->keys + b->touched / 10 + running / 2 * quarter : 0;
        if (pthread_create(&threads[running], NULL, work_on, client) != 0) {
            connection_free(client->connection);
            break;
        }
    }
    wait_ns(50000000U);
    atomic_store(&b->running, true);
    const uint64_t start = clock_ns();
    const int status = engine_command(workload_engine(w), c, opcode);
    *ms = (double)(clock_ns() - start) / 1e6;
    /* What was under way at the answer still counts, so that a stall is not missed. */
    wait_ns(2000000U);
    atomic_store(&b->running, false);
    atomic_store(&b->stop, true);
    bool good = running == CLIENTS && status == PROTOCOL_BINARY_RESPONSE_SUCCESS;
    for (size_t i = 0; i < running; i++) {
        (void)pthread_join(threads[i], NULL);
        connection_free(clients[i].connection);
        histogram_merge(clients[i].writes ? sets : gets, &clients[i].took);
        good = good && !clients[i].failed;
    }
    return good;
}

static void read_back(struct workload *w, struct connection *c, size_t touched, unsigned version,
                      struct result *result) {
    const struct settings *s = workload_settings(w);
    const size_t back = touched - touched / 10;
    uint64_t wrong_count = 0;
    bool wrong = false;
    const uint64_t start = clock_ns();
    for (size_t i = 0; i < back; i++) {
        const uint64_t begin = clock_ns();
        wrong = false;
        const bool found = get_at(w, c, i, (int)version, &wrong);
        histogram_add(&result->latency, clock_ns() - begin);
        wrong_count += !found || wrong ? 1 : 0;
    }
    const double seconds = (double)(clock_ns() - start) / 1e9;
    for (size_t i = 0; i < touched / 10; i++) {
        wrong_count += get_at(w, c, s->keys + i, -1, &wrong) ? 1 : 0;
    }
    result->figures[FIG_READ_BACK_PER_SECOND] = (double)back / seconds;
    result->figures[FIG_WRONG_VALUES] = (double)wrong_count;
    result->ops += back;
    result->seconds += seconds;
}

/* Keys that are not as the window left them. */
static uint64_t wrong_after_complete(struct workload *w, struct connection *c, size_t touched,
                                     unsigned version) {
    const struct settings *s = workload_settings(w);
    const size_t tenth = touched / 10;
    const size_t updated = touched - 2 * tenth;
    uint64_t count = 0;
    for (size_t i = 0; i < updated + tenth; i++) {
        const bool there = i < updated;
        bool wrong = false;
        const bool found = get_at(w, c, i, there ? (int)version : -1, &wrong);
        count += found != there || wrong ? 1 : 0;
    }
    for (size_t i = 0; i < tenth; i++) {
        bool wrong = false;
        const bool found = get_at(w, c, s->keys + i, (int)version, &wrong);
        count += !found || wrong ? 1 : 0;
    }
    return count;
}

/* Opens a window, touches keys, and ends it by the command while clients work. */
static bool run_window(struct workload *w, struct connection *c, uint8_t opcode, unsigned version,
                       struct result *result, struct histogram *gets, double *set_max, double *ms) {
    struct bench_engine *e = workload_engine(w);
    const struct settings *s = workload_settings(w);
    const size_t touched = s->revert_keys < s->keys ? s->revert_keys : s->keys;
    const uint64_t start = clock_ns();
    if (engine_command(e, c, PROTOCOL_BINARY_CMD_ONLINE_UPDATE_START) !=
        PROTOCOL_BINARY_RESPONSE_SUCCESS) {
        return false;
    }
    result->figures[FIG_START_COMMAND_MS] = (double)(clock_ns() - start) / 1e6;
    if (!touch_keys(w, c, touched, version)) {
        result->failed = true;
        return false;
    }
    /* ep-engine needs its flusher to reach the window before it may be taken back. */
    const struct timespec settle = {.tv_sec = 3};
    (void)nanosleep(&settle, NULL);
    struct beside beside = {.w = w, .touched = touched, .value = workload_value(w, version)};
    struct histogram sets = {0};
    if (!command_beside_clients(w, c, opcode, &beside, gets, &sets, ms)) {
        result->failed = true;
        return false;
    }
    *set_max = (double)sets.max / 1e6;
    return true;
}

void workload_revert(struct workload *w, struct result *result) {
    const struct settings *s = workload_settings(w);
    struct bench_engine *e = workload_engine(w);
    struct connection *c = connection_new();
    const size_t touched = s->revert_keys < s->keys ? s->revert_keys : s->keys;
    const unsigned before = workload_version(w);
    double *figures = result->figures;
    uint64_t refused = 0;
    /* Known values first, whatever earlier phases did to them. */
    const char *value = workload_value(w, before);
    for (size_t i = 0; i < touched; i++) {
        result->failed = !set_at(w, c, i, value, &refused) || result->failed;
    }
    result->failed = !engine_drain(e, c) || result->failed;
    /* For an engine without online update all figures stay "-". */
    if (!result->failed &&
        run_window(w, c, PROTOCOL_BINARY_CMD_ONLINE_UPDATE_REVERT, before + 1, result,
                   &result->gets, &figures[FIG_REVERT_SET_MAX_MS], &figures[FIG_REVERT_MS])) {
        read_back(w, c, touched, before, result);
        struct histogram gets = {0};
        if (run_window(w, c, PROTOCOL_BINARY_CMD_ONLINE_UPDATE_COMPLETE, before + 2, result, &gets,
                       &figures[FIG_COMPLETE_SET_MAX_MS], &figures[FIG_COMPLETE_MS])) {
            figures[FIG_COMPLETE_GET_MAX_MS] = (double)gets.max / 1e6;
            figures[FIG_COMPLETE_WRONG] =
                (double)wrong_after_complete(w, c, touched, before + 2);
        }
    }
    connection_free(c);
}
