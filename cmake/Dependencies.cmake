# Every dependency comes from Debian 12 packages; docs/operations.md lists them with the reason for each.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(cmocka REQUIRED IMPORTED_TARGET cmocka)
find_package(simdjson REQUIRED)
find_package(RocksDB REQUIRED)
find_package(ZLIB REQUIRED)

function(plain_library name lib header)
  find_library(${name}_LIBRARY ${lib} REQUIRED)
  find_path(${name}_INCLUDE ${header} REQUIRED)
  add_library(${name} INTERFACE)
  target_link_libraries(${name} INTERFACE ${${name}_LIBRARY})
  target_include_directories(${name} SYSTEM INTERFACE ${${name}_INCLUDE})
endfunction()
plain_library(uring uring liburing.h)
plain_library(ck ck ck_ring.h)
plain_library(inih inih ini.h)
plain_library(utf8proc utf8proc utf8proc.h)
plain_library(argon2 argon2 argon2.h)

# Used header-only: xxhash, and sys/sdt.h of systemtap-sdt-dev for the probes (base/probe.h).
add_library(xxhash INTERFACE)
find_path(SDT_INCLUDE sys/sdt.h REQUIRED)

# The static library saves the PLT and TLS calls of the shared one: about 7 % less CPU on the write path.
add_library(rocksdb INTERFACE)
target_link_libraries(rocksdb INTERFACE RocksDB::rocksdb)

# BoringSSL as Debian ships it for Android: shared only, in a folder of its own, headers apart from OpenSSL's.
# To replace it with a build of your own, set BORINGSSL_INCLUDE and BORINGSSL_LIBDIR.
find_path(BORINGSSL_INCLUDE openssl/base.h PATH_SUFFIXES android REQUIRED)
find_library(BORINGSSL_SSL ssl HINTS ${BORINGSSL_LIBDIR} PATHS /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/android
  /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE} PATH_SUFFIXES android NO_DEFAULT_PATH REQUIRED)
find_library(BORINGSSL_CRYPTO crypto HINTS ${BORINGSSL_LIBDIR} PATHS /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/android
  NO_DEFAULT_PATH REQUIRED)
get_filename_component(BORINGSSL_RUNPATH ${BORINGSSL_SSL} DIRECTORY)
list(APPEND CMAKE_BUILD_RPATH ${BORINGSSL_RUNPATH})
list(APPEND CMAKE_INSTALL_RPATH ${BORINGSSL_RUNPATH})
add_library(boringcrypto INTERFACE)
target_include_directories(boringcrypto SYSTEM BEFORE INTERFACE ${BORINGSSL_INCLUDE})
target_link_libraries(boringcrypto INTERFACE ${BORINGSSL_CRYPTO})
add_library(boringssl INTERFACE)
target_link_libraries(boringssl INTERFACE ${BORINGSSL_SSL} boringcrypto)

# llhttp: Debian's node-llhttp carries the generated C.
find_path(LLHTTP_SOURCE llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH REQUIRED)
find_path(LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include/llhttp /usr/share/llhttp NO_DEFAULT_PATH REQUIRED)
add_library(llhttp STATIC ${LLHTTP_SOURCE}/llhttp.c ${LLHTTP_SOURCE}/api.c ${LLHTTP_SOURCE}/http.c)
target_include_directories(llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE})
target_compile_options(llhttp PRIVATE -w)

# mimalloc serves what is allocated on one thread and freed on another; sanitizers bring their own allocator.
add_library(mimalloc_if_plain INTERFACE)
if(NOT PARLEY_SANITIZE)
  find_library(MIMALLOC_LIBRARY mimalloc REQUIRED)
  target_link_libraries(mimalloc_if_plain INTERFACE -Wl,--push-state,--no-as-needed ${MIMALLOC_LIBRARY} -Wl,--pop-state)
endif()
