/* Damaged and foreign directories: an engine says what is wrong and touches nothing. */
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "support.h"

enum {
    PATH_ROOM = 400,
    FILES_MAX = 200,
    BLOCK_WORDS = 8192,
    KEYS = 3000
};

/* The files below a directory. */
struct listing {
    unsigned count;
    uint64_t sums[FILES_MAX];
    char paths[FILES_MAX][PATH_ROOM];
    off_t sizes[FILES_MAX];
};
/* nftw hands its callback no argument. */
static struct listing seen;

static uint64_t file_sum(const char *path) {
    uint64_t sum = 14695981039346656037ULL;
    FILE *f = fopen(path, "r");
    CHECK_MSG(f != NULL, "%s", path);
    /* A store's journal has many megabytes: a word at a time. */
    static uint64_t block[BLOCK_WORDS];
    size_t bytes;
    while ((bytes = fread(block, 1, sizeof block, f)) > 0) {
        const size_t words = (bytes + sizeof *block - 1) / sizeof *block;
        memset((char *)block + bytes, 0, words * sizeof *block - bytes);
        for (size_t i = 0; i < words; i++) {
            sum = (sum ^ block[i]) * 1099511628211ULL;
        }
    }
    CHECK(ferror(f) == 0 && fclose(f) == 0);
    return sum;
}

static int see_file(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)walk;
    if (kind == FTW_F && seen.count < FILES_MAX) {
        (void)snprintf(seen.paths[seen.count], PATH_ROOM, "%s", path);
        seen.sizes[seen.count] = status->st_size;
        seen.sums[seen.count++] = file_sum(path);
    }
    return 0;
}

static void look(const char *dir) {
    memset(&seen, 0, sizeof seen);
    CHECK(nftw(dir, see_file, 16, FTW_PHYS) == 0);
}

/* True if every file that was there and not empty is there as it was; others may be locks. Says
 * which is not. */
static bool is_as_before(const struct listing *before) {
    bool same = true;
    for (unsigned i = 0; i < before->count; i++) {
        unsigned at = 0;
        while (at < seen.count && strcmp(seen.paths[at], before->paths[i]) != 0) {
            at++;
        }
        if (before->sizes[i] == 0 || (at < seen.count && seen.sums[at] == before->sums[i])) {
            continue;
        }
        (void)fprintf(stderr, "  %s was %s\n", before->paths[i],
                      at < seen.count ? "changed" : "removed");
        same = false;
    }
    return same;
}

static void copy_tree(const char *from, const char *to) {
    char command_line[2 * PATH_ROOM + 32];
    (void)snprintf(command_line, sizeof command_line, "rm -rf '%s' && cp -R '%s' '%s'", to, from,
                   to);
    CHECK(system(command_line) == 0);
}

static struct client start_in(const char *dir, ENGINE_ERROR_CODE *code) {
    char cfg[PATH_ROOM + 16];
    (void)snprintf(cfg, sizeof cfg, "dbname=%s", dir);
    union {
        ENGINE_HANDLE *handle;
        ENGINE_HANDLE_V1 *table;
    } same = {.handle = suite()->ext->start_instance(cfg, code)};
    struct client c = {.h = same.handle, .v1 = same.table};
    if (same.handle != NULL) {
        c = client_new(same.handle, same.table);
    }
    return c;
}

/* Makes a directory with KEYS keys in it and stops the engine that did it. */
static void make_database(const char *dir) {
    ENGINE_ERROR_CODE code;
    struct client c = start_in(dir, &code);
    CHECK(c.h != NULL);
    must_set_range(&c, "key", 0, KEYS, 1);
    must_drain(&c);
    client_free(&c);
    suite()->ext->stop_instance(c.h);
}

static void truncate_file(const char *path, off_t size) {
    CHECK(truncate(path, size / 2) == 0);
}

/* Overwrites a part in the middle. */
static void spoil_file(const char *path, off_t size) {
    FILE *f = fopen(path, "r+");
    CHECK_MSG(f != NULL, "%s", path);
    CHECK(fseeko(f, size / 3, SEEK_SET) == 0);
    static unsigned char block[sizeof(uint64_t) * BLOCK_WORDS];
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] = (unsigned char)(0xa5 ^ (i & 0x3f));
    }
    for (size_t left = (size_t)size / 3 + 1; left > 0;) {
        const size_t bytes = left < sizeof block ? left : sizeof block;
        CHECK(fwrite(block, 1, bytes, f) == bytes);
        left -= bytes;
    }
    CHECK(fclose(f) == 0);
}

/* True if the instance refused, or started with everything in it. */
static bool refused_or_whole(const char *dir, bool *refused) {
    ENGINE_ERROR_CODE code = ENGINE_SUCCESS;
    suite()->ext->log_clear();
    struct client c = start_in(dir, &code);
    *refused = c.h == NULL;
    if (*refused) {
        CHECK_MSG(suite()->ext->log_text()[0] != '\0', "refused without a word");
        return code != ENGINE_SUCCESS;
    }
    char key[32];
    unsigned held = 0;
    for (unsigned n = 0; n < KEYS; n++) {
        key_name(key, sizeof key, "key", n);
        held += get_code(&c, key) == ENGINE_SUCCESS ? 1 : 0;
    }
    client_free(&c);
    suite()->ext->stop_instance(c.h);
    if (held != KEYS) {
        (void)fprintf(stderr, "started with %u of %d keys\n", held, KEYS);
    }
    return held == KEYS;
}

/* What became of all files of a suite of damages. */
struct damages {
    unsigned refused;
    unsigned wrong;
};

/* Damages one file of a fresh copy and tries to start. */
static void damage_one(const char *whole, const char *broken, const char *relative,
                       void (*damage)(const char *, off_t), struct damages *damages) {
    static struct listing before;
    char victim[PATH_ROOM];
    struct stat status;
    bool refused = false;
    copy_tree(whole, broken);
    (void)snprintf(victim, sizeof victim, "%s%s", broken, relative);
    CHECK_MSG(stat(victim, &status) == 0, "%s", victim);
    if (status.st_size == 0) {
        return;
    }
    damage(victim, status.st_size);
    look(broken);
    before = seen;
    bool good = refused_or_whole(broken, &refused);
    if (refused) {
        look(broken);
        good = is_as_before(&before) && good;
        damages->refused++;
    }
    if (!good) {
        (void)fprintf(stderr, "  after damage to %s (%s)\n", relative,
                      refused ? "refused to start" : "started");
        damages->wrong++;
    }
}

static void damage_each(const char *name, void (*damage)(const char *, off_t)) {
    static struct listing all;
    char whole[PATH_ROOM / 4];
    char broken[PATH_ROOM / 4];
    struct damages damages = {0};
    (void)snprintf(whole, sizeof whole, "%s/%s-whole", suite_dir(), name);
    (void)snprintf(broken, sizeof broken, "%s/%s-broken", suite_dir(), name);
    make_database(whole);
    look(whole);
    all = seen;
    for (unsigned i = 0; i < all.count; i++) {
        damage_one(whole, broken, all.paths[i] + strlen(whole), damage, &damages);
    }
    CHECK_UINT(0, damages.wrong);
    CHECK_NE(0, damages.refused);
}

TEST(truncated_files_are_refused_untouched) {
    NEEDS_EXT();
    (void)h;
    (void)h1;
    damage_each("truncated", truncate_file);
    return SUCCESS;
}

TEST(garbage_files_are_refused_untouched) {
    NEEDS_EXT();
    (void)h;
    (void)h1;
    damage_each("garbage", spoil_file);
    return SUCCESS;
}

TEST(foreign_files_are_left_alone) {
    NEEDS_EXT();
    (void)h;
    (void)h1;
    char dir[PATH_ROOM / 2];
    char path[PATH_ROOM];
    ENGINE_ERROR_CODE code = ENGINE_SUCCESS;
    (void)snprintf(dir, sizeof dir, "%s/foreign", suite_dir());
    (void)snprintf(path, sizeof path, "%s/notes.txt", dir);
    CHECK(mkdir(dir, 0777) == 0);
    FILE *f = fopen(path, "w");
    CHECK(f != NULL);
    CHECK(fputs("somebody else's directory\n", f) >= 0 && fclose(f) == 0);
    const uint64_t before = file_sum(path);
    struct client c = start_in(dir, &code);
    if (c.h != NULL) { /* it may also refuse */
        client_free(&c);
        suite()->ext->stop_instance(c.h);
    }
    CHECK(file_sum(path) == before);
    return SUCCESS;
}
