/* A connection before it carries the stream: one request, one answer. */
#include "replicate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_SECONDS 10

static bool set(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/* What the limit of ANSWER_SECONDS looks like: connect has a name of its own for it. */
static bool slow(void) {
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINPROGRESS;
}

static bool configure(int fd) {
    const struct timeval limit = {.tv_sec = ANSWER_SECONDS};
    return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
           set(fd, SOL_SOCKET, SO_KEEPALIVE, 1) && set(fd, IPPROTO_TCP, TCP_NODELAY, 1) &&
           set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 30) && set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10) &&
           set(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

int link_open(const struct server *server) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const int problem = getaddrinfo(server->host, server->port, &hints, &found);
    if (problem != 0) {
        say("%s: %s", server->text, gai_strerror(problem));
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (fd >= 0 && (!configure(fd) || connect(fd, at->ai_addr, at->ai_addrlen) != 0)) {
            const int error = errno;
            (void)close(fd);
            errno = error;
            fd = -1;
        }
    }
    if (fd < 0) {
        say("%s: cannot connect: %s", server->text, slow() ? "no answer in time" : strerror(errno));
    }
    freeaddrinfo(found);
    return fd;
}

bool link_same_peer(int a, int b) {
    struct sockaddr_storage peers[2] = {0};
    socklen_t lengths[] = {sizeof peers[0], sizeof peers[1]};
    return getpeername(a, (struct sockaddr *)&peers[0], &lengths[0]) == 0 &&
           getpeername(b, (struct sockaddr *)&peers[1], &lengths[1]) == 0 &&
           lengths[0] == lengths[1] && memcmp(&peers[0], &peers[1], lengths[0]) == 0;
}

static bool lost(const struct server *server, ssize_t result) {
    say("%s: %s", server->text,
        result == 0 ? "closed the connection"
        : slow()    ? "no answer in time"
                    : strerror(errno));
    return false;
}

bool link_send(int fd, const struct server *server, const void *bytes, size_t length) {
    const char *at = bytes;
    while (length > 0) {
        const ssize_t sent = send(fd, at, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            return lost(server, sent);
        }
        at += sent;
        length -= (size_t)sent;
    }
    return true;
}

static bool receive(int fd, const struct server *server, void *bytes, size_t length) {
    char *at = bytes;
    while (length > 0) {
        const ssize_t count = recv(fd, at, length, 0);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return lost(server, count);
        }
        at += count;
        length -= (size_t)count;
    }
    return true;
}

bool link_receive(int fd, const struct server *server, struct answer *answer) {
    protocol_binary_response_header header;
    if (!receive(fd, server, header.bytes, sizeof header.bytes)) {
        return false;
    }
    answer->status = ntohs(header.response.status);
    answer->keylen = ntohs(header.response.keylen);
    answer->extlen = header.response.extlen;
    answer->bodylen = ntohl(header.response.bodylen);
    if (header.response.magic != PROTOCOL_BINARY_RES || answer->bodylen >= sizeof answer->body ||
        (size_t)answer->keylen + answer->extlen > answer->bodylen) {
        say("%s: its answer is not one of the binary protocol", server->text);
        return false;
    }
    answer->body[answer->bodylen] = '\0';
    return receive(fd, server, answer->body, answer->bodylen);
}

bool link_call(int fd, const struct server *server, uint8_t opcode, uint16_t vbucket,
               const void *extras, uint8_t extlen, struct answer *answer) {
    char packet[HEADER_BYTES + UINT8_MAX];
    protocol_binary_request_header header = {0};
    header.request.magic = PROTOCOL_BINARY_REQ;
    header.request.opcode = opcode;
    header.request.extlen = extlen;
    header.request.vbucket = htons(vbucket);
    header.request.bodylen = htonl(extlen);
    memcpy(packet, header.bytes, HEADER_BYTES);
    if (extlen > 0) {
        memcpy(packet + HEADER_BYTES, extras, extlen);
    }
    return link_send(fd, server, packet, HEADER_BYTES + (size_t)extlen) &&
           link_receive(fd, server, answer);
}

bool link_ask(int fd, const struct server *server, const char *group) {
    const size_t length = strlen(group);
    char packet[HEADER_BYTES + PROTOCOL_BINARY_KEY_MAX];
    protocol_binary_request_header header = {0};
    header.request.magic = PROTOCOL_BINARY_REQ;
    header.request.opcode = PROTOCOL_BINARY_CMD_STAT;
    header.request.keylen = htons((uint16_t)length);
    header.request.bodylen = htonl((uint32_t)length);
    memcpy(packet, header.bytes, HEADER_BYTES);
    memcpy(packet + HEADER_BYTES, group, length);
    return link_send(fd, server, packet, HEADER_BYTES + length);
}

bool link_begin_stream(int fd, const struct server *server) {
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        say("%s: %s", server->text, strerror(errno));
        return false;
    }
    return true;
}

void link_end_stream(int fd) {
    char waste[4096];
    struct pollfd end = {.fd = fd, .events = POLLIN};
    ssize_t count = shutdown(fd, SHUT_WR) == 0 ? 1 : 0;
    while (count > 0 && poll(&end, 1, ANSWER_SECONDS * 1000) > 0) {
        count = recv(fd, waste, sizeof waste, 0);
    }
}
