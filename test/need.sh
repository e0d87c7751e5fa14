#!/bin/sh
# Sees to it that what a check needs is there: installs its package by apt-get where that works without a question (as
# root, or by sudo), and otherwise says what to install.
#
#     test/need.sh criterion|tzdata|valgrind|libfuzzer|MODULE|COMMAND...     status 0: all there. MODULE, of pkg-config:
#                  glib-2.0|libuv|tbb|apr-util-1|libcurl|sqlite3|zlib
set -u

has() {
    case $1 in
    criterion) echo '#include <criterion/criterion.h>' | ${CC:-cc} -fsyntax-only -x c - 2>/dev/null ;;
    tzdata) [ -r /usr/share/zoneinfo/Europe/Berlin ] ;;
    libfuzzer) echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' | clang -fsanitize=fuzzer -x c - -o /dev/null ;;
    glib-2.0 | libuv | tbb | apr-util-1 | libcurl | sqlite3 | zlib) command -v pkg-config && pkg-config --exists "$1" ;;
    valgrind) command -v valgrind && echo '#include <valgrind/memcheck.h>' | ${CC:-cc} -fsyntax-only -x c - ;;
    *) command -v "$1" ;;
    esac >/dev/null 2>&1
}

package() {
    case $1 in
    criterion) echo libcriterion-dev ;;
    gnuplot) echo gnuplot-nox ;;
    glib-2.0) echo libglib2.0-dev ;;
    libuv) echo libuv1-dev ;;
    tbb) echo libtbb-dev ;;
    apr-util-1) echo libaprutil1-dev ;;
    libcurl) echo libcurl4-openssl-dev ;;
    sqlite3) echo libsqlite3-dev ;;
    zlib) echo zlib1g-dev ;;
    javac) echo default-jdk-headless ;;
    musl-gcc) echo musl-tools ;;
    dpkg-buildpackage) echo dpkg-dev ;;
    dh) echo debhelper ;;
    libfuzzer) echo libclang-rt-dev ;;
    promtool) echo prometheus ;;
    *) echo "$1" ;;
    esac
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

install() {
    command -v apt-get >/dev/null || return
    as_root true 2>/dev/null || return
    echo "installing $*"
    as_root apt-get -qq update &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null
}

missing=
for thing; do
    has "$thing" || missing="$missing $(package "$thing")"
done
# shellcheck disable=SC2086 # a list of packages
[ -z "$missing" ] || install $missing

status=0
for thing; do
    has "$thing" && continue
    status=1
    echo "$thing is missing, and could not be installed from here. Install it and try again:" >&2
    echo "    apt-get install $(package "$thing")        (as root; Debian, Ubuntu)" >&2
    [ "$thing" != criterion ] || echo "    dnf install criterion-devel             (as root; Fedora)" >&2
done
exit $status
