/*
 * Wire format of the memcached binary protocol: header, extras, opcodes,
 * statuses and TAP flags.
 *
 * All multi-byte numbers are in network byte order on the wire. The structures
 * have exactly their wire size; extras structures start at offset 24 of a
 * packet and are packed, so copy them with memcpy rather than by a cast of an
 * unaligned pointer.
 */
#ifndef MEMCACHED_PROTOCOL_BINARY_H
#define MEMCACHED_PROTOCOL_BINARY_H

#include <stddef.h>
#include <stdint.h>

/* First byte of a packet. */
typedef enum {
    PROTOCOL_BINARY_REQ = 0x80,
    PROTOCOL_BINARY_RES = 0x81
} protocol_binary_magic;

/* Data type byte; hosts copy it and attach no meaning to it. */
typedef enum {
    PROTOCOL_BINARY_RAW_BYTES = 0x00
} protocol_binary_datatypes;

/* Bytes 6-7 of a response. */
typedef enum {
    PROTOCOL_BINARY_RESPONSE_SUCCESS = 0x00,
    PROTOCOL_BINARY_RESPONSE_KEY_ENOENT = 0x01,
    PROTOCOL_BINARY_RESPONSE_KEY_EEXISTS = 0x02,
    PROTOCOL_BINARY_RESPONSE_E2BIG = 0x03,
    PROTOCOL_BINARY_RESPONSE_EINVAL = 0x04,
    PROTOCOL_BINARY_RESPONSE_NOT_STORED = 0x05,
    PROTOCOL_BINARY_RESPONSE_DELTA_BADVAL = 0x06,
    PROTOCOL_BINARY_RESPONSE_NOT_MY_VBUCKET = 0x07,
    PROTOCOL_BINARY_RESPONSE_AUTH_ERROR = 0x20,
    PROTOCOL_BINARY_RESPONSE_AUTH_CONTINUE = 0x21,
    /* memcached.org branch only. */
    PROTOCOL_BINARY_RESPONSE_ERANGE = 0x22,
    PROTOCOL_BINARY_RESPONSE_UNKNOWN_COMMAND = 0x81,
    PROTOCOL_BINARY_RESPONSE_ENOMEM = 0x82,
    PROTOCOL_BINARY_RESPONSE_NOT_SUPPORTED = 0x83,
    PROTOCOL_BINARY_RESPONSE_EINTERNAL = 0x84,
    PROTOCOL_BINARY_RESPONSE_EBUSY = 0x85,
    PROTOCOL_BINARY_RESPONSE_ETMPFAIL = 0x86
} protocol_binary_response_status;

/*
 * Opcodes. The host itself handles 0x00-0x1b and 0x40-0x47; every other one
 * goes to the engine's unknown_command.
 */
typedef enum {
    PROTOCOL_BINARY_CMD_GET = 0x00,
    PROTOCOL_BINARY_CMD_SET = 0x01,
    PROTOCOL_BINARY_CMD_ADD = 0x02,
    PROTOCOL_BINARY_CMD_REPLACE = 0x03,
    PROTOCOL_BINARY_CMD_DELETE = 0x04,
    PROTOCOL_BINARY_CMD_INCREMENT = 0x05,
    PROTOCOL_BINARY_CMD_DECREMENT = 0x06,
    PROTOCOL_BINARY_CMD_QUIT = 0x07,
    PROTOCOL_BINARY_CMD_FLUSH = 0x08,
    PROTOCOL_BINARY_CMD_GETQ = 0x09,
    PROTOCOL_BINARY_CMD_NOOP = 0x0a,
    PROTOCOL_BINARY_CMD_VERSION = 0x0b,
    PROTOCOL_BINARY_CMD_GETK = 0x0c,
    PROTOCOL_BINARY_CMD_GETKQ = 0x0d,
    PROTOCOL_BINARY_CMD_APPEND = 0x0e,
    PROTOCOL_BINARY_CMD_PREPEND = 0x0f,
    PROTOCOL_BINARY_CMD_STAT = 0x10,
    PROTOCOL_BINARY_CMD_SETQ = 0x11,
    PROTOCOL_BINARY_CMD_ADDQ = 0x12,
    PROTOCOL_BINARY_CMD_REPLACEQ = 0x13,
    PROTOCOL_BINARY_CMD_DELETEQ = 0x14,
    PROTOCOL_BINARY_CMD_INCREMENTQ = 0x15,
    PROTOCOL_BINARY_CMD_DECREMENTQ = 0x16,
    PROTOCOL_BINARY_CMD_QUITQ = 0x17,
    PROTOCOL_BINARY_CMD_FLUSHQ = 0x18,
    PROTOCOL_BINARY_CMD_APPENDQ = 0x19,
    PROTOCOL_BINARY_CMD_PREPENDQ = 0x1a,
    PROTOCOL_BINARY_CMD_VERBOSITY = 0x1b,
    PROTOCOL_BINARY_CMD_TOUCH = 0x1c,
    PROTOCOL_BINARY_CMD_GAT = 0x1d,
    PROTOCOL_BINARY_CMD_GATQ = 0x1e,

    PROTOCOL_BINARY_CMD_SASL_LIST_MECHS = 0x20,
    PROTOCOL_BINARY_CMD_SASL_AUTH = 0x21,
    PROTOCOL_BINARY_CMD_SASL_STEP = 0x22,

    PROTOCOL_BINARY_CMD_RGET = 0x30,
    PROTOCOL_BINARY_CMD_RSET = 0x31,
    PROTOCOL_BINARY_CMD_RSETQ = 0x32,
    PROTOCOL_BINARY_CMD_RAPPEND = 0x33,
    PROTOCOL_BINARY_CMD_RAPPENDQ = 0x34,
    PROTOCOL_BINARY_CMD_RPREPEND = 0x35,
    PROTOCOL_BINARY_CMD_RPREPENDQ = 0x36,
    PROTOCOL_BINARY_CMD_RDELETE = 0x37,
    PROTOCOL_BINARY_CMD_RDELETEQ = 0x38,
    PROTOCOL_BINARY_CMD_RINCR = 0x39,
    PROTOCOL_BINARY_CMD_RINCRQ = 0x3a,
    PROTOCOL_BINARY_CMD_RDECR = 0x3b,
    PROTOCOL_BINARY_CMD_RDECRQ = 0x3c,

    PROTOCOL_BINARY_CMD_SET_VBUCKET = 0x3d,
    PROTOCOL_BINARY_CMD_GET_VBUCKET = 0x3e,
    PROTOCOL_BINARY_CMD_DEL_VBUCKET = 0x3f,

    PROTOCOL_BINARY_CMD_TAP_CONNECT = 0x40,
    PROTOCOL_BINARY_CMD_TAP_MUTATION = 0x41,
    PROTOCOL_BINARY_CMD_TAP_DELETE = 0x42,
    PROTOCOL_BINARY_CMD_TAP_FLUSH = 0x43,
    PROTOCOL_BINARY_CMD_TAP_OPAQUE = 0x44,
    PROTOCOL_BINARY_CMD_TAP_VBUCKET_SET = 0x45,
    PROTOCOL_BINARY_CMD_TAP_CHECKPOINT_START = 0x46,
    PROTOCOL_BINARY_CMD_TAP_CHECKPOINT_END = 0x47,

    /* 0x80-0x9f belong to the engine; the names are those of its clients. */
    PROTOCOL_BINARY_CMD_STOP_PERSISTENCE = 0x80,
    PROTOCOL_BINARY_CMD_START_PERSISTENCE = 0x81,
    PROTOCOL_BINARY_CMD_SET_FLUSH_PARAM = 0x82,
    PROTOCOL_BINARY_CMD_START_REPLICATION = 0x90,
    PROTOCOL_BINARY_CMD_STOP_REPLICATION = 0x91,
    PROTOCOL_BINARY_CMD_SET_TAP_PARAM = 0x92,
    PROTOCOL_BINARY_CMD_EVICT_KEY = 0x93,
    PROTOCOL_BINARY_CMD_GET_LOCKED = 0x94,
    PROTOCOL_BINARY_CMD_UNLOCK_KEY = 0x95,
    PROTOCOL_BINARY_CMD_SYNC = 0x96,
    PROTOCOL_BINARY_CMD_LAST_CLOSED_CHECKPOINT = 0x97,
    PROTOCOL_BINARY_CMD_RESTORE_FILE = 0x98,
    PROTOCOL_BINARY_CMD_RESTORE_ABORT = 0x99,
    PROTOCOL_BINARY_CMD_RESTORE_COMPLETE = 0x9a,
    PROTOCOL_BINARY_CMD_ONLINE_UPDATE_START = 0x9b,
    PROTOCOL_BINARY_CMD_ONLINE_UPDATE_COMPLETE = 0x9c,
    PROTOCOL_BINARY_CMD_ONLINE_UPDATE_REVERT = 0x9d,
    PROTOCOL_BINARY_CMD_DEREGISTER_TAP_CLIENT = 0x9e,
    PROTOCOL_BINARY_CMD_RESET_REPLICATION_CHAIN = 0x9f,

    PROTOCOL_BINARY_CMD_SCRUB = 0xf0
} protocol_binary_command;

/* Request header. */
typedef union {
    struct {
        uint8_t magic;
        uint8_t opcode;
        uint16_t keylen;
        uint8_t extlen;
        uint8_t datatype;
        uint16_t vbucket;
        uint32_t bodylen;
        uint32_t opaque;
        uint64_t cas;
    } request;
    uint8_t bytes[24];
} protocol_binary_request_header;

/* Response header. */
typedef union {
    struct {
        uint8_t magic;
        uint8_t opcode;
        uint16_t keylen;
        uint8_t extlen;
        uint8_t datatype;
        uint16_t status;
        uint32_t bodylen;
        uint32_t opaque;
        uint64_t cas;
    } response;
    uint8_t bytes[24];
} protocol_binary_response_header;

/* Extras of SET, ADD, REPLACE and their quiet variants. */
typedef struct __attribute__((packed)) {
    uint32_t flags;
    uint32_t expiration;
} protocol_binary_set_extras;

/* Extras of INCREMENT and DECREMENT; expiration 0xffffffff: do not create. */
typedef struct __attribute__((packed)) {
    uint64_t delta;
    uint64_t initial;
    uint32_t expiration;
} protocol_binary_incr_extras;

/* Extras of TOUCH, GAT, GATQ and (optional) FLUSH. */
typedef struct __attribute__((packed)) {
    uint32_t expiration;
} protocol_binary_expiration_extras;

/* Extras of VERBOSITY. */
typedef struct __attribute__((packed)) {
    uint32_t level;
} protocol_binary_verbosity_extras;

/* Extras of a GET, GETK or GAT reply. */
typedef struct __attribute__((packed)) {
    uint32_t flags;
} protocol_binary_get_reply_extras;

/* Extras of SET_VBUCKET; state is a vbucket_state_t. */
typedef struct __attribute__((packed)) {
    uint32_t state;
} protocol_binary_set_vbucket_extras;

/* Optional extras of TAP_CONNECT; flags are TAP_CONNECT_*. */
typedef struct __attribute__((packed)) {
    uint32_t flags;
} protocol_binary_tap_connect_extras;

/* Extras of every TAP event except NOOP; item_* follow in the longer form. */
typedef struct __attribute__((packed)) {
    uint16_t enginespecific_length;
    uint16_t flags;
    uint8_t ttl;
    uint8_t reserved[3];
} protocol_binary_tap_extras;

/* Extras of TAP_MUTATION, TAP_CHECKPOINT_START and TAP_CHECKPOINT_END. */
typedef struct __attribute__((packed)) {
    protocol_binary_tap_extras tap;
    uint32_t item_flags;
    uint32_t item_expiration;
} protocol_binary_tap_item_extras;

/* Flags of TAP_CONNECT; user data follows the name in ascending bit order. */
#define TAP_CONNECT_FLAG_BACKFILL 0x01
#define TAP_CONNECT_FLAG_DUMP 0x02
#define TAP_CONNECT_FLAG_LIST_VBUCKETS 0x04
#define TAP_CONNECT_FLAG_TAKEOVER_VBUCKETS 0x08
#define TAP_CONNECT_SUPPORT_ACK 0x10
#define TAP_CONNECT_REQUEST_KEYS_ONLY 0x20
#define TAP_CONNECT_CHECKPOINT 0x40
#define TAP_CONNECT_REGISTERED_CLIENT 0x80

/* Flags of a TAP event. */
#define TAP_FLAG_ACK 0x01
#define TAP_FLAG_NO_VALUE 0x02

/* The longest key in either protocol. */
#define PROTOCOL_BINARY_KEY_MAX 250

_Static_assert(sizeof(protocol_binary_request_header) == 24, "request header size");
_Static_assert(sizeof(protocol_binary_response_header) == 24, "response header size");
_Static_assert(offsetof(protocol_binary_request_header, request.keylen) == 2, "keylen");
_Static_assert(offsetof(protocol_binary_request_header, request.extlen) == 4, "extlen");
_Static_assert(offsetof(protocol_binary_request_header, request.vbucket) == 6, "vbucket");
_Static_assert(offsetof(protocol_binary_response_header, response.status) == 6, "status");
_Static_assert(offsetof(protocol_binary_request_header, request.bodylen) == 8, "bodylen");
_Static_assert(offsetof(protocol_binary_request_header, request.opaque) == 12, "opaque");
_Static_assert(offsetof(protocol_binary_request_header, request.cas) == 16, "cas");
_Static_assert(sizeof(protocol_binary_set_extras) == 8, "set extras size");
_Static_assert(sizeof(protocol_binary_incr_extras) == 20, "incr extras size");
_Static_assert(sizeof(protocol_binary_expiration_extras) == 4, "touch extras size");
_Static_assert(sizeof(protocol_binary_verbosity_extras) == 4, "verbosity extras size");
_Static_assert(sizeof(protocol_binary_set_vbucket_extras) == 4, "vbucket extras size");
_Static_assert(sizeof(protocol_binary_tap_connect_extras) == 4, "tap connect extras size");
_Static_assert(sizeof(protocol_binary_tap_extras) == 8, "tap extras size");
_Static_assert(offsetof(protocol_binary_tap_extras, ttl) == 4, "tap ttl");
_Static_assert(sizeof(protocol_binary_tap_item_extras) == 16, "tap item extras size");
_Static_assert(offsetof(protocol_binary_tap_item_extras, item_flags) == 8, "tap item flags");

#endif
