/*
 * The test-suite layout that a suite is compiled for: the sources are the same, SUITE_ABI_MEMCACHED
 * chooses the layout of memcached.org, its absence that of Membase and Couchbase.
 */
#ifndef CH_TESTS_SUITE_ABI_H
#define CH_TESTS_SUITE_ABI_H

#include <memcached/engine_testapp.h>

#ifdef SUITE_ABI_MEMCACHED
typedef engine_test_pu_t suite_test;
typedef struct test_harness_pu suite_harness;
#define SUITE_ABI_NAME "memcached"
#else
typedef engine_test_t suite_test;
typedef struct test_harness suite_harness;
#define SUITE_ABI_NAME "membase"
#endif

#endif
