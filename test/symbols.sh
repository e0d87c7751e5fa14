#!/bin/sh
# Checks that the functions the headers declare, those lib/libexec.map lists, and those libexec.so exports are the same;
# that the library has its soname; that libexec.a defines no name which could be a user's; and that the static
# tracepoints that lib/probe.h names are there, where <sys/sdt.h> is.
#
#     test/symbols.sh DIRECTORY       where the libraries are; CC from the environment
set -u

dir=$1
work=$dir/symbols
rm -rf "$work"
mkdir -p "$work"
status=0

# same FILE WHAT FILE WHAT: complains about each line that only one of them has.
same() {
    sort -u "$1" >"$1.sorted"
    sort -u "$3" >"$3.sorted"
    comm -23 "$1.sorted" "$3.sorted" | sed "s|\$|: in $2, but not in $4|" >"$work/differences"
    comm -13 "$1.sorted" "$3.sorted" | sed "s|\$|: in $4, but not in $2|" >>"$work/differences"
    [ -s "$work/differences" ] || return
    cat "$work/differences"
    status=1
}

# A declaration starts at the left margin; a typedef of a function is none.
${CC:-cc} -std=c11 -E -P -Iinclude include/exec.h | sed '/^typedef/d; /^ /d' |
    grep -oE '\b(exec|executor|future)_[a-z0-9_]+ *\(' | tr -d ' (' >"$work/headers"
sed -n 's/^ *\([a-z][a-z0-9_]*\);$/\1/p' lib/libexec.map >"$work/map"
nm -D --defined-only "$dir/libexec.so" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' >"$work/exported"
nm -g --defined-only "$dir/libexec.a" |
    awk 'NF == 3 && $3 !~ /^(exec|executor|future)_/ && $3 !~ /[.]/ { print $3 }' >"$work/foreign"

[ -s "$work/headers" ] || { echo "no declarations found"; exit 1; }
same "$work/headers" "the headers" "$work/map" "lib/libexec.map"
same "$work/headers" "the headers" "$work/exported" "libexec.so"
while read -r name; do
    echo "libexec.a: $name could be a user's name"
    status=1
done <"$work/foreign"
readelf -d "$dir/libexec.so" | grep -q 'SONAME.*\[libexec\.so\.0\]' || { echo "not its soname"; status=1; }

if echo '#include <sys/sdt.h>' | ${CC:-cc} -fsyntax-only -x c - 2>/dev/null; then
    sed -n 's/^ \*     \(.*)\)  .*/\1/p' lib/probe.h | tr ',' '\n' |
        sed -n 's/^ *\([a-z][a-z]*\)(.*/\1/p' >"$work/documented"
    readelf -n "$dir/libexec.so" | sed -n 's/^ *Name: //p' >"$work/probes"
    same "$work/documented" "lib/probe.h" "$work/probes" "libexec.so's tracepoints"
fi

echo "$(wc -l <"$work/headers.sorted") functions"
exit $status
