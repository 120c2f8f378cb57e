/* Tables: one per phase and number of threads, engines as columns, the first against each other. */
#include <stdio.h>
#include <string.h>

#include "bench.h"

static const char *const names[PHASES] = {"load",  "get",     "set",   "mixed",
                                          "flush", "restart", "revert"};

const char *phase_name(enum phase phase) {
    return names[phase];
}

/* One line of a table: a negative value is shown as "-". */
struct row {
    const char *label;
    const char *unit;
    double values[ENGINES_MAX];
};

static void print_value(double value) {
    if (value < 0) {
        (void)printf(" %14s", "-");
    } else if (value >= 10000) {
        (void)printf(" %14.0f", value);
    } else if (value >= 100) {
        (void)printf(" %14.1f", value);
    } else {
        (void)printf(" %14.3f", value);
    }
}

static void print_row(const struct settings *s, const struct row *row) {
    char label[64];
    bool any = false;
    for (size_t e = 0; e < s->engine_count; e++) {
        any = any || row->values[e] >= 0;
    }
    if (!any) {
        return;
    }
    (void)snprintf(label, sizeof label, "%s%s%s%s", row->label, row->unit[0] != '\0' ? " (" : "",
                   row->unit, row->unit[0] != '\0' ? ")" : "");
    (void)printf("  %-34s", label);
    for (size_t e = 0; e < s->engine_count; e++) {
        print_value(row->values[e]);
    }
    for (size_t e = 1; e < s->engine_count; e++) {
        const bool both = row->values[0] >= 0 && row->values[e] > 0;
        print_value(both ? row->values[0] / row->values[e] : -1);
    }
    (void)putchar('\n');
}

static void print_head(const struct settings *s, const char *title) {
    (void)printf("\n%s\n  %-34s", title, "");
    for (size_t e = 0; e < s->engine_count; e++) {
        (void)printf(" %14.14s", s->engines[e].name);
    }
    for (size_t e = 1; e < s->engine_count; e++) {
        char ratio[32];
        (void)snprintf(ratio, sizeof ratio, "1st/%.10s", s->engines[e].name);
        (void)printf(" %14s", ratio);
    }
    (void)putchar('\n');
}

/* The median without what the benchmark adds itself: making the key, reading the clock. */
static void print_net(const struct settings *s, const struct histogram *all[ENGINES_MAX],
                      const char *what) {
    char label[48];
    struct row row = {.label = label, .unit = "us"};
    double harness = -1;
    (void)snprintf(label, sizeof label, "%s p50 net of the harness", what);
    for (size_t e = 0; e < s->engine_count; e++) {
        row.values[e] = all[e]->count == 0 ? -1 : (double)histogram_at(all[e], 0.5) / 1000;
        harness = s->engines[e].kind == CONTENDER_HARNESS ? row.values[e] : harness;
    }
    for (size_t e = 0; harness >= 0 && e < s->engine_count; e++) {
        row.values[e] = row.values[e] < 0 ? -1 : row.values[e] - harness;
    }
    if (harness >= 0) {
        print_row(s, &row);
    }
}

static void print_latency(const struct settings *s, const struct histogram *all[ENGINES_MAX],
                          const char *what) {
    static const struct {
        const char *label;
        double share;
    } rows[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999}};
    char label[32];
    for (size_t i = 0; i <= sizeof rows / sizeof rows[0]; i++) {
        const bool last = i == sizeof rows / sizeof rows[0];
        struct row row = {.label = label, .unit = "us"};
        (void)snprintf(label, sizeof label, "%s %s", what, last ? "max" : rows[i].label);
        for (size_t e = 0; e < s->engine_count; e++) {
            const struct histogram *h = all[e];
            const uint64_t ns = last ? h->max : histogram_at(h, rows[i].share);
            row.values[e] = h->count == 0 ? -1 : (double)ns / 1000;
        }
        print_row(s, &row);
    }
    print_net(s, all, what);
}

/* In the order of the table. */
static const struct {
    enum figure figure;
    const char *label;
    const char *unit;
} figures[FIGURES] = {
    {FIG_SETS_PER_SECOND, "sets alone", "items/s"},
    {FIG_TOTAL_PER_SECOND, "sets and drain", "items/s"},
    {FIG_DRAIN_SECONDS, "drain after the sets", "s"},
    {FIG_REFUSED, "refused for now, repeated", ""},
    {FIG_RSS_PER_ITEM, "RSS beyond key+value", "bytes/item"},
    {FIG_DIRTY_PER_ITEM, "private dirty beyond key+value", "bytes/item"},
    {FIG_MEM_USED_PER_ITEM, "mem_used beyond key+value", "bytes/item"},
    {FIG_ITEMS, "curr_items", ""},
    {FIG_STOP_SECONDS, "destroy", "s"},
    {FIG_START_SECONDS, "initialize", "s"},
    {FIG_WARMUP_PER_SECOND, "warm-up", "items/s"},
    {FIG_START_COMMAND_MS, "START, command to answer", "ms"},
    {FIG_REVERT_MS, "REVERT, command to answer", "ms"},
    {FIG_READ_BACK_PER_SECOND, "reading reverted keys back", "gets/s"},
    {FIG_WRONG_VALUES, "wrong values after REVERT", ""},
    {FIG_REVERT_SET_MAX_MS, "longest set during REVERT", "ms"},
    {FIG_COMPLETE_MS, "COMPLETE, command to answer", "ms"},
    {FIG_COMPLETE_GET_MAX_MS, "longest get during COMPLETE", "ms"},
    {FIG_COMPLETE_SET_MAX_MS, "longest set during COMPLETE", "ms"},
    {FIG_COMPLETE_WRONG, "wrong values after COMPLETE", ""},
};

const char *figure_name(enum figure figure) {
    size_t i = 0;
    while (figures[i].figure != figure) {
        i++;
    }
    return figures[i].label;
}

static void print_figures(const struct settings *s,
                          const struct result results[ENGINES_MAX][THREAD_LISTS_MAX], size_t t) {
    for (size_t i = 0; i < FIGURES; i++) {
        struct row row = {.label = figures[i].label, .unit = figures[i].unit};
        for (size_t e = 0; e < s->engine_count; e++) {
            row.values[e] = results[e][t].figures[figures[i].figure];
        }
        print_row(s, &row);
    }
}

static void print_throughput(const struct settings *s,
                             const struct result results[ENGINES_MAX][THREAD_LISTS_MAX], size_t t) {
    struct row row = {.label = "throughput", .unit = "ops/s"};
    struct row scale = {.label = "over the first thread count", .unit = "x"};
    for (size_t e = 0; e < s->engine_count; e++) {
        const struct result *r = &results[e][t];
        const struct result *one = &results[e][0];
        row.values[e] = r->seconds > 0 ? (double)r->ops / r->seconds : -1;
        scale.values[e] = t > 0 && one->seconds > 0 && one->ops != 0
                              ? row.values[e] / ((double)one->ops / one->seconds)
                              : -1;
    }
    print_row(s, &row);
    print_row(s, &scale);
}

void report_phase(const struct settings *settings, enum phase phase,
                  const struct result results[ENGINES_MAX][THREAD_LISTS_MAX]) {
    const bool threaded = phase != PHASE_RESTART && phase != PHASE_REVERT && phase != PHASE_LOAD;
    const size_t lists = threaded ? settings->thread_count : 1;
    for (size_t t = 0; t < lists; t++) {
        char title[80];
        const struct histogram *latency[ENGINES_MAX];
        const struct histogram *gets[ENGINES_MAX];
        const unsigned threads =
            phase == PHASE_RESTART || phase == PHASE_REVERT ? 1 : settings->threads[t];
        (void)snprintf(title, sizeof title, "%s, %u thread%s", names[phase], threads,
                       threads == 1 ? "" : "s");
        print_head(settings, title);
        for (size_t e = 0; e < settings->engine_count; e++) {
            latency[e] = &results[e][t].latency;
            gets[e] = &results[e][t].gets;
            if (results[e][t].failed) {
                (void)printf("  %s FAILED in this phase\n", settings->engines[e].name);
            }
        }
        print_figures(settings, results, t);
        if (phase == PHASE_GET || phase == PHASE_SET || phase == PHASE_MIXED) {
            print_throughput(settings, results, t);
        }
        print_latency(settings, gets, phase == PHASE_REVERT ? "get during REVERT" : "get");
        print_latency(settings, latency, phase == PHASE_REVERT ? "read-back get" : "set");
    }
    (void)fflush(stdout);
}
