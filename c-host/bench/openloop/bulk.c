/*
 * The operator's connection: pipelined requests for many keys, and commands.
 *
 * Quiet requests go in batches that end with a NOOP, two batches at a time, so that the server
 * always has one to work on. Keys come in a scattered order.
 */
#include "openloop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH_KEYS = 500,
    BATCH_BYTES = 1 << 16,
    IN_FLIGHT = 2,
    IN_ROOM = 1 << 18,
    RETRY_MILLISECONDS = 5,
    RETRIES_MAX = 60000
};

/* A prime above any number of keys: multiplying by it visits each key once. */
static const uint64_t SCATTER = 4294967291U;

/* Quiet requests of one kind for a range of keys. */
struct work {
    uint8_t opcode;
    char letter;
    size_t from;
    size_t count;
    size_t next; /* place of the key to come */
    struct step *step;
};

struct batch {
    uint32_t opaque; /* of the NOOP; requests have their place in the batch */
    size_t count;
    uint64_t numbers[BATCH_KEYS];
};

struct bulk {
    const struct options *o;
    int fd;
    unsigned char *out;
    size_t out_size;
    unsigned char *in;
    size_t in_room;
    size_t in_from; /* what was read and not taken yet */
    size_t in_to;
    uint32_t noops;
    struct batch batches[IN_FLIGHT];
    /* Keys whose request was refused for now. */
    uint64_t *again;
    size_t again_count;
    size_t again_room;
};

struct bulk *bulk_new(const struct options *o) {
    struct bulk *b = must_allocate(sizeof *b);
    b->o = o;
    b->fd = wire_connect(o);
    b->in_room = IN_ROOM + wire_request_room(o->value_size);
    b->in = must_allocate(b->in_room);
    b->out = must_allocate(BATCH_BYTES + 2 * wire_request_room(o->value_size));
    return b;
}

void bulk_free(struct bulk *b) {
    (void)close(b->fd);
    free(b->in);
    free(b->out);
    free(b->again);
    free(b);
}

/* ---- bytes ---- */

static bool send_out(struct bulk *b) {
    size_t gone = 0;
    while (gone < b->out_size) {
        const ssize_t put = send(b->fd, b->out + gone, b->out_size - gone, MSG_NOSIGNAL);
        if (put <= 0 && errno != EINTR) {
            return false;
        }
        gone += put > 0 ? (size_t)put : 0;
    }
    b->out_size = 0;
    return true;
}

/* The next answer; its bytes are valid until the one after it. False: the connection is closed. */
static bool next_answer(struct bulk *b, struct answer *answer) {
    for (;;) {
        const size_t size = wire_parse(b->in + b->in_from, b->in_to - b->in_from, answer);
        if (size != 0) {
            b->in_from += size;
            return true;
        }
        b->in_to -= b->in_from;
        memmove(b->in, b->in + b->in_from, b->in_to);
        b->in_from = 0;
        const ssize_t got = recv(b->fd, b->in + b->in_to, b->in_room - b->in_to, 0);
        if (got <= 0 && (got == 0 || errno != EINTR)) {
            return false;
        }
        b->in_to += got > 0 ? (size_t)got : 0;
    }
}

static void must_send(struct bulk *b) {
    if (!send_out(b)) {
        fatal("the server closed the operator's connection");
    }
}

static void must_answer(struct bulk *b, struct answer *answer) {
    if (!next_answer(b, answer)) {
        fatal("the server closed the operator's connection");
    }
}

/* ---- batches ---- */

static void add_request(struct bulk *b, struct batch *batch, const struct work *w,
                        uint64_t number) {
    unsigned char *to = b->out + b->out_size;
    const uint32_t opaque = (uint32_t)batch->count;
    switch (w->opcode) {
    case PROTOCOL_BINARY_CMD_SETQ:
        b->out_size += wire_set(to, w->opcode, number, w->letter, b->o->value_size, opaque);
        break;
    case PROTOCOL_BINARY_CMD_GETQ:
        b->out_size += wire_get(to, w->opcode, number, opaque);
        break;
    default:
        b->out_size += wire_delete(to, w->opcode, number, opaque);
        break;
    }
    batch->numbers[batch->count++] = number;
}

/* False if there is nothing to send. */
static bool send_batch(struct bulk *b, struct batch *batch, struct work *w) {
    /* What a get answers takes as much room as what a set sends. */
    const size_t room = wire_request_room(b->o->value_size);
    size_t keys = BATCH_BYTES / room;
    keys = keys == 0 ? 1 : (keys > BATCH_KEYS ? BATCH_KEYS : keys);
    batch->count = 0;
    while (batch->count < keys && b->again_count != 0) {
        add_request(b, batch, w, b->again[--b->again_count]);
    }
    while (batch->count < keys && w->next < w->count) {
        add_request(b, batch, w, w->from + w->next * SCATTER % w->count);
        w->next++;
    }
    if (batch->count == 0) {
        return false;
    }
    batch->opaque = UINT32_MAX - b->noops++;
    b->out_size += wire_bare(b->out + b->out_size, PROTOCOL_BINARY_CMD_NOOP, batch->opaque);
    must_send(b);
    return true;
}

static void keep_for_later(struct bulk *b, uint64_t number) {
    if (b->again_count == b->again_room) {
        b->again_room = b->again_room == 0 ? BATCH_KEYS : b->again_room * 2;
        b->again = realloc(b->again, b->again_room * sizeof *b->again);
        if (b->again == NULL) {
            fatal("out of memory");
        }
    }
    b->again[b->again_count++] = number;
}

/* Reads the answers of a batch. Returns how many requests were refused for now. */
static size_t finish_batch(struct bulk *b, const struct batch *batch, const struct work *w) {
    struct answer answer;
    size_t refused = 0;
    size_t hits = 0;
    for (;;) {
        must_answer(b, &answer);
        if (answer.opcode == PROTOCOL_BINARY_CMD_NOOP) {
            break;
        }
        if (answer.opaque >= batch->count) {
            fatal("an answer to nothing that was asked: opaque %u", answer.opaque);
        }
        const uint64_t number = batch->numbers[answer.opaque];
        if (answer.status == PROTOCOL_BINARY_RESPONSE_SUCCESS &&
            wire_is_value(&answer, number, b->o->value_size, '\0')) {
            hits++;
        } else if (answer.status == PROTOCOL_BINARY_RESPONSE_ETMPFAIL ||
                   answer.status == PROTOCOL_BINARY_RESPONSE_ENOMEM ||
                   answer.status == PROTOCOL_BINARY_RESPONSE_EBUSY) {
            refused++;
            keep_for_later(b, number);
        } else if (w->opcode != PROTOCOL_BINARY_CMD_DELETEQ ||
                   answer.status != PROTOCOL_BINARY_RESPONSE_KEY_ENOENT) {
            fatal("%s of key %llu: status 0x%02x%s", w->step->name, (unsigned long long)number,
                  answer.status, answer.status == 0 ? ", the value of another key" : "");
        }
    }
    w->step->count += w->opcode == PROTOCOL_BINARY_CMD_GETQ ? hits : batch->count - refused;
    w->step->refused += refused;
    return refused;
}

static void pause_for_refused(void) {
    const struct timespec pause = {.tv_nsec = RETRY_MILLISECONDS * 1000000L};
    (void)nanosleep(&pause, NULL);
}

static void run_work(struct bulk *b, struct work w) {
    size_t first = 0; /* the batch whose answers come next */
    size_t flying = 0;
    unsigned retries = 0;
    for (;;) {
        while (flying < IN_FLIGHT &&
               send_batch(b, &b->batches[(first + flying) % IN_FLIGHT], &w)) {
            flying++;
        }
        if (flying == 0) {
            return;
        }
        if (finish_batch(b, &b->batches[first], &w) != 0) {
            pause_for_refused();
            if (++retries == RETRIES_MAX) {
                fatal("%s: refused for too long (is the memory full?)", w.step->name);
            }
        }
        first = (first + 1) % IN_FLIGHT;
        flying--;
    }
}

void bulk_sets(struct bulk *b, size_t from, size_t to, char letter, struct step *step) {
    run_work(b, (struct work){.opcode = PROTOCOL_BINARY_CMD_SETQ,
                              .letter = letter,
                              .from = from,
                              .count = to - from,
                              .step = step});
}

void bulk_gets(struct bulk *b, struct step *step) {
    run_work(b, (struct work){
                    .opcode = PROTOCOL_BINARY_CMD_GETQ, .count = b->o->keys, .step = step});
}

void bulk_deletes(struct bulk *b, size_t from, size_t to, struct step *step) {
    run_work(b, (struct work){.opcode = PROTOCOL_BINARY_CMD_DELETEQ,
                              .from = from,
                              .count = to - from,
                              .step = step});
}

/* ---- commands and statistics ---- */

int bulk_command(struct bulk *b, uint8_t opcode) {
    struct answer answer;
    b->out_size = wire_bare(b->out, opcode, 0);
    if (send_out(b) && next_answer(b, &answer)) {
        return answer.status;
    }
    /* What some hosts do when the engine does not know a command. */
    (void)close(b->fd);
    b->fd = wire_connect(b->o);
    b->in_from = b->in_to = b->out_size = 0;
    return -1;
}

static bool is_named(const struct answer *answer, const char *name) {
    return answer->key_size == strlen(name) && memcmp(answer->key, name, answer->key_size) == 0;
}

bool bulk_is_drained(struct bulk *b) {
    struct answer answer;
    bool drained = true;
    b->out_size = wire_bare(b->out, PROTOCOL_BINARY_CMD_STAT, 0);
    must_send(b);
    for (;;) {
        must_answer(b, &answer);
        if (answer.key_size == 0) {
            return drained;
        }
        if (is_named(&answer, "ep_queue_size") || is_named(&answer, "ep_flusher_todo")) {
            drained = drained && answer.value_size == 1 && answer.value[0] == '0';
        }
    }
}
