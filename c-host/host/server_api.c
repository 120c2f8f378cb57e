/*
 * The tables behind SERVER_HANDLE_V1.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define STATS_BYTES 4096
#define MOCK_HASH 1

static rel_time_t core_get_current_time(void) {
    return ch_clock_now(ch_host_current());
}

static rel_time_t core_realtime(const time_t exptime) {
    return ch_clock_realtime(ch_host_current(), exptime);
}

static time_t core_abstime(const rel_time_t exptime) {
    return ch_clock_abstime(ch_host_current(), exptime);
}

static const char *core_server_version(void) {
    return ch_host_current()->options.server_version;
}

static uint32_t core_hash(const void *data, size_t size, uint32_t seed) {
    return ch_host_current()->options.mock ? MOCK_HASH : ch_hash(data, size, seed);
}

static void core_shutdown(void) {
    ch_host *host = ch_host_current();

    if (host->options.shutdown != NULL) {
        host->options.shutdown();
    }
}

static bool core_get_config(struct config_item items[]) {
    return ch_get_config(ch_host_current(), items);
}

static void *default_new_stats(void) {
    return calloc(1, STATS_BYTES);
}

static void default_release_stats(void *stats) {
    free(stats);
}

static void default_evicting(const void *cookie, const void *key, int nkey) {
    (void)cookie;
    (void)key;
    (void)nkey;
}

static bool register_daemon(ch_host *host, EXTENSION_DAEMON_DESCRIPTOR *added) {
    for (EXTENSION_DAEMON_DESCRIPTOR *d = host->daemons; d != NULL; d = d->next) {
        if (d == added) {
            return false;
        }
    }
    added->next = host->daemons;
    host->daemons = added;
    return true;
}

/* Mocks know daemons and loggers only. */
static bool register_ascii(ch_host *host, EXTENSION_ASCII_PROTOCOL_DESCRIPTOR *added) {
    if (host->options.mock) {
        return false;
    }
    added->next = host->ascii;
    host->ascii = added;
    return true;
}

static bool extension_register(extension_type_t type, void *extension) {
    ch_host *host = ch_host_current();

    if (extension == NULL) {
        return false;
    }
    switch ((int)type) {
    case EXTENSION_DAEMON:
        return register_daemon(host, extension);
    case EXTENSION_LOGGER:
        atomic_store(&host->logger, extension);
        return true;
    case EXTENSION_ASCII_PROTOCOL:
        return register_ascii(host, extension);
    default:
        return false;
    }
}

const EXTENSION_ASCII_PROTOCOL_DESCRIPTOR *ch_host_ascii(const ch_host *host) {
    return host->ascii;
}

static void extension_unregister(extension_type_t type, void *extension) {
    ch_host *host = ch_host_current();

    if ((int)type == EXTENSION_DAEMON) {
        for (EXTENSION_DAEMON_DESCRIPTOR **d = &host->daemons; *d != NULL; d = &(*d)->next) {
            if (*d == extension) {
                *d = (*d)->next;
                return;
            }
        }
    } else if ((int)type == EXTENSION_LOGGER && atomic_load(&host->logger) == extension) {
        atomic_store(&host->logger, ch_log_default());
    }
}

static void *extension_get(extension_type_t type) {
    ch_host *host = ch_host_current();

    switch ((int)type) {
    case EXTENSION_DAEMON:
        return host->daemons;
    case EXTENSION_LOGGER:
        return atomic_load(&host->logger);
    default:
        return NULL;
    }
}

static void callback_register(ENGINE_HANDLE *engine, ENGINE_EVENT_TYPE type, EVENT_CALLBACK cb,
                              const void *cb_data) {
    ch_host *host = ch_host_current();

    (void)engine;
    if ((unsigned)type >= MAX_ENGINE_EVENT_TYPE || cb == NULL) {
        ch_log(host, EXTENSION_LOG_WARNING, NULL, "Ignoring a callback for unknown event %u",
               (unsigned)type);
        return;
    }
    struct ch_callback *added = calloc(1, sizeof(*added));
    if (added == NULL) {
        /* The ABI has no way to report this, and going on would lose events. */
        ch_log(host, EXTENSION_LOG_WARNING, NULL, "Out of memory registering a callback");
        abort();
    }
    added->function = cb;
    added->data = cb_data;
    added->next = atomic_load(&host->callbacks[type]);
    while (!atomic_compare_exchange_weak(&host->callbacks[type], &added->next, added)) {
        /* added->next was reloaded. */
    }
}

static void callback_perform(ENGINE_EVENT_TYPE type, const void *data, const void *cookie) {
    ch_host_perform_callbacks(ch_host_current(), type, data, cookie);
}

void ch_host_perform_callbacks(ch_host *host, ENGINE_EVENT_TYPE type, const void *data,
                               const void *cookie) {
    if ((unsigned)type >= MAX_ENGINE_EVENT_TYPE) {
        return;
    }
    const struct ch_callback *callback = atomic_load(&host->callbacks[type]);
    for (; callback != NULL; callback = callback->next) {
        callback->function(cookie, type, data, callback->data);
    }
}

void ch_host_forget_registrations(ch_host *host) {
    for (size_t type = 0; type < MAX_ENGINE_EVENT_TYPE; type++) {
        struct ch_callback *callback = atomic_exchange(&host->callbacks[type], NULL);
        while (callback != NULL) {
            struct ch_callback *next = callback->next;
            free(callback);
            callback = next;
        }
    }
    host->daemons = NULL;
    host->ascii = NULL;
    atomic_store(&host->logger, ch_log_default());
}

static EXTENSION_LOGGER_DESCRIPTOR *log_get_logger(void) {
    return atomic_load(&ch_host_current()->logger);
}

static EXTENSION_LOG_LEVEL log_get_level(void) {
    return ch_log_level(ch_host_current());
}

static void log_set_level(EXTENSION_LOG_LEVEL level) {
    ch_log_set_level(ch_host_current(), level);
}

static void fill_cookie_api(ch_host *host) {
    const struct ch_cookie_ops *ops = &host->options.cookie;

    if (host->options.layout == CH_LAYOUT_MEMBASE) {
        host->cookie.membase = (SERVER_COOKIE_API_MEMBASE){
            .get_socket_fd = ops->get_socket_fd,
            .get_auth_data = ops->get_auth_data,
            .store_engine_specific = ops->store_engine_specific,
            .get_engine_specific = ops->get_engine_specific,
            .notify_io_complete = ops->notify_io_complete,
            .set_tap_nack_mode = ops->set_tap_nack_mode,
            .reserve = ops->reserve,
            .release = ops->release,
        };
    } else {
        host->cookie.memcached = (SERVER_COOKIE_API_MEMCACHED){
            .get_socket_fd = ops->get_socket_fd,
            .get_auth_data = ops->get_auth_data,
            .store_engine_specific = ops->store_engine_specific,
            .get_engine_specific = ops->get_engine_specific,
            .notify_io_complete = ops->notify_io_complete,
            .reserve = ops->reserve,
            .release = ops->release,
        };
    }
}

static void fill_tables(ch_host *host) {
    const struct ch_host_options *o = &host->options;

    host->core = (SERVER_CORE_API){
        .get_current_time = core_get_current_time,
        .realtime = core_realtime,
        .abstime = core_abstime,
        .server_version = core_server_version,
        .hash = core_hash,
        .parse_config = ch_parse_config,
        .shutdown = o->mock && o->shutdown == NULL ? NULL : core_shutdown,
        .get_config = o->mock && o->settings == NULL ? NULL : core_get_config,
    };
    host->stat = (SERVER_STAT_API){
        .new_stats = o->new_stats != NULL ? o->new_stats : default_new_stats,
        .release_stats = o->release_stats != NULL ? o->release_stats : default_release_stats,
        .evicting = o->evicting != NULL ? o->evicting : default_evicting,
    };
    host->extension = (SERVER_EXTENSION_API){
        .register_extension = extension_register,
        .unregister_extension = extension_unregister,
        .get_extension = extension_get,
    };
    host->callback = (SERVER_CALLBACK_API){
        .register_callback = callback_register,
        .perform_callbacks = callback_perform,
    };
    host->log = (SERVER_LOG_API){
        .get_logger = log_get_logger,
        .get_level = log_get_level,
        .set_level = log_set_level,
    };
    fill_cookie_api(host);
    host->handle = (SERVER_HANDLE_V1){
        .interface = 1,
        .core = &host->core,
        .stat = &host->stat,
        .extension = &host->extension,
        .callback = &host->callback,
        .engine = NULL,
        .log = o->mock && !o->mock_has_log ? NULL : &host->log,
        .cookie = &host->cookie,
    };
}

ch_host *ch_host_create(const struct ch_host_options *options) {
    ch_host *host = calloc(1, sizeof(*host));

    if (host == NULL) {
        return NULL;
    }
    host->options = *options;
    if (host->options.server_version == NULL) {
        host->options.server_version = options->mock ? "mock server" : "engine-host 1";
    }
    ch_clock_init(&host->clock, options->mock);
    atomic_init(&host->log_level, (int)options->log_level);
    atomic_init(&host->logger, ch_log_default());
    fill_tables(host);
    if (!ch_host_make_current(host)) {
        free(host);
        return NULL;
    }
    return host;
}

void ch_host_destroy(ch_host *host) {
    if (host == NULL) {
        return;
    }
    ch_host_forget_registrations(host);
    ch_host_forget_current();
    free(host);
}

SERVER_HANDLE_V1 *ch_host_server_api(ch_host *host) {
    if (!host->options.mock) {
        host->handle.engine = host->engine;
    }
    return &host->handle;
}
