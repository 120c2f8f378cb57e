/*
 * Latencies in nanoseconds, in logarithmic buckets: 32 per power of two, so a percentile is at most
 * about 3 % too high. Plain data: it may be copied, merged and sent through a pipe. One writer at a
 * time.
 */
#ifndef CH_BENCH_HISTOGRAM_H
#define CH_BENCH_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_SUB = 32,
    HISTOGRAM_BUCKETS = HISTOGRAM_SUB * 40
};

struct histogram {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t nanoseconds);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The upper bound of the bucket that holds the given share (0..1) of all values; 0 if empty. */
uint64_t histogram_at(const struct histogram *h, double share);

#endif
