// SPDX-License-Identifier: GPL-2.0-only
/*
 * storm [-t SECONDS] [-s SEED] [-p PROCESSES] [-n STEPS] [-o PROCESS] [-l LIST] [-d] - processes
 * make random calls on a few devices, with boundary values.
 *
 * A step is one row of a table of calls with four arguments. It depends on the seed, the
 * number of the process and the number of the step, and on nothing else. So one process can
 * be repeated alone (-o), and of its steps some only (-l 3,17,40-52). -d prints them.
 *
 * No result of a single call is expected. But no call returns an errno of the kernel's own, and
 * each ends within DEADLINE_S, except for one that waits for a user of the device. At the
 * end all processes exit, the devices can be removed, and two new ones migrate.
 *
 * The last two processes administer: they create, remove and unbind devices, and unload and
 * load the module. They open no device, because a removal waits for each user.
 */
#include "fixture.h"
#include "draw.h"
#include "iommufd.h"
#include "kernel.h"
#include "kselftest.h"

#include <getopt.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define DEVICES		3
#define PROCESSES_MAX	32
#define ADMINISTRATORS	2
/* Of each kind: devices, groups, containers, and data files. */
#define KINDS		4
#define OF_A_KIND	4
#define SLOTS		(KINDS * OF_A_KIND)
#define MAPS		4
#define RAM		(256 * 1024)
#define ADDRESS		0x40000000ULL
/* No call of a sound kernel takes so long, however busy the machine is. */
#define DEADLINE_S	60
#define PROGRESS_S	10
#define MODULE		"./tern.ko"
/* Larger errnos are the kernel's own. */
#define ERRNO_MAX	512

enum kind { DEVICE, GROUP, CONTAINER, DATA };

struct step {
	unsigned int call;
	uint64_t arg[4];
};

/* Of one process; the parent reads it. */
struct report {
	volatile uint64_t step;
	volatile double since;		/* when that step began, or 0 */
	volatile unsigned int call;
	volatile int wrong;		/* an errno that no call may return */
	uint64_t done[64], refused[64], errnos[64][ERRNO_MAX];
	pid_t pid;
};

static struct report *reports;

/* A descriptor that a process had, and may have closed again. */
struct offer {
	pid_t pid;
	int fd;
};

/* What all processes share. */
struct shared {
	volatile bool over;
	volatile unsigned int removals;		/* that wait, or may */
	volatile struct offer offers[KINDS][8];	/* the last ones, by kind */
};

static struct shared *shared;

static struct {
	uint64_t seed, steps;
	double seconds;
	unsigned int processes;
	int only;
	const char *list;
	bool shows;
} run = { .seed = 1, .steps = ~0ULL, .seconds = 10, .processes = 16, .only = -1 };

/* What a process has. */
static int slots[SLOTS];
static void *maps[MAPS];
static size_t map_sizes[MAPS];
static uint8_t *ram;
static uint8_t buffer[128 * 1024];

static const char *const uuids[DEVICES] = {
	UUID_A, UUID_B, "7e100000-0000-4000-8000-00000000000c",
};

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Values at and around each limit that the module or the kernel has. */
static const uint64_t boundaries[] = {
	0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 24, 31, 32, 33, 63, 64, 65, 255, 256, 257, 511, 512,
	4088, 4095, 4096, 4097, 8191, 8192, 8193, 65535, 65536, 65537, 131072, MIB - 1, MIB, MIB + 1,
	0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 1ULL << 40, (1ULL << 63) - 1, 1ULL << 63,
	~0ULL - 4095, ~0ULL - 1, ~0ULL,
};

static uint64_t boundary(uint64_t arg)
{
	return boundaries[arg % ARRAY_SIZE(boundaries)];
}

/* Mostly in a region that the device has. */
static uint64_t place(uint64_t arg)
{
	static const unsigned int regions[] = {
		VFIO_PCI_BAR0_REGION_INDEX, VFIO_PCI_BAR2_REGION_INDEX, VFIO_PCI_BAR4_REGION_INDEX,
		VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_NUM_REGIONS,
	};

	if (arg % 4 == 0)
		return region_base(arg / 4 % 11) + boundary(arg >> 8);
	return region_base(regions[arg / 4 % ARRAY_SIZE(regions)]) +
	       (arg % 4 == 1 ? boundary(arg >> 8) % PAGE : (arg >> 8) % 256 * 4);
}

static size_t length_of(uint64_t arg)
{
	return arg & 1 ? 1U << arg / 2 % 4 : boundary(arg / 2) % sizeof(buffer);
}

/* Good memory mostly. */
static void *pointer(uint64_t arg)
{
	switch (arg % 16) {
	case 0:
		return NULL;
	case 1:
		return (void *)-PAGE;
	case 2:
		return maps[arg / 16 % MAPS];
	case 3:
		return (void *)boundary(arg / 16);
	default:
		return buffer;
	}
}

/* One of a kind mostly, if this process has any; else whatever there is. */
static int *slot_of(enum kind kind, uint64_t arg)
{
	unsigned int i;

	if (arg % 16 == 0)
		return &slots[arg / 16 % SLOTS];
	for (i = 0; i < OF_A_KIND; i++) {
		int *s = &slots[kind * OF_A_KIND + (arg / 16 + i) % OF_A_KIND];

		if (*s >= 0)
			return s;
	}
	return &slots[arg / 64 % SLOTS];
}

static int slot(enum kind kind, uint64_t arg)
{
	return *slot_of(kind, arg);
}

static enum kind kind_of(int fd)
{
	char path[64], to[256];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, to, sizeof(to) - 1);
	to[n < 0 ? 0 : n] = 0;
	if (strstr(to, "vfio-device") || strstr(to, "/dev/vfio/devices/"))
		return DEVICE;
	if (!strcmp(to, "/dev/vfio/vfio") || !strcmp(to, "/dev/iommu"))
		return CONTAINER;
	return strncmp(to, "/dev/vfio/", 10) ? DATA : GROUP;
}

/* A descriptor that a call returned, in place of another of its kind. */
static long keep(uint64_t arg, int fd)
{
	enum kind kind;
	int *s;

	if (fd < 0)
		return fd;
	kind = kind_of(fd);
	s = &slots[kind * OF_A_KIND + arg % OF_A_KIND];
	if (*s >= 0)
		close(*s);
	*s = fd;
	shared->offers[kind][arg / 16 % 8].pid = getpid();
	shared->offers[kind][arg / 16 % 8].fd = fd;
	return 0;
}

static long result(long ret)
{
	return ret < 0 ? -errno : ret;
}

static const char *uuid_of(uint64_t arg)
{
	return uuids[arg % DEVICES];
}

static long open_group(const uint64_t *arg)
{
	struct dev d = { .by = NULL };
	long ret = dev_open(&d, uuid_of(arg[0]));

	/* A group without its device keeps others from it. */
	if (ret && arg[2] % 16) {
		dev_close(&d);
		return ret;
	}
	keep(arg[1], d.container);
	keep(arg[1], d.group);
	keep(arg[1], d.fd);
	return ret;
}

/* Bound to an iommufd mostly: until then only a bind is allowed. */
static long open_cdev(const uint64_t *arg)
{
	int iommufd = iommufd_open(), fd = cdev_open(uuid_of(arg[0]));
	uint32_t ioas = 0;
	long ret = fd;

	if (fd >= 0 && arg[1] % 16)
		ret = cdev_bind(fd, iommufd);
	if (ret >= 0 && arg[1] / 16 % 8 && !ioas_alloc(iommufd, &ioas))
		cdev_attach(fd, ioas);
	keep(arg[2], iommufd);
	if (ret < 0 && arg[2] % 16)
		close(fd);
	else
		keep(arg[3], fd);
	return ret < 0 ? ret : 0;
}

static long open_iommufd(const uint64_t *arg)
{
	return keep(arg[0], iommufd_open());
}

static long open_container(const uint64_t *arg)
{
	return keep(arg[0], open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC));
}

/* A descriptor of another process, or of our own. Then two of us use it at once. */
static long steal(const uint64_t *arg)
{
	/* Devices and data files: only one process at a time can open a device. */
	volatile const struct offer *offer = &shared->offers[arg[0] % 4 ? arg[0] / 4 % 2 * DATA :
								  arg[0] / 4 % KINDS][arg[1] % 8];
	int fd, pid;

	if (shared->removals)
		return -EBUSY;
	pid = offer->pid > 0 ? syscall(SYS_pidfd_open, offer->pid, 0) : -1;
	if (pid < 0)
		return -ESRCH;
	fd = syscall(SYS_pidfd_getfd, pid, offer->fd, 0);
	close(pid);
	return fd < 0 ? -errno : keep(arg[2], fd);
}

static long close_one(const uint64_t *arg)
{
	int *s = slot_of(arg[1] % KINDS, arg[0]);
	long ret = *s < 0 ? -EBADF : result(close(*s));

	*s = -1;
	return ret;
}

static long close_all(const uint64_t *arg)
{
	unsigned int i;

	for (i = 0; i < MAPS; i++) {
		if (maps[i])
			munmap(maps[i], map_sizes[i]);
		maps[i] = NULL;
	}
	for (i = 0; i < SLOTS; i++) {
		if (slots[i] >= 0)
			close(slots[i]);
		slots[i] = -1;
	}
	return 0;
}

static long read_at(const uint64_t *arg)
{
	return result(
		pread(slot(DEVICE, arg[0]), pointer(arg[3]), length_of(arg[2]), place(arg[1])));
}

static long write_at(const uint64_t *arg)
{
	return result(
		pwrite(slot(DEVICE, arg[0]), pointer(arg[3]), length_of(arg[2]), place(arg[1])));
}

/* Data files have no position. */
static long read_on(const uint64_t *arg)
{
	return result(read(slot(DATA, arg[0]), pointer(arg[3]), length_of(arg[2])));
}

static long write_on(const uint64_t *arg)
{
	return result(write(slot(DATA, arg[0]), pointer(arg[3]), length_of(arg[2])));
}

/* From one file to the other, so that a load gets what a save has read. */
static long copy_on(const uint64_t *arg)
{
	unsigned int i;
	long n = 0;

	for (i = 0; i < 32 && n >= 0; i++) {
		n = read(slot(DATA, arg[0]), buffer, sizeof(buffer));
		if (n <= 0)
			break;
		n = write(slot(DATA, arg[1]), buffer, n);
	}
	return result(n);
}

static long poll_one(const uint64_t *arg)
{
	struct pollfd p = { .fd = slot(DATA, arg[0]), .events = arg[1] & 0xffff };

	return result(poll(&p, 1, 0));
}

/* By v1: a chunk of one device to another. */
static long copy_window(const uint64_t *arg)
{
	uint64_t region = region_base(VFIO_PCI_NUM_REGIONS), size = 0, n;
	int from = slot(DEVICE, arg[0]), to = slot(DEVICE, arg[1]);

	pread(from, &n, 8, region + V1(pending_bytes));
	pread(from, &n, 8, region + V1(data_offset));
	if (pread(from, &size, 8, region + V1(data_size)) != 8)
		return -EBADF;
	n = size < sizeof(buffer) ? size : sizeof(buffer);
	pread(from, buffer, n, region + TERN_REGION_WINDOW);
	pwrite(to, buffer, n, region + TERN_REGION_WINDOW);
	return result(pwrite(to, &n, 8, region + V1(data_size)));
}

static long state_v1(const uint64_t *arg)
{
	uint32_t state = arg[1] % 8 ? arg[2] % 8 : boundary(arg[2]);

	return result(pwrite(slot(DEVICE, arg[0]), &state, 4,
			     region_base(VFIO_PCI_NUM_REGIONS) + V1(device_state)));
}

static long state_v2(const uint64_t *arg)
{
	struct dev d = { .fd = slot(DEVICE, arg[0]) };
	int fd = -1;
	long ret = go_open(&d, arg[1] % 16 ? arg[2] % STATES : boundary(arg[2]), &fd);

	if (!ret && fd >= 0)
		keep(arg[3], fd);
	return ret;
}

static long map_one(const uint64_t *arg)
{
	static const int prots[] = {
		PROT_READ, PROT_WRITE, PROT_READ | PROT_WRITE, PROT_NONE, PROT_READ | PROT_EXEC,
	};
	size_t size = arg[3] % 4 ? MIB : boundary(arg[2]), i = arg[0] % MAPS;
	uint64_t at = arg[3] % 4 ? region_base(2) : place(arg[1]);
	void *p;

	if (maps[i])
		munmap(maps[i], map_sizes[i]);
	maps[i] = NULL;
	p = mmap(NULL, size, prots[arg[3] % 7 < 4 ? 2 : (arg[3] >> 4) % 5],
		 arg[3] % 11 ? MAP_SHARED : MAP_PRIVATE, slot(DEVICE, arg[0] >> 8), at);
	if (p == MAP_FAILED)
		return -errno;
	maps[i] = p;
	map_sizes[i] = size;
	return 0;
}

static sigjmp_buf fault;

static void on_fault(int signal)
{
	siglongjmp(fault, 1);
}

/* Load, store, or have the kernel change the mapping. */
static long touch_map(const uint64_t *arg)
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_WILLNEED, MADV_PAGEOUT, MADV_COLD, MADV_POPULATE_READ,
		MADV_POPULATE_WRITE, MADV_DONTFORK, MADV_DOFORK, MADV_REMOVE, MADV_FREE,
	};
	volatile uint8_t *p = maps[arg[0] % MAPS];
	size_t size = map_sizes[arg[0] % MAPS];
	uint64_t at;

	if (!p || !size)
		return -ENXIO;
	at = arg[1] % size;
	if (arg[2] % 8 == 0)
		return result(madvise((void *)p, size, advice[arg[3] % ARRAY_SIZE(advice)]));
	if (arg[2] % 32 == 1)
		return result(mprotect((void *)p, size, arg[3] % 8));
	if (sigsetjmp(fault, 1))
		return -EFAULT;
	if (arg[2] & 16)
		p[at] = arg[3];
	else
		buffer[0] = p[at];
	return 0;
}

static long unmap_part(const uint64_t *arg)
{
	unsigned int i = arg[0] % MAPS;
	size_t size = map_sizes[i], from;

	if (!maps[i] || size < 2 * PAGE)
		return -ENXIO;
	/* The rest is unmapped with the whole. */
	from = arg[1] % (size / PAGE) * PAGE;
	return result(munmap((uint8_t *)maps[i] + from, size - from));
}

/* Any request that VFIO, a container or iommufd knows, and some that none knows. */
static long any_ioctl(const uint64_t *arg)
{
	static const unsigned int all[] = {
		VFIO_GET_API_VERSION, VFIO_CHECK_EXTENSION, VFIO_SET_IOMMU, VFIO_GROUP_GET_STATUS,
		VFIO_GROUP_UNSET_CONTAINER, VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO,
		VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_SET_IRQS, VFIO_DEVICE_RESET,
		VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, VFIO_DEVICE_PCI_HOT_RESET, VFIO_DEVICE_QUERY_GFX_PLANE,
		VFIO_DEVICE_IOEVENTFD, VFIO_DEVICE_FEATURE, VFIO_MIG_GET_PRECOPY_INFO,
		VFIO_DEVICE_BIND_IOMMUFD, VFIO_DEVICE_ATTACH_IOMMUFD_PT, VFIO_DEVICE_DETACH_IOMMUFD_PT,
		VFIO_IOMMU_GET_INFO, VFIO_IOMMU_DIRTY_PAGES, IOMMU_IOAS_IOVA_RANGES, IOMMU_VFIO_IOAS,
		0, ~0U,
	};
	uint32_t words[64];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = boundary(mixed(arg[1] + i));
	if (arg[3] % 4)
		words[0] = sizeof(words) - arg[3] % 256;
	return result(ioctl(slot(arg[3] / 64 % KINDS, arg[0]), all[arg[2] % ARRAY_SIZE(all)],
			    arg[3] % 32 ? (void *)words : pointer(arg[3] >> 8)));
}

static long get_info(const uint64_t *arg)
{
	uint32_t words[64] = { boundary(arg[1]) % 256, boundary(arg[2]), arg[3] % 12 };
	static const unsigned int of[] = {
		VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_GET_IRQ_INFO,
	};

	return result(ioctl(slot(DEVICE, arg[0]), of[arg[3] % 3], words));
}

static long any_feature(const uint64_t *arg)
{
	struct dev d = { .fd = slot(DEVICE, arg[0]) };
	uint64_t payload[8];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(payload); i++)
		payload[i] = boundary(mixed(arg[1] + i));
	return feature(&d, (arg[2] % 8 << 16) | arg[2] / 8 % 14, payload, arg[3] % 65);
}

static long dma_log(const uint64_t *arg)
{
	struct dev d = { .fd = slot(DEVICE, arg[0]) };
	struct vfio_device_feature_dma_logging_range ranges[4];
	struct vfio_device_feature_dma_logging_control control = {
		.page_size = arg[1] % 4 ? PAGE : boundary(arg[2]), .num_ranges = arg[1] / 4 % 5,
		.ranges = (uintptr_t)(arg[1] % 32 ? ranges : pointer(arg[3])),
	};
	struct vfio_device_feature_dma_logging_report report = {
		.iova = arg[1] % 4 ? ADDRESS : boundary(arg[2]), .length = RAM, .page_size = PAGE,
		.bitmap = (uintptr_t)(arg[1] % 32 ? buffer : pointer(arg[3])),
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		ranges[i].iova = ADDRESS + i * (arg[2] % 4 ? 2 * RAM : boundary(arg[2] >> 8));
		ranges[i].length = arg[3] % 4 ? RAM : boundary(arg[3] >> 8);
	}
	switch (arg[3] % 3) {
	case 0:
		return feature(&d, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
			       &control, sizeof(control));
	case 1:
		return feature(&d, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
			       "", 0);
	}
	return feature(&d, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
		       &report, sizeof(report));
}

static long set_some_irqs(const uint64_t *arg)
{
	static const uint32_t data[] = {
		VFIO_IRQ_SET_DATA_NONE, VFIO_IRQ_SET_DATA_BOOL, VFIO_IRQ_SET_DATA_EVENTFD, 0, 7,
	};
	static const uint32_t action[] = {
		VFIO_IRQ_SET_ACTION_MASK, VFIO_IRQ_SET_ACTION_UNMASK, VFIO_IRQ_SET_ACTION_TRIGGER,
		VFIO_IRQ_SET_ACTION_TRIGGER, 0,
	};
	struct dev d = { .fd = slot(DEVICE, arg[0]) };
	uint32_t start = arg[3] % 4 ? (arg[3] >> 8) % 17 : boundary(arg[3] >> 8);
	uint32_t count = arg[3] % 8 ? (arg[3] >> 16) % 18 : boundary(arg[3] >> 16) % 33;
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	long ret;

	/* An eventfd for a vector, or for INTx. */
	if (arg[0] / 256 % 2)
		ret = set_trigger(&d, arg[1] % 4 ? VFIO_PCI_MSIX_IRQ_INDEX : VFIO_PCI_INTX_IRQ_INDEX,
				  arg[1] % 4 ? arg[3] % TERN_VECTORS : 0, arg[3] / 16 % 4 ? event : -1);
	else
		ret = set_irqs(&d, data[arg[2] % 5] | action[arg[2] / 5 % 5], arg[1] % 7, start, count,
		       arg[1] % 16 == 15 ? slot(DATA, arg[2]) : arg[1] % 16 == 14 ? -1 : event);
	close(event);
	return ret;
}

static long reset(const uint64_t *arg)
{
	struct dev d = { .fd = slot(DEVICE, arg[0]) };

	return reset_by(&d, arg[1] % 2);
}

static long map_ram(const uint64_t *arg)
{
	struct dev d = { .container = slot(CONTAINER, arg[0]) };

	if (arg[1] % 4 == 0)
		return unmap_guest(&d, arg[2] % 4 ? ADDRESS : boundary(arg[2]),
				   arg[3] % 4 ? RAM : boundary(arg[3]));
	return map_guest(&d, arg[1] % 8 == 1 ? pointer(arg[1] >> 8) : ram,
			 arg[2] % 4 ? ADDRESS : boundary(arg[2]), arg[3] % 4 ? RAM : boundary(arg[3]));
}

static long transfer(const uint64_t *arg)
{
	struct dev d = { .fd = slot(DEVICE, arg[0]) };
	struct tern_dma_entry *list = (void *)ram;
	unsigned int i;

	if (d.fd < 0)
		return -EBADF;
	for (i = 0; i < 64; i++)
		list[i] = (struct tern_dma_entry){
			.address = ADDRESS + boundary(mixed(arg[1] + i)) % RAM,
			.length = boundary(mixed(arg[2] + i)) % RAM, .reserved = arg[3] % 64 == i,
		};
	set_command(&d, arg[1] % 8 ? MASTER : 0);
	bar0_write(&d, TERN_DMA_ENTRIES, arg[2] % 4 ? arg[2] % 65 : boundary(arg[2]));
	dma_start(&d, arg[3] % 16 ? 1 + arg[3] / 16 % 4 + ((arg[3] >> 8) & 0xf30) : arg[3] >> 8,
		  ADDRESS + (arg[1] % 4 ? 0 : boundary(arg[1] >> 8)), boundary(arg[2] >> 8),
		  boundary(arg[3] >> 16));
	return 0;
}

static long attach(const uint64_t *arg)
{
	uint32_t ioas = 0;

	switch (arg[3] % 6) {
	case 0:
		return cdev_bind(slot(DEVICE, arg[0]), slot(CONTAINER, arg[1]));
	case 1:
		return ioas_alloc(slot(CONTAINER, arg[1]), &ioas);
	case 2:
		return ioas_map(slot(CONTAINER, arg[1]), arg[2] % 5, ram, ADDRESS, RAM);
	case 3:
		return cdev_attach(slot(DEVICE, arg[0]), arg[2] % 5);
	case 4:
		return cdev_detach(slot(DEVICE, arg[0]));
	}
	return iommufd_destroy(slot(CONTAINER, arg[1]), arg[2] % 5);
}

static const struct {
	const char *name;
	const char *values[10];
} attributes[] = {
	{ "tern/memory_mib", { "0", "1", "2", "3", "8", "131072", "-1", "4294967297" } },
	{ "tern/window_kib", { "0", "127", "128", "256", "4096", "65536", "65540", "130" } },
	{ "tern/precopy", { "0", "1", "2", "" } },
	{ "tern/reinit", { "0", "1", "2" } },
	{ "tern/state", { "0" } },
	{ "tern/pending_bytes", { "0" } },
	{ "tern/passes", { "0" } },
	{ "tern/pass_bytes", { "0" } },
	{ "tern/stopped_bytes", { "0" } },
	{ "tern/late_marks", { "0" } },
	{ "workload/mibs", { "0", "1", "64", "1048576", "1048577", "fast" } },
	{ "workload/set_mib", { "0", "1", "2", "3", "65536", "131072" } },
	{ "workload/pattern", { "sequential", "permuted", "hot", "cold" } },
	{ "workload/seed", { "0", "18446744073709551615", "18446744073709551616" } },
	{ "workload/writes", { "0" } },
	{ "workload/spoil", { "0", "255", "256", "4503599627370496" } },
	{ "workload/verify", { "0" } },
	{ "inject/read", { "", "0 EIO once", "70000 EINTR", "1 EIO 3" } },
	{ "inject/write", { "", "0 EIO once", "70000 EINTR" } },
	{ "inject/state", { "", "stopped EIO once", "error EIO once", "resuming ENOMEM once" } },
	{ "inject/state_delay", { "", "stopped 1", "quiesced 2 once" } },
	{ "inject/read_max", { "", "1", "4096" } },
	{ "inject/flip", { "", "100 3", "0 7 once" } },
	{ "inject/cut", { "", "5000", "0" } },
	{ "inject/pending", { "", "zero", "huge", "stuck", "exact" } },
	{ "inject/features", { "", "v1", "v2", "precopy" } },
	{ "inject/hits", { "0" } },
};

static long attribute(const uint64_t *arg)
{
	unsigned int which = arg[1] % ARRAY_SIZE(attributes), n = 0;
	char path[128], text[8192];

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/%s", uuid_of(arg[0]),
		 attributes[which].name);
	if (arg[2] % 2)
		return read_file(path, text, sizeof(text));
	while (n < ARRAY_SIZE(attributes[which].values) && attributes[which].values[n])
		n++;
	snprintf(text, sizeof(text), "%s\n", attributes[which].values[arg[3] % n]);
	return write_file(path, text);
}

/* A child that has all of it, too, and exits. */
static long fork_one(const uint64_t *arg)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		volatile uint8_t *p = maps[arg[0] % MAPS];

		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		if (p)
			p[0] = 1;
		_exit(0);
	}
	return pid < 0 ? -errno : result(waitpid(pid, &status, 0));
}

/* The parent starts it again, at the next step. */
static long exit_now(const uint64_t *arg)
{
	_exit(0);
}

static long create(const uint64_t *arg)
{
	return mdev_create(uuid_of(arg[0]));
}

static long in_a_removal(long (*make)(const uint64_t *arg), const uint64_t *arg)
{
	long ret;

	__atomic_add_fetch(&shared->removals, 1, __ATOMIC_SEQ_CST);
	ret = make(arg);
	__atomic_sub_fetch(&shared->removals, 1, __ATOMIC_SEQ_CST);
	return ret;
}

static long remove_now(const uint64_t *arg)
{
	return mdev_remove(uuid_of(arg[0]));
}

static long remove_one(const uint64_t *arg)
{
	return in_a_removal(remove_now, arg);
}

/* It cannot be bound again, and is removed mostly. */
static long unbind_now(const uint64_t *arg)
{
	long ret = write_file(MDEV_DRIVER "/unbind", uuid_of(arg[0]));

	if (!ret && arg[1] % 4)
		mdev_remove(uuid_of(arg[0]));
	return ret;
}

static long unbind(const uint64_t *arg)
{
	return in_a_removal(unbind_now, arg);
}

/* The mdev bus matches no device with a driver: this one is refused. */
static long bind_one(const uint64_t *arg)
{
	return write_file(MDEV_DRIVER "/bind", uuid_of(arg[0]));
}

/* A character device that is open and not bound has no reference to the module. */
static long unload_now(const uint64_t *arg)
{
	return result(syscall(SYS_delete_module, "tern", O_NONBLOCK));
}

static long unload(const uint64_t *arg)
{
	return in_a_removal(unload_now, arg);
}

static long load(const uint64_t *arg)
{
	int fd = open(MODULE, O_RDONLY | O_CLOEXEC);
	long ret = fd < 0 ? -errno : result(syscall(SYS_finit_module, fd, "", 0));

	if (fd >= 0)
		close(fd);
	return ret;
}

struct call {
	const char *name;
	long (*make)(const uint64_t *arg);
	unsigned int weight;
	bool may_wait;		/* for a process that has the device open */
};

static const struct call calls[] = {
	{ "open_group", open_group, 64 },
	{ "open_cdev", open_cdev, 32 },
	{ "open_iommufd", open_iommufd, 1 },
	{ "open_container", open_container, 1 },
	{ "steal", steal, 120 },
	{ "close", close_one, 8 },
	{ "close_all", close_all, 1 },
	{ "pread", read_at, 48 },
	{ "pwrite", write_at, 48 },
	{ "read", read_on, 32 },
	{ "write", write_on, 16 },
	{ "copy", copy_on, 16 },
	{ "poll", poll_one, 8 },
	{ "copy_window", copy_window, 16 },
	{ "state_v1", state_v1, 40 },
	{ "state_v2", state_v2, 80 },
	{ "mmap", map_one, 24 },
	{ "touch", touch_map, 64 },
	{ "munmap", unmap_part, 4 },
	{ "ioctl", any_ioctl, 32 },
	{ "get_info", get_info, 16 },
	{ "feature", any_feature, 24 },
	{ "dma_log", dma_log, 24 },
	{ "set_irqs", set_some_irqs, 40 },
	{ "reset", reset, 12 },
	{ "map_dma", map_ram, 16 },
	{ "transfer", transfer, 24 },
	{ "attach", attach, 32 },
	{ "attribute", attribute, 24 },
	{ "fork", fork_one, 2 },
	{ "exit", exit_now, 1 },
};

/* These have no device open. */
static const struct call duties[] = {
	{ "create", create, 100 },
	{ "remove", remove_one, 2, true },
	{ "unbind", unbind, 1, true },
	{ "bind", bind_one, 20 },
	{ "unload", unload, 1, true },
	{ "load", load, 30 },
	{ "attribute", attribute, 900 },
};

static bool administers(unsigned int process)
{
	return process + ADMINISTRATORS >= run.processes;
}

static const struct call *table_of(unsigned int process, unsigned int *n)
{
	*n = administers(process) ? ARRAY_SIZE(duties) : ARRAY_SIZE(calls);
	return administers(process) ? duties : calls;
}

static struct step step_of(unsigned int process, uint64_t number)
{
	unsigned int n, i, sum = 0;
	const struct call *table = table_of(process, &n);
	struct step step;
	uint64_t at;

	draw_from(mixed(run.seed + process), number);
	for (i = 0; i < n; i++)
		sum += table[i].weight;
	at = below(sum);
	for (i = 0; at >= table[i].weight; i++)
		at -= table[i].weight;
	step.call = i;
	for (i = 0; i < 4; i++)
		step.arg[i] = draw();
	return step;
}

/* Is a number in a list as "3,17,40-52"? */
static bool is_listed(const char *list, uint64_t n)
{
	uint64_t first, last;
	char *end;

	while (list && *list) {
		first = last = strtoull(list, &end, 10);
		if (*end == '-')
			last = strtoull(end + 1, &end, 10);
		if (n >= first && n <= last)
			return true;
		list = *end ? end + 1 : end;
	}
	return !list;
}

static void make_steps(unsigned int process)
{
	struct report *r = &reports[process];
	unsigned int n;
	const struct call *table = table_of(process, &n);
	long ret;

	memset(slots, 0xff, sizeof(slots));
	for (; !shared->over && r->step < run.steps; r->step++) {
		struct step step = step_of(process, r->step);
		bool exits = table[step.call].make == exit_now;

		if (!is_listed(run.list, r->step))
			continue;
		if (run.shows)
			printf("# process %u step %llu: %s(%#llx, %#llx, %#llx, %#llx)\n", process,
			       (unsigned long long)r->step, table[step.call].name,
			       (unsigned long long)step.arg[0], (unsigned long long)step.arg[1],
			       (unsigned long long)step.arg[2], (unsigned long long)step.arg[3]);
		fflush(stdout);
		/* A VMM closes a device that is about to be removed. */
		if (shared->removals && !administers(process))
			close_all(NULL);
		r->call = step.call;
		r->since = seconds_now();
		if (exits) {
			r->done[step.call]++;
			r->step++;
		}
		ret = table[step.call].make(step.arg);
		r->since = 0;
		if (ret >= 0)
			r->done[step.call]++;
		else
			r->refused[step.call]++;
		if (ret < 0 && ret > -ERRNO_MAX)
			r->errnos[step.call][-ret]++;
		if (ret <= -ERRNO_MAX) {
			r->wrong = ret;
			return;
		}
	}
}

static void start(unsigned int process)
{
	pid_t pid;

	fflush(stdout);
	reports[process].since = 0;
	pid = fork();
	if (pid) {
		reports[process].pid = pid;
		return;
	}
	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	make_steps(process);
	_exit(0);
}

/* Where in the kernel a process waits. */
static void say_where(unsigned int process)
{
	static const char *const files[] = { "wchan", "syscall", "stack" };
	struct report *r = &reports[process];
	char path[64], text[4096];
	unsigned int n, i;

	printf("# process %u, step %llu, %s, for %.0f s\n", process, (unsigned long long)r->step,
	       table_of(process, &n)[r->call].name, r->since ? seconds_now() - r->since : 0);
	printf("#   alone again: SEED=%llu PROCESS=%u STEPS=%llu\n", (unsigned long long)run.seed,
	       process, (unsigned long long)r->step + 1);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		char *line, *at = text;

		snprintf(path, sizeof(path), "/proc/%d/%s", r->pid, files[i]);
		if (read_file(path, text, sizeof(text)) <= 0)
			continue;
		while ((line = strsep(&at, "\n")) && *line)
			printf("#   %s: %s\n", files[i], line);
	}
	fflush(stdout);
}

/* All that wait: what one waits for, another may hold. */
static void say_what_waits(void)
{
	unsigned int i;

	for (i = 0; i < run.processes; i++)
		if (reports[i].pid > 0 && reports[i].since)
			say_where(i);
}

/* What failed, or NULL. */
static const char *check_processes(void)
{
	double now = seconds_now(), since;
	unsigned int i, n;

	for (i = 0; i < run.processes; i++) {
		since = reports[i].since;
		if (reports[i].wrong) {
			printf("# errno %d\n", -reports[i].wrong);
			say_where(i);
			return "an errno of the kernel's own was returned";
		}
		if (since && now > since + DEADLINE_S &&
		    (shared->over || !table_of(i, &n)[reports[i].call].may_wait)) {
			say_what_waits();
			return "a call does not return";
		}
	}
	return NULL;
}

/* Collect those that have exited. How many still run? */
static unsigned int collect(bool restarts)
{
	unsigned int i, left = 0;
	int status;

	for (i = 0; i < run.processes; i++) {
		if (reports[i].pid <= 0)
			continue;
		if (waitpid(reports[i].pid, &status, WNOHANG) == reports[i].pid) {
			reports[i].pid = 0;
			reports[i].since = 0;
			if (restarts && !reports[i].wrong && reports[i].step < run.steps)
				start(i);
		}
		left += reports[i].pid > 0;
	}
	return left;
}

/* The most frequent ones. */
static void show_errnos(bool administrators, unsigned int call)
{
	uint64_t sums[ERRNO_MAX] = { 0 };
	unsigned int i, k, most;

	for (i = 0; i < run.processes; i++)
		for (k = 1; k < ERRNO_MAX && administers(i) == administrators; k++)
			sums[k] += reports[i].errnos[call][k];
	for (i = 0; i < 3; i++) {
		for (most = 0, k = 1; k < ERRNO_MAX; k++)
			if (sums[k] > sums[most])
				most = k;
		if (most)
			printf("%s %llu %s", i ? "," : ":", (unsigned long long)sums[most],
			       strerrorname_np(most));
		sums[most] = 0;
	}
	printf("\n");
}

static void show_table(bool administrators)
{
	unsigned int n, i, k;
	const struct call *table = table_of(administrators ? run.processes : 0, &n);
	uint64_t done, refused;

	for (k = 0; k < n; k++) {
		done = refused = 0;
		for (i = 0; i < run.processes; i++)
			if (administers(i) == administrators) {
				done += reports[i].done[k];
				refused += reports[i].refused[k];
			}
		printf("#   %-16s %8llu done %8llu refused", table[k].name,
		       (unsigned long long)done, (unsigned long long)refused);
		show_errnos(administrators, k);
	}
}

static uint64_t steps_made(void)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < run.processes; i++)
		sum += reports[i].step;
	return sum;
}

/* Afterwards two new devices migrate. What failed, or NULL. */
static const char *of_use(void)
{
	struct stream s = { 0 };
	const struct front_end *by[] = { &v1_trapped, &v2_file };
	struct dev a, b;
	unsigned int i;

	/*
	 * The mdev core may have left a device without its attributes, if it was created and
	 * removed at once: only an unload removes that.
	 */
	if (have_tern() && unload(NULL))
		return "the module has users";
	if (load(NULL))
		return "the module cannot be loaded";
	for (i = 0; i < 2; i++) {
		const struct setting given = { .memory_mib = 1, .by = by[i] };

		s.len = 0;
		if (pair_filled(&a, &b, given, 256, 3))
			return "no new devices";
		if (dev_map_window(&b))
			return "the window cannot be mapped";
		if (save_by(&a, &s, 100000) || load_by(&b, &s, 100000) || !same_memory(&a, &b))
			return "new devices do not migrate";
		if (device_off(&a) || device_off(&b))
			return "new devices cannot be removed";
	}
	free(s.buf);
	return unload(NULL) ? "the module has users" : load(NULL) ? "the module is not loaded again" :
								    NULL;
}

static const char *storm(void)
{
	double began = seconds_now(), shown = began, end;
	const struct timespec turn = { .tv_nsec = 20000000 };
	const char *failed = NULL;
	unsigned int i;

	/* A process that is repeated alone needs them. */
	for (i = 0; i < DEVICES; i++)
		mdev_create(uuids[i]);
	for (i = 0; i < run.processes; i++)
		if (run.only < 0 || run.only == (int)i)
			start(i);
	while (!failed && seconds_now() < began + run.seconds && collect(true)) {
		nanosleep(&turn, NULL);
		failed = check_processes();
		if (seconds_now() > shown + PROGRESS_S) {
			shown = seconds_now();
			printf("# %.0f of %.0f s, %llu steps\n", shown - began, run.seconds,
			       (unsigned long long)steps_made());
			fflush(stdout);
			failed = failed ?: kernel_complains();
		}
	}
	shared->over = true;
	end = seconds_now() + DEADLINE_S;
	while (!failed && collect(false)) {
		nanosleep(&turn, NULL);
		failed = check_processes();
		if (!failed && seconds_now() > end) {
			say_what_waits();
			failed = "a process does not exit";
		}
	}
	/* What came last: the processes that reported it may have exited since. */
	failed = failed ?: check_processes() ?: kernel_complains();
	printf("#\n");
	show_kernel();
	printf("# seed         %llu\n# processes    %u, of which %u administer\n",
	       (unsigned long long)run.seed, run.processes, ADMINISTRATORS);
	printf("# processors   %ld\n", sysconf(_SC_NPROCESSORS_ONLN));
	printf("# steps        %llu in %.0f s\n", (unsigned long long)steps_made(),
	       seconds_now() - began);
	show_table(false);
	show_table(true);
	if (failed)
		for (i = 0; i < run.processes; i++)
			if (reports[i].pid > 0)
				kill(reports[i].pid, SIGKILL);
	return failed ?: of_use();
}

int main(int argc, char **argv)
{
	const char *failed;
	int option;

	while ((option = getopt(argc, argv, "t:s:p:n:o:l:d")) != -1)
		switch (option) {
		case 't':
			run.seconds = strtod(optarg, NULL);
			break;
		case 's':
			run.seed = strtoull(optarg, NULL, 10);
			break;
		case 'p':
			run.processes = atoi(optarg);
			break;
		case 'n':
			run.steps = strtoull(optarg, NULL, 10);
			break;
		case 'o':
			run.only = atoi(optarg);
			break;
		case 'l':
			run.list = optarg;
			break;
		case 'd':
			run.shows = true;
			break;
		default:
			fprintf(stderr,
				"usage: storm [-t SECONDS] [-s SEED] [-p PROCESSES] [-n STEPS] [-o PROCESS] [-l LIST] [-d]\n");
			return 2;
		}
	printf("TAP version 13\n1..1\n# seed %llu\n", (unsigned long long)run.seed);
	if (!have_tern()) {
		printf("ok 1 - random calls # SKIP module tern is not loaded\n");
		return 4;
	}
	if (run.processes <= ADMINISTRATORS || run.processes > PROCESSES_MAX)
		return 2;
	reports = mmap(NULL, PROCESSES_MAX * sizeof(*reports), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (reports == MAP_FAILED || (void *)shared == MAP_FAILED)
		return 1;
	failed = storm();
	printf("%sok 1 - random calls%s%s\n", failed ? "not " : "", failed ? ": " : "", failed ?: "");
	return failed ? 1 : 0;
}
