/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between kernels in what vfio asks of a driver.
 */
#ifndef TERN_COMPAT_VFIO_H
#define TERN_COMPAT_VFIO_H

#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

struct iommufd_ctx;

/* The last word of a vfio_device's release. */
#ifdef TERN_HAS_VFIO_FREE_DEVICE
#define tern_compat_vfio_release(vdev)	vfio_free_device(vdev)
#else
#define tern_compat_vfio_release(vdev)	((void)(vdev))
#endif

/* Members of vfio_device_ops that not every kernel has. */
#if defined(TERN_HAS_BIND_IOMMUFD) && IS_ENABLED(CONFIG_IOMMUFD)
#define tern_compat_bind_iommufd	vfio_iommufd_emulated_bind
#define tern_compat_unbind_iommufd	vfio_iommufd_emulated_unbind
#define TERN_COMPAT_BIND_OPS(bind, unbind)				\
	.bind_iommufd	= (bind),					\
	.unbind_iommufd	= (unbind),					\
	.attach_ioas	= vfio_iommufd_emulated_attach_ioas,
#else
#define tern_compat_bind_iommufd(vdev, ictx, id)	(-EOPNOTSUPP)
#define tern_compat_unbind_iommufd(vdev)		((void)(vdev))
#define TERN_COMPAT_BIND_OPS(bind, unbind)
#endif
#if defined(TERN_HAS_DETACH_IOAS) && IS_ENABLED(CONFIG_IOMMUFD)
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
#define TERN_COMPAT_VFIO_OPS(region_info, bind, unbind)			\
	TERN_COMPAT_BIND_OPS(bind, unbind)				\
	TERN_COMPAT_DETACH_OPS						\
	TERN_COMPAT_REGION_OPS(region_info)

/* Is what fills a VMM's bitmap there, or a stub that does nothing? */
#if defined(TERN_HAS_IOVA_BITMAP_STUBS) && !IS_ENABLED(CONFIG_IOMMUFD_DRIVER)
#define TERN_COMPAT_DMA_LOG_WORKS	false
#else
#define TERN_COMPAT_DMA_LOG_WORKS	true
#endif

/* What version 2 of the protocol got later. */
#ifndef VFIO_MIGRATION_PRE_COPY
#define VFIO_MIGRATION_PRE_COPY		(1 << 2)
#define VFIO_DEVICE_STATE_PRE_COPY	((enum vfio_device_mig_state)6)
#define VFIO_DEVICE_STATE_PRE_COPY_P2P	((enum vfio_device_mig_state)7)

struct vfio_precopy_info {
	__u32 argsz;
	__u32 flags;
	__aligned_u64 initial_bytes;
	__aligned_u64 dirty_bytes;
};

#define VFIO_MIG_GET_PRECOPY_INFO	_IO(VFIO_TYPE, VFIO_BASE + 21)

/* The kernel's own table has no pre-copy: nothing to hold ours against. */
static inline bool tern_compat_is_next_state(struct vfio_device *vdev,
					     enum vfio_device_mig_state from,
					     enum vfio_device_mig_state to,
					     enum vfio_device_mig_state next)
{
	return true;
}
#else
/* Does the kernel say the same? Its word for "there is no way" is ERROR. */
static inline bool tern_compat_is_next_state(struct vfio_device *vdev,
					     enum vfio_device_mig_state from,
					     enum vfio_device_mig_state to,
					     enum vfio_device_mig_state next)
{
	enum vfio_device_mig_state theirs;

	if (vfio_mig_get_next_state(vdev, from, to, &theirs))
		theirs = VFIO_DEVICE_STATE_ERROR;
	return theirs == next;
}
#endif

#ifndef VFIO_PRECOPY_INFO_REINIT
#define VFIO_PRECOPY_INFO_REINIT	(1 << 0)
#endif

/* Has user space asked that the flags of vfio_precopy_info are an output? */
static inline bool tern_compat_precopy_info_v2(const struct vfio_device *vdev)
{
#ifdef TERN_HAS_PRECOPY_INFO_V2
	return vdev->precopy_info_v2;
#else
	return false;
#endif
}

typedef int (*tern_compat_data_size_fn)(struct vfio_device *vdev, unsigned long *bytes);

#ifdef VFIO_DEVICE_FEATURE_MIG_DATA_SIZE
#define TERN_COMPAT_MIGRATION_OPS(data_size)	.migration_get_data_size = (data_size),

static inline int tern_compat_device_feature(struct vfio_device *vdev, u32 flags, void __user *arg,
					     size_t argsz, tern_compat_data_size_fn fn)
{
	return -ENOTTY;
}
#else
#define TERN_COMPAT_MIGRATION_OPS(data_size)

#define VFIO_DEVICE_FEATURE_MIG_DATA_SIZE	9

struct vfio_device_feature_mig_data_size {
	__aligned_u64 stop_copy_length;
};

/* What newer kernels do themselves. */
static inline int tern_compat_device_feature(struct vfio_device *vdev, u32 flags, void __user *arg,
					     size_t argsz, tern_compat_data_size_fn fn)
{
	struct vfio_device_feature_mig_data_size size = {};
	unsigned long bytes;
	int ret;

	if ((flags & VFIO_DEVICE_FEATURE_MASK) != VFIO_DEVICE_FEATURE_MIG_DATA_SIZE)
		return -ENOTTY;
	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET, sizeof(size));
	if (ret != 1)
		return ret;
	ret = fn(vdev, &bytes);
	if (ret)
		return ret;
	size.stop_copy_length = bytes;
	return copy_to_user(arg, &size, sizeof(size)) ? -EFAULT : 0;
}
#endif

typedef int (*tern_compat_region_info_fn)(struct vfio_device *vdev, struct vfio_region_info *info,
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
