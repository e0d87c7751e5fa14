#!/bin/sh
# Runs commands, JOBS (1) at a time, each with a limit on its time, and says how each went. The last line of the report
# is "N passed, N failed", where Criterion's tests count one by one, and any other command as one.
#
#     test/run.sh COMMAND...       each one argument; CC and VARIANT, from the environment, as in the Makefile
#
# A command fails by its status; by running longer than LIMIT seconds (600); as a Criterion program that had no test;
# and by a report that a sanitizer or valgrind left, whatever its status, since Criterion does not look at the status of
# the processes in which it runs tests. Status 77 says that it could not be run here: it is shown and counts as neither.
set -u

# One seed for all, said once: test/perturb/perturb.c.
case ${VARIANT-} in
perturbed*)
    if [ -z "${EXEC_PERTURB_SEED-}" ]; then
        EXEC_PERTURB_SEED=$(($(date +%s%N) % 1000000007))
        export EXEC_PERTURB_SEED
        echo "EXEC_PERTURB_SEED=$EXEC_PERTURB_SEED"
    fi
    ;;
esac

# With more than one job: as many of this script, each with a part of the commands.
if [ "${JOBS:-1}" -gt 1 ]; then
    parts=build/parts.$$
    mkdir -p "$parts"
    trap 'rm -rf "$parts"' EXIT
    for job in $(seq "$JOBS"); do
        (
            i=0
            for command; do
                shift
                [ $((i % JOBS + 1)) -ne "$job" ] || set -- "$@" "$command"
                i=$((i + 1))
            done
            [ $# -eq 0 ] || JOBS=1 "$0" "$@"
        ) | tee "$parts/$job" | grep --line-buffered -vE '^[0-9]+ (passed, [0-9]+ failed|could not be run here)$' &
    done
    wait
    sed -n 's/^\([0-9]*\) could not be run here$/\1/p' "$parts"/* |
        awk '{ n += $1 } END { if (n) print n " could not be run here" }'
    sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$parts"/* |
        awk '{ p += $1; f += $2 } END { print p + 0 " passed, " f + 0 " failed"; exit !(p > 0 && f == 0) }'
    exit
fi

reports=build/run.$$
output=$reports/output
rm -rf "$reports"
mkdir -p "$reports"
trap 'rm -rf "$reports"' EXIT

case ${VARIANT:-release} in
asan | perturbed-asan)
    export ASAN_OPTIONS="detect_leaks=1:log_path=$PWD/$reports/report:${ASAN_OPTIONS-}"
    export UBSAN_OPTIONS="print_stacktrace=1:log_path=$PWD/$reports/report:${UBSAN_OPTIONS-}"
    ;;
tsan | perturbed-tsan)
    export TSAN_OPTIONS="log_path=$PWD/$reports/report:${TSAN_OPTIONS-}"
    ;;
valgrind)
    test/need.sh valgrind || exit
    # Valgrind runs one thread at a time: without --fair-sched, a thread that waits may never have its turn while others
    # are busy.
    # The leaks of a forked child do not count: it inherits what only threads knew of that are gone. Its errors do,
    # by its exit status.
    under="valgrind -q --fair-sched=yes --error-exitcode=1 --trace-children=yes --leak-check=full
        --errors-for-leak-kinds=none --child-silent-after-fork=yes --log-file=$PWD/$reports/report.%p"
    ;;
esac

passed=0
failed=0
skipped=0
for command; do
    began=$(date +%s%N)
    # shellcheck disable=SC2086 # valgrind and its options are a list of words
    timeout -k 5 "${LIMIT:-600}" ${under-} sh -c "exec $command" >"$output" 2>&1
    status=$?
    took=$((($(date +%s%N) - began) / 100000000))
    find "$reports" -name "report*" -type f -size 0 -delete
    bad=$(find "$reports" -name "report*" -type f | wc -l)
    tests=1
    good=$((status == 0))
    note=
    if grep -q 'Synthesis: Tested:' "$output"; then
        tests=$(sed -n 's/.*Synthesis: Tested: \([0-9]*\) .*/\1/p' "$output" | tail -n 1)
        good=$(sed -n 's/.*| Passing: \([0-9]*\) .*/\1/p' "$output" | tail -n 1)
        note=" ($tests tests)"
    fi
    [ $((tests - good)) -ge "$bad" ] || good=$((tests - bad))
    if [ $status -eq 0 ] && [ "$good" -eq "$tests" ] && [ "$tests" -gt 0 ]; then
        word="ok"
        passed=$((passed + good))
    elif [ $status -eq 77 ]; then
        word="skipped"
        skipped=$((skipped + 1))
    else
        word="FAILED"
        [ "$good" -ge "$tests" ] && good=$((tests > 0 ? tests - 1 : 0))
        [ "$good" -ge 0 ] || good=0
        [ "$tests" -gt 0 ] || tests=1
        passed=$((passed + good))
        failed=$((failed + tests - good))
        [ $status -ne 124 ] || note="$note: longer than ${LIMIT:-600} s"
    fi
    printf '%-8s %4d.%d s  %s\n' "$word" $((took / 10)) $((took % 10)) "$command$note"
    if [ "$word" != ok ]; then
        tail -n 200 "$output" | sed 's/^/    | /'
        find "$reports" -name "report*" -type f -exec head -n 100 {} + | sed 's/^/    | /'
    fi
    rm -f "$reports"/report*
done
[ "$skipped" -eq 0 ] || echo "$skipped could not be run here"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
