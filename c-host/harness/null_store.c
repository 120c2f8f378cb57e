/* The stub engine's table, its window, and its file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "null_engine.h"

enum {
    PATH_ROOM = 1100
};

static const uint64_t FILE_MAGIC = 0x314c4c554e434544ULL;

/* One number for the process, since items do not know their engine. */
static _Atomic uint64_t live_items;

uint64_t null_item_live(void) {
    return atomic_load(&live_items);
}

struct null_item *null_item_new(const void *key, size_t nkey, size_t nbytes) {
    struct null_item *it = malloc(sizeof *it + nkey + 1 + nbytes);
    if (it == NULL) {
        return NULL;
    }
    memset(it, 0, sizeof *it);
    it->references = 1;
    atomic_fetch_add(&live_items, 1);
    it->nkey = (uint16_t)nkey;
    it->nbytes = (uint32_t)nbytes;
    memcpy(it->data, key, nkey);
    it->data[nkey] = '\0';
    return it;
}

void null_item_free(struct null_item *it) {
    if (it != NULL && atomic_fetch_sub(&it->references, 1) == 1) {
        free(it);
        atomic_fetch_sub(&live_items, 1);
    }
}

char *null_item_value(struct null_item *it) {
    return it->data + it->nkey + 1;
}

static size_t bucket_of(const void *key, size_t nkey, uint16_t vb) {
    const unsigned char *at = key;
    uint64_t hash = 14695981039346656037ULL ^ vb;
    for (size_t i = 0; i < nkey; i++) {
        hash = (hash ^ at[i]) * 1099511628211ULL;
    }
    return (size_t)((hash ^ (hash >> 32)) % NULL_BUCKETS);
}

struct null_entry *null_find(struct null_engine *e, const void *key, size_t nkey, uint16_t vb) {
    struct null_entry *at = e->buckets[bucket_of(key, nkey, vb)];
    while (at != NULL &&
           (at->vbucket != vb || at->nkey != nkey || memcmp(at->key, key, nkey) != 0)) {
        at = at->next;
    }
    return at;
}

static void count(struct null_engine *e, const struct null_item *it, bool added) {
    if (it == NULL) {
        return;
    }
    const uint64_t bytes = sizeof *it + it->nkey + 1 + it->nbytes;
    e->items += added ? 1 : (uint64_t)-1;
    e->memory += added ? bytes : (uint64_t)0 - bytes;
}

static void unlink_entry(struct null_engine *e, struct null_entry *gone) {
    struct null_entry **at = &e->buckets[bucket_of(gone->key, gone->nkey, gone->vbucket)];
    while (*at != gone) {
        at = &(*at)->next;
    }
    *at = gone->next;
    null_item_free(gone->before);
    free(gone);
}

static struct null_entry *add_entry(struct null_engine *e, const void *key, size_t nkey,
                                    uint16_t vb) {
    struct null_entry *fresh = calloc(1, sizeof *fresh + nkey);
    if (fresh == NULL) {
        return NULL;
    }
    memcpy(fresh->key, key, nkey);
    fresh->nkey = (uint16_t)nkey;
    fresh->vbucket = vb;
    struct null_entry **head = &e->buckets[bucket_of(key, nkey, vb)];
    fresh->next = *head;
    *head = fresh;
    return fresh;
}

static void replace(struct null_engine *e, struct null_entry *entry, struct null_item *it) {
    struct null_item *old = entry->now;
    count(e, old, false);
    count(e, it, true);
    entry->now = it;
    entry->locked_until = 0;
    if (e->vbuckets[entry->vbucket].window && !entry->touched) {
        entry->touched = true;
        entry->before = old;
    } else {
        null_item_free(old);
    }
    if (it == NULL && !entry->touched) {
        unlink_entry(e, entry);
    }
}

bool null_put(struct null_engine *e, const void *key, size_t nkey, uint16_t vb,
              struct null_item *it) {
    struct null_entry *entry = null_find(e, key, nkey, vb);
    if (entry == NULL && it == NULL) {
        return true;
    }
    if (entry == NULL) {
        entry = add_entry(e, key, nkey, vb);
    }
    if (entry == NULL) {
        null_item_free(it);
        return false;
    }
    replace(e, entry, it);
    return true;
}

/* Calls `each` for every entry; it may remove the one it gets. */
static void walk(struct null_engine *e, void (*each)(struct null_engine *, struct null_entry *)) {
    for (size_t i = 0; i < NULL_BUCKETS; i++) {
        struct null_entry *at = e->buckets[i];
        while (at != NULL) {
            struct null_entry *next = at->next;
            each(e, at);
            at = next;
        }
    }
}

static void delete_one(struct null_engine *e, struct null_entry *entry) {
    if (entry->now != NULL) {
        replace(e, entry, NULL);
    }
}

void null_delete_all(struct null_engine *e) {
    walk(e, delete_one);
}

static void delete_if_missing(struct null_engine *e, struct null_entry *entry) {
    if (e->vbuckets[entry->vbucket].state == 0) {
        delete_one(e, entry);
    }
}

void null_delete_vbucket(struct null_engine *e, uint16_t vb) {
    e->vbuckets[vb].state = 0;
    walk(e, delete_if_missing);
}

struct null_item *null_live(struct null_engine *e, const void *key, size_t nkey, uint16_t vb) {
    const rel_time_t now = e->core->get_current_time();
    if (e->flush_at != 0 && now >= e->flush_at) {
        e->flush_at = 0;
        null_delete_all(e);
    }
    struct null_entry *entry = null_find(e, key, nkey, vb);
    if (entry == NULL || entry->now == NULL) {
        return NULL;
    }
    if (entry->now->exptime != 0 && entry->now->exptime < now) {
        replace(e, entry, NULL);
        return NULL;
    }
    return entry->now;
}

/* ---- the window ---- */

static bool counts(const struct null_vbucket *v) {
    return v->state == vbucket_state_active || v->state == vbucket_state_pending;
}

bool null_window_open(const struct null_engine *e) {
    for (unsigned i = 0; i < NULL_VBUCKETS; i++) {
        if (counts(&e->vbuckets[i]) && e->vbuckets[i].window) {
            return true;
        }
    }
    return false;
}

bool null_start(struct null_engine *e) {
    if (null_window_open(e)) {
        return false;
    }
    for (unsigned i = 0; i < NULL_VBUCKETS; i++) {
        if (counts(&e->vbuckets[i])) {
            e->vbuckets[i].window = true;
            e->vbuckets[i].checkpoint++;
        }
    }
    return true;
}

static void complete_one(struct null_engine *e, struct null_entry *entry) {
    if (!entry->touched) {
        return;
    }
    entry->touched = false;
    null_item_free(entry->before);
    entry->before = NULL;
    if (entry->now == NULL) {
        unlink_entry(e, entry);
    }
}

static void revert_one(struct null_engine *e, struct null_entry *entry) {
    if (!entry->touched) {
        return;
    }
    struct null_item *before = entry->before;
    e->reverted_add += before == NULL ? 1 : 0;
    e->reverted_delete += before != NULL && entry->now == NULL ? 1 : 0;
    e->reverted_update += before != NULL && entry->now != NULL ? 1 : 0;
    count(e, entry->now, false);
    count(e, before, true);
    null_item_free(entry->now);
    entry->now = before;
    entry->before = NULL;
    entry->touched = false;
    entry->locked_until = 0;
    if (before == NULL) {
        unlink_entry(e, entry);
    }
}

void null_end_window(struct null_engine *e, bool revert) {
    walk(e, revert ? revert_one : complete_one);
    for (unsigned i = 0; i < NULL_VBUCKETS; i++) {
        if (e->vbuckets[i].window) {
            e->vbuckets[i].window = false;
            e->vbuckets[i].checkpoint++;
        }
    }
}

static void free_one(struct null_engine *e, struct null_entry *entry) {
    null_item_free(entry->now);
    entry->now = NULL;
    unlink_entry(e, entry);
}

void null_free_all(struct null_engine *e) {
    walk(e, free_one);
}

/* ---- the file ---- */

void null_log(struct null_engine *e, const char *what, const char *detail) {
    const EXTENSION_LOGGER_DESCRIPTOR *logger = e->extension->get_extension(EXTENSION_LOGGER);
    if (logger != NULL) {
        logger->log(EXTENSION_LOG_WARNING, NULL, "null engine: %s: %s\n", what, detail);
    }
}

static void path_of(const struct null_engine *e, const char *file, char *out) {
    (void)snprintf(out, PATH_ROOM, "%s/%s", e->dbname, file);
}

bool null_open_dir(struct null_engine *e) {
    char path[PATH_ROOM];
    if (mkdir(e->dbname, 0777) != 0 && errno != EEXIST) {
        null_log(e, e->dbname, strerror(errno));
        return false;
    }
    path_of(e, "lock", path);
    e->lock_file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (e->lock_file < 0) {
        null_log(e, path, strerror(errno));
        return false;
    }
    if (flock(e->lock_file, LOCK_EX | LOCK_NB) != 0) {
        null_log(e, path, "another instance uses this directory");
        return false;
    }
    return true;
}

void null_mark_window(struct null_engine *e, bool open) {
    char path[PATH_ROOM];
    if (e->dbname == NULL) {
        return;
    }
    path_of(e, "window", path);
    if (open) {
        FILE *f = fopen(path, "w");
        if (f != NULL) {
            (void)fclose(f);
        }
    } else {
        (void)unlink(path);
    }
}

struct record {
    uint64_t cas;
    uint64_t exptime;
    uint32_t flags;
    uint32_t nbytes;
    uint16_t nkey;
    uint16_t vbucket;
    uint32_t check;
};

static uint32_t check_of(const struct null_item *it) {
    uint32_t sum = 2166136261U;
    for (size_t i = 0; i < (size_t)it->nkey + 1U + it->nbytes; i++) {
        sum = (sum ^ (unsigned char)it->data[i]) * 16777619U;
    }
    return sum;
}

static bool write_item(const struct null_engine *e, const struct null_entry *entry, FILE *f) {
    const struct null_item *it = entry->touched ? entry->before : entry->now;
    if (it == NULL) {
        return true;
    }
    struct record r;
    memset(&r, 0, sizeof r);
    r.cas = it->cas;
    r.exptime = it->exptime == 0 ? 0 : (uint64_t)e->core->abstime(it->exptime);
    r.flags = it->flags;
    r.nbytes = it->nbytes;
    r.nkey = it->nkey;
    r.vbucket = entry->vbucket;
    r.check = check_of(it);
    return fwrite(&r, sizeof r, 1, f) == 1 &&
           fwrite(it->data, (size_t)it->nkey + 1U + it->nbytes, 1, f) == 1;
}

bool null_save(struct null_engine *e) {
    char path[PATH_ROOM];
    char fresh[PATH_ROOM];
    path_of(e, "data", path);
    path_of(e, "data.new", fresh);
    FILE *f = fopen(fresh, "w");
    bool good = f != NULL && fwrite(&FILE_MAGIC, sizeof FILE_MAGIC, 1, f) == 1;
    for (size_t i = 0; good && i < NULL_BUCKETS; i++) {
        for (struct null_entry *at = e->buckets[i]; good && at != NULL; at = at->next) {
            good = write_item(e, at, f);
        }
    }
    const struct record end = {.vbucket = UINT16_MAX};
    good = good && fwrite(&end, sizeof end, 1, f) == 1;
    if (f != NULL) {
        good = fclose(f) == 0 && good;
    }
    good = good && rename(fresh, path) == 0;
    if (!good) {
        null_log(e, fresh, strerror(errno));
    }
    return good;
}

/* 1: an item was read; 0: the end; -1: damaged. */
static int read_item(struct null_engine *e, FILE *f) {
    struct record r;
    if (fread(&r, sizeof r, 1, f) != 1) {
        return -1;
    }
    if (r.vbucket == UINT16_MAX) {
        return fgetc(f) == EOF ? 0 : -1;
    }
    if (r.vbucket >= NULL_VBUCKETS || r.nkey > NULL_KEY_MAX || r.nbytes > e->item_size_max) {
        return -1;
    }
    char key[NULL_KEY_MAX] = {0};
    struct null_item *it = null_item_new(key, r.nkey, r.nbytes);
    if (it == NULL || fread(it->data, (size_t)r.nkey + 1U + r.nbytes, 1, f) != 1 ||
        check_of(it) != r.check) {
        null_item_free(it);
        return -1;
    }
    const time_t start = e->core->abstime(0);
    it->cas = r.cas;
    it->flags = r.flags;
    it->exptime = r.exptime == 0               ? 0
                  : (time_t)r.exptime <= start ? 1
                                               : (rel_time_t)((time_t)r.exptime - start);
    e->last_cas = r.cas > e->last_cas ? r.cas : e->last_cas;
    memcpy(key, it->data, r.nkey);
    return null_put(e, key, r.nkey, r.vbucket, it) ? 1 : -1;
}

bool null_load(struct null_engine *e) {
    char path[PATH_ROOM];
    path_of(e, "window", path);
    if (unlink(path) == 0) {
        e->last_outcome = "lost at restart";
    }
    path_of(e, "data", path);
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        if (errno != ENOENT) {
            null_log(e, path, strerror(errno));
        }
        return errno == ENOENT;
    }
    uint64_t magic = 0;
    int more = fread(&magic, sizeof magic, 1, f) == 1 && magic == FILE_MAGIC ? 1 : -1;
    while (more == 1) {
        more = read_item(e, f);
    }
    (void)fclose(f);
    if (more != 0) {
        null_log(e, path, "damaged; restore it from a backup or move it away");
    }
    return more == 0;
}
