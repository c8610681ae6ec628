/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Under the selftests: a Tern device, opened as a VMM opens it, and the v1
 * protocol as its text has it.
 */
#ifndef TERN_SELFTEST_H
#define TERN_SELFTEST_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/vfio.h>

#include <tern/region.h>
#include <tern/registers.h>
#include <tern/stream.h>

#define MDEV_TYPE	"/sys/class/mdev_bus/tern/mdev_supported_types/tern-mem"
#define MDEV_DEVICES	"/sys/bus/mdev/devices"
#define MDEV_DRIVER	"/sys/bus/mdev/drivers/tern"
#define UUID_A		"7e100000-0000-4000-8000-00000000000a"
#define UUID_B		"7e100000-0000-4000-8000-00000000000b"

#define MIB		(1UL << 20)
#define PAGE		4096UL

/* PCI_COMMAND: memory and bus mastering, without which there is neither DMA nor MSI-X. */
#define MASTER		0x0006

/* v1's device_state. */
#define STOP		0U
#define RUNNING		VFIO_DEVICE_STATE_V1_RUNNING
#define SAVING		VFIO_DEVICE_STATE_V1_SAVING
#define RESUMING	VFIO_DEVICE_STATE_V1_RESUMING

#define V1(field)	offsetof(struct vfio_device_migration_info, field)

/* Bytes of what a stream has besides memory. */
#define MEMORY_RECORD	(sizeof(struct tern_record) + sizeof(struct tern_memory_head) + PAGE)
#define BEGIN_RECORD	(sizeof(struct tern_record) + sizeof(struct tern_session_begin))
#define FINAL_RECORDS	(5 * sizeof(struct tern_record) +			\
			 sizeof(struct tern_registers_state) +			\
			 sizeof(struct tern_config_state) +			\
			 sizeof(struct tern_interrupts_state) +			\
			 sizeof(struct tern_dma_state) + sizeof(struct tern_end))

struct front_end;

/* An open device. */
struct dev {
	const char *uuid;
	int container, group, fd;
	struct vfio_region_info bar2, mig;
	uint64_t window;	/* offset of the data window in its region */
	void *map;		/* the window mapped, or NULL */
	void *mem;		/* BAR2 mapped, or NULL */
	const struct front_end *by;	/* the protocol that saves or loads it (fixture.h) */
	int data_fd;		/* its v2 data file, or -1 (fixture.h) */
};

static inline int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static inline int read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n < 0)
		return -errno;
	buf[n] = 0;
	return n;
}

/* Is a thread in that state, as its stat file has it? */
static inline bool is_in_state(pid_t pid, const char *state)
{
	char path[64], text[256];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	return read_file(path, text, sizeof(text)) > 0 && strstr(text, state);
}

static inline int mdev_create(const char *uuid)
{
	return write_file(MDEV_TYPE "/create", uuid);
}

static inline int mdev_remove(const char *uuid)
{
	char path[128];

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/remove", uuid);
	return write_file(path, "1");
}

static inline int attr_set(const char *uuid, const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/tern/%s", uuid, name);
	return write_file(path, text);
}

static inline int attr_text(const char *uuid, const char *name, char *buf, size_t size)
{
	char path[128];

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/tern/%s", uuid, name);
	return read_file(path, buf, size);
}

/* What a tester asks of a device. */
static inline int rule_set(const char *uuid, const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/inject/%s", uuid, name);
	return write_file(path, text);
}

static inline bool rule_is(const char *uuid, const char *name, const char *text)
{
	char path[128], buf[4096];

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/inject/%s", uuid, name);
	return read_file(path, buf, sizeof(buf)) >= 0 && !strcmp(buf, text);
}

/* How often a rule has applied. */
static inline uint64_t rule_hits(const char *uuid, const char *name)
{
	char path[128], buf[4096], *line, *at = buf;
	size_t n = strlen(name);

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/inject/hits", uuid);
	if (read_file(path, buf, sizeof(buf)) < 0)
		return ~0ULL;
	while ((line = strsep(&at, "\n")))
		if (!strncmp(line, name, n) && line[n] == ' ')
			return strtoull(line + n, NULL, 10);
	return ~0ULL;
}

/* The numbers of an attribute, summed up: most have one. */
static inline uint64_t attr_sum(const char *uuid, const char *name)
{
	char buf[4096], *at = buf;
	uint64_t sum = 0;

	if (attr_text(uuid, name, buf, sizeof(buf)) < 0)
		return ~0ULL;
	while (*at)
		sum += strtoull(at, &at, 0), at += strspn(at, "\n");
	return sum;
}

static inline bool attr_is(const char *uuid, const char *name, const char *text)
{
	char buf[4096];

	return attr_text(uuid, name, buf, sizeof(buf)) >= 0 &&
	       !strcmp(strtok(buf, "\n") ?: "", text);
}

static inline int region_info(struct dev *d, unsigned int index, struct vfio_region_info *info,
			      size_t size)
{
	memset(info, 0, size);
	info->argsz = size;
	info->index = index;
	return ioctl(d->fd, VFIO_DEVICE_GET_REGION_INFO, info) ? -errno : 0;
}

/* Have pages written: one by one, the faults take longer than all the rest. */
static inline void populate(void *p, size_t n)
{
	madvise((void *)((uintptr_t)p & ~(PAGE - 1)), n, MADV_POPULATE_WRITE);
}

/*
 * Open any VFIO device, by its folder in sysfs: in the container of another device, or, if
 * that is NULL, in one of its own. Its regions are not read. 0 or -errno.
 */
static inline int vfio_join(struct dev *d, const char *folder, const struct dev *other)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	const struct front_end *by = d->by;
	char path[PATH_MAX], group[PATH_MAX];
	ssize_t n;

	memset(d, 0, sizeof(*d));
	d->by = by;
	d->container = d->group = d->fd = d->data_fd = -1;
	d->uuid = strrchr(folder, '/');
	if (!d->uuid || !*++d->uuid)
		return -EINVAL;
	snprintf(path, sizeof(path), "%s/iommu_group", folder);
	n = readlink(path, group, sizeof(group) - 1);
	if (n < 0)
		return -errno;
	group[n] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%.20s", strrchr(group, '/') + 1);
	d->container = other ? dup(other->container) : open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	d->group = open(path, O_RDWR | O_CLOEXEC);
	if (d->container < 0 || d->group < 0)
		return -errno;
	if (ioctl(d->group, VFIO_GROUP_GET_STATUS, &status) ||
	    ioctl(d->group, VFIO_GROUP_SET_CONTAINER, &d->container) ||
	    (!other && ioctl(d->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)))
		return -errno;
	d->fd = ioctl(d->group, VFIO_GROUP_GET_DEVICE_FD, d->uuid);
	return d->fd < 0 ? -errno : 0;
}

static inline int vfio_open(struct dev *d, const char *folder)
{
	return vfio_join(d, folder, NULL);
}

/* Where a Tern device that is open has its regions. 0 or -errno. */
static inline int dev_find_regions(struct dev *d)
{
	int ret = region_info(d, VFIO_PCI_BAR2_REGION_INDEX, &d->bar2, sizeof(d->bar2));

	d->window = TERN_REGION_WINDOW;
	ret = ret ?: region_info(d, VFIO_PCI_NUM_REGIONS, &d->mig, sizeof(d->mig));
	/* A device that does not offer v1 has no such region. */
	return ret == -EINVAL ? 0 : ret;
}

/* Open a Tern device, in a container as above. 0 or -errno. */
static inline int dev_join(struct dev *d, const char *uuid, const struct dev *other)
{
	char folder[128];
	int ret;

	snprintf(folder, sizeof(folder), MDEV_DEVICES "/%s", uuid);
	ret = vfio_join(d, folder, other);
	d->uuid = uuid;
	return ret ?: dev_find_regions(d);
}

static inline int dev_open(struct dev *d, const char *uuid)
{
	return dev_join(d, uuid, NULL);
}

static inline void dev_close(struct dev *d)
{
	if (d->map)
		munmap(d->map, d->mig.size - d->window);
	if (d->mem)
		munmap(d->mem, d->bar2.size);
	if (d->data_fd >= 0)
		close(d->data_fd);
	if (d->fd >= 0)
		close(d->fd);
	if (d->group >= 0)
		close(d->group);
	if (d->container >= 0)
		close(d->container);
	d->fd = d->group = d->container = d->data_fd = -1;
	d->map = d->mem = NULL;
}

/* Map a part of the device, shared and writable. NULL if that fails, with errno. */
static inline void *dev_map(struct dev *d, uint64_t at, uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, at);

	return p == MAP_FAILED ? NULL : p;
}

/* Map all of BAR2. */
static inline int dev_map_memory(struct dev *d)
{
	d->mem = dev_map(d, d->bar2.offset, d->bar2.size);
	return d->mem ? 0 : -errno;
}

/* Map the data window as QEMU does. */
static inline int dev_map_window(struct dev *d)
{
	d->map = dev_map(d, d->mig.offset + d->window, d->mig.size - d->window);
	return d->map ? 0 : -errno;
}

static inline uint64_t region_base(unsigned int index)
{
	return (uint64_t)index << 40;
}

/* One access; bytes moved, or -errno. */
static inline ssize_t dev_read(struct dev *d, uint64_t at, void *buf, size_t n)
{
	ssize_t ret = pread(d->fd, buf, n, at);

	return ret < 0 ? -errno : ret;
}

static inline ssize_t dev_write(struct dev *d, uint64_t at, const void *buf, size_t n)
{
	ssize_t ret = pwrite(d->fd, buf, n, at);

	return ret < 0 ? -errno : ret;
}

static inline uint32_t bar0_read(struct dev *d, unsigned int reg)
{
	uint32_t v = 0xdeadbeef;

	dev_read(d, region_base(VFIO_PCI_BAR0_REGION_INDEX) + reg, &v, 4);
	return v;
}

static inline int bar0_write(struct dev *d, unsigned int reg, uint32_t v)
{
	return dev_write(d, region_base(VFIO_PCI_BAR0_REGION_INDEX) + reg, &v, 4) == 4 ? 0 : -EIO;
}

static inline int get_state(struct dev *d)
{
	uint32_t v = ~0U;

	if (dev_read(d, d->mig.offset + V1(device_state), &v, 4) != 4)
		return -1;
	return v;
}

static inline int set_state(struct dev *d, uint32_t v)
{
	ssize_t ret = dev_write(d, d->mig.offset + V1(device_state), &v, 4);

	return ret == 4 ? 0 : ret;
}

/* Read a 64-bit register. */
static inline int reg_read(struct dev *d, unsigned int reg, uint64_t *v)
{
	ssize_t ret = dev_read(d, d->mig.offset + reg, v, 8);

	return ret == 8 ? 0 : ret < 0 ? ret : -EIO;
}

static inline uint64_t pending(struct dev *d)
{
	uint64_t v = ~0ULL;

	reg_read(d, V1(pending_bytes), &v);
	return v;
}

static inline uint64_t data_size(struct dev *d)
{
	uint64_t v = ~0ULL;

	reg_read(d, V1(data_size), &v);
	return v;
}

/* A stream in the test's memory. */
struct stream {
	uint8_t *buf;
	size_t len, room;
};

static inline void stream_add(struct stream *s, const void *p, size_t n)
{
	if (s->len + n > s->room) {
		s->room = 2 * (s->len + n);
		s->buf = realloc(s->buf, s->room);
	}
	memcpy(s->buf + s->len, p, n);
	s->len += n;
}

/*
 * How wide the next access to a window is that is not mapped: as QEMU does it,
 * eight bytes and then the rest, except for the middle of a long chunk, where that
 * would tell nothing new and take most of the tests' time.
 */
#define TRAPPED_MAX	4096

static inline unsigned int trapped_width(uint64_t done, uint64_t size)
{
	uint64_t left = size - done;

	if (done >= 256 && left >= TRAPPED_MAX + 256)
		return TRAPPED_MAX;
	return left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/* Prepare a chunk and read it, not acknowledged. Its bytes, or -errno. */
static inline ssize_t save_chunk(struct dev *d, struct stream *s)
{
	uint64_t offset, size, done;
	uint8_t piece[TRAPPED_MAX];
	int ret;

	ret = reg_read(d, V1(data_offset), &offset);
	if (ret)
		return ret;
	ret = reg_read(d, V1(data_size), &size);
	if (ret)
		return ret;
	if (offset != d->window || offset + size > d->mig.size)
		return -ERANGE;
	if (d->map) {
		stream_add(s, d->map, size);
		return size;
	}
	for (done = 0; done < size; done += ret) {
		ret = trapped_width(done, size);
		if (dev_read(d, d->mig.offset + offset + done, piece, ret) != ret)
			return -EIO;
		stream_add(s, piece, ret);
	}
	return size;
}

/* Read until nothing is pending. */
static inline int save_all(struct dev *d, struct stream *s)
{
	ssize_t n;

	while (pending(d)) {
		n = save_chunk(d, s);
		if (n <= 0)
			return n ? n : -ENODATA;
	}
	return 0;
}

/* Give so many bytes to a device that is resuming. */
static inline int load_chunk(struct dev *d, const void *p, uint64_t n)
{
	const uint8_t *byte = p;
	uint64_t offset, done;
	ssize_t ret;

	ret = reg_read(d, V1(data_offset), &offset);
	if (ret)
		return ret;
	if (d->map) {
		memcpy(d->map, p, n);
	} else {
		for (done = 0; done < n; done += ret) {
			ret = trapped_width(done, n);
			if (dev_write(d, d->mig.offset + offset + done, byte + done, ret) != ret)
				return -EIO;
		}
	}
	ret = dev_write(d, d->mig.offset + V1(data_size), &n, 8);
	return ret == 8 ? 0 : ret;
}

static inline int load_all(struct dev *d, const struct stream *s, size_t piece)
{
	size_t done, n;
	int ret = 0;

	for (done = 0; done < s->len && !ret; done += n) {
		n = s->len - done < piece ? s->len - done : piece;
		ret = load_chunk(d, s->buf + done, n);
	}
	return ret;
}

/* Interrupts: set one trigger of an index; fd -1 takes it away. */
static inline int set_trigger(struct dev *d, unsigned int index, unsigned int vector, int fd)
{
	struct {
		struct vfio_irq_set hdr;
		int fd;
	} set = {
		.hdr = {
			.argsz = sizeof(set),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = index, .start = vector, .count = 1,
		},
		.fd = fd,
	};

	return ioctl(d->fd, VFIO_DEVICE_SET_IRQS, &set) ? -errno : 0;
}

/* SET_IRQS, with the same descriptor for each. */
static inline int set_irqs(struct dev *d, uint32_t flags, uint32_t index, uint32_t start,
			   uint32_t count, int fd)
{
	struct {
		struct vfio_irq_set hdr;
		int fd[32];
	} set = {
		.hdr = {
			.argsz = sizeof(set), .flags = flags, .index = index,
			.start = start, .count = count,
		},
	};
	int i;

	for (i = 0; i < 32; i++)
		set.fd[i] = fd;
	return ioctl(d->fd, VFIO_DEVICE_SET_IRQS, &set) ? -errno : 0;
}

/* How often an eventfd was signalled since it was last asked. */
static inline uint64_t signals(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* Guest memory: have the device find it at that address. */
static inline int map_guest(struct dev *d, void *p, uint64_t address, uint64_t size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)p, .iova = address, .size = size,
	};

	return ioctl(d->container, VFIO_IOMMU_MAP_DMA, &map) ? -errno : 0;
}

static inline int unmap_guest(struct dev *d, uint64_t address, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = address, .size = size,
	};

	return ioctl(d->container, VFIO_IOMMU_UNMAP_DMA, &unmap) ? -errno : 0;
}

static inline int set_command(struct dev *d, uint16_t bits)
{
	return dev_write(d, region_base(VFIO_PCI_CONFIG_REGION_INDEX) + 4, &bits, 2) == 2 ? 0 : -EIO;
}

/* PCIe's Device Control, and what resets the function by it. */
#define DEVCTL		(region_base(VFIO_PCI_CONFIG_REGION_INDEX) + 0x68)

static inline int function_level_reset(struct dev *d)
{
	const uint16_t flr = 0x8000;

	return dev_write(d, DEVCTL, &flr, 2) == 2 ? 0 : -EIO;
}

/* The VMM resets the device, or the guest does. */
static inline int reset_by(struct dev *d, bool guest)
{
	if (guest)
		return function_level_reset(d);
	return ioctl(d->fd, VFIO_DEVICE_RESET) ? -errno : 0;
}

/* PMCSR's power state: 0 or 3, which is D3hot. */
#define D0		0
#define D3HOT		3

static inline int set_power(struct dev *d, uint16_t state)
{
	const uint64_t pmcsr = region_base(VFIO_PCI_CONFIG_REGION_INDEX) + 0x44;

	return dev_write(d, pmcsr, &state, 2) == 2 ? 0 : -EIO;
}

/* Two registers, which may be written as one. */
static inline uint64_t bar0_read64(struct dev *d, unsigned int reg)
{
	uint64_t v = ~0ULL;

	dev_read(d, region_base(VFIO_PCI_BAR0_REGION_INDEX) + reg, &v, 8);
	return v;
}

static inline int bar0_write64(struct dev *d, unsigned int reg, uint64_t v)
{
	return dev_write(d, region_base(VFIO_PCI_BAR0_REGION_INDEX) + reg, &v, 8) == 8 ? 0 : -EIO;
}

/* Begin a transfer. */
static inline void dma_start(struct dev *d, uint32_t command, uint64_t address, uint64_t offset,
			     uint64_t length)
{
	bar0_write64(d, TERN_DMA_ADDRESS_LOW, address);
	bar0_write64(d, TERN_DMA_OFFSET_LOW, offset);
	bar0_write64(d, TERN_DMA_LENGTH_LOW, length);
	bar0_write(d, TERN_DMA_COMMAND, command);
}

/* Poll for its end; the status. */
static inline uint32_t dma_wait(struct dev *d)
{
	uint32_t status;

	while ((status = bar0_read(d, TERN_DMA_STATUS)) == TERN_DMA_BUSY)
		sched_yield();
	return status;
}

static inline uint32_t dma_do(struct dev *d, uint32_t command, uint64_t address, uint64_t offset,
			      uint64_t length)
{
	dma_start(d, command, address, offset, length);
	return dma_wait(d);
}

/* The record that stands at an offset of a stream. */
static inline const struct tern_record *record_at(const struct stream *s, size_t at)
{
	return (const void *)(s->buf + at);
}

/* How many records of a type stand in a stream from an offset on. */
static inline unsigned int records_of(const struct stream *s, size_t from, uint32_t type)
{
	unsigned int n = 0;
	size_t at;

	for (at = from; at < s->len; at += sizeof(struct tern_record) + record_at(s, at)->length)
		n += record_at(s, at)->type == type;
	return n;
}

static inline bool have_tern(void)
{
	return !access(MDEV_TYPE "/create", W_OK);
}

#endif /* TERN_SELFTEST_H */
