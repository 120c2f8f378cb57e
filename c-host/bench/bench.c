/* engine-bench: compares engines side by side through their function tables. */
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <libgen.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum {
    OPT_LAYOUT = 256,
    OPT_NAME,
    OPT_KEYS,
    OPT_KEY_SIZE,
    OPT_VALUE_SIZE,
    OPT_THREADS,
    OPT_PHASES,
    OPT_SECONDS,
    OPT_OPS,
    OPT_ROUNDS,
    OPT_REVERT_KEYS,
    OPT_GET_PERCENT,
    OPT_VBUCKETS,
    OPT_CURSORS,
    OPT_JSON,
    OPT_NO_BASELINES
};

static void usage(FILE *to) {
    (void)fputs(
        "usage: engine-bench -E ENGINE [-e CFG] [--cookie-layout=L] [--name=N] [-E ...] [options]\n"
        "  -E FILE               an engine; what follows, up to the next -E, is about it\n"
        "  -e TEXT               its configuration; @DIR@ becomes a fresh directory\n"
        "  --cookie-layout=L     membase (default) or memcached\n"
        "  --name=TEXT           its name in the tables\n"
        "  --phases=LIST         of load,get,set,mixed,flush,restart,revert (all)\n"
        "  --keys=N              (300000)   --key-size=N (16)   --value-size=N (100)\n"
        "  --threads=LIST        (1,2)\n"
        "  --seconds=S           of a round (2)   --ops=N  of each thread in a round instead\n"
        "  --rounds=N            interleaved rounds of get, set, mixed and flush (3)\n"
        "  --get-percent=N       of the mixed phase (80)\n"
        "  --revert-keys=N       touched in the revert phase (number of keys, at most 500000)\n"
        "  --vbuckets=N          over which the keys are spread (1)\n"
        "  --cursors=N           TAP streams that read along (0)\n"
        "  --json=FILE           all figures for programs\n"
        "  --no-baselines        without \"harness\" (does nothing) and \"floor\" (an array of\n"
        "                        pointers without locks), which run beside the engines\n"
        "Each engine runs in its own process; only one works at a time. Latencies are per\n"
        "operation, clock included: a get is get, get_item_info, release; a set is allocate,\n"
        "get_item_info, item_set_cas, the copy, store, release. Keys come in random order.\n",
        to);
}

/* ---- a child ---- */

static bool read_all(int fd, void *to, size_t size) {
    char *at = to;
    while (size != 0) {
        const ssize_t got = read(fd, at, size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        at += got;
        size -= (size_t)got;
    }
    return true;
}

static bool write_all(int fd, const void *from, size_t size) {
    const char *at = from;
    while (size != 0) {
        const ssize_t put = write(fd, at, size);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return false;
        }
        at += put;
        size -= (size_t)put;
    }
    return true;
}

/* Replaces @DIR@. */
static void expand(const char *cfg, const char *dir, char *out) {
    const char *at = strstr(cfg, "@DIR@");
    if (at == NULL) {
        (void)snprintf(out, CFG_ROOM, "%s", cfg);
        return;
    }
    (void)snprintf(out, CFG_ROOM, "%.*s%s%s", (int)(at - cfg), cfg, dir, at + 5);
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void run_one(struct workload *w, const struct job *job, struct result *result) {
    memset(result, 0, sizeof *result);
    for (int i = 0; i < FIGURES; i++) {
        result->figures[i] = -1;
    }
    if (job->phase == PHASE_REVERT) {
        workload_revert(w, result);
    } else {
        workload_run(w, job, result);
    }
}

/* Serves jobs until the parent closes the pipe. */
static int child_main(const struct settings *settings, const struct contender *contender, int in,
                      int out) {
    char dir[] = "/tmp/engine-bench-XXXXXX";
    char cfg[CFG_ROOM];
    struct job job;
    struct result *result = calloc(1, sizeof *result);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (result == NULL || mkdtemp(dir) == NULL) {
        perror("engine-bench");
        return EXIT_FAILURE;
    }
    const bool has_cfg = contender->cfg != NULL;
    if (has_cfg) {
        expand(contender->cfg, dir, cfg);
    }
    struct bench_engine *engine = engine_open(settings, contender, has_cfg ? cfg : NULL);
    int code = EXIT_FAILURE;
    if (engine_start(engine)) {
        struct workload *w = workload_new(settings, engine);
        while (read_all(in, &job, sizeof job)) {
            run_one(w, &job, result);
            if (!write_all(out, result, sizeof *result)) {
                break;
            }
        }
        workload_free(w);
        engine_close(engine);
        code = EXIT_SUCCESS;
    }
    (void)nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(result);
    return code;
}

/* ---- the parent ---- */

struct child {
    pid_t pid;
    int to;
    int from;
    bool gone;
};

static bool start_child(const struct settings *settings, size_t index, struct child *children) {
    int down[2];
    int up[2];
    if (pipe(down) != 0 || pipe(up) != 0) {
        perror("engine-bench: pipe");
        return false;
    }
    (void)fflush(NULL);
    const pid_t pid = fork();
    if (pid < 0) {
        perror("engine-bench: fork");
        return false;
    }
    if (pid == 0) {
        (void)close(down[1]);
        (void)close(up[0]);
        for (size_t i = 0; i < index; i++) {
            (void)close(children[i].to);
            (void)close(children[i].from);
        }
        exit(child_main(settings, &settings->engines[index], down[0], up[1]));
    }
    (void)close(down[0]);
    (void)close(up[1]);
    children[index] = (struct child){.pid = pid, .to = down[1], .from = up[0]};
    return true;
}

static void merge(struct result *into, const struct result *from, bool first) {
    if (first) {
        *into = *from;
        return;
    }
    into->failed = into->failed || from->failed;
    into->ops += from->ops;
    into->seconds += from->seconds;
    histogram_merge(&into->latency, &from->latency);
    histogram_merge(&into->gets, &from->gets);
    for (int i = 0; i < FIGURES; i++) {
        /* Of several rounds the best rate and the shortest time. */
        const bool rate = i == FIG_SETS_PER_SECOND || i == FIG_TOTAL_PER_SECOND;
        into->figures[i] = rate ? fmax(into->figures[i], from->figures[i])
                                : fmin(into->figures[i], from->figures[i]);
    }
}

static void run_job(struct child *child, const struct job *job, struct result *total, bool first) {
    static struct result result;
    if (child->gone || !write_all(child->to, job, sizeof *job) ||
        !read_all(child->from, &result, sizeof result)) {
        child->gone = true;
        memset(&result, 0, sizeof result);
        result.failed = true;
        for (int i = 0; i < FIGURES; i++) {
            result.figures[i] = -1;
        }
    }
    merge(total, &result, first);
}

static void run_phase(const struct settings *s, enum phase phase, struct child *children) {
    static struct result results[ENGINES_MAX][THREAD_LISTS_MAX];
    const bool once = phase == PHASE_LOAD || phase == PHASE_RESTART || phase == PHASE_REVERT;
    const unsigned rounds = once ? 1 : s->rounds;
    const size_t lists = once ? 1 : s->thread_count;
    for (size_t t = 0; t < lists; t++) {
        for (unsigned round = 0; round < rounds; round++) {
            for (size_t e = 0; e < s->engine_count; e++) {
                const struct job job = {.phase = phase, .threads = s->threads[t]};
                run_job(&children[e], &job, &results[e][t], round == 0);
            }
        }
    }
    report_phase(s, phase, (const struct result(*)[THREAD_LISTS_MAX])results);
    json_phase(s, phase, (const struct result(*)[THREAD_LISTS_MAX])results);
}

static bool run_all(const struct settings *s) {
    struct child children[ENGINES_MAX];
    bool good = true;
    if (!json_begin(s)) {
        return false;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < s->engine_count; i++) {
        if (!start_child(s, i, children)) {
            return false;
        }
    }
    (void)printf("%zu keys of %zu bytes, values of %zu bytes\n", s->keys, s->key_size,
                 s->value_size);
    for (int phase = 0; phase < PHASES; phase++) {
        if (s->phases[phase]) {
            run_phase(s, (enum phase)phase, children);
        }
    }
    for (size_t i = 0; i < s->engine_count; i++) {
        int status = 0;
        (void)close(children[i].to);
        (void)waitpid(children[i].pid, &status, 0);
        good = good && !children[i].gone && WIFEXITED(status) && WEXITSTATUS(status) == 0;
        (void)close(children[i].from);
    }
    return json_end(s) && good;
}

/* ---- options ---- */

static bool parse_number(const char *text, size_t least, size_t most, size_t *out) {
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < least || value > most) {
        return false;
    }
    *out = (size_t)value;
    return true;
}

static bool parse_threads(const char *text, struct settings *s) {
    s->thread_count = 0;
    while (*text != '\0' && s->thread_count < THREAD_LISTS_MAX) {
        char *end = NULL;
        const unsigned long value = strtoul(text, &end, 10);
        if (end == text || value == 0 || value > THREADS_MAX || (*end != ',' && *end != '\0')) {
            return false;
        }
        s->threads[s->thread_count++] = (unsigned)value;
        text = *end == ',' ? end + 1 : end;
    }
    return s->thread_count != 0 && *text == '\0';
}

static bool parse_phases(const char *text, struct settings *s) {
    memset(s->phases, 0, sizeof s->phases);
    while (*text != '\0') {
        const size_t length = strcspn(text, ",");
        int phase = 0;
        while (phase < PHASES && (strlen(phase_name((enum phase)phase)) != length ||
                                  strncmp(phase_name((enum phase)phase), text, length) != 0)) {
            phase++;
        }
        if (phase == PHASES) {
            return false;
        }
        s->phases[phase] = true;
        text += text[length] == ',' ? length + 1 : length;
    }
    return true;
}

/* Options that belong to the engine named last. */
static bool take_engine_option(int option, struct settings *s) {
    if (option == 'E') {
        if (s->engine_count == ENGINES_MAX - 2) {
            return false;
        }
        const char *slash = strrchr(optarg, '/');
        s->engines[s->engine_count++] =
            (struct contender){.path = optarg, .name = slash != NULL ? slash + 1 : optarg};
        return true;
    }
    if (s->engine_count == 0) {
        return false;
    }
    struct contender *last = &s->engines[s->engine_count - 1];
    if (option == 'e') {
        last->cfg = optarg;
    } else if (option == OPT_NAME) {
        last->name = optarg;
    } else {
        last->memcached_layout = strcmp(optarg, "memcached") == 0;
        return last->memcached_layout || strcmp(optarg, "membase") == 0;
    }
    return true;
}

static bool take_option(int option, struct settings *s) {
    size_t number = 0;
    switch (option) {
    case OPT_KEYS:
        return parse_number(optarg, 1, 100000000, &s->keys);
    case OPT_KEY_SIZE:
        return parse_number(optarg, 8, 250, &s->key_size);
    case OPT_VALUE_SIZE:
        return parse_number(optarg, 1, 20000000, &s->value_size);
    case OPT_REVERT_KEYS:
        return parse_number(optarg, 10, 100000000, &s->revert_keys);
    case OPT_VBUCKETS:
        return parse_number(optarg, 1, 65536, &s->vbuckets);
    case OPT_CURSORS:
        return parse_number(optarg, 0, CURSORS_MAX, &s->cursors);
    case OPT_JSON:
        s->json = optarg;
        return true;
    case OPT_THREADS:
        return parse_threads(optarg, s);
    case OPT_PHASES:
        return parse_phases(optarg, s);
    case OPT_SECONDS:
        s->seconds = strtod(optarg, NULL);
        return s->seconds > 0;
    case OPT_OPS:
        if (!parse_number(optarg, 1, SIZE_MAX, &number)) {
            return false;
        }
        s->ops = number;
        return true;
    case OPT_ROUNDS:
    case OPT_GET_PERCENT:
        if (!parse_number(optarg, 1, 100, &number)) {
            return false;
        }
        *(option == OPT_ROUNDS ? &s->rounds : &s->get_percent) = (unsigned)number;
        return true;
    default:
        return take_engine_option(option, s);
    }
}

static bool parse_options(int argc, char **argv, struct settings *s) {
    static const struct option longs[] = {
        {"cookie-layout", required_argument, NULL, OPT_LAYOUT},
        {"name", required_argument, NULL, OPT_NAME},
        {"keys", required_argument, NULL, OPT_KEYS},
        {"key-size", required_argument, NULL, OPT_KEY_SIZE},
        {"value-size", required_argument, NULL, OPT_VALUE_SIZE},
        {"threads", required_argument, NULL, OPT_THREADS},
        {"phases", required_argument, NULL, OPT_PHASES},
        {"seconds", required_argument, NULL, OPT_SECONDS},
        {"ops", required_argument, NULL, OPT_OPS},
        {"rounds", required_argument, NULL, OPT_ROUNDS},
        {"revert-keys", required_argument, NULL, OPT_REVERT_KEYS},
        {"get-percent", required_argument, NULL, OPT_GET_PERCENT},
        {"vbuckets", required_argument, NULL, OPT_VBUCKETS},
        {"cursors", required_argument, NULL, OPT_CURSORS},
        {"json", required_argument, NULL, OPT_JSON},
        {"no-baselines", no_argument, NULL, OPT_NO_BASELINES},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    bool baselines = true;
    int option;
    while ((option = getopt_long(argc, argv, "E:e:h", longs, NULL)) != -1) {
        if (option == 'h') {
            usage(stdout);
            exit(EXIT_SUCCESS);
        }
        if (option == OPT_NO_BASELINES) {
            baselines = false;
            continue;
        }
        if (option == '?' || !take_option(option, s)) {
            return false;
        }
    }
    if (s->revert_keys == 0) {
        s->revert_keys = s->keys < 500000 ? s->keys : 500000;
    }
    const bool good = optind == argc && s->engine_count != 0;
    if (baselines) {
        s->engines[s->engine_count++] =
            (struct contender){.kind = CONTENDER_FLOOR, .name = "floor"};
        s->engines[s->engine_count++] =
            (struct contender){.kind = CONTENDER_HARNESS, .name = "harness"};
    }
    return good;
}

int main(int argc, char **argv) {
    struct settings settings = {.phases = {true, true, true, true, true, true, true},
                                .threads = {1, 2},
                                .thread_count = 2,
                                .keys = 300000,
                                .key_size = 16,
                                .value_size = 100,
                                .vbuckets = 1,
                                .rounds = 3,
                                .get_percent = 80,
                                .seconds = 2};
    if (!parse_options(argc, argv, &settings)) {
        usage(stderr);
        return 2;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    return run_all(&settings) ? EXIT_SUCCESS : EXIT_FAILURE;
}
