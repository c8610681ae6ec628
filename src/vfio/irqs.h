/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_VFIO_IRQS_H
#define TERN_VFIO_IRQS_H

#include <linux/compiler.h>

struct tern_device;
struct vfio_device;

void tern_irqs_init(struct tern_device *dev);
int tern_irqs_info(struct tern_device *dev, void __user *arg);
int tern_irqs_set(struct tern_device *dev, void __user *arg);
void tern_irqs_disconnect(struct tern_device *dev);
void tern_irqs_request(struct vfio_device *vdev, unsigned int count);

#endif /* TERN_VFIO_IRQS_H */
