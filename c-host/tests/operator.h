/* Online update as an operator sees it. Every function ends the test if the answer is not the one
 * in its name. */
#ifndef CH_TESTS_OPERATOR_H
#define CH_TESTS_OPERATOR_H

#include "support.h"

void must_start(const struct client *c);
void must_complete(const struct client *c);
void must_revert(const struct client *c);
/* 0x83, with a body that says why. */
void must_refuse_update(const struct client *c, uint8_t opcode);

#endif
