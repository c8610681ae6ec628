// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log of DMA: which pages of guest memory the device has written, for a VMM
 * that asks the device and not the container (VFIO_DEVICE_FEATURE_DMA_LOGGING_*).
 *
 * Guest memory has nothing to do with device memory and its tracker, nor with the state
 * of a migration. A VMM starts the log, reads it, and stops it when it likes. The log
 * has one bit per page. Its bitmaps are allocated when it starts, and charged to the
 * VMM: so to mark cannot fail.
 *
 * A page is marked after it was written. A VMM that reads the log and then the
 * page has the bytes, or finds the page in the log once more. When a device is
 * stopped, its last piece was written and marked.
 *
 * A bit is cleared under the lock, and reported with no lock held. For the VMM's bitmap
 * is user memory, which newer kernels fault in as it is filled.
 */
#include <linux/bitmap.h>
#include <linux/interval_tree.h>
#include <linux/iova_bitmap.h>
#include <linux/limits.h>
#include <linux/slab.h>

#include "compat/vfio.h"
#include "vfio/device.h"
#include "vfio/dma_log.h"

/* All ranges together: as much guest memory as a container's log can hold. */
#define PAGES_MAX	((8ULL << 40) >> PAGE_SHIFT)

/**
 * struct tern_dma_range - a range of guest memory
 * @first: its first page
 * @pages: how many
 * @written: one bit per page
 */
struct tern_dma_range {
	u64 first;
	u64 pages;
	unsigned long *written;
};

static struct tern_dma_log *log_of(struct vfio_device *vdev)
{
	return &tern_device_of(vdev)->dma_log;
}

static void free_ranges(struct tern_dma_range *ranges, unsigned int n)
{
	while (n--)
		kvfree(ranges[n].written);
	kvfree(ranges);
}

/*
 * Take a range of the VMM's into @ranges, of which there are @n. They come in ascending
 * order. A range need not end where a page does. One that begins in the last page of
 * the range before, or right after it, becomes part of it: each page has one bit.
 */
static int join_range(struct tern_dma_range *ranges, unsigned int *n,
		      const struct interval_tree_node *node)
{
	u64 first = node->start >> PAGE_SHIFT, end = (node->last >> PAGE_SHIFT) + 1;
	struct tern_dma_range *before = *n ? &ranges[*n - 1] : NULL;

	/* An empty range has its end before its beginning. */
	if (node->last < node->start)
		return -EINVAL;
	if (before && first <= before->first + before->pages) {
		before->pages = end - before->first;
		return 0;
	}
	ranges[*n].first = first;
	ranges[*n].pages = end - first;
	++*n;
	return 0;
}

static int alloc_bitmaps(struct tern_dma_range *ranges, unsigned int n)
{
	u64 pages = 0;
	unsigned int i;

	for (i = 0; i < n; i++) {
		/* A range has 2^52 pages at most, so the sum cannot wrap. */
		pages += ranges[i].pages;
		if (pages > PAGES_MAX)
			return -E2BIG;
	}
	for (i = 0; i < n; i++) {
		ranges[i].written = kvcalloc(BITS_TO_LONGS(ranges[i].pages), sizeof(long),
					     GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!ranges[i].written)
			return -ENOMEM;
	}
	return 0;
}

static int log_start(struct vfio_device *vdev, struct rb_root_cached *nodes, u32 n, u64 *page_size)
{
	struct tern_dma_log *log = log_of(vdev);
	struct interval_tree_node *node;
	struct tern_dma_range *ranges;
	unsigned int used = 0;
	int ret = 0;

	ranges = kvcalloc(n, sizeof(*ranges), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!ranges)
		return -ENOMEM;
	for (node = interval_tree_iter_first(nodes, 0, ULONG_MAX); node && !ret;
	     node = interval_tree_iter_next(node, 0, ULONG_MAX))
		ret = join_range(ranges, &used, node);
	ret = ret ?: alloc_bitmaps(ranges, used);
	if (ret)
		goto err_free;

	mutex_lock(&log->lock);
	if (log->ranges) {
		ret = -EBUSY;
	} else {
		log->ranges = ranges;
		log->n = used;
	}
	mutex_unlock(&log->lock);
	if (ret)
		goto err_free;
	*page_size = PAGE_SIZE;
	return 0;

err_free:
	free_ranges(ranges, used);
	return ret;
}

static int log_stop(struct vfio_device *vdev)
{
	struct tern_dma_log *log = log_of(vdev);
	struct tern_dma_range *ranges;
	unsigned int n;

	mutex_lock(&log->lock);
	ranges = log->ranges;
	n = log->n;
	log->ranges = NULL;
	log->n = 0;
	mutex_unlock(&log->lock);
	free_ranges(ranges, n);
	return 0;
}

/*
 * Clear the first run of written pages at or after @page, before @end. Its length;
 * 0 if there is none; -EINVAL if nothing is logged.
 */
static long take_run(struct tern_dma_log *log, u64 *page, u64 end)
{
	unsigned long first = 0, after = 0;
	unsigned int i;
	long n = 0;

	mutex_lock(&log->lock);
	if (!log->ranges)
		n = -EINVAL;
	for (i = 0; !n && i < log->n; i++) {
		struct tern_dma_range *range = &log->ranges[i];
		u64 stop;

		if (end <= range->first || *page >= range->first + range->pages)
			continue;
		stop = min(range->pages, end - range->first);
		first = find_next_bit(range->written, stop,
				      *page > range->first ? *page - range->first : 0);
		if (first >= stop)
			continue;
		after = find_next_zero_bit(range->written, stop, first);
		n = after - first;
		bitmap_clear(range->written, first, n);
		*page = range->first + first;
	}
	mutex_unlock(&log->lock);
	return n;
}

static int log_read_and_clear(struct vfio_device *vdev, unsigned long iova, unsigned long length,
			      struct iova_bitmap *dirty)
{
	u64 page = iova >> PAGE_SHIFT, end;
	long n;

	if (!length)
		return 0;
	end = (((u64)iova + length - 1) >> PAGE_SHIFT) + 1;
	while ((n = take_run(log_of(vdev), &page, end)) > 0) {
		u64 from = max_t(u64, page << PAGE_SHIFT, iova);
		u64 to = min_t(u64, (page + n) << PAGE_SHIFT, iova + length);

		iova_bitmap_set(dirty, from, to - from);
		page += n;
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return n;
}

static const struct vfio_log_ops log_ops = {
	.log_start		= log_start,
	.log_stop		= log_stop,
	.log_read_and_clear	= log_read_and_clear,
};

/**
 * tern_dma_log_init() - of a device that is not open
 * @dev: the device, before it is registered
 */
void tern_dma_log_init(struct tern_device *dev)
{
	mutex_init(&dev->dma_log.lock);
	tern_dma_log_offer(dev, true);
}

/**
 * tern_dma_log_offer() - offer the log, where the kernel can have it read
 * @dev: the device, closed or being opened
 * @offered: false: don't
 *
 * Where it can't, START would succeed and REPORT fail, and with it the migration:
 * there the container must do (P-23).
 */
void tern_dma_log_offer(struct tern_device *dev, bool offered)
{
	dev->vdev.log_ops = offered && TERN_COMPAT_DMA_LOG_WORKS ? &log_ops : NULL;
}

/**
 * tern_dma_log_close() - log no more
 * @dev: the device, being closed; its DMA has ended
 */
void tern_dma_log_close(struct tern_device *dev)
{
	log_stop(&dev->vdev);
}

/**
 * tern_dma_log_mark() - the device has written guest memory
 * @dev: the device
 * @address: where
 * @len: bytes
 *
 * Context: the DMA thread, after the bytes were written; takes the log's lock.
 */
void tern_dma_log_mark(struct tern_device *dev, u64 address, size_t len)
{
	struct tern_dma_log *log = &dev->dma_log;
	u64 first = address >> PAGE_SHIFT, last = (address + len - 1) >> PAGE_SHIFT;
	unsigned int i;

	mutex_lock(&log->lock);
	for (i = 0; i < log->n; i++) {
		const struct tern_dma_range *range = &log->ranges[i];
		u64 from = max(first, range->first);
		u64 to = min(last, range->first + range->pages - 1);

		if (from <= to)
			bitmap_set(range->written, from - range->first, to - from + 1);
	}
	mutex_unlock(&log->lock);
}
