/* engine-openloop: options, and the plan that is taken without one. */
#include "openloop.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPT_RATE = 256,
    OPT_GETS,
    OPT_KEYS,
    OPT_WINDOW,
    OPT_VALUE_SIZE,
    OPT_CONNECTIONS,
    OPT_AROUND,
    OPT_INTERVAL,
    OPT_JSON,
    OPT_SAMPLES,
    OPT_SPIN,
    OPT_REALTIME
};

/* A whole update, both ways, and a flush_all of as many keys. */
static const char *const DEFAULT_PLAN[] = {
    "load",   "drain",  "begin",    "wait=4", "start",  "wait=3", "touch",  "wait=4",
    "revert", "wait=5", "start",    "wait=3", "touch",  "wait=4", "complete", "wait=5",
    "shrink", "drain",  "wait=4",   "flush",  "wait=4", "end"};

static void usage(FILE *to) {
    (void)fputs(
        "usage: engine-openloop [options] HOST:PORT [STEP...]\n"
        "Measures what clients of a running memcached (binary protocol) feel, from the moment\n"
        "when a request was due. Its keys are overwritten and deleted.\n"
        "  --rate=N         requests a second (10000)    --gets=N        per cent of them (100)\n"
        "  --keys=N         (1000000)                    --window=N      changed in one (500000)\n"
        "  --value-size=N   (100)                        --connections=N (16)\n"
        "  --around=S       seconds before and after a command to compare it with (3)\n"
        "  --interval=MS    of the series in the JSON file (20)\n"
        "  --json=FILE      all figures              --samples=FILE  every request, as a table\n"
        "  --spin           poll without sleeping        --realtime      as SCHED_FIFO\n"
        "Steps; without any, a whole update both ways and a flush:\n"
        "  load       set every key         read      get every key        drain   until it is "
        "written\n"
        "  begin      the requests begin    end       they end             wait=S  seconds\n"
        "  start      open a window         touch     set the window's keys\n"
        "  revert     take it back          complete  keep it\n"
        "  shrink     delete all but the window's keys                     flush   flush_all\n"
        "  ask=NAME   print \"ask NAME\" and wait for a line on the standard input\n"
        "Steps of a window are left out for an engine that refuses START.\n",
        to);
}


static bool parse_size(const char *text, size_t least, size_t most, size_t *out) {
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < least || value > most) {
        return false;
    }
    *out = (size_t)value;
    return true;
}

static bool parse_positive(const char *text, double most, double *out) {
    char *end = NULL;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out > 0 && *out <= most;
}

static bool take_option(int option, struct options *o) {
    size_t number = 0;
    switch (option) {
    case OPT_RATE:
        return parse_positive(optarg, 1e6, &o->rate);
    case OPT_AROUND:
        return parse_positive(optarg, 3600, &o->around);
    case OPT_INTERVAL:
        return parse_positive(optarg, 60000, &o->interval_ms);
    case OPT_KEYS:
        return parse_size(optarg, 1, 1000000000, &o->keys);
    case OPT_WINDOW:
        return parse_size(optarg, 0, 1000000000, &o->window);
    case OPT_VALUE_SIZE:
        return parse_size(optarg, VALUE_HEAD_BYTES, 20000000, &o->value_size);
    case OPT_GETS:
        if (!parse_size(optarg, 0, 100, &number)) {
            return false;
        }
        o->gets = (unsigned)number;
        return true;
    case OPT_CONNECTIONS:
        if (!parse_size(optarg, 1, CONNECTIONS_MAX, &number)) {
            return false;
        }
        o->connections = (unsigned)number;
        return true;
    case OPT_JSON:
        o->json = optarg;
        return true;
    case OPT_SAMPLES:
        o->samples = optarg;
        return true;
    case OPT_SPIN:
        o->spin = true;
        return true;
    case OPT_REALTIME:
        o->realtime = true;
        return true;
    default:
        return false;
    }
}

/* "host:port" or "[host]:port", in place. */
static bool split_address(char *text, struct options *o) {
    char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text || colon[1] == '\0') {
        return false;
    }
    *colon = '\0';
    o->port = colon + 1;
    o->host = text;
    if (text[0] == '[' && colon[-1] == ']') {
        colon[-1] = '\0';
        o->host = text + 1;
    }
    return true;
}

static bool parse_options(int argc, char **argv, struct options *o) {
    static const struct option longs[] = {
        {"rate", required_argument, NULL, OPT_RATE},
        {"gets", required_argument, NULL, OPT_GETS},
        {"keys", required_argument, NULL, OPT_KEYS},
        {"window", required_argument, NULL, OPT_WINDOW},
        {"value-size", required_argument, NULL, OPT_VALUE_SIZE},
        {"connections", required_argument, NULL, OPT_CONNECTIONS},
        {"around", required_argument, NULL, OPT_AROUND},
        {"interval", required_argument, NULL, OPT_INTERVAL},
        {"json", required_argument, NULL, OPT_JSON},
        {"samples", required_argument, NULL, OPT_SAMPLES},
        {"spin", no_argument, NULL, OPT_SPIN},
        {"realtime", no_argument, NULL, OPT_REALTIME},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (option == 'h') {
            usage(stdout);
            exit(EXIT_SUCCESS);
        }
        if (option == '?' || !take_option(option, o)) {
            return false;
        }
    }
    if (o->window > o->keys) {
        fatal("--window is more than --keys: a window changes keys that are there");
    }
    return optind < argc && split_address(argv[optind], o);
}

static bool parse_plan(int argc, char **argv, struct plan *plan) {
    const size_t standard = sizeof DEFAULT_PLAN / sizeof DEFAULT_PLAN[0];
    bool good = true;
    for (int i = optind + 1; good && i < argc; i++) {
        good = plan_add(plan, argv[i]);
        if (!good) {
            (void)fprintf(stderr, "engine-openloop: no such step: %s\n", argv[i]);
        }
    }
    for (size_t i = 0; optind + 1 == argc && i < standard; i++) {
        good = plan_add(plan, DEFAULT_PLAN[i]) && good;
    }
    return good;
}

static FILE *must_open(const char *path) {
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        fatal("%s: %s", path, strerror(errno));
    }
    return file;
}

static void must_close(FILE *file, const char *path) {
    if (ferror(file) != 0 || fclose(file) != 0) {
        fatal("%s: not written", path);
    }
}

int main(int argc, char **argv) {
    static struct plan plan;
    struct options options = {.rate = 10000,
                              .gets = 100,
                              .keys = 1000000,
                              .window = 500000,
                              .value_size = 100,
                              .connections = 16,
                              .around = 3,
                              .interval_ms = 20};
    if (!parse_options(argc, argv, &options) || !parse_plan(argc, argv, &plan)) {
        usage(stderr);
        return 2;
    }
    struct samples *samples = plan_run(&plan, &options);
    table_print(&plan, samples, &options);
    if (options.json != NULL) {
        FILE *file = must_open(options.json);
        json_write(file, &plan, samples, &options);
        must_close(file, options.json);
    }
    if (options.samples != NULL) {
        FILE *file = must_open(options.samples);
        samples_write(file, samples);
        must_close(file, options.samples);
    }
    samples_free(samples);
    return EXIT_SUCCESS;
}
