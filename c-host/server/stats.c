/*
 * Statistics and settings of the host itself.
 */
#include "server.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define VALUE_BYTES_MAX 256

static __attribute__((format(printf, 4, 5))) void emit(struct conn *c, ADD_STAT add,
                                                       const char *key, const char *fmt, ...) {
    char value[VALUE_BYTES_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(value, sizeof(value), fmt, args);
    va_end(args);
    add(key, (uint16_t)strlen(key), value, (uint32_t)strlen(value), c);
}

/* Counters in the order and with the names in which they are reported. */
static const struct {
    const char *name;
    size_t offset;
} counter_list[] = {
    {"cmd_get", offsetof(struct counters, cmd_get)},
    {"cmd_set", offsetof(struct counters, cmd_set)},
    {"cmd_flush", offsetof(struct counters, cmd_flush)},
    {"cmd_unknown", offsetof(struct counters, cmd_unknown)},
    {"get_hits", offsetof(struct counters, get_hits)},
    {"get_misses", offsetof(struct counters, get_misses)},
    {"delete_hits", offsetof(struct counters, delete_hits)},
    {"delete_misses", offsetof(struct counters, delete_misses)},
    {"incr_hits", offsetof(struct counters, incr_hits)},
    {"incr_misses", offsetof(struct counters, incr_misses)},
    {"decr_hits", offsetof(struct counters, decr_hits)},
    {"decr_misses", offsetof(struct counters, decr_misses)},
    {"cas_hits", offsetof(struct counters, cas_hits)},
    {"cas_misses", offsetof(struct counters, cas_misses)},
    {"cas_badval", offsetof(struct counters, cas_badval)},
    {"cmd_touch", offsetof(struct counters, cmd_touch)},
    {"touch_hits", offsetof(struct counters, touch_hits)},
    {"touch_misses", offsetof(struct counters, touch_misses)},
    {"conn_blocked", offsetof(struct counters, blocked)},
    {"conn_yields", offsetof(struct counters, yields)},
    {"bytes_read", offsetof(struct counters, bytes_read)},
    {"bytes_written", offsetof(struct counters, bytes_written)},
};

#define COUNTER_COUNT (sizeof(counter_list) / sizeof(counter_list[0]))

static atomic_ullong *counter_at(struct worker *worker, size_t offset) {
    return (atomic_ullong *)(void *)((char *)&worker->counters + offset);
}

static unsigned long long sum(const struct server *server, size_t offset) {
    unsigned long long total = 0;

    for (unsigned i = 0; i < server->settings.threads; i++) {
        total +=
            atomic_load_explicit(counter_at(&server->workers[i], offset), memory_order_relaxed);
    }
    return total;
}

static void emit_time(struct conn *c, ADD_STAT add, const char *key, struct timeval used) {
    emit(c, add, key, "%lld.%06ld", (long long)used.tv_sec, (long)used.tv_usec);
}

void stats_host(struct conn *c, ADD_STAT add) {
    struct server *server = c->worker->server;
    struct rusage usage;

    emit(c, add, "pid", "%ld", (long)getpid());
    emit(c, add, "uptime", "%u", ch_clock_now(server->host));
    emit(c, add, "time", "%lld", (long long)time(NULL));
    emit(c, add, "version", "%s", SERVER_VERSION);
    emit(c, add, "libevent", "%s", event_get_version());
    emit(c, add, "pointer_size", "%zu", 8 * sizeof(void *));
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        emit_time(c, add, "rusage_user", usage.ru_utime);
        emit_time(c, add, "rusage_system", usage.ru_stime);
    }
    emit(c, add, "curr_connections", "%u", atomic_load(&server->connections));
    emit(c, add, "total_connections", "%llu", atomic_load(&server->connections_total));
    emit(c, add, "rejected_conns", "%llu", atomic_load(&server->connections_rejected));
    emit(c, add, "connection_structures", "%u", atomic_load(&server->connection_structures));
    emit(c, add, "conn_input_bytes", "%llu", atomic_load(&server->input_bytes));
    emit(c, add, "conn_output_bytes", "%llu", atomic_load(&server->output_bytes));
    emit(c, add, "accepting_conns", "%d", atomic_load(&server->listeners_resting) == 0 ? 1 : 0);
    emit(c, add, "listen_disabled_num", "%llu", atomic_load(&server->listeners_rested));
    /* Nobody can authenticate. */
    emit(c, add, "auth_cmds", "0");
    emit(c, add, "auth_errors", "0");
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        emit(c, add, counter_list[i].name, "%llu", sum(server, counter_list[i].offset));
    }
    emit(c, add, "threads", "%u", server->settings.threads);
}

void stats_note(struct conn *c, const char *key, size_t klen, const char *value, size_t vlen) {
    static const char name[] = "engine_maxbytes";
    char text[32];

    if (klen == sizeof(name) - 1 && memcmp(key, name, klen) == 0 && vlen < sizeof(text)) {
        memcpy(text, value, vlen);
        text[vlen] = '\0';
        c->engine_maxbytes = strtoull(text, NULL, 10);
    }
}

void stats_limit(struct conn *c, ADD_STAT add) {
    uint64_t limit = c->engine_maxbytes;

    c->engine_maxbytes = 0;
    if (limit == 0) {
        limit = c->worker->server->settings.memory_bytes;
    }
    if (limit != 0) {
        emit(c, add, "limit_maxbytes", "%" PRIu64, limit);
    }
}

void stats_count_cas(struct conn *c, ENGINE_ERROR_CODE code) {
    struct counters *counters = &c->worker->counters;

    if (code == ENGINE_SUCCESS) {
        count_add(&counters->cas_hits, 1);
    } else if (code == ENGINE_KEY_EEXISTS) {
        count_add(&counters->cas_badval, 1);
    } else if (code == ENGINE_KEY_ENOENT) {
        count_add(&counters->cas_misses, 1);
    }
}

void stats_count_touch(struct conn *c, bool hit) {
    struct counters *counters = &c->worker->counters;

    count_add(&counters->cmd_touch, 1);
    count_add(hit ? &counters->touch_hits : &counters->touch_misses, 1);
}

void stats_reset(struct server *server) {
    for (unsigned i = 0; i < server->settings.threads; i++) {
        for (size_t j = 0; j < COUNTER_COUNT; j++) {
            atomic_store(counter_at(&server->workers[i], counter_list[j].offset), 0);
        }
    }
    atomic_store(&server->connections_total, 0);
    atomic_store(&server->connections_rejected, 0);
    atomic_store(&server->listeners_rested, 0);
}

static void add_number(ch_add_setting add, void *sink, const char *key, uint64_t number) {
    char text[32];

    snprintf(text, sizeof(text), "%" PRIu64, number);
    add(sink, key, text);
}

/* Also what core->get_config offers to the engine. */
void stats_settings(const struct server *server, ch_add_setting add, void *sink) {
    const struct settings *s = &server->settings;
    bool membase = s->layout == CH_LAYOUT_MEMBASE;

    add_number(add, sink, "maxbytes", s->memory_bytes);
    add_number(add, sink, "maxconns", s->connections_max);
    add_number(add, sink, "tcpport", s->port);
    add_number(add, sink, "udpport", 0);
    add(sink, "inter", s->address);
    add_number(add, sink, "verbosity", (uint64_t)s->verbosity);
    add_number(add, sink, "num_threads", s->threads);
    add_number(add, sink, "reqs_per_event", COMMANDS_PER_TURN);
    add(sink, "cas_enabled", "yes");
    add(sink, "auth_enabled_sasl", "no");
    add_number(add, sink, "item_size_max", s->item_bytes_max);
    if (membase) {
        /* Engines recognise the Membase layout by this key. */
        add_number(add, sink, "topkeys", 0);
    }
    add(sink, "cookie_layout", membase ? "membase" : "memcached");
}

struct stat_target {
    ADD_STAT add;
    struct conn *conn;
};

static void setting_to_stat(void *sink, const char *key, const char *value) {
    const struct stat_target *target = sink;

    emit(target->conn, target->add, key, "%s", value);
}

void stats_settings_reply(struct conn *c, ADD_STAT add) {
    struct stat_target target = {.add = add, .conn = c};

    stats_settings(c->worker->server, setting_to_stat, &target);
}
