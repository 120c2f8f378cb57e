/*
 * Time as an engine sees it.
 *
 * "Process start" is the wall clock at creation, minus two seconds on a real
 * host so that 0 never means now. Travel moves get_current_time only.
 */
#include "internal.h"

#include <time.h>

#define RELATIVE_LIMIT_SECONDS (60LL * 60 * 24 * 30)
#define MOCK_RELATIVE_LIMIT_SECONDS (60LL * 60 * 24 * 3)
#define REAL_HEAD_START_SECONDS 2

static long long wall_clock_seconds(void) {
    return (long long)time(NULL);
}

void ch_clock_init(struct ch_clock *clock, bool mock) {
    long long start = wall_clock_seconds() - (mock ? 0 : REAL_HEAD_START_SECONDS);

    clock->mock = mock;
    atomic_init(&clock->process_start, start);
    atomic_init(&clock->offset, 0);
    atomic_init(&clock->frozen_at, 0);
}

rel_time_t ch_clock_now(const ch_host *host) {
    const struct ch_clock *clock = &host->clock;
    long long now = atomic_load(&clock->frozen_at);

    if (now == 0) {
        now = wall_clock_seconds();
    }
    return (rel_time_t)(now - atomic_load(&clock->process_start) + atomic_load(&clock->offset));
}

rel_time_t ch_clock_realtime(const ch_host *host, time_t exptime) {
    const struct ch_clock *clock = &host->clock;
    long long limit = clock->mock ? MOCK_RELATIVE_LIMIT_SECONDS : RELATIVE_LIMIT_SECONDS;
    long long start = atomic_load(&clock->process_start);

    if (exptime == 0) {
        return 0;
    }
    if (exptime > limit) {
        return exptime <= start ? 1 : (rel_time_t)(exptime - start);
    }
    return (rel_time_t)((rel_time_t)exptime + ch_clock_now(host));
}

time_t ch_clock_abstime(const ch_host *host, rel_time_t exptime) {
    return (time_t)(atomic_load(&host->clock.process_start) + (long long)exptime);
}

void ch_clock_travel(ch_host *host, int seconds) {
    atomic_fetch_add(&host->clock.offset, (long long)seconds);
}

void ch_clock_restart(ch_host *host) {
    struct ch_clock *clock = &host->clock;

    if (!clock->mock) {
        return;
    }
    atomic_store(&clock->process_start, wall_clock_seconds());
    atomic_store(&clock->offset, 0);
    if (atomic_load(&clock->frozen_at) != 0) {
        atomic_store(&clock->frozen_at, wall_clock_seconds());
    }
}

void ch_clock_freeze(ch_host *host, bool frozen) {
    struct ch_clock *clock = &host->clock;
    long long at = atomic_load(&clock->frozen_at);

    if (frozen && at == 0) {
        atomic_store(&clock->frozen_at, wall_clock_seconds());
    } else if (!frozen && at != 0) {
        /* Continue where the clock stood instead of jumping. */
        atomic_fetch_add(&clock->offset, at - wall_clock_seconds());
        atomic_store(&clock->frozen_at, 0);
    }
}
