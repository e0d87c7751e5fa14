#!/bin/sh
# Checks that programs linked with this libexec.so.0 will go on with the next one.
#
# 1. Its symbols, each with its version, are those recorded in debian/libexec0.symbols: what was ever released under
#    this soname, and since when. lib/libexec.map says what is exported; a name that is taken out there, or put in, must
#    be so here, too, by somebody who means it.
# 2. Where abidiff is installed (Debian's abigail-tools) and there is a release to compare with, the types of all
#    functions are the release's. A soname's types never change, and even an options struct never grows: who was linked
#    with the last one passes a shorter one. What breaks that gets the next SONAME. The release is built anew for this:
#    a dump in the tree would be thousands of lines that differ with every compiler.
#
#     test/check-abi.sh DIRECTORY       where libexec.so is; from the environment MAKE, CC, and BASE, the commit to
#                                       compare with, instead of the last tag v*
set -u

dir=$1
recorded=debian/libexec0.symbols
work=$dir/abi
rm -rf "$work"
mkdir -p "$work"
passed=0
failed=0

# result NAME: passed when $work/output is empty.
result() {
    if [ -s "$work/output" ]; then
        failed=$((failed + 1))
        echo "FAILED   $1"
        sed 's/^/    | /' "$work/output"
    else
        passed=$((passed + 1))
        echo "ok       $1"
    fi
}

soname() {
    readelf -d "$1" | sed -n 's/.*SONAME.*\[\(.*\)\]$/\1/p'
}

sed -n 's/^ \([^ ]*@[^ ]*\) .*/\1/p' $recorded | sort >"$work/recorded"
readelf --dyn-syms -W "$dir/libexec.so" | awk '$5 == "GLOBAL" && $7 != "UND" { sub(/@@/, "@", $8); print $8 }' |
    sed 's/^\([^@]*\)$/\1@\1/' | sort -u >"$work/exported" # the name of a version stands for itself
{
    [ "$(sed -n '1s/ .*//p' $recorded)" = "$(soname "$dir/libexec.so")" ] || echo "not the soname of $recorded"
    [ -s "$work/exported" ] || echo "no symbols found"
    comm -13 "$work/recorded" "$work/exported" | sed "s|\$|: exported, but not in $recorded|"
    comm -23 "$work/recorded" "$work/exported" | sed "s|\$|: in $recorded, but no longer exported|"
} >"$work/output"
result "$(wc -l <"$work/exported") symbols, as recorded in $recorded"

build_base() {
    git archive "$base" >"$work/base.tar" && tar -xf "$work/base.tar" -C "$work/base" || return
    old=build/release/libexec.so.$(sed -n 's/^VERSION = //p' "$work/base/Makefile")
    env -u MAKEFLAGS "${MAKE:-make}" -s -C "$work/base" CC="${CC:-cc}" CFLAGS='-O0 -g' "$old"
}

# Only what the public headers declare counts; abidiff's own --headers-dir takes lib/executor.h for exec/executor.h.
compare_types() {
    base=${BASE:-$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null)}
    [ -n "$base" ] || { echo "not run  types: there is no release (a tag v*) to compare with"; return; }
    command -v abidiff >/dev/null || { echo "not run  types: abidiff is not installed (abigail-tools)"; return; }
    mkdir "$work/base"
    if ! build_base >"$work/output" 2>&1; then
        echo "could not be built" >>"$work/output"
        result "$base"
        return
    fi
    old=$work/base/$old
    if [ "$(soname "$old")" != "$(soname "$dir/libexec.so")" ]; then
        echo "not run  types: $base has another soname"
        return
    fi
    printf '[suppress_type]\n  source_location_not_regexp = include/exec\n  drop = true\n' >"$work/suppress"
    abidiff --suppressions "$work/suppress" --no-added-syms "$old" "$dir/libexec.so" >"$work/output" 2>&1 &&
        : >"$work/output"
    result "the types of all functions, as in $base"
}
compare_types

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
