#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# layers.sh - do the layers point one way? (Documentation/design/layers.rst)
#
#   core    includes core, the stream's header, and of the kernel only env.h
#   device  includes core, device, the kernel; never vfio
#   vfio    includes everything; alone names <linux/vfio.h>, with compat
#   compat  alone asks for the kernel's version or what it has
#   no word of a protocol's version in core and device

set -euo pipefail
cd "$(dirname "$0")/.."

bad=0
complain() { # WHAT LINES
	[ -z "$2" ] || {
		printf 'layers: %s\n%s\n' "$1" "$2" >&2
		bad=1
	}
}
includes() { # DIR: file:line:what is included
	grep -rnoE '#include [<"][^>"]+' "$1" | sed -E 's/#include [<"]//'
}

complain "core includes core, <uapi/tern/stream.h> and, in env.h, the kernel" "$(
	includes src/core | grep -vE ':core/[a-z]+\.h$|:uapi/tern/stream\.h$' |
		grep -v '^src/core/env\.h:' || true)"
complain "core/env.h includes nothing of vfio, mm or user copies" "$(
	grep -nE '<linux/(vfio|mdev|mm|uaccess|shmem_fs|fs|version)\.h>' src/core/env.h || true)"
complain "device does not include vfio" "$(
	includes src/device | grep -E ':(vfio/|linux/(vfio|mdev)\.h)' || true)"
complain "only vfio and compat include <linux/vfio.h> and <linux/mdev.h>" "$(
	includes src | grep -E ':linux/(vfio|mdev)\.h$' | grep -vE '^src/(vfio|compat)/' || true)"
complain "core has no tests of the kernel" "$(
	grep -rnE '#\s*if(def|ndef)? .*(CONFIG_|LINUX_VERSION|TERN_HAS)' src/core || true)"
complain "only compat asks what the kernel has" "$(
	grep -rnE 'LINUX_VERSION_CODE|KERNEL_VERSION|TERN_HAS_' src include Kbuild |
		grep -v '^src/compat/' || true)"
complain "only compat asks how the kernel was configured" "$(
	grep -rnE '#\s*if(def|ndef)? .*\bCONFIG_|IS_ENABLED' src include | grep -v '^src/compat/' || true)"
complain "core and device know no protocol by its version" "$(
	grep -rniE '\bv[12]\b|qemu' src/core src/device || true)"
exit $bad
