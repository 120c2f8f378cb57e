/* Statistics by group, and the parameters that an operator changes at run time. Engines that know
 * no parameters or only some groups skip the tests of these. */
#include <inttypes.h>

#include "operator.h"

enum {
    NAME_MAX_LENGTH = 31,
    NUMBER_MAX_LENGTH = 511
};

#define UPDATED "Updated"
#define OUT_OF_RANGE "Value out of range."

static uint16_t send_param(const struct client *c, uint8_t opcode, const char *name,
                           const char *value, struct reply *reply) {
    const struct request q = {.opcode = opcode,
                              .key = name,
                              .key_length = strlen(name),
                              .body = value,
                              .body_length = strlen(value)};
    send_request(c, &q, reply);
    CHECK_UINT(1, reply->count);
    return reply->status;
}

static bool knows_parameters(const struct client *c) {
    struct reply r;
    return send_param(c, OP_SET_FLUSH_PARAM, "min_data_age", "0", &r) != ST_UNKNOWN_COMMAND;
}

static bool knows_group(const struct client *c, const char *group) {
    ENGINE_ERROR_CODE code;
    (void)stat_count(c, group, &code);
    CHECK(code == ENGINE_SUCCESS || code == ENGINE_KEY_ENOENT);
    return code == ENGINE_SUCCESS;
}

#define NEEDS(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            client_free(&c);                                                                       \
            return SKIPPED;                                                                        \
        }                                                                                          \
    } while (0)

static void must_param(const struct client *c, const char *name, const char *value) {
    struct reply r;
    const uint16_t status = send_param(c, OP_SET_FLUSH_PARAM, name, value, &r);
    CHECK_MSG(status == ST_SUCCESS, "%s=%s: 0x%x %s", name, value, (unsigned)status, r.body);
    CHECK_STR(UPDATED, r.body);
}

static void must_refuse(const struct client *c, uint8_t opcode, const char *name, const char *value,
                        uint16_t status, const char *text) {
    struct reply r;
    (void)send_param(c, opcode, name, value, &r);
    CHECK_MSG(r.status == status, "%s=%s: 0x%x %s", name, value, (unsigned)r.status, r.body);
    CHECK_STR(text, r.body);
}

static void must_show(const struct client *c, const char *group, const char *name,
                      const char *text) {
    char have[256];
    CHECK_MSG(stat_text(c, group, name, have, sizeof have), "no %s", name);
    CHECK_MSG(strcmp(have, text) == 0, "%s: %s, not %s", name, have, text);
}

/* ---- parameters ---- */

TEST(parameters_obey_their_ranges) {
    static const struct {
        const char *name, *below, *min, *max, *above;
    } parameters[] = {
        {"min_data_age", "-1", "0", "86400", "86401"},
        {"queue_age_cap", "-1", "0", "86400", "86401"},
        {"max_txn_size", "0", "1", "10000000", "10000001"},
        {"bg_fetch_delay", "-1", "0", "900", "901"},
        {"chk_max_items", "99", "100", "500000", "500001"},
        {"chk_period", "59", "60", "3600", "3601"},
        {"max_checkpoints", "1", "2", "5", "6"},
        {"sync_cmd_timeout", "9", "10", "60000", "60001"},
        {"mem_low_wat", "-1", "0", "18446744073709551615", "18446744073709551616"},
        {"mem_high_wat", "-1", "0", "18446744073709551615", "18446744073709551616"},
        {"max_size", "0", "1", "18446744073709551615", "18446744073709551616"},
        {"exp_pager_stime", "-1", "0", "18446744073709551615", "18446744073709551616"},
    };
    struct client c = client_new(h, h1);
    NEEDS(knows_parameters(&c));
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++) {
        const char *name = parameters[i].name;
        must_refuse(&c, OP_SET_FLUSH_PARAM, name, parameters[i].below, ST_EINVAL, OUT_OF_RANGE);
        must_refuse(&c, OP_SET_FLUSH_PARAM, name, parameters[i].above, ST_EINVAL, OUT_OF_RANGE);
        must_refuse(&c, OP_SET_FLUSH_PARAM, name, "", ST_EINVAL, OUT_OF_RANGE);
        must_refuse(&c, OP_SET_FLUSH_PARAM, name, "12x", ST_EINVAL, OUT_OF_RANGE);
        must_refuse(&c, OP_SET_TAP_PARAM, name, parameters[i].min, ST_KEY_ENOENT,
                    "Unknown config param");
        must_param(&c, name, parameters[i].max);
        must_param(&c, name, parameters[i].min);
    }
    client_free(&c);
    return SUCCESS;
}

TEST(parameters_of_tap_are_apart) {
    struct client c = client_new(h, h1);
    NEEDS(knows_parameters(&c));
    struct reply r;
    CHECK_INT(ST_SUCCESS, send_param(&c, OP_SET_TAP_PARAM, "tap_keepalive", "3600", &r));
    CHECK_UINT(0, r.body_length);
    must_show(&c, NULL, "ep_tap_keepalive", "3600");
    must_refuse(&c, OP_SET_TAP_PARAM, "tap_keepalive", "3601", ST_EINVAL, OUT_OF_RANGE);
    must_refuse(&c, OP_SET_FLUSH_PARAM, "tap_keepalive", "1", ST_KEY_ENOENT,
                "Unknown config param");
    must_show(&c, NULL, "ep_tap_keepalive", "3600");
    client_free(&c);
    return SUCCESS;
}

TEST(parameters_show_in_stats) {
    static const char *const shown[][3] = {
        {"min_data_age", "ep_min_data_age", "11"},
        {"queue_age_cap", "ep_queue_age_cap", "12"},
        {"max_txn_size", "ep_max_txn_size", "13"},
        {"exp_pager_stime", "ep_exp_pager_stime", "14"},
        {"max_size", "ep_max_data_size", "1000000000"},
        {"mem_low_wat", "ep_mem_low_wat", "700000000"},
        {"mem_high_wat", "ep_mem_high_wat", "800000000"},
    };
    struct client c = client_new(h, h1);
    NEEDS(knows_parameters(&c));
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        must_param(&c, shown[i][0], shown[i][2]);
        must_show(&c, NULL, shown[i][1], shown[i][2]);
    }
    must_show(&c, "memory", "ep_max_data_size", "1000000000");
    must_param(&c, "max_size", "2000000000");
    must_show(&c, NULL, "ep_mem_low_wat", "1200000000");
    must_show(&c, NULL, "ep_mem_high_wat", "1500000000");
    client_free(&c);
    return SUCCESS;
}

TEST(parameters_refuse_malformed_requests) {
    struct client c = client_new(h, h1);
    NEEDS(knows_parameters(&c));
    char name[NAME_MAX_LENGTH + 2];
    char value[NUMBER_MAX_LENGTH + 2];
    memset(name, 'n', sizeof name);
    memset(value, '0', sizeof value);
    name[sizeof name - 1] = value[sizeof value - 1] = '\0';
    must_param(&c, "min_data_age", "5");
    for (int tap = 0; tap <= 1; tap++) {
        const uint8_t op = tap ? OP_SET_TAP_PARAM : OP_SET_FLUSH_PARAM;
        must_refuse(&c, op, name, "1", ST_EINVAL, "Key is too large.");
        must_refuse(&c, op, name + 1, "1", ST_KEY_ENOENT, "Unknown config param");
        must_refuse(&c, op, "", "1", ST_KEY_ENOENT, "Unknown config param");
        must_refuse(&c, op, "no\xff such", "1", ST_KEY_ENOENT, "Unknown config param");
        must_refuse(&c, op, "min_data_age", value, ST_EINVAL, "Value is too large.");
    }
    must_refuse(&c, OP_SET_FLUSH_PARAM, "min_data_age", "\xff", ST_EINVAL, OUT_OF_RANGE);
    const struct request q = {.opcode = OP_SET_FLUSH_PARAM,
                              .ext = "\0\0\0\1",
                              .ext_length = 4,
                              .key = "min_data_age",
                              .key_length = 12,
                              .body = "1",
                              .body_length = 1};
    struct reply r;
    send_request(&c, &q, &r);
    CHECK_INT(ST_EINVAL, r.status);
    CHECK_NE(0, r.body_length);
    must_show(&c, NULL, "ep_min_data_age", "5");
    /* Leading zeros are digits like others. */
    must_param(&c, "min_data_age", value + 1);
    must_show(&c, NULL, "ep_min_data_age", "0");
    client_free(&c);
    return SUCCESS;
}

/* ---- groups ---- */

TEST(unknown_groups_are_not_found) {
    static const char *const groups[] = {"no such group", "has",      "vbuckets", "config",
                                         "VBUCKET",       "memory 0", "\xff\xfe", "kvtimings"};
    struct client c = client_new(h, h1);
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        ENGINE_ERROR_CODE code;
        CHECK_UINT(0, stat_count(&c, groups[i], &code));
        CHECK_MSG(code == ENGINE_KEY_ENOENT, "%s: %d", groups[i], (int)code);
    }
    client_free(&c);
    return SUCCESS;
}

TEST(items_are_counted_by_state) {
    struct client c = client_new(h, h1);
    NEEDS(knows_group(&c, "hash"));
    for (uint16_t vb = 0; vb < 8; vb++) {
        must_state(&c, vb, VB_ACTIVE);
        struct client there = c;
        there.vbucket = vb;
        must_set_range(&there, "key", 0, vb + 1U, 1);
    }
    must_remove_range(&c, "key", 0, 1);
    for (uint16_t vb = 1; vb <= 3; vb++) {
        must_state(&c, vb, vb + 1U);
    }
    must_show(&c, NULL, "curr_items", "26");
    must_show(&c, NULL, "curr_items_tot", "31");
    must_show(&c, NULL, "ep_vb_total", "8");
    must_show(&c, NULL, "vb_active_num", "5");
    must_show(&c, NULL, "vb_active_curr_items", "26");
    must_show(&c, NULL, "vb_replica_curr_items", "2");
    must_show(&c, NULL, "vb_pending_curr_items", "3");
    must_show(&c, NULL, "vb_dead_num", "1");
    must_show(&c, "hash", "vb_7:reported", "8");
    must_show(&c, "hash", "vb_3:state", "dead");
    must_show(&c, "hash", "vb_0:reported", "0");
    client_free(&c);
    return SUCCESS;
}

TEST(groups_have_lines_for_every_vbucket) {
    struct client c = client_new(h, h1);
    NEEDS(knows_group(&c, "hash"));
    ENGINE_ERROR_CODE code;
    const size_t hash = stat_count(&c, "hash", &code);
    const size_t checkpoint = stat_count(&c, "checkpoint", &code);
    CHECK_UINT(1, stat_count(&c, "vbucket", &code));
    for (unsigned vb = 1; vb < 1024; vb++) {
        must_state(&c, (uint16_t)vb, VB_REPLICA);
    }
    CHECK_UINT(1024, stat_count(&c, "vbucket", &code));
    CHECK_UINT(1024, stat_count(&c, "prev-vbucket", &code));
    CHECK_UINT(hash * 1024, stat_count(&c, "hash", &code));
    CHECK_UINT(checkpoint * 1024, stat_count(&c, "checkpoint", &code));
    CHECK_INT(ENGINE_SUCCESS, code);
    client_free(&c);
    return SUCCESS;
}

TEST(states_before_the_restart_are_kept) {
    struct client c = client_new(h, h1);
    NEEDS(knows_group(&c, "prev-vbucket"));
    must_show(&c, "prev-vbucket", "vb_0", "dead");
    must_state(&c, 1, VB_REPLICA);
    must_state(&c, 2, VB_PENDING);
    restart(&c);
    must_state(&c, 1, VB_ACTIVE);
    must_state(&c, 3, VB_ACTIVE);
    must_show(&c, "prev-vbucket", "vb_0", "active");
    must_show(&c, "prev-vbucket", "vb_1", "replica");
    must_show(&c, "prev-vbucket", "vb_2", "pending");
    must_show(&c, "prev-vbucket", "vb_3", "dead");
    must_show(&c, "vbucket", "vb_1", "active");
    client_free(&c);
    return SUCCESS;
}

TEST(keys_are_compared_with_the_disk) {
    struct client c = client_new(h, h1);
    NEEDS(knows_group(&c, "hash"));
    must_set(&c, "k", "value");
    must_drain(&c);
    const bool on_disk = test_dir()[0] != '\0';
    must_show(&c, "vkey k 0", "key_valid", on_disk ? "valid" : "ram_but_not_disk");
    must_show(&c, "vkey k", "key_is_dirty", "0");
    CHECK_INT(ST_SUCCESS, command(&c, OP_STOP_PERSISTENCE, NULL));
    must_set(&c, "k", "other");
    must_show(&c, "vkey k 0", "key_valid", "dirty");
    must_show(&c, "key k 0", "key_is_dirty", "1");
    ENGINE_ERROR_CODE code;
    CHECK_UINT(0, stat_count(&c, "vkey missing 0", &code));
    CHECK_INT(ENGINE_KEY_ENOENT, code);
    must_state(&c, 1, VB_REPLICA);
    CHECK_UINT(0, stat_count(&c, "vkey k 1", &code));
    CHECK_INT(ENGINE_KEY_ENOENT, code);
    CHECK_UINT(0, stat_count(&c, "key k 1", &code));
    CHECK_INT(ENGINE_KEY_ENOENT, code);
    client_free(&c);
    return SUCCESS;
}

/* ---- the flusher ---- */

static void must_reach(const struct client *c, const char *name, const char *text) {
    const uint64_t deadline = now_ms() + 60000;
    while (!stat_is(c, NULL, name, text)) {
        CHECK_MSG(now_ms() < deadline, "%s does not become %s", name, text);
        sleep_ms(2);
    }
}

TEST(flusher_pauses_and_goes_on) {
    struct client c = client_new(h, h1);
    NEEDS(knows_parameters(&c));
    must_show(&c, NULL, "ep_flusher_state", "running");
    must_set_range(&c, "key", 0, 1000, 1);
    CHECK_INT(ST_SUCCESS, command(&c, OP_STOP_PERSISTENCE, NULL));
    must_reach(&c, "ep_flusher_state", "paused");
    const uint64_t written = stat_number(&c, NULL, "ep_total_persisted", UINT64_MAX);
    CHECK_NE(UINT64_MAX, written);
    must_set_range(&c, "more", 0, 1000, 1);
    CHECK(stat_number(&c, NULL, "ep_queue_size", 0) >= 1000);
    CHECK_UINT(written, stat_number(&c, NULL, "ep_total_persisted", 0));
    CHECK_INT(ST_SUCCESS, command(&c, OP_START_PERSISTENCE, NULL));
    must_show(&c, NULL, "ep_flusher_state", "running");
    must_drain(&c);
    CHECK_UINT(2000, stat_number(&c, NULL, "ep_total_persisted", 0));
    client_free(&c);
    return SUCCESS;
}

/* What waits for START_PERSISTENCE ages meanwhile. A flusher that was not awake yet when the clock
 * was turned sees a young change: so several tries. */
TEST(ages_follow_the_clock_of_the_host) {
    static const char AGE[] = "ep_storage_age_highwat";
    struct client c = client_new(h, h1);
    NEEDS(stat_number(&c, NULL, AGE, UINT64_MAX) != UINT64_MAX);
    for (unsigned i = 0; i < 10 && stat_number(&c, NULL, AGE, 0) < 30; i++) {
        CHECK_INT(ST_SUCCESS, command(&c, OP_STOP_PERSISTENCE, NULL));
        must_set(&c, "k", "v");
        sleep_ms(100 * (i + 1));
        suite()->harness.time_travel(30);
        CHECK_INT(ST_SUCCESS, command(&c, OP_START_PERSISTENCE, NULL));
        must_drain(&c);
    }
    CHECK(stat_number(&c, NULL, AGE, 0) >= 30);
    client_free(&c);
    return SUCCESS;
}

TEST(reset_keeps_totals) {
    struct client c = client_new(h, h1);
    NEEDS(knows_group(&c, "timings"));
    must_set_range(&c, "key", 0, 100, 1);
    must_state(&c, 1, VB_DEAD);
    CHECK_INT(ST_SUCCESS, command(&(struct client){h, h1, c.cookie, 1}, OP_DEL_VBUCKET, NULL));
    must_drain(&c);
    CHECK_NE(0, stat_count(&c, "timings", NULL));
    CHECK_NE(UINT64_MAX, stat_number(&c, NULL, "ep_vbucket_del_max_walltime", UINT64_MAX));
    CHECK_NE(0, stat_number(&c, NULL, "ep_io_num_write", 0));
    h1->reset_stats(h, c.cookie);
    h1->reset_stats(h, c.cookie);
    must_show(&c, NULL, "ep_io_num_write", "0");
    must_show(&c, NULL, "ep_total_persisted", "100");
    must_show(&c, NULL, "ep_vbucket_del", "1");
    CHECK_UINT(UINT64_MAX, stat_number(&c, NULL, "ep_vbucket_del_max_walltime", UINT64_MAX));
    client_free(&c);
    return SUCCESS;
}
