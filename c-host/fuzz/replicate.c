/*
 * engine-replicate between two servers that say what the input says, and then close.
 *
 * Input: flags, how many bytes are the source's (2), those, and the destination's.
 */
#include "fuzz.h"

#include "../replicate/replicate.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    INPUT_MAX = 32 << 10,
    LINE_MAX_BYTES = 1 << 16
};

/* In the place of say.c: lines are made and not shown. */
void say(const char *format, ...) {
    static char line[LINE_MAX_BYTES];
    va_list arguments;

    va_start(arguments, format);
    if (vsnprintf(line, sizeof line, format, arguments) >= (int)sizeof line) {
        abort();
    }
    va_end(arguments);
}

/* A server that has said everything already; *other is to be closed at the end. */
static int server_saying(const uint8_t *bytes, size_t length, int *other) {
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 ||
        (length > 0 && send(ends[1], bytes, length, MSG_DONTWAIT) != (ssize_t)length) ||
        shutdown(ends[1], SHUT_WR) != 0) {
        abort();
    }
    *other = ends[1];
    return ends[0];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct vbuckets vbuckets;
    struct options options = {
        .source = {.text = "source:1"},
        /* It is connected to anew when an answer stays out; nobody listens there. */
        .destination = {.text = "destination:2", .host = "127.0.0.1", .port = "0"},
        .name = "name",
    };
    char list[64];
    int others[2];

    if (size < 3 || size > INPUT_MAX) {
        return 0;
    }
    const uint8_t flags = data[0];
    const size_t said = (size_t)data[1] << 8 | data[2];
    data += 3;
    size -= 3;
    const size_t part = said < size ? said : size;
    options.takeover = (flags & 1) != 0;
    options.force = (flags & 2) != 0;
    options.verbose = (flags & 4) != 0;
    /* Also as an argument of the command line. */
    const size_t shown = part < sizeof list - 1 ? part : sizeof list - 1;
    memcpy(list, data, shown);
    list[shown] = '\0';
    (void)vbuckets_parse(list, &vbuckets);
    const int source = server_saying(data, part, &others[0]);
    const int destination = server_saying(data + part, size - part, &others[1]);
    enum outcome outcome = OUTCOME_DONE;
    if ((flags & 8) != 0) {
        outcome = plan_all_active(&options, source, &vbuckets);
    } else {
        vbuckets.count = 2;
        vbuckets.ids[0] = 0;
        vbuckets.ids[1] = 3;
    }
    if (outcome == OUTCOME_DONE && (flags & 16) != 0) {
        outcome = plan_begin(&options, source, destination, &vbuckets);
    }
    if (outcome == OUTCOME_DONE && vbuckets.count > 0) {
        (void)pump_run(&options, &vbuckets, source, destination);
    }
    (void)close(source);
    (void)close(destination);
    (void)close(others[0]);
    (void)close(others[1]);
    return 0;
}
