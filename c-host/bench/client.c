/*
 * A host with one engine and connections that wait.
 *
 * A connection belongs to one thread. On EWOULDBLOCK that thread sleeps until the engine notifies,
 * then calls again, as hosts do; a notify that comes before the thread sleeps is not lost.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

enum {
    RETRY_MICROSECONDS = 500,
    RETRIES_MAX = 60000,
    DRAIN_SECONDS_MAX = 600
};

struct connection {
    uint8_t references; /* first: hosts' engines probe here */
    bool nack;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool notified;
    ENGINE_ERROR_CODE status;
    void *engine_specific;
};

struct bench_engine {
    const struct settings *settings;
    const struct contender *contender;
    const char *cfg;
    struct baseline *baseline; /* in place of what follows, for a contender that is no engine */
    struct cursors *cursors;
    ch_host *host;
    ch_engine *loaded;
    ENGINE_HANDLE *h;
    ENGINE_HANDLE_V1 *v1;
};

static void fatal(const char *what) {
    (void)fprintf(stderr, "engine-bench: %s\n", what);
    exit(EXIT_FAILURE);
}

uint64_t clock_ns(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        fatal("no clock");
    }
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* ---- connections ---- */

struct connection *connection_new(void) {
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL || pthread_mutex_init(&c->lock, NULL) != 0 ||
        pthread_cond_init(&c->wake, NULL) != 0) {
        fatal("no memory for a connection");
    }
    c->references = 1;
    return c;
}

void connection_free(struct connection *c) {
    (void)pthread_mutex_destroy(&c->lock);
    (void)pthread_cond_destroy(&c->wake);
    free(c);
}

static struct connection *connection_of(const void *cookie) {
    union {
        const void *in;
        struct connection *out;
    } same = {.in = cookie};
    return same.out;
}

static ENGINE_ERROR_CODE wait_notify(struct connection *c) {
    (void)pthread_mutex_lock(&c->lock);
    while (!c->notified) {
        (void)pthread_cond_wait(&c->wake, &c->lock);
    }
    c->notified = false;
    const ENGINE_ERROR_CODE status = c->status;
    (void)pthread_mutex_unlock(&c->lock);
    return status;
}

/* True if the call has to be made again. */
static bool again(struct connection *c, ENGINE_ERROR_CODE *code) {
    if (__builtin_expect(*code != ENGINE_EWOULDBLOCK, 1)) {
        return false;
    }
    *code = wait_notify(c);
    return *code == ENGINE_SUCCESS;
}

static int op_fd(const void *cookie) {
    (void)cookie;
    return 0;
}

static void op_auth(const void *cookie, auth_data_t *data) {
    (void)cookie;
    (void)data;
}

static void op_store_specific(const void *cookie, void *data) {
    connection_of(cookie)->engine_specific = data;
}

static void *op_get_specific(const void *cookie) {
    return connection_of(cookie)->engine_specific;
}

static void op_notify(const void *cookie, ENGINE_ERROR_CODE status) {
    struct connection *c = connection_of(cookie);
    (void)pthread_mutex_lock(&c->lock);
    c->status = status;
    c->notified = true;
    (void)pthread_cond_signal(&c->wake);
    (void)pthread_mutex_unlock(&c->lock);
}

static void op_nack(const void *cookie, bool enable) {
    connection_of(cookie)->nack = enable;
}

static ENGINE_ERROR_CODE op_reserve(const void *cookie) {
    (void)__atomic_add_fetch(&connection_of(cookie)->references, 1, __ATOMIC_RELAXED);
    return ENGINE_SUCCESS;
}

static ENGINE_ERROR_CODE op_release(const void *cookie) {
    (void)__atomic_sub_fetch(&connection_of(cookie)->references, 1, __ATOMIC_RELAXED);
    return ENGINE_SUCCESS;
}

/* ---- requests ---- */

/* The host's callbacks carry no argument of ours. */
static _Thread_local int reply_status;
static _Thread_local const char *stat_wanted;
static _Thread_local double stat_value;
static _Thread_local bool stat_found;

static bool take_response(const void *key, uint16_t keylen, const void *ext, uint8_t extlen,
                          const void *body, uint32_t bodylen, uint8_t datatype, uint16_t status,
                          uint64_t cas, const void *cookie) {
    (void)key;
    (void)keylen;
    (void)ext;
    (void)extlen;
    (void)body;
    (void)bodylen;
    (void)datatype;
    (void)cas;
    (void)cookie;
    reply_status = status;
    return true;
}

/* Status of the reply, or -1. */
static int send_request(struct bench_engine *e, struct connection *c,
                        protocol_binary_request_header *request) {
    ENGINE_ERROR_CODE code;
    if (e->v1->unknown_command == NULL) {
        return -1;
    }
    reply_status = -1;
    do {
        code = e->v1->unknown_command(e->h, c, request, take_response);
    } while (again(c, &code));
    return code == ENGINE_SUCCESS ? reply_status : -1;
}

/* ---- life ---- */

static void topkeys_setting(ch_add_setting add, void *sink) {
    add(sink, "topkeys", "0");
}

struct bench_engine *engine_open(const struct settings *settings,
                                 const struct contender *contender, const char *cfg) {
    struct bench_engine *e = calloc(1, sizeof *e);
    if (e == NULL) {
        fatal("no memory");
    }
    e->settings = settings;
    e->contender = contender;
    e->cfg = cfg;
    if (contender->kind != CONTENDER_ENGINE) {
        return e;
    }
    const struct ch_host_options options = {
        .layout = contender->memcached_layout ? CH_LAYOUT_MEMCACHED : CH_LAYOUT_MEMBASE,
        .cookie = {.get_socket_fd = op_fd,
                   .get_auth_data = op_auth,
                   .store_engine_specific = op_store_specific,
                   .get_engine_specific = op_get_specific,
                   .notify_io_complete = op_notify,
                   .set_tap_nack_mode = op_nack,
                   .reserve = op_reserve,
                   .release = op_release},
        .server_version = "1.7.2",
        .settings = contender->memcached_layout ? NULL : topkeys_setting,
        .log_level = EXTENSION_LOG_WARNING,
    };
    e->host = ch_host_create(&options);
    if (e->host == NULL) {
        fatal("no host");
    }
    return e;
}

/* Makes every vbucket active; hosts that stand alone have the first one. */
static bool make_vbuckets(struct bench_engine *e) {
    struct connection *c = connection_new();
    bool good = true;
    for (size_t i = 1; good && i < e->settings->vbuckets; i++) {
        union {
            protocol_binary_request_header header;
            unsigned char bytes[sizeof(protocol_binary_request_header) + sizeof(uint32_t)];
        } request;
        const uint32_t state = htonl(vbucket_state_active);
        memset(&request, 0, sizeof request);
        request.header.request.magic = PROTOCOL_BINARY_REQ;
        request.header.request.opcode = PROTOCOL_BINARY_CMD_SET_VBUCKET;
        request.header.request.vbucket = htons((uint16_t)i);
        request.header.request.extlen = sizeof state;
        request.header.request.bodylen = htonl(sizeof state);
        memcpy(request.bytes + sizeof request.header, &state, sizeof state);
        good = send_request(e, c, &request.header) == PROTOCOL_BINARY_RESPONSE_SUCCESS;
    }
    connection_free(c);
    if (!good) {
        (void)fprintf(stderr, "engine-bench: %s: SET_VBUCKET fails\n", e->contender->path);
    }
    return good;
}

bool engine_is_baseline(const struct bench_engine *e) {
    return e->contender->kind != CONTENDER_ENGINE;
}

bool engine_start(struct bench_engine *e) {
    struct ch_load_result result;
    if (engine_is_baseline(e)) {
        e->baseline =
            baseline_new(e->contender->kind == CONTENDER_FLOOR, e->settings->keys);
        return true;
    }
    e->loaded = ch_engine_load(e->host, e->contender->path, &result);
    if (e->loaded == NULL || !ch_engine_initialize(e->loaded, e->cfg, &result)) {
        (void)fprintf(stderr, "engine-bench: %s: %s\n", e->contender->path, result.message);
        return false;
    }
    e->h = ch_engine_handle(e->loaded);
    e->v1 = ch_engine_table(e->loaded);
    if (!make_vbuckets(e)) {
        return false;
    }
    e->cursors =
        e->settings->cursors != 0 ? cursors_open(e->h, e->v1, e->settings->cursors, connection_new)
                                    : NULL;
    return true;
}

void engine_stop(struct bench_engine *e) {
    if (e->cursors != NULL) {
        cursors_close(e->cursors);
        e->cursors = NULL;
    }
    /* The library stays: a fresh dlopen would measure the loader too. */
    ch_engine_unload(e->loaded, false);
    ch_host_forget_registrations(e->host);
    e->loaded = NULL;
}

void engine_close(struct bench_engine *e) {
    if (engine_is_baseline(e)) {
        baseline_free(e->baseline);
        free(e);
        return;
    }
    if (e->loaded != NULL) {
        engine_stop(e);
    }
    ch_host_destroy(e->host);
    free(e);
}

/* ---- operations ---- */

bool engine_get(struct bench_engine *e, struct connection *c, const struct bench_key *key,
                int expect, bool *wrong) {
    item *it = NULL;
    if (e->baseline != NULL) {
        return baseline_get(e->baseline, key, expect, wrong);
    }
    ENGINE_ERROR_CODE code;
    do {
        code = e->v1->get(e->h, c, &it, key->text, (int)key->size, key->vbucket);
    } while (again(c, &code));
    if (code != ENGINE_SUCCESS) {
        return false;
    }
    item_info info = {.nvalue = 1};
    const bool filled = e->v1->get_item_info(e->h, c, it, &info);
    if (expect >= 0) {
        const unsigned char *value = info.value[0].iov_base;
        *wrong = !filled || info.nbytes == 0 || value[0] != (unsigned char)expect;
    }
    e->v1->release(e->h, c, it);
    return filled;
}

static ENGINE_ERROR_CODE set_once(struct bench_engine *e, struct connection *c,
                                  const struct bench_key *key, const char *value,
                                  size_t length) {
    item *it = NULL;
    uint64_t cas = 0;
    ENGINE_ERROR_CODE code;
    do {
        code = e->v1->allocate(e->h, c, &it, key->text, key->size, length, 0, 0);
    } while (again(c, &code));
    if (code != ENGINE_SUCCESS) {
        return code;
    }
    item_info info = {.nvalue = 1};
    if (!e->v1->get_item_info(e->h, c, it, &info)) {
        fatal("get_item_info failed");
    }
    e->v1->item_set_cas(e->h, c, it, 0);
    memcpy(info.value[0].iov_base, value, length);
    do {
        code = e->v1->store(e->h, c, it, &cas, OPERATION_SET, key->vbucket);
    } while (again(c, &code));
    e->v1->release(e->h, c, it);
    return code;
}

static void pause_microseconds(long microseconds) {
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = microseconds * 1000};
    (void)nanosleep(&pause, NULL);
}

bool engine_set(struct bench_engine *e, struct connection *c, const struct bench_key *key,
                const char *value, size_t length, uint64_t *refused) {
    if (e->baseline != NULL) {
        return baseline_set(e->baseline, key, value, length);
    }
    for (unsigned i = 0; i < RETRIES_MAX; i++) {
        const ENGINE_ERROR_CODE code = set_once(e, c, key, value, length);
        if (code == ENGINE_SUCCESS) {
            return true;
        }
        if (code != ENGINE_TMPFAIL && code != ENGINE_ENOMEM) {
            (void)fprintf(stderr, "engine-bench: set: %s\n", ch_error_name(code));
            return false;
        }
        (*refused)++;
        pause_microseconds(RETRY_MICROSECONDS);
    }
    (void)fprintf(stderr, "engine-bench: set: refused for too long (memory full?)\n");
    return false;
}

bool engine_remove(struct bench_engine *e, struct connection *c, const struct bench_key *key) {
    ENGINE_ERROR_CODE code;
    do {
        code = e->v1->remove(e->h, c, key->text, key->size, 0, key->vbucket);
    } while (again(c, &code));
    return code == ENGINE_SUCCESS;
}

int engine_command(struct bench_engine *e, struct connection *c, uint8_t opcode) {
    protocol_binary_request_header request;
    if (e->baseline != NULL) {
        return -1;
    }
    memset(&request, 0, sizeof request);
    request.request.magic = PROTOCOL_BINARY_REQ;
    request.request.opcode = opcode;
    return send_request(e, c, &request);
}

static void take_stat(const char *key, const uint16_t klen, const char *val, const uint32_t vlen,
                      const void *cookie) {
    char text[64];
    (void)cookie;
    if (strlen(stat_wanted) != klen || memcmp(stat_wanted, key, klen) != 0) {
        return;
    }
    const size_t length = vlen < sizeof text - 1 ? vlen : sizeof text - 1;
    memcpy(text, val, length);
    text[length] = '\0';
    stat_value = strtod(text, NULL);
    stat_found = true;
}

bool engine_stat(struct bench_engine *e, struct connection *c, const char *name, double *out) {
    ENGINE_ERROR_CODE code;
    if (e->baseline != NULL) {
        return false;
    }
    stat_wanted = name;
    stat_found = false;
    do {
        code = e->v1->get_stats(e->h, c, NULL, 0, take_stat);
    } while (again(c, &code));
    *out = stat_value;
    return code == ENGINE_SUCCESS && stat_found;
}

bool engine_drain(struct bench_engine *e, struct connection *c) {
    const uint64_t deadline = clock_ns() + (uint64_t)DRAIN_SECONDS_MAX * 1000000000U;
    while (clock_ns() < deadline) {
        double waiting = 0;
        double taken = 0;
        const bool has_queue = engine_stat(e, c, "ep_queue_size", &waiting);
        const bool has_todo = engine_stat(e, c, "ep_flusher_todo", &taken);
        if ((!has_queue || waiting <= 0) && (!has_todo || taken <= 0)) {
            return true;
        }
        pause_microseconds(2000);
    }
    (void)fprintf(stderr, "engine-bench: not drained in %d s\n", DRAIN_SECONDS_MAX);
    return false;
}
