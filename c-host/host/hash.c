/*
 * core->hash: Bob Jenkins' public domain lookup3 ("hashlittle"), read byte by
 * byte so that alignment does not matter. Real hosts give the same numbers.
 */
#include "internal.h"

#define BLOCK_BYTES 12

struct mix_state {
    uint32_t a;
    uint32_t b;
    uint32_t c;
};

static uint32_t rotate(uint32_t value, unsigned bits) {
    return (value << bits) | (value >> (32 - bits));
}

static void add_bytes(struct mix_state *s, const uint8_t *bytes, size_t count) {
    uint32_t word[3] = {0, 0, 0};

    for (size_t i = 0; i < count; i++) {
        word[i / 4] += (uint32_t)bytes[i] << (8 * (i % 4));
    }
    s->a += word[0];
    s->b += word[1];
    s->c += word[2];
}

static void mix(struct mix_state *s) {
    s->a = (s->a - s->c) ^ rotate(s->c, 4);
    s->c += s->b;
    s->b = (s->b - s->a) ^ rotate(s->a, 6);
    s->a += s->c;
    s->c = (s->c - s->b) ^ rotate(s->b, 8);
    s->b += s->a;
    s->a = (s->a - s->c) ^ rotate(s->c, 16);
    s->c += s->b;
    s->b = (s->b - s->a) ^ rotate(s->a, 19);
    s->a += s->c;
    s->c = (s->c - s->b) ^ rotate(s->b, 4);
    s->b += s->a;
}

static void finish(struct mix_state *s) {
    s->c = (s->c ^ s->b) - rotate(s->b, 14);
    s->a = (s->a ^ s->c) - rotate(s->c, 11);
    s->b = (s->b ^ s->a) - rotate(s->a, 25);
    s->c = (s->c ^ s->b) - rotate(s->b, 16);
    s->a = (s->a ^ s->c) - rotate(s->c, 4);
    s->b = (s->b ^ s->a) - rotate(s->a, 14);
    s->c = (s->c ^ s->b) - rotate(s->b, 24);
}

uint32_t ch_hash(const void *data, size_t size, uint32_t seed) {
    const uint8_t *bytes = data;
    uint32_t start = UINT32_C(0xdeadbeef) + (uint32_t)size + seed;
    struct mix_state s = {start, start, start};

    if (size == 0) {
        return s.c;
    }
    while (size > BLOCK_BYTES) {
        add_bytes(&s, bytes, BLOCK_BYTES);
        mix(&s);
        bytes += BLOCK_BYTES;
        size -= BLOCK_BYTES;
    }
    add_bytes(&s, bytes, size);
    finish(&s);
    return s.c;
}
