/*
 * What all test suites share: short forms of the engine's functions that fill in what a test does
 * not care about, a packet builder for unknown_command, statistics, temporary directories.
 *
 * Nothing here relies on more than the hosts' test harness, so a suite runs under a real host's
 * test program too. `ext` is NULL there (harness/ext.h). Helpers whose name begins with must_ end
 * the test when the engine does not do what is asked; the others return its answer.
 */
#ifndef CH_TESTS_SUPPORT_H
#define CH_TESTS_SUPPORT_H

#include <memcached/engine.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "check.h"
#include "ext.h"
#include "list.h"
#include "suite_abi.h"

/* Short names for what the tests send and expect. */
enum {
    OP_TOUCH = PROTOCOL_BINARY_CMD_TOUCH,
    OP_GAT = PROTOCOL_BINARY_CMD_GAT,
    OP_GATQ = PROTOCOL_BINARY_CMD_GATQ,
    OP_SET_VBUCKET = PROTOCOL_BINARY_CMD_SET_VBUCKET,
    OP_GET_VBUCKET = PROTOCOL_BINARY_CMD_GET_VBUCKET,
    OP_DEL_VBUCKET = PROTOCOL_BINARY_CMD_DEL_VBUCKET,
    OP_STOP_PERSISTENCE = PROTOCOL_BINARY_CMD_STOP_PERSISTENCE,
    OP_START_PERSISTENCE = PROTOCOL_BINARY_CMD_START_PERSISTENCE,
    OP_SET_FLUSH_PARAM = PROTOCOL_BINARY_CMD_SET_FLUSH_PARAM,
    OP_SET_TAP_PARAM = PROTOCOL_BINARY_CMD_SET_TAP_PARAM,
    OP_EVICT_KEY = PROTOCOL_BINARY_CMD_EVICT_KEY,
    OP_GET_LOCKED = PROTOCOL_BINARY_CMD_GET_LOCKED,
    OP_UNLOCK_KEY = PROTOCOL_BINARY_CMD_UNLOCK_KEY,
    OP_SYNC = PROTOCOL_BINARY_CMD_SYNC,
    OP_UPDATE_START = PROTOCOL_BINARY_CMD_ONLINE_UPDATE_START,
    OP_UPDATE_COMPLETE = PROTOCOL_BINARY_CMD_ONLINE_UPDATE_COMPLETE,
    OP_UPDATE_REVERT = PROTOCOL_BINARY_CMD_ONLINE_UPDATE_REVERT,

    ST_SUCCESS = PROTOCOL_BINARY_RESPONSE_SUCCESS,
    ST_KEY_ENOENT = PROTOCOL_BINARY_RESPONSE_KEY_ENOENT,
    ST_EINVAL = PROTOCOL_BINARY_RESPONSE_EINVAL,
    ST_NOT_MY_VBUCKET = PROTOCOL_BINARY_RESPONSE_NOT_MY_VBUCKET,
    ST_UNKNOWN_COMMAND = PROTOCOL_BINARY_RESPONSE_UNKNOWN_COMMAND,
    ST_NOT_SUPPORTED = PROTOCOL_BINARY_RESPONSE_NOT_SUPPORTED,
    ST_ETMPFAIL = PROTOCOL_BINARY_RESPONSE_ETMPFAIL,
    ST_NONE = 0xffff, /* no reply was sent */

    VB_ACTIVE = vbucket_state_active,
    VB_REPLICA = vbucket_state_replica,
    VB_PENDING = vbucket_state_pending,
    VB_DEAD = vbucket_state_dead
};

enum {
    KEY_MAX = 250,
    VALUE_ROOM = 4096
};

/* The suite's copies of what the harness gave it. Set before any test runs, never changed after. */
struct suite_context {
    suite_harness harness;
    const struct ch_ext *ext;
};
const struct suite_context *suite(void);

/* Who speaks to which engine. Copied freely; owns nothing. */
struct client {
    ENGINE_HANDLE *h;
    ENGINE_HANDLE_V1 *v1;
    const void *cookie;
    uint16_t vbucket;
};

/* A copy of a stored item. `bytes` holds the first VALUE_ROOM bytes. */
struct value {
    size_t length;
    uint32_t flags;
    uint32_t exptime;
    uint64_t cas;
    char bytes[VALUE_ROOM + 1];
};

/*
 * One reply of unknown_command. `count` is the number of replies sent, the rest is the first one.
 */
struct reply {
    unsigned count;
    uint16_t status;
    uint64_t cas;
    size_t ext_length;
    size_t body_length;
    unsigned char ext[64];
    char body[VALUE_ROOM + 1];
};

/* A request packet in parts. */
struct request {
    uint8_t opcode;
    uint16_t vbucket;
    uint64_t cas;
    const void *ext;
    size_t ext_length;
    const void *key;
    size_t key_length;
    const void *body;
    size_t body_length;
};

/* A store with everything said. */
struct put {
    ENGINE_STORE_OPERATION operation;
    const char *key;
    size_t key_length; /* 0: up to the NUL */
    const void *bytes;
    size_t length;
    uint32_t flags;
    uint32_t exptime;
    uint64_t cas;
};

struct client client_new(ENGINE_HANDLE *h, ENGINE_HANDLE_V1 *h1);
void client_free(struct client *client);

ENGINE_ERROR_CODE put(const struct client *c, const struct put *p, uint64_t *cas);
ENGINE_ERROR_CODE set(const struct client *c, const char *key, const char *value);
ENGINE_ERROR_CODE store_op(const struct client *c, ENGINE_STORE_OPERATION op, const char *key,
                           const char *value);
ENGINE_ERROR_CODE get_copy(const struct client *c, const char *key, struct value *out);
ENGINE_ERROR_CODE get_code(const struct client *c, const char *key);
ENGINE_ERROR_CODE remove_key(const struct client *c, const char *key, uint64_t cas);
/* As the binary protocol asks: exptime 0xffffffff means do not create. */
ENGINE_ERROR_CODE arith(const struct client *c, const char *key, bool increment, uint64_t delta,
                        uint64_t initial, uint32_t exptime, uint64_t *result);

void must_set(const struct client *c, const char *key, const char *value);
void must_hold(const struct client *c, const char *key, const char *value);
void must_miss(const struct client *c, const char *key);
void must_remove(const struct client *c, const char *key);

/* Sends one request; the engine's return code is checked to be SUCCESS. */
void send_request(const struct client *c, const struct request *request, struct reply *reply);
/* Sends raw bytes as they are; returns the engine's code. */
ENGINE_ERROR_CODE send_raw(const struct client *c, const void *packet, struct reply *reply);
/* Opcode and vbucket only; returns the status. */
uint16_t command(const struct client *c, uint8_t opcode, struct reply *reply);
uint16_t set_state(const struct client *c, uint16_t vbucket, uint32_t state);
void must_state(const struct client *c, uint16_t vbucket, uint32_t state);
/* touch or GAT with a key. */
uint16_t touch(const struct client *c, uint8_t opcode, const char *key, uint32_t exptime,
               struct reply *reply);

/* Statistics. `group` NULL means all. False / fallback when the name is not there. */
bool stat_text(const struct client *c, const char *group, const char *name, char *out, size_t room);
uint64_t stat_number(const struct client *c, const char *group, const char *name,
                     uint64_t fallback);
bool stat_is(const struct client *c, const char *group, const char *name, const char *text);
size_t stat_count(const struct client *c, const char *group, ENGINE_ERROR_CODE *code);

/* Waits until nothing is left to write to disk; fails the test after a minute. */
void must_drain(const struct client *c);
void sleep_ms(unsigned milliseconds);
uint64_t now_ms(void);

/* Destroys the engine and starts it again with this test's own configuration. */
void restart(struct client *c);

/* The running test's configuration, its directory ("" when it keeps nothing on disk), and the
 * directory of the whole suite. */
const char *test_cfg(void);
const char *test_dir(void);
const char *suite_dir(void);

/* A number of keys "<prefix><n>", with values that depend on n and on a round. */
void key_name(char *out, size_t room, const char *prefix, unsigned n);
void value_text(char *out, size_t room, unsigned n, unsigned round);
void must_set_range(const struct client *c, const char *prefix, unsigned from, unsigned to,
                    unsigned round);
void must_hold_range(const struct client *c, const char *prefix, unsigned from, unsigned to,
                     unsigned round);
void must_miss_range(const struct client *c, const char *prefix, unsigned from, unsigned to);
void must_remove_range(const struct client *c, const char *prefix, unsigned from, unsigned to);

/* Joins a thread; fails the test if it is still running after `seconds`. */
struct background;
struct background *background_start(void (*body)(void *), void *argument);
bool background_done(struct background *thread);
void background_join(struct background *thread, unsigned seconds);

#define TEST(name) enum test_result test_##name(ENGINE_HANDLE *h, ENGINE_HANDLE_V1 *h1)

#define NEEDS_EXT()                                                                                \
    do {                                                                                           \
        if (suite()->ext == NULL) {                                                                \
            return SKIPPED;                                                                        \
        }                                                                                          \
    } while (0)

#endif
