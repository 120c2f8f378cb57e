/* Counts broken rules of the host ABI (numbers: list of rules that keep an engine safe). */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "runner.h"

/* Per process; engines call back without any argument of ours. */
static struct {
    atomic_bool enabled;
    _Atomic uint64_t count;
} rules;

void rules_enable(bool enabled) {
    atomic_store(&rules.enabled, enabled);
}

void rules_broken(unsigned rule, const char *format, ...) {
    if (!atomic_load(&rules.enabled)) {
        return;
    }
    va_list arguments;
    char text[256];
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (atomic_fetch_add(&rules.count, 1) < 20) {
        (void)fprintf(stderr, "host rule %u broken: %s\n", rule, text);
    }
}

uint64_t rules_count(void) {
    return atomic_load(&rules.count);
}

void rules_forgive(void) {
    atomic_store(&rules.count, 0);
}

void rules_after_get(ENGINE_ERROR_CODE code, bool has_item) {
    switch (code) {
    case ENGINE_SUCCESS:
    case ENGINE_KEY_ENOENT:
    case ENGINE_EWOULDBLOCK:
    case ENGINE_DISCONNECT:
    case ENGINE_ENOTSUP:
    case ENGINE_NOT_MY_VBUCKET:
        break;
    default:
        rules_broken(1, "get returned %s, which aborts hosts", ch_error_name(code));
        break;
    }
    if (code == ENGINE_SUCCESS && !has_item) {
        rules_broken(1, "get succeeded without an item");
    }
}

void rules_after_arithmetic(ENGINE_ERROR_CODE code, bool create, rel_time_t exptime) {
    switch (code) {
    case ENGINE_E2BIG:
    case ENGINE_WANT_MORE:
    case ENGINE_EACCESS:
    case ENGINE_ERANGE:
    case ENGINE_FAILED:
        rules_broken(2, "arithmetic returned %s, which aborts hosts", ch_error_name(code));
        break;
    case ENGINE_KEY_EEXISTS:
    case ENGINE_NOT_MY_VBUCKET:
        if (!create && exptime == 0) {
            rules_broken(2, "arithmetic returned %s to an ASCII caller", ch_error_name(code));
        }
        break;
    default:
        break;
    }
}

void rules_after_store(ENGINE_ERROR_CODE code) {
    if (code == ENGINE_WANT_MORE) {
        rules_broken(3, "store returned ENGINE_WANT_MORE");
    }
}

void rules_after_allocate(ENGINE_ERROR_CODE code) {
    if (code == ENGINE_EWOULDBLOCK) {
        rules_broken(3, "allocate returned ENGINE_EWOULDBLOCK");
    }
}

void rules_after_flush(ENGINE_ERROR_CODE code) {
    if (code == ENGINE_EWOULDBLOCK) {
        rules_broken(3, "flush returned ENGINE_EWOULDBLOCK");
    }
}

void rules_after_item_info(bool filled, const item_info *info) {
    if (!filled) {
        rules_broken(11, "get_item_info failed");
        return;
    }
    if (info->nvalue != 1 || info->value[0].iov_len != info->nbytes) {
        rules_broken(11, "get_item_info: nvalue %u, iov_len %zu, nbytes %u", (unsigned)info->nvalue,
                     info->value[0].iov_len, (unsigned)info->nbytes);
    }
    if (info->clsid > 200) {
        rules_broken(11, "get_item_info: clsid %u", (unsigned)info->clsid);
    }
}

void rules_after_emit(const char *function, ENGINE_ERROR_CODE code, uint64_t emitted,
                      bool may_block) {
    if (emitted == 0 || code == ENGINE_SUCCESS || (may_block && code == ENGINE_EWOULDBLOCK)) {
        return;
    }
    rules_broken(10, "%s sent %llu replies and returned %s", function, (unsigned long long)emitted,
                 ch_error_name(code));
}
