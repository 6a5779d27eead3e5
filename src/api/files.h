/* api/files.h - what the files of files.* share. */
#ifndef PARLEY_API_FILES_H
#define PARLEY_API_FILES_H

#include "api/share.h"

enum {
    filename_max = 255,    /* characters, of titles too */
    snippet_type_max = 64, /* characters */
};

bool files_text_is_over(struct str_view s, size_t characters);

/* thread_ts and initial_comment, once the conversations are known. Errors: ERR_MSG_TOO_LONG,
 * ERR_CANNOT_REPLY_TO_MESSAGE. */
MUST_USE enum err files_read_message(struct request *r, struct share *s);

#endif
