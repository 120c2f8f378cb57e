/*
 * Scalar types, result codes and small structures of "engine interface v1".
 *
 * Written from observed host behaviour for Linux x86-64 (LP64, little endian).
 * Values that cross the ABI are plain C enums: a peer may pass a number that is
 * not in the list, and the receiver has to treat it as an ordinary integer.
 */
#ifndef MEMCACHED_TYPES_H
#define MEMCACHED_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Seconds since "process start" of the host; see SERVER_CORE_API. */
typedef uint32_t rel_time_t;

/* Only the engine knows the layout of an item. */
typedef void item;

/* Result of an engine function. */
typedef enum {
    ENGINE_SUCCESS = 0x00,
    ENGINE_KEY_ENOENT = 0x01,
    ENGINE_KEY_EEXISTS = 0x02,
    ENGINE_ENOMEM = 0x03,
    ENGINE_NOT_STORED = 0x04,
    ENGINE_EINVAL = 0x05,
    ENGINE_ENOTSUP = 0x06,
    /* Blocked: the engine will call notify_io_complete exactly once. */
    ENGINE_EWOULDBLOCK = 0x07,
    ENGINE_E2BIG = 0x08,
    ENGINE_WANT_MORE = 0x09,
    /* The host closes the connection. */
    ENGINE_DISCONNECT = 0x0a,
    ENGINE_EACCESS = 0x0b,
    ENGINE_NOT_MY_VBUCKET = 0x0c,
    ENGINE_TMPFAIL = 0x0d,
    /* Known to hosts of the memcached.org branch only. */
    ENGINE_ERANGE = 0x0e,
    ENGINE_FAILED = 0xff
} ENGINE_ERROR_CODE;

/* What ENGINE_HANDLE_V1.store has to do. */
typedef enum {
    OPERATION_ADD = 1,
    OPERATION_SET = 2,
    OPERATION_REPLACE = 3,
    OPERATION_APPEND = 4,
    OPERATION_PREPEND = 5,
    OPERATION_CAS = 6
} ENGINE_STORE_OPERATION;

/* Events of a TAP stream, in both directions. */
typedef enum {
    TAP_MUTATION = 1,
    TAP_DELETION = 2,
    TAP_FLUSH = 3,
    TAP_OPAQUE = 4,
    TAP_VBUCKET_SET = 5,
    TAP_ACK = 6,
    TAP_DISCONNECT = 7,
    TAP_NOOP = 8,
    TAP_PAUSE = 9,
    TAP_CHECKPOINT_START = 10,
    TAP_CHECKPOINT_END = 11
} tap_event_t;

/* State of a vbucket; four bytes in network order on the wire. */
typedef enum {
    vbucket_state_active = 1,
    vbucket_state_replica = 2,
    vbucket_state_pending = 3,
    vbucket_state_dead = 4
} vbucket_state_t;

/*
 * Description of an item, filled by get_item_info. The host passes nvalue = 1
 * and everything else zero. value[0] has to be one contiguous region with
 * iov_len == nbytes. flags are in network byte order, as received.
 */
typedef struct {
    uint64_t cas;
    rel_time_t exptime;
    uint32_t nbytes;
    uint32_t flags;
    uint8_t clsid;
    uint16_t nkey;
    uint16_t nvalue;
    const void *key;
    struct iovec value[1];
} item_info;

/* Result of get_auth_data; untouched when nobody authenticated. */
typedef struct {
    const char *username;
    const char *config;
} auth_data_t;

_Static_assert(sizeof(void *) == 8, "64-bit only");
_Static_assert(sizeof(size_t) == 8, "64-bit only");
_Static_assert(sizeof(bool) == 1, "bool is one byte");
_Static_assert(sizeof(rel_time_t) == 4, "rel_time_t is 32 bits");
_Static_assert(sizeof(ENGINE_ERROR_CODE) == 4, "enums are 32 bits");
_Static_assert(sizeof(ENGINE_STORE_OPERATION) == 4, "enums are 32 bits");
_Static_assert(sizeof(tap_event_t) == 4, "enums are 32 bits");
_Static_assert(sizeof(vbucket_state_t) == 4, "enums are 32 bits");
_Static_assert(sizeof(item_info) == 56, "item_info size");
_Static_assert(offsetof(item_info, cas) == 0, "item_info.cas");
_Static_assert(offsetof(item_info, exptime) == 8, "item_info.exptime");
_Static_assert(offsetof(item_info, nbytes) == 12, "item_info.nbytes");
_Static_assert(offsetof(item_info, flags) == 16, "item_info.flags");
_Static_assert(offsetof(item_info, clsid) == 20, "item_info.clsid");
_Static_assert(offsetof(item_info, nkey) == 22, "item_info.nkey");
_Static_assert(offsetof(item_info, nvalue) == 24, "item_info.nvalue");
_Static_assert(offsetof(item_info, key) == 32, "item_info.key");
_Static_assert(offsetof(item_info, value) == 40, "item_info.value");
_Static_assert(sizeof(auth_data_t) == 16, "auth_data_t size");
_Static_assert(offsetof(auth_data_t, username) == 0, "auth_data_t.username");
_Static_assert(offsetof(auth_data_t, config) == 8, "auth_data_t.config");

#endif
