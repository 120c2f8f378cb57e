/* The stub engine's commands, statistics, and the thread that notifies. */
#include <arpa/inet.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "null_engine.h"

/* A request whose lengths have been compared with each other. */
struct parts {
    uint8_t opcode;
    uint16_t vbucket;
    const unsigned char *ext;
    size_t next;
    const unsigned char *key;
    size_t nkey;
    size_t nbody;
};

/* What the second invocation of a blocked command finds on its cookie. */
static char done_marker;
static char failed_marker;

static void lock(struct null_engine *e) {
    if (pthread_mutex_lock(&e->lock) != 0) {
        abort();
    }
}

static void unlock(struct null_engine *e) {
    if (pthread_mutex_unlock(&e->lock) != 0) {
        abort();
    }
}

static ENGINE_ERROR_CODE answer(ADD_RESPONSE response, const void *cookie, uint16_t status,
                                const char *text) {
    const bool queued =
        response(NULL, 0, NULL, 0, text, (uint32_t)strlen(text), 0, status, 0, cookie);
    return queued ? ENGINE_SUCCESS : ENGINE_ENOMEM;
}

ENGINE_ERROR_CODE null_enter(struct null_engine *e, const void *cookie, uint16_t vb) {
    const uint32_t state = vb < NULL_VBUCKETS ? e->vbuckets[vb].state : 0;
    if (state == vbucket_state_active) {
        return ENGINE_SUCCESS;
    }
    if (state == vbucket_state_pending && e->blocked_count < NULL_BLOCKED_MAX) {
        e->blocked[e->blocked_count++] = cookie;
        return ENGINE_EWOULDBLOCK;
    }
    return ENGINE_NOT_MY_VBUCKET;
}

/* ---- the worker ---- */

static bool finish_job(struct null_engine *e) {
    bool good = true;
    if (e->job == JOB_REVERT) {
        null_end_window(e, true);
        e->last_outcome = "reverted";
    } else {
        null_end_window(e, false);
        e->last_outcome = "completed";
        good = e->dbname == NULL || null_save(e);
    }
    null_mark_window(e, false);
    e->job = JOB_NONE;
    return good;
}

void *null_worker(void *argument) {
    struct null_engine *e = argument;
    const void *free_now[NULL_BLOCKED_MAX];
    lock(e);
    while (!e->stop) {
        unsigned count = 0;
        const void *commander = NULL;
        bool good = true;
        if (null_tap_due(e)) {
            null_tap_work(e);
            continue;
        }
        if (e->job == JOB_NONE && !e->release_blocked) {
            (void)pthread_cond_wait(&e->wake, &e->lock);
            continue;
        }
        if (e->release_blocked) {
            count = e->blocked_count;
            memcpy(free_now, e->blocked, count * sizeof free_now[0]);
            e->blocked_count = 0;
            e->release_blocked = false;
        }
        if (e->job != JOB_NONE) {
            commander = e->job_cookie;
            good = finish_job(e);
        }
        unlock(e);
        for (unsigned i = 0; i < count; i++) {
            e->cookies->notify_io_complete(free_now[i], ENGINE_SUCCESS);
        }
        if (commander != NULL) {
            e->cookies->store_engine_specific(commander, good ? &done_marker : &failed_marker);
            e->cookies->notify_io_complete(commander, ENGINE_SUCCESS);
        }
        lock(e);
    }
    unlock(e);
    return NULL;
}

/* ---- commands ---- */

static bool split(const protocol_binary_request_header *request, struct parts *p) {
    const unsigned char *raw = request->bytes;
    uint32_t total;
    memcpy(&total, raw + 8, sizeof total);
    total = ntohl(total);
    p->opcode = raw[1];
    p->nkey = (size_t)raw[2] << 8 | raw[3];
    p->next = raw[4];
    p->vbucket = (uint16_t)(raw[6] << 8 | raw[7]);
    p->ext = raw + 24;
    p->key = p->ext + p->next;
    if (p->nkey + p->next > total) {
        return false;
    }
    p->nbody = total - p->nkey - p->next;
    return true;
}

static uint32_t word(const unsigned char *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return ntohl(value);
}

static ENGINE_ERROR_CODE do_touch(struct null_engine *e, const struct parts *p, const void *cookie,
                                  ADD_RESPONSE response) {
    if (p->next != 4 || p->nkey == 0 || p->nbody != 0) {
        return answer(response, cookie, PROTOCOL_BINARY_RESPONSE_EINVAL, "");
    }
    lock(e);
    const ENGINE_ERROR_CODE code = null_enter(e, cookie, p->vbucket);
    struct null_item *old =
        code == ENGINE_SUCCESS ? null_live(e, p->key, p->nkey, p->vbucket) : NULL;
    struct null_item *fresh = old != NULL ? null_item_new(p->key, p->nkey, old->nbytes) : NULL;
    if (fresh != NULL) {
        fresh->flags = old->flags;
        fresh->cas = old->cas;
        fresh->exptime = e->core->realtime((time_t)word(p->ext));
        memcpy(null_item_value(fresh), null_item_value(old), old->nbytes);
        fresh->references++;
        (void)null_put(e, p->key, p->nkey, p->vbucket, fresh);
    }
    unlock(e);
    if (code == ENGINE_EWOULDBLOCK) {
        return code;
    }
    if (code != ENGINE_SUCCESS) {
        return answer(response, cookie, PROTOCOL_BINARY_RESPONSE_NOT_MY_VBUCKET, "");
    }
    if (fresh == NULL) {
        return p->opcode == PROTOCOL_BINARY_CMD_GATQ
                   ? ENGINE_SUCCESS
                   : answer(response, cookie, PROTOCOL_BINARY_RESPONSE_KEY_ENOENT, "");
    }
    const bool gets = p->opcode != PROTOCOL_BINARY_CMD_TOUCH;
    const bool queued = response(NULL, 0, &fresh->flags, gets ? 4 : 0, null_item_value(fresh),
                                 gets ? fresh->nbytes : 0, 0, 0, gets ? fresh->cas : 0, cookie);
    null_item_free(fresh);
    return queued ? ENGINE_SUCCESS : ENGINE_ENOMEM;
}

static ENGINE_ERROR_CODE set_vbucket(struct null_engine *e, const struct parts *p,
                                     const void *cookie, ADD_RESPONSE response) {
    if (p->nkey != 0 || p->next + p->nbody != 4) {
        return answer(response, cookie, PROTOCOL_BINARY_RESPONSE_EINVAL, "Incorrect packet format");
    }
    const uint32_t state = word(p->ext);
    if (state < vbucket_state_active || state > vbucket_state_dead) {
        return answer(response, cookie, PROTOCOL_BINARY_RESPONSE_EINVAL, "Invalid vbucket state");
    }
    if (p->vbucket >= NULL_VBUCKETS) {
        return answer(response, cookie, PROTOCOL_BINARY_RESPONSE_EINVAL, "Invalid vbucket id");
    }
    lock(e);
    struct null_vbucket *v = &e->vbuckets[p->vbucket];
    if (v->state == 0) {
        v->checkpoint = 1;
        v->window = state == vbucket_state_active && null_window_open(e);
    }
    v->state = state;
    e->release_blocked = true;
    (void)pthread_cond_signal(&e->wake);
    unlock(e);
    return answer(response, cookie, PROTOCOL_BINARY_RESPONSE_SUCCESS, "");
}

static ENGINE_ERROR_CODE get_vbucket(struct null_engine *e, const struct parts *p,
                                     const void *cookie, ADD_RESPONSE response) {
    lock(e);
    const uint32_t state = p->vbucket < NULL_VBUCKETS ? e->vbuckets[p->vbucket].state : 0;
    unlock(e);
    if (state == 0) {
        return answer(response, cookie, PROTOCOL_BINARY_RESPONSE_NOT_MY_VBUCKET,
                      "That's not my bucket.");
    }
    const uint32_t wire = htonl(state);
    return response(NULL, 0, NULL, 0, &wire, sizeof wire, 0, 0, 0, cookie) ? ENGINE_SUCCESS
                                                                           : ENGINE_ENOMEM;
}

static ENGINE_ERROR_CODE last_closed(struct null_engine *e, const struct parts *p,
                                     const void *cookie, ADD_RESPONSE response) {
    lock(e);
    const bool there = p->vbucket < NULL_VBUCKETS && e->vbuckets[p->vbucket].state != 0;
    const uint64_t open = there ? e->vbuckets[p->vbucket].checkpoint : 1;
    unlock(e);
    if (!there) {
        return answer(response, cookie, PROTOCOL_BINARY_RESPONSE_NOT_MY_VBUCKET, "");
    }
    const uint64_t wire = htobe64(open - 1);
    return response(NULL, 0, NULL, 0, &wire, sizeof wire, 0, 0, 0, cookie) ? ENGINE_SUCCESS
                                                                           : ENGINE_ENOMEM;
}

static ENGINE_ERROR_CODE del_vbucket(struct null_engine *e, const struct parts *p,
                                     const void *cookie, ADD_RESPONSE response) {
    uint16_t status = PROTOCOL_BINARY_RESPONSE_SUCCESS;
    const char *text = "";
    lock(e);
    const struct null_vbucket *v = p->vbucket < NULL_VBUCKETS ? &e->vbuckets[p->vbucket] : NULL;
    if (v == NULL || v->state == 0) {
        status = PROTOCOL_BINARY_RESPONSE_NOT_MY_VBUCKET;
        text = "Failed to delete vbucket.  Bucket not found.";
    } else if (v->state != vbucket_state_dead) {
        status = PROTOCOL_BINARY_RESPONSE_EINVAL;
        text = "Failed to delete vbucket.  Must be in the dead state.";
    } else if (v->window) {
        status = PROTOCOL_BINARY_RESPONSE_ETMPFAIL;
        text = "The vbucket is in an online update; complete or revert it first.";
    } else {
        null_delete_vbucket(e, p->vbucket);
    }
    unlock(e);
    return answer(response, cookie, status, text);
}

static ENGINE_ERROR_CODE update_command(struct null_engine *e, const struct parts *p,
                                        const void *cookie, ADD_RESPONSE response) {
    const void *mark = e->cookies->get_engine_specific(cookie);
    if (mark == &done_marker || mark == &failed_marker) {
        e->cookies->store_engine_specific(cookie, NULL);
        return mark == &done_marker
                   ? answer(response, cookie, PROTOCOL_BINARY_RESPONSE_SUCCESS, "")
                   : answer(response, cookie, PROTOCOL_BINARY_RESPONSE_EINTERNAL, "not saved");
    }
    if (p->nkey + p->next + p->nbody != 0) {
        return answer(response, cookie, PROTOCOL_BINARY_RESPONSE_EINVAL,
                      "this command takes no key, extras or value");
    }
    ENGINE_ERROR_CODE code = ENGINE_SUCCESS;
    const char *refusal = NULL;
    lock(e);
    if (e->job != JOB_NONE) {
        refusal = "an online update is being completed or reverted; wait for it";
    } else if (p->opcode == PROTOCOL_BINARY_CMD_ONLINE_UPDATE_START) {
        refusal = null_start(e) ? NULL : "an online update is open; complete or revert it first";
        if (refusal == NULL) {
            null_mark_window(e, true);
        }
    } else if (!null_window_open(e)) {
        refusal = "no online update is open; send START first";
    } else {
        e->job = p->opcode == PROTOCOL_BINARY_CMD_ONLINE_UPDATE_REVERT ? JOB_REVERT : JOB_COMPLETE;
        e->job_cookie = cookie;
        (void)pthread_cond_signal(&e->wake);
        code = ENGINE_EWOULDBLOCK;
    }
    unlock(e);
    if (code != ENGINE_SUCCESS) {
        return code;
    }
    return answer(response, cookie,
                  refusal != NULL ? PROTOCOL_BINARY_RESPONSE_NOT_SUPPORTED
                                  : PROTOCOL_BINARY_RESPONSE_SUCCESS,
                  refusal != NULL ? refusal : "");
}

ENGINE_ERROR_CODE null_unknown_command(ENGINE_HANDLE *handle, const void *cookie,
                                       protocol_binary_request_header *request,
                                       ADD_RESPONSE response) {
    struct null_engine *e = null_of(handle);
    struct parts p;
    if (!split(request, &p)) {
        return answer(response, cookie, PROTOCOL_BINARY_RESPONSE_EINVAL, "lengths contradict");
    }
    switch (p.opcode) {
    case PROTOCOL_BINARY_CMD_TOUCH:
    case PROTOCOL_BINARY_CMD_GAT:
    case PROTOCOL_BINARY_CMD_GATQ:
        return do_touch(e, &p, cookie, response);
    case PROTOCOL_BINARY_CMD_SET_VBUCKET:
        return set_vbucket(e, &p, cookie, response);
    case PROTOCOL_BINARY_CMD_GET_VBUCKET:
        return get_vbucket(e, &p, cookie, response);
    case PROTOCOL_BINARY_CMD_DEL_VBUCKET:
        return del_vbucket(e, &p, cookie, response);
    case PROTOCOL_BINARY_CMD_STOP_PERSISTENCE:
    case PROTOCOL_BINARY_CMD_START_PERSISTENCE:
        return answer(response, cookie, PROTOCOL_BINARY_RESPONSE_SUCCESS, "");
    case PROTOCOL_BINARY_CMD_LAST_CLOSED_CHECKPOINT:
        return last_closed(e, &p, cookie, response);
    case PROTOCOL_BINARY_CMD_ONLINE_UPDATE_START:
    case PROTOCOL_BINARY_CMD_ONLINE_UPDATE_COMPLETE:
    case PROTOCOL_BINARY_CMD_ONLINE_UPDATE_REVERT:
        return update_command(e, &p, cookie, response);
    default:
        return answer(response, cookie, PROTOCOL_BINARY_RESPONSE_UNKNOWN_COMMAND,
                      "Unknown command");
    }
}

/* ---- statistics ---- */

static void add_text(ADD_STAT add_stat, const void *cookie, const char *name, const char *value) {
    add_stat(name, (uint16_t)strlen(name), value, (uint32_t)strlen(value), cookie);
}

static void add_number(ADD_STAT add_stat, const void *cookie, const char *name, uint64_t value) {
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    add_text(add_stat, cookie, name, text);
}

static void add_vbuckets(struct null_engine *e, const void *cookie, bool checkpoints,
                         ADD_STAT add_stat) {
    static const char *const states[] = {"missing", "active", "replica", "pending", "dead"};
    char name[48];
    for (unsigned i = 0; i < NULL_VBUCKETS; i++) {
        const struct null_vbucket *v = &e->vbuckets[i];
        if (v->state == 0) {
            continue;
        }
        if (checkpoints) {
            (void)snprintf(name, sizeof name, "vb_%u:open_checkpoint_id", i);
            add_number(add_stat, cookie, name, v->checkpoint);
        } else {
            (void)snprintf(name, sizeof name, "vb_%u", i);
            add_text(add_stat, cookie, name, states[v->state]);
        }
    }
}

static void add_general(struct null_engine *e, const void *cookie, ADD_STAT add_stat) {
    add_number(add_stat, cookie, "curr_items", e->items);
    add_number(add_stat, cookie, "mem_used", e->memory);
    add_number(add_stat, cookie, "ep_queue_size", 0);
    add_number(add_stat, cookie, "ep_flusher_todo", 0);
    add_text(add_stat, cookie, "ep_onlineupdate", null_window_open(e) ? "true" : "false");
    add_number(add_stat, cookie, "ep_onlineupdate_revert_add", e->reverted_add);
    add_number(add_stat, cookie, "ep_onlineupdate_revert_delete", e->reverted_delete);
    add_number(add_stat, cookie, "ep_onlineupdate_revert_update", e->reverted_update);
    add_text(add_stat, cookie, "ep_onlineupdate_last_outcome", e->last_outcome);
}

ENGINE_ERROR_CODE null_get_stats(ENGINE_HANDLE *handle, const void *cookie, const char *stat_key,
                                 int nkey, ADD_STAT add_stat) {
    struct null_engine *e = null_of(handle);
    ENGINE_ERROR_CODE code = ENGINE_SUCCESS;
    lock(e);
    if (nkey == 0) {
        add_general(e, cookie, add_stat);
    } else if (nkey == 7 && memcmp(stat_key, "vbucket", 7) == 0) {
        add_vbuckets(e, cookie, false, add_stat);
    } else if (nkey == 10 && memcmp(stat_key, "checkpoint", 10) == 0) {
        add_vbuckets(e, cookie, true, add_stat);
    } else if (nkey == 3 && memcmp(stat_key, "tap", 3) == 0) {
        null_tap_stats(e, cookie, add_stat);
    } else if (nkey == 12 && memcmp(stat_key, "onlineupdate", 12) == 0) {
        add_text(add_stat, cookie, "state",
                 e->job == JOB_REVERT     ? "reverting"
                 : e->job == JOB_COMPLETE ? "completing"
                 : null_window_open(e)    ? "open"
                                          : "none");
    } else {
        code = ENGINE_KEY_ENOENT;
    }
    unlock(e);
    return code;
}
