# Shared by tools/run and tools/test: packages, builds, progress. Sourced, not run.
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top" || exit 1

build_packages="cmake ninja-build gcc g++ pkg-config liburing-dev libck-dev librocksdb-dev android-libboringssl-dev
  libsimdjson-dev node-llhttp libmimalloc-dev libxxhash-dev zlib1g-dev libinih-dev libargon2-dev libcmocka-dev
  systemtap-sdt-dev libutf8proc-dev"
run_packages="curl"
test_packages="clang libclang-rt-14-dev nodejs npm openssl strace curl jq fuse3 libfuse3-dev libfaketime e2fsprogs mount perl
  chromium libyajl-dev libwslay-dev golang-go golang-github-slack-go-slack-dev localslackirc
  python3-emoji"

say() { printf '\033[1m== %s\033[0m\n' "$*"; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# Installs what is missing of "$@", by Debian package name. Needs root only when something is missing.
install_packages() {
    local missing=() p
    for p in "$@"; do
        # A Node from elsewhere brings its npm; Debian's npm is a package of its own.
        case $p in nodejs | npm) if command -v node >/dev/null && command -v npm >/dev/null; then continue; fi ;; esac
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
    done
    [ ${#missing[@]} -eq 0 ] && return
    say "installing ${missing[*]}"
    local sudo=""
    [ "$(id -u)" = 0 ] || sudo=sudo
    command -v apt-get >/dev/null || die "This installs packages with apt-get (Debian 12). Install by hand: ${missing[*]}"
    $sudo apt-get update -qq || die "apt-get update failed"
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "${missing[@]}" >/dev/null ||
        die "apt-get could not install: ${missing[*]}"
}

# The clients of the end-to-end tests, as their lock file names them.
install_node_packages() {
    [ -d tests/e2e/node_modules ] && [ ! tests/e2e/package-lock.json -nt tests/e2e/node_modules ] && return
    (cd tests/e2e && npm ci --no-audit --no-fund --silent) || die "npm ci failed in tests/e2e"
    touch tests/e2e/node_modules
}

# build PRESET [TARGET...]: configures when needed, builds with all cores.
build() {
    local preset=$1
    shift
    mkdir -p build
    if [ ! -f "build/$preset/build.ninja" ]; then
        cmake --preset "$preset" >"build/configure-$preset.log" 2>&1 ||
            { cat "build/configure-$preset.log"; die "cmake failed for $preset"; }
    fi
    local targets=()
    [ $# -gt 0 ] && targets=(--target "$@")
    cmake --build "build/$preset" "${targets[@]}"
}

# As build, for people: progress on a terminal, elsewhere silence; what went wrong in full.
build_shown() {
    if [ -t 1 ]; then
        build "$@" || die "the build failed"
    else
        mkdir -p build
        build "$@" >"build/shown.log" 2>&1 || { cat build/shown.log >&2; die "the build failed"; }
    fi
}
