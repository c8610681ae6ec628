#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# setup.sh [demo|check|tools|tracers|deb] - install what Tern's demo, its checks, its program
# or its package need.
#
# On Debian 12 and 13 whatever is missing is installed with apt. Elsewhere nothing is
# installed: the missing commands are named. Silent if nothing is missing.

set -euo pipefail

need_disk_mib=8192
cache=${TERN_CACHE:-${HOME:?}/.cache/tern}

# package[:command]; a package without a command has none to look for elsewhere. Each has
# the same name in Debian 12 and 13. pahole brings the libelf that kernel headers need.
demo=(gcc gcc-12:gcc-12 libc6-dev make:make kmod:depmod cpio:cpio
	xz-utils:xz zstd:zstd busybox-static:busybox python3:python3
	qemu-system-x86:qemu-system-x86_64 qemu-utils:qemu-img pahole:pahole
	mmdebstrap:mmdebstrap mount:mount util-linux:flock rsync:rsync apt:apt-get
	dpkg:dpkg-deb gnuplot-nox:gnuplot)
tools=(gcc libc6-dev make:make libjson-c-dev)
check=("${demo[@]}" "${tools[@]}" perl:perl pciutils:lspci socat:socat sparse:sparse
	clang:clang libclang-rt-dev clang-format:clang-format
	patch:patch procps:pgrep shellcheck:shellcheck codespell:codespell flex:flex bison:bison bc:bc
	python3-docutils:rst2html python3-clang python3-pyflakes mdevctl:mdevctl udev:udevadm
	bubblewrap:bwrap)
tracers=("${check[@]}" linux-perf:perf trace-cmd:trace-cmd bpftrace:bpftrace)
deb=(dpkg-dev:dpkg-buildpackage build-essential debhelper:dh dh-dkms:dh_dkms make:make
	libjson-c-dev)

die() {
	printf 'setup: %s\n' "$*" >&2
	exit 1
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "root is needed to install packages, and there is no sudo"
	fi
}

is_debian_12_or_13() {
	# shellcheck source=/dev/null
	(. /etc/os-release 2>/dev/null && [[ "${ID:-} ${VERSION_ID:-}" =~ ^debian\ 1[23]$ ]])
}

check_memory() { # MIB
	local kib need_memory_mib=$1
	kib=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
	[ "$((kib / 1024))" -ge "$need_memory_mib" ] ||
		die "$((kib / 1024)) MiB of memory available, $need_memory_mib needed"
}

# What is in the cache already does not need its room a second time.
cache_is_filled() {
	[ "$1" != deb ] && [ "$1" != tools ] || return 0
	compgen -G "$cache/kernel-6.1-*" >/dev/null &&
		compgen -G "$cache/kernel-6.12-*" >/dev/null &&
		{ [ "$1" = demo ] || {
			compgen -G "$cache/kselftest-*" >/dev/null &&
				compgen -G "$cache/uml-[dn]e*" >/dev/null &&
				compgen -G "$cache/uml-plain-*" >/dev/null &&
				compgen -G "$cache/qemu-10.0-*" >/dev/null
		}; }
}

check_disk() {
	local dir=$cache mib
	until [ -d "$dir" ]; do dir=$(dirname "$dir"); done
	mib=$(df -Pm "$dir" | awk 'NR == 2 { print $4 }')
	[ "$mib" -ge "$need_disk_mib" ] ||
		die "$mib MiB free under $dir, $need_disk_mib needed (TERN_CACHE names another place)"
}

missing_packages() {
	local entry
	for entry; do
		# A package of another architecture or a removed one is not "installed".
		case $(dpkg-query -W -f '${db:Status-Status}' "${entry%%:*}" 2>/dev/null) in
		installed*) ;;
		*) echo "${entry%%:*}" ;;
		esac
	done
}

missing_commands() {
	local entry
	for entry; do
		case $entry in
		*:*) command -v "${entry#*:}" >/dev/null || echo "${entry#*:}" ;;
		esac
	done
}

update_lists() {
	as_root apt-get -qq update -o APT::Update::Error-Mode=any ||
		die "apt-get update failed: is there a network, and are the sources right?"
}

install() {
	local options=(-y --no-install-recommends) bytes
	bytes=$(apt-get -qq --print-uris -o Debug::NoLocking=1 "${options[@]}" install "$@" |
		awk '{ sum += $3 } END { print sum + 0 }')
	printf 'setup: installing %s (%d MiB to download, with what they depend on)\n' \
		"$*" $(((bytes + 1048575) / 1048576))
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq "${options[@]}" \
		-o Dpkg::Use-Pty=0 install "$@" >/dev/null ||
		die "apt-get install failed"
}

main() {
	local packages missing memory_mib
	case ${1:-demo} in
	demo) packages=("${demo[@]}") memory_mib=4096 ;;
	check) packages=("${check[@]}") memory_mib=7168 ;; # two VMs at once
	tools) packages=("${tools[@]}") memory_mib=0 ;;
	tracers) packages=("${tracers[@]}") memory_mib=4096 ;;
	deb) packages=("${deb[@]}") memory_mib=0 ;;
	*) die "usage: setup.sh [demo|check|tools|tracers|deb]" ;;
	esac

	check_memory "$memory_mib"
	cache_is_filled "${1:-demo}" || check_disk

	if ! is_debian_12_or_13; then
		mapfile -t missing < <(missing_commands "${packages[@]}")
		[ "${#missing[@]}" -eq 0 ] ||
			die "not Debian 12 or 13, so install these yourself: ${missing[*]}"
		return
	fi

	mapfile -t missing < <(missing_packages "${packages[@]}")
	if [ "${#missing[@]}" -gt 0 ]; then
		update_lists
		install "${missing[@]}"
	elif ! cache_is_filled "${1:-demo}"; then
		update_lists
	fi
}

main "$@"
