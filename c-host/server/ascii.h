/*
 * The ASCII protocol, shared by its parts.
 */
#ifndef ENGINE_HOST_ASCII_H
#define ENGINE_HOST_ASCII_H

#include "server.h"

#define WORDS_MAX 8

struct word {
    const char *text;
    size_t length;
};

/* A complete command line in the input; stays there until it is finished. */
struct line {
    const char *text;
    /* Without the line end. */
    size_t length;
    /* With the line end. */
    size_t bytes;
    /* The first words; count goes on beyond WORDS_MAX. */
    struct word words[WORDS_MAX];
    size_t count;
};

/* Bytes of the next word from offset on; false at the end of the line. */
bool ascii_next_word(const struct line *line, size_t *offset, struct word *word);

bool ascii_word_is(const struct word *word, const char *text);

bool ascii_number(const struct word *word, uint64_t max, uint64_t *result);

/* Queues text, which includes its line end, unless the command said noreply. */
void ascii_reply(struct conn *c, const char *text);

/* Drops the line and answers. */
enum outcome ascii_finish(struct conn *c, const struct line *line, const char *text);

/* Where real hosts abort: logs, and returns what to answer instead. */
const char *ascii_bad_result(struct conn *c, const char *function, ENGINE_ERROR_CODE code);

/* ascii_store.c; operation is what the command word stands for. */
enum outcome ascii_store_begin(struct conn *c, const struct line *line,
                               ENGINE_STORE_OPERATION operation);

/* ascii_stats.c */
enum outcome ascii_stats(struct conn *c, const struct line *line);

#endif
