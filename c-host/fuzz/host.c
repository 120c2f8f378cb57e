/*
 * The bundled host behind one connection: the bytes of the input in pieces, each of which it has
 * read before the next one comes, and then the end. What it answers is read and forgotten.
 *
 * Input: the size of a piece (0 for all at once), then what the client sends. The environment
 * variable FUZZ_ENGINE names the engine.
 */
#include "fuzz.h"

#include "../server/server.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    INPUT_MAX = 64 << 10,
    /* Values that are only announced cost memory; larger ones add nothing. */
    ITEM_MAX = 1 << 20,
    ANSWER_SECONDS = 30
};

static struct server the_server = {.provoked = {.mutex = PTHREAD_MUTEX_INITIALIZER}};

static void end_of_process(void) {
}

static void host_settings(ch_add_setting add, void *sink) {
    stats_settings(&the_server, add, sink);
}

static void fail(const char *what) {
    (void)fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

static void start(struct server *server) {
    struct ch_load_result result = {0};
    const struct ch_host_options options = {
        .layout = CH_LAYOUT_MEMBASE,
        .cookie = cookie_ops(),
        .server_version = SERVER_VERSION,
        .shutdown = end_of_process,
        .settings = host_settings,
        .log_level = EXTENSION_LOG_WARNING,
    };
    const char *engine = getenv("FUZZ_ENGINE");

    server->settings = (struct settings){
        .engine_path = engine,
        .threads = 1,
        .connections_max = DEFAULT_CONNECTIONS,
        .item_bytes_max = ITEM_MAX,
        .layout = CH_LAYOUT_MEMBASE,
    };
    server->host = ch_host_create(&options);
    if (engine == NULL || server->host == NULL) {
        fail("FUZZ_ENGINE names no engine");
    }
    server->engine = ch_engine_load(server->host, engine, &result);
    if (server->engine == NULL || !ch_engine_initialize(server->engine, NULL, &result)) {
        fail(result.message);
    }
    server->handle = ch_engine_handle(server->engine);
    server->v1 = ch_engine_table(server->engine);
    if (!workers_start(server)) {
        fail("no worker thread");
    }
}

/* Reads what is there; false when the host has closed the connection. */
static bool drain(int fd) {
    static char waste[1 << 16];
    ssize_t count;

    do {
        count = recv(fd, waste, sizeof(waste), MSG_DONTWAIT);
    } while (count > 0);
    return count < 0;
}

/* Sends a piece and waits until the host has taken it; false when it has closed instead. */
static bool hand_in(int fd, const uint8_t *piece, size_t length) {
    int unread = 1;

    while (length > 0) {
        const ssize_t sent = send(fd, piece, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            piece += sent;
            length -= (size_t)sent;
        }
        if (!drain(fd)) {
            return false;
        }
    }
    while (ioctl(fd, SIOCOUTQ, &unread) == 0 && unread > 0) {
        if (!drain(fd)) {
            return false;
        }
        (void)sched_yield();
    }
    return true;
}

/* The host closes the connection, or hangs. */
static void await_end(int fd) {
    while (drain(fd)) {
        struct pollfd answer = {.fd = fd, .events = POLLIN};
        if (poll(&answer, 1, ANSWER_SECONDS * 1000) == 0) {
            fail("the host does not close a connection whose client has gone");
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool started;
    int ends[2];

    if (!started) {
        start(&the_server);
        started = true;
    }
    if (size < 2 || size > INPUT_MAX) {
        return 0;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0) {
        fail("no sockets");
    }
    const size_t piece = data[0] == 0 ? size - 1 : data[0];
    atomic_fetch_add(&the_server.connections, 1);
    if (!worker_hand_over(the_server.workers, ends[1])) {
        fail("no memory");
    }
    for (size_t at = 1; at < size; at += piece) {
        const size_t length = size - at < piece ? size - at : piece;
        if (!hand_in(ends[0], data + at, length)) {
            break;
        }
    }
    (void)shutdown(ends[0], SHUT_WR);
    await_end(ends[0]);
    (void)close(ends[0]);
    return 0;
}
