/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between kernels in what vfio asks of a driver.
 */
#ifndef TERN_COMPAT_VFIO_H
#define TERN_COMPAT_VFIO_H

#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

/* The last word of a vfio_device's release. */
#ifdef TERN_HAS_VFIO_FREE_DEVICE
#define tern_compat_vfio_release(vdev)	vfio_free_device(vdev)
#else
#define tern_compat_vfio_release(vdev)	((void)(vdev))
#endif

/* Members of vfio_device_ops that not every kernel has. */
#ifdef TERN_HAS_BIND_IOMMUFD
#define TERN_COMPAT_BIND_OPS						\
	.bind_iommufd	= vfio_iommufd_emulated_bind,			\
	.unbind_iommufd	= vfio_iommufd_emulated_unbind,			\
	.attach_ioas	= vfio_iommufd_emulated_attach_ioas,
#else
#define TERN_COMPAT_BIND_OPS
#endif
#ifdef TERN_HAS_DETACH_IOAS
#define TERN_COMPAT_DETACH_OPS						\
	.detach_ioas	= vfio_iommufd_emulated_detach_ioas,
#else
#define TERN_COMPAT_DETACH_OPS
#endif
#ifdef TERN_HAS_REGION_INFO_CAPS
#define TERN_COMPAT_REGION_OPS(fn)	.get_region_info_caps = (fn),
#else
#define TERN_COMPAT_REGION_OPS(fn)
#endif
#define TERN_COMPAT_VFIO_OPS(region_info)				\
	TERN_COMPAT_BIND_OPS						\
	TERN_COMPAT_DETACH_OPS						\
	TERN_COMPAT_REGION_OPS(region_info)

typedef int (*tern_compat_region_info_fn)(struct vfio_device *vdev,
					  struct vfio_region_info *info,
					  struct vfio_info_cap *caps);

#ifdef TERN_HAS_REGION_INFO_CAPS
/* The core calls the op and does the rest itself. */
static inline int tern_compat_get_region_info(struct vfio_device *vdev, void __user *arg,
					      tern_compat_region_info_fn fn)
{
	return -ENOTTY;
}
#else
/* What newer kernels do around the op. */
static inline int tern_compat_get_region_info(struct vfio_device *vdev, void __user *arg,
					      tern_compat_region_info_fn fn)
{
	const size_t minsz = offsetofend(struct vfio_region_info, offset);
	struct vfio_info_cap caps = { .buf = NULL, .size = 0 };
	struct vfio_region_info info;
	int ret;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	ret = fn(vdev, &info, &caps);
	if (ret)
		goto out;
	if (caps.size) {
		info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
		if (info.argsz < sizeof(info) + caps.size) {
			info.argsz = sizeof(info) + caps.size;
		} else {
			vfio_info_cap_shift(&caps, sizeof(info));
			if (copy_to_user(arg + sizeof(info), caps.buf, caps.size))
				ret = -EFAULT;
			info.cap_offset = sizeof(info);
		}
	}
	if (!ret && copy_to_user(arg, &info, minsz))
		ret = -EFAULT;
out:
	kfree(caps.buf);
	return ret;
}
#endif

#endif /* TERN_COMPAT_VFIO_H */
