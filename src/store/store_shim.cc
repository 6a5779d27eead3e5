// What RocksDB's C interface lacks: DB::Resume, which ends the read-only state after a failed
// write.
#include <rocksdb/db.h>

struct rocksdb_t { // as c.cc declares it: the one member that c.h keeps to itself
    rocksdb::DB *rep;
};

extern "C" bool store_shim_resume(rocksdb_t *db)
{
    return db->rep->Resume().ok();
}
