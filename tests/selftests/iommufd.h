/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device by its character device and iommufd: without a group, and without a container.
 * An IOAS is iommufd's address space; a device that is attached to it finds guest memory
 * there.
 */
#ifndef TERN_IOMMUFD_H
#define TERN_IOMMUFD_H

#include "tern.h"
#include <dirent.h>
#include <linux/iommufd.h>

/* VFIO's character devices need iommufd, and a kernel that has both. */
static inline bool have_iommufd(void)
{
	char text[8192];

	return read_file("/proc/devices", text, sizeof(text)) > 0 && strstr(text, " vfio-dev\n");
}

static inline int iommufd_open(void)
{
	int fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Open a Tern device's character device. Only a bind makes it usable. fd or -errno. */
static inline int cdev_open(const char *uuid)
{
	char path[300];
	struct dirent *entry;
	int fd = -ENOENT;
	DIR *dir;

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/vfio-dev", uuid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "vfio", 4))
			continue;
		snprintf(path, sizeof(path), "/dev/vfio/devices/%s", entry->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
	}
	if (dir)
		closedir(dir);
	return fd;
}

static inline int cdev_bind(int fd, int iommufd)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = iommufd };

	return ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind) ? -errno : 0;
}

/* Attach to an IOAS; it replaces the one that the device is attached to. */
static inline int cdev_attach(int fd, uint32_t ioas)
{
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach), .pt_id = ioas };

	return ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) ? -errno : 0;
}

static inline int cdev_detach(int fd)
{
	struct vfio_device_detach_iommufd_pt detach = { .argsz = sizeof(detach) };

	return ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach) ? -errno : 0;
}

/* A device by a descriptor that is bound; dev_close() closes it. 0 or -errno. */
static inline int dev_from_cdev(struct dev *d, const char *uuid, int fd)
{
	memset(d, 0, sizeof(*d));
	d->container = d->group = d->data_fd = -1;
	d->fd = fd;
	d->uuid = uuid;
	return fd < 0 ? fd : dev_find_regions(d);
}

/* Open a Tern device, attached to nothing. 0 or -errno. */
static inline int dev_bind(struct dev *d, const char *uuid, int iommufd)
{
	int fd = cdev_open(uuid), ret = fd < 0 ? fd : cdev_bind(fd, iommufd);

	if (ret && fd >= 0)
		close(fd);
	return dev_from_cdev(d, uuid, ret ?: fd);
}

static inline int ioas_alloc(int iommufd, uint32_t *ioas)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	if (ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc))
		return -errno;
	*ioas = alloc.out_ioas_id;
	return 0;
}

static inline int ioas_map(int iommufd, uint32_t ioas, void *p, uint64_t address, uint64_t size)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = ioas, .user_va = (uintptr_t)p, .length = size, .iova = address,
	};

	return ioctl(iommufd, IOMMU_IOAS_MAP, &map) ? -errno : 0;
}

static inline int ioas_unmap(int iommufd, uint32_t ioas, uint64_t address, uint64_t size)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap), .ioas_id = ioas, .iova = address, .length = size,
	};

	return ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap) ? -errno : 0;
}

static inline int iommufd_destroy(int iommufd, uint32_t id)
{
	struct iommu_destroy destroy = { .size = sizeof(destroy), .id = id };

	return ioctl(iommufd, IOMMU_DESTROY, &destroy) ? -errno : 0;
}

#endif /* TERN_IOMMUFD_H */
