/* Starting, stopping, refusing to start. */
#include <dirent.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

enum {
    PATH_ROOM = 400
};

static SERVER_HANDLE_V1 *no_server(void) {
    return NULL;
}

static CREATE_INSTANCE open_library(void **library) {
    CREATE_INSTANCE create = NULL;
    *library = dlopen(suite()->harness.engine_path, RTLD_NOW | RTLD_LOCAL);
    CHECK(*library != NULL);
    void *symbol = dlsym(*library, "create_instance");
    CHECK(symbol != NULL);
    memcpy(&create, &symbol, sizeof symbol);
    return create;
}

TEST(wrong_interface_is_refused) {
    (void)h;
    (void)h1;
    static const uint64_t wrong[] = {0, 2, UINT64_MAX};
    void *library = NULL;
    CREATE_INSTANCE create = open_library(&library);
    for (size_t i = 0; i < 3; i++) {
        ENGINE_HANDLE *handle = NULL;
        CHECK_INT(ENGINE_ENOTSUP, create(wrong[i], no_server, &handle));
    }
    CHECK(dlclose(library) == 0);
    return SUCCESS;
}

/* As of ARCUS memcached: seven words, at the end of what may be read. */
static uint64_t *foreign_server;

static SERVER_HANDLE_V1 *get_foreign_server(void) {
    return (SERVER_HANDLE_V1 *)(void *)foreign_server;
}

/* An older ARCUS has other members in the same places. */
static const char *foreign_version(void) {
    return "1.14.1-7";
}

static const char *foreign_nothing(void) {
    return NULL;
}

static rel_time_t foreign_time(void) {
    return 1;
}

static void foreign_function(void) {
    CHECK_MSG(false, "called a function of a host that it does not know");
}

typedef void (*function)(void);

TEST(host_of_an_unknown_kind_is_refused) {
    (void)h;
    (void)h1;
    enum {
        WORDS = 7,
        CORE_WORDS = 14
    };
    static function core[CORE_WORDS];
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *library = NULL;
    CREATE_INSTANCE create = open_library(&library);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED);
    CHECK(mprotect(pages + page, page, PROT_NONE) == 0);
    for (size_t i = 0; i < CORE_WORDS; i++) {
        core[i] = foreign_function;
    }
    core[0] = (function)foreign_time;
    core[2] = (function)foreign_version;
    foreign_server = (uint64_t *)(void *)(pages + page) - WORDS;
    foreign_server[0] = 1;
    for (size_t i = 1; i < WORDS; i++) {
        foreign_server[i] = (uint64_t)(uintptr_t)core;
    }
    /* Of no kind that is known. */
    union {
        ENGINE_HANDLE *handle;
        ENGINE_HANDLE_V1 *table;
    } made = {.handle = NULL};
    core[2] = (function)foreign_nothing;
    CHECK_INT(ENGINE_FAILED, create(1, get_foreign_server, &made.handle));
    CHECK(made.handle == NULL);
    /* Of a version that is not known: only what all versions have is touched. */
    core[2] = (function)foreign_version;
    CHECK_INT(ENGINE_SUCCESS, create(1, get_foreign_server, &made.handle));
    CHECK_INT(ENGINE_FAILED, made.table->initialize(made.handle, "num_threads=4;"));
    made.table->destroy(made.handle, false);
    CHECK(munmap(pages, 2 * page) == 0);
    CHECK(dlclose(library) == 0);
    return SUCCESS;
}

/* The instance does not start, says so, and gives a code. */
static void must_not_start(const char *cfg) {
    const struct ch_ext *ext = suite()->ext;
    ENGINE_ERROR_CODE code = ENGINE_SUCCESS;
    ext->log_clear();
    ENGINE_HANDLE *handle = ext->start_instance(cfg, &code);
    CHECK_MSG(handle == NULL, "\"%s\" was accepted", cfg);
    CHECK_MSG(code != ENGINE_SUCCESS, "\"%s\": no error code", cfg);
    CHECK_MSG(ext->log_text()[0] != '\0', "\"%s\": not a word in the log", cfg);
}

static struct client start(const char *cfg) {
    ENGINE_ERROR_CODE code = ENGINE_SUCCESS;
    union {
        ENGINE_HANDLE *handle;
        ENGINE_HANDLE_V1 *table;
    } same = {.handle = suite()->ext->start_instance(cfg, &code)};
    CHECK_MSG(same.handle != NULL, "\"%s\" did not start: %d\n%s", cfg, (int)code,
              suite()->ext->log_text());
    return client_new(same.handle, same.table);
}

static void stop(struct client *c) {
    client_free(c);
    suite()->ext->stop_instance(c->h);
}

TEST(bad_config_is_refused_with_a_message) {
    NEEDS_EXT();
    static const char *const bad[] = {
        "no_such_key=1",
        "max_item_size=abc",
        "max_item_size=-1",
        "dbname",
        "=x",
        "max_size=1x2",
        "no_such_key",
        "max_item_size=",
        "mutation_mem_threshold=much",
        "max_item_size=99999999999999999999999",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        must_not_start(bad[i]);
    }
    struct client c = client_new(h, h1);
    must_set(&c, "k", "the first instance goes on");
    must_hold(&c, "k", "the first instance goes on");
    client_free(&c);
    return SUCCESS;
}

TEST(unwritable_directory_is_refused) {
    NEEDS_EXT();
    (void)h;
    (void)h1;
    must_not_start("dbname=/proc/no/such/place");
    must_not_start("dbname=/dev/null/db");
    return SUCCESS;
}

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    CHECK_MSG(f != NULL, "%s", path);
    CHECK(fputs(text, f) >= 0);
    CHECK(fclose(f) == 0);
}

static void must_contain(const char *path, const char *text) {
    char have[256];
    FILE *f = fopen(path, "r");
    CHECK_MSG(f != NULL, "%s is gone", path);
    const size_t got = fread(have, 1, sizeof have - 1, f);
    have[got] = '\0';
    CHECK_STR(text, have);
    CHECK(fclose(f) == 0);
}

TEST(file_in_place_of_directory_is_refused) {
    NEEDS_EXT();
    (void)h;
    (void)h1;
    char path[PATH_ROOM];
    char cfg[PATH_ROOM + 16];
    (void)snprintf(path, sizeof path, "%s/a-file", suite_dir());
    (void)snprintf(cfg, sizeof cfg, "dbname=%s", path);
    write_file(path, "somebody's text\n");
    must_not_start(cfg);
    must_contain(path, "somebody's text\n");
    return SUCCESS;
}

TEST(second_instance_on_one_directory_is_refused) {
    NEEDS_EXT();
    struct client c = client_new(h, h1);
    must_set(&c, "k", "v");
    for (int i = 0; i < 3; i++) {
        must_not_start(test_cfg());
    }
    must_hold(&c, "k", "v");
    must_drain(&c);
    restart(&c);
    must_hold(&c, "k", "v");
    client_free(&c);
    return SUCCESS;
}

TEST(two_instances_do_not_share) {
    NEEDS_EXT();
    struct client one = client_new(h, h1);
    struct client two = start(NULL);
    must_set(&one, "k", "one");
    must_miss(&two, "k");
    must_set_range(&two, "key", 0, 100, 2);
    must_miss_range(&one, "key", 0, 100);
    CHECK_INT(ENGINE_SUCCESS, two.v1->flush(two.h, two.cookie, 0));
    must_hold(&one, "k", "one");
    stop(&two);
    must_hold(&one, "k", "one");
    client_free(&one);
    return SUCCESS;
}

TEST(two_instances_in_two_directories) {
    NEEDS_EXT();
    (void)h;
    (void)h1;
    char cfg[2][PATH_ROOM];
    struct client c[2];
    for (int i = 0; i < 2; i++) {
        (void)snprintf(cfg[i], sizeof cfg[i], "dbname=%s/two-%d", suite_dir(), i);
        c[i] = start(cfg[i]);
        must_set_range(&c[i], "key", 0, 500, (unsigned)i);
    }
    stop(&c[0]);
    must_hold_range(&c[1], "key", 0, 500, 1);
    stop(&c[1]);
    for (int i = 0; i < 2; i++) {
        c[i] = start(cfg[i]);
        must_hold_range(&c[i], "key", 0, 500, (unsigned)i);
    }
    stop(&c[1]);
    stop(&c[0]);
    return SUCCESS;
}

TEST(destroy_without_use) {
    struct client c = client_new(h, h1);
    restart(&c);
    restart(&c);
    must_miss(&c, "k");
    client_free(&c);
    return SUCCESS;
}

TEST(reload_many_times) {
    struct client c = client_new(h, h1);
    for (unsigned round = 0; round < 15; round++) {
        must_set_range(&c, "key", round * 20, round * 20 + 40, 7);
        restart(&c);
        must_hold_range(&c, "key", 0, round * 20 + 40, 7);
    }
    client_free(&c);
    return SUCCESS;
}

TEST(destroy_with_blocked_clients) {
    NEEDS_EXT();
    struct client c = client_new(h, h1);
    struct client blocked = client_new(h, h1);
    blocked.vbucket = 7;
    must_state(&c, 7, VB_PENDING);
    suite()->harness.set_ewouldblock_handling(blocked.cookie, false);
    CHECK_INT(ENGINE_EWOULDBLOCK, get_code(&blocked, "k"));
    restart(&c); /* in time, and whether it still notifies is its own choice */
    must_set(&c, "k", "v");
    must_hold(&c, "k", "v");
    client_free(&blocked);
    client_free(&c);
    suite()->ext->rules_forgive();
    return SUCCESS;
}

static unsigned thread_count(void) {
    unsigned count = 0;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    const struct dirent *entry;
    while ((entry = readdir(tasks)) != NULL) {
        count += entry->d_name[0] != '.' ? 1 : 0;
    }
    CHECK(closedir(tasks) == 0);
    return count;
}

/* A joined thread stays listed for a moment: the kernel wakes the joiner before it takes the
 * thread out of /proc. Only one that is still there after five seconds was left behind. */
static void must_fall_to(unsigned expected) {
    unsigned now = thread_count();
    for (unsigned waited_ms = 0; now > expected && waited_ms < 5000; ++waited_ms) {
        sleep_ms(1);
        now = thread_count();
    }
    /* One that was about to go may have been counted before. */
    CHECK_MSG(now <= expected, "%u threads, %u were expected", now, expected);
}

TEST(failed_start_leaves_no_threads) {
    NEEDS_EXT();
    (void)h;
    (void)h1;
    const unsigned before = thread_count();
    must_not_start("dbname=/dev/null/db");
    must_not_start("no_such_key=1");
    must_fall_to(before);
    struct client c = start(NULL);
    stop(&c);
    must_fall_to(before);
    return SUCCESS;
}
