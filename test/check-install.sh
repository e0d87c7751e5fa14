#!/bin/sh
# Installs into an empty directory, below DESTDIR and with a PREFIX of its own; builds a C and a C++ program there by
# pkg-config and by CMake, against the shared and against the static library; runs them; uninstalls; and checks that no
# file is left. The CMake project of README.md is one of them.
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
version=$(sed -n 's/^VERSION = //p' Makefile)
for file in lib/libexec.a lib/libexec.so lib/pkgconfig/exec.pc lib/cmake/exec/exec-config.cmake include/exec.h \
    share/man/man7/libexec.7; do
    [ -f "$installed/$file" ] || { echo "not installed: $file"; exit 1; }
done
unreadable=$(find "$installed" ! -type l ! -perm -444)
[ -z "$unreadable" ] || { echo "not readable by all: $unreadable"; exit 1; }
echo "installed: $(find "$installed" ! -type d | wc -l) files"
checks=$((checks + 1))

# Below DESTDIR nothing is where exec.pc says; PKG_CONFIG_SYSROOT_DIR is how pkg-config is told so.
export PKG_CONFIG_LIBDIR="$installed/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$destdir"
pkg-config --exact-version="$version" exec

# try NAME COMPILER SOURCE FLAGS: compiles, and runs with nothing but the installed library.
try() {
    # shellcheck disable=SC2046,SC2086 # the compiler and the flags are lists of words
    $2 -Wall -Wextra -Wpedantic -Werror "$3" $(pkg-config --cflags exec) $4 -o "$work/program"
    LD_LIBRARY_PATH=$5 timeout 60 "$work/program" >"$work/log" || { echo "$1: exit status $?"; exit 1; }
    checks=$((checks + 1))
    echo "$1: $(cat "$work/log")"
}

# linked shared|static PROGRAM
linked() {
    needed=$(readelf -d "$2" | sed -n 's/.*NEEDED.*\[\(libexec.*\)\]$/\1/p')
    case $1 in
    shared) [ "$needed" = libexec.so.0 ] || { echo "$2: not linked by its soname"; exit 1; } ;;
    static) [ -z "$needed" ] || { echo "$2: linked with the shared library, not the static"; exit 1; } ;;
    esac
}

shared=$(pkg-config --libs exec)
static=$(pkg-config --static --libs exec | sed 's/-lexec/-l:libexec.a/')
for language in c c++; do
    case $language in
    c) compiler="${CC:-cc} -std=c11" source=test/install/consumer.c ;;
    c++) compiler="${CXX:-g++} -std=c++17" source=test/install/consumer.cc ;;
    esac
    try "$language, shared" "$compiler" "$source" "$shared" "$installed/lib"
    linked shared "$work/program"
    try "$language, static" "$compiler" "$source" "$static" ""
    linked static "$work/program"
done

# Below DESTDIR, too: what CMake reads says where things are from where it lies itself.
# by_cmake NAME DIRECTORY: configures, builds and tests the project that is there.
by_cmake() {
    {
        cmake -S "$2" -B "$work/cmake/$1" -DVERSION="$version" -DCMAKE_PREFIX_PATH="$installed" \
            -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF -DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF \
            -DCMAKE_C_COMPILER="${CC:-cc}" -DCMAKE_CXX_COMPILER="${CXX:-g++}" \
            -DCMAKE_C_FLAGS="-Wall -Wextra -Werror" -DCMAKE_CXX_FLAGS="-Wall -Wextra -Werror" &&
            cmake --build "$work/cmake/$1" && (cd "$work/cmake/$1" && ctest)
    } >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
}

by_cmake consumers test/install
for source in consumer.c consumer.cc; do
    linked shared "$work/cmake/consumers/$source-exec"
    linked static "$work/cmake/consumers/$source-exec_static"
    checks=$((checks + 2))
done
mkdir "$work/readme"
# shellcheck disable=SC2016 # backticks of Markdown
sed -n '/^```cmake$/,/^```$/{ /^```/d; p; }' README.md >"$work/readme/CMakeLists.txt"
cp test/install/consumer.c "$work/readme/app.c"
by_cmake app "$work/readme"
[ "$("$work/cmake/app/app")" = 144 ] || { echo "README.md's project does not run"; exit 1; }
checks=$((checks + 1))
echo "CMake: C and C++, shared and static, and README.md's project"

${MAKE:-make} -s uninstall DESTDIR="$destdir" PREFIX="$prefix" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
left=$(find "$destdir" ! -type d -o -type d -name exec)
[ -z "$left" ] || { echo "left by uninstall: $left"; exit 1; }
echo "uninstalled: nothing left"
checks=$((checks + 1))
echo "$checks passed, 0 failed"
