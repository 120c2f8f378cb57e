/*
 * Turns one list of list.h into a suite: the exported symbols of the hosts' test programs, a
 * temporary directory per suite, and the configuration of each test. Compiled once per suite and
 * layout, with SUITE_LIST and SUITE_NAME given by the Makefile.
 */
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "list.h"
#include "support.h"

enum {
    CFG_ROOM = 512,
    TEST_NAME_ROOM = 80
};

/* A test as it runs: where its data lives decides about the configuration. */
struct entry {
    const char *name;
    TEST_FUNCTION run;
    bool on_disk;
    const char *extra;
    char shown[TEST_NAME_ROOM];
    char dir[CFG_ROOM / 2];
    char cfg[CFG_ROOM];
};

/*
 * The hosts' test interface passes no pointer of ours to anything, so what a suite knows about
 * itself has to stand in the library. Written before the first test, and by start_entry in a test's
 * process.
 */
static struct {
    struct suite_context context;
    char root[CFG_ROOM / 4];
    struct entry *current;
} self;

static enum test_result start_entry(size_t index, TEST_FUNCTION test, ENGINE_HANDLE *h,
                                    ENGINE_HANDLE_V1 *h1);

/* One number per entry, so that a running test can find its own entry. */
#define NUMBER_MEMORY(test) INDEX_memory_##test
#define NUMBER_DISK(test) INDEX_disk_##test
enum entry_index {
#define ON_MEMORY(test, extra) NUMBER_MEMORY(test),
#define ON_DISK(test, extra) NUMBER_DISK(test),
#define ON_BOTH(test, extra) NUMBER_MEMORY(test), NUMBER_DISK(test),
    SUITE_LIST(ON_MEMORY, ON_DISK, ON_BOTH) ENTRY_COUNT
#undef ON_MEMORY
#undef ON_DISK
#undef ON_BOTH
};

#define RUN(where, test)                                                                           \
    static enum test_result run_##where##_##test(ENGINE_HANDLE *h, ENGINE_HANDLE_V1 *h1) {         \
        return start_entry(INDEX_##where##_##test, test_##test, h, h1);                            \
    }
#define ON_MEMORY(test, extra) RUN(memory, test)
#define ON_DISK(test, extra) RUN(disk, test)
#define ON_BOTH(test, extra) RUN(memory, test) RUN(disk, test)
SUITE_LIST(ON_MEMORY, ON_DISK, ON_BOTH)
#undef ON_MEMORY
#undef ON_DISK
#undef ON_BOTH

#define ENTRY(where, test, disk, cfg_extra)                                                        \
    [INDEX_##where##_##test] = {                                                                   \
        .name = #test, .run = run_##where##_##test, .on_disk = (disk), .extra = (cfg_extra)},
static struct entry entries[ENTRY_COUNT + 1] = {
#define ON_MEMORY(test, extra) ENTRY(memory, test, false, extra)
#define ON_DISK(test, extra) ENTRY(disk, test, true, extra)
#define ON_BOTH(test, extra) ENTRY(memory, test, false, extra) ENTRY(disk, test, true, extra)
    SUITE_LIST(ON_MEMORY, ON_DISK, ON_BOTH){.name = NULL}
#undef ON_MEMORY
#undef ON_DISK
#undef ON_BOTH
};

static suite_test tests[ENTRY_COUNT + 1];

static enum test_result start_entry(size_t index, TEST_FUNCTION test, ENGINE_HANDLE *h,
                                    ENGINE_HANDLE_V1 *h1) {
    self.current = &entries[index];
    return test(h, h1);
}

const struct suite_context *suite(void) {
    return &self.context;
}

const char *test_cfg(void) {
    const char *cfg = self.current->cfg;
    return cfg[0] != '\0' ? cfg : self.context.harness.default_engine_cfg;
}

const char *test_dir(void) {
    return self.current->dir;
}

const char *suite_dir(void) {
    return self.root;
}

static bool make_root(void) {
    const char *base = getenv("TMPDIR");
    (void)snprintf(self.root, sizeof self.root, "%s/engine-test-XXXXXX",
                   base != NULL && strlen(base) < 64 ? base : "/tmp");
    if (mkdtemp(self.root) == NULL) {
        perror(self.root);
        self.root[0] = '\0';
        return false;
    }
    return true;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static suite_test *fill_tests(void) {
    for (size_t i = 0; i < ENTRY_COUNT; i++) {
        struct entry *e = &entries[i];
        (void)snprintf(e->shown, sizeof e->shown, "%s: %s%s", SUITE_NAME, e->name,
                       e->on_disk ? " (disk)" : "");
        if (e->on_disk) {
            (void)snprintf(e->dir, sizeof e->dir, "%s/%s", self.root, e->name);
            (void)snprintf(e->cfg, sizeof e->cfg, "dbname=%s%s%s", e->dir,
                           e->extra[0] != '\0' ? ";" : "", e->extra);
        } else {
            (void)snprintf(e->cfg, sizeof e->cfg, "%s", e->extra);
        }
        tests[i] = (suite_test){
            .name = e->shown, .tfun = e->run, .cfg = e->cfg[0] != '\0' ? e->cfg : NULL};
    }
    return tests;
}

/* Exported symbols. */
__attribute__((visibility("default"))) suite_test *get_tests(void);
__attribute__((visibility("default"))) bool setup_suite(suite_harness *harness);
__attribute__((visibility("default"))) bool teardown_suite(void);
__attribute__((visibility("default"))) const char *ch_suite_abi(void);
__attribute__((visibility("default"))) void ch_suite_extend(const struct ch_ext *ext);

suite_test *get_tests(void) {
    if (self.root[0] == '\0' && !make_root()) {
        exit(EXIT_FAILURE);
    }
    return fill_tests();
}

bool setup_suite(suite_harness *harness) {
    self.context.harness = *harness;
    return true;
}

bool teardown_suite(void) {
    if (self.root[0] == '\0') {
        return true;
    }
    const bool removed = nftw(self.root, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0;
    self.root[0] = '\0';
    return removed;
}

const char *ch_suite_abi(void) {
    return SUITE_ABI_NAME;
}

void ch_suite_extend(const struct ch_ext *ext) {
    self.context.ext = ext->version == CH_EXT_VERSION ? ext : NULL;
}
