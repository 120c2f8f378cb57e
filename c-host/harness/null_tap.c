/*
 * The stub engine's TAP, for tests of hosts and of what carries streams.
 *
 * A stream plays the script that stands in its client's name behind "script:". Letters are events,
 * digits behind one repeat it:
 *
 * - M mutation, B mutation with a value of 1 MiB, D deletion, F flush, O opaque
 * - V vbucket set to replica, H to active, S and E checkpoint start and end, N noop
 * - P one pause, W pause until somebody stores a key, X disconnect
 * - A an event that no iterator may return
 *
 * and before a letter: '!' asks for an ack, '~' says that there is no value, '+' adds three
 * engine-specific bytes, '*' names a vbucket that was not asked for. Otherwise events are about the
 * first of the list that came with the request, or vbucket 0. At the end of its script a stream
 * pauses for good. Without configuration key host_abi there are no streams.
 *
 * A consumer's mutations and deletions are applied. The last calls show in "stats tap". What comes
 * back is SUCCESS, but for key "block" EWOULDBLOCK the first time, and for key "answer:HEX" that
 * code.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "null_engine.h"

enum {
    CALLS_KEPT = 64,
    CALL_ROOM = 320,
    SHOWN_MAX = 64,
    ESCAPE_MAX = 12,
    BIG_VALUE = 1 << 20,
    ITEM_SLIP = 8,
    STREAMS_MAX = 64
};

struct null_stream {
    struct null_stream *next;
    const void *cookie;
    char script[NULL_KEY_MAX + 1];
    const char *at;
    unsigned repeated;
    uint32_t seqno;
    uint16_t vbucket;
    bool sleeps;
    bool woken;
    bool gone;
};

/* Guarded by the engine's lock. */
struct null_tap {
    struct null_stream *streams;
    bool due;
    /* Somebody stored a key, for which streams sleep. */
    bool stored;
    uint64_t connected;
    uint64_t disconnects;
    uint64_t iterated;
    uint64_t calls;
    char call[CALLS_KEPT][CALL_ROOM];
};

/* Set on a cookie whose tap_notify has blocked once. */
static char blocked_marker;

static void lock(struct null_engine *e) {
    if (pthread_mutex_lock(&e->lock) != 0) {
        abort();
    }
}

static void unlock(struct null_engine *e) {
    if (pthread_mutex_unlock(&e->lock) != 0) {
        abort();
    }
}

static void set_nack_mode(struct null_engine *e, const void *cookie) {
    if (e->layout == NULL_LAYOUT_MEMBASE) {
        e->cookies->set_tap_nack_mode(cookie, true);
    }
}

static void reserve(struct null_engine *e, const void *cookie) {
    if (e->layout == NULL_LAYOUT_MEMBASE) {
        (void)e->cookies->reserve(cookie);
    } else {
        (void)((SERVER_COOKIE_API_MEMCACHED *)(void *)e->cookies)->reserve(cookie);
    }
}

static void give_back(struct null_engine *e, const void *cookie) {
    if (e->layout == NULL_LAYOUT_MEMBASE) {
        (void)e->cookies->release(cookie);
    } else {
        (void)((SERVER_COOKIE_API_MEMCACHED *)(void *)e->cookies)->release(cookie);
    }
}

static struct null_stream *stream_of(struct null_engine *e, const void *cookie) {
    struct null_stream *s = e->tap->streams;
    while (s != NULL && (s->cookie != cookie || s->gone)) {
        s = s->next;
    }
    return s;
}

/* ---- producer ---- */

/* The next letter that counts, with the prefixes before it; NUL at the end. */
static char next_letter(struct null_stream *s, uint16_t *flags, uint16_t *nengine,
                        uint16_t *vbucket) {
    if (*s->at == 'W' && s->woken) {
        s->at++;
    }
    s->woken = false;
    const char *at = s->at;
    *vbucket = s->vbucket;
    for (; *at != '\0' && strchr("!~+*", *at) != NULL; at++) {
        *flags = (uint16_t)(*flags | (*at == '!' ? TAP_FLAG_ACK : 0) |
                            (*at == '~' ? TAP_FLAG_NO_VALUE : 0));
        *nengine = *at == '+' ? 3 : *nengine;
        *vbucket = *at == '*' ? (uint16_t)(s->vbucket + 1) : *vbucket;
    }
    const char letter = *at;
    if (letter == '\0') {
        return letter;
    }
    char *behind;
    const unsigned long times = isdigit((unsigned char)at[1]) ? strtoul(at + 1, &behind, 10) : 1;
    const char *end = isdigit((unsigned char)at[1]) ? behind : at + 1;
    if (letter == 'W') {
        s->sleeps = true;
        return letter;
    }
    if (++s->repeated >= times) {
        s->repeated = 0;
        s->at = end;
    }
    return letter;
}

static item *make_item(char letter, uint32_t seqno) {
    const bool checkpoint = letter == 'S' || letter == 'E';
    const size_t length = letter == 'B' ? BIG_VALUE : 8;
    char key[32];
    const int nkey = checkpoint ? 0 : snprintf(key, sizeof key, "key%" PRIu32, seqno);
    struct null_item *it = null_item_new(key, (size_t)nkey, length);
    if (it == NULL) {
        abort();
    }
    it->cas = 0x1000U + seqno;
    it->flags = 0x01020304;
    it->exptime = checkpoint ? 0 : 77;
    memset(null_item_value(it), 'v', length);
    if (checkpoint) {
        memcpy(null_item_value(it), "\0\0\0\0\0\0\0\7", 8);
    }
    return it;
}

static tap_event_t event_of(char letter) {
    static const struct {
        char letter;
        tap_event_t event;
    } events[] = {{'M', TAP_MUTATION},    {'B', TAP_MUTATION},         {'D', TAP_DELETION},
                  {'F', TAP_FLUSH},       {'O', TAP_OPAQUE},           {'V', TAP_VBUCKET_SET},
                  {'H', TAP_VBUCKET_SET}, {'S', TAP_CHECKPOINT_START}, {'E', TAP_CHECKPOINT_END},
                  {'N', TAP_NOOP},        {'X', TAP_DISCONNECT},       {'A', TAP_ACK}};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        if (events[i].letter == letter) {
            return events[i].event;
        }
    }
    return TAP_PAUSE;
}

static tap_event_t null_iterate(ENGINE_HANDLE *handle, const void *cookie, item **it,
                                void **engine_specific, uint16_t *nengine_specific, uint8_t *ttl,
                                uint16_t *flags, uint32_t *seqno, uint16_t *vbucket) {
    static char bytes[] = {'a', 'b', 'c', '\0'};
    static char replica[] = {0, 0, 0, vbucket_state_replica};
    static char active[] = {0, 0, 0, vbucket_state_active};
    struct null_engine *e = null_of(handle);
    *it = NULL;
    *engine_specific = bytes;
    *nengine_specific = 0;
    *ttl = 255;
    *flags = 0;
    *seqno = 0;
    *vbucket = 0;
    lock(e);
    e->tap->iterated++;
    struct null_stream *s = stream_of(e, cookie);
    const char letter = s != NULL ? next_letter(s, flags, nengine_specific, vbucket) : 'X';
    const tap_event_t event = event_of(letter);
    if (event != TAP_PAUSE && s != NULL) {
        *seqno = ++s->seqno;
    }
    unlock(e);
    if (letter != '\0' && strchr("MBDSE", letter) != NULL) {
        *it = make_item(letter, *seqno);
    }
    if (event == TAP_VBUCKET_SET) {
        *engine_specific = letter == 'V' ? replica : active;
        *nengine_specific = sizeof replica;
    }
    return event;
}

/* The first of the listed vbuckets; 0 without a list. */
static uint16_t first_listed(uint32_t flags, const void *userdata, size_t nuserdata) {
    const size_t at = (flags & TAP_CONNECT_FLAG_BACKFILL) != 0 ? 8 : 0;
    uint16_t wire[2] = {0};
    if ((flags & TAP_CONNECT_FLAG_LIST_VBUCKETS) != 0 && nuserdata >= at + sizeof wire) {
        memcpy(wire, (const char *)userdata + at, sizeof wire);
    }
    return ntohs(wire[1]);
}

TAP_ITERATOR null_get_tap_iterator(ENGINE_HANDLE *handle, const void *cookie, const void *client,
                                   size_t nclient, uint32_t flags, const void *userdata,
                                   size_t nuserdata) {
    static const char prefix[] = "script:";
    const size_t skip = sizeof prefix - 1;
    struct null_engine *e = null_of(handle);
    if (e->layout == NULL_LAYOUT_UNKNOWN || nclient < skip || memcmp(client, prefix, skip) != 0) {
        return NULL;
    }
    struct null_stream *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    memcpy(s->script, (const char *)client + skip, nclient - skip);
    s->at = s->script;
    s->cookie = cookie;
    s->vbucket = first_listed(flags, userdata, nuserdata);
    reserve(e, cookie);
    lock(e);
    s->next = e->tap->streams;
    e->tap->streams = s;
    e->tap->connected++;
    unlock(e);
    return null_iterate;
}

static void on_disconnect(const void *cookie, ENGINE_EVENT_TYPE type, const void *data,
                          const void *argument) {
    union {
        const void *in;
        struct null_engine *out;
    } same = {.in = argument};
    struct null_engine *e = same.out;
    (void)type;
    (void)data;
    lock(e);
    e->tap->disconnects++;
    /* A connection may have connected a stream more than once. */
    for (struct null_stream *s = stream_of(e, cookie); s != NULL; s = stream_of(e, cookie)) {
        s->gone = true;
        e->tap->due = true;
        (void)pthread_cond_signal(&e->wake);
    }
    unlock(e);
}

void null_tap_stored(struct null_engine *e) {
    e->tap->due = true;
    e->tap->stored = true;
    (void)pthread_cond_signal(&e->wake);
}

bool null_tap_due(const struct null_engine *e) {
    return e->tap->due;
}

/* Takes out what is gone, whose cookies are to be given back, and who is to be notified. */
static void collect(struct null_engine *e, const void **gone, unsigned *dropped,
                    const void **sleepers, unsigned *woken) {
    for (struct null_stream **link = &e->tap->streams; *link != NULL;) {
        struct null_stream *s = *link;
        if (s->gone && *dropped < STREAMS_MAX) {
            gone[(*dropped)++] = s->cookie;
            *link = s->next;
            free(s);
            continue;
        }
        if (e->tap->stored && s->sleeps && !s->gone && *woken < STREAMS_MAX) {
            s->sleeps = false;
            s->woken = true;
            sleepers[(*woken)++] = s->cookie;
        }
        link = &s->next;
    }
}

void null_tap_work(struct null_engine *e) {
    const void *gone[STREAMS_MAX];
    const void *sleepers[STREAMS_MAX];
    unsigned dropped = 0;
    unsigned woken = 0;
    e->tap->due = false;
    collect(e, gone, &dropped, sleepers, &woken);
    e->tap->stored = false;
    unlock(e);
    for (unsigned i = 0; i < woken; i++) {
        e->cookies->notify_io_complete(sleepers[i], ENGINE_SUCCESS);
    }
    for (unsigned i = 0; i < dropped; i++) {
        give_back(e, gone[i]);
    }
    lock(e);
}

/* ---- consumer ---- */

/* Bytes as text, what is not printable as %XX. */
static void show(char *out, const void *bytes, size_t length) {
    const unsigned char *at = bytes;
    const size_t shown = length < SHOWN_MAX / 3 ? length : SHOWN_MAX / 3;
    for (size_t i = 0; i < shown; i++) {
        const bool plain = isgraph(at[i]) && at[i] != '%';
        out += snprintf(out, ESCAPE_MAX, plain ? "%c" : "%%%02x", at[i]);
    }
    *out = '\0';
}

/* "answer:0c": 0x0c. */
static ENGINE_ERROR_CODE told(const char *key, size_t nkey) {
    char text[16];
    if (nkey < 8 || nkey >= sizeof text || memcmp(key, "answer:", 7) != 0) {
        return ENGINE_SUCCESS;
    }
    memcpy(text, key, nkey);
    text[nkey] = '\0';
    return (ENGINE_ERROR_CODE)strtoul(text + 7, NULL, 16);
}

/* Locked. */
static ENGINE_ERROR_CODE apply(struct null_engine *e, tap_event_t event, const char *key,
                               size_t nkey, const void *data, size_t ndata, uint16_t vbucket) {
    if (vbucket >= NULL_VBUCKETS || e->vbuckets[vbucket].state == 0) {
        return ENGINE_NOT_MY_VBUCKET;
    }
    if (event == TAP_MUTATION) {
        struct null_item *it = null_item_new(key, nkey, ndata);
        if (it == NULL) {
            return ENGINE_ENOMEM;
        }
        memcpy(null_item_value(it), data, ndata);
        it->cas = ++e->last_cas;
        return null_put(e, key, nkey, vbucket, it) ? ENGINE_SUCCESS : ENGINE_ENOMEM;
    }
    if (event == TAP_DELETION && null_live(e, key, nkey, vbucket) != NULL) {
        (void)null_put(e, key, nkey, vbucket, NULL);
    }
    return ENGINE_SUCCESS;
}

static bool block_once(struct null_engine *e, const void *cookie, const char *key, size_t nkey) {
    if (nkey != 5 || memcmp(key, "block", 5) != 0 || e->blocked_count == NULL_BLOCKED_MAX) {
        return false;
    }
    if (e->cookies->get_engine_specific(cookie) == &blocked_marker) {
        e->cookies->store_engine_specific(cookie, NULL);
        return false;
    }
    e->cookies->store_engine_specific(cookie, &blocked_marker);
    e->blocked[e->blocked_count++] = cookie;
    e->release_blocked = true;
    (void)pthread_cond_signal(&e->wake);
    return true;
}

ENGINE_ERROR_CODE null_tap_notify(ENGINE_HANDLE *handle, const void *cookie, void *engine_specific,
                                  uint16_t nengine, uint8_t ttl, uint16_t tap_flags,
                                  tap_event_t tap_event, uint32_t tap_seqno, const void *key,
                                  size_t nkey, uint32_t flags, uint32_t exptime, uint64_t cas,
                                  const void *data, size_t ndata, uint16_t vbucket) {
    struct null_engine *e = null_of(handle);
    const bool has_item = tap_event == TAP_MUTATION || tap_event == TAP_CHECKPOINT_START ||
                          tap_event == TAP_CHECKPOINT_END;
    const char *engine = engine_specific;
    char shown[3][SHOWN_MAX + 1];
    const bool keyless =
        tap_event == TAP_FLUSH || tap_event == TAP_OPAQUE || tap_event == TAP_VBUCKET_SET;
    if (ndata > e->item_size_max || (keyless && nkey != 0)) {
        return ENGINE_EINVAL;
    }
    show(shown[0], engine + (has_item ? ITEM_SLIP : 0), nengine);
    show(shown[1], key, nkey);
    show(shown[2], data, ndata);
    lock(e);
    (void)snprintf(e->tap->call[e->tap->calls++ % CALLS_KEPT], CALL_ROOM,
                   "event=%d es=%s ttl=%u flags=%u seqno=%" PRIu32 " key=%s item_flags=%08" PRIx32
                   " exptime=%" PRIu32 " cas=%" PRIu64 " data=%s ndata=%zu vb=%u",
                   (int)tap_event, shown[0], ttl, tap_flags, tap_seqno, shown[1], flags, exptime,
                   cas, shown[2], ndata, vbucket);
    ENGINE_ERROR_CODE code = told(key, nkey);
    if (block_once(e, cookie, key, nkey)) {
        code = ENGINE_EWOULDBLOCK;
    } else if (code == ENGINE_SUCCESS && tap_event != TAP_ACK) {
        code = apply(e, tap_event, key, nkey, data, ndata, vbucket);
    }
    unlock(e);
    if (tap_event == TAP_OPAQUE && nengine == 4 && memcmp(engine, "\0\0\0\0", 4) == 0) {
        set_nack_mode(e, cookie);
    }
    return code;
}

/* ---- statistics and life ---- */

static void add(ADD_STAT add_stat, const void *cookie, const char *name, uint64_t value) {
    char text[24];
    const int length = snprintf(text, sizeof text, "%" PRIu64, value);
    add_stat(name, (uint16_t)strlen(name), text, (uint32_t)length, cookie);
}

void null_tap_stats(struct null_engine *e, const void *cookie, ADD_STAT add_stat) {
    const struct null_tap *tap = e->tap;
    uint64_t streams = 0;
    uint64_t sleeping = 0;
    for (const struct null_stream *s = tap->streams; s != NULL; s = s->next) {
        streams++;
        sleeping += s->sleeps ? 1 : 0;
    }
    add(add_stat, cookie, "streams", streams);
    add(add_stat, cookie, "sleeping", sleeping);
    add(add_stat, cookie, "due", tap->due ? 1 : 0);
    add(add_stat, cookie, "connected", tap->connected);
    add(add_stat, cookie, "disconnects", tap->disconnects);
    add(add_stat, cookie, "iterated", tap->iterated);
    add(add_stat, cookie, "live_items", null_item_live());
    add(add_stat, cookie, "calls", tap->calls);
    const uint64_t first = tap->calls > CALLS_KEPT ? tap->calls - CALLS_KEPT : 0;
    for (uint64_t i = first; i < tap->calls; i++) {
        char name[32];
        const int length = snprintf(name, sizeof name, "call_%" PRIu64, i);
        const char *text = tap->call[i % CALLS_KEPT];
        add_stat(name, (uint16_t)length, text, (uint32_t)strlen(text), cookie);
    }
}

bool null_tap_open(struct null_engine *e) {
    e->tap = calloc(1, sizeof *e->tap);
    if (e->tap != NULL && e->layout != NULL_LAYOUT_UNKNOWN) {
        e->callback->register_callback(&e->table.interface, ON_DISCONNECT, on_disconnect, e);
    }
    return e->tap != NULL;
}

void null_tap_close(struct null_engine *e) {
    while (e->tap != NULL && e->tap->streams != NULL) {
        struct null_stream *s = e->tap->streams;
        e->tap->streams = s->next;
        free(s);
    }
    free(e->tap);
}
