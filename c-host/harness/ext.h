/*
 * What engine-test offers to a suite beyond the hosts' own test harness.
 *
 * A suite that wants it exports `void ch_suite_extend(const struct ch_ext *ext)`. It is called in
 * the parent after setup_suite. Under a real host's test program it is never called, so a suite
 * must be able to do without: tests that need it are skipped there.
 *
 * The structure lives as long as the process. All functions may be called from any thread, but only
 * in a test's own process.
 */
#ifndef CH_HARNESS_EXT_H
#define CH_HARNESS_EXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <memcached/engine.h>

enum {
    CH_EXT_VERSION = 1
};

struct ch_ext {
    uint32_t version; /* CH_EXT_VERSION */
    bool real_cookies;
    bool memcached_cookie_layout;

    /* Rules of the host that the engine has broken so far; any makes a passed test fail. */
    uint64_t (*rules_broken)(void);
    /* For a test that provokes a report on purpose: forget it. */
    void (*rules_forgive)(void);

    /* How often this cookie has been notified, and the status of the last time. */
    uint64_t (*notify_count)(const void *cookie);
    ENGINE_ERROR_CODE (*notify_status)(const void *cookie);
    /* True if a notify came from a thread that was inside an engine call at that time. */
    bool (*notify_from_call)(const void *cookie);
    /*
     * Waits until the cookie has been notified more than `seen` times; false after `milliseconds`.
     */
    bool (*wait_notify)(const void *cookie, uint64_t seen, uint32_t milliseconds);

    /* Tells the engine what a host tells it when the client hung up. The cookie stays usable. */
    void (*disconnect)(const void *cookie);

    /* What the engine said to the logger since log_clear, one text with newlines. Valid until the
     * next log_text or log_clear of the same thread. */
    const char *(*log_text)(void);
    void (*log_clear)(void);

    /* Another instance of the engine under test in this process. `*code` receives the result of
     * initialize. NULL if that failed: the instance is gone by then. */
    ENGINE_HANDLE *(*start_instance)(const char *cfg, ENGINE_ERROR_CODE *code);
    void (*stop_instance)(ENGINE_HANDLE *handle);
};

typedef void (*CH_SUITE_EXTEND)(const struct ch_ext *ext);

#endif
