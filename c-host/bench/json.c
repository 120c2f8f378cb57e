/* Results for programs: one object for each phase, number of threads and engine. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

static FILE *file;
static const char *comma = "";

bool json_begin(const struct settings *s) {
    if (s->json == NULL) {
        return true;
    }
    file = fopen(s->json, "w");
    if (file == NULL) {
        (void)fprintf(stderr, "engine-bench: %s: %s\n", s->json, strerror(errno));
        return false;
    }
    (void)fprintf(file, "{\"keys\": %zu, \"key_size\": %zu, \"value_size\": %zu, ", s->keys,
                  s->key_size, s->value_size);
    (void)fprintf(file, "\"revert_keys\": %zu, \"vbuckets\": %zu, \"cursors\": %zu,\n",
                  s->revert_keys, s->vbuckets, s->cursors);
    (void)fprintf(file, "\"results\": [");
    return true;
}

static void write_latency(const char *name, const struct histogram *h) {
    static const struct {
        const char *name;
        double share;
    } shares[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"p9999", 0.9999}};
    if (h->count == 0) {
        return;
    }
    (void)fprintf(file, ", \"%s\": {\"count\": %llu, \"max\": %.3f", name,
                  (unsigned long long)h->count, (double)h->max / 1e3);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        (void)fprintf(file, ", \"%s\": %.3f", shares[i].name,
                      (double)histogram_at(h, shares[i].share) / 1e3);
    }
    (void)fprintf(file, "}");
}

/* Names of engines come from the command line. */
static void write_text(const char *text) {
    (void)fputc('"', file);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            (void)fputc('\\', file);
        }
        (void)fputc(*text, file);
    }
    (void)fputc('"', file);
}

static void write_result(const struct settings *s, enum phase phase, size_t engine, size_t t,
                         const struct result *result) {
    (void)fprintf(file, "%s\n  {\"engine\": ", comma);
    write_text(s->engines[engine].name);
    (void)fprintf(file, ", \"phase\": \"%s\", \"threads\": %u, \"failed\": %s", phase_name(phase),
                  s->threads[t], result->failed ? "true" : "false");
    (void)fprintf(file, ", \"ops\": %llu, \"seconds\": %.6f, \"figures\": {",
                  (unsigned long long)result->ops, result->seconds);
    const char *separator = "";
    for (int i = 0; i < FIGURES; i++) {
        if (result->figures[i] >= 0) {
            (void)fprintf(file, "%s\"%s\": %.4f", separator, figure_name((enum figure)i),
                          result->figures[i]);
            separator = ", ";
        }
    }
    (void)fprintf(file, "}");
    /* As in the tables: the revert phase reads back where others set. */
    write_latency("get", &result->gets);
    write_latency(phase == PHASE_REVERT ? "read_back" : "set", &result->latency);
    (void)fprintf(file, "}");
    comma = ",";
}

void json_phase(const struct settings *s, enum phase phase,
                const struct result results[ENGINES_MAX][THREAD_LISTS_MAX]) {
    const bool once = phase == PHASE_LOAD || phase == PHASE_RESTART || phase == PHASE_REVERT;
    for (size_t t = 0; file != NULL && t < (once ? 1 : s->thread_count); t++) {
        for (size_t e = 0; e < s->engine_count; e++) {
            write_result(s, phase, e, t, &results[e][t]);
        }
    }
}

bool json_end(const struct settings *s) {
    if (file == NULL) {
        return true;
    }
    (void)fprintf(file, "\n]}\n");
    const bool good = ferror(file) == 0 && fclose(file) == 0;
    if (!good) {
        (void)fprintf(stderr, "engine-bench: %s: not written\n", s->json);
    }
    return good;
}
