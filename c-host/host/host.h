/*
 * libhost: load an engine and serve its imports.
 *
 * A host is everything behind SERVER_HANDLE_V1: clock, log, callbacks,
 * extensions, configuration parser and the cookie table. What a cookie is, the
 * user of this library decides: the server passes functions that work on
 * connections, the harness passes functions that work on mock cookies.
 *
 * One host per process. The functions of the ABI (get_server_api,
 * get_current_time, get_level, ...) have no context argument, so one static
 * pointer to "the" host is unavoidable; it is set by ch_host_create, cleared by
 * ch_host_destroy, and is the only global state of the library. Any number of
 * engines can be loaded under that host.
 *
 * Threads: create, destroy, load, unload and the registration calls belong to
 * one thread while no other thread uses the host. Everything else may be called
 * from any thread. Pointers must not be NULL unless a comment says so.
 */
#ifndef CH_HOST_H
#define CH_HOST_H

#include <memcached/engine.h>
#include <memcached/server_api.h>
#include <memcached/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Which of the two cookie tables the engine gets to see. */
enum ch_layout {
    CH_LAYOUT_MEMBASE,
    CH_LAYOUT_MEMCACHED
};

/*
 * The cookie functions. They are put into the cookie table as they are, so an
 * engine may call them from any thread. None may be NULL; set_tap_nack_mode is
 * left out of the table in the layout CH_LAYOUT_MEMCACHED.
 */
struct ch_cookie_ops {
    int (*get_socket_fd)(const void *cookie);
    void (*get_auth_data)(const void *cookie, auth_data_t *data);
    void (*store_engine_specific)(const void *cookie, void *engine_data);
    void *(*get_engine_specific)(const void *cookie);
    void (*notify_io_complete)(const void *cookie, ENGINE_ERROR_CODE status);
    void (*set_tap_nack_mode)(const void *cookie, bool enable);
    ENGINE_ERROR_CODE (*reserve)(const void *cookie);
    ENGINE_ERROR_CODE (*release)(const void *cookie);
};

/* Receives one setting of the host; both strings are copied. */
typedef void (*ch_add_setting)(void *sink, const char *key, const char *value);

/*
 * How a host behaves. Zero-initialise, set layout and cookie, then what is
 * needed. The struct is copied; the strings and streams in it are not, and have
 * to outlive the host.
 */
struct ch_host_options {
    enum ch_layout layout;
    struct ch_cookie_ops cookie;

    /* Answer of core->server_version. NULL: "engine-host 1", or "mock server" with mock. */
    const char *server_version;

    /*
     * Behave like the mock server of a test app: the clock starts at 0, times
     * up to 3 days (not 30) are relative, hash always returns 1, handle->log
     * and handle->engine are NULL, and so are core->shutdown and
     * core->get_config unless the two functions below are given.
     */
    bool mock;

    /* With mock: offer handle->log all the same. */
    bool mock_has_log;

    /* core->shutdown. NULL: the slot is NULL with mock, else it does nothing. */
    void (*shutdown)(void);

    /* Names the host's settings for core->get_config. NULL: no settings. */
    void (*settings)(ch_add_setting add, void *sink);

    /* The three functions of the stat API. NULL: calloc of 4 KiB, free, nothing. */
    void *(*new_stats)(void);
    void (*release_stats)(void *stats);
    void (*evicting)(const void *cookie, const void *key, int nkey);

    /* Level of the logger; zero is EXTENSION_LOG_DETAIL, so set it. */
    EXTENSION_LOG_LEVEL log_level;

    /* Where the default logger writes. NULL: stderr. */
    FILE *log_stream;
};

typedef struct ch_host ch_host;

/* NULL when out of memory or when this process has a host already. */
ch_host *ch_host_create(const struct ch_host_options *options);

/* host may be NULL. Unload the engines first. */
void ch_host_destroy(ch_host *host);

/* The handle that engines of this host see. Lives as long as the host. */
SERVER_HANDLE_V1 *ch_host_server_api(ch_host *host);

/* Runs the callbacks registered for type, the latest registration first. */
void ch_host_perform_callbacks(ch_host *host, ENGINE_EVENT_TYPE type, const void *data,
                               const void *cookie);

/* What engines have added to the ASCII protocol, chained by next; NULL if nothing. From initialize
 * on it does not change. */
const EXTENSION_ASCII_PROTOCOL_DESCRIPTOR *ch_host_ascii(const ch_host *host);

/* Forgets all callbacks and extensions, for instance after an engine went away. */
void ch_host_forget_registrations(ch_host *host);

/* Logs through the logger that is registered at the moment. cookie may be NULL. */
void ch_log(ch_host *host, EXTENSION_LOG_LEVEL severity, const void *cookie, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

EXTENSION_LOG_LEVEL ch_log_level(const ch_host *host);

void ch_log_set_level(ch_host *host, EXTENSION_LOG_LEVEL level);

/* -v count to level: 0 WARNING, 1 INFO, 2 DEBUG, more DETAIL. */
EXTENSION_LOG_LEVEL ch_log_level_of_verbosity(int verbosity);

/* Seconds since process start, as core->get_current_time gives them. */
rel_time_t ch_clock_now(const ch_host *host);

rel_time_t ch_clock_realtime(const ch_host *host, time_t exptime);

time_t ch_clock_abstime(const ch_host *host, rel_time_t exptime);

/* Adds seconds to ch_clock_now; abstime and absolute expiry times do not move. */
void ch_clock_travel(ch_host *host, int seconds);

/* Makes "now" process start again and forgets travel; only with mock. */
void ch_clock_restart(ch_host *host);

/* Stops the clock, so that only ch_clock_travel moves it, or lets it run on. */
void ch_clock_freeze(ch_host *host, bool frozen);

/*
 * core->parse_config: the grammar of real hosts without their memory errors.
 * str, items and error may be NULL. Returns 0 (fine), 1 (unknown keys seen) or
 * -1 (bad). README.md lists where it differs from real hosts.
 */
int ch_parse_config(const char *str, struct config_item items[], FILE *error);

/* core->get_config: parses the settings of the host into items. */
bool ch_get_config(ch_host *host, struct config_item items[]);

/* Why ch_engine_load or ch_engine_initialize failed. */
enum ch_load_error {
    CH_LOAD_OK = 0,
    CH_LOAD_NO_MEMORY,
    CH_LOAD_DLOPEN,
    CH_LOAD_NO_SYMBOL,
    CH_LOAD_CREATE_INSTANCE,
    CH_LOAD_BAD_TABLE,
    CH_LOAD_INITIALIZE
};

/* Outcome with a sentence for the operator. */
struct ch_load_result {
    enum ch_load_error error;
    /* What create_instance or initialize returned, else ENGINE_SUCCESS. */
    ENGINE_ERROR_CODE code;
    char message[512];
};

/* A loaded engine: library plus table. */
typedef struct ch_engine ch_engine;

/*
 * dlopen (RTLD_NOW | RTLD_LOCAL), create_instance(1, ...) and the check of the
 * table. Returns NULL on failure; the library is then closed again. result is
 * always filled.
 */
ch_engine *ch_engine_load(ch_host *host, const char *path, struct ch_load_result *result);

/*
 * Calls initialize. config may be NULL. On failure the engine got
 * destroy(false); the caller still has to call ch_engine_unload. On success
 * handle->engine is this engine from now on (not with mock).
 */
bool ch_engine_initialize(ch_engine *engine, const char *config, struct ch_load_result *result);

/* Both pointers are the same address; valid until ch_engine_unload. */
ENGINE_HANDLE *ch_engine_handle(ch_engine *engine);
ENGINE_HANDLE_V1 *ch_engine_table(ch_engine *engine);

/* Calls destroy if that has not happened yet. */
void ch_engine_destroy(ch_engine *engine, bool force);

/*
 * Destroys (not forced) if necessary and frees the object. close_library says
 * whether to dlclose; real hosts leave the library in place at exit. engine may
 * be NULL.
 */
void ch_engine_unload(ch_engine *engine, bool close_library);

/* "ENGINE_SUCCESS" and so on; "ENGINE_?" for unknown numbers. */
const char *ch_error_name(ENGINE_ERROR_CODE code);

#endif
