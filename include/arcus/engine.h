/*
 * ARCUS memcached 1.15: the tables that differ from those in include/memcached, under names of
 * their own. What is not here is the same there. Members that belong to collections, scans and
 * dumps, of which this engine has none, are typed by the arguments that a refusal looks at.
 *
 * Written from observed host behaviour for Linux x86-64 and the configuration that is the default
 * (without ZooKeeper). The interface number says nothing: every minor version moves members.
 */
#ifndef ARCUS_ENGINE_H
#define ARCUS_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "../memcached/engine.h"

/* Results beside those of ENGINE_ERROR_CODE. 0x0d is no temporary failure here. */
#define ARCUS_EBADATTR 0x39
#define ARCUS_PREFIX_ENOENT 0x52

/* Attributes that plain values have; the numbers of the others are higher. */
#define ARCUS_ATTR_TYPE 0
#define ARCUS_ATTR_FLAGS 1
#define ARCUS_ATTR_EXPIRETIME 2

/* The type of a plain value. */
#define ARCUS_ITEM_TYPE_KV 0

/* An expiry that never comes and an item that is never evicted; set by -1 in the text protocol. */
#define ARCUS_EXPTIME_STICKY 0xffffffffU

/* Collection members of the engine's table, one behind the other. */
#define ARCUS_COLLECTION_MEMBERS 38

/* A further piece of a value. */
typedef struct {
    uint32_t len;
    char ptr[4];
} arcus_value_item;

/*
 * Description of an item. The value is nvalue bytes at value and naddnl pieces; nbytes is the sum,
 * and the last two bytes are CR LF. Nothing is cleared before.
 */
typedef struct {
    uint64_t cas;
    uint32_t flags;
    rel_time_t exptime;
    uint8_t type;
    uint8_t clsid;
    uint16_t nkey;
    uint32_t nbytes;
    uint32_t nvalue;
    uint32_t naddnl;
    const void *key;
    const void *value;
    arcus_value_item **addnl;
} arcus_item_info;

/* Attributes of an item. Only flags, exptime and type mean something for plain values. */
typedef struct {
    uint32_t flags;
    rel_time_t exptime;
    int32_t count;
    int32_t maxcount;
    uint8_t bkeys[96];
    uint8_t type;
    uint8_t ovflaction;
    uint8_t readable;
    uint8_t trimmed;
} arcus_item_attr;

/* A member that is only ever refused. It gets further arguments. */
typedef ENGINE_ERROR_CODE (*ARCUS_REFUSED)(const void *first, const void *second);

/*
 * The engine's table. prefix_release, scrub_stale, get_prefix_info and get_elem_info may be NULL
 * while the members that belong to them refuse; get_stats_struct and aggregate_stats must be.
 * Times are seconds since the process started.
 */
typedef struct {
    ENGINE_HANDLE interface;

    const engine_info *(*get_info)(ENGINE_HANDLE *handle);
    ENGINE_ERROR_CODE (*initialize)(ENGINE_HANDLE *handle, const char *config_str);
    void (*destroy)(ENGINE_HANDLE *handle);
    void (*prefix_release)(ENGINE_HANDLE *handle, const void *cookie, item *item);

    ENGINE_ERROR_CODE(*allocate)
    (ENGINE_HANDLE *handle, const void *cookie, item **item, const void *key, const size_t nkey,
     const size_t nbytes, const int flags, const rel_time_t exptime, const uint64_t cas);
    ENGINE_ERROR_CODE(*remove)
    (ENGINE_HANDLE *handle, const void *cookie, const void *key, const size_t nkey, uint64_t cas,
     uint16_t vbucket);
    void (*release)(ENGINE_HANDLE *handle, const void *cookie, item *item);
    ENGINE_ERROR_CODE(*get)
    (ENGINE_HANDLE *handle, const void *cookie, item **item, const void *key, const int nkey,
     uint16_t vbucket);
    ENGINE_ERROR_CODE(*store)
    (ENGINE_HANDLE *handle, const void *cookie, item *item, uint64_t *cas,
     ENGINE_STORE_OPERATION operation, uint16_t vbucket);
    ENGINE_ERROR_CODE(*arithmetic)
    (ENGINE_HANDLE *handle, const void *cookie, const void *key, const int nkey,
     const bool increment, const bool create, const uint64_t delta, const uint64_t initial,
     const int flags, const rel_time_t exptime, uint64_t *cas, uint64_t *result, uint16_t vbucket);
    /* nprefix: -1 everything, 0 what has no prefix. */
    ENGINE_ERROR_CODE(*flush)
    (ENGINE_HANDLE *handle, const void *cookie, const void *prefix, const int nprefix,
     rel_time_t when);

    ARCUS_REFUSED collections[ARCUS_COLLECTION_MEMBERS];

    ENGINE_ERROR_CODE(*getattr)
    (ENGINE_HANDLE *handle, const void *cookie, const void *key, const int nkey, int *attr_ids,
     const uint32_t attr_count, arcus_item_attr *attr_data, uint16_t vbucket);
    ENGINE_ERROR_CODE(*setattr)
    (ENGINE_HANDLE *handle, const void *cookie, const void *key, const int nkey, int *attr_ids,
     const uint32_t attr_count, arcus_item_attr *attr_data, uint16_t vbucket);

    ENGINE_ERROR_CODE(*get_stats)
    (ENGINE_HANDLE *handle, const void *cookie, const char *stat_key, int nkey, ADD_STAT add_stat);
    void (*reset_stats)(ENGINE_HANDLE *handle, const void *cookie);
    ARCUS_REFUSED get_stats_struct;
    ARCUS_REFUSED aggregate_stats;
    /* The host frees the result; NULL and a length of -1: not supported. */
    char *(*prefix_dump_stats)(ENGINE_HANDLE *handle, const void *cookie, token_t *tokens,
                               const size_t ntokens, int *length);
    int (*prefix_count)(ENGINE_HANDLE *handle, const void *cookie);

    /* What value points to depends on key. */
    ENGINE_ERROR_CODE(*set_config)
    (ENGINE_HANDLE *handle, const void *cookie, const char *config_key, void *config_value);
    ENGINE_ERROR_CODE(*get_config)
    (ENGINE_HANDLE *handle, const void *cookie, const char *config_key, void *config_value);

    /* The host frees the result; NULL is answered as a lack of memory. */
    char *(*cachedump)(ENGINE_HANDLE *handle, const void *cookie, const unsigned int slabs_clsid,
                       const unsigned int limit, const bool forward, const bool sticky,
                       unsigned int *bytes);
    ARCUS_REFUSED dump;
    ARCUS_REFUSED prefixscan;
    ARCUS_REFUSED keyscan;

    /* Has to give one response at least before it returns success. */
    ENGINE_ERROR_CODE(*unknown_command)
    (ENGINE_HANDLE *handle, const void *cookie, protocol_binary_request_header *request,
     ADD_RESPONSE response);
    ARCUS_REFUSED scrub_stale;
    ARCUS_REFUSED get_prefix_info;
    bool (*get_item_info)(ENGINE_HANDLE *handle, const void *cookie, const item *item,
                          arcus_item_info *item_info);
    ARCUS_REFUSED get_elem_info;
    size_t (*errinfo)(ENGINE_HANDLE *handle, const void *cookie, char *buffer, size_t buffsz);
} ARCUS_ENGINE_HANDLE_V1;

/* Clock, version and connections. Members that mocks lack are marked. */
typedef struct {
    rel_time_t (*get_current_time)(void);
    rel_time_t (*realtime)(const time_t exptime);
    const char *(*server_version)(void);
    uint32_t (*hash)(const void *data, size_t size, uint32_t seed);
    int (*parse_config)(const char *str, struct config_item items[], FILE *error);
    void (*store_engine_specific)(const void *cookie, void *engine_data);
    void *(*get_engine_specific)(const void *cookie);
    /* -1 while the end of the connection is told. */
    int (*get_socket_fd)(const void *cookie);
    /* From here on not in mocks, but for notify_io_complete. */
    const char *(*get_client_ip)(const void *cookie);
    int (*get_thread_index)(const void *cookie);
    /* Whether the client waits for no answer. */
    bool (*get_noreply)(const void *cookie);
    /* The answer of the present call is held back until notify_io_complete. */
    void (*waitfor_io_complete)(const void *cookie);
    /* The status is ignored. */
    void (*notify_io_complete)(const void *cookie, ENGINE_ERROR_CODE status);
    void (*shutdown)(void);
} ARCUS_SERVER_CORE_API;

/* There is no table of cookie functions behind it. */
typedef struct {
    uint64_t interface;
    ARCUS_SERVER_CORE_API *core;
    SERVER_STAT_API *stat;
    SERVER_EXTENSION_API *extension;
    SERVER_CALLBACK_API *callback;
    ENGINE_HANDLE *engine;
    SERVER_LOG_API *log;
} ARCUS_SERVER_HANDLE_V1;

/* An extension that adds words to the ASCII protocol. */
typedef struct arcus_ascii_descriptor {
    const char *(*get_name)(const void *cmd_cookie);
    /* Only for hosts that authenticate: 0 none is needed, 0x200 an administrator. */
    uint16_t (*get_auth_flag)(void);
    bool (*accept)(const void *cmd_cookie, void *cookie, int argc, token_t *argv, size_t *ndata,
                   char **ptr);
    /* False closes the connection. */
    bool (*execute)(const void *cmd_cookie, const void *cookie, int argc, token_t *argv,
                    bool (*response)(const void *cookie, int nbytes, const char *dta));
    void (*abort)(const void *cmd_cookie, const void *cookie);
    const void *cookie;
    struct arcus_ascii_descriptor *next;
} ARCUS_ASCII_DESCRIPTOR;

_Static_assert(sizeof(arcus_value_item) == 8, "value_item size");
_Static_assert(offsetof(arcus_value_item, ptr) == 4, "value_item.ptr");
_Static_assert(sizeof(arcus_item_info) == 56, "item_info size");
_Static_assert(offsetof(arcus_item_info, flags) == 8, "item_info.flags");
_Static_assert(offsetof(arcus_item_info, exptime) == 12, "item_info.exptime");
_Static_assert(offsetof(arcus_item_info, type) == 16, "item_info.type");
_Static_assert(offsetof(arcus_item_info, nkey) == 18, "item_info.nkey");
_Static_assert(offsetof(arcus_item_info, nbytes) == 20, "item_info.nbytes");
_Static_assert(offsetof(arcus_item_info, nvalue) == 24, "item_info.nvalue");
_Static_assert(offsetof(arcus_item_info, naddnl) == 28, "item_info.naddnl");
_Static_assert(offsetof(arcus_item_info, key) == 32, "item_info.key");
_Static_assert(offsetof(arcus_item_info, value) == 40, "item_info.value");
_Static_assert(offsetof(arcus_item_info, addnl) == 48, "item_info.addnl");
_Static_assert(sizeof(arcus_item_attr) == 116, "item_attr size");
_Static_assert(offsetof(arcus_item_attr, type) == 112, "item_attr.type");
_Static_assert(sizeof(ARCUS_ENGINE_HANDLE_V1) == 560, "ENGINE_HANDLE_V1 size");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, destroy) == 24, "destroy");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, allocate) == 40, "allocate");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, remove) == 48, "remove");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, release) == 56, "release");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, get) == 64, "get");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, store) == 72, "store");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, arithmetic) == 80, "arithmetic");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, flush) == 88, "flush");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, collections) == 96, "collections");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, getattr) == 400, "getattr");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, setattr) == 408, "setattr");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, get_stats) == 416, "get_stats");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, get_stats_struct) == 432, "get_stats_struct");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, prefix_count) == 456, "prefix_count");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, set_config) == 464, "set_config");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, cachedump) == 480, "cachedump");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, keyscan) == 504, "keyscan");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, unknown_command) == 512, "unknown_command");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, get_item_info) == 536, "get_item_info");
_Static_assert(offsetof(ARCUS_ENGINE_HANDLE_V1, errinfo) == 552, "errinfo");
_Static_assert(sizeof(ARCUS_SERVER_CORE_API) == 112, "core API size");
_Static_assert(offsetof(ARCUS_SERVER_CORE_API, server_version) == 16, "core server_version");
_Static_assert(offsetof(ARCUS_SERVER_CORE_API, store_engine_specific) == 40, "core specific");
_Static_assert(offsetof(ARCUS_SERVER_CORE_API, get_socket_fd) == 56, "core get_socket_fd");
_Static_assert(offsetof(ARCUS_SERVER_CORE_API, get_noreply) == 80, "core get_noreply");
_Static_assert(offsetof(ARCUS_SERVER_CORE_API, waitfor_io_complete) == 88, "core waitfor");
_Static_assert(offsetof(ARCUS_SERVER_CORE_API, notify_io_complete) == 96, "core notify");
_Static_assert(sizeof(ARCUS_SERVER_HANDLE_V1) == 56, "server handle size");
_Static_assert(offsetof(ARCUS_SERVER_HANDLE_V1, log) == 48, "handle log");
_Static_assert(sizeof(ARCUS_ASCII_DESCRIPTOR) == 56, "ascii descriptor size");

#endif
