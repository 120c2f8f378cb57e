/*
 * An engine that is a host of ARCUS's kind toward another engine: it offers that one ARCUS's server
 * tables, reads ARCUS's engine table, and hands every call on as ARCUS would make it. So suites and
 * hosts of the other kind can be run against an engine that was loaded so.
 *
 * Environment, read at create_instance; the configuration goes to the inner engine unchanged:
 *   CH_ARCUS_ENGINE  file of the inner engine
 *
 * What would abort or confuse an ARCUS host ends the process with a line on stderr.
 */
#include <arcus/engine.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    TAIL_BYTES = 2,
    HELD_MAX = 256,
    OP_COMPLETE = 0x9c,
    OP_REVERT = 0x9d,
    STATUS_SUCCESS = 0x00,
    STATUS_ETMPFAIL = 0x86,
    WORD_ROOM = 64
};

struct arcus {
    ENGINE_HANDLE_V1 table; /* first */
    void *library;
    ENGINE_HANDLE *h;
    ARCUS_ENGINE_HANDLE_V1 *v1;
};

/* An item of the inner engine, and what it was allocated with. */
struct held {
    item *real;
    size_t nkey;
    size_t nbytes;
    int flags;
    rel_time_t exptime;
    uint64_t cas;
    bool filling;
    char key[];
};

/* The tables carry no argument of ours: there is one outer host in a process. */
static struct {
    SERVER_HANDLE_V1 *outer;
    ARCUS_SERVER_CORE_API core;
    ARCUS_SERVER_HANDLE_V1 handle;
    SERVER_EXTENSION_API extension;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* Connections whose answers are held back, and of those which may go. */
    const void *waits[HELD_MAX];
    size_t wait_count;
} host = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static __attribute__((noreturn)) void broken(const char *what) {
    (void)fprintf(stderr, "arcus engine: %s\n", what);
    abort();
}

static struct arcus *arcus_of(ENGINE_HANDLE *handle) {
    union {
        ENGINE_HANDLE *in;
        struct arcus *out;
    } same = {.in = handle};
    return same.out;
}

/* ---- the server tables ---- */

static const SERVER_COOKIE_API_MEMCACHED *cookies(void) {
    /* Both layouts of the outer host begin alike. */
    return host.outer->cookie;
}

static rel_time_t core_realtime(const time_t exptime) {
    if (exptime < 0) {
        return exptime == -1 ? ARCUS_EXPTIME_STICKY : 1;
    }
    return host.outer->core->realtime(exptime);
}

static const char *core_version(void) {
    return "1.15.0";
}

/* A mock has no socket that could be shut down. */
static int core_socket(const void *cookie) {
    (void)cookie;
    return -1;
}

static bool core_noreply(const void *cookie) {
    (void)cookie;
    return false;
}

static size_t find_wait(const void *cookie) {
    size_t at = 0;
    while (at < host.wait_count && host.waits[at] != cookie) {
        at++;
    }
    return at;
}

static void core_waitfor(const void *cookie) {
    (void)pthread_mutex_lock(&host.lock);
    if (host.wait_count == HELD_MAX || find_wait(cookie) != host.wait_count) {
        broken("a second wait for one connection");
    }
    host.waits[host.wait_count++] = cookie;
    (void)pthread_mutex_unlock(&host.lock);
}

static void core_notify(const void *cookie, ENGINE_ERROR_CODE status) {
    (void)status;
    (void)pthread_mutex_lock(&host.lock);
    const size_t at = find_wait(cookie);
    if (at == host.wait_count) {
        broken("a notify before the wait, or for nobody");
    }
    host.waits[at] = host.waits[--host.wait_count];
    (void)pthread_cond_broadcast(&host.wake);
    (void)pthread_mutex_unlock(&host.lock);
}

/* The descriptor of an ASCII command has another shape here than the outer host wants. */
static bool register_extension(extension_type_t type, void *extension) {
    return type != EXTENSION_ASCII_PROTOCOL &&
           host.outer->extension->register_extension(type, extension);
}

static void *get_extension(extension_type_t type) {
    return host.outer->extension->get_extension(type);
}

static SERVER_HANDLE_V1 *get_arcus_server(void) {
    union {
        ARCUS_SERVER_HANDLE_V1 *in;
        SERVER_HANDLE_V1 *out;
    } same = {.in = &host.handle};
    return same.out;
}

static void fill_server(SERVER_HANDLE_V1 *outer) {
    host.outer = outer;
    host.core = (ARCUS_SERVER_CORE_API){
        .get_current_time = outer->core->get_current_time,
        .realtime = core_realtime,
        .server_version = core_version,
        .store_engine_specific = cookies()->store_engine_specific,
        .get_engine_specific = cookies()->get_engine_specific,
        .get_socket_fd = core_socket,
        .get_noreply = core_noreply,
        .waitfor_io_complete = core_waitfor,
        .notify_io_complete = core_notify,
    };
    host.extension = (SERVER_EXTENSION_API){
        .register_extension = register_extension,
        .get_extension = get_extension,
    };
    host.handle = (ARCUS_SERVER_HANDLE_V1){
        .interface = 1,
        .core = &host.core,
        .stat = outer->stat,
        .extension = &host.extension,
        .callback = outer->callback,
        .log = outer->log,
    };
}

/* ---- codes ---- */

/* EWOULDBLOCK is success, and its answer comes after the notify; a temporary lack has another code
 * there. */
static ENGINE_ERROR_CODE answer(const void *cookie, ENGINE_ERROR_CODE code) {
    (void)pthread_mutex_lock(&host.lock);
    const bool held = find_wait(cookie) != host.wait_count;
    while (code == ENGINE_EWOULDBLOCK && find_wait(cookie) != host.wait_count) {
        (void)pthread_cond_wait(&host.wake, &host.lock);
    }
    (void)pthread_mutex_unlock(&host.lock);
    if (held && code != ENGINE_EWOULDBLOCK) {
        broken("a wait, and then another code than EWOULDBLOCK");
    }
    if (code == ENGINE_TMPFAIL) {
        broken("TMPFAIL, which is a duplicate there");
    }
    return code == ENGINE_EWOULDBLOCK ? ENGINE_SUCCESS
                                      : (code == ENGINE_ENOMEM ? ENGINE_TMPFAIL : code);
}

/* What may not block: the text protocol would make a miss of it, the binary one abort. */
static ENGINE_ERROR_CODE answer_now(ENGINE_ERROR_CODE code) {
    if (code == ENGINE_EWOULDBLOCK) {
        broken("EWOULDBLOCK where nothing can wait");
    }
    return code == ENGINE_ENOMEM ? ENGINE_TMPFAIL : code;
}

/* ---- items ---- */

static struct held *held_of(const item *it) {
    union {
        const item *in;
        struct held *out;
    } same = {.in = it};
    return same.out;
}

static arcus_item_info inner_info(struct arcus *a, const void *cookie, const item *real) {
    arcus_item_info info;
    /* Hosts clear nothing. */
    memset(&info, 0xa5, sizeof info);
    if (!a->v1->get_item_info(a->h, cookie, real, &info)) {
        broken("get_item_info failed");
    }
    if (info.naddnl != 1 || info.addnl[0]->len != TAIL_BYTES ||
        info.nbytes != info.nvalue + TAIL_BYTES || info.type != ARCUS_ITEM_TYPE_KV) {
        broken("a value without CR LF as its one further piece");
    }
    return info;
}

static ENGINE_ERROR_CODE make(struct arcus *a, const void *cookie, struct held *held,
                              uint64_t cas) {
    const ENGINE_ERROR_CODE code =
        a->v1->allocate(a->h, cookie, &held->real, held->key, held->nkey,
                        held->nbytes + TAIL_BYTES, held->flags, held->exptime, cas);
    if (code == ENGINE_EWOULDBLOCK || code == ENGINE_ENOTSUP || code == ENGINE_DISCONNECT) {
        broken("allocate with a code that loses the place in the connection");
    }
    return code;
}

/* As the host receives: the tail, too, is the client's. */
static void receive_tail(struct arcus *a, const void *cookie, const item *real) {
    const arcus_item_info info = inner_info(a, cookie, real);
    if (cookie != NULL) {
        memcpy(info.addnl[0]->ptr, "\r\n", TAIL_BYTES);
    }
}

static ENGINE_ERROR_CODE a_allocate(ENGINE_HANDLE *handle, const void *cookie, item **it,
                                    const void *key, const size_t nkey, const size_t nbytes,
                                    const int flags, const rel_time_t exptime) {
    struct arcus *a = arcus_of(handle);
    struct held *held = calloc(1, sizeof *held + nkey + 1);
    if (held == NULL) {
        return ENGINE_ENOMEM;
    }
    memcpy(held->key, key, nkey);
    held->nkey = nkey;
    held->nbytes = nbytes;
    held->flags = flags;
    held->exptime = core_realtime((int32_t)exptime < 0 ? -2 : (time_t)exptime);
    held->filling = true;
    const ENGINE_ERROR_CODE code = make(a, cookie, held, 0);
    if (code != ENGINE_SUCCESS) {
        free(held);
        return answer_now(code);
    }
    *it = held;
    return ENGINE_SUCCESS;
}

static void a_release(ENGINE_HANDLE *handle, const void *cookie, item *it) {
    struct arcus *a = arcus_of(handle);
    if (it != NULL) {
        a->v1->release(a->h, cookie, held_of(it)->real);
        free(it);
    }
}

/* The CAS is a matter of allocate there. */
static void a_item_set_cas(ENGINE_HANDLE *handle, const void *cookie, item *it, uint64_t cas) {
    (void)handle;
    (void)cookie;
    held_of(it)->cas = cas;
}

static bool a_get_item_info(ENGINE_HANDLE *handle, const void *cookie, const item *it,
                            item_info *info) {
    struct arcus *a = arcus_of(handle);
    const struct held *held = held_of(it);
    const arcus_item_info inner = inner_info(a, cookie, held->real);
    if (!held->filling && memcmp(inner.addnl[0]->ptr, "\r\n", TAIL_BYTES) != 0) {
        broken("a stored value that does not end in CR LF");
    }
    union {
        const void *in;
        void *out;
    } value = {.in = inner.value};
    info->cas = held->filling ? held->cas : inner.cas;
    info->exptime = inner.exptime;
    info->nbytes = inner.nvalue;
    info->flags = inner.flags;
    info->clsid = inner.clsid;
    info->nkey = inner.nkey;
    info->nvalue = 1;
    info->key = inner.key;
    info->value[0] = (struct iovec){.iov_base = value.out, .iov_len = inner.nvalue};
    return true;
}

/* With a CAS the item is allocated anew, as the host would have done at once. */
static ENGINE_ERROR_CODE a_store(ENGINE_HANDLE *handle, const void *cookie, item *it, uint64_t *cas,
                                 ENGINE_STORE_OPERATION operation, uint16_t vbucket) {
    struct arcus *a = arcus_of(handle);
    struct held *held = held_of(it);
    if (held->filling && held->cas != 0) {
        item *before = held->real;
        const ENGINE_ERROR_CODE code = make(a, cookie, held, held->cas);
        if (code != ENGINE_SUCCESS) {
            held->real = before;
            return answer_now(code);
        }
        union {
            const void *in;
            void *out;
        } to = {.in = inner_info(a, cookie, held->real).value};
        memcpy(to.out, inner_info(a, cookie, before).value, held->nbytes);
        a->v1->release(a->h, cookie, before);
    }
    if (held->filling) {
        receive_tail(a, cookie, held->real);
    }
    const ENGINE_ERROR_CODE code =
        a->v1->store(a->h, cookie, held->real, cas, operation, vbucket);
    held->filling = held->filling && code != ENGINE_SUCCESS && code != ENGINE_EWOULDBLOCK;
    return answer(cookie, code);
}

static ENGINE_ERROR_CODE a_get(ENGINE_HANDLE *handle, const void *cookie, item **it,
                               const void *key, const int nkey, uint16_t vbucket) {
    struct arcus *a = arcus_of(handle);
    item *real = NULL;
    const ENGINE_ERROR_CODE code = a->v1->get(a->h, cookie, &real, key, nkey, vbucket);
    *it = NULL;
    if (code == ENGINE_KEY_ENOENT || code == ENGINE_NOT_MY_VBUCKET || code == ENGINE_DISCONNECT) {
        return code;
    }
    if (code != ENGINE_SUCCESS) {
        broken("get with a code that aborts the host");
    }
    struct held *held = calloc(1, sizeof *held);
    if (held == NULL) {
        broken("out of memory");
    }
    held->real = real;
    *it = held;
    return ENGINE_SUCCESS;
}

/* ---- other calls ---- */

static ENGINE_ERROR_CODE a_remove(ENGINE_HANDLE *handle, const void *cookie, const void *key,
                                  const size_t nkey, uint64_t cas, uint16_t vbucket) {
    struct arcus *a = arcus_of(handle);
    return answer(cookie, a->v1->remove(a->h, cookie, key, nkey, cas, vbucket));
}

static ENGINE_ERROR_CODE a_arithmetic(ENGINE_HANDLE *handle, const void *cookie, const void *key,
                                      const int nkey, const bool increment, const bool create,
                                      const uint64_t delta, const uint64_t initial,
                                      const rel_time_t exptime, uint64_t *cas, uint64_t *result,
                                      uint16_t vbucket) {
    struct arcus *a = arcus_of(handle);
    const rel_time_t until = core_realtime((int32_t)exptime < 0 ? -2 : (time_t)exptime);
    const ENGINE_ERROR_CODE code =
        a->v1->arithmetic(a->h, cookie, key, nkey, increment, create, delta, initial, 0,
                          create ? until : 0, cas, result, vbucket);
    if (code == ENGINE_ENOTSUP || (code >= ENGINE_E2BIG && code != ENGINE_DISCONNECT &&
                                   code != ENGINE_NOT_MY_VBUCKET)) {
        broken("arithmetic with a code that aborts the host");
    }
    return answer(cookie, code);
}

static ENGINE_ERROR_CODE a_flush(ENGINE_HANDLE *handle, const void *cookie, time_t when) {
    struct arcus *a = arcus_of(handle);
    return answer(cookie, a->v1->flush(a->h, cookie, NULL, -1, core_realtime(when)));
}

static ENGINE_ERROR_CODE a_get_stats(ENGINE_HANDLE *handle, const void *cookie,
                                     const char *stat_key, int nkey, ADD_STAT add_stat) {
    struct arcus *a = arcus_of(handle);
    char text[512]; /* The host counts the NUL behind what came in ASCII. */
    if (nkey > 0 && (size_t)nkey < sizeof text) {
        nkey = snprintf(text, sizeof text, "%.*s", nkey, stat_key) + 1;
        stat_key = text;
    }
    return answer_now(a->v1->get_stats(a->h, cookie, stat_key, nkey, add_stat));
}

static void a_reset_stats(ENGINE_HANDLE *handle, const void *cookie) {
    struct arcus *a = arcus_of(handle);
    a->v1->reset_stats(a->h, cookie);
}

/* What a command sent. COMPLETE and REVERT are answered when they begin: the first word of their
 * body says so. */
static _Thread_local ADD_RESPONSE response_target;
static _Thread_local unsigned responses;
static _Thread_local bool may_begin;
static _Thread_local bool has_begun;

static bool take_response(const void *key, uint16_t keylen, const void *ext, uint8_t extlen,
                          const void *body, uint32_t bodylen, uint8_t datatype, uint16_t status,
                          uint64_t cas, const void *cookie) {
    responses++;
    has_begun = may_begin && status == STATUS_SUCCESS && bodylen > 0;
    return has_begun ||
           response_target(key, keylen, ext, extlen, body, bodylen, datatype, status, cas, cookie);
}

static _Thread_local char state[WORD_ROOM];
static _Thread_local char outcome[WORD_ROOM];

static void take_stat(const char *key, const uint16_t klen, const char *val, const uint32_t vlen,
                      const void *cookie) {
    char *to = NULL;
    (void)cookie;
    if (klen == strlen("state") && memcmp(key, "state", klen) == 0) {
        to = state;
    } else if (klen == strlen("last_outcome") && memcmp(key, "last_outcome", klen) == 0) {
        to = outcome;
    }
    if (to != NULL) {
        (void)snprintf(to, WORD_ROOM, "%.*s", (int)vlen, val);
    }
}

/* Polls until it is over; what an operator does there. */
static bool poll_end(struct arcus *a, const void *cookie, uint8_t opcode) {
    static const char group[] = "onlineupdate";
    const struct timespec pause = {.tv_nsec = 1000000};
    for (;;) {
        (void)a->v1->get_stats(a->h, cookie, group, (int)sizeof group - 1, take_stat);
        if (strcmp(state, "completing") != 0 && strcmp(state, "reverting") != 0) {
            break;
        }
        (void)nanosleep(&pause, NULL);
    }
    const char *good = opcode == OP_COMPLETE ? "completed" : "reverted";
    return strcmp(state, "none") == 0 && strcmp(outcome, good) == 0;
}

static ENGINE_ERROR_CODE a_unknown_command(ENGINE_HANDLE *handle, const void *cookie,
                                           protocol_binary_request_header *request,
                                           ADD_RESPONSE response) {
    struct arcus *a = arcus_of(handle);
    const uint8_t opcode = request->request.opcode;
    response_target = response;
    responses = 0;
    has_begun = false;
    may_begin = opcode == OP_COMPLETE || opcode == OP_REVERT;
    const ENGINE_ERROR_CODE code = a->v1->unknown_command(a->h, cookie, request, take_response);
    if (code == ENGINE_SUCCESS && responses == 0) {
        broken("a command without a response");
    }
    if (has_begun) {
        const uint16_t status =
            poll_end(a, cookie, opcode) ? STATUS_SUCCESS : STATUS_ETMPFAIL;
        const char *words = status == STATUS_SUCCESS ? "" : "it failed, says the log";
        (void)response(NULL, 0, NULL, 0, words, (uint32_t)strlen(words), 0, status, 0, cookie);
    }
    return answer_now(code);
}

static const engine_info *a_get_info(ENGINE_HANDLE *handle) {
    struct arcus *a = arcus_of(handle);
    return a->v1->get_info(a->h);
}

static size_t a_errinfo(ENGINE_HANDLE *handle, const void *cookie, char *buffer, size_t buffsz) {
    struct arcus *a = arcus_of(handle);
    return a->v1->errinfo(a->h, cookie, buffer, buffsz);
}

/* ---- life ---- */

/* What the host asks right after the start. */
static ENGINE_ERROR_CODE a_initialize(ENGINE_HANDLE *handle, const char *config_str) {
    struct arcus *a = arcus_of(handle);
    char text[1024];
    uint32_t size = 0;
    (void)snprintf(text, sizeof text, "num_threads=4;%s", config_str != NULL ? config_str : "");
    const ENGINE_ERROR_CODE code = a->v1->initialize(a->h, text);
    if (code == ENGINE_SUCCESS &&
        a->v1->get_config(a->h, NULL, "max_list_size", &size) == ENGINE_SUCCESS) {
        broken("a limit of lists");
    }
    return code;
}

static void a_destroy(ENGINE_HANDLE *handle, const bool force) {
    struct arcus *a = arcus_of(handle);
    (void)force;
    a->v1->destroy(a->h);
    (void)dlclose(a->library);
    free(a);
}

static void fill_table(struct arcus *a) {
    a->table = (ENGINE_HANDLE_V1){
        .interface = {.interface = 1},
        .get_info = a_get_info,
        .initialize = a_initialize,
        .destroy = a_destroy,
        .allocate = a_allocate,
        .remove = a_remove,
        .release = a_release,
        .get = a_get,
        .store = a_store,
        .arithmetic = a_arithmetic,
        .flush = a_flush,
        .get_stats = a_get_stats,
        .reset_stats = a_reset_stats,
        .unknown_command = a_unknown_command,
        .item_set_cas = a_item_set_cas,
        .get_item_info = a_get_item_info,
        .errinfo = a_errinfo,
    };
}

/* Members that a command reaches, and those that the host refuses to start with. */
static void check_table(const ARCUS_ENGINE_HANDLE_V1 *t) {
    const bool complete = t->get_info != NULL && t->getattr != NULL && t->setattr != NULL &&
                          t->prefix_dump_stats != NULL && t->prefix_count != NULL &&
                          t->set_config != NULL && t->get_config != NULL && t->cachedump != NULL &&
                          t->dump != NULL && t->prefixscan != NULL && t->keyscan != NULL &&
                          t->unknown_command != NULL && t->errinfo != NULL;
    if (!complete || t->get_stats_struct != NULL || t->aggregate_stats != NULL) {
        broken("a member that a command reaches is NULL, or one that must be is not");
    }
    for (size_t i = 0; i < ARCUS_COLLECTION_MEMBERS; i++) {
        if (t->collections[i] == NULL || t->collections[i](NULL, NULL) != ENGINE_ENOTSUP) {
            broken("a collection member that does not refuse");
        }
    }
}

static bool load_inner(struct arcus *a) {
    const char *path = getenv("CH_ARCUS_ENGINE");
    CREATE_INSTANCE create = NULL;
    union {
        ENGINE_HANDLE *handle;
        ARCUS_ENGINE_HANDLE_V1 *table;
    } same = {.handle = NULL};
    if (path == NULL) {
        (void)fprintf(stderr, "arcus engine: CH_ARCUS_ENGINE is not set\n");
        return false;
    }
    a->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = a->library != NULL ? dlsym(a->library, "create_instance") : NULL;
    if (symbol == NULL) {
        (void)fprintf(stderr, "arcus engine: %s\n", dlerror());
        return false;
    }
    memcpy(&create, &symbol, sizeof symbol);
    if (create(1, get_arcus_server, &same.handle) != ENGINE_SUCCESS || same.handle == NULL) {
        (void)fprintf(stderr, "arcus engine: %s: create_instance failed\n", path);
        return false;
    }
    a->h = same.handle;
    a->v1 = same.table;
    check_table(a->v1);
    return true;
}

__attribute__((visibility("default"))) ENGINE_ERROR_CODE
create_instance(uint64_t interface, GET_SERVER_API get_server_api, ENGINE_HANDLE **handle);

ENGINE_ERROR_CODE create_instance(uint64_t interface, GET_SERVER_API get_server_api,
                                  ENGINE_HANDLE **handle) {
    if (interface != 1) {
        return ENGINE_ENOTSUP;
    }
    struct arcus *a = calloc(1, sizeof *a);
    if (a == NULL) {
        return ENGINE_ENOMEM;
    }
    fill_server(get_server_api());
    if (!load_inner(a)) {
        if (a->library != NULL) {
            (void)dlclose(a->library);
        }
        free(a);
        return ENGINE_FAILED;
    }
    fill_table(a);
    *handle = &a->table.interface;
    return ENGINE_SUCCESS;
}
