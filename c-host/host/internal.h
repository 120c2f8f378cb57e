/*
 * The host object, private to libhost. A file uses files of lower rank only; tests/tidy
 * has the ranks.
 *
 * What may change while engine threads run is atomic; everything else is set
 * before an engine is loaded.
 */
#ifndef CH_HOST_INTERNAL_H
#define CH_HOST_INTERNAL_H

#include "host.h"

#include <stdarg.h>
#include <stdatomic.h>

struct ch_callback {
    EVENT_CALLBACK function;
    const void *data;
    struct ch_callback *next;
};

struct ch_clock {
    bool mock;
    /* Where relative time begins, by the monotonic clock. */
    long long origin_ns;
    /* The same in epoch seconds, by the wall clock as it is. */
    atomic_llong process_start;
    /* Seconds that passed before ch_clock_restart. */
    atomic_llong skipped;
    /* Seconds of time travel. */
    atomic_llong offset;
    /* Seconds since process start at which the clock stands, or -1 while it runs. */
    atomic_llong frozen_at;
};

struct ch_host {
    struct ch_host_options options;
    struct ch_clock clock;

    atomic_int log_level;
    _Atomic(EXTENSION_LOGGER_DESCRIPTOR *) logger;
    EXTENSION_DAEMON_DESCRIPTOR *daemons;
    EXTENSION_ASCII_PROTOCOL_DESCRIPTOR *ascii;
    _Atomic(struct ch_callback *) callbacks[MAX_ENGINE_EVENT_TYPE];

    /* Becomes handle.engine at the next call of get_server_api. */
    ENGINE_HANDLE *engine;

    SERVER_HANDLE_V1 handle;
    SERVER_CORE_API core;
    SERVER_STAT_API stat;
    SERVER_EXTENSION_API extension;
    SERVER_CALLBACK_API callback;
    SERVER_LOG_API log;
    union {
        SERVER_COOKIE_API_MEMBASE membase;
        SERVER_COOKIE_API_MEMCACHED memcached;
    } cookie;
};

/* current.c: the one host of this process, or NULL. */
ch_host *ch_host_current(void);
/* False if there is one already. */
bool ch_host_make_current(ch_host *host);
void ch_host_forget_current(void);

/* Sets process start; now - 2 s for real hosts, now for mocks. */
void ch_clock_init(struct ch_clock *clock, bool mock);

/* The logger that writes to the stream of the current host. */
EXTENSION_LOGGER_DESCRIPTOR *ch_log_default(void);

/* lookup3-style hash, as core->hash of real hosts. */
uint32_t ch_hash(const void *data, size_t size, uint32_t seed);

#endif
