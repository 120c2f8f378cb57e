/*
 * CHECK macros for test suites.
 *
 * They do not depend on NDEBUG. A failed check prints file, line, the expression and both values on
 * standard error and ends the test's process with the exit code that every host's test program
 * reads as "failed" (enum test_result, FAIL). So they may be used in helper functions and in
 * threads alike. CHECK_CLEANUP is not needed: whatever the process holds is released by the kernel.
 */
#ifndef CH_HARNESS_CHECK_H
#define CH_HARNESS_CHECK_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    CHECK_FAIL_EXIT = 13
};

#define CHECK_FAILED_AT(...)                                                                       \
    do {                                                                                           \
        (void)fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, __func__);                        \
        (void)fprintf(stderr, __VA_ARGS__);                                                        \
        (void)fputc('\n', stderr);                                                                 \
        (void)fflush(stderr);                                                                      \
        _exit(CHECK_FAIL_EXIT);                                                                    \
    } while (0)

/* The condition holds. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            CHECK_FAILED_AT("not true: %s", #condition);                                           \
        }                                                                                          \
    } while (0)

/* The condition holds; otherwise the printf-like explanation is shown too. */
#define CHECK_MSG(condition, ...)                                                                  \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);        \
            CHECK_FAILED_AT(__VA_ARGS__);                                                          \
        }                                                                                          \
    } while (0)

/* Two signed integers (enum values and status codes included) are equal. */
#define CHECK_INT(expected, actual)                                                                \
    do {                                                                                           \
        const int64_t check_want_ = (int64_t)(expected);                                           \
        const int64_t check_have_ = (int64_t)(actual);                                             \
        if (check_want_ != check_have_) {                                                          \
            CHECK_FAILED_AT("%s: expected %" PRId64 " (0x%" PRIx64 ", %s), actual %" PRId64        \
                            " (0x%" PRIx64 ")",                                                    \
                            #actual, check_want_, (uint64_t)check_want_, #expected, check_have_,   \
                            (uint64_t)check_have_);                                                \
        }                                                                                          \
    } while (0)

/* Two unsigned integers are equal. */
#define CHECK_UINT(expected, actual)                                                               \
    do {                                                                                           \
        const uint64_t check_want_ = (uint64_t)(expected);                                         \
        const uint64_t check_have_ = (uint64_t)(actual);                                           \
        if (check_want_ != check_have_) {                                                          \
            CHECK_FAILED_AT("%s: expected %" PRIu64 " (%s), actual %" PRIu64, #actual,             \
                            check_want_, #expected, check_have_);                                  \
        }                                                                                          \
    } while (0)

/* Two unsigned integers differ. */
#define CHECK_NE(unexpected, actual)                                                               \
    do {                                                                                           \
        const uint64_t check_want_ = (uint64_t)(unexpected);                                       \
        const uint64_t check_have_ = (uint64_t)(actual);                                           \
        if (check_want_ == check_have_) {                                                          \
            CHECK_FAILED_AT("%s: must not be %" PRIu64 " (%s)", #actual, check_want_,              \
                            #unexpected);                                                          \
        }                                                                                          \
    } while (0)

/* actual <= limit, both unsigned. */
#define CHECK_LE(actual, limit)                                                                    \
    do {                                                                                           \
        const uint64_t check_want_ = (uint64_t)(limit);                                            \
        const uint64_t check_have_ = (uint64_t)(actual);                                           \
        if (check_have_ > check_want_) {                                                           \
            CHECK_FAILED_AT("%s: expected at most %" PRIu64 " (%s), actual %" PRIu64, #actual,     \
                            check_want_, #limit, check_have_);                                     \
        }                                                                                          \
    } while (0)

/* Two byte strings are equal. */
#define CHECK_BYTES(expected, expected_length, actual, actual_length)                              \
    do {                                                                                           \
        const size_t check_want_ = (size_t)(expected_length);                                      \
        const size_t check_have_ = (size_t)(actual_length);                                        \
        const void *check_a_ = (expected);                                                         \
        const void *check_b_ = (actual);                                                           \
        if (check_want_ != check_have_ ||                                                          \
            (check_want_ != 0 && memcmp(check_a_, check_b_, check_want_) != 0)) {                  \
            const int check_aw_ = check_want_ > 60 ? 60 : (int)check_want_;                        \
            const int check_bw_ = check_have_ > 60 ? 60 : (int)check_have_;                        \
            CHECK_FAILED_AT("%s: expected %zu bytes \"%.*s\", actual %zu bytes \"%.*s\"", #actual, \
                            check_want_, check_aw_, (const char *)check_a_, check_have_,           \
                            check_bw_, (const char *)check_b_);                                    \
        }                                                                                          \
    } while (0)

/* Two NUL-terminated strings are equal. */
#define CHECK_STR(expected, actual)                                                                \
    do {                                                                                           \
        const char *check_want_s_ = (expected);                                                    \
        const char *check_have_s_ = (actual);                                                      \
        CHECK_BYTES(check_want_s_, strlen(check_want_s_), check_have_s_, strlen(check_have_s_));   \
    } while (0)

#endif
