#!/bin/sh
# Installs into an empty directory, below DESTDIR and with a PREFIX of its own; builds a C and a C++ program there by
# pkg-config, against the shared and against the static library; runs them; uninstalls; and checks that no file is left.
#
#     test/check-install.sh       MAKE, CC and CXX from the environment
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
destdir=$work/stage
prefix=/opt/libexec
installed=$destdir$prefix
checks=0

${MAKE:-make} -s install DESTDIR="$destdir" PREFIX="$prefix" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
outside=$(find "$destdir" ! -type d ! -path "$installed/*")
[ -z "$outside" ] || { echo "installed outside of PREFIX: $outside"; exit 1; }
for file in lib/libexec.a lib/libexec.so lib/pkgconfig/exec.pc include/exec.h share/man/man7/libexec.7; do
    [ -f "$installed/$file" ] || { echo "not installed: $file"; exit 1; }
done
unreadable=$(find "$installed" ! -type l ! -perm -444)
[ -z "$unreadable" ] || { echo "not readable by all: $unreadable"; exit 1; }
echo "installed: $(find "$installed" ! -type d | wc -l) files"
checks=$((checks + 1))

# Below DESTDIR nothing is where exec.pc says; PKG_CONFIG_SYSROOT_DIR is how pkg-config is told so.
export PKG_CONFIG_LIBDIR="$installed/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$destdir"
pkg-config --exact-version="$(sed -n 's/^VERSION = //p' Makefile)" exec

# try NAME COMPILER SOURCE FLAGS: compiles, and runs with nothing but the installed library.
try() {
    # shellcheck disable=SC2046,SC2086 # the compiler and the flags are lists of words
    $2 -Wall -Wextra -Wpedantic -Werror "$3" $(pkg-config --cflags exec) $4 -o "$work/program"
    LD_LIBRARY_PATH=$5 timeout 60 "$work/program" >"$work/log" || { echo "$1: exit status $?"; exit 1; }
    checks=$((checks + 1))
    echo "$1: $(cat "$work/log")"
}

shared=$(pkg-config --libs exec)
static=$(pkg-config --static --libs exec | sed 's/-lexec/-l:libexec.a/')
for language in c c++; do
    case $language in
    c) compiler="${CC:-cc} -std=c11" source=test/install/consumer.c ;;
    c++) compiler="${CXX:-g++} -std=c++17" source=test/install/consumer.cc ;;
    esac
    try "$language, shared" "$compiler" "$source" "$shared" "$installed/lib"
    readelf -d "$work/program" | grep -q 'NEEDED.*\[libexec\.so\.0\]' || { echo "not linked by its soname"; exit 1; }
    try "$language, static" "$compiler" "$source" "$static" ""
    ! readelf -d "$work/program" | grep -q libexec || { echo "linked with the shared library, not the static"; exit 1; }
done

${MAKE:-make} -s uninstall DESTDIR="$destdir" PREFIX="$prefix" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
left=$(find "$destdir" ! -type d)
[ -z "$left" ] || { echo "left by uninstall: $left"; exit 1; }
[ ! -e "$installed/include/exec" ] || { echo "left by uninstall: include/exec"; exit 1; }
echo "uninstalled: nothing left"
checks=$((checks + 1))
echo "$checks passed, 0 failed"
