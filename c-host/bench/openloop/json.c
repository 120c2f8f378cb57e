/* What programs read. Times are seconds since the first step began, latencies microseconds. */
#include "openloop.h"

#include <stdlib.h>

static const char *const outcome_names[OUTCOMES] = {"good",   "misses", "refused",
                                                    "failed", "wrong",  "lost"};

static double since(const struct plan *plan, uint64_t at) {
    const uint64_t origin = plan->steps[0].begin;
    return at >= origin ? (double)(at - origin) / 1e9 : -(double)(origin - at) / 1e9;
}

static void write_summary(FILE *to, const struct summary *sum) {
    (void)fprintf(to, "\"count\": %zu, \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, ", sum->count,
                  (double)sum->at[0] / 1e3, (double)sum->at[1] / 1e3, (double)sum->at[2] / 1e3);
    (void)fprintf(to, "\"max\": %.1f, \"late\": %.1f", (double)sum->max / 1e3,
                  (double)sum->late / 1e3);
    for (int i = 0; i < OUTCOMES; i++) {
        (void)fprintf(to, ", \"%s\": %zu", outcome_names[i], sum->outcomes[i]);
    }
}

static void write_steps(FILE *to, const struct plan *plan) {
    (void)fprintf(to, "\"steps\": [");
    for (size_t i = 0; i < plan->count; i++) {
        const struct step *step = &plan->steps[i];
        (void)fprintf(to, "%s\n  {\"name\": \"%s\", \"command\": %s, \"skipped\": %s, ",
                      i == 0 ? "" : ",", step->name, step_is_command(step) ? "true" : "false",
                      step->skipped ? "true" : "false");
        (void)fprintf(to, "\"begin\": %.9f, \"end\": %.9f, \"count\": %zu, \"refused\": %zu}",
                      since(plan, step->begin), since(plan, step->end), step->count,
                      step->refused);
    }
    (void)fprintf(to, "\n]");
}

static void write_rows(FILE *to, const struct plan *plan, const struct samples *s,
                       const struct options *o) {
    const char *comma = "";
    (void)fprintf(to, "\"rows\": [");
    for (size_t i = 0; i < plan->count; i++) {
        for (int part = 0; step_is_command(&plan->steps[i]) && part < PARTS; part++) {
            const struct span span = plan_span(plan, i, (enum part)part, o);
            for (int which = WHICH_GETS; which <= WHICH_SETS; which++) {
                const struct summary sum = samples_summary(s, (enum which)which, span.from,
                                                           span.to, part == PART_DURING);
                (void)fprintf(to, "%s\n  {\"step\": %zu, \"name\": \"%s\", \"part\": \"%s\", ",
                              comma, i, plan->steps[i].name, part_name((enum part)part));
                (void)fprintf(to, "\"kind\": \"%s\", \"from\": %.9f, \"to\": %.9f, ",
                              which == WHICH_GETS ? "gets" : "sets", since(plan, span.from),
                              since(plan, span.to));
                write_summary(to, &sum);
                (void)fprintf(to, "}");
                comma = ",";
            }
        }
    }
    (void)fprintf(to, "\n]");
}

static int by_due(const void *left, const void *right) {
    const struct sample *one = left;
    const struct sample *other = right;
    return one->due < other->due ? -1 : one->due > other->due;
}

/* All samples by due time; answers came in another order. */
static struct samples *sorted(const struct samples *s) {
    const size_t count = samples_count(s);
    struct sample *all = must_allocate((count + 1) * sizeof *all);
    struct samples *out = samples_new();
    for (size_t i = 0; i < count; i++) {
        all[i] = *samples_at(s, i);
    }
    qsort(all, count, sizeof *all, by_due);
    for (size_t i = 0; i < count; i++) {
        samples_add(out, &all[i]);
    }
    free(all);
    return out;
}

static void write_slot(FILE *to, const struct plan *plan, const struct samples *slot,
                       uint64_t from, bool first) {
    const struct summary sum = samples_summary(slot, WHICH_ALL, 0, UINT64_MAX, false);
    (void)fprintf(to, "%s\n  [%.4f, %zu, %.1f, %.1f, %.1f]", first ? "" : ",",
                  since(plan, from), sum.count, (double)sum.at[0] / 1e3, (double)sum.at[1] / 1e3,
                  (double)sum.max / 1e3);
}

/* One line for each interval in which something was due: begin, count, p50, p99, max. */
static void write_series(FILE *to, const struct plan *plan, const struct samples *s,
                         const struct options *o) {
    const uint64_t interval = (uint64_t)(o->interval_ms * 1e6);
    const size_t count = samples_count(s);
    struct samples *all = sorted(s);
    bool first = true;
    (void)fprintf(to, "\"series\": [");
    for (size_t i = 0; i < count; first = false) {
        const uint64_t from = samples_at(all, i)->due / interval * interval;
        struct samples *slot = samples_new();
        for (; i < count && samples_at(all, i)->due < from + interval; i++) {
            samples_add(slot, samples_at(all, i));
        }
        write_slot(to, plan, slot, from, first);
        samples_free(slot);
    }
    samples_free(all);
    (void)fprintf(to, "\n]");
}

void json_write(FILE *to, const struct plan *plan, const struct samples *s,
                const struct options *o) {
    (void)fprintf(to, "{\"keys\": %zu, \"window\": %zu, \"value_size\": %zu, \"rate\": %.1f, ",
                  o->keys, o->window, o->value_size, o->rate);
    (void)fprintf(to, "\"gets\": %u, \"connections\": %u, \"interval_ms\": %.3f,\n", o->gets,
                  o->connections, o->interval_ms);
    const struct summary all = samples_summary(s, WHICH_ALL, 0, UINT64_MAX, false);
    (void)fprintf(to, "\"origin_ns\": %llu,\n", (unsigned long long)plan->steps[0].begin);
    (void)fprintf(to, "\"all\": {");
    write_summary(to, &all);
    (void)fprintf(to, "},\n");
    write_steps(to, plan);
    (void)fprintf(to, ",\n");
    write_rows(to, plan, s, o);
    (void)fprintf(to, ",\n");
    write_series(to, plan, s, o);
    (void)fprintf(to, "}\n");
}

void samples_write(FILE *to, const struct samples *s) {
    (void)fprintf(to, "due_ns\tlatency_ns\tlate_ns\tkind\toutcome\n");
    for (size_t i = 0; i < samples_count(s); i++) {
        const struct sample *one = samples_at(s, i);
        (void)fprintf(to, "%llu\t%llu\t%llu\t%s\t%s\n", (unsigned long long)one->due,
                      (unsigned long long)one->latency, (unsigned long long)one->late,
                      one->is_set ? "set" : "get", outcome_names[one->outcome]);
    }
}
