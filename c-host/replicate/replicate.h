/*
 * engine-replicate: forwards the TAP stream of one server into another.
 *
 * main.c reads options and begins anew after a loss; plan.c asks both servers what is to be
 * replicated and connects the stream; pump.c forwards; link.c is a connection; say.c says
 * why. A file uses files of lower rank only; tests/tidy has the ranks.
 */
#ifndef ENGINE_REPLICATE_H
#define ENGINE_REPLICATE_H

#include <memcached/protocol_binary.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    VBUCKETS_MAX = UINT16_MAX,
    HEADER_BYTES = sizeof(protocol_binary_request_header),
    /* The longest value that an engine may be told to take, and what goes with it. */
    PACKET_BODY_MAX = (1 << 30) + (1 << 20)
};

/* "host:port", and its parts. */
struct server {
    const char *text;
    char host[256];
    char port[16];
};

struct options {
    struct server source;
    struct server destination;
    const char *name;
    bool takeover;
    bool force;
    bool reconnect;
    bool verbose;
    /* What was active at the destination when it was first seen: of that force may be meant. */
    bool seen;
    bool was_active[UINT16_MAX + 1];
};

/* The vbuckets of a stream, in the order in which they were named. */
struct vbuckets {
    size_t count;
    uint16_t ids[VBUCKETS_MAX];
    uint64_t closed[VBUCKETS_MAX]; /* id of the last closed checkpoint at the destination */
};

enum outcome {
    OUTCOME_LOST,    /* a connection failed; said why; beginning anew may help */
    OUTCOME_REFUSED, /* said why; it would be the same again */
    OUTCOME_DONE     /* what was to be done is done */
};

/* One line on stderr. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- link.c: blocking with a time limit, for the questions before the stream ---- */

/* A connected socket, or -1 after saying why. */
int link_open(const struct server *server);

/* Whether both are connected to one address. */
bool link_same_peer(int a, int b);

bool link_send(int fd, const struct server *server, const void *bytes, size_t length);

/* An answer to a request, of which body holds up to body_room bytes, NUL-terminated. */
struct answer {
    uint16_t status;
    uint16_t keylen;
    uint8_t extlen;
    size_t bodylen;
    char body[1024];
};

bool link_receive(int fd, const struct server *server, struct answer *answer);

/* A request without key; false after saying why. */
bool link_call(int fd, const struct server *server, uint8_t opcode, uint16_t vbucket,
               const void *extras, uint8_t extlen, struct answer *answer);

/*
 * Asks for a group of statistics, whose name is no longer than a key. Each is an answer with a name
 * as its key; the last one has none.
 */
bool link_ask(int fd, const struct server *server, const char *group);

/* From now on nothing blocks. */
bool link_begin_stream(int fd, const struct server *server);

/*
 * Waits until the server has taken all that it was sent and closes, as long as it does so in time:
 * what it still had to read would be applied in the middle of the next stream.
 */
void link_end_stream(int fd);

/* ---- plan.c ---- */

/* What a status that is not success means. */
enum outcome refusal(uint16_t status);

/* "0,3,5-7"; false if it is not that. */
bool vbuckets_parse(const char *text, struct vbuckets *vbuckets);

/* With force, the first time: notes what is active at the destination. */
enum outcome plan_force(struct options *options, int destination);

/* The source's active vbuckets. */
enum outcome plan_all_active(const struct options *options, int source, struct vbuckets *vbuckets);

/*
 * Makes the destination ready and connects the stream, unless no vbucket is left for a takeover.
 * Anything but DONE is a failure.
 */
enum outcome plan_begin(const struct options *options, int source, int destination,
                        struct vbuckets *vbuckets);

/* ---- pump.c ---- */

/* Forwards until a connection ends. */
enum outcome pump_run(const struct options *options, const struct vbuckets *vbuckets, int source,
                      int destination);

#endif
