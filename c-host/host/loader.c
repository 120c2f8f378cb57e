/*
 * Loads an engine: library, create_instance, table check, initialize, destroy.
 */
#include "internal.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define INTERFACE_VERSION 1

struct ch_engine {
    ch_host *host;
    void *library;
    ENGINE_HANDLE_V1 *table;
    bool destroyed;
};

static __attribute__((format(printf, 4, 5))) void fail(struct ch_load_result *result,
                                                       enum ch_load_error error,
                                                       ENGINE_ERROR_CODE code, const char *fmt,
                                                       ...) {
    va_list args;

    result->error = error;
    result->code = code;
    va_start(args, fmt);
    vsnprintf(result->message, sizeof(result->message), fmt, args);
    va_end(args);
}

const char *ch_error_name(ENGINE_ERROR_CODE code) {
    switch ((int)code) {
    case ENGINE_SUCCESS:
        return "ENGINE_SUCCESS";
    case ENGINE_KEY_ENOENT:
        return "ENGINE_KEY_ENOENT";
    case ENGINE_KEY_EEXISTS:
        return "ENGINE_KEY_EEXISTS";
    case ENGINE_ENOMEM:
        return "ENGINE_ENOMEM";
    case ENGINE_NOT_STORED:
        return "ENGINE_NOT_STORED";
    case ENGINE_EINVAL:
        return "ENGINE_EINVAL";
    case ENGINE_ENOTSUP:
        return "ENGINE_ENOTSUP";
    case ENGINE_EWOULDBLOCK:
        return "ENGINE_EWOULDBLOCK";
    case ENGINE_E2BIG:
        return "ENGINE_E2BIG";
    case ENGINE_WANT_MORE:
        return "ENGINE_WANT_MORE";
    case ENGINE_DISCONNECT:
        return "ENGINE_DISCONNECT";
    case ENGINE_EACCESS:
        return "ENGINE_EACCESS";
    case ENGINE_NOT_MY_VBUCKET:
        return "ENGINE_NOT_MY_VBUCKET";
    case ENGINE_TMPFAIL:
        return "ENGINE_TMPFAIL";
    case ENGINE_ERANGE:
        return "ENGINE_ERANGE";
    case ENGINE_FAILED:
        return "ENGINE_FAILED";
    default:
        return "ENGINE_?";
    }
}

/* NULL when the table is usable, else the name of what is wrong. */
static const char *table_defect(const ENGINE_HANDLE_V1 *t) {
    const struct {
        const char *name;
        bool present;
    } required[] = {
        {"get_info", t->get_info != NULL},
        {"initialize", t->initialize != NULL},
        {"destroy", t->destroy != NULL},
        {"allocate", t->allocate != NULL},
        {"remove", t->remove != NULL},
        {"release", t->release != NULL},
        {"get", t->get != NULL},
        {"store", t->store != NULL},
        {"flush", t->flush != NULL},
        {"get_stats", t->get_stats != NULL},
        {"reset_stats", t->reset_stats != NULL},
        {"item_set_cas", t->item_set_cas != NULL},
        {"get_item_info", t->get_item_info != NULL},
    };

    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        if (!required[i].present) {
            return required[i].name;
        }
    }
    return NULL;
}

/* dlsym returns an object pointer; POSIX promises that this copy works. */
static CREATE_INSTANCE find_entry_point(void *library) {
    void *symbol = dlsym(library, "create_instance");
    CREATE_INSTANCE entry = NULL;

    _Static_assert(sizeof(entry) == sizeof(symbol), "function pointers are pointers");
    memcpy(&entry, &symbol, sizeof(entry));
    return entry;
}

static SERVER_HANDLE_V1 *get_server_api(void) {
    return ch_host_server_api(ch_host_current());
}

static ENGINE_HANDLE_V1 *create_table(void *library, const char *path,
                                      struct ch_load_result *result) {
    ENGINE_HANDLE *handle = NULL;
    CREATE_INSTANCE create_instance = find_entry_point(library);

    if (create_instance == NULL) {
        fail(result, CH_LOAD_NO_SYMBOL, ENGINE_SUCCESS, "%s: no symbol create_instance", path);
        return NULL;
    }
    ENGINE_ERROR_CODE code = create_instance(INTERFACE_VERSION, get_server_api, &handle);
    if (code != ENGINE_SUCCESS || handle == NULL) {
        fail(result, CH_LOAD_CREATE_INSTANCE, code, "%s: create_instance returned %s (0x%02x)%s",
             path, ch_error_name(code), (unsigned)code, handle == NULL ? ", no handle" : "");
        return NULL;
    }
    if (handle->interface != INTERFACE_VERSION) {
        fail(result, CH_LOAD_BAD_TABLE, ENGINE_SUCCESS, "%s: interface is %llu and not %d", path,
             (unsigned long long)handle->interface, INTERFACE_VERSION);
        return NULL;
    }
    ENGINE_HANDLE_V1 *table = (ENGINE_HANDLE_V1 *)(void *)handle;
    const char *defect = table_defect(table);
    if (defect != NULL) {
        fail(result, CH_LOAD_BAD_TABLE, ENGINE_SUCCESS, "%s: the engine has no function %s", path,
             defect);
        return NULL;
    }
    return table;
}

ch_engine *ch_engine_load(ch_host *host, const char *path, struct ch_load_result *result) {
    memset(result, 0, sizeof(*result));
    ch_engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        fail(result, CH_LOAD_NO_MEMORY, ENGINE_SUCCESS, "out of memory");
        return NULL;
    }
    engine->host = host;
    engine->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (engine->library == NULL) {
        const char *reason = dlerror();
        fail(result, CH_LOAD_DLOPEN, ENGINE_SUCCESS, "%s: cannot load: %s", path,
             reason != NULL ? reason : "unknown reason");
        goto failed;
    }
    engine->table = create_table(engine->library, path, result);
    if (engine->table == NULL) {
        goto failed;
    }
    return engine;

failed:
    if (engine->library != NULL) {
        dlclose(engine->library);
    }
    free(engine);
    return NULL;
}

bool ch_engine_initialize(ch_engine *engine, const char *config, struct ch_load_result *result) {
    memset(result, 0, sizeof(*result));
    ENGINE_ERROR_CODE code = engine->table->initialize(ch_engine_handle(engine), config);
    if (code != ENGINE_SUCCESS) {
        fail(result, CH_LOAD_INITIALIZE, code, "the engine failed to initialize: %s (0x%02x)",
             ch_error_name(code), (unsigned)code);
        ch_engine_destroy(engine, false);
        return false;
    }
    engine->host->engine = ch_engine_handle(engine);
    return true;
}

ENGINE_HANDLE *ch_engine_handle(ch_engine *engine) {
    return &engine->table->interface;
}

ENGINE_HANDLE_V1 *ch_engine_table(ch_engine *engine) {
    return engine->table;
}

void ch_engine_destroy(ch_engine *engine, bool force) {
    if (engine->destroyed) {
        return;
    }
    engine->destroyed = true;
    if (engine->host->engine == ch_engine_handle(engine)) {
        engine->host->engine = NULL;
        engine->host->handle.engine = NULL;
    }
    engine->table->destroy(ch_engine_handle(engine), force);
}

void ch_engine_unload(ch_engine *engine, bool close_library) {
    if (engine == NULL) {
        return;
    }
    ch_engine_destroy(engine, false);
    if (close_library) {
        dlclose(engine->library);
    }
    free(engine);
}
