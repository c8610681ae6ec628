#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# layers.sh [TREE] - do the layers point one way? (Documentation/design/layers.rst)
#
#   core      includes core, the stream's header, and of the kernel and lab/trace.h only env.h
#   function  includes core, function, the kernel; any PCI function, and no model
#   mem       a model: includes core, function, lab and itself
#   lab       includes core and itself: what a tester asks of a device
#   vfio      includes core, function, lab and itself, and knows no model
#   bus       includes all but models; bus/mdev.c alone names <linux/mdev.h>
#   tools     the program: includes core's reader, lab/workload.h, and no kernel
#   compat    alone asks for the kernel's version or what it has
#   no word of a protocol's version in core, function and models

set -euo pipefail
cd "${1:-$(dirname "$0")/..}"

bad=0
complain() { # WHAT LINES
	[ -z "$2" ] || {
		printf 'layers: %s\n%s\n' "$1" "$2" >&2
		bad=1
	}
}
includes() { # DIR...: file:line:what is included
	grep -rnoE '#include [<"][^>"]+' "$@" | sed -E 's/#include [<"]//'
}

models='mem|null|nvme'
model_folders=()
for model in mem null nvme; do
	[ ! -d "src/$model" ] || model_folders+=("src/$model")
done

complain "core includes core, <uapi/tern/stream.h> and, in env.h, the kernel" "$(
	includes src/core | grep -vE ':core/[a-z]+\.h$|:uapi/tern/stream\.h$' |
		grep -v '^src/core/env\.h:' || true)"
complain "core/env.h includes the kernel and lab/trace.h" "$(
	includes src/core/env.h | grep -vE ':(linux|asm)/|:lab/trace\.h$' || true)"
complain "core/env.h includes nothing of vfio, mm or user copies" "$(
	grep -nE '<linux/(vfio|mdev|mm|uaccess|shmem_fs|fs|version)\.h>' src/core/env.h || true)"
complain "function includes core, function and the kernel" "$(
	includes src/function | grep -E ":(vfio|bus|compat|lab|$models)/" || true)"
complain "lab includes core, lab and the kernel" "$(
	includes src/lab | grep -E ":(vfio|bus|compat|function|$models)/" || true)"
complain "models do not include vfio or a bus" "$(
	includes "${model_folders[@]}" | grep -E ":(vfio|bus)/" || true)"
complain "vfio and bus include no model" "$(
	includes src/vfio src/bus | grep -E ":($models)/" || true)"
complain "vfio includes no bus" "$(includes src/vfio | grep -E ':bus/' || true)"
complain "tools include of src only core and lab/workload.h" "$(
	[ ! -d tools ] || includes tools | grep -E '[ch]:[0-9]+:[a-z]+/' |
	grep -vE ':(core/(stream|loader|model|env)|lab/workload|uapi/tern/[a-z]+|json-c/json|sys/[a-z]+|linux/(types|pci_regs))\.h$' || true)"
complain "src does not include tools" "$(includes src | grep -E ':(\.\./)*tools/' || true)"
complain "only vfio, bus and compat include <linux/vfio.h>" "$(
	includes src | grep -E ':linux/vfio\.h$' | grep -vE '^src/(vfio|bus|compat)/' || true)"
complain "only bus/mdev.c includes <linux/mdev.h>" "$(
	includes src | grep -E ':linux/mdev\.h$' | grep -v '^src/bus/mdev\.c:' || true)"
complain "the protocols see struct tern_migration, not the device" "$(
	grep -nE 'vfio/device\.h|\btern_device\b|container_of' src/vfio/region.[ch] src/vfio/migfd.[ch] \
		src/vfio/status.[ch] src/vfio/migration.[ch] 2>/dev/null |
		grep -v 'container_of(kref\|container_of(work\|to_delayed_work' || true)"
complain "no model's name in core, function, vfio or bus" "$(
	grep -rnwE "tern[-_]($models)(_[a-z_]+)?|TERN_MODEL_[A-Z]+" src/core src/function src/lab src/vfio src/bus |
		grep -v '_H$' || true)"
complain "core has no tests of the kernel" "$(
	grep -rnE '#\s*if(def|ndef)? .*(CONFIG_|LINUX_VERSION|TERN_HAS)' src/core || true)"
complain "only compat asks what the kernel has" "$(
	grep -rnE 'LINUX_VERSION_CODE|KERNEL_VERSION|TERN_HAS_' src include Kbuild |
		grep -v '^src/compat/' || true)"
complain "only compat asks how the kernel was configured" "$(
	grep -rnE '#\s*if(def|ndef)? .*\bCONFIG_|IS_ENABLED' src include | grep -v '^src/compat/' || true)"
complain "core, function and models know no protocol by its version" "$(
	grep -rniE '\bv[12]\b|qemu' src/core src/function "${model_folders[@]}" || true)"
exit $bad
