/* json/simdjson_shim.h - the few C calls that read.c needs of simdjson (a C++ library). */
#ifndef PARLEY_JSON_SIMDJSON_SHIM_H
#define PARLEY_JSON_SIMDJSON_SHIM_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum shim_type {
    SHIM_INVALID,
    SHIM_NULL,
    SHIM_BOOL,
    SHIM_INT,
    SHIM_DOUBLE,
    SHIM_STRING,
    SHIM_ARRAY,
    SHIM_OBJECT
};

void *shim_parser_new(void); /* NULL: no memory */
void shim_parser_free(void *parser);
/* Judges the whole text: syntax, UTF-8, depth, duplicate names, NUL in strings, lone surrogates. */
enum shim_type shim_judge(void *parser, const char *text, size_t len, unsigned depth_max);
bool shim_utf8_valid(const char *p, size_t len);

#ifdef __cplusplus
}
#endif

#endif
