/* Loads a test suite and reads its array in either layout. */
#include <dlfcn.h>
#include <string.h>

#include "runner.h"

typedef const char *(*SUITE_ABI)(void);

/* A symbol as a function pointer, which ISO C does not let dlsym give. */
#define FIND(target, library, name)                                                                \
    do {                                                                                           \
        void *found_ = dlsym(library, name);                                                       \
        _Static_assert(sizeof(target) == sizeof found_, "function pointers are pointers");         \
        memcpy(&(target), &found_, sizeof found_);                                                 \
    } while (0)

static size_t stride(const struct suite *suite) {
    return suite->abi_memcached ? sizeof(engine_test_pu_t) : sizeof(engine_test_t);
}

struct suite_entry suite_at(const struct suite *suite, size_t index) {
    char *at = suite->tests + index * stride(suite);
    engine_test_t common;
    /* Both layouts begin alike. */
    memcpy(&common, at, sizeof common);
    struct suite_entry entry = {
        .name = common.name,
        .cfg = common.cfg,
        .tfun = common.tfun,
        .setup = common.test_setup,
        .teardown = common.test_teardown,
        .pu = NULL,
    };
    if (suite->abi_memcached) {
        void *same = at;
        entry.pu = same;
    }
    return entry;
}

bool suite_load(struct suite *suite, const char *path, const struct options *options) {
    memset(suite, 0, sizeof *suite);
    suite->path = path;
    suite->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (suite->library == NULL) {
        (void)fprintf(stderr, "engine-test: %s\n", dlerror());
        return false;
    }
    GET_TESTS_PU get_tests = NULL;
    SETUP_SUITE_PU setup = NULL;
    SUITE_ABI abi = NULL;
    FIND(get_tests, suite->library, "get_tests");
    FIND(setup, suite->library, "setup_suite");
    FIND(abi, suite->library, "ch_suite_abi");
    FIND(suite->teardown, suite->library, "teardown_suite");
    FIND(suite->extend, suite->library, "ch_suite_extend");
    if (get_tests == NULL) {
        (void)fprintf(stderr, "engine-test: %s: no get_tests\n", path);
        suite_unload(suite);
        return false;
    }
    /* Our own suites say what they are; for others the option decides. */
    suite->abi_memcached =
        abi != NULL ? strcmp(abi(), "memcached") == 0 : options->suite_abi_memcached;
    void *tests = get_tests();
    suite->tests = tests;
    if (tests == NULL) {
        (void)fprintf(stderr, "engine-test: %s: get_tests returned NULL\n", path);
        suite_unload(suite);
        return false;
    }
    while (suite_at(suite, suite->count).name != NULL) {
        suite->count++;
    }
    struct test_harness_pu harness = *child_harness(options);
    if (setup != NULL && !setup(&harness)) {
        (void)fprintf(stderr, "engine-test: %s: setup_suite failed\n", path);
        suite_unload(suite);
        return false;
    }
    if (suite->extend != NULL) {
        suite->extend(child_extension(options));
    }
    return true;
}

void suite_unload(struct suite *suite) {
    if (suite->teardown != NULL && suite->tests != NULL && !suite->teardown()) {
        (void)fprintf(stderr, "engine-test: %s: teardown_suite failed\n", suite->path);
    }
    (void)dlclose(suite->library);
    memset(suite, 0, sizeof *suite);
}
