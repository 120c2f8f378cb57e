/*
 * Connections: receiving, the state machine, blocking.
 *
 * Everything here runs on the worker that owns the connection, with that
 * worker's mutex held from the first callback of a turn to its end.
 */
#include "server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* With this much to send, the next command waits until it is gone. */
#define PENDING_BYTES_MAX 65536
#define PENDING_SEGMENTS_MAX 512

/* A client may send so much of a get before it reads what comes of it. */
#define AHEAD_BYTES_MAX (8U * 1024 * 1024)

/* What is left of a turn, so that other connections get theirs. */
struct turn {
    int commands;
    int tap_batches;
};

/* Where the state machine goes on after one step. */
enum step {
    STEP_AGAIN,
    STEP_READ,
    STEP_WRITE,
    STEP_YIELD,
    STEP_BLOCKED,
    STEP_CLOSE
};

static enum flush_result flush(struct conn *c) {
    size_t sent = 0;
    enum flush_result result =
        output_flush(&c->out, atomic_load(&c->fd), &sent, conn_release_item, c);

    count_add(&c->worker->counters.bytes_written, sent);
    return result;
}

static bool must_flush(const struct conn *c) {
    const struct output *out = &c->out;

    return out->count > out->first &&
           (c->flush_first || c->close_after_write || out->pending >= PENDING_BYTES_MAX ||
            out->count - out->first >= PENDING_SEGMENTS_MAX);
}

static enum step receive_result(struct conn *c, ssize_t count) {
    if (count > 0) {
        count_add(&c->worker->counters.bytes_read, (unsigned long long)count);
        return STEP_AGAIN;
    }
    if (count < 0 && errno == EINTR) {
        return STEP_AGAIN;
    }
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return STEP_READ;
    }
    return STEP_CLOSE;
}

/* Only packets of the binary protocol are larger than the buffer that everybody has. */
static enum step no_room(struct conn *c) {
    log_provoked(c->worker->server, EXTENSION_LOG_INFO, c,
                 "No memory for a large packet; all connections together have %llu bytes",
                 atomic_load(&c->worker->server->input_bytes));
    if (c->protocol != PROTOCOL_BINARY || c->state != CONN_COMMAND ||
        bin_no_room(c) == OUTCOME_CLOSE) {
        c->close_after_write = true;
    }
    return STEP_AGAIN;
}

/* Tells the engine that the connection's buffer is about to hold something else. */
static void turn_to(struct conn *c) {
    ch_host_perform_callbacks(c->worker->server->host, ON_SWITCH_CONN, c, c);
}

/*
 * Reads into the input buffer; what was queued goes out first. Real hosts end their turn before
 * they read again. This one goes on if there is more, and tells the engine the same.
 */
static enum step receive_input(struct conn *c, size_t need) {
    if (c->out.count > c->out.first) {
        c->flush_first = true;
        return STEP_AGAIN;
    }
    if (!conn_make_room(c, need)) {
        return no_room(c);
    }
    struct input *in = &c->in;
    ssize_t count = recv(atomic_load(&c->fd), in->bytes + in->end, in->size - in->end, 0);
    if (count > 0) {
        in->end += (size_t)count;
        turn_to(c);
    }
    return receive_result(c, count);
}

static enum step receive_value(struct conn *c) {
    size_t available = conn_available(c);

    if (available > 0) {
        size_t part = available < c->value_left ? available : c->value_left;
        if (part > 0) {
            memcpy(c->value_next, conn_input(c), part);
        }
        conn_consume(c, part);
        c->value_next += part;
        c->value_left -= part;
    }
    if (c->value_left == 0) {
        if (c->protocol == PROTOCOL_ASCII) {
            /* Two bytes follow, whatever they are. */
            conn_swallow(c, 2, CONN_STORE);
        } else {
            c->state = CONN_STORE;
        }
        return STEP_AGAIN;
    }
    if (c->out.count > c->out.first) {
        c->flush_first = true;
        return STEP_AGAIN;
    }
    ssize_t count = recv(atomic_load(&c->fd), c->value_next, c->value_left, 0);
    if (count > 0) {
        c->value_next += count;
        c->value_left -= (size_t)count;
    }
    return receive_result(c, count);
}

static enum step swallow(struct conn *c) {
    size_t available = conn_available(c);
    size_t part = available < c->swallow_left ? available : (size_t)c->swallow_left;

    conn_consume(c, part);
    c->swallow_left -= part;
    if (c->swallow_left == 0) {
        c->state = c->after_swallow;
        c->need = 1;
        return STEP_AGAIN;
    }
    return receive_input(c, 1);
}

static enum outcome run_command(struct conn *c) {
    if (c->protocol == PROTOCOL_UNKNOWN) {
        if (conn_available(c) == 0) {
            c->need = 1;
            return OUTCOME_READ;
        }
        bool binary = (uint8_t)*conn_input(c) == PROTOCOL_BINARY_REQ;
        c->protocol = binary ? PROTOCOL_BINARY : PROTOCOL_ASCII;
    }
    if (!c->mark_kept) {
        c->mark = output_mark(&c->out);
    }
    c->mark_kept = false;
    enum outcome outcome = OUTCOME_CLOSE;
    c->in_engine_call = true;
    if (c->state == CONN_STORE) {
        outcome = c->protocol == PROTOCOL_BINARY ? bin_store(c) : ascii_store(c);
    } else {
        outcome = c->protocol == PROTOCOL_BINARY ? bin_command(c) : ascii_command(c);
    }
    c->in_engine_call = false;
    if (c->early_notified) {
        /* Notified, and then not blocked after all. */
        c->early_notified = false;
        c->status = ENGINE_SUCCESS;
    }
    return outcome;
}

/* Replies to earlier commands should not wait for the blocked one. */
static enum step block(struct conn *c) {
    if (output_is_at(&c->out, &c->mark)) {
        flush(c);
    } else {
        c->mark_kept = true;
    }
    return STEP_BLOCKED;
}

static enum step command_step(struct conn *c, struct turn *turn) {
    if (turn->commands <= 0) {
        return STEP_YIELD;
    }
    switch (run_command(c)) {
    case OUTCOME_DONE:
        turn->commands--;
        /* A stream asks its iterator again after every packet. */
        c->tap_asleep = false;
        return STEP_AGAIN;
    case OUTCOME_FLUSH:
        c->flush_first = true;
        return STEP_AGAIN;
    case OUTCOME_READ:
        return receive_input(c, c->need);
    case OUTCOME_BLOCKED:
        return block(c);
    case OUTCOME_CLOSE:
        break;
    }
    /* Replies to earlier commands still go out. */
    c->close_after_write = true;
    return STEP_AGAIN;
}

/* A stream goes on when there is no command to run, with all of its output sent. */
static enum step stream_step(struct conn *c, struct turn *turn, enum step idle) {
    if (c->tap_asleep) {
        return idle;
    }
    if (c->out.count > c->out.first) {
        c->flush_first = true;
        return STEP_AGAIN;
    }
    if (turn->tap_batches <= 0) {
        return STEP_YIELD;
    }
    turn->tap_batches--;
    if (!tap_stream_batch(c)) {
        return idle;
    }
    c->flush_first = true;
    return STEP_AGAIN;
}

/* Half of what all may hold is left to packets. */
static bool may_read_ahead(const struct conn *c) {
    size_t available = conn_available(c);

    return c->get.open && available < AHEAD_BYTES_MAX &&
           atomic_load(&c->worker->server->input_bytes) < INPUT_BYTES_MAX / 2 &&
           (available == 0 || memchr(c->in.bytes + c->in.start, '\n', available) == NULL);
}

/*
 * The socket takes no more output. Clients send all of a get before they read, so
 * the rest of its line is received meanwhile, as far as there is room for it.
 */
static enum step wait_for_output(struct conn *c) {
    struct input *in = &c->in;

    c->reads_ahead = may_read_ahead(c) && conn_make_room(c, conn_available(c) + 1);
    if (!c->reads_ahead) {
        return STEP_WRITE;
    }
    ssize_t count = recv(atomic_load(&c->fd), in->bytes + in->end, in->size - in->end, 0);
    if (count > 0) {
        in->end += (size_t)count;
    }
    enum step step = receive_result(c, count);
    if (step == STEP_CLOSE && count == 0) {
        /* It sends nothing more, and may still read. */
        c->reads_ahead = false;
        return STEP_WRITE;
    }
    return step == STEP_READ ? STEP_WRITE : step;
}

static enum step next_step(struct conn *c, struct turn *turn) {
    if (c->out.failed) {
        log_provoked(c->worker->server, EXTENSION_LOG_INFO, c,
                     "No memory for an answer; all connections together have %llu bytes",
                     atomic_load(&c->worker->server->output_bytes));
        return STEP_CLOSE;
    }
    /* A kept mark points into what is queued, so that has to stay. */
    if (!c->mark_kept && must_flush(c)) {
        switch (flush(c)) {
        case FLUSH_DONE:
            break;
        case FLUSH_WOULD_BLOCK:
            return wait_for_output(c);
        case FLUSH_ERROR:
            return STEP_CLOSE;
        }
    }
    c->flush_first = false;
    if (c->close_after_write) {
        return STEP_CLOSE;
    }
    switch (c->state) {
    case CONN_COMMAND:
    case CONN_STORE: {
        enum step step = command_step(c, turn);
        bool idle = step == STEP_READ || step == STEP_YIELD;
        return idle && c->tap_iterator != NULL ? stream_step(c, turn, step) : step;
    }
    case CONN_VALUE:
        return receive_value(c);
    case CONN_SWALLOW:
        return swallow(c);
    }
    return STEP_CLOSE;
}

/* Runs until there is nothing to do, or the turn has lasted long enough. */
static void drive(struct conn *c) {
    struct turn turn = {.commands = COMMANDS_PER_TURN, .tap_batches = TAP_BATCHES_PER_TURN};
    int rounds = 0;
    enum step step = STEP_AGAIN;

    while (step == STEP_AGAIN) {
        step = next_step(c, &turn);
        if (step == STEP_AGAIN && ++rounds > 8 * COMMANDS_PER_TURN) {
            step = STEP_YIELD;
        }
    }
    switch (step) {
    case STEP_AGAIN:
    case STEP_CLOSE:
        break;
    case STEP_BLOCKED:
        /* Once for each change, since what the client sends is not read; anew for each wait. */
        conn_disarm(c);
        if (!conn_arm(c, EV_READ | EV_ET)) {
            conn_disarm(c);
        }
        return;
    case STEP_READ:
        if (conn_arm(c, EV_READ)) {
            return;
        }
        break;
    case STEP_WRITE:
        if (conn_arm(c, c->reads_ahead ? EV_READ | EV_WRITE : EV_WRITE)) {
            return;
        }
        break;
    case STEP_YIELD:
        count_add(&c->worker->counters.yields, 1);
        if (conn_arm(c, EV_READ)) {
            event_active(&c->event, EV_READ, 0);
            return;
        }
        break;
    }
    conn_close(c);
}

void conn_on_event(evutil_socket_t fd, short what, void *arg) {
    struct conn *c = arg;

    (void)fd;
    pthread_mutex_lock(&c->worker->mutex);
    if (c->blocked) {
        conn_look_at_waiting(c, what);
    } else {
        turn_to(c);
        drive(c);
    }
    pthread_mutex_unlock(&c->worker->mutex);
}

/* The engine's notify arrived; runs the interrupted command again, or wakes the stream. */
void conn_resume(struct conn *c) {
    pthread_mutex_lock(&c->worker->mutex);
    if (c->hung_up && c->notified) {
        conn_end_hung_up(c);
    } else if (c->in_use && c->notified) {
        c->blocked = false;
        c->notified = false;
        c->tap_asleep = false;
        drive(c);
    }
    pthread_mutex_unlock(&c->worker->mutex);
}
