/*
 * The ASCII protocol: words that the engine has added.
 */
#include "ascii.h"

/* The host gives the words' places only; extensions may not change them. */
static char *writable(const char *text) {
    union {
        const char *in;
        char *out;
    } same = {.in = text};
    return same.out;
}

static ENGINE_ERROR_CODE respond(const void *cookie, int length, const char *text) {
    union {
        const void *in;
        struct conn *out;
    } same = {.in = cookie};
    if (length < 0) {
        return ENGINE_EINVAL;
    }
    output_copy(&same.out->out, text, (size_t)length);
    return ENGINE_SUCCESS;
}

/* What it would read behind the line, this host does not read. */
enum outcome ascii_extension(struct conn *c, const struct line *line) {
    token_t tokens[WORDS_MAX];
    const int count = line->count < WORDS_MAX ? (int)line->count : WORDS_MAX;
    const EXTENSION_ASCII_PROTOCOL_DESCRIPTOR *e = ch_host_ascii(c->worker->server->host);

    for (int i = 0; i < count; i++) {
        tokens[i] = (token_t){.value = writable(line->words[i].text),
                              .length = line->words[i].length};
    }
    for (; e != NULL; e = e->next) {
        size_t more = 0;
        char *data = NULL;
        if (line->count > WORDS_MAX || !e->accept(e->cookie, c, count, tokens, &more, &data)) {
            continue;
        }
        if (more != 0 || e->execute(e->cookie, c, count, tokens, respond) != ENGINE_SUCCESS) {
            return OUTCOME_CLOSE;
        }
        return ascii_finish(c, line, "");
    }
    return ascii_finish(c, line, "ERROR\r\n");
}
