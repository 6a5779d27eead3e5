#!/bin/sh
# The daemon's link closure must hold no OpenSSL 3: Debian's BoringSSL has no symbol versions, so the loader
# would bind one library's internals to the other's. $1: the binary.
set -eu
libs=$(ldd "$1")
if echo "$libs" | grep -E 'lib(ssl|crypto)\.so\.3'; then
    echo "closure: $1 pulls in OpenSSL 3 (above)" >&2
    exit 1
fi
echo "$libs" | grep -q 'android/libcrypto.so.0' || { echo "closure: $1 does not use BoringSSL" >&2; exit 1; }
