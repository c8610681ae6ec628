/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_MEM_TERN_MEM_H
#define TERN_MEM_TERN_MEM_H

#include <linux/mutex.h>

#include "core/model.h"
#include "function/config_space.h"
#include "mem/dma.h"
#include "function/interrupts.h"
#include "function/memory.h"
#include "mem/registers.h"

struct tern_mem;

/*
 * Read or write guest memory at an address that the guest gave. 0 or -errno;
 * from the DMA thread, with no lock held.
 */
typedef int (*tern_guest_fn)(struct tern_mem *mem, u64 address, void *buf, size_t len,
			     bool write);

/**
 * struct tern_mem - a tern-mem device
 * @model: what the core sees of it
 * @guest: how guest memory is reached; immutable
 * @io: guards @regs, @config and @dma's registers; under state_mutex, over the
 *	interrupts' lock
 * @d3hot: the power state is D3hot; written under @io
 * @memory: device memory; there while the device is open
 * @regs: BAR0
 * @config: config space
 * @irqs: MSI-X
 * @dma: the DMA engine
 */
struct tern_mem {
	struct tern_model model;
	tern_guest_fn guest;
	struct mutex io;
	bool d3hot;
	struct tern_memory *memory;
	struct tern_registers regs;
	struct tern_config_space config;
	struct tern_interrupts irqs;
	struct tern_dma dma;
};

void tern_mem_init(struct tern_mem *mem, tern_guest_fn guest);
int tern_mem_open(struct tern_mem *mem, u64 memory_size);
void tern_mem_close(struct tern_mem *mem);
bool tern_mem_in_d3hot(const struct tern_mem *mem);
void tern_mem_read_config(struct tern_mem *mem, unsigned int offset, void *to, size_t len);
void tern_mem_write_config(struct tern_mem *mem, unsigned int offset, const void *from,
			   size_t len);

#endif /* TERN_MEM_TERN_MEM_H */
