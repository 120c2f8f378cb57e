/*
 * core->parse_config and core->get_config.
 *
 * The grammar is that of real hosts, oddities included, because an engine's
 * configuration has to mean the same here and there:
 *   key=value;key=value   the first '=' ends a key, the next ';' a value
 *   blanks before a key and a value are skipped; blanks behind a value only
 *   count as trailing at the very end of the string
 *   a backslash is dropped and makes a following terminator literal
 *   the first byte of a key or a value never terminates it
 * Real hosts read past the end of "k=", "word" and "=v"; here these are errors.
 */
#include "internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEY_BYTES_MAX 79
#define VALUE_BYTES_MAX 1023
#define FILE_DEPTH_MAX 8
#define SETTINGS_BYTES 1024

enum parse_result {
    PARSE_OK = 0,
    PARSE_UNKNOWN_KEY = 1,
    PARSE_BAD = -1
};

static int parse_text(const char *str, struct config_item items[], FILE *error, int depth);

static __attribute__((format(printf, 2, 3))) void complain(FILE *error, const char *fmt, ...) {
    va_list args;

    if (error == NULL) {
        return;
    }
    va_start(args, fmt);
    vfprintf(error, fmt, args);
    va_end(args);
    fputc('\n', error);
    fflush(error);
}

static bool is_blank(char c) {
    return isspace((unsigned char)c) != 0;
}

static const char *skip_blanks(const char *p) {
    while (is_blank(*p)) {
        p++;
    }
    return p;
}

/*
 * Copies up to the terminator, at most max source bytes, into word (max + 1
 * bytes). Returns where it stopped, at the terminator or the final NUL; NULL if
 * there is nothing or too much.
 */
static const char *take_word(const char *p, char terminator, char *word, size_t max) {
    const char *start = p;
    size_t length = 0;

    if (*p == '\0') {
        return NULL;
    }
    do {
        if ((size_t)(p - start) >= max) {
            return NULL;
        }
        if (*p != '\\') {
            word[length++] = *p;
        }
        p++;
    } while (*p != '\0' && (*p != terminator || p[-1] == '\\'));
    word[length] = '\0';
    return p;
}

static void cut_trailing_blanks(char *word) {
    size_t length = strlen(word);

    while (length > 0 && is_blank(word[length - 1])) {
        word[--length] = '\0';
    }
}

/* Decimal digits up to a blank or the end, times multiplier. */
static bool parse_number(const char *text, uint64_t multiplier, size_t *result) {
    char *end = NULL;

    text = skip_blanks(text);
    if (*text == '-') {
        return false;
    }
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || (*end != '\0' && !is_blank(*end))) {
        return false;
    }
    if (number > UINT64_MAX / multiplier) {
        return false;
    }
    *result = (size_t)(number * multiplier);
    return true;
}

/* The first of k, m, g, t that occurs anywhere scales, and ends the number. */
static bool parse_size(char *text, size_t *result) {
    static const char *const units[] = {"kK", "mM", "gG", "tT"};
    uint64_t multiplier = 1;

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        multiplier *= 1024;
        char *unit = strpbrk(text, units[i]);
        if (unit != NULL) {
            *unit = '\0';
            return parse_number(text, multiplier, result);
        }
    }
    return parse_number(text, 1, result);
}

static bool parse_float(const char *text, float *result) {
    char *end = NULL;

    errno = 0;
    float number = strtof(text, &end);
    if (errno == ERANGE || end == text || (*end != '\0' && !is_blank(*end))) {
        return false;
    }
    *result = number;
    return true;
}

static bool parse_bool(const char *text, bool *result) {
    if (strcasecmp(text, "true") == 0 || strcasecmp(text, "on") == 0) {
        *result = true;
        return true;
    }
    if (strcasecmp(text, "false") == 0 || strcasecmp(text, "off") == 0) {
        *result = false;
        return true;
    }
    return false;
}

static int parse_file(const char *path, struct config_item items[], FILE *error, int depth) {
    /* One byte for the newline, one for the NUL, one to notice a longer line. */
    char line[VALUE_BYTES_MAX + 3];
    int result = PARSE_OK;

    if (depth >= FILE_DEPTH_MAX) {
        complain(error, "Configuration files nested too deep: %s", path);
        return PARSE_BAD;
    }
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        complain(error, "Cannot open configuration file %s: %s", path, strerror(errno));
        return PARSE_BAD;
    }
    while (result != PARSE_BAD && fgets(line, (int)sizeof(line), file) != NULL) {
        if (strlen(line) > VALUE_BYTES_MAX + 1) {
            complain(error, "A line of %s is too long", path);
            result = PARSE_BAD;
        } else if (line[0] != '#') {
            /* Unknown keys in a file are reported but do not count. */
            result = parse_text(line, items, error, depth + 1) == PARSE_BAD ? PARSE_BAD : PARSE_OK;
        }
    }
    if (ferror(file)) {
        complain(error, "Cannot read configuration file %s", path);
        result = PARSE_BAD;
    }
    fclose(file);
    return result;
}

static bool store_string(struct config_item *entry, const char *text) {
    char *copy = strdup(text);

    if (copy == NULL) {
        return false;
    }
    *entry->value.dt_string = copy;
    return true;
}

/* PARSE_OK or PARSE_BAD. */
static int assign(struct config_item *entry, char *text, struct config_item items[], FILE *error,
                  int depth) {
    bool good = false;

    switch ((int)entry->datatype) {
    case DT_SIZE:
        good = parse_size(text, entry->value.dt_size);
        break;
    case DT_FLOAT:
        good = parse_float(text, entry->value.dt_float);
        break;
    case DT_BOOL:
        good = parse_bool(text, entry->value.dt_bool);
        break;
    case DT_STRING:
        good = store_string(entry, text);
        break;
    case DT_CONFIGFILE:
        /* found stays as it is, as on real hosts. */
        return parse_file(text, items, error, depth);
    default:
        break;
    }
    if (!good) {
        complain(error, "Invalid entry, key: %s value: %s", entry->key, text);
        return PARSE_BAD;
    }
    if (entry->found) {
        complain(error, "The key %s occurs more than once; the last one counts", entry->key);
    }
    entry->found = true;
    return PARSE_OK;
}

static struct config_item *find_item(struct config_item items[], const char *key) {
    for (struct config_item *entry = items; entry != NULL && entry->key != NULL; entry++) {
        if (strcmp(entry->key, key) == 0) {
            return entry;
        }
    }
    return NULL;
}

static int parse_text(const char *str, struct config_item items[], FILE *error, int depth) {
    char key[KEY_BYTES_MAX + 1];
    char value[VALUE_BYTES_MAX + 1];
    int result = PARSE_OK;
    const char *p = str;

    while (*p != '\0') {
        p = skip_blanks(p);
        if (*p == '\0') {
            /* Real hosts forget about unknown keys here. */
            return PARSE_OK;
        }
        p = take_word(p, '=', key, KEY_BYTES_MAX);
        if (p == NULL || *p != '=') {
            complain(error, "A key is too long or lacks its '='");
            return PARSE_BAD;
        }
        p = take_word(skip_blanks(p + 1), ';', value, VALUE_BYTES_MAX);
        if (p == NULL) {
            complain(error, "The value of %s is empty or too long", key);
            return PARSE_BAD;
        }
        if (*p == ';') {
            p++;
        } else {
            cut_trailing_blanks(value);
        }
        struct config_item *entry = find_item(items, key);
        if (entry == NULL) {
            complain(error, "Unsupported key: %s", key);
            result = PARSE_UNKNOWN_KEY;
            continue;
        }
        if (assign(entry, value, items, error, depth) == PARSE_BAD) {
            return PARSE_BAD;
        }
    }
    return result;
}

int ch_parse_config(const char *str, struct config_item items[], FILE *error) {
    if (str == NULL || (items == NULL && *str != '\0')) {
        complain(error, "Nothing to parse or nothing to fill");
        return PARSE_BAD;
    }
    return parse_text(str, items, error, 0);
}

struct settings_text {
    size_t length;
    char text[SETTINGS_BYTES];
};

/* An entry that does not fit, or that cannot be parsed back, is left out. */
static void append_setting(void *sink, const char *key, const char *value) {
    struct settings_text *settings = sink;
    size_t room = sizeof(settings->text) - settings->length;

    if (*value == '\0') {
        return;
    }
    int length = snprintf(settings->text + settings->length, room, "%s=%s;", key, value);
    if (length > 0 && (size_t)length < room) {
        settings->length += (size_t)length;
    }
    settings->text[settings->length] = '\0';
}

bool ch_get_config(ch_host *host, struct config_item items[]) {
    struct settings_text settings = {0};

    if (host->options.settings != NULL) {
        host->options.settings(append_setting, &settings);
    }
    return ch_parse_config(settings.text, items, NULL) >= 0;
}
