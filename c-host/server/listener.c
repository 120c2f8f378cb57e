/*
 * Listening sockets. They belong to the main thread; accepted sockets go to the
 * workers in turn.
 *
 * Like real hosts, a listening socket has a cookie of its own, for which the
 * engine sees ON_CONNECT and ON_SWITCH_CONN.
 */
#include "server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024
#define ACCEPTS_PER_TURN 64
#define PATH_BYTES_MAX 4096

/* How long accepting rests when there are no descriptors left. */
#define REST_MILLISECONDS 100

struct listener {
    struct listener *next;
    struct server *server;
    struct event_base *base;
    /* The cookie; has no worker. */
    struct conn *conn;
    int fd;
    unsigned next_worker;
    struct event event;
    struct event rest_timer;
};

static void refuse(struct server *server, int fd) {
    count_add(&server->connections_rejected, 1);
    close(fd);
    log_provoked(server, EXTENSION_LOG_INFO, NULL, "Refused a connection: there are %u already",
                 server->settings.connections_max);
}

static void hand_over(struct listener *listener, int fd) {
    struct server *server = listener->server;
    int on = 1;

    if (atomic_load(&server->connections) >= server->settings.connections_max) {
        refuse(server, fd);
        return;
    }
    /* Fails on sockets that are not TCP, which is fine. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    atomic_fetch_add(&server->connections, 1);
    count_add(&server->connections_total, 1);
    struct worker *worker = &server->workers[listener->next_worker];
    listener->next_worker = (listener->next_worker + 1) % server->settings.threads;
    if (!worker_hand_over(worker, fd)) {
        atomic_fetch_sub(&server->connections, 1);
        refuse(server, fd);
    }
}

static void on_rested(evutil_socket_t fd, short what, void *arg) {
    struct listener *listener = arg;

    (void)fd;
    (void)what;
    atomic_fetch_sub(&listener->server->listeners_resting, 1);
    event_add(&listener->event, NULL);
}

static void rest(struct listener *listener) {
    const struct timeval pause = {.tv_usec = REST_MILLISECONDS * 1000};

    log_provoked(listener->server, EXTENSION_LOG_WARNING, NULL, "Cannot accept: %s",
                 strerror(errno));
    if (event_add(&listener->rest_timer, &pause) == 0) {
        event_del(&listener->event);
        atomic_fetch_add(&listener->server->listeners_resting, 1);
        count_add(&listener->server->listeners_rested, 1);
    }
}

static void on_accept(evutil_socket_t fd, short what, void *arg) {
    struct listener *listener = arg;

    (void)what;
    ch_host_perform_callbacks(listener->server->host, ON_SWITCH_CONN, listener->conn,
                              listener->conn);
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) {
            hand_over(listener, accepted);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            rest(listener);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

static int open_socket(const struct addrinfo *address) {
    int on = 1;
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    address->ai_protocol);

    if (fd < 0) {
        return -1;
    }
    if (address->ai_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static bool add_listener(struct server *server, struct event_base *base, int fd) {
    struct listener *added = calloc(1, sizeof(*added));
    struct conn *c = calloc(1, sizeof(*c));

    if (added == NULL || c == NULL) {
        free(added);
        free(c);
        return false;
    }
    atomic_store(&c->references, 1);
    atomic_store(&c->fd, fd);
    added->server = server;
    added->base = base;
    added->conn = c;
    added->fd = fd;
    added->next = server->listener;
    server->listener = added;
    evtimer_assign(&added->rest_timer, base, on_rested, added);
    event_assign(&added->event, base, fd, EV_READ | EV_PERSIST, on_accept, added);
    ch_host_perform_callbacks(server->host, ON_CONNECT, NULL, c);
    return event_add(&added->event, NULL) == 0;
}

static unsigned bound_port(int fd, bool *is_v6) {
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof(address);
    uint16_t port = 0;

    *is_v6 = false;
    if (getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
        return 0;
    }
    *is_v6 = address.ss_family == AF_INET6;
    if (*is_v6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, &address, sizeof(v6));
        port = v6.sin6_port;
    } else {
        struct sockaddr_in v4;
        memcpy(&v4, &address, sizeof(v4));
        port = v4.sin_port;
    }
    return ntohs(port);
}

/* Written under another name first, so that a reader never sees half of it. */
static bool write_port_file(const struct server *server) {
    char draft[PATH_BYTES_MAX];
    const char *path = getenv("MEMCACHED_PORT_FILENAME");

    if (path == NULL) {
        return true;
    }
    int length = snprintf(draft, sizeof(draft), "%s.lck", path);
    if (length < 0 || (size_t)length >= sizeof(draft)) {
        errno = ENAMETOOLONG;
        return false;
    }
    FILE *file = fopen(draft, "w");
    if (file == NULL) {
        return false;
    }
    for (const struct listener *l = server->listener; l != NULL; l = l->next) {
        bool is_v6 = false;
        unsigned port = bound_port(l->fd, &is_v6);
        fprintf(file, "TCP INET%s: %u\n", is_v6 ? "6" : "", port);
    }
    bool good = ferror(file) == 0;
    good = fclose(file) == 0 && good;
    return good && rename(draft, path) == 0;
}

bool listener_start(struct server *server, struct event_base *base) {
    const struct settings *settings = &server->settings;
    const struct addrinfo hints = {
        .ai_flags = AI_PASSIVE, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses = NULL;
    char port[8];

    snprintf(port, sizeof(port), "%u", (unsigned)settings->port);
    int error = getaddrinfo(settings->address, port, &hints, &addresses);
    if (error != 0) {
        fprintf(stderr, "engine-host: bad address %s: %s\n", settings->address,
                gai_strerror(error));
        return false;
    }
    for (const struct addrinfo *a = addresses; a != NULL; a = a->ai_next) {
        int fd = open_socket(a);
        if (fd < 0) {
            fprintf(stderr, "engine-host: cannot listen on %s port %s: %s\n", settings->address,
                    port, strerror(errno));
        } else if (!add_listener(server, base, fd)) {
            close(fd);
        }
    }
    freeaddrinfo(addresses);
    if (server->listener == NULL) {
        return false;
    }
    if (!write_port_file(server)) {
        fprintf(stderr, "engine-host: cannot write MEMCACHED_PORT_FILENAME: %s\n", strerror(errno));
        return false;
    }
    return true;
}

void listener_stop(struct server *server) {
    while (server->listener != NULL) {
        struct listener *listener = server->listener;
        server->listener = listener->next;
        event_del(&listener->event);
        event_del(&listener->rest_timer);
        close(listener->fd);
        free(listener->conn);
        free(listener);
    }
}
