/*
 * Worker threads: one event_base each, woken through an eventfd.
 *
 * The wake-up carries new sockets, connections whose engine call is complete,
 * and connections whose last reference went away.
 */
#include "server.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void accept_new(struct worker *worker, const int *fds, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct conn *c = conn_new(worker, fds[i]);
        if (c == NULL) {
            ch_log(worker->server->host, EXTENSION_LOG_WARNING, NULL,
                   "Out of memory for a connection");
            close(fds[i]);
            atomic_fetch_sub(&worker->server->connections, 1);
        }
    }
}

static void on_wake(evutil_socket_t fd, short what, void *arg) {
    struct worker *worker = arg;
    uint64_t counter = 0;

    (void)what;
    if (read(fd, &counter, sizeof(counter)) < 0) {
        /* Nothing to count: the lists below say what there is to do. */
    }
    pthread_mutex_lock(&worker->queue_mutex);
    int *fds = worker->new_fds;
    size_t count = worker->new_count;
    struct conn *resume = worker->resume_list;
    struct conn *unreferenced = worker->unreferenced_list;
    bool stopping = worker->stopping;
    worker->new_fds = NULL;
    worker->new_count = 0;
    worker->new_capacity = 0;
    worker->resume_list = NULL;
    worker->unreferenced_list = NULL;
    pthread_mutex_unlock(&worker->queue_mutex);

    if (stopping) {
        for (size_t i = 0; i < count; i++) {
            close(fds[i]);
        }
        free(fds);
        event_base_loopbreak(worker->base);
        return;
    }
    while (unreferenced != NULL) {
        struct conn *next = unreferenced->next_unreferenced;
        conn_recycle(unreferenced);
        unreferenced = next;
    }
    while (resume != NULL) {
        /* Resuming may put the connection on the list again. */
        pthread_mutex_lock(&worker->queue_mutex);
        struct conn *next = resume->next_resume;
        resume->resuming = false;
        pthread_mutex_unlock(&worker->queue_mutex);
        conn_resume(resume);
        resume = next;
    }
    accept_new(worker, fds, count);
    free(fds);
}

static void *worker_main(void *arg) {
    struct worker *worker = arg;

    event_base_loop(worker->base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

/* Error-checking, to notice a notify from inside an engine call. */
static bool init_mutexes(struct worker *worker) {
    pthread_mutexattr_t attributes;

    if (pthread_mutexattr_init(&attributes) != 0) {
        return false;
    }
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    bool good = pthread_mutex_init(&worker->mutex, &attributes) == 0 &&
                pthread_mutex_init(&worker->queue_mutex, NULL) == 0;
    pthread_mutexattr_destroy(&attributes);
    return good;
}

static bool worker_start(struct server *server, struct worker *worker) {
    sigset_t all;
    sigset_t before;

    worker->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    worker->base = event_base_new();
    if (worker->wake_fd < 0 || worker->base == NULL || !init_mutexes(worker)) {
        return false;
    }
    worker->server = server;
    worker->on_event = conn_on_event;
    event_assign(&worker->wake_event, worker->base, worker->wake_fd, EV_READ | EV_PERSIST, on_wake,
                 worker);
    if (event_add(&worker->wake_event, NULL) != 0) {
        return false;
    }
    /* Signals are for the main thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&worker->thread, NULL, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0;
}

bool workers_start(struct server *server) {
    server->workers = calloc(server->settings.threads, sizeof(*server->workers));
    if (server->workers == NULL) {
        return false;
    }
    for (unsigned i = 0; i < server->settings.threads; i++) {
        server->workers[i].index = i;
        if (!worker_start(server, &server->workers[i])) {
            return false;
        }
    }
    return true;
}

void workers_stop(struct server *server) {
    for (unsigned i = 0; i < server->settings.threads; i++) {
        struct worker *worker = &server->workers[i];
        pthread_mutex_lock(&worker->queue_mutex);
        worker->stopping = true;
        pthread_mutex_unlock(&worker->queue_mutex);
        worker_wake(worker);
        pthread_join(worker->thread, NULL);
    }
}

void workers_free(struct server *server) {
    if (server->workers == NULL) {
        return;
    }
    for (unsigned i = 0; i < server->settings.threads; i++) {
        struct worker *worker = &server->workers[i];
        event_del(&worker->wake_event);
        /* Before the connections: it unlinks the events that are in them. */
        event_base_free(worker->base);
        while (worker->all != NULL) {
            struct conn *c = worker->all;
            worker->all = c->next_all;
            conn_free_memory(c);
        }
        free(worker->new_fds);
        close(worker->wake_fd);
        pthread_mutex_destroy(&worker->mutex);
        pthread_mutex_destroy(&worker->queue_mutex);
    }
    free(server->workers);
}
