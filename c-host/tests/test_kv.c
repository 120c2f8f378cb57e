/* Keys and values: what every operation does on an active vbucket. Expiry is in test_kv_time.c. */
#include <stdlib.h>

#include "support.h"

TEST(set_then_get) {
    struct client c = client_new(h, h1);
    struct value v;
    uint64_t cas = 0;
    const struct put p = {
        .operation = OPERATION_SET, .key = "k", .bytes = "value", .length = 5, .flags = 7};
    CHECK_INT(ENGINE_SUCCESS, put(&c, &p, &cas));
    CHECK_NE(0, cas);
    CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "k", &v));
    CHECK_BYTES("value", 5, v.bytes, v.length);
    CHECK_UINT(7, v.flags);
    CHECK_UINT(cas, v.cas);
    CHECK_UINT(0, v.exptime);
    must_set(&c, "k", "another, longer value");
    must_hold(&c, "k", "another, longer value");
    client_free(&c);
    return SUCCESS;
}

TEST(missing_key_is_a_miss) {
    struct client c = client_new(h, h1);
    must_miss(&c, "absent");
    CHECK_INT(ENGINE_KEY_ENOENT, remove_key(&c, "absent", 0));
    CHECK_INT(ENGINE_KEY_ENOENT, remove_key(&c, "absent", 5));
    CHECK_INT(ENGINE_KEY_ENOENT, arith(&c, "absent", true, 1, 1, UINT32_MAX, NULL));
    must_miss(&c, "absent");
    client_free(&c);
    return SUCCESS;
}

TEST(empty_value_is_a_value) {
    struct client c = client_new(h, h1);
    struct value v;
    must_set(&c, "k", "");
    CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "k", &v));
    CHECK_UINT(0, v.length);
    CHECK_INT(ENGINE_NOT_STORED, store_op(&c, OPERATION_ADD, "k", "x"));
    CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_APPEND, "k", "tail"));
    must_hold(&c, "k", "tail");
    client_free(&c);
    return SUCCESS;
}

TEST(longest_key_works) {
    struct client c = client_new(h, h1);
    char key[KEY_MAX + 1];
    memset(key, 'k', KEY_MAX);
    key[KEY_MAX] = '\0';
    must_set(&c, key, "long");
    must_hold(&c, key, "long");
    /* One byte shorter, and one byte different, are other keys. */
    key[KEY_MAX - 1] = 'x';
    must_miss(&c, key);
    key[KEY_MAX - 1] = '\0';
    must_miss(&c, key);
    must_set(&c, "1", "short");
    must_hold(&c, "1", "short");
    client_free(&c);
    return SUCCESS;
}

TEST(binary_key_works) {
    struct client c = client_new(h, h1);
    static const char key[] = {'a', '\0', '\n', ' ', (char)0xff, '\0'};
    const struct put p = {.operation = OPERATION_SET,
                          .key = key,
                          .key_length = sizeof key,
                          .bytes = "v",
                          .length = 1};
    item *it = NULL;
    CHECK_INT(ENGINE_SUCCESS, put(&c, &p, NULL));
    CHECK_INT(ENGINE_SUCCESS, h1->get(h, c.cookie, &it, key, (int)sizeof key, 0));
    item_info info = {.nvalue = 1};
    CHECK(h1->get_item_info(h, c.cookie, it, &info));
    CHECK_BYTES(key, sizeof key, info.key, info.nkey);
    h1->release(h, c.cookie, it);
    must_miss(&c, "a");
    CHECK_INT(ENGINE_SUCCESS, h1->remove(h, c.cookie, key, sizeof key, 0, 0));
    client_free(&c);
    return SUCCESS;
}

TEST(flags_come_back_as_given) {
    struct client c = client_new(h, h1);
    static const uint32_t all[] = {0, 1, 0x01020304, 0x80000000, 0xffffffff};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct value v;
        const struct put p = {
            .operation = OPERATION_SET, .key = "k", .bytes = "v", .length = 1, .flags = all[i]};
        CHECK_INT(ENGINE_SUCCESS, put(&c, &p, NULL));
        CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "k", &v));
        CHECK_UINT(all[i], v.flags);
    }
    client_free(&c);
    return SUCCESS;
}

TEST(megabyte_value_comes_back) {
    struct client c = client_new(h, h1);
    const size_t length = 1000 * 1000;
    char *bytes = malloc(length);
    item *it = NULL;
    CHECK(bytes != NULL);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (char)(i * 31U);
    }
    const struct put p = {
        .operation = OPERATION_SET, .key = "big", .bytes = bytes, .length = length};
    CHECK_INT(ENGINE_SUCCESS, put(&c, &p, NULL));
    CHECK_INT(ENGINE_SUCCESS, h1->get(h, c.cookie, &it, "big", 3, 0));
    item_info info = {.nvalue = 1};
    CHECK(h1->get_item_info(h, c.cookie, it, &info));
    CHECK_BYTES(bytes, length, info.value[0].iov_base, info.value[0].iov_len);
    h1->release(h, c.cookie, it);
    free(bytes);
    client_free(&c);
    return SUCCESS;
}

TEST(value_limit_is_inclusive) {
    struct client c = client_new(h, h1);
    char bytes[4097];
    item *it = NULL;
    memset(bytes, 'v', sizeof bytes);
    struct put p = {.operation = OPERATION_SET, .key = "k", .bytes = bytes, .length = 4096};
    CHECK_INT(ENGINE_SUCCESS, put(&c, &p, NULL));
    struct value v;
    CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "k", &v));
    CHECK_UINT(4096, v.length);
    CHECK_INT(ENGINE_E2BIG, h1->allocate(h, c.cookie, &it, "k", 1, 4097, 0, 0));
    client_free(&c);
    return SUCCESS;
}

TEST(absurd_value_length_is_too_big) {
    struct client c = client_new(h, h1);
    static const size_t all[] = {SIZE_MAX,     SIZE_MAX - 2,           SIZE_MAX - 24,
                                 SIZE_MAX / 2, (size_t)1 << 63,        (size_t)1 << 32,
                                 UINT32_MAX,   (size_t)UINT32_MAX - 2, (size_t)1 << 40};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        item *it = NULL;
        CHECK_INT(ENGINE_E2BIG, h1->allocate(h, c.cookie, &it, "k", 1, all[i], 0, 0));
    }
    must_set(&c, "k", "still works");
    client_free(&c);
    return SUCCESS;
}

TEST(add_stores_only_what_is_absent) {
    struct client c = client_new(h, h1);
    CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_ADD, "k", "one"));
    CHECK_INT(ENGINE_NOT_STORED, store_op(&c, OPERATION_ADD, "k", "two"));
    must_hold(&c, "k", "one");
    must_remove(&c, "k");
    CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_ADD, "k", "three"));
    must_hold(&c, "k", "three");
    client_free(&c);
    return SUCCESS;
}

TEST(replace_stores_only_what_is_there) {
    struct client c = client_new(h, h1);
    CHECK_INT(ENGINE_NOT_STORED, store_op(&c, OPERATION_REPLACE, "k", "one"));
    must_miss(&c, "k");
    must_set(&c, "k", "two");
    CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_REPLACE, "k", "three"));
    must_hold(&c, "k", "three");
    must_remove(&c, "k");
    CHECK_INT(ENGINE_NOT_STORED, store_op(&c, OPERATION_REPLACE, "k", "four"));
    must_miss(&c, "k");
    client_free(&c);
    return SUCCESS;
}

TEST(cas_stores_only_on_match) {
    struct client c = client_new(h, h1);
    struct put p = {.operation = OPERATION_CAS, .key = "k", .bytes = "new", .length = 3, .cas = 99};
    struct value v;
    uint64_t cas = 0;
    CHECK_INT(ENGINE_KEY_ENOENT, put(&c, &p, NULL));
    must_set(&c, "k", "old");
    CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "k", &v));
    p.cas = v.cas + 1;
    CHECK_INT(ENGINE_KEY_EEXISTS, put(&c, &p, NULL));
    p.cas = 0; /* an ASCII cas with id 0 */
    CHECK_INT(ENGINE_KEY_EEXISTS, put(&c, &p, NULL));
    must_hold(&c, "k", "old");
    p.cas = v.cas;
    CHECK_INT(ENGINE_SUCCESS, put(&c, &p, &cas));
    CHECK_NE(v.cas, cas);
    must_hold(&c, "k", "new");
    CHECK_INT(ENGINE_KEY_EEXISTS, put(&c, &p, NULL));
    must_remove(&c, "k");
    CHECK_INT(ENGINE_KEY_ENOENT, put(&c, &p, NULL));
    client_free(&c);
    return SUCCESS;
}

TEST(append_and_prepend_join) {
    struct client c = client_new(h, h1);
    struct put p = {.operation = OPERATION_APPEND, .key = "k", .bytes = "!", .length = 1};
    struct value v;
    CHECK_INT(ENGINE_NOT_STORED, store_op(&c, OPERATION_APPEND, "k", "x"));
    CHECK_INT(ENGINE_NOT_STORED, store_op(&c, OPERATION_PREPEND, "k", "x"));
    must_miss(&c, "k");
    must_set(&c, "k", "b");
    CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_APPEND, "k", "c"));
    CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_PREPEND, "k", "a"));
    CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_APPEND, "k", ""));
    must_hold(&c, "k", "abc");
    CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "k", &v));
    p.cas = v.cas + 1;
    CHECK_INT(ENGINE_KEY_EEXISTS, put(&c, &p, NULL));
    p.operation = OPERATION_PREPEND;
    CHECK_INT(ENGINE_KEY_EEXISTS, put(&c, &p, NULL));
    p.operation = OPERATION_APPEND;
    p.cas = v.cas;
    CHECK_INT(ENGINE_SUCCESS, put(&c, &p, NULL));
    must_hold(&c, "k", "abc!");
    client_free(&c);
    return SUCCESS;
}

TEST(append_keeps_flags_and_expiry) {
    struct client c = client_new(h, h1);
    struct put p = {.operation = OPERATION_SET,
                    .key = "k",
                    .bytes = "a",
                    .length = 1,
                    .flags = 0xabcd,
                    .exptime = 100};
    struct value before;
    struct value after;
    CHECK_INT(ENGINE_SUCCESS, put(&c, &p, NULL));
    CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "k", &before));
    CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_APPEND, "k", "b"));
    p.operation = OPERATION_PREPEND;
    p.flags = 1;
    p.exptime = 5000; /* as from an ASCII command line */
    CHECK_INT(ENGINE_SUCCESS, put(&c, &p, NULL));
    CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "k", &after));
    CHECK_BYTES("aab", 3, after.bytes, after.length);
    CHECK_UINT(0xabcd, after.flags);
    CHECK_UINT(before.exptime, after.exptime);
    CHECK_NE(before.cas, after.cas);
    client_free(&c);
    return SUCCESS;
}

TEST(append_obeys_the_value_limit) {
    struct client c = client_new(h, h1);
    char bytes[4096];
    memset(bytes, 'v', sizeof bytes);
    const struct put p = {.operation = OPERATION_SET, .key = "k", .bytes = bytes, .length = 4095};
    CHECK_INT(ENGINE_SUCCESS, put(&c, &p, NULL));
    CHECK_INT(ENGINE_SUCCESS, store_op(&c, OPERATION_APPEND, "k", "x"));
    CHECK_INT(ENGINE_E2BIG, store_op(&c, OPERATION_APPEND, "k", "x"));
    CHECK_INT(ENGINE_E2BIG, store_op(&c, OPERATION_PREPEND, "k", "x"));
    struct value v;
    CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "k", &v));
    CHECK_UINT(4096, v.length);
    client_free(&c);
    return SUCCESS;
}

TEST(one_item_object_stores_many_times) {
    struct client c = client_new(h, h1);
    item *it = NULL;
    uint64_t last = 0;
    CHECK_INT(ENGINE_SUCCESS, h1->allocate(h, c.cookie, &it, "k", 1, 1, 0, 0));
    item_info info = {.nvalue = 1};
    CHECK(h1->get_item_info(h, c.cookie, it, &info));
    for (char letter = 'a'; letter <= 'j'; letter++) {
        uint64_t cas = 0;
        const char text[2] = {letter, '\0'};
        info.nvalue = 1;
        CHECK(h1->get_item_info(h, c.cookie, it, &info));
        memcpy(info.value[0].iov_base, &letter, 1);
        h1->item_set_cas(h, c.cookie, it, 0);
        CHECK_INT(ENGINE_SUCCESS, h1->store(h, c.cookie, it, &cas, OPERATION_SET, 0));
        CHECK_NE(last, cas);
        last = cas;
        must_hold(&c, "k", text);
    }
    h1->release(h, c.cookie, it);
    must_hold(&c, "k", "j");
    client_free(&c);
    return SUCCESS;
}

TEST(reference_outlives_overwrite_and_delete) {
    struct client c = client_new(h, h1);
    item *held[3] = {NULL, NULL, NULL};
    must_set(&c, "k", "first");
    CHECK_INT(ENGINE_SUCCESS, h1->get(h, c.cookie, &held[0], "k", 1, 0));
    must_set(&c, "k", "second");
    CHECK_INT(ENGINE_SUCCESS, h1->get(h, c.cookie, &held[1], "k", 1, 0));
    must_remove(&c, "k");
    must_set(&c, "k", "third");
    CHECK_INT(ENGINE_SUCCESS, h1->get(h, c.cookie, &held[2], "k", 1, 0));
    CHECK_INT(ENGINE_SUCCESS, h1->flush(h, c.cookie, 0));
    must_drain(&c);
    static const char *const want[3] = {"first", "second", "third"};
    for (int i = 0; i < 3; i++) {
        item_info info = {.nvalue = 1};
        CHECK(h1->get_item_info(h, c.cookie, held[i], &info));
        CHECK_BYTES(want[i], strlen(want[i]), info.value[0].iov_base, info.value[0].iov_len);
        CHECK_BYTES("k", 1, info.key, info.nkey);
        h1->release(h, c.cookie, held[i]);
    }
    client_free(&c);
    return SUCCESS;
}

TEST(item_info_follows_the_store) {
    struct client c = client_new(h, h1);
    item *it = NULL;
    uint64_t cas = 0;
    CHECK_INT(ENGINE_SUCCESS, h1->allocate(h, c.cookie, &it, "key", 3, 4, 5, 0));
    item_info info = {.nvalue = 1};
    CHECK(h1->get_item_info(h, c.cookie, it, &info));
    memcpy(info.value[0].iov_base, "data", 4);
    CHECK_UINT(5, info.flags);
    h1->item_set_cas(h, c.cookie, it, 0);
    CHECK_INT(ENGINE_SUCCESS, h1->store(h, c.cookie, it, &cas, OPERATION_SET, 0));
    CHECK(h1->get_item_info(h, c.cookie, it, &info));
    CHECK_UINT(cas, info.cas);
    CHECK_BYTES("data", 4, info.value[0].iov_base, info.value[0].iov_len);
    /* The basic suites compare the key as a C string. */
    CHECK_STR("key", (const char *)info.key);
    h1->release(h, c.cookie, it);
    CHECK_INT(ENGINE_SUCCESS, h1->get(h, c.cookie, &it, "key", 3, 0));
    CHECK(h1->get_item_info(h, c.cookie, it, &info));
    CHECK_UINT(cas, info.cas);
    h1->release(h, c.cookie, it);
    client_free(&c);
    return SUCCESS;
}

TEST(remove_obeys_cas) {
    struct client c = client_new(h, h1);
    struct value v;
    must_set(&c, "k", "v");
    CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "k", &v));
    CHECK_INT(ENGINE_KEY_EEXISTS, remove_key(&c, "k", v.cas + 1));
    must_hold(&c, "k", "v");
    CHECK_INT(ENGINE_SUCCESS, remove_key(&c, "k", v.cas));
    must_miss(&c, "k");
    CHECK_INT(ENGINE_KEY_ENOENT, remove_key(&c, "k", v.cas));
    CHECK_INT(ENGINE_KEY_ENOENT, remove_key(&c, "k", 0));
    client_free(&c);
    return SUCCESS;
}

TEST(arithmetic_creates_and_counts) {
    struct client c = client_new(h, h1);
    uint64_t n = 0;
    struct value v;
    CHECK_INT(ENGINE_SUCCESS, arith(&c, "n", true, 5, 10, 0, &n));
    CHECK_UINT(10, n);
    must_hold(&c, "n", "10");
    CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "n", &v));
    CHECK_UINT(0, v.flags);
    CHECK_INT(ENGINE_SUCCESS, arith(&c, "n", true, 5, 99, 0, &n));
    CHECK_UINT(15, n);
    CHECK_INT(ENGINE_SUCCESS, arith(&c, "n", false, 6, 99, UINT32_MAX, &n));
    CHECK_UINT(9, n);
    must_hold(&c, "n", "9");
    CHECK_INT(ENGINE_SUCCESS, arith(&c, "n", true, 0, 0, UINT32_MAX, &n));
    CHECK_UINT(9, n);
    CHECK_INT(ENGINE_KEY_ENOENT, arith(&c, "other", true, 1, 1, UINT32_MAX, NULL));
    must_miss(&c, "other");
    CHECK_INT(ENGINE_SUCCESS, arith(&c, "big", false, 1, UINT64_MAX, 0, &n));
    must_hold(&c, "big", "18446744073709551615");
    client_free(&c);
    return SUCCESS;
}

TEST(arithmetic_wraps_and_stops) {
    struct client c = client_new(h, h1);
    uint64_t n = 0;
    must_set(&c, "n", "18446744073709551615");
    CHECK_INT(ENGINE_SUCCESS, arith(&c, "n", true, 1, 0, UINT32_MAX, &n));
    CHECK_UINT(0, n);
    must_hold(&c, "n", "0");
    CHECK_INT(ENGINE_SUCCESS, arith(&c, "n", false, 1, 0, UINT32_MAX, &n));
    CHECK_UINT(0, n);
    must_set(&c, "n", "5");
    CHECK_INT(ENGINE_SUCCESS, arith(&c, "n", false, UINT64_MAX, 0, UINT32_MAX, &n));
    CHECK_UINT(0, n);
    must_set(&c, "n", "5");
    CHECK_INT(ENGINE_SUCCESS, arith(&c, "n", true, UINT64_MAX, 0, UINT32_MAX, &n));
    CHECK_UINT(4, n);
    must_hold(&c, "n", "4");
    client_free(&c);
    return SUCCESS;
}

TEST(arithmetic_refuses_what_is_no_number) {
    struct client c = client_new(h, h1);
    static const char *const bad[] = {"", "x", "x1", "1x", "99999999999999999999999999", "0x10",
                                       "-1", " -1", "+-1", "+ 1"};
    uint64_t n = 0;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        must_set(&c, "n", bad[i]);
        const ENGINE_ERROR_CODE code = arith(&c, "n", true, 1, 0, 0, &n);
        CHECK_MSG(code == ENGINE_EINVAL, "\"%s\" + 1: %d, %" PRIu64, bad[i], (int)code, n);
        must_hold(&c, "n", bad[i]);
    }
    static const char *const good[] = {"12 ", "  12", "+12", "\t+012\t\t", "12 apples"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        must_set(&c, "n", good[i]);
        CHECK_INT(ENGINE_SUCCESS, arith(&c, "n", true, 1, 0, UINT32_MAX, &n));
        CHECK_UINT(13, n);
    }
    client_free(&c);
    return SUCCESS;
}

TEST(arithmetic_keeps_flags_and_expiry) {
    struct client c = client_new(h, h1);
    const struct put p = {.operation = OPERATION_SET,
                          .key = "n",
                          .bytes = "1",
                          .length = 1,
                          .flags = 77,
                          .exptime = 500};
    struct value before;
    struct value after;
    CHECK_INT(ENGINE_SUCCESS, put(&c, &p, NULL));
    CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "n", &before));
    CHECK_INT(ENGINE_SUCCESS, arith(&c, "n", true, 1, 0, 0, NULL));
    CHECK_INT(ENGINE_SUCCESS, get_copy(&c, "n", &after));
    CHECK_BYTES("2", 1, after.bytes, after.length);
    CHECK_UINT(77, after.flags);
    CHECK_UINT(before.exptime, after.exptime);
    CHECK_NE(before.cas, after.cas);
    client_free(&c);
    return SUCCESS;
}

TEST(many_keys_are_kept_apart) {
    struct client c = client_new(h, h1);
    enum {
        COUNT = 20000
    };
    must_set_range(&c, "key", 0, COUNT, 1);
    must_hold_range(&c, "key", 0, COUNT, 1);
    must_remove_range(&c, "key", 0, COUNT / 2);
    must_set_range(&c, "key", COUNT / 2, COUNT, 2);
    must_miss_range(&c, "key", 0, COUNT / 2);
    must_hold_range(&c, "key", COUNT / 2, COUNT, 2);
    client_free(&c);
    return SUCCESS;
}

TEST(statistics_follow) {
    struct client c = client_new(h, h1);
    ENGINE_ERROR_CODE code = ENGINE_FAILED;
    CHECK_NE(0, stat_count(&c, NULL, &code));
    CHECK_INT(ENGINE_SUCCESS, code);
    const uint64_t none = stat_number(&c, NULL, "curr_items", UINT64_MAX);
    must_set_range(&c, "key", 0, 100, 1);
    if (none != UINT64_MAX) {
        CHECK_UINT(none + 100, stat_number(&c, NULL, "curr_items", UINT64_MAX));
    }
    must_remove_range(&c, "key", 0, 50);
    must_drain(&c);
    if (none != UINT64_MAX) {
        CHECK_UINT(none + 50, stat_number(&c, NULL, "curr_items", UINT64_MAX));
    }
    (void)stat_count(&c, "no such group", &code);
    CHECK_INT(ENGINE_KEY_ENOENT, code);
    h1->reset_stats(h, c.cookie);
    h1->reset_stats(h, c.cookie);
    CHECK_NE(0, stat_count(&c, NULL, &code));
    client_free(&c);
    return SUCCESS;
}
