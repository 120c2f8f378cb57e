/* The process of one test: a host, an engine, the functions that the suite may call. */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "runner.h"

enum {
    LOG_ROOM = 1 << 16
};

/* The harness interface of the hosts has no argument of ours, so this process has one of these. */
static struct {
    const struct options *options;
    const struct suite_entry *entry;
    ch_host *host;
    FILE *log;
    long log_from;
} child;

static void give_up(const char *what) {
    (void)fprintf(stderr, "engine-test: %s\n", what);
    _exit(FAIL);
}

/* ---- struct test_harness ---- */

static ENGINE_HANDLE_V1 *harness_start_engine(const char *engine, const char *cfg, bool init) {
    ENGINE_ERROR_CODE code;
    return wrapper_start(child.host, engine, cfg, init, &code);
}

static void harness_reload_engine(ENGINE_HANDLE **h, ENGINE_HANDLE_V1 **h1, const char *engine,
                                  const char *cfg, bool init, bool force) {
    union {
        ENGINE_HANDLE *handle;
        ENGINE_HANDLE_V1 *table;
    } same = {.handle = *h};
    if (!wrapper_reload(same.table, child.host, engine, cfg, init, force)) {
        give_up("reload_engine: the engine did not start");
    }
    *h1 = same.table;
}

static const void *harness_create_cookie(void) {
    return cookie_new();
}

static void harness_destroy_cookie(const void *cookie) {
    cookie_free(cookie_of(cookie));
}

static void harness_set_handling(const void *cookie, bool enable) {
    cookie_set_handling(cookie_of(cookie), enable);
}

static void harness_lock_cookie(const void *cookie) {
    cookie_lock(cookie_of(cookie));
}

static void harness_unlock_cookie(const void *cookie) {
    cookie_unlock(cookie_of(cookie));
}

static void harness_waitfor_cookie(const void *cookie) {
    cookie_wait_any(cookie_of(cookie));
}

static void harness_time_travel(int offset) {
    ch_clock_travel(child.host, offset);
}

static const engine_test_pu_t *harness_current_testcase(void) {
    return child.entry != NULL ? child.entry->pu : NULL;
}

const struct test_harness_pu *child_harness(const struct options *options) {
    static struct test_harness_pu harness = {
        .start_engine = harness_start_engine,
        .reload_engine = harness_reload_engine,
        .create_cookie = harness_create_cookie,
        .destroy_cookie = harness_destroy_cookie,
        .set_ewouldblock_handling = harness_set_handling,
        .lock_cookie = harness_lock_cookie,
        .unlock_cookie = harness_unlock_cookie,
        .waitfor_cookie = harness_waitfor_cookie,
        .time_travel = harness_time_travel,
        .get_current_testcase = harness_current_testcase,
    };
    harness.engine_path = options->engine_path;
    harness.default_engine_cfg = options->default_cfg;
    return &harness;
}

/* ---- struct ch_ext ---- */

static void ext_disconnect(const void *cookie) {
    cookie_fire_disconnect(cookie_of(cookie));
}

static const char *ext_log_text(void) {
    static _Thread_local char text[LOG_ROOM];
    (void)fflush(child.log);
    const ssize_t got = pread(fileno(child.log), text, sizeof text - 1, child.log_from);
    text[got > 0 ? got : 0] = '\0';
    return text;
}

static void ext_log_clear(void) {
    (void)fflush(child.log);
    child.log_from = ftell(child.log);
}

static ENGINE_HANDLE *ext_start_instance(const char *cfg, ENGINE_ERROR_CODE *code) {
    ENGINE_HANDLE_V1 *table =
        wrapper_start(child.host, child.options->engine_path, cfg, true, code);
    return table != NULL ? &table->interface : NULL;
}

static void ext_stop_instance(ENGINE_HANDLE *handle) {
    union {
        ENGINE_HANDLE *handle;
        ENGINE_HANDLE_V1 *table;
    } same = {.handle = handle};
    wrapper_stop(same.table, false);
}

const struct ch_ext *child_extension(const struct options *options) {
    static struct ch_ext ext = {
        .version = CH_EXT_VERSION,
        .rules_broken = rules_count,
        .rules_forgive = rules_forgive,
        .notify_count = cookie_notify_count,
        .notify_status = cookie_notify_status,
        .notify_from_call = cookie_notify_from_call,
        .wait_notify = cookie_wait_more_notifies,
        .disconnect = ext_disconnect,
        .log_text = ext_log_text,
        .log_clear = ext_log_clear,
        .start_instance = ext_start_instance,
        .stop_instance = ext_stop_instance,
    };
    ext.real_cookies = options->real_cookies;
    ext.memcached_cookie_layout = options->layout_memcached;
    return &ext;
}

/* ---- one test ---- */

/* What a real host of either family says about itself: only one of them knows topkeys. */
static void add_settings(ch_add_setting add, void *sink) {
    add(sink, "maxbytes", "67108864");
    add(sink, "num_threads", "4");
    if (!child.options->layout_memcached) {
        add(sink, "topkeys", "0");
    }
}

/* The mock's statistics hook looks into the cookie, and so crashes without one. */
static void on_evicting(const void *cookie, const void *key, int nkey) {
    (void)key;
    (void)nkey;
    if (cookie == NULL) {
        rules_broken(0, "stat->evicting without a connection");
    }
}

static void start_host(const struct options *options) {
    const bool real = options->real_cookies;
    const struct ch_host_options host = {
        .layout = options->layout_memcached ? CH_LAYOUT_MEMCACHED : CH_LAYOUT_MEMBASE,
        .cookie = cookie_ops(real),
        .server_version = real ? "1.7.2" : NULL,
        .mock = !real,
        .settings = real ? add_settings : NULL,
        .evicting = on_evicting,
        .log_level = EXTENSION_LOG_DEBUG,
        .log_stream = child.log,
    };
    child.host = ch_host_create(&host);
    if (child.host == NULL) {
        give_up("no host");
    }
    cookie_init(child.host, real);
}

static enum test_result run_loaded(const struct suite_entry *entry, ENGINE_HANDLE_V1 *table) {
    ENGINE_HANDLE *handle = &table->interface;
    if (entry->setup != NULL && !entry->setup(handle, table)) {
        (void)fprintf(stderr, "engine-test: test_setup failed\n");
        return FAIL;
    }
    const enum test_result result = entry->tfun(handle, table);
    if (entry->teardown != NULL && !entry->teardown(handle, table)) {
        (void)fprintf(stderr, "engine-test: test_teardown failed\n");
    }
    return result;
}

static enum test_result run_entry(const struct suite_entry *entry) {
    const char *cfg = entry->cfg != NULL ? entry->cfg : child.options->default_cfg;
    ENGINE_ERROR_CODE code;
    ENGINE_HANDLE_V1 *table =
        wrapper_start(child.host, child.options->engine_path, cfg, true, &code);
    if (table == NULL) {
        (void)fprintf(stderr, "engine-test: the engine did not start with \"%s\": %s\n",
                      cfg != NULL ? cfg : "(null)", ch_error_name(code));
        return FAIL;
    }
    enum test_result result = run_loaded(entry, table);
    wrapper_stop(table, false);
    if (result == SUCCESS && rules_count() != 0) {
        result = FAIL;
    }
    return result;
}

_Noreturn void child_run(const struct options *options, const struct suite_entry *entry,
                         FILE *log) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    child.options = options;
    child.entry = entry;
    child.log = log;
    rules_enable(options->check_rules);
    start_host(options);
    enum test_result result = SUCCESS;
    if (entry->pu != NULL && entry->pu->prepare != NULL) {
        result = entry->pu->prepare(entry->pu);
    }
    if (result == SUCCESS) {
        result = run_entry(entry);
        if (entry->pu != NULL && entry->pu->cleanup != NULL) {
            entry->pu->cleanup(entry->pu, result);
        }
    }
    ch_host_destroy(child.host);
    (void)fflush(child.log);
    exit((int)result);
}
