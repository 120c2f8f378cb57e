/* Has the kernel raise SIGSYS for the calls that are of interest, and answers them. */
#include "faults.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* The library is built with hidden names. */
#define OFFERED __attribute__((visibility("default")))

static const int CAUGHT[] = {
    SYS_openat,     SYS_read,      SYS_pread64, SYS_write,           SYS_writev,    SYS_pwrite64,
    SYS_pwritev,    SYS_fsync,     SYS_fdatasync, SYS_ftruncate,     SYS_fallocate, SYS_renameat2,
    SYS_unlinkat,   SYS_mkdirat,
#ifdef SYS_open
    SYS_open,       SYS_creat,     SYS_rename,  SYS_unlink,          SYS_mkdir,     SYS_rmdir,
#endif
#ifdef SYS_renameat
    SYS_renameat,
#endif
};
enum { CAUGHT_COUNT = sizeof CAUGHT / sizeof CAUGHT[0] };

static void on_call(int number, siginfo_t *info, void *context) {
    (void)number;
    ucontext_t *at = context;
    int before = errno;
#if defined(__x86_64__)
    greg_t *registers = at->uc_mcontext.gregs;
    const long arguments[6] = {(long)registers[REG_RDI], (long)registers[REG_RSI],
                               (long)registers[REG_RDX], (long)registers[REG_R10],
                               (long)registers[REG_R8],  (long)registers[REG_R9]};
    registers[REG_RAX] = faults_call(info->si_syscall, arguments);
#elif defined(__aarch64__)
    unsigned long long *registers = at->uc_mcontext.regs;
    long arguments[6];
    for (int index = 0; index < 6; index++) {
        arguments[index] = (long)registers[index];
    }
    registers[0] = (unsigned long long)faults_call(info->si_syscall, arguments);
#else
#error "libfaults knows the registers of x86-64 and AArch64"
#endif
    errno = before;
}

/* A thread that blocks SIGSYS would be killed by its next call. */
static int set_mask(int how, const sigset_t *set, sigset_t *old) {
    sigset_t kept;
    if (set != NULL) {
        kept = *set;
        if (how != SIG_UNBLOCK) {
            sigdelset(&kept, SIGSYS);
        }
        set = &kept;
    }
    return (int)-faults_ask(SYS_rt_sigprocmask, how, (long)set, (long)old, 8, 0);
}

/* In place of libc's. */
OFFERED int pthread_sigmask(int how, const sigset_t *set, sigset_t *old) {
    return set_mask(how, set, old);
}

OFFERED int sigprocmask(int how, const sigset_t *set, sigset_t *old) {
    int error = set_mask(how, set, old);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return 0;
}

static void filter(void) {
    enum { HEAD = 5 };
    struct sock_filter code[HEAD + 2 * CAUGHT_COUNT + 1] = {
        /* Low and high half of the sixth argument. Both machines are little-endian. */
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)FAULTS_OURS, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5]) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(FAULTS_OURS >> 32), 2 * CAUGHT_COUNT + 1, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    };
    int length = HEAD;
    for (int index = 0; index < CAUGHT_COUNT; index++) {
        struct sock_filter is_it =
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)CAUGHT[index], 0, 1);
        struct sock_filter trap = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
        code[length++] = is_it;
        code[length++] = trap;
    }
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[length++] = allow;
    struct sock_fprog program = {.len = (unsigned short)length, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) {
        perror("libfaults: this system lets no filter of calls be set (seccomp)");
        _exit(1);
    }
}

__attribute__((constructor)) static void begin(void) {
    if (!faults_begin()) {
        return;
    }
    struct sigaction action = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO};
    /* A handler of another signal must not call in while one of ours holds the lock. */
    sigfillset(&action.sa_mask);
    sigaction(SIGSYS, &action, NULL);
    filter();
}
