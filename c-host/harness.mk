# engine-test, its suites, the stub and proxy engines, and engine-bench. Included by Makefile.
#
# ENGINE       the library under test (default: what cargo built)
# ENGINE_CFG   default configuration for tests that bring none
# SUITES       names of suites, without lib and layout (default: all)
# TEST_FLAGS   further options for engine-test, for instance -q or -t 120

ENGINE ?= $(TOP)/../target/release/libcheckpoint_engine.so
ENGINE_CFG ?=
TEST_FLAGS ?= -q
SUITES ?= kv vbucket update window rules lifecycle stats tap
BENCH_FLAGS ?=

HARNESS_SRC := $(addprefix $(TOP)/harness/,main.c runner.c suite.c child.c cookie.c wrapper.c \
	rules.c)
NULL_SRC := $(wildcard $(TOP)/harness/null_*.c)
BENCH_SRC := $(wildcard $(TOP)/bench/*.c)
OPENLOOP_SRC := $(wildcard $(TOP)/bench/openloop/*.c)
TEST_SRC := $(wildcard $(TOP)/tests/*.c)

HARNESS_OBJ := $(HARNESS_SRC:$(TOP)/%.c=$(OUT)/%.o)
BENCH_OBJ := $(BENCH_SRC:$(TOP)/%.c=$(OUT)/%.o)
OPENLOOP_OBJ := $(OPENLOOP_SRC:$(TOP)/%.c=$(OUT)/%.o)
NULL_OBJ := $(NULL_SRC:$(TOP)/%.c=$(OUT)/%.pic.o)
PROXY_OBJ := $(OUT)/harness/proxy_engine.pic.o
ARCUS_OBJ := $(OUT)/harness/arcus_engine.pic.o

ENGINE_TEST := $(OUT)/engine-test
ENGINE_BENCH := $(OUT)/engine-bench
ENGINE_OPENLOOP := $(OUT)/engine-openloop
NULL_ENGINE := $(OUT)/libnull_engine.so
PROXY_ENGINE := $(OUT)/libproxy_engine.so
ARCUS_ENGINE := $(OUT)/libarcus_engine.so
SUITE_FILES := $(foreach s,$(SUITES),$(OUT)/suite_$(s).membase.so $(OUT)/suite_$(s).memcached.so)

SUITE_FLAGS := $(PIC_FLAGS) -I$(TOP)/harness -I$(TOP)/tests

HELP_LINES += 'harness  engine-test, the stub and the proxy engine' \
	'suites   the test suites, in both layouts' \
	'bench    engine-bench and engine-openloop' \
	'check    all suites, layouts and cookie kinds against ENGINE=file.so' \
	'check-null      the same against the stub engine' \
	'check-proxy     the kv and update suites with calls that block now and then' \
	'check-arcus     the suites that apply, with the engine loaded as ARCUS memcached loads it' \
	'check-asan      check with the C side built with address and undefined checks' \
	'check-valgrind  check under memcheck' \
	'run-bench       engine-bench with BENCH_FLAGS'
FMT_FILES += $(HARNESS_SRC) $(NULL_SRC) $(BENCH_SRC) $(OPENLOOP_SRC) $(TEST_SRC) \
	$(TOP)/harness/proxy_engine.c $(TOP)/harness/arcus_engine.c \
	$(wildcard $(addprefix $(TOP)/,harness/*.h tests/*.h bench/*.h bench/openloop/*.h))

.PHONY: harness suites bench check check-null check-proxy check-arcus check-asan check-valgrind run-bench

harness: $(ENGINE_TEST) $(NULL_ENGINE) $(PROXY_ENGINE) $(ARCUS_ENGINE)

suites: $(SUITE_FILES)

bench: $(ENGINE_BENCH) $(ENGINE_OPENLOOP)

$(ENGINE_TEST): $(HARNESS_OBJ) $(LIBHOST)
	$(CC) $(LDFLAGS) -o $@ $(HARNESS_OBJ) $(LIBHOST) $(HOST_LIBS)

$(ENGINE_BENCH): $(BENCH_OBJ) $(LIBHOST)
	$(CC) $(LDFLAGS) -o $@ $(BENCH_OBJ) $(LIBHOST) $(HOST_LIBS) -lm

$(ENGINE_OPENLOOP): $(OPENLOOP_OBJ)
	$(CC) $(LDFLAGS) -o $@ $(OPENLOOP_OBJ)

$(NULL_ENGINE): $(NULL_OBJ)
	$(CC) $(LDFLAGS) -shared -o $@ $^

$(PROXY_ENGINE): $(PROXY_OBJ)
	$(CC) $(LDFLAGS) -shared -o $@ $^ $(HOST_LIBS)

$(ARCUS_ENGINE): $(ARCUS_OBJ)
	$(CC) $(LDFLAGS) -shared -o $@ $^ $(HOST_LIBS)

# A suite is suite.c, compiled for its list, with its test files and the support code, all for one
# layout.
define layout_rules
$(OUT)/tests-$(1)/%.o: $(TOP)/tests/%.c
	@mkdir -p $$(dir $$@)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(SUITE_FLAGS) $(2) -MMD -MP -c -o $$@ $$<

$(SUITES:%=$(OUT)/tests-$(1)/suite_%.o): \
		$(OUT)/tests-$(1)/suite_%.o: $(TOP)/tests/suite.c
	@mkdir -p $$(dir $$@)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(SUITE_FLAGS) $(2) -DSUITE_NAME='"$$*"' -DSUITE_LIST=TESTS_$$* \
		-MMD -MP -c -o $$@ $$<

$(SUITES:%=$(OUT)/suite_%.$(1).so): \
		$(OUT)/suite_%.$(1).so: $(OUT)/tests-$(1)/suite_%.o \
		$(OUT)/tests-$(1)/support.o $(OUT)/tests-$(1)/operator.o \
		$(OUT)/tests-$(1)/tap.o
	$(CC) $(LDFLAGS) -shared -o $$@ $$^
$(foreach s,$(SUITES),$(eval $(OUT)/suite_$(s).$(1).so: \
	$(patsubst $(TOP)/tests/%.c,$(OUT)/tests-$(1)/%.o,$(wildcard $(TOP)/tests/test_$(s)*.c))))
endef
$(eval $(call layout_rules,membase,))
$(eval $(call layout_rules,memcached,-DSUITE_ABI_MEMCACHED))
.SECONDARY:

# Every pass is one run of engine-test: suite layout, cookie layout, mock or real cookies. "make -k"
# runs all even if one fails, and "make -j" some at a time.
ENGINE_OPT = -E $(ENGINE) $(if $(ENGINE_CFG),-e '$(ENGINE_CFG)')
define pass_rule
PASSES += pass-$(1)-$(2)$(3)
.PHONY: pass-$(1)-$(2)$(3)
pass-$(1)-$(2)$(3): $(ENGINE_TEST) $(SUITE_FILES)
	@echo "== suites: $(1), cookies: $(2) $(3)"; \
		$(RUNNER) $(ENGINE_TEST) $$(ENGINE_OPT) $(TEST_FLAGS) --cookie-layout=$(2) $(3) \
		$(foreach s,$(SUITES),-T $(OUT)/suite_$(s).$(1).so)
endef
$(foreach cookies,membase memcached,$(foreach suites,membase memcached,\
	$(eval $(call pass_rule,$(suites),$(cookies),))))
$(foreach layout,membase memcached,\
	$(eval $(call pass_rule,$(layout),$(layout),--real-cookies)))

check: $(PASSES)

check-null: $(NULL_ENGINE)
	@$(MAKE) --no-print-directory -C $(TOP) check ENGINE=$(NULL_ENGINE)

# EWOULDBLOCK from every function that may give it, answered by the proxy's own thread.
PROXY_RULES := get:block:7;store:block:11;remove:block:5;arithmetic:block:6;command:block:3;
PROXY_RULES := $(PROXY_RULES)stats:block:4
check-proxy: $(PROXY_ENGINE)
	@CH_PROXY_ENGINE=$(ENGINE) CH_PROXY_RULES='$(PROXY_RULES)' \
		$(MAKE) --no-print-directory -C $(TOP) check ENGINE=$(PROXY_ENGINE) SUITES='kv update'

# Loaded as ARCUS memcached loads it. Nothing there waits for vbuckets, there is no TAP, and a quiet
# miss is not quiet.
ARCUS_SUITES := kv update window stats
check-arcus: $(ARCUS_ENGINE) $(ENGINE_TEST) $(SUITE_FILES)
	@CH_ARCUS_ENGINE=$(ENGINE) $(RUNNER) $(ENGINE_TEST) -E $(ARCUS_ENGINE) $(TEST_FLAGS) \
		-x '*: gatq_is_silent*' --real-cookies $(foreach s,$(ARCUS_SUITES),-T $(OUT)/suite_$(s).membase.so)

# ASan has to be first in the process; a leak must not look like a test result.
check-asan:
	@ASAN_OPTIONS=exitcode=99:detect_leaks=0 $(MAKE) --no-print-directory -C $(TOP) check \
		SANITIZE=address,undefined TEST_FLAGS='$(TEST_FLAGS) -t 300'

check-valgrind:
	@$(MAKE) --no-print-directory -C $(TOP) check TEST_FLAGS='$(TEST_FLAGS) -t 1800' \
		RUNNER='valgrind --quiet --trace-children=no --child-silent-after-fork=no \
		--error-exitcode=98 --errors-for-leak-kinds=definite --leak-check=no'

run-bench: $(ENGINE_BENCH) $(ENGINE_OPENLOOP)
	$(ENGINE_BENCH) $(BENCH_FLAGS)

-include $(HARNESS_OBJ:.o=.d) $(BENCH_OBJ:.o=.d) $(OPENLOOP_OBJ:.o=.d) $(NULL_OBJ:.o=.d) \
	$(PROXY_OBJ:.o=.d) $(ARCUS_OBJ:.o=.d) $(wildcard $(OUT)/tests-*/*.d)
