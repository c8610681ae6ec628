// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mdev parent "tern", its one type, and the life of an mdev.
 */
#include <linux/device.h>
#include <linux/err.h>
#include <linux/mdev.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "vfio/attributes.h"
#include "vfio/device.h"
#include "function/limits.h"
#include "bus/mdev.h"

#define MEMORY_MIB_DEFAULT	64
#define WINDOW_KIB_DEFAULT	4096

static int probe(struct mdev_device *mdev)
{
	struct tern_device *dev;
	int ret;

	ret = tern_limits_change(0, MEMORY_MIB_DEFAULT);
	if (ret)
		return ret;
	dev = vfio_alloc_device(tern_device, vdev, &mdev->dev, &tern_device_ops);
	if (IS_ERR(dev)) {
		ret = PTR_ERR(dev);
		goto err_unreserve;
	}
	dev->memory_mib = MEMORY_MIB_DEFAULT;
	dev->migration.window_kib = WINDOW_KIB_DEFAULT;
	dev->migration.precopy = true;
	dev_set_drvdata(&mdev->dev, dev);
	ret = vfio_register_emulated_iommu_dev(&dev->vdev);
	if (ret)
		goto err_put;
	return 0;

err_put:
	vfio_put_device(&dev->vdev);
err_unreserve:
	tern_limits_change(MEMORY_MIB_DEFAULT, 0);
	return ret;
}

static void remove(struct mdev_device *mdev)
{
	struct tern_device *dev = dev_get_drvdata(&mdev->dev);

	/* Waits for the user, who is asked by tern_irqs_request(). */
	vfio_unregister_group_dev(&dev->vdev);
	tern_limits_change(dev->memory_mib, 0);
	vfio_put_device(&dev->vdev);
}

static ssize_t show_description(struct mdev_type *type, char *buf)
{
	return sysfs_emit(buf, "memory that live-migrates: protocols v1 and v2\n");
}

static struct mdev_driver driver = {
	.device_api	= VFIO_DEVICE_API_PCI_STRING,
	.probe		= probe,
	.remove		= remove,
	.show_description = show_description,
	.driver = {
		.name		= "tern",
		.owner		= THIS_MODULE,
		.mod_name	= KBUILD_MODNAME,
		.dev_groups	= tern_attribute_groups,
	},
};

/* The name of the type is the parent's driver string and this: "tern-mem". */
static struct mdev_type type_mem = {
	.sysfs_name	= "mem",
	.pretty_name	= "Tern migratable memory",
};

static struct mdev_type *types[] = { &type_mem };

static struct {
	struct class *class;
	struct device *dev;
	struct mdev_parent mdev;
} parent;

/**
 * tern_mdev_register() - from now on devices can be created
 *
 * Return: 0 or -errno. Context: may sleep.
 */
int tern_mdev_register(void)
{
	int ret;

	driver.max_instances = tern_limits_devices();
	ret = mdev_register_driver(&driver);
	if (ret)
		return ret;
	parent.class = tern_compat_class_create("tern");
	if (IS_ERR(parent.class)) {
		ret = PTR_ERR(parent.class);
		goto err_unregister_driver;
	}
	parent.dev = device_create(parent.class, NULL, MKDEV(0, 0), NULL, "tern");
	if (IS_ERR(parent.dev)) {
		ret = PTR_ERR(parent.dev);
		goto err_destroy_class;
	}
	ret = mdev_register_parent(&parent.mdev, parent.dev, &driver, types, ARRAY_SIZE(types));
	if (ret)
		goto err_unregister_device;
	return 0;

err_unregister_device:
	device_unregister(parent.dev);
err_destroy_class:
	class_destroy(parent.class);
err_unregister_driver:
	mdev_unregister_driver(&driver);
	return ret;
}

/**
 * tern_mdev_unregister() - the reverse; removes what devices there are
 *
 * Context: may sleep, until the users of the devices have closed them.
 */
void tern_mdev_unregister(void)
{
	mdev_unregister_parent(&parent.mdev);
	device_unregister(parent.dev);
	class_destroy(parent.class);
	mdev_unregister_driver(&driver);
}
