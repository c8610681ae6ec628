// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VFIO device: open and close, regions, ioctls, reset.
 *
 * A region is a row in a table: its size, its flags, and a function that moves bytes
 * between the device and kernel memory. User memory is only touched here, through a
 * bounce buffer, with no lock held. A buffer that user space serves itself may block
 * the copy indefinitely.
 */
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "compat/vfio.h"
#include "vfio/attributes.h"
#include "vfio/device.h"
#include "vfio/irqs.h"
#include "vfio/migfd.h"
#include "vfio/region.h"

/* Accesses up to this size need no allocation. */
#define SMALL_ACCESS	64

#define READ_WRITE	(VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)

/**
 * struct region - a region of the device, as it is now
 * @size: bytes; 0: there is no such region
 * @flags: VFIO_REGION_INFO_FLAG_*
 * @bar: of the function, or NULL: memory space, which does not answer in D3hot
 * @check: may this access be done at all? Asked before anything is; or NULL
 * @access: do it. The range lies inside.
 */
struct region {
	u64 size;
	u32 flags;
	const struct tern_bar *bar;
	int (*check)(u64 at, size_t n, bool write);
	int (*access)(struct tern_device *dev, const struct region *r, u64 at, void *buf, size_t n,
		      bool write);
};

static int access_config(struct tern_device *dev, const struct region *r, u64 at, void *buf,
			 size_t n, bool write)
{
	if (!write) {
		tern_function_read_config(dev->fn, at, buf, n);
		return 0;
	}
	/* VFIO_DEVICE_RESET by another way. What else is written with it is reset, too. */
	if (tern_config_space_is_flr(at, buf, n))
		return tern_migration_reset(&dev->migration);
	tern_function_write_config(dev->fn, at, buf, n);
	return 0;
}

static int access_bar(struct tern_device *dev, const struct region *r, u64 at, void *buf, size_t n,
		      bool write)
{
	if (!tern_function_in_d3hot(dev->fn))
		return r->bar->access(dev->fn, at, buf, n, write);
	/* As the bus answers for a device that does not. A write is dropped. */
	memset(buf, 0xff, n);
	return 0;
}

static int access_migration(struct tern_device *dev, const struct region *r, u64 at, void *buf,
			    size_t n, bool write)
{
	return tern_region_access(&dev->migration, at, buf, n, write);
}

static struct region find_region(struct tern_device *dev, unsigned int index)
{
	const struct tern_bar *bar;

	if (index < TERN_BARS) {
		bar = dev->fn->ops->bar(dev->fn, index);
		return (struct region){
			.size	= bar->size,
			.flags	= (bar->size ? READ_WRITE : 0) |
				  (bar->mmap ? VFIO_REGION_INFO_FLAG_MMAP : 0),
			.bar	= bar,
			.access	= access_bar,
		};
	}
	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		return (struct region){
			.size	= TERN_CONFIG_SIZE,
			.flags	= READ_WRITE,
			.access	= access_config,
		};
	if (index == TERN_REGION_MIGRATION && dev->migration.offered & TERN_OFFER_V1)
		return (struct region){
			.size	= tern_region_size(&dev->migration),
			.flags	= READ_WRITE | VFIO_REGION_INFO_FLAG_MMAP,
			.check	= tern_region_check,
			.access	= access_migration,
		};
	return (struct region){};
}

/* Move one piece. @bounce is kernel memory of its size. */
static int access_piece(struct tern_device *dev, const struct region *r, u64 at, char __user *buf,
			void *bounce, size_t n, bool write)
{
	int ret;

	if (write && copy_from_user(bounce, buf, n))
		return -EFAULT;
	/* Where a read acts (a register), it must not act for a buffer that is not there. */
	if (!write && r->check && n <= sizeof(u64) && clear_user(buf, n))
		return -EFAULT;
	ret = r->access(dev, r, at, bounce, n, write);
	if (ret)
		return ret;
	if (!write && copy_to_user(buf, bounce, n))
		return -EFAULT;
	return 0;
}

static ssize_t access_region(struct tern_device *dev, char __user *buf, size_t count, loff_t *ppos,
			     bool write)
{
	u64 index = (u64)*ppos >> TERN_OFFSET_SHIFT, at = *ppos & TERN_OFFSET_MASK;
	u64 small[SMALL_ACCESS / sizeof(u64)];
	size_t done, n, room;
	void *bounce = small;
	struct region r;
	int ret = 0;

	if (index >= TERN_REGIONS)
		return -EINVAL;
	r = find_region(dev, index);
	if (at >= r.size || count > r.size - at)
		return -EINVAL;
	/* As read(2) and write(2) have it: no register acts, whatever its size. */
	if (!count)
		return 0;
	if (r.check) {
		ret = r.check(at, count, write);
		if (ret)
			return ret;
	}
	room = sizeof(small);
	if (count > room) {
		room = PAGE_SIZE;
		bounce = kmalloc(room, GFP_KERNEL_ACCOUNT);
		if (!bounce)
			return -ENOMEM;
	}
	for (done = 0; done < count; done += n) {
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		n = min(count - done, room);
		ret = access_piece(dev, &r, at + done, buf + done, bounce, n, write);
		if (ret)
			break;
	}
	if (bounce != small)
		kfree(bounce);
	*ppos += done;
	return done ? done : ret;
}

static ssize_t device_read(struct vfio_device *vdev, char __user *buf, size_t count, loff_t *ppos)
{
	return access_region(tern_device_of(vdev), buf, count, ppos, false);
}

static ssize_t device_write(struct vfio_device *vdev, const char __user *buf, size_t count,
			    loff_t *ppos)
{
	return access_region(tern_device_of(vdev), (char __user *)buf, count, ppos, true);
}

/* Takes no state_mutex: see struct tern_device. */
static int device_mmap(struct vfio_device *vdev, struct vm_area_struct *vma)
{
	const unsigned int shift = TERN_OFFSET_SHIFT - PAGE_SHIFT;
	unsigned long index = vma->vm_pgoff >> shift;
	unsigned long pgoff = vma->vm_pgoff & ((1UL << shift) - 1);
	struct tern_device *dev = tern_device_of(vdev);
	const struct tern_bar *bar;

	if (index == TERN_REGION_MIGRATION && dev->migration.offered & TERN_OFFER_V1)
		return tern_region_mmap(&dev->migration, vma, pgoff);
	if (index >= TERN_BARS)
		return -EINVAL;
	bar = dev->fn->ops->bar(dev->fn, index);
	return bar->mmap ? bar->mmap(dev->fn, vma, pgoff) : -EINVAL;
}

/* The last one is the migration region. */
static u32 count_regions(const struct tern_device *dev)
{
	return dev->migration.offered & TERN_OFFER_V1 ? TERN_REGIONS : TERN_REGIONS - 1;
}

static int get_info(struct tern_device *dev, void __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_device_info, num_irqs);
	struct vfio_device_info info;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	info.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = count_regions(dev);
	info.num_irqs = VFIO_PCI_NUM_IRQS;
	return copy_to_user(arg, &info, minsz) ? -EFAULT : 0;
}

/* GET_REGION_INFO, as the newest kernels ask for it. */
static int get_region_info(struct vfio_device *vdev, struct vfio_region_info *info,
			   struct vfio_info_cap *caps)
{
	struct tern_device *dev = tern_device_of(vdev);
	struct region r;

	if (info->index >= count_regions(dev))
		return -EINVAL;
	r = find_region(dev, info->index);
	info->size = r.size;
	info->flags = r.flags;
	info->offset = (u64)info->index << TERN_OFFSET_SHIFT;
	info->cap_offset = 0;
	if (info->index == TERN_REGION_MIGRATION)
		return tern_region_caps(&dev->migration, caps);
	return 0;
}

static long device_ioctl(struct vfio_device *vdev, unsigned int cmd, unsigned long arg)
{
	struct tern_device *dev = tern_device_of(vdev);
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case VFIO_DEVICE_GET_INFO:
		return get_info(dev, uarg);
	case VFIO_DEVICE_GET_REGION_INFO:
		return tern_compat_get_region_info(vdev, uarg, get_region_info);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return tern_irqs_info(dev, uarg);
	case VFIO_DEVICE_SET_IRQS:
		return tern_irqs_set(dev, uarg);
	case VFIO_DEVICE_RESET:
		return tern_migration_reset(&dev->migration);
	default:
		return -ENOTTY;
	}
}

static struct file *set_state(struct vfio_device *vdev, enum vfio_device_mig_state state)
{
	return tern_migfd_set_state(&tern_device_of(vdev)->migration, state);
}

static int get_state(struct vfio_device *vdev, enum vfio_device_mig_state *state)
{
	return tern_migfd_get_state(&tern_device_of(vdev)->migration, state);
}

static int get_data_size(struct vfio_device *vdev, unsigned long *bytes)
{
	struct tern_migration *mig = &tern_device_of(vdev)->migration;

	if (~mig->offered & (TERN_OFFER_V2 | TERN_OFFER_DATA_SIZE))
		return -ENOTTY;
	return tern_migfd_data_size(mig, bytes);
}

static const struct vfio_migration_ops migration_ops = {
	.migration_set_state	= set_state,
	.migration_get_state	= get_state,
	TERN_COMPAT_MIGRATION_OPS(get_data_size)
};

/* Features that the core does not know; -ENOTTY for all others. */
static int device_feature(struct vfio_device *vdev, u32 flags, void __user *arg, size_t argsz)
{
	return tern_compat_device_feature(vdev, flags, arg, argsz, get_data_size);
}

/* What a tester has the next open offer. */
static void offer(struct tern_device *dev)
{
	u64 offered = tern_inject_offer(&dev->migration.inject);

	dev->migration.offered = offered;
	dev->vdev.mig_ops = offered & TERN_OFFER_V2 ? &migration_ops : NULL;
	tern_dma_log_offer(dev, offered & TERN_OFFER_DMA_LOG);
}

static int __maybe_unused bind_iommufd(struct vfio_device *vdev, struct iommufd_ctx *ictx, u32 *id)
{
	struct tern_device *dev = tern_device_of(vdev);
	int ret;

	offer(dev);
	ret = tern_compat_bind_iommufd(vdev, ictx, id);
	/* iommufd tracks no DMA of a device like this: without its own log nothing does. */
	if (!ret)
		dev->migration.untracked = !vdev->log_ops;
	dev->bound = !ret;
	return ret;
}

static void __maybe_unused unbind_iommufd(struct vfio_device *vdev)
{
	tern_device_of(vdev)->migration.untracked = false;
	tern_device_of(vdev)->bound = false;
	tern_compat_unbind_iommufd(vdev);
}

/* Power on. Each open is a new device: nothing of the last owner's is left. */
static int open_device(struct vfio_device *vdev)
{
	struct tern_device *dev = tern_device_of(vdev);
	struct tern_migration *mig = &dev->migration;
	int ret;

	mutex_lock(&mig->state_mutex);
	/* What a bound device offers was decided when it was bound. */
	if (!dev->bound)
		offer(dev);
	ret = tern_function_open(dev->fn);
	if (ret)
		goto out;
	ret = tern_migration_open(mig, &dev->fn->model);
	if (ret)
		tern_function_close(dev->fn);
	else
		vdev->migration_flags = tern_migfd_flags(mig);
out:
	mutex_unlock(&mig->state_mutex);
	dev_dbg(vdev->dev, "opened by %s[%d]: %d, offers %#llx\n", current->comm, current->pid, ret,
		mig->offered);
	return ret;
}

static void close_device(struct vfio_device *vdev)
{
	struct tern_device *dev = tern_device_of(vdev);
	struct tern_migration *mig = &dev->migration;

	/* As for a reset: whatever is done under the mutex will be in vain. */
	atomic_long_inc(&dev->fn->model.resets);
	mutex_lock(&mig->state_mutex);
	atomic_long_dec(&dev->fn->model.resets);
	tern_irqs_disconnect(dev);
	tern_migration_close(mig);
	tern_function_close(dev->fn);
	tern_dma_log_close(dev);
	mutex_unlock(&mig->state_mutex);
	dev_dbg(vdev->dev, "closed\n");
}

static int access_guest(struct tern_function *fn, u64 address, void *buf, size_t len, bool write)
{
	struct tern_device *dev = fn->owner;
	int ret;

	ret = vfio_dma_rw(&dev->vdev, address, buf, len, write);
	/* What failed may have been written in part. */
	if (write)
		tern_dma_log_mark(dev, address, len);
	return ret;
}

static int init_device(struct vfio_device *vdev)
{
	struct tern_device *dev = tern_device_of(vdev);

	tern_migration_init(&dev->migration, vdev);
	tern_irqs_init(dev);
	/* No mig_ops before the open: debugfs would use them later, too, withheld or not. */
	vdev->migration_flags = tern_migfd_flags(&dev->migration);
	tern_dma_log_init(dev);
	return 0;
}

static void release_device(struct vfio_device *vdev)
{
	struct tern_device *dev = tern_device_of(vdev);

	mutex_destroy(&dev->dma_log.lock);
	mutex_destroy(&dev->irqs_mutex);
	tern_migration_uninit(&dev->migration);
	tern_compat_vfio_release(vdev);
}

static const struct vfio_device_ops device_ops = {
	.name		= "tern",
	.init		= init_device,
	.release	= release_device,
	.open_device	= open_device,
	.close_device	= close_device,
	.read		= device_read,
	.write		= device_write,
	.mmap		= device_mmap,
	.ioctl		= device_ioctl,
	.device_feature	= device_feature,
	.request	= tern_irqs_request,
	TERN_COMPAT_VFIO_OPS(get_region_info, bind_iommufd, unbind_iommufd)
};

#define WINDOW_KIB_DEFAULT	4096

/**
 * tern_device_register() - offer a function to user space
 * @parent: the device of the bus; its drvdata becomes the function
 * @fn: the function, closed; the caller's again after tern_device_unregister()
 *
 * Return: 0, or -errno with nothing done. Context: may sleep.
 */
int tern_device_register(struct device *parent, struct tern_function *fn)
{
	struct tern_device *dev;
	int ret;

	dev = vfio_alloc_device(tern_device, vdev, parent, &device_ops);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	dev->fn = fn;
	dev->migration.window_kib = WINDOW_KIB_DEFAULT;
	dev->migration.precopy = true;
	fn->guest = access_guest;
	fn->owner = dev;
	fn->model.name = dev_name(parent);
	dev->migration.inject.device = fn->model.name;
	fn->state_mutex = &dev->migration.state_mutex;
	dev_set_drvdata(parent, fn);
	ret = vfio_register_emulated_iommu_dev(&dev->vdev);
	if (ret)
		goto err_put;
	ret = tern_attributes_add(parent, fn);
	if (ret)
		goto err_unregister;
	return 0;

err_unregister:
	vfio_unregister_group_dev(&dev->vdev);
	dev->fn = NULL;
err_put:
	vfio_put_device(&dev->vdev);
	return ret;
}

/**
 * tern_device_unregister() - take a function away from user space
 * @parent: the device of the bus
 * @fn: the function
 *
 * On return nothing uses @fn. Context: may sleep until the VMM has closed the device;
 * tern_irqs_request() asks it to.
 */
void tern_device_unregister(struct device *parent, struct tern_function *fn)
{
	struct tern_device *dev = fn->owner;

	tern_attributes_remove(parent, fn);
	vfio_unregister_group_dev(&dev->vdev);
	/* A data file may keep the device longer, and finds it without a session. */
	dev->fn = NULL;
	vfio_put_device(&dev->vdev);
}
