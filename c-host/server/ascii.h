/*
 * The ASCII protocol, shared by its parts.
 */
#ifndef ENGINE_HOST_ASCII_H
#define ENGINE_HOST_ASCII_H

#include "server.h"

#define WORDS_MAX 8
#define BAD_FORMAT "CLIENT_ERROR bad command line format\r\n"
#define BAD_EXPTIME "CLIENT_ERROR invalid exptime argument\r\n"

struct word {
    const char *text;
    size_t length;
};

/* A command line in the input; stays there until it is finished. */
struct line {
    const char *text;
    /* Without the line end. */
    size_t length;
    /* With the line end. */
    size_t bytes;
    /* The first words; count goes on beyond WORDS_MAX. */
    struct word words[WORDS_MAX];
    size_t count;
    /* False for the beginning of a get of many keys, of which no end is there yet. */
    bool complete;
};

/* ascii_line.c: bytes of the next word from offset on; false at the end of the line. */
bool ascii_next_word(const struct line *line, size_t *offset, struct word *word);

bool ascii_word_is(const struct word *word, const char *text);

/*
 * A number as strtoull reads it, so that what is behind white space does not
 * matter; negative ones and those above max are none.
 */
bool ascii_number(const struct word *word, uint64_t max, uint64_t *result);

/* The same for strtoll. */
bool ascii_signed(const struct word *word, int64_t *result);

/* An expiry as the engine gets it. */
bool ascii_exptime(const struct conn *c, const struct word *word, rel_time_t *result);

/*
 * "noreply" as the last word, if it is behind the needed ones; it does not count
 * as an argument.
 */
size_t ascii_take_noreply(struct conn *c, const struct line *line, size_t needed);

/* Queues text, which includes its line end, unless the command said noreply. */
void ascii_reply(struct conn *c, const char *text);

/* Queues the line that stands before a value. */
void ascii_value_line(struct conn *c, const struct word *key, uint32_t flags, size_t nbytes,
                      uint64_t cas);

/* Drops the line and answers. */
enum outcome ascii_finish(struct conn *c, const struct line *line, const char *text);

/* Where real hosts abort: logs, and returns what to answer instead. */
const char *ascii_bad_result(struct conn *c, const char *function, ENGINE_ERROR_CODE code);

/* ascii_get.c: get, gets, gat, gats */
bool ascii_is_get(const struct word *command);
enum outcome ascii_get_begin(struct conn *c, const struct line *line);
/* Looks up the keys that have arrived, until the end of the line. */
enum outcome ascii_get_keys(struct conn *c);

/* ascii_touch.c */
enum outcome ascii_touch(struct conn *c, const struct line *line);
/* One key of a gat: queues what is there. */
ENGINE_ERROR_CODE ascii_gat(struct conn *c, const struct word *key, bool *hit);

/* ascii_store.c; operation is what the command word stands for. */
enum outcome ascii_store_begin(struct conn *c, const struct line *line,
                               ENGINE_STORE_OPERATION operation);

/* ascii_extension.c: a line that is none of the host's. */
enum outcome ascii_extension(struct conn *c, const struct line *line);

/* ascii_stats.c */
enum outcome ascii_stats(struct conn *c, const struct line *line);

#endif
