#!/bin/sh
# Prints which lines and branches of lib/ the tests have reached, for each file and in total, and the lines that they
# have not; also as HTML. Fails when it is less of lines or of branches than wanted.
#
#     test/coverage/report.sh BUILD LINES BRANCHES       where the objects are; percentages
#
# Of branches, those count that a test could take: not those by which an exception would leave a function, which gcc
# makes at calls for the clean-up of cancelled threads (-fexceptions); nor those on lines without code.
set -eu

build=$1
counted=$build/coverage.json
gcovr -r . -f lib/ --exclude-throw-branches --exclude-unreachable-branches --json "$counted" "$build/lib"

rm -rf "$build/html"
mkdir "$build/html"
gcovr -r . -a "$counted" --html-details "$build/html/index.html"
gcovr -r . -a "$counted" --branches
gcovr -r . -a "$counted"
echo "$build/html/index.html"
gcovr -r . -a "$counted" --fail-under-line "$2" --fail-under-branch "$3" --print-summary | tail -n 3
