// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts: MSI-X vectors or INTx, delivered through eventfds.
 *
 * An interrupt is never lost. One that is raised while the device is stopped, or while
 * its vector has no eventfd, stays pending and migrates. It is delivered once, when the
 * device runs and the vector has an eventfd. An MSI-X is a write to memory, so without
 * bus mastering it stays pending, too. In D3hot a function sends nothing: no vector,
 * and INTx is not asserted.
 *
 * Which eventfd a vector has belongs to the host; it is no part of the state,
 * and to load a state does not touch it. Masking a vector in the MSI-X table
 * is the VMM's business, as VFIO has it: it takes the eventfd away. The table
 * is kept for readers of the BAR.
 *
 * INTx has a level: it is asserted as long as the registers have an event that is not
 * masked. The level is signalled once, and INTx masks itself. When the VMM unmasks it,
 * after the guest has handled it, it is signalled again if it is still asserted. So the
 * level needs no state of its own in a stream: it follows from the registers, and the
 * mask is the host's. On the destination INTx is unmasked, and what was asserted when
 * the device stopped is signalled when it runs. While INTx has an eventfd, no vector is
 * signalled or becomes pending, as PCI has it for MSI-X disabled.
 */
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/eventfd.h>
#include <linux/pci_regs.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "core/model.h"
#include "function/config_space.h"
#include "function/interrupts.h"

#define MSIX_MASKED	1
/* In place of a vector's number. */
#define INTX		(-1)

static_assert(sizeof(struct tern_msix_entry) == 4 * sizeof(u32));

/**
 * tern_interrupts_init() - vectors in their reset state, connected to nothing
 * @irqs: the interrupts
 * @id: how many vectors there are, and where a guest finds them
 * @model: of the function
 *
 * Return: 0 or -ENOMEM. Context: may sleep.
 */
int tern_interrupts_init(struct tern_interrupts *irqs, const struct tern_identity *id,
			 const struct tern_model *model)
{
	memset(irqs, 0, sizeof(*irqs));
	spin_lock_init(&irqs->lock);
	irqs->model = model;
	irqs->n = id->vectors;
	irqs->table_at = id->msix_table;
	irqs->pba_at = id->msix_pba;
	irqs->pending = bitmap_zalloc(irqs->n, GFP_KERNEL);
	irqs->trigger = kcalloc(irqs->n, sizeof(*irqs->trigger), GFP_KERNEL);
	irqs->table = kcalloc(irqs->n, sizeof(*irqs->table), GFP_KERNEL);
	if (!irqs->pending || !irqs->trigger || !irqs->table) {
		tern_interrupts_uninit(irqs);
		return -ENOMEM;
	}
	tern_interrupts_clear(irqs);
	return 0;
}

/**
 * tern_interrupts_uninit() - free what tern_interrupts_init() allocated
 * @irqs: the interrupts, connected to nothing; may be half made
 */
void tern_interrupts_uninit(struct tern_interrupts *irqs)
{
	bitmap_free(irqs->pending);
	kfree(irqs->trigger);
	kfree(irqs->table);
}

/**
 * tern_interrupts_clear() - as at power-on: nothing pending, all masked in the
 * table. The eventfds stay.
 * @irqs: the interrupts
 */
void tern_interrupts_clear(struct tern_interrupts *irqs)
{
	unsigned int i;

	spin_lock(&irqs->lock);
	bitmap_zero(irqs->pending, irqs->n);
	irqs->master = false;
	irqs->d3hot = false;
	irqs->intx.asserted = false;
	irqs->intx.disabled = false;
	memset(irqs->table, 0, irqs->n * sizeof(*irqs->table));
	for (i = 0; i < irqs->n; i++)
		irqs->table[i].control = cpu_to_le32(MSIX_MASKED);
	spin_unlock(&irqs->lock);
}

static bool is_silent(const struct tern_interrupts *irqs)
{
	return !irqs->running || irqs->d3hot;
}

static void deliver_locked(struct tern_interrupts *irqs, unsigned int vector)
{
	lockdep_assert_held(&irqs->lock);
	if (is_silent(irqs) || !irqs->master || !irqs->trigger[vector])
		return;
	__clear_bit(vector, irqs->pending);
	trace_tern_irq_deliver(irqs->model->name, vector);
	tern_compat_eventfd_signal(irqs->trigger[vector]);
}

static void deliver_pending_locked(struct tern_interrupts *irqs)
{
	unsigned int i;

	for_each_set_bit(i, irqs->pending, irqs->n)
		deliver_locked(irqs, i);
}

static void deliver_intx_locked(struct tern_interrupts *irqs)
{
	struct tern_intx *intx = &irqs->intx;

	lockdep_assert_held(&irqs->lock);
	if (is_silent(irqs) || !intx->trigger || intx->masked || intx->disabled || !intx->asserted)
		return;
	intx->masked = true;
	trace_tern_irq_deliver(irqs->model->name, INTX);
	tern_compat_eventfd_signal(intx->trigger);
}

/**
 * tern_interrupts_start() - deliver from now on, first what waits
 * @irqs: the interrupts
 */
void tern_interrupts_start(struct tern_interrupts *irqs)
{
	spin_lock(&irqs->lock);
	irqs->running = true;
	deliver_pending_locked(irqs);
	deliver_intx_locked(irqs);
	spin_unlock(&irqs->lock);
}

/**
 * tern_interrupts_stop() - on return nothing is delivered any more
 * @irqs: the interrupts
 */
void tern_interrupts_stop(struct tern_interrupts *irqs)
{
	spin_lock(&irqs->lock);
	irqs->running = false;
	spin_unlock(&irqs->lock);
}

/**
 * tern_interrupts_raise() - raise a vector: now, or when it can be delivered
 * @irqs: the interrupts
 * @vector: below the number of vectors
 */
void tern_interrupts_raise(struct tern_interrupts *irqs, unsigned int vector)
{
	spin_lock(&irqs->lock);
	if (!irqs->intx.trigger) {
		trace_tern_irq_raise(irqs->model->name, vector);
		__set_bit(vector, irqs->pending);
		deliver_locked(irqs, vector);
	}
	spin_unlock(&irqs->lock);
}

/**
 * tern_interrupts_configure() - the guest has written config space
 * @irqs: the interrupts
 * @command: PCI_COMMAND. Without bus mastering a vector that is raised stays pending;
 *	INTx does not depend on it, and has a bit of its own
 * @d3hot: the power state is D3hot, in which nothing is signalled
 *
 * All at once, or one write could signal between what it allows and what it forbids.
 */
void tern_interrupts_configure(struct tern_interrupts *irqs, u16 command, bool d3hot)
{
	spin_lock(&irqs->lock);
	irqs->master = command & PCI_COMMAND_MASTER;
	irqs->intx.disabled = command & PCI_COMMAND_INTX_DISABLE;
	irqs->d3hot = d3hot;
	deliver_pending_locked(irqs);
	deliver_intx_locked(irqs);
	spin_unlock(&irqs->lock);
}

/**
 * tern_interrupts_connect() - where a vector is delivered
 * @irqs: the interrupts
 * @vector: below the number of vectors
 * @trigger: its eventfd, whose reference becomes ours; NULL for nowhere
 *
 * Context: may sleep.
 */
void tern_interrupts_connect(struct tern_interrupts *irqs, unsigned int vector,
			     struct eventfd_ctx *trigger)
{
	struct eventfd_ctx *old;

	spin_lock(&irqs->lock);
	old = irqs->trigger[vector];
	irqs->trigger[vector] = trigger;
	if (test_bit(vector, irqs->pending))
		deliver_locked(irqs, vector);
	spin_unlock(&irqs->lock);
	if (old)
		eventfd_ctx_put(old);
}

/**
 * tern_interrupts_set_intx() - the level of INTx
 * @irqs: the interrupts
 * @asserted: whether
 */
void tern_interrupts_set_intx(struct tern_interrupts *irqs, bool asserted)
{
	spin_lock(&irqs->lock);
	if (asserted && !irqs->intx.asserted)
		trace_tern_irq_raise(irqs->model->name, INTX);
	irqs->intx.asserted = asserted;
	deliver_intx_locked(irqs);
	spin_unlock(&irqs->lock);
}

/**
 * tern_interrupts_intx() - is INTx asserted, disabled or not?
 * @irqs: the interrupts
 */
bool tern_interrupts_intx(struct tern_interrupts *irqs)
{
	return READ_ONCE(irqs->intx.asserted) && !READ_ONCE(irqs->d3hot);
}

/**
 * tern_interrupts_connect_intx() - where INTx is signalled
 * @irqs: the interrupts
 * @trigger: its eventfd, whose reference becomes ours; NULL for nowhere
 *
 * INTx is unmasked then. Context: may sleep.
 */
void tern_interrupts_connect_intx(struct tern_interrupts *irqs, struct eventfd_ctx *trigger)
{
	struct eventfd_ctx *old;

	spin_lock(&irqs->lock);
	old = irqs->intx.trigger;
	irqs->intx.trigger = trigger;
	irqs->intx.masked = false;
	if (trigger)
		bitmap_zero(irqs->pending, irqs->n);
	deliver_intx_locked(irqs);
	spin_unlock(&irqs->lock);
	if (old)
		eventfd_ctx_put(old);
}

/**
 * tern_interrupts_disconnect() - nothing is delivered anywhere
 * @irqs: the interrupts
 *
 * Context: may sleep.
 */
void tern_interrupts_disconnect(struct tern_interrupts *irqs)
{
	unsigned int i;

	tern_interrupts_connect_intx(irqs, NULL);
	for (i = 0; i < irqs->n; i++)
		tern_interrupts_connect(irqs, i, NULL);
}

/**
 * tern_interrupts_mask_intx() - mask INTx, or unmask it
 * @irqs: the interrupts
 * @masked: whether
 */
void tern_interrupts_mask_intx(struct tern_interrupts *irqs, bool masked)
{
	spin_lock(&irqs->lock);
	irqs->intx.masked = masked;
	deliver_intx_locked(irqs);
	spin_unlock(&irqs->lock);
}

static void test_locked(struct tern_interrupts *irqs, struct eventfd_ctx *trigger)
{
	lockdep_assert_held(&irqs->lock);
	if (trigger)
		tern_compat_eventfd_signal(trigger);
}

/**
 * tern_interrupts_test() - signal a vector's eventfd, if it has one
 * @irqs: the interrupts
 * @vector: below the number of vectors
 *
 * For a VMM that tests its own wiring: nothing of the device has a part in it.
 */
void tern_interrupts_test(struct tern_interrupts *irqs, unsigned int vector)
{
	spin_lock(&irqs->lock);
	test_locked(irqs, irqs->trigger[vector]);
	spin_unlock(&irqs->lock);
}

/**
 * tern_interrupts_test_intx() - signal the eventfd of INTx, if it has one
 * @irqs: the interrupts
 *
 * As tern_interrupts_test(): neither the level nor the mask has a part in it.
 */
void tern_interrupts_test_intx(struct tern_interrupts *irqs)
{
	spin_lock(&irqs->lock);
	test_locked(irqs, irqs->intx.trigger);
	spin_unlock(&irqs->lock);
}

/* A byte of the pending bits, which are quadwords on the bus. */
static u8 pending_byte(const struct tern_interrupts *irqs, unsigned int i)
{
	unsigned int bit = 8 * i;

	if (bit >= irqs->n)
		return 0;
	return irqs->pending[BIT_WORD(bit)] >> bit % BITS_PER_LONG;
}

/**
 * tern_interrupts_read() - read the BAR of the MSI-X table
 * @irqs: the interrupts
 * @offset: first byte; the range lies inside the BAR
 * @to: gets the table, the pending bits, and 0 where there is neither
 * @len: bytes
 */
void tern_interrupts_read(struct tern_interrupts *irqs, unsigned int offset, void *to, size_t len)
{
	const size_t table_size = irqs->n * sizeof(*irqs->table);
	const u8 *table = (const u8 *)irqs->table;
	u8 *byte = to;
	size_t i;

	spin_lock(&irqs->lock);
	for (i = 0; i < len; i++) {
		unsigned int at = offset + i;

		if (at >= irqs->table_at && at - irqs->table_at < table_size)
			byte[i] = table[at - irqs->table_at];
		else if (at >= irqs->pba_at)
			byte[i] = pending_byte(irqs, at - irqs->pba_at);
		else
			byte[i] = 0;
	}
	spin_unlock(&irqs->lock);
}

/**
 * tern_interrupts_write() - write the BAR of the MSI-X table
 * @irqs: the interrupts
 * @offset: first byte; the range lies inside the BAR
 * @from: what lands in the table is kept, the rest ignored
 * @len: bytes; a write that is not a whole number of aligned 32-bit words has
 *	no effect
 */
void tern_interrupts_write(struct tern_interrupts *irqs, unsigned int offset, const void *from,
			   size_t len)
{
	const size_t words = irqs->n * sizeof(*irqs->table) / sizeof(u32);
	__le32 *table = (__le32 *)irqs->table;
	const __le32 *word = from;
	size_t i;

	if (offset % sizeof(u32) || len % sizeof(u32))
		return;
	spin_lock(&irqs->lock);
	for (i = 0; i < len / sizeof(u32); i++) {
		size_t at = offset / sizeof(u32) + i - irqs->table_at / sizeof(u32);
		bool control = at % 4 == 3;

		/* Before the table it wraps around, and is beyond it. */
		if (at < words)
			table[at] = control ? word[i] & cpu_to_le32(MSIX_MASKED) : word[i];
	}
	spin_unlock(&irqs->lock);
}

/**
 * tern_interrupts_save() - the state, for a stream
 * @irqs: the interrupts
 * @pending: gets one bit per vector
 * @table: gets the MSI-X table
 */
void tern_interrupts_save(struct tern_interrupts *irqs, unsigned long *pending,
			  struct tern_msix_entry *table)
{
	spin_lock(&irqs->lock);
	bitmap_copy(pending, irqs->pending, irqs->n);
	memcpy(table, irqs->table, irqs->n * sizeof(*table));
	spin_unlock(&irqs->lock);
}

/**
 * tern_interrupts_validate() - can an MSI-X table be so?
 * @table: from a stream
 * @n: its entries
 *
 * Return: 0, or -EDOM.
 */
int tern_interrupts_validate(const struct tern_msix_entry *table, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (le32_to_cpu(table[i].control) & ~MSIX_MASKED)
			return -EDOM;
	return 0;
}

/**
 * tern_interrupts_load() - restore a state from a stream; the eventfds stay
 * @irqs: the interrupts, stopped
 * @pending: one bit per vector
 * @table: a validated table
 */
void tern_interrupts_load(struct tern_interrupts *irqs, const unsigned long *pending,
			  const struct tern_msix_entry *table)
{
	spin_lock(&irqs->lock);
	bitmap_copy(irqs->pending, pending, irqs->n);
	memcpy(irqs->table, table, irqs->n * sizeof(*table));
	spin_unlock(&irqs->lock);
}
