/*
 * Descriptors of host extensions. An engine needs the logger only; the others
 * stand here because their numbers and sizes are part of the ABI.
 */
#ifndef MEMCACHED_EXTENSION_H
#define MEMCACHED_EXTENSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "types.h"

typedef enum {
    EXTENSION_DAEMON = 0,
    EXTENSION_LOGGER = 1,
    EXTENSION_ASCII_PROTOCOL = 2,
    /* memcached.org branch only. */
    EXTENSION_BINARY_PROTOCOL = 3
} extension_type_t;

typedef enum {
    EXTENSION_SUCCESS = 0x00,
    EXTENSION_FATAL = 0xfe,
    EXTENSION_FAILED = 0xff
} EXTENSION_ERROR_CODE;

/* Severity; a logger drops what is below the level of the host. */
typedef enum {
    EXTENSION_LOG_DETAIL = 0,
    EXTENSION_LOG_DEBUG = 1,
    EXTENSION_LOG_INFO = 2,
    EXTENSION_LOG_WARNING = 3
} EXTENSION_LOG_LEVEL;

/* A daemon extension; the host chains them by next. */
typedef struct extension_daemon_descriptor {
    const char *(*get_name)(void);
    struct extension_daemon_descriptor *next;
} EXTENSION_DAEMON_DESCRIPTOR;

/* A logger. fmt is printf-like: pass text from outside as an argument of "%s". */
typedef struct extension_logger_descriptor {
    const char *(*get_name)(void);
    void (*log)(EXTENSION_LOG_LEVEL severity, const void *client_cookie, const char *fmt, ...);
} EXTENSION_LOGGER_DESCRIPTOR;

/* One word of an ASCII command line; not NUL-terminated. */
typedef struct {
    char *value;
    size_t length;
} token_t;

/* An extension that adds words to the ASCII protocol. */
typedef struct extension_ascii_protocol_descriptor {
    const char *(*get_name)(const void *cmd_cookie);
    bool (*accept)(const void *cmd_cookie, void *cookie, int argc, token_t *argv, size_t *ndata,
                   char **ptr);
    ENGINE_ERROR_CODE(*execute)
    (const void *cmd_cookie, const void *cookie, int argc, token_t *argv,
     ENGINE_ERROR_CODE (*response)(const void *cookie, int nbytes, const char *dta));
    void (*abort)(const void *cmd_cookie, const void *cookie);
    const void *cookie;
    struct extension_ascii_protocol_descriptor *next;
} EXTENSION_ASCII_PROTOCOL_DESCRIPTOR;

_Static_assert(sizeof(EXTENSION_LOG_LEVEL) == 4, "enums are 32 bits");
_Static_assert(sizeof(EXTENSION_DAEMON_DESCRIPTOR) == 16, "daemon descriptor size");
_Static_assert(sizeof(EXTENSION_LOGGER_DESCRIPTOR) == 16, "logger descriptor size");
_Static_assert(offsetof(EXTENSION_LOGGER_DESCRIPTOR, log) == 8, "logger log");
_Static_assert(sizeof(token_t) == 16, "token size");
_Static_assert(sizeof(EXTENSION_ASCII_PROTOCOL_DESCRIPTOR) == 48, "ascii descriptor size");

#endif
