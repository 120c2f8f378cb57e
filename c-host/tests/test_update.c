/* Online update: what START, COMPLETE and REVERT answer and what they do to keys. */
#include "operator.h"

TEST(commands_outside_a_window_are_refused) {
    struct client c = client_new(h, h1);
    must_refuse_update(&c, OP_UPDATE_COMPLETE);
    must_refuse_update(&c, OP_UPDATE_REVERT);
    must_set(&c, "k", "v");
    must_refuse_update(&c, OP_UPDATE_REVERT);
    must_hold(&c, "k", "v");
    client_free(&c);
    return SUCCESS;
}

TEST(second_start_is_refused) {
    struct client c = client_new(h, h1);
    must_set(&c, "k", "before");
    must_start(&c);
    must_set(&c, "k", "window");
    must_refuse_update(&c, OP_UPDATE_START);
    must_hold(&c, "k", "window");
    must_revert(&c);
    must_hold(&c, "k", "before");
    client_free(&c);
    return SUCCESS;
}

TEST(window_ends_once) {
    struct client c = client_new(h, h1);
    must_start(&c);
    must_complete(&c);
    must_refuse_update(&c, OP_UPDATE_COMPLETE);
    must_refuse_update(&c, OP_UPDATE_REVERT);
    must_start(&c);
    must_revert(&c);
    must_refuse_update(&c, OP_UPDATE_REVERT);
    must_refuse_update(&c, OP_UPDATE_COMPLETE);
    client_free(&c);
    return SUCCESS;
}

TEST(errors_say_what_is_wrong) {
    struct client c = client_new(h, h1);
    struct reply first;
    struct reply second;
    CHECK_INT(ST_NOT_SUPPORTED, command(&c, OP_UPDATE_REVERT, &first));
    must_start(&c);
    CHECK_INT(ST_NOT_SUPPORTED, command(&c, OP_UPDATE_START, &second));
    must_complete(&c);
    /* A sentence, not a code: and not the same one for opposite mistakes. */
    CHECK(strchr(first.body, ' ') != NULL && strchr(second.body, ' ') != NULL);
    CHECK(strcmp(first.body, second.body) != 0);
    client_free(&c);
    return SUCCESS;
}

static void must_be_malformed(const struct client *c, const struct request *q) {
    struct reply r;
    send_request(c, q, &r);
    CHECK_UINT(1, r.count);
    CHECK_MSG(r.status == ST_EINVAL, "opcode 0x%x: status 0x%x %s", (unsigned)q->opcode,
              (unsigned)r.status, r.body);
    CHECK_NE(0, r.body_length);
}

static void send_malformed(const struct client *c) {
    static const uint8_t opcodes[] = {OP_UPDATE_START, OP_UPDATE_COMPLETE, OP_UPDATE_REVERT};
    for (size_t i = 0; i < 3; i++) {
        const struct request key = {.opcode = opcodes[i], .key = "k", .key_length = 1};
        const struct request ext = {.opcode = opcodes[i], .ext = "\0\0\0", .ext_length = 3};
        const struct request body = {.opcode = opcodes[i], .body = "x", .body_length = 1};
        must_be_malformed(c, &key);
        must_be_malformed(c, &ext);
        must_be_malformed(c, &body);
        /* Lengths that contradict each other: the body length says there is nothing. */
        unsigned char lie[64] = {0x80, opcodes[i], 0, 20};
        struct reply r;
        CHECK_INT(ENGINE_SUCCESS, send_raw(c, lie, &r));
        CHECK_INT(ST_EINVAL, r.status);
        lie[3] = 0;
        lie[4] = 8;
        CHECK_INT(ENGINE_SUCCESS, send_raw(c, lie, &r));
        CHECK_INT(ST_EINVAL, r.status);
    }
}

TEST(malformed_commands_are_refused) {
    struct client c = client_new(h, h1);
    must_set(&c, "k", "before");
    send_malformed(&c);
    must_refuse_update(&c, OP_UPDATE_REVERT); /* nothing was opened */
    must_start(&c);
    must_set(&c, "k", "window");
    send_malformed(&c);
    must_hold(&c, "k", "window"); /* nothing was closed */
    must_revert(&c);
    must_hold(&c, "k", "before");
    client_free(&c);
    return SUCCESS;
}

/* ---- REVERT, key by key ---- */

enum {
    KEYS = 2000
};

TEST(revert_restores_overwritten_keys) {
    struct client c = client_new(h, h1);
    must_set_range(&c, "key", 0, KEYS, 1);
    must_drain(&c);
    must_start(&c);
    must_set_range(&c, "key", 0, KEYS / 2, 2);
    must_hold_range(&c, "key", 0, KEYS / 2, 2);
    must_hold_range(&c, "key", KEYS / 2, KEYS, 1);
    must_revert(&c);
    must_hold_range(&c, "key", 0, KEYS, 1);
    client_free(&c);
    return SUCCESS;
}

TEST(revert_removes_added_keys) {
    struct client c = client_new(h, h1);
    must_set_range(&c, "old", 0, 100, 1);
    must_drain(&c);
    const uint64_t items = stat_number(&c, NULL, "curr_items", 0);
    must_start(&c);
    must_set_range(&c, "new", 0, KEYS, 1);
    must_revert(&c);
    must_miss_range(&c, "new", 0, KEYS);
    must_hold_range(&c, "old", 0, 100, 1);
    CHECK_UINT(items, stat_number(&c, NULL, "curr_items", 0));
    /* Absent means absent for every operation, not a phantom. */
    CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_ADD, "new000001", "x"));
    CHECK_INT(ENGINE_NOT_STORED, store_op(&c, OPERATION_REPLACE, "new000002", "x"));
    CHECK_INT(ENGINE_KEY_ENOENT, remove_key(&c, "new000003", 0));
    client_free(&c);
    return SUCCESS;
}

TEST(revert_brings_deleted_keys_back) {
    struct client c = client_new(h, h1);
    must_set_range(&c, "key", 0, KEYS, 1);
    must_drain(&c);
    const uint64_t items = stat_number(&c, NULL, "curr_items", 0);
    must_start(&c);
    must_remove_range(&c, "key", 0, KEYS);
    must_miss_range(&c, "key", 0, KEYS);
    must_revert(&c);
    must_hold_range(&c, "key", 0, KEYS, 1);
    CHECK_UINT(items, stat_number(&c, NULL, "curr_items", 0));
    CHECK_INT(ENGINE_NOT_STORED, store_op(&c, OPERATION_ADD, "key000001", "x"));
    client_free(&c);
    return SUCCESS;
}

TEST(revert_undoes_added_then_deleted) {
    struct client c = client_new(h, h1);
    must_set(&c, "other", "v");
    must_drain(&c);
    const uint64_t items = stat_number(&c, NULL, "curr_items", 0);
    must_start(&c);
    must_set_range(&c, "key", 0, 100, 1);
    must_remove_range(&c, "key", 0, 100);
    must_revert(&c);
    must_miss_range(&c, "key", 0, 100);
    CHECK_UINT(items, stat_number(&c, NULL, "curr_items", 0));
    CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_ADD, "key000001", "fresh"));
    must_hold(&c, "key000001", "fresh");
    client_free(&c);
    return SUCCESS;
}

TEST(revert_undoes_deleted_then_added) {
    struct client c = client_new(h, h1);
    must_set_range(&c, "key", 0, 300, 1);
    must_drain(&c);
    must_start(&c);
    must_remove_range(&c, "key", 0, 300);
    must_set_range(&c, "key", 0, 100, 2);
    for (unsigned n = 100; n < 200; n++) {
        char key[32];
        key_name(key, sizeof key, "key", n);
        CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_ADD, key, "added"));
    }
    for (unsigned n = 200; n < 300; n++) {
        char key[32];
        key_name(key, sizeof key, "key", n);
        CHECK_INT(ENGINE_SUCCESS, arith(&c, key, true, 1, 5, 0, NULL));
    }
    must_revert(&c);
    must_hold_range(&c, "key", 0, 300, 1);
    client_free(&c);
    return SUCCESS;
}

TEST(revert_restores_flags_expiry_and_cas) {
    struct client c = client_new(h, h1);
    struct value before;
    struct value after;
    struct put p = {.operation = OPERATION_SET,
                    .key = "k",
                    .bytes = "old",
                    .length = 3,
                    .flags = 0x11223344,
                    .exptime = 1000};
    CHECK_INT(ENGINE_SUCCESS, put(&c, &p, NULL));
    must_drain(&c);
    CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "k", &before));
    must_start(&c);
    p.bytes = "new";
    p.flags = 9;
    p.exptime = 50;
    CHECK_INT(ENGINE_SUCCESS, put(&c, &p, NULL));
    must_revert(&c);
    CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "k", &after));
    CHECK_BYTES("old", 3, after.bytes, after.length);
    CHECK_UINT(before.flags, after.flags);
    CHECK_UINT(before.exptime, after.exptime);
    CHECK_UINT(before.cas, after.cas);
    p.operation = OPERATION_CAS;
    p.cas = before.cas;
    CHECK_INT(ENGINE_SUCCESS, put(&c, &p, NULL));
    client_free(&c);
    return SUCCESS;
}

TEST(revert_undoes_incr_and_append) {
    struct client c = client_new(h, h1);
    uint64_t n = 0;
    must_set(&c, "n", "41");
    must_set(&c, "text", "middle");
    must_drain(&c);
    must_start(&c);
    CHECK_INT(ENGINE_SUCCESS, arith(&c, "n", true, 1, 0, UINT32_MAX, &n));
    CHECK_UINT(42, n);
    CHECK_INT(ENGINE_SUCCESS, arith(&c, "fresh", true, 1, 7, 0, NULL));
    CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_APPEND, "text", "-end"));
    CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_PREPEND, "text", "start-"));
    must_hold(&c, "text", "start-middle-end");
    must_revert(&c);
    must_hold(&c, "text", "middle");
    must_miss(&c, "fresh");
    CHECK_INT(ENGINE_SUCCESS, arith(&c, "n", true, 1, 0, UINT32_MAX, &n));
    CHECK_UINT(42, n);
    client_free(&c);
    return SUCCESS;
}

TEST(revert_undoes_touch) {
    struct client c = client_new(h, h1);
    struct value before;
    struct value after;
    must_set(&c, "k", "v");
    must_set(&c, "g", "v");
    must_drain(&c);
    CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "k", &before));
    must_start(&c);
    CHECK_INT(ST_SUCCESS, touch(&c, OP_TOUCH, "k", 10, NULL));
    CHECK_INT(ST_SUCCESS, touch(&c, OP_GAT, "g", 10, NULL));
    must_revert(&c);
    CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "k", &after));
    CHECK_UINT(before.exptime, after.exptime);
    suite()->harness.time_travel(100);
    must_hold(&c, "k", "v");
    must_hold(&c, "g", "v");
    client_free(&c);
    return SUCCESS;
}

TEST(revert_undoes_flush_all) {
    struct client c = client_new(h, h1);
    suite()->harness.time_travel(5);
    must_set_range(&c, "key", 0, KEYS, 1);
    must_drain(&c);
    must_start(&c);
    must_set_range(&c, "key", 0, 100, 2);
    must_set_range(&c, "new", 0, 100, 2);
    CHECK_INT(ENGINE_SUCCESS, h1->flush(h, c.cookie, 0));
    must_miss_range(&c, "key", 0, KEYS);
    must_set_range(&c, "key", 50, 60, 3);
    must_revert(&c);
    must_hold_range(&c, "key", 0, KEYS, 1);
    must_miss_range(&c, "new", 0, 100);
    client_free(&c);
    return SUCCESS;
}

TEST(revert_undoes_many_writes_of_one_key) {
    struct client c = client_new(h, h1);
    must_set(&c, "k", "before");
    must_drain(&c);
    must_start(&c);
    for (unsigned i = 0; i < 20000; i++) {
        must_set_range(&c, "hot", 0, 1, i);
        must_set(&c, "k", "window");
    }
    CHECK_LE(stat_number(&c, NULL, "ep_queue_size", 0), 100);
    must_revert(&c);
    must_hold(&c, "k", "before");
    must_miss(&c, "hot000000");
    client_free(&c);
    return SUCCESS;
}

TEST(revert_leaves_expired_keys_expired) {
    struct client c = client_new(h, h1);
    const struct put p = {
        .operation = OPERATION_SET, .key = "k", .bytes = "v", .length = 1, .exptime = 20};
    CHECK_INT(ENGINE_SUCCESS, put(&c, &p, NULL));
    must_drain(&c);
    must_start(&c);
    must_set(&c, "k", "window");
    suite()->harness.time_travel(60);
    must_hold(&c, "k", "window");
    must_revert(&c);
    must_miss(&c, "k");
    CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_ADD, "k", "new"));
    client_free(&c);
    return SUCCESS;
}

TEST(revert_survives_a_window_ttl) {
    struct client c = client_new(h, h1);
    const struct put p = {
        .operation = OPERATION_SET, .key = "k", .bytes = "w", .length = 1, .exptime = 5};
    must_set(&c, "k", "before");
    must_drain(&c);
    must_start(&c);
    CHECK_INT(ENGINE_SUCCESS, put(&c, &p, NULL));
    suite()->harness.time_travel(30);
    must_miss(&c, "k");
    must_revert(&c);
    must_hold(&c, "k", "before");
    suite()->harness.time_travel(30);
    must_hold(&c, "k", "before");
    client_free(&c);
    return SUCCESS;
}

TEST(revert_counts_by_kind) {
    struct client c = client_new(h, h1);
    must_set_range(&c, "key", 0, 30, 1);
    must_drain(&c);
    const uint64_t add = stat_number(&c, NULL, "ep_onlineupdate_revert_add", 0);
    const uint64_t delete = stat_number(&c, NULL, "ep_onlineupdate_revert_delete", 0);
    const uint64_t update = stat_number(&c, NULL, "ep_onlineupdate_revert_update", 0);
    must_start(&c);
    must_set_range(&c, "new", 0, 7, 1);
    must_remove_range(&c, "key", 0, 5);
    must_set_range(&c, "key", 10, 13, 2);
    must_set_range(&c, "key", 10, 13, 3);
    must_revert(&c);
    CHECK_UINT(add + 7, stat_number(&c, NULL, "ep_onlineupdate_revert_add", 0));
    CHECK_UINT(delete + 5, stat_number(&c, NULL, "ep_onlineupdate_revert_delete", 0));
    CHECK_UINT(update + 3, stat_number(&c, NULL, "ep_onlineupdate_revert_update", 0));
    client_free(&c);
    return SUCCESS;
}

TEST(empty_window_reverts_and_completes) {
    struct client c = client_new(h, h1);
    must_set(&c, "k", "v");
    for (int i = 0; i < 20; i++) {
        must_start(&c);
        must_hold(&c, "k", "v");
        if (i % 2 == 0) {
            must_revert(&c);
        } else {
            must_complete(&c);
        }
    }
    must_hold(&c, "k", "v");
    client_free(&c);
    return SUCCESS;
}

/* ---- COMPLETE ---- */

TEST(complete_keeps_the_window) {
    struct client c = client_new(h, h1);
    must_set_range(&c, "key", 0, KEYS, 1);
    must_start(&c);
    must_set_range(&c, "key", 0, KEYS / 2, 2);
    must_remove_range(&c, "key", KEYS / 2, KEYS / 2 + 100);
    must_set_range(&c, "new", 0, 100, 1);
    must_complete(&c);
    must_hold_range(&c, "key", 0, KEYS / 2, 2);
    must_miss_range(&c, "key", KEYS / 2, KEYS / 2 + 100);
    must_hold_range(&c, "key", KEYS / 2 + 100, KEYS, 1);
    must_hold_range(&c, "new", 0, 100, 1);
    must_refuse_update(&c, OP_UPDATE_REVERT);
    client_free(&c);
    return SUCCESS;
}

TEST(writes_after_complete_are_kept) {
    struct client c = client_new(h, h1);
    must_start(&c);
    must_set_range(&c, "key", 0, 100, 1);
    must_complete(&c);
    must_set_range(&c, "key", 50, 150, 2);
    must_drain(&c);
    must_hold_range(&c, "key", 0, 50, 1);
    must_hold_range(&c, "key", 50, 150, 2);
    client_free(&c);
    return SUCCESS;
}

TEST(writes_after_revert_are_kept) {
    struct client c = client_new(h, h1);
    must_set_range(&c, "key", 0, 100, 1);
    must_drain(&c);
    must_start(&c);
    must_set_range(&c, "key", 0, 100, 2);
    must_revert(&c);
    must_set_range(&c, "key", 50, 150, 3);
    must_drain(&c);
    must_hold_range(&c, "key", 0, 50, 1);
    must_hold_range(&c, "key", 50, 150, 3);
    client_free(&c);
    return SUCCESS;
}

TEST(windows_follow_each_other) {
    struct client c = client_new(h, h1);
    unsigned kept = 0;
    must_set_range(&c, "key", 0, 200, 0);
    for (unsigned round = 1; round <= 12; round++) {
        must_start(&c);
        must_set_range(&c, "key", 0, 200, round);
        must_remove_range(&c, "key", 100, 120);
        if (round % 3 == 0) {
            must_set_range(&c, "key", 100, 120, round);
            must_complete(&c);
            kept = round;
        } else {
            must_revert(&c);
        }
        must_hold_range(&c, "key", 0, 200, kept);
    }
    client_free(&c);
    return SUCCESS;
}
