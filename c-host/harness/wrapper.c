/*
 * The function table that tests get: every call goes to the engine, with what a host does around
 * it.
 *
 * allocate, remove, get, store, arithmetic, flush, get_stats, unknown_command, aggregate_stats and
 * tap_notify replace a NULL cookie by a temporary one, hold the cookie's lock, and on EWOULDBLOCK
 * wait for the notify and call again if its status was SUCCESS. All other functions pass straight
 * through.
 */
#include <stdlib.h>

#include "runner.h"

struct wrapper {
    ENGINE_HANDLE_V1 table; /* first: the handle is its address */
    ch_engine *engine;
    ENGINE_HANDLE *handle;
    ENGINE_HANDLE_V1 *real;
};

/* One call in progress. */
struct call {
    struct wrapper *wrapper;
    struct cookie *cookie;
    bool temporary;
};

/* Callbacks of the host carry no argument of ours. */
static _Thread_local ADD_RESPONSE response_target;
static _Thread_local ADD_STAT stat_target;
static _Thread_local uint64_t emitted;

/* Iterators of streams without a connection. */
static TAP_ITERATOR anonymous_iterator;

/* Live wrappers of this process, so that registrations are forgotten with the last engine only. */
static unsigned live_engines;

static struct wrapper *wrapper_of(ENGINE_HANDLE *handle) {
    union {
        ENGINE_HANDLE *in;
        struct wrapper *out;
    } same = {.in = handle};
    return same.out;
}

static void call_begin(struct call *call, ENGINE_HANDLE *handle, const void *cookie) {
    call->wrapper = wrapper_of(handle);
    call->temporary = cookie == NULL;
    call->cookie = cookie == NULL ? cookie_new() : cookie_of(cookie);
    emitted = 0;
    cookie_lock(call->cookie);
    cookie_enter_engine(call->cookie);
}

/* After the engine returned *code: true if it has to be called again. */
static bool call_again(struct call *call, ENGINE_ERROR_CODE *code) {
    cookie_leave_engine();
    if (*code != ENGINE_EWOULDBLOCK) {
        return false;
    }
    if (!cookie_handling(call->cookie)) {
        cookie_mark_blocked(call->cookie);
        return false;
    }
    *code = cookie_wait_notify(call->cookie);
    if (*code != ENGINE_SUCCESS) {
        return false;
    }
    cookie_enter_engine(call->cookie);
    return true;
}

static void call_end(struct call *call) {
    cookie_unlock(call->cookie);
    if (call->temporary) {
        cookie_free(call->cookie);
    }
}

static ENGINE_ERROR_CODE w_allocate(ENGINE_HANDLE *handle, const void *cookie, item **it,
                                    const void *key, const size_t nkey, const size_t nbytes,
                                    const int flags, const rel_time_t exptime) {
    struct call call;
    call_begin(&call, handle, cookie);
    struct wrapper *w = call.wrapper;
    ENGINE_ERROR_CODE code;
    do {
        code = w->real->allocate(w->handle, call.cookie, it, key, nkey, nbytes, flags, exptime);
        rules_after_allocate(code);
    } while (call_again(&call, &code));
    call_end(&call);
    return code;
}

static ENGINE_ERROR_CODE w_remove(ENGINE_HANDLE *handle, const void *cookie, const void *key,
                                  const size_t nkey, uint64_t cas, uint16_t vbucket) {
    struct call call;
    call_begin(&call, handle, cookie);
    struct wrapper *w = call.wrapper;
    ENGINE_ERROR_CODE code;
    do {
        code = w->real->remove(w->handle, call.cookie, key, nkey, cas, vbucket);
    } while (call_again(&call, &code));
    call_end(&call);
    return code;
}

static ENGINE_ERROR_CODE w_get(ENGINE_HANDLE *handle, const void *cookie, item **it,
                               const void *key, const int nkey, uint16_t vbucket) {
    struct call call;
    call_begin(&call, handle, cookie);
    struct wrapper *w = call.wrapper;
    ENGINE_ERROR_CODE code;
    do {
        code = w->real->get(w->handle, call.cookie, it, key, nkey, vbucket);
        rules_after_get(code, *it != NULL);
    } while (call_again(&call, &code));
    call_end(&call);
    return code;
}

static ENGINE_ERROR_CODE w_store(ENGINE_HANDLE *handle, const void *cookie, item *it, uint64_t *cas,
                                 ENGINE_STORE_OPERATION operation, uint16_t vbucket) {
    struct call call;
    call_begin(&call, handle, cookie);
    struct wrapper *w = call.wrapper;
    ENGINE_ERROR_CODE code;
    do {
        code = w->real->store(w->handle, call.cookie, it, cas, operation, vbucket);
        rules_after_store(code);
    } while (call_again(&call, &code));
    call_end(&call);
    return code;
}

static ENGINE_ERROR_CODE w_arithmetic(ENGINE_HANDLE *handle, const void *cookie, const void *key,
                                      const int nkey, const bool increment, const bool create,
                                      const uint64_t delta, const uint64_t initial,
                                      const rel_time_t exptime, uint64_t *cas, uint64_t *result,
                                      uint16_t vbucket) {
    struct call call;
    call_begin(&call, handle, cookie);
    struct wrapper *w = call.wrapper;
    ENGINE_ERROR_CODE code;
    do {
        code = w->real->arithmetic(w->handle, call.cookie, key, nkey, increment, create, delta,
                                   initial, exptime, cas, result, vbucket);
        rules_after_arithmetic(code, create, exptime);
    } while (call_again(&call, &code));
    call_end(&call);
    return code;
}

static ENGINE_ERROR_CODE w_flush(ENGINE_HANDLE *handle, const void *cookie, time_t when) {
    struct call call;
    call_begin(&call, handle, cookie);
    struct wrapper *w = call.wrapper;
    ENGINE_ERROR_CODE code;
    do {
        code = w->real->flush(w->handle, call.cookie, when);
        rules_after_flush(code);
    } while (call_again(&call, &code));
    call_end(&call);
    return code;
}

static void count_stat(const char *key, const uint16_t klen, const char *val, const uint32_t vlen,
                       const void *cookie) {
    emitted++;
    if (klen == 0) {
        rules_broken(10, "a statistic without a name");
    }
    stat_target(key, klen, val, vlen, cookie);
}

static ENGINE_ERROR_CODE w_get_stats(ENGINE_HANDLE *handle, const void *cookie,
                                     const char *stat_key, int nkey, ADD_STAT add_stat) {
    struct call call;
    call_begin(&call, handle, cookie);
    struct wrapper *w = call.wrapper;
    ENGINE_ERROR_CODE code;
    stat_target = add_stat;
    do {
        emitted = 0;
        code = w->real->get_stats(w->handle, call.cookie, stat_key, nkey, count_stat);
        rules_after_emit("get_stats", code, emitted, false);
    } while (call_again(&call, &code));
    call_end(&call);
    return code;
}

static bool count_response(const void *key, uint16_t keylen, const void *ext, uint8_t extlen,
                           const void *body, uint32_t bodylen, uint8_t datatype, uint16_t status,
                           uint64_t cas, const void *cookie) {
    emitted++;
    if (response_target == NULL) {
        rules_broken(10, "a response outside unknown_command");
        return false;
    }
    return response_target(key, keylen, ext, extlen, body, bodylen, datatype, status, cas, cookie);
}

static ENGINE_ERROR_CODE w_unknown_command(ENGINE_HANDLE *handle, const void *cookie,
                                           protocol_binary_request_header *request,
                                           ADD_RESPONSE response) {
    struct call call;
    call_begin(&call, handle, cookie);
    struct wrapper *w = call.wrapper;
    ENGINE_ERROR_CODE code;
    response_target = response;
    do {
        code = w->real->unknown_command(w->handle, call.cookie, request, count_response);
        rules_after_emit("unknown_command", code, emitted, true);
    } while (call_again(&call, &code));
    response_target = NULL;
    call_end(&call);
    return code;
}

static ENGINE_ERROR_CODE w_aggregate_stats(ENGINE_HANDLE *handle, const void *cookie,
                                           void (*callback)(void *src, void *dest), void *dest) {
    struct call call;
    call_begin(&call, handle, cookie);
    struct wrapper *w = call.wrapper;
    ENGINE_ERROR_CODE code;
    do {
        code = w->real->aggregate_stats(w->handle, call.cookie, callback, dest);
    } while (call_again(&call, &code));
    call_end(&call);
    return code;
}

static ENGINE_ERROR_CODE w_tap_notify(ENGINE_HANDLE *handle, const void *cookie,
                                      void *engine_specific, uint16_t nengine, uint8_t ttl,
                                      uint16_t tap_flags, tap_event_t tap_event, uint32_t tap_seqno,
                                      const void *key, size_t nkey, uint32_t flags,
                                      uint32_t exptime, uint64_t cas, const void *data,
                                      size_t ndata, uint16_t vbucket) {
    struct call call;
    call_begin(&call, handle, cookie);
    struct wrapper *w = call.wrapper;
    ENGINE_ERROR_CODE code;
    do {
        code = w->real->tap_notify(w->handle, call.cookie, engine_specific, nengine, ttl, tap_flags,
                                   tap_event, tap_seqno, key, nkey, flags, exptime, cas, data,
                                   ndata, vbucket);
    } while (call_again(&call, &code));
    call_end(&call);
    return code;
}

/* ---- straight through ---- */

static const engine_info *w_get_info(ENGINE_HANDLE *handle) {
    struct wrapper *w = wrapper_of(handle);
    return w->real->get_info(w->handle);
}

static ENGINE_ERROR_CODE w_initialize(ENGINE_HANDLE *handle, const char *config_str) {
    struct ch_load_result result;
    (void)ch_engine_initialize(wrapper_of(handle)->engine, config_str, &result);
    return result.code;
}

static void w_destroy(ENGINE_HANDLE *handle, const bool force) {
    ch_engine_destroy(wrapper_of(handle)->engine, force);
}

static void w_release(ENGINE_HANDLE *handle, const void *cookie, item *it) {
    struct wrapper *w = wrapper_of(handle);
    cookie_enter_engine(NULL);
    w->real->release(w->handle, cookie, it);
    cookie_leave_engine();
}

static void w_reset_stats(ENGINE_HANDLE *handle, const void *cookie) {
    struct wrapper *w = wrapper_of(handle);
    cookie_enter_engine(NULL);
    w->real->reset_stats(w->handle, cookie);
    cookie_leave_engine();
}

static void *w_get_stats_struct(ENGINE_HANDLE *handle, const void *cookie) {
    struct wrapper *w = wrapper_of(handle);
    return w->real->get_stats_struct(w->handle, cookie);
}

static tap_event_t w_iterator(ENGINE_HANDLE *handle, const void *cookie, item **it,
                              void **engine_specific, uint16_t *nengine_specific, uint8_t *ttl,
                              uint16_t *flags, uint32_t *seqno, uint16_t *vbucket) {
    struct wrapper *w = wrapper_of(handle);
    struct cookie *c = cookie_of(cookie);
    const TAP_ITERATOR next = c != NULL ? cookie_tap(c) : anonymous_iterator;
    cookie_enter_engine(c);
    const tap_event_t event =
        next(w->handle, cookie, it, engine_specific, nengine_specific, ttl, flags, seqno, vbucket);
    cookie_leave_engine();
    if (event == TAP_ACK || event < TAP_MUTATION || event > TAP_CHECKPOINT_END) {
        rules_broken(13, "the TAP iterator returned %d, which aborts hosts", (int)event);
    }
    return event;
}

static TAP_ITERATOR w_get_tap_iterator(ENGINE_HANDLE *handle, const void *cookie,
                                       const void *client, size_t nclient, uint32_t flags,
                                       const void *userdata, size_t nuserdata) {
    struct wrapper *w = wrapper_of(handle);
    cookie_enter_engine(NULL);
    const TAP_ITERATOR next =
        w->real->get_tap_iterator(w->handle, cookie, client, nclient, flags, userdata, nuserdata);
    cookie_leave_engine();
    if (cookie != NULL) {
        cookie_set_tap(cookie_of(cookie), next);
    } else {
        anonymous_iterator = next;
    }
    return next != NULL ? w_iterator : NULL;
}

static void w_item_set_cas(ENGINE_HANDLE *handle, const void *cookie, item *it, uint64_t cas) {
    struct wrapper *w = wrapper_of(handle);
    cookie_enter_engine(NULL);
    w->real->item_set_cas(w->handle, cookie, it, cas);
    cookie_leave_engine();
}

static bool w_get_item_info(ENGINE_HANDLE *handle, const void *cookie, const item *it,
                            item_info *info) {
    struct wrapper *w = wrapper_of(handle);
    cookie_enter_engine(NULL);
    const bool filled = w->real->get_item_info(w->handle, cookie, it, info);
    cookie_leave_engine();
    rules_after_item_info(filled, info);
    return filled;
}

static size_t w_errinfo(ENGINE_HANDLE *handle, const void *cookie, char *buffer, size_t buffsz) {
    struct wrapper *w = wrapper_of(handle);
    const size_t written = w->real->errinfo(w->handle, cookie, buffer, buffsz);
    if (written > buffsz) {
        rules_broken(10, "errinfo wrote %zu bytes into %zu", written, buffsz);
    }
    return written;
}

/* ---- life ---- */

static void fill_table(struct wrapper *w) {
    const ENGINE_HANDLE_V1 *real = w->real;
    w->table = (ENGINE_HANDLE_V1){
        .interface = {.interface = 1},
        .get_info = w_get_info,
        .initialize = w_initialize,
        .destroy = w_destroy,
        .allocate = w_allocate,
        .remove = w_remove,
        .release = w_release,
        .get = w_get,
        .store = w_store,
        .arithmetic = w_arithmetic,
        .flush = w_flush,
        .get_stats = w_get_stats,
        .reset_stats = w_reset_stats,
        .get_stats_struct = real->get_stats_struct != NULL ? w_get_stats_struct : NULL,
        .aggregate_stats = real->aggregate_stats != NULL ? w_aggregate_stats : NULL,
        .unknown_command = real->unknown_command != NULL ? w_unknown_command : NULL,
        .tap_notify = real->tap_notify != NULL ? w_tap_notify : NULL,
        .get_tap_iterator = real->get_tap_iterator != NULL ? w_get_tap_iterator : NULL,
        .item_set_cas = w_item_set_cas,
        .get_item_info = w_get_item_info,
        .errinfo = real->errinfo != NULL ? w_errinfo : NULL,
    };
}

static bool wrapper_open(struct wrapper *w, ch_host *host, const char *path, const char *cfg,
                         bool init, ENGINE_ERROR_CODE *code) {
    struct ch_load_result result;
    w->engine = ch_engine_load(host, path, &result);
    if (w->engine == NULL) {
        (void)fprintf(stderr, "engine-test: %s\n", result.message);
        *code = result.code;
        return false;
    }
    w->handle = ch_engine_handle(w->engine);
    w->real = ch_engine_table(w->engine);
    fill_table(w);
    if (init && !ch_engine_initialize(w->engine, cfg, &result)) {
        *code = result.code;
        ch_engine_unload(w->engine, true);
        w->engine = NULL;
        return false;
    }
    live_engines++;
    *code = ENGINE_SUCCESS;
    return true;
}

static void wrapper_close(struct wrapper *w, bool force) {
    if (w->engine == NULL) {
        return;
    }
    ch_engine_destroy(w->engine, force);
    ch_engine_unload(w->engine, true);
    w->engine = NULL;
    live_engines--;
}

ENGINE_HANDLE_V1 *wrapper_start(ch_host *host, const char *path, const char *cfg, bool init,
                                ENGINE_ERROR_CODE *code) {
    struct wrapper *w = calloc(1, sizeof *w);
    if (w == NULL) {
        abort();
    }
    if (!wrapper_open(w, host, path, cfg, init, code)) {
        free(w);
        return NULL;
    }
    return &w->table;
}

bool wrapper_reload(ENGINE_HANDLE_V1 *table, ch_host *host, const char *path, const char *cfg,
                    bool init, bool force) {
    struct wrapper *w = wrapper_of(&table->interface);
    ENGINE_ERROR_CODE code;
    wrapper_close(w, force);
    if (live_engines == 0) {
        ch_host_forget_registrations(host);
    }
    if (!wrapper_open(w, host, path, cfg, init, &code)) {
        (void)fprintf(stderr, "engine-test: reload: %s\n", ch_error_name(code));
        return false;
    }
    return true;
}

void wrapper_stop(ENGINE_HANDLE_V1 *table, bool force) {
    struct wrapper *w = wrapper_of(&table->interface);
    wrapper_close(w, force);
    free(w);
}
