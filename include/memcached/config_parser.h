/*
 * The item list of core->parse_config and core->get_config.
 *
 * The list ends with an entry whose key is NULL. Set found to false before the
 * call. A DT_STRING result is malloc'ed; the caller frees it with free.
 */
#ifndef MEMCACHED_CONFIG_PARSER_H
#define MEMCACHED_CONFIG_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum config_datatype {
    DT_SIZE = 0,
    DT_FLOAT = 1,
    DT_BOOL = 2,
    DT_STRING = 3,
    DT_CONFIGFILE = 4
};

union config_value {
    size_t *dt_size;
    float *dt_float;
    bool *dt_bool;
    char **dt_string;
};

struct config_item {
    const char *key;
    enum config_datatype datatype;
    union config_value value;
    bool found;
};

_Static_assert(sizeof(enum config_datatype) == 4, "enums are 32 bits");
_Static_assert(sizeof(struct config_item) == 32, "config_item size");
_Static_assert(offsetof(struct config_item, datatype) == 8, "config_item.datatype");
_Static_assert(offsetof(struct config_item, value) == 16, "config_item.value");
_Static_assert(offsetof(struct config_item, found) == 24, "config_item.found");

#endif
