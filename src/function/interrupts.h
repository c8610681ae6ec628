/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_FUNCTION_INTERRUPTS_H
#define TERN_FUNCTION_INTERRUPTS_H

#include <linux/spinlock.h>
#include <linux/types.h>

#include <uapi/tern/stream.h>

struct eventfd_ctx;
struct tern_identity;

/**
 * struct tern_intx - INTx of a function
 * @asserted: its level
 * @disabled: the guest has disabled INTx in config space
 * @masked: nothing is signalled until the VMM unmasks it; the host's, as @trigger
 * @trigger: where it is signalled, or NULL
 */
struct tern_intx {
	bool asserted;
	bool disabled;
	bool masked;
	struct eventfd_ctx *trigger;
};

/**
 * struct tern_interrupts - INTx and the MSI-X vectors of a function
 * @lock: guards the rest; no lock of ours under it, but that of an eventfd
 * @running: vectors may be delivered
 * @master: the guest has enabled bus mastering, without which no vector is
 * @d3hot: the guest has put the device into D3hot: nothing is delivered
 * @model: of the function, for its name; immutable
 * @n: vectors; immutable
 * @table_at: where in its BAR the table begins; immutable
 * @pba_at: where in its BAR the pending bits begin; immutable
 * @pending: one bit per vector: raised, not delivered yet
 * @trigger: where a vector is delivered, or NULL
 * @table: the MSI-X table, as it was written; the VMM acts on it
 * @intx: INTx
 */
struct tern_interrupts {
	spinlock_t lock;
	bool running;
	bool master;
	bool d3hot;
	const struct tern_model *model;
	unsigned int n;
	u32 table_at;
	u32 pba_at;
	unsigned long *pending;
	struct eventfd_ctx **trigger;
	struct tern_msix_entry *table;
	struct tern_intx intx;
};

int tern_interrupts_init(struct tern_interrupts *irqs, const struct tern_identity *id,
			 const struct tern_model *model);
void tern_interrupts_uninit(struct tern_interrupts *irqs);
void tern_interrupts_clear(struct tern_interrupts *irqs);
void tern_interrupts_start(struct tern_interrupts *irqs);
void tern_interrupts_stop(struct tern_interrupts *irqs);
void tern_interrupts_raise(struct tern_interrupts *irqs, unsigned int vector);
void tern_interrupts_configure(struct tern_interrupts *irqs, u16 command, bool d3hot);
void tern_interrupts_connect(struct tern_interrupts *irqs, unsigned int vector,
			     struct eventfd_ctx *trigger);
void tern_interrupts_set_intx(struct tern_interrupts *irqs, bool asserted);
bool tern_interrupts_intx(struct tern_interrupts *irqs);
void tern_interrupts_connect_intx(struct tern_interrupts *irqs, struct eventfd_ctx *trigger);
void tern_interrupts_disconnect(struct tern_interrupts *irqs);
void tern_interrupts_mask_intx(struct tern_interrupts *irqs, bool masked);
void tern_interrupts_test(struct tern_interrupts *irqs, unsigned int vector);
void tern_interrupts_test_intx(struct tern_interrupts *irqs);
void tern_interrupts_read(struct tern_interrupts *irqs, unsigned int offset, void *to, size_t len);
void tern_interrupts_write(struct tern_interrupts *irqs, unsigned int offset, const void *from,
			   size_t len);
void tern_interrupts_save(struct tern_interrupts *irqs, unsigned long *pending,
			  struct tern_msix_entry *table);
int tern_interrupts_validate(const struct tern_msix_entry *table, unsigned int n);
void tern_interrupts_load(struct tern_interrupts *irqs, const unsigned long *pending,
			  const struct tern_msix_entry *table);

#endif /* TERN_FUNCTION_INTERRUPTS_H */
