# The C targets of fuzzers. Included by Makefile.
#
# FUZZ_SEEDS   where the inputs are that are committed
#
# With libFuzzer: CC=clang OUT=... SANITIZE=fuzzer-no-link,address,undefined FUZZ_MAIN= \
# LDFLAGS_EXTRA=-fsanitize=fuzzer

FUZZ_SEEDS ?= $(TOP)/../tests/fuzz/seeds
FUZZ_MAIN ?= $(OUT)/fuzz/replay.o

FUZZ_SRC := $(wildcard $(TOP)/fuzz/*.c)
FUZZ_OBJ := $(FUZZ_SRC:$(TOP)/%.c=$(OUT)/%.o)
FUZZ_HOST := $(OUT)/fuzz-host
FUZZ_REPLICATE := $(OUT)/fuzz-replicate

HELP_LINES += 'fuzz           what fuzzers run of the host and of engine-replicate' \
	'check-fuzz     its committed inputs, with address and undefined checks'
FMT_FILES += $(FUZZ_SRC) $(TOP)/fuzz/fuzz.h

.PHONY: fuzz run-fuzz check-fuzz

fuzz: $(FUZZ_HOST) $(FUZZ_REPLICATE)

$(FUZZ_HOST): $(OUT)/fuzz/host.o $(FUZZ_MAIN) $(filter-out %/main.o,$(SERVER_OBJ)) $(LIBHOST)
	$(CC) $(LDFLAGS) -o $@ $^ $(EVENT_LIBS) $(HOST_LIBS)

$(FUZZ_REPLICATE): $(OUT)/fuzz/replicate.o $(FUZZ_MAIN) \
		$(filter-out %/main.o %/say.o,$(REPLICATE_OBJ))
	$(CC) $(LDFLAGS) -o $@ $^

run-fuzz: fuzz $(NULL_ENGINE)
	@FUZZ_ENGINE=$(NULL_ENGINE) $(FUZZ_HOST) $(FUZZ_SEEDS)/host/* | tail -n 1
	@$(FUZZ_REPLICATE) $(FUZZ_SEEDS)/replicate/* | tail -n 1

check-fuzz:
	@$(MAKE) --no-print-directory -C $(TOP) run-fuzz SANITIZE=address,undefined

-include $(FUZZ_OBJ:.o=.d)
