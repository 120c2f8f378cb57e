/*
 * STAT: statistics of the engine and of the host, one packet each.
 *
 * Groups of the host are recognised by prefix, as on real hosts: no key that
 * begins with "reset", "settings", "detail" or "aggregate" reaches the engine.
 */
#include "binary.h"

#include <string.h>

static void add_stat(const char *key, const uint16_t klen, const char *val, const uint32_t vlen,
                     const void *cookie) {
    struct conn *c = (struct conn *)(uintptr_t)cookie;

    /* An empty pair would end the list. */
    if (klen == 0) {
        return;
    }
    stats_note(c, key, klen, val, vlen);
    bin_reply(c, &(struct bin_reply){.key = key, .keylen = klen, .body = val, .bodylen = vlen});
}

static bool has_prefix(const struct bin_request *r, const char *word) {
    size_t length = strlen(word);

    return r->keylen >= length && memcmp(r->key, word, length) == 0;
}

static enum outcome finish(struct conn *c, const struct bin_request *r) {
    bin_reply_status(c, PROTOCOL_BINARY_RESPONSE_SUCCESS);
    conn_consume(c, HEADER_BYTES + r->bodylen);
    return OUTCOME_DONE;
}

static bool host_group(struct conn *c, const struct bin_request *r) {
    const struct server *server = c->worker->server;

    if (has_prefix(r, "reset")) {
        stats_reset(c->worker->server);
        server->v1->reset_stats(server->handle, c);
        return true;
    }
    if (has_prefix(r, "settings")) {
        stats_settings_reply(c, add_stat);
        return true;
    }
    if (has_prefix(r, "aggregate")) {
        stats_host(c, add_stat);
        stats_limit(c, add_stat);
        return true;
    }
    /* There are no statistics by key prefix: nothing to switch or to dump. */
    return has_prefix(r, "detail");
}

enum outcome bin_stats(struct conn *c, const struct bin_request *r) {
    const struct server *server = c->worker->server;
    bool all = r->keylen == 0;

    if (!all && host_group(c, r)) {
        return finish(c, r);
    }
    if (has_prefix(r, "topkeys") && server->settings.layout == CH_LAYOUT_MEMBASE) {
        return bin_refuse(c, PROTOCOL_BINARY_RESPONSE_KEY_ENOENT);
    }
    ENGINE_ERROR_CODE code = conn_take_status(c);
    if (code == ENGINE_SUCCESS) {
        code = server->v1->get_stats(server->handle, c, all ? NULL : r->key, r->keylen, add_stat);
    }
    if (code == ENGINE_EWOULDBLOCK) {
        /* The second call starts afresh. */
        output_cut(&c->out, &c->mark);
        conn_engine_blocked(c);
        return OUTCOME_BLOCKED;
    }
    if (code != ENGINE_SUCCESS) {
        output_cut(&c->out, &c->mark);
        return bin_fail(c, BIN_CALL_STATS, code, HEADER_BYTES + (uint64_t)r->bodylen);
    }
    if (all) {
        stats_host(c, add_stat);
        stats_limit(c, add_stat);
    }
    return finish(c, r);
}
