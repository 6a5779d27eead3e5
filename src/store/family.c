#include "store/family.h"

const struct family families[CF_COUNT] = {
#define CF(id, name_, prefix, scanned_, what) {name_, prefix, scanned_},
#include "store/cf.def"
#undef CF
};
