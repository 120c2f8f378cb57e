/* What people read: the commands with the latencies around them. */
#include "openloop.h"

static double seconds_of(const struct step *step) {
    return (double)(step->end - step->begin) / 1e9;
}

static void print_step(const struct step *step) {
    const double seconds = seconds_of(step);
    if (step->skipped) {
        (void)printf("  %-12s left out: the engine has no online update\n", step->name);
    } else if (step->count != 0) {
        (void)printf("  %-12s %10.3f s  %zu requests, %.0f a second", step->name, seconds,
                     step->count, (double)step->count / seconds);
        (void)printf(step->refused != 0 ? ", %zu refused and repeated\n" : "\n", step->refused);
    } else {
        (void)printf("  %-12s %10.3f ms\n", step->name, seconds * 1e3);
    }
}

static void print_rows(const struct plan *plan, size_t index, enum which which,
                       const struct samples *s, const struct options *o) {
    for (int part = 0; part < PARTS; part++) {
        const struct span span = plan_span(plan, index, (enum part)part, o);
        const struct summary sum =
            samples_summary(s, which, span.from, span.to, part == PART_DURING);
        char label[2 * NAME_ROOM];
        if (sum.count == 0) {
            continue;
        }
        (void)snprintf(label, sizeof label, "%s %s", plan->steps[index].name,
                       part_name((enum part)part));
        (void)printf("  %-32s %5s %8zu", label, which == WHICH_GETS ? "gets" : "sets", sum.count);
        for (size_t i = 0; i < SHARES; i++) {
            (void)printf(" %9.1f", (double)sum.at[i] / 1e3);
        }
        (void)printf(" %9.1f %9.1f", (double)sum.max / 1e3, (double)sum.late / 1e3);
        (void)printf(" %7zu %7zu %7zu\n", sum.outcomes[OUTCOME_MISS],
                     sum.outcomes[OUTCOME_REFUSED],
                     sum.outcomes[OUTCOME_FAILED] + sum.outcomes[OUTCOME_WRONG] +
                         sum.outcomes[OUTCOME_LOST]);
    }
}

void table_print(const struct plan *plan, const struct samples *s, const struct options *o) {
    (void)printf("%zu keys, %zu of them in a window; %.0f requests a second, %u %% gets, over %u "
                 "connections\n\n",
                 o->keys, o->window, o->rate, o->gets, o->connections);
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->steps[i].kind != STEP_WAIT) {
            print_step(&plan->steps[i]);
        }
    }
    if (samples_count(s) == 0) {
        return;
    }
    (void)printf("\nmicroseconds from the moment when a request was due\n  %-32s %5s %8s", "", "",
                 "count");
    (void)printf(" %9s %9s %9s %9s %9s %7s %7s %7s\n", "p50", "p99", "p99.9", "max", "client's",
                 "misses", "refused", "wrong");
    for (size_t i = 0; i < plan->count; i++) {
        if (step_is_command(&plan->steps[i])) {
            print_rows(plan, i, WHICH_GETS, s, o);
            print_rows(plan, i, WHICH_SETS, s, o);
        }
    }
    (void)printf("client's: p99 of how late the request was sent, which is part of its latency\n");
}
