/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_DEVICE_INTERRUPTS_H
#define TERN_DEVICE_INTERRUPTS_H

#include <linux/spinlock.h>
#include <linux/types.h>

#include <uapi/tern/stream.h>

struct eventfd_ctx;

/**
 * struct tern_interrupts - the MSI-X vectors of a device
 * @lock: guards the rest; no lock of ours under it, but that of an eventfd
 * @running: vectors may be delivered
 * @pending: a bit a vector: raised, not delivered yet
 * @trigger: where a vector is delivered, or NULL
 * @table: the MSI-X table, as it was written; the VMM acts on it
 */
struct tern_interrupts {
	spinlock_t lock;
	bool running;
	u32 pending;
	struct eventfd_ctx *trigger[TERN_VECTORS];
	struct tern_msix_entry table[TERN_VECTORS];
};

void tern_interrupts_init(struct tern_interrupts *irqs);
void tern_interrupts_clear(struct tern_interrupts *irqs);
void tern_interrupts_start(struct tern_interrupts *irqs);
void tern_interrupts_stop(struct tern_interrupts *irqs);
void tern_interrupts_raise(struct tern_interrupts *irqs, unsigned int vector);
void tern_interrupts_connect(struct tern_interrupts *irqs, unsigned int vector,
			     struct eventfd_ctx *trigger);
void tern_interrupts_read(struct tern_interrupts *irqs, unsigned int offset,
			  void *to, size_t len);
void tern_interrupts_write(struct tern_interrupts *irqs, unsigned int offset,
			   const void *from, size_t len);
void tern_interrupts_save(struct tern_interrupts *irqs, struct tern_interrupts_state *to);
int tern_interrupts_validate(const struct tern_interrupts_state *from);
void tern_interrupts_load(struct tern_interrupts *irqs,
			  const struct tern_interrupts_state *from);

#endif /* TERN_DEVICE_INTERRUPTS_H */
