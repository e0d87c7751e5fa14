#!/bin/sh
# Has promtool, which comes with Prometheus, read what executor_stats_write() makes of an executor that has worked:
# whatever it complains of is a failure, and so is a text without samples.
#
#     test/check-prometheus.sh OBSERVE        the program, built from examples/observe.c
set -u

if [ $# -ne 1 ]; then
    echo "usage: $0 OBSERVE" >&2
    exit 2
fi
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

if ! "$1" "$work" >"$work/output" 2>&1; then
    cat "$work/output" >&2
    echo "check-prometheus: $1 failed" >&2
    exit 1
fi
samples=$(grep -c '^libexec_' "$work/observe.prom")
promtool check metrics <"$work/observe.prom" >"$work/complaints" 2>&1
status=$?
if [ $status -ne 0 ] || [ -s "$work/complaints" ] || [ "$samples" -eq 0 ]; then
    cat "$work/complaints" >&2
    echo "check-prometheus: promtool is not content (status $status, $samples samples)" >&2
    exit 1
fi
echo "check-prometheus: promtool has nothing to object to ($samples samples)"
