/* SPDX-License-Identifier: GPL-2.0-only */
/* What the guest's driver and its user share. */
#ifndef TERN_IRQ_H
#define TERN_IRQ_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * Memory for DMA in both directions. It is contiguous: one page of any kind, or a part of
 * one. It stays where it is until the guest ends.
 */
struct tern_irq_map {
	__u64 memory;	/* where the caller has it */
	__u64 len;
	__u64 address;	/* out: where the device finds it */
};

#define TERN_IRQ_MAP	_IOWR('T', 0, struct tern_irq_map)

#endif /* TERN_IRQ_H */
