/*
 * Levels and the default logger, which writes one line per call to a stream.
 *
 * A line is formatted first and written with one fwrite, so lines of different
 * threads do not mix.
 */
#include "internal.h"

#include <string.h>

#define LINE_BYTES_MAX 4096

static const char *default_logger_name(void) {
    return "standard error";
}

static __attribute__((format(printf, 3, 0))) void
write_line(ch_host *host, EXTENSION_LOG_LEVEL severity, const char *fmt, va_list args) {
    char line[LINE_BYTES_MAX + 1];
    FILE *stream = host->options.log_stream != NULL ? host->options.log_stream : stderr;

    if ((int)severity < atomic_load(&host->log_level)) {
        return;
    }
    int formatted = vsnprintf(line, LINE_BYTES_MAX, fmt, args);
    if (formatted < 0) {
        return;
    }
    size_t length = strlen(line);
    if (length == 0 || line[length - 1] != '\n') {
        line[length++] = '\n';
    }
    fwrite(line, 1, length, stream);
    fflush(stream);
}

static __attribute__((format(printf, 3, 4))) void
default_logger_log(EXTENSION_LOG_LEVEL severity, const void *client_cookie, const char *fmt, ...) {
    ch_host *host = ch_host_current();
    va_list args;

    (void)client_cookie;
    if (host == NULL) {
        return;
    }
    va_start(args, fmt);
    write_line(host, severity, fmt, args);
    va_end(args);
}

EXTENSION_LOGGER_DESCRIPTOR *ch_log_default(void) {
    /* The ABI wants a mutable descriptor; nothing ever writes to it. */
    static EXTENSION_LOGGER_DESCRIPTOR descriptor = {default_logger_name, default_logger_log};

    return &descriptor;
}

void ch_log(ch_host *host, EXTENSION_LOG_LEVEL severity, const void *cookie, const char *fmt, ...) {
    EXTENSION_LOGGER_DESCRIPTOR *logger = atomic_load(&host->logger);
    va_list args;

    if (logger == ch_log_default()) {
        va_start(args, fmt);
        write_line(host, severity, fmt, args);
        va_end(args);
        return;
    }
    char line[LINE_BYTES_MAX];
    va_start(args, fmt);
    int formatted = vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (formatted >= 0) {
        logger->log(severity, cookie, "%s", line);
    }
}

EXTENSION_LOG_LEVEL ch_log_level(const ch_host *host) {
    return (EXTENSION_LOG_LEVEL)atomic_load(&host->log_level);
}

void ch_log_set_level(ch_host *host, EXTENSION_LOG_LEVEL level) {
    atomic_store(&host->log_level, (int)level);
}

EXTENSION_LOG_LEVEL ch_log_level_of_verbosity(int verbosity) {
    if (verbosity <= 0) {
        return EXTENSION_LOG_WARNING;
    }
    if (verbosity == 1) {
        return EXTENSION_LOG_INFO;
    }
    return verbosity == 2 ? EXTENSION_LOG_DEBUG : EXTENSION_LOG_DETAIL;
}
