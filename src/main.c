// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tern: a VFIO device made of software that live-migrates.
 */
#include <linux/init.h>
#include <linux/module.h>

#include "bus/mdev.h"
#include "vfio/attributes.h"

static int __init tern_init(void)
{
	tern_attributes_init();
	return tern_mdev_register();
}

static void __exit tern_exit(void)
{
	tern_mdev_unregister();
}

module_init(tern_init);
module_exit(tern_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The Tern authors");
MODULE_DESCRIPTION("A VFIO mediated device that live-migrates, made of software");
MODULE_VERSION("0.1");
MODULE_SOFTDEP("pre: vfio_iommu_type1");
TERN_COMPAT_IMPORTS;
