/*
 * The binary protocol: the header of a request.
 */
#include "binary.h"

#include <arpa/inet.h>
#include <endian.h>

/* The loud variant of a quiet opcode. */
static uint8_t loud_opcode(uint8_t opcode) {
    switch (opcode) {
    case PROTOCOL_BINARY_CMD_GETQ:
        return PROTOCOL_BINARY_CMD_GET;
    case PROTOCOL_BINARY_CMD_GETKQ:
        return PROTOCOL_BINARY_CMD_GETK;
    case PROTOCOL_BINARY_CMD_SETQ:
        return PROTOCOL_BINARY_CMD_SET;
    case PROTOCOL_BINARY_CMD_ADDQ:
        return PROTOCOL_BINARY_CMD_ADD;
    case PROTOCOL_BINARY_CMD_REPLACEQ:
        return PROTOCOL_BINARY_CMD_REPLACE;
    case PROTOCOL_BINARY_CMD_DELETEQ:
        return PROTOCOL_BINARY_CMD_DELETE;
    case PROTOCOL_BINARY_CMD_INCREMENTQ:
        return PROTOCOL_BINARY_CMD_INCREMENT;
    case PROTOCOL_BINARY_CMD_DECREMENTQ:
        return PROTOCOL_BINARY_CMD_DECREMENT;
    case PROTOCOL_BINARY_CMD_QUITQ:
        return PROTOCOL_BINARY_CMD_QUIT;
    case PROTOCOL_BINARY_CMD_FLUSHQ:
        return PROTOCOL_BINARY_CMD_FLUSH;
    case PROTOCOL_BINARY_CMD_APPENDQ:
        return PROTOCOL_BINARY_CMD_APPEND;
    case PROTOCOL_BINARY_CMD_PREPENDQ:
        return PROTOCOL_BINARY_CMD_PREPEND;
    default:
        return opcode;
    }
}

struct bin_request bin_request_of(struct conn *c) {
    const protocol_binary_request_header *h = &c->request;
    struct bin_request r = {
        .opcode = h->request.opcode,
        .command = loud_opcode(h->request.opcode),
        .keylen = ntohs(h->request.keylen),
        .extlen = h->request.extlen,
        .vbucket = ntohs(h->request.vbucket),
        .bodylen = ntohl(h->request.bodylen),
        .cas = be64toh(h->request.cas),
    };

    r.quiet = r.command != r.opcode;
    if (c->state == CONN_COMMAND) {
        size_t head = (size_t)r.extlen + r.keylen;
        r.extras = conn_input(c) + HEADER_BYTES;
        r.key = r.extras + r.extlen;
        r.value = r.key + r.keylen;
        r.valuelen = r.bodylen > head ? r.bodylen - head : 0;
    }
    return r;
}
