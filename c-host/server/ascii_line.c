/*
 * The ASCII protocol: words and numbers of a line, and answers.
 */
#include "ascii.h"

#include <inttypes.h>
#include <string.h>

/* What hosts with the memcached layout make of a negative time: 30 days and 1 s. */
#define EXPIRED_SECONDS 2592001

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

static bool is_space(char character) {
    return character == ' ' || (character >= '\t' && character <= '\r');
}

/* Sign and size of a number; its end is the word's end or white space. */
static bool parse(const struct word *word, bool *negative, uint64_t *size) {
    size_t at = 0;

    while (at < word->length && is_space(word->text[at])) {
        at++;
    }
    *negative = at < word->length && word->text[at] == '-';
    if (at < word->length && (*negative || word->text[at] == '+')) {
        at++;
    }
    size_t first = at;
    *size = 0;
    while (at < word->length && word->text[at] >= '0' && word->text[at] <= '9') {
        unsigned digit = (unsigned)(word->text[at] - '0');
        if (*size > (UINT64_MAX - digit) / 10) {
            return false;
        }
        *size = *size * 10 + digit;
        at++;
    }
    return at > first && (at == word->length || is_space(word->text[at]));
}

bool ascii_number(const struct word *word, uint64_t max, uint64_t *result) {
    bool negative = false;

    return parse(word, &negative, result) && (!negative || *result == 0) && *result <= max;
}

bool ascii_signed(const struct word *word, int64_t *result) {
    bool negative = false;
    uint64_t size = 0;

    if (!parse(word, &negative, &size) || size > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
        return false;
    }
    *result = negative ? (int64_t)(0 - size) : (int64_t)size;
    return true;
}

/* Real hosts read 64 bits and keep 32. */
bool ascii_exptime(const struct conn *c, const struct word *word, rel_time_t *result) {
    int64_t number = 0;

    if (!ascii_signed(word, &number)) {
        return false;
    }
    *result = (rel_time_t)(uint64_t)number;
    if (c->worker->server->settings.layout == CH_LAYOUT_MEMCACHED && (int32_t)*result < 0) {
        *result = EXPIRED_SECONDS;
    }
    return true;
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
    log_provoked(c->worker->server, EXTENSION_LOG_WARNING, c,
                 "The engine's %s returned %s (0x%02x); real hosts abort here", function,
                 ch_error_name(code), (unsigned)code);
    return "SERVER_ERROR internal error\r\n";
}

size_t ascii_take_noreply(struct conn *c, const struct line *line, size_t needed) {
    size_t count = line->count;

    if (count > needed && count <= WORDS_MAX && ascii_word_is(&line->words[count - 1], "noreply")) {
        c->noreply = true;
        return count - 1;
    }
    return count;
}

void ascii_value_line(struct conn *c, const struct word *key, uint32_t flags, size_t nbytes,
                      uint64_t cas) {
    char numbers[80];

    if (c->get.with_cas) {
        snprintf(numbers, sizeof(numbers), " %" PRIu32 " %zu %" PRIu64 "\r\n", flags, nbytes, cas);
    } else {
        snprintf(numbers, sizeof(numbers), " %" PRIu32 " %zu\r\n", flags, nbytes);
    }
    output_text(&c->out, "VALUE ");
    output_copy(&c->out, key->text, key->length);
    output_text(&c->out, numbers);
}
