/*
 * engine-test: what its files know of each other.
 *
 * The parent only loads suites, forks and counts. Everything that touches an engine happens in a
 * forked process, one per test, so that a test cannot hurt the next one. In that process there is
 * one host (libhost), one table of cookies and any number of wrapped engines.
 */
#ifndef CH_HARNESS_RUNNER_H
#define CH_HARNESS_RUNNER_H

#include <memcached/engine_testapp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ext.h"
#include "host.h"

/* From the command line. Read-only once main has filled it. */
struct options {
    const char *engine_path;
    const char *default_cfg; /* may be NULL */
    const char *only;        /* a test name or pattern; may be NULL */
    const char *except;      /* a pattern of test names to leave out; may be NULL */
    const char *const *suite_paths;
    size_t suite_count;
    unsigned seconds;
    uint64_t seed; /* of the order of the tests, with `shuffle` */
    bool shuffle;
    bool quiet;
    bool list;
    bool suite_abi_memcached;
    bool layout_memcached;
    bool real_cookies;
    bool check_rules;
};

/* ---- suite.c: a loaded suite ---- */

struct suite {
    const char *path;
    void *library;
    bool abi_memcached;
    char *tests; /* the suite's array, of 40-byte or 56-byte entries */
    size_t count;
    TEARDOWN_SUITE teardown;
    CH_SUITE_EXTEND extend; /* may be NULL */
};

/* One entry, whatever its layout; `pu` is NULL in the 40-byte layout. */
struct suite_entry {
    const char *name;
    const char *cfg;
    TEST_FUNCTION tfun;
    TEST_FIXTURE setup;
    TEST_FIXTURE teardown;
    engine_test_pu_t *pu;
};

bool suite_load(struct suite *suite, const char *path, const struct options *options);
void suite_unload(struct suite *suite);
struct suite_entry suite_at(const struct suite *suite, size_t index);

/* ---- child.c: the process of one test ---- */

/* The harness that suites get, in both layouts (the longer one begins like the shorter one). */
const struct test_harness_pu *child_harness(const struct options *options);
const struct ch_ext *child_extension(const struct options *options);
/* Runs one test in this process; does not return. The engine's log goes to `log`. */
_Noreturn void child_run(const struct options *options, const struct suite_entry *entry, FILE *log);

/* ---- runner.c: fork, wait, count ---- */

struct tally {
    size_t passed;
    size_t failed;
    size_t skipped;
};

void runner_run_suite(const struct options *options, const struct suite *suite,
                      struct tally *tally);

/* ---- cookie.c: mock connections ---- */

struct cookie;

/* The functions for libhost. */
struct ch_cookie_ops cookie_ops(bool real);
/* Called once per process, before the first cookie. `host` receives ON_CONNECT and ON_DISCONNECT in
 * real mode. */
void cookie_init(ch_host *host, bool real);
struct cookie *cookie_new(void);
void cookie_free(struct cookie *cookie);
struct cookie *cookie_of(const void *opaque);
void cookie_fire_disconnect(struct cookie *cookie);

void cookie_lock(struct cookie *cookie);
void cookie_unlock(struct cookie *cookie);
void cookie_wait_any(struct cookie *cookie); /* locked; as the hosts' waitfor_cookie */
void cookie_set_handling(struct cookie *cookie, bool enable);
bool cookie_handling(const struct cookie *cookie);
/* Locked: the engine returned EWOULDBLOCK. */
void cookie_mark_blocked(struct cookie *cookie);
/* Locked: waits for the notify and returns its status. */
ENGINE_ERROR_CODE cookie_wait_notify(struct cookie *cookie);
void cookie_set_tap(struct cookie *cookie, TAP_ITERATOR iterator);
TAP_ITERATOR cookie_tap(const struct cookie *cookie);

uint64_t cookie_notify_count(const void *cookie);
ENGINE_ERROR_CODE cookie_notify_status(const void *cookie);
bool cookie_notify_from_call(const void *cookie);
bool cookie_wait_more_notifies(const void *cookie, uint64_t seen, uint32_t milliseconds);

/* Around every call into an engine, so that calls back from inside are known as such. */
void cookie_enter_engine(struct cookie *cookie);
void cookie_leave_engine(void);

/* ---- wrapper.c: the table that tests see ---- */

/* NULL on failure; `*code` then has what initialize returned. */
ENGINE_HANDLE_V1 *wrapper_start(ch_host *host, const char *path, const char *cfg, bool init,
                                ENGINE_ERROR_CODE *code);
/* Destroys what the wrapper holds and starts again; the wrapper stays where it is. */
bool wrapper_reload(ENGINE_HANDLE_V1 *table, ch_host *host, const char *path, const char *cfg,
                    bool init, bool force);
void wrapper_stop(ENGINE_HANDLE_V1 *table, bool force);

/* ---- rules.c: what no engine may do ---- */

void rules_enable(bool enabled);
void rules_broken(unsigned rule, const char *format, ...) __attribute__((format(printf, 2, 3)));
uint64_t rules_count(void);
void rules_forgive(void);
void rules_after_get(ENGINE_ERROR_CODE code, bool has_item);
void rules_after_arithmetic(ENGINE_ERROR_CODE code, bool create, rel_time_t exptime);
void rules_after_store(ENGINE_ERROR_CODE code);
void rules_after_allocate(ENGINE_ERROR_CODE code);
void rules_after_flush(ENGINE_ERROR_CODE code);
void rules_after_item_info(bool filled, const item_info *info);
void rules_after_emit(const char *function, ENGINE_ERROR_CODE code, uint64_t emitted,
                      bool may_block);

#endif
