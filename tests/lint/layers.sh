#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# layers.sh - does scripts/layers.sh report what it forbids? Each row of the table is
# added to a copy of the sources, and the complaint that it names must come.

set -euo pipefail
cd "$(dirname "$0")/../.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
bad=0

fresh() {
	rm -rf "${copy:?}"/*
	cp -r Kbuild src include tools "$copy/"
}

fresh
scripts/layers.sh "$copy" || {
	echo "the tree itself violates a rule"
	exit 1
}
while IFS='|' read -r file line complaint; do
	fresh
	printf '%s\n' "$line" >>"$copy/$file"
	if scripts/layers.sh "$copy" >"$copy/report" 2>&1 || ! grep -qF "layers: $complaint" "$copy/report"; then
		echo "not reported in $file: $line"
		bad=1
	fi
done <<'ROWS'
tools/decode.c|#include "core/session.h"|tools include of src only core
tools/decode.c|#include "mem/dma.h"|tools include of src only core
src/mem/dma.c|#include "tools/env.h"|src does not include tools
src/core/dirty.c|#include <linux/slab.h>|core includes core
src/core/dirty.c|#include "function/function.h"|core includes core
src/core/env.h|#include <linux/mm.h>|core/env.h includes nothing
src/core/env.h|#include "lab/inject.h"|core/env.h includes the kernel
src/core/dirty.c|#ifdef CONFIG_NUMA|core has no tests of the kernel
src/function/memory.c|#include "mem/dma.h"|function includes core, function
src/function/memory.c|#include "vfio/device.h"|function includes core, function
src/mem/dma.c|#include "vfio/device.h"|models do not include vfio
src/mem/dma.c|#include "bus/mdev.h"|models do not include vfio
src/vfio/device.c|#include "mem/tern_mem.h"|vfio and bus include no model
src/bus/mdev.c|#include "mem/tern_mem.h"|vfio and bus include no model
src/vfio/device.c|#include "bus/mdev.h"|vfio includes no bus
src/function/memory.c|#include <linux/vfio.h>|only vfio, bus and compat include <linux/vfio.h>
src/vfio/device.c|#include <linux/mdev.h>|only bus/mdev.c includes <linux/mdev.h>
src/vfio/region.c|#include "vfio/device.h"|the protocols see struct tern_migration
src/vfio/migfd.c|static struct tern_device *dev;|the protocols see struct tern_migration
src/vfio/migration.c|static struct tern_device *dev;|the protocols see struct tern_migration
src/core/session.c|/* as tern_mem has it */|no model's name
src/function/worker.c|/* tern-mem */|no model's name
src/vfio/irqs.c|static int tern_mem_open(void);|no model's name
src/bus/mdev.c|static int id = TERN_MODEL_MEM;|no model's name
src/vfio/device.c|#if LINUX_VERSION_CODE > 0|only compat asks what the kernel has
src/mem/dma.c|#ifdef TERN_HAS_VFS_MMAP|only compat asks what the kernel has
src/vfio/device.c|#ifdef CONFIG_IOMMUFD|only compat asks how the kernel was configured
src/core/session.c|/* v2 */|core, function and models know no protocol
src/mem/dma.c|/* as QEMU does */|core, function and models know no protocol
ROWS
exit $bad
