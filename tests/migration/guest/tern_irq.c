// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's driver: has the device use guest memory, acknowledges the interrupts
 * that tell of a transfer's end, and counts them. /dev/tern-irqN gives the count of
 * the N-th device, as 32 bits, to its reader, and can be polled for a new one. It maps its
 * user's memory for the device, through an IOMMU if the guest uses one.
 *
 * They come by an MSI-X vector, each of which counts; with intx=1 by INTx. A
 * driver that shares an INTx is called for the others' interrupts, and a VMM that takes the
 * level for an edge signals once too often: the status shows whether it is ours.
 */
#include <linux/atomic.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/poll.h>
#include <linux/uaccess.h>

#include "tern/registers.h"
#include "tern_irq.h"

#define VECTORS	16
#define VECTOR	15	/* what stamp.c has the device raise */

static bool intx;
module_param(intx, bool, 0444);
MODULE_PARM_DESC(intx, "the interrupt line, not MSI-X");

struct counter {
	struct miscdevice misc;
	char name[16];
	struct device *dev;
	void __iomem *registers;
	atomic_t count;
	u32 seen;	/* the reader's; there is one */
	wait_queue_head_t wait;
};

/* Never freed: an open file may outlive the device. */
static struct counter counters[4];

static struct counter *to_counter(struct file *file)
{
	return container_of(file->private_data, struct counter, misc);
}

static irqreturn_t interrupt(int irq, void *data)
{
	struct counter *c = data;

	if (intx && !(ioread32(c->registers + TERN_REG_IRQ_STATUS) & BIT(VECTOR)))
		return IRQ_NONE;
	iowrite32(BIT(VECTOR), c->registers + TERN_REG_IRQ_STATUS);
	atomic_inc(&c->count);
	wake_up(&c->wait);
	return IRQ_HANDLED;
}

static ssize_t count_read(struct file *file, char __user *buf, size_t len, loff_t *ppos)
{
	struct counter *c = to_counter(file);

	c->seen = atomic_read(&c->count);
	if (len < sizeof(c->seen))
		return -EINVAL;
	return copy_to_user(buf, &c->seen, sizeof(c->seen)) ? -EFAULT : sizeof(c->seen);
}

static __poll_t count_poll(struct file *file, poll_table *table)
{
	struct counter *c = to_counter(file);

	poll_wait(file, &c->wait, table);
	return atomic_read(&c->count) != c->seen ? EPOLLIN | EPOLLRDNORM : 0;
}

/* Pinned and mapped for good: the guest's programs do not end before the guest. */
static int map_for_dma(struct device *dev, struct tern_irq_map *map)
{
	struct page *page;
	dma_addr_t address;
	size_t before, size;

	if (pin_user_pages_fast(map->memory, 1, FOLL_WRITE | FOLL_LONGTERM, &page) != 1)
		return -EFAULT;
	size = page_size(compound_head(page));
	before = map->memory & (size - 1);
	address = DMA_MAPPING_ERROR;
	if (map->len <= size - before)
		address = dma_map_page(dev, page, offset_in_page(map->memory), map->len,
				       DMA_BIDIRECTIONAL);
	if (dma_mapping_error(dev, address)) {
		unpin_user_page(page);
		return -EINVAL;
	}
	map->address = address;
	return 0;
}

static long count_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct tern_irq_map map;
	int ret;

	if (cmd != TERN_IRQ_MAP)
		return -ENOTTY;
	if (copy_from_user(&map, (void __user *)arg, sizeof(map)))
		return -EFAULT;
	ret = map_for_dma(to_counter(file)->dev, &map);
	if (ret)
		return ret;
	return copy_to_user((void __user *)arg, &map, sizeof(map)) ? -EFAULT : 0;
}

static const struct file_operations count_fops = {
	.owner		= THIS_MODULE,
	.read		= count_read,
	.poll		= count_poll,
	.unlocked_ioctl	= count_ioctl,
};

static int irq_of(struct pci_dev *pdev)
{
	return pci_irq_vector(pdev, intx ? 0 : VECTOR);
}

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	static unsigned int number;
	struct counter *c;
	int ret;

	if (number == ARRAY_SIZE(counters))
		return -ENOSPC;
	c = &counters[number];
	init_waitqueue_head(&c->wait);
	snprintf(c->name, sizeof(c->name), "tern-irq%u", number++);
	c->misc.minor = MISC_DYNAMIC_MINOR;
	c->misc.name = c->name;
	c->misc.fops = &count_fops;
	c->dev = &pdev->dev;
	ret = pcim_enable_device(pdev) ?: dma_set_mask(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	c->registers = pcim_iomap(pdev, 0, 0);
	if (!c->registers)
		return -ENOMEM;
	pci_set_master(pdev);
	ret = intx ? pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_LEGACY) :
		     pci_alloc_irq_vectors(pdev, VECTORS, VECTORS, PCI_IRQ_MSIX);
	if (ret < 0)
		return ret;
	ret = request_irq(irq_of(pdev), interrupt, IRQF_SHARED, c->name, c);
	if (ret)
		goto err_free_vectors;
	ret = misc_register(&c->misc);
	if (ret)
		goto err_free_irq;
	pci_set_drvdata(pdev, c);
	return 0;

err_free_irq:
	free_irq(irq_of(pdev), c);
err_free_vectors:
	pci_free_irq_vectors(pdev);
	return ret;
}

static void remove(struct pci_dev *pdev)
{
	struct counter *c = pci_get_drvdata(pdev);

	misc_deregister(&c->misc);
	free_irq(irq_of(pdev), c);
	pci_free_irq_vectors(pdev);
}

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(0x1234, 0x7e10) },
	{ }
};
MODULE_DEVICE_TABLE(pci, ids);

static struct pci_driver irq_driver = {
	.name		= "tern-irq",
	.id_table	= ids,
	.probe		= probe,
	.remove		= remove,
};
module_pci_driver(irq_driver);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Counts the interrupts of a tern device, for a test");
