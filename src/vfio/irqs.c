// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO_DEVICE_SET_IRQS: which eventfd an interrupt has.
 *
 * INTx and the MSI-X vectors belong to the device (function/interrupts.c); the
 * request interrupt asks the VMM to release the device, and is ours. Only
 * INTx can be masked, by a call or by an eventfd of the user's.
 */
#include <linux/bits.h>
#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vfio/device.h"
#include "vfio/irqs.h"

/* The count of MSI-X is the function's. */
static const struct {
	u32 count;
	u32 flags;
} kinds[VFIO_PCI_NUM_IRQS] = {
	[VFIO_PCI_INTX_IRQ_INDEX] = {
		.count = 1, .flags = VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE |
				     VFIO_IRQ_INFO_AUTOMASKED,
	},
	[VFIO_PCI_MSIX_IRQ_INDEX] = {
		.flags = VFIO_IRQ_INFO_EVENTFD,
	},
	[VFIO_PCI_REQ_IRQ_INDEX] = {
		.count = 1, .flags = VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE,
	},
};

static u32 count_of(const struct tern_device *dev, u32 index)
{
	return index == VFIO_PCI_MSIX_IRQ_INDEX ? dev->fn->irqs.n : kinds[index].count;
}

static void on_mask_event(struct tern_watch *watch)
{
	struct tern_device *dev = container_of(watch, struct tern_device, mask);

	tern_interrupts_mask_intx(&dev->fn->irqs, true);
}

static void on_unmask_event(struct tern_watch *watch)
{
	struct tern_device *dev = container_of(watch, struct tern_device, unmask);

	tern_interrupts_mask_intx(&dev->fn->irqs, false);
}

/**
 * tern_irqs_init() - nothing is connected
 * @dev: the device, being made
 */
void tern_irqs_init(struct tern_device *dev)
{
	spin_lock_init(&dev->req_lock);
	mutex_init(&dev->irqs_mutex);
	tern_watch_init(&dev->mask, on_mask_event);
	tern_watch_init(&dev->unmask, on_unmask_event);
}

/**
 * tern_irqs_info() - VFIO_DEVICE_GET_IRQ_INFO
 * @dev: an open device
 * @arg: struct vfio_irq_info of the user's
 *
 * Return: 0; -EFAULT; -EINVAL for an index that does not exist, or for the
 * error interrupt: a device made of software reports none.
 */
int tern_irqs_info(struct tern_device *dev, void __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_irq_info, count);
	struct vfio_irq_info info;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz || info.index >= ARRAY_SIZE(kinds) ||
	    info.index == VFIO_PCI_ERR_IRQ_INDEX)
		return -EINVAL;
	info.count = count_of(dev, info.index);
	info.flags = kinds[info.index].flags;
	return copy_to_user(arg, &info, minsz) ? -EFAULT : 0;
}

static void end_watches(struct tern_device *dev)
{
	lockdep_assert_held(&dev->irqs_mutex);
	tern_watch_end(&dev->mask);
	tern_watch_end(&dev->unmask);
}

static void connect_intx(struct tern_device *dev, struct eventfd_ctx *trigger)
{
	/* The eventfds that mask it go with it. */
	if (!trigger)
		end_watches(dev);
	tern_interrupts_connect_intx(&dev->fn->irqs, trigger);
}

static void connect_request(struct tern_device *dev, struct eventfd_ctx *trigger)
{
	struct eventfd_ctx *old;

	spin_lock(&dev->req_lock);
	old = dev->req_trigger;
	dev->req_trigger = trigger;
	spin_unlock(&dev->req_lock);
	if (old)
		eventfd_ctx_put(old);
}

static void connect_one(struct tern_device *dev, u32 index, u32 i, struct eventfd_ctx *trigger)
{
	switch (index) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		connect_intx(dev, trigger);
		break;
	case VFIO_PCI_MSIX_IRQ_INDEX:
		tern_interrupts_connect(&dev->fn->irqs, i, trigger);
		break;
	default:
		connect_request(dev, trigger);
		break;
	}
}

/* Loopback: signal one eventfd, whatever the device does. Without an eventfd, nothing. */
static void test_one(struct tern_device *dev, u32 index, u32 i)
{
	switch (index) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		tern_interrupts_test_intx(&dev->fn->irqs);
		break;
	case VFIO_PCI_MSIX_IRQ_INDEX:
		tern_interrupts_test(&dev->fn->irqs, i);
		break;
	default:
		tern_irqs_request(&dev->vdev, 0);
		break;
	}
}

/* All or nothing: a bad descriptor leaves every vector as it was. */
static int set_eventfds(struct tern_device *dev, const struct vfio_irq_set *hdr, const s32 *fds)
{
	struct eventfd_ctx **triggers;
	int ret = 0;
	u32 i;

	triggers = kcalloc(max(hdr->count, 1U), sizeof(*triggers), GFP_KERNEL_ACCOUNT);
	if (!triggers)
		return -ENOMEM;
	for (i = 0; i < hdr->count; i++) {
		triggers[i] = fds[i] < 0 ? NULL : eventfd_ctx_fdget(fds[i]);
		if (fds[i] < -1)
			triggers[i] = ERR_PTR(-EINVAL);
		if (IS_ERR(triggers[i])) {
			ret = PTR_ERR(triggers[i]);
			goto err_put;
		}
	}
	for (i = 0; i < hdr->count; i++)
		connect_one(dev, hdr->index, hdr->start + i, triggers[i]);
	if (hdr->count)
		dev->irqs_enabled |= BIT(hdr->index);
	goto out;

err_put:
	while (i--)
		if (triggers[i])
			eventfd_ctx_put(triggers[i]);
out:
	kfree(triggers);
	return ret;
}

static void disable_index(struct tern_device *dev, u32 index)
{
	u32 i;

	for (i = 0; i < count_of(dev, index); i++)
		connect_one(dev, index, i, NULL);
	dev->irqs_enabled &= ~BIT(index);
}

/*
 * As vfio-pci has it, the first call with eventfds enables an index, even if each of
 * them is -1. The index stays enabled until all of it is disabled. INTx and MSI-X are
 * not enabled at the same time. The request interrupt is enabled while it has an eventfd.
 */
static bool is_enabled(struct tern_device *dev, u32 index)
{
	if (index == VFIO_PCI_REQ_IRQ_INDEX)
		return dev->req_trigger;
	return dev->irqs_enabled & BIT(index);
}

static bool is_other_enabled(const struct tern_device *dev, u32 index)
{
	const u32 both = BIT(VFIO_PCI_INTX_IRQ_INDEX) | BIT(VFIO_PCI_MSIX_IRQ_INDEX);

	return BIT(index) & both && dev->irqs_enabled & both & ~BIT(index);
}

/* The errnos are vfio-pci's, which VMMs are written against: V1-21 lists what differs. */
static int set_triggers(struct tern_device *dev, const struct vfio_irq_set *hdr, const void *data)
{
	u32 type = hdr->flags & VFIO_IRQ_SET_DATA_TYPE_MASK, i;
	const u8 *flags = data;

	/* Only MSI-X has ranges, and so an empty one. */
	if (!hdr->count && type != VFIO_IRQ_SET_DATA_NONE && hdr->index != VFIO_PCI_MSIX_IRQ_INDEX)
		return -EINVAL;
	if (is_other_enabled(dev, hdr->index))
		return -EINVAL;
	if (type == VFIO_IRQ_SET_DATA_EVENTFD)
		return set_eventfds(dev, hdr, data);
	if (!is_enabled(dev, hdr->index)) {
		if (hdr->index == VFIO_PCI_REQ_IRQ_INDEX && type == VFIO_IRQ_SET_DATA_BOOL)
			return 0;
		return -EINVAL;
	}
	if (type == VFIO_IRQ_SET_DATA_NONE && !hdr->count) {
		disable_index(dev, hdr->index);
		return 0;
	}
	for (i = 0; i < hdr->count; i++)
		if (type == VFIO_IRQ_SET_DATA_NONE || flags[i])
			test_one(dev, hdr->index, hdr->start + i);
	return 0;
}

/*
 * Mask INTx or unmask it: now, or whenever an eventfd is signalled. vfio-pci has no
 * eventfd that masks it.
 */
static int set_mask(struct tern_device *dev, const struct vfio_irq_set *hdr, const void *data,
		    bool masked)
{
	u32 type = hdr->flags & VFIO_IRQ_SET_DATA_TYPE_MASK;

	if (!is_enabled(dev, VFIO_PCI_INTX_IRQ_INDEX) || !hdr->count)
		return -EINVAL;
	if (type == VFIO_IRQ_SET_DATA_EVENTFD)
		return tern_watch_start(masked ? &dev->mask : &dev->unmask, *(const s32 *)data);
	if (type == VFIO_IRQ_SET_DATA_NONE || *(const u8 *)data)
		tern_interrupts_mask_intx(&dev->fn->irqs, masked);
	return 0;
}

static int set_irqs(struct tern_device *dev, const struct vfio_irq_set *hdr, const void *data)
{
	u32 action = hdr->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;

	lockdep_assert_held(&dev->irqs_mutex);
	if (action == VFIO_IRQ_SET_ACTION_TRIGGER)
		return set_triggers(dev, hdr, data);
	if (hdr->index == VFIO_PCI_INTX_IRQ_INDEX) {
		if (action == VFIO_IRQ_SET_ACTION_MASK)
			return set_mask(dev, hdr, data, true);
		if (action == VFIO_IRQ_SET_ACTION_UNMASK)
			return set_mask(dev, hdr, data, false);
	}
	return -ENOTTY;
}

/**
 * tern_irqs_set() - VFIO_DEVICE_SET_IRQS
 * @dev: an open device
 * @arg: struct vfio_irq_set of the user's
 *
 * Works in every migration state: where interrupts go is the host's business.
 *
 * Return: 0; -EFAULT, -EINVAL, -EBADF, -ENOMEM, or -ENOTTY for an action that the index
 * does not have; nothing has changed then. An index that is not enabled can be neither
 * tested nor masked nor disabled (-EINVAL), see V1-21. Context: may sleep.
 */
int tern_irqs_set(struct tern_device *dev, void __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_irq_set, count);
	struct vfio_irq_set hdr;
	size_t data_size = 0;
	void *data = NULL;
	int ret;

	if (copy_from_user(&hdr, arg, minsz))
		return -EFAULT;
	if (hdr.index >= ARRAY_SIZE(kinds))
		return -EINVAL;
	ret = vfio_set_irqs_validate_and_prepare(&hdr, count_of(dev, hdr.index), VFIO_PCI_NUM_IRQS,
						 &data_size);
	if (ret)
		return ret;
	if (data_size) {
		data = memdup_user(arg + minsz, data_size);
		if (IS_ERR(data))
			return PTR_ERR(data);
	}
	mutex_lock(&dev->irqs_mutex);
	ret = set_irqs(dev, &hdr, data);
	mutex_unlock(&dev->irqs_mutex);
	kfree(data);
	return ret;
}

/**
 * tern_irqs_disconnect() - the VMM has closed the device: no eventfd is used any more
 * @dev: the device, being closed: where its interrupts go ends with it
 */
void tern_irqs_disconnect(struct tern_device *dev)
{
	mutex_lock(&dev->irqs_mutex);
	end_watches(dev);
	dev->irqs_enabled = 0;
	mutex_unlock(&dev->irqs_mutex);
	connect_request(dev, NULL);
}

/**
 * tern_irqs_request() - ask the user to give the device back
 * @vdev: the device, about to be removed
 * @count: how often it was asked before
 *
 * Context: called by vfio again and again until the device is closed.
 */
void tern_irqs_request(struct vfio_device *vdev, unsigned int count)
{
	struct tern_device *dev = container_of(vdev, struct tern_device, vdev);

	spin_lock(&dev->req_lock);
	if (dev->req_trigger)
		tern_compat_eventfd_signal(dev->req_trigger);
	spin_unlock(&dev->req_lock);
}
