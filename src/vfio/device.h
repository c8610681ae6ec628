/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_VFIO_DEVICE_H
#define TERN_VFIO_DEVICE_H

#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/vfio.h>

#include "function/function.h"
#include "vfio/dma_log.h"
#include "vfio/migration.h"
#include "vfio/watch.h"

struct device;
struct eventfd_ctx;

/* Regions: those of vfio-pci, and the migration region. */
#define TERN_REGION_MIGRATION	VFIO_PCI_NUM_REGIONS
#define TERN_REGIONS		(VFIO_PCI_NUM_REGIONS + 1)

/* A region's index stands in the file offset above this bit. */
#define TERN_OFFSET_SHIFT	40
#define TERN_OFFSET_MASK	((1ULL << TERN_OFFSET_SHIFT) - 1)

/**
 * struct tern_device - a function that vfio offers
 * @vdev: what vfio sees; must be first
 * @migration: its migration, and the mutex over the device's states
 * @fn: the function
 * @bound: to an iommufd; immutable while open
 * @dma_log: guest memory that its DMA has written
 * @req_lock: guards @req_trigger; a leaf
 * @req_trigger: asks the user to give the device back, or NULL
 * @irqs_mutex: one VFIO_DEVICE_SET_IRQS at a time; guards @irqs_enabled, @mask and
 *	@unmask; over @req_lock and the interrupts' lock
 * @irqs_enabled: one bit per index: it was connected, and not disabled since
 * @mask: an eventfd that masks INTx
 * @unmask: one that unmasks it
 */
struct tern_device {
	struct vfio_device vdev;
	struct tern_migration migration;
	struct tern_function *fn;
	bool bound;
	struct tern_dma_log dma_log;
	spinlock_t req_lock;
	struct eventfd_ctx *req_trigger;
	struct mutex irqs_mutex;
	u32 irqs_enabled;
	struct tern_watch mask;
	struct tern_watch unmask;
};

/**
 * tern_device_of() - the device of what vfio hands us
 * @vdev: ours
 */
static inline struct tern_device *tern_device_of(struct vfio_device *vdev)
{
	return container_of(vdev, struct tern_device, vdev);
}

int tern_device_register(struct device *parent, struct tern_function *fn);
void tern_device_unregister(struct device *parent, struct tern_function *fn);

#endif /* TERN_VFIO_DEVICE_H */
