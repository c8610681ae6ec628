#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# cache.sh kernel 6.1|6.12 - a stock Debian kernel, as a directory that holds
#	release      the kernel's release (uname -r)
#	boot/        vmlinux (PVH, what QEMU boots fastest), vmlinuz, config
#	modules/     lib/modules/<release>, with modules.dep
#	kdir         KDIR for building modules for it
# cache.sh kernel trixie|trixie-backports|sid - the kernel of another suite, the same, and
#	root/        that suite's files, with its compiler: modules are built in there
# cache.sh kselftest - Linux's kselftest headers, scripts and .clang-format
# cache.sh uml debug|plain - User Mode Linux 6.12, built from Debian's source with
#	tests/uml's configuration (minutes, the first time); a directory with
#	linux, modules/, kdir and release as above
# cache.sh uml newer - the same as debug, of the newest kernel in trixie-backports. It runs
#	processes under seccomp
# cache.sh uml smp - of that kernel, too: with two processors, without lockdep and kmemleak
# cache.sh uml fast - as debug, without checks: for figures
# cache.sh qemu 7.2 - QEMU 7.2 of bookworm, which speaks v1; a directory with
#	usr/bin/qemu-system-x86_64. If QEMU 7.2 is installed, that is /
# cache.sh qemu 10.0 - QEMU 10.0 from bookworm-backports, which speaks v2; the same. On
#	bookworm it runs on the libraries of the QEMU 7.2 that is installed
# cache.sh qemu trixie|trixie-backports|sid - the QEMU of another suite, with the libraries
#	that it needs; the same
# cache.sh deb bookworm|trixie - two configured systems of that suite, as directories:
#	build/       with what builds a package of a DKMS module
#	fresh/       with nothing of the kind; in its apt's cache dkms, and the headers of
#		three kernels: the suite's, its backports', and the suite's for clouds
# cache.sh libvirt bookworm|bookworm-backports - the libvirt and the QEMU of that suite, as a
#	configured system in root/
# cache.sh host bookworm|trixie - in root/, a system of that suite with its updates, its
#	security updates and its backports in apt's sources, and nothing but apt and make
# cache.sh mtty - a directory with mtty.ko, Linux's sample of a device that migrates, for
#	Debian's 6.12
# cache.sh prefetch  - what make check needs of these
#
# 6.1, 6.12 and Linux's source are bookworm's on a machine of another suite, too.
#
# Each prints the path of what it fetched or had already. Nothing is installed:
# packages are downloaded and unpacked under ${TERN_CACHE:-~/.cache/tern}.
# May also be sourced, for cache_entry.

set -euo pipefail

cache=${TERN_CACHE:-${HOME:?}/.cache/tern}
configs=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../tests/uml

# User Mode Linux 6.12 has room for 2696 bytes of a processor's extended state. With
# AMX there are 11008, and the host takes all of it or nothing: not even init starts.
# Newer ones ask the host how many bytes there are.
uml_room='s/(HOST_FP_SIZE, 2696)/(HOST_FP_SIZE, 16384)/'

# Its flush_tlb_mm() looks at an address space without its lock, when memory is
# unmapped from it by way of a file: lockdep reports that.
uml_flush='/^void flush_tlb_mm/,/^}/ { s/^\tfor_each_vma/\trcu_read_lock();\n&/; s/^}/\trcu_read_unlock();\n}/ }'

cache_note() {
	printf 'cache: %s\n' "$*" >&2
}

cache_die() {
	cache_note "$*"
	exit 1
}

# cache_entry KEY BUILDER [ARGS...] - print the path of the entry KEY. If there
# is none, BUILDER makes it in the current directory; its last argument is the
# path that the entry will have. The rename at the end is what makes an entry,
# so a half-made one is never seen. Not for use in a condition (`if', `||'):
# there bash ignores errors inside BUILDER.
cache_entry() {
	local key=$1 final=$cache/$1 lock
	shift
	if [ ! -d "$final" ]; then
		mkdir -p "$cache"
		exec {lock}>"$cache/.lock-$key"
		flock "$lock"
		[ -d "$final" ] || cache_build "$@"
		exec {lock}>&-
	fi
	printf '%s\n' "$final"
}

cache_build() (
	set -e
	# We hold the lock, so what lies there was left by a build that was killed.
	rm -rf "$cache/.new-$key"
	trap 'rm -rf "$cache/.new-$key"; cache_note "could not make $key"' EXIT
	mkdir "$cache/.new-$key"
	cd "$cache/.new-$key"
	"$@" "$final" >&2
	mv -T "$cache/.new-$key" "$final"
	trap - EXIT
)

# The newest entry whose key begins with $1, for use without a network.
cache_newest() {
	# A version follows: "trixie" is not "trixie-backports".
	{ compgen -G "$cache/$1-[0-9]*" || true; } | sort -V | tail -n 1
}

# Dependencies of package $1 whose names match the regular expression $2.
depends_on() {
	apt-cache depends --no-recommends --no-suggests "$1" 2>/dev/null |
		awk -v re="^($2)" '$1 ~ /Depends:$/ && $2 ~ re { print $2 }'
}

candidate() {
	LC_ALL=C apt-cache policy "$1" 2>/dev/null |
		awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'
}

download() {
	# apt's sandbox user cannot write here, and says so at length.
	apt-get -qq -o APT::Sandbox::User="$(id -un)" download "$@" >/dev/null
}

download_mib() {
	apt-get -qq --print-uris download "$@" |
		awk '{ sum += $3 } END { print int((sum + 1048575) / 1048576) }'
}

# A bzImage carries the compressed vmlinux; its header says where
# (Documentation/arch/x86/boot.rst). The last 4 bytes are the unpacked length.
extract_vmlinux() {
	local sectors offset length
	sectors=$(od -An -tu1 -j 0x1f1 -N 1 "$1")
	offset=$(od -An -tu4 -j 0x248 -N 4 "$1")
	length=$(od -An -tu4 -j 0x24c -N 4 "$1")
	dd if="$1" of=payload bs=1M iflag=skip_bytes,count_bytes status=none \
		skip=$(((sectors + 1) * 512 + offset)) count=$((length - 4))
	case $(od -An -tx1 -N 4 payload) in
	' fd 37 7a 58') xz -dc payload ;;
	' 28 b5 2f fd') zstd -qdc payload ;;
	*) cache_die "$1: unknown compression" ;;
	esac
	rm payload
}

# $1: release, $2: the path to be; the rest: packages
build_kernel() {
	local release=$1 final=${*: -1} packages=("${@:2:$#-2}") deb
	cache_note "fetching Linux $release ($(download_mib "${packages[@]}") MiB)"
	download "${packages[@]}"
	mkdir boot headers modules
	for deb in linux-image-*.deb; do dpkg-deb -x "$deb" image; done
	for deb in linux-headers-*.deb linux-kbuild-*.deb linux-compiler-*.deb; do
		[ ! -e "$deb" ] || dpkg-deb -x "$deb" headers
	done
	rm ./*.deb

	cache_note "unpacking Linux $release"
	mv "image/boot/vmlinuz-$release" boot/vmlinuz
	mv "image/boot/config-$release" boot/config
	extract_vmlinux boot/vmlinuz >boot/vmlinux
	mv image/lib modules/lib
	rm -r image
	depmod -b modules "$release"

	# The packages expect to be installed: their absolute paths need our prefix.
	grep -rlI --include=Makefile ' /usr/src/' "headers/usr/src/linux-headers-$release" |
		xargs sed -i "s# /usr/src/# $final/headers/usr/src/#"
	ln -s "headers/usr/src/linux-headers-$release" kdir
	ln -sfn "$final/kdir" "modules/lib/modules/$release/build"
	echo "$release" >release
}

# Package names change with each ABI, so they are taken from the meta packages.
fetch_kernel() {
	local meta image headers version release
	# 6.1 is bookworm's own kernel, whose meta packages have no version
	case $1 in
	6.1) meta=amd64 ;;
	*) meta=$1-amd64 ;;
	esac
	image=$(depends_on "linux-image-$meta" "linux-image-$1[.]")
	headers=$(depends_on "linux-headers-$meta" "linux-headers-$1[.]")
	[ "${image:+1}${headers:+1}" = 11 ] ||
		cache_die "no linux-image-$meta for $1 in apt's lists (run scripts/setup.sh)"
	version=$(candidate "$image")
	release=${image#linux-image-}
	# shellcheck disable=SC2046 # one word each
	cache_entry "kernel-$1-$version" build_kernel "$release" "$image" "$headers" \
		$(depends_on "$headers" 'linux-headers|linux-kbuild|linux-compiler')
}

# From where this machine has its own Debian: the site of the archive that has this label.
site() { # Debian|Debian-Security
	# shellcheck disable=SC2016 # apt's variable
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
		'Origin: Debian' "Label: $1" | head -n 1
}

# Suites for apt or mmdebstrap.
sources() { # SUITE...
	local suite label site
	for suite; do
		label=Debian
		[[ $suite != *-security ]] || label=Debian-Security
		site=$(site "$label")
		[ -n "$site" ] || cache_die "no $label in apt's lists: it must be among the sources (run scripts/setup.sh)"
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $suite main"
	done
}

# apt for other suites from now on, with a state of its own: the machine's sources stay as
# they are, and what is installed is no candidate.
use_apt_of() { # SUITE...
	local apt
	apt=$(mktemp -d)
	# shellcheck disable=SC2064 # this folder
	trap "rm -rf '$apt'" EXIT
	mkdir "$apt"/{lists,archives}
	touch "$apt/status"
	sources "$@" >"$apt/sources.list"
	cat >"$apt/apt.conf" <<-CONF
		Dir::Etc::SourceList "$apt/sources.list";
		Dir::Etc::SourceParts "-";
		Dir::State::Lists "$apt/lists";
		Dir::State::Status "$apt/status";
		Dir::Cache::Archives "$apt/archives";
		Dir::Cache::PkgCache "";
		Dir::Cache::SrcPkgCache "";
	CONF
	export APT_CONFIG=$apt/apt.conf
	apt-get -qq update -o APT::Sandbox::User="$(id -un)" -o APT::Update::Error-Mode=any || exit
}

is_bookworm() {
	# shellcheck source=/dev/null
	(. /etc/os-release && [ "${VERSION_CODENAME:-}" = bookworm ])
}

# A machine of another suite has no kernel 6.1, and calls 6.12 by another name.
use_bookworm() {
	is_bookworm || use_apt_of bookworm bookworm-security
}

# Packages of a suite with all that they need, in root/. What is named comes from this
# suite, and not from the one that it extends. mmdebstrap unpacks the packages and
# configures none: what they would link is missing.
unpack_root() { # SUITE NAMES PACKAGE,...
	local suites=("${1%-backports}")
	[ "$1" = "${suites[0]}" ] || suites+=("$1")
	printf 'Package: %s\nPin: release n=%s\nPin-Priority: 600\n' "$2" "$1" >pin
	sources "${suites[@]}" | mmdebstrap --quiet --variant=extract --architectures=amd64 \
		--include="$3" --aptopt="$(apt-config dump Acquire)" \
		--setup-hook="cp '$PWD/pin' \"\$1/etc/apt/preferences.d/suite\"" \
		--setup-hook='cd "$1" && mkdir -p usr/lib usr/lib64 && ln -s usr/lib usr/lib64 .' \
		"${suites[0]}" root -
	rm pin
}

build_root() { # SUITE VERSION
	local release file check include
	include=gcc,make,sparse,perl,bash,mawk,coreutils,grep,sed,findutils,libelf1t64
	cache_note "fetching Linux $2 and its compiler from $1 (about 300 MiB)"
	unpack_root "$1" 'linux-*' "$include,linux-image-amd64,linux-headers-amd64"
	ln -sf bash root/usr/bin/sh
	ln -sf mawk root/usr/bin/awk
	release=$(basename root/usr/src/linux-headers-*[0-9]-amd64)
	release=${release#linux-headers-}
	mkdir -p boot modules root/proc root/module
	for file in vmlinuz config; do
		cp "root/usr/lib/modules/$release/$file" boot/ 2>/dev/null || # since 7.x
			cp "root/boot/$file-$release" "boot/$file"
	done
	extract_vmlinux boot/vmlinuz >boot/vmlinux
	depmod -b root "$release"
	# Debian's headers of 7.x lack what decides whether this sparse can read them.
	check=$(echo root/usr/src/linux-headers-*-common)/scripts/checker-valid.sh
	[ -e "$check" ] || install -D -m 755 <(checker_valid) "$check"
	ln -s ../root/usr/lib modules/lib
	ln -s "root/usr/src/linux-headers-$release" kdir
	echo "$release" >release
}

checker_valid() {
	cat <<-'CHECK'
	#!/bin/sh
	if [ -z "$(echo 'static __typeof_unqual__(0) x;' | "$@" - 2>&1)" ]; then echo 1; else echo 0; fi
	CHECK
}

# The version of a package in another suite.
candidate_in() ( # SUITE PACKAGE
	use_apt_of "$1"
	candidate "$2"
)

fetch_suite_kernel() { # SUITE
	local version
	version=$(candidate_in "$1" linux-image-amd64)
	[ -n "$version" ] || cache_die "no linux-image-amd64 in $1"
	cache_entry "kernel-$1-$version" build_root "$1" "$version"
}

build_kselftest() {
	local deb tree=linux-source-6.12
	cache_note "fetching Linux's selftest and checking scripts ($(download_mib "$tree") MiB)"
	download "$tree"
	cache_note "unpacking them"
	for deb in "$tree"_*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -xO "./usr/src/$tree.tar.xz" |
			xz -dc | tar -x --strip-components=1 --wildcards \
			"$tree/.clang-format" \
			"$tree"/tools/testing/selftests/{lib.mk,run_kselftest.sh,'kselftest*.h','kselftest/*'} \
			"$tree"/include/uapi/linux/{vfio.h,iommufd.h} \
			"$tree"/scripts/{checkpatch.pl,spelling.txt,const_structs.checkpatch} \
			"$tree"/scripts/{kernel-doc,extract-vmlinux,Makefile.compiler}
		rm "$deb"
	done
	# As `make headers_install' does: user space has no __user.
	sed -i -E 's/([[:space:](])__user[[:space:]]/\1/g; s/#(ifndef|define) _UAPI/#\1 /' \
		include/uapi/linux/*.h
}

fetch_kselftest() {
	local version
	version=$(candidate linux-source-6.12)
	[ -n "$version" ] ||
		cache_die "no linux-source-6.12 in apt's lists (run scripts/setup.sh)"
	cache_entry "kselftest-$version" build_kselftest
}

# What of a built kernel tree the building of a module needs: as in Debian's
# headers, without the sources and the objects.
prune_kernel_tree() {
	find tree -name '*.cmd' -delete
	find tree -depth \( -name '*.o' -o -name '*.a' -o -name '*.ko' \) -delete
	mkdir kdir
	mv tree/{Makefile,Kbuild,.config,Module.symvers,scripts,include} kdir/
	mkdir kdir/{arch,tools}
	mv tree/arch/{um,x86} kdir/arch/
	rm -r tree
}

# The faults of a tree in folder tree/ that stand in the way.
mend_uml() { # VARIANT
	sed -i "$uml_room" tree/arch/x86/um/user-offsets.c
	sed -i '/^CFLAGS_signal.o /s/=4096/=32768/' tree/arch/um/os-Linux/Makefile # with it
	case $1 in
	newer | smp) ;; # sized when it starts
	*)
		grep -q 'HOST_FP_SIZE, 16384' tree/arch/x86/um/user-offsets.c ||
			cache_die "this source keeps a processor's state in another way"
		;;
	esac
	sed -i "$uml_flush" tree/arch/um/kernel/tlb.c
	[ "$(grep -c rcu_read_ tree/arch/um/kernel/tlb.c)" -eq 2 ] ||
		cache_die "this source flushes an address space in another way"
}

build_uml() { # VARIANT SOURCE-PACKAGE
	local deb tree=$2 wanted
	cache_note "fetching Linux's source ($(download_mib "$tree") MiB)"
	download "$tree"
	cache_note "unpacking it"
	mkdir tree
	for deb in "$tree"_*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -xO "./usr/src/$tree.tar.xz" |
			xz -T0 -dc | tar -x -C tree --strip-components=1
		rm "$deb"
	done
	mend_uml "$1"
	uml_config "$1" >wanted
	wanted=$PWD/wanted
	make -s -C tree ARCH=um KCONFIG_ALLCONFIG="$wanted" allnoconfig
	# Kconfig drops what lacks something, and does not say so.
	if grep '^CONFIG_' "$wanted" | grep -vxFf tree/.config; then
		cache_die "this source does not give us the options above"
	fi
	cache_note "building User Mode Linux, $1 (about 5 minutes on one processor, 3 on two)"
	make -s -C tree ARCH=um -j "$(nproc)" linux modules
	mkdir modules
	cp tree/drivers/vfio/mdev/mdev.ko tree/samples/vfio-mdev/mtty.ko modules/
	cp tree/linux linux
	make -s -C tree ARCH=um kernelrelease >release
	echo um >arch
	prune_kernel_tree
}

uml_config() { # VARIANT
	local files=(plain)
	case $1 in
	plain) files+=(6.12) ;;
	debug) files+=(6.12 debug) ;;
	newer) files+=(7.3 debug) ;;
	smp) files+=(7.3 smp) ;;
	fast) files+=(6.12 fast) ;;
	esac
	files=("${files[@]/#/$configs/}")
	cat "${files[@]/%/.config}"
}

uml_entry() { # VARIANT SOURCE-PACKAGE
	local version config
	version=$(candidate "$2")
	[ -n "$version" ] || cache_die "no $2 in apt's lists (run scripts/setup.sh)"
	config=$({ uml_config "$1" | grep '^CONFIG_' && echo "$uml_room$uml_flush"; } | sha256sum | cut -c -12)
	cache_entry "uml-$1-$version-$config" build_uml "$@"
}

fetch_uml() { # VARIANT
	case $1 in
	newer | smp) use_apt_of trixie-backports && uml_entry "$1" "$(depends_on linux-source 'linux-source-[0-9]')" ;;
	*) use_bookworm && uml_entry "$1" linux-source-6.12 ;;
	esac
}

only_root() { # SUITE
	[ "$(id -u)" -eq 0 ] || cache_die "a system of $1 can only be installed by root"
}

# A system whose packages are configured.
configured_root() { # "SUITE MORE-SUITES" DIRECTORY PACKAGES MMDEBSTRAP-OPTION...
	# shellcheck disable=SC2086 # one word each
	sources $1 | mmdebstrap --quiet --mode=root --variant=apt \
		--architectures=amd64 --include="$3" --aptopt="$(apt-config dump Acquire)" \
		--aptopt='APT::Install-Recommends "false"' "${@:4}" "${1%% *}" "$2" -
}

build_deb() { # SUITE
	cache_note "fetching $1's dkms, debhelper, and headers of three kernels (about 300 MiB)"
	configured_root "$1 $1-backports" build dpkg-dev,debhelper,dh-dkms,build-essential,lintian,libjson-c-dev
	# What apt fetches here, it later installs without a network.
	# shellcheck disable=SC2016 # $1 is the root, and the hook's own
	configured_root "$1 $1-backports" fresh apt --skip=cleanup/apt --customize-hook='
		set -e
		fetch() {
			chroot "$1" apt-get -qq --download-only -o APT::Sandbox::User=root \
				-o Dpkg::Use-Pty=0 install "$2"
		}
		for package in openssl dkms libjson-c5 linux-headers-amd64 linux-headers-cloud-amd64 \
			linux-headers-amd64/'"$1"'-backports; do
			fetch "$1" "$package" >/dev/null
		done
	'
}

fetch_deb() { # SUITE
	local suite versions=''
	only_root "$1"
	for suite in "$1" "$1-backports"; do
		versions+=-$(candidate_in "$suite" linux-headers-amd64)
	done
	versions+=-$(candidate_in "$1" dh-dkms)-$(candidate_in "$1" libjson-c-dev)
	[[ ! $versions =~ --|-$ ]] ||
		cache_die "$1 lacks a kernel's headers, dh-dkms or libjson-c-dev ($versions)"
	cache_entry "deb-$1$versions" build_deb "$1"
}

build_libvirt() { # SUITE VERSION
	cache_note "fetching libvirt $2 and the QEMU of $1 (about 150 MiB)"
	printf 'Package: src:libvirt src:qemu src:seabios\nPin: release n=%s\nPin-Priority: 600\n' "$1" >pin
	configured_root "${1%-backports} ${1%-backports}-backports" root libvirt-daemon-system,qemu-system-x86,mdevctl \
		--setup-hook="cp '$PWD/pin' \"\$1/etc/apt/preferences.d/suite\""
	rm pin
}

fetch_libvirt() { # SUITE
	local libvirt qemu
	only_root "$1"
	libvirt=$(candidate_in "$1" libvirt-daemon-system)
	qemu=$(candidate_in "$1" qemu-system-x86)
	[ "${libvirt:+1}${qemu:+1}" = 11 ] || cache_die "$1 lacks libvirt or QEMU ($libvirt, $qemu)"
	cache_entry "libvirt-$1-$libvirt-${qemu#*:}" build_libvirt "$1" "$libvirt"
}

build_host() { # SUITE
	cache_note "installing a system of $1 (about 100 MiB)"
	configured_root "$1 $1-updates $1-backports $1-security" root ca-certificates,make
}

fetch_host() { # SUITE
	local version
	only_root "$1"
	version=$(candidate_in "$1" base-files)
	[ -n "$version" ] || cache_die "no base-files in $1"
	cache_entry "host-$1-$version" build_host "$1"
}

build_mtty() { # KDIR
	local deb tree=linux-source-6.12
	cache_note "fetching Linux's source, for mtty ($(download_mib "$tree") MiB)"
	download "$tree"
	for deb in "$tree"_*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -xO "./usr/src/$tree.tar.xz" |
			xz -T0 -dc | tar -x --strip-components=3 "$tree/samples/vfio-mdev/mtty.c"
		rm "$deb"
	done
	echo 'obj-m := mtty.o' >Kbuild
	make -s -C "$1" M="$PWD" modules
}

fetch_mtty() {
	local version kernel
	version=$(candidate linux-source-6.12)
	[ -n "$version" ] ||
		cache_die "no linux-source-6.12 in apt's lists (run scripts/setup.sh)"
	kernel=$("${BASH_SOURCE[0]}" kernel 6.12)
	cache_entry "mtty-$version-$(<"$kernel/release")" build_mtty "$kernel/kdir"
}

build_qemu() { # VERSION
	local packages=(qemu-system-x86 qemu-system-common qemu-system-data) deb
	packages=("${packages[@]/%/=$1}")
	cache_note "fetching QEMU $1 ($(download_mib "${packages[@]}") MiB)"
	download "${packages[@]}"
	for deb in *.deb; do dpkg-deb -x "$deb" .; done
	rm ./*.deb
}

# It runs on the libraries of its own suite, by their loader: QEMU then takes the
# loader's folder for its own, and needs the folders of its firmware.
build_qemu_root() { # SUITE VERSION
	cache_note "fetching QEMU $2 and its libraries from $1"
	unpack_root "$1" '*' qemu-system-x86
	mkdir -p usr/bin
	cat >usr/bin/qemu-system-x86_64 <<-'WRAPPER'
	#!/bin/sh
	root=$(dirname "$(readlink -f "$0")")/../../root/usr
	exec "$root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --argv0 qemu-system-x86_64 \
		--library-path "$root/lib/x86_64-linux-gnu" "$root/bin/qemu-system-x86_64" \
		-L "$root/share/qemu" -L "$root/share/seabios" "$@"
	WRAPPER
	chmod +x usr/bin/qemu-system-x86_64
}

fetch_suite_qemu() { # SUITE
	local version
	version=$(candidate_in "$1" qemu-system-x86)
	[ -n "$version" ] || cache_die "no qemu-system-x86 in $1"
	cache_entry "qemu-$1-${version#*:}" build_qemu_root "$1" "$version"
}

# A QEMU of a suite of bookworm, by its version.
fetch_qemu() { # VERSION SUITE
	local version
	use_apt_of "$2"
	version=$(candidate qemu-system-x86)
	case $version in
	1:"$1".* | 1:"$1"+*) ;;
	*) cache_die "$2 has QEMU '$version', not $1" ;;
	esac
	if is_bookworm; then
		cache_entry "qemu-$1-${version#*:}" build_qemu "$version"
	else
		APT_CONFIG='' cache_entry "qemu-$1-${version#*:}-root" build_qemu_root "$2" "$version"
	fi
}

installed_qemu() { # VERSION
	[[ $(qemu-system-x86_64 --version 2>/dev/null) == *"version $1."* ]]
}

# Fetch in a process of its own, where errors count; without success an older
# entry will do.
fetch_or_newest() {
	local path known
	known=$cache/.known-$(IFS=-; echo "$*")
	# apt needs seconds to answer; it has nothing new to say before its lists change.
	if [ -e "$known" ] && path=$(<"$known") && [ -d "$path" ] &&
		[ -z "$(find /var/lib/apt/lists "${BASH_SOURCE[0]}" "$configs"/*.config \
			-maxdepth 0 -newer "$known")" ]; then
		printf '%s\n' "$path"
		return
	fi
	if path=$("${BASH_SOURCE[0]}" "fetch-$1" "${@:2}"); then
		printf '%s\n' "$path" >"$known"
	else
		path=$(cache_newest "$(IFS=-; echo "$*")")
		[ -n "$path" ] || cache_die "cannot fetch $*, and there is none in $cache"
		cache_note "using ${path##*/}, fetched before"
	fi
	printf '%s\n' "$path"
}

cache_main() {
	case "$*" in
	'kernel 6.1' | 'kernel 6.12' | kselftest) fetch_or_newest "$@" ;;
	'kernel trixie' | 'kernel trixie-backports' | 'kernel sid') fetch_or_newest "$@" ;;
	'qemu 7.2') if installed_qemu 7.2; then echo /; else fetch_or_newest "$@"; fi ;;
	'qemu 10.0' | 'qemu trixie' | 'qemu trixie-backports' | 'qemu sid') fetch_or_newest "$@" ;;
	'deb bookworm' | 'deb trixie' | 'host bookworm' | 'host trixie' | mtty) fetch_or_newest "$@" ;;
	'libvirt bookworm' | 'libvirt bookworm-backports') fetch_or_newest "$@" ;;
	'uml debug' | 'uml plain' | 'uml newer' | 'uml smp' | 'uml fast') fetch_or_newest "$@" ;;
	prefetch)
		fetch_or_newest kernel 6.1
		fetch_or_newest kernel 6.12
		fetch_or_newest kselftest
		[ "$(scripts/uml-kernel.sh)" = newer ] || fetch_or_newest uml debug
		fetch_or_newest uml plain
		fetch_or_newest qemu 10.0
		cache_main qemu 7.2
		;;
	fetch-kernel\ 6* | fetch-kselftest | fetch-mtty) use_bookworm ;;&
	fetch-kernel\ 6*) fetch_kernel "$2" ;;
	fetch-kernel\ *) fetch_suite_kernel "$2" ;;
	fetch-kselftest) fetch_kselftest ;;
	fetch-uml\ *) fetch_uml "$2" ;;
	fetch-deb\ *) fetch_deb "$2" ;;
	fetch-libvirt\ *) fetch_libvirt "$2" ;;
	fetch-host\ *) fetch_host "$2" ;;
	fetch-mtty) fetch_mtty ;;
	fetch-qemu\ 7.2) fetch_qemu 7.2 bookworm ;;
	fetch-qemu\ 10.0) fetch_qemu 10.0 bookworm-backports ;;
	fetch-qemu\ *) fetch_suite_qemu "$2" ;;
	*) cache_die 'usage: cache.sh kernel 6.1|6.12|trixie|trixie-backports|sid | kselftest | uml debug|plain|newer|smp|fast | qemu 7.2|10.0|trixie|trixie-backports|sid | deb|host bookworm|trixie | libvirt bookworm|bookworm-backports | mtty | prefetch' ;;
	esac
}

[ "${BASH_SOURCE[0]}" != "$0" ] || cache_main "$@"
