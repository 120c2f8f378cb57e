/* What every file needs: memory, the clock, an end with a reason. */
#include "openloop.h"

#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

void fatal(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("engine-openloop: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    exit(EXIT_FAILURE);
}

void *must_allocate(size_t size) {
    void *memory = calloc(1, size);
    if (memory == NULL) {
        fatal("out of memory");
    }
    return memory;
}

uint64_t clock_ns(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        fatal("no clock");
    }
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}
