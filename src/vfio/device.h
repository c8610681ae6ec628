/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_VFIO_DEVICE_H
#define TERN_VFIO_DEVICE_H

#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/vfio.h>

#include "core/machine.h"
#include "mem/tern_mem.h"
#include "vfio/dma_log.h"
#include "vfio/watch.h"

struct eventfd_ctx;
struct tern_migfd;

/* Regions: those of vfio-pci, and the migration region. */
#define TERN_REGION_MIGRATION	VFIO_PCI_NUM_REGIONS
#define TERN_REGIONS		(VFIO_PCI_NUM_REGIONS + 1)

/* A region's index stands in the file offset above this bit. */
#define TERN_OFFSET_SHIFT	40
#define TERN_OFFSET_MASK	((1ULL << TERN_OFFSET_SHIFT) - 1)

/**
 * enum tern_front - the protocols that move a device: one at a time
 * @TERN_FRONT_REGION: version 1, the migration region
 * @TERN_FRONT_MIGFD: version 2, the data file
 */
enum tern_front {
	TERN_FRONT_REGION,
	TERN_FRONT_MIGFD,
};

/**
 * struct tern_device - an mdev
 * @vdev: what vfio sees; must be first
 * @state_mutex: states, sessions, reset, open and close, the attributes.
 *	Order: state_mutex -> session lock -> page lock; session lock -> mem.io
 *	-> interrupts' lock. Never taken by mmap or by a page fault.
 * @mem: the device
 * @machine: its migration [state_mutex]
 * @front: who took the device out of running; meaningless while it is
 *	[state_mutex]
 * @migfd: the data file of the session or load that lives, or NULL [state_mutex]
 * @dma_log: guest memory that its DMA has written
 * @window: status page and data window; there while open
 * @status_sequence: of the status page; even [state_mutex]
 * @is_open: [state_mutex]
 * @on_iommufd: guest memory is reached by iommufd; immutable while open
 * @memory_mib: size of the memory at the next open [state_mutex]
 * @window_kib: size of the data window at the next open [state_mutex]
 * @precopy: for the next open [state_mutex]
 * @late_marks: of the last open [state_mutex]
 * @req_lock: guards @req_trigger; a leaf
 * @req_trigger: asks the user to give the device back, or NULL
 * @irqs_mutex: one VFIO_DEVICE_SET_IRQS at a time; guards @irqs_enabled, @mask and
 *	@unmask; over @req_lock and the interrupts' lock
 * @irqs_enabled: one bit per index: it was connected, and not disabled since
 * @mask: an eventfd that masks the interrupt line
 * @unmask: one that unmasks it
 */
struct tern_device {
	struct vfio_device vdev;
	struct mutex state_mutex;
	struct tern_mem mem;
	struct tern_machine machine;
	enum tern_front front;
	struct tern_migfd *migfd;
	struct tern_dma_log dma_log;
	void *window;
	u32 status_sequence;
	bool is_open;
	bool on_iommufd;
	u32 memory_mib;
	u32 window_kib;
	bool precopy;
	unsigned long late_marks;
	spinlock_t req_lock;
	struct eventfd_ctx *req_trigger;
	struct mutex irqs_mutex;
	u32 irqs_enabled;
	struct tern_watch mask;
	struct tern_watch unmask;
};

extern const struct vfio_device_ops tern_device_ops;

/**
 * tern_device_of() - the device of what vfio hands us
 * @vdev: ours
 */
static inline struct tern_device *tern_device_of(struct vfio_device *vdev)
{
	return container_of(vdev, struct tern_device, vdev);
}

int tern_device_claim(struct tern_device *dev, enum tern_front front);
u64 tern_device_memory_size(const struct tern_device *dev);
u64 tern_device_window_size(const struct tern_device *dev);

#endif /* TERN_VFIO_DEVICE_H */
