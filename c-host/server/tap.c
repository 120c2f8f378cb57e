/*
 * TAP packets: the connect request that turns a connection into a stream, the
 * events that a producer sends here, and the answers of consumers to our own
 * streams (tap_stream.c).
 *
 * Unlike real hosts it refuses packets whose lengths contradict each other, and
 * a ttl of 0. What passes reaches the engine just as it does there.
 */
#include "binary.h"

#include <arpa/inet.h>
#include <string.h>

/* Answers carry a key or an error text at most. */
#define ANSWER_BYTES_MAX 65536
#define BACKFILL_DATE_BYTES 8

/* An engine subtracts this again: hosts point at the item's words of the longer extras. */
#define ITEM_EXTRAS_SLIP 8

/* A packet whose lengths fit; everything points into the input. */
struct tap_packet {
    tap_event_t event;
    protocol_binary_tap_item_extras extras;
    bool has_item_words;
    uint16_t nengine;
    uint16_t flags;
    char *engine_specific;
    const char *key;
    const char *data;
    size_t ndata;
};

static tap_event_t event_of(uint8_t opcode) {
    switch (opcode) {
    case PROTOCOL_BINARY_CMD_TAP_MUTATION:
        return TAP_MUTATION;
    case PROTOCOL_BINARY_CMD_TAP_DELETE:
        return TAP_DELETION;
    case PROTOCOL_BINARY_CMD_TAP_FLUSH:
        return TAP_FLUSH;
    case PROTOCOL_BINARY_CMD_TAP_OPAQUE:
        return TAP_OPAQUE;
    case PROTOCOL_BINARY_CMD_TAP_VBUCKET_SET:
        return TAP_VBUCKET_SET;
    case PROTOCOL_BINARY_CMD_TAP_CHECKPOINT_START:
        return TAP_CHECKPOINT_START;
    default:
        return TAP_CHECKPOINT_END;
    }
}

static bool has_item_words(tap_event_t event) {
    return event == TAP_MUTATION || event == TAP_CHECKPOINT_START || event == TAP_CHECKPOINT_END;
}

/* Takes the packet apart; false if its lengths do not fit or its ttl is 0. */
static bool split(struct conn *c, const struct bin_request *r, struct tap_packet *p) {
    *p = (struct tap_packet){.event = event_of(r->opcode)};
    p->has_item_words = has_item_words(p->event);
    size_t extlen = p->has_item_words ? sizeof(p->extras) : sizeof(protocol_binary_tap_extras);
    if (r->extlen != extlen || r->bodylen < extlen) {
        return false;
    }
    char *body = conn_input(c) + HEADER_BYTES;
    memcpy(&p->extras, body, extlen);
    p->nengine = ntohs(p->extras.tap.enginespecific_length);
    p->flags = ntohs(p->extras.tap.flags);
    size_t head = extlen + p->nengine + r->keylen;
    if (r->bodylen < head || p->extras.tap.ttl == 0) {
        return false;
    }
    p->engine_specific = body + extlen - (p->has_item_words ? ITEM_EXTRAS_SLIP : 0);
    p->key = body + extlen + p->nengine;
    p->data = body + head;
    p->ndata = r->bodylen - head;
    return true;
}

static ENGINE_ERROR_CODE notify_engine(struct conn *c, const struct bin_request *r,
                                       const struct tap_packet *p) {
    const struct server *server = c->worker->server;
    uint8_t ttl = (uint8_t)(p->extras.tap.ttl - 1);

    return server->v1->tap_notify(server->handle, c, p->engine_specific, p->nengine, ttl, p->flags,
                                  p->event, ntohl(c->request.request.opaque), p->key, r->keylen,
                                  ntohl(p->extras.item_flags), ntohl(p->extras.item_expiration),
                                  r->cas, p->data, p->ndata, r->vbucket);
}

/* Without the layout that knows nack mode, hosts behave as if it were on. */
static bool nacks(const struct conn *c) {
    return c->worker->server->settings.layout == CH_LAYOUT_MEMCACHED ||
           atomic_load(&c->tap_nack_mode);
}

bool tap_goes_unanswered(const struct conn *c, const struct bin_request *r) {
    protocol_binary_tap_extras extras;
    bool event = r->opcode > PROTOCOL_BINARY_CMD_TAP_CONNECT &&
                 r->opcode <= PROTOCOL_BINARY_CMD_TAP_CHECKPOINT_END;

    if (!event || nacks(c)) {
        return false;
    }
    if (r->extlen < sizeof(extras) || conn_available(c) < HEADER_BYTES + sizeof(extras)) {
        return true;
    }
    memcpy(&extras, r->extras, sizeof(extras));
    return (ntohs(extras.flags) & TAP_FLAG_ACK) == 0;
}

static enum outcome consume_event(struct conn *c, const struct bin_request *r) {
    struct tap_packet packet;

    conn_align_input(c);
    if (!split(c, r, &packet)) {
        return bin_refuse(c, PROTOCOL_BINARY_RESPONSE_EINVAL);
    }
    ENGINE_ERROR_CODE code = conn_take_status(c);
    if (code == ENGINE_SUCCESS) {
        code = notify_engine(c, r, &packet);
    }
    if (code == ENGINE_EWOULDBLOCK) {
        conn_engine_blocked(c);
        return OUTCOME_BLOCKED;
    }
    bool asked = (packet.flags & TAP_FLAG_ACK) != 0;
    if (code == ENGINE_DISCONNECT) {
        return OUTCOME_CLOSE;
    }
    if (code != ENGINE_SUCCESS && (asked || nacks(c))) {
        return bin_fail(c, BIN_CALL_TAP, code, HEADER_BYTES + (uint64_t)r->bodylen);
    }
    if (asked) {
        bin_reply_status(c, PROTOCOL_BINARY_RESPONSE_SUCCESS);
    }
    conn_consume(c, HEADER_BYTES + r->bodylen);
    return OUTCOME_DONE;
}

static enum outcome tap_connect(struct conn *c, const struct bin_request *r) {
    const struct server *server = c->worker->server;
    protocol_binary_tap_connect_extras extras = {0};
    size_t head = (size_t)r->extlen + r->keylen;

    if ((r->extlen != 0 && r->extlen != sizeof(extras)) || r->bodylen < head) {
        return bin_refuse(c, PROTOCOL_BINARY_RESPONSE_EINVAL);
    }
    memcpy(&extras, r->extras, r->extlen);
    uint32_t flags = ntohl(extras.flags);
    if ((flags & TAP_CONNECT_FLAG_BACKFILL) != 0 && r->valuelen < BACKFILL_DATE_BYTES) {
        log_provoked(c->worker->server, EXTENSION_LOG_WARNING, c,
                     "TAP_CONNECT with backfill and no date");
        return OUTCOME_CLOSE;
    }
    TAP_ITERATOR iterator = server->v1->get_tap_iterator(server->handle, c, r->key, r->keylen,
                                                         flags, r->value, r->valuelen);
    if (iterator == NULL) {
        bin_reply_status(c, PROTOCOL_BINARY_RESPONSE_NOT_SUPPORTED);
        return OUTCOME_CLOSE;
    }
    tap_stream_begin(c, iterator);
    conn_consume(c, HEADER_BYTES + r->bodylen);
    return OUTCOME_DONE;
}

enum outcome tap_request(struct conn *c, const struct bin_request *r) {
    const ENGINE_HANDLE_V1 *v1 = c->worker->server->v1;
    bool connects = r->opcode == PROTOCOL_BINARY_CMD_TAP_CONNECT;

    if (connects ? v1->get_tap_iterator == NULL : v1->tap_notify == NULL) {
        return bin_refuse(c, PROTOCOL_BINARY_RESPONSE_NOT_SUPPORTED);
    }
    return connects ? tap_connect(c, r) : consume_event(c, r);
}

/* A consumer says what became of one of our events. */
static enum outcome take_answer(struct conn *c, const struct bin_request *r) {
    const struct server *server = c->worker->server;

    if (server->v1->tap_notify == NULL) {
        return OUTCOME_CLOSE;
    }
    ENGINE_ERROR_CODE code = server->v1->tap_notify(server->handle, c, NULL, 0, 0, r->vbucket,
                                                    TAP_ACK, ntohl(c->request.request.opaque),
                                                    r->key, r->keylen, 0, 0, 0, NULL, 0, 0);
    if (code == ENGINE_DISCONNECT) {
        return OUTCOME_CLOSE;
    }
    conn_consume(c, HEADER_BYTES + r->bodylen);
    return OUTCOME_DONE;
}

enum outcome tap_response(struct conn *c, const struct bin_request *r) {
    bool noop = r->opcode == PROTOCOL_BINARY_CMD_NOOP;
    bool event = r->opcode >= PROTOCOL_BINARY_CMD_TAP_MUTATION &&
                 r->opcode <= PROTOCOL_BINARY_CMD_TAP_CHECKPOINT_END;

    if ((!noop && !event) || r->bodylen > ANSWER_BYTES_MAX ||
        (size_t)r->extlen + r->keylen > r->bodylen) {
        return OUTCOME_CLOSE;
    }
    c->need = HEADER_BYTES + r->bodylen;
    if (conn_available(c) < c->need) {
        return OUTCOME_READ;
    }
    if (noop) {
        /* Real hosts take it for a request. */
        bin_reply_status(c, PROTOCOL_BINARY_RESPONSE_SUCCESS);
        conn_consume(c, HEADER_BYTES + r->bodylen);
        return OUTCOME_DONE;
    }
    return take_answer(c, r);
}
