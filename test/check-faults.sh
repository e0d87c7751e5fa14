#!/bin/sh
# What the fault programs have reached, put together from their PROGRAM.sites. Each must have been run since it was
# built. Fails when
#
# - a call of the library that could fail (test/fault_sites.h) was never made to,
# - the library calls a function of the system which is neither there nor said below not to fail,
# - nothing ever failed in a public function (lib/libexec.map), unless it is said below that nothing can,
# - or what is said below is not so (any more): it did fail, or lib/ has no such name. Of the names which the compiler
#   and libc make of others it is not noticed when they are used no more: some are only with one of these.
#
#     test/check-faults.sh [-v] DIRECTORY       -v: also each site, and where each public function failed
set -u

verbose=
[ "${1-}" != -v ] || {
    verbose=yes
    shift
}
dir=$1
work=$dir/faults
rm -rf "$work"
mkdir -p "$work"
status=0

# Sites that cannot be made to fail, and why: a line each, FUNCTION() CALL: REASON.
cannot_be_made() {
    cat <<'END'
create_on_cpus() pthread_setaffinity_np: where attributes know no CPUs, to go back to those that it had before (musl)
END
}

# Functions of the system that cannot fail as the library calls them, or whose failure means nothing. One a line; a
# name before a colon is one.
cannot_fail() {
    cat <<'END'
pthread_mutex_lock pthread_mutex_unlock pthread_mutex_destroy: only by a misuse, for a mutex of the default kind
pthread_mutex_trylock: says EBUSY, as one that is in use does in the stress programs
pthread_cond_wait pthread_cond_timedwait: only by a misuse; they may wake for no reason, as stress programs have them do
pthread_cond_signal pthread_cond_broadcast pthread_cond_destroy pthread_condattr_destroy: never
pthread_join pthread_detach pthread_self pthread_once pthread_attr_destroy: only by a misuse
pthread_setcancelstate pthread_sigmask sigfillset: only for an argument that there is not
__pthread_register_cancel __pthread_unregister_cancel __sigsetjmp _setjmp _longjmp: never
sem_post: beyond SEM_VALUE_MAX, which is more than there are threads
sem_destroy: only by a misuse
sched_yield getpid gettid: never
fileno: for a stream without a descriptor, as isatty() and ioctl() then do
freelocale uselocale: never, for a locale that there is
snprintf vsnprintf: only beyond INT_MAX; what is too long is cut off, or seen by the result
getenv secure_getenv strerror_l: never
qsort: goes on in place when memory is short
stderr: a variable
memchr memcmp memcpy memset strchr strcmp strcspn strlen strncmp strnlen strrchr strspn strtol atoll: never
END
}

# The same, of names that the compiler and libc make of others.
made_of_others() {
    cat <<'END'
_Unwind_Resume __gcc_personality_v0 __stack_chk_fail _GLOBAL_OFFSET_TABLE_ __tls_get_addr abort: the compiler's
_pthread_cleanup_push _pthread_cleanup_pop __pthread_cleanup_routine: of pthread_cleanup_push() and its end
__errno_location: of errno
__sched_cpucount __sched_cpufree __sysconf: of CPU_COUNT(), CPU_FREE(), PTHREAD_STACK_MIN; never
strtoll __isoc23_strtoll __isoc23_strtol: of atoll() and strtol()
END
}

# Public functions in which nothing can fail: they ask the system for nothing, as their manual pages say.
asks_for_nothing() {
    cat <<'END'
exec_attempt exec_cancelled exec_fail: read, or make, what the task is told
exec_cron_check: reads a text
exec_histogram_percentile executor_histogram executor_stats executor_workers: read numbers
exec_limiter_destroy exec_limiter_in_flight exec_limiter_limit: a lock, and what it guards
exec_queue_close exec_queue_destroy exec_queue_len: a lock, and what it guards
executor_request_shutdown: atomic variables and a semaphore
executor_join executor_destroy: wait for threads
future_arg future_done future_name future_ref future_state: read, or count
END
}

# names: of lists as above.
names() {
    sed 's/:.*//' | tr ' ' '\n' | grep -v '^$' | sort -u
}

# not_in_lib: those of the names, one a line, which the library's files do not have.
not_in_lib() {
    while read -r name; do
        grep -qw -e "$name" lib/*.[ch] || echo "$name"
    done
}

# complain FILE ABOUT: each of its lines is a reason to fail.
complain() {
    [ -s "$1" ] || return 0
    sed "s|\$|: $2|" "$1"
    status=1
}

# count FILE WHAT
count() {
    echo "$(wc -l <"$1") $2"
}

for source in test/fault_*.c; do
    program=$dir/${source%.c}
    if [ -x "$program" ] && grep -q '^total' "$program.sites" 2>/dev/null &&
        [ -z "$(find "$program" -newer "$program.sites")" ]; then
        cat "$program.sites" >>"$work/all"
    else
        echo "$program has not been run to its end"
        status=1
    fi
done
[ -s "$work/all" ] || exit 1

# --- sites: those of an inline function, and of several programs, are one ---

awk -F '\t' '$1 == "site" { key = $2 " " $3 " " $4; reached[key] += $5; failed[key] += $6 }
    END { for (key in reached) print key, reached[key], failed[key] }' "$work/all" |
    sort -t : -k 1,1 -k 2,2n >"$work/sites"
awk '$5 == 0 { print $2, $3 }' "$work/sites" | sort -u >"$work/unfailed"
cannot_be_made | sed 's/:.*//' | sort -u >"$work/excused"
awk '{ print $2, $3 }' "$work/sites" | sort -u | comm -23 - "$work/unfailed" | comm -12 - "$work/excused" \
    >"$work/wrongly-excused"
comm -23 "$work/unfailed" "$work/excused" >"$work/missing-names"
awk 'NR == FNR { missing[$0]; next } ($2 " " $3) in missing && $5 == 0 {
    print $1 ": " $3 " in " $2 ($4 > 0 ? ", reached" : "") }' "$work/missing-names" "$work/sites" >"$work/missing"
comm -12 "$work/unfailed" "$work/excused" >"$work/excused-here"
complain "$work/missing" "never made to fail"
complain "$work/wrongly-excused" "said to be beyond our reach, but is not"

# --- what the library calls: the functions that have sites go by another name here ---

nm -u "$dir"/lib/*-fault.o | awk '$1 == "U" { sub(/@.*/, "", $2); print $2 }' |
    grep -v -E '^(fault_|exec_|executor_|future_|__(asan|ubsan|tsan|sanitizer|gcov)_)' | sort -u >"$work/called"
{
    cannot_fail
    made_of_others
} | names >"$work/harmless"
comm -23 "$work/called" "$work/harmless" >"$work/unknown"
complain "$work/unknown" "called by the library, has no site, and is not known not to fail"
{
    cannot_fail
    cannot_be_made | sed 's/()//'
} | names | not_in_lib >"$work/gone"
complain "$work/gone" "said not to fail, but the library has no such name"

# --- public functions ---

sed -n 's/^ *\([a-z][a-z0-9_]*\);$/\1/p' lib/libexec.map | sort -u >"$work/public"
awk -F '\t' '$1 == "public" { print $2 }' "$work/all" | sort -u >"$work/failing"
asks_for_nothing | names >"$work/asking-nothing"
comm -23 "$work/public" "$work/failing" | comm -23 - "$work/asking-nothing" >"$work/untried"
comm -12 "$work/failing" "$work/asking-nothing" >"$work/wrongly-listed"
comm -13 "$work/public" "$work/asking-nothing" >>"$work/wrongly-listed"
complain "$work/untried" "nothing has ever failed in it"
complain "$work/wrongly-listed" "said to ask for nothing, but something has failed in it, or it is not public"

# --- the report ---

if [ -n "$verbose" ]; then
    echo "site, function, call, reached while armed, made to fail:"
    sed 's/^/  /' "$work/sites"
    echo "public function, and the scenarios in which something failed in it:"
    awk -F '\t' '$1 == "public" && !seen[$0]++ { in_[$2] = in_[$2] (in_[$2] == "" ? "" : "; ") $3 }
        END { for (name in in_) print "  " name ": " in_[name] }' "$work/all" | sort
    asks_for_nothing | sed 's/^/  asks for nothing: /'
fi
count "$work/sites" sites
awk '{ reached += $4 > 0; failed += $5 > 0 }
    END { print reached + 0 " reached"; print failed + 0 " made to fail" }' "$work/sites"
count "$work/excused-here" "beyond our reach"
count "$work/called" "other functions called, which cannot fail"
count "$work/public" "public functions"
count "$work/failing" "in which something failed"
count "$work/asking-nothing" "which ask for nothing"
awk -F '\t' '
    $1 == "total" { scenarios += $2; alone += $3; pairs += $4; interrupted += $5; failures += $6; seconds += $7 }
    END { printf "%d scenarios: %d calls failed alone, %d pairs, %d interrupted; %d failures in all, %.1f s\n",
        scenarios, alone, pairs, interrupted, failures, seconds }' "$work/all"
exit $status
