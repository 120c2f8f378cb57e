/*
 * The stub engine: a small in-memory engine in C behind one mutex, so that the harness, the suites
 * and the server can be tested (and run under thread checkers) without the real one. It keeps the
 * contracts that the suites ask for in the simplest way; it is no model of how to do any of it.
 */
#ifndef CH_HARNESS_NULL_ENGINE_H
#define CH_HARNESS_NULL_ENGINE_H

#include <memcached/engine.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    NULL_VBUCKETS = 1024,
    NULL_BUCKETS = 1 << 16,
    NULL_KEY_MAX = 250,
    NULL_BLOCKED_MAX = 1024
};

/* Immutable once it is in the table; counted. Key, a NUL and the value follow. */
struct null_item {
    _Atomic uint32_t references;
    rel_time_t exptime;
    uint64_t cas;
    uint32_t flags;
    uint32_t nbytes;
    uint16_t nkey;
    char data[];
};

/* A key. `now` is NULL when it is absent; such an entry only lives inside a window. */
struct null_entry {
    struct null_entry *next;
    struct null_item *now;
    struct null_item *before; /* the pre-image, if `touched` */
    uint64_t locked_until;
    uint16_t vbucket;
    uint16_t nkey;
    bool touched;
    char key[];
};

struct null_vbucket {
    uint32_t state; /* 0: missing */
    bool window;
    uint64_t checkpoint;
};

enum null_job {
    JOB_NONE,
    JOB_COMPLETE,
    JOB_REVERT
};

/* Which cookie table the host has, as configuration key host_abi says. */
enum null_layout {
    NULL_LAYOUT_UNKNOWN,
    NULL_LAYOUT_MEMBASE,
    NULL_LAYOUT_MEMCACHED
};

struct null_tap;

struct null_engine {
    ENGINE_HANDLE_V1 table; /* first */
    SERVER_CORE_API *core;
    SERVER_EXTENSION_API *extension;
    SERVER_CALLBACK_API *callback;
    SERVER_COOKIE_API_MEMBASE *cookies; /* members that both layouts share, unless layout says */
    enum null_layout layout;
    struct null_tap *tap;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t worker;
    bool running;
    bool stop;
    bool ready;

    struct null_entry **buckets;
    struct null_vbucket vbuckets[NULL_VBUCKETS];
    const void *blocked[NULL_BLOCKED_MAX]; /* cookies that wait for a state */
    unsigned blocked_count;
    bool release_blocked;
    enum null_job job;
    const void *job_cookie;
    rel_time_t flush_at;

    uint64_t last_cas;
    uint64_t items;
    uint64_t memory;
    uint64_t reverted_add;
    uint64_t reverted_delete;
    uint64_t reverted_update;
    const char *last_outcome;

    size_t item_size_max;
    char *dbname; /* NULL: nothing is kept */
    int lock_file;
};

/* Locks are held by the caller of everything in null_store.c unless said otherwise. */
struct null_item *null_item_new(const void *key, size_t nkey, size_t nbytes);
void null_item_free(struct null_item *it);
/* Items that exist in this process. Needs no lock. */
uint64_t null_item_live(void);
char *null_item_value(struct null_item *it);

struct null_entry *null_find(struct null_engine *e, const void *key, size_t nkey, uint16_t vb);
/* Takes over the reference to `it`; NULL deletes. */
bool null_put(struct null_engine *e, const void *key, size_t nkey, uint16_t vb,
              struct null_item *it);
void null_delete_all(struct null_engine *e);
void null_delete_vbucket(struct null_engine *e, uint16_t vb);
/* Drops what has expired or was flushed; call before looking at a key. */
struct null_item *null_live(struct null_engine *e, const void *key, size_t nkey, uint16_t vb);
bool null_window_open(const struct null_engine *e);
bool null_start(struct null_engine *e);
void null_end_window(struct null_engine *e, bool revert);
void null_free_all(struct null_engine *e);

/* Not locked. False with a message on failure. */
bool null_load(struct null_engine *e);
bool null_save(struct null_engine *e);
bool null_open_dir(struct null_engine *e);
void null_mark_window(struct null_engine *e, bool open);
void null_log(struct null_engine *e, const char *what, const char *detail);

/* null_command.c: the functions of the table. */
ENGINE_ERROR_CODE null_unknown_command(ENGINE_HANDLE *handle, const void *cookie,
                                       protocol_binary_request_header *request,
                                       ADD_RESPONSE response);
ENGINE_ERROR_CODE null_get_stats(ENGINE_HANDLE *handle, const void *cookie, const char *stat_key,
                                 int nkey, ADD_STAT add_stat);
void *null_worker(void *argument);

/* null_tap.c: streams and their consumers. */
bool null_tap_open(struct null_engine *e);
void null_tap_close(struct null_engine *e);
TAP_ITERATOR null_get_tap_iterator(ENGINE_HANDLE *handle, const void *cookie, const void *client,
                                   size_t nclient, uint32_t flags, const void *userdata,
                                   size_t nuserdata);
ENGINE_ERROR_CODE null_tap_notify(ENGINE_HANDLE *handle, const void *cookie, void *engine_specific,
                                  uint16_t nengine, uint8_t ttl, uint16_t tap_flags,
                                  tap_event_t tap_event, uint32_t tap_seqno, const void *key,
                                  size_t nkey, uint32_t flags, uint32_t exptime, uint64_t cas,
                                  const void *data, size_t ndata, uint16_t vbucket);
/* Locked. A key was stored: sleeping streams are to be woken. */
void null_tap_stored(struct null_engine *e);
/* Locked. Whether null_tap_work has something to do, which unlocks meanwhile. */
bool null_tap_due(const struct null_engine *e);
void null_tap_work(struct null_engine *e);
/* Locked. */
void null_tap_stats(struct null_engine *e, const void *cookie, ADD_STAT add_stat);

static inline struct null_engine *null_of(ENGINE_HANDLE *handle) {
    union {
        ENGINE_HANDLE *in;
        struct null_engine *out;
    } same = {.in = handle};
    return same.out;
}

/* Locked. SUCCESS when the vbucket serves; EWOULDBLOCK has been arranged for. */
ENGINE_ERROR_CODE null_enter(struct null_engine *e, const void *cookie, uint16_t vb);

#endif
