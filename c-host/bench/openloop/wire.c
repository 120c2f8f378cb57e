/* The binary protocol, as far as this client speaks it. */
#include "openloop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int wire_connect(const struct options *o) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const int problem = getaddrinfo(o->host, o->port, &hints, &found);
    const int on = 1;
    int fd = -1;
    if (problem != 0) {
        fatal("%s: %s", o->host, gai_strerror(problem));
    }
    for (const struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
            const int error = errno;
            (void)close(fd);
            errno = error;
            fd = -1;
        }
    }
    freeaddrinfo(found);
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
        fatal("cannot connect to %s:%s: %s", o->host, o->port, strerror(errno));
    }
    return fd;
}

/* Twelve digits. */
static void put_number(unsigned char *to, uint64_t number) {
    for (int i = 11; i >= 0; i--) {
        to[i] = (unsigned char)('0' + number % 10);
        number /= 10;
    }
}

static void put_header(unsigned char *to, uint8_t opcode, uint16_t key, uint8_t extras,
                       size_t value, uint32_t opaque) {
    protocol_binary_request_header header;
    memset(&header, 0, sizeof header);
    header.request.magic = PROTOCOL_BINARY_REQ;
    header.request.opcode = opcode;
    header.request.keylen = htons(key);
    header.request.extlen = extras;
    header.request.bodylen = htonl((uint32_t)(key + extras + value));
    header.request.opaque = htonl(opaque);
    memcpy(to, &header, sizeof header);
}

static void put_key(unsigned char *to, uint64_t number) {
    memcpy(to, "key-", 4);
    put_number(to + 4, number);
}

size_t wire_request_room(size_t value_size) {
    return HEADER_BYTES + SET_EXTRAS_BYTES + KEY_BYTES + value_size;
}

size_t wire_bare(unsigned char *to, uint8_t opcode, uint32_t opaque) {
    put_header(to, opcode, 0, 0, 0, opaque);
    return HEADER_BYTES;
}

size_t wire_get(unsigned char *to, uint8_t opcode, uint64_t number, uint32_t opaque) {
    put_header(to, opcode, KEY_BYTES, 0, 0, opaque);
    put_key(to + HEADER_BYTES, number);
    return HEADER_BYTES + KEY_BYTES;
}

size_t wire_delete(unsigned char *to, uint8_t opcode, uint64_t number, uint32_t opaque) {
    return wire_get(to, opcode, number, opaque);
}

size_t wire_set(unsigned char *to, uint8_t opcode, uint64_t number, char letter, size_t value_size,
                uint32_t opaque) {
    put_header(to, opcode, KEY_BYTES, SET_EXTRAS_BYTES, value_size, opaque);
    unsigned char *at = to + HEADER_BYTES;
    memset(at, 0, SET_EXTRAS_BYTES);
    put_key(at + SET_EXTRAS_BYTES, number);
    at += SET_EXTRAS_BYTES + KEY_BYTES;
    put_number(at, number);
    at[VALUE_HEAD_BYTES - 1] = (unsigned char)letter;
    memset(at + VALUE_HEAD_BYTES, '.', value_size - VALUE_HEAD_BYTES);
    return wire_request_room(value_size);
}

size_t wire_parse(const unsigned char *bytes, size_t size, struct answer *answer) {
    protocol_binary_response_header header;
    if (size < sizeof header) {
        return 0;
    }
    memcpy(&header, bytes, sizeof header);
    const size_t body = ntohl(header.response.bodylen);
    const size_t extras = header.response.extlen;
    const size_t key = ntohs(header.response.keylen);
    if (header.response.magic != PROTOCOL_BINARY_RES || extras + key > body) {
        fatal("this is no answer of the binary protocol: magic 0x%02x", header.response.magic);
    }
    if (size - sizeof header < body) {
        return 0;
    }
    *answer = (struct answer){.opcode = header.response.opcode,
                              .status = ntohs(header.response.status),
                              .opaque = ntohl(header.response.opaque),
                              .key = bytes + sizeof header + extras,
                              .key_size = key,
                              .value = bytes + sizeof header + extras + key,
                              .value_size = body - extras - key};
    return sizeof header + body;
}

bool wire_is_value(const struct answer *answer, uint64_t number, size_t value_size,
                   char forbidden) {
    unsigned char digits[VALUE_HEAD_BYTES - 1];
    put_number(digits, number);
    return answer->value_size == value_size &&
           memcmp(answer->value, digits, sizeof digits) == 0 &&
           (forbidden == '\0' || answer->value[VALUE_HEAD_BYTES - 1] != (unsigned char)forbidden);
}
