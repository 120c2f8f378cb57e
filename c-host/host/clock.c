/*
 * Time as an engine sees it.
 *
 * Relative time counts by a clock that never goes back, from two seconds on a real host, so that 0
 * never means now. "Process start" is where that count begins by the wall clock as it is: when the
 * wall clock is set, process start moves with it, and absolute times follow. Travel moves
 * get_current_time only.
 */
#include "internal.h"

#include <time.h>

#define RELATIVE_LIMIT_SECONDS (60LL * 60 * 24 * 30)
#define MOCK_RELATIVE_LIMIT_SECONDS (60LL * 60 * 24 * 3)
#define REAL_HEAD_START_SECONDS 2
/* A difference of the two clocks from which on the wall clock was set. */
#define SET_SECONDS 2
#define SECOND_NS 1000000000LL

static long long read_ns(clockid_t id) {
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (long long)now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* Seconds since ch_clock_init and the head start; a second begins with one of the wall clock. */
static long long elapsed(const struct ch_clock *clock) {
    return (read_ns(CLOCK_MONOTONIC) - clock->origin_ns) / SECOND_NS;
}

/* Epoch seconds of process start. */
static long long start_of(const ch_host *host) {
    /* Only the caller's view of the host is constant: what is noted here is not. */
    struct ch_clock *clock = &((ch_host *)host)->clock;
    long long start = atomic_load(&clock->process_start);
    const long long by_wall = read_ns(CLOCK_REALTIME) / SECOND_NS - elapsed(clock);
    const long long set = by_wall - start + atomic_load(&clock->skipped);

    if (set >= SET_SECONDS || set <= -SET_SECONDS) {
        /* Another thread may have noted it: then it stays as that one says. */
        (void)atomic_compare_exchange_strong(&clock->process_start, &start, start + set);
        start = atomic_load(&clock->process_start);
    }
    return start;
}

void ch_clock_init(struct ch_clock *clock, bool mock) {
    const long long head = mock ? 0 : REAL_HEAD_START_SECONDS;
    const long long monotonic = read_ns(CLOCK_MONOTONIC);
    const long long wall = read_ns(CLOCK_REALTIME);

    clock->mock = mock;
    clock->origin_ns = monotonic - wall % SECOND_NS - head * SECOND_NS;
    atomic_init(&clock->process_start, wall / SECOND_NS - head);
    atomic_init(&clock->skipped, 0);
    atomic_init(&clock->offset, 0);
    atomic_init(&clock->frozen_at, -1);
}

rel_time_t ch_clock_now(const ch_host *host) {
    const struct ch_clock *clock = &host->clock;
    long long now = atomic_load(&clock->frozen_at);

    if (now < 0) {
        now = elapsed(clock) - atomic_load(&clock->skipped);
    }
    return (rel_time_t)(now + atomic_load(&clock->offset));
}

rel_time_t ch_clock_realtime(const ch_host *host, time_t exptime) {
    const struct ch_clock *clock = &host->clock;
    long long limit = clock->mock ? MOCK_RELATIVE_LIMIT_SECONDS : RELATIVE_LIMIT_SECONDS;
    long long start = start_of(host);

    if (exptime == 0) {
        return 0;
    }
    if (exptime > limit) {
        return exptime <= start ? 1 : (rel_time_t)(exptime - start);
    }
    return (rel_time_t)((rel_time_t)exptime + ch_clock_now(host));
}

time_t ch_clock_abstime(const ch_host *host, rel_time_t exptime) {
    return (time_t)(start_of(host) + (long long)exptime);
}

void ch_clock_travel(ch_host *host, int seconds) {
    atomic_fetch_add(&host->clock.offset, (long long)seconds);
}

void ch_clock_restart(ch_host *host) {
    struct ch_clock *clock = &host->clock;

    if (!clock->mock) {
        return;
    }
    const long long start = start_of(host);
    const long long now = elapsed(clock);
    atomic_store(&clock->process_start, start + now - atomic_load(&clock->skipped));
    atomic_store(&clock->skipped, now);
    atomic_store(&clock->offset, 0);
    if (atomic_load(&clock->frozen_at) >= 0) {
        atomic_store(&clock->frozen_at, 0);
    }
}

void ch_clock_freeze(ch_host *host, bool frozen) {
    struct ch_clock *clock = &host->clock;
    const long long at = atomic_load(&clock->frozen_at);
    const long long now = elapsed(clock) - atomic_load(&clock->skipped);

    if (frozen && at < 0) {
        atomic_store(&clock->frozen_at, now);
    } else if (!frozen && at >= 0) {
        /* Continue where the clock stood instead of jumping. */
        atomic_fetch_add(&clock->offset, at - now);
        atomic_store(&clock->frozen_at, -1);
    }
}
