#!/bin/sh
# Checks that each public header compiles alone, and twice, without a warning: as C11 under gcc and clang, and as C++17.
# CC, from the environment, is tried, too. A compiler that is not installed is named as not tried.
set -u

status=0
tried=0
check() {
    for header in $(cd include && find . -name '*.h' | sed 's,^\./,,' | sort); do
        printf '#include <%s>\n#include <%s>\n' "$header" "$header" |
            $1 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -Iinclude -x "$2" - || {
            echo "$header does not compile alone with: $1"
            status=1
        }
        tried=$((tried + 1))
    done
}

for compiler in gcc clang ${CC-}; do
    if command -v "$compiler" >/dev/null; then
        check "$compiler -std=c11" c
    else
        echo "$compiler is not installed: not tried"
    fi
done
for compiler in g++ clang++; do
    if command -v "$compiler" >/dev/null; then
        check "$compiler -std=c++17" c++
    else
        echo "$compiler is not installed: not tried"
    fi
done
echo "$tried compilations"
[ $tried -gt 0 ] && exit $status
