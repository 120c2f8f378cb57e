/* Vbuckets: their states, the commands that change them, and what each state does to operations. */
#include "support.h"

enum {
    OTHER = 7,
    MISSING = 900,
    COUNT_ALL = 1024
};

static struct client at(const struct client *c, uint16_t vbucket) {
    struct client other = *c;
    other.vbucket = vbucket;
    return other;
}

static uint32_t state_of(const struct client *c, uint16_t vbucket) {
    const struct client there = at(c, vbucket);
    struct reply r;
    CHECK_INT(ST_SUCCESS, command(&there, OP_GET_VBUCKET, &r));
    CHECK_UINT(4, r.body_length);
    const unsigned char *b = (const unsigned char *)r.body;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

TEST(vbucket_zero_is_active) {
    struct client c = client_new(h, h1);
    CHECK_UINT(VB_ACTIVE, state_of(&c, 0));
    client_free(&c);
    return SUCCESS;
}

TEST(set_state_answers_and_applies) {
    struct client c = client_new(h, h1);
    static const uint32_t order[] = {VB_ACTIVE, VB_REPLICA, VB_PENDING, VB_DEAD,  VB_REPLICA,
                                     VB_ACTIVE, VB_ACTIVE,  VB_DEAD,    VB_ACTIVE};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        must_state(&c, OTHER, order[i]);
        CHECK_UINT(order[i], state_of(&c, OTHER));
        CHECK_UINT(VB_ACTIVE, state_of(&c, 0));
    }
    client_free(&c);
    return SUCCESS;
}

TEST(set_state_takes_extras_or_body) {
    struct client c = client_new(h, h1);
    struct reply r;
    struct request q = {.opcode = OP_SET_VBUCKET, .vbucket = OTHER};
    q.body = "\0\0\0\2";
    q.body_length = 4;
    send_request(&c, &q, &r);
    CHECK_INT(ST_SUCCESS, r.status);
    CHECK_UINT(VB_REPLICA, state_of(&c, OTHER));
    q.body_length = 0;
    q.ext = "\0\0\0\1";
    q.ext_length = 4;
    send_request(&c, &q, &r);
    CHECK_INT(ST_SUCCESS, r.status);
    CHECK_UINT(VB_ACTIVE, state_of(&c, OTHER));
    client_free(&c);
    return SUCCESS;
}

static void must_refuse(const struct client *c, const struct request *q) {
    struct reply r;
    send_request(c, q, &r);
    CHECK_UINT(1, r.count);
    CHECK_INT(ST_EINVAL, r.status);
    CHECK_NE(0, r.body_length);
}

TEST(set_state_refuses_malformed_requests) {
    struct client c = client_new(h, h1);
    static const unsigned char states[][4] = {
        {0, 0, 0, 0}, {0, 0, 0, 5}, {0, 0, 0, 9}, {1, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff}};
    struct request q = {.opcode = OP_SET_VBUCKET, .vbucket = OTHER};
    must_state(&c, OTHER, VB_REPLICA);
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        q.ext = states[i];
        q.ext_length = 4;
        must_refuse(&c, &q);
        CHECK_UINT(VB_REPLICA, state_of(&c, OTHER));
    }
    static const size_t lengths[] = {0, 1, 3, 5, 8};
    q.ext = "\0\0\0\1\0\0\0\1";
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        q.ext_length = lengths[i];
        must_refuse(&c, &q);
        CHECK_UINT(VB_REPLICA, state_of(&c, OTHER));
    }
    client_free(&c);
    return SUCCESS;
}

TEST(set_state_refuses_large_ids) {
    struct client c = client_new(h, h1);
    static const uint16_t ids[] = {1024, 1025, 2000, 32768, 65535};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        const struct client there = at(&c, ids[i]);
        const struct request q = {
            .opcode = OP_SET_VBUCKET, .vbucket = ids[i], .ext = "\0\0\0\1", .ext_length = 4};
        must_refuse(&c, &q);
        CHECK_INT(ENGINE_NOT_MY_VBUCKET, set(&there, "k", "v"));
        CHECK_INT(ENGINE_NOT_MY_VBUCKET, get_code(&there, "k"));
        CHECK_INT(ST_NOT_MY_VBUCKET, command(&there, OP_GET_VBUCKET, NULL));
        CHECK_INT(ST_NOT_MY_VBUCKET, command(&there, OP_DEL_VBUCKET, NULL));
    }
    client_free(&c);
    return SUCCESS;
}

TEST(get_state_of_missing_is_not_mine) {
    struct client c = client_new(h, h1);
    const struct client there = at(&c, MISSING);
    struct reply r;
    CHECK_INT(ST_NOT_MY_VBUCKET, command(&there, OP_GET_VBUCKET, &r));
    CHECK_STR("That's not my bucket.", r.body);
    client_free(&c);
    return SUCCESS;
}

TEST(delete_needs_a_dead_vbucket) {
    struct client c = client_new(h, h1);
    const struct client there = at(&c, OTHER);
    static const uint32_t alive[] = {VB_ACTIVE, VB_REPLICA, VB_PENDING};
    struct reply r;
    CHECK_INT(ST_NOT_MY_VBUCKET, command(&there, OP_DEL_VBUCKET, &r));
    CHECK_STR("Failed to delete vbucket.  Bucket not found.", r.body);
    for (size_t i = 0; i < 3; i++) {
        must_state(&c, OTHER, alive[i]);
        CHECK_INT(ST_EINVAL, command(&there, OP_DEL_VBUCKET, &r));
        CHECK_STR("Failed to delete vbucket.  Must be in the dead state.", r.body);
        CHECK_UINT(alive[i], state_of(&c, OTHER));
    }
    must_state(&c, OTHER, VB_DEAD);
    CHECK_INT(ST_SUCCESS, command(&there, OP_DEL_VBUCKET, &r));
    CHECK_INT(ST_NOT_MY_VBUCKET, command(&there, OP_GET_VBUCKET, &r));
    client_free(&c);
    return SUCCESS;
}

static void delete_vbucket(const struct client *c, uint16_t vbucket) {
    const struct client there = at(c, vbucket);
    must_state(c, vbucket, VB_DEAD);
    CHECK_INT(ST_SUCCESS, command(&there, OP_DEL_VBUCKET, NULL));
}

TEST(deleted_vbucket_comes_back_empty) {
    struct client c = client_new(h, h1);
    const struct client there = at(&c, OTHER);
    must_state(&c, OTHER, VB_ACTIVE);
    for (unsigned round = 0; round < 3; round++) {
        must_set_range(&there, "key", 0, 500, round);
        if (round == 1) {
            must_drain(&c);
        }
        delete_vbucket(&c, OTHER);
        CHECK_INT(ENGINE_NOT_MY_VBUCKET, get_code(&there, "key000001"));
        must_state(&c, OTHER, VB_ACTIVE);
        must_miss_range(&there, "key", 0, 500);
    }
    client_free(&c);
    return SUCCESS;
}

TEST(deleted_vbucket_is_empty_after_restart) {
    struct client c = client_new(h, h1);
    must_state(&c, OTHER, VB_ACTIVE);
    struct client there = at(&c, OTHER);
    must_set_range(&there, "key", 0, 500, 1);
    must_drain(&c);
    delete_vbucket(&c, OTHER);
    must_state(&c, OTHER, VB_ACTIVE);
    must_set(&there, "fresh", "v");
    must_drain(&c);
    restart(&c);
    must_state(&c, OTHER, VB_ACTIVE);
    there = at(&c, OTHER);
    must_miss_range(&there, "key", 0, 500);
    must_hold(&there, "fresh", "v");
    client_free(&c);
    return SUCCESS;
}

TEST(keys_of_vbuckets_are_apart) {
    struct client c = client_new(h, h1);
    const struct client there = at(&c, OTHER);
    must_state(&c, OTHER, VB_ACTIVE);
    must_set(&c, "k", "zero");
    must_miss(&there, "k");
    must_set(&there, "k", "seven");
    must_hold(&c, "k", "zero");
    must_hold(&there, "k", "seven");
    must_remove(&c, "k");
    must_hold(&there, "k", "seven");
    client_free(&c);
    return SUCCESS;
}

/*
 * Every operation of a client that may not be served answers "not my vbucket" and changes nothing.
 */
static void must_refuse_all(const struct client *c, uint16_t vbucket) {
    const struct client there = at(c, vbucket);
    static const ENGINE_STORE_OPERATION stores[] = {OPERATION_ADD,     OPERATION_SET,
                                                    OPERATION_REPLACE, OPERATION_APPEND,
                                                    OPERATION_PREPEND, OPERATION_CAS};
    struct reply r;
    for (size_t i = 0; i < sizeof stores / sizeof stores[0]; i++) {
        CHECK_INT(ENGINE_NOT_MY_VBUCKET, store_op(&there, stores[i], "k", "x"));
    }
    CHECK_INT(ENGINE_NOT_MY_VBUCKET, get_code(&there, "k"));
    CHECK_INT(ENGINE_NOT_MY_VBUCKET, remove_key(&there, "k", 0));
    CHECK_INT(ENGINE_NOT_MY_VBUCKET, arith(&there, "k", true, 1, 1, 100, NULL));
    CHECK_INT(ENGINE_NOT_MY_VBUCKET, arith(&there, "k", true, 1, 1, UINT32_MAX, NULL));
    CHECK_INT(ST_NOT_MY_VBUCKET, touch(&there, OP_TOUCH, "k", 100, &r));
    CHECK_INT(ST_NOT_MY_VBUCKET, touch(&there, OP_GAT, "k", 100, &r));
    CHECK_INT(ST_NOT_MY_VBUCKET, touch(&there, OP_GATQ, "k", 100, &r));
    CHECK_UINT(1, r.count);
}

TEST(missing_vbucket_refuses_everything) {
    struct client c = client_new(h, h1);
    must_refuse_all(&c, MISSING);
    must_refuse_all(&c, COUNT_ALL - 1);
    client_free(&c);
    return SUCCESS;
}

static void refuse_in(const struct client *c, uint32_t state) {
    const struct client there = at(c, OTHER);
    must_state(c, OTHER, VB_ACTIVE);
    must_set(&there, "k", "kept");
    must_state(c, OTHER, state);
    must_refuse_all(c, OTHER);
    must_state(c, OTHER, VB_ACTIVE);
    must_hold(&there, "k", "kept");
}

TEST(replica_refuses_everything) {
    struct client c = client_new(h, h1);
    refuse_in(&c, VB_REPLICA);
    client_free(&c);
    return SUCCESS;
}

TEST(dead_refuses_everything) {
    struct client c = client_new(h, h1);
    refuse_in(&c, VB_DEAD);
    client_free(&c);
    return SUCCESS;
}

/* ---- pending ---- */

enum pending_op {
    DO_GET,
    DO_SET,
    DO_REMOVE,
    DO_INCR,
    DO_TOUCH,
    DO_OPS
};

struct pending_call {
    struct client client;
    enum pending_op op;
    int result;
};

static void call_pending(void *argument) {
    struct pending_call *p = argument;
    switch (p->op) {
    case DO_GET:
        p->result = (int)get_code(&p->client, "k");
        break;
    case DO_SET:
        p->result = (int)set(&p->client, "set", "by a blocked client");
        break;
    case DO_REMOVE:
        p->result = (int)remove_key(&p->client, "gone", 0);
        break;
    case DO_INCR:
        p->result = (int)arith(&p->client, "n", true, 1, 1, UINT32_MAX, NULL);
        break;
    default:
        p->result = touch(&p->client, OP_TOUCH, "k", 100, NULL);
        break;
    }
}

static void start_pending(const struct client *c, struct pending_call calls[DO_OPS],
                          struct background *threads[DO_OPS]) {
    for (int i = 0; i < DO_OPS; i++) {
        calls[i] = (struct pending_call){.client = client_new(c->h, c->v1), .op = i, .result = -1};
        calls[i].client.vbucket = OTHER;
        threads[i] = background_start(call_pending, &calls[i]);
    }
    sleep_ms(100);
    for (int i = 0; i < DO_OPS; i++) {
        CHECK_MSG(!background_done(threads[i]), "operation %d did not block", i);
    }
}

static void end_pending(struct pending_call calls[DO_OPS], struct background *threads[DO_OPS]) {
    for (int i = 0; i < DO_OPS; i++) {
        background_join(threads[i], 60);
        client_free(&calls[i].client);
    }
}

static void prepare_pending(const struct client *there) {
    must_state(there, OTHER, VB_ACTIVE);
    must_set(there, "k", "v");
    must_set(there, "gone", "v");
    must_set(there, "n", "1");
    must_state(there, OTHER, VB_PENDING);
}

TEST(pending_blocks_until_active) {
    struct client c = client_new(h, h1);
    const struct client there = at(&c, OTHER);
    struct pending_call calls[DO_OPS];
    struct background *threads[DO_OPS];
    prepare_pending(&there);
    start_pending(&c, calls, threads);
    must_state(&c, OTHER, VB_ACTIVE);
    end_pending(calls, threads);
    for (int i = 0; i < DO_OPS; i++) {
        CHECK_INT(0, calls[i].result);
    }
    must_hold(&there, "set", "by a blocked client");
    must_hold(&there, "n", "2");
    must_miss(&there, "gone");
    client_free(&c);
    return SUCCESS;
}

TEST(pending_blocks_until_dead) {
    struct client c = client_new(h, h1);
    const struct client there = at(&c, OTHER);
    static const uint32_t ends[] = {VB_DEAD, VB_REPLICA};
    for (size_t i = 0; i < 2; i++) {
        struct pending_call calls[DO_OPS];
        struct background *threads[DO_OPS];
        prepare_pending(&there);
        start_pending(&c, calls, threads);
        must_state(&c, OTHER, ends[i]);
        end_pending(calls, threads);
        for (int op = 0; op < DO_OPS; op++) {
            CHECK_INT(op == DO_TOUCH ? ST_NOT_MY_VBUCKET : (int)ENGINE_NOT_MY_VBUCKET,
                      calls[op].result);
        }
        must_state(&c, OTHER, VB_ACTIVE);
        must_hold(&there, "n", "1");
        must_hold(&there, "gone", "v");
        must_miss(&there, "set");
    }
    client_free(&c);
    return SUCCESS;
}

static void block_again(void *argument) {
    struct pending_call *p = argument;
    p->result = (int)store_op(&p->client, OPERATION_APPEND, "k", "+");
}

TEST(pending_blocks_writers_too) {
    struct client c = client_new(h, h1);
    struct client there = at(&c, OTHER);
    enum {
        WRITERS = 20
    };
    struct pending_call calls[WRITERS];
    struct background *threads[WRITERS];
    must_state(&c, OTHER, VB_ACTIVE);
    must_set(&there, "k", "");
    must_state(&c, OTHER, VB_PENDING);
    for (int i = 0; i < WRITERS; i++) {
        calls[i] = (struct pending_call){.client = client_new(h, h1)};
        calls[i].client.vbucket = OTHER;
        threads[i] = background_start(block_again, &calls[i]);
    }
    sleep_ms(50);
    must_state(&c, OTHER, VB_PENDING); /* no change: nobody is served */
    sleep_ms(50);
    for (int i = 0; i < WRITERS; i++) {
        CHECK(!background_done(threads[i]));
    }
    must_state(&c, OTHER, VB_ACTIVE);
    for (int i = 0; i < WRITERS; i++) {
        background_join(threads[i], 60);
        CHECK_INT(ENGINE_SUCCESS, calls[i].result);
        client_free(&calls[i].client);
    }
    must_hold(&there, "k", "++++++++++++++++++++");
    client_free(&c);
    return SUCCESS;
}

/* ---- many ---- */

TEST(states_show_in_stats) {
    struct client c = client_new(h, h1);
    static const char *const words[] = {"", "active", "replica", "pending", "dead"};
    char text[32];
    CHECK(stat_text(&c, "vbucket", "vb_0", text, sizeof text));
    CHECK_STR("active", text);
    CHECK(!stat_text(&c, "vbucket", "vb_7", text, sizeof text));
    for (uint32_t state = VB_ACTIVE; state <= VB_DEAD; state++) {
        must_state(&c, OTHER, state);
        CHECK(stat_text(&c, "vbucket", "vb_7", text, sizeof text));
        CHECK_STR(words[state], text);
    }
    client_free(&c);
    return SUCCESS;
}

static void set_in_all(const struct client *c) {
    for (unsigned vb = 0; vb < COUNT_ALL; vb++) {
        const struct client there = at(c, (uint16_t)vb);
        must_state(c, (uint16_t)vb, VB_ACTIVE);
        must_set_range(&there, "key", vb, vb + 4, vb);
    }
}

static void hold_in_all(const struct client *c) {
    for (unsigned vb = 0; vb < COUNT_ALL; vb++) {
        const struct client there = at(c, (uint16_t)vb);
        must_hold_range(&there, "key", vb, vb + 4, vb);
        must_miss_range(&there, "key", vb + 4, vb + 6);
    }
}

TEST(all_vbuckets_can_be_used) {
    struct client c = client_new(h, h1);
    set_in_all(&c);
    hold_in_all(&c);
    CHECK_INT(ENGINE_SUCCESS, h1->flush(h, c.cookie, 0));
    for (unsigned vb = 0; vb < COUNT_ALL; vb++) {
        const struct client there = at(&c, (uint16_t)vb);
        must_miss_range(&there, "key", vb, vb + 4);
    }
    client_free(&c);
    return SUCCESS;
}

TEST(data_of_all_vbuckets_survives_restart) {
    struct client c = client_new(h, h1);
    set_in_all(&c);
    restart(&c);
    for (unsigned vb = 0; vb < COUNT_ALL; vb++) {
        must_state(&c, (uint16_t)vb, VB_ACTIVE);
    }
    hold_in_all(&c);
    client_free(&c);
    return SUCCESS;
}
