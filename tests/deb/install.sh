#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# install.sh PACKAGE VERSION TOOLS - install the package in a fresh system
# (scripts/in-root.sh), with headers of more and more kernels, and remove it. Before that,
# install the package TOOLS, and remove it. Speaks TAP. The module that DKMS signed for the
# last kernel is left in /mnt/tern.ko, and its output in /mnt/apt.log.

# shellcheck disable=SC2317 # functions that are called by name

package=$1 version=$2 tools=$3
log=/tmp/step.log
bad=0
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
export INITRD=No # no kernel boots here
# The system is discarded, so its files need not reach the disk.
echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/unsafe-io

check() { # NAME COMMAND...
	local name=$1
	shift
	if "$@" >$log 2>&1; then
		echo "ok - $name"
	else
		tail -n 40 $log | sed 's/^/# /'
		echo "not ok - $name"
		bad=1
	fi
	{ echo "== $name" && cat $log; } >>/mnt/apt.log
}

apt() {
	apt-get -y -q -o Dpkg::Use-Pty=0 -o APT::Sandbox::User=root "$@"
}

# The kernels whose headers are there; the last one is the newest.
kernels() {
	find /lib/modules -mindepth 2 -maxdepth 2 -name build -printf '%h\n' | sed 's,.*/,,' | sort -V
}

# The file, not by modprobe's index: a kernel's headers alone have none in trixie.
module_of() { # KERNEL
	find "/lib/modules/$1" -name 'tern*'
}

has_module() { # KERNEL
	local file
	dkms status "tern/$version" -k "$1" | grep -qx "tern/$version, $1, x86_64: installed" || {
		echo "$1: DKMS reports: $(dkms status "tern/$version" -k "$1")"
		return 1
	}
	file=$(module_of "$1")
	[[ ${file%.xz} = "/lib/modules/$1/updates/dkms/tern.ko" &&
		$(modinfo -F vermagic "$file") = "$1 "* &&
		$(modinfo -F version "$file") = "$version" &&
		$(modinfo -F signer "$file") = "DKMS module signing key" ]] || {
		echo "$1: the files: $file"
		modinfo "$file"
		return 1
	}
}

has_no_module() { # KERNEL
	! dkms status "tern/$version" -k "$1" | grep -E ': (built|installed)' &&
		[ -z "$(module_of "$1")" ]
}

all_have_modules() {
	local kernel
	for kernel in $(kernels | grep -v cloud); do has_module "$kernel" || return; done
}

first() {
	apt install openssl linux-headers-amd64 "$package" && [ "$(kernels | wc -l)" -eq 1 ] &&
		has_module "$(kernels)"
}

# Before 3.0.11 dkms counts an excluded kernel as a failure, if its headers come after the
# package. Documentation/packages.rst has this work-around.
cloud() {
	local status=0
	apt install linux-headers-cloud-amd64 || status=$?
	grep -q 'BUILD_EXCLUSIVE directive' "$log" || return
	if dpkg --compare-versions "$(dpkg-query -f '${Version}' -W dkms)" lt 3.0.11; then
		[ "$status" -ne 0 ] && touch /etc/dkms/no-autoinstall && apt -f install || return
		rm /etc/dkms/no-autoinstall
	else
		[ "$status" -eq 0 ] || return
	fi
	kernels | grep cloud && has_no_module "$(kernels | grep cloud)" && all_have_modules
}

second() {
	apt install "linux-headers-amd64/$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)-backports" &&
		[ "$(kernels | wc -l)" -eq 3 ] && all_have_modules
}

# The kernel that is excluded is there before the package.
again() {
	apt install --reinstall "$package" && grep -q 'BUILD_EXCLUSIVE directive' "$log" &&
		has_no_module "$(kernels | grep cloud)" && all_have_modules
}

removed() {
	apt purge tern-dkms && ! dpkg -s tern-dkms && [ -z "$(dkms status)" ] &&
		! find /lib/modules /usr/src /var/lib/dkms -name 'tern*' | grep .
}

# The program needs no module to decode.
program() {
	apt install "$tools" && [ "$(tern --version)" = "tern $version" ] &&
		tern decode --verify /mnt/third.stream && tern decode /mnt/third.stream &&
		! tern list && apt purge tern-tools && [ ! -e /usr/sbin/tern ]
}

newest() {
	local file
	file=$(module_of "$(kernels | tail -n 1)")
	case $file in
	*.xz) xz -dc "$file" ;;
	*) cat "$file" ;;
	esac
}

: >/mnt/apt.log
echo 1..6
check "tern-tools: the program runs, decodes a stream, and is removed" program
check "install: DKMS builds, signs and installs the module for the suite's kernel" first
check "headers of a kernel without mdev: a message, and no module" cloud
check "headers of a second kernel: DKMS builds the module for it, too" second
check "install again: the kernel without mdev is skipped with a message" again
newest >/mnt/tern.ko
check "purge: no module, no source and no entry of DKMS is left" removed
exit $bad
