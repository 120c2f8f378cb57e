/* Expiry, touch, flush, threads and restarts of keys and values. */
#include "support.h"

static void put_for(const struct client *c, const char *key, const char *value, uint32_t exptime) {
    const struct put p = {.operation = OPERATION_SET,
                          .key = key,
                          .bytes = value,
                          .length = strlen(value),
                          .flags = 3,
                          .exptime = exptime};
    CHECK_INT(ENGINE_SUCCESS, put(c, &p, NULL));
}

static void travel(int seconds) {
    suite()->harness.time_travel(seconds);
}

/* Nobody gets it in the second of its expiry. Before that one may begin between two steps, so one
 * try of several has to see both sides of the border. */
TEST(key_expires_at_its_second) {
    struct client c = client_new(h, h1);
    bool seen_before = false;
    for (int i = 0; i < 8 && !seen_before; i++) {
        put_for(&c, "k", "v", 10);
        must_hold(&c, "k", "v");
        travel(9);
        seen_before = get_code(&c, "k") == ENGINE_SUCCESS;
        travel(1);
        must_miss(&c, "k");
    }
    CHECK(seen_before);
    put_for(&c, "long", "v", 2592000 / 12);
    put_for(&c, "never", "v", 0);
    travel(1000);
    must_hold(&c, "long", "v");
    travel(300000);
    must_miss(&c, "long");
    must_hold(&c, "never", "v");
    client_free(&c);
    return SUCCESS;
}

TEST(expired_key_is_absent_for_every_operation) {
    struct client c = client_new(h, h1);
    struct value v;
    for (int step = 0; step < 8; step++) {
        put_for(&c, "k", "7", 10);
        CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "k", &v));
        travel(20);
        const struct put cas = {
            .operation = OPERATION_CAS, .key = "k", .bytes = "x", .length = 1, .cas = v.cas};
        switch (step) {
        case 0:
            CHECK_INT(ENGINE_NOT_STORED, store_op(&c, OPERATION_REPLACE, "k", "x"));
            break;
        case 1:
            CHECK_INT(ENGINE_NOT_STORED, store_op(&c, OPERATION_APPEND, "k", "x"));
            break;
        case 2:
            CHECK_INT(ENGINE_KEY_ENOENT, put(&c, &cas, NULL));
            break;
        case 3:
            CHECK_INT(ENGINE_KEY_ENOENT, remove_key(&c, "k", 0));
            break;
        case 4:
            CHECK_INT(ENGINE_KEY_ENOENT, arith(&c, "k", true, 1, 0, UINT32_MAX, NULL));
            break;
        case 5:
            CHECK_INT(ST_KEY_ENOENT, touch(&c, OP_TOUCH, "k", 100, NULL));
            break;
        case 6:
            CHECK_INT(ST_KEY_ENOENT, touch(&c, OP_GAT, "k", 100, NULL));
            break;
        default:
            CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_ADD, "k", "new"));
            must_hold(&c, "k", "new");
            continue;
        }
        must_miss(&c, "k");
    }
    client_free(&c);
    return SUCCESS;
}

TEST(absolute_time_in_the_past_is_expired) {
    struct client c = client_new(h, h1);
    travel(10);
    put_for(&c, "k", "v", 100000000);
    must_miss(&c, "k");
    CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_ADD, "k", "new"));
    must_hold(&c, "k", "new");
    client_free(&c);
    return SUCCESS;
}

TEST(touch_moves_the_expiry) {
    struct client c = client_new(h, h1);
    struct reply r;
    CHECK_INT(ST_KEY_ENOENT, touch(&c, OP_TOUCH, "k", 100, &r));
    CHECK_UINT(1, r.count);
    put_for(&c, "k", "v", 10);
    CHECK_INT(ST_SUCCESS, touch(&c, OP_TOUCH, "k", 100, &r));
    CHECK_UINT(0, r.body_length);
    travel(50);
    must_hold(&c, "k", "v");
    CHECK_INT(ST_SUCCESS, touch(&c, OP_TOUCH, "k", 5, &r));
    travel(20);
    must_miss(&c, "k");
    client_free(&c);
    return SUCCESS;
}

TEST(touch_of_zero_means_never) {
    struct client c = client_new(h, h1);
    travel(10);
    put_for(&c, "k", "v", 20);
    CHECK_INT(ST_SUCCESS, touch(&c, OP_TOUCH, "k", 0, NULL));
    must_hold(&c, "k", "v");
    travel(100);
    must_hold(&c, "k", "v");
    put_for(&c, "k", "v", 20);
    CHECK_INT(ST_SUCCESS, touch(&c, OP_GAT, "k", 0, NULL));
    travel(100);
    must_hold(&c, "k", "v");
    client_free(&c);
    return SUCCESS;
}

TEST(gat_answers_value_and_moves_the_expiry) {
    struct client c = client_new(h, h1);
    struct reply r;
    struct value v;
    static const uint8_t opcodes[] = {OP_GAT, OP_GATQ};
    for (size_t i = 0; i < 2; i++) {
        put_for(&c, "k", "some value", 10);
        CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "k", &v));
        CHECK_INT(ST_SUCCESS, touch(&c, opcodes[i], "k", 100, &r));
        CHECK_UINT(1, r.count);
        CHECK_BYTES("some value", 10, r.body, r.body_length);
        CHECK_UINT(4, r.ext_length);
        CHECK_BYTES(&v.flags, 4, r.ext, 4);
        CHECK_NE(0, r.cas);
        travel(50);
        must_hold(&c, "k", "some value");
        travel(70);
        must_miss(&c, "k");
    }
    CHECK_INT(ST_KEY_ENOENT, touch(&c, OP_GAT, "k", 100, &r));
    CHECK_UINT(1, r.count);
    client_free(&c);
    return SUCCESS;
}

TEST(gatq_is_silent_on_a_miss) {
    struct client c = client_new(h, h1);
    struct reply r;
    CHECK_INT(ST_NONE, touch(&c, OP_GATQ, "k", 100, &r));
    CHECK_UINT(0, r.count);
    client_free(&c);
    return SUCCESS;
}

TEST(touch_refuses_malformed_requests) {
    struct client c = client_new(h, h1);
    static const uint8_t opcodes[] = {OP_TOUCH, OP_GAT, OP_GATQ};
    struct reply r;
    put_for(&c, "k", "v", 0);
    for (size_t i = 0; i < 3; i++) {
        struct request q = {.opcode = opcodes[i], .key = "k", .key_length = 1};
        send_request(&c, &q, &r);
        CHECK_INT(ST_EINVAL, r.status);
        q.ext = "\0\0\0\0\0\0\0\1";
        q.ext_length = 8;
        send_request(&c, &q, &r);
        CHECK_INT(ST_EINVAL, r.status);
        q.ext_length = 4;
        q.key_length = 0;
        send_request(&c, &q, &r);
        CHECK_INT(ST_EINVAL, r.status);
    }
    must_hold(&c, "k", "v");
    client_free(&c);
    return SUCCESS;
}

TEST(flush_deletes_everything) {
    struct client c = client_new(h, h1);
    travel(5);
    must_set_range(&c, "key", 0, 1000, 1);
    CHECK_INT(ENGINE_SUCCESS, h1->flush(h, c.cookie, 0));
    must_miss_range(&c, "key", 0, 1000);
    CHECK_INT(ENGINE_NOT_STORED, store_op(&c, OPERATION_REPLACE, "key000001", "x"));
    CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_ADD, "key000001", "x"));
    must_hold(&c, "key000001", "x");
    CHECK_INT(ENGINE_SUCCESS, h1->flush(h, c.cookie, 0));
    CHECK_INT(ENGINE_SUCCESS, h1->flush(h, c.cookie, 0));
    must_miss(&c, "key000001");
    must_set_range(&c, "key", 0, 1000, 2);
    must_hold_range(&c, "key", 0, 1000, 2);
    client_free(&c);
    return SUCCESS;
}

TEST(delayed_flush_comes_in_time) {
    struct client c = client_new(h, h1);
    travel(5);
    must_set_range(&c, "key", 0, 100, 1);
    CHECK_INT(ENGINE_SUCCESS, h1->flush(h, c.cookie, 60));
    must_hold_range(&c, "key", 0, 100, 1);
    travel(30);
    must_hold_range(&c, "key", 0, 100, 1);
    travel(40);
    /* A background thread may be what does it. */
    const uint64_t deadline = now_ms() + 10000;
    while (get_code(&c, "key000000") == ENGINE_SUCCESS && now_ms() < deadline) {
        sleep_ms(10);
    }
    must_miss_range(&c, "key", 0, 100);
    must_set_range(&c, "key", 0, 100, 2);
    travel(100);
    must_hold_range(&c, "key", 0, 100, 2);
    client_free(&c);
    return SUCCESS;
}

TEST(last_flush_counts) {
    struct client c = client_new(h, h1);
    travel(5);
    CHECK_INT(ENGINE_SUCCESS, h1->flush(h, c.cookie, 60));
    CHECK_INT(ENGINE_SUCCESS, h1->flush(h, c.cookie, 0));
    must_set_range(&c, "key", 0, 100, 1);
    travel(100);
    must_hold_range(&c, "key", 0, 100, 1);
    client_free(&c);
    return SUCCESS;
}

/* ---- threads ---- */

enum {
    THREADS = 8,
    ROUNDS = 2000
};

struct counting {
    ENGINE_HANDLE *h;
    ENGINE_HANDLE_V1 *v1;
    unsigned number;
};

static void count_up(void *argument) {
    const struct counting *job = argument;
    const struct client c = {.h = job->h, .v1 = job->v1};
    for (unsigned i = 0; i < ROUNDS; i++) {
        CHECK_INT(ENGINE_SUCCESS, arith(&c, "n", true, 1, 1, 0, NULL));
    }
}

TEST(threads_count_exactly) {
    struct client c = client_new(h, h1);
    struct background *threads[THREADS];
    struct counting job = {.h = h, .v1 = h1};
    must_set(&c, "n", "0");
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i] = background_start(count_up, &job);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        background_join(threads[i], 60);
    }
    char want[16];
    (void)snprintf(want, sizeof want, "%d", THREADS * ROUNDS);
    must_hold(&c, "n", want);
    client_free(&c);
    return SUCCESS;
}

static void mix(void *argument) {
    const struct counting *job = argument;
    struct client c = client_new(job->h, job->v1);
    char prefix[16];
    (void)snprintf(prefix, sizeof prefix, "own%u-", job->number);
    for (unsigned round = 0; round < 5; round++) {
        must_set_range(&c, prefix, 0, 200, round);
        (void)set(&c, "shared", "x");
        (void)store_op(&c, OPERATION_APPEND, "shared", "y");
        (void)get_code(&c, "shared");
        (void)remove_key(&c, "shared", 0);
        must_hold_range(&c, prefix, 0, 200, round);
        must_remove_range(&c, prefix, 0, 200);
        must_miss_range(&c, prefix, 0, 200);
    }
    client_free(&c);
}

TEST(threads_mix_operations) {
    struct background *threads[THREADS];
    struct counting jobs[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        jobs[i] = (struct counting){.h = h, .v1 = h1, .number = i};
        threads[i] = background_start(mix, &jobs[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        background_join(threads[i], 60);
    }
    return SUCCESS;
}

/* ---- restarts ---- */

TEST(restart_keeps_values_and_metadata) {
    struct client c = client_new(h, h1);
    struct value before;
    struct value after;
    must_set_range(&c, "key", 0, 5000, 1);
    must_set(&c, "empty", "");
    put_for(&c, "timed", "limited", 3600);
    CHECK_INT(ENGINE_SUCCESS, arith(&c, "n", true, 1, 41, 0, NULL));
    CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "timed", &before));
    must_drain(&c);
    must_set_range(&c, "key", 0, 100, 2); /* a clean shutdown writes what is still queued */
    restart(&c);
    must_hold_range(&c, "key", 0, 100, 2);
    must_hold_range(&c, "key", 100, 5000, 1);
    must_hold(&c, "empty", "");
    must_hold(&c, "n", "41");
    CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "timed", &after));
    CHECK_UINT(before.flags, after.flags);
    CHECK_UINT(before.cas, after.cas);
    CHECK_LE(after.exptime, before.exptime + 2);
    CHECK_LE(before.exptime, after.exptime + 2);
    travel(4000);
    must_miss(&c, "timed");
    client_free(&c);
    return SUCCESS;
}

TEST(restart_keeps_deletes_and_flush) {
    struct client c = client_new(h, h1);
    travel(5);
    must_set_range(&c, "key", 0, 1000, 1);
    must_drain(&c);
    must_remove_range(&c, "key", 0, 500);
    restart(&c);
    must_miss_range(&c, "key", 0, 500);
    must_hold_range(&c, "key", 500, 1000, 1);
    CHECK_INT(ENGINE_SUCCESS, c.v1->flush(c.h, c.cookie, 0));
    must_set(&c, "after", "flush");
    restart(&c);
    must_miss_range(&c, "key", 0, 1000);
    must_hold(&c, "after", "flush");
    client_free(&c);
    return SUCCESS;
}

TEST(restart_keeps_touch) {
    struct client c = client_new(h, h1);
    put_for(&c, "k", "v", 30);
    put_for(&c, "short", "v", 3600);
    must_drain(&c);
    CHECK_INT(ST_SUCCESS, touch(&c, OP_TOUCH, "k", 3600, NULL));
    CHECK_INT(ST_SUCCESS, touch(&c, OP_GAT, "short", 30, NULL));
    must_drain(&c);
    restart(&c);
    travel(600);
    must_hold(&c, "k", "v");
    must_miss(&c, "short");
    client_free(&c);
    return SUCCESS;
}
