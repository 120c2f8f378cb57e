/*
 * The ASCII protocol: command lines.
 *
 * A line stays in the input until its command is finished, so a command that
 * blocked is simply run again; a get goes on at conn.get_offset.
 */
#include "ascii.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

#define BAD_FORMAT "CLIENT_ERROR bad command line format\r\n"
#define NUMBER_DIGITS_MAX 20
#define VERBOSITY_MAX 2

/* With this much to send, a get sends it before it asks for the next key. */
#define GET_PENDING_BYTES_MAX 65536
#define GET_PENDING_SEGMENTS_MAX 512

bool ascii_next_word(const struct line *line, size_t *offset, struct word *word) {
    size_t at = *offset;

    while (at < line->length && line->text[at] == ' ') {
        at++;
    }
    size_t start = at;
    while (at < line->length && line->text[at] != ' ') {
        at++;
    }
    *offset = at;
    word->text = line->text + start;
    word->length = at - start;
    return at > start;
}

bool ascii_word_is(const struct word *word, const char *text) {
    return word->length == strlen(text) && memcmp(word->text, text, word->length) == 0;
}

bool ascii_number(const struct word *word, uint64_t max, uint64_t *result) {
    uint64_t number = 0;

    if (word->length == 0 || word->length > NUMBER_DIGITS_MAX) {
        return false;
    }
    for (size_t i = 0; i < word->length; i++) {
        unsigned digit = (unsigned)(unsigned char)word->text[i] - '0';
        if (digit > 9 || number > (UINT64_MAX - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *result = number;
    return number <= max;
}

void ascii_reply(struct conn *c, const char *text) {
    if (!c->noreply) {
        output_text(&c->out, text);
    }
}

enum outcome ascii_finish(struct conn *c, const struct line *line, const char *text) {
    ascii_reply(c, text);
    conn_consume(c, line->bytes);
    return OUTCOME_DONE;
}

const char *ascii_bad_result(struct conn *c, const char *function, ENGINE_ERROR_CODE code) {
    ch_log(c->worker->server->host, EXTENSION_LOG_WARNING, c,
           "The engine's %s returned %s (0x%02x); real hosts abort here", function,
           ch_error_name(code), (unsigned)code);
    return "SERVER_ERROR internal error\r\n";
}

static bool starts_with_get(const struct conn *c, const char *text) {
    size_t available = conn_available(c);

    return (available >= 4 && memcmp(text, "get ", 4) == 0) ||
           (available >= 5 && memcmp(text, "gets ", 5) == 0);
}

/* A complete line, DONE; or READ; or a line too long, which ends the connection. */
static enum outcome take_line(struct conn *c, struct line *line) {
    char *text = conn_input(c);
    size_t available = conn_available(c);
    size_t limit = starts_with_get(c, text) ? GET_LINE_BYTES_MAX : LINE_BYTES_MAX;
    size_t visible = available < limit ? available : limit;
    const char *end = visible > 0 ? memchr(text, '\n', visible) : NULL;

    if (end == NULL && available < limit) {
        c->need = available + 1;
        return OUTCOME_READ;
    }
    if (end == NULL) {
        output_text(&c->out, "CLIENT_ERROR line too long\r\n");
        c->close_after_write = true;
        return OUTCOME_FLUSH;
    }
    *line = (struct line){.text = text, .length = (size_t)(end - text)};
    line->bytes = line->length + 1;
    if (line->length > 0 && text[line->length - 1] == '\r') {
        line->length--;
    }
    size_t offset = 0;
    struct word word;
    while (ascii_next_word(line, &offset, &word)) {
        if (line->count < WORDS_MAX) {
            line->words[line->count] = word;
        } else if (line->count == WORDS_MAX) {
            /* Only get has more words, and it goes over the line by itself. */
            line->count++;
            break;
        }
        line->count++;
    }
    return OUTCOME_DONE;
}

static bool send_hit(struct conn *c, const struct word *key, item *it, bool with_cas) {
    char numbers[80];
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
    if (with_cas) {
        snprintf(numbers, sizeof(numbers), " %u %u %" PRIu64 "\r\n", ntohl(info.flags), info.nbytes,
                 info.cas);
    } else {
        snprintf(numbers, sizeof(numbers), " %u %u\r\n", ntohl(info.flags), info.nbytes);
    }
    output_text(&c->out, "VALUE ");
    output_copy(&c->out, key->text, key->length);
    output_text(&c->out, numbers);
    if (!output_item(&c->out, info.value[0].iov_base, info.nbytes, it)) {
        conn_release_item(c, it);
        return false;
    }
    output_text(&c->out, "\r\n");
    return true;
}

/* Before the first lookup, so that an error comes alone. */
static bool keys_are_good(const struct line *line) {
    size_t offset = line->words[0].length;
    struct word key;

    while (ascii_next_word(line, &offset, &key)) {
        if (key.length > KEY_BYTES_MAX) {
            return false;
        }
    }
    return true;
}

static enum outcome get(struct conn *c, const struct line *line, bool with_cas) {
    const struct server *server = c->worker->server;
    struct counters *counters = &c->worker->counters;
    size_t offset = c->get_offset;
    struct word key;

    if (offset == 0) {
        if (line->count < 2) {
            return ascii_finish(c, line, "ERROR\r\n");
        }
        if (!keys_are_good(line)) {
            return ascii_finish(c, line, BAD_FORMAT);
        }
        offset = (size_t)(line->words[0].text - line->text) + line->words[0].length;
    }
    while (ascii_next_word(line, &offset, &key)) {
        item *it = NULL;
        ENGINE_ERROR_CODE code = conn_take_status(c);
        if (code == ENGINE_SUCCESS) {
            code = server->v1->get(server->handle, c, &it, key.text, (int)key.length, 0);
        }
        if (code == ENGINE_EWOULDBLOCK) {
            c->get_offset = (size_t)(key.text - line->text);
            conn_engine_blocked(c);
            return OUTCOME_BLOCKED;
        }
        /* Whatever is not a hit is a miss in this protocol. */
        bool hit = code == ENGINE_SUCCESS && send_hit(c, &key, it, with_cas);
        count_add(&counters->cmd_get, 1);
        count_add(hit ? &counters->get_hits : &counters->get_misses, 1);
        if (c->out.pending >= GET_PENDING_BYTES_MAX ||
            c->out.count - c->out.first >= GET_PENDING_SEGMENTS_MAX) {
            c->get_offset = offset;
            return OUTCOME_FLUSH;
        }
    }
    c->get_offset = 0;
    return ascii_finish(c, line, "END\r\n");
}

/* "noreply" as the last word; it does not count as an argument. */
static size_t take_noreply(struct conn *c, const struct line *line) {
    size_t count = line->count;

    if (count > 1 && count <= WORDS_MAX && ascii_word_is(&line->words[count - 1], "noreply")) {
        c->noreply = true;
        return count - 1;
    }
    return count;
}

static enum outcome delete_key(struct conn *c, const struct line *line) {
    const struct server *server = c->worker->server;
    const struct word *key = &line->words[1];
    size_t count = take_noreply(c, line);

    if (count < 2 || count > 3) {
        return ascii_finish(c, line, "ERROR\r\n");
    }
    if (key->length > KEY_BYTES_MAX) {
        return ascii_finish(c, line, BAD_FORMAT);
    }
    if (count == 3 && !ascii_word_is(&line->words[2], "0")) {
        return ascii_finish(c, line,
                            "CLIENT_ERROR bad command line format.  "
                            "Usage: delete <key> [noreply]\r\n");
    }
    ENGINE_ERROR_CODE code = conn_take_status(c);
    if (code == ENGINE_SUCCESS) {
        code = server->v1->remove(server->handle, c, key->text, key->length, 0, 0);
    }
    if (code == ENGINE_EWOULDBLOCK) {
        conn_engine_blocked(c);
        return OUTCOME_BLOCKED;
    }
    bool hit = code == ENGINE_SUCCESS;
    count_add(hit ? &c->worker->counters.delete_hits : &c->worker->counters.delete_misses, 1);
    if (code == ENGINE_TMPFAIL) {
        return ascii_finish(c, line, "SERVER_ERROR temporary failure\r\n");
    }
    return ascii_finish(c, line, hit ? "DELETED\r\n" : "NOT_FOUND\r\n");
}

static const char *arithmetic_error(struct conn *c, ENGINE_ERROR_CODE code) {
    switch ((int)code) {
    case ENGINE_KEY_ENOENT:
        return "NOT_FOUND\r\n";
    case ENGINE_ENOMEM:
        return "SERVER_ERROR out of memory\r\n";
    case ENGINE_NOT_STORED:
        return "SERVER_ERROR failed to store item\r\n";
    case ENGINE_EINVAL:
        return "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
    case ENGINE_ENOTSUP:
        return "SERVER_ERROR not supported\r\n";
    case ENGINE_TMPFAIL:
        return "SERVER_ERROR temporary failure\r\n";
    default:
        return ascii_bad_result(c, "arithmetic", code);
    }
}

static enum outcome arithmetic(struct conn *c, const struct line *line, bool increment) {
    const struct server *server = c->worker->server;
    struct counters *counters = &c->worker->counters;
    const struct word *key = &line->words[1];
    char text[NUMBER_DIGITS_MAX + 3];
    uint64_t delta = 0;
    uint64_t cas = 0;
    uint64_t result = 0;

    if (take_noreply(c, line) != 3) {
        return ascii_finish(c, line, "ERROR\r\n");
    }
    if (key->length > KEY_BYTES_MAX) {
        return ascii_finish(c, line, BAD_FORMAT);
    }
    if (!ascii_number(&line->words[2], UINT64_MAX, &delta)) {
        return ascii_finish(c, line, "CLIENT_ERROR invalid numeric delta argument\r\n");
    }
    ENGINE_ERROR_CODE code = conn_take_status(c);
    if (code == ENGINE_SUCCESS && server->v1->arithmetic == NULL) {
        code = ENGINE_ENOTSUP;
    } else if (code == ENGINE_SUCCESS) {
        code = server->v1->arithmetic(server->handle, c, key->text, (int)key->length, increment,
                                      false, delta, 0, 0, &cas, &result, 0);
    }
    if (code == ENGINE_EWOULDBLOCK) {
        conn_engine_blocked(c);
        return OUTCOME_BLOCKED;
    }
    if (code == ENGINE_DISCONNECT) {
        return OUTCOME_CLOSE;
    }
    if (code != ENGINE_SUCCESS) {
        count_add(increment ? &counters->incr_misses : &counters->decr_misses, 1);
        return ascii_finish(c, line, arithmetic_error(c, code));
    }
    count_add(increment ? &counters->incr_hits : &counters->decr_hits, 1);
    snprintf(text, sizeof(text), "%" PRIu64 "\r\n", result);
    return ascii_finish(c, line, text);
}

static enum outcome flush_all(struct conn *c, const struct line *line) {
    const struct server *server = c->worker->server;
    size_t count = take_noreply(c, line);
    uint64_t when = 0;

    if (count > 2) {
        return ascii_finish(c, line, "ERROR\r\n");
    }
    if (count == 2 && !ascii_number(&line->words[1], UINT32_MAX, &when)) {
        return ascii_finish(c, line, BAD_FORMAT);
    }
    ENGINE_ERROR_CODE code = conn_take_status(c);
    if (code == ENGINE_SUCCESS) {
        code = server->v1->flush(server->handle, c, (time_t)when);
    }
    if (code == ENGINE_EWOULDBLOCK) {
        conn_engine_blocked(c);
        return OUTCOME_BLOCKED;
    }
    count_add(&c->worker->counters.cmd_flush, 1);
    if (code == ENGINE_SUCCESS) {
        return ascii_finish(c, line, "OK\r\n");
    }
    return ascii_finish(c, line,
                        code == ENGINE_ENOTSUP ? "SERVER_ERROR not supported\r\n"
                                               : "SERVER_ERROR failed to flush cache\r\n");
}

static enum outcome verbosity(struct conn *c, const struct line *line) {
    ch_host *host = c->worker->server->host;
    uint64_t level = 0;

    if (take_noreply(c, line) != 2 || !ascii_number(&line->words[1], UINT64_MAX, &level)) {
        return ascii_finish(c, line, "ERROR\r\n");
    }
    ch_log_set_level(host,
                     ch_log_level_of_verbosity(level < VERBOSITY_MAX ? (int)level : VERBOSITY_MAX));
    ch_host_perform_callbacks(host, ON_LOG_LEVEL, NULL, NULL);
    return ascii_finish(c, line, "OK\r\n");
}

/* 0 when word is not a storage command. */
static int storage_operation(const struct word *word) {
    static const struct {
        const char *name;
        int operation;
    } list[] = {
        {"set", OPERATION_SET},         {"add", OPERATION_ADD},
        {"replace", OPERATION_REPLACE}, {"append", OPERATION_APPEND},
        {"prepend", OPERATION_PREPEND}, {"cas", OPERATION_CAS},
    };

    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        if (ascii_word_is(word, list[i].name)) {
            return list[i].operation;
        }
    }
    return 0;
}

static enum outcome dispatch(struct conn *c, const struct line *line) {
    const struct word *command = &line->words[0];
    int operation = storage_operation(command);

    if (ascii_word_is(command, "get")) {
        return get(c, line, false);
    }
    if (ascii_word_is(command, "gets")) {
        return get(c, line, true);
    }
    if (operation != 0) {
        return ascii_store_begin(c, line, (ENGINE_STORE_OPERATION)operation);
    }
    if (ascii_word_is(command, "delete")) {
        return delete_key(c, line);
    }
    if (ascii_word_is(command, "incr")) {
        return arithmetic(c, line, true);
    }
    if (ascii_word_is(command, "decr")) {
        return arithmetic(c, line, false);
    }
    if (ascii_word_is(command, "stats")) {
        return ascii_stats(c, line);
    }
    if (ascii_word_is(command, "flush_all")) {
        return flush_all(c, line);
    }
    if (ascii_word_is(command, "version")) {
        return ascii_finish(c, line, "VERSION " SERVER_VERSION "\r\n");
    }
    if (ascii_word_is(command, "verbosity")) {
        return verbosity(c, line);
    }
    if (ascii_word_is(command, "quit")) {
        c->close_after_write = true;
        return ascii_finish(c, line, "");
    }
    return ascii_finish(c, line, "ERROR\r\n");
}

enum outcome ascii_command(struct conn *c) {
    struct line line;
    enum outcome taken = take_line(c, &line);

    if (taken != OUTCOME_DONE) {
        return taken;
    }
    c->noreply = false;
    if (line.count == 0) {
        return ascii_finish(c, &line, "ERROR\r\n");
    }
    return dispatch(c, &line);
}
