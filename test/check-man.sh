#!/bin/sh
# Checks that the manual agrees with the library: that mandoc finds nothing to object to; that what each SYNOPSIS
# declares is what the headers declare, and the other way round; that the fields, constants and errors of the headers
# are in the manual; and that every program in an EXAMPLES section, and in README.md, compiles, runs and exits with 0.
#
#     test/check-man.sh CC INCLUDE LIBEXEC_A        CC may hold options: "gcc -fsanitize=address"
#
# Prints every disagreement, then what it counted. A count of zero fails, too.
set -u
export LC_ALL=C

if [ $# -ne 3 ]; then
    echo "usage: $0 CC INCLUDE LIBEXEC_A" >&2
    exit 2
fi
command -v mandoc >/dev/null || { echo "check-man: mandoc is needed (the package of the same name)" >&2; exit 2; }
cc=$1
include=$(cd "$2" && pwd) || exit 2
lib=$(cd "$(dirname "$3")" && pwd)/$(basename "$3") || exit 2
root=$(cd "$(dirname "$0")/.." && pwd)
tab=$(printf '\t')
strict='-std=c11 -Wall -Wextra -Wpedantic -Werror'
limit=20 # seconds for one program
failures=0
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/run" "$work/none" "$work/programs"

fail() {
    echo "check-man: $*" >&2
    failures=$((failures + 1))
}

# Complains of every line of a file, in the words given.
fail_each() {
    while IFS= read -r line; do
        fail "$line $2"
    done <"$1"
}

# Complains of lines that only one of two lists has.
same_lists() { # LIST WHOSE LIST WHOSE
    sort -u "$1" >"$work/left"
    sort -u "$3" >"$work/right"
    comm -23 "$work/left" "$work/right" >"$work/only"
    fail_each "$work/only" "is in $2, but not in $4"
    comm -13 "$work/left" "$work/right" >"$work/only"
    fail_each "$work/only" "is in $4, but not in $2"
}

count() { # NUMBER WHAT
    [ "$1" -gt 0 ] || fail "$2: none found"
    summary="${summary:+$summary, }$2: $1"
}

# What the headers hold, a line each, with tabs between:
#     function NAME DECLARATION ERRORS        (those that its comment names)
#     type     NAME DECLARATION
#     field    STRUCT DECLARATION
#     constant NAME
read_headers() {
    awk '
    function squeeze(s) { gsub(/[ \t\n]+/, " ", s); sub(/^ /, "", s); sub(/ $/, "", s); return s }
    function errors(s,    words, n, i, found) {
        n = split(s, words, /[^A-Za-z0-9_]+/)
        for (i = 1; i <= n; i++)
            if (words[i] ~ /^E[A-Z]+$/ && words[i] !~ /^EXEC/) found = found " " words[i]
        return found
    }
    function members(list, separator, kind, owner,    parts, n, i) {
        n = split(list, parts, separator)
        for (i = 1; i <= n; i++)
            if (squeeze(parts[i]) != "") print kind "\t" owner squeeze(parts[i])
    }
    function declared(s,    name, list) {
        s = squeeze(s)
        name = s
        if (s ~ /\{/) {
            list = s
            sub(/^[^{]*\{/, "", list)
            sub(/\}[^}]*$/, "", list)
            sub(/^.*\} */, "", name)
            if (s ~ /^enum/) members(list, ",", "constant", "")
            else if (name ~ /_opts$/) members(list, ";", "field", name "\t")
        } else if (s ~ /^typedef/) {
            if (s ~ /^typedef (struct|enum)/) return
            sub(/\(.*/, "", name)
            sub(/^.*[ *]/, "", name)
            print "type\t" name "\t" s
        } else if (s ~ /\(/) {
            sub(/\(.*/, "", name)
            sub(/^.*[ *]/, "", name)
            print "function\t" name "\t" s "\t" errors(contract)
        }
    }
    function code(s,    i, c) {
        for (i = 1; i <= length(s); i++) {
            c = substr(s, i, 1)
            depth += (c == "{") - (c == "}")
            if (c == ";" && depth == 0) { declared(pending); pending = "" }
            else pending = pending c
        }
        pending = pending "\n"
    }
    {
        line = $0
        while (line != "") {
            if (comment) {
                end = index(line, "*/")
                contract = contract " " (end ? substr(line, 1, end - 1) : line)
                line = end ? substr(line, end + 2) : ""
                comment = !end
            } else {
                start = index(line, "/*")
                if (start == 1 && line == $0) contract = ""
                text = text (start ? substr(line, 1, start - 1) : line)
                line = start ? substr(line, start + 2) : ""
                comment = start > 0
            }
        }
        if (text ~ /^#ifdef __cplusplus/) cplusplus = 1
        if (text ~ /^#define EXEC_/ && text !~ /^#define EXEC_([A-Z]+_)?H$/) {
            name = substr(text, 9)
            sub(/[^A-Z_].*/, "", name)
            print "constant\t" name
        } else if (text !~ /^#/ && !cplusplus) {
            code(text)
        }
        if (text ~ /^#endif/) cplusplus = 0
        text = ""
    }' "$@"
}

# The declarations in a SYNOPSIS, a line each: KIND, the number of its line, and the declaration as a header writes it.
# A kind is function, type, or macro.
read_synopsis() {
    awk '
    function words(s,    list) { # "a b" "c d" or a b: separated by tabs
        while (match(s, /"[^"]*"|[^ "]+/)) {
            list = list (list == "" ? "" : "\t") substr(s, RSTART, RLENGTH)
            s = substr(s, RSTART + RLENGTH)
        }
        gsub(/"/, "", list)
        return list
    }
    function put(args) {
        print (type ~ /^typedef/ ? "type" : "function") "\t" NR "\t" type (type ~ /\*$/ ? "" : " ") name "(" args ")"
    }
    /^\.Sh/ { inside = $2 == "SYNOPSIS" }
    !inside { next }
    /^\.Ft/ { type = substr($0, 5) }
    /^\.Fd/ { print "macro\t" NR "\t" substr($0, 5) }
    /^\.Vt typedef/ { s = substr($0, 5); sub(/ *;$/, "", s); print "type\t" NR "\t" s }
    /^\.Fo/ { name = $2; args = "" }
    /^\.Fa/ { args = args (args == "" ? "" : "\t") words(substr($0, 5)) }
    /^\.Fc/ { gsub(/\t/, ", ", args); put(args) }
    /^\.Fn/ {
        args = words(substr($0, 5))
        name = args
        sub(/\t.*/, "", name)
        if (!sub(/^[^\t]*\t/, "", args)) args = ""
        gsub(/\t/, ", ", args)
        put(args)
    }' "$1"
}

# Cuts the programs out of an EXAMPLES section: $2-1.c, $2-2.c and so on.
cut_examples() {
    awk -v stem="$2" '
    /^\.Sh/ { inside = $2 == "EXAMPLES" }
    inside && /^\.Bd -literal/ { literal = 1; text = ""; next }
    inside && /^\.Ed/ {
        literal = 0
        if (text ~ /main\(/) printf "%s", text >(stem "-" ++n ".c")
        next
    }
    literal {
        sub(/^\\&/, "")
        gsub(/\\-/, "-"); gsub(/\\\(aq/, "\047"); gsub(/\\\(ha/, "^"); gsub(/\\\(ti/, "~"); gsub(/\\\(ga/, "`")
        gsub(/\\e/, "\\")
        text = text $0 "\n"
    }' "$1"
}

cut_readme() {
    awk -v stem="$2" '
    /^```/ {
        if (inside && text ~ /main\(/) printf "%s", text >(stem "-" ++n ".c")
        inside = !inside && $0 ~ /^```c$/
        text = ""
        next
    }
    inside { text = text $0 "\n" }' "$1"
}

# Compiles and runs the programs of one stem; sets ran to how many there were.
run_programs() {
    ran=0
    for program in "$1"-*.c; do
        [ -f "$program" ] || return 0
        ran=$((ran + 1))
        # shellcheck disable=SC2086 # the compiler and the options are lists of words
        if ! $cc $strict -I"$include" -o "$work/run/program" "$program" "$lib" -pthread >"$work/output" 2>&1; then
            fail "$2, program $ran: does not compile"
            head -n 20 "$work/output" >&2
            continue
        fi
        (cd "$work/run" && exec timeout -k 1 "$limit" ./program </dev/null >"$work/output" 2>&1)
        status=$?
        case $status in
        0) continue ;;
        124 | 137) fail "$2, program $ran: runs for longer than $limit s" ;;
        *) fail "$2, program $ran: exit status $status" ;;
        esac
        tail -n 20 "$work/output" >&2
    done
}

# The words of a page that look like errors, its examples left out.
page_errors() {
    awk '/^\.Sh/ { inside = $2 != "EXAMPLES" } inside' "$1" | grep -ow 'E[A-Z]*' | grep -v '^EXEC' | sort -u
}

cd "$root/man" || exit 2
summary=

# Every page; and where each name leads: to itself, or as a mere .so to another.
: >"$work/pages"
: >"$work/leads"
for page in *.[1-9]; do
    [ -f "$page" ] || continue
    target=$page
    case $(head -n 1 "$page") in
    .so*) target=$(sed -n '1s,^\.so man\([1-9]\)/\(.*\.\1\)$,\2,p' "$page") ;;
    *) echo "$page" >>"$work/pages" ;;
    esac
    if [ ! -f "$target" ] || { [ "$target" != "$page" ] && grep -q '^\.so' "$target"; }; then
        fail "$page: does not lead to a page"
    fi
    echo "$page$tab$target" >>"$work/leads"
done
count "$(wc -l <"$work/pages")" "pages"
count "$(wc -l <"$work/leads")" "names of pages"

# 1. mandoc. Whether the pages of others are installed is not its business here; our own are looked for below.
while read -r page; do
    MANPATH=$work/none mandoc -T lint -W style "$page" 2>&1 |
        grep -v -e 'STYLE: referenced manual not found' -e '^mandoc: outdated mandoc.db' >"$work/output"
    fail_each "$work/output" ""
done <"$work/pages"
awk '
    /^\.Sh/ { synopsis = $2 == "SYNOPSIS" }
    $2 !~ /^(exec|executor|future|libexec)(_|$)/ { next }
    $1 == ".Xr" { print $2 "." $3 }
    $1 == ".Fn" && !synopsis { print $2 ".3" }' ./*.[1-9] | sort -u >"$work/references"
cut -f 1 "$work/leads" | sort | comm -23 "$work/references" - >"$work/only"
fail_each "$work/only" "is referred to, and is not there"
count "$(wc -l <"$work/references")" "references"

# 2. Each SYNOPSIS and the headers: declared again after <exec.h>, a difference in type is an error of the compiler; as
# text, the names of parameters must agree, too, and nothing may be left out on either side.
read_headers "$include"/exec.h "$include"/exec/*.h >"$work/headers"
printf '#define _GNU_SOURCE\n#include <exec.h>\n' >"$work/redeclare.c"
: >"$work/held"
while read -r page; do
    read_synopsis "$page" >"$work/synopsis"
    awk -F '\t' -v page="$page" '{ print page "\t" $3 }' "$work/synopsis" >>"$work/held"
    awk -F '\t' -v page="$page" '
        { print "#line " $2 " \"" page "\"\n" $3 ($1 == "macro" ? "" : ";") }' "$work/synopsis" >>"$work/redeclare.c"
    awk -F '\t' '$1 == "function" { print $3 }' "$work/synopsis" | sed 's/(.*//; s/.*[ *]//' >"$work/declared"
    awk '/^\.Sh/ { inside = $2 == "NAME" } inside && /^\.Nm/ { print $2 }' "$page" >"$work/named"
    case $page in
    *.3) same_lists "$work/named" "the NAME of $page" "$work/declared" "its SYNOPSIS" ;;
    esac
done <"$work/pages"
# shellcheck disable=SC2086 # the compiler and the options are lists of words
if ! $cc $strict -I"$include" -c -o "$work/redeclare.o" "$work/redeclare.c" >"$work/output" 2>&1; then
    fail "a SYNOPSIS and the headers declare different things:"
    cat "$work/output" >&2
fi
awk -F '\t' '$1 == "function" || $1 == "type" { print $3 }' "$work/headers" >"$work/in_headers"
cut -f 2 "$work/held" | grep -v '^#' >"$work/in_pages"
same_lists "$work/in_headers" "the headers" "$work/in_pages" "a SYNOPSIS"
count "$(wc -l <"$work/in_pages")" "declarations"

# Each function has a page of its name, which declares it, and has every error that the function's comment names.
awk -F '\t' '$1 == "function"' "$work/headers" >"$work/functions"
while IFS=$tab read -r _ name declaration errors; do
    page=$(awk -F '\t' -v name="$name.3" '$1 == name { print $2 }' "$work/leads")
    if [ -z "$page" ]; then
        fail "$name has no page"
        continue
    fi
    grep -qxF "$page$tab$declaration" "$work/held" || fail "$page: its SYNOPSIS has no $declaration"
    page_errors "$page" >"$work/errors"
    for error in $errors; do
        grep -qx "$error" "$work/errors" || fail "$page: has no $error, which the header names for $name"
    done
done <"$work/functions"
count "$(wc -l <"$work/functions")" "functions"

# The table of errors in libexec(7) has those of all other pages.
while read -r page; do
    sed -n 's/^\.It Bq Er //p' "$page" >>"$work/errors_of_${page##*.}"
done <"$work/pages"
same_lists "$work/errors_of_7" "the table of libexec.7" "$work/errors_of_3" "an ERRORS section"
count "$(sort -u "$work/errors_of_7" | wc -l)" "errors"

# 3. The programs.
programs=0
while read -r page; do
    cut_examples "$page" "$work/programs/$page"
    run_programs "$work/programs/$page" "$page"
    [ "$ran" -gt 0 ] || fail "$page: has no program in EXAMPLES"
    programs=$((programs + ran))
done <"$work/pages"
count "$programs" "programs in pages"
cut_readme "$root/README.md" "$work/programs/README"
run_programs "$work/programs/README" README.md
count "$ran" "programs in README.md"

# 4. The fields of the options, below an .Ss of their struct, and the constants.
awk -F '\t' '$1 == "field" { print $2 ": " $3 }' "$work/headers" >"$work/in_headers"
awk '
    /^\.S[sh]/ { struct = $2 }
    struct ~ /_opts$/ && /^\.It Fa "/ { sub(/^\.It Fa "/, ""); sub(/"$/, ""); print struct ": " $0 }' \
    ./*.[1-9] >"$work/in_pages"
same_lists "$work/in_headers" "the headers" "$work/in_pages" "a page"
count "$(wc -l <"$work/in_headers")" "fields"
awk -F '\t' '$1 == "constant" { print $2 }' "$work/headers" >"$work/in_headers"
awk '/^\.(It )?Dv/ || /^\.Fd #define/' ./*.[1-9] |
    grep -ow -e 'EXEC_[A-Z_]*' -e 'EXECUTOR_[A-Z_]*' -e 'FUTURE_[A-Z_]*' >"$work/in_pages"
same_lists "$work/in_headers" "the headers" "$work/in_pages" "a page"
count "$(wc -l <"$work/in_headers")" "constants"

if [ "$failures" -gt 0 ]; then
    echo "check-man: disagreements: $failures ($summary)" >&2
    exit 1
fi
echo "check-man: all agree ($summary)"
