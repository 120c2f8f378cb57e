/*
 * The one host of this process.
 *
 * The functions of the tables have no context argument, so the host has to be found
 * through a static pointer. Nothing else in this library is global.
 */
#include "internal.h"

static _Atomic(ch_host *) current_host;

ch_host *ch_host_current(void) {
    return atomic_load(&current_host);
}

bool ch_host_make_current(ch_host *host) {
    ch_host *nobody = NULL;

    return atomic_compare_exchange_strong(&current_host, &nobody, host);
}

void ch_host_forget_current(void) {
    atomic_store(&current_host, NULL);
}
