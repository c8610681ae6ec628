/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_MEM_REGISTERS_H
#define TERN_MEM_REGISTERS_H

#include <linux/types.h>

#include <uapi/tern/stream.h>

struct tern_dma;
struct tern_interrupts;

/**
 * struct tern_registers - BAR0
 * @irqs: raised by the doorbell and at the end of a transfer; immutable
 * @dma: its registers are among ours; immutable
 * @memory_size: as the guest reads it; immutable while open
 * @irq_status: TERN_REG_IRQ_STATUS
 * @irq_mask: TERN_REG_IRQ_MASK
 * @scratch: the scratch registers
 *
 * Guarded by the device's io lock.
 */
struct tern_registers {
	struct tern_interrupts *irqs;
	struct tern_dma *dma;
	u64 memory_size;
	u32 irq_status;
	u32 irq_mask;
	u32 scratch[TERN_SCRATCH_REGISTERS];
};

void tern_registers_init(struct tern_registers *regs, struct tern_interrupts *irqs,
			 struct tern_dma *dma, u64 memory_size);
void tern_registers_clear(struct tern_registers *regs);
void tern_registers_read(struct tern_registers *regs, unsigned int offset, void *to, size_t len);
void tern_registers_write(struct tern_registers *regs, unsigned int offset, const void *from,
			  size_t len);
void tern_registers_interrupt(struct tern_registers *regs, unsigned int vector);
void tern_registers_save(const struct tern_registers *regs, struct tern_registers_state *to);
int tern_registers_validate(const struct tern_registers_state *from);
void tern_registers_load(struct tern_registers *regs, const struct tern_registers_state *from);

#endif /* TERN_MEM_REGISTERS_H */
