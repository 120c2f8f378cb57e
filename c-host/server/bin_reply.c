/*
 * Replies of the binary protocol, and which engine result gives which status.
 */
#include "binary.h"

#include <arpa/inet.h>
#include <endian.h>
#include <string.h>

#define ERROR_TEXT_BYTES_MAX 1021

/* Results in the order of the columns below. */
enum row {
    ROW_COUNT = 16,
    ROW_OTHER = 15
};

/* Real hosts abort here; see bin_status. */
#define ABORT 0xfffe
#define CLOSE BIN_STATUS_CLOSE

/* Columns: codes 0x00 to 0x0e, then FAILED and everything unknown. */
static const uint16_t status_table[BIN_CALL_COUNT][ROW_COUNT] = {
    [BIN_CALL_GET] = {0x00, 0x01, ABORT, ABORT, ABORT, ABORT, 0x83, ABORT, ABORT, ABORT, CLOSE,
                      ABORT, 0x07, 0x86, ABORT, ABORT},
    [BIN_CALL_STORE] = {0x00, 0x01, 0x02, 0x82, 0x05, 0x05, 0x83, ABORT, 0x05, 0x05, CLOSE, 0x05,
                        0x07, 0x86, 0x05, 0x05},
    [BIN_CALL_STORE_ADD] = {0x00, 0x01, 0x02, 0x82, 0x02, 0x02, 0x83, ABORT, 0x02, 0x02, CLOSE,
                            0x02, 0x07, 0x86, 0x02, 0x02},
    [BIN_CALL_STORE_REPLACE] = {0x00, 0x01, 0x02, 0x82, 0x01, 0x01, 0x83, ABORT, 0x01, 0x01, CLOSE,
                                0x01, 0x07, 0x86, 0x01, 0x01},
    [BIN_CALL_ALLOCATE] = {0x84, 0x82, 0x82, 0x82, 0x82, 0x82, 0x82, ABORT, 0x03, 0x82, CLOSE, 0x82,
                           0x82, 0x82, 0x82, 0x82},
    [BIN_CALL_REMOVE] = {0x00, 0x01, 0x02, 0x04, 0x04, 0x04, 0x04, ABORT, 0x04, 0x04, 0x04, 0x04,
                         0x07, 0x04, 0x04, 0x04},
    [BIN_CALL_ARITHMETIC] = {0x00, 0x01, 0x02, 0x82, 0x05, 0x06, 0x83, ABORT, ABORT, ABORT, CLOSE,
                             ABORT, 0x07, 0x86, ABORT, ABORT},
    [BIN_CALL_FLUSH] = {0x00, 0x04, 0x04, 0x04, 0x04, 0x04, 0x83, 0x04, 0x04, 0x04, 0x04, 0x04,
                        0x04, 0x04, 0x04, 0x04},
    [BIN_CALL_STATS] = {0x00, 0x01, 0x04, 0x82, 0x04, 0x04, 0x83, ABORT, 0x04, 0x04, CLOSE, 0x04,
                        0x04, 0x86, 0x04, 0x04},
    [BIN_CALL_UNKNOWN] = {0x00, 0x01, 0x02, 0x82, 0x05, 0x04, 0x83, ABORT, 0x03, 0x84, CLOSE, 0x84,
                          0x07, 0x86, 0x22, 0x84},
    [BIN_CALL_TAP] = {0x00, 0x01, 0x02, 0x82, 0x05, 0x04, 0x83, ABORT, 0x03, 0x84, CLOSE, 0x84,
                      0x07, 0x86, 0x84, 0x84},
};

static const char *const call_names[BIN_CALL_COUNT] = {
    [BIN_CALL_GET] = "get",
    [BIN_CALL_STORE] = "store",
    [BIN_CALL_STORE_ADD] = "store",
    [BIN_CALL_STORE_REPLACE] = "store",
    [BIN_CALL_ALLOCATE] = "allocate",
    [BIN_CALL_REMOVE] = "remove",
    [BIN_CALL_ARITHMETIC] = "arithmetic",
    [BIN_CALL_FLUSH] = "flush",
    [BIN_CALL_STATS] = "get_stats",
    [BIN_CALL_UNKNOWN] = "unknown_command",
    [BIN_CALL_TAP] = "tap_notify",
};

/* What hosts of the Membase branch do with results of unknown_command. */
static uint16_t membase_unknown_status(ENGINE_ERROR_CODE code) {
    if (code == ENGINE_SUCCESS) {
        return PROTOCOL_BINARY_RESPONSE_SUCCESS;
    }
    return code == ENGINE_ENOTSUP ? PROTOCOL_BINARY_RESPONSE_UNKNOWN_COMMAND : CLOSE;
}

uint16_t bin_status(struct conn *c, enum bin_call call, ENGINE_ERROR_CODE code) {
    const struct server *server = c->worker->server;
    unsigned row = (unsigned)code;

    if (call == BIN_CALL_UNKNOWN && server->settings.layout == CH_LAYOUT_MEMBASE) {
        return membase_unknown_status(code);
    }
    uint16_t status = status_table[call][row < ROW_OTHER ? row : ROW_OTHER];
    if (status == ABORT || (call == BIN_CALL_GET && code == ENGINE_TMPFAIL)) {
        log_provoked(c->worker->server, EXTENSION_LOG_WARNING, c,
                     "The engine's %s returned %s (0x%02x); real hosts abort here",
                     call_names[call], ch_error_name(code), (unsigned)code);
    }
    return status == ABORT ? PROTOCOL_BINARY_RESPONSE_EINTERNAL : status;
}

static const char *status_text(uint16_t status) {
    switch (status) {
    case PROTOCOL_BINARY_RESPONSE_KEY_ENOENT:
        return "Not found";
    case PROTOCOL_BINARY_RESPONSE_KEY_EEXISTS:
        return "Data exists for key";
    case PROTOCOL_BINARY_RESPONSE_E2BIG:
        return "Too large";
    case PROTOCOL_BINARY_RESPONSE_EINVAL:
        return "Invalid arguments";
    case PROTOCOL_BINARY_RESPONSE_NOT_STORED:
        return "Not stored";
    case PROTOCOL_BINARY_RESPONSE_DELTA_BADVAL:
        return "Not a number";
    case PROTOCOL_BINARY_RESPONSE_NOT_MY_VBUCKET:
        return "Not my vbucket";
    case PROTOCOL_BINARY_RESPONSE_ERANGE:
        return "Out of range";
    case PROTOCOL_BINARY_RESPONSE_UNKNOWN_COMMAND:
        return "Unknown command";
    case PROTOCOL_BINARY_RESPONSE_ENOMEM:
        return "Out of memory";
    case PROTOCOL_BINARY_RESPONSE_NOT_SUPPORTED:
        return "Not supported";
    case PROTOCOL_BINARY_RESPONSE_EBUSY:
        return "Busy";
    case PROTOCOL_BINARY_RESPONSE_ETMPFAIL:
        return "Temporary failure";
    default:
        return "Internal error";
    }
}

uint64_t bin_net64(uint64_t value) {
    return htobe64(value);
}

/* Header for a packet of which more_bytes of the body follow later. */
void bin_reply_header(struct conn *c, const struct bin_reply *reply, size_t more_bytes) {
    protocol_binary_response_header header = {0};
    size_t bodylen = reply->extlen + (size_t)reply->keylen + reply->bodylen + more_bytes;

    header.response.magic = PROTOCOL_BINARY_RES;
    header.response.opcode = c->request.request.opcode;
    header.response.keylen = htons(reply->keylen);
    header.response.extlen = reply->extlen;
    header.response.datatype = reply->datatype;
    header.response.status = htons(reply->status);
    header.response.bodylen = htonl((uint32_t)bodylen);
    header.response.opaque = c->request.request.opaque;
    header.response.cas = htobe64(reply->cas);
    output_copy(&c->out, header.bytes, sizeof(header.bytes));
}

void bin_reply(struct conn *c, const struct bin_reply *reply) {
    bin_reply_header(c, reply, 0);
    output_copy(&c->out, reply->extras, reply->extlen);
    output_copy(&c->out, reply->key, reply->keylen);
    output_copy(&c->out, reply->body, reply->bodylen);
}

/* Success without a body, or an error with its text and the engine's. */
void bin_reply_status(struct conn *c, uint16_t status) {
    const struct server *server = c->worker->server;
    char text[ERROR_TEXT_BYTES_MAX + 3];

    if (status == PROTOCOL_BINARY_RESPONSE_SUCCESS) {
        bin_reply(c, &(struct bin_reply){.status = status});
        return;
    }
    size_t length = strlen(status_text(status));
    memcpy(text, status_text(status), length);
    if (server->v1->errinfo != NULL) {
        size_t room = ERROR_TEXT_BYTES_MAX - length;
        size_t added = server->v1->errinfo(server->handle, c, text + length + 2, room);
        if (added > 0) {
            memcpy(text + length, ": ", 2);
            length += 2 + (added < room ? added : room);
        }
    }
    bin_reply(c, &(struct bin_reply){.status = status, .body = text, .bodylen = (uint32_t)length});
}

enum outcome bin_fail(struct conn *c, enum bin_call call, ENGINE_ERROR_CODE code, uint64_t rest) {
    uint16_t status = bin_status(c, call, code);

    if (status == BIN_STATUS_CLOSE) {
        return OUTCOME_CLOSE;
    }
    bin_reply_status(c, status);
    conn_swallow(c, rest, CONN_COMMAND);
    return OUTCOME_DONE;
}

enum outcome bin_refuse(struct conn *c, uint16_t status) {
    bin_reply_status(c, status);
    conn_swallow(c, HEADER_BYTES + (uint64_t)ntohl(c->request.request.bodylen), CONN_COMMAND);
    return OUTCOME_DONE;
}
