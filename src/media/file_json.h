/* media/file_json.h - the file object, as Slack's clients read it, and the paths that it names:
 *   BASE/files-pri/TEAM-FILE/NAME, .../download/NAME    bytes, with a token
 *   BASE/files-pub/TEAM-FILE-SECRET                     bytes, for whoever has the link
 *   BASE/files/USER/FILE/NAME                           permalink
 * NAME is the file's name made harmless; the id alone says which file it is.
 * Pure. Thread: any. Source: slack-api reference, Files; Slack's file object. */
#ifndef PARLEY_MEDIA_FILE_JSON_H
#define PARLEY_MEDIA_FILE_JSON_H

#include "store/row_file.h"

/* seen: of each share whether the reader may know of it. A missing room sticks in out->failed. */
void file_json(struct buf *out, const struct file_id *id, const struct row_file *row,
               struct str_view base_url, const bool seen[row_file_shares_max]);
/* What messages show of a file that was deleted. */
void file_json_tombstone(struct buf *out, const struct file_id *id);

#endif
