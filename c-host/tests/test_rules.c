/* What keeps an engine safe on every host: return codes, lengths, notifies, cookies. engine-test
 * itself watches the rules in all tests; these provoke them. */
#include <stdlib.h>

#include "operator.h"

enum {
    OTHER = 7,
    MISSING = 900
};

TEST(table_is_complete) {
    CHECK(h1->arithmetic != NULL); /* otherwise hosts write their own into the table */
    CHECK(h1->unknown_command != NULL);
    CHECK_UINT(1, h->interface);
    return SUCCESS;
}

TEST(info_is_stable_and_described) {
    const engine_info *info = h1->get_info(h);
    CHECK(info != NULL);
    CHECK(info == h1->get_info(h));
    CHECK(info->description != NULL && info->description[0] != '\0');
    CHECK_NE(0, info->num_features);
    const feature_info *features = info->features;
    for (uint32_t i = 0; i < info->num_features; i++) {
        /* Hosts have no text for what they do not know, and read past their table for it. */
        CHECK_MSG(features[i].feature < ENGINE_FEATURE_VBUCKET || features[i].description != NULL,
                  "feature %u has no description", (unsigned)features[i].feature);
    }
    return SUCCESS;
}

/* ---- return codes ---- */

static bool get_may_return(ENGINE_ERROR_CODE code) {
    return code == ENGINE_SUCCESS || code == ENGINE_KEY_ENOENT || code == ENGINE_EWOULDBLOCK ||
           code == ENGINE_DISCONNECT || code == ENGINE_ENOTSUP || code == ENGINE_NOT_MY_VBUCKET;
}

TEST(get_codes_in_every_state) {
    struct client c = client_new(h, h1);
    static const uint32_t states[] = {VB_ACTIVE, VB_REPLICA, VB_DEAD, VB_ACTIVE};
    struct client there = c;
    there.vbucket = OTHER;
    for (size_t i = 0; i < 4; i++) {
        must_state(&c, OTHER, states[i]);
        if (states[i] == VB_ACTIVE) {
            must_set(&there, "k", "v");
        }
        CHECK(get_may_return(get_code(&there, "k")));
        CHECK(get_may_return(get_code(&there, "absent")));
    }
    there.vbucket = MISSING;
    CHECK(get_may_return(get_code(&there, "k")));
    there.vbucket = UINT16_MAX;
    CHECK(get_may_return(get_code(&there, "k")));
    client_free(&c);
    return SUCCESS;
}

static void must_suit_ascii(const struct client *c, const char *key) {
    uint64_t cas = 0;
    uint64_t result = 0;
    const ENGINE_ERROR_CODE code = c->v1->arithmetic(c->h, c->cookie, key, (int)strlen(key), true,
                                                     false, 1, 0, 0, &cas, &result, c->vbucket);
    static const ENGINE_ERROR_CODE aborting[] = {
        ENGINE_KEY_EEXISTS, ENGINE_NOT_MY_VBUCKET, ENGINE_E2BIG, ENGINE_WANT_MORE,
        ENGINE_EACCESS,     ENGINE_ERANGE,         ENGINE_FAILED};
    for (size_t i = 0; i < sizeof aborting / sizeof aborting[0]; i++) {
        CHECK_MSG(code != aborting[i], "arithmetic gave %d to an ASCII caller", (int)code);
    }
}

TEST(ascii_arithmetic_codes_in_every_state) {
    struct client c = client_new(h, h1);
    static const uint32_t states[] = {VB_ACTIVE, VB_REPLICA, VB_DEAD};
    must_set(&c, "n", "1");
    must_set(&c, "text", "no number");
    for (size_t i = 0; i < 3; i++) {
        must_state(&c, 0, states[i]);
        must_suit_ascii(&c, "n");
        must_suit_ascii(&c, "text");
        must_suit_ascii(&c, "absent");
    }
    must_state(&c, 0, VB_ACTIVE);
    must_hold(&c, "n", "2");
    client_free(&c);
    return SUCCESS;
}

/* ---- packets ---- */

/* Opcodes that hosts hand on; SET_VBUCKET is left out where a blocked vbucket would follow. */
static bool forwarded(unsigned opcode) {
    return (opcode >= 0x1c && opcode <= 0x3f) || opcode >= 0x48;
}

/* Sends a packet in a buffer of exactly its size: header and `held` bytes. */
static ENGINE_ERROR_CODE send_lie(const struct client *c, unsigned opcode, unsigned keylen,
                                  unsigned extlen, uint32_t bodylen, size_t held, struct reply *r) {
    unsigned char *packet = calloc(1, 24 + held);
    CHECK(packet != NULL);
    packet[0] = 0x80;
    packet[1] = (unsigned char)opcode;
    packet[2] = (unsigned char)(keylen >> 8);
    packet[3] = (unsigned char)keylen;
    packet[4] = (unsigned char)extlen;
    packet[8] = (unsigned char)(bodylen >> 24);
    packet[9] = (unsigned char)(bodylen >> 16);
    packet[10] = (unsigned char)(bodylen >> 8);
    packet[11] = (unsigned char)bodylen;
    memset(packet + 24, 'k', held);
    const ENGINE_ERROR_CODE code = send_raw(c, packet, r);
    free(packet);
    return code;
}

TEST(lying_key_length_is_refused) {
    struct client c = client_new(h, h1);
    static const uint8_t opcodes[] = {OP_TOUCH,        OP_GAT,           OP_GATQ,
                                      OP_UPDATE_START, OP_UPDATE_REVERT, OP_UPDATE_COMPLETE,
                                      OP_SET_VBUCKET};
    struct reply r;
    for (size_t i = 0; i < sizeof opcodes; i++) {
        CHECK_INT(ENGINE_SUCCESS, send_lie(&c, opcodes[i], 200, 0, 5, 5, &r));
        CHECK_INT(ST_EINVAL, r.status);
        CHECK_INT(ENGINE_SUCCESS, send_lie(&c, opcodes[i], 2, 4, 5, 5, &r));
        CHECK_INT(ST_EINVAL, r.status);
        CHECK_INT(ENGINE_SUCCESS, send_lie(&c, opcodes[i], 0, 255, 0, 0, &r));
        CHECK_INT(ST_EINVAL, r.status);
    }
    must_refuse_update(&c, OP_UPDATE_REVERT);
    client_free(&c);
    return SUCCESS;
}

TEST(lying_lengths_on_every_opcode) {
    struct client c = client_new(h, h1);
    static const struct {
        unsigned keylen;
        unsigned extlen;
        uint32_t bodylen;
    } lies[] = {{1, 0, 0}, {250, 0, 10}, {0, 1, 0}, {0, 255, 4}, {200, 200, 300}, {250, 255, 1}};
    struct reply r;
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        for (size_t i = 0; forwarded(opcode) && i < sizeof lies / sizeof lies[0]; i++) {
            const ENGINE_ERROR_CODE code = send_lie(&c, opcode, lies[i].keylen, lies[i].extlen,
                                                    lies[i].bodylen, lies[i].bodylen, &r);
            CHECK_MSG(code == ENGINE_SUCCESS && r.count == 1, "opcode 0x%x: %d, %u replies", opcode,
                      (int)code, r.count);
            CHECK_MSG(r.status != ST_SUCCESS, "opcode 0x%x accepted a lie", opcode);
        }
    }
    must_set(&c, "k", "v");
    must_hold(&c, "k", "v");
    client_free(&c);
    return SUCCESS;
}

TEST(every_opcode_answers_once) {
    struct client c = client_new(h, h1);
    struct reply r;
    must_set(&c, "k", "v");
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        if (!forwarded(opcode)) {
            continue;
        }
        const ENGINE_ERROR_CODE code = send_lie(&c, opcode, 0, 0, 0, 0, &r);
        CHECK_MSG(code == ENGINE_SUCCESS, "opcode 0x%x returned %d", opcode, (int)code);
        CHECK_MSG(r.count == 1, "opcode 0x%x sent %u replies", opcode, r.count);
    }
    must_hold(&c, "k", "v");
    client_free(&c);
    return SUCCESS;
}

static uint32_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 16);
}

TEST(random_requests_do_no_harm) {
    struct client c = client_new(h, h1);
    uint64_t seed = 0x9e3779b97f4a7c15ULL;
    struct reply r;
    must_set(&c, "k", "v");
    for (unsigned i = 0; i < 20000; i++) {
        const unsigned opcode = next_random(&seed) & 0xff;
        /* A vbucket in another state blocks or hides what the end of this test looks at, and so
         * does a lock; SYNC waits. */
        if (!forwarded(opcode) || opcode == OP_SET_VBUCKET || opcode == OP_GET_LOCKED ||
            opcode == PROTOCOL_BINARY_CMD_SYNC) {
            continue;
        }
        const unsigned keylen = next_random(&seed) % (i % 2 == 0 ? 4 : 251);
        const unsigned extlen = next_random(&seed) % (i % 3 == 0 ? 256 : 9);
        const uint32_t room = next_random(&seed) % (i % 5 == 0 ? 600 : 20);
        const uint32_t bodylen = i % 4 == 0 ? room : keylen + extlen + room % 4;
        (void)send_lie(&c, opcode, keylen, extlen, bodylen, bodylen, &r);
        CHECK_MSG(r.count <= 1, "opcode 0x%x sent %u replies", opcode, r.count);
    }
    (void)command(&c, OP_START_PERSISTENCE, NULL);
    (void)command(&c, OP_UPDATE_COMPLETE, NULL);
    must_set(&c, "k", "still here");
    must_hold(&c, "k", "still here");
    client_free(&c);
    return SUCCESS;
}

TEST(append_with_wrapped_length_is_too_big) {
    struct client c = client_new(h, h1);
    must_set(&c, "k", "v");
    for (size_t n = 1; n <= KEY_MAX; n++) {
        item *it = NULL;
        CHECK_INT(ENGINE_E2BIG, h1->allocate(h, c.cookie, &it, "k", 1, (size_t)0 - n, 0, 0));
    }
    must_hold(&c, "k", "v");
    client_free(&c);
    return SUCCESS;
}

TEST(tap_notify_distrusts_lengths) {
    char packet[64] = {0};
    if (h1->tap_notify == NULL) {
        return SKIPPED;
    }
    struct client c = client_new(h, h1);
    static const tap_event_t events[] = {TAP_MUTATION,      TAP_DELETION,    TAP_FLUSH,
                                         TAP_OPAQUE,        TAP_VBUCKET_SET, TAP_CHECKPOINT_START,
                                         TAP_CHECKPOINT_END};
    must_set(&c, "k", "v");
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        const ENGINE_ERROR_CODE code =
            h1->tap_notify(h, c.cookie, packet + 8, 0, 1, 0, events[i], 1, packet + 16, 1, 0, 0, 0,
                           packet + 17, 4294967288U, 0);
        CHECK_MSG(code != ENGINE_SUCCESS, "event %d with wrapped ndata", (int)events[i]);
    }
    CHECK_NE(ENGINE_SUCCESS, h1->tap_notify(h, c.cookie, packet + 8, 0, 1, 0, TAP_FLUSH, 1,
                                            packet + 16, 40, 0, 0, 0, packet + 56, 0, 0));
    must_hold(&c, "k", "v");
    client_free(&c);
    return SUCCESS;
}

TEST(stats_names_need_no_terminator) {
    struct client c = client_new(h, h1);
    /* support.c passes names without one; here a longer text follows directly. */
    ENGINE_ERROR_CODE code;
    CHECK_NE(0, stat_count(&c, "vbucket", &code));
    CHECK_INT(ENGINE_SUCCESS, code);
    (void)stat_count(&c, "vbucketvbucket", &code);
    CHECK_INT(ENGINE_KEY_ENOENT, code);
    (void)stat_count(&c, "vbucke", &code);
    CHECK_INT(ENGINE_KEY_ENOENT, code);
    client_free(&c);
    return SUCCESS;
}

TEST(null_cookies_are_accepted) {
    const struct client c = {.h = h, .v1 = h1, .cookie = NULL};
    must_set(&c, "k", "v");
    must_hold(&c, "k", "v");
    CHECK_INT(ENGINE_SUCCESS, arith(&c, "n", true, 1, 1, 0, NULL));
    CHECK_INT(ST_SUCCESS, touch(&c, OP_GAT, "k", 0, NULL));
    must_start(&c);
    must_set(&c, "k", "window");
    must_revert(&c);
    must_hold(&c, "k", "v");
    h1->reset_stats(h, NULL);
    must_remove(&c, "k");
    return SUCCESS;
}

TEST(unfinished_item_is_released) {
    struct client c = client_new(h, h1);
    const uint64_t before = stat_number(&c, NULL, "mem_used", 0);
    for (unsigned i = 0; i < 2000; i++) {
        item *it = NULL;
        CHECK_INT(ENGINE_SUCCESS, h1->allocate(h, c.cookie, &it, "k", 1, 100000, 0, 0));
        h1->item_set_cas(h, c.cookie, it, 1);
        h1->release(h, c.cookie, it);
    }
    must_miss(&c, "k");
    CHECK_LE(stat_number(&c, NULL, "mem_used", 0), before + 4000000);
    client_free(&c);
    return SUCCESS;
}
