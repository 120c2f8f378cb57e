/* Appends what happened to a file. The caller has the lock. */
#include "faults.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int file = -1;

bool faults_record_begin(const char *path) {
    file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) {
        perror("libfaults: FAULTS_RECORD cannot be opened");
    }
    return file >= 0;
}

void faults_record(const struct record *record, const char *name, const void *bytes) {
    if (file < 0) {
        return;
    }
    struct iovec parts[3] = {
        {(void *)(uintptr_t)record, sizeof *record},
        {(void *)(uintptr_t)name, record->name_bytes},
        {(void *)(uintptr_t)bytes, bytes == NULL ? 0 : record->bytes},
    };
    size_t length = parts[0].iov_len + parts[1].iov_len + parts[2].iov_len;
    long written = faults_ask(SYS_writev, file, (long)parts, 3, 0, 0);
    if (written != (long)length) {
        /* The record would be of another disk. */
        static const char words[] = "libfaults: the record cannot be written\n";
        faults_ask(SYS_write, 2, (long)words, sizeof words - 1, 0, 0);
        faults_ask(SYS_exit_group, 99, 0, 0, 0, 0);
    }
}
