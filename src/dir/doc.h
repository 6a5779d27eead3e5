/* dir/doc.h - kinds of documents (doc.def). */
#ifndef PARLEY_DIR_DOC_H
#define PARLEY_DIR_DOC_H

enum doc_kind {
#define DOC(id, number, what) DOC_##id = (number),
#include "dir/doc.def"
#undef DOC
};

#endif
