/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_VFIO_MIGFD_H
#define TERN_VFIO_MIGFD_H

struct tern_device;
struct vfio_device;

void tern_migfd_init(struct tern_device *dev);
void tern_migfd_open(struct tern_device *dev);
void tern_migfd_end(struct tern_device *dev);
int tern_migfd_data_size(struct vfio_device *vdev, unsigned long *bytes);

#endif /* TERN_VFIO_MIGFD_H */
