/*
 * The binary protocol: from a packet to an engine call to a reply.
 *
 * A packet stays in the input until its command is finished, so a command that
 * blocked is simply run again from the start.
 */
#include "binary.h"

#include <arpa/inet.h>
#include <endian.h>
#include <string.h>

#define NO_CREATE UINT32_C(0xffffffff)
#define VERBOSITY_MAX 2

/* Which shape the packet of a command has to have. */
enum shape_bits {
    SHAPE_KEY = 1,
    SHAPE_NO_KEY = 2,
    SHAPE_VALUE = 4
};

struct shape {
    uint8_t extlen;
    /* Extras are either absent or of that length. */
    bool extras_optional;
    uint8_t bits;
};

/* The shapes of the commands that the host itself handles. */
static const struct shape *shape_of(uint8_t command) {
    static const struct shape key_only = {0, false, SHAPE_KEY};
    static const struct shape nothing = {0, false, SHAPE_NO_KEY};
    static const struct shape set = {8, false, SHAPE_KEY | SHAPE_VALUE};
    static const struct shape append = {0, false, SHAPE_KEY | SHAPE_VALUE};
    static const struct shape arithmetic = {20, false, SHAPE_KEY};
    static const struct shape flush = {4, true, SHAPE_NO_KEY};
    static const struct shape stat = {0, false, 0};
    static const struct shape verbosity = {4, false, SHAPE_NO_KEY};

    switch (command) {
    case PROTOCOL_BINARY_CMD_GET:
    case PROTOCOL_BINARY_CMD_GETK:
    case PROTOCOL_BINARY_CMD_DELETE:
        return &key_only;
    case PROTOCOL_BINARY_CMD_SET:
    case PROTOCOL_BINARY_CMD_ADD:
    case PROTOCOL_BINARY_CMD_REPLACE:
        return &set;
    case PROTOCOL_BINARY_CMD_APPEND:
    case PROTOCOL_BINARY_CMD_PREPEND:
        return &append;
    case PROTOCOL_BINARY_CMD_INCREMENT:
    case PROTOCOL_BINARY_CMD_DECREMENT:
        return &arithmetic;
    case PROTOCOL_BINARY_CMD_QUIT:
    case PROTOCOL_BINARY_CMD_NOOP:
    case PROTOCOL_BINARY_CMD_VERSION:
        return &nothing;
    case PROTOCOL_BINARY_CMD_FLUSH:
        return &flush;
    case PROTOCOL_BINARY_CMD_STAT:
        return &stat;
    case PROTOCOL_BINARY_CMD_VERBOSITY:
        return &verbosity;
    default:
        return NULL;
    }
}

static bool has_shape(const struct bin_request *r, const struct shape *shape) {
    size_t head = (size_t)r->extlen + r->keylen;

    if (r->extlen != shape->extlen && !(shape->extras_optional && r->extlen == 0)) {
        return false;
    }
    if ((shape->bits & SHAPE_KEY) != 0 && r->keylen == 0) {
        return false;
    }
    if ((shape->bits & SHAPE_NO_KEY) != 0 && r->keylen != 0) {
        return false;
    }
    return (shape->bits & SHAPE_VALUE) != 0 ? r->bodylen >= head : r->bodylen == head;
}

static enum outcome done(struct conn *c, const struct bin_request *r) {
    conn_consume(c, HEADER_BYTES + r->bodylen);
    return OUTCOME_DONE;
}

static enum outcome reply_hit(struct conn *c, const struct bin_request *r, item *it) {
    bool with_key = r->command == PROTOCOL_BINARY_CMD_GETK;
    item_info info;

    if (it == NULL || !conn_item_info(c, it, &info) || info.nvalue != 1 ||
        info.value[0].iov_len != info.nbytes) {
        ch_log(c->worker->server->host, EXTENSION_LOG_WARNING, c,
               "The engine cannot describe an item that get returned");
        if (it != NULL) {
            conn_release_item(c, it);
        }
        return bin_refuse(c, PROTOCOL_BINARY_RESPONSE_EINTERNAL);
    }
    struct bin_reply reply = {
        .cas = info.cas,
        .extras = &info.flags,
        .extlen = sizeof(info.flags),
        .key = r->key,
        .keylen = with_key ? r->keylen : 0,
    };
    bin_reply_header(c, &reply, info.nbytes);
    output_copy(&c->out, reply.extras, reply.extlen);
    output_copy(&c->out, reply.key, reply.keylen);
    if (!output_item(&c->out, info.value[0].iov_base, info.nbytes, it)) {
        conn_release_item(c, it);
    }
    return done(c, r);
}

static enum outcome get(struct conn *c, const struct bin_request *r) {
    const struct server *server = c->worker->server;
    item *it = NULL;

    ENGINE_ERROR_CODE code = conn_take_status(c);
    if (code == ENGINE_SUCCESS) {
        code = server->v1->get(server->handle, c, &it, r->key, r->keylen, r->vbucket);
    }
    if (code == ENGINE_EWOULDBLOCK) {
        conn_engine_blocked(c);
        return OUTCOME_BLOCKED;
    }
    count_add(&c->worker->counters.cmd_get, 1);
    if (code == ENGINE_SUCCESS) {
        count_add(&c->worker->counters.get_hits, 1);
        return reply_hit(c, r, it);
    }
    if (code != ENGINE_KEY_ENOENT) {
        return bin_fail(c, BIN_CALL_GET, code, HEADER_BYTES + (uint64_t)r->bodylen);
    }
    count_add(&c->worker->counters.get_misses, 1);
    if (!r->quiet && r->command == PROTOCOL_BINARY_CMD_GETK) {
        bin_reply(c, &(struct bin_reply){.status = PROTOCOL_BINARY_RESPONSE_KEY_ENOENT,
                                         .key = r->key,
                                         .keylen = r->keylen});
    } else if (!r->quiet) {
        bin_reply_status(c, PROTOCOL_BINARY_RESPONSE_KEY_ENOENT);
    }
    return done(c, r);
}

static enum outcome delete_key(struct conn *c, const struct bin_request *r) {
    const struct server *server = c->worker->server;

    ENGINE_ERROR_CODE code = conn_take_status(c);
    if (code == ENGINE_SUCCESS) {
        code = server->v1->remove(server->handle, c, r->key, r->keylen, r->cas, r->vbucket);
    }
    if (code == ENGINE_EWOULDBLOCK) {
        conn_engine_blocked(c);
        return OUTCOME_BLOCKED;
    }
    bool hit = code == ENGINE_SUCCESS;
    count_add(hit ? &c->worker->counters.delete_hits : &c->worker->counters.delete_misses, 1);
    if (!hit) {
        return bin_fail(c, BIN_CALL_REMOVE, code, HEADER_BYTES + (uint64_t)r->bodylen);
    }
    if (!r->quiet) {
        bin_reply_status(c, PROTOCOL_BINARY_RESPONSE_SUCCESS);
    }
    return done(c, r);
}

static void count_arithmetic(struct conn *c, bool increment, bool hit) {
    struct counters *counters = &c->worker->counters;

    if (increment) {
        count_add(hit ? &counters->incr_hits : &counters->incr_misses, 1);
    } else {
        count_add(hit ? &counters->decr_hits : &counters->decr_misses, 1);
    }
}

static enum outcome arithmetic(struct conn *c, const struct bin_request *r) {
    const struct server *server = c->worker->server;
    bool increment = r->command == PROTOCOL_BINARY_CMD_INCREMENT;
    protocol_binary_incr_extras extras;
    uint64_t cas = 0;
    uint64_t result = 0;

    memcpy(&extras, r->extras, sizeof(extras));
    uint32_t expiration = ntohl(extras.expiration);
    ENGINE_ERROR_CODE code = conn_take_status(c);
    if (code == ENGINE_SUCCESS && server->v1->arithmetic == NULL) {
        code = ENGINE_ENOTSUP;
    } else if (code == ENGINE_SUCCESS) {
        code = server->v1->arithmetic(
            server->handle, c, r->key, r->keylen, increment, expiration != NO_CREATE,
            be64toh(extras.delta), be64toh(extras.initial), expiration, &cas, &result, r->vbucket);
    }
    if (code == ENGINE_EWOULDBLOCK) {
        conn_engine_blocked(c);
        return OUTCOME_BLOCKED;
    }
    count_arithmetic(c, increment, code == ENGINE_SUCCESS);
    if (code != ENGINE_SUCCESS) {
        return bin_fail(c, BIN_CALL_ARITHMETIC, code, HEADER_BYTES + (uint64_t)r->bodylen);
    }
    if (!r->quiet) {
        uint64_t wire = bin_net64(result);
        bin_reply(c, &(struct bin_reply){.cas = cas, .body = &wire, .bodylen = sizeof(wire)});
    }
    return done(c, r);
}

static enum outcome flush(struct conn *c, const struct bin_request *r) {
    const struct server *server = c->worker->server;
    protocol_binary_expiration_extras extras = {0};

    if (r->extlen == sizeof(extras)) {
        memcpy(&extras, r->extras, sizeof(extras));
    }
    count_add(&c->worker->counters.cmd_flush, 1);
    ENGINE_ERROR_CODE code = server->v1->flush(server->handle, c, (time_t)ntohl(extras.expiration));
    if (code != ENGINE_SUCCESS) {
        return bin_fail(c, BIN_CALL_FLUSH, code, HEADER_BYTES + (uint64_t)r->bodylen);
    }
    if (!r->quiet) {
        bin_reply_status(c, PROTOCOL_BINARY_RESPONSE_SUCCESS);
    }
    return done(c, r);
}

static enum outcome verbosity(struct conn *c, const struct bin_request *r) {
    ch_host *host = c->worker->server->host;
    protocol_binary_verbosity_extras extras;

    memcpy(&extras, r->extras, sizeof(extras));
    uint32_t level = ntohl(extras.level);
    ch_log_set_level(host,
                     ch_log_level_of_verbosity(level < VERBOSITY_MAX ? (int)level : VERBOSITY_MAX));
    ch_host_perform_callbacks(host, ON_LOG_LEVEL, NULL, NULL);
    bin_reply_status(c, PROTOCOL_BINARY_RESPONSE_SUCCESS);
    return done(c, r);
}

static bool add_response(const void *key, uint16_t keylen, const void *ext, uint8_t extlen,
                         const void *body, uint32_t bodylen, uint8_t datatype, uint16_t status,
                         uint64_t cas, const void *cookie) {
    struct conn *c = (struct conn *)(uintptr_t)cookie;

    bin_reply(c, &(struct bin_reply){.status = status,
                                     .datatype = datatype,
                                     .cas = cas,
                                     .extras = ext,
                                     .extlen = extlen,
                                     .key = key,
                                     .keylen = keylen,
                                     .body = body,
                                     .bodylen = bodylen});
    c->answered_success = status == PROTOCOL_BINARY_RESPONSE_SUCCESS;
    return !c->out.failed;
}

static bool is_touch(uint8_t opcode) {
    return opcode == PROTOCOL_BINARY_CMD_TOUCH || opcode == PROTOCOL_BINARY_CMD_GAT ||
           opcode == PROTOCOL_BINARY_CMD_GATQ;
}

static enum outcome unknown(struct conn *c, const struct bin_request *r) {
    const struct server *server = c->worker->server;

    c->answered_success = false;
    ENGINE_ERROR_CODE code = conn_take_status(c);
    if (code == ENGINE_SUCCESS) {
        conn_align_input(c);
        void *packet = conn_input(c);
        code = server->v1->unknown_command(server->handle, c, packet, add_response);
    }
    if (code == ENGINE_EWOULDBLOCK) {
        conn_engine_blocked(c);
        return OUTCOME_BLOCKED;
    }
    count_add(&c->worker->counters.cmd_unknown, 1);
    if (is_touch(r->opcode)) {
        stats_count_touch(c, code == ENGINE_SUCCESS && c->answered_success);
    }
    if (code != ENGINE_SUCCESS) {
        /* Real hosts leave these bytes for whoever comes next. */
        output_cut(&c->out, &c->mark);
        return bin_fail(c, BIN_CALL_UNKNOWN, code, HEADER_BYTES + (uint64_t)r->bodylen);
    }
    return done(c, r);
}

/* The commands of the host that fit the input completely. */
static enum outcome host_command(struct conn *c, const struct bin_request *r) {
    switch (r->command) {
    case PROTOCOL_BINARY_CMD_GET:
    case PROTOCOL_BINARY_CMD_GETK:
        return get(c, r);
    case PROTOCOL_BINARY_CMD_DELETE:
        return delete_key(c, r);
    case PROTOCOL_BINARY_CMD_INCREMENT:
    case PROTOCOL_BINARY_CMD_DECREMENT:
        return arithmetic(c, r);
    case PROTOCOL_BINARY_CMD_FLUSH:
        return flush(c, r);
    case PROTOCOL_BINARY_CMD_STAT:
        return bin_stats(c, r);
    case PROTOCOL_BINARY_CMD_VERBOSITY:
        return verbosity(c, r);
    case PROTOCOL_BINARY_CMD_NOOP:
        bin_reply_status(c, PROTOCOL_BINARY_RESPONSE_SUCCESS);
        return done(c, r);
    case PROTOCOL_BINARY_CMD_VERSION:
        bin_reply(
            c, &(struct bin_reply){.body = SERVER_VERSION, .bodylen = sizeof(SERVER_VERSION) - 1});
        return done(c, r);
    case PROTOCOL_BINARY_CMD_QUIT:
        if (!r->quiet) {
            bin_reply_status(c, PROTOCOL_BINARY_RESPONSE_SUCCESS);
        }
        c->close_after_write = true;
        return done(c, r);
    default:
        return bin_refuse(c, PROTOCOL_BINARY_RESPONSE_UNKNOWN_COMMAND);
    }
}

/* Waits until the first count bytes of the packet are there. */
static bool have(struct conn *c, size_t count) {
    c->need = count;
    return conn_available(c) >= count;
}

/* Real hosts answer this and close, too. */
static enum outcome malformed(struct conn *c) {
    bin_reply_status(c, PROTOCOL_BINARY_RESPONSE_EINVAL);
    return OUTCOME_CLOSE;
}

static enum outcome host_packet(struct conn *c, struct bin_request *r, const struct shape *shape) {
    size_t head = HEADER_BYTES + (size_t)r->extlen + r->keylen;

    if (!has_shape(r, shape)) {
        return malformed(c);
    }
    if (!have(c, head)) {
        return OUTCOME_READ;
    }
    if ((shape->bits & SHAPE_VALUE) != 0) {
        return bin_store_begin(c, r);
    }
    return host_command(c, r);
}

/* Packets of any shape, which are kept whole: TAP and the engine's own. */
static enum outcome whole_packet(struct conn *c, struct bin_request *r) {
    const struct server *server = c->worker->server;
    bool tap = r->opcode >= PROTOCOL_BINARY_CMD_TAP_CONNECT &&
               r->opcode <= PROTOCOL_BINARY_CMD_TAP_CHECKPOINT_END;
    uint64_t limit = input_value_max(server) + UINT8_MAX + KEY_BYTES_MAX;

    if (tap) {
        /* Engine-specific bytes. */
        limit += UINT16_MAX;
    }

    if (!tap && server->v1->unknown_command == NULL) {
        return bin_refuse(c, PROTOCOL_BINARY_RESPONSE_UNKNOWN_COMMAND);
    }
    if (r->bodylen > limit) {
        return bin_refuse(c, PROTOCOL_BINARY_RESPONSE_E2BIG);
    }
    if (!have(c, HEADER_BYTES + r->bodylen)) {
        return OUTCOME_READ;
    }
    if (!tap) {
        return unknown(c, r);
    }
    return tap_request(c, r);
}

enum outcome bin_no_room(struct conn *c) {
    struct bin_request r = bin_request_of(c);

    if (c->request.request.magic == PROTOCOL_BINARY_RES || tap_goes_unanswered(c, &r)) {
        return OUTCOME_CLOSE;
    }
    return bin_refuse(c, PROTOCOL_BINARY_RESPONSE_ETMPFAIL);
}

enum outcome bin_command(struct conn *c) {
    if (!have(c, HEADER_BYTES)) {
        return OUTCOME_READ;
    }
    memcpy(c->request.bytes, conn_input(c), HEADER_BYTES);
    struct bin_request r = bin_request_of(c);
    if (c->request.request.magic == PROTOCOL_BINARY_RES) {
        return tap_response(c, &r);
    }
    if (c->request.request.magic != PROTOCOL_BINARY_REQ) {
        log_provoked(c->worker->server, EXTENSION_LOG_INFO, c, "Bad magic 0x%02x",
                     c->request.request.magic);
        return OUTCOME_CLOSE;
    }
    if (r.keylen > KEY_BYTES_MAX) {
        return malformed(c);
    }
    const struct shape *shape = shape_of(r.command);
    return shape != NULL ? host_packet(c, &r, shape) : whole_packet(c, &r);
}
