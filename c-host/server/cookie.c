/*
 * The cookie functions: what engines can do with a connection, from any thread.
 */
#include "server.h"

#include <errno.h>

/* Hosts hand out const cookies and engines hand them back; they are ours. */
static struct conn *conn_of(const void *cookie) {
    return (struct conn *)(uintptr_t)cookie;
}

static int get_socket_fd(const void *cookie) {
    return cookie != NULL ? atomic_load(&conn_of(cookie)->fd) : -1;
}

static void get_auth_data(const void *cookie, auth_data_t *data) {
    /* There is no authentication; real hosts leave data alone as well. */
    (void)cookie;
    (void)data;
}

static void store_engine_specific(const void *cookie, void *engine_data) {
    if (cookie != NULL) {
        atomic_store(&conn_of(cookie)->engine_specific, engine_data);
    }
}

static void *get_engine_specific(const void *cookie) {
    return cookie != NULL ? atomic_load(&conn_of(cookie)->engine_specific) : NULL;
}

/* The caller holds the mutex of the worker. */
static void notify_locked(struct conn *c, ENGINE_ERROR_CODE status, bool inside_engine) {
    if (c->in_use && c->blocked && !c->notified) {
        c->notified = true;
        c->status = status;
        worker_resume(c->worker, c);
    } else if (c->in_use && c->tap_asleep && !c->blocked) {
        c->notified = true;
        worker_resume(c->worker, c);
    } else if (inside_engine && c->in_engine_call) {
        c->early_notified = true;
        c->status = status;
    } else if (c->in_use ? c->tap_iterator == NULL || c->blocked
                         : atomic_load(&c->references) == 0) {
        /* An awake stream asks the engine anyway, and a reserved cookie may outlive its socket. */
        log_provoked(c->worker->server, EXTENSION_LOG_WARNING, c,
                     "Ignoring notify_io_complete (%s) for a connection that %s",
                     ch_error_name(status), c->in_use ? "is not blocked" : "is closed");
    }
}

static void notify_io_complete(const void *cookie, ENGINE_ERROR_CODE status) {
    struct conn *c = conn_of(cookie);

    if (c == NULL || c->worker == NULL) {
        return;
    }
    bool inside_engine = pthread_mutex_lock(&c->worker->mutex) == EDEADLK;
    if (inside_engine) {
        ch_log(c->worker->server->host, EXTENSION_LOG_WARNING, c,
               "notify_io_complete from inside an engine call; real hosts deadlock here");
    }
    notify_locked(c, status, inside_engine);
    if (!inside_engine) {
        pthread_mutex_unlock(&c->worker->mutex);
    }
}

static void set_tap_nack_mode(const void *cookie, bool enable) {
    atomic_store(&conn_of(cookie)->tap_nack_mode, enable);
}

/*
 * A plain increment of one counter, on purpose: engines tell the two layouts of
 * the cookie table apart by calling this on a zeroed buffer and looking for the
 * changed byte.
 */
static ENGINE_ERROR_CODE reserve(const void *cookie) {
    atomic_fetch_add(&conn_of(cookie)->references, 1);
    return ENGINE_SUCCESS;
}

static ENGINE_ERROR_CODE release(const void *cookie) {
    struct conn *c = conn_of(cookie);

    if (atomic_fetch_sub(&c->references, 1) == 1 && c->worker != NULL) {
        worker_unreferenced(c->worker, c);
    }
    return ENGINE_SUCCESS;
}

struct ch_cookie_ops cookie_ops(void) {
    return (struct ch_cookie_ops){
        .get_socket_fd = get_socket_fd,
        .get_auth_data = get_auth_data,
        .store_engine_specific = store_engine_specific,
        .get_engine_specific = get_engine_specific,
        .notify_io_complete = notify_io_complete,
        .set_tap_nack_mode = set_tap_nack_mode,
        .reserve = reserve,
        .release = release,
    };
}

/* The layout probe of engines hands reserve and nack mode an 8 KiB buffer. */
_Static_assert(sizeof(struct conn) <= 8192, "a connection fits the probe's buffer");
