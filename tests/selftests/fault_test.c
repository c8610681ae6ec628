// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation and every copy from or to user space fails once, in each thing
 * that can be asked of a device: one errno, nothing changed, and the same call
 * works when it is made again.
 *
 * Needs a kernel with fail-nth, which the User Mode Linux of the checks is. To
 * create a device is not among the calls: Linux 6.12 itself warns when it cannot
 * have the memory for the device's group (vfio_group_release()).
 */
#include "migfd.h"
#include "reader.h"
#include "kselftest_harness.h"

#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define DEBUG		"/sys/kernel/debug/"

/* More than any of the calls needs; the kernel's open() of a group is long. */
#define NTH_MAX		2000

FIXTURE(fault) {
	struct dev a, b;
	struct stream s;
	void *map;
	int eventfd;
	int save, load;		/* data files, or -1 */
};

struct call {
	const char *name;
	/* Bring the device to where the call is made; faults do not reach here. */
	void (*before)(FIXTURE_DATA(fault) *self);
	/* 0, or -errno. */
	int (*call)(FIXTURE_DATA(fault) *self);
	/* Take back what the call did. */
	void (*after)(FIXTURE_DATA(fault) *self);
	/* What came of it in the end is as if nothing had failed. */
	bool (*right)(FIXTURE_DATA(fault) *self);
	/* A load that failed half-way is over: its next error is the same. */
	bool final;
	/* It must not fail, or has nothing that could. */
	bool never;
	/*
	 * An arc of v2: its answer may be lost on the way to user space when all is
	 * done. So what is there then may be the old state or the new one; after any
	 * other failure it is the old one.
	 */
	bool leaves;
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

CALL(start_saving) { return set_state(&self->a, RUNNING | SAVING); }
CALL(save_stopped) { return set_state(&self->a, SAVING); }
CALL(start_loading) { return set_state(&self->b, RESUMING); }

CALL(prepare)
{
	uint64_t offset;

	return reg_read(&self->a, V1(data_offset), &offset);
}

STEP(touch_and_begin)
{
	char page[PAGE] = { 1 };

	dev_write(&self->a, self->a.bar2.offset + 3 * PAGE, page, PAGE);
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
	for (at = 0; at < chunk.len; at += sizeof(struct tern_record) + record_at(&chunk, at)->length) {
		const struct tern_memory_head *head = (const void *)(record_at(&chunk, at) + 1);

		if (record_at(&chunk, at)->type != TERN_RECORD_MEMORY)
			continue;
		dev_read(&self->a, self->a.bar2.offset + head->offset, page, PAGE);
		if (memcmp(page, head + 1, PAGE))
			return false;
		pages++;
	}
	/* 3 and 7, and those of the trapped writes before. */
	return pages == 4;
}

CALL(load)
{
	return load_all(&self->b, &self->s, 100000);
}

CALL(trapped_write)
{
	char page[2 * PAGE] = { 1 };
	ssize_t ret = dev_write(&self->a, self->a.bar2.offset + 100 * PAGE, page, sizeof(page));

	/* Part of a write is a write, as everywhere. */
	return ret < 0 ? ret : 0;
}

CALL(trapped_read)
{
	char page[2 * PAGE];
	ssize_t ret = dev_read(&self->a, self->a.bar2.offset + 100 * PAGE, page, sizeof(page));

	return ret < 0 ? ret : 0;
}

/* As many bytes as need no allocation. */
CALL(small_read)
{
	char bytes[64];
	ssize_t ret = dev_read(&self->a, region_base(VFIO_PCI_CONFIG_REGION_INDEX), bytes,
			       sizeof(bytes));

	return ret < 0 ? ret : 0;
}

CALL(map_memory)
{
	self->map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->a.fd,
			 self->a.bar2.offset);
	return self->map == MAP_FAILED ? -errno : 0;
}

STEP(unmap_memory) { munmap(self->map, PAGE); }

CALL(ask_region)
{
	char info[256];

	return region_info(&self->a, VFIO_PCI_NUM_REGIONS, (void *)info, sizeof(info));
}

STEP(stop) { set_state(&self->a, STOP); }
STEP(save) { set_state(&self->a, SAVING); }
STEP(resume_and_load_b) { resume_b(self); load(self); }
CALL(go_on) { return set_state(&self->a, RUNNING); }
CALL(halt) { return set_state(&self->a, STOP); }
CALL(go_on_there) { return set_state(&self->b, RUNNING); }
CALL(trigger) { return set_trigger(&self->a, VFIO_PCI_MSIX_IRQ_INDEX, 3, self->eventfd); }
CALL(reset) { return ioctl(self->a.fd, VFIO_DEVICE_RESET) ? -errno : 0; }
CALL(attribute) { return attr_set(UUID_A, "precopy", "1"); }
STEP(close_a) { dev_close(&self->a); }
STEP(open_a) { dev_open(&self->a, UUID_A); }

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

CALL(to_precopy) { return open_state(&self->a, S_PRE_COPY, &self->save); }
CALL(to_stop_copy) { return open_state(&self->a, S_STOP_COPY, &self->save); }
CALL(to_resuming) { return open_state(&self->b, S_RESUMING, &self->load); }
CALL(to_p2p) { return go(&self->a, S_RUNNING_P2P); }
CALL(to_stop) { return go(&self->a, S_STOP); }
CALL(to_running) { return go(&self->a, S_RUNNING); }
CALL(to_running_b) { return go(&self->b, S_RUNNING); }
STEP(precopy) { run_v2(self); to_precopy(self); }
STEP(stop_copy) { run_v2(self); to_stop_copy(self); }
STEP(p2p) { run_v2(self); to_p2p(self); }
STEP(stop_v2) { run_v2(self); to_stop(self); }
STEP(stop_v2_b) { run_v2_b(self); go(&self->b, S_STOP); }

STEP(loaded_v2)
{
	run_v2_b(self);
	to_resuming(self);
	write_all(self->load, &self->s, 100000);
}

STEP(resuming) { run_v2_b(self); to_resuming(self); }

CALL(read_chunk)
{
	struct stream s = { 0 };
	ssize_t n = read_some(self->save, &s, MIB);

	free(s.buf);
	/* Part of it, up to the place where the copy failed, is a read. */
	return n < 0 ? n : 0;
}

CALL(load_v2) { return write_all(self->load, &self->s, self->s.len); }

CALL(ask_precopy)
{
	uint64_t initial, dirty;

	return precopy_info(self->save, &initial, &dirty);
}

CALL(ask_size) { return stop_copy_length(&self->a) == ~0ULL ? -EFAULT : 0; }

CALL(start_log)
{
	struct vfio_device_feature_dma_logging_range range = { .length = MIB };
	struct vfio_device_feature_dma_logging_control control = {
		.page_size = PAGE, .num_ranges = 1, .ranges = (uintptr_t)&range,
	};

	return feature(&self->a, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
		       &control, sizeof(control));
}

/* Reported as started, so it was: there is only one. */
static bool log_runs(FIXTURE_DATA(fault) *self) { return start_log(self) == -EBUSY; }

STEP(stop_log)
{
	feature(&self->a, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, "", 0);
}

static const struct call calls[] = {
	{ .name = "open", .before = close_b, .call = open_b, .after = map_b },
	{ .name = "region info", .before = nothing, .call = ask_region, .after = nothing },
	{ .name = "set irqs", .before = nothing, .call = trigger, .after = nothing },
	{ .name = "mmap", .before = nothing, .call = map_memory, .after = unmap_memory },
	{ .name = "trapped write", .before = nothing, .call = trapped_write, .after = nothing },
	{ .name = "trapped read", .before = nothing, .call = trapped_read, .after = nothing },
	{ .name = "small read", .before = nothing, .call = small_read, .after = nothing,
	  .never = true },
	{ .name = "001 -> 011", .before = run, .call = start_saving, .after = run },
	{ .name = "001 -> 010", .before = run, .call = save_stopped, .after = run },
	{ .name = "000 -> 010", .before = stop, .call = save_stopped, .after = run },
	{ .name = "001 -> 000", .before = run, .call = halt, .after = run, .never = true },
	{ .name = "000 -> 001", .before = stop, .call = go_on, .after = run, .never = true },
	{ .name = "010 -> 001", .before = save, .call = go_on, .after = run, .never = true },
	{ .name = "010 -> 000", .before = save, .call = halt, .after = run, .never = true },
	{ .name = "011 -> 010", .before = begin, .call = save_stopped, .after = run, .never = true },
	{ .name = "011 -> 001", .before = begin, .call = go_on, .after = run, .never = true },
	{ .name = "100 -> 001, whole", .before = resume_and_load_b, .call = go_on_there,
	  .after = stop_b, .never = true },
	{ .name = "prepare a chunk", .before = touch_and_begin, .call = prepare, .after = run,
	  .right = chunk_is_whole },
	{ .name = "001 -> 100", .before = stop_b, .call = start_loading, .after = stop_b },
	{ .name = "load", .before = resume_b, .call = load, .after = stop_b, .final = true },
	{ .name = "reset", .before = nothing, .call = reset, .after = nothing, .never = true },
	{ .name = "RUNNING -> PRE_COPY", .before = run_v2, .call = to_precopy, .after = run_v2,
	  .leaves = true },
	{ .name = "STOP -> STOP_COPY", .before = stop_v2, .call = to_stop_copy, .after = run_v2,
	  .leaves = true },
	{ .name = "STOP -> RESUMING", .before = stop_v2_b, .call = to_resuming,
	  .after = run_v2_b, .leaves = true },
	{ .name = "RUNNING -> RUNNING_P2P", .before = run_v2, .call = to_p2p, .after = run_v2,
	  .never = true, .leaves = true },
	{ .name = "RUNNING_P2P -> STOP", .before = p2p, .call = to_stop, .after = run_v2,
	  .never = true, .leaves = true },
	{ .name = "STOP -> RUNNING", .before = stop_v2, .call = to_running, .after = run_v2,
	  .never = true, .leaves = true },
	{ .name = "PRE_COPY -> STOP_COPY", .before = precopy, .call = to_stop_copy,
	  .after = run_v2, .never = true, .leaves = true },
	{ .name = "PRE_COPY -> RUNNING", .before = precopy, .call = to_running,
	  .after = run_v2, .never = true, .leaves = true },
	{ .name = "STOP_COPY -> RUNNING", .before = stop_copy, .call = to_running,
	  .after = run_v2, .never = true, .leaves = true },
	{ .name = "RESUMING -> RUNNING, whole", .before = loaded_v2, .call = to_running_b,
	  .after = run_v2_b, .never = true, .leaves = true },
	{ .name = "read", .before = precopy, .call = read_chunk, .after = run_v2 },
	{ .name = "write", .before = resuming, .call = load_v2, .after = run_v2_b,
	  .final = true },
	{ .name = "precopy info", .before = precopy, .call = ask_precopy, .after = run_v2 },
	{ .name = "data size", .before = run_v2, .call = ask_size, .after = run_v2 },
	{ .name = "start the DMA log", .before = nothing, .call = start_log, .after = stop_log,
	  .right = log_runs },
	{ .name = "attribute", .before = close_a, .call = attribute, .after = open_a },
};

FIXTURE_SETUP(fault)
{
	/* The last one is iommufd's own; it comes with iova_bitmap. */
	static const char * const injectors[] = {
		"failslab", "fail_page_alloc", "fail_usercopy", "fail_iommufd",
	};
	char path[128], page[PAGE] = { 1 };
	int i;

	if (!have_tern())
		SKIP(return, "module tern is not loaded");
	if (access(FAIL_NTH, W_OK) || access(DEBUG "failslab", F_OK))
		SKIP(return, "the kernel has no fail-nth");
	for (i = 0; i < ARRAY_SIZE(injectors); i++) {
		snprintf(path, sizeof(path), DEBUG "%s/verbose", injectors[i]);
		if (i < 3 || !access(path, W_OK))
			ASSERT_EQ(write_file(path, "0"), 0);
	}
	/* Allocations that may sleep fail, too, and those of one page. */
	ASSERT_EQ(write_file(DEBUG "failslab/ignore-gfp-wait", "N"), 0);
	ASSERT_EQ(write_file(DEBUG "fail_page_alloc/ignore-gfp-wait", "N"), 0);
	ASSERT_EQ(write_file(DEBUG "fail_page_alloc/min-order", "0"), 0);
	ASSERT_EQ(mdev_create(UUID_A), 0);
	ASSERT_EQ(mdev_create(UUID_B), 0);
	ASSERT_EQ(attr_set(UUID_A, "memory_mib", "1"), 0);
	ASSERT_EQ(attr_set(UUID_B, "memory_mib", "1"), 0);
	/* A window has so many pages to fail at. */
	ASSERT_EQ(attr_set(UUID_B, "window_kib", "128"), 0);
	ASSERT_EQ(dev_open(&self->a, UUID_A), 0);
	ASSERT_EQ(dev_open(&self->b, UUID_B), 0);
	ASSERT_EQ(dev_map_window(&self->a), 0);
	ASSERT_EQ(dev_map_window(&self->b), 0);
	self->eventfd = eventfd(0, EFD_NONBLOCK);
	self->save = self->load = -1;
	ASSERT_EQ(dev_write(&self->a, self->a.bar2.offset + 7 * PAGE, page, PAGE), PAGE);
	ASSERT_EQ(set_state(&self->a, SAVING), 0);
	ASSERT_EQ(save_all(&self->a, &self->s), 0);
	ASSERT_EQ(set_state(&self->a, RUNNING), 0);
}

FIXTURE_TEARDOWN(fault)
{
	dev_close(&self->a);
	dev_close(&self->b);
	EXPECT_EQ(mdev_remove(UUID_A), 0);
	EXPECT_EQ(mdev_remove(UUID_B), 0);
	close(self->eventfd);
	free(self->s.buf);
}

/* Where the two are, in one number, by v2's word. */
static int places(FIXTURE_DATA(fault) *self)
{
	return where(&self->a) * STATES + where(&self->b);
}

/* Make the n-th chance of the thread's to fail one that fails. */
static void arm(int fd, int nth)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", nth);

	/* The write itself may be the chance; it is not a second time. */
	if (pwrite(fd, text, n, 0) != n && pwrite(fd, text, n, 0) != n)
		abort();
}

/* What is left of it: 0 if it failed. The question may be what failed, too. */
static int disarm(int fd)
{
	char text[16] = "";
	int left = pread(fd, text, sizeof(text) - 1, 0) > 0 ? atoi(text) : 1;

	arm(fd, 0);
	return left;
}

/*
 * V1-30 V2-7 P-18: and what must not fail does not. There the copies of the few bytes
 * from and to user space may, before and after the device hears of it; and nothing
 * else.
 */
TEST_F_TIMEOUT(fault, V1_30_V2_7_each_chance_to_fail, 200)
{
	const int fd = open(FAIL_NTH, O_RDWR);
	unsigned int i, nth;

	ASSERT_GE(fd, 0);
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		const struct call *c = &calls[i];
		unsigned int injected = 0, refused = 0;
		uint64_t bytes;

		for (nth = 1; nth < NTH_MAX; nth++) {
			int ret, again, left, state_a, state_b, place, left_at;

			c->before(self);
			state_a = get_state(&self->a);
			state_b = get_state(&self->b);
			place = places(self);
			/* By sysfs, which acknowledges nothing. */
			bytes = attr_sum(UUID_A, "pending_bytes");
			arm(fd, nth);
			ret = c->call(self);
			left = disarm(fd);
			if (left) {
				EXPECT_EQ(ret, 0)
					TH_LOG("%s: %d, and nothing was made to fail", c->name, ret);
				c->after(self);
				break;
			}
			injected++;
			if (ret) {
				refused++;
				/* shmem's word for no inode; iommufd's for what it made fail. */
				EXPECT_TRUE(ret == -ENOMEM || ret == -EFAULT ||
					    (c->call == open_b && (ret == -ENOSPC || ret == -ENOENT)))
					TH_LOG("%s, %u: %d", c->name, nth, ret);
				if (c->never)
					EXPECT_EQ(ret, -EFAULT)
						TH_LOG("%s, %u: %d", c->name, nth, ret);
				if (!c->leaves) {
					EXPECT_EQ(attr_sum(UUID_A, "pending_bytes"), bytes)
						TH_LOG("%s, %u", c->name, nth);
					EXPECT_EQ(get_state(&self->a), state_a);
					if (c->call != open_b)
						EXPECT_EQ(get_state(&self->b), state_b);
				}
				/* Again, and nothing fails; but a load that failed is over. */
				left_at = places(self);
				again = c->call(self);
				if (c->leaves)
					EXPECT_TRUE(left_at == place ||
						    (ret == -EFAULT && left_at == places(self)))
						TH_LOG("%s, %u: another state", c->name, nth);
				EXPECT_TRUE(!again || (c->final && again == ret))
					TH_LOG("%s, %u: %d, again %d", c->name, nth, ret, again);
			}
			if (c->right)
				EXPECT_TRUE(c->right(self))
					TH_LOG("%s, %u: something is missing", c->name, nth);
			c->after(self);
		}
		EXPECT_LT(nth, NTH_MAX);
		EXPECT_TRUE(c->never ? refused <= (c->leaves ? 3 : 1) : injected > 0);
		TH_LOG("%s: %u made to fail, %u refused", c->name, injected, refused);
	}
	close(fd);
}

TEST_HARNESS_MAIN
