/*
 * TAP streams: asks the engine's iterator for events and sends them.
 *
 * A stream produces when its connection has nothing to read and nothing left
 * to send, so a consumer that does not read stops the iterator. It sleeps after
 * a batch that brought nothing; a notify or any packet wakes it. Sleeping is
 * decided under the worker's mutex, which notify_io_complete takes as well, so
 * no wake-up is lost.
 */
#include "server.h"

#include <arpa/inet.h>
#include <endian.h>
#include <string.h>

#define BATCH_EVENTS 10
/* Real hosts copy the headers and engine-specific bytes of a batch into this many, unchecked. */
#define BATCH_BYTES_SAFE 2048

/* What the iterator handed out. */
struct tap_event {
    tap_event_t type;
    item *item;
    void *engine_specific;
    uint16_t nengine;
    uint8_t ttl;
    uint16_t flags;
    uint32_t seqno;
    uint16_t vbucket;
};

/* What follows the engine-specific bytes of an event. */
struct content {
    const void *key;
    uint16_t nkey;
    const void *value;
    size_t nvalue;
    bool has_item_words;
    uint32_t item_flags;
    uint32_t expiration;
    uint64_t cas;
};

void tap_stream_begin(struct conn *c, TAP_ITERATOR iterator) {
    c->tap_iterator = iterator;
    c->tap_asleep = false;
}

static void send_event(struct conn *c, uint8_t opcode, const struct tap_event *e,
                       const struct content *content) {
    protocol_binary_request_header header = {0};
    protocol_binary_tap_item_extras extras = {0};
    size_t extlen = content->has_item_words ? sizeof(extras) : sizeof(extras.tap);

    header.request.magic = PROTOCOL_BINARY_REQ;
    header.request.opcode = opcode;
    header.request.keylen = htons(content->nkey);
    header.request.extlen = (uint8_t)extlen;
    header.request.vbucket = htons(e->vbucket);
    header.request.bodylen =
        htonl((uint32_t)(extlen + e->nengine + content->nkey + content->nvalue));
    header.request.opaque = htonl(e->seqno);
    header.request.cas = htobe64(content->cas);
    extras.tap.enginespecific_length = htons(e->nengine);
    extras.tap.flags = htons(e->flags);
    extras.tap.ttl = e->ttl;
    extras.item_flags = htonl(content->item_flags);
    extras.item_expiration = htonl(content->expiration);
    output_copy(&c->out, header.bytes, sizeof(header.bytes));
    output_copy(&c->out, &extras, extlen);
    output_copy(&c->out, e->engine_specific, e->nengine);
    output_copy(&c->out, content->key, content->nkey);
}

static void send_noop(struct conn *c, const struct tap_event *e) {
    protocol_binary_request_header header = {0};

    header.request.magic = PROTOCOL_BINARY_REQ;
    header.request.opcode = PROTOCOL_BINARY_CMD_NOOP;
    header.request.vbucket = htons(e->vbucket);
    header.request.opaque = htonl(e->seqno);
    output_copy(&c->out, header.bytes, sizeof(header.bytes));
}

/* Events about an item, which is sent from its own memory and released afterwards. */
static void send_item(struct conn *c, uint8_t opcode, const struct tap_event *e) {
    bool deletion = e->type == TAP_DELETION;
    item_info info;

    if (e->item == NULL || !conn_item_info(c, e->item, &info) || info.nvalue != 1 ||
        info.value[0].iov_len != info.nbytes) {
        ch_log(c->worker->server->host, EXTENSION_LOG_WARNING, c,
               "The engine cannot describe an item of its TAP stream; skipped");
        if (e->item != NULL) {
            conn_release_item(c, e->item);
        }
        return;
    }
    bool with_value = (e->flags & TAP_FLAG_NO_VALUE) == 0;
    struct content content = {
        .key = info.key,
        .nkey = info.nkey,
        .nvalue = with_value ? info.nbytes : 0,
        .has_item_words = !deletion,
        .item_flags = info.flags,
        .expiration = info.exptime,
        .cas = info.cas,
    };
    send_event(c, opcode, e, &content);
    if (!output_item(&c->out, info.value[0].iov_base, content.nvalue, e->item)) {
        conn_release_item(c, e->item);
    }
}

static struct tap_event next_event(struct conn *c) {
    const struct server *server = c->worker->server;
    struct tap_event e = {0};

    c->in_engine_call = true;
    e.type = c->tap_iterator(server->handle, c, &e.item, &e.engine_specific, &e.nengine, &e.ttl,
                             &e.flags, &e.seqno, &e.vbucket);
    c->in_engine_call = false;
    return e;
}

/* False when the batch is over. */
static bool send_next(struct conn *c, const struct tap_event *e) {
    static const struct content nothing = {0};

    switch (e->type) {
    case TAP_MUTATION:
        send_item(c, PROTOCOL_BINARY_CMD_TAP_MUTATION, e);
        return true;
    case TAP_DELETION:
        send_item(c, PROTOCOL_BINARY_CMD_TAP_DELETE, e);
        return true;
    case TAP_FLUSH:
        send_event(c, PROTOCOL_BINARY_CMD_TAP_FLUSH, e, &nothing);
        return true;
    case TAP_OPAQUE:
        send_event(c, PROTOCOL_BINARY_CMD_TAP_OPAQUE, e, &nothing);
        return true;
    case TAP_VBUCKET_SET:
        send_event(c, PROTOCOL_BINARY_CMD_TAP_VBUCKET_SET, e, &nothing);
        return true;
    case TAP_CHECKPOINT_START:
        send_item(c, PROTOCOL_BINARY_CMD_TAP_CHECKPOINT_START, e);
        return true;
    case TAP_CHECKPOINT_END:
        send_item(c, PROTOCOL_BINARY_CMD_TAP_CHECKPOINT_END, e);
        return true;
    case TAP_NOOP:
        send_noop(c, e);
        return true;
    case TAP_PAUSE:
        return false;
    case TAP_DISCONNECT:
        break;
    default:
        ch_log(c->worker->server->host, EXTENSION_LOG_WARNING, c,
               "The engine's TAP iterator returned %d; real hosts abort here", (int)e->type);
        break;
    }
    c->close_after_write = true;
    return false;
}

bool tap_stream_batch(struct conn *c) {
    size_t before = c->out.pending;
    size_t copied = 0;

    for (int i = 0; i < BATCH_EVENTS; i++) {
        struct tap_event e = next_event(c);
        if (!send_next(c, &e)) {
            break;
        }
        copied += HEADER_BYTES + sizeof(protocol_binary_tap_item_extras) + e.nengine;
    }
    if (copied > BATCH_BYTES_SAFE) {
        ch_log(c->worker->server->host, EXTENSION_LOG_WARNING, c,
               "Up to %zu bytes besides keys and values in a TAP batch; real hosts have %d", copied,
               BATCH_BYTES_SAFE);
    }
    if (c->out.pending > before || c->close_after_write) {
        return true;
    }
    /* Where real hosts deadlock, a notify from inside the iterator counts. */
    c->tap_asleep = !c->early_notified;
    c->early_notified = false;
    return !c->tap_asleep;
}
