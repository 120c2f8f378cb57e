/*
 * TAP, opcodes 0x40 to 0x47: not yet supported.
 *
 * The two functions are where TAP comes in. tap_request gets complete packets;
 * tap_response gets the acknowledgements of a consumer, packets with response
 * magic, which only make sense on a connection that became a stream.
 */
#include "binary.h"

enum outcome tap_request(struct conn *c, const struct bin_request *r) {
    (void)r;
    return bin_refuse(c, PROTOCOL_BINARY_RESPONSE_NOT_SUPPORTED);
}

enum outcome tap_response(struct conn *c, const struct bin_request *r) {
    (void)c;
    (void)r;
    return OUTCOME_CLOSE;
}
