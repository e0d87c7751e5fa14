#!/bin/sh
# Lets libFuzzer look for inputs that a fuzz target fails with, one target after the other, beginning with what the
# corpus has and with what was found before.
#
#     test/fuzz/fuzz.sh [NAME...]     NAME as in fuzz_NAME.c, all by default; EACH (60): seconds, CC, MAKE; MERGE=1:
#                                     instead, takes what was found into the corpus where it reaches code that
#                                     nothing there does
#
# Prints for each target how many inputs were run, what they have reached, and how many were found; and, as the last
# line, "N passed, N failed". The log is in build/fuzz/NAME.log.
set -u

seconds=${EACH:-60}
corpus=test/fuzz/corpus
found=build/fuzz
binaries=build/fuzz-clang/test/fuzz

[ $# -gt 0 ] || {
    for source in test/fuzz/fuzz_*.c; do
        name=${source##*/fuzz_}
        set -- "$@" "${name%.c}"
    done
}

programs=
for name; do
    programs="$programs $binaries/fuzz_$name"
done
# shellcheck disable=SC2086 # a list of programs
${MAKE:-make} -s CC="${CC:-clang}" VARIANT=fuzz $programs || exit

passed=0
failed=0
for name; do
    mkdir -p "$found/$name" "$corpus/$name"
    if [ -n "${MERGE-}" ]; then
        set -- -merge=1 -use_counters=0 "$corpus/$name" "$found/$name"
    else
        set -- -max_total_time="$seconds" -timeout=20 -max_len=4096 -print_final_stats=1 \
            "$found/$name" "$corpus/$name"
    fi
    if "$binaries/fuzz_$name" -artifact_prefix="$found/$name-" "$@" >"$found/$name.log" 2>&1; then
        passed=$((passed + 1))
        word=ok
    else
        failed=$((failed + 1))
        word=FAILED
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: //p' "$found/$name.log")
    reached=$(sed -n 's/.* \(cov: [0-9]* ft: [0-9]*\) .*/\1/p' "$found/$name.log" | tail -n 1)
    echo "$word  $name: ${runs:+$runs inputs, }$reached, $(find "$found/$name" -type f | wc -l) found"
    [ "$word" = ok ] || grep -vE '^(#|    #[0-9]|INFO|$)' "$found/$name.log" | tail -n 20 | sed 's/^/    | /'
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
