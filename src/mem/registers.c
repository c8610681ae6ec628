// SPDX-License-Identifier: GPL-2.0-only
/*
 * The registers of BAR0: identity, interrupt status and mask, the doorbell, scratch.
 * Those of the DMA engine are kept by mem/dma.c. include/uapi/tern/registers.h has the
 * map.
 *
 * A register is 32 bits wide. A read may be of any size; a write narrower than
 * a register, or unaligned, has no effect, as on hardware that decodes words.
 */
#include <linux/bits.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "mem/dma.h"
#include "function/interrupts.h"
#include "mem/registers.h"
#include <uapi/tern/registers.h>

#define VECTOR_BITS	GENMASK(TERN_VECTORS - 1, 0)

/* Where the registers of the DMA engine lie. */
#define DMA_FIRST	0x100
#define DMA_END		0x200

static_assert(TERN_REG_SCRATCH(TERN_SCRATCH_REGISTERS) <= DMA_FIRST);
static_assert(TERN_DMA_COMMAND >= DMA_FIRST && TERN_DMA_CRC < DMA_END);

/* INTx is asserted as long as a bit of the status is not masked. */
static void update_intx(struct tern_registers *regs)
{
	tern_interrupts_set_intx(regs->irqs, regs->irq_status & ~regs->irq_mask);
}

/**
 * tern_registers_init() - registers as at power-on
 * @regs: the registers
 * @irqs: what the doorbell raises
 * @dma: the DMA engine
 * @memory_size: bytes of device memory
 */
void tern_registers_init(struct tern_registers *regs, struct tern_interrupts *irqs,
			 struct tern_dma *dma, u64 memory_size)
{
	regs->irqs = irqs;
	regs->dma = dma;
	regs->memory_size = memory_size;
	tern_registers_clear(regs);
}

/**
 * tern_registers_clear() - as at power-on
 * @regs: the registers
 */
void tern_registers_clear(struct tern_registers *regs)
{
	regs->irq_status = 0;
	regs->irq_mask = 0;
	update_intx(regs);
	memset(regs->scratch, 0, sizeof(regs->scratch));
}

static bool is_dma(unsigned int offset)
{
	return offset >= DMA_FIRST && offset < DMA_END;
}

/* The scratch register at an offset, or NULL. */
static u32 *scratch_at(struct tern_registers *regs, unsigned int offset)
{
	if (offset < TERN_REG_SCRATCH(0) || offset >= TERN_REG_SCRATCH(TERN_SCRATCH_REGISTERS))
		return NULL;
	return &regs->scratch[(offset - TERN_REG_SCRATCH(0)) / sizeof(u32)];
}

static u32 read_register(struct tern_registers *regs, unsigned int offset)
{
	const u32 *scratch = scratch_at(regs, offset);

	if (scratch)
		return *scratch;
	if (is_dma(offset))
		return tern_dma_read_register(regs->dma, offset);
	switch (offset) {
	case TERN_REG_ID:
		return TERN_ID;
	case TERN_REG_VERSION:
		return TERN_REGISTERS_VERSION;
	case TERN_REG_FEATURES:
		return TERN_FEATURE_DOORBELL | TERN_FEATURE_DMA;
	case TERN_REG_STATUS:
		return TERN_STATUS_READY;
	case TERN_REG_MEMORY_LOW:
		return lower_32_bits(regs->memory_size);
	case TERN_REG_MEMORY_HIGH:
		return upper_32_bits(regs->memory_size);
	case TERN_REG_VECTORS:
		return TERN_VECTORS;
	case TERN_REG_IRQ_STATUS:
		return regs->irq_status;
	case TERN_REG_IRQ_MASK:
		return regs->irq_mask;
	default:
		return 0;
	}
}

/* Raise these vectors, except for masked ones: they wait for the unmasking. */
static void raise(struct tern_registers *regs, u32 vectors)
{
	unsigned int i;

	vectors &= ~regs->irq_mask;
	for (i = 0; i < TERN_VECTORS; i++)
		if (vectors & BIT(i))
			tern_interrupts_raise(regs->irqs, i);
}

static void write_register(struct tern_registers *regs, unsigned int offset, u32 value)
{
	u32 *scratch = scratch_at(regs, offset);
	u32 unmasked;

	if (scratch) {
		*scratch = value;
		return;
	}
	if (is_dma(offset)) {
		tern_dma_write_register(regs->dma, offset, value);
		return;
	}
	switch (offset) {
	case TERN_REG_IRQ_STATUS:
		regs->irq_status &= ~value;
		update_intx(regs);
		break;
	case TERN_REG_IRQ_MASK:
		unmasked = regs->irq_mask & ~value;
		regs->irq_mask = value & VECTOR_BITS;
		update_intx(regs);
		raise(regs, unmasked & regs->irq_status);
		break;
	case TERN_REG_DOORBELL:
		if (value < TERN_VECTORS)
			tern_registers_interrupt(regs, value);
		break;
	}
}

/**
 * tern_registers_interrupt() - an event of a vector
 * @regs: the registers
 * @vector: below TERN_VECTORS
 *
 * Sets its bit of the status, and raises it unless it is masked.
 *
 * Context: the device's io lock.
 */
void tern_registers_interrupt(struct tern_registers *regs, unsigned int vector)
{
	lockdep_assert_held(regs->dma->lock);
	regs->irq_status |= BIT(vector);
	update_intx(regs);
	raise(regs, BIT(vector));
}

/**
 * tern_registers_read() - read BAR0
 * @regs: the registers
 * @offset: first byte; the range lies inside the BAR
 * @to: gets the bytes
 * @len: how many
 *
 * Context: the device's io lock.
 */
void tern_registers_read(struct tern_registers *regs, unsigned int offset, void *to, size_t len)
{
	lockdep_assert_held(regs->dma->lock);
	while (len) {
		unsigned int in = offset % sizeof(u32);
		size_t n = min(len, sizeof(u32) - in);
		__le32 word = cpu_to_le32(read_register(regs, offset - in));

		memcpy(to, (u8 *)&word + in, n);
		offset += n;
		to += n;
		len -= n;
	}
}

/**
 * tern_registers_write() - write BAR0
 * @regs: the registers
 * @offset: first byte; the range lies inside the BAR
 * @from: the bytes
 * @len: how many; aligned whole registers have an effect, other writes none
 *
 * Context: the device's io lock.
 */
void tern_registers_write(struct tern_registers *regs, unsigned int offset, const void *from,
			  size_t len)
{
	const __le32 *word = from;
	size_t i;

	lockdep_assert_held(regs->dma->lock);
	if (offset % sizeof(u32) || len % sizeof(u32))
		return;
	for (i = 0; i < len / sizeof(u32); i++)
		write_register(regs, offset + i * sizeof(u32), le32_to_cpu(word[i]));
}

/**
 * tern_registers_save() - the state, for a stream
 * @regs: the registers
 * @to: gets it
 */
void tern_registers_save(const struct tern_registers *regs, struct tern_registers_state *to)
{
	unsigned int i;

	to->irq_status = cpu_to_le32(regs->irq_status);
	to->irq_mask = cpu_to_le32(regs->irq_mask);
	for (i = 0; i < TERN_SCRATCH_REGISTERS; i++)
		to->scratch[i] = cpu_to_le32(regs->scratch[i]);
}

/**
 * tern_registers_validate() - can the registers be so?
 * @from: a state from a stream
 *
 * Return: 0, or -EDOM.
 */
int tern_registers_validate(const struct tern_registers_state *from)
{
	if ((le32_to_cpu(from->irq_status) | le32_to_cpu(from->irq_mask)) & ~VECTOR_BITS)
		return -EDOM;
	return 0;
}

/**
 * tern_registers_load() - restore from a validated section
 * @regs: the registers
 * @from: a validated state
 */
void tern_registers_load(struct tern_registers *regs, const struct tern_registers_state *from)
{
	unsigned int i;

	regs->irq_status = le32_to_cpu(from->irq_status);
	regs->irq_mask = le32_to_cpu(from->irq_mask);
	update_intx(regs);
	for (i = 0; i < TERN_SCRATCH_REGISTERS; i++)
		regs->scratch[i] = le32_to_cpu(from->scratch[i]);
}
