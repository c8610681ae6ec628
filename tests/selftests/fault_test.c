// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation and every copy from or to user space fails once, in each call on an
 * open device. There is one errno then, nothing changed, nothing leaked, and the same call
 * works when it is made again. In another test all allocations of the driver fail at once.
 *
 * fault_life_test.c has the life of a device and of the module.
 */
#include <linux/loop.h>
#include <sys/swap.h>

#include "fault.h"
#include "fixture.h"
#include "fsm.h"
#include "iommufd.h"
#include "kselftest_harness.h"

#define MEMORY		MIB
#define RAM		(64UL << 10)
#define ADDRESS		0x40000000ULL	/* where the device finds the RAM */
#define VECTORS		16
#define VARIANTS_MAX	100

FIXTURE(fault) {
	struct dev a, b;
	struct stream s;
	void *map;
	void *ram;
	int eventfd, other;
	int save, load;		/* data files, or -1 */
	int cdev, iommufd;	/* of device b, opened without its group */
	uint64_t marked;	/* pending bytes before a store */
	unsigned int v;		/* which variant of a call */
	uint32_t way[STATES];	/* of an arc of v2: the states after the first */
	int n_way;
	bool never;		/* this variant must not fail */
};

struct call {
	const char *name;
	/* There are so many variants, with self->v as their number; 0 is one. */
	unsigned int variants;
	/* Bring the device to where the call is made; faults do not reach here. */
	void (*before)(FIXTURE_DATA(fault) *self);
	/* 0 or the bytes that were moved, or -errno. */
	int (*call)(FIXTURE_DATA(fault) *self);
	/* Take back what the call did. */
	void (*after)(FIXTURE_DATA(fault) *self);
	/* What came of it in the end is as if nothing had failed. */
	bool (*right)(FIXTURE_DATA(fault) *self);
	/* After a failure: what the call would have changed is as it was. */
	bool (*kept)(FIXTURE_DATA(fault) *self);
	/* A load that failed half-way is over: its next error is the same. */
	bool final;
	/* It must not fail, or has nothing that could. */
	bool never;
	/* A way along arcs of v2. It fails in the state that the last complete arc left. */
	bool way;
	/* It changes device memory, and with it what is pending. */
	bool marks;
	/* Variants that are refused without any fault are none. */
	bool legal;
};

#define CALL(name)	static int name(FIXTURE_DATA(fault) *self)
#define STEP(name)	static void name(FIXTURE_DATA(fault) *self)

STEP(nothing) { }
STEP(run) { set_state(&self->a, RUNNING); }
STEP(stop_b) { set_state(&self->b, STOP); set_state(&self->b, RUNNING); }
STEP(begin) { set_state(&self->a, RUNNING | SAVING); }
STEP(resume_b) { set_state(&self->b, RESUMING); }

/* The device alone: what the core does for a container is its own affair. */
CALL(open_b)
{
	self->b.fd = ioctl(self->b.group, VFIO_GROUP_GET_DEVICE_FD, UUID_B);
	return self->b.fd < 0 ? -errno : 0;
}

STEP(close_b)
{
	munmap(self->b.map, self->b.mig.size - self->b.window);
	close(self->b.fd);
}

STEP(map_b) { dev_map_window(&self->b); }

/* v1: any state from any other, where that is an arc at all. */
static const uint32_t v1_states[] = { STOP, RUNNING, SAVING, RUNNING | SAVING, RESUMING };

#define V1_STATES	ARRAY_SIZE(v1_states)
#define V1_FROM		v1_states[self->v / V1_STATES]
#define V1_TO		v1_states[self->v % V1_STATES]

STEP(at_v1_state)
{
	const uint32_t from = V1_FROM, target = V1_TO;

	ioctl(self->a.fd, VFIO_DEVICE_RESET);
	dev_write(&self->a, self->a.bar2.offset + 7 * PAGE, "x", 1);
	set_state(&self->a, from);
	if (from == RESUMING)
		load_all(&self->a, &self->s, 100000);
	/* Only an arc that begins a session or a load needs anything. */
	self->never = target == RESUMING ? from == RESUMING :
		      !(target & SAVING) || from & SAVING;
}

CALL(take_v1_arc) { return set_state(&self->a, V1_TO); }
static bool v1_arrived(FIXTURE_DATA(fault) *self) { return get_state(&self->a) == (int)V1_TO; }

STEP(reset_a) { ioctl(self->a.fd, VFIO_DEVICE_RESET); }

CALL(start_loading) { return set_state(&self->b, RESUMING); }

CALL(prepare)
{
	uint64_t offset;

	return reg_read(&self->a, V1(data_offset), &offset);
}

STEP(touch_and_begin)
{
	char page[PAGE] = { 1 };

	ioctl(self->a.fd, VFIO_DEVICE_RESET);
	dev_write(&self->a, self->a.bar2.offset + 3 * PAGE, page, PAGE);
	dev_write(&self->a, self->a.bar2.offset + 7 * PAGE, page, 1);
	begin(self);
}

/* The chunk has each page that was ever written, as it is in memory. */
static bool chunk_is_whole(FIXTURE_DATA(fault) *self)
{
	struct stream chunk = { .buf = self->a.map, .len = data_size(&self->a) };
	size_t at, pages = 0;
	char page[PAGE];

	if (chunk.len != attr_sum(UUID_A, "pending_bytes") ||
	    read_account(chunk.buf, chunk.len).wrong)
		return false;
	for (at = 0; at < chunk.len;
	     at += sizeof(struct tern_record) + record_at(&chunk, at)->length) {
		const struct tern_memory_head *head = (const void *)(record_at(&chunk, at) + 1);

		if (record_at(&chunk, at)->type != TERN_RECORD_MEMORY)
			continue;
		dev_read(&self->a, self->a.bar2.offset + head->offset, page, PAGE);
		if (memcmp(page, head + 1, PAGE))
			return false;
		pages++;
	}
	return pages == 2;
}

CALL(load)
{
	return load_all(&self->b, &self->s, 100000);
}

/* Each part of each region, in accesses that need an allocation and in some that do not. */
static const struct {
	unsigned int region;
	uint64_t at;
	uint32_t n;
	bool read_only;
} parts[] = {
	{ VFIO_PCI_CONFIG_REGION_INDEX, 0x0c, 1 },
	{ VFIO_PCI_CONFIG_REGION_INDEX, 0, 64, true },
	{ VFIO_PCI_CONFIG_REGION_INDEX, 0, 4096, true },
	{ VFIO_PCI_CONFIG_REGION_INDEX, 0x100, 256 },
	{ VFIO_PCI_BAR0_REGION_INDEX, TERN_DMA_PATTERN, 4 },
	{ VFIO_PCI_BAR0_REGION_INDEX, 0, 4096, true },
	{ VFIO_PCI_BAR2_REGION_INDEX, 100 * PAGE, 64 },
	{ VFIO_PCI_BAR2_REGION_INDEX, 102 * PAGE, 2 * PAGE },
	{ VFIO_PCI_BAR2_REGION_INDEX, 104 * PAGE - 5, 3 * PAGE + 7 },
	{ VFIO_PCI_BAR4_REGION_INDEX, 0, 16 },
	{ VFIO_PCI_BAR4_REGION_INDEX, 0, 4096 },
	{ VFIO_PCI_NUM_REGIONS, V1(device_state), 4 },
	{ VFIO_PCI_NUM_REGIONS, V1(pending_bytes), 8, true },
	{ VFIO_PCI_NUM_REGIONS, V1(data_offset), 8, true },
	{ VFIO_PCI_NUM_REGIONS, V1(data_size), 8 },
	{ VFIO_PCI_NUM_REGIONS, TERN_REGION_STATUS, 8, true },
	{ VFIO_PCI_NUM_REGIONS, TERN_REGION_STATUS, 4096, true },
	{ VFIO_PCI_NUM_REGIONS, TERN_REGION_WINDOW, 8 },
	{ VFIO_PCI_NUM_REGIONS, TERN_REGION_WINDOW, 4096 },
	{ VFIO_PCI_NUM_REGIONS, TERN_REGION_WINDOW + 4096, 3 * PAGE },
};

/* As few bytes as need no allocation. */
STEP(reset_and_read)
{
	reset_a(self);
	self->never = parts[self->v].n <= 64;
}

CALL(read_part)
{
	static char buf[4 * PAGE];

	return dev_read(&self->a, region_base(parts[self->v].region) + parts[self->v].at, buf,
			parts[self->v].n);
}

/* A register keeps its value: it is written what was read. */
CALL(write_part)
{
	static char buf[4 * PAGE];

	if (parts[self->v].region == VFIO_PCI_NUM_REGIONS && !parts[self->v].at)
		buf[0] = RUNNING;
	else
		memset(buf, 0x5a, sizeof(buf));
	if (parts[self->v].region == VFIO_PCI_BAR4_REGION_INDEX)
		memset(buf, 0, sizeof(buf));
	return dev_write(&self->a, region_base(parts[self->v].region) + parts[self->v].at, buf,
			 parts[self->v].n);
}

CALL(map_memory)
{
	self->map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->a.fd,
			 self->a.bar2.offset);
	return self->map == MAP_FAILED ? -errno : 0;
}

STEP(unmap_memory) { munmap(self->map, PAGE); }

CALL(map_window)
{
	self->map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->a.fd,
			 self->a.mig.offset + self->a.window + self->v * PAGE - PAGE);
	return self->map == MAP_FAILED ? -errno : 0;
}

/* The first store to a page of a mapping that is not there yet. */
STEP(map_fresh)
{
	reset_a(self);
	self->map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->a.fd,
			 self->a.bar2.offset + 9 * PAGE);
	begin(self);
	self->marked = attr_sum(UUID_A, "pending_bytes");
}

/* A fault that fails for want of memory is made again by the kernel. */
CALL(store)
{
	*(volatile char *)self->map = 0x77;
	return 0;
}

STEP(unmap_and_run) { unmap_memory(self); run(self); }

static bool store_is_marked(FIXTURE_DATA(fault) *self)
{
	char c = 0;

	return dev_read(&self->a, self->a.bar2.offset + 9 * PAGE, &c, 1) == 1 && c == 0x77 &&
	       attr_sum(UUID_A, "pending_bytes") == self->marked + MEMORY_RECORD;
}

CALL(ask_device)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	return ioctl(self->a.fd, VFIO_DEVICE_GET_INFO, &info) ? -errno : 0;
}

CALL(ask_region)
{
	char info[256];

	return region_info(&self->a, self->v, (void *)info, sizeof(info));
}

CALL(ask_irq)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = self->v };

	return ioctl(self->a.fd, VFIO_DEVICE_GET_IRQ_INFO, &info) ? -errno : 0;
}

/* SET_IRQS: each index, data and action, for no interrupt and for one. */
#define IRQ_VARIANTS	(VFIO_PCI_NUM_IRQS * 3 * 3 * 2)

static uint32_t irq_index(FIXTURE_DATA(fault) *self) { return self->v / 18; }

STEP(connect)
{
	set_irqs(&self->a, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, irq_index(self),
		 0, 1, self->eventfd);
	signals(self->eventfd);
}

CALL(change_irqs)
{
	const uint32_t data = VFIO_IRQ_SET_DATA_NONE << self->v % 3;
	const uint32_t action = VFIO_IRQ_SET_ACTION_MASK << self->v / 3 % 3;

	return set_irqs(&self->a, data | action, irq_index(self), 0, self->v / 9 % 2,
			self->eventfd);
}

STEP(disconnect)
{
	set_irqs(&self->a, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, irq_index(self), 0,
		 0, -1);
}

/* All vectors get another eventfd, or, in the second variant, the last one a bad one. */
static int set_vectors(FIXTURE_DATA(fault) *self, int fd, int last)
{
	struct {
		struct vfio_irq_set hdr;
		int fd[VECTORS];
	} set = {
		.hdr = {
			.argsz = sizeof(set), .count = VECTORS, .index = VFIO_PCI_MSIX_IRQ_INDEX,
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		},
	};
	int i;

	for (i = 0; i < VECTORS; i++)
		set.fd[i] = i == VECTORS - 1 ? last : fd;
	return ioctl(self->a.fd, VFIO_DEVICE_SET_IRQS, &set) ? -errno : 0;
}

STEP(set_old_vectors)
{
	set_vectors(self, self->eventfd, self->eventfd);
	signals(self->eventfd);
	signals(self->other);
}

CALL(set_new_vectors) { return set_vectors(self, self->other, self->v ? 9999 : self->other); }

static unsigned int test_vectors(FIXTURE_DATA(fault) *self, int fd)
{
	set_irqs(&self->a, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
		 VFIO_PCI_MSIX_IRQ_INDEX, 0, VECTORS, -1);
	return signals(fd);
}

static bool old_vectors(FIXTURE_DATA(fault) *self)
{
	return test_vectors(self, self->eventfd) == VECTORS && !signals(self->other);
}

static bool new_vectors(FIXTURE_DATA(fault) *self)
{
	return self->v ? old_vectors(self) :
	       test_vectors(self, self->other) == VECTORS && !signals(self->eventfd);
}

STEP(no_vectors)
{
	set_irqs(&self->a, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
		 VFIO_PCI_MSIX_IRQ_INDEX, 0, 0, -1);
}

CALL(reset) { return ioctl(self->a.fd, VFIO_DEVICE_RESET) ? -errno : 0; }

CALL(guest_resets)
{
	const uint16_t flr = 0x8000;

	return dev_write(&self->a, DEVCTL, &flr, 2);
}

STEP(resume_and_load_b) { resume_b(self); load(self); }
CALL(go_on_there) { return set_state(&self->b, RUNNING); }

/* Each feature: whether it is there, to get it, and to set it to what is no request. */
#define FEATURES	12

CALL(ask_feature)
{
	static const uint32_t how[] = {
		VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET,
		VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET,
		VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_SET,
	};
	uint64_t payload[8] = { 0 };

	return feature(&self->a, how[self->v % 4] | self->v / 4, payload, sizeof(payload));
}

/* v2: back to running, with no file left. */
STEP(run_v2)
{
	ioctl(self->a.fd, VFIO_DEVICE_RESET);
	if (self->save >= 0)
		close(self->save);
	self->save = -1;
	set_command(&self->a, 0x0006);
	dev_write(&self->a, self->a.bar2.offset + 7 * PAGE, "x", 1);
}

STEP(run_v2_b)
{
	ioctl(self->b.fd, VFIO_DEVICE_RESET);
	if (self->load >= 0)
		close(self->load);
	self->load = -1;
}

/* A file whose descriptor could not be returned is closed, and the state stays. */
static int open_state(struct dev *d, uint32_t state, int *file)
{
	int fd, ret = go_open(d, state, &fd);

	if (!ret && fd >= 0)
		*file = fd;
	return ret;
}

/* v2: any state from any other, where there is a way at all. */
#define V2_FROM		(self->v / STATES)
#define V2_TO		(self->v % STATES)

STEP(at_v2_state)
{
	run_v2(self);
	self->n_way = find_way(migration_flags(&self->a), V2_FROM, V2_TO, self->way);
	if (V2_FROM != S_RUNNING)
		open_state(&self->a, V2_FROM, &self->save);
	if (V2_FROM == S_RESUMING)
		write_all(self->save, &self->s, 100000);
	self->never = !opens_file(V2_FROM, self->way, self->n_way);
}

CALL(take_v2_way)
{
	int fd = -1, ret;

	ret = go_open(&self->a, V2_TO, &fd);
	if (fd >= 0)
		close(fd);
	return ret;
}

static bool v2_arrived(FIXTURE_DATA(fault) *self)
{
	return self->n_way < 0 || where(&self->a) == (int)V2_TO;
}

static int to(FIXTURE_DATA(fault) *self, uint32_t state)
{
	return open_state(&self->a, state, &self->save);
}

STEP(precopy) { run_v2(self); to(self, S_PRE_COPY); }
STEP(stop_copy) { run_v2(self); to(self, S_STOP_COPY); }
STEP(resuming) { run_v2_b(self); open_state(&self->b, S_RESUMING, &self->load); }

CALL(read_chunk)
{
	struct stream s = { 0 };
	ssize_t n = read_some(self->save, &s, self->v ? 1 : MIB);

	free(s.buf);
	return n;
}

static void read_file_of(FIXTURE_DATA(fault) *self)
{
	struct stream s = { 0 };

	read_all(self->save, &s, MIB);
	free(s.buf);
}

/* All was read: the end, or nothing now. */
STEP(precopy_read) { precopy(self); read_file_of(self); }
STEP(stop_copy_read) { stop_copy(self); read_file_of(self); }

CALL(poll_data) { return poll_now(self->save); }

CALL(load_v2) { return write_all(self->load, &self->s, self->s.len); }

CALL(ask_precopy)
{
	uint64_t initial, dirty;

	return precopy_info(self->save, &initial, &dirty);
}

/* Stale, its session is over. */
STEP(precopy_ended) { precopy(self); ioctl(self->a.fd, VFIO_DEVICE_RESET); }

CALL(ask_size)
{
	struct vfio_device_feature_mig_data_size size = { 0 };

	return feature(&self->a, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, &size,
		       sizeof(size));
}

CALL(start_log)
{
	struct vfio_device_feature_dma_logging_range range = { .length = MIB };
	struct vfio_device_feature_dma_logging_control control = {
		.page_size = PAGE, .num_ranges = 1, .ranges = (uintptr_t)&range,
	};

	return feature(&self->a, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
		       &control, sizeof(control));
}

STEP(stop_log)
{
	feature(&self->a, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, "", 0);
}

CALL(do_stop_log)
{
	return feature(&self->a, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, "",
		       0);
}

STEP(logging) { start_log(self); }

CALL(report_log)
{
	uint64_t bitmap[MIB / PAGE / 64] = { 0 };
	struct vfio_device_feature_dma_logging_report report = {
		.length = self->v ? 0 : MIB, .page_size = PAGE, .bitmap = (uintptr_t)bitmap,
	};

	return feature(&self->a, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
		       &report, sizeof(report));
}

/* Reported as started, so it was: there is only one, and it can be read. */
static bool log_runs(FIXTURE_DATA(fault) *self)
{
	return start_log(self) == -EBUSY && !report_log(self);
}

/* Without its group: to bind to an iommufd is to open. */
STEP(leave_group)
{
	dev_close(&self->b);
	self->iommufd = iommufd_open();
	self->cdev = cdev_open(UUID_B);
}

CALL(bind) { return cdev_bind(self->cdev, self->iommufd); }

STEP(return_to_group)
{
	close(self->cdev);
	close(self->iommufd);
	dev_open(&self->b, UUID_B);
	dev_map_window(&self->b);
}

STEP(bound) { leave_group(self); bind(self); }

CALL(attach)
{
	uint32_t ioas = 0;

	return ioas_alloc(self->iommufd, &ioas) ?: cdev_attach(self->cdev, ioas);
}

/* close() reports nothing: what it leaves is what is looked at. */
CALL(close_fd)
{
	munmap(self->b.map, self->b.mig.size - self->b.window);
	close(self->b.fd);
	self->b.fd = -1;
	return 0;
}

STEP(reopen_b) { open_b(self); map_b(self); }

static const struct call calls[] = {
	{ .name = "open", .before = close_b, .call = open_b, .after = map_b },
	{ .name = "close", .before = nothing, .call = close_fd, .after = reopen_b },
	{ .name = "bind", .before = leave_group, .call = bind, .after = return_to_group },
	{ .name = "attach", .before = bound, .call = attach, .after = return_to_group },
	{ .name = "device info", .before = nothing, .call = ask_device, .after = nothing },
	{ .name = "region info", .variants = VFIO_PCI_NUM_REGIONS + 2, .before = nothing,
	  .call = ask_region, .after = nothing },
	{ .name = "irq info", .variants = VFIO_PCI_NUM_IRQS + 1, .before = nothing,
	  .call = ask_irq, .after = nothing },
	{ .name = "set irqs", .variants = IRQ_VARIANTS, .before = connect, .call = change_irqs,
	  .after = disconnect },
	{ .name = "set vectors", .variants = 2, .before = set_old_vectors,
	  .call = set_new_vectors, .after = no_vectors, .right = new_vectors,
	  .kept = old_vectors },
	{ .name = "feature", .variants = FEATURES * 4, .before = nothing, .call = ask_feature,
	  .after = nothing },
	{ .name = "map BAR2", .before = nothing, .call = map_memory, .after = unmap_memory },
	{ .name = "map window", .variants = 3, .before = nothing, .call = map_window,
	  .after = unmap_memory },
	{ .name = "page fault", .before = map_fresh, .call = store, .after = unmap_and_run,
	  .right = store_is_marked, .never = true, .marks = true },
	{ .name = "read region", .variants = ARRAY_SIZE(parts), .before = reset_and_read,
	  .call = read_part, .after = nothing },
	{ .name = "write region", .variants = ARRAY_SIZE(parts), .before = reset_a,
	  .call = write_part, .after = nothing, .marks = true },
	{ .name = "v1 arc", .variants = V1_STATES * V1_STATES, .before = at_v1_state,
	  .call = take_v1_arc, .after = reset_a, .right = v1_arrived, .legal = true },
	{ .name = "prepare chunk", .before = touch_and_begin, .call = prepare, .after = run,
	  .right = chunk_is_whole },
	{ .name = "v1 resume", .before = stop_b, .call = start_loading, .after = stop_b },
	{ .name = "v1 load", .before = resume_b, .call = load, .after = stop_b, .final = true },
	{ .name = "v1 commit", .before = resume_and_load_b, .call = go_on_there,
	  .after = stop_b, .never = true },
	{ .name = "reset", .before = nothing, .call = reset, .after = nothing, .never = true },
	{ .name = "FLR", .before = nothing, .call = guest_resets, .after = nothing,
	  .never = true },
	{ .name = "v2 way", .variants = STATES * STATES, .before = at_v2_state,
	  .call = take_v2_way, .after = run_v2, .right = v2_arrived, .way = true },
	{ .name = "read", .variants = 2, .before = precopy, .call = read_chunk, .after = run_v2 },
	{ .name = "read nothing", .before = precopy_read, .call = read_chunk, .after = run_v2 },
	{ .name = "read the end", .before = stop_copy_read, .call = read_chunk,
	  .after = run_v2 },
	{ .name = "read stale", .before = precopy_ended, .call = read_chunk, .after = run_v2 },
	{ .name = "poll", .before = precopy, .call = poll_data, .after = run_v2 },
	{ .name = "poll nothing", .before = precopy_read, .call = poll_data, .after = run_v2 },
	{ .name = "write", .before = resuming, .call = load_v2, .after = run_v2_b,
	  .final = true },
	{ .name = "precopy info", .before = precopy, .call = ask_precopy, .after = run_v2 },
	{ .name = "precopy stopped", .before = stop_copy, .call = ask_precopy, .after = run_v2 },
	{ .name = "precopy stale", .before = precopy_ended, .call = ask_precopy,
	  .after = run_v2 },
	{ .name = "data size", .before = run_v2, .call = ask_size, .after = run_v2 },
	{ .name = "log start", .before = nothing, .call = start_log, .after = stop_log,
	  .right = log_runs },
	{ .name = "log report", .variants = 2, .before = logging, .call = report_log, .after = stop_log },
	{ .name = "report no log", .before = nothing, .call = report_log, .after = nothing },
	{ .name = "log stop", .before = logging, .call = do_stop_log, .after = stop_log },
};

_Static_assert(IRQ_VARIANTS <= VARIANTS_MAX, "the most variants of a call");

FIXTURE_SETUP(fault)
{
	struct setting given = { .by = &v1_mapped, .memory_mib = 1 };
	char page[PAGE] = { 1 };

	NEEDS_FAULTS();
	ASSERT_EQ(device_on(&self->a, UUID_A, given), 0);
	/* A window has so many pages to fail at. */
	given.window_kib = 128;
	ASSERT_EQ(device_on(&self->b, UUID_B, given), 0);
	self->eventfd = eventfd(0, EFD_NONBLOCK);
	self->other = eventfd(0, EFD_NONBLOCK);
	self->save = self->load = -1;
	self->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(map_guest(&self->a, self->ram, ADDRESS, RAM), 0);
	ASSERT_EQ(dev_write(&self->a, self->a.bar2.offset + 7 * PAGE, page, PAGE), PAGE);
	ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
	ASSERT_EQ(set_state(&self->a, RUNNING), 0);
}

FIXTURE_TEARDOWN(fault)
{
	EXPECT_EQ(pair_off(&self->a, &self->b, &self->s), 0);
	close(self->eventfd);
	close(self->other);
	munmap(self->ram, RAM);
	leave_cgroup();
}

/* Is it what the call returns without a fault? A part of a transfer is one, too. */
static bool is_done(int ret, int expected)
{
	return ret == expected || (expected > 0 && ret > 0 && ret < expected);
}

static bool is_word(const struct call *c, int ret)
{
	/* shmem's word for no inode; iommufd's for what it made fail. */
	return ret == -ENOMEM || ret == -EFAULT ||
	       ((c->call == open_b || c->call == bind || c->call == attach) &&
		(ret == -ENOSPC || ret == -ENOENT));
}

/*
 * Where a way along arcs of v2 has failed. A copy from or to user space fails before the
 * first arc or after the last. An allocation fails in the arc that opens the file, which is
 * the last.
 */
static bool stopped_there(FIXTURE_DATA(fault) *self, int ret)
{
	const uint32_t at = where(&self->a);

	if (self->n_way < 0)
		return at == V2_FROM;
	if (ret == -EFAULT)
		return at == V2_FROM || at == V2_TO;
	return at == (self->n_way > 1 ? self->way[self->n_way - 2] : V2_FROM);
}

struct snapshot {
	int a, b;
	uint64_t pending;
};

/* By sysfs, which acknowledges nothing. */
static struct snapshot look(FIXTURE_DATA(fault) *self)
{
	return (struct snapshot){
		.a = get_state(&self->a), .b = self->b.fd >= 0 ? get_state(&self->b) : -1,
		.pending = attr_sum(UUID_A, "pending_bytes"),
	};
}

/* What is wrong after a call was refused, and then made again; or NULL. */
static const char *judge(FIXTURE_DATA(fault) *self, const struct call *c, int ret, int expected,
			 const struct snapshot *before)
{
	struct snapshot now = look(self);
	int again;

	if (!is_word(c, ret))
		return "no errno of those that are documented";
	if ((c->never || self->never) && ret != -EFAULT)
		return "must not fail";
	if (c->way ? !stopped_there(self, ret) :
	    now.a != before->a || (c->call != open_b && now.b != before->b))
		return "another state";
	if (!c->way && !c->marks && now.pending != before->pending)
		return "other bytes are pending";
	if (c->kept && !c->kept(self))
		return "it has changed something";
	/* And nothing fails; but a load that failed is over. */
	again = c->call(self);
	if (!is_done(again, expected) && !(c->final && again == ret))
		return "made again, it does not do as it should";
	return NULL;
}

/* Each chance to fail of one variant of a call. How many. */
static int sweep(struct __test_metadata *_metadata, FIXTURE_DATA(fault) *self, const struct call *c,
		 int fd, int expected)
{
	int nth;

	for (nth = 1; nth < NTH_MAX; nth++) {
		const char *wrong = NULL;
		struct snapshot before;
		int ret, left;

		self->never = false;
		c->before(self);
		before = look(self);
		arm(fd, nth);
		ret = c->call(self);
		left = disarm(fd);
		if (left)
			wrong = ret == expected ? NULL : "another answer, and nothing has failed";
		else if (!is_done(ret, expected))
			wrong = judge(self, c, ret, expected, &before);
		if (!wrong && c->right && expected >= 0 && !c->right(self))
			wrong = "something is missing";
		EXPECT_EQ(wrong, NULL)
			TH_LOG("%s %u, chance %d: %d, expected %d: %s", c->name, self->v, nth, ret,
			       expected, wrong);
		c->after(self);
		if (left)
			return nth - 1;
	}
	return NTH_MAX;
}

/* No device is in ERROR, and what is no arc is tested elsewhere. */
static bool is_no_variant(FIXTURE_DATA(fault) *self, const struct call *c, int expected)
{
	return (c->way && !V2_FROM) || (c->legal && expected < 0);
}

/*
 * What is held before a row, and what each of its variants returns without a fault. What the
 * kernel allocates once, it has then.
 */
static struct held hold_before(FIXTURE_DATA(fault) *self, const struct call *c, int *expected)
{
	for (self->v = 0; self->v < (c->variants ?: 1); self->v++) {
		if (c->way && !V2_FROM)
			continue;
		c->before(self);
		expected[self->v] = c->call(self);
		c->after(self);
	}
	return look_what_is_held();
}

/*
 * V1-30 V2-7 P-18: and what must not fail does not. There the copies of the few bytes
 * from and to user space may, before and after the device hears of it; and nothing
 * else.
 */
TEST_F_TIMEOUT(fault, V1_30_V2_7_each_chance_to_fail, 200)
{
	const int fd = open(FAIL_NTH, O_RDWR);
	unsigned int i, all = 0;

	ASSERT_GE(fd, 0);
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		const struct call *c = &calls[i];
		int ret, expected[VARIANTS_MAX];
		struct held before, after;
		unsigned int failed = 0, n = 0;
		const char *more;

		before = hold_before(self, c, expected);
		name_thread(c->name);
		for (self->v = 0; self->v < (c->variants ?: 1); self->v++) {
			if (is_no_variant(self, c, expected[self->v]))
				continue;
			ret = sweep(_metadata, self, c, fd, expected[self->v]);
			ASSERT_LT(ret, NTH_MAX);
			n++;
			failed += ret;
		}
		name_thread("fault_test");
		after = look_what_is_held();
		more = more_held(&before, &after);
		EXPECT_EQ(more, NULL) TH_LOG("%s leaks: %s", c->name, more);
		TH_LOG("%s: %u variants, %u faults", c->name, n, failed);
		all += failed;
	}
	/* Most calls have several chances to fail. */
	EXPECT_GT(all, ARRAY_SIZE(calls));
	close(fd);
}

#define SWAP_FILE	"/tmp/tern-fault-swap"
#define SWAP_PAGES	1024
#define PAGE_CLUSTER	"/proc/sys/vm/page-cluster"

/* A disk to swap to: a loop device over a file. Its descriptor, or -errno. */
static int swap_on(const char *disk)
{
	struct {
		uint8_t boot[1024];
		uint32_t version, last_page, bad_pages;
		uint8_t rest[PAGE - 1024 - 12 - 10];
		char magic[10];
	} head = { .version = 1, .last_page = SWAP_PAGES - 1, .magic = "SWAPSPACE2" };
	int file = open(SWAP_FILE, O_CREAT | O_RDWR | O_CLOEXEC, 0600), loop, ret = 0;

	_Static_assert(sizeof(head) == PAGE, "a page");
	loop = open(disk, O_RDWR | O_CLOEXEC);
	if (file < 0 || loop < 0 || ftruncate(file, SWAP_PAGES * PAGE) ||
	    pwrite(file, &head, PAGE, 0) != PAGE || ioctl(loop, LOOP_SET_FD, file) ||
	    swapon(disk, 0))
		ret = -errno;
	close(file);
	unlink(SWAP_FILE);
	return ret ?: loop;
}

static void swap_off(const char *disk, int loop)
{
	swapoff(disk);
	ioctl(loop, LOOP_CLR_FD, 0);
	close(loop);
}

/* Four pages, written and swapped out, and the first of them swapped in again. */
STEP(swap_out)
{
	unsigned int i;
	uint8_t *p, byte;

	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->a.fd,
		 self->a.bar2.offset);
	for (i = 0; i < 4; i++)
		p[i * PAGE] = i + 1;
	madvise(p, 4 * PAGE, MADV_PAGEOUT);
	munmap(p, 4 * PAGE);
	/* They are written by then, and still in the swap cache. */
	for (i = 0; i < 3; i++)
		write_file(CGROUP "/memory.reclaim", "1M");
	dev_read(&self->a, self->a.bar2.offset, &byte, 1);
}

static bool pages_are_right(FIXTURE_DATA(fault) *self)
{
	uint8_t byte;
	unsigned int i;

	for (i = 0; i < 4; i++)
		if (dev_read(&self->a, self->a.bar2.offset + i * PAGE, &byte, 1) != 1 ||
		    byte != i + 1)
			return false;
	return true;
}

/* The snapshot, or, in the second variant, a pass after it. */
STEP(begin_swapped)
{
	struct stream s = { 0 };

	reset_a(self);
	if (self->v) {
		begin(self);
		save_all(&self->a, &s);
		free(s.buf);
	}
	swap_out(self);
	begin(self);
}

/* What is read from now on has each page once. The chunk may have had room for none. */
static bool four_pages(FIXTURE_DATA(fault) *self)
{
	struct stream s = { 0 };
	/* First the chunk that was prepared: to read pending_bytes acknowledges it. */
	bool all = save_chunk(&self->a, &s) >= 0 && !save_all(&self->a, &s) &&
		   records_of(&s, 0, TERN_RECORD_MEMORY) == 4;

	free(s.buf);
	return all && pages_are_right(self);
}

STEP(precopy_swapped)
{
	run_v2(self);
	reset_a(self);
	if (self->v)
		precopy_read(self);
	swap_out(self);
	if (!self->v)
		to(self, S_PRE_COPY);
}

STEP(swapped_alone) { reset_a(self); swap_out(self); }

static struct {
	char bytes[4 * PAGE];
	int n;
} got;

CALL(read_swapped)
{
	return got.n = dev_read(&self->a, self->a.bar2.offset, got.bytes, sizeof(got.bytes));
}

/* What the call has returned as read is what is there. */
static bool read_is_right(FIXTURE_DATA(fault) *self)
{
	static char again[sizeof(got.bytes)];

	return dev_read(&self->a, self->a.bar2.offset, again, sizeof(again)) == sizeof(again) &&
	       !memcmp(again, got.bytes, got.n > 0 ? got.n : 0) && pages_are_right(self);
}

CALL(write_swapped)
{
	const uint8_t byte = 2;

	return dev_write(&self->a, self->a.bar2.offset + PAGE, &byte, 1);
}

static const struct call swapped[] = {
	{ .name = "prepare swapped", .variants = 2, .before = begin_swapped, .call = prepare,
	  .after = run, .right = four_pages },
	{ .name = "read swapped", .variants = 2, .before = precopy_swapped, .call = read_chunk,
	  .after = run_v2, .right = pages_are_right },
	{ .name = "read BAR2", .before = swapped_alone, .call = read_swapped, .after = nothing,
	  .right = read_is_right },
	{ .name = "write BAR2", .before = swapped_alone, .call = write_swapped, .after = nothing,
	  .right = pages_are_right, .marks = true },
};

/* Whatever of a mask the driver asks for fails, while make-it-fail says so. */
static void prepare_to_fail(unsigned int mask)
{
	set_knob(ALL_INJECTORS, "task-filter", "Y");
	set_knob(ALL_INJECTORS, "times", "-1");
	set_knob(mask, "probability", "100");
}

static void fail_no_more(void)
{
	set_knob(ALL_INJECTORS, "probability", "0");
	set_knob(ALL_INJECTORS, "task-filter", "N");
}

/* One call, of which all that can fail does. Was it refused? */
static bool fail_all(struct __test_metadata *_metadata, FIXTURE_DATA(fault) *self,
		     const struct call *c, int fd, int expected)
{
	const char *wrong = NULL;
	struct snapshot state;
	int ret;

	self->never = false;
	c->before(self);
	state = look(self);
	EXPECT_EQ(pwrite(fd, "1", 1, 0), 1);
	ret = c->call(self);
	EXPECT_EQ(pwrite(fd, "0", 1, 0), 1);
	if (!is_done(ret, expected))
		wrong = judge(self, c, ret, expected, &state);
	if (!wrong && c->right && expected >= 0 && !c->right(self))
		wrong = "something is missing";
	EXPECT_EQ(wrong, NULL)
		TH_LOG("%s %u: %d, expected %d: %s", c->name, self->v, ret, expected, wrong);
	c->after(self);
	return !is_done(ret, expected);
}

/* S-4: pages that must be swapped in first, which needs memory. */
TEST_F_TIMEOUT(fault, S4_swapped_pages, 100)
{
	const char *disk = "/dev/loop0";
	const int fd = open(FAIL_NTH, O_RDWR), all = open(MAKE_IT_FAIL, O_RDWR);
	const bool filter = !filter_faults("require", find_code(NULL, "tern"));
	const int loop = swap_on(disk);
	unsigned int i, refused = 0;
	char cluster[16];

	if (loop < 0)
		SKIP(return, "no swap: %s", strerror(-loop));
	/* Without read-ahead, which only costs its pages if it fails. */
	ASSERT_GT(read_file(PAGE_CLUSTER, cluster, sizeof(cluster)), 0);
	ASSERT_EQ(write_file(PAGE_CLUSTER, "0"), 0);
	for (i = 0; i < ARRAY_SIZE(swapped); i++) {
		const struct call *c = &swapped[i];
		int faults, expected[VARIANTS_MAX];

		hold_before(self, c, expected);
		name_thread(c->name);
		for (self->v = 0; self->v < (c->variants ?: 1); self->v++) {
			faults = sweep(_metadata, self, c, fd, expected[self->v]);
			TH_LOG("%s %u: %d faults", c->name, self->v, faults);
			EXPECT_GT(faults, 1);
			if (!filter)
				continue;
			prepare_to_fail(PAGES);
			refused += fail_all(_metadata, self, c, all, expected[self->v]);
			fail_no_more();
		}
	}
	name_thread("fault_test");
	if (filter)
		EXPECT_GT(refused, 2) TH_LOG("%u were refused", refused);
	ASSERT_EQ(write_file(PAGE_CLUSTER, cluster), 0);
	swap_off(disk, loop);
	filter_no_faults();
	close(all);
	close(fd);
}

/* The worker joins two hierarchies of control groups, which needs memory. */
TEST_F_TIMEOUT(fault, open_in_two_hierarchies, 100)
{
	const char *top = "/tmp/tern-fault-other", *group = "/tmp/tern-fault-other/fault";
	const int fd = open(FAIL_NTH, O_RDWR);
	const struct call *c = &calls[0];
	int expected;

	mkdir(top, 0700);
	if (mount("none", top, "cgroup", 0, "none,name=tern"))
		SKIP(return, "no other hierarchy: %s", strerror(errno));
	ASSERT_EQ(mkdir(group, 0700), 0);
	ASSERT_EQ(write_file("/tmp/tern-fault-other/fault/cgroup.procs", "0"), 0);
	hold_before(self, c, &expected);
	name_thread("open, two groups");
	self->v = 0;
	TH_LOG("%d faults", sweep(_metadata, self, c, fd, expected));
	name_thread("fault_test");
	write_file("/tmp/tern-fault-other/cgroup.procs", "0");
	close_b(self);
	self->b.fd = -1;
	self->b.map = NULL;
	EXPECT_EQ(rmdir(group), 0);
	EXPECT_EQ(umount(top), 0);
	rmdir(top);
	close(fd);
}

/*
 * V1-30 P-18: no allocation of the driver succeeds any more: of slab objects, of pages, or
 * of either. Or no copy from or to user space does. That reaches the end of kvmalloc(),
 * which tries in two ways.
 */
TEST_F_TIMEOUT(fault, V1_30_P18_all_chances_fail, 200)
{
	static const unsigned int masks[] = { SLAB, PAGES, SLAB | PAGES, USERCOPY };
	const int fd = open(MAKE_IT_FAIL, O_RDWR);
	unsigned int i, m, refused[4] = { 0 };

	ASSERT_GE(fd, 0);
	if (filter_faults("require", find_code(NULL, "tern")))
		SKIP(return, "the kernel has no filter of faults by their stack");
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		const struct call *c = &calls[i];
		int expected[VARIANTS_MAX];
		struct held before, after;
		const char *more;

		/* A page fault that always fails is made again indefinitely. */
		if (c->call == store)
			continue;
		before = hold_before(self, c, expected);
		name_thread(c->name);
		for (m = 0; m < ARRAY_SIZE(masks); m++) {
			fail_no_more();
			prepare_to_fail(masks[m]);
			for (self->v = 0; self->v < (c->variants ?: 1); self->v++) {
				const int ret = expected[self->v];

				if (!is_no_variant(self, c, ret))
					refused[m] += fail_all(_metadata, self, c, fd, ret);
			}
		}
		name_thread("fault_test");
		after = look_what_is_held();
		more = more_held(&before, &after);
		EXPECT_EQ(more, NULL) TH_LOG("%s leaks: %s", c->name, more);
	}
	for (m = 0; m < ARRAY_SIZE(masks); m++) {
		TH_LOG("mask %u: %u refused", masks[m], refused[m]);
		EXPECT_GT(refused[m], 0);
	}
	fail_no_more();
	filter_no_faults();
	close(fd);
}

/*
 * V1-30 P-18: of each function that asks for a large allocation, none succeeds, and all
 * others do. A caller of it is refused. If more failed, another one's refusal would hide
 * that this one ignores the failure; if less, kvmalloc() would try in another way.
 */
TEST_F_TIMEOUT(fault, V1_30_P18_one_function_gets_no_memory, 100)
{
	static const char *const functions[] = {
		"tern_dirty_init", "tern_dma_open", "tern_session_create", "tern_reader_init",
		"tern_loader_create",
	};
	const int fd = open(MAKE_IT_FAIL, O_RDWR);
	unsigned int f, i;

	ASSERT_GE(fd, 0);
	for (f = 0; f < ARRAY_SIZE(functions); f++) {
		const struct code code = find_code(functions[f], NULL);
		unsigned int refused = 0;

		ASSERT_NE(code.end, 0) TH_LOG("%s", functions[f]);
		if (filter_faults("require", code))
			SKIP(return, "the kernel has no filter of faults by their stack");
		for (i = 0; i < ARRAY_SIZE(calls) && !refused; i++) {
			const struct call *c = &calls[i];
			int expected[VARIANTS_MAX];

			if (c->call == store)
				continue;
			fail_no_more();
			hold_before(self, c, expected);
			prepare_to_fail(SLAB | PAGES);
			for (self->v = 0; self->v < (c->variants ?: 1) && !refused; self->v++) {
				const int ret = expected[self->v];

				if (!is_no_variant(self, c, ret))
					refused = fail_all(_metadata, self, c, fd, ret);
			}
		}
		EXPECT_EQ(refused, 1) TH_LOG("no caller of %s() is refused", functions[f]);
	}
	fail_no_more();
	filter_no_faults();
	close(fd);
}

/*
 * The device's own thread. A transfer whose piece lacks memory ends with an error,
 * and the next one is as if there had been none.
 */
TEST_F_TIMEOUT(fault, each_chance_of_the_worker, 100)
{
	static const uint32_t ops[] = {
		TERN_DMA_OP_TO_DEVICE, TERN_DMA_OP_FROM_DEVICE, TERN_DMA_OP_FILL, TERN_DMA_OP_CRC,
		TERN_DMA_OP_TO_DEVICE | TERN_DMA_LIST,
	};
	const uint32_t no_memory = TERN_DMA_FAILED | TERN_DMA_ERROR_MEMORY << 8;
	const uint32_t no_guest = TERN_DMA_FAILED | TERN_DMA_ERROR_ADDRESS << 8;
	struct tern_dma_entry *list = self->ram;
	unsigned int i, refused = 0;
	struct held before, after;
	const char *more;
	char path[64];
	long n;
	int fd;

	memset(self->ram, 0, RAM);
	before = look_what_is_held();
	n = find_worker(&n);
	snprintf(path, sizeof(path), "/proc/%ld/task/%ld/fail-nth", n, n);
	fd = open(path, O_RDWR);
	ASSERT_GE(fd, 0);
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		int nth, left = 0;

		for (nth = 1; nth < NTH_MAX && !left; nth++) {
			uint32_t status;

			reset_a(self);
			set_command(&self->a, MASTER);
			memset(self->ram, 0, RAM);
			list[0] = (struct tern_dma_entry){ .address = ADDRESS, .length = 4 * PAGE };
			/* Where it reads device memory, that was written. */
			if (ops[i] == TERN_DMA_OP_FROM_DEVICE || ops[i] == TERN_DMA_OP_CRC)
				dma_do(&self->a, TERN_DMA_OP_FILL, 0, 0, 4 * PAGE);
			bar0_write(&self->a, TERN_DMA_ENTRIES, 1);
			/* The pages of the guest go, so that they are faulted in. */
			if (ops[i] == TERN_DMA_OP_FROM_DEVICE)
				madvise(self->ram, RAM, MADV_REMOVE);
			arm(fd, nth);
			status = dma_do(&self->a, ops[i], ADDRESS, 0, 4 * PAGE);
			left = disarm(fd);
			if (status == TERN_DMA_DONE)
				continue;
			refused++;
			EXPECT_EQ(left, 0);
			EXPECT_TRUE(status == no_memory || status == no_guest)
				TH_LOG("operation %#x, chance %d: status %#x", ops[i], nth, status);
			EXPECT_EQ(dma_do(&self->a, ops[i], ADDRESS, 0, 4 * PAGE), TERN_DMA_DONE);
		}
		EXPECT_LT(nth, NTH_MAX);
		TH_LOG("operation %#x: %d faults", ops[i], nth - 2);
	}
	EXPECT_GT(refused, 0);
	reset_a(self);
	memset(self->ram, 0, RAM);
	close(fd);
	after = look_what_is_held();
	more = more_held(&before, &after);
	EXPECT_EQ(more, NULL) TH_LOG("a transfer leaks: %s", more);
}

TEST_HARNESS_MAIN
