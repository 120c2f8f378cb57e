/* What the loop measured. */
#include "openloop.h"

#include <stdlib.h>

enum { CHUNK = 1 << 15, CHUNKS_MAX = 1 << 14 };

/* In pieces: memory that is moved when it grows would hold the loop up. */
struct samples {
    size_t count;
    struct sample *chunks[CHUNKS_MAX];
};

struct samples *samples_new(void) {
    return must_allocate(sizeof(struct samples));
}

void samples_free(struct samples *s) {
    for (size_t i = 0; i < CHUNKS_MAX && s->chunks[i] != NULL; i++) {
        free(s->chunks[i]);
    }
    free(s);
}

void samples_add(struct samples *s, const struct sample *sample) {
    const size_t chunk = s->count / CHUNK;
    if (chunk == CHUNKS_MAX) {
        fatal("more than %d requests in one run", CHUNK * CHUNKS_MAX);
    }
    if (s->chunks[chunk] == NULL) {
        s->chunks[chunk] = must_allocate(CHUNK * sizeof *sample);
    }
    s->chunks[chunk][s->count % CHUNK] = *sample;
    s->count++;
}

size_t samples_count(const struct samples *s) {
    return s->count;
}

const struct sample *samples_at(const struct samples *s, size_t index) {
    return &s->chunks[index / CHUNK][index % CHUNK];
}

static int by_size(const void *left, const void *right) {
    const uint64_t one = *(const uint64_t *)left;
    const uint64_t other = *(const uint64_t *)right;
    return one < other ? -1 : one > other;
}

/* Nearest rank: the least value that so many per mille of all are not above. */
static uint64_t at_share(const uint64_t *sorted, size_t count, size_t per_mille) {
    const size_t rank = (count * per_mille + 999) / 1000;
    return sorted[rank == 0 ? 0 : rank - 1];
}

static bool in_span(const struct sample *one, uint64_t from, uint64_t to, bool overlapping) {
    return one->due < to && (overlapping ? one->due + one->latency > from : one->due >= from);
}

struct summary samples_summary(const struct samples *s, enum which which, uint64_t from,
                               uint64_t to, bool overlapping) {
    static const size_t shares[SHARES] = {500, 990, 999};
    struct summary summary = {0};
    uint64_t *latencies = must_allocate((s->count + 1) * sizeof *latencies);
    uint64_t *late = must_allocate((s->count + 1) * sizeof *late);
    for (size_t i = 0; i < s->count; i++) {
        const struct sample *one = samples_at(s, i);
        const bool chosen = which == WHICH_ALL || one->is_set == (which == WHICH_SETS);
        if (chosen && in_span(one, from, to, overlapping)) {
            late[summary.count] = one->late;
            latencies[summary.count++] = one->latency;
            summary.outcomes[one->outcome]++;
        }
    }
    if (summary.count != 0) {
        qsort(latencies, summary.count, sizeof *latencies, by_size);
        qsort(late, summary.count, sizeof *late, by_size);
        for (size_t i = 0; i < SHARES; i++) {
            summary.at[i] = at_share(latencies, summary.count, shares[i]);
        }
        summary.max = latencies[summary.count - 1];
        summary.late = at_share(late, summary.count, 990);
    }
    free(latencies);
    free(late);
    return summary;
}
