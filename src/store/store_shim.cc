// What RocksDB's C interface lacks: a listener for errors in the background, a logger of our own,
// and taking in files for many families at once.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_writer.h>

// As c.cc declares them: the one member that c.h keeps to itself.
struct rocksdb_options_t {
    rocksdb::Options rep;
};
struct rocksdb_t {
    rocksdb::DB *rep;
};
struct rocksdb_column_family_handle_t {
    rocksdb::ColumnFamilyHandle *rep;
};
struct rocksdb_sstfilewriter_t {
    rocksdb::SstFileWriter *rep;
};

typedef void store_background_fn(void *ctx, const char *error);
typedef void store_note_fn(bool warning, const char *text);

namespace
{
// RocksDB's own ways back are switched off. They write the buffer of the log that failed once more,
// behind what was torn, and such a log is refused if the process dies before it is removed.
class listener final : public rocksdb::EventListener
{
  public:
    listener(store_background_fn *fn, void *ctx) : fn_(fn), ctx_(ctx)
    {
    }

    void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status *error) override
    {
        fn_(ctx_, error->ToString().c_str());
    }

    void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                              bool *auto_recovery) override
    {
        *auto_recovery = false;
    }

  private:
    store_background_fn *fn_;
    void *ctx_;
};

// RocksDB's own LOG file is a second thing to write to a disk that is full: Debian's build aborts
// the process by an assertion when a write to it fails.
class logger final : public rocksdb::Logger
{
  public:
    explicit logger(store_note_fn *fn) : fn_(fn)
    {
    }

    using rocksdb::Logger::Logv;

    void Logv(const char *format, va_list args) override
    {
        Logv(rocksdb::InfoLogLevel::INFO_LEVEL, format, args);
    }

    void Logv(const rocksdb::InfoLogLevel level, const char *format, va_list args) override
    {
        char text[1024];
        if (level < GetInfoLogLevel())
            return;
        vsnprintf(text, sizeof text, format, args);
        fn_(level >= rocksdb::InfoLogLevel::WARN_LEVEL, text);
    }

  private:
    store_note_fn *fn_;
};
} // namespace

extern "C" void store_shim_log(rocksdb_options_t *o, store_note_fn *fn, bool details)
{
    o->rep.info_log = std::make_shared<logger>(fn);
    o->rep.info_log->SetInfoLogLevel(details ? rocksdb::InfoLogLevel::INFO_LEVEL
                                             : rocksdb::InfoLogLevel::WARN_LEVEL);
}

extern "C" void store_shim_listen(rocksdb_options_t *o, store_background_fn *fn, void *ctx)
{
    o->rep.listeners.push_back(std::make_shared<listener>(fn, ctx));
    o->rep.max_bgerror_resume_count = 0;
}

extern "C" rocksdb_sstfilewriter_t *store_shim_table_writer(const rocksdb_options_t *o)
{
    rocksdb::Options options(o->rep);
    // A writer takes its files for bottommost ones, but they go to level 0.
    options.bottommost_compression = rocksdb::kDisableCompressionOption;
    return new rocksdb_sstfilewriter_t{
        new rocksdb::SstFileWriter(rocksdb::EnvOptions(options), options, nullptr, false)};
}

extern "C" void store_shim_ingest(rocksdb_t *db, rocksdb_column_family_handle_t *const *cfs,
                                  const char *const *paths, size_t n, char **error)
{
    std::vector<rocksdb::IngestExternalFileArg> args(n);
    for (size_t i = 0; i < n; i++) {
        args[i].column_family = cfs[i]->rep;
        args[i].external_files = {paths[i]};
        args[i].options.move_files = true;
        args[i].options.write_global_seqno = false; // it is in the manifest
    }
    rocksdb::Status status = db->rep->IngestExternalFiles(args);
    if (!status.ok())
        *error = strdup(status.ToString().c_str());
}
