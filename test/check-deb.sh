#!/bin/sh
# Builds the Debian packages, in a copy of the tree; checks that they have the Makefile's version, and that lintian
# finds no errors in them; installs them; has debian/tests/consumer build programs against them and run them; removes
# them, and checks that nothing of them is left.
#
# Installing needs root, or sudo without a question, and that no libexec is installed, which it would replace: else that
# part is named as not run.
#
#     test/check-deb.sh       from the environment JOBS, how many compilations at once, and DEB_BUILD_OPTIONS
set -eu

jobs=${JOBS:-$(nproc)}
version=$(sed -n 's/^VERSION = //p' Makefile)
work=build/deb
tree=$work/libexec-$version
packages='libexec0 libexec-dev libexec-doc'
passed=0
rm -rf "$work"
mkdir -p "$tree"
unset MAKEFLAGS MFLAGS MAKELEVEL CC CFLAGS JOBS

ok() {
    passed=$((passed + 1))
    echo "ok       $1"
}

fail() {
    echo "FAILED   $1"
    sed 's/^/    | /'
    echo "$passed passed, 1 failed"
    exit 1
}

# Everything that is ours: what git tracks or would track; without git, all but build/.
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git ls-files -z --cached --others --exclude-standard
else
    find . -name build -prune -o ! -type d -print0
fi | tar -c --null -T - | tar -x -C "$tree"

began=$(date +%s)
(cd "$tree" && DEB_BUILD_OPTIONS="parallel=$jobs ${DEB_BUILD_OPTIONS-}" dpkg-buildpackage --no-sign) >$work/log 2>&1 ||
    test/what-failed.sh $work/log | fail "dpkg-buildpackage"
found=$(dpkg-parsechangelog -l "$tree/debian/changelog" -S Version)
[ "$found" = "$version" ] || echo "$found in debian/changelog, $version in the Makefile" | fail "its version"
ok "dpkg-buildpackage: $(grep -E '^[0-9]+ passed, 0 failed$' $work/log || echo not tested), $(($(date +%s) - began)) s"

lintian --allow-root --fail-on error --tag-display-limit 0 "$work"/*.changes >$work/lintian 2>&1 ||
    fail "lintian" <$work/lintian
sed 's/^/    | /' $work/lintian
ok "lintian: $(grep -c ^E: $work/lintian || true) errors, $(grep -c ^W: $work/lintian || true) warnings"

# --- installing ---

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

known() {
    # shellcheck disable=SC2086 # a list
    dpkg-query -W -f '${Package} ${db:Status-Abbrev}\n' $packages 2>/dev/null | grep -v ' un '
}

unless=
as_root true 2>/dev/null || unless="needs root"
! known >/dev/null || unless="there are such packages installed, or their configuration"
if [ -n "$unless" ]; then
    echo "not run  installing: $unless"
    echo "$passed passed, 0 failed"
    exit 0
fi

# shellcheck disable=SC2086 # a list
purge() {
    as_root dpkg --purge $packages
}
trap 'purge >/dev/null 2>&1' EXIT
as_root dpkg --install "$work"/libexec0_*.deb "$work"/libexec-dev_*.deb "$work"/libexec-doc_*.deb >$work/log 2>&1 ||
    fail "dpkg --install" <$work/log
ok "installed: $packages"

(cd "$tree" && env -u PKG_CONFIG_PATH -u CMAKE_PREFIX_PATH debian/tests/consumer) >$work/log 2>&1 ||
    fail "debian/tests/consumer" <$work/log
dpkg -L libexec-dev >$work/log
grep -q '/man/man7/libexec\.7' $work/log || fail "the manual" <$work/log
ok "a consumer by pkg-config, four by CMake"

# What is theirs alone: a directory that others have, too, stays.
for package in $packages; do
    dpkg -L "$package"
done | sort -u | xargs dpkg -S 2>/dev/null | sed -nE 's/^(libexec(0|-dev|-doc)(:[a-z0-9]+)?(, )?)+: //p' >$work/theirs
[ -s $work/theirs ] || echo "no files" | fail "installed"
purge >$work/log 2>&1 || fail "dpkg --purge" <$work/log
trap - EXIT
{
    known || true
    while read -r path; do
        [ ! -e "$path" ] && [ ! -L "$path" ] || echo "$path"
    done <$work/theirs
    ldconfig -p | grep 'libexec\.so' || true
    find /var/lib/dpkg/info -name 'libexec0*' -o -name 'libexec-d*'
} >$work/left
[ ! -s $work/left ] || fail "left behind" <$work/left
ok "removed: nothing left of $(wc -l <$work/theirs) files and directories"
echo "$passed passed, 0 failed"
