/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_MEM_TERN_MEM_H
#define TERN_MEM_TERN_MEM_H

#include "function/function.h"
#include "function/memory.h"
#include "function/worker.h"
#include "mem/dma.h"
#include "mem/registers.h"
#include "mem/stamper.h"

#define TERN_MEMORY_MIB_MAX	65536U

/**
 * struct tern_mem - a tern-mem device
 * @fn: the PCI function
 * @memory: device memory; there while the device is open
 * @memory_mib: its size at the next open [state_mutex]
 * @memory_bar: BAR2, of that size [state_mutex]
 * @quota: of memory; immutable
 * @worker: does what the device does by itself
 * @regs: BAR0
 * @dma: the DMA engine
 * @stamper: writes a workload
 * @stamps: the piece in progress is the stamper's; the worker's
 */
struct tern_mem {
	struct tern_function fn;
	struct tern_memory *memory;
	u32 memory_mib;
	struct tern_bar memory_bar;
	struct tern_quota *quota;
	struct tern_worker worker;
	struct tern_registers regs;
	struct tern_dma dma;
	struct tern_stamper stamper;
	bool stamps;
};

void tern_mem_resize(struct tern_mem *mem, u32 mib);

extern const struct tern_function_ops tern_mem_function;

#endif /* TERN_MEM_TERN_MEM_H */
