/* The operator: a plan, step by step. */
#include "openloop.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DRAIN_SECONDS_MAX = 900, WINDOW_LETTERS = 12 };

static const char *const names[STEP_KINDS] = {
    [STEP_LOAD] = "load",         [STEP_READ] = "read",     [STEP_DRAIN] = "drain",
    [STEP_BEGIN] = "begin",       [STEP_END] = "end",       [STEP_WAIT] = "wait",
    [STEP_TOUCH] = "touch",       [STEP_SHRINK] = "shrink", [STEP_START] = "start",
    [STEP_COMPLETE] = "complete", [STEP_REVERT] = "revert", [STEP_FLUSH] = "flush",
    [STEP_ASK] = "ask"};

/* What a running plan knows. */
struct operator {
    const struct options *o;
    struct bulk *bulk;
    struct samples *samples;
    struct loop *loop;
    unsigned windows; /* opened so far */
    bool is_open;
};

static char letter_of(unsigned window) {
    return (char)(LETTER_LOADED + 1 + window % WINDOW_LETTERS);
}

/* ---- the plan ---- */

bool plan_add(struct plan *plan, const char *text) {
    const char *equals = strchr(text, '=');
    const size_t length = equals != NULL ? (size_t)(equals - text) : strlen(text);
    const char *argument = equals != NULL ? equals + 1 : "";
    if (plan->count == STEPS_MAX) {
        return false;
    }
    for (int kind = 0; kind < STEP_KINDS; kind++) {
        if (strlen(names[kind]) != length || memcmp(names[kind], text, length) != 0) {
            continue;
        }
        struct step step = {.kind = (enum step_kind)kind};
        char *end = NULL;
        step.seconds = strtod(argument, &end);
        const bool named = kind == STEP_ASK;
        const char *name = named ? argument : names[kind];
        const bool good = named ? argument[0] != '\0' && strlen(argument) < NAME_ROOM
                          : kind == STEP_WAIT ? end != argument && *end == '\0' && step.seconds >= 0
                                              : equals == NULL;
        (void)snprintf(step.name, sizeof step.name, "%s", name);
        plan->steps[plan->count++] = step;
        return good;
    }
    return false;
}

bool step_is_command(const struct step *step) {
    switch (step->kind) {
    case STEP_START:
    case STEP_COMPLETE:
    case STEP_REVERT:
    case STEP_FLUSH:
    case STEP_ASK:
        return !step->skipped;
    default:
        return false;
    }
}

/* ---- steps ---- */

static void sleep_seconds(double seconds) {
    const struct timespec pause = {.tv_sec = (time_t)seconds,
                                   .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    (void)nanosleep(&pause, NULL);
}

static void drain(struct operator *op) {
    const uint64_t deadline = clock_ns() + (uint64_t)DRAIN_SECONDS_MAX * 1000000000U;
    while (!bulk_is_drained(op->bulk)) {
        if (clock_ns() > deadline) {
            fatal("the engine has not written everything after %d s", DRAIN_SECONDS_MAX);
        }
        sleep_seconds(0.01);
    }
}

static uint8_t opcode_of(enum step_kind kind) {
    switch (kind) {
    case STEP_START:
        return PROTOCOL_BINARY_CMD_ONLINE_UPDATE_START;
    case STEP_COMPLETE:
        return PROTOCOL_BINARY_CMD_ONLINE_UPDATE_COMPLETE;
    case STEP_REVERT:
        return PROTOCOL_BINARY_CMD_ONLINE_UPDATE_REVERT;
    default:
        return PROTOCOL_BINARY_CMD_FLUSH;
    }
}

/* What an engine without online update makes its host answer; -1: the host hung up. */
static bool is_unknown(int status) {
    return status == -1 || status == PROTOCOL_BINARY_RESPONSE_UNKNOWN_COMMAND ||
           status == PROTOCOL_BINARY_RESPONSE_NOT_SUPPORTED;
}

static void command(struct operator *op, struct step *step) {
    step->begin = clock_ns();
    step->status = bulk_command(op->bulk, opcode_of(step->kind));
    step->end = clock_ns();
    if (step->kind == STEP_START && is_unknown(step->status)) {
        step->skipped = true;
        return;
    }
    if (step->status != PROTOCOL_BINARY_RESPONSE_SUCCESS) {
        fatal("%s: status %#x", step->name, (unsigned)step->status);
    }
    if (step->kind == STEP_REVERT && op->loop != NULL) {
        loop_forbid(op->loop, letter_of(op->windows));
    }
    if (step->kind == STEP_START) {
        op->windows++;
    }
    if (step->kind != STEP_FLUSH) {
        op->is_open = step->kind == STEP_START;
    }
}

/* Lets whoever started the program do something, until he says a line. */
static void ask(const struct step *step) {
    char line[256];
    (void)printf("ask %s\n", step->name);
    (void)fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL) {
        fatal("nobody answered \"ask %s\" on the standard input", step->name);
    }
}

static bool needs_window(enum step_kind kind) {
    return kind == STEP_TOUCH || kind == STEP_COMPLETE || kind == STEP_REVERT;
}

static void take(struct operator *op, struct step *step) {
    const struct options *o = op->o;
    step->skipped = needs_window(step->kind) && !op->is_open;
    step->begin = clock_ns();
    if (!step->skipped) {
        switch (step->kind) {
        case STEP_LOAD:
            bulk_sets(op->bulk, 0, o->keys, LETTER_LOADED, step);
            break;
        case STEP_READ:
            bulk_gets(op->bulk, step);
            break;
        case STEP_TOUCH:
            bulk_sets(op->bulk, 0, o->window, letter_of(op->windows), step);
            break;
        case STEP_SHRINK:
            bulk_deletes(op->bulk, o->window, o->keys, step);
            break;
        case STEP_DRAIN:
            drain(op);
            break;
        case STEP_BEGIN:
            if (op->loop == NULL) {
                op->loop = loop_begin(o, op->samples);
            }
            break;
        case STEP_END:
            if (op->loop != NULL) {
                loop_end(op->loop);
                op->loop = NULL;
            }
            break;
        case STEP_WAIT:
            sleep_seconds(step->seconds);
            break;
        case STEP_ASK:
            ask(step);
            break;
        default:
            command(op, step);
            return;
        }
    }
    step->end = clock_ns();
}

struct samples *plan_run(struct plan *plan, const struct options *o) {
    struct operator op = {.o = o, .bulk = bulk_new(o), .samples = samples_new()};
    for (size_t i = 0; i < plan->count; i++) {
        take(&op, &plan->steps[i]);
    }
    if (op.loop != NULL) {
        loop_end(op.loop);
    }
    bulk_free(op.bulk);
    return op.samples;
}

/* ---- spans ---- */

const char *part_name(enum part part) {
    static const char *const parts[PARTS] = {"before", "during", "first second after", "later"};
    return parts[part];
}

/* Whether a step leaves clients alone. */
static bool is_quiet(const struct step *step) {
    return step->kind == STEP_WAIT || step->skipped;
}

struct span plan_span(const struct plan *plan, size_t step, enum part part,
                      const struct options *o) {
    const uint64_t second = 1000000000U;
    const uint64_t around = (uint64_t)(o->around * 1e9);
    const struct step *s = &plan->steps[step];
    uint64_t first = s->begin;
    uint64_t last = s->end;
    /* Only the waits next to it are compared with a command. */
    for (size_t i = step; i > 0 && is_quiet(&plan->steps[i - 1]); i--) {
        first = plan->steps[i - 1].begin;
    }
    for (size_t i = step; i + 1 < plan->count && is_quiet(&plan->steps[i + 1]); i++) {
        last = plan->steps[i + 1].end;
    }
    const uint64_t later = s->end + second < last ? s->end + second : last;
    switch (part) {
    case PART_BEFORE:
        return (struct span){first + around > s->begin ? first : s->begin - around, s->begin};
    case PART_DURING:
        return (struct span){s->begin, s->end};
    case PART_AFTER:
        return (struct span){s->end, later};
    default:
        return (struct span){later, later + around < last ? later + around : last};
    }
}
