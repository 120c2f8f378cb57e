/* Blocked connections: every wait ends with one notify, from a thread of the engine's own. */
#include "operator.h"

enum {
    OTHER = 7
};

/* A client whose blocked calls come back to the test instead of being waited for. */
static struct client blocking_client(const struct client *c) {
    struct client b = client_new(c->h, c->v1);
    suite()->harness.set_ewouldblock_handling(b.cookie, false);
    b.vbucket = OTHER;
    return b;
}

static void prepare(const struct client *c) {
    struct client there = *c;
    there.vbucket = OTHER;
    must_state(c, OTHER, VB_ACTIVE);
    must_set(&there, "k", "v");
    must_state(c, OTHER, VB_PENDING);
}

/* One notify, SUCCESS, not from inside a call; and no second one within a while. */
static void must_get_one_notify(const struct client *b, uint64_t seen) {
    const struct ch_ext *ext = suite()->ext;
    CHECK(ext->wait_notify(b->cookie, seen, 30000));
    sleep_ms(100);
    CHECK_UINT(seen + 1, ext->notify_count(b->cookie));
    CHECK_INT(ENGINE_SUCCESS, ext->notify_status(b->cookie));
    CHECK(!ext->notify_from_call(b->cookie));
}

TEST(notify_comes_once_with_success) {
    NEEDS_EXT();
    struct client c = client_new(h, h1);
    static const uint32_t ends[] = {VB_ACTIVE, VB_REPLICA, VB_DEAD};
    for (size_t i = 0; i < 3; i++) {
        struct client b = blocking_client(&c);
        prepare(&c);
        const uint64_t seen = suite()->ext->notify_count(b.cookie);
        CHECK_INT(ENGINE_EWOULDBLOCK, get_code(&b, "k"));
        must_state(&c, OTHER, ends[i]);
        must_get_one_notify(&b, seen);
        CHECK_INT(ends[i] == VB_ACTIVE ? ENGINE_SUCCESS : ENGINE_NOT_MY_VBUCKET, get_code(&b, "k"));
        client_free(&b);
    }
    client_free(&c);
    return SUCCESS;
}

TEST(operator_gets_one_notify) {
    NEEDS_EXT();
    struct client c = client_new(h, h1);
    static const uint8_t opcodes[] = {OP_UPDATE_COMPLETE, OP_UPDATE_REVERT};
    for (unsigned round = 0; round < 10; round++) {
        struct client b = blocking_client(&c);
        unsigned char packet[24] = {0x80, opcodes[round % 2]};
        struct reply r;
        must_start(&c);
        must_set_range(&c, "key", 0, 200, round);
        const uint64_t seen = suite()->ext->notify_count(b.cookie);
        const ENGINE_ERROR_CODE code = send_raw(&b, packet, &r);
        if (code == ENGINE_EWOULDBLOCK) {
            CHECK_UINT(0, r.count);
            must_get_one_notify(&b, seen);
            CHECK_INT(ENGINE_SUCCESS, send_raw(&b, packet, &r));
        } else {
            CHECK_INT(ENGINE_SUCCESS, code);
            CHECK_UINT(seen, suite()->ext->notify_count(b.cookie));
        }
        CHECK_UINT(1, r.count);
        CHECK_INT(ST_SUCCESS, r.status);
        /* The connection's next command is its own again, not the rest of the last one. */
        CHECK_INT(ENGINE_SUCCESS, send_raw(&b, packet, &r));
        CHECK_INT(ST_NOT_SUPPORTED, r.status);
        client_free(&b);
    }
    client_free(&c);
    return SUCCESS;
}

TEST(disconnect_may_come_often) {
    NEEDS_EXT();
    struct client c = client_new(h, h1);
    for (unsigned i = 0; i < 3; i++) {
        suite()->ext->disconnect(c.cookie);
        must_set(&c, "k", "v"); /* the address belongs to the next client at once */
        must_hold(&c, "k", "v");
        suite()->ext->disconnect(c.cookie);
        suite()->ext->disconnect(c.cookie);
    }
    client_free(&c);
    return SUCCESS;
}

TEST(disconnect_while_blocked_still_notifies) {
    NEEDS_EXT();
    struct client c = client_new(h, h1);
    struct client b = blocking_client(&c);
    prepare(&c);
    const uint64_t seen = suite()->ext->notify_count(b.cookie);
    CHECK_INT(ENGINE_EWOULDBLOCK, get_code(&b, "k"));
    must_state(&c, OTHER, VB_ACTIVE);
    must_get_one_notify(&b, seen);
    CHECK_INT(ENGINE_SUCCESS, get_code(&b, "k"));
    suite()->ext->disconnect(b.cookie);
    sleep_ms(20);
    CHECK_UINT(seen + 1, suite()->ext->notify_count(b.cookie));
    client_free(&b);
    client_free(&c);
    return SUCCESS;
}

TEST(release_may_follow_disconnect) {
    NEEDS_EXT();
    struct client c = client_new(h, h1);
    item *stored = NULL;
    item *fresh = NULL;
    must_set(&c, "k", "v");
    CHECK_INT(ENGINE_SUCCESS, h1->get(h, c.cookie, &stored, "k", 1, 0));
    CHECK_INT(ENGINE_SUCCESS, h1->allocate(h, c.cookie, &fresh, "x", 1, 10, 0, 0));
    suite()->ext->disconnect(c.cookie);
    must_remove(&c, "k");
    item_info info = {.nvalue = 1};
    CHECK(h1->get_item_info(h, c.cookie, stored, &info));
    CHECK_BYTES("v", 1, info.value[0].iov_base, info.value[0].iov_len);
    h1->release(h, c.cookie, stored);
    h1->release(h, c.cookie, fresh);
    must_miss(&c, "x");
    client_free(&c);
    return SUCCESS;
}
