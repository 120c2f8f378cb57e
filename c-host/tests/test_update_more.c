/* Online update: what can be seen of it, and what happens beside it. */
#include <stdatomic.h>

#include "operator.h"

static uint64_t checkpoint_id(const struct client *c) {
    return stat_number(c, "checkpoint", "vb_0:open_checkpoint_id", 0);
}

TEST(checkpoint_id_moves_with_the_window) {
    struct client c = client_new(h, h1);
    const uint64_t before = checkpoint_id(&c);
    CHECK_NE(0, before);
    must_start(&c);
    CHECK_UINT(before + 1, checkpoint_id(&c));
    must_set_range(&c, "key", 0, 12000, 1); /* more than closes an ordinary checkpoint */
    CHECK_UINT(before + 1, checkpoint_id(&c));
    must_complete(&c);
    CHECK_UINT(before + 2, checkpoint_id(&c));
    must_start(&c);
    must_revert(&c);
    CHECK_UINT(before + 4, checkpoint_id(&c));
    client_free(&c);
    return SUCCESS;
}

TEST(statistics_show_the_window) {
    struct client c = client_new(h, h1);
    CHECK(stat_is(&c, NULL, "ep_onlineupdate", "false"));
    CHECK(stat_is(&c, NULL, "ep_onlineupdate_last_outcome", "none"));
    CHECK(stat_is(&c, "onlineupdate", "state", "none"));
    must_start(&c);
    CHECK(stat_is(&c, NULL, "ep_onlineupdate", "true"));
    CHECK(stat_is(&c, "onlineupdate", "state", "open"));
    must_complete(&c);
    CHECK(stat_is(&c, NULL, "ep_onlineupdate", "false"));
    CHECK(stat_is(&c, "onlineupdate", "state", "none"));
    CHECK(stat_is(&c, NULL, "ep_onlineupdate_last_outcome", "completed"));
    must_start(&c);
    must_revert(&c);
    CHECK(stat_is(&c, NULL, "ep_onlineupdate", "false"));
    CHECK(stat_is(&c, NULL, "ep_onlineupdate_last_outcome", "reverted"));
    client_free(&c);
    return SUCCESS;
}

TEST(held_references_survive_revert) {
    struct client c = client_new(h, h1);
    item *before = NULL;
    item *window = NULL;
    must_set(&c, "k", "before");
    must_drain(&c);
    CHECK_INT(ENGINE_SUCCESS, h1->get(h, c.cookie, &before, "k", 1, 0));
    must_start(&c);
    must_set(&c, "k", "window");
    CHECK_INT(ENGINE_SUCCESS, h1->get(h, c.cookie, &window, "k", 1, 0));
    must_revert(&c);
    must_hold(&c, "k", "before");
    item_info info = {.nvalue = 1};
    CHECK(h1->get_item_info(h, c.cookie, window, &info));
    CHECK_BYTES("window", 6, info.value[0].iov_base, info.value[0].iov_len);
    CHECK(h1->get_item_info(h, c.cookie, before, &info));
    CHECK_BYTES("before", 6, info.value[0].iov_base, info.value[0].iov_len);
    h1->release(h, c.cookie, window);
    h1->release(h, c.cookie, before);
    client_free(&c);
    return SUCCESS;
}

/* ---- two operators ---- */

struct operator_call {
    struct client client;
    uint8_t opcode;
    uint16_t status;
    size_t body_length;
};

static void operate(void *argument) {
    struct operator_call *o = argument;
    struct reply r;
    o->status = command(&o->client, o->opcode, &r);
    o->body_length = r.body_length;
}

static void race(const struct client *c, uint8_t one, uint8_t other, bool *first_won) {
    struct operator_call calls[2] = {{.client = client_new(c->h, c->v1), .opcode = one},
                                     {.client = client_new(c->h, c->v1), .opcode = other}};
    struct background *threads[2];
    for (int i = 0; i < 2; i++) {
        threads[i] = background_start(operate, &calls[i]);
    }
    for (int i = 0; i < 2; i++) {
        background_join(threads[i], 30);
        client_free(&calls[i].client);
    }
    *first_won = calls[0].status == ST_SUCCESS;
    const struct operator_call *loser = &calls[*first_won ? 1 : 0];
    CHECK_INT(ST_SUCCESS, calls[*first_won ? 0 : 1].status);
    CHECK_INT(ST_NOT_SUPPORTED, loser->status);
    CHECK_NE(0, loser->body_length);
}

TEST(two_operators_get_one_winner) {
    struct client c = client_new(h, h1);
    unsigned kept = 0;
    bool first = false;
    must_set_range(&c, "key", 0, 500, 0);
    for (unsigned round = 1; round <= 20; round++) {
        race(&c, OP_UPDATE_START, OP_UPDATE_START, &first);
        must_set_range(&c, "key", 0, 500, round);
        race(&c, OP_UPDATE_COMPLETE, OP_UPDATE_REVERT, &first);
        kept = first ? round : kept;
        must_hold_range(&c, "key", 0, 500, kept);
    }
    client_free(&c);
    return SUCCESS;
}

/* ---- clients beside a revert ---- */

enum {
    WORKERS = 4,
    ROUNDS = 6,
    SHARED = 3000,
    OWN = 300
};

struct worker {
    ENGINE_HANDLE *h;
    ENGINE_HANDLE_V1 *v1;
    unsigned number;
    atomic_bool *stop;
    unsigned written; /* the last round this worker finished */
};

/* Writes keys of its own that no window may take away once it has ended, and reads everything. */
static void work(void *argument) {
    struct worker *w = argument;
    struct client c = client_new(w->h, w->v1);
    char key[64];
    struct value v;
    while (!atomic_load(w->stop)) {
        for (unsigned n = 0; n < OWN && !atomic_load(w->stop); n++) {
            (void)snprintf(key, sizeof key, "own%u-%u", w->number, n);
            must_set(&c, key, "busy");
            key_name(key, sizeof key, "key", (n * 7 + w->number) % SHARED);
            const ENGINE_ERROR_CODE code = get_copy(&c, key, &v);
            CHECK_MSG(code == ENGINE_SUCCESS, "get %s beside a revert: %d", key, (int)code);
        }
    }
    client_free(&c);
}

TEST(readers_and_writers_go_on_during_revert) {
    struct client c = client_new(h, h1);
    struct background *threads[WORKERS];
    struct worker workers[WORKERS];
    atomic_bool stop = false;
    must_set_range(&c, "key", 0, SHARED, 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.h = h, .v1 = h1, .number = i, .stop = &stop};
        threads[i] = background_start(work, &workers[i]);
    }
    for (unsigned round = 1; round <= ROUNDS; round++) {
        must_start(&c);
        must_set_range(&c, "key", 0, SHARED, round);
        must_set_range(&c, "new", 0, 500, round);
        must_revert(&c);
        must_hold_range(&c, "key", 0, SHARED, 0);
        must_miss_range(&c, "new", 0, 500);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < WORKERS; i++) {
        background_join(threads[i], 30);
    }
    client_free(&c);
    return SUCCESS;
}

/* A reader that knows when the revert was answered must not see a window value afterwards; values
 * of before and of the window differ in their first letter. */
struct reader {
    ENGINE_HANDLE *h;
    ENGINE_HANDLE_V1 *v1;
    atomic_bool *answered;
    atomic_bool *stop;
    _Atomic uint64_t reads_after;
};

static void read_on(void *argument) {
    struct reader *r = argument;
    struct client c = client_new(r->h, r->v1);
    struct value v;
    char key[32];
    for (unsigned n = 0; !atomic_load(r->stop); n = (n + 1) % SHARED) {
        key_name(key, sizeof key, "key", n);
        const bool answered = atomic_load(r->answered);
        CHECK_INT(ENGINE_SUCCESS, get_copy(&c, key, &v));
        CHECK_MSG(!answered || v.bytes[0] == 'b', "%s is \"%s\" after REVERT", key, v.bytes);
        atomic_fetch_add(&r->reads_after, answered ? 1 : 0);
    }
    client_free(&c);
}

TEST(reads_after_revert_see_no_window_value) {
    struct client c = client_new(h, h1);
    struct background *threads[2];
    struct reader readers[2];
    atomic_bool answered = false;
    atomic_bool stop = false;
    char key[32];
    for (unsigned n = 0; n < SHARED; n++) {
        key_name(key, sizeof key, "key", n);
        must_set(&c, key, "before");
    }
    must_drain(&c);
    must_start(&c);
    for (unsigned n = 0; n < SHARED; n++) {
        key_name(key, sizeof key, "key", n);
        must_set(&c, key, "window");
    }
    for (int i = 0; i < 2; i++) {
        readers[i] = (struct reader){.h = h, .v1 = h1, .answered = &answered, .stop = &stop};
        threads[i] = background_start(read_on, &readers[i]);
    }
    sleep_ms(20);
    must_revert(&c);
    atomic_store(&answered, true);
    sleep_ms(200);
    for (int i = 0; i < 2; i++) {
        for (unsigned waited_ms = 0; atomic_load(&readers[i].reads_after) == 0; waited_ms++) {
            CHECK_MSG(waited_ms < 30000, "reader %d does not read", i);
            sleep_ms(1);
        }
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++) {
        background_join(threads[i], 30);
    }
    client_free(&c);
    return SUCCESS;
}
