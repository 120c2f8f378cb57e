/*
 * The ASCII protocol: command lines.
 *
 * A line stays in the input until its command is finished, so a command that
 * blocked is simply run again. Only a get consumes its line key by key.
 */
#include "ascii.h"

#include <inttypes.h>
#include <string.h>

#define NUMBER_DIGITS_MAX 20
#define VERBOSITY_MAX 2

static void split(struct line *line) {
    size_t offset = 0;
    struct word word;

    while (line->count <= WORDS_MAX && ascii_next_word(line, &offset, &word)) {
        if (line->count < WORDS_MAX) {
            line->words[line->count] = word;
        }
        line->count++;
    }
}

/*
 * DONE: a line, which is complete or the beginning of a long get; or READ; or a
 * line too long, which ends the connection.
 */
static enum outcome take_line(struct conn *c, struct line *line) {
    char *text = conn_input(c);
    size_t available = conn_available(c);
    size_t visible = available < LINE_BYTES_MAX ? available : LINE_BYTES_MAX;
    const char *end = visible > 0 ? memchr(text, '\n', visible) : NULL;

    if (end == NULL && available < LINE_BYTES_MAX) {
        c->need = available + 1;
        return OUTCOME_READ;
    }
    *line = (struct line){.text = text, .length = visible, .complete = end != NULL};
    if (line->complete) {
        line->length = (size_t)(end - text);
        line->bytes = line->length + 1;
        if (line->length > 0 && text[line->length - 1] == '\r') {
            line->length--;
        }
    }
    split(line);
    if (line->complete || (line->count > 0 && ascii_is_get(&line->words[0]))) {
        return OUTCOME_DONE;
    }
    output_text(&c->out, "CLIENT_ERROR line too long\r\n");
    c->close_after_write = true;
    return OUTCOME_FLUSH;
}

static enum outcome delete_key(struct conn *c, const struct line *line) {
    const struct server *server = c->worker->server;
    const struct word *key = &line->words[1];
    size_t count = ascii_take_noreply(c, line, 2);

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

    size_t count = ascii_take_noreply(c, line, 3);

    if (count < 3 || count > 4) {
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
    size_t count = ascii_take_noreply(c, line, 1);
    int64_t when = 0;

    if (count > 3) {
        return ascii_finish(c, line, "ERROR\r\n");
    }
    if (count > 1 && !ascii_signed(&line->words[1], &when)) {
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
    /* Real hosts answer "verbosity noreply"; memccapable does not want them to. */
    size_t count = ascii_take_noreply(c, line, 1);
    uint64_t level = 0;

    if (count < 2 || count > 3 || !ascii_number(&line->words[1], UINT64_MAX, &level)) {
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

    if (ascii_is_get(command)) {
        return ascii_get_begin(c, line);
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
    if (ascii_word_is(command, "touch")) {
        return ascii_touch(c, line);
    }
    if (ascii_word_is(command, "stats")) {
        return ascii_stats(c, line);
    }
    if (ascii_word_is(command, "flush_all")) {
        return flush_all(c, line);
    }
    if (ascii_word_is(command, "version") && line->count == 1) {
        return ascii_finish(c, line, "VERSION " SERVER_VERSION "\r\n");
    }
    if (ascii_word_is(command, "verbosity")) {
        return verbosity(c, line);
    }
    if (ascii_word_is(command, "quit") && line->count == 1) {
        c->close_after_write = true;
        return ascii_finish(c, line, "");
    }
    return ascii_extension(c, line);
}

enum outcome ascii_command(struct conn *c) {
    struct line line;

    if (c->get.open) {
        return ascii_get_keys(c);
    }
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
