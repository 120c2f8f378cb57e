/*
 * The binary protocol, shared by its parts.
 */
#ifndef ENGINE_HOST_BINARY_H
#define ENGINE_HOST_BINARY_H

#include "server.h"

/* Which engine function a result code came from. */
enum bin_call {
    BIN_CALL_GET,
    BIN_CALL_STORE,
    BIN_CALL_STORE_ADD,
    BIN_CALL_STORE_REPLACE,
    BIN_CALL_ALLOCATE,
    BIN_CALL_REMOVE,
    BIN_CALL_ARITHMETIC,
    BIN_CALL_FLUSH,
    BIN_CALL_STATS,
    BIN_CALL_UNKNOWN,
    BIN_CALL_TAP,
    BIN_CALL_COUNT
};

/* Instead of a status: close without a reply. */
#define BIN_STATUS_CLOSE 0xffff

/* The current request in host order; extras and key point into the input. */
struct bin_request {
    uint8_t opcode;
    /* The loud variant of opcode. */
    uint8_t command;
    bool quiet;
    uint16_t keylen;
    uint8_t extlen;
    uint16_t vbucket;
    uint32_t bodylen;
    uint64_t cas;
    const char *extras;
    const char *key;
    /* Behind the key; only there when the whole packet was awaited. */
    const char *value;
    size_t valuelen;
};

/* One reply packet but for opcode and opaque. */
struct bin_reply {
    uint16_t status;
    uint8_t datatype;
    uint64_t cas;
    const void *extras;
    uint8_t extlen;
    const void *key;
    uint16_t keylen;
    const void *body;
    uint32_t bodylen;
};

/* bin_request.c: reads conn.request; pointers are into the input and go stale with it. */
struct bin_request bin_request_of(struct conn *c);

/* bin_reply.c */
void bin_reply(struct conn *c, const struct bin_reply *reply);
void bin_reply_header(struct conn *c, const struct bin_reply *reply, size_t more_bytes);
void bin_reply_status(struct conn *c, uint16_t status);
uint16_t bin_status(struct conn *c, enum bin_call call, ENGINE_ERROR_CODE code);
uint64_t bin_net64(uint64_t value);

/*
 * Ends a failed command: maps the code, answers or closes. rest is what is left
 * of the packet in the input or on the wire.
 */
enum outcome bin_fail(struct conn *c, enum bin_call call, ENGINE_ERROR_CODE code, uint64_t rest);

/* Answers with status and drops the packet, wherever it stands in the input. */
enum outcome bin_refuse(struct conn *c, uint16_t status);

/* bin_store.c */
enum outcome bin_store_begin(struct conn *c, const struct bin_request *r);

/* bin_stats.c */
enum outcome bin_stats(struct conn *c, const struct bin_request *r);

/* tap.c: a complete request; an answer to one of our events, perhaps not all there yet */
enum outcome tap_request(struct conn *c, const struct bin_request *r);
enum outcome tap_response(struct conn *c, const struct bin_request *r);
/* Whether the packet is an event whose sender would not learn that it was refused. */
bool tap_goes_unanswered(const struct conn *c, const struct bin_request *r);

#endif
