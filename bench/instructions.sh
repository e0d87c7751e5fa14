#!/bin/sh
# Counts the instructions that single operations take, by callgrind, and compares with bench/instructions.table: unlike
# times, counts are the same on a busy machine, and from one day to the next. Fails when one has grown by more than
# MOST_GROWTH per cent (10) since the table was written. The last line is "N passed, N failed"; an operation counts as
# one.
#
#     bench/instructions.sh [--update] PROGRAM       PROGRAM: count_operations, which says what is counted, and how
#
# With --update the table gets the counts of today. It holds for the compiler and the flags that its head names: under
# others, for which CC and CFLAGS are looked at, the figures are shown, and nothing is judged.
set -u

table=$(dirname "$0")/instructions.table
update=
[ "${1-}" != --update ] || {
    update=yes
    shift
}
[ $# -eq 1 ] || {
    echo "usage: bench/instructions.sh [--update] PROGRAM" >&2
    exit 2
}
program=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# As in "gcc 12.2.0, x86_64-linux-gnu, -O2 -g".
built_with() {
    flags=$(echo "${CFLAGS-}" | tr -s ' ')
    version=$(echo | ${CC:-cc} -dM -E - | sed -n 's/^#define __VERSION__ "\(.*\)"/\1/p')
    case $version in
    [0-9]*) version="gcc $version" ;;
    esac
    echo "$version, $(${CC:-cc} -dumpmachine), $flags"
}

# A line an operation: its name, and the instructions it takes. Without what is for debuggers, which valgrind may not
# understand.
count() {
    strip -g -o "$dir/program" "$program" || return
    valgrind --tool=callgrind --fair-sched=yes --callgrind-out-file="$dir/out" "$dir/program" >"$dir/times" \
        2>"$dir/errors" || {
        cat "$dir/errors" >&2
        return 1
    }
    awk 'NR == FNR { times[$1] = $2; next }
        /^desc: Trigger: Client Request: / { name = $NF }
        /^totals: / && name in times { printf "%s %.0f\n", name, $2 / times[name]; name = "" }' \
        "$dir/times" "$dir"/out.*
}

built=$(built_with)
if ! count >"$dir/counts"; then
    echo "0 passed, 1 failed"
    exit 1
fi

if [ -n "$update" ]; then
    awk -v built="$built" 'NR == FNR { now[$1] = $2; next }
        /^# Built with: / { print "# Built with: " built; next }
        $1 in now { sub(/ +[0-9]+/, sprintf("%*d", 30 - length($1), now[$1])) }
        { print }' "$dir/counts" "$table" >"$dir/table" && cp "$dir/table" "$table"
fi

of_table=$(sed -n 's/^# Built with: //p' "$table")
judge=yes
[ "$built" = "$of_table" ] || {
    judge=
    echo "The table is of $of_table. This is $built: nothing can be judged."
}

awk -v judge="$judge" -v most="${MOST_GROWTH:-10}" '
    function say(word, name, count, before, meaning) {
        seen[name] = 1
        n[word]++
        printf "%-8s %-22s %6d", word, name, count
        if (before > 0)
            printf "  table %6d  %+6.1f %%", before, (count / before - 1) * 100
        print "  " meaning
        less += word == "ok" && count < before * (1 - most / 100)
    }
    NR == FNR { now[$1] = $2; order[++operations] = $1; next }
    /^#/ || NF == 0 { next }
    !($1 in now) { say(judge ? "FAILED" : "skipped", $1, 0, 0, "is in the table, and was not counted"); next }
    {
        meaning = $0
        sub(/^[^ ]+ +[0-9]+ +/, "", meaning)
        say(!judge ? "skipped" : now[$1] > $2 * (1 + most / 100) ? "FAILED" : "ok", $1, now[$1], $2, meaning)
    }
    END {
        for (i = 1; i <= operations; i++)
            if (!(order[i] in seen))
                say(judge ? "FAILED" : "skipped", order[i], now[order[i]], 0, "is not in the table")
        if (less)
            print less " fewer by more than " most " %: make bench-instructions, lest they grow again unseen"
        if (n["skipped"])
            print n["skipped"] " could not be judged here"
        print n["ok"] + 0 " passed, " n["FAILED"] + 0 " failed"
        exit n["FAILED"] > 0
    }' "$dir/counts" "$table"
