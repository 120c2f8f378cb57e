/*
 * What both protocols need around a call of the engine: its items, its codes, the
 * state in which a connection is left.
 */
#include "server.h"

#include <string.h>

void conn_swallow(struct conn *c, uint64_t count, enum conn_state after) {
    c->swallow_left = count;
    c->after_swallow = after;
    c->state = CONN_SWALLOW;
}

bool conn_item_info(struct conn *c, const item *it, item_info *info) {
    const struct server *server = c->worker->server;

    memset(info, 0, sizeof(*info));
    info->nvalue = 1;
    return server->v1->get_item_info(server->handle, c, it, info);
}

void conn_release_item(struct conn *c, item *it) {
    const struct server *server = c->worker->server;

    server->v1->release(server->handle, c, it);
}

/* The engine's item is ready to be filled with nbytes from the client. */
bool conn_begin_value(struct conn *c, item *it, const item_info *info, size_t nbytes) {
    const struct iovec *value = &info->value[0];

    if (info->nvalue != 1 || value->iov_len != nbytes || (nbytes > 0 && value->iov_base == NULL)) {
        ch_log(c->worker->server->host, EXTENSION_LOG_WARNING, c,
               "The engine's item has %u regions, the first of %zu bytes; expected one of %zu",
               (unsigned)info->nvalue, value->iov_len, nbytes);
        return false;
    }
    c->item = it;
    c->value_next = value->iov_base;
    c->value_left = nbytes;
    c->state = CONN_VALUE;
    return true;
}

/* SUCCESS: call the engine. Anything else stands for what the engine returned. */
ENGINE_ERROR_CODE conn_take_status(struct conn *c) {
    ENGINE_ERROR_CODE status = c->status;

    c->status = ENGINE_SUCCESS;
    if (status == ENGINE_EWOULDBLOCK) {
        ch_log(c->worker->server->host, EXTENSION_LOG_WARNING, c,
               "notify_io_complete with ENGINE_EWOULDBLOCK; taken as ENGINE_FAILED");
        return ENGINE_FAILED;
    }
    return status;
}

/* Called by protocol code when an engine function returned EWOULDBLOCK. */
void conn_engine_blocked(struct conn *c) {
    c->blocked = true;
    c->notified = false;
    count_add(&c->worker->counters.blocked, 1);
    if (c->early_notified) {
        c->early_notified = false;
        c->notified = true;
        worker_resume(c->worker, c);
    }
}
