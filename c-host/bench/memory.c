/* What this process occupies, from the kernel's point of view. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

static double resident_bytes(void) {
    unsigned long size = 0;
    unsigned long resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL) {
        return -1;
    }
    const int got = fscanf(f, "%lu %lu", &size, &resident);
    (void)fclose(f);
    return got == 2 ? (double)resident * (double)sysconf(_SC_PAGESIZE) : -1;
}

static double private_dirty_bytes(void) {
    char line[256];
    double kilobytes = -1;
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    if (f == NULL) {
        return -1;
    }
    while (fgets(line, sizeof line, f) != NULL) {
        unsigned long value = 0;
        if (sscanf(line, "Private_Dirty: %lu", &value) == 1) {
            kilobytes = (double)value;
        }
    }
    (void)fclose(f);
    return kilobytes < 0 ? -1 : kilobytes * 1024;
}

struct memory memory_now(void) {
    return (struct memory){.resident = resident_bytes(), .private_dirty = private_dirty_bytes()};
}
