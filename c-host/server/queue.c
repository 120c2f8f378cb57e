/*
 * What other threads give a worker to do; it is woken through its eventfd.
 */
#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void worker_wake(const struct worker *worker) {
    uint64_t one = 1;

    while (write(worker->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR) {
        /* Only a full counter fails otherwise, and then the wake-up is due anyway. */
    }
}

bool worker_hand_over(struct worker *worker, int fd) {
    bool added = true;

    pthread_mutex_lock(&worker->queue_mutex);
    if (worker->new_count == worker->new_capacity) {
        size_t capacity = worker->new_capacity == 0 ? 16 : worker->new_capacity * 2;
        int *grown = realloc(worker->new_fds, capacity * sizeof(*grown));
        if (grown == NULL) {
            added = false;
        } else {
            worker->new_fds = grown;
            worker->new_capacity = capacity;
        }
    }
    if (added) {
        worker->new_fds[worker->new_count++] = fd;
    }
    pthread_mutex_unlock(&worker->queue_mutex);
    if (added) {
        worker_wake(worker);
    }
    return added;
}

void worker_resume(struct worker *worker, struct conn *c) {
    pthread_mutex_lock(&worker->queue_mutex);
    if (!c->resuming) {
        c->resuming = true;
        c->next_resume = worker->resume_list;
        worker->resume_list = c;
    }
    pthread_mutex_unlock(&worker->queue_mutex);
    worker_wake(worker);
}

void worker_unreferenced(struct worker *worker, struct conn *c) {
    pthread_mutex_lock(&worker->queue_mutex);
    c->next_unreferenced = worker->unreferenced_list;
    worker->unreferenced_list = c;
    pthread_mutex_unlock(&worker->queue_mutex);
    worker_wake(worker);
}
