/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * What a guest's driver sees of tern-mem: identity, BARs, registers.
 */
#ifndef _UAPI_TERN_REGISTERS_H
#define _UAPI_TERN_REGISTERS_H

#include <linux/types.h>

#define TERN_PCI_VENDOR		0x1234
#define TERN_PCI_DEVICE		0x7e10
#define TERN_PCI_CLASS		0xff0000	/* unassigned */

/*
 * BAR0: registers, 32 bits each, little-endian. Reads of any natural size
 * work; a write takes effect if it is 4 or 8 bytes wide and aligned. What is
 * not listed reads 0 and ignores writes.
 */
#define TERN_BAR0_SIZE		4096

#define TERN_REG_ID		0x00	/* ro: TERN_ID */
#define TERN_REG_VERSION	0x04	/* ro: version of this map, 1 */
#define TERN_REG_FEATURES	0x08	/* ro: TERN_FEATURE_* */
#define TERN_REG_STATUS		0x0c	/* ro: TERN_STATUS_* */
#define TERN_REG_MEMORY_LOW	0x10	/* ro: bytes of device memory */
#define TERN_REG_MEMORY_HIGH	0x14	/* ro: the same, upper half */
#define TERN_REG_VECTORS	0x18	/* ro: number of MSI-X vectors */
#define TERN_REG_IRQ_STATUS	0x20	/* one bit per vector; writing 1 clears it */
#define TERN_REG_IRQ_MASK	0x24	/* rw: 1 keeps the vector from being raised */
#define TERN_REG_DOORBELL	0x28	/* wo: n raises vector n */
#define TERN_REG_SCRATCH(n)	(0x40 + 4 * (n))	/* rw: 16 of them */

/*
 * The DMA engine moves bytes between guest memory and device memory, or works
 * on device memory alone. Writing TERN_DMA_COMMAND starts a transfer with what
 * the other registers say; while one is under way, writes to any of them have
 * no effect. It proceeds in pieces, and across a migration.
 */
#define TERN_DMA_COMMAND	0x100	/* rw: TERN_DMA_OP_*, and flags */
#define TERN_DMA_STATUS		0x104	/* ro: TERN_DMA_*, and an error */
#define TERN_DMA_ADDRESS_LOW	0x108	/* rw: in guest memory; or of the list */
#define TERN_DMA_ADDRESS_HIGH	0x10c
#define TERN_DMA_OFFSET_LOW	0x110	/* rw: in device memory */
#define TERN_DMA_OFFSET_HIGH	0x114
#define TERN_DMA_LENGTH_LOW	0x118	/* rw: bytes, the whole list together */
#define TERN_DMA_LENGTH_HIGH	0x11c
#define TERN_DMA_ENTRIES	0x120	/* rw: entries of the list */
#define TERN_DMA_PATTERN	0x124	/* rw: what TERN_DMA_OP_FILL repeats */
#define TERN_DMA_DONE_LOW	0x128	/* ro: bytes done so far */
#define TERN_DMA_DONE_HIGH	0x12c
#define TERN_DMA_CRC		0x130	/* ro: CRC-32C of the bytes done so far */

#define TERN_DMA_OP		0xfU	/* bits of the operation */
#define TERN_DMA_OP_TO_DEVICE	1U	/* guest memory to device memory */
#define TERN_DMA_OP_FROM_DEVICE	2U	/* device memory to guest memory */
#define TERN_DMA_OP_FILL	3U	/* device memory becomes the pattern */
#define TERN_DMA_OP_CRC		4U	/* CRC-32C over device memory */
#define TERN_DMA_LIST		(1U << 4)	/* ADDRESS is of a list */
#define TERN_DMA_INTERRUPT	(1U << 5)	/* raise a vector at the end */
#define TERN_DMA_VECTOR(n)	((n) << 8)	/* which one */

#define TERN_DMA_STATE		0x3U	/* bits of the state */
#define TERN_DMA_IDLE		0U	/* no transfer since power-on */
#define TERN_DMA_BUSY		1U	/* a transfer is under way */
#define TERN_DMA_DONE		2U	/* the last one is complete */
#define TERN_DMA_FAILED		3U	/* it ended early: TERN_DMA_ERROR() */
#define TERN_DMA_ERROR(status)	((status) >> 8 & 0xf)
#define TERN_DMA_ERROR_COMMAND	1U	/* no such operation, or a bit too many */
#define TERN_DMA_ERROR_LENGTH	2U	/* 0 bytes */
#define TERN_DMA_ERROR_RANGE	3U	/* not all of it in device memory */
#define TERN_DMA_ERROR_ADDRESS	4U	/* guest memory that is not there */
#define TERN_DMA_ERROR_LIST	5U	/* an entry that says nothing, or too few */
#define TERN_DMA_ERROR_MASTER	6U	/* bus mastering is not enabled */
#define TERN_DMA_ERROR_MEMORY	7U	/* the host has no memory for the device's */

/**
 * struct tern_dma_entry - an entry of a scatter list, in guest memory
 * @address: of the bytes
 * @length: how many
 * @reserved: 0
 */
struct tern_dma_entry {
	__le64 address;
	__le32 length;
	__le32 reserved;
};

#define TERN_ID			0x4e524554	/* "TERN" */
#define TERN_REGISTERS_VERSION	1

#define TERN_FEATURE_DOORBELL	(1U << 0)
#define TERN_FEATURE_DMA	(1U << 1)
#define TERN_STATUS_READY	(1U << 0)

/* BAR2: device memory. BAR4: MSI-X table and pending bits. */
#define TERN_BAR4_SIZE		4096
#define TERN_MSIX_TABLE		0x000
#define TERN_MSIX_PBA		0x800

#endif /* _UAPI_TERN_REGISTERS_H */
