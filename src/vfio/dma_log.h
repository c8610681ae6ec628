/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_VFIO_DMA_LOG_H
#define TERN_VFIO_DMA_LOG_H

#include <linux/mutex.h>
#include <linux/types.h>

struct tern_device;
struct tern_dma_range;

/**
 * struct tern_dma_log - which pages of guest memory the device's DMA has written
 * @lock: guards all of it; a leaf
 * @ranges: the ranges that are logged; NULL if nothing is
 * @n: how many
 */
struct tern_dma_log {
	struct mutex lock;
	struct tern_dma_range *ranges;
	unsigned int n;
};

void tern_dma_log_init(struct tern_device *dev);
void tern_dma_log_offer(struct tern_device *dev, bool offered);
void tern_dma_log_close(struct tern_device *dev);
void tern_dma_log_mark(struct tern_device *dev, u64 address, size_t len);

#endif /* TERN_VFIO_DMA_LOG_H */
