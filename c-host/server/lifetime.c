/*
 * Connections: opening, closing, and clients that hang up while the engine works.
 *
 * The functions run on the worker that owns the connection; all but conn_new and
 * conn_recycle with that worker's mutex held.
 */
#include "server.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DISCARD_BYTES 16384
#define DISCARD_ROUNDS_MAX 16

/* How long the engine's answer is awaited for a client that sends nothing more. */
#define HANG_UP_SECONDS 1

static struct conn *take_unused(struct worker *worker) {
    struct conn *c = worker->unused;

    if (c != NULL) {
        worker->unused = c->next_unused;
        return c;
    }
    c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    atomic_fetch_add(&worker->server->connection_structures, 1);
    c->worker = worker;
    c->next_all = worker->all;
    worker->all = c;
    return c;
}

void conn_disarm(struct conn *c) {
    if (c->armed != 0) {
        event_del(&c->event);
        c->armed = 0;
    }
}

bool conn_arm(struct conn *c, short what) {
    if (c->armed == what) {
        return true;
    }
    conn_disarm(c);
    event_assign(&c->event, c->worker->base, atomic_load(&c->fd), what | EV_PERSIST,
                 c->worker->on_event, c);
    if (event_add(&c->event, NULL) != 0) {
        return false;
    }
    c->armed = what;
    return true;
}

struct conn *conn_new(struct worker *worker, int fd) {
    struct server *server = worker->server;
    struct conn *c = take_unused(worker);

    if (c == NULL) {
        return NULL;
    }
    atomic_store(&c->tap_nack_mode, false);
    atomic_store(&c->engine_specific, NULL);
    atomic_store(&c->fd, fd);
    c->protocol = PROTOCOL_UNKNOWN;
    c->state = CONN_COMMAND;
    c->need = 1;
    c->out.all_bytes = &server->output_bytes;
    c->close_after_write = false;
    c->flush_first = false;
    c->reads_ahead = false;
    c->blocked = false;
    c->hung_up = false;
    c->notified = false;
    c->early_notified = false;
    c->status = ENGINE_SUCCESS;
    c->mark_kept = false;
    c->get = (struct multiget){0};
    c->touch = NULL;
    c->tap_iterator = NULL;
    c->tap_asleep = false;
    atomic_store(&c->references, 1);
    /* No lock here, as on real hosts: an engine may not notify yet. */
    ch_host_perform_callbacks(server->host, ON_CONNECT, NULL, c);
    pthread_mutex_lock(&worker->mutex);
    c->in_use = true;
    if (!conn_arm(c, EV_READ)) {
        c->close_after_write = true;
        conn_close(c);
    }
    pthread_mutex_unlock(&worker->mutex);
    return c;
}

/* Back to the unused ones; the worker's thread, after the last reference went. */
void conn_recycle(struct conn *c) {
    c->next_unused = c->worker->unused;
    c->worker->unused = c;
}

void conn_free_memory(struct conn *c) {
    int fd = atomic_load(&c->fd);

    if (c->in_use && fd >= 0) {
        close(fd);
    }
    free(c->in.bytes);
    output_free(&c->out);
    free(c);
}

/* Unread input makes the kernel reset the connection and lose our last reply. */
static void discard_input(int fd) {
    char waste[DISCARD_BYTES];

    shutdown(fd, SHUT_WR);
    for (int i = 0; i < DISCARD_ROUNDS_MAX; i++) {
        if (recv(fd, waste, sizeof(waste), MSG_DONTWAIT) <= 0) {
            return;
        }
    }
}

static void close_socket(struct conn *c) {
    struct server *server = c->worker->server;
    int fd = atomic_load(&c->fd);

    conn_disarm(c);
    if (c->close_after_write) {
        discard_input(fd);
    }
    atomic_store(&c->fd, -1);
    close(fd);
    ch_host_perform_callbacks(server->host, ON_DISCONNECT, NULL, c);
    if (c->tap_asleep && server->settings.layout == CH_LAYOUT_MEMBASE) {
        /* Couchbase 1.8 says it twice for a stream that sleeps. */
        ch_host_perform_callbacks(server->host, ON_DISCONNECT, NULL, c);
    }
    atomic_fetch_sub(&server->connections, 1);
}

static void let_go(struct conn *c) {
    atomic_store(&c->engine_specific, NULL);
    output_drop(&c->out, conn_release_item, c);
    output_free(&c->out);
    if (c->item != NULL) {
        conn_release_item(c, c->item);
        c->item = NULL;
    }
    conn_forget_input(c);
    c->in_use = false;
    c->blocked = false;
    c->notified = false;
    c->hung_up = false;
    if (atomic_fetch_sub(&c->references, 1) == 1) {
        conn_recycle(c);
    }
}

void conn_close(struct conn *c) {
    close_socket(c);
    let_go(c);
}

/*
 * The client of a request that waits for the engine has gone. Its socket and its place are free;
 * what the engine may have kept for the request stays until it notifies.
 */
static void hang_up(struct conn *c) {
    c->hung_up = true;
    close_socket(c);
}

/* The notify that the engine owed has come; what it answers is for nobody. */
void conn_end_hung_up(struct conn *c) {
    ch_host_perform_callbacks(c->worker->server->host, ON_DISCONNECT, NULL, c);
    let_go(c);
}

/*
 * Something happened to the socket while the request waits. A client that has closed its half may
 * still await the answer, or be gone: there is no telling, so it gets a moment more.
 */
void conn_look_at_waiting(struct conn *c, short what) {
    const struct timeval grace = {.tv_sec = HANG_UP_SECONDS};
    struct pollfd look = {.fd = atomic_load(&c->fd), .events = POLLRDHUP};
    bool gone = (what & EV_TIMEOUT) != 0;

    if (!gone && poll(&look, 1, 0) > 0) {
        gone = (look.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0 ||
               ((look.revents & POLLRDHUP) != 0 && event_add(&c->event, &grace) != 0);
    }
    if (gone) {
        hang_up(c);
    }
}
