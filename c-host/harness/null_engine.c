/* The stub engine's function table: items, life and configuration. */
#include "null_engine.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void lock(struct null_engine *e) {
    if (pthread_mutex_lock(&e->lock) != 0) {
        abort();
    }
}

static void unlock(struct null_engine *e) {
    if (pthread_mutex_unlock(&e->lock) != 0) {
        abort();
    }
}

static struct {
    engine_info info;
    feature_info more[2];
} info = {.info = {.description = "null engine",
                   .num_features = 2,
                   .features = {{.feature = ENGINE_FEATURE_CAS, .description = "cas"}}},
          .more = {{.feature = ENGINE_FEATURE_VBUCKET, .description = "vbuckets"}}};

static const engine_info *null_get_info(ENGINE_HANDLE *handle) {
    (void)handle;
    return &info.info;
}

/* ---- life ---- */

static bool parse(struct null_engine *e, const char *text) {
    float quota = 0;
    char *layout = NULL;
    char *undo = NULL;
    size_t cache = 0;
    struct config_item items[] = {
        {.key = "dbname", .datatype = DT_STRING, .value.dt_string = &e->dbname},
        {.key = "max_item_size", .datatype = DT_SIZE, .value.dt_size = &e->item_size_max},
        {.key = "item_size_max", .datatype = DT_SIZE, .value.dt_size = &e->item_size_max},
        {.key = "cache_size", .datatype = DT_SIZE, .value.dt_size = &cache},
        {.key = "max_size", .datatype = DT_SIZE, .value.dt_size = &cache},
        {.key = "mutation_mem_threshold", .datatype = DT_FLOAT, .value.dt_float = &quota},
        {.key = "host_abi", .datatype = DT_STRING, .value.dt_string = &layout},
        {.key = "online_update_undo", .datatype = DT_STRING, .value.dt_string = &undo},
        {.key = NULL},
    };
    const int result =
        text == NULL || text[0] == '\0' ? 0 : e->core->parse_config(text, items, stderr);
    if (layout != NULL && strcmp(layout, "auto") != 0) {
        e->layout = strcmp(layout, "membase") == 0 ? NULL_LAYOUT_MEMBASE : NULL_LAYOUT_MEMCACHED;
    }
    free(layout);
    free(undo);
    if (result != 0) {
        null_log(e, "bad configuration", text);
    }
    return result == 0;
}

static ENGINE_ERROR_CODE null_initialize(ENGINE_HANDLE *handle, const char *config_str) {
    struct null_engine *e = null_of(handle);
    e->buckets = calloc(NULL_BUCKETS, sizeof *e->buckets);
    if (e->buckets == NULL) {
        return ENGINE_ENOMEM;
    }
    e->vbuckets[0] = (struct null_vbucket){.state = vbucket_state_active, .checkpoint = 1};
    if (!parse(e, config_str)) {
        return ENGINE_EINVAL;
    }
    if (!null_tap_open(e)) {
        return ENGINE_ENOMEM;
    }
    if (e->dbname != NULL && (!null_open_dir(e) || !null_load(e))) {
        return ENGINE_FAILED;
    }
    e->ready = true;
    e->running = pthread_create(&e->worker, NULL, null_worker, e) == 0;
    return e->running ? ENGINE_SUCCESS : ENGINE_ENOMEM;
}

static void null_destroy(ENGINE_HANDLE *handle, const bool force) {
    struct null_engine *e = null_of(handle);
    (void)force;
    if (e->running) {
        lock(e);
        e->stop = true;
        (void)pthread_cond_signal(&e->wake);
        unlock(e);
        (void)pthread_join(e->worker, NULL);
    }
    if (e->ready && e->dbname != NULL) {
        (void)null_save(e);
    }
    if (e->buckets != NULL) {
        null_free_all(e);
    }
    null_tap_close(e);
    if (e->lock_file >= 0) {
        (void)close(e->lock_file);
    }
    free(e->buckets);
    free(e->dbname);
    (void)pthread_mutex_destroy(&e->lock);
    (void)pthread_cond_destroy(&e->wake);
    free(e);
}

/* ---- items ---- */

static ENGINE_ERROR_CODE null_allocate(ENGINE_HANDLE *handle, const void *cookie, item **it,
                                       const void *key, const size_t nkey, const size_t nbytes,
                                       const int flags, const rel_time_t exptime) {
    struct null_engine *e = null_of(handle);
    (void)cookie;
    if (nbytes > e->item_size_max) {
        return ENGINE_E2BIG;
    }
    if (nkey == 0 || nkey > NULL_KEY_MAX) {
        return ENGINE_EINVAL;
    }
    struct null_item *fresh = null_item_new(key, nkey, nbytes);
    if (fresh == NULL) {
        return ENGINE_ENOMEM;
    }
    memcpy(&fresh->flags, &flags, sizeof fresh->flags);
    fresh->exptime = e->core->realtime((time_t)exptime);
    *it = fresh;
    return ENGINE_SUCCESS;
}

static void null_release(ENGINE_HANDLE *handle, const void *cookie, item *it) {
    (void)handle;
    (void)cookie;
    null_item_free(it);
}

static void null_item_set_cas(ENGINE_HANDLE *handle, const void *cookie, item *it, uint64_t cas) {
    struct null_item *own = it;
    (void)handle;
    (void)cookie;
    own->cas = cas;
}

static bool null_get_item_info(ENGINE_HANDLE *handle, const void *cookie, const item *it,
                               item_info *out) {
    union {
        const void *in;
        struct null_item *out;
    } same = {.in = it};
    struct null_item *own = same.out;
    (void)handle;
    (void)cookie;
    out->cas = own->cas;
    out->exptime = own->exptime;
    out->nbytes = own->nbytes;
    out->flags = own->flags;
    out->clsid = 0;
    out->nkey = own->nkey;
    out->nvalue = 1;
    out->key = own->data;
    out->value[0].iov_base = null_item_value(own);
    out->value[0].iov_len = own->nbytes;
    return true;
}

static ENGINE_ERROR_CODE null_get(ENGINE_HANDLE *handle, const void *cookie, item **it,
                                  const void *key, const int nkey, uint16_t vbucket) {
    struct null_engine *e = null_of(handle);
    *it = NULL;
    lock(e);
    ENGINE_ERROR_CODE code = null_enter(e, cookie, vbucket);
    if (code == ENGINE_SUCCESS) {
        struct null_item *found = null_live(e, key, (size_t)nkey, vbucket);
        code = found != NULL ? ENGINE_SUCCESS : ENGINE_KEY_ENOENT;
        if (found != NULL) {
            found->references++;
            *it = found;
        }
    }
    unlock(e);
    return code;
}

static ENGINE_ERROR_CODE null_remove(ENGINE_HANDLE *handle, const void *cookie, const void *key,
                                     const size_t nkey, uint64_t cas, uint16_t vbucket) {
    struct null_engine *e = null_of(handle);
    lock(e);
    ENGINE_ERROR_CODE code = null_enter(e, cookie, vbucket);
    if (code == ENGINE_SUCCESS) {
        const struct null_item *found = null_live(e, key, nkey, vbucket);
        if (found == NULL) {
            code = ENGINE_KEY_ENOENT;
        } else if (cas != 0 && cas != found->cas) {
            code = ENGINE_KEY_EEXISTS;
        } else {
            (void)null_put(e, key, nkey, vbucket, NULL);
        }
    }
    unlock(e);
    return code;
}

/* ---- store ---- */

/* Whether the operation may go on, given what is there now. */
static ENGINE_ERROR_CODE judge(ENGINE_STORE_OPERATION operation, const struct null_item *old,
                               uint64_t cas) {
    switch (operation) {
    case OPERATION_ADD:
        return old == NULL ? ENGINE_SUCCESS : ENGINE_NOT_STORED;
    case OPERATION_CAS:
        if (old == NULL) {
            return ENGINE_KEY_ENOENT;
        }
        return old->cas == cas ? ENGINE_SUCCESS : ENGINE_KEY_EEXISTS;
    case OPERATION_REPLACE:
    case OPERATION_APPEND:
    case OPERATION_PREPEND:
        if (old == NULL) {
            return ENGINE_NOT_STORED;
        }
        break;
    case OPERATION_SET:
        break;
    default:
        return ENGINE_ENOTSUP;
    }
    return cas == 0 || (old != NULL && old->cas == cas) ? ENGINE_SUCCESS
           : old == NULL                                ? ENGINE_KEY_ENOENT
                                                        : ENGINE_KEY_EEXISTS;
}

/* A copy of what shall be in the table: the host may go on writing into its own item. */
static struct null_item *compose(ENGINE_STORE_OPERATION operation, struct null_item *old,
                                 struct null_item *it) {
    const bool joins = operation == OPERATION_APPEND || operation == OPERATION_PREPEND;
    const size_t total = it->nbytes + (joins ? (size_t)old->nbytes : 0);
    struct null_item *fresh = null_item_new(it->data, it->nkey, total);
    if (fresh == NULL) {
        return NULL;
    }
    fresh->flags = joins ? old->flags : it->flags;
    fresh->exptime = joins ? old->exptime : it->exptime;
    char *to = null_item_value(fresh);
    if (operation == OPERATION_APPEND) {
        memcpy(to, null_item_value(old), old->nbytes);
        to += old->nbytes;
    }
    memcpy(to, null_item_value(it), it->nbytes);
    if (operation == OPERATION_PREPEND) {
        memcpy(to + it->nbytes, null_item_value(old), old->nbytes);
    }
    return fresh;
}

static ENGINE_ERROR_CODE store_locked(struct null_engine *e, struct null_item *it, uint64_t *cas,
                                      ENGINE_STORE_OPERATION operation, uint16_t vbucket) {
    struct null_item *old = null_live(e, it->data, it->nkey, vbucket);
    const ENGINE_ERROR_CODE code = judge(operation, old, it->cas);
    if (code != ENGINE_SUCCESS) {
        return code;
    }
    struct null_item *fresh = compose(operation, old, it);
    if (fresh == NULL) {
        return ENGINE_ENOMEM;
    }
    if (fresh->nbytes > e->item_size_max) {
        null_item_free(fresh);
        return ENGINE_E2BIG;
    }
    fresh->cas = ++e->last_cas;
    it->cas = fresh->cas;
    *cas = fresh->cas;
    return null_put(e, it->data, it->nkey, vbucket, fresh) ? ENGINE_SUCCESS : ENGINE_ENOMEM;
}

static ENGINE_ERROR_CODE null_store(ENGINE_HANDLE *handle, const void *cookie, item *it,
                                    uint64_t *cas, ENGINE_STORE_OPERATION operation,
                                    uint16_t vbucket) {
    struct null_engine *e = null_of(handle);
    lock(e);
    ENGINE_ERROR_CODE code = null_enter(e, cookie, vbucket);
    if (code == ENGINE_SUCCESS) {
        code = store_locked(e, it, cas, operation, vbucket);
        null_tap_stored(e);
    }
    unlock(e);
    return code;
}

/* ---- arithmetic ---- */

/* Decimal text, trailing blanks allowed. */
static bool to_number(struct null_item *it, uint64_t *out) {
    const char *at = null_item_value(it);
    const char *end = at + it->nbytes;
    if (at == end || !isdigit((unsigned char)*at)) {
        return false;
    }
    *out = 0;
    for (; at < end && isdigit((unsigned char)*at); at++) {
        const uint64_t digit = (uint64_t)(*at - '0');
        if (*out > (UINT64_MAX - digit) / 10) {
            return false;
        }
        *out = *out * 10 + digit;
    }
    while (at < end && *at == ' ') {
        at++;
    }
    return at == end;
}

static ENGINE_ERROR_CODE put_number(struct null_engine *e, const void *key, size_t nkey,
                                    uint16_t vbucket, uint64_t number, const struct null_item *old,
                                    rel_time_t exptime, uint64_t *cas) {
    char text[24];
    const int length = snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    struct null_item *fresh = null_item_new(key, nkey, (size_t)length);
    if (fresh == NULL) {
        return ENGINE_ENOMEM;
    }
    memcpy(null_item_value(fresh), text, (size_t)length);
    fresh->flags = old != NULL ? old->flags : 0;
    fresh->exptime = old != NULL ? old->exptime : e->core->realtime((time_t)exptime);
    fresh->cas = ++e->last_cas;
    *cas = fresh->cas;
    return null_put(e, key, nkey, vbucket, fresh) ? ENGINE_SUCCESS : ENGINE_ENOMEM;
}

static ENGINE_ERROR_CODE null_arithmetic(ENGINE_HANDLE *handle, const void *cookie, const void *key,
                                         const int nkey, const bool increment, const bool create,
                                         const uint64_t delta, const uint64_t initial,
                                         const rel_time_t exptime, uint64_t *cas, uint64_t *result,
                                         uint16_t vbucket) {
    struct null_engine *e = null_of(handle);
    const bool ascii = !create && exptime == 0;
    lock(e);
    ENGINE_ERROR_CODE code = null_enter(e, cookie, vbucket);
    if (code == ENGINE_SUCCESS) {
        struct null_item *old = null_live(e, key, (size_t)nkey, vbucket);
        if (old == NULL && !create) {
            code = ENGINE_KEY_ENOENT;
        } else if (old != NULL && !to_number(old, result)) {
            code = ENGINE_EINVAL;
        } else {
            *result = old == NULL ? initial
                      : increment ? *result + delta
                                  : (*result > delta ? *result - delta : 0);
            code = put_number(e, key, (size_t)nkey, vbucket, *result, old, exptime, cas);
        }
    }
    unlock(e);
    return ascii && code == ENGINE_NOT_MY_VBUCKET ? ENGINE_TMPFAIL : code;
}

static ENGINE_ERROR_CODE null_flush(ENGINE_HANDLE *handle, const void *cookie, time_t when) {
    struct null_engine *e = null_of(handle);
    (void)cookie;
    lock(e);
    if (when == 0) {
        null_delete_all(e);
        e->flush_at = 0;
    } else {
        e->flush_at = e->core->realtime(when);
    }
    unlock(e);
    return ENGINE_SUCCESS;
}

static void null_reset_stats(ENGINE_HANDLE *handle, const void *cookie) {
    (void)handle;
    (void)cookie;
}

/* ---- the entry point ---- */

__attribute__((visibility("default"))) ENGINE_ERROR_CODE
create_instance(uint64_t interface, GET_SERVER_API get_server_api, ENGINE_HANDLE **handle);

ENGINE_ERROR_CODE create_instance(uint64_t interface, GET_SERVER_API get_server_api,
                                  ENGINE_HANDLE **handle) {
    if (interface != 1) {
        return ENGINE_ENOTSUP;
    }
    const SERVER_HANDLE_V1 *server = get_server_api();
    struct null_engine *e = calloc(1, sizeof *e);
    if (e == NULL) {
        return ENGINE_ENOMEM;
    }
    e->core = server->core;
    e->extension = server->extension;
    e->cookies = server->cookie;
    e->callback = server->callback;
    e->last_outcome = "none";
    e->item_size_max = 20971520;
    e->lock_file = -1;
    (void)pthread_mutex_init(&e->lock, NULL);
    (void)pthread_cond_init(&e->wake, NULL);
    e->table = (ENGINE_HANDLE_V1){
        .interface = {.interface = 1},
        .get_info = null_get_info,
        .initialize = null_initialize,
        .destroy = null_destroy,
        .allocate = null_allocate,
        .remove = null_remove,
        .release = null_release,
        .get = null_get,
        .store = null_store,
        .arithmetic = null_arithmetic,
        .flush = null_flush,
        .get_stats = null_get_stats,
        .reset_stats = null_reset_stats,
        .unknown_command = null_unknown_command,
        .tap_notify = null_tap_notify,
        .get_tap_iterator = null_get_tap_iterator,
        .item_set_cas = null_item_set_cas,
        .get_item_info = null_get_item_info,
    };
    *handle = &e->table.interface;
    return ENGINE_SUCCESS;
}
