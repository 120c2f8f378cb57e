/*
 * An engine that hands every call on to another engine, except when a rule says otherwise. It lets
 * hosts and suites be tested against answers that are hard to provoke.
 *
 * Environment, read at create_instance; the configuration goes to the inner engine unchanged:
 *   CH_PROXY_ENGINE  file of the inner engine
 *   CH_PROXY_RULES   FUNCTION:ACTION[:EVERY[:MS]] separated by ';'
 *     FUNCTION  allocate get store remove arithmetic flush stats command tap_notify
 *     ACTION    block    EWOULDBLOCK, a notify after MS from the proxy's thread; the call that
 * follows goes through tmpfail  ENGINE_TMPFAIL delay    MS of sleep before the call EVERY     every
 * n-th call of that function (1), MS milliseconds (1)
 */
#include <dlfcn.h>
#include <memcached/engine.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    RULES_MAX = 32,
    BLOCKED_MAX = 256
};

enum function {
    F_ALLOCATE,
    F_GET,
    F_STORE,
    F_REMOVE,
    F_ARITHMETIC,
    F_FLUSH,
    F_STATS,
    F_COMMAND,
    F_TAP_NOTIFY,
    FUNCTIONS
};

static const char *const function_names[FUNCTIONS] = {
    "allocate", "get", "store", "remove", "arithmetic", "flush", "stats", "command", "tap_notify"};

enum action {
    A_BLOCK,
    A_TMPFAIL,
    A_DELAY,
    ACTIONS
};

static const char *const action_names[ACTIONS] = {"block", "tmpfail", "delay"};

struct rule {
    enum function function;
    enum action action;
    unsigned every;
    unsigned milliseconds;
    _Atomic unsigned calls;
};

/* A cookie that got EWOULDBLOCK from here. `due` is 0 once it has been notified. */
struct blocked {
    const void *cookie;
    uint64_t due;
};

struct proxy {
    ENGINE_HANDLE_V1 table; /* first */
    void *library;
    ENGINE_HANDLE *h;
    ENGINE_HANDLE_V1 *v1;
    TAP_ITERATOR iterator;
    SERVER_COOKIE_API_MEMBASE *cookies; /* only the members that both layouts share */
    struct rule rules[RULES_MAX];
    size_t rule_count;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    struct blocked blocked[BLOCKED_MAX];
    size_t blocked_count;
    bool running;
    bool stop;
};

static struct proxy *proxy_of(ENGINE_HANDLE *handle) {
    union {
        ENGINE_HANDLE *in;
        struct proxy *out;
    } same = {.in = handle};
    return same.out;
}

static uint64_t now_ms(void) {
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000U + (uint64_t)now.tv_nsec / 1000000U;
}

/* ---- rules ---- */

static int index_of(const char *text, size_t length, const char *const *names, int count) {
    for (int i = 0; i < count; i++) {
        if (strlen(names[i]) == length && memcmp(names[i], text, length) == 0) {
            return i;
        }
    }
    return -1;
}

static bool parse_rule(const char *text, struct rule *rule) {
    const size_t first = strcspn(text, ":;");
    if (text[first] != ':') {
        return false;
    }
    const char *action = text + first + 1;
    const size_t second = strcspn(action, ":;");
    const int function_index = index_of(text, first, function_names, FUNCTIONS);
    const int action_index = index_of(action, second, action_names, ACTIONS);
    if (function_index < 0 || action_index < 0) {
        return false;
    }
    unsigned every = 1;
    unsigned milliseconds = 1;
    if (action[second] == ':') {
        (void)sscanf(action + second + 1, "%u:%u", &every, &milliseconds);
    }
    rule->function = (enum function)function_index;
    rule->action = (enum action)action_index;
    rule->every = every == 0 ? 1 : every;
    rule->milliseconds = milliseconds;
    return true;
}

static bool parse_rules(struct proxy *p, const char *text) {
    while (text != NULL && *text != '\0') {
        if (p->rule_count == RULES_MAX || !parse_rule(text, &p->rules[p->rule_count])) {
            (void)fprintf(stderr, "proxy engine: bad rule: %s\n", text);
            return false;
        }
        p->rule_count++;
        text = strchr(text, ';');
        text = text != NULL ? text + 1 : NULL;
    }
    return true;
}

/* The second call of a request that was blocked here. */
static bool was_blocked(struct proxy *p, const void *cookie) {
    bool found = false;
    (void)pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->blocked_count && !found; i++) {
        if (p->blocked[i].cookie == cookie && p->blocked[i].due == 0) {
            p->blocked[i] = p->blocked[--p->blocked_count];
            found = true;
        }
    }
    (void)pthread_mutex_unlock(&p->lock);
    return found;
}

static bool block(struct proxy *p, const void *cookie, unsigned milliseconds) {
    bool done = false;
    (void)pthread_mutex_lock(&p->lock);
    if (cookie != NULL && p->blocked_count < BLOCKED_MAX) {
        p->blocked[p->blocked_count++] =
            (struct blocked){.cookie = cookie, .due = now_ms() + milliseconds};
        (void)pthread_cond_signal(&p->wake);
        done = true;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return done;
}

/* SUCCESS: make the call. Anything else is the answer. */
static ENGINE_ERROR_CODE judge(struct proxy *p, enum function function, const void *cookie) {
    if (was_blocked(p, cookie)) {
        return ENGINE_SUCCESS;
    }
    for (size_t i = 0; i < p->rule_count; i++) {
        struct rule *r = &p->rules[i];
        if (r->function != function || (atomic_fetch_add(&r->calls, 1) + 1) % r->every != 0) {
            continue;
        }
        if (r->action == A_TMPFAIL) {
            return ENGINE_TMPFAIL;
        }
        if (r->action == A_BLOCK && block(p, cookie, r->milliseconds)) {
            return ENGINE_EWOULDBLOCK;
        }
        if (r->action == A_DELAY) {
            const struct timespec pause = {.tv_sec = (time_t)(r->milliseconds / 1000U),
                                           .tv_nsec = (long)(r->milliseconds % 1000U) * 1000000L};
            (void)nanosleep(&pause, NULL);
        }
    }
    return ENGINE_SUCCESS;
}

/* Notifies what is due, with no lock held. */
static void *notifier(void *argument) {
    struct proxy *p = argument;
    (void)pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        uint64_t next = now_ms() + 1000;
        const void *cookie = NULL;
        for (size_t i = 0; i < p->blocked_count && cookie == NULL; i++) {
            struct blocked *b = &p->blocked[i];
            if (b->due != 0 && b->due <= now_ms()) {
                b->due = 0;
                cookie = b->cookie;
            } else if (b->due != 0 && b->due < next) {
                next = b->due;
            }
        }
        if (cookie != NULL) {
            (void)pthread_mutex_unlock(&p->lock);
            p->cookies->notify_io_complete(cookie, ENGINE_SUCCESS);
            (void)pthread_mutex_lock(&p->lock);
            continue;
        }
        const struct timespec until = {.tv_sec = (time_t)(next / 1000U),
                                       .tv_nsec = (long)(next % 1000U) * 1000000L};
        (void)pthread_cond_timedwait(&p->wake, &p->lock, &until);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- calls that rules apply to ---- */

#define JUDGE(function)                                                                            \
    struct proxy *p = proxy_of(handle);                                                            \
    const ENGINE_ERROR_CODE verdict = judge(p, function, cookie);                                  \
    if (verdict != ENGINE_SUCCESS) {                                                               \
        return verdict;                                                                            \
    }

static ENGINE_ERROR_CODE p_allocate(ENGINE_HANDLE *handle, const void *cookie, item **it,
                                    const void *key, const size_t nkey, const size_t nbytes,
                                    const int flags, const rel_time_t exptime) {
    JUDGE(F_ALLOCATE)
    return p->v1->allocate(p->h, cookie, it, key, nkey, nbytes, flags, exptime);
}

static ENGINE_ERROR_CODE p_remove(ENGINE_HANDLE *handle, const void *cookie, const void *key,
                                  const size_t nkey, uint64_t cas, uint16_t vbucket) {
    JUDGE(F_REMOVE)
    return p->v1->remove(p->h, cookie, key, nkey, cas, vbucket);
}

static ENGINE_ERROR_CODE p_get(ENGINE_HANDLE *handle, const void *cookie, item **it,
                               const void *key, const int nkey, uint16_t vbucket) {
    JUDGE(F_GET)
    return p->v1->get(p->h, cookie, it, key, nkey, vbucket);
}

static ENGINE_ERROR_CODE p_store(ENGINE_HANDLE *handle, const void *cookie, item *it, uint64_t *cas,
                                 ENGINE_STORE_OPERATION operation, uint16_t vbucket) {
    JUDGE(F_STORE)
    return p->v1->store(p->h, cookie, it, cas, operation, vbucket);
}

static ENGINE_ERROR_CODE p_arithmetic(ENGINE_HANDLE *handle, const void *cookie, const void *key,
                                      const int nkey, const bool increment, const bool create,
                                      const uint64_t delta, const uint64_t initial,
                                      const rel_time_t exptime, uint64_t *cas, uint64_t *result,
                                      uint16_t vbucket) {
    JUDGE(F_ARITHMETIC)
    return p->v1->arithmetic(p->h, cookie, key, nkey, increment, create, delta, initial, exptime,
                             cas, result, vbucket);
}

static ENGINE_ERROR_CODE p_flush(ENGINE_HANDLE *handle, const void *cookie, time_t when) {
    JUDGE(F_FLUSH)
    return p->v1->flush(p->h, cookie, when);
}

static ENGINE_ERROR_CODE p_get_stats(ENGINE_HANDLE *handle, const void *cookie,
                                     const char *stat_key, int nkey, ADD_STAT add_stat) {
    JUDGE(F_STATS)
    return p->v1->get_stats(p->h, cookie, stat_key, nkey, add_stat);
}

static ENGINE_ERROR_CODE p_unknown_command(ENGINE_HANDLE *handle, const void *cookie,
                                           protocol_binary_request_header *request,
                                           ADD_RESPONSE response) {
    JUDGE(F_COMMAND)
    return p->v1->unknown_command(p->h, cookie, request, response);
}

static ENGINE_ERROR_CODE p_tap_notify(ENGINE_HANDLE *handle, const void *cookie,
                                      void *engine_specific, uint16_t nengine, uint8_t ttl,
                                      uint16_t tap_flags, tap_event_t tap_event, uint32_t tap_seqno,
                                      const void *key, size_t nkey, uint32_t flags,
                                      uint32_t exptime, uint64_t cas, const void *data,
                                      size_t ndata, uint16_t vbucket) {
    JUDGE(F_TAP_NOTIFY)
    return p->v1->tap_notify(p->h, cookie, engine_specific, nengine, ttl, tap_flags, tap_event,
                             tap_seqno, key, nkey, flags, exptime, cas, data, ndata, vbucket);
}

/* ---- straight through ---- */

static const engine_info *p_get_info(ENGINE_HANDLE *handle) {
    struct proxy *p = proxy_of(handle);
    return p->v1->get_info(p->h);
}

static ENGINE_ERROR_CODE p_initialize(ENGINE_HANDLE *handle, const char *config_str) {
    struct proxy *p = proxy_of(handle);
    const ENGINE_ERROR_CODE code = p->v1->initialize(p->h, config_str);
    if (code == ENGINE_SUCCESS) {
        p->running = pthread_create(&p->thread, NULL, notifier, p) == 0;
    }
    return code == ENGINE_SUCCESS && !p->running ? ENGINE_ENOMEM : code;
}

static void p_destroy(ENGINE_HANDLE *handle, const bool force) {
    struct proxy *p = proxy_of(handle);
    if (p->running) {
        (void)pthread_mutex_lock(&p->lock);
        p->stop = true;
        (void)pthread_cond_signal(&p->wake);
        (void)pthread_mutex_unlock(&p->lock);
        (void)pthread_join(p->thread, NULL);
    }
    p->v1->destroy(p->h, force);
    (void)dlclose(p->library);
    (void)pthread_mutex_destroy(&p->lock);
    (void)pthread_cond_destroy(&p->wake);
    free(p);
}

static void p_release(ENGINE_HANDLE *handle, const void *cookie, item *it) {
    struct proxy *p = proxy_of(handle);
    p->v1->release(p->h, cookie, it);
}

static void p_reset_stats(ENGINE_HANDLE *handle, const void *cookie) {
    struct proxy *p = proxy_of(handle);
    p->v1->reset_stats(p->h, cookie);
}

static tap_event_t p_iterator(ENGINE_HANDLE *handle, const void *cookie, item **it,
                              void **engine_specific, uint16_t *nengine_specific, uint8_t *ttl,
                              uint16_t *flags, uint32_t *seqno, uint16_t *vbucket) {
    struct proxy *p = proxy_of(handle);
    return p->iterator(p->h, cookie, it, engine_specific, nengine_specific, ttl, flags, seqno,
                       vbucket);
}

static TAP_ITERATOR p_get_tap_iterator(ENGINE_HANDLE *handle, const void *cookie,
                                       const void *client, size_t nclient, uint32_t flags,
                                       const void *userdata, size_t nuserdata) {
    struct proxy *p = proxy_of(handle);
    /* Engines have one iterator function for all streams. */
    const TAP_ITERATOR inner =
        p->v1->get_tap_iterator(p->h, cookie, client, nclient, flags, userdata, nuserdata);
    if (inner == NULL) {
        return NULL;
    }
    p->iterator = inner;
    return p_iterator;
}

static void p_item_set_cas(ENGINE_HANDLE *handle, const void *cookie, item *it, uint64_t cas) {
    struct proxy *p = proxy_of(handle);
    p->v1->item_set_cas(p->h, cookie, it, cas);
}

static bool p_get_item_info(ENGINE_HANDLE *handle, const void *cookie, const item *it,
                            item_info *info) {
    struct proxy *p = proxy_of(handle);
    return p->v1->get_item_info(p->h, cookie, it, info);
}

static size_t p_errinfo(ENGINE_HANDLE *handle, const void *cookie, char *buffer, size_t buffsz) {
    struct proxy *p = proxy_of(handle);
    return p->v1->errinfo(p->h, cookie, buffer, buffsz);
}

/* ---- life ---- */

static void fill_table(struct proxy *p) {
    const ENGINE_HANDLE_V1 *inner = p->v1;
    p->table = (ENGINE_HANDLE_V1){
        .interface = {.interface = 1},
        .get_info = p_get_info,
        .initialize = p_initialize,
        .destroy = p_destroy,
        .allocate = p_allocate,
        .remove = p_remove,
        .release = p_release,
        .get = p_get,
        .store = p_store,
        .arithmetic = inner->arithmetic != NULL ? p_arithmetic : NULL,
        .flush = p_flush,
        .get_stats = p_get_stats,
        .reset_stats = p_reset_stats,
        .unknown_command = inner->unknown_command != NULL ? p_unknown_command : NULL,
        .tap_notify = inner->tap_notify != NULL ? p_tap_notify : NULL,
        .get_tap_iterator = inner->get_tap_iterator != NULL ? p_get_tap_iterator : NULL,
        .item_set_cas = p_item_set_cas,
        .get_item_info = p_get_item_info,
        .errinfo = inner->errinfo != NULL ? p_errinfo : NULL,
    };
}

static bool load_inner(struct proxy *p, GET_SERVER_API get_server_api) {
    const char *path = getenv("CH_PROXY_ENGINE");
    CREATE_INSTANCE create = NULL;
    union {
        ENGINE_HANDLE *handle;
        ENGINE_HANDLE_V1 *table;
    } same = {.handle = NULL};
    if (path == NULL) {
        (void)fprintf(stderr, "proxy engine: CH_PROXY_ENGINE is not set\n");
        return false;
    }
    p->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = p->library != NULL ? dlsym(p->library, "create_instance") : NULL;
    if (symbol == NULL) {
        (void)fprintf(stderr, "proxy engine: %s\n", dlerror());
        return false;
    }
    memcpy(&create, &symbol, sizeof symbol);
    if (create(1, get_server_api, &same.handle) != ENGINE_SUCCESS || same.handle == NULL) {
        (void)fprintf(stderr, "proxy engine: %s: create_instance failed\n", path);
        return false;
    }
    p->h = same.handle;
    p->v1 = same.table;
    return true;
}

__attribute__((visibility("default"))) ENGINE_ERROR_CODE
create_instance(uint64_t interface, GET_SERVER_API get_server_api, ENGINE_HANDLE **handle);

ENGINE_ERROR_CODE create_instance(uint64_t interface, GET_SERVER_API get_server_api,
                                  ENGINE_HANDLE **handle) {
    if (interface != 1) {
        return ENGINE_ENOTSUP;
    }
    struct proxy *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return ENGINE_ENOMEM;
    }
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->wake, NULL);
    if (!parse_rules(p, getenv("CH_PROXY_RULES")) || !load_inner(p, get_server_api)) {
        if (p->library != NULL) {
            (void)dlclose(p->library);
        }
        free(p);
        return ENGINE_FAILED;
    }
    p->cookies = get_server_api()->cookie;
    fill_table(p);
    *handle = &p->table.interface;
    return ENGINE_SUCCESS;
}
