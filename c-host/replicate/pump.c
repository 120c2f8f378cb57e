/*
 * Forwards events from the source to the destination and answers back, byte for byte.
 *
 * Each direction has one buffer of a fixed size: what was received and not sent yet. With a full
 * buffer nothing is received, so the source stops when the destination does not take what it sends.
 * The buffer for answers holds as many as a source lets be outstanding: a source that does not read
 * while it writes cannot block both directions.
 */
#include "replicate.h"

#include <memcached/types.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    FLOW_BYTES = 1 << 20,
    /* How long the destination may take with what is there when the source has ended. */
    LAST_ANSWERS_MS = 10000,
    /* Codes of OPAQUE events. */
    OPAQUE_ENABLE_NACK = 0,
    OPAQUE_ENABLE_CHECKPOINTS = 2,
    /* As much of a packet as inspection looks at: up to a state or code behind the extras. */
    INSPECTED_BYTES = HEADER_BYTES + sizeof(protocol_binary_tap_extras) + sizeof(uint32_t)
};

enum verdict {
    VERDICT_FORWARD,
    VERDICT_DROP,
    VERDICT_STOP
};

struct pump;

/* One direction. [start, cleared) may be sent, [cleared, end) is not inspected yet. */
struct flow {
    int from;
    int to;
    const struct server *sender;
    const struct server *receiver;
    enum verdict (*inspect)(struct pump *pump, const protocol_binary_request_header *header,
                            const char *body);
    size_t start;
    size_t cleared;
    size_t end;
    /* Bytes of the packet at `cleared` whose header has been inspected. */
    size_t left;
    bool from_closed;
    char bytes[FLOW_BYTES];
};

/* The event that makes a vbucket active at the destination. */
struct handover {
    uint32_t number;
    uint16_t vbucket;
};

struct pump {
    const struct options *options;
    size_t vbuckets;
    /* Those that the source was asked for. */
    bool asked[UINT16_MAX + 1];
    /* What the destination has not answered, and what it has taken. */
    struct handover open[VBUCKETS_MAX];
    size_t open_count;
    bool taken[UINT16_MAX + 1];
    size_t taken_count;
    enum outcome outcome;
    struct flow events;
    struct flow answers;
};

static const char *name_of(uint8_t opcode) {
    static const char *const names[] = {"MUTATION",      "DELETE",      "FLUSH",
                                        "OPAQUE",        "VBUCKET_SET", "CHECKPOINT_START",
                                        "CHECKPOINT_END"};
    return names[opcode - PROTOCOL_BINARY_CMD_TAP_MUTATION];
}

static bool is_event(uint8_t opcode) {
    return opcode >= PROTOCOL_BINARY_CMD_TAP_MUTATION &&
           opcode <= PROTOCOL_BINARY_CMD_TAP_CHECKPOINT_END;
}

static uint32_t word(const char *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return ntohl(value);
}

static void hand_over(struct pump *pump, uint32_t number, uint16_t vbucket) {
    if (pump->open_count < VBUCKETS_MAX) {
        pump->open[pump->open_count++] = (struct handover){number, vbucket};
    }
}

static void answer_handover(struct pump *pump, uint32_t number, uint16_t status) {
    for (size_t i = 0; i < pump->open_count; i++) {
        const uint16_t vbucket = pump->open[i].vbucket;
        if (pump->open[i].number != number) {
            continue;
        }
        pump->open[i] = pump->open[--pump->open_count];
        if (status == PROTOCOL_BINARY_RESPONSE_SUCCESS && !pump->taken[vbucket]) {
            pump->taken[vbucket] = true;
            pump->taken_count++;
        }
        return;
    }
}

/* Agreements about the stream as a whole, which come with any vbucket. */
static bool is_about_stream(uint8_t opcode, uint32_t length, const char *body) {
    if (opcode != PROTOCOL_BINARY_CMD_TAP_OPAQUE || length < INSPECTED_BYTES - HEADER_BYTES) {
        return false;
    }
    const uint32_t code = word(body + sizeof(protocol_binary_tap_extras));
    return code == OPAQUE_ENABLE_NACK || code == OPAQUE_ENABLE_CHECKPOINTS;
}

static enum verdict inspect_event(struct pump *pump, const protocol_binary_request_header *header,
                                  const char *body) {
    const uint8_t magic = header->request.magic;
    const uint8_t opcode = header->request.opcode;
    const uint32_t length = ntohl(header->request.bodylen);
    if (magic == PROTOCOL_BINARY_REQ && opcode == PROTOCOL_BINARY_CMD_NOOP && length == 0) {
        return VERDICT_DROP;
    }
    if (magic == PROTOCOL_BINARY_RES && opcode == PROTOCOL_BINARY_CMD_TAP_CONNECT) {
        const uint16_t status = ntohs(header->request.vbucket);
        say("%s: refuses the stream: status 0x%02x", pump->options->source.text, status);
        pump->outcome = refusal(status);
        return VERDICT_STOP;
    }
    if (magic != PROTOCOL_BINARY_REQ || !is_event(opcode) || length > PACKET_BODY_MAX) {
        say("%s: unexpected packet: magic 0x%02x, opcode 0x%02x, %u bytes",
            pump->options->source.text, magic, opcode, length);
        return VERDICT_STOP;
    }
    const uint16_t vbucket = ntohs(header->request.vbucket);
    const uint32_t number = ntohl(header->request.opaque);
    if (!pump->asked[vbucket] && !is_about_stream(opcode, length, body)) {
        say("%s: sends vbucket %u, which it was not asked for", pump->options->source.text,
            vbucket);
        pump->outcome = OUTCOME_REFUSED;
        return VERDICT_STOP;
    }
    if (opcode == PROTOCOL_BINARY_CMD_TAP_VBUCKET_SET && length == INSPECTED_BYTES - HEADER_BYTES &&
        word(body + sizeof(protocol_binary_tap_extras)) == vbucket_state_active) {
        hand_over(pump, number, vbucket);
    }
    if (pump->options->verbose) {
        say("> %s vbucket %u, number %u, %u bytes", name_of(opcode), vbucket, number, length);
    }
    return VERDICT_FORWARD;
}

static enum verdict inspect_answer(struct pump *pump, const protocol_binary_request_header *header,
                                   const char *body) {
    const uint8_t magic = header->request.magic;
    const uint8_t opcode = header->request.opcode;
    const uint32_t length = ntohl(header->request.bodylen);
    (void)body;
    if (magic != PROTOCOL_BINARY_RES || !is_event(opcode) || length > PACKET_BODY_MAX) {
        say("%s: unexpected packet: magic 0x%02x, opcode 0x%02x, %u bytes",
            pump->options->destination.text, magic, opcode, length);
        return VERDICT_STOP;
    }
    const uint16_t status = ntohs(header->request.vbucket);
    const uint32_t number = ntohl(header->request.opaque);
    if (opcode == PROTOCOL_BINARY_CMD_TAP_VBUCKET_SET) {
        answer_handover(pump, number, status);
    }
    if (pump->options->verbose) {
        say("< %s number %u, status 0x%02x", name_of(opcode), number, status);
    }
    return VERDICT_FORWARD;
}

static size_t lesser(size_t a, size_t b) {
    return a < b ? a : b;
}

static void cut(struct flow *flow, size_t count) {
    const size_t behind = flow->cleared + count;
    memmove(flow->bytes + flow->cleared, flow->bytes + behind, flow->end - behind);
    flow->end -= count;
}

/* Clears what may be sent; false when the stream has to stop. */
static bool inspect(struct pump *pump, struct flow *flow) {
    while (flow->cleared < flow->end) {
        const size_t there = flow->end - flow->cleared;
        if (flow->left > 0) {
            const size_t part = lesser(there, flow->left);
            flow->cleared += part;
            flow->left -= part;
            continue;
        }
        protocol_binary_request_header header;
        if (there < HEADER_BYTES) {
            return true;
        }
        memcpy(header.bytes, flow->bytes + flow->cleared, HEADER_BYTES);
        const size_t length = HEADER_BYTES + (size_t)ntohl(header.request.bodylen);
        if (there < lesser(length, INSPECTED_BYTES)) {
            return true;
        }
        switch (flow->inspect(pump, &header, flow->bytes + flow->cleared + HEADER_BYTES)) {
        case VERDICT_FORWARD:
            flow->left = length;
            break;
        case VERDICT_DROP:
            cut(flow, length);
            break;
        case VERDICT_STOP:
            return false;
        }
    }
    return true;
}

static bool again(void) {
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static bool receive(struct pump *pump, struct flow *flow) {
    if (flow->start > 0) {
        memmove(flow->bytes, flow->bytes + flow->start, flow->end - flow->start);
        flow->cleared -= flow->start;
        flow->end -= flow->start;
        flow->start = 0;
    }
    if (flow->end == FLOW_BYTES) {
        return true;
    }
    const ssize_t count = recv(flow->from, flow->bytes + flow->end, FLOW_BYTES - flow->end, 0);
    if (count < 0 && again()) {
        return true;
    }
    if (count < 0) {
        say("%s: %s", flow->sender->text, strerror(errno));
        return false;
    }
    flow->from_closed = count == 0;
    flow->end += (size_t)count;
    return inspect(pump, flow);
}

static bool forward(struct flow *flow) {
    const ssize_t count =
        send(flow->to, flow->bytes + flow->start, flow->cleared - flow->start, MSG_NOSIGNAL);
    if (count < 0 && again()) {
        return true;
    }
    if (count < 0) {
        say("%s: %s", flow->receiver->text, strerror(errno));
        return false;
    }
    flow->start += (size_t)count;
    return true;
}

static short wanted(const struct flow *in, const struct flow *out) {
    const bool reads = !in->from_closed && in->end - in->start < FLOW_BYTES;
    const bool writes = out->start < out->cleared;
    return (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
}

/* The stream has ended; what it brought is with the destination. */
static enum outcome ended(const struct pump *pump) {
    const struct options *options = pump->options;
    if (options->takeover && pump->taken_count >= pump->vbuckets) {
        return OUTCOME_DONE;
    }
    say("%s: ended the stream", options->source.text);
    return pump->outcome;
}

static enum outcome run(struct pump *pump) {
    struct flow *events = &pump->events;
    struct flow *answers = &pump->answers;
    for (;;) {
        if (answers->from_closed) {
            say("%s: closed the connection", pump->options->destination.text);
            return pump->outcome;
        }
        if (events->from_closed && events->start == events->cleared && pump->open_count == 0) {
            return ended(pump);
        }
        if (events->from_closed) {
            /* Nobody is left to read them. */
            answers->start = answers->cleared;
        }
        struct pollfd fds[] = {{.fd = events->from, .events = wanted(events, answers)},
                               {.fd = answers->from, .events = wanted(answers, events)}};
        for (size_t i = 0; i < 2; i++) {
            /* Or a hang-up would be reported again and again. */
            fds[i].fd = fds[i].events != 0 ? fds[i].fd : -1;
        }
        const int polled = poll(fds, 2, events->from_closed ? LAST_ANSWERS_MS : -1);
        if (polled == 0) {
            return ended(pump);
        }
        if (polled < 0 && errno != EINTR) {
            say("poll: %s", strerror(errno));
            return pump->outcome;
        }
        const short ready = POLLIN | POLLHUP | POLLERR;
        if (((fds[0].revents & ready) != 0 && !receive(pump, events)) ||
            ((fds[1].revents & ready) != 0 && !receive(pump, answers)) ||
            (events->start < events->cleared && !forward(events)) ||
            (answers->start < answers->cleared && !events->from_closed && !forward(answers))) {
            return pump->outcome;
        }
    }
}

enum outcome pump_run(const struct options *options, const struct vbuckets *vbuckets, int source,
                      int destination) {
    struct pump *pump = calloc(1, sizeof *pump);
    if (pump == NULL) {
        say("out of memory");
        return OUTCOME_LOST;
    }
    pump->options = options;
    pump->vbuckets = vbuckets->count;
    pump->outcome = OUTCOME_LOST;
    for (size_t i = 0; i < vbuckets->count; i++) {
        pump->asked[vbuckets->ids[i]] = true;
    }
    pump->events.from = source;
    pump->events.to = destination;
    pump->events.sender = &options->source;
    pump->events.receiver = &options->destination;
    pump->events.inspect = inspect_event;
    pump->answers.from = destination;
    pump->answers.to = source;
    pump->answers.sender = &options->destination;
    pump->answers.receiver = &options->source;
    pump->answers.inspect = inspect_answer;
    const enum outcome outcome = run(pump);
    link_end_stream(destination);
    free(pump);
    return outcome;
}
