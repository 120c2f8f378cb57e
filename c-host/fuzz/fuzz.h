/*
 * Programs for fuzzers: each takes one input and fails by a crash, a report of a sanitizer or a
 * time limit (docs/reliability.md, "Fuzzing"). With libFuzzer's main they search; with that of
 * replay.c they run the files that they are given.
 */
#ifndef ENGINE_FUZZ_H
#define ENGINE_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
