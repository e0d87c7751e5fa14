#!/bin/sh
# Checks how our files are written: the style of .clang-format, what cppcheck, clang-tidy and shellcheck see, and what
# no file may have. Prints a line a check, and "N passed, N failed" at the end. A tool that is not installed is named as
# not run, and counts as neither.
#
#     test/lint.sh       JOBS, from the environment: how many clang-tidy at once
#
# shellcheck disable=SC2013,SC2016,SC2046,SC2086 # lists of words, files without blanks; and backticks of Markdown
set -u

passed=0
failed=0
output=$(mktemp)
trap 'rm -f "$output"' EXIT

# result NAME: the check is passed when $output is empty.
result() {
    if [ -s "$output" ]; then
        failed=$((failed + 1))
        echo "FAILED   $1"
        head -n 100 "$output" | sed 's/^/    | /'
    else
        passed=$((passed + 1))
        echo "ok       $1"
    fi
}

# lint TOOL COMMAND...: the check is passed when the command, if there is such a tool, exits with 0.
lint() {
    if ! command -v "$1" >/dev/null; then
        echo "not run  $1: not installed"
        return
    fi
    name=$1
    shift
    "$@" >"$output" 2>&1
    status=$?
    [ $status -eq 0 ] && : >"$output"
    [ $status -eq 0 ] || [ -s "$output" ] || echo "exit status $status" >"$output"
    result "$name"
}

# Everything that is ours: what git tracks or would track; without git, all but build/.
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    files=$(git ls-files --cached --others --exclude-standard | while read -r file; do
        [ ! -f "$file" ] || echo "$file"
    done)
else
    files=$(find . -name build -prune -o -type f -print | sed 's,^\./,,')
fi
c_files=$(echo "$files" | grep '\.[ch]$')
sources=$(echo "$c_files" | grep '\.c$')
prose=$(echo "$files" | grep -v -e '^LICENSE$' -e '^test/lint\.sh$' -e '^test/fuzz/corpus/')

# All but its group "style". It is told what Criterion's macro stands for, and that it need not see system headers.
cppcheck_all() {
    cppcheck -q --std=c11 --enable=warning,performance,portability --error-exitcode=1 -Iinclude -Ilib -D_GNU_SOURCE \
        '-DTest(suite,name,...)=void suite##_##name(void)' '-D__has_include(header)=0' \
        --suppress=missingIncludeSystem $sources
}

tidy_checks='-*,clang-analyzer-*,bugprone-*,performance-*,portability-*,misc-redundant-expression,misc-misplaced-const,
readability-misleading-indentation,readability-redundant-control-flow,readability-duplicate-include,
-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling,-clang-analyzer-optin.performance.Padding,
-bugprone-easily-swappable-parameters,-bugprone-implicit-widening-of-multiplication-result,-bugprone-sizeof-expression,
-performance-no-int-to-ptr'

# Some examples need a library, by the Makefile's list: where that is missing, they are left out.
tidy_all() {
    sources=$(echo "$sources" | grep -v -E '^bench/peers/peer_(apr|glib|openmp|uv)') # need others' headers
    MODULES_CFLAGS=
    for needed in $(sed -n 's/^needs_\([a-z_]*\) = \(.*\)/\1:\2/p' Makefile); do
        if pkg-config --exists "${needed#*:}" 2>/dev/null; then
            MODULES_CFLAGS="$MODULES_CFLAGS $(pkg-config --cflags "${needed#*:}")"
        else
            sources=$(echo "$sources" | grep -v "^examples/${needed%:*}\.c$")
        fi
    done
    export MODULES_CFLAGS
    echo "$sources" | xargs -P "${JOBS:-$(nproc)}" -n 4 sh -c 'clang-tidy --quiet --warnings-as-errors="*" \
        --checks="$0" "$@" -- -std=c11 -D_GNU_SOURCE -Iinclude -Ilib $MODULES_CFLAGS 2>/dev/null' \
        "$(echo "$tidy_checks" | tr -d '\n')"
}

lint clang-format clang-format --dry-run -Werror $c_files
lint cppcheck cppcheck_all
lint clang-tidy tidy_all
lint shellcheck shellcheck -x $(echo "$files" | grep -e '\.sh$' -e '^\.ci/run$' -e '^debian/tests/consumer$')

awk 'length > 120 { print FILENAME ":" FNR ": longer than 120 columns" }' $prose >"$output"
result "lines of at most 120 columns"
grep -nE '[[:blank:]]+$' $prose >"$output"
result "no blanks at the end of a line"
grep -nP '\t' $(echo "$prose" | grep -v -e '^Makefile$' -e '^debian/rules$') >"$output"
result "no tabs, but in makefiles"
grep -nwE 'TODO|FIXME|XXX|HACK' $prose >"$output"
result "nothing left for later"
for file in $prose; do
    [ -z "$(tail -c 1 "$file")" ] || echo "$file"
done >"$output"
result "a newline at the end of each file"
for file in lib/*.c; do
    grep -q "^| \`$(basename "$file")\` |" README.md || echo "$file is not on README.md's map"
done >"$output"
sed -n 's/^| `\([a-z]*\.c\)` |.*/\1/p' README.md | while read -r file; do
    [ -f "lib/$file" ] || echo "README.md's map has $file, which is not in lib/"
done >>"$output"
result "README.md's map of lib/"

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
