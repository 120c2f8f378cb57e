/*
 * get, gets, gat and gats of the ASCII protocol.
 *
 *   get <key>*
 *   gat <exptime> <key>*
 *
 * A line may name any number of keys. They are looked up as they arrive, so that
 * the line is never in memory as a whole.
 */
#include "ascii.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

/* After so many keys other connections get their turn. */
#define KEYS_PER_COMMAND 100

/* With this much to send, a get sends it before it asks for the next key. */
#define GET_PENDING_BYTES_MAX 65536
#define GET_PENDING_SEGMENTS_MAX 512

/* What comes next in the input. */
enum token {
    TOKEN_KEY,
    TOKEN_TOO_LONG,
    TOKEN_LINE_END,
    /* It has not arrived completely. */
    TOKEN_AWAITED
};

/* What became of a key. */
enum lookup {
    LOOKUP_HIT,
    LOOKUP_MISS,
    LOOKUP_BLOCKED,
    LOOKUP_NOT_SUPPORTED,
    LOOKUP_CLOSE
};

static const struct {
    const char *name;
    bool with_cas;
    bool touches;
} commands[] = {
    {"get", false, false},
    {"gets", true, false},
    {"gat", false, true},
    {"gats", true, true},
    /* The same, for servers that could batch replies. */
    {"bget", false, false},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

/* COMMAND_COUNT when word is not one of the commands. */
static size_t command_of(const struct word *word) {
    size_t i = 0;

    while (i < COMMAND_COUNT && !ascii_word_is(word, commands[i].name)) {
        i++;
    }
    return i;
}

bool ascii_is_get(const struct word *command) {
    return command_of(command) < COMMAND_COUNT;
}

/* An error comes alone if the whole line can be looked at first. */
static bool keys_are_good(const struct line *line, size_t offset) {
    struct word key;

    while (ascii_next_word(line, &offset, &key)) {
        if (key.length > KEY_BYTES_MAX) {
            return false;
        }
    }
    return true;
}

static enum outcome refuse(struct conn *c, const char *text) {
    ascii_reply(c, text);
    c->get.dropping = true;
    return ascii_get_keys(c);
}

enum outcome ascii_get_begin(struct conn *c, const struct line *line) {
    size_t which = command_of(&line->words[0]);

    c->get = (struct multiget){
        .open = true, .with_cas = commands[which].with_cas, .touches = commands[which].touches};
    size_t head = c->get.touches ? 2 : 1;
    /* Without its end behind it, the expiry may go on. */
    bool partial = c->get.touches && !line->complete && line->count == head;
    if (line->count < head || partial) {
        return refuse(c, "ERROR\r\n");
    }
    const struct word *last = &line->words[head - 1];
    if (c->get.touches && !ascii_exptime(c, last, &c->get.exptime)) {
        return refuse(c, BAD_EXPTIME);
    }
    size_t offset = (size_t)(last->text - line->text) + last->length;
    if (line->complete && !keys_are_good(line, offset)) {
        return refuse(c, BAD_FORMAT);
    }
    conn_consume(c, offset);
    return ascii_get_keys(c);
}

static enum token next_token(struct conn *c, struct word *key) {
    /* A key, a carriage return and the end of the line. */
    const size_t visible_max = KEY_BYTES_MAX + 2;
    size_t blanks = 0;

    while (blanks < conn_available(c) && conn_input(c)[blanks] == ' ') {
        blanks++;
    }
    conn_consume(c, blanks);
    const char *text = conn_input(c);
    size_t available = conn_available(c);
    size_t visible = available < visible_max ? available : visible_max;
    size_t length = 0;
    while (length < visible && text[length] != ' ' && text[length] != '\n') {
        length++;
    }
    if (length == visible) {
        c->need = available + 1;
        return length == visible_max ? TOKEN_TOO_LONG : TOKEN_AWAITED;
    }
    *key = (struct word){.text = text, .length = length};
    if (text[length] == '\n' && length > 0 && text[length - 1] == '\r') {
        key->length--;
    }
    if (key->length == 0) {
        conn_consume(c, length + 1);
        return TOKEN_LINE_END;
    }
    return key->length > KEY_BYTES_MAX ? TOKEN_TOO_LONG : TOKEN_KEY;
}

/* The same for a line that was refused. */
static enum token skip_keys(struct conn *c) {
    size_t available = conn_available(c);
    const char *text = conn_input(c);
    const char *end = available > 0 ? memchr(text, '\n', available) : NULL;

    if (end == NULL) {
        conn_consume(c, available);
        c->need = 1;
        return TOKEN_AWAITED;
    }
    conn_consume(c, (size_t)(end - text) + 1);
    return TOKEN_LINE_END;
}

static bool send_hit(struct conn *c, const struct word *key, item *it) {
    item_info info;

    if (it == NULL || !conn_item_info(c, it, &info) || info.nvalue != 1 ||
        info.value[0].iov_len != info.nbytes) {
        ch_log(c->worker->server->host, EXTENSION_LOG_WARNING, c,
               "The engine cannot describe an item that get returned");
        if (it != NULL) {
            conn_release_item(c, it);
        }
        return false;
    }
    ascii_value_line(c, key, ntohl(info.flags), info.nbytes, info.cas);
    if (!output_item(&c->out, info.value[0].iov_base, info.nbytes, it)) {
        conn_release_item(c, it);
        return false;
    }
    output_text(&c->out, "\r\n");
    return true;
}

static enum lookup look_up(struct conn *c, const struct word *key) {
    const struct server *server = c->worker->server;
    item *it = NULL;
    bool hit = false;

    ENGINE_ERROR_CODE code = conn_take_status(c);
    if (code == ENGINE_SUCCESS && c->get.touches) {
        code = ascii_gat(c, key, &hit);
    } else if (code == ENGINE_SUCCESS) {
        code = server->v1->get(server->handle, c, &it, key->text, (int)key->length, 0);
        hit = code == ENGINE_SUCCESS && send_hit(c, key, it);
    }
    if (code == ENGINE_EWOULDBLOCK) {
        return LOOKUP_BLOCKED;
    }
    if (c->get.touches && code == ENGINE_ENOTSUP) {
        return LOOKUP_NOT_SUPPORTED;
    }
    if (c->get.touches && code == ENGINE_DISCONNECT) {
        return LOOKUP_CLOSE;
    }
    /* Whatever else is not a hit is a miss in this protocol. */
    return hit ? LOOKUP_HIT : LOOKUP_MISS;
}

static void count_lookup(struct conn *c, bool hit) {
    struct counters *counters = &c->worker->counters;

    count_add(&counters->cmd_get, 1);
    count_add(hit ? &counters->get_hits : &counters->get_misses, 1);
    if (c->get.touches) {
        stats_count_touch(c, hit);
    }
}

static enum outcome finish(struct conn *c) {
    c->get.open = false;
    if (!c->get.dropping) {
        ascii_reply(c, c->get.any_key ? "END\r\n" : "ERROR\r\n");
    }
    return OUTCOME_DONE;
}

/* DONE: the key is consumed. */
static enum outcome take_key(struct conn *c, const struct word *key) {
    enum lookup lookup = look_up(c, key);

    switch (lookup) {
    case LOOKUP_BLOCKED:
        /* The values before it need not wait. */
        c->mark = output_mark(&c->out);
        conn_engine_blocked(c);
        return OUTCOME_BLOCKED;
    case LOOKUP_CLOSE:
        return OUTCOME_CLOSE;
    case LOOKUP_NOT_SUPPORTED:
        ascii_reply(c, "SERVER_ERROR not supported\r\n");
        c->get.dropping = true;
        return OUTCOME_DONE;
    case LOOKUP_HIT:
    case LOOKUP_MISS:
        break;
    }
    count_lookup(c, lookup == LOOKUP_HIT);
    c->get.any_key = true;
    conn_consume(c, key->length);
    return OUTCOME_DONE;
}

enum outcome ascii_get_keys(struct conn *c) {
    struct word key;

    for (int i = 0; i < KEYS_PER_COMMAND; i++) {
        enum outcome outcome = OUTCOME_DONE;
        switch (c->get.dropping ? skip_keys(c) : next_token(c, &key)) {
        case TOKEN_AWAITED:
            return OUTCOME_READ;
        case TOKEN_LINE_END:
            return finish(c);
        case TOKEN_TOO_LONG:
            ascii_reply(c, BAD_FORMAT);
            c->get.dropping = true;
            break;
        case TOKEN_KEY:
            outcome = take_key(c, &key);
            break;
        }
        if (outcome != OUTCOME_DONE) {
            return outcome;
        }
        if (c->out.pending >= GET_PENDING_BYTES_MAX ||
            c->out.count - c->out.first >= GET_PENDING_SEGMENTS_MAX) {
            return OUTCOME_FLUSH;
        }
    }
    return OUTCOME_DONE;
}
