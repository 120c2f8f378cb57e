/*
 * The open loop: request n is due at n / rate, whatever became of those before it.
 *
 * One thread sends and receives. A request goes to a connection that waits for no answer, if there
 * is one, as those of independent clients would. Between due times the thread sleeps in ppoll.
 */
#include "openloop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PENDING_MAX = 1 << 16, /* requests under way on one connection; a power of two */
    OUT_ROOM = 1 << 20,
    IN_ROOM = 1 << 16,
    LAST_ANSWERS_SECONDS = 10
};

/* A request under way. */
struct pending {
    uint64_t due;
    uint64_t sent;
    uint64_t number;
    bool is_set;
    char forbidden;
};

struct connection {
    int fd;
    uint32_t first; /* the oldest request under way; its opaque */
    uint32_t next;  /* the opaque of the request to come */
    struct pending *pending;
    unsigned char *out;
    size_t out_size;
    unsigned char *in;
    size_t in_size;
};

struct loop {
    const struct options *o;
    struct samples *samples;
    pthread_t thread;
    struct connection connections[CONNECTIONS_MAX];
    struct pollfd polled[CONNECTIONS_MAX];
    unsigned turn;
    size_t in_room;
    size_t out_room;
    uint64_t random;
    _Atomic char forbidden;
    _Atomic uint64_t origin; /* when the first request is due; 0: the thread has not begun */
    _Atomic uint64_t stop;   /* what is due from then on is not sent; 0: not yet known */
};

static uint64_t next_random(struct loop *loop) {
    loop->random ^= loop->random << 13;
    loop->random ^= loop->random >> 7;
    loop->random ^= loop->random << 17;
    return loop->random;
}

/* ---- sending ---- */

static void flush_out(struct connection *c) {
    size_t gone = 0;
    while (gone < c->out_size) {
        const ssize_t put = send(c->fd, c->out + gone, c->out_size - gone, MSG_NOSIGNAL);
        if (put > 0) {
            gone += (size_t)put;
        } else if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            break;
        } else if (put == 0 || errno != EINTR) {
            fatal("the server closed a connection: %s", strerror(errno));
        }
    }
    c->out_size -= gone;
    memmove(c->out, c->out + gone, c->out_size);
}

static struct connection *choose(struct loop *loop) {
    const unsigned count = loop->o->connections;
    for (unsigned i = 0; i < count; i++) {
        struct connection *c = &loop->connections[(loop->turn + i) % count];
        if (c->first == c->next) {
            loop->turn = (loop->turn + i + 1) % count;
            return c;
        }
    }
    struct connection *c = &loop->connections[loop->turn];
    loop->turn = (loop->turn + 1) % count;
    return c;
}

/* False if the connection can take no more: the request stays due. */
static bool send_one(struct loop *loop, uint64_t due) {
    const struct options *o = loop->o;
    struct connection *c = choose(loop);
    if (c->next - c->first == PENDING_MAX ||
        c->out_size + wire_request_room(o->value_size) > loop->out_room) {
        return false;
    }
    struct pending *p = &c->pending[c->next % PENDING_MAX];
    *p = (struct pending){.due = due,
                          .sent = clock_ns(),
                          .number = next_random(loop) % o->keys,
                          .is_set = next_random(loop) % 100 >= o->gets,
                          .forbidden = atomic_load(&loop->forbidden)};
    unsigned char *to = c->out + c->out_size;
    c->out_size += p->is_set ? wire_set(to, PROTOCOL_BINARY_CMD_SET, p->number, LETTER_LOOP,
                                        o->value_size, c->next)
                             : wire_get(to, PROTOCOL_BINARY_CMD_GET, p->number, c->next);
    c->next++;
    flush_out(c);
    return true;
}

/* ---- receiving ---- */

static enum outcome outcome_of(const struct loop *loop, const struct pending *p,
                               const struct answer *answer) {
    switch (answer->status) {
    case PROTOCOL_BINARY_RESPONSE_SUCCESS:
        return p->is_set || wire_is_value(answer, p->number, loop->o->value_size, p->forbidden)
                   ? OUTCOME_GOOD
                   : OUTCOME_WRONG;
    case PROTOCOL_BINARY_RESPONSE_KEY_ENOENT:
        return p->is_set ? OUTCOME_FAILED : OUTCOME_MISS;
    case PROTOCOL_BINARY_RESPONSE_ENOMEM:
    case PROTOCOL_BINARY_RESPONSE_EBUSY:
    case PROTOCOL_BINARY_RESPONSE_ETMPFAIL:
        return OUTCOME_REFUSED;
    default:
        return OUTCOME_FAILED;
    }
}

static void record(struct loop *loop, const struct pending *p, uint64_t now,
                   enum outcome outcome) {
    const struct sample sample = {.due = p->due,
                                  .latency = now - p->due,
                                  .late = p->sent - p->due,
                                  .outcome = (uint8_t)outcome,
                                  .is_set = p->is_set};
    samples_add(loop->samples, &sample);
}

static void take_answers(struct loop *loop, struct connection *c, uint64_t now) {
    size_t at = 0;
    size_t size;
    struct answer answer;
    while ((size = wire_parse(c->in + at, c->in_size - at, &answer)) != 0) {
        if (c->first == c->next || answer.opaque != c->first) {
            fatal("an answer to nothing that was asked: opaque %u", answer.opaque);
        }
        const struct pending *p = &c->pending[c->first % PENDING_MAX];
        record(loop, p, now, outcome_of(loop, p, &answer));
        c->first++;
        at += size;
    }
    c->in_size -= at;
    memmove(c->in, c->in + at, c->in_size);
}

static void receive(struct loop *loop, struct connection *c) {
    for (;;) {
        const size_t room = loop->in_room - c->in_size;
        const ssize_t got = recv(c->fd, c->in + c->in_size, room, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (got <= 0) {
            fatal("the server closed a connection%s%s", got < 0 ? ": " : "",
                  got < 0 ? strerror(errno) : "");
        }
        c->in_size += (size_t)got;
        take_answers(loop, c, clock_ns());
        if ((size_t)got < room) {
            return;
        }
    }
}

/* Waits until a time for something to do, and does it. */
static void serve(struct loop *loop, uint64_t until) {
    const unsigned count = loop->o->connections;
    const uint64_t now = clock_ns();
    const uint64_t left = loop->o->spin || until < now ? 0 : until - now;
    const struct timespec pause = {.tv_sec = (time_t)(left / 1000000000U),
                                   .tv_nsec = (long)(left % 1000000000U)};
    for (unsigned i = 0; i < count; i++) {
        const bool waits = loop->connections[i].out_size != 0;
        loop->polled[i].events = (short)(POLLIN | (waits ? POLLOUT : 0));
    }
    if (ppoll(loop->polled, count, &pause, NULL) <= 0) {
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        struct connection *c = &loop->connections[i];
        if ((loop->polled[i].revents & POLLOUT) != 0) {
            flush_out(c);
        }
        if ((loop->polled[i].revents & ~POLLOUT) != 0) {
            receive(loop, c);
        }
    }
}

static bool is_waiting(const struct loop *loop) {
    for (unsigned i = 0; i < loop->o->connections; i++) {
        if (loop->connections[i].first != loop->connections[i].next) {
            return true;
        }
    }
    return false;
}

static uint64_t stop_time(struct loop *loop) {
    const uint64_t stop = atomic_load(&loop->stop);
    return stop != 0 ? stop : UINT64_MAX;
}

static void *run(void *argument) {
    struct loop *loop = argument;
    const double interval = 1e9 / loop->o->rate;
    /* A sleep that ends 50 us late, as the kernel's default allows, would be measured too. */
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    if (loop->o->realtime) {
        const struct sched_param first = {.sched_priority = 1};
        const int problem = pthread_setschedparam(pthread_self(), SCHED_FIFO, &first);
        if (problem != 0) {
            fatal("--realtime needs the right to use SCHED_FIFO: %s", strerror(problem));
        }
    }
    const uint64_t origin = clock_ns();
    uint64_t sent = 0;
    uint64_t due = origin;
    atomic_store(&loop->origin, origin);
    while (due < stop_time(loop)) {
        while (due <= clock_ns() && due < stop_time(loop) && send_one(loop, due)) {
            sent++;
            due = origin + (uint64_t)((double)sent * interval);
        }
        serve(loop, due);
    }
    const uint64_t deadline = clock_ns() + (uint64_t)LAST_ANSWERS_SECONDS * 1000000000U;
    while (is_waiting(loop) && clock_ns() < deadline) {
        serve(loop, deadline);
    }
    return NULL;
}

/* ---- life ---- */

static void open_connection(struct loop *loop, unsigned index) {
    struct connection *c = &loop->connections[index];
    c->fd = wire_connect(loop->o);
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0) {
        fatal("fcntl: %s", strerror(errno));
    }
    c->pending = must_allocate(PENDING_MAX * sizeof *c->pending);
    c->in = must_allocate(loop->in_room);
    c->out = must_allocate(loop->out_room);
    loop->polled[index] = (struct pollfd){.fd = c->fd};
}

struct loop *loop_begin(const struct options *o, struct samples *samples) {
    struct loop *loop = must_allocate(sizeof *loop);
    const size_t packet = wire_request_room(o->value_size);
    loop->o = o;
    loop->samples = samples;
    loop->random = 0x9e3779b97f4a7c15ULL;
    loop->in_room = IN_ROOM + packet;
    loop->out_room = OUT_ROOM + packet;
    for (unsigned i = 0; i < o->connections; i++) {
        open_connection(loop, i);
    }
    if (pthread_create(&loop->thread, NULL, run, loop) != 0) {
        fatal("no thread");
    }
    /* So that a command which comes next has requests beside it. */
    while (atomic_load(&loop->origin) == 0) {
        (void)sched_yield();
    }
    return loop;
}

void loop_forbid(struct loop *loop, char letter) {
    atomic_store(&loop->forbidden, letter);
}

void loop_end(struct loop *loop) {
    atomic_store(&loop->stop, clock_ns());
    (void)pthread_join(loop->thread, NULL);
    const uint64_t now = clock_ns();
    for (unsigned i = 0; i < loop->o->connections; i++) {
        struct connection *c = &loop->connections[i];
        for (; c->first != c->next; c->first++) {
            record(loop, &c->pending[c->first % PENDING_MAX], now, OUTCOME_LOST);
        }
        (void)close(c->fd);
        free(c->pending);
        free(c->in);
        free(c->out);
    }
    free(loop);
}
