/*
 * Mock connections.
 *
 * A cookie's mutex is held while the engine works for it, as in the hosts: a notify from another
 * thread waits until the engine function returned, and a notify from inside that function would
 * never come back. The latter is recognised here and reported instead of hanging.
 *
 * Cookies are never given back to the allocator: a freed one is the next one handed out, because
 * hosts reuse addresses at once, and so a late notify of a freed cookie can be told from a good
 * one.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "runner.h"

struct cookie {
    /* What real hosts do not guard, first: an engine may probe with a zeroed buffer in place of a
     * connection, and then nothing but these two may change. */
    uint8_t references;
    bool nack_mode;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    void *engine_specific;
    TAP_ITERATOR iterator;
    struct cookie *next_free;
    ENGINE_ERROR_CODE status;
    uint64_t notifies;
    uint64_t wakeups;
    unsigned awaited; /* threads in waitfor_cookie or ext->wait_notify */
    bool live;
    bool handling;
    bool blocked;
    bool notified;
    bool from_call;
    bool closing;
};

/* The process's cookies; the cookie functions of the ABI have no other argument. */
static struct {
    pthread_mutex_t lock;
    struct cookie *free;
    ch_host *host;
    bool real;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local unsigned engine_depth;
static _Thread_local struct cookie *engine_cookie;

static void must(int result, const char *what) {
    if (result != 0) {
        (void)fprintf(stderr, "engine-test: %s: error %d\n", what, result);
        abort();
    }
}

struct cookie *cookie_of(const void *opaque) {
    /* The ABI hands connections out as const; they are ours and never were. */
    union {
        const void *in;
        struct cookie *out;
    } same = {.in = opaque};
    return same.out;
}

void cookie_init(ch_host *host, bool real) {
    pool.host = host;
    pool.real = real;
}

static struct cookie *cookie_allocate(void) {
    struct cookie *c = calloc(1, sizeof *c);
    if (c == NULL) {
        abort();
    }
    pthread_condattr_t attributes;
    must(pthread_condattr_init(&attributes), "condattr_init");
    must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC), "condattr_setclock");
    must(pthread_mutex_init(&c->lock, NULL), "mutex_init");
    must(pthread_cond_init(&c->wake, &attributes), "cond_init");
    must(pthread_condattr_destroy(&attributes), "condattr_destroy");
    return c;
}

struct cookie *cookie_new(void) {
    must(pthread_mutex_lock(&pool.lock), "lock");
    struct cookie *c = pool.free;
    if (c != NULL) {
        pool.free = c->next_free;
    }
    must(pthread_mutex_unlock(&pool.lock), "unlock");
    if (c == NULL) {
        c = cookie_allocate();
    }
    cookie_lock(c);
    c->references = 1;
    c->nack_mode = false;
    c->engine_specific = NULL;
    c->iterator = NULL;
    c->status = ENGINE_SUCCESS;
    c->notifies = 0;
    c->live = true;
    c->handling = true;
    c->blocked = false;
    c->notified = false;
    c->from_call = false;
    c->closing = false;
    cookie_unlock(c);
    if (pool.real) {
        ch_host_perform_callbacks(pool.host, ON_CONNECT, NULL, c);
    }
    return c;
}

static void cookie_recycle(struct cookie *c) {
    cookie_lock(c);
    if (c->blocked) {
        rules_broken(8, "a connection was closed that the engine still owes a notify");
    }
    c->live = false;
    c->engine_specific = NULL;
    cookie_unlock(c);
    must(pthread_mutex_lock(&pool.lock), "lock");
    c->next_free = pool.free;
    pool.free = c;
    must(pthread_mutex_unlock(&pool.lock), "unlock");
}

void cookie_fire_disconnect(struct cookie *c) {
    ch_host_perform_callbacks(pool.host, ON_DISCONNECT, NULL, c);
}

void cookie_free(struct cookie *c) {
    if (!pool.real) {
        cookie_recycle(c);
        return;
    }
    cookie_lock(c);
    c->closing = true;
    cookie_unlock(c);
    cookie_fire_disconnect(c);
    /* With references left the object waits for the engine's release. */
    if (__atomic_sub_fetch(&c->references, 1, __ATOMIC_ACQ_REL) == 0) {
        cookie_recycle(c);
    }
}

void cookie_lock(struct cookie *c) {
    must(pthread_mutex_lock(&c->lock), "lock");
}

void cookie_unlock(struct cookie *c) {
    must(pthread_mutex_unlock(&c->lock), "unlock");
}

void cookie_set_handling(struct cookie *c, bool enable) {
    c->handling = enable;
}

bool cookie_handling(const struct cookie *c) {
    return c->handling;
}

void cookie_mark_blocked(struct cookie *c) {
    c->blocked = !c->notified;
}

ENGINE_ERROR_CODE cookie_wait_notify(struct cookie *c) {
    c->blocked = true;
    while (!c->notified) {
        must(pthread_cond_wait(&c->wake, &c->lock), "cond_wait");
    }
    c->notified = false;
    c->blocked = false;
    return c->status;
}

void cookie_wait_any(struct cookie *c) {
    const uint64_t seen = c->wakeups;
    c->awaited++;
    while (c->wakeups == seen) {
        must(pthread_cond_wait(&c->wake, &c->lock), "cond_wait");
    }
    c->awaited--;
    c->notified = false;
}

void cookie_set_tap(struct cookie *c, TAP_ITERATOR iterator) {
    c->iterator = iterator;
}

TAP_ITERATOR cookie_tap(const struct cookie *c) {
    return c->iterator;
}

void cookie_enter_engine(struct cookie *c) {
    engine_depth++;
    engine_cookie = c;
    if (c != NULL) {
        c->notified = false;
        c->blocked = false;
    }
}

void cookie_leave_engine(void) {
    engine_depth--;
    engine_cookie = NULL;
}

/* ---- what tests may ask ---- */

uint64_t cookie_notify_count(const void *opaque) {
    struct cookie *c = cookie_of(opaque);
    cookie_lock(c);
    const uint64_t count = c->notifies;
    cookie_unlock(c);
    return count;
}

ENGINE_ERROR_CODE cookie_notify_status(const void *opaque) {
    struct cookie *c = cookie_of(opaque);
    cookie_lock(c);
    const ENGINE_ERROR_CODE status = c->status;
    cookie_unlock(c);
    return status;
}

bool cookie_notify_from_call(const void *opaque) {
    struct cookie *c = cookie_of(opaque);
    cookie_lock(c);
    const bool inside = c->from_call;
    cookie_unlock(c);
    return inside;
}

bool cookie_wait_more_notifies(const void *opaque, uint64_t seen, uint32_t milliseconds) {
    struct cookie *c = cookie_of(opaque);
    struct timespec until;
    must(clock_gettime(CLOCK_MONOTONIC, &until), "clock_gettime");
    until.tv_sec += (time_t)(milliseconds / 1000U);
    until.tv_nsec += (long)(milliseconds % 1000U) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    int result = 0;
    cookie_lock(c);
    while (c->notifies <= seen && result == 0) {
        result = pthread_cond_timedwait(&c->wake, &c->lock, &until);
    }
    const bool more = c->notifies > seen;
    cookie_unlock(c);
    return more;
}

/* ---- the functions that the engine sees ---- */

static int op_get_socket_fd(const void *opaque) {
    return cookie_of(opaque)->closing ? -1 : 0;
}

static void op_get_auth_data(const void *opaque, auth_data_t *data) {
    (void)opaque;
    (void)data;
}

static void op_store_engine_specific(const void *opaque, void *data) {
    if (opaque != NULL) {
        cookie_of(opaque)->engine_specific = data;
    }
}

static void *op_get_engine_specific(const void *opaque) {
    return opaque != NULL ? cookie_of(opaque)->engine_specific : NULL;
}

/* Locked, or called from inside a call for this cookie. */
static void record_notify(struct cookie *c, ENGINE_ERROR_CODE status, bool inside) {
    if (!c->live) {
        rules_broken(7, "notify for a connection that is gone");
        return;
    }
    if (!inside && !c->blocked && c->iterator == NULL && c->awaited == 0) {
        rules_broken(7, "notify for a connection that is not blocked");
    }
    if (status != ENGINE_SUCCESS) {
        rules_broken(6, "notify with %s", ch_error_name(status));
    }
    c->status = status;
    c->notified = true;
    c->blocked = false;
    c->from_call = inside;
    c->notifies++;
    c->wakeups++;
    must(pthread_cond_broadcast(&c->wake), "cond_broadcast");
}

static void op_notify_io_complete(const void *opaque, ENGINE_ERROR_CODE status) {
    if (opaque == NULL) {
        rules_broken(7, "notify without a connection");
        return;
    }
    struct cookie *c = cookie_of(opaque);
    const bool inside = engine_depth > 0;
    if (inside) {
        rules_broken(4, "notify from inside an engine call");
    }
    if (inside && engine_cookie == c) {
        record_notify(c, status, true);
        return;
    }
    cookie_lock(c);
    record_notify(c, status, inside);
    cookie_unlock(c);
}

static void mock_set_tap_nack_mode(const void *opaque, bool enable) {
    (void)opaque;
    (void)enable;
}

static ENGINE_ERROR_CODE mock_reserve(const void *opaque) {
    (void)opaque;
    return ENGINE_SUCCESS;
}

static ENGINE_ERROR_CODE mock_release(const void *opaque) {
    (void)opaque;
    if (engine_depth > 0) {
        rules_broken(4, "cookie->release from inside an engine call");
    }
    return ENGINE_SUCCESS;
}

static void real_set_tap_nack_mode(const void *opaque, bool enable) {
    cookie_of(opaque)->nack_mode = enable;
}

static ENGINE_ERROR_CODE real_reserve(const void *opaque) {
    (void)__atomic_add_fetch(&cookie_of(opaque)->references, 1, __ATOMIC_ACQ_REL);
    return ENGINE_SUCCESS;
}

static ENGINE_ERROR_CODE real_release(const void *opaque) {
    struct cookie *c = cookie_of(opaque);
    if (engine_depth > 0) {
        rules_broken(4, "cookie->release from inside an engine call");
    }
    const uint8_t left = __atomic_sub_fetch(&c->references, 1, __ATOMIC_ACQ_REL);
    if (left == UINT8_MAX) {
        rules_broken(7, "cookie->release without a reserve");
    } else if (left == 0) {
        if (!c->closing) {
            rules_broken(7, "cookie->release of the host's own reference");
        }
        cookie_recycle(c);
    }
    return ENGINE_SUCCESS;
}

struct ch_cookie_ops cookie_ops(bool real) {
    return (struct ch_cookie_ops){
        .get_socket_fd = op_get_socket_fd,
        .get_auth_data = op_get_auth_data,
        .store_engine_specific = op_store_engine_specific,
        .get_engine_specific = op_get_engine_specific,
        .notify_io_complete = op_notify_io_complete,
        .set_tap_nack_mode = real ? real_set_tap_nack_mode : mock_set_tap_nack_mode,
        .reserve = real ? real_reserve : mock_reserve,
        .release = real ? real_release : mock_release,
    };
}
