/* One forked process a test, with a time limit, and the count of results. */
#include "runner.h"

#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    LOG_SHOWN = 8192
};

static double seconds_now(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        return 0;
    }
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Waits for the child; true if it ended by itself in time. SIGCHLD is blocked by the caller. */
static bool wait_child(pid_t child, unsigned seconds, int *status) {
    const double deadline = seconds_now() + (double)seconds;
    sigset_t chld;
    (void)sigemptyset(&chld);
    (void)sigaddset(&chld, SIGCHLD);
    for (;;) {
        const pid_t done = waitpid(child, status, WNOHANG);
        if (done == child) {
            return true;
        }
        const double left = deadline - seconds_now();
        if (done < 0 || left <= 0) {
            (void)kill(child, SIGKILL);
            (void)waitpid(child, status, 0);
            return false;
        }
        const struct timespec most = {.tv_sec = (time_t)left,
                                      .tv_nsec = (long)((left - (double)(time_t)left) * 1e9)};
        (void)sigtimedwait(&chld, NULL, &most);
    }
}

static enum test_result result_of(int status, char *text, size_t room) {
    if (WIFSIGNALED(status)) {
        const int number = WTERMSIG(status);
        (void)snprintf(text, room, "DIED: signal %d (%s)", number, strsignal(number));
        return WCOREDUMP(status) ? CORE : DIED;
    }
    const int code = WEXITSTATUS(status);
    switch (code) {
    case SUCCESS:
        (void)snprintf(text, room, "OK");
        return SUCCESS;
    case SKIPPED:
        (void)snprintf(text, room, "SKIPPED");
        return SKIPPED;
    case PENDING:
        (void)snprintf(text, room, "PENDING");
        return PENDING;
    case FAIL:
        (void)snprintf(text, room, "FAIL");
        return FAIL;
    default:
        (void)snprintf(text, room, "DIED: exit code %d", code);
        return DIED;
    }
}

static void show_log(FILE *log) {
    char text[LOG_SHOWN + 1];
    if (fseek(log, 0, SEEK_END) != 0) {
        return;
    }
    const long size = ftell(log);
    const long from = size > LOG_SHOWN ? size - LOG_SHOWN : 0;
    if (size <= 0 || fseek(log, from, SEEK_SET) != 0) {
        return;
    }
    const size_t got = fread(text, 1, LOG_SHOWN, log);
    text[got] = '\0';
    (void)printf("--- the engine's log%s ---\n%s---\n", from > 0 ? ", last part" : "", text);
}

static enum test_result run_one(const struct options *options, const struct suite_entry *entry,
                                char *text, size_t room, FILE *log) {
    int status = 0;
    (void)fflush(NULL);
    const pid_t child = fork();
    if (child < 0) {
        (void)snprintf(text, room, "DIED: fork: %s", strerror(errno));
        return DIED;
    }
    if (child == 0) {
        sigset_t none;
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        child_run(options, entry, log);
    }
    if (!wait_child(child, options->seconds, &status)) {
        (void)snprintf(text, room, "TIMEOUT after %u s", options->seconds);
        return TIMEOUT;
    }
    return result_of(status, text, room);
}

static bool wanted(const struct options *options, const char *name) {
    if (options->except != NULL && fnmatch(options->except, name, 0) == 0) {
        return false;
    }
    return options->only == NULL || strcmp(options->only, name) == 0 ||
           fnmatch(options->only, name, 0) == 0;
}

static void run_entry(const struct options *options, const struct suite_entry *entry,
                      struct tally *tally) {
    char text[128] = "PENDING";
    enum test_result result = PENDING;
    const double start = seconds_now();
    FILE *log = tmpfile();
    if (log == NULL) {
        perror("engine-test: temporary file");
        exit(EXIT_FAILURE);
    }
    if (!options->quiet) {
        (void)printf("%s... ", entry->name);
    }
    if (entry->tfun != NULL) {
        result = run_one(options, entry, text, sizeof text, log);
    }
    const bool good = result == SUCCESS || result == SKIPPED || result == PENDING;
    if (options->quiet && !good) {
        (void)printf("%s... ", entry->name);
    }
    if (!options->quiet || !good) {
        (void)printf("%s (%.2f s)\n", text, seconds_now() - start);
    }
    if (!good) {
        show_log(log);
    }
    (void)fclose(log);
    tally->passed += result == SUCCESS ? 1 : 0;
    tally->skipped += result == SKIPPED || result == PENDING ? 1 : 0;
    tally->failed += good ? 0 : 1;
}

/* The indices of a suite's entries in the order in which they run; to be freed. */
static size_t *order_of(const struct options *options, size_t count) {
    size_t *order = malloc((count + 1) * sizeof *order);
    if (order == NULL) {
        perror("engine-test: order of the tests");
        exit(EXIT_FAILURE);
    }
    for (size_t i = 0; i < count; i++) {
        order[i] = i;
    }
    uint64_t random = options->seed;
    for (size_t left = options->shuffle ? count : 0; left > 1; left--) {
        /* Knuth's generator for 64 bits: the upper half is good. */
        random = random * 6364136223846793005u + 1442695040888963407u;
        const size_t other = (size_t)(random >> 33) % left;
        const size_t last = order[left - 1];
        order[left - 1] = order[other];
        order[other] = last;
    }
    return order;
}

void runner_run_suite(const struct options *options, const struct suite *suite,
                      struct tally *tally) {
    size_t *order = order_of(options, suite->count);
    for (size_t i = 0; i < suite->count; i++) {
        const struct suite_entry entry = suite_at(suite, order[i]);
        if (!wanted(options, entry.name)) {
            continue;
        }
        if (options->list) {
            (void)printf("%s\n", entry.name);
            continue;
        }
        run_entry(options, &entry, tally);
    }
    free(order);
}
