/*
 * engine-host: options, start and stop.
 *
 * Order of start: options, host, engine (create_instance, initialize), workers,
 * sockets. Order of stop: sockets, workers, engine.
 */
#include "server.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#define EXIT_USAGE 64
#define SPARE_DESCRIPTORS 128
#define MIB (1024ULL * 1024)
#define ITEM_BYTES_LIMIT (1024 * MIB)

/* Long options without a letter. */
enum {
    OPTION_COOKIE_LAYOUT = 256,
    OPTION_BRIEF_STATS
};

/*
 * The one server. Signal handlers, core->shutdown and the settings callback
 * have no argument to find it by.
 */
static struct server the_server = {.provoked = {.mutex = PTHREAD_MUTEX_INITIALIZER}};
static volatile sig_atomic_t signals_seen;

static void usage(FILE *to) {
    fputs("Usage: engine-host -E ENGINE [options]\n"
          "  -E FILE     engine to load (required)\n"
          "  -e TEXT     configuration, handed to the engine\n"
          "  -l ADDRESS  address to listen on (default 127.0.0.1)\n"
          "  -p PORT     TCP port, 0 for any (default 11211); the environment variable\n"
          "              MEMCACHED_PORT_FILENAME names a file that receives it\n"
          "  -t N        worker threads (default 4)\n"
          "  -m MIB      memory: adds cache_size=BYTES to the configuration\n"
          "  -c N        connections at a time (default 1024)\n"
          "  -I SIZE     largest value, with k or m (default 20m); adds item_size_max=BYTES\n"
          "              to the configuration\n"
          "  -v          more messages; up to three times\n"
          "  -h          this text\n"
          "  --cookie-layout=membase|memcached\n"
          "              which cookie functions the engine sees (default membase)\n"
          "  --brief-stats\n"
          "              ASCII \"stats\" gives what memcached gives, \"stats all\" everything\n",
          to);
}

static bool parse_count(const char *text, uint64_t low, uint64_t high, uint64_t *result) {
    char *end = NULL;

    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-') {
        return false;
    }
    *result = number;
    return number >= low && number <= high;
}

static bool parse_item_size(const char *text, uint64_t *result) {
    char *end = NULL;
    uint64_t multiplier = 1;

    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *text == '-') {
        return false;
    }
    if (*end == 'k' || *end == 'K') {
        multiplier = 1024;
        end++;
    } else if (*end == 'm' || *end == 'M') {
        multiplier = MIB;
        end++;
    }
    if (*end != '\0' || number == 0 || number > ITEM_BYTES_LIMIT / multiplier) {
        return false;
    }
    *result = number * multiplier;
    return true;
}

static bool parse_layout(const char *text, enum ch_layout *layout) {
    if (strcmp(text, "membase") == 0) {
        *layout = CH_LAYOUT_MEMBASE;
        return true;
    }
    *layout = CH_LAYOUT_MEMCACHED;
    return strcmp(text, "memcached") == 0;
}

/* One option; false if its argument is bad or the option unknown. */
static bool take_option(struct settings *s, int option, const char *argument) {
    uint64_t number = 0;
    bool good = true;

    switch (option) {
    case 'E':
        s->engine_path = argument;
        break;
    case 'e':
        s->user_config = argument;
        break;
    case 'l':
        s->address = argument;
        break;
    case 'p':
        good = parse_count(argument, 0, UINT16_MAX, &number);
        s->port = (uint16_t)number;
        break;
    case 't':
        good = parse_count(argument, 1, THREADS_MAX, &number);
        s->threads = (unsigned)number;
        break;
    case 'm':
        good = parse_count(argument, 1, UINT32_MAX, &number);
        s->memory_bytes = number * MIB;
        break;
    case 'c':
        good = parse_count(argument, 1, 1000000, &number);
        s->connections_max = (unsigned)number;
        break;
    case 'I':
        good = parse_item_size(argument, &s->item_bytes_max);
        s->item_bytes_given = true;
        break;
    case 'v':
        s->verbosity++;
        break;
    case OPTION_BRIEF_STATS:
        s->brief_stats = true;
        break;
    case OPTION_COOKIE_LAYOUT:
        good = parse_layout(argument, &s->layout);
        break;
    default:
        return false;
    }
    if (!good) {
        fprintf(stderr, "engine-host: bad value: %s\n", argument);
    }
    return good;
}

static bool parse_options(struct settings *s, int argc, char **argv) {
    static const struct option long_options[] = {
        {"cookie-layout", required_argument, NULL, OPTION_COOKIE_LAYOUT},
        {"brief-stats", no_argument, NULL, OPTION_BRIEF_STATS},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option = 0;

    *s = (struct settings){
        .address = "127.0.0.1",
        .port = DEFAULT_PORT,
        .threads = DEFAULT_THREADS,
        .connections_max = DEFAULT_CONNECTIONS,
        .item_bytes_max = DEFAULT_ITEM_BYTES_MAX,
        .layout = CH_LAYOUT_MEMBASE,
    };
    while ((option = getopt_long(argc, argv, "E:e:l:p:t:m:c:I:vh", long_options, NULL)) != -1) {
        if (option == 'h') {
            usage(stdout);
            exit(EXIT_SUCCESS);
        }
        if (!take_option(s, option, optarg)) {
            return false;
        }
    }
    if (s->engine_path == NULL || optind != argc) {
        fputs("engine-host: -E ENGINE is required, and there are no other arguments\n", stderr);
        return false;
    }
    return true;
}

/* -m and -I in front of -e; NULL if there is none of them. */
static bool join_config(struct settings *s) {
    char memory[64] = "";
    char item_size[64] = "";

    if (s->memory_bytes == 0 && !s->item_bytes_given && s->user_config == NULL) {
        return true;
    }
    if (s->memory_bytes > 0) {
        snprintf(memory, sizeof(memory), "cache_size=%llu;", (unsigned long long)s->memory_bytes);
    }
    if (s->item_bytes_given) {
        snprintf(item_size, sizeof(item_size), "item_size_max=%llu;",
                 (unsigned long long)s->item_bytes_max);
    }
    const char *user = s->user_config != NULL ? s->user_config : "";
    size_t size = strlen(memory) + strlen(item_size) + strlen(user) + 1;
    s->config = malloc(size);
    if (s->config == NULL) {
        return false;
    }
    snprintf(s->config, size, "%s%s%s", memory, item_size, user);
    return true;
}

/*
 * The largest value that the engine was told to take, by -I or by -e: packets that are kept whole
 * have to have room for it, or a value that a SET has stored would not get to a replica.
 */
static void read_item_size(struct settings *s) {
    char *file = NULL;
    size_t size = (size_t)s->item_bytes_max;
    struct config_item items[] = {
        {.key = "item_size_max", .datatype = DT_SIZE, .value.dt_size = &size},
        {.key = "max_item_size", .datatype = DT_SIZE, .value.dt_size = &size},
        {.key = "config_file", .datatype = DT_CONFIGFILE, .value.dt_string = &file},
        {.key = NULL},
    };

    if (s->config != NULL && ch_parse_config(s->config, items, NULL) >= 0) {
        s->item_bytes_max = size < ITEM_BYTES_LIMIT ? size : ITEM_BYTES_LIMIT;
    }
}

/* Async-signal-safe: wakes the main loop, which then leaves. */
static void request_shutdown(void) {
    uint64_t one = 1;
    ssize_t written = write(the_server.shutdown_fd, &one, sizeof(one));

    (void)written;
}

static void on_signal(int number) {
    int error = errno;

    if (signals_seen > 0) {
        _exit(128 + number);
    }
    signals_seen = 1;
    request_shutdown();
    errno = error;
}

static void host_settings(ch_add_setting add, void *sink) {
    stats_settings(&the_server, add, sink);
}

static void on_shutdown(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    event_base_loopbreak(arg);
}

static void install_signals(void) {
    struct sigaction action = {0};

    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}

static void raise_descriptor_limit(const struct settings *settings) {
    struct rlimit limit;
    rlim_t wanted = settings->connections_max + SPARE_DESCRIPTORS;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return;
    }
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted) {
        fprintf(stderr, "engine-host: only %llu descriptors for %u connections\n",
                (unsigned long long)limit.rlim_cur, settings->connections_max);
    }
}

static bool start_engine(struct server *server) {
    const struct settings *settings = &server->settings;
    struct ch_load_result result;
    struct ch_host_options options = {
        .layout = settings->layout,
        .cookie = cookie_ops(),
        .server_version = SERVER_VERSION,
        .shutdown = request_shutdown,
        .settings = host_settings,
        .log_level = ch_log_level_of_verbosity(settings->verbosity),
    };

    server->host = ch_host_create(&options);
    if (server->host == NULL) {
        fputs("engine-host: out of memory\n", stderr);
        return false;
    }
    server->engine = ch_engine_load(server->host, settings->engine_path, &result);
    if (server->engine == NULL ||
        !ch_engine_initialize(server->engine, settings->config, &result)) {
        fprintf(stderr, "engine-host: %s\n", result.message);
        return false;
    }
    /* Only now: what the engine has taken can be read. */
    read_item_size(&server->settings);
    server->handle = ch_engine_handle(server->engine);
    server->v1 = ch_engine_table(server->engine);
    return true;
}

static void log_engine_info(struct server *server) {
    const engine_info *info = server->v1->get_info(server->handle);

    if (info == NULL) {
        return;
    }
    ch_log(server->host, EXTENSION_LOG_INFO, NULL, "Loaded engine: %s",
           info->description != NULL ? info->description : "(no description)");
    for (uint32_t i = 0; i < info->num_features; i++) {
        const feature_info *feature = &info->features[i];
        ch_log(server->host, EXTENSION_LOG_INFO, NULL, "  feature %u: %s", feature->feature,
               feature->description != NULL ? feature->description : "(no description)");
    }
}

static bool serve(struct server *server) {
    struct event shutdown_event;
    bool good = false;
    struct event_base *base = event_base_new();

    if (base == NULL) {
        fputs("engine-host: cannot create an event loop\n", stderr);
        return false;
    }
    event_assign(&shutdown_event, base, server->shutdown_fd, EV_READ, on_shutdown, base);
    if (event_add(&shutdown_event, NULL) != 0 || !workers_start(server)) {
        fputs("engine-host: cannot start the worker threads\n", stderr);
        _exit(EXIT_FAILURE);
    }
    good = listener_start(server, base);
    if (good) {
        event_base_dispatch(base);
    }
    ch_log(server->host, EXTENSION_LOG_INFO, NULL, "Shutting down");
    event_del(&shutdown_event);
    listener_stop(server);
    workers_stop(server);
    event_base_free(base);
    return good;
}

int main(int argc, char **argv) {
    struct server *server = &the_server;
    bool good = false;

    if (!parse_options(&server->settings, argc, argv)) {
        usage(stderr);
        return EXIT_USAGE;
    }
    server->shutdown_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (server->shutdown_fd < 0 || !join_config(&server->settings)) {
        fputs("engine-host: out of memory or descriptors\n", stderr);
        return EXIT_FAILURE;
    }
    install_signals();
    raise_descriptor_limit(&server->settings);
    if (start_engine(server)) {
        log_engine_info(server);
        good = serve(server);
        ch_engine_destroy(server->engine, false);
        workers_free(server);
    }
    /* The library stays loaded, as on real hosts: its threads may be late. */
    ch_engine_unload(server->engine, false);
    ch_host_destroy(server->host);
    free(server->settings.config);
    close(server->shutdown_fd);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
