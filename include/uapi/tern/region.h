/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The migration region of protocol version 1, as the host's user space sees it.
 */
#ifndef _UAPI_TERN_REGION_H
#define _UAPI_TERN_REGION_H

#include <linux/types.h>

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

#endif /* _UAPI_TERN_REGION_H */
