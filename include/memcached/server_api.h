/*
 * What the host offers to an engine: SERVER_HANDLE_V1 and the tables behind it.
 *
 * All tables live as long as the process. The cookie table exists in two
 * layouts, and nothing in the handle says which one a host has.
 */
#ifndef MEMCACHED_SERVER_API_H
#define MEMCACHED_SERVER_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "callback.h"
#include "config_parser.h"
#include "extension.h"
#include "types.h"

/* Forward declaration; engine.h completes it. */
struct engine_interface;

/* Clock, version, hash and configuration. */
typedef struct {
    /* Seconds since process start. */
    rel_time_t (*get_current_time)(void);
    /* Client expiry time (relative or absolute) to seconds since process start; 0 stays 0. */
    rel_time_t (*realtime)(const time_t exptime);
    /* Seconds since process start to seconds since the epoch. */
    time_t (*abstime)(const rel_time_t exptime);
    const char *(*server_version)(void);
    uint32_t (*hash)(const void *data, size_t size, uint32_t seed);
    /* 0 fine, 1 unknown keys were seen, -1 bad. error may be NULL. */
    int (*parse_config)(const char *str, struct config_item items[], FILE *error);
    /* NULL in mocks. */
    void (*shutdown)(void);
    /* NULL in mocks. */
    bool (*get_config)(struct config_item items[]);
} SERVER_CORE_API;

/* Host-side statistics. */
typedef struct {
    void *(*new_stats)(void);
    void (*release_stats)(void *stats);
    void (*evicting)(const void *cookie, const void *key, int nkey);
} SERVER_STAT_API;

/* Registry of extensions. */
typedef struct {
    bool (*register_extension)(extension_type_t type, void *extension);
    void (*unregister_extension)(extension_type_t type, void *extension);
    void *(*get_extension)(extension_type_t type);
} SERVER_EXTENSION_API;

/* Registry of event callbacks. The engine argument is ignored by hosts. */
typedef struct {
    void (*register_callback)(struct engine_interface *engine, ENGINE_EVENT_TYPE type,
                              EVENT_CALLBACK cb, const void *cb_data);
    void (*perform_callbacks)(ENGINE_EVENT_TYPE type, const void *data, const void *cookie);
} SERVER_CALLBACK_API;

/* Logging; the pointer to this table is NULL in mocks. */
typedef struct {
    EXTENSION_LOGGER_DESCRIPTOR *(*get_logger)(void);
    EXTENSION_LOG_LEVEL (*get_level)(void);
    void (*set_level)(EXTENSION_LOG_LEVEL severity);
} SERVER_LOG_API;

/*
 * Connections, as Membase 1.7 and Couchbase 1.8 lay them out.
 * Never call notify_io_complete or release from inside an engine function, nor
 * while holding a lock that an engine function takes.
 */
typedef struct {
    int (*get_socket_fd)(const void *cookie);
    void (*get_auth_data)(const void *cookie, auth_data_t *data);
    void (*store_engine_specific)(const void *cookie, void *engine_data);
    void *(*get_engine_specific)(const void *cookie);
    void (*notify_io_complete)(const void *cookie, ENGINE_ERROR_CODE status);
    void (*set_tap_nack_mode)(const void *cookie, bool enable);
    ENGINE_ERROR_CODE (*reserve)(const void *cookie);
    ENGINE_ERROR_CODE (*release)(const void *cookie);
} SERVER_COOKIE_API_MEMBASE;

/* Connections, as memcached.org (branch engine-pu) lays them out. */
typedef struct {
    int (*get_socket_fd)(const void *cookie);
    void (*get_auth_data)(const void *cookie, auth_data_t *data);
    void (*store_engine_specific)(const void *cookie, void *engine_data);
    void *(*get_engine_specific)(const void *cookie);
    void (*notify_io_complete)(const void *cookie, ENGINE_ERROR_CODE status);
    ENGINE_ERROR_CODE (*reserve)(const void *cookie);
    ENGINE_ERROR_CODE (*release)(const void *cookie);
} SERVER_COOKIE_API_MEMCACHED;

/*
 * The handle that get_server_api returns. Couchbase 1.8 appends one pointer
 * (allocator hooks), which no portable engine may read.
 */
typedef struct {
    uint64_t interface;
    SERVER_CORE_API *core;
    SERVER_STAT_API *stat;
    SERVER_EXTENSION_API *extension;
    SERVER_CALLBACK_API *callback;
    /* NULL until initialize returned, and always NULL in mocks. */
    struct engine_interface *engine;
    /* NULL in mocks. */
    SERVER_LOG_API *log;
    /* SERVER_COOKIE_API_MEMBASE or SERVER_COOKIE_API_MEMCACHED. */
    void *cookie;
} SERVER_HANDLE_V1;

/* Parameterless; returns the same static object every time. */
typedef SERVER_HANDLE_V1 *(*GET_SERVER_API)(void);

_Static_assert(sizeof(SERVER_CORE_API) == 64, "core API size");
_Static_assert(offsetof(SERVER_CORE_API, abstime) == 16, "core abstime");
_Static_assert(offsetof(SERVER_CORE_API, hash) == 32, "core hash");
_Static_assert(offsetof(SERVER_CORE_API, parse_config) == 40, "core parse_config");
_Static_assert(offsetof(SERVER_CORE_API, get_config) == 56, "core get_config");
_Static_assert(sizeof(SERVER_STAT_API) == 24, "stat API size");
_Static_assert(offsetof(SERVER_STAT_API, evicting) == 16, "stat evicting");
_Static_assert(sizeof(SERVER_EXTENSION_API) == 24, "extension API size");
_Static_assert(offsetof(SERVER_EXTENSION_API, get_extension) == 16, "get_extension");
_Static_assert(sizeof(SERVER_CALLBACK_API) == 16, "callback API size");
_Static_assert(sizeof(SERVER_LOG_API) == 24, "log API size");
_Static_assert(offsetof(SERVER_LOG_API, set_level) == 16, "log set_level");
_Static_assert(sizeof(SERVER_COOKIE_API_MEMBASE) == 64, "membase cookie API size");
_Static_assert(offsetof(SERVER_COOKIE_API_MEMBASE, notify_io_complete) == 32, "notify");
_Static_assert(offsetof(SERVER_COOKIE_API_MEMBASE, set_tap_nack_mode) == 40, "nack mode");
_Static_assert(offsetof(SERVER_COOKIE_API_MEMBASE, reserve) == 48, "membase reserve");
_Static_assert(offsetof(SERVER_COOKIE_API_MEMBASE, release) == 56, "membase release");
_Static_assert(sizeof(SERVER_COOKIE_API_MEMCACHED) == 56, "memcached cookie API size");
_Static_assert(offsetof(SERVER_COOKIE_API_MEMCACHED, notify_io_complete) == 32, "notify");
_Static_assert(offsetof(SERVER_COOKIE_API_MEMCACHED, reserve) == 40, "memcached reserve");
_Static_assert(offsetof(SERVER_COOKIE_API_MEMCACHED, release) == 48, "memcached release");
_Static_assert(sizeof(SERVER_HANDLE_V1) == 64, "server handle size");
_Static_assert(offsetof(SERVER_HANDLE_V1, core) == 8, "handle core");
_Static_assert(offsetof(SERVER_HANDLE_V1, stat) == 16, "handle stat");
_Static_assert(offsetof(SERVER_HANDLE_V1, extension) == 24, "handle extension");
_Static_assert(offsetof(SERVER_HANDLE_V1, callback) == 32, "handle callback");
_Static_assert(offsetof(SERVER_HANDLE_V1, engine) == 40, "handle engine");
_Static_assert(offsetof(SERVER_HANDLE_V1, log) == 48, "handle log");
_Static_assert(offsetof(SERVER_HANDLE_V1, cookie) == 56, "handle cookie");

#endif
