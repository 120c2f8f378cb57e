/* Lines for the operator. */
#include "replicate.h"

#include <stdarg.h>
#include <stdio.h>

void say(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("engine-replicate: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
}
