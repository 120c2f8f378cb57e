/*
 * stats [group ...] of the ASCII protocol.
 *
 * Without a group, and for the group all, the host's statistics come first, then
 * the engine's. The groups reset, settings, aggregate, detail, cachedump and, with the Membase
 * layout, topkeys belong to the host.
 */
#include "ascii.h"

#include <string.h>

static void add_stat(const char *key, const uint16_t klen, const char *val, const uint32_t vlen,
                     const void *cookie) {
    struct conn *c = (struct conn *)(uintptr_t)cookie;

    if (klen == 0) {
        return;
    }
    stats_note(c, key, klen, val, vlen);
    output_text(&c->out, "STAT ");
    output_copy(&c->out, key, klen);
    output_text(&c->out, " ");
    output_copy(&c->out, val, vlen);
    output_text(&c->out, "\r\n");
}

/* For monitors that have room for what memcached says only. */
static void add_brief(const char *key, const uint16_t klen, const char *val, const uint32_t vlen,
                      const void *cookie) {
    static const char *const names[] = {"bytes", "curr_items", "total_items", "evictions",
                                        "reclaimed"};
    struct conn *c = (struct conn *)(uintptr_t)cookie;
    const struct word name = {.text = key, .length = klen};

    stats_note(c, key, klen, val, vlen);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (ascii_word_is(&name, names[i])) {
            add_stat(key, klen, val, vlen, cookie);
        }
    }
}

/* There are no statistics by key prefix: nothing to switch or to dump. */
static const char *detail_reply(const struct line *line) {
    if (line->count > 2 && ascii_word_is(&line->words[2], "dump")) {
        return "END\r\n";
    }
    if (line->count > 2 &&
        (ascii_word_is(&line->words[2], "on") || ascii_word_is(&line->words[2], "off"))) {
        return "OK\r\n";
    }
    return "CLIENT_ERROR usage: stats detail on|off|dump\r\n";
}

/* Engines have no slabs to list the keys of: each is empty. */
static const char *cachedump_reply(const struct line *line) {
    uint64_t number = 0;

    if (line->count < 4) {
        return "CLIENT_ERROR bad command line\r\n";
    }
    bool good = ascii_number(&line->words[2], UINT32_MAX, &number) &&
                ascii_number(&line->words[3], UINT32_MAX, &number);
    return good ? "END\r\n" : BAD_FORMAT;
}

/* The host's own groups; false: ask the engine. */
static bool host_group(struct conn *c, const struct line *line, enum outcome *outcome) {
    struct server *server = c->worker->server;
    const struct word *group = &line->words[1];
    bool membase = server->settings.layout == CH_LAYOUT_MEMBASE;
    const char *reply = NULL;

    if (ascii_word_is(group, "reset")) {
        stats_reset(server);
        server->v1->reset_stats(server->handle, c);
        reply = "RESET\r\n";
    } else if (ascii_word_is(group, "settings")) {
        stats_settings_reply(c, add_stat);
        reply = "END\r\n";
    } else if (ascii_word_is(group, "aggregate")) {
        stats_host(c, add_stat);
        stats_limit(c, add_stat);
        reply = "END\r\n";
    } else if (ascii_word_is(group, "detail")) {
        reply = detail_reply(line);
    } else if (ascii_word_is(group, "cachedump")) {
        reply = cachedump_reply(line);
    } else if (membase && ascii_word_is(group, "topkeys")) {
        reply = "ERROR\r\n";
    }
    if (reply == NULL) {
        return false;
    }
    *outcome = ascii_finish(c, line, reply);
    return true;
}

static enum outcome finish_group(struct conn *c, const struct line *line, ENGINE_ERROR_CODE code) {
    if (code != ENGINE_SUCCESS) {
        output_cut(&c->out, &c->mark);
    }
    switch ((int)code) {
    case ENGINE_SUCCESS:
        return ascii_finish(c, line, "END\r\n");
    case ENGINE_ENOMEM:
        return ascii_finish(c, line, "SERVER_ERROR out of memory writing stats\r\n");
    case ENGINE_ENOTSUP:
        return ascii_finish(c, line, "SERVER_ERROR not supported\r\n");
    case ENGINE_DISCONNECT:
        return OUTCOME_CLOSE;
    default:
        return ascii_finish(c, line, "ERROR\r\n");
    }
}

/* The words behind "stats", joined by single blanks; text has room for a line. */
static size_t join_words(const struct line *line, char *text) {
    size_t offset = 0;
    size_t length = 0;
    struct word word;

    ascii_next_word(line, &offset, &word);
    while (ascii_next_word(line, &offset, &word)) {
        if (length > 0) {
            text[length++] = ' ';
        }
        memcpy(text + length, word.text, word.length);
        length += word.length;
    }
    text[length] = '\0';
    return length;
}

enum outcome ascii_stats(struct conn *c, const struct line *line) {
    const struct server *server = c->worker->server;
    bool plain = line->count == 1;
    bool all = plain || (line->count == 2 && ascii_word_is(&line->words[1], "all"));
    ADD_STAT add = plain && server->settings.brief_stats ? add_brief : add_stat;
    enum outcome outcome = OUTCOME_DONE;
    char group[LINE_BYTES_MAX + 1];

    if (!all && host_group(c, line, &outcome)) {
        return outcome;
    }
    size_t length = join_words(line, group);
    if (all) {
        stats_host(c, add_stat);
    }
    ENGINE_ERROR_CODE code = conn_take_status(c);
    if (code == ENGINE_SUCCESS) {
        code = server->v1->get_stats(server->handle, c, all ? NULL : group, all ? 0 : (int)length,
                                     add);
    }
    if (code == ENGINE_EWOULDBLOCK) {
        /* The second call starts afresh. */
        output_cut(&c->out, &c->mark);
        conn_engine_blocked(c);
        return OUTCOME_BLOCKED;
    }
    if (all) {
        stats_limit(c, add_stat);
    }
    /* Without a group the engine's result does not matter. */
    return finish_group(c, line, all ? ENGINE_SUCCESS : code);
}
