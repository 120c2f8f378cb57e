/* What bindgen reads: the part of the host ABI that an engine uses. */
#include "../../include/memcached/engine.h"
