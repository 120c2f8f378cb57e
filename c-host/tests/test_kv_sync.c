/* SYNC over the protocol: its shapes, and what a node without a store answers. */
#include "support.h"

#include <arpa/inet.h>

enum { OPTION_REPLICA = 0x10, OPTION_PERSISTENCE = 0x08, OPTION_MUTATION = 0x04 };
enum { EVENT_PERSISTED = 1, EVENT_NO_KEY = 5, EVENT_OTHER_CAS = 6 };

/* A request under construction. */
struct body {
    size_t length;
    unsigned char bytes[512];
};

static void put_bytes(struct body *b, const void *bytes, size_t length) {
    CHECK(b->length + length <= sizeof(b->bytes));
    memcpy(b->bytes + b->length, bytes, length);
    b->length += length;
}

static void put_number(struct body *b, uint64_t number, size_t length) {
    for (size_t i = length; i > 0; i--) {
        const unsigned char byte = (unsigned char)(number >> (8 * (i - 1)));
        put_bytes(b, &byte, 1);
    }
}

static void put_key(struct body *b, uint64_t cas, uint16_t vbucket, const char *key) {
    put_number(b, cas, 8);
    put_number(b, vbucket, 2);
    put_number(b, strlen(key), 2);
    put_bytes(b, key, strlen(key));
}

static struct body begin(uint32_t options, uint16_t keys) {
    struct body b = {.length = 0};
    put_number(&b, options, 4);
    put_number(&b, keys, 2);
    return b;
}

static uint16_t send_sync(const struct client *c, const struct body *b, struct reply *r) {
    const struct request q = {
        .opcode = OP_SYNC, .vbucket = c->vbucket, .body = b->bytes, .body_length = b->length};
    send_request(c, &q, r);
    CHECK_UINT(1, r->count);
    CHECK_UINT(0, r->ext_length);
    return r->status;
}

/* One key of an answer; returns the bytes that it takes. */
static size_t must_tell(const char *at, uint64_t cas, uint16_t vbucket, uint8_t event,
                        const char *key) {
    struct body b = {.length = 0};
    put_number(&b, cas, 8);
    put_number(&b, vbucket, 2);
    put_number(&b, strlen(key), 2);
    put_number(&b, event, 1);
    put_bytes(&b, key, strlen(key));
    CHECK(memcmp(at, b.bytes, b.length) == 0);
    return b.length;
}

TEST(sync_waits_until_a_key_is_durable) {
    struct client c = client_new(h, h1);
    struct reply r;
    uint64_t cas = 0;
    const struct put p = {.operation = OPERATION_SET, .key = "k", .bytes = "v", .length = 1};
    CHECK_INT(ENGINE_SUCCESS, put(&c, &p, &cas));
    struct body b = begin(OPTION_PERSISTENCE, 4);
    put_key(&b, 0, 0, "k");
    put_key(&b, 9, 0, "none");
    put_key(&b, cas + 1, 0, "k");
    put_key(&b, 0, 77, "k");
    CHECK_INT(ST_SUCCESS, send_sync(&c, &b, &r));
    CHECK(r.body[0] == 0 && r.body[1] == 4);
    size_t at = 2;
    at += must_tell(r.body + at, cas, 0, EVENT_PERSISTED, "k");
    at += must_tell(r.body + at, 9, 0, EVENT_NO_KEY, "none");
    at += must_tell(r.body + at, cas + 1, 0, EVENT_OTHER_CAS, "k");
    at += must_tell(r.body + at, 0, 77, EVENT_NO_KEY, "k");
    CHECK_UINT(at, r.body_length);
    client_free(&c);
    return SUCCESS;
}

TEST(sync_gives_up_in_time) {
    struct client c = client_new(h, h1);
    struct reply r;
    CHECK_INT(ST_SUCCESS, command(&c, OP_STOP_PERSISTENCE, &r));
    must_set(&c, "k", "v");
    struct body b = begin(OPTION_PERSISTENCE, 1);
    put_key(&b, 0, 0, "k");
    CHECK_INT(ST_ETMPFAIL, send_sync(&c, &b, &r));
    CHECK_UINT(0, r.body_length);
    b = begin(OPTION_REPLICA, 1);
    put_key(&b, 0, 0, "k");
    CHECK_INT(ST_ETMPFAIL, send_sync(&c, &b, &r));
    b = begin(OPTION_MUTATION, 1);
    put_key(&b, 0, 0, "k");
    CHECK_INT(ST_ETMPFAIL, send_sync(&c, &b, &r));
    CHECK_INT(ST_SUCCESS, command(&c, OP_START_PERSISTENCE, &r));
    client_free(&c);
    return SUCCESS;
}

TEST(sync_for_persistence_needs_a_store) {
    struct client c = client_new(h, h1);
    struct reply r;
    must_set(&c, "k", "v");
    struct body b = begin(OPTION_PERSISTENCE | OPTION_REPLICA, 1);
    put_key(&b, 0, 0, "k");
    CHECK_INT(ST_NOT_SUPPORTED, send_sync(&c, &b, &r));
    CHECK_STR("SYNC for persistence is not supported.", r.body);
    client_free(&c);
    return SUCCESS;
}

TEST(sync_refuses_bad_flags_and_malformed_requests) {
    struct client c = client_new(h, h1);
    struct reply r;
    must_set(&c, "k", "v");
    static const uint32_t bad[] = {0, 0x01, 0x02, 0x100, 0x0c, 0x14, 0x1e};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct body b = begin(bad[i], 1);
        put_key(&b, 0, 0, "k");
        CHECK_INT(ST_EINVAL, send_sync(&c, &b, &r));
        CHECK_UINT(0, r.body_length);
    }
    struct body b = begin(OPTION_MUTATION, 1);
    put_key(&b, 0, 0, "none");
    const size_t whole = b.length;
    CHECK_INT(ST_SUCCESS, send_sync(&c, &b, &r));
    for (b.length = 0; b.length < whole; b.length++) {
        CHECK_INT(ST_EINVAL, send_sync(&c, &b, &r));
        CHECK(r.body_length > 0);
    }
    b.length = whole + 1;
    CHECK_INT(ST_EINVAL, send_sync(&c, &b, &r));
    b = begin(OPTION_MUTATION, 1);
    put_key(&b, 0, 0, "");
    CHECK_INT(ST_EINVAL, send_sync(&c, &b, &r));
    b = begin(OPTION_MUTATION, 0xffff);
    CHECK_INT(ST_EINVAL, send_sync(&c, &b, &r));
    client_free(&c);
    return SUCCESS;
}
