/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * What a guest's driver sees of tern-mem: identity, BARs, registers; and the
 * status page that a monitor on the host can map.
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
#define TERN_REG_IRQ_STATUS	0x20	/* a bit a vector; writing 1 clears it */
#define TERN_REG_IRQ_MASK	0x24	/* rw: 1 keeps the vector from being raised */
#define TERN_REG_DOORBELL	0x28	/* wo: n raises vector n */
#define TERN_REG_SCRATCH(n)	(0x40 + 4 * (n))	/* rw: 16 of them */
/* 0x100 .. 0x1ff is kept for the DMA engine. */

#define TERN_ID			0x4e524554	/* "TERN" */
#define TERN_REGISTERS_VERSION	1

#define TERN_FEATURE_DOORBELL	(1U << 0)
#define TERN_STATUS_READY	(1U << 0)

/* BAR2: device memory. BAR4: MSI-X table and pending bits. */
#define TERN_BAR4_SIZE		4096
#define TERN_MSIX_TABLE		0x000
#define TERN_MSIX_PBA		0x800

/*
 * The migration region: the registers of struct vfio_device_migration_info
 * at 0, the status page, the data window up to the region's end.
 */
#define TERN_REGION_STATUS	0x1000
#define TERN_REGION_WINDOW	0x2000

/**
 * struct tern_status_page - for monitors; to read it acknowledges nothing
 * @sequence: odd while the driver writes; read again if it changed
 * @state: device_state as the region's register shows it
 * @pending_bytes: as of the last state change, register access or chunk
 * @passes: passes of this session that gave data
 * @chunks: chunks offered in this session
 */
struct tern_status_page {
	__u32 sequence;
	__u32 state;
	__u64 pending_bytes;
	__u64 passes;
	__u64 chunks;
};

#endif /* _UAPI_TERN_REGISTERS_H */
