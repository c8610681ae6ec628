/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_DEVICE_TERN_MEM_H
#define TERN_DEVICE_TERN_MEM_H

#include <linux/mutex.h>

#include "core/model.h"
#include "device/config_space.h"
#include "device/interrupts.h"
#include "device/memory.h"
#include "device/registers.h"

/**
 * struct tern_mem - a tern-mem device
 * @model: what the core sees of it
 * @io: guards @regs and @config; under state_mutex, over the interrupts' lock
 * @memory: device memory; there while the device is open
 * @regs: BAR0
 * @config: config space
 * @irqs: MSI-X
 */
struct tern_mem {
	struct tern_model model;
	struct mutex io;
	struct tern_memory *memory;
	struct tern_registers regs;
	struct tern_config_space config;
	struct tern_interrupts irqs;
};

void tern_mem_init(struct tern_mem *mem);
int tern_mem_open(struct tern_mem *mem, u64 memory_size);
void tern_mem_close(struct tern_mem *mem);

#endif /* TERN_DEVICE_TERN_MEM_H */
