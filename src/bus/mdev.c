// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mdev bus: a parent "tern" with one type per model, and the life of an mdev.
 */
#include <linux/device.h>
#include <linux/err.h>
#include <linux/mdev.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>

#include "bus/mdev.h"
#include "function/function.h"
#include "vfio/device.h"

static unsigned int max_devices = 64;
module_param(max_devices, uint, 0444);
MODULE_PARM_DESC(max_devices, "Devices that may exist at once (default 64)");

/**
 * struct mdev_model - a model as an mdev type
 * @type: what the mdev core knows
 * @ops: the model
 */
struct mdev_model {
	struct mdev_type type;
	const struct tern_function_ops *ops;
};

static const struct tern_function_ops *model_of(struct mdev_type *type)
{
	return container_of(type, struct mdev_model, type)->ops;
}

static int probe(struct mdev_device *mdev)
{
	struct tern_function *fn = model_of(mdev->type)->create();
	int ret;

	if (IS_ERR(fn))
		return PTR_ERR(fn);
	ret = tern_device_register(&mdev->dev, fn);
	if (ret)
		fn->ops->destroy(fn);
	return ret;
}

static void remove(struct mdev_device *mdev)
{
	struct tern_function *fn = dev_get_drvdata(&mdev->dev);

	tern_device_unregister(&mdev->dev, fn);
	fn->ops->destroy(fn);
}

static ssize_t show_description(struct mdev_type *type, char *buf)
{
	return sysfs_emit(buf, "%s: protocols v1 and v2\n", model_of(type)->description);
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
	},
};

static struct {
	struct class *class;
	struct device *dev;
	struct mdev_parent mdev;
	struct mdev_model *models;
	struct mdev_type **types;
	unsigned int n;
} parent;

/* A type's name is the driver's, a dash and the model's: "tern-MODEL". */
static int make_types(void)
{
	unsigned int i;

	while (tern_models[parent.n])
		parent.n++;
	parent.models = kcalloc(parent.n, sizeof(*parent.models), GFP_KERNEL);
	parent.types = kcalloc(parent.n, sizeof(*parent.types), GFP_KERNEL);
	if (!parent.models || !parent.types)
		return -ENOMEM;
	for (i = 0; i < parent.n; i++) {
		struct mdev_model *model = &parent.models[i];

		model->ops = tern_models[i];
		model->type.sysfs_name = model->ops->type;
		model->type.pretty_name = model->ops->name;
		parent.types[i] = &model->type;
	}
	return 0;
}

static void free_types(void)
{
	kfree(parent.types);
	kfree(parent.models);
}

/**
 * tern_mdev_register() - from now on devices can be created
 *
 * Return: 0 or -errno. Context: may sleep.
 */
int tern_mdev_register(void)
{
	int ret;

	ret = make_types();
	if (ret)
		goto err_free_types;
	driver.max_instances = max_devices;
	ret = mdev_register_driver(&driver);
	if (ret)
		goto err_free_types;
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
	ret = mdev_register_parent(&parent.mdev, parent.dev, &driver, parent.types, parent.n);
	if (ret)
		goto err_unregister_device;
	return 0;

err_unregister_device:
	device_unregister(parent.dev);
err_destroy_class:
	class_destroy(parent.class);
err_unregister_driver:
	mdev_unregister_driver(&driver);
err_free_types:
	free_types();
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
	free_types();
}
