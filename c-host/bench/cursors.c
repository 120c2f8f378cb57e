/* TAP streams beside the benchmark: clients of the log that read all that is written. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

enum { EVENTS_A_TURN = 256, PAUSE_NS = 1000000 };

struct cursors {
    ENGINE_HANDLE *h;
    ENGINE_HANDLE_V1 *v1;
    size_t count;
    struct connection *connections[CURSORS_MAX];
    TAP_ITERATOR next[CURSORS_MAX];
    pthread_t thread;
    atomic_bool stop;
};

/* Asks a stream for what it has; true if there was anything. */
static bool read_some(struct cursors *s, size_t index) {
    struct connection *c = s->connections[index];
    for (int i = 0; i < EVENTS_A_TURN; i++) {
        item *it = NULL;
        void *engine = NULL;
        uint16_t nengine = 0;
        uint8_t ttl = 0;
        uint16_t flags = 0;
        uint32_t seqno = 0;
        uint16_t vbucket = 0;
        const tap_event_t event =
            s->next[index](s->h, c, &it, &engine, &nengine, &ttl, &flags, &seqno, &vbucket);
        if (it != NULL && (event == TAP_MUTATION || event == TAP_DELETION ||
                           event == TAP_CHECKPOINT_START || event == TAP_CHECKPOINT_END)) {
            s->v1->release(s->h, c, it);
        }
        if (event == TAP_PAUSE || event == TAP_NOOP || event == TAP_DISCONNECT) {
            return i != 0;
        }
    }
    return true;
}

static void *read_streams(void *argument) {
    struct cursors *s = argument;
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    while (!atomic_load(&s->stop)) {
        bool any = false;
        for (size_t i = 0; i < s->count; i++) {
            any = read_some(s, i) || any;
        }
        if (!any) {
            (void)nanosleep(&pause, NULL);
        }
    }
    return NULL;
}

struct cursors *cursors_open(ENGINE_HANDLE *h, ENGINE_HANDLE_V1 *v1, size_t count,
                             struct connection *(*connect)(void)) {
    struct cursors *s = calloc(1, sizeof *s);
    /* A backfill that begins in the far future sends only what is written from now on. */
    const unsigned char never[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    bool good = s != NULL && v1->get_tap_iterator != NULL;
    for (size_t i = 0; good && i < count; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "bench %zu", i);
        s->connections[i] = connect();
        s->next[i] = v1->get_tap_iterator(h, s->connections[i], name, strlen(name),
                                          TAP_CONNECT_FLAG_BACKFILL, never, sizeof never);
        good = s->next[i] != NULL;
    }
    if (good) {
        s->h = h;
        s->v1 = v1;
        s->count = count;
        good = pthread_create(&s->thread, NULL, read_streams, s) == 0;
    }
    if (!good) {
        (void)fprintf(stderr, "engine-bench: the engine does not give %zu TAP streams\n", count);
        exit(EXIT_FAILURE);
    }
    return s;
}

void cursors_close(struct cursors *s) {
    atomic_store(&s->stop, true);
    (void)pthread_join(s->thread, NULL);
    /* The connections stay: the engine may notify them until it is destroyed. */
    free(s);
}
