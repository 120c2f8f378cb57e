/*
 * touch of the ASCII protocol, and what gat does for one key.
 *
 *   touch <key> <exptime> [noreply]
 *
 * The engine interface has no function for it: engines know it as the packets of
 * the binary protocol, so it is handed one.
 */
#include "ascii.h"

#include <arpa/inet.h>
#include <string.h>

#define GAT_FLAGS_BYTES 4

/* A packet as engines await it: 8-aligned, header, extras, key. */
struct packet {
    _Alignas(8) protocol_binary_request_header header;
    uint32_t expiration;
    char key[KEY_BYTES_MAX];
};

_Static_assert(offsetof(struct packet, key) == HEADER_BYTES + 4, "nothing lies between");

/* What comes of the engine's answer. */
struct touch_answer {
    const struct word *key;
    bool with_value;
    /* The last one was it. */
    bool given;
    uint16_t status;
};

static bool take_answer(const void *key, uint16_t keylen, const void *ext, uint8_t extlen,
                        const void *body, uint32_t bodylen, uint8_t datatype, uint16_t status,
                        uint64_t cas, const void *cookie) {
    struct conn *c = (struct conn *)(uintptr_t)cookie;
    struct touch_answer *answer = c->touch;
    uint32_t flags = 0;

    (void)key;
    (void)keylen;
    (void)datatype;
    answer->given = true;
    answer->status = status;
    if (status != PROTOCOL_BINARY_RESPONSE_SUCCESS || !answer->with_value) {
        return true;
    }
    if (extlen == GAT_FLAGS_BYTES) {
        memcpy(&flags, ext, GAT_FLAGS_BYTES);
    }
    ascii_value_line(c, answer->key, ntohl(flags), bodylen, cas);
    output_copy(&c->out, body, bodylen);
    output_text(&c->out, "\r\n");
    return !c->out.failed;
}

/* SUCCESS: answer says what the engine answered. */
static ENGINE_ERROR_CODE call_engine(struct conn *c, uint8_t opcode, rel_time_t exptime,
                                     struct touch_answer *answer) {
    const struct server *server = c->worker->server;
    const struct word *key = answer->key;
    struct packet packet = {.expiration = htonl(exptime)};

    if (server->v1->unknown_command == NULL) {
        return ENGINE_ENOTSUP;
    }
    packet.header.request.magic = PROTOCOL_BINARY_REQ;
    packet.header.request.opcode = opcode;
    packet.header.request.keylen = htons((uint16_t)key->length);
    packet.header.request.extlen = sizeof(packet.expiration);
    packet.header.request.bodylen = htonl((uint32_t)(sizeof(packet.expiration) + key->length));
    memcpy(packet.key, key->text, key->length);
    c->touch = answer;
    ENGINE_ERROR_CODE code =
        server->v1->unknown_command(server->handle, c, &packet.header, take_answer);
    c->touch = NULL;
    if (code == ENGINE_SUCCESS && answer->given &&
        answer->status == PROTOCOL_BINARY_RESPONSE_UNKNOWN_COMMAND) {
        return ENGINE_ENOTSUP;
    }
    return code;
}

ENGINE_ERROR_CODE ascii_gat(struct conn *c, const struct word *key, bool *hit) {
    struct touch_answer answer = {.key = key, .with_value = true};
    ENGINE_ERROR_CODE code = call_engine(c, PROTOCOL_BINARY_CMD_GAT, c->get.exptime, &answer);

    *hit =
        code == ENGINE_SUCCESS && answer.given && answer.status == PROTOCOL_BINARY_RESPONSE_SUCCESS;
    return code;
}

static const char *touch_reply(ENGINE_ERROR_CODE code, const struct touch_answer *answer) {
    if (code == ENGINE_ENOTSUP) {
        return "SERVER_ERROR not supported\r\n";
    }
    if (code != ENGINE_SUCCESS || !answer->given) {
        return "SERVER_ERROR internal\r\n";
    }
    switch (answer->status) {
    case PROTOCOL_BINARY_RESPONSE_SUCCESS:
        return "TOUCHED\r\n";
    case PROTOCOL_BINARY_RESPONSE_KEY_ENOENT:
        return "NOT_FOUND\r\n";
    case PROTOCOL_BINARY_RESPONSE_KEY_EEXISTS:
        return "EXISTS\r\n";
    case PROTOCOL_BINARY_RESPONSE_NOT_MY_VBUCKET:
        return "SERVER_ERROR not my vbucket\r\n";
    case PROTOCOL_BINARY_RESPONSE_ENOMEM:
        return "SERVER_ERROR out of memory\r\n";
    case PROTOCOL_BINARY_RESPONSE_ETMPFAIL:
        return "SERVER_ERROR temporary failure\r\n";
    case PROTOCOL_BINARY_RESPONSE_NOT_SUPPORTED:
        return "SERVER_ERROR not supported\r\n";
    default:
        return "SERVER_ERROR internal\r\n";
    }
}

enum outcome ascii_touch(struct conn *c, const struct line *line) {
    struct touch_answer answer = {.key = &line->words[1]};
    rel_time_t exptime = 0;
    size_t count = ascii_take_noreply(c, line, 3);

    if (count < 3 || count > 4) {
        return ascii_finish(c, line, "ERROR\r\n");
    }
    if (answer.key->length > KEY_BYTES_MAX) {
        return ascii_finish(c, line, BAD_FORMAT);
    }
    if (!ascii_exptime(c, &line->words[2], &exptime)) {
        return ascii_finish(c, line, BAD_EXPTIME);
    }
    ENGINE_ERROR_CODE code = conn_take_status(c);
    if (code == ENGINE_SUCCESS) {
        code = call_engine(c, PROTOCOL_BINARY_CMD_TOUCH, exptime, &answer);
    }
    if (code == ENGINE_EWOULDBLOCK) {
        conn_engine_blocked(c);
        return OUTCOME_BLOCKED;
    }
    if (code == ENGINE_DISCONNECT) {
        return OUTCOME_CLOSE;
    }
    stats_count_touch(c,
                      code == ENGINE_SUCCESS && answer.status == PROTOCOL_BINARY_RESPONSE_SUCCESS);
    return ascii_finish(c, line, touch_reply(code, &answer));
}
