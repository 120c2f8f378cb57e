/*
 * What a connection has received and not yet consumed.
 *
 * A buffer grows with what has arrived, never with what is announced. What all of
 * them hold beyond their first READ_BUFFER_BYTES is bounded, so that clients that
 * hold back the last byte of large packets cannot take the memory of the host.
 */
#include "server.h"

#include <stdlib.h>
#include <string.h>

size_t conn_available(const struct conn *c) {
    return c->in.end - c->in.start;
}

char *conn_input(struct conn *c) {
    return c->in.bytes + c->in.start;
}

void conn_consume(struct conn *c, size_t count) {
    c->in.start += count;
    if (c->in.start == c->in.end) {
        c->in.start = 0;
        c->in.end = 0;
    }
}

static void move_to_front(struct input *in) {
    memmove(in->bytes, in->bytes + in->start, in->end - in->start);
    in->end -= in->start;
    in->start = 0;
}

void conn_align_input(struct conn *c) {
    if (c->in.start % 8 != 0) {
        move_to_front(&c->in);
    }
}

static unsigned long long counted(size_t size) {
    return size > READ_BUFFER_BYTES ? size - READ_BUFFER_BYTES : 0;
}

/* One packet of the largest size always has room. */
static unsigned long long bytes_max(const struct server *server) {
    unsigned long long packets = 2 * server->settings.item_bytes_max;

    return packets > INPUT_BYTES_MAX ? packets : INPUT_BYTES_MAX;
}

/*
 * The longest value of a packet that is kept whole. It may be more than the engine takes: the
 * engine of a replica has to see such a value of its master to delete the older one.
 */
uint64_t input_value_max(const struct server *server) {
    return bytes_max(server) / 2;
}

void conn_forget_input(struct conn *c) {
    atomic_fetch_sub(&c->worker->server->input_bytes, counted(c->in.size));
    free(c->in.bytes);
    c->in = (struct input){0};
}

static bool grow(struct conn *c, size_t size) {
    struct server *server = c->worker->server;
    struct input *in = &c->in;
    unsigned long long more = counted(size) - counted(in->size);

    if (more > 0 && atomic_fetch_add(&server->input_bytes, more) + more > bytes_max(server)) {
        atomic_fetch_sub(&server->input_bytes, more);
        return false;
    }
    char *grown = realloc(in->bytes, size);
    if (grown == NULL) {
        atomic_fetch_sub(&server->input_bytes, more);
        return false;
    }
    in->bytes = grown;
    in->size = size;
    return true;
}

/*
 * The buffer of a large packet is not kept for small ones: not by a client that has sent part of
 * the next, and not as room for so many of them that it takes long to move them (conn_align_input).
 */
static void shrink(struct conn *c) {
    struct input *in = &c->in;

    move_to_front(in);
    char *shrunk = realloc(in->bytes, READ_BUFFER_BYTES);
    if (shrunk != NULL) {
        atomic_fetch_sub(&c->worker->server->input_bytes, counted(in->size));
        in->bytes = shrunk;
        in->size = READ_BUFFER_BYTES;
    }
}

bool conn_make_room(struct conn *c, size_t need) {
    struct input *in = &c->in;
    size_t available = in->end - in->start;
    /* In whole buffers, or a large packet would arrive byte by byte. */
    size_t size = (need + READ_BUFFER_BYTES - 1) / READ_BUFFER_BYTES * READ_BUFFER_BYTES;

    if (in->size > READ_BUFFER_BYTES && size == READ_BUFFER_BYTES && available < size) {
        shrink(c);
    }
    if (in->start > 0 && in->size - in->start < size) {
        move_to_front(in);
    }
    if (in->end < in->size) {
        return true;
    }
    size_t doubled = in->size == 0 ? READ_BUFFER_BYTES : 2 * in->size;
    return grow(c, size < doubled ? size : doubled);
}
