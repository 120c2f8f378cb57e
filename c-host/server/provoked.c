/*
 * Log lines that clients can provoke, as many as they like: only some are written.
 */
#include "server.h"

#include <stdarg.h>

#define LINES_PER_PERIOD 5
#define PERIOD_SECONDS 10
#define TEXT_BYTES_MAX 512

/* Counts a line; *left_out becomes what was not written in the period before. */
static bool may_write(struct provoked *provoked, rel_time_t now, unsigned long long *left_out) {
    bool good = false;

    *left_out = 0;
    pthread_mutex_lock(&provoked->mutex);
    if (now - provoked->began >= PERIOD_SECONDS) {
        *left_out = provoked->left_out;
        provoked->began = now;
        provoked->written = 0;
        provoked->left_out = 0;
    }
    good = provoked->written < LINES_PER_PERIOD;
    if (good) {
        provoked->written++;
    } else {
        provoked->left_out++;
    }
    pthread_mutex_unlock(&provoked->mutex);
    return good;
}

void log_provoked(struct server *server, EXTENSION_LOG_LEVEL severity, const void *cookie,
                  const char *fmt, ...) {
    char line[TEXT_BYTES_MAX];
    unsigned long long left_out = 0;
    va_list args;

    if (severity < ch_log_level(server->host)) {
        return;
    }
    if (!may_write(&server->provoked, ch_clock_now(server->host), &left_out)) {
        return;
    }
    if (left_out > 0) {
        ch_log(server->host, severity, NULL, "%llu more lines about clients were left out",
               left_out);
    }
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    ch_log(server->host, severity, cookie, "%s", line);
}
