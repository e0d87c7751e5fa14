#!/bin/sh
# Of a report that test/run.sh has made, or one that is in it: what failed, and what that said; else how it ends.
#
#     test/what-failed.sh REPORT
set -eu

awk '/^FAILED/ { on = 1 } !/^(FAILED|    \|)/ { on = 0 } on' "$1" | grep . || tail -n 100 "$1"
