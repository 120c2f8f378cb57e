/* GET_LOCKED, UNLOCK_KEY and EVICT_KEY over the protocol. */
#include "support.h"

#include <arpa/inet.h>

static uint16_t key_command(const struct client *c, uint8_t opcode, const char *key, uint64_t cas,
                            struct reply *r) {
    const struct request q = {
        .opcode = opcode, .vbucket = c->vbucket, .cas = cas, .key = key, .key_length = strlen(key)};
    send_request(c, &q, r);
    return r->status;
}

static uint16_t lock(const struct client *c, const char *key, uint32_t seconds, struct reply *r) {
    const uint32_t wire = htonl(seconds);
    const struct request q = {.opcode = OP_GET_LOCKED,
                              .vbucket = c->vbucket,
                              .ext = &wire,
                              .ext_length = sizeof(wire),
                              .key = key,
                              .key_length = strlen(key)};
    send_request(c, &q, r);
    return r->status;
}

static void must_say(const struct reply *r, uint16_t status, const char *text) {
    CHECK_INT(status, r->status);
    CHECK_STR(text, r->body);
    CHECK_UINT(1, r->count);
}

static ENGINE_ERROR_CODE set_with_cas(const struct client *c, const char *key, uint64_t cas) {
    const struct put p = {
        .operation = OPERATION_CAS, .key = key, .bytes = "owner", .length = 5, .cas = cas};
    return put(c, &p, NULL);
}

TEST(lock_answers_the_value_and_keeps_others_out) {
    struct client c = client_new(h, h1);
    struct reply r;
    struct value v;
    const struct put p = {
        .operation = OPERATION_SET, .key = "k", .bytes = "7", .length = 1, .flags = 0x01020304};
    CHECK_INT(ENGINE_SUCCESS, put(&c, &p, NULL));
    CHECK_INT(ST_SUCCESS, key_command(&c, OP_GET_LOCKED, "k", 0, &r));
    CHECK_STR("7", r.body);
    CHECK_UINT(4, r.ext_length);
    const uint32_t flags = 0x01020304;
    CHECK(memcmp(&flags, r.ext, sizeof(flags)) == 0);
    const uint64_t cas = r.cas;
    CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "k", &v));
    CHECK_UINT(UINT64_MAX, v.cas);
    CHECK_INT(ENGINE_KEY_EEXISTS, set(&c, "k", "x"));
    CHECK_INT(ENGINE_KEY_EEXISTS, set_with_cas(&c, "k", cas + 1));
    CHECK_INT(ENGINE_NOT_STORED, store_op(&c, OPERATION_ADD, "k", "x"));
    CHECK_INT(ENGINE_TMPFAIL, store_op(&c, OPERATION_APPEND, "k", "x"));
    CHECK_INT(ENGINE_TMPFAIL, arith(&c, "k", true, 1, 0, UINT32_MAX, NULL));
    CHECK_INT(ENGINE_TMPFAIL, remove_key(&c, "k", 0));
    CHECK_INT(ST_ETMPFAIL, lock(&c, "k", 5, &r));
    must_say(&r, ST_ETMPFAIL, "LOCK_ERROR");
    CHECK_INT(ST_SUCCESS, touch(&c, OP_GAT, "k", 1000, &r));
    CHECK_UINT(UINT64_MAX, r.cas);
    must_hold(&c, "k", "7");
    CHECK_INT(ENGINE_SUCCESS, set_with_cas(&c, "k", cas));
    must_hold(&c, "k", "owner");
    must_set(&c, "k", "free");
    client_free(&c);
    return SUCCESS;
}

static ENGINE_ERROR_CODE put_with(const struct client *c, ENGINE_STORE_OPERATION operation,
                                  uint64_t cas) {
    const struct put p = {
        .operation = operation, .key = "k", .bytes = "+", .length = 1, .cas = cas};
    return put(c, &p, NULL);
}

TEST(owner_of_a_lock_changes_the_key) {
    struct client c = client_new(h, h1);
    static const ENGINE_STORE_OPERATION operations[] = {OPERATION_APPEND, OPERATION_PREPEND};
    struct reply r;
    for (size_t i = 0; i < 2; i++) {
        must_set(&c, "k", "v");
        CHECK_INT(ST_SUCCESS, lock(&c, "k", 5, &r));
        CHECK_INT(ENGINE_KEY_EEXISTS, put_with(&c, operations[i], r.cas + 1));
        CHECK_INT(ENGINE_TMPFAIL, put_with(&c, operations[i], 0));
        CHECK_INT(ENGINE_SUCCESS, put_with(&c, operations[i], r.cas));
        must_hold(&c, "k", i == 0 ? "v+" : "+v");
        must_set(&c, "k", "free");
    }
    CHECK_INT(ST_SUCCESS, lock(&c, "k", 5, &r));
    CHECK_INT(ENGINE_KEY_EEXISTS, remove_key(&c, "k", r.cas + 1));
    CHECK_INT(ENGINE_SUCCESS, remove_key(&c, "k", r.cas));
    must_miss(&c, "k");
    must_set(&c, "k", "free");
    client_free(&c);
    return SUCCESS;
}

/* As some clients send it: the seconds and a reserved word. */
TEST(lock_takes_the_first_four_of_eight_bytes) {
    struct client c = client_new(h, h1);
    static const uint32_t words[] = {5, UINT32_MAX};
    const uint32_t extras[] = {htonl(words[0]), words[1]};
    struct request q = {.opcode = OP_GET_LOCKED,
                        .vbucket = c.vbucket,
                        .ext = extras,
                        .ext_length = sizeof(extras),
                        .key = "k",
                        .key_length = 1};
    struct reply r;
    must_set(&c, "k", "v");
    send_request(&c, &q, &r);
    CHECK_INT(ST_SUCCESS, r.status);
    suite()->harness.time_travel(4);
    CHECK_INT(ENGINE_KEY_EEXISTS, set(&c, "k", "x"));
    suite()->harness.time_travel(3);
    must_set(&c, "k", "x");
    client_free(&c);
    return SUCCESS;
}

/* What clients of the time sent beside the key changes nothing. */
TEST(key_commands_look_at_the_key_alone) {
    struct client c = client_new(h, h1);
    struct reply r;
    for (size_t length = 0; length <= 12; length++) {
        struct request q = {.opcode = OP_GET_LOCKED,
                            .vbucket = c.vbucket,
                            .ext = "\0\0\0\5time",
                            .ext_length = length < 8 ? length : 8,
                            .key = "k",
                            .key_length = 1,
                            .body = "body",
                            .body_length = length % 5};
        must_set(&c, "k", "v");
        send_request(&c, &q, &r);
        CHECK_INT(ST_SUCCESS, r.status);
        CHECK_STR("v", r.body);
        q.opcode = OP_EVICT_KEY;
        send_request(&c, &q, &r);
        CHECK_INT(ST_SUCCESS, r.status);
        q.opcode = OP_UNLOCK_KEY;
        q.cas = 1;
        send_request(&c, &q, &r);
        must_say(&r, ST_ETMPFAIL, "UNLOCK_ERROR");
        suite()->harness.time_travel(20);
    }
    client_free(&c);
    return SUCCESS;
}

TEST(unlock_takes_the_cas_of_the_lock) {
    struct client c = client_new(h, h1);
    struct reply r;
    (void)key_command(&c, OP_UNLOCK_KEY, "k", 1, &r);
    must_say(&r, ST_KEY_ENOENT, "NOT_FOUND");
    (void)lock(&c, "k", 5, &r);
    must_say(&r, ST_KEY_ENOENT, "NOT_FOUND");
    must_set(&c, "k", "v");
    (void)key_command(&c, OP_UNLOCK_KEY, "k", 1, &r);
    must_say(&r, ST_ETMPFAIL, "UNLOCK_ERROR");
    CHECK_INT(ST_SUCCESS, lock(&c, "k", 5, &r));
    const uint64_t cas = r.cas;
    (void)key_command(&c, OP_UNLOCK_KEY, "k", cas + 1, &r);
    must_say(&r, ST_ETMPFAIL, "UNLOCK_ERROR");
    (void)key_command(&c, OP_UNLOCK_KEY, "k", cas, &r);
    must_say(&r, ST_SUCCESS, "UNLOCKED");
    must_set(&c, "k", "free");
    /* As clients of ep-engine had to send it. */
    CHECK_INT(ST_SUCCESS, lock(&c, "k", 5, &r));
    (void)key_command(&c, OP_UNLOCK_KEY, "k", __builtin_bswap64(r.cas), &r);
    must_say(&r, ST_SUCCESS, "UNLOCKED");
    client_free(&c);
    return SUCCESS;
}

TEST(lock_runs_out) {
    struct client c = client_new(h, h1);
    struct reply r;
    must_set(&c, "k", "v");
    CHECK_INT(ST_SUCCESS, lock(&c, "k", 5, &r));
    suite()->harness.time_travel(4);
    CHECK_INT(ENGINE_KEY_EEXISTS, set(&c, "k", "x"));
    suite()->harness.time_travel(3);
    must_set(&c, "k", "x");
    client_free(&c);
    return SUCCESS;
}

TEST(lock_is_for_active_vbuckets) {
    struct client c = client_new(h, h1);
    static const uint32_t states[] = {VB_REPLICA, VB_PENDING, VB_DEAD};
    struct reply r;
    for (size_t i = 0; i < 3; i++) {
        must_state(&c, 0, states[i]);
        (void)lock(&c, "k", 5, &r);
        must_say(&r, ST_ETMPFAIL, "LOCK_ERROR");
        (void)key_command(&c, OP_UNLOCK_KEY, "k", 1, &r);
        must_say(&r, ST_KEY_ENOENT, "NOT_FOUND");
        (void)key_command(&c, OP_EVICT_KEY, "k", 0, &r);
        must_say(&r, ST_NOT_MY_VBUCKET, "");
    }
    client_free(&c);
    return SUCCESS;
}

TEST(key_commands_refuse_malformed_requests) {
    struct client c = client_new(h, h1);
    static const uint8_t opcodes[] = {OP_GET_LOCKED, OP_UNLOCK_KEY, OP_EVICT_KEY};
    struct reply r;
    char key[256];
    must_set(&c, "k", "v");
    for (size_t i = 0; i < 3; i++) {
        struct request q = {.opcode = opcodes[i]};
        send_request(&c, &q, &r);
        CHECK_INT(ST_EINVAL, r.status);
        CHECK(r.body_length > 0);
        memset(key, 'k', sizeof(key));
        q.key = key;
        q.key_length = sizeof(key);
        send_request(&c, &q, &r);
        must_say(&r, ST_EINVAL, "Key is too large.");
    }
    must_set(&c, "k", "not locked");
    client_free(&c);
    return SUCCESS;
}

TEST(evict_takes_small_values_out_too) {
    struct client c = client_new(h, h1);
    static const char *const values[] = {"", "v", "12345678"};
    struct reply r;
    for (size_t i = 0; i < 3; i++) {
        must_set(&c, "k", values[i]);
        must_drain(&c);
        (void)key_command(&c, OP_EVICT_KEY, "k", 0, &r);
        must_say(&r, ST_SUCCESS, "Ejected.");
        must_hold(&c, "k", values[i]);
    }
    client_free(&c);
    return SUCCESS;
}

TEST(evict_takes_a_durable_value_out_and_a_read_brings_it_back) {
    struct client c = client_new(h, h1);
    struct reply r;
    static const char text[] = "a value that is worth evicting";
    (void)key_command(&c, OP_EVICT_KEY, "k", 0, &r);
    must_say(&r, ST_KEY_ENOENT, "Not found.");
    CHECK_INT(ST_SUCCESS, command(&c, OP_STOP_PERSISTENCE, &r));
    must_set(&c, "k", text);
    (void)key_command(&c, OP_EVICT_KEY, "k", 0, &r);
    must_say(&r, ST_SUCCESS, "Can't eject: Dirty or a small object.");
    CHECK_INT(ST_SUCCESS, command(&c, OP_START_PERSISTENCE, &r));
    must_drain(&c);
    (void)key_command(&c, OP_EVICT_KEY, "k", 0, &r);
    must_say(&r, ST_SUCCESS, "Ejected.");
    (void)key_command(&c, OP_EVICT_KEY, "k", 0, &r);
    must_say(&r, ST_SUCCESS, "Already ejected.");
    CHECK_INT(ST_SUCCESS, lock(&c, "k", 1, &r));
    CHECK_STR(text, r.body);
    must_hold(&c, "k", text);
    CHECK_UINT(1, stat_number(&c, NULL, "ep_bg_fetched", 0));
    client_free(&c);
    return SUCCESS;
}
