/*
 * What newer compilers call of the thread sanitizer and the library of clang before 17 does not
 * have; to be loaded before all else. The functions that it calls are those which the sanitizer
 * watches.
 */
#include <string.h>

void *__tsan_memset(void *to, int byte, size_t length);
void *__tsan_memcpy(void *to, const void *from, size_t length);
void *__tsan_memmove(void *to, const void *from, size_t length);

void *__tsan_memset(void *to, int byte, size_t length) {
    return memset(to, byte, length);
}

void *__tsan_memcpy(void *to, const void *from, size_t length) {
    return memcpy(to, from, length);
}

void *__tsan_memmove(void *to, const void *from, size_t length) {
    return memmove(to, from, length);
}
