/*
 * What a test suite for engines exports and receives.
 *
 * Two layouts exist: the plain one (Membase 1.7, Couchbase 1.8) and the one of
 * memcached.org, branch engine-pu, here with the suffix _pu. The array stride
 * differs and nothing in a suite's file says which one it uses.
 */
#ifndef MEMCACHED_ENGINE_TESTAPP_H
#define MEMCACHED_ENGINE_TESTAPP_H

#include <stdbool.h>
#include <stddef.h>

#include "engine.h"

/* Result of a test; also the exit code of its process. */
enum test_result {
    SUCCESS = 11,
    SKIPPED = 12,
    FAIL = 13,
    DIED = 14,
    CORE = 15,
    PENDING = 19,
    TIMEOUT = 23
};

/* Both handles that a test receives are the same address. */
typedef enum test_result (*TEST_FUNCTION)(ENGINE_HANDLE *h, ENGINE_HANDLE_V1 *h1);
typedef bool (*TEST_FIXTURE)(ENGINE_HANDLE *h, ENGINE_HANDLE_V1 *h1);

/* One test; the array ends with an entry whose name is NULL. */
typedef struct test {
    const char *name;
    /* NULL: the test is PENDING. */
    TEST_FUNCTION tfun;
    TEST_FIXTURE test_setup;
    TEST_FIXTURE test_teardown;
    /* NULL: the default configuration. */
    const char *cfg;
} engine_test_t;

typedef struct test_pu {
    const char *name;
    TEST_FUNCTION tfun;
    TEST_FIXTURE test_setup;
    TEST_FIXTURE test_teardown;
    const char *cfg;
    /* Runs in the child before the engine is loaded. */
    enum test_result (*prepare)(struct test_pu *test);
    /* Runs after destroy. */
    void (*cleanup)(struct test_pu *test, enum test_result result);
} engine_test_pu_t;

/* The functions that a suite may use; it copies the struct in setup_suite. */
struct test_harness {
    const char *engine_path;
    /* NULL without a default configuration. */
    const char *default_engine_cfg;
    ENGINE_HANDLE_V1 *(*start_engine)(const char *engine, const char *cfg, bool init);
    void (*reload_engine)(ENGINE_HANDLE **h, ENGINE_HANDLE_V1 **h1, const char *engine,
                          const char *cfg, bool init, bool force);
    const void *(*create_cookie)(void);
    void (*destroy_cookie)(const void *cookie);
    void (*set_ewouldblock_handling)(const void *cookie, bool enable);
    void (*lock_cookie)(const void *cookie);
    void (*unlock_cookie)(const void *cookie);
    void (*waitfor_cookie)(const void *cookie);
    void (*time_travel)(int offset);
};

struct test_harness_pu {
    const char *engine_path;
    const char *default_engine_cfg;
    ENGINE_HANDLE_V1 *(*start_engine)(const char *engine, const char *cfg, bool init);
    void (*reload_engine)(ENGINE_HANDLE **h, ENGINE_HANDLE_V1 **h1, const char *engine,
                          const char *cfg, bool init, bool force);
    const void *(*create_cookie)(void);
    void (*destroy_cookie)(const void *cookie);
    void (*set_ewouldblock_handling)(const void *cookie, bool enable);
    void (*lock_cookie)(const void *cookie);
    void (*unlock_cookie)(const void *cookie);
    void (*waitfor_cookie)(const void *cookie);
    void (*time_travel)(int offset);
    const engine_test_pu_t *(*get_current_testcase)(void);
};

/* Symbols: get_tests (required), setup_suite, teardown_suite. */
typedef engine_test_t *(*GET_TESTS)(void);
typedef bool (*SETUP_SUITE)(struct test_harness *harness);
typedef engine_test_pu_t *(*GET_TESTS_PU)(void);
typedef bool (*SETUP_SUITE_PU)(struct test_harness_pu *harness);
typedef bool (*TEARDOWN_SUITE)(void);

_Static_assert(sizeof(enum test_result) == 4, "enums are 32 bits");
_Static_assert(sizeof(engine_test_t) == 40, "engine_test_t size");
_Static_assert(offsetof(engine_test_t, cfg) == 32, "engine_test_t.cfg");
_Static_assert(sizeof(engine_test_pu_t) == 56, "engine_test_pu_t size");
_Static_assert(offsetof(engine_test_pu_t, cfg) == 32, "engine_test_pu_t.cfg");
_Static_assert(offsetof(engine_test_pu_t, prepare) == 40, "engine_test_pu_t.prepare");
_Static_assert(offsetof(engine_test_pu_t, cleanup) == 48, "engine_test_pu_t.cleanup");
_Static_assert(sizeof(struct test_harness) == 88, "test_harness size");
_Static_assert(offsetof(struct test_harness, start_engine) == 16, "start_engine");
_Static_assert(offsetof(struct test_harness, create_cookie) == 32, "create_cookie");
_Static_assert(offsetof(struct test_harness, lock_cookie) == 56, "lock_cookie");
_Static_assert(offsetof(struct test_harness, time_travel) == 80, "time_travel");
_Static_assert(sizeof(struct test_harness_pu) == 96, "test_harness_pu size");
_Static_assert(offsetof(struct test_harness_pu, get_current_testcase) == 88, "current testcase");

#endif
