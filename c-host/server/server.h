/*
 * engine-host: a small memcached around one engine.
 *
 * Threads: the main thread owns the listening sockets; each worker owns an
 * event_base and the connections that were handed to it. A worker holds its
 * mutex for a whole turn of a connection, so in particular during every engine
 * call; notify_io_complete takes the same mutex. The queue mutex of a worker is
 * a leaf: nothing is called while it is held.
 *
 * A file uses files of lower rank only; tests/tidy has the ranks.
 *
 * A connection is the engine's cookie. Connections are recycled but never
 * freed before exit, so a late call with an old cookie does no harm.
 */
#ifndef ENGINE_HOST_SERVER_H
#define ENGINE_HOST_SERVER_H

#include "host.h"
#include "output.h"

#include <memcached/protocol_binary.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdatomic.h>

#define KEY_BYTES_MAX PROTOCOL_BINARY_KEY_MAX
#define HEADER_BYTES sizeof(protocol_binary_request_header)

/* Defaults of the options, and limits without an option. */
#define DEFAULT_PORT 11211
#define DEFAULT_THREADS 4
#define DEFAULT_CONNECTIONS 1024
#define DEFAULT_ITEM_BYTES_MAX (20ULL * 1024 * 1024)
#define THREADS_MAX 64
#define READ_BUFFER_BYTES 16384
#define LINE_BYTES_MAX 2048
/* What connections may hold in input buffers beyond READ_BUFFER_BYTES each, all together. */
#define INPUT_BYTES_MAX (64ULL * 1024 * 1024)
#define COMMANDS_PER_TURN 20
#define TAP_BATCHES_PER_TURN 50
/*
 * Clients read features from it. The last before commands that are not here: slabs
 * reassign came with 1.4.11, lru_crawler with 1.4.18, the meta commands with 1.6.
 */
#define SERVER_VERSION "1.4.10"

struct settings {
    const char *engine_path;
    const char *address;
    char *config;
    const char *user_config;
    uint16_t port;
    unsigned threads;
    unsigned connections_max;
    uint64_t memory_bytes;
    uint64_t item_bytes_max;
    bool item_bytes_given;
    int verbosity;
    enum ch_layout layout;
    /* Monitors of memcached have room for what memcached says, and no more. */
    bool brief_stats;
};

/* Counters of one worker; written by its thread, read by anyone. */
struct counters {
    atomic_ullong bytes_read;
    atomic_ullong bytes_written;
    atomic_ullong cmd_get;
    atomic_ullong get_hits;
    atomic_ullong get_misses;
    atomic_ullong cmd_set;
    atomic_ullong cmd_flush;
    atomic_ullong delete_hits;
    atomic_ullong delete_misses;
    atomic_ullong incr_hits;
    atomic_ullong incr_misses;
    atomic_ullong decr_hits;
    atomic_ullong decr_misses;
    atomic_ullong cas_hits;
    atomic_ullong cas_misses;
    atomic_ullong cas_badval;
    atomic_ullong cmd_touch;
    atomic_ullong touch_hits;
    atomic_ullong touch_misses;
    atomic_ullong cmd_unknown;
    atomic_ullong blocked;
    atomic_ullong yields;
};

static inline void count_add(atomic_ullong *counter, unsigned long long amount) {
    atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

/* Log lines that clients provoked in the current period. */
struct provoked {
    /* A leaf: nothing is called while it is held. */
    pthread_mutex_t mutex;
    rel_time_t began;
    unsigned written;
    unsigned long long left_out;
};

struct server {
    struct settings settings;
    struct provoked provoked;
    ch_host *host;
    ch_engine *engine;
    ENGINE_HANDLE *handle;
    ENGINE_HANDLE_V1 *v1;
    struct worker *workers;
    struct listener *listener;
    atomic_uint connections;
    atomic_ullong connections_total;
    atomic_ullong connections_rejected;
    /* Connection objects; they are recycled and never freed. */
    atomic_uint connection_structures;
    /* Listening sockets that rest, and how often one began to. */
    atomic_uint listeners_resting;
    atomic_ullong listeners_rested;
    /* In input buffers, beyond READ_BUFFER_BYTES of each. */
    atomic_ullong input_bytes;
    /* In output buffers, beyond OUTPUT_KEEP_BYTES of each. */
    atomic_ullong output_bytes;
    /* Written to by a signal or core->shutdown, read by the main loop. */
    int shutdown_fd;
};

struct worker {
    struct server *server;
    unsigned index;
    pthread_t thread;
    struct event_base *base;
    struct event wake_event;
    int wake_fd;
    /* What a socket's event calls: the state machine, which stands above what arms events. */
    event_callback_fn on_event;
    /* Error-checking; held while the worker is inside the engine. */
    pthread_mutex_t mutex;
    struct counters counters;

    /* Protected by queue_mutex. */
    pthread_mutex_t queue_mutex;
    int *new_fds;
    size_t new_count;
    size_t new_capacity;
    struct conn *resume_list;
    struct conn *unreferenced_list;
    bool stopping;

    /* All connection objects of this worker, and those not in use. */
    struct conn *all;
    struct conn *unused;
};

enum protocol {
    PROTOCOL_UNKNOWN,
    PROTOCOL_ASCII,
    PROTOCOL_BINARY
};

enum conn_state {
    /* At the start of a command. */
    CONN_COMMAND,
    /* Receiving a value into an item. */
    CONN_VALUE,
    /* The value is complete; store it. */
    CONN_STORE,
    /* Dropping bytes, then after_swallow. */
    CONN_SWALLOW
};

/* What a protocol function did. */
enum outcome {
    /* The command is finished, or moved the connection to another state. */
    OUTCOME_DONE,
    /* Call again once everything queued has been sent. */
    OUTCOME_FLUSH,
    /* More input is needed; conn.need says how many bytes in all. */
    OUTCOME_READ,
    /* The engine said EWOULDBLOCK; call again after the notify. */
    OUTCOME_BLOCKED,
    OUTCOME_CLOSE
};

/* ASCII: a get of which keys are still to be looked up; they are in the input or yet to come. */
struct multiget {
    bool open;
    /* It was refused: what is left of the line is dropped. */
    bool dropping;
    bool any_key;
    bool with_cas;
    bool touches;
    rel_time_t exptime;
};

/* Bytes received and not yet consumed: bytes[start..end). */
struct input {
    char *bytes;
    size_t size;
    size_t start;
    size_t end;
};

struct conn {
    /* Touched by engine threads. The first one is what reserve increments. */
    atomic_uint references;
    atomic_bool tap_nack_mode;
    atomic_int fd;
    _Atomic(void *) engine_specific;

    struct worker *worker;
    struct event event;
    short armed;
    enum protocol protocol;
    enum conn_state state;
    enum conn_state after_swallow;
    bool close_after_write;
    bool flush_first;
    bool reads_ahead;
    bool in_engine_call;

    /* Blocking; protected by the worker's mutex. */
    bool blocked;
    /* Its client has gone, but the engine owes a notify. */
    bool hung_up;
    bool notified;
    bool early_notified;
    ENGINE_ERROR_CODE status;

    struct input in;
    size_t need;
    struct output out;
    struct output_mark mark;
    bool mark_kept;

    /* A storage command in progress. */
    item *item;
    char *value_next;
    size_t value_left;
    uint64_t swallow_left;
    ENGINE_STORE_OPERATION operation;

    /* Binary: header of the current request. ASCII: state of the line. */
    protocol_binary_request_header request;
    bool noreply;
    struct multiget get;
    /* Where the answer to a touch goes, during the engine call. */
    struct touch_answer *touch;
    /* Binary: whether the engine's last answer to the packet was a success. */
    bool answered_success;
    /* What the engine said in the statistics under way; 0 if it did not. */
    uint64_t engine_maxbytes;

    /* A TAP stream, if not NULL. Asleep it waits for a notify; protected by the worker's mutex. */
    TAP_ITERATOR tap_iterator;
    bool tap_asleep;

    struct conn *next_all;
    struct conn *next_unused;
    struct conn *next_resume;
    bool resuming; /* on the resume list or taken from it; protected by the queue mutex */
    struct conn *next_unreferenced;
    bool in_use;
};

/* lifetime.c */
struct conn *conn_new(struct worker *worker, int fd);
void conn_recycle(struct conn *c);
void conn_free_memory(struct conn *c);
bool conn_arm(struct conn *c, short what);
void conn_disarm(struct conn *c);
void conn_close(struct conn *c);
void conn_look_at_waiting(struct conn *c, short what);
void conn_end_hung_up(struct conn *c);

/* connection.c */
void conn_on_event(evutil_socket_t fd, short what, void *arg);
void conn_resume(struct conn *c);

/* engine.c */
void conn_engine_blocked(struct conn *c);
void conn_swallow(struct conn *c, uint64_t count, enum conn_state after);
ENGINE_ERROR_CODE conn_take_status(struct conn *c);
bool conn_begin_value(struct conn *c, item *it, const item_info *info, size_t nbytes);
void conn_release_item(struct conn *c, item *it);
bool conn_item_info(struct conn *c, const item *it, item_info *info);

/* input.c */
size_t conn_available(const struct conn *c);
char *conn_input(struct conn *c);
void conn_consume(struct conn *c, size_t count);
/* Engines read 64-bit members of a request, so it has to be 8-aligned. */
void conn_align_input(struct conn *c);
/*
 * Makes room to receive more, if need bytes in all are awaited. False: out of
 * memory, or the connections hold INPUT_BYTES_MAX already.
 */
bool conn_make_room(struct conn *c, size_t need);
void conn_forget_input(struct conn *c);
uint64_t input_value_max(const struct server *server);

/* cookie.c */
struct ch_cookie_ops cookie_ops(void);

/* thread.c */
bool workers_start(struct server *server);
/* Joins the workers. Engine threads may still notify, so memory stays. */
void workers_stop(struct server *server);
/* After the engine is destroyed. */
void workers_free(struct server *server);

/* queue.c */
void worker_wake(const struct worker *worker);
bool worker_hand_over(struct worker *worker, int fd);
void worker_resume(struct worker *worker, struct conn *c);
void worker_unreferenced(struct worker *worker, struct conn *c);

/* provoked.c: writes a line that clients can bring about, unless there were many. */
void log_provoked(struct server *server, EXTENSION_LOG_LEVEL severity, const void *cookie,
                  const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* listener.c */
bool listener_start(struct server *server, struct event_base *base);
void listener_stop(struct server *server);

/* tap_stream.c */
void tap_stream_begin(struct conn *c, TAP_ITERATOR iterator);
/* Queues the next events. False if there were none: the stream sleeps now. */
bool tap_stream_batch(struct conn *c);

/* proto_bin.c and bin_store.c; more in binary.h */
enum outcome bin_command(struct conn *c);
enum outcome bin_store(struct conn *c);
/* There is no room for the rest of the current packet. */
enum outcome bin_no_room(struct conn *c);

/* proto_ascii.c and ascii_store.c; more in ascii.h */
enum outcome ascii_command(struct conn *c);
enum outcome ascii_store(struct conn *c);

/* stats.c */
void stats_count_cas(struct conn *c, ENGINE_ERROR_CODE code);
void stats_count_touch(struct conn *c, bool hit);
/* Notes what the host wants to know of the engine's statistics. */
void stats_note(struct conn *c, const char *key, size_t klen, const char *value, size_t vlen);
/* The limit of memory: the engine's if it was noted, else that of -m; unknown, none. */
void stats_limit(struct conn *c, ADD_STAT add);
void stats_host(struct conn *c, ADD_STAT add);
void stats_settings(const struct server *server, ch_add_setting add, void *sink);
void stats_settings_reply(struct conn *c, ADD_STAT add);
void stats_reset(struct server *server);

#endif
