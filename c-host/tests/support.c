#include "support.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* The host's callbacks carry no argument of ours, so what they collect into is per thread. */
static _Thread_local struct reply *reply_target;

struct stat_search {
    const char *name;
    char *out;
    size_t room;
    size_t seen;
    bool found;
};
static _Thread_local struct stat_search *stat_target;

struct client client_new(ENGINE_HANDLE *h, ENGINE_HANDLE_V1 *h1) {
    struct client c = {.h = h, .v1 = h1, .cookie = suite()->harness.create_cookie(), .vbucket = 0};
    CHECK(c.cookie != NULL);
    return c;
}

void client_free(struct client *client) {
    suite()->harness.destroy_cookie(client->cookie);
    client->cookie = NULL;
}

/* ---- items ---- */

ENGINE_ERROR_CODE put(const struct client *c, const struct put *p, uint64_t *cas) {
    item *it = NULL;
    uint64_t new_cas = 0;
    const size_t nkey = p->key_length != 0 ? p->key_length : strlen(p->key);
    int flags = 0;
    memcpy(&flags, &p->flags, sizeof flags);
    ENGINE_ERROR_CODE code =
        c->v1->allocate(c->h, c->cookie, &it, p->key, nkey, p->length, flags, p->exptime);
    if (code != ENGINE_SUCCESS) {
        return code;
    }
    item_info info = {.nvalue = 1};
    CHECK(c->v1->get_item_info(c->h, c->cookie, it, &info));
    CHECK_UINT(p->length, info.nbytes);
    CHECK_UINT(1, info.nvalue);
    CHECK_UINT(p->length, info.value[0].iov_len);
    CHECK_BYTES(p->key, nkey, info.key, info.nkey);
    c->v1->item_set_cas(c->h, c->cookie, it, p->cas);
    if (p->length != 0) {
        memcpy(info.value[0].iov_base, p->bytes, p->length);
    }
    code = c->v1->store(c->h, c->cookie, it, &new_cas, p->operation, c->vbucket);
    c->v1->release(c->h, c->cookie, it);
    if (code == ENGINE_SUCCESS && cas != NULL) {
        *cas = new_cas;
    }
    return code;
}

ENGINE_ERROR_CODE store_op(const struct client *c, ENGINE_STORE_OPERATION op, const char *key,
                           const char *value) {
    const struct put p = {.operation = op, .key = key, .bytes = value, .length = strlen(value)};
    return put(c, &p, NULL);
}

ENGINE_ERROR_CODE set(const struct client *c, const char *key, const char *value) {
    return store_op(c, OPERATION_SET, key, value);
}

ENGINE_ERROR_CODE get_copy(const struct client *c, const char *key, struct value *out) {
    item *it = NULL;
    const int nkey = (int)strlen(key);
    const ENGINE_ERROR_CODE code = c->v1->get(c->h, c->cookie, &it, key, nkey, c->vbucket);
    if (code != ENGINE_SUCCESS) {
        CHECK_MSG(it == NULL, "get of %s gave %d and an item", key, (int)code);
        return code;
    }
    CHECK(it != NULL);
    item_info info = {.nvalue = 1};
    CHECK(c->v1->get_item_info(c->h, c->cookie, it, &info));
    CHECK_UINT(1, info.nvalue);
    CHECK_UINT(info.nbytes, info.value[0].iov_len);
    CHECK_BYTES(key, (size_t)nkey, info.key, info.nkey);
    out->length = info.nbytes;
    out->flags = info.flags;
    out->exptime = info.exptime;
    out->cas = info.cas;
    const size_t copied = out->length < VALUE_ROOM ? out->length : VALUE_ROOM;
    memcpy(out->bytes, info.value[0].iov_base, copied);
    out->bytes[copied] = '\0';
    c->v1->release(c->h, c->cookie, it);
    return ENGINE_SUCCESS;
}

ENGINE_ERROR_CODE get_code(const struct client *c, const char *key) {
    item *it = NULL;
    const int nkey = (int)strlen(key);
    const ENGINE_ERROR_CODE code = c->v1->get(c->h, c->cookie, &it, key, nkey, c->vbucket);
    if (code == ENGINE_SUCCESS) {
        c->v1->release(c->h, c->cookie, it);
    }
    return code;
}

ENGINE_ERROR_CODE remove_key(const struct client *c, const char *key, uint64_t cas) {
    return c->v1->remove(c->h, c->cookie, key, strlen(key), cas, c->vbucket);
}

ENGINE_ERROR_CODE arith(const struct client *c, const char *key, bool increment, uint64_t delta,
                        uint64_t initial, uint32_t exptime, uint64_t *result) {
    uint64_t cas = 0;
    uint64_t value = 0;
    const ENGINE_ERROR_CODE code =
        c->v1->arithmetic(c->h, c->cookie, key, (int)strlen(key), increment, exptime != UINT32_MAX,
                          delta, initial, exptime, &cas, &value, c->vbucket);
    if (code == ENGINE_SUCCESS) {
        CHECK_NE(0, cas);
        if (result != NULL) {
            *result = value;
        }
    }
    return code;
}

void must_set(const struct client *c, const char *key, const char *value) {
    const ENGINE_ERROR_CODE code = set(c, key, value);
    CHECK_MSG(code == ENGINE_SUCCESS, "set %s: %d", key, (int)code);
}

void must_hold(const struct client *c, const char *key, const char *value) {
    struct value have;
    const ENGINE_ERROR_CODE code = get_copy(c, key, &have);
    CHECK_MSG(code == ENGINE_SUCCESS, "get %s: %d, expected \"%.60s\"", key, (int)code, value);
    CHECK_MSG(have.length == strlen(value) && memcmp(have.bytes, value, have.length) == 0,
              "get %s: expected \"%.60s\", actual %zu bytes \"%.60s\"", key, value, have.length,
              have.bytes);
}

void must_miss(const struct client *c, const char *key) {
    struct value have;
    const ENGINE_ERROR_CODE code = get_copy(c, key, &have);
    CHECK_MSG(code == ENGINE_KEY_ENOENT, "get %s: expected a miss, actual %d \"%.60s\"", key,
              (int)code, code == ENGINE_SUCCESS ? have.bytes : "");
}

void must_remove(const struct client *c, const char *key) {
    const ENGINE_ERROR_CODE code = remove_key(c, key, 0);
    CHECK_MSG(code == ENGINE_SUCCESS, "remove %s: %d", key, (int)code);
}

/* ---- commands ---- */

static bool collect_reply(const void *key, uint16_t keylen, const void *ext, uint8_t extlen,
                          const void *body, uint32_t bodylen, uint8_t datatype, uint16_t status,
                          uint64_t cas, const void *cookie) {
    (void)key;
    (void)keylen;
    (void)datatype;
    (void)cookie;
    struct reply *r = reply_target;
    CHECK_MSG(r != NULL, "a response outside unknown_command, status 0x%x", (unsigned)status);
    r->count++;
    if (r->count > 1) {
        return true;
    }
    r->status = status;
    r->cas = cas;
    r->ext_length = extlen;
    r->body_length = bodylen;
    if (extlen != 0) {
        memcpy(r->ext, ext, extlen < sizeof r->ext ? extlen : sizeof r->ext);
    }
    const size_t copied = bodylen < VALUE_ROOM ? bodylen : VALUE_ROOM;
    if (copied != 0) {
        memcpy(r->body, body, copied);
    }
    r->body[copied] = '\0';
    return true;
}

ENGINE_ERROR_CODE send_raw(const struct client *c, const void *packet, struct reply *reply) {
    memset(reply, 0, sizeof *reply);
    reply->status = ST_NONE;
    reply_target = reply;
    /* The host's own buffer is writable; the engine must not write, but the type says it could. */
    void *request = NULL;
    memcpy(&request, &packet, sizeof request);
    const ENGINE_ERROR_CODE code = c->v1->unknown_command(
        c->h, c->cookie, (protocol_binary_request_header *)request, collect_reply);
    reply_target = NULL;
    return code;
}

static void store_be(unsigned char *at, uint64_t value, unsigned width) {
    for (unsigned i = 0; i < width; i++) {
        at[i] = (unsigned char)(value >> (8U * (width - 1U - i)));
    }
}

void send_request(const struct client *c, const struct request *request, struct reply *reply) {
    const size_t total = request->ext_length + request->key_length + request->body_length;
    unsigned char *packet = calloc(1, 24 + total);
    CHECK(packet != NULL);
    packet[0] = 0x80;
    packet[1] = request->opcode;
    store_be(packet + 2, request->key_length, 2);
    packet[4] = (unsigned char)request->ext_length;
    store_be(packet + 6, request->vbucket, 2);
    store_be(packet + 8, total, 4);
    store_be(packet + 16, request->cas, 8);
    unsigned char *at = packet + 24;
    if (request->ext_length != 0) {
        memcpy(at, request->ext, request->ext_length);
        at += request->ext_length;
    }
    if (request->key_length != 0) {
        memcpy(at, request->key, request->key_length);
        at += request->key_length;
    }
    if (request->body_length != 0) {
        memcpy(at, request->body, request->body_length);
    }
    const ENGINE_ERROR_CODE code = send_raw(c, packet, reply);
    free(packet);
    CHECK_MSG(code == ENGINE_SUCCESS, "opcode 0x%x returned %d", (unsigned)request->opcode,
              (int)code);
    CHECK_MSG(reply->count <= 1, "opcode 0x%x sent %u replies", (unsigned)request->opcode,
              reply->count);
}

uint16_t command(const struct client *c, uint8_t opcode, struct reply *reply) {
    const struct request request = {.opcode = opcode, .vbucket = c->vbucket};
    struct reply local;
    struct reply *to = reply != NULL ? reply : &local;
    send_request(c, &request, to);
    return to->status;
}

uint16_t set_state(const struct client *c, uint16_t vbucket, uint32_t state) {
    unsigned char ext[4];
    store_be(ext, state, 4);
    const struct request request = {
        .opcode = OP_SET_VBUCKET, .vbucket = vbucket, .ext = ext, .ext_length = sizeof ext};
    struct reply reply;
    send_request(c, &request, &reply);
    CHECK_INT(1, reply.count);
    return reply.status;
}

void must_state(const struct client *c, uint16_t vbucket, uint32_t state) {
    CHECK_INT(ST_SUCCESS, set_state(c, vbucket, state));
}

uint16_t touch(const struct client *c, uint8_t opcode, const char *key, uint32_t exptime,
               struct reply *reply) {
    unsigned char ext[4];
    store_be(ext, exptime, 4);
    const struct request request = {.opcode = opcode,
                                    .vbucket = c->vbucket,
                                    .ext = ext,
                                    .ext_length = sizeof ext,
                                    .key = key,
                                    .key_length = strlen(key)};
    struct reply local;
    struct reply *to = reply != NULL ? reply : &local;
    send_request(c, &request, to);
    return to->status;
}

/* ---- statistics ---- */

static void collect_stat(const char *key, const uint16_t klen, const char *val, const uint32_t vlen,
                         const void *cookie) {
    (void)cookie;
    struct stat_search *s = stat_target;
    CHECK_MSG(s != NULL, "a statistic outside get_stats: %.*s", (int)klen, key);
    s->seen++;
    if (s->name != NULL && strlen(s->name) == klen && memcmp(s->name, key, klen) == 0) {
        const size_t copied = vlen < s->room - 1 ? vlen : s->room - 1;
        memcpy(s->out, val, copied);
        s->out[copied] = '\0';
        s->found = true;
    }
}

static ENGINE_ERROR_CODE search_stats(const struct client *c, const char *group,
                                      struct stat_search *search) {
    stat_target = search;
    /* Not NUL-terminated, as from the binary protocol. */
    const size_t length = group != NULL ? strlen(group) : 0;
    char *copy = NULL;
    if (group != NULL) {
        copy = malloc(length == 0 ? 1 : length);
        CHECK(copy != NULL);
        memcpy(copy, group, length);
    }
    const ENGINE_ERROR_CODE code =
        c->v1->get_stats(c->h, c->cookie, copy, (int)length, collect_stat);
    free(copy);
    stat_target = NULL;
    return code;
}

bool stat_text(const struct client *c, const char *group, const char *name, char *out,
               size_t room) {
    struct stat_search search = {.name = name, .out = out, .room = room};
    out[0] = '\0';
    return search_stats(c, group, &search) == ENGINE_SUCCESS && search.found;
}

uint64_t stat_number(const struct client *c, const char *group, const char *name,
                     uint64_t fallback) {
    char text[64];
    if (!stat_text(c, group, name, text, sizeof text) || text[0] < '0' || text[0] > '9') {
        return fallback;
    }
    return strtoull(text, NULL, 10);
}

bool stat_is(const struct client *c, const char *group, const char *name, const char *text) {
    char have[256];
    return stat_text(c, group, name, have, sizeof have) && strcmp(have, text) == 0;
}

size_t stat_count(const struct client *c, const char *group, ENGINE_ERROR_CODE *code) {
    struct stat_search search = {.name = NULL};
    const ENGINE_ERROR_CODE result = search_stats(c, group, &search);
    if (code != NULL) {
        *code = result;
    }
    return search.seen;
}

/* ---- waiting ---- */

void sleep_ms(unsigned milliseconds) {
    struct timespec left = {.tv_sec = milliseconds / 1000,
                            .tv_nsec = (long)(milliseconds % 1000) * 1000000L};
    while (nanosleep(&left, &left) != 0) {
    }
}

uint64_t now_ms(void) {
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000U + (uint64_t)now.tv_nsec / 1000000U;
}

void must_drain(const struct client *c) {
    const uint64_t deadline = now_ms() + 60000;
    for (;;) {
        const uint64_t waiting = stat_number(c, NULL, "ep_queue_size", 0);
        const uint64_t taken = stat_number(c, NULL, "ep_flusher_todo", 0);
        if (waiting == 0 && taken == 0) {
            return;
        }
        CHECK_MSG(now_ms() < deadline,
                  "not drained in a minute: ep_queue_size %" PRIu64 ", ep_flusher_todo %" PRIu64,
                  waiting, taken);
        sleep_ms(2);
    }
}

void restart(struct client *c) {
    const void *old = c->cookie;
    suite()->harness.reload_engine(&c->h, &c->v1, suite()->harness.engine_path, test_cfg(), true,
                                   false);
    CHECK(c->h != NULL && c->v1 != NULL);
    /* A restarted engine knows no connection of its predecessor. */
    c->cookie = suite()->harness.create_cookie();
    suite()->harness.destroy_cookie(old);
}

/* ---- ranges of keys ---- */

void key_name(char *out, size_t room, const char *prefix, unsigned n) {
    (void)snprintf(out, room, "%s%06u", prefix, n);
}

void value_text(char *out, size_t room, unsigned n, unsigned round) {
    (void)snprintf(out, room, "value %u of round %u", n, round);
}

void must_set_range(const struct client *c, const char *prefix, unsigned from, unsigned to,
                    unsigned round) {
    char key[64];
    char value[64];
    for (unsigned n = from; n < to; n++) {
        key_name(key, sizeof key, prefix, n);
        value_text(value, sizeof value, n, round);
        must_set(c, key, value);
    }
}

void must_hold_range(const struct client *c, const char *prefix, unsigned from, unsigned to,
                     unsigned round) {
    char key[64];
    char value[64];
    for (unsigned n = from; n < to; n++) {
        key_name(key, sizeof key, prefix, n);
        value_text(value, sizeof value, n, round);
        must_hold(c, key, value);
    }
}

void must_miss_range(const struct client *c, const char *prefix, unsigned from, unsigned to) {
    char key[64];
    for (unsigned n = from; n < to; n++) {
        key_name(key, sizeof key, prefix, n);
        must_miss(c, key);
    }
}

void must_remove_range(const struct client *c, const char *prefix, unsigned from, unsigned to) {
    char key[64];
    for (unsigned n = from; n < to; n++) {
        key_name(key, sizeof key, prefix, n);
        must_remove(c, key);
    }
}

/* ---- threads ---- */

struct background {
    pthread_t thread;
    pthread_mutex_t lock;
    void (*body)(void *);
    void *argument;
    bool done;
};

static void *background_main(void *argument) {
    struct background *b = argument;
    b->body(b->argument);
    CHECK(pthread_mutex_lock(&b->lock) == 0);
    b->done = true;
    CHECK(pthread_mutex_unlock(&b->lock) == 0);
    return NULL;
}

struct background *background_start(void (*body)(void *), void *argument) {
    struct background *b = calloc(1, sizeof *b);
    CHECK(b != NULL);
    b->body = body;
    b->argument = argument;
    CHECK(pthread_mutex_init(&b->lock, NULL) == 0);
    CHECK(pthread_create(&b->thread, NULL, background_main, b) == 0);
    return b;
}

bool background_done(struct background *thread) {
    CHECK(pthread_mutex_lock(&thread->lock) == 0);
    const bool done = thread->done;
    CHECK(pthread_mutex_unlock(&thread->lock) == 0);
    return done;
}

void background_join(struct background *thread, unsigned seconds) {
    const uint64_t deadline = now_ms() + (uint64_t)seconds * 1000U;
    while (!background_done(thread)) {
        CHECK_MSG(now_ms() < deadline, "a thread still waits after %u s", seconds);
        sleep_ms(1);
    }
    CHECK(pthread_join(thread->thread, NULL) == 0);
    CHECK(pthread_mutex_destroy(&thread->lock) == 0);
    free(thread);
}
