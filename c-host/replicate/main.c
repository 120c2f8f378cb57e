/* Options, and beginning anew after a loss. */
#include "replicate.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    NAME_ROOM = PROTOCOL_BINARY_KEY_MAX + 1,
    FIRST_DELAY_MS = 100,
    LAST_DELAY_MS = 10000,
    STEADY_MS = 1000
};

static void usage(FILE *to) {
    (void)fputs("usage: engine-replicate [-n NAME] [-tfrv] SOURCE DESTINATION [VBUCKETS]\n"
                "Forwards the TAP stream of SOURCE into DESTINATION, both host:port.\n"
                "VBUCKETS like 0,3,5-7; default: those that are active at SOURCE.\n"
                "  -n NAME  name of the stream (default: replicate_<host>_<port> of DESTINATION)\n"
                "  -t       take over: SOURCE hands the vbuckets over and becomes dead in them\n"
                "  -f       replace vbuckets that are active or dead at DESTINATION\n"
                "  -r       begin anew for ever when a connection is lost or cannot be made\n"
                "  -v       say what goes by\n"
                "  -h       this text\n",
                to);
}

/* getaddrinfo takes 65537 for 1. */
static bool is_port(const char *text) {
    unsigned long number = 0;
    for (const char *at = text; *at != '\0' && number <= UINT16_MAX; at++) {
        if (*at < '0' || *at > '9') {
            return false;
        }
        number = number * 10 + (unsigned long)(*at - '0');
    }
    return number >= 1 && number <= UINT16_MAX;
}

/* "host:port" or "[host]:port". */
static bool split_server(const char *text, struct server *server) {
    const char *colon = strrchr(text, ':');
    const char *host = text;
    if (colon == NULL || colon == text) {
        return false;
    }
    size_t length = (size_t)(colon - text);
    if (host[0] == '[' && colon[-1] == ']') {
        host++;
        length -= 2;
    }
    if (length == 0 || length >= sizeof server->host || !is_port(colon + 1) ||
        strlen(colon + 1) >= sizeof server->port) {
        return false;
    }
    server->text = text;
    memcpy(server->host, host, length);
    server->host[length] = '\0';
    (void)snprintf(server->port, sizeof server->port, "%s", colon + 1);
    return true;
}

static bool parse_server(const char *text, struct server *server) {
    const bool good = split_server(text, server);
    if (!good) {
        say("%s: not host:port, with a port of 1 to 65535", text);
    }
    return good;
}

static bool parse_flags(int argc, char **argv, struct options *options) {
    static const struct option long_options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    int option;
    while ((option = getopt_long(argc, argv, "n:tfrvh", long_options, NULL)) != -1) {
        switch (option) {
        case 'n':
            options->name = optarg;
            break;
        case 't':
            options->takeover = true;
            break;
        case 'f':
            options->force = true;
            break;
        case 'r':
            options->reconnect = true;
            break;
        case 'v':
            options->verbose = true;
            break;
        case 'h':
            usage(stdout);
            exit(EXIT_SUCCESS);
        default:
            return false;
        }
    }
    const int left = argc - optind;
    return left == 2 || left == 3;
}

/* From connecting to the end of the stream. */
static enum outcome replicate_once(struct options *options, bool all_active,
                                   struct vbuckets *vbuckets) {
    /* Force is for the destination as it is now, also if the source comes much later. */
    const int destination = link_open(&options->destination);
    enum outcome outcome = destination < 0 ? OUTCOME_LOST : plan_force(options, destination);
    const int source = outcome == OUTCOME_DONE ? link_open(&options->source) : -1;
    if (outcome == OUTCOME_DONE && source < 0) {
        outcome = OUTCOME_LOST;
    }
    if (outcome == OUTCOME_DONE && link_same_peer(source, destination)) {
        say("%s is the same server as %s", options->destination.text, options->source.text);
        outcome = OUTCOME_REFUSED;
    }
    /* What has been taken over is not active any more. */
    if (outcome == OUTCOME_DONE && all_active && !(options->takeover && vbuckets->count > 0)) {
        outcome = plan_all_active(options, source, vbuckets);
    }
    if (outcome == OUTCOME_DONE) {
        outcome = plan_begin(options, source, destination, vbuckets);
    }
    if (outcome == OUTCOME_DONE && vbuckets->count > 0) {
        /* Whoever makes one of them active from now on means it. */
        options->force = false;
        outcome = pump_run(options, vbuckets, source, destination);
    }
    if (destination >= 0) {
        (void)close(destination);
    }
    if (source >= 0) {
        (void)close(source);
    }
    return outcome;
}

static void pause_ms(unsigned milliseconds) {
    const struct timespec time = {.tv_sec = (time_t)(milliseconds / 1000U),
                                  .tv_nsec = (long)(milliseconds % 1000U) * 1000000L};
    (void)nanosleep(&time, NULL);
}

static uint64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int replicate(struct options *options, bool all_active, struct vbuckets *vbuckets) {
    unsigned delay = FIRST_DELAY_MS;
    for (;;) {
        const uint64_t begun = now_ms();
        const enum outcome outcome = replicate_once(options, all_active, vbuckets);
        if (outcome == OUTCOME_DONE) {
            return EXIT_SUCCESS;
        }
        if (!options->reconnect || outcome == OUTCOME_REFUSED) {
            return EXIT_FAILURE;
        }
        /* Only what lasts works: a server may end every stream right after its beginning. */
        if (now_ms() - begun > STEADY_MS) {
            delay = FIRST_DELAY_MS;
        }
        pause_ms(delay);
        delay = delay * 2 < LAST_DELAY_MS ? delay * 2 : LAST_DELAY_MS;
    }
}

/* Nothing has to be put in order: both servers keep what they need. */
static void on_signal(int signal_number) {
    (void)signal_number;
    _exit(EXIT_SUCCESS);
}

/* What was ignored stays so: a shell does it with SIGINT for what runs in the background. */
static void end_on(int signal_number) {
    const struct sigaction action = {.sa_handler = on_signal};
    struct sigaction before;
    if (sigaction(signal_number, NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
        (void)sigaction(signal_number, &action, NULL);
    }
}

int main(int argc, char **argv) {
    static struct vbuckets vbuckets;
    static struct options options;
    char name[NAME_ROOM];
    /* Messages may go to a file that has reached a limit of sizes, or to nobody any more. */
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    if (!parse_flags(argc, argv, &options)) {
        usage(stderr);
        return EXIT_FAILURE;
    }
    if (!parse_server(argv[optind], &options.source) ||
        !parse_server(argv[optind + 1], &options.destination)) {
        return EXIT_FAILURE;
    }
    const bool all_active = optind + 2 == argc;
    if (!all_active && !vbuckets_parse(argv[optind + 2], &vbuckets)) {
        say("%s: not a list of vbuckets like 0,3,5-7", argv[optind + 2]);
        return EXIT_FAILURE;
    }
    if (options.name == NULL) {
        (void)snprintf(name, sizeof name, "replicate_%.200s_%s", options.destination.host,
                       options.destination.port);
        options.name = name;
    }
    if (strlen(options.name) > PROTOCOL_BINARY_KEY_MAX) {
        say("the name is longer than %d bytes", PROTOCOL_BINARY_KEY_MAX);
        return EXIT_FAILURE;
    }
    end_on(SIGTERM);
    end_on(SIGINT);
    return replicate(&options, all_active, &vbuckets);
}
