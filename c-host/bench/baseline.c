/*
 * What engines are measured against: two that are none.
 *
 * The harness does nothing, so that what it takes is what the benchmark itself adds: making the
 * key, reading the clock twice, counting. The floor is an open-addressed array of pointers to keys
 * with their values, without locks, counts or expiry; nothing that finds keys by name can be much
 * faster. A set of the floor overwrites in place, and readers may see half of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

struct entry {
    uint32_t key_size;
    uint32_t value_size;
    char bytes[]; /* the key, then the value */
};

struct baseline {
    bool is_floor;
    size_t mask;
    uint64_t *slots; /* a pointer, and above its 48 bits 16 of the hash; 0: free */
};

enum { POINTER_BITS = 48 };

/* Entries stand close together, and stay until the process ends. */
enum { CHUNK_BYTES = 1 << 21 };
static _Thread_local char *chunk;
static _Thread_local size_t chunk_left;

struct baseline *baseline_new(bool is_floor, size_t keys) {
    struct baseline *b = calloc(1, sizeof *b);
    size_t slots = 16;
    /* Three quarters full at most: with more room for fewer misses it would miss the cache. */
    while (slots < keys + keys / 3) {
        slots *= 2;
    }
    if (b != NULL && is_floor) {
        b->is_floor = true;
        b->mask = slots - 1;
        b->slots = calloc(slots, sizeof *b->slots);
    }
    if (b == NULL || (is_floor && b->slots == NULL)) {
        (void)fprintf(stderr, "engine-bench: out of memory\n");
        exit(EXIT_FAILURE);
    }
    return b;
}

void baseline_free(struct baseline *b) {
    free(b->slots);
    free(b);
}

/* Eight bytes at a time, each step a multiplication: spreads keys that differ in few bits. */
static uint64_t hash_of(const struct bench_key *key) {
    uint64_t hash = key->size;
    for (size_t at = 0; at < key->size; at += 8) {
        uint64_t word = 0;
        const size_t left = key->size - at;
        memcpy(&word, key->text + at, left < 8 ? left : 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
        hash ^= hash >> 32;
    }
    return hash;
}

static struct entry *entry_of(uint64_t slot) {
    return (struct entry *)(uintptr_t)(slot & ((1ULL << POINTER_BITS) - 1));
}

static bool is_key(const struct entry *entry, const struct bench_key *key) {
    return entry->key_size == key->size && memcmp(entry->bytes, key->text, key->size) == 0;
}

/* Where a key is, or where it would go; what is there now is left in *found. */
static uint64_t *slot_of(struct baseline *b, const struct bench_key *key, uint64_t hash,
                         uint64_t *found) {
    size_t at = hash & b->mask;
    while ((*found = __atomic_load_n(&b->slots[at], __ATOMIC_ACQUIRE)) != 0 &&
           (*found >> POINTER_BITS != hash >> POINTER_BITS || !is_key(entry_of(*found), key))) {
        at = (at + 1) & b->mask;
    }
    return &b->slots[at];
}

bool baseline_get(struct baseline *b, const struct bench_key *key, int expect, bool *wrong) {
    uint64_t found;
    if (!b->is_floor) {
        return true;
    }
    (void)slot_of(b, key, hash_of(key), &found);
    if (found != 0 && expect >= 0) {
        *wrong = (unsigned char)entry_of(found)->bytes[key->size] != (unsigned char)expect;
    }
    return found != 0;
}

static void *carve(size_t size) {
    const size_t rounded = (size + 7) / 8 * 8;
    if (rounded > chunk_left) {
        chunk_left = rounded > CHUNK_BYTES ? rounded : CHUNK_BYTES;
        chunk = malloc(chunk_left);
        if (chunk == NULL) {
            (void)fprintf(stderr, "engine-bench: out of memory\n");
            exit(EXIT_FAILURE);
        }
    }
    void *memory = chunk;
    chunk += rounded;
    chunk_left -= rounded;
    return memory;
}

static struct entry *entry_new(const struct bench_key *key, size_t value_size) {
    struct entry *entry = carve(sizeof *entry + key->size + value_size);
    entry->key_size = (uint32_t)key->size;
    entry->value_size = (uint32_t)value_size;
    memcpy(entry->bytes, key->text, key->size);
    return entry;
}

bool baseline_set(struct baseline *b, const struct bench_key *key, const char *value,
                  size_t length) {
    uint64_t found;
    if (!b->is_floor) {
        return true;
    }
    const uint64_t hash = hash_of(key);
    uint64_t *slot = slot_of(b, key, hash, &found);
    if (found == 0) {
        struct entry *fresh = entry_new(key, length);
        memcpy(fresh->bytes + key->size, value, length);
        const uint64_t filled =
            (uint64_t)(uintptr_t)fresh | hash >> POINTER_BITS << POINTER_BITS;
        /* Another thread may have taken the slot: look again. */
        while (!__atomic_compare_exchange_n(slot, &found, filled, false, __ATOMIC_ACQ_REL,
                                            __ATOMIC_ACQUIRE)) {
            slot = slot_of(b, key, hash, &found);
            if (found != 0) {
                break;
            }
        }
        if (found == 0) {
            return true;
        }
    }
    struct entry *entry = entry_of(found);
    memcpy(entry->bytes + key->size, value,
           length < entry->value_size ? length : entry->value_size);
    return true;
}
