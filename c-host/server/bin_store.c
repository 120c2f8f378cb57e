/*
 * Storage commands of the binary protocol: SET, ADD, REPLACE, APPEND, PREPEND.
 *
 * bin_store_begin runs when header, extras and key are there: it gets an item
 * from the engine, and the connection then receives the value straight into it.
 * bin_store runs when the value is complete. The header stays in conn.request.
 */
#include "binary.h"

#include <arpa/inet.h>
#include <string.h>

static ENGINE_STORE_OPERATION operation_of(const struct bin_request *r) {
    switch (r->command) {
    case PROTOCOL_BINARY_CMD_APPEND:
        return OPERATION_APPEND;
    case PROTOCOL_BINARY_CMD_PREPEND:
        return OPERATION_PREPEND;
    case PROTOCOL_BINARY_CMD_ADD:
        return r->cas != 0 ? OPERATION_CAS : OPERATION_ADD;
    case PROTOCOL_BINARY_CMD_REPLACE:
        return r->cas != 0 ? OPERATION_CAS : OPERATION_REPLACE;
    default:
        return r->cas != 0 ? OPERATION_CAS : OPERATION_SET;
    }
}

static enum bin_call call_of(ENGINE_STORE_OPERATION operation) {
    if (operation == OPERATION_ADD) {
        return BIN_CALL_STORE_ADD;
    }
    return operation == OPERATION_REPLACE ? BIN_CALL_STORE_REPLACE : BIN_CALL_STORE;
}

/* After a failed SET no old value may survive. As in real hosts no answer is heeded. */
static enum outcome allocate_failed(struct conn *c, const struct bin_request *r,
                                    ENGINE_ERROR_CODE code) {
    const struct server *server = c->worker->server;

    if (r->command == PROTOCOL_BINARY_CMD_SET && code != ENGINE_DISCONNECT) {
        (void)server->v1->remove(server->handle, c, r->key, r->keylen, r->cas, r->vbucket);
    }
    return bin_fail(c, BIN_CALL_ALLOCATE, code, HEADER_BYTES + (uint64_t)r->bodylen);
}

enum outcome bin_store_begin(struct conn *c, const struct bin_request *r) {
    const struct server *server = c->worker->server;
    size_t head = (size_t)r->extlen + r->keylen;
    size_t nbytes = r->bodylen - head;
    protocol_binary_set_extras extras = {0};
    item *it = NULL;
    item_info info;

    if (r->extlen == sizeof(extras)) {
        memcpy(&extras, r->extras, sizeof(extras));
    }
    ENGINE_ERROR_CODE code = conn_take_status(c);
    if (code == ENGINE_SUCCESS) {
        /* Flags keep their network byte order on the way through the engine. */
        code = server->v1->allocate(server->handle, c, &it, r->key, r->keylen, nbytes,
                                    (int)extras.flags, ntohl(extras.expiration));
    }
    if (code == ENGINE_EWOULDBLOCK) {
        conn_engine_blocked(c);
        return OUTCOME_BLOCKED;
    }
    if (code == ENGINE_SUCCESS && it == NULL) {
        code = ENGINE_FAILED;
    }
    if (code != ENGINE_SUCCESS) {
        return allocate_failed(c, r, code);
    }
    bool good = conn_item_info(c, it, &info);
    if (good) {
        server->v1->item_set_cas(server->handle, c, it, r->cas);
        good = conn_begin_value(c, it, &info, nbytes);
    }
    if (!good) {
        conn_release_item(c, it);
        return bin_refuse(c, PROTOCOL_BINARY_RESPONSE_EINTERNAL);
    }
    c->operation = operation_of(r);
    conn_consume(c, HEADER_BYTES + head);
    count_add(&c->worker->counters.cmd_set, 1);
    return OUTCOME_DONE;
}

enum outcome bin_store(struct conn *c) {
    const struct server *server = c->worker->server;
    struct bin_request r = bin_request_of(c);
    uint16_t status = PROTOCOL_BINARY_RESPONSE_EINTERNAL;
    uint64_t cas = 0;
    item_info info;

    ENGINE_ERROR_CODE code = conn_take_status(c);
    if (code == ENGINE_SUCCESS && conn_item_info(c, c->item, &info)) {
        code = server->v1->store(server->handle, c, c->item, &cas, c->operation, r.vbucket);
        if (code == ENGINE_EWOULDBLOCK) {
            conn_engine_blocked(c);
            return OUTCOME_BLOCKED;
        }
        status = bin_status(c, call_of(c->operation), code);
    } else if (code != ENGINE_SUCCESS) {
        status = bin_status(c, call_of(c->operation), code);
    }
    if (c->operation == OPERATION_CAS) {
        stats_count_cas(c, code);
    }
    if (status == BIN_STATUS_CLOSE) {
        return OUTCOME_CLOSE;
    }
    if (status != PROTOCOL_BINARY_RESPONSE_SUCCESS) {
        bin_reply_status(c, status);
    } else if (!r.quiet) {
        bin_reply(c, &(struct bin_reply){.cas = cas});
    }
    conn_release_item(c, c->item);
    c->item = NULL;
    c->state = CONN_COMMAND;
    return OUTCOME_DONE;
}
