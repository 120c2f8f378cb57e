/*
 * libfaults.so, for LD_PRELOAD: what a program asks of the system below one folder can be made to
 * fail, to take long or to kill the program, and can be recorded, so that a test can make of the
 * record what a loss of power would have left. Linux; x86-64 and AArch64.
 *
 * The calls are caught by the kernel (seccomp), not by the names of functions: some libraries ask
 * the system without libc. Nothing passes unseen but writes to mapped memory, of which the store
 * has none, and calls of kinds that are not listed in trap.c.
 *
 * Environment: FAULTS_FOLDER names the folder (absolute, no symbolic links in it). FAULTS_CONTROL
 * names a file of struct control, which the test made and maps as well. FAULTS_RECORD, if it is
 * set, names a file to which records are appended. Without the first two nothing is done.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Kinds of calls: bits of `mask`, places in `counts`. tests/crash/disk.py has the same. */
enum kind { OPEN, CREATE, READ, WRITE, SYNC, SYNC_FOLDER, RESIZE, RENAME, UNLINK, MKDIR, KINDS };

/* `error`: the process is killed instead, before the call. */
#define KILLED 0x10000

/* Shared with the test, which writes it while nothing is armed. 64-bit numbers of this machine. */
struct control {
    uint64_t mask;    /* kinds that are armed; 0: none, and what failed works again */
    uint64_t calls;   /* calls of armed kinds so far: the test sets it to 0 */
    uint64_t first;   /* the first of them that fails, from 1 on */
    uint64_t times;   /* how many fail from there on; 0: all of them */
    uint64_t error;   /* errno, or KILLED; 0: they only take long */
    uint64_t halves;  /* of those so many that are writes write half instead */
    uint64_t delay;   /* milliseconds that they take */
    uint64_t hits;    /* how many have failed */
    uint64_t counts[16]; /* calls by kind, whether armed or not */
    char last[256];   /* path of the last call that failed */
};

/* What happened. A record is this head, then the name (two names with a zero byte between, for a
 * rename), then the bytes. */
enum event { MADE = 1, MADE_FOLDER, REMOVED, RENAMED, WRITTEN, RESIZED, SYNCED, NOT_SYNCED };

struct record {
    uint32_t event;
    uint32_t name_bytes;
    uint64_t inode;  /* the file, or for MADE, MADE_FOLDER and RENAMED what the name stands for */
    uint64_t folder; /* inode of the folder that has the name */
    uint64_t to;     /* inode of the folder that has the new name */
    uint64_t offset; /* of bytes; the size of a file */
    uint64_t bytes;
};

/* A sixth argument that no program passes by chance marks our own calls; none of those that are
 * caught has six. */
#define FAULTS_OURS 0x5ca1ab1efa17c0deULL

/* Asks the kernel, unseen by the filter. Returns what the kernel returns: -errno for an error. */
long faults_ask(long number, long a, long b, long c, long d, long e);

/* Does a call that was caught; `arguments` are six. Returns what the program is to be told. Called
 * in a signal handler: asks nothing of libc that is not safe there. */
long faults_call(long number, const long *arguments);

/* Maps the control file. Returns false if there is nothing to do. */
bool faults_begin(void);

/* Appends one record. */
void faults_record(const struct record *record, const char *name, const void *bytes);

/* Opens the file of records. */
bool faults_record_begin(const char *path);

#endif
