/*
 * Storage commands of the ASCII protocol: set, add, replace, append, prepend, cas.
 *
 *   set <key> <flags> <exptime> <bytes> [noreply]
 *   cas <key> <flags> <exptime> <bytes> <unique> [noreply]
 *
 * Whatever is refused, the value that the line announces is dropped and never taken
 * for a command. A line that announces no length ends the connection: where the next
 * command begins is not known.
 */
#include "ascii.h"

#include <arpa/inet.h>
#include <string.h>

#define TOO_LARGE "SERVER_ERROR object too large for cache\r\n"
#define NO_MEMORY "SERVER_ERROR out of memory storing object\r\n"

struct storage {
    struct word key;
    uint32_t flags;
    rel_time_t exptime;
    uint64_t nbytes;
    uint64_t cas;
};

/* NULL when fine, else what to answer. */
static const char *parse_storage(struct conn *c, const struct line *line,
                                 ENGINE_STORE_OPERATION operation, struct storage *s) {
    size_t plain = operation == OPERATION_CAS ? 6 : 5;
    /* A word more than these does not matter, unless it is noreply. */
    size_t count = ascii_take_noreply(c, line, 5);
    uint64_t flags = 0;

    if (line->count < plain || count > plain + 1) {
        return "ERROR\r\n";
    }
    s->key = line->words[1];
    if (s->key.length > KEY_BYTES_MAX || !ascii_number(&line->words[2], UINT32_MAX, &flags) ||
        !ascii_exptime(c, &line->words[3], &s->exptime)) {
        return BAD_FORMAT;
    }
    if (operation == OPERATION_CAS && !ascii_number(&line->words[5], UINT64_MAX, &s->cas)) {
        return BAD_FORMAT;
    }
    s->flags = htonl((uint32_t)flags);
    return NULL;
}

static enum outcome refuse(struct conn *c, const struct line *line, const struct storage *s,
                           const char *text) {
    ascii_reply(c, text);
    conn_swallow(c, line->bytes + s->nbytes + 2, CONN_COMMAND);
    return OUTCOME_DONE;
}

/* The line does not say how long the value is. */
static enum outcome refuse_for_good(struct conn *c, const struct line *line) {
    c->close_after_write = true;
    return ascii_finish(c, line, line->count < 5 ? "ERROR\r\n" : BAD_FORMAT);
}

/*
 * Answers and drops the value; after a failed set no old value may survive. As in real hosts no
 * answer to that is heeded.
 */
static enum outcome allocate_failed(struct conn *c, const struct line *line,
                                    const struct storage *s, ENGINE_STORE_OPERATION operation,
                                    ENGINE_ERROR_CODE code) {
    const struct server *server = c->worker->server;

    if (code == ENGINE_DISCONNECT) {
        return OUTCOME_CLOSE;
    }
    if (operation == OPERATION_SET) {
        (void)server->v1->remove(server->handle, c, s->key.text, s->key.length, 0, 0);
    }
    return refuse(c, line, s, code == ENGINE_E2BIG ? TOO_LARGE : NO_MEMORY);
}

enum outcome ascii_store_begin(struct conn *c, const struct line *line,
                               ENGINE_STORE_OPERATION operation) {
    const struct server *server = c->worker->server;
    struct storage s = {0};
    item *it = NULL;
    item_info info;

    if (line->count < 5 || !ascii_number(&line->words[4], INT64_MAX, &s.nbytes)) {
        return refuse_for_good(c, line);
    }
    const char *complaint = parse_storage(c, line, operation, &s);
    if (complaint != NULL) {
        return refuse(c, line, &s, complaint);
    }
    ENGINE_ERROR_CODE code = conn_take_status(c);
    if (code == ENGINE_SUCCESS) {
        code = server->v1->allocate(server->handle, c, &it, s.key.text, s.key.length, s.nbytes,
                                    (int)s.flags, s.exptime);
    }
    if (code == ENGINE_EWOULDBLOCK) {
        conn_engine_blocked(c);
        return OUTCOME_BLOCKED;
    }
    if (code == ENGINE_SUCCESS && it == NULL) {
        code = ENGINE_FAILED;
    }
    if (code != ENGINE_SUCCESS) {
        return allocate_failed(c, line, &s, operation, code);
    }
    server->v1->item_set_cas(server->handle, c, it, s.cas);
    if (!conn_item_info(c, it, &info) || !conn_begin_value(c, it, &info, s.nbytes)) {
        conn_release_item(c, it);
        return refuse(c, line, &s, "SERVER_ERROR error getting item data\r\n");
    }
    c->operation = operation;
    conn_consume(c, line->bytes);
    count_add(&c->worker->counters.cmd_set, 1);
    return OUTCOME_DONE;
}

/* NULL: close. */
static const char *store_reply(struct conn *c, ENGINE_ERROR_CODE code) {
    switch ((int)code) {
    case ENGINE_SUCCESS:
        return "STORED\r\n";
    case ENGINE_KEY_ENOENT:
        return "NOT_FOUND\r\n";
    case ENGINE_KEY_EEXISTS:
        return "EXISTS\r\n";
    case ENGINE_ENOMEM:
        return "SERVER_ERROR out of memory\r\n";
    case ENGINE_NOT_STORED:
        return "NOT_STORED\r\n";
    case ENGINE_EINVAL:
        return "CLIENT_ERROR invalid arguments\r\n";
    case ENGINE_ENOTSUP:
        return "SERVER_ERROR not supported\r\n";
    case ENGINE_E2BIG:
        return "CLIENT_ERROR value too big\r\n";
    case ENGINE_WANT_MORE:
        return ascii_bad_result(c, "store", code);
    case ENGINE_DISCONNECT:
        return NULL;
    case ENGINE_EACCESS:
        return "CLIENT_ERROR access control violation\r\n";
    case ENGINE_NOT_MY_VBUCKET:
        return "SERVER_ERROR not my vbucket\r\n";
    case ENGINE_TMPFAIL:
        return "SERVER_ERROR temporary failure\r\n";
    case ENGINE_FAILED:
        return "SERVER_ERROR failure\r\n";
    default:
        return "SERVER_ERROR internal\r\n";
    }
}

enum outcome ascii_store(struct conn *c) {
    const struct server *server = c->worker->server;
    uint64_t cas = 0;
    item_info info;

    ENGINE_ERROR_CODE code = conn_take_status(c);
    if (code == ENGINE_SUCCESS) {
        code = conn_item_info(c, c->item, &info)
                   ? server->v1->store(server->handle, c, c->item, &cas, c->operation, 0)
                   : ENGINE_FAILED;
        if (code == ENGINE_EWOULDBLOCK) {
            conn_engine_blocked(c);
            return OUTCOME_BLOCKED;
        }
    }
    if (c->operation == OPERATION_CAS) {
        stats_count_cas(c, code);
    }
    const char *reply = store_reply(c, code);
    if (reply == NULL) {
        return OUTCOME_CLOSE;
    }
    ascii_reply(c, reply);
    conn_release_item(c, c->item);
    c->item = NULL;
    c->state = CONN_COMMAND;
    return OUTCOME_DONE;
}
