#include "tap.h"

#include <arpa/inet.h>
#include <endian.h>

enum {
    /* Hosts point this much too low into packets that are about an item. */
    ITEM_SLIP = 8,
    DATA_ROOM = 64
};

static bool about_item(tap_event_t event) {
    return event == TAP_MUTATION || event == TAP_CHECKPOINT_START || event == TAP_CHECKPOINT_END;
}

bool tap_open_raw(const struct client *base, const char *name, uint32_t flags, const void *data,
                  size_t length, struct tap *tap) {
    *tap = (struct tap){.c = client_new(base->h, base->v1)};
    tap->c.vbucket = base->vbucket;
    tap->next =
        base->v1->get_tap_iterator(base->h, tap->c.cookie, name, strlen(name), flags, data, length);
    if (tap->next == NULL) {
        client_free(&tap->c);
    }
    return tap->next != NULL;
}

bool tap_open(const struct client *base, const char *name, uint64_t closed_checkpoint,
              struct tap *tap) {
    unsigned char data[DATA_ROOM];
    unsigned char *at = data;
    const uint64_t since = 0;
    const uint64_t closed = htobe64(closed_checkpoint);
    const uint16_t one = htons(1);
    const uint16_t vbucket = htons(base->vbucket);
    const struct {
        const void *bytes;
        size_t length;
    } parts[] = {{&since, 8}, {&one, 2}, {&vbucket, 2}, {&one, 2}, {&vbucket, 2}, {&closed, 8}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        memcpy(at, parts[i].bytes, parts[i].length);
        at += parts[i].length;
    }
    return tap_open_raw(base, name,
                        TAP_CONNECT_FLAG_BACKFILL | TAP_CONNECT_FLAG_LIST_VBUCKETS |
                            TAP_CONNECT_SUPPORT_ACK | TAP_CONNECT_CHECKPOINT,
                        data, (size_t)(at - data), tap);
}

void tap_close(struct tap *tap) {
    tap->next = NULL;
    if (suite()->ext != NULL && suite()->ext->real_cookies) {
        client_free(&tap->c);
        return;
    }
    /* Mock connections do not count references, so this one stays: the engine may still notify. */
    if (suite()->ext != NULL) {
        suite()->ext->disconnect(tap->c.cookie);
    }
}

/* Copies an item and gives it back. */
static void take_item(const struct tap *tap, item *it, struct tap_message *m) {
    item_info info = {.nvalue = 1};
    CHECK_MSG(it != NULL, "event %d without an item", (int)m->event);
    CHECK(tap->c.v1->get_item_info(tap->c.h, tap->c.cookie, it, &info));
    CHECK_UINT(1, info.nvalue);
    CHECK(info.nkey < TAP_KEY_ROOM);
    m->nkey = info.nkey;
    memcpy(m->key, info.key, info.nkey);
    m->key[info.nkey] = '\0';
    m->value.length = info.nbytes;
    m->value.flags = info.flags;
    m->value.exptime = info.exptime;
    m->value.cas = info.cas;
    const size_t copied = info.nbytes < VALUE_ROOM ? info.nbytes : VALUE_ROOM;
    memcpy(m->value.bytes, info.value[0].iov_base, copied);
    m->value.bytes[copied] = '\0';
    tap->c.v1->release(tap->c.h, tap->c.cookie, it);
}

tap_event_t tap_next(const struct tap *tap, struct tap_message *m) {
    item *it = NULL;
    void *engine = NULL;
    const unsigned char *bytes;
    memset(m, 0, sizeof *m);
    if (suite()->harness.lock_cookie != NULL) {
        suite()->harness.lock_cookie(tap->c.cookie);
    }
    m->event = tap->next(tap->c.h, tap->c.cookie, &it, &engine, &m->nengine, &m->ttl, &m->flags,
                         &m->seqno, &m->vbucket);
    bytes = engine;
    if (about_item(m->event) || m->event == TAP_DELETION) {
        take_item(tap, it, m);
    }
    CHECK(m->nengine <= TAP_ENGINE_ROOM);
    if (m->nengine > 0) {
        memcpy(m->engine, bytes, m->nengine);
    }
    if (suite()->harness.unlock_cookie != NULL) {
        suite()->harness.unlock_cookie(tap->c.cookie);
    }
    return m->event;
}

void must_next(const struct tap *tap, struct tap_message *m) {
    const uint64_t end = now_ms() + TAP_SECONDS * 1000ULL;
    while (tap_next(tap, m) == TAP_PAUSE || m->event == TAP_NOOP) {
        CHECK_MSG(now_ms() < end, "the stream pauses for %d s", (int)TAP_SECONDS);
        sleep_ms(1);
    }
}

ENGINE_ERROR_CODE tap_answer(const struct tap *tap, const struct tap_message *m, uint16_t status) {
    return tap->c.v1->tap_notify(tap->c.h, tap->c.cookie, NULL, 0, 0, status, TAP_ACK, m->seqno, "",
                                 0, 0, 0, 0, NULL, 0, 0);
}

void tap_ack(const struct tap *tap, const struct tap_message *m) {
    if ((m->flags & TAP_FLAG_ACK) != 0) {
        CHECK_NE(ENGINE_DISCONNECT, tap_answer(tap, m, ST_SUCCESS));
    }
}

int tap_code(const struct tap_message *m) {
    uint32_t code;
    if (m->nengine != sizeof code) {
        return -1;
    }
    memcpy(&code, m->engine, sizeof code);
    return (int)ntohl(code);
}

uint64_t tap_checkpoint(const struct tap_message *m) {
    uint64_t id;
    CHECK_UINT(sizeof id, m->value.length);
    memcpy(&id, m->value.bytes, sizeof id);
    return be64toh(id);
}

void must_reach(const struct tap *tap, tap_event_t event, int code, struct tap_message *m) {
    for (;;) {
        must_next(tap, m);
        CHECK_MSG(m->event != TAP_DISCONNECT, "the stream ends before event %d", (int)event);
        if (m->event == event && (code < 0 || tap_code(m) == code)) {
            return;
        }
        tap_ack(tap, m);
    }
}

ENGINE_ERROR_CODE tap_deliver(const struct client *to, const struct tap_message *m) {
    unsigned char packet[ITEM_SLIP + TAP_ENGINE_ROOM];
    memcpy(packet + ITEM_SLIP, m->engine, m->nengine);
    unsigned char *engine = packet + (about_item(m->event) ? 0 : ITEM_SLIP);
    /* Deletions have none; on the way from host to host they are turned over twice. */
    const bool words = about_item(m->event);
    return to->v1->tap_notify(to->h, to->cookie, engine, m->nengine, (uint8_t)(m->ttl - 1),
                              m->flags, m->event, m->seqno, m->key, m->nkey,
                              words ? m->value.flags : 0, words ? m->value.exptime : 0,
                              m->value.cas, m->value.bytes, m->value.length, m->vbucket);
}

void must_carry(const struct tap *from, const struct client *to,
                bool (*reached)(const struct client *to)) {
    const uint64_t end = now_ms() + TAP_SECONDS * 1000ULL;
    struct tap_message m;
    while (!reached(to)) {
        CHECK_MSG(now_ms() < end, "not carried within %d s", (int)TAP_SECONDS);
        const tap_event_t event = tap_next(from, &m);
        if (event == TAP_PAUSE || event == TAP_NOOP) {
            sleep_ms(1);
            continue;
        }
        CHECK_NE(TAP_DISCONNECT, event);
        CHECK_MSG(m.value.length <= VALUE_ROOM, "a value of %zu bytes", m.value.length);
        const ENGINE_ERROR_CODE code = tap_deliver(to, &m);
        if (code == ENGINE_TMPFAIL) {
            (void)tap_answer(from, &m, ST_ETMPFAIL);
            continue;
        }
        CHECK_MSG(code == ENGINE_SUCCESS, "event %d: 0x%02x", (int)event, (unsigned)code);
        tap_ack(from, &m);
    }
}
