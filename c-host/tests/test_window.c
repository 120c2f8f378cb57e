/* Online update and the disk, restarts, vbuckets, memory and connections. */
#include <stdlib.h>

#include "operator.h"

enum {
    BACKLOG = 50000,
    KEYS = 2000,
    OTHER = 7
};

static struct client at(const struct client *c, uint16_t vbucket) {
    struct client other = *c;
    other.vbucket = vbucket;
    return other;
}

/* ---- the disk ---- */

static void revert_with_backlog(const struct client *c) {
    must_set_range(c, "key", 0, BACKLOG, 1);
    must_start(c);
    must_set_range(c, "key", 0, 5000, 2);
    must_remove_range(c, "key", 5000, 6000);
    must_set_range(c, "new", 0, 1000, 2);
    must_revert(c);
}

TEST(revert_right_after_start_with_unflushed_writes) {
    struct client c = client_new(h, h1);
    revert_with_backlog(&c);
    must_hold_range(&c, "key", 0, BACKLOG, 1);
    must_miss_range(&c, "new", 0, 1000);
    must_drain(&c);
    must_hold_range(&c, "key", 0, BACKLOG, 1);
    client_free(&c);
    return SUCCESS;
}

TEST(reverted_unflushed_writes_survive_restart) {
    struct client c = client_new(h, h1);
    revert_with_backlog(&c);
    must_drain(&c);
    restart(&c);
    must_hold_range(&c, "key", 0, BACKLOG, 1);
    must_miss_range(&c, "new", 0, 1000);
    client_free(&c);
    return SUCCESS;
}

TEST(revert_survives_restart) {
    struct client c = client_new(h, h1);
    must_set_range(&c, "key", 0, KEYS, 1);
    must_drain(&c);
    must_start(&c);
    must_set_range(&c, "key", 0, 500, 2);
    must_remove_range(&c, "key", 500, 1000);
    must_set_range(&c, "new", 0, 500, 2);
    must_revert(&c);
    restart(&c);
    must_hold_range(&c, "key", 0, KEYS, 1);
    must_miss_range(&c, "new", 0, 500);
    client_free(&c);
    return SUCCESS;
}

TEST(complete_survives_restart) {
    struct client c = client_new(h, h1);
    must_set_range(&c, "key", 0, KEYS, 1);
    must_start(&c);
    must_set_range(&c, "key", 0, 500, 2);
    must_remove_range(&c, "key", 500, 1000);
    must_set_range(&c, "new", 0, 500, 2);
    must_complete(&c);
    must_set_range(&c, "after", 0, 100, 3);
    restart(&c);
    must_hold_range(&c, "key", 0, 500, 2);
    must_miss_range(&c, "key", 500, 1000);
    must_hold_range(&c, "key", 1000, KEYS, 1);
    must_hold_range(&c, "new", 0, 500, 2);
    must_hold_range(&c, "after", 0, 100, 3);
    client_free(&c);
    return SUCCESS;
}

TEST(restart_inside_a_window_reverts) {
    struct client c = client_new(h, h1);
    must_set_range(&c, "key", 0, KEYS, 1);
    must_start(&c);
    must_set_range(&c, "key", 0, 500, 2);
    must_remove_range(&c, "key", 500, 1000);
    must_set_range(&c, "new", 0, 500, 2);
    restart(&c);
    must_hold_range(&c, "key", 0, KEYS, 1);
    must_miss_range(&c, "new", 0, 500);
    must_refuse_update(&c, OP_UPDATE_COMPLETE);
    must_refuse_update(&c, OP_UPDATE_REVERT);
    CHECK(stat_is(&c, NULL, "ep_onlineupdate", "false"));
    must_start(&c);
    must_set(&c, "k", "v");
    must_complete(&c);
    client_free(&c);
    return SUCCESS;
}

static void must_tell(const struct client *c, const char *outcome) {
    char text[64];
    CHECK(stat_text(c, NULL, "ep_onlineupdate_last_outcome", text, sizeof text));
    CHECK_STR(outcome, text);
}

TEST(restart_reports_the_last_outcome) {
    struct client c = client_new(h, h1);
    must_tell(&c, "none");
    must_start(&c);
    must_set(&c, "k", "window");
    restart(&c);
    must_tell(&c, "lost at restart");
    must_start(&c);
    must_revert(&c);
    must_tell(&c, "reverted");
    client_free(&c);
    return SUCCESS;
}

static void set_persistence(const struct client *c, bool on) {
    CHECK_INT(ST_SUCCESS, command(c, on ? OP_START_PERSISTENCE : OP_STOP_PERSISTENCE, NULL));
}

TEST(revert_with_persistence_stopped) {
    struct client c = client_new(h, h1);
    must_set_range(&c, "old", 0, KEYS, 1);
    must_drain(&c);
    set_persistence(&c, false);
    must_set_range(&c, "key", 0, KEYS, 1);
    must_start(&c);
    must_set_range(&c, "key", 0, KEYS, 2);
    must_set_range(&c, "old", 0, KEYS, 2);
    must_set_range(&c, "new", 0, 100, 2);
    must_revert(&c);
    must_hold_range(&c, "key", 0, KEYS, 1);
    must_hold_range(&c, "old", 0, KEYS, 1);
    must_miss_range(&c, "new", 0, 100);
    set_persistence(&c, true);
    must_drain(&c);
    restart(&c);
    must_hold_range(&c, "key", 0, KEYS, 1);
    must_hold_range(&c, "old", 0, KEYS, 1);
    must_miss_range(&c, "new", 0, 100);
    client_free(&c);
    return SUCCESS;
}

TEST(complete_with_persistence_stopped_loses_nothing) {
    struct client c = client_new(h, h1);
    struct reply r;
    must_set_range(&c, "key", 0, 100, 1);
    must_drain(&c);
    must_start(&c);
    must_set_range(&c, "key", 0, 100, 2);
    set_persistence(&c, false);
    const uint16_t status = command(&c, OP_UPDATE_COMPLETE, &r);
    must_hold_range(&c, "key", 0, 100, 2);
    set_persistence(&c, true);
    if (status != ST_SUCCESS) {
        CHECK_NE(0, r.body_length);
        CHECK(stat_is(&c, NULL, "ep_onlineupdate", "true"));
        must_complete(&c);
    }
    restart(&c);
    must_hold_range(&c, "key", 0, 100, 2);
    client_free(&c);
    return SUCCESS;
}

TEST(nothing_of_the_window_is_written) {
    struct client c = client_new(h, h1);
    must_set_range(&c, "key", 0, KEYS, 1);
    must_drain(&c);
    const uint64_t before = stat_number(&c, NULL, "ep_total_persisted", UINT64_MAX);
    if (before == UINT64_MAX) {
        client_free(&c);
        return SKIPPED;
    }
    must_start(&c);
    must_set_range(&c, "key", 0, KEYS, 2);
    must_remove_range(&c, "key", 0, 100);
    sleep_ms(1500);
    CHECK_UINT(before, stat_number(&c, NULL, "ep_total_persisted", UINT64_MAX));
    must_revert(&c);
    must_set(&c, "after", "v");
    must_drain(&c);
    CHECK_UINT(before + 1, stat_number(&c, NULL, "ep_total_persisted", UINT64_MAX));
    client_free(&c);
    return SUCCESS;
}

TEST(flush_all_in_a_window_survives_restart_only_when_completed) {
    struct client c = client_new(h, h1);
    suite()->harness.time_travel(5);
    must_set_range(&c, "key", 0, KEYS, 1);
    must_drain(&c);
    must_start(&c);
    CHECK_INT(ENGINE_SUCCESS, c.v1->flush(c.h, c.cookie, 0));
    must_set(&c, "new", "window");
    restart(&c);
    must_hold_range(&c, "key", 0, KEYS, 1);
    must_miss(&c, "new");
    must_start(&c);
    CHECK_INT(ENGINE_SUCCESS, c.v1->flush(c.h, c.cookie, 0));
    must_set(&c, "new", "window");
    must_complete(&c);
    restart(&c);
    must_miss_range(&c, "key", 0, KEYS);
    must_hold(&c, "new", "window");
    client_free(&c);
    return SUCCESS;
}

TEST(undo_in_memory_reverts_too) {
    struct client c = client_new(h, h1);
    must_set_range(&c, "key", 0, KEYS, 1);
    must_drain(&c);
    must_start(&c);
    must_set_range(&c, "key", 0, 1000, 2);
    must_remove_range(&c, "key", 1000, 1500);
    must_set_range(&c, "new", 0, 100, 2);
    const uint64_t fetched = stat_number(&c, NULL, "ep_bg_fetched", 0);
    must_revert(&c);
    must_hold_range(&c, "key", 0, KEYS, 1);
    must_miss_range(&c, "new", 0, 100);
    CHECK_UINT(fetched, stat_number(&c, NULL, "ep_bg_fetched", 0));
    restart(&c);
    must_hold_range(&c, "key", 0, KEYS, 1);
    must_miss_range(&c, "new", 0, 100);
    client_free(&c);
    return SUCCESS;
}

/* ---- vbuckets ---- */

TEST(window_covers_all_active_vbuckets) {
    struct client c = client_new(h, h1);
    for (uint16_t vb = 0; vb < 8; vb++) {
        const struct client there = at(&c, vb);
        must_state(&c, vb, VB_ACTIVE);
        must_set_range(&there, "key", 0, 50, vb);
    }
    must_start(&c);
    for (uint16_t vb = 0; vb < 8; vb++) {
        const struct client there = at(&c, vb);
        must_set_range(&there, "key", 0, 50, 99);
    }
    must_revert(&c);
    for (uint16_t vb = 0; vb < 8; vb++) {
        const struct client there = at(&c, vb);
        must_hold_range(&there, "key", 0, 50, vb);
    }
    client_free(&c);
    return SUCCESS;
}

TEST(replica_is_left_alone) {
    struct client c = client_new(h, h1);
    const struct client there = at(&c, OTHER);
    must_state(&c, OTHER, VB_ACTIVE);
    must_set(&there, "k", "v");
    must_state(&c, OTHER, VB_REPLICA);
    const uint64_t id = stat_number(&c, "checkpoint", "vb_7:open_checkpoint_id", 0);
    must_start(&c);
    CHECK_UINT(id, stat_number(&c, "checkpoint", "vb_7:open_checkpoint_id", 0));
    must_revert(&c);
    CHECK_UINT(id, stat_number(&c, "checkpoint", "vb_7:open_checkpoint_id", 0));
    must_state(&c, OTHER, VB_ACTIVE);
    must_hold(&there, "k", "v");
    client_free(&c);
    return SUCCESS;
}

TEST(vbucket_created_in_the_window_joins) {
    struct client c = client_new(h, h1);
    const struct client there = at(&c, OTHER);
    must_set(&c, "k", "before");
    must_start(&c);
    must_set(&c, "k", "window");
    must_state(&c, OTHER, VB_ACTIVE);
    must_set_range(&there, "key", 0, 100, 1);
    must_refuse_update(&c, OP_UPDATE_START);
    must_revert(&c);
    must_hold(&c, "k", "before");
    must_miss_range(&there, "key", 0, 100);
    must_refuse_update(&c, OP_UPDATE_REVERT);
    must_start(&c);
    must_complete(&c);
    client_free(&c);
    return SUCCESS;
}

TEST(vbucket_made_dead_keeps_its_window) {
    struct client c = client_new(h, h1);
    const struct client there = at(&c, OTHER);
    must_state(&c, OTHER, VB_ACTIVE);
    must_set_range(&there, "key", 0, 100, 1);
    must_drain(&c);
    must_start(&c);
    must_set_range(&there, "key", 0, 100, 2);
    must_state(&c, OTHER, VB_DEAD);
    must_state(&c, OTHER, VB_ACTIVE);
    must_hold_range(&there, "key", 0, 100, 2);
    must_revert(&c);
    must_hold_range(&there, "key", 0, 100, 1);
    client_free(&c);
    return SUCCESS;
}

TEST(deleting_a_vbucket_in_the_window_is_refused) {
    struct client c = client_new(h, h1);
    const struct client there = at(&c, OTHER);
    struct reply r;
    must_state(&c, OTHER, VB_ACTIVE);
    must_set(&there, "k", "before");
    must_start(&c);
    must_set(&there, "k", "window");
    must_state(&c, OTHER, VB_DEAD);
    CHECK_INT(ST_ETMPFAIL, command(&there, OP_DEL_VBUCKET, &r));
    CHECK_NE(0, r.body_length);
    must_state(&c, OTHER, VB_ACTIVE);
    must_hold(&there, "k", "window");
    must_revert(&c);
    must_hold(&there, "k", "before");
    must_state(&c, OTHER, VB_DEAD);
    CHECK_INT(ST_SUCCESS, command(&there, OP_DEL_VBUCKET, &r));
    client_free(&c);
    return SUCCESS;
}

/* ---- connections and memory ---- */

TEST(disconnected_operator_stops_nothing) {
    NEEDS_EXT();
    struct client c = client_new(h, h1);
    static const uint8_t opcodes[] = {OP_UPDATE_REVERT, OP_UPDATE_COMPLETE};
    must_set_range(&c, "key", 0, KEYS, 1);
    for (unsigned i = 0; i < 2; i++) {
        struct client operator= client_new(h, h1);
        unsigned char packet[24] = {0x80, opcodes[i]};
        struct reply r;
        must_start(&c);
        must_set_range(&c, "key", 0, KEYS, 2);
        suite()->harness.set_ewouldblock_handling(operator.cookie, false);
        const uint64_t seen = suite()->ext->notify_count(operator.cookie);
        const ENGINE_ERROR_CODE code = send_raw(&operator, packet, &r);
        suite()->ext->disconnect(operator.cookie);
        if (code == ENGINE_EWOULDBLOCK) {
            CHECK(suite()->ext->wait_notify(operator.cookie, seen, 30000));
            CHECK_INT(ENGINE_SUCCESS, suite()->ext->notify_status(operator.cookie));
            (void)send_raw(&operator, packet, &r); /* a host does this before it sees the end */
        }
        suite()->ext->disconnect(operator.cookie);
        client_free(&operator);
        must_hold_range(&c, "key", 0, KEYS, i == 0 ? 1 : 2);
        must_refuse_update(&c, opcodes[i]);
    }
    client_free(&c);
    return SUCCESS;
}

TEST(full_memory_in_the_window_is_temporary) {
    struct client c = client_new(h, h1);
    static char bytes[10000];
    char key[32];
    bool refused = false;
    struct put p = {.operation = OPERATION_SET, .key = key, .bytes = bytes, .length = sizeof bytes};
    memset(bytes, 'w', sizeof bytes);
    must_set_range(&c, "key", 0, 500, 1);
    must_drain(&c);
    must_start(&c);
    must_set_range(&c, "key", 0, 500, 2);
    for (unsigned n = 0; n < 5000 && !refused; n++) {
        key_name(key, sizeof key, "big", n);
        const ENGINE_ERROR_CODE code = put(&c, &p, NULL);
        CHECK_MSG(code == ENGINE_SUCCESS || code == ENGINE_TMPFAIL || code == ENGINE_ENOMEM,
                  "set %u in full memory: %d", n, (int)code);
        refused = code != ENGINE_SUCCESS;
    }
    must_hold_range(&c, "key", 0, 500, 2);
    must_revert(&c);
    must_hold_range(&c, "key", 0, 500, 1);
    must_miss(&c, "big000000");
    must_set(&c, "after", "v");
    client_free(&c);
    return refused ? SUCCESS : SKIPPED; /* an engine without a quota cannot show it */
}

TEST(large_window_reverts) {
    struct client c = client_new(h, h1);
    enum {
        MANY = 100000
    };
    must_set_range(&c, "key", 0, MANY, 1);
    must_drain(&c);
    must_start(&c);
    must_set_range(&c, "key", 0, MANY, 2);
    must_set_range(&c, "new", 0, MANY / 10, 2);
    must_revert(&c);
    must_hold_range(&c, "key", 0, MANY, 1);
    must_miss_range(&c, "new", 0, MANY / 10);
    client_free(&c);
    return SUCCESS;
}

/* The other order: what is not resident after a revert comes back on every kind of access. */
TEST(reverted_keys_page_in) {
    struct client c = client_new(h, h1);
    struct reply r;
    char want[80];
    must_set_range(&c, "key", 0, 600, 1);
    must_drain(&c);
    must_start(&c);
    must_set_range(&c, "key", 0, 600, 2);
    must_revert(&c);
    for (unsigned n = 0; n < 600; n++) {
        char key[32];
        key_name(key, sizeof key, "key", n);
        value_text(want, sizeof want, n, 1);
        if (n % 5 == 0) {
            CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_APPEND, key, "+"));
            (void)strcat(want, "+");
        } else if (n % 5 == 1) {
            CHECK_INT(ENGINE_EINVAL, arith(&c, key, true, 1, 0, UINT32_MAX, NULL));
        } else if (n % 5 == 2) {
            CHECK_INT(ST_SUCCESS, touch(&c, OP_GAT, key, 1000, &r));
            CHECK_BYTES(want, strlen(want), r.body, r.body_length);
        } else if (n % 5 == 3) {
            CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_REPLACE, key, "replaced"));
            (void)snprintf(want, sizeof want, "replaced");
        }
        must_hold(&c, key, want);
    }
    client_free(&c);
    return SUCCESS;
}
