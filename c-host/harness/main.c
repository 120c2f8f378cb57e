/* engine-test: runs the suites of engine test programs against an engine. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "runner.h"

enum {
    SUITES_MAX = 32,
    SECONDS_DEFAULT = 60
};

enum {
    OPT_SUITE_ABI = 256,
    OPT_LAYOUT,
    OPT_REAL,
    OPT_NO_RULES,
    OPT_SEED
};

static void usage(FILE *to) {
    (void)fputs(
        "usage: engine-test -E ENGINE -T SUITE [-T SUITE]... [options]\n"
        "  -E FILE   engine to test\n"
        "  -T FILE   test suite; may be given more than once\n"
        "  -e TEXT   configuration for tests that bring none of their own\n"
        "  -n NAME   only this test; * ? [] match as in file names\n"
        "  -x NAME   not this test; same patterns\n"
        "  -t N      seconds a test may take (60)\n"
        "  -q        show failures only\n"
        "  --seed=N  the tests of each suite in an order of that seed\n"
        "  -l, --list                           name the tests, run none\n"
        "  --suite-abi=membase|memcached        layout of the suite's tests (membase); our own\n"
        "                                       suites say it themselves\n"
        "  --cookie-layout=membase|memcached    layout of the cookie table (membase)\n"
        "  --real-cookies                       cookies that count references, connect and\n"
        "                                       disconnect, behind a host that is no mock\n"
        "  --no-rules                           do not fail a test for broken host rules\n"
        "The last line is \"N passed, N failed, N skipped\". Exit status: 0 no failure, 1 "
        "failures,\n"
        "2 wrong usage.\n",
        to);
}

static bool parse_family(const char *text, bool *is_memcached) {
    *is_memcached = strcmp(text, "memcached") == 0;
    return *is_memcached || strcmp(text, "membase") == 0;
}

static bool parse_number(const char *text, uint64_t most, uint64_t *number) {
    char *end = NULL;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *number <= most;
}

static bool parse_seconds(const char *text, unsigned *seconds) {
    uint64_t value;
    if (!parse_number(text, INT_MAX, &value) || value == 0) {
        return false;
    }
    *seconds = (unsigned)value;
    return true;
}

/* One option; false if its argument makes no sense. */
static bool take_option(int option, struct options *options, const char **suites) {
    switch (option) {
    case 'E':
        options->engine_path = optarg;
        return true;
    case 'T':
        if (options->suite_count == SUITES_MAX) {
            return false;
        }
        suites[options->suite_count++] = optarg;
        return true;
    case 'e':
        options->default_cfg = optarg;
        return true;
    case 'n':
        options->only = optarg;
        return true;
    case 'x':
        options->except = optarg;
        return true;
    case 't':
        return parse_seconds(optarg, &options->seconds);
    case 'q':
        options->quiet = true;
        return true;
    case 'l':
        options->list = true;
        return true;
    case OPT_SUITE_ABI:
        return parse_family(optarg, &options->suite_abi_memcached);
    case OPT_LAYOUT:
        return parse_family(optarg, &options->layout_memcached);
    case OPT_REAL:
        options->real_cookies = true;
        return true;
    case OPT_NO_RULES:
        options->check_rules = false;
        return true;
    case OPT_SEED:
        options->shuffle = true;
        return parse_number(optarg, UINT64_MAX, &options->seed);
    default:
        return false;
    }
}

static bool parse_options(int argc, char **argv, struct options *options, const char **suites) {
    static const struct option longs[] = {
        {"list", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {"suite-abi", required_argument, NULL, OPT_SUITE_ABI},
        {"cookie-layout", required_argument, NULL, OPT_LAYOUT},
        {"real-cookies", no_argument, NULL, OPT_REAL},
        {"no-rules", no_argument, NULL, OPT_NO_RULES},
        {"seed", required_argument, NULL, OPT_SEED},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "E:T:e:n:x:t:qlh", longs, NULL)) != -1) {
        if (option == 'h') {
            usage(stdout);
            exit(EXIT_SUCCESS);
        }
        if (!take_option(option, options, suites)) {
            return false;
        }
    }
    return optind == argc && options->suite_count != 0 &&
           (options->engine_path != NULL || options->list);
}

int main(int argc, char **argv) {
    const char *suites[SUITES_MAX];
    struct options options = {
        .seconds = SECONDS_DEFAULT, .check_rules = true, .suite_paths = suites};
    struct tally tally = {0};
    sigset_t chld;
    if (!parse_options(argc, argv, &options, suites)) {
        usage(stderr);
        return 2;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    (void)sigemptyset(&chld);
    (void)sigaddset(&chld, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &chld, NULL);
    for (size_t i = 0; i < options.suite_count; i++) {
        struct suite suite;
        if (!suite_load(&suite, suites[i], &options)) {
            return EXIT_FAILURE;
        }
        runner_run_suite(&options, &suite, &tally);
        suite_unload(&suite);
    }
    if (!options.list) {
        (void)printf("%zu passed, %zu failed, %zu skipped\n", tally.passed, tally.failed,
                     tally.skipped);
    }
    return tally.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
