/*
 * What a connection still has to send: bytes that were copied, and values that
 * are sent from item memory in place.
 *
 * Failing to get memory is remembered in failed; the connection is then closed,
 * so callers need not check each step. It fails as well when all connections
 * together hold too much.
 */
#ifndef ENGINE_HOST_OUTPUT_H
#define ENGINE_HOST_OUTPUT_H

#include <memcached/types.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* A buffer of this size is nobody's burden. */
#define OUTPUT_KEEP_BYTES 65536UL

/* Copied answers of all connections together: those of clients that do not read. */
#define OUTPUT_BYTES_MAX (256ULL * 1024 * 1024)

/* One piece; base is NULL for bytes in the buffer, which moves as it grows. */
struct segment {
    const char *base;
    size_t offset;
    size_t length;
    item *item;
};

struct output {
    struct segment *segments;
    size_t first;
    size_t count;
    size_t capacity;
    char *bytes;
    size_t used;
    size_t size;
    /* Bytes not sent yet. */
    size_t pending;
    bool failed;
    /* What the buffers of all connections hold beyond OUTPUT_KEEP_BYTES each; set by the owner. */
    atomic_ullong *all_bytes;
};

/* A position to which an output can be cut back. */
struct output_mark {
    size_t count;
    size_t last_length;
    size_t used;
    size_t pending;
};

enum flush_result {
    FLUSH_DONE,
    FLUSH_WOULD_BLOCK,
    FLUSH_ERROR
};

struct conn;

/* Appends a copy of the bytes. */
void output_copy(struct output *out, const void *bytes, size_t length);

/* Appends a NUL-terminated string. */
void output_text(struct output *out, const char *text);

/*
 * Appends bytes inside an item without copying and takes over the reference,
 * which goes to release after the last byte was sent. On false, out of memory,
 * the caller keeps the reference.
 */
bool output_item(struct output *out, const void *bytes, size_t length, item *it);

struct output_mark output_mark(const struct output *out);

bool output_is_at(const struct output *out, const struct output_mark *mark);

/* Forgets what was copied since the mark; no item may have been added since. */
void output_cut(struct output *out, const struct output_mark *mark);

/* Sends as much as the socket takes. Sent items go to release. */
enum flush_result output_flush(struct output *out, int fd, size_t *sent,
                               void (*release)(struct conn *c, item *it), struct conn *c);

/* Hands unsent items to release and empties the output. */
void output_drop(struct output *out, void (*release)(struct conn *c, item *it), struct conn *c);

/* Frees the memory; items have to be gone. */
void output_free(struct output *out);

#endif
