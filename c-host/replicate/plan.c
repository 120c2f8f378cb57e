/* What is replicated from where on: questions to both servers, and the connect request. */
#include "replicate.h"

#include <memcached/types.h>

#include <arpa/inet.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Stands for a state: nothing is left to do. */
#define TAKEN UINT32_MAX

/* Code of an OPAQUE event. */
enum { OPAQUE_BACKFILL_BEGINS = 1 };

/* Which ids a list has: to look it through for each would take the square of its length. */
struct listed {
    bool ids[UINT16_MAX + 1];
};

static bool add(struct vbuckets *vbuckets, struct listed *listed, unsigned long id) {
    if (id > UINT16_MAX) {
        return false;
    }
    if (listed->ids[id]) {
        return true;
    }
    if (vbuckets->count == VBUCKETS_MAX) {
        return false;
    }
    listed->ids[id] = true;
    vbuckets->ids[vbuckets->count++] = (uint16_t)id;
    return true;
}

static bool number(const char **at, unsigned long *out) {
    char *end;
    if (**at < '0' || **at > '9') {
        return false;
    }
    *out = strtoul(*at, &end, 10);
    *at = end;
    return *out <= UINT16_MAX;
}

bool vbuckets_parse(const char *text, struct vbuckets *vbuckets) {
    const char *at = text;
    struct listed listed = {{false}};
    vbuckets->count = 0;
    for (;;) {
        unsigned long first;
        if (!number(&at, &first)) {
            return false;
        }
        unsigned long last = first;
        if (*at == '-') {
            at++;
            if (!number(&at, &last) || last < first) {
                return false;
            }
        }
        for (unsigned long id = first; id <= last; id++) {
            if (!add(vbuckets, &listed, id)) {
                return false;
            }
        }
        if (*at == '\0') {
            return true;
        }
        if (*at++ != ',') {
            return false;
        }
    }
}

/* What a server cannot do now it may do later. */
enum outcome refusal(uint16_t status) {
    const bool passes =
        status == PROTOCOL_BINARY_RESPONSE_ETMPFAIL || status == PROTOCOL_BINARY_RESPONSE_EBUSY;
    return passes ? OUTCOME_LOST : OUTCOME_REFUSED;
}

/* The vbuckets that are active at a server; what to do, if it does not say that. */
static enum outcome ask_active(int fd, const struct server *server, const char *cure,
                               struct vbuckets *vbuckets) {
    struct answer answer;
    struct listed listed = {{false}};
    vbuckets->count = 0;
    if (!link_ask(fd, server, "vbucket")) {
        return OUTCOME_LOST;
    }
    for (;;) {
        if (!link_receive(fd, server, &answer)) {
            return OUTCOME_LOST;
        }
        if (answer.status != PROTOCOL_BINARY_RESPONSE_SUCCESS) {
            say("%s: stats vbucket: status 0x%02x; %s", server->text, answer.status, cure);
            return refusal(answer.status);
        }
        if (answer.keylen == 0) {
            return OUTCOME_DONE;
        }
        const char *name = answer.body + answer.extlen;
        const char *value = name + answer.keylen;
        if (answer.keylen > 3 && memcmp(name, "vb_", 3) == 0 && strcmp(value, "active") == 0) {
            (void)add(vbuckets, &listed, strtoul(name + 3, NULL, 10));
        }
    }
}

enum outcome plan_force(struct options *options, int destination) {
    static struct vbuckets active;
    if (!options->force || options->seen) {
        return OUTCOME_DONE;
    }
    const enum outcome outcome =
        ask_active(destination, &options->destination, "leave out -f", &active);
    for (size_t i = 0; i < active.count && outcome == OUTCOME_DONE; i++) {
        options->was_active[active.ids[i]] = true;
    }
    options->seen = outcome == OUTCOME_DONE;
    return outcome;
}

enum outcome plan_all_active(const struct options *options, int source, struct vbuckets *vbuckets) {
    const enum outcome outcome =
        ask_active(source, &options->source, "name the vbuckets", vbuckets);
    if (outcome == OUTCOME_DONE && vbuckets->count == 0) {
        say("%s: no vbucket is active there", options->source.text);
        return OUTCOME_LOST;
    }
    return outcome;
}

static const char *state_name(uint32_t state) {
    static const char *const names[] = {"?", "active", "replica", "pending", "dead"};
    return names[state < sizeof names / sizeof names[0] ? state : 0];
}

/* The state that a server has a vbucket in; 0 if it does not have it. */
static enum outcome look(int fd, const struct server *server, uint16_t vbucket, uint32_t *state) {
    struct answer answer;
    *state = 0;
    if (!link_call(fd, server, PROTOCOL_BINARY_CMD_GET_VBUCKET, vbucket, NULL, 0, &answer)) {
        return OUTCOME_LOST;
    }
    if (answer.status == PROTOCOL_BINARY_RESPONSE_NOT_MY_VBUCKET) {
        return OUTCOME_DONE;
    }
    if (answer.status != PROTOCOL_BINARY_RESPONSE_SUCCESS || answer.bodylen != sizeof *state) {
        say("%s: GET_VBUCKET %u: status 0x%02x", server->text, vbucket, answer.status);
        return refusal(answer.status);
    }
    memcpy(state, answer.body, sizeof *state);
    *state = ntohl(*state);
    return OUTCOME_DONE;
}

static enum outcome set_state(int fd, const struct server *server, uint16_t vbucket,
                              vbucket_state_t state) {
    const uint32_t wire = htonl(state);
    struct answer answer;
    if (!link_call(fd, server, PROTOCOL_BINARY_CMD_SET_VBUCKET, vbucket, &wire, sizeof wire,
                   &answer)) {
        return OUTCOME_LOST;
    }
    if (answer.status != PROTOCOL_BINARY_RESPONSE_SUCCESS) {
        say("%s: SET_VBUCKET %u to %s: status 0x%02x", server->text, vbucket, state_name(state),
            answer.status);
        return refusal(answer.status);
    }
    return OUTCOME_DONE;
}

/* The same on another connection: an answer may still be to come on the first one. */
static void set_state_anew(const struct server *server, uint16_t vbucket, vbucket_state_t state) {
    const int fd = link_open(server);
    if (fd >= 0) {
        (void)set_state(fd, server, vbucket, state);
        (void)close(fd);
    }
}

/*
 * Empties a replica at the destination as the first event of a backfill does. That ends its window
 * as well, which no other request of its node could: it would take all other vbuckets along.
 */
static enum outcome empty(int fd, const struct server *server, uint16_t vbucket) {
    const uint32_t code = htonl(OPAQUE_BACKFILL_BEGINS);
    protocol_binary_request_header header = {0};
    protocol_binary_tap_extras extras = {0};
    char packet[sizeof header + sizeof extras + sizeof code];
    struct answer answer;
    header.request.magic = PROTOCOL_BINARY_REQ;
    header.request.opcode = PROTOCOL_BINARY_CMD_TAP_OPAQUE;
    header.request.extlen = sizeof extras;
    header.request.vbucket = htons(vbucket);
    header.request.bodylen = htonl(sizeof extras + sizeof code);
    extras.enginespecific_length = htons(sizeof code);
    extras.flags = htons(TAP_FLAG_ACK);
    extras.ttl = UINT8_MAX;
    memcpy(packet, header.bytes, sizeof header);
    memcpy(packet + sizeof header, &extras, sizeof extras);
    memcpy(packet + sizeof header + sizeof extras, &code, sizeof code);
    if (!link_send(fd, server, packet, sizeof packet) || !link_receive(fd, server, &answer)) {
        return OUTCOME_LOST;
    }
    if (answer.status != PROTOCOL_BINARY_RESPONSE_SUCCESS) {
        say("%s: vbucket %u cannot be emptied: status 0x%02x", server->text, vbucket,
            answer.status);
        return refusal(answer.status);
    }
    return OUTCOME_DONE;
}

/*
 * Gives up the window of a dead vbucket: nobody may decide about it there any more. It is dead
 * afterwards also if that failed: the next attempt would take a replica for one that is as its
 * master left it, and it has a history of its own.
 */
static enum outcome discard_window(int fd, const struct server *server, uint16_t vbucket) {
    enum outcome outcome = set_state(fd, server, vbucket, vbucket_state_replica);
    if (outcome == OUTCOME_DONE) {
        outcome = empty(fd, server, vbucket);
    }
    if (outcome != OUTCOME_LOST) {
        const enum outcome dead = set_state(fd, server, vbucket, vbucket_state_dead);
        return outcome == OUTCOME_DONE ? dead : outcome;
    }
    set_state_anew(server, vbucket, vbucket_state_dead);
    return outcome;
}

/*
 * One that cannot be deleted gets its state back. The window of one that was active is its
 * operator's to decide; who made it dead has given it up.
 */
static enum outcome delete_dead(int fd, const struct server *server, uint16_t vbucket,
                                vbucket_state_t state) {
    struct answer answer;
    bool discarded = false;
    for (;;) {
        if (!link_call(fd, server, PROTOCOL_BINARY_CMD_DEL_VBUCKET, vbucket, NULL, 0, &answer)) {
            return OUTCOME_LOST;
        }
        if (answer.status == PROTOCOL_BINARY_RESPONSE_SUCCESS) {
            return OUTCOME_DONE;
        }
        /* It says so of a window, and of a store that cannot be written. */
        if (answer.status != PROTOCOL_BINARY_RESPONSE_ETMPFAIL || discarded ||
            state != vbucket_state_dead) {
            break;
        }
        const enum outcome outcome = discard_window(fd, server, vbucket);
        if (outcome != OUTCOME_DONE) {
            return outcome;
        }
        discarded = true;
    }
    say("%s: DEL_VBUCKET %u: status 0x%02x: %s", server->text, vbucket, answer.status,
        answer.body + answer.extlen + answer.keylen);
    (void)set_state(fd, server, vbucket, state);
    return refusal(answer.status);
}

/* Whether the source has something to put in the place of what the destination has. */
static enum outcome can_replace(const struct options *options, int source, uint16_t vbucket) {
    uint32_t state;
    const enum outcome outcome = look(source, &options->source, vbucket, &state);
    if (outcome == OUTCOME_DONE && (state == 0 || state == vbucket_state_dead)) {
        say("%s: vbucket %u is %s there: that of %s stays as it is", options->source.text, vbucket,
            state == 0 ? "not" : "dead", options->destination.text);
        return OUTCOME_REFUSED;
    }
    return outcome;
}

/*
 * Deletes a vbucket of the destination that has a history of its own: the source cannot continue
 * that, and would leave in it what it does not have itself. If both are one server, the source's
 * is dead now as well. One that cannot be replaced gets its state back: clients are refused while
 * it is dead, and the next attempt would take it for one that was given up, with its window.
 */
static enum outcome clear(const struct options *options, int source, int fd, uint16_t vbucket,
                          vbucket_state_t state) {
    const struct server *server = &options->destination;
    enum outcome outcome = can_replace(options, source, vbucket);
    if (outcome != OUTCOME_DONE) {
        return outcome;
    }
    outcome = set_state(fd, server, vbucket, vbucket_state_dead);
    if (outcome != OUTCOME_DONE) {
        set_state_anew(server, vbucket, state);
        return outcome;
    }
    outcome = can_replace(options, source, vbucket);
    if (outcome != OUTCOME_DONE) {
        (void)set_state(fd, server, vbucket, state);
        return outcome;
    }
    return delete_dead(fd, server, vbucket, state);
}

static enum outcome last_closed(const struct options *options, int fd, uint16_t vbucket,
                                uint64_t *out) {
    struct answer answer;
    if (!link_call(fd, &options->destination, PROTOCOL_BINARY_CMD_LAST_CLOSED_CHECKPOINT, vbucket,
                   NULL, 0, &answer)) {
        return OUTCOME_LOST;
    }
    if (answer.status != PROTOCOL_BINARY_RESPONSE_SUCCESS || answer.bodylen != sizeof *out) {
        say("%s: LAST_CLOSED_CHECKPOINT %u: status 0x%02x", options->destination.text, vbucket,
            answer.status);
        return refusal(answer.status);
    }
    memcpy(out, answer.body, sizeof *out);
    *out = be64toh(*out);
    return OUTCOME_DONE;
}

/* Takes a stream as it is. */
static bool follows(uint32_t state) {
    return state == vbucket_state_replica || state == vbucket_state_pending;
}

/*
 * *state becomes TAKEN if the destination has taken the vbucket over and the source has let go.
 * What the source does not have it cannot hand over: the stream would bring the others and never
 * be complete. Nor what it has as a replica, or pending in a takeover that was to bring it: its
 * master, or who hands it over, would own it as well as the destination.
 */
static enum outcome look_taken(const struct options *options, int source, uint16_t vbucket,
                               uint32_t *state) {
    uint32_t here;
    if (!options->takeover) {
        return OUTCOME_DONE;
    }
    const enum outcome outcome = look(source, &options->source, vbucket, &here);
    if (outcome != OUTCOME_DONE) {
        return outcome;
    }
    const bool gone = here == 0 || here == vbucket_state_dead;
    if (gone && *state == vbucket_state_active) {
        *state = TAKEN;
    } else if (here == 0) {
        say("%s: there is no vbucket %u to take over: nothing is moved", options->source.text,
            vbucket);
        return OUTCOME_REFUSED;
    } else if (here == vbucket_state_replica) {
        say("%s: vbucket %u is a replica there: nothing is moved; take it over from its master",
            options->source.text, vbucket);
        return OUTCOME_REFUSED;
    } else if (here == vbucket_state_pending) {
        say("%s: vbucket %u is pending there: nothing is moved; end the takeover that brings it, "
            "or make it active there if nobody else has it",
            options->source.text, vbucket);
        return OUTCOME_REFUSED;
    }
    return OUTCOME_DONE;
}

/* Whether force is not meant of a vbucket: who made it active since this began means it. */
static bool is_spared(const struct options *options, uint16_t vbucket, uint32_t state) {
    return state == vbucket_state_active && !options->was_active[vbucket];
}

static enum outcome look_all(const struct options *options, int source, int fd,
                             const struct vbuckets *vbuckets, uint32_t *states) {
    const struct server *server = &options->destination;
    for (size_t i = 0; i < vbuckets->count; i++) {
        const uint16_t id = vbuckets->ids[i];
        enum outcome outcome = look(fd, server, id, &states[i]);
        if (outcome == OUTCOME_DONE) {
            outcome = look_taken(options, source, id, &states[i]);
        }
        if (outcome != OUTCOME_DONE) {
            return outcome;
        }
        if (states[i] != 0 && states[i] != TAKEN && !follows(states[i]) && !options->force) {
            say("%s: vbucket %u is %s there; -f makes it a replica and deletes what it holds",
                server->text, id, state_name(states[i]));
            return OUTCOME_REFUSED;
        }
        if (is_spared(options, id, states[i])) {
            say("%s: vbucket %u is active there since -f was given: it stays as it is",
                server->text, id);
            return OUTCOME_REFUSED;
        }
    }
    return OUTCOME_DONE;
}

/* Whether an answer is the state of a vbucket's window, and one is open or being ended. */
static bool is_window(const struct answer *answer, uint16_t *vbucket) {
    static const char state[] = ":state";
    const size_t tail = sizeof state - 1;
    const char *name = answer->body + answer->extlen;
    const char *value = name + answer->keylen;
    if (answer->keylen <= 3 + tail || memcmp(name, "vb_", 3) != 0 ||
        memcmp(value - tail, state, tail) != 0 || strcmp(value, "none") == 0) {
        return false;
    }
    *vbucket = (uint16_t)strtoul(name + 3, NULL, 10);
    return true;
}

/* Which vbuckets of the destination have a window. An engine without such a group has none. */
static enum outcome look_windows(int fd, const struct server *server, bool *windows) {
    struct answer answer;
    uint16_t vbucket;
    if (!link_ask(fd, server, "onlineupdate-vb")) {
        return OUTCOME_LOST;
    }
    do {
        if (!link_receive(fd, server, &answer)) {
            return OUTCOME_LOST;
        }
        if (answer.status != PROTOCOL_BINARY_RESPONSE_SUCCESS) {
            if (refusal(answer.status) == OUTCOME_REFUSED) {
                return OUTCOME_DONE;
            }
            say("%s: stats onlineupdate-vb: status 0x%02x", server->text, answer.status);
            return OUTCOME_LOST;
        }
        if (is_window(&answer, &vbucket)) {
            windows[vbucket] = true;
        }
    } while (answer.keylen > 0);
    return OUTCOME_DONE;
}

/*
 * The window of one that is active is its operator's to decide. It is asked for, not tried: to be
 * deleted a vbucket has to be dead, and its clients would be refused.
 */
static enum outcome leave_windows(int fd, const struct server *server,
                                  const struct vbuckets *vbuckets, const uint32_t *states) {
    static bool windows[UINT16_MAX + 1];
    size_t at = 0;
    while (at < vbuckets->count && states[at] != vbucket_state_active) {
        at++;
    }
    if (at == vbuckets->count) {
        return OUTCOME_DONE;
    }
    memset(windows, 0, sizeof windows);
    const enum outcome outcome = look_windows(fd, server, windows);
    for (; at < vbuckets->count && outcome == OUTCOME_DONE; at++) {
        if (states[at] == vbucket_state_active && windows[vbuckets->ids[at]]) {
            say("%s: vbucket %u is active there with an open window: COMPLETE or REVERT it first",
                server->text, vbuckets->ids[at]);
            return OUTCOME_LOST;
        }
    }
    return outcome;
}

/* A takeover that was cut short goes on with the rest. */
static void leave_out_taken(struct vbuckets *vbuckets, uint32_t *states) {
    size_t kept = 0;
    for (size_t i = 0; i < vbuckets->count; i++) {
        if (states[i] != TAKEN) {
            vbuckets->ids[kept] = vbuckets->ids[i];
            states[kept++] = states[i];
        }
    }
    vbuckets->count = kept;
}

/* Every vbucket is a replica or pending afterwards; that all can be is known before any changes. */
static enum outcome prepare(const struct options *options, int source, int fd,
                            struct vbuckets *vbuckets) {
    static uint32_t states[VBUCKETS_MAX];
    enum outcome outcome = look_all(options, source, fd, vbuckets, states);
    if (outcome == OUTCOME_DONE) {
        leave_out_taken(vbuckets, states);
        outcome = leave_windows(fd, &options->destination, vbuckets, states);
    }
    for (size_t i = 0; i < vbuckets->count && outcome == OUTCOME_DONE; i++) {
        const uint16_t id = vbuckets->ids[i];
        if (states[i] != 0 && !follows(states[i])) {
            outcome = clear(options, source, fd, id, (vbucket_state_t)states[i]);
        }
        if (outcome == OUTCOME_DONE && !follows(states[i])) {
            outcome = set_state(fd, &options->destination, id, vbucket_state_replica);
        }
        if (outcome == OUTCOME_DONE) {
            outcome = last_closed(options, fd, id, &vbuckets->closed[i]);
        }
    }
    return outcome;
}

static char *put(char *at, const void *bytes, size_t length) {
    memcpy(at, bytes, length);
    return at + length;
}

static char *put16(char *at, size_t value) {
    const uint16_t wire = htons((uint16_t)value);
    return put(at, &wire, sizeof wire);
}

static char *put64(char *at, uint64_t value) {
    const uint64_t wire = htobe64(value);
    return put(at, &wire, sizeof wire);
}

static bool connect_stream(const struct options *options, int fd, const struct vbuckets *vbuckets) {
    const size_t keylen = strlen(options->name);
    const size_t room = HEADER_BYTES + 4 + keylen + 8 + 2 + 2 + vbuckets->count * (2 + 2 + 8);
    char *packet = malloc(room);
    if (packet == NULL) {
        say("out of memory");
        return false;
    }
    const uint32_t flags =
        htonl(TAP_CONNECT_FLAG_BACKFILL | TAP_CONNECT_FLAG_LIST_VBUCKETS | TAP_CONNECT_SUPPORT_ACK |
              TAP_CONNECT_CHECKPOINT |
              (options->takeover ? (uint32_t)TAP_CONNECT_FLAG_TAKEOVER_VBUCKETS : 0));
    protocol_binary_request_header header = {0};
    header.request.magic = PROTOCOL_BINARY_REQ;
    header.request.opcode = PROTOCOL_BINARY_CMD_TAP_CONNECT;
    header.request.keylen = htons((uint16_t)keylen);
    header.request.extlen = sizeof flags;
    header.request.bodylen = htonl((uint32_t)(room - HEADER_BYTES));
    char *at = put(packet, header.bytes, HEADER_BYTES);
    at = put(at, &flags, sizeof flags);
    at = put(at, options->name, keylen);
    /* The oldest time of interest: everything. */
    at = put64(at, 0);
    at = put16(at, vbuckets->count);
    for (size_t i = 0; i < vbuckets->count; i++) {
        at = put16(at, vbuckets->ids[i]);
    }
    at = put16(at, vbuckets->count);
    for (size_t i = 0; i < vbuckets->count; i++) {
        at = put64(put16(at, vbuckets->ids[i]), vbuckets->closed[i]);
    }
    const bool sent = link_send(fd, &options->source, packet, room);
    free(packet);
    return sent;
}

enum outcome plan_begin(const struct options *options, int source, int destination,
                        struct vbuckets *vbuckets) {
    const enum outcome outcome = prepare(options, source, destination, vbuckets);
    if (outcome != OUTCOME_DONE || vbuckets->count == 0) {
        return outcome;
    }
    const bool sent = connect_stream(options, source, vbuckets) &&
                      link_begin_stream(source, &options->source) &&
                      link_begin_stream(destination, &options->destination);
    return sent ? OUTCOME_DONE : OUTCOME_LOST;
}
