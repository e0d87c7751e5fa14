#!/bin/sh
# Checks that `make dist` gives the same bytes wherever the same commit is packed: in two clones, one of them made a
# second later, by somebody with another umask, time zone, locale and settings of git; that it holds what the commit
# does, and nothing else; and that what is unpacked builds without git.
#
#     test/check-dist.sh       MAKE, from the environment
set -eu

make=${MAKE:-make}
version=$(sed -n 's/^VERSION = //p' Makefile)
tarball=build/libexec-$version.tar.gz
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset MAKEFLAGS MFLAGS

# pack NAME: the rest, of the second one, is from the environment.
pack() {
    git clone -q --no-local . "$work/$1"
    (cd "$work/$1" && $make -s dist)
    sum=$(sha256sum "$work/$1/$tarball")
    echo "$1: ${sum%% *}"
}

(umask 022 && pack first)
sleep 1.1 # by which file times differ
mkdir "$work/home"
printf '[tar]\n\tumask = 0077\n[core]\n\tautocrlf = true\n' >"$work/home/.gitconfig"
(umask 077 && export HOME="$work/home" TZ=Pacific/Apia LC_ALL=C.UTF-8 && pack second)
cmp "$work/first/$tarball" "$work/second/$tarball"

tar -tzf "$work/first/$tarball" | sed -n "s,^libexec-$version/\(.*[^/]\)$,\1,p" | sort >"$work/packed"
git ls-tree -r --name-only HEAD | sort >"$work/committed"
cmp "$work/packed" "$work/committed"
mkdir "$work/unpacked"
tar -xzf "$work/first/$tarball" -C "$work/unpacked"
$make -s -C "$work/unpacked/libexec-$version" CFLAGS=-O0 build/release/libexec.a
echo "$(wc -l <"$work/packed") files, the same in both, and they build"
echo "1 passed, 0 failed"
