/*
 * The function table that an engine hands to its host ("engine interface v1").
 *
 * The first argument of every function is the handle that create_instance
 * returned, which is the address of the table itself. cookie identifies a
 * connection and is opaque. The table has to stay valid and writable for the
 * life of the process.
 */
#ifndef MEMCACHED_ENGINE_H
#define MEMCACHED_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "protocol_binary.h"
#include "server_api.h"
#include "types.h"

/* Prefix of every interface table. */
typedef struct engine_interface {
    uint64_t interface;
} ENGINE_HANDLE;

/* The symbol every engine exports. interface is 1; *handle is the table. */
typedef ENGINE_ERROR_CODE (*CREATE_INSTANCE)(uint64_t interface, GET_SERVER_API get_server_api,
                                             ENGINE_HANDLE **handle);

/* Emits one statistic. klen == 0 && vlen == 0 is reserved for the host. */
typedef void (*ADD_STAT)(const char *key, const uint16_t klen, const char *val, const uint32_t vlen,
                         const void *cookie);

/* Queues one reply packet; status and cas in host order. False: out of memory. */
typedef bool (*ADD_RESPONSE)(const void *key, uint16_t keylen, const void *ext, uint8_t extlen,
                             const void *body, uint32_t bodylen, uint8_t datatype, uint16_t status,
                             uint64_t cas, const void *cookie);

/* Next event of a TAP stream; has to set every out parameter on every call. */
typedef tap_event_t (*TAP_ITERATOR)(ENGINE_HANDLE *handle, const void *cookie, item **item,
                                    void **engine_specific, uint16_t *nengine_specific,
                                    uint8_t *ttl, uint16_t *flags, uint32_t *seqno,
                                    uint16_t *vbucket);

/* What an engine can do; ids with the top bit set are free for engines. */
typedef enum {
    ENGINE_FEATURE_CAS = 0,
    ENGINE_FEATURE_PERSISTENT_STORAGE = 1,
    ENGINE_FEATURE_SECONDARY_ENGINE = 2,
    ENGINE_FEATURE_ACCESS_CONTROL = 3,
    ENGINE_FEATURE_MULTI_TENANCY = 4,
    ENGINE_FEATURE_LRU = 5,
    /* Needs a description: hosts have no name for it and read past their table. */
    ENGINE_FEATURE_VBUCKET = 6
} engine_feature_t;

typedef struct {
    uint32_t feature;
    const char *description;
} feature_info;

/* Result of get_info; features really has num_features entries. */
typedef struct {
    const char *description;
    uint32_t num_features;
    feature_info features[1];
} engine_info;

/* Members marked "may be NULL" are optional; all others are required. */
typedef struct engine_interface_v1 {
    struct engine_interface interface;

    const engine_info *(*get_info)(ENGINE_HANDLE *handle);
    ENGINE_ERROR_CODE (*initialize)(ENGINE_HANDLE *handle, const char *config_str);
    void (*destroy)(ENGINE_HANDLE *handle, const bool force);

    ENGINE_ERROR_CODE(*allocate)
    (ENGINE_HANDLE *handle, const void *cookie, item **item, const void *key, const size_t nkey,
     const size_t nbytes, const int flags, const rel_time_t exptime);
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
    /* May be NULL, but hosts then write a poor fallback into the table. */
    ENGINE_ERROR_CODE(*arithmetic)
    (ENGINE_HANDLE *handle, const void *cookie, const void *key, const int nkey,
     const bool increment, const bool create, const uint64_t delta, const uint64_t initial,
     const rel_time_t exptime, uint64_t *cas, uint64_t *result, uint16_t vbucket);
    ENGINE_ERROR_CODE (*flush)(ENGINE_HANDLE *handle, const void *cookie, time_t when);

    ENGINE_ERROR_CODE(*get_stats)
    (ENGINE_HANDLE *handle, const void *cookie, const char *stat_key, int nkey, ADD_STAT add_stat);
    void (*reset_stats)(ENGINE_HANDLE *handle, const void *cookie);
    /* May be NULL. */
    void *(*get_stats_struct)(ENGINE_HANDLE *handle, const void *cookie);
    /* May be NULL. */
    ENGINE_ERROR_CODE(*aggregate_stats)
    (ENGINE_HANDLE *handle, const void *cookie, void (*callback)(void *src, void *dest),
     void *dest);

    /* May be NULL. request is in network byte order and followed by its body. */
    ENGINE_ERROR_CODE(*unknown_command)
    (ENGINE_HANDLE *handle, const void *cookie, protocol_binary_request_header *request,
     ADD_RESPONSE response);

    /* May be NULL. */
    ENGINE_ERROR_CODE(*tap_notify)
    (ENGINE_HANDLE *handle, const void *cookie, void *engine_specific, uint16_t nengine,
     uint8_t ttl, uint16_t tap_flags, tap_event_t tap_event, uint32_t tap_seqno, const void *key,
     size_t nkey, uint32_t flags, uint32_t exptime, uint64_t cas, const void *data, size_t ndata,
     uint16_t vbucket);
    /* May be NULL. A NULL result refuses the stream. */
    TAP_ITERATOR(*get_tap_iterator)
    (ENGINE_HANDLE *handle, const void *cookie, const void *client, size_t nclient, uint32_t flags,
     const void *userdata, size_t nuserdata);

    void (*item_set_cas)(ENGINE_HANDLE *handle, const void *cookie, item *item, uint64_t cas);
    bool (*get_item_info)(ENGINE_HANDLE *handle, const void *cookie, const item *item,
                          item_info *item_info);
    /* May be NULL. Returns the number of bytes written, at most buffsz. */
    size_t (*errinfo)(ENGINE_HANDLE *handle, const void *cookie, char *buffer, size_t buffsz);
} ENGINE_HANDLE_V1;

_Static_assert(sizeof(ENGINE_HANDLE) == 8, "ENGINE_HANDLE size");
_Static_assert(sizeof(feature_info) == 16, "feature_info size");
_Static_assert(offsetof(feature_info, description) == 8, "feature_info.description");
_Static_assert(sizeof(engine_info) == 32, "engine_info size");
_Static_assert(offsetof(engine_info, num_features) == 8, "engine_info.num_features");
_Static_assert(offsetof(engine_info, features) == 16, "engine_info.features");
_Static_assert(sizeof(ENGINE_HANDLE_V1) == 168, "ENGINE_HANDLE_V1 size");
_Static_assert(offsetof(ENGINE_HANDLE_V1, get_info) == 8, "get_info");
_Static_assert(offsetof(ENGINE_HANDLE_V1, initialize) == 16, "initialize");
_Static_assert(offsetof(ENGINE_HANDLE_V1, destroy) == 24, "destroy");
_Static_assert(offsetof(ENGINE_HANDLE_V1, allocate) == 32, "allocate");
_Static_assert(offsetof(ENGINE_HANDLE_V1, remove) == 40, "remove");
_Static_assert(offsetof(ENGINE_HANDLE_V1, release) == 48, "release");
_Static_assert(offsetof(ENGINE_HANDLE_V1, get) == 56, "get");
_Static_assert(offsetof(ENGINE_HANDLE_V1, store) == 64, "store");
_Static_assert(offsetof(ENGINE_HANDLE_V1, arithmetic) == 72, "arithmetic");
_Static_assert(offsetof(ENGINE_HANDLE_V1, flush) == 80, "flush");
_Static_assert(offsetof(ENGINE_HANDLE_V1, get_stats) == 88, "get_stats");
_Static_assert(offsetof(ENGINE_HANDLE_V1, reset_stats) == 96, "reset_stats");
_Static_assert(offsetof(ENGINE_HANDLE_V1, get_stats_struct) == 104, "get_stats_struct");
_Static_assert(offsetof(ENGINE_HANDLE_V1, aggregate_stats) == 112, "aggregate_stats");
_Static_assert(offsetof(ENGINE_HANDLE_V1, unknown_command) == 120, "unknown_command");
_Static_assert(offsetof(ENGINE_HANDLE_V1, tap_notify) == 128, "tap_notify");
_Static_assert(offsetof(ENGINE_HANDLE_V1, get_tap_iterator) == 136, "get_tap_iterator");
_Static_assert(offsetof(ENGINE_HANDLE_V1, item_set_cas) == 144, "item_set_cas");
_Static_assert(offsetof(ENGINE_HANDLE_V1, get_item_info) == 152, "get_item_info");
_Static_assert(offsetof(ENGINE_HANDLE_V1, errinfo) == 160, "errinfo");

#endif
