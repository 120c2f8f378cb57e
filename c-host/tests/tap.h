/*
 * TAP in a test: a stream of the engine under test, and what carries it into another instance.
 *
 * A stream has a cookie of its own. Of an item the first bytes of key and value are copied, and the
 * item is released at once.
 */
#ifndef CH_TESTS_TAP_H
#define CH_TESTS_TAP_H

#include "support.h"

enum {
    TAP_KEY_ROOM = KEY_MAX + 1,
    TAP_ENGINE_ROOM = 32,
    TAP_SECONDS = 30
};

/* An end of a stream, or of where its events go. */
struct tap {
    struct client c;
    TAP_ITERATOR next;
};

struct tap_message {
    tap_event_t event;
    uint16_t vbucket;
    uint16_t flags;
    uint32_t seqno;
    uint8_t ttl;
    uint16_t nengine;
    unsigned char engine[TAP_ENGINE_ROOM];
    uint16_t nkey;
    char key[TAP_KEY_ROOM];
    struct value value;
};

/* A stream of one vbucket with acks, checkpoints and a backfill of all there is. */
bool tap_open(const struct client *base, const char *name, uint64_t closed_checkpoint,
              struct tap *tap);

/* A stream with flags and user data of the test's own. */
bool tap_open_raw(const struct client *base, const char *name, uint32_t flags, const void *data,
                  size_t length, struct tap *tap);

/* What a host does when the client hung up. */
void tap_close(struct tap *tap);

/* Asks the iterator once. */
tap_event_t tap_next(const struct tap *tap, struct tap_message *message);

/* Asks until there is something; fails the test after TAP_SECONDS. */
void must_next(const struct tap *tap, struct tap_message *message);

/* The consumer's answer to a message; SUCCESS acknowledges. */
ENGINE_ERROR_CODE tap_answer(const struct tap *tap, const struct tap_message *message,
                             uint16_t status);

/* Answers with success if the message asks for an answer. */
void tap_ack(const struct tap *tap, const struct tap_message *message);

/* Skips and acknowledges until this event comes (an OPAQUE with `code` unless that is negative). */
void must_reach(const struct tap *tap, tap_event_t event, int code, struct tap_message *message);

/* The code of an OPAQUE or the state of a VBUCKET_SET; negative if it has none. */
int tap_code(const struct tap_message *message);

/* The id of a checkpoint message. */
uint64_t tap_checkpoint(const struct tap_message *message);

/* Gives a message to a consumer as a host does, and returns what it says. */
ENGINE_ERROR_CODE tap_deliver(const struct client *to, const struct tap_message *message);

/* Delivers and answers what comes, until `reached` is true; fails the test after TAP_SECONDS. */
void must_carry(const struct tap *from, const struct client *to,
                bool (*reached)(const struct client *to));

#endif
