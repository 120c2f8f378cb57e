/* Streams of the engine under test, and a second instance that follows one. */
#include <endian.h>

#include "operator.h"
#include "tap.h"

enum {
    MARK_START = 4,
    MARK_END = 5,
    MARK_REVERT = 6,
    ANNOUNCEMENT_BYTES = 12,
    KEYS = 200
};

/* Not for engines without TAP, nor for the stub, whose streams play scripts. */
#define NEEDS_TAP()                                                                                \
    do {                                                                                           \
        if (h1->get_tap_iterator == NULL ||                                                        \
            strcmp(h1->get_info(h)->description, "null engine") == 0) {                            \
            return SKIPPED;                                                                        \
        }                                                                                          \
    } while (0)

static void must_open(const struct client *c, const char *name, struct tap *tap) {
    CHECK_MSG(tap_open(c, name, 0, tap), "%s: no stream", name);
}

static bool is_key(const struct tap_message *m, const char *key) {
    return m->nkey == strlen(key) && memcmp(m->key, key, m->nkey) == 0;
}

/* Skips and acknowledges until a change of this key comes. */
static void must_reach_key(const struct tap *tap, const char *key, struct tap_message *m) {
    do {
        must_next(tap, m);
        CHECK_NE(TAP_DISCONNECT, m->event);
        if (!is_key(m, key)) {
            tap_ack(tap, m);
        }
    } while (!is_key(m, key));
}

TEST(stream_brings_stores_and_deletes) {
    NEEDS_TAP();
    struct client c = client_new(h, h1);
    struct tap tap;
    struct tap_message m;
    must_set(&c, "before", "old");
    must_open(&c, "reader", &tap);
    must_reach_key(&tap, "before", &m);
    CHECK_INT(TAP_MUTATION, m.event);
    CHECK_STR("old", m.value.bytes);
    tap_ack(&tap, &m);
    must_set(&c, "after", "new");
    must_reach_key(&tap, "after", &m);
    CHECK_STR("new", m.value.bytes);
    tap_ack(&tap, &m);
    must_remove(&c, "before");
    must_reach_key(&tap, "before", &m);
    CHECK_INT(TAP_DELETION, m.event);
    tap_close(&tap);
    client_free(&c);
    return SUCCESS;
}

TEST(store_wakes_an_idle_stream) {
    NEEDS_TAP();
    NEEDS_EXT();
    struct client c = client_new(h, h1);
    struct tap tap;
    struct tap_message m;
    must_open(&c, "sleeper", &tap);
    must_set(&c, "first", "1");
    must_reach_key(&tap, "first", &m);
    tap_ack(&tap, &m);
    while (tap_next(&tap, &m) != TAP_PAUSE) {
        tap_ack(&tap, &m);
    }
    const uint64_t seen = suite()->ext->notify_count(tap.c.cookie);
    must_set(&c, "second", "2");
    CHECK(suite()->ext->wait_notify(tap.c.cookie, seen, TAP_SECONDS * 1000U));
    must_reach_key(&tap, "second", &m);
    tap_close(&tap);
    client_free(&c);
    return SUCCESS;
}

/* The announcement with the window's checkpoint, and the mark behind it. */
static uint64_t must_mark(const struct tap *tap, int code) {
    struct tap_message m;
    uint32_t announced;
    uint64_t id;
    do {
        must_reach(tap, TAP_OPAQUE, -1, &m);
        tap_ack(tap, &m);
    } while (m.nengine != ANNOUNCEMENT_BYTES);
    memcpy(&announced, m.engine, sizeof announced);
    memcpy(&id, m.engine + sizeof announced, sizeof id);
    CHECK_INT(code, be32toh(announced));
    must_next(tap, &m);
    CHECK_INT(TAP_OPAQUE, m.event);
    CHECK_INT(code, tap_code(&m));
    tap_ack(tap, &m);
    return be64toh(id);
}

static void window_is_marked(const struct client *c, bool revert) {
    struct tap tap;
    struct tap_message m;
    must_set(c, "key", "before");
    must_open(c, "marks", &tap);
    must_reach_key(&tap, "key", &m);
    tap_ack(&tap, &m);
    must_start(c);
    must_reach(&tap, TAP_CHECKPOINT_END, -1, &m);
    const uint64_t closed = tap_checkpoint(&m);
    tap_ack(&tap, &m);
    must_reach(&tap, TAP_CHECKPOINT_START, -1, &m);
    const uint64_t window = tap_checkpoint(&m);
    CHECK(window > closed);
    tap_ack(&tap, &m);
    CHECK_UINT(window, must_mark(&tap, MARK_START));
    must_set(c, "key", "window");
    must_reach_key(&tap, "key", &m);
    CHECK_STR("window", m.value.bytes);
    tap_ack(&tap, &m);
    if (revert) {
        must_revert(c);
    } else {
        must_complete(c);
    }
    CHECK_UINT(window, must_mark(&tap, revert ? MARK_REVERT : MARK_END));
    must_set(c, "key", "later");
    must_reach_key(&tap, "key", &m);
    CHECK_STR("later", m.value.bytes);
    tap_close(&tap);
}

TEST(reverted_window_is_marked_in_its_place) {
    NEEDS_TAP();
    struct client c = client_new(h, h1);
    window_is_marked(&c, true);
    client_free(&c);
    return SUCCESS;
}

TEST(completed_window_is_marked_in_its_place) {
    NEEDS_TAP();
    struct client c = client_new(h, h1);
    window_is_marked(&c, false);
    client_free(&c);
    return SUCCESS;
}

TEST(refused_change_comes_again_before_a_mark) {
    NEEDS_TAP();
    struct client c = client_new(h, h1);
    struct tap tap;
    struct tap_message m;
    must_open(&c, "refuser", &tap);
    must_start(&c);
    CHECK(must_mark(&tap, MARK_START) > 0);
    must_set(&c, "key", "window");
    must_reach_key(&tap, "key", &m);
    CHECK_NE(ENGINE_DISCONNECT, tap_answer(&tap, &m, ST_ETMPFAIL));
    must_complete(&c);
    /* Fails the test if the mark comes first: it is no change of the key. */
    for (must_next(&tap, &m); !is_key(&m, "key"); must_next(&tap, &m)) {
        CHECK_MSG(m.event != TAP_OPAQUE, "a mark overtook the refused change");
        tap_ack(&tap, &m);
    }
    CHECK_STR("window", m.value.bytes);
    tap_ack(&tap, &m);
    CHECK(must_mark(&tap, MARK_END) > 0);
    tap_close(&tap);
    client_free(&c);
    return SUCCESS;
}

/* ---- a second instance ---- */

static struct client follower(void) {
    ENGINE_ERROR_CODE code = ENGINE_SUCCESS;
    union {
        ENGINE_HANDLE *handle;
        ENGINE_HANDLE_V1 *table;
    } same = {.handle = suite()->ext->start_instance("", &code)};
    CHECK_MSG(same.handle != NULL, "no second instance: 0x%02x", (unsigned)code);
    struct client c = client_new(same.handle, same.table);
    CHECK_INT(ST_SUCCESS, set_state(&c, 0, VB_REPLICA));
    return c;
}

/* A replica refuses reads, so its items are counted. */
static bool has_window_keys(const struct client *c) {
    return stat_number(c, NULL, "vb_replica_curr_items", 0) == 2 * KEYS;
}

static bool window_has_ended(const struct client *c) {
    return stat_is(c, "onlineupdate-vb", "vb_0:state", "none");
}

static bool window_is_open(const struct client *c) {
    return stat_is(c, "onlineupdate-vb", "vb_0:state", "open");
}

static void must_follow(const struct client *c, bool revert) {
    struct client replica = follower();
    struct tap tap;
    must_set_range(c, "old", 0, KEYS, 1);
    must_open(c, "follower", &tap);
    must_start(c);
    must_carry(&tap, &replica, window_is_open);
    must_set_range(c, "old", 0, KEYS / 2, 2);
    must_set_range(c, "new", 0, KEYS, 2);
    must_carry(&tap, &replica, has_window_keys);
    if (revert) {
        must_revert(c);
    } else {
        must_complete(c);
    }
    must_carry(&tap, &replica, window_has_ended);
    CHECK_INT(ST_SUCCESS, set_state(&replica, 0, VB_ACTIVE));
    must_hold_range(&replica, "old", 0, KEYS / 2, revert ? 1 : 2);
    must_hold_range(&replica, "old", KEYS / 2, KEYS, 1);
    if (revert) {
        must_miss_range(&replica, "new", 0, KEYS);
    } else {
        must_hold_range(&replica, "new", 0, KEYS, 2);
    }
    tap_close(&tap);
    client_free(&replica);
    suite()->ext->stop_instance(replica.h);
}

TEST(replica_reverts_with_its_master) {
    NEEDS_TAP();
    NEEDS_EXT();
    struct client c = client_new(h, h1);
    must_follow(&c, true);
    client_free(&c);
    return SUCCESS;
}

TEST(replica_completes_with_its_master) {
    NEEDS_TAP();
    NEEDS_EXT();
    struct client c = client_new(h, h1);
    must_follow(&c, false);
    client_free(&c);
    return SUCCESS;
}
