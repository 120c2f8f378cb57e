#include "histogram.h"

enum {
    SUB_BITS = 5
};

/* Values below 32 have a bucket each; above, the five bits after the leading one choose. */
static unsigned bucket_of(uint64_t value) {
    if (value < HISTOGRAM_SUB) {
        return (unsigned)value;
    }
    const unsigned top = 63U - (unsigned)__builtin_clzll(value);
    const unsigned shift = top - SUB_BITS;
    const unsigned sub = (unsigned)(value >> shift) - HISTOGRAM_SUB;
    const unsigned bucket = (shift + 1U) * HISTOGRAM_SUB + sub;
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1U;
}

static uint64_t upper_bound(unsigned bucket) {
    if (bucket < HISTOGRAM_SUB) {
        return bucket;
    }
    const unsigned shift = bucket / HISTOGRAM_SUB - 1U;
    const uint64_t sub = bucket % HISTOGRAM_SUB + HISTOGRAM_SUB;
    return ((sub + 1U) << shift) - 1U;
}

void histogram_add(struct histogram *h, uint64_t nanoseconds) {
    h->count++;
    h->buckets[bucket_of(nanoseconds)]++;
    h->max = nanoseconds > h->max ? nanoseconds : h->max;
}

void histogram_merge(struct histogram *into, const struct histogram *from) {
    into->count += from->count;
    into->max = from->max > into->max ? from->max : into->max;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        into->buckets[i] += from->buckets[i];
    }
}

uint64_t histogram_at(const struct histogram *h, double share) {
    uint64_t wanted = (uint64_t)((double)h->count * share);
    wanted = wanted < h->count ? wanted : h->count - 1U;
    uint64_t below = 0;
    for (unsigned i = 0; h->count != 0 && i < HISTOGRAM_BUCKETS; i++) {
        below += h->buckets[i];
        if (below > wanted) {
            const uint64_t bound = upper_bound(i);
            return bound < h->max ? bound : h->max;
        }
    }
    return 0;
}
