/*
 * Events that the host reports to whoever registered for them.
 *
 * register_callback prepends to a list that is never shortened; it is not
 * thread-safe, so engines call it from initialize.
 */
#ifndef MEMCACHED_CALLBACK_H
#define MEMCACHED_CALLBACK_H

#include <stddef.h>

#include "types.h"

/* event_data: ON_AUTH const auth_data_t *, ON_SWITCH_CONN the cookie, else NULL. */
typedef enum {
    ON_CONNECT = 0,
    ON_DISCONNECT = 1,
    ON_AUTH = 2,
    ON_SWITCH_CONN = 3,
    ON_LOG_LEVEL = 4
} ENGINE_EVENT_TYPE;

#define MAX_ENGINE_EVENT_TYPE 5

/* cookie is NULL for ON_LOG_LEVEL. */
typedef void (*EVENT_CALLBACK)(const void *cookie, ENGINE_EVENT_TYPE type, const void *event_data,
                               const void *cb_data);

_Static_assert(sizeof(ENGINE_EVENT_TYPE) == 4, "enums are 32 bits");

#endif
