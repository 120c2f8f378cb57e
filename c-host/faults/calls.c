/* Does the calls that were caught: fails them, does them, records them. */
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 1024 };

static char folder[PATH_BYTES];
static size_t folder_bytes;
static struct control *control;

/* Guards the record and its order: held over a call and its record. All signals are blocked while
 * it is held. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

bool faults_begin(void) {
    const char *path = getenv("FAULTS_FOLDER");
    const char *shared = getenv("FAULTS_CONTROL");
    const char *record = getenv("FAULTS_RECORD");
    if (path == NULL || shared == NULL || strlen(path) >= PATH_BYTES) {
        return false;
    }
    strcpy(folder, path);
    folder_bytes = strlen(path);
    int file = open(shared, O_RDWR | O_CLOEXEC);
    if (file < 0) {
        perror("libfaults: FAULTS_CONTROL cannot be opened");
        exit(1);
    }
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (control == MAP_FAILED || (record != NULL && !faults_record_begin(record))) {
        exit(1);
    }
    return true;
}

static bool is_below(const char *path) {
    return strncmp(path, folder, folder_bytes) == 0 &&
           (path[folder_bytes] == '/' || path[folder_bytes] == 0);
}

/* What a link of /proc says, or nothing. */
static void read_link(const char *link, char *path) {
    long bytes = faults_ask(SYS_readlinkat, AT_FDCWD, (long)link, (long)path, PATH_BYTES - 1, 0);
    path[bytes < 0 ? 0 : bytes] = 0;
}

/* Path of an open file. */
static void path_of(int file, char *path) {
    char link[32] = "/proc/self/fd/";
    char digits[12];
    int at = (int)sizeof digits;
    unsigned number = (unsigned)file;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    memcpy(link + strlen(link), digits + at, sizeof digits - (size_t)at);
    read_link(link, path);
}

/* Path of a name that was given relative to a folder. */
static void resolve(int base, const char *name, char *path) {
    size_t bytes = 0;
    if (name[0] != '/') {
        if (base == AT_FDCWD) {
            read_link("/proc/self/cwd", path);
        } else {
            path_of(base, path);
        }
        bytes = strlen(path);
        path[bytes++] = '/';
    }
    size_t length = strlen(name);
    if (bytes + length >= PATH_BYTES) {
        length = 0;
    }
    memcpy(path + bytes, name, length);
    path[bytes + length] = 0;
}

static bool status_of(const char *path, struct stat *status) {
    long flags = AT_SYMLINK_NOFOLLOW;
    return faults_ask(SYS_newfstatat, AT_FDCWD, (long)path, (long)status, flags, 0) == 0;
}

static bool status_of_file(int file, struct stat *status) {
    return faults_ask(SYS_newfstatat, file, (long)"", (long)status, AT_EMPTY_PATH, 0) == 0;
}

/* The last part of a path. */
static const char *name_in(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* Inode of the folder that a path is in. */
static uint64_t parent_of(const char *path) {
    char parent[PATH_BYTES];
    size_t bytes = (size_t)(name_in(path) - path);
    bytes = bytes > 1 ? bytes - 1 : bytes;
    memcpy(parent, path, bytes);
    parent[bytes] = 0;
    struct stat status;
    return status_of(parent, &status) ? status.st_ino : 0;
}

/* What is to become of a call. */
struct verdict {
    long error; /* what is returned instead of doing it, or 0 */
    bool half;  /* only half of the bytes are written */
};

static void wait_for(uint64_t milliseconds) {
    struct timespec time = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
    faults_ask(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&time, 0, 0);
}

/* Counts a call and says what becomes of it; waits if it is to take long. Takes the lock. */
static struct verdict judge(enum kind kind, const char *path) {
    struct verdict verdict = {0, false};
    pthread_mutex_lock(&lock);
    control->counts[kind]++;
    if ((control->mask >> kind & 1) == 0) {
        return verdict;
    }
    uint64_t call = ++control->calls;
    if (call < control->first || (control->times != 0 && call - control->first >= control->times)) {
        return verdict;
    }
    control->hits++;
    strncpy(control->last, path, sizeof control->last - 1);
    uint64_t delay = control->delay;
    if (control->error == KILLED) {
        faults_ask(SYS_kill, faults_ask(SYS_getpid, 0, 0, 0, 0, 0), SIGKILL, 0, 0, 0);
    }
    verdict.half = kind == WRITE && control->hits <= control->halves;
    verdict.error = verdict.half ? 0 : -(long)control->error;
    if (delay != 0) {
        pthread_mutex_unlock(&lock);
        wait_for(delay);
        pthread_mutex_lock(&lock);
    }
    return verdict;
}

static void note(enum event event, uint64_t inode, uint64_t number) {
    struct record record = {.event = event, .inode = inode, .offset = number};
    faults_record(&record, NULL, NULL);
}

static void note_name(enum event event, uint64_t inode, const char *path) {
    const char *name = name_in(path);
    struct record record = {
        .event = event,
        .name_bytes = (uint32_t)strlen(name),
        .inode = inode,
        .folder = parent_of(path),
    };
    faults_record(&record, name, NULL);
}

static long open_file(int base, const char *name, long flags, long mode) {
    char path[PATH_BYTES];
    resolve(base, name, path);
    if (!is_below(path)) {
        return faults_ask(SYS_openat, base, (long)name, flags, mode, 0);
    }
    struct stat status;
    bool makes = (flags & O_CREAT) != 0 && !status_of(path, &status);
    struct verdict verdict = judge(makes ? CREATE : OPEN, path);
    long result = verdict.error;
    if (result == 0) {
        bool existed = status_of(path, &status);
        result = faults_ask(SYS_openat, base, (long)name, flags, mode, 0);
        if (result >= 0 && !existed && status_of_file((int)result, &status)) {
            note_name(MADE, status.st_ino, path);
        } else if (result >= 0 && (flags & O_TRUNC) != 0 && status.st_size > 0) {
            note(RESIZED, status.st_ino, 0);
        }
    }
    pthread_mutex_unlock(&lock);
    return result;
}

/* Reads and writes: the file is the first argument. */
static long transfer(long number, const long *a, enum kind kind, const struct iovec *parts,
                     int count, long offset) {
    char path[PATH_BYTES];
    path_of((int)a[0], path);
    if (!is_below(path)) {
        return faults_ask(number, a[0], a[1], a[2], a[3], a[4]);
    }
    struct verdict verdict = judge(kind, path);
    long result = verdict.error;
    if (result == 0) {
        long first = count > 0 ? (long)parts[0].iov_len : 0;
        if (verdict.half && first > 1) {
            struct iovec half = {parts[0].iov_base, (size_t)first / 2};
            number = offset < 0 ? SYS_writev : SYS_pwritev;
            result = faults_ask(number, a[0], (long)&half, 1, offset, 0);
        } else {
            result = faults_ask(number, a[0], a[1], a[2], a[3], a[4]);
        }
    }
    struct stat status;
    if (kind == WRITE && result > 0 && status_of_file((int)a[0], &status)) {
        if (offset < 0) {
            offset = faults_ask(SYS_lseek, a[0], 0, SEEK_CUR, 0, 0) - result;
        }
        long left = result;
        for (int index = 0; index < count && left > 0; index++) {
            long bytes = left < (long)parts[index].iov_len ? left : (long)parts[index].iov_len;
            struct record record = {.event = WRITTEN,
                                    .inode = status.st_ino,
                                    .offset = (uint64_t)offset,
                                    .bytes = (uint64_t)bytes};
            faults_record(&record, NULL, parts[index].iov_base);
            offset += bytes;
            left -= bytes;
        }
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static long sync_file(long number, const long *a) {
    char path[PATH_BYTES];
    path_of((int)a[0], path);
    struct stat status;
    if (!is_below(path) || !status_of_file((int)a[0], &status)) {
        return faults_ask(number, a[0], 0, 0, 0, 0);
    }
    struct verdict verdict = judge(S_ISDIR(status.st_mode) ? SYNC_FOLDER : SYNC, path);
    long result = verdict.error;
    if (result == 0) {
        result = faults_ask(number, a[0], 0, 0, 0, 0);
    }
    note(result == 0 ? SYNCED : NOT_SYNCED, status.st_ino, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

static long resize(long number, const long *a) {
    char path[PATH_BYTES];
    path_of((int)a[0], path);
    if (!is_below(path)) {
        return faults_ask(number, a[0], a[1], a[2], a[3], 0);
    }
    struct verdict verdict = judge(RESIZE, path);
    long result = verdict.error;
    struct stat status;
    if (result == 0) {
        result = faults_ask(number, a[0], a[1], a[2], a[3], 0);
        if (result == 0 && status_of_file((int)a[0], &status)) {
            note(RESIZED, status.st_ino, (uint64_t)status.st_size);
        }
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static long rename_file(int base, const char *name, int to_base, const char *to, long flags) {
    char path[PATH_BYTES], new_path[PATH_BYTES];
    resolve(base, name, path);
    resolve(to_base, to, new_path);
    if (!is_below(path) || !is_below(new_path)) {
        return faults_ask(SYS_renameat2, base, (long)name, to_base, (long)to, flags);
    }
    struct verdict verdict = judge(RENAME, new_path);
    long result = verdict.error;
    struct stat status = {0};
    if (result == 0) {
        status_of(path, &status);
        result = faults_ask(SYS_renameat2, base, (long)name, to_base, (long)to, flags);
    }
    if (verdict.error == 0 && result == 0) {
        char names[2 * PATH_BYTES];
        size_t old_bytes = strlen(name_in(path)) + 1, new_bytes = strlen(name_in(new_path));
        memcpy(names, name_in(path), old_bytes);
        memcpy(names + old_bytes, name_in(new_path), new_bytes);
        struct record record = {.event = RENAMED,
                                .name_bytes = (uint32_t)(old_bytes + new_bytes),
                                .inode = status.st_ino,
                                .folder = parent_of(path),
                                .to = parent_of(new_path)};
        faults_record(&record, names, NULL);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static long unlink_file(int base, const char *name, long flags) {
    char path[PATH_BYTES];
    resolve(base, name, path);
    if (!is_below(path)) {
        return faults_ask(SYS_unlinkat, base, (long)name, flags, 0, 0);
    }
    struct verdict verdict = judge(UNLINK, path);
    long result = verdict.error;
    if (result == 0) {
        result = faults_ask(SYS_unlinkat, base, (long)name, flags, 0, 0);
        if (result == 0) {
            note_name(REMOVED, 0, path);
        }
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static long make_folder(int base, const char *name, long mode) {
    char path[PATH_BYTES];
    resolve(base, name, path);
    if (!is_below(path)) {
        return faults_ask(SYS_mkdirat, base, (long)name, mode, 0, 0);
    }
    struct verdict verdict = judge(MKDIR, path);
    long result = verdict.error;
    struct stat status;
    if (result == 0) {
        result = faults_ask(SYS_mkdirat, base, (long)name, mode, 0, 0);
        if (result == 0 && status_of(path, &status)) {
            note_name(MADE_FOLDER, status.st_ino, path);
        }
    }
    pthread_mutex_unlock(&lock);
    return result;
}

/* Those whose first argument is an open file. */
static long call_on_file(long number, const long *a) {
    struct iovec one = {(void *)a[1], (size_t)a[2]};
    switch (number) {
    case SYS_read:
    case SYS_pread64:
        return transfer(number, a, READ, &one, 1, 0);
    case SYS_write:
        return transfer(number, a, WRITE, &one, 1, -1);
    case SYS_pwrite64:
        return transfer(number, a, WRITE, &one, 1, a[3]);
    case SYS_writev:
        return transfer(number, a, WRITE, (const struct iovec *)a[1], (int)a[2], -1);
    case SYS_pwritev:
        return transfer(number, a, WRITE, (const struct iovec *)a[1], (int)a[2], a[3]);
    case SYS_fsync:
    case SYS_fdatasync:
        return sync_file(number, a);
    case SYS_ftruncate:
    case SYS_fallocate:
        return resize(number, a);
    default:
        return -ENOSYS;
    }
}

long faults_call(long number, const long *a) {
    switch (number) {
    case SYS_openat:
        return open_file((int)a[0], (const char *)a[1], a[2], a[3]);
    case SYS_renameat2:
        return rename_file((int)a[0], (const char *)a[1], (int)a[2], (const char *)a[3], a[4]);
    case SYS_unlinkat:
        return unlink_file((int)a[0], (const char *)a[1], a[2]);
    case SYS_mkdirat:
        return make_folder((int)a[0], (const char *)a[1], a[2]);
#ifdef SYS_open
    case SYS_open:
        return open_file(AT_FDCWD, (const char *)a[0], a[1], a[2]);
    case SYS_creat:
        return open_file(AT_FDCWD, (const char *)a[0], O_WRONLY | O_CREAT | O_TRUNC, a[1]);
    case SYS_rename:
        return rename_file(AT_FDCWD, (const char *)a[0], AT_FDCWD, (const char *)a[1], 0);
    case SYS_unlink:
        return unlink_file(AT_FDCWD, (const char *)a[0], 0);
    case SYS_rmdir:
        return unlink_file(AT_FDCWD, (const char *)a[0], AT_REMOVEDIR);
    case SYS_mkdir:
        return make_folder(AT_FDCWD, (const char *)a[0], a[1]);
#endif
#ifdef SYS_renameat
    case SYS_renameat:
        return rename_file((int)a[0], (const char *)a[1], (int)a[2], (const char *)a[3], 0);
#endif
    default:
        return call_on_file(number, a);
    }
}
