#include "operator.h"

static void must_succeed(const struct client *c, uint8_t opcode, const char *name) {
    struct reply r;
    const uint16_t status = command(c, opcode, &r);
    CHECK_MSG(status == ST_SUCCESS, "%s: 0x%x %s", name, (unsigned)status, r.body);
    CHECK_UINT(1, r.count);
}

void must_start(const struct client *c) {
    must_succeed(c, OP_UPDATE_START, "START");
}

void must_complete(const struct client *c) {
    must_succeed(c, OP_UPDATE_COMPLETE, "COMPLETE");
}

void must_revert(const struct client *c) {
    must_succeed(c, OP_UPDATE_REVERT, "REVERT");
}

void must_refuse_update(const struct client *c, uint8_t opcode) {
    struct reply r;
    CHECK_INT(ST_NOT_SUPPORTED, command(c, opcode, &r));
    CHECK_UINT(1, r.count);
    CHECK_NE(0, r.body_length);
}
