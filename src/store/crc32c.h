/* crc32c.h - the checksum of everything this room writes itself. Begin with ~0u, invert the end. */
#ifndef PARLEY_STORE_CRC32C_H
#define PARLEY_STORE_CRC32C_H

#include "base/compiler.h"

uint32_t crc32c_add(uint32_t crc, const void *p, size_t n);

#endif
