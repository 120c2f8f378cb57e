/*
 * The output queue; see output.h.
 */
#include "output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FIRST_BYTES 2048
#define FIRST_SEGMENTS 16
#define KEEP_SEGMENTS 1024
#define IOVECS_MAX 64

static unsigned long long counted(size_t size) {
    return size > OUTPUT_KEEP_BYTES ? size - OUTPUT_KEEP_BYTES : 0;
}

static void free_bytes(struct output *out) {
    if (counted(out->size) > 0) {
        atomic_fetch_sub(out->all_bytes, counted(out->size));
    }
    free(out->bytes);
    out->bytes = NULL;
    out->size = 0;
}

static struct segment *add_segment(struct output *out) {
    if (out->count == out->capacity) {
        size_t capacity = out->capacity == 0 ? FIRST_SEGMENTS : out->capacity * 2;
        struct segment *grown = realloc(out->segments, capacity * sizeof(*grown));
        if (grown == NULL) {
            out->failed = true;
            return NULL;
        }
        out->segments = grown;
        out->capacity = capacity;
    }
    struct segment *added = &out->segments[out->count++];
    *added = (struct segment){0};
    return added;
}

static bool reserve_bytes(struct output *out, size_t length) {
    size_t size = out->size == 0 ? FIRST_BYTES : out->size;

    if (length > OUTPUT_BYTES_MAX || out->used > OUTPUT_BYTES_MAX - length) {
        return false;
    }
    while (size - out->used < length) {
        size *= 2;
    }
    if (size == out->size) {
        return true;
    }
    unsigned long long more = counted(size) - counted(out->size);
    if (more > 0 && atomic_fetch_add(out->all_bytes, more) + more > OUTPUT_BYTES_MAX) {
        atomic_fetch_sub(out->all_bytes, more);
        return false;
    }
    char *grown = realloc(out->bytes, size);
    if (grown == NULL) {
        atomic_fetch_sub(out->all_bytes, more);
        return false;
    }
    out->bytes = grown;
    out->size = size;
    return true;
}

void output_copy(struct output *out, const void *bytes, size_t length) {
    if (out->failed || length == 0) {
        return;
    }
    if (!reserve_bytes(out, length)) {
        out->failed = true;
        return;
    }
    struct segment *last = out->count > out->first ? &out->segments[out->count - 1] : NULL;
    if (last == NULL || last->base != NULL || last->item != NULL) {
        last = add_segment(out);
        if (last == NULL) {
            return;
        }
        last->offset = out->used;
    }
    memcpy(out->bytes + out->used, bytes, length);
    last->length += length;
    out->used += length;
    out->pending += length;
}

void output_text(struct output *out, const char *text) {
    output_copy(out, text, strlen(text));
}

bool output_item(struct output *out, const void *bytes, size_t length, item *it) {
    struct segment *added = out->failed ? NULL : add_segment(out);

    if (added == NULL) {
        return false;
    }
    added->base = length > 0 ? bytes : "";
    added->length = length;
    added->item = it;
    out->pending += length;
    return true;
}

struct output_mark output_mark(const struct output *out) {
    return (struct output_mark){
        .count = out->count,
        .last_length = out->count > out->first ? out->segments[out->count - 1].length : 0,
        .used = out->used,
        .pending = out->pending,
    };
}

bool output_is_at(const struct output *out, const struct output_mark *mark) {
    return out->count == mark->count && out->used == mark->used && out->pending == mark->pending;
}

void output_cut(struct output *out, const struct output_mark *mark) {
    out->count = mark->count;
    if (out->count > out->first) {
        out->segments[out->count - 1].length = mark->last_length;
    }
    out->used = mark->used;
    out->pending = mark->pending;
}

static void empty(struct output *out) {
    out->first = 0;
    out->count = 0;
    out->used = 0;
    out->pending = 0;
    if (out->size > OUTPUT_KEEP_BYTES) {
        free_bytes(out);
    }
    if (out->capacity > KEEP_SEGMENTS) {
        free(out->segments);
        out->segments = NULL;
        out->capacity = 0;
    }
}

static size_t fill_iovecs(const struct output *out, struct iovec *iovecs) {
    size_t filled = 0;

    for (size_t i = out->first; i < out->count && filled < IOVECS_MAX; i++) {
        const struct segment *s = &out->segments[i];
        const char *base = s->base != NULL ? s->base : out->bytes;
        if (s->length > 0) {
            iovecs[filled].iov_base = (void *)(uintptr_t)(base + s->offset);
            iovecs[filled].iov_len = s->length;
            filled++;
        }
    }
    return filled;
}

/* Accounts for sent bytes and releases the items that are done with. */
static void advance(struct output *out, size_t sent, void (*release)(struct conn *c, item *it),
                    struct conn *c) {
    out->pending -= sent;
    while (out->first < out->count) {
        struct segment *s = &out->segments[out->first];
        size_t part = sent < s->length ? sent : s->length;
        s->offset += part;
        s->length -= part;
        sent -= part;
        if (s->length > 0) {
            return;
        }
        if (s->item != NULL) {
            release(c, s->item);
        }
        out->first++;
    }
}

enum flush_result output_flush(struct output *out, int fd, size_t *sent,
                               void (*release)(struct conn *c, item *it), struct conn *c) {
    struct iovec iovecs[IOVECS_MAX];

    *sent = 0;
    while (out->pending > 0) {
        struct msghdr message = {.msg_iov = iovecs, .msg_iovlen = fill_iovecs(out, iovecs)};
        ssize_t count = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            bool full = errno == EAGAIN || errno == EWOULDBLOCK;
            return full ? FLUSH_WOULD_BLOCK : FLUSH_ERROR;
        }
        *sent += (size_t)count;
        advance(out, (size_t)count, release, c);
    }
    advance(out, 0, release, c);
    empty(out);
    return FLUSH_DONE;
}

void output_drop(struct output *out, void (*release)(struct conn *c, item *it), struct conn *c) {
    for (size_t i = out->first; i < out->count; i++) {
        if (out->segments[i].item != NULL) {
            release(c, out->segments[i].item);
        }
    }
    empty(out);
    out->failed = false;
}

void output_free(struct output *out) {
    free(out->segments);
    free_bytes(out);
    *out = (struct output){.all_bytes = out->all_bytes};
}
