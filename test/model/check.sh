#!/bin/sh
# Checks the models of the protocols in lib/ (test/model/*.pml, Promela), each exhaustively, with spin: that they hold
# as they are, and that each of their mutations, in which one check or fence is left out, is caught. Prints a line a
# run, and "N passed, N failed" at the end. What it makes goes to build/model/.
#
#     test/model/check.sh [MODEL...]       all, if none is named; from the environment CC, QUICK (1), and JOBS, how many
#                                          models at a time (1)
#
# A model's head says what to run:
#
#     Run: holds|assertion|deadlock|cycle [OPTION...]       what is to come of it, and options of its preprocessor
#
# With "Run long:" it is left out where QUICK is set.
#
# A run "holds" when the whole of its states has been searched, within the limits of depth and memory, without an
# error. Any other is to find the error that it names: an assertion violated, an invalid end state, or an acceptance
# cycle under weak fairness. With -DLIVENESS acceptance cycles are searched for, else invalid end states and failed
# assertions.
#
# And it says which functions it models, "Functions FILE: NAME...". Each of those must be there, and the .c file must
# name the model.
set -u

cd "$(dirname "$0")/../.." || exit
test/need.sh spin || exit
made=build/model
[ -n "${QUICK-}" ] && lengths='' || lengths='( long)?'
DEPTH=2000000
MEMORY=4000 # MiB
passed=0
failed=0

# result STATUS: of the check whose line was printed last.
result() {
    if [ "$1" -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
}

# The functions that a model names are defined where it says, and the sources name the model.
check_references() {
    sed -n 's/^ \* Functions \(.*\): \(.*\)$/\1 \2/p' "test/model/$1.pml" | while read -r file names; do
        for name in $names; do
            grep -qE "^[a-zA-Z].*[ *]$name\(" "$file" 2>/dev/null || echo "$file has no function $name()"
        done
        source=${file%.*}.c
        grep -qE "^ \* Models?:.* test/model/$1\.pml" "$source" || echo "$source does not name test/model/$1.pml"
    done
    grep -q '^ \* Functions ' "test/model/$1.pml" || echo "it names no functions"
}

# What pan's report, on the standard input, says: found states depth seconds.
summarize() {
    awk '
        /^pan:[0-9]+: assertion violated/ { found = "assertion" }
        /^pan:[0-9]+: invalid end state/ { found = "deadlock" }
        /^pan:[0-9]+: acceptance cycle/ { found = "cycle" }
        /max search depth too small|Search not completed|MEMLIM bound|out of memory/ && !found { found = "incomplete" }
        /errors: 0$/ { clean = 1 }
        /depth reached/ { sub(/,/, "", $6); depth = $6 }
        /states, stored/ { states = $1 }
        /elapsed time/ { seconds = $4 }
        END { print found ? found : clean ? "holds" : "nothing", states + 0, depth + 0, seconds + 0 }'
}

# run MODEL EXPECTED OPTION...
run() {
    model=$1
    expected=$2
    shift 2
    directory=$made/$model/$(echo "${*:-plain}" | tr -dc '[:alnum:]_=-')
    rm -rf "$directory"
    mkdir -p "$directory"
    case " $* " in
    *" -DLIVENESS "*) build='' search='-a -f' ;;
    *) build=-DSAFETY search='' ;;
    esac
    case " $expected $* " in
    *" holds "* | *" -DMUTATION_TAG "*) optimize=-O2 ;;
    *) optimize=-O0 ;; # it is found sooner than compiled
    esac
    # shellcheck disable=SC2086 # lists of options
    (
        cd "$directory" || exit
        spin -a "$@" "../../../../test/model/$model.pml" >spin.log 2>&1 &&
            ${CC:-cc} $optimize -w $build -DMEMLIM=$MEMORY -DCOLLAPSE -o pan pan.c >cc.log 2>&1 &&
            ./pan -m$DEPTH -n $search >pan.log 2>&1
    )
    if [ -f "$directory/pan.log" ]; then
        read -r found states depth seconds <<END
$(summarize <"$directory/pan.log")
END
    else
        found=unbuilt states=0 depth=0 seconds=0
    fi
    case $found in
    holds) says=holds ;;
    assertion)
        failed_one='s/^pan:[0-9]*: assertion violated \(.*\) (at depth.*/assert\1/p'
        says="caught: $(sed -n "$failed_one" "$directory/pan.log")"
        ;;
    deadlock) says="caught: invalid end state" ;;
    cycle) says="caught: acceptance cycle" ;;
    incomplete) says="not searched to the end" ;;
    *) says="could not be run" ;;
    esac
    variant=$(echo "${*:-as it is}" | sed 's/-D//g; s/MUTATION_/without /')
    [ "$found" = "$expected" ] && word=ok || word=FAILED
    printf '%-7s %-9s %-50s %10s %9s %7s s  %s\n' \
        "$word" "$model" "$variant" "$states" "$depth" "$seconds" "$says"
    [ "$word" = ok ]
    result $?
    if [ "$word" = FAILED ]; then
        echo "    | expected: $expected; see $directory"
        cat "$directory"/*.log | head -n 12 | sed 's/^/    | /'
    fi
    rm -f "$directory"/pan.?
}

# shellcheck disable=SC2046 # a list of names
[ $# -gt 0 ] || set -- $(basename -s .pml test/model/*.pml | sort -r) # shutdown.pml first, which takes longest

# Each by a process of its own; their reports become one.
if [ "${JOBS:-1}" -gt 1 ]; then
    printf '%s\n' "$@" | xargs -n 1 -P "$JOBS" env JOBS=1 "$PWD/test/model/check.sh" | awk '
        /^[0-9]+ passed, [0-9]+ failed$/ { passed += $1; failed += $3; next }
        /^ +model +variant / && heads++ { next }
        { print; fflush() }
        END { print passed + 0 " passed, " failed + 0 " failed"; exit !(passed > 0 && failed == 0) }'
    exit
fi

printf '%-7s %-9s %-50s %10s %9s %9s  %s\n' '' model variant states depth time result
for name; do
    wrong=$(check_references "$name")
    [ -z "$wrong" ]
    result $?
    [ -z "$wrong" ] || echo "$wrong" | sed "s,^,FAILED  $name.pml: ,"
    mkdir -p $made
    sed -nE "s/^ \* Run$lengths: //p" "test/model/$name.pml" >"$made/$name.runs"
    while read -r expected options; do
        # shellcheck disable=SC2086 # a list of options
        run "$name" "$expected" $options
    done <"$made/$name.runs"
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
