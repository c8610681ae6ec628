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
#include "tern.h"
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
};

struct call {
	const char *name;
	/* Bring the device to where the call is made; faults do not reach here. */
	void (*before)(FIXTURE_DATA(fault) *self);
	/* 0, or -errno. */
	int (*call)(FIXTURE_DATA(fault) *self);
	/* Take back what the call did. */
	void (*after)(FIXTURE_DATA(fault) *self);
	/* A load that failed half-way is over: its next error is the same. */
	bool final;
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

CALL(trigger) { return set_trigger(&self->a, VFIO_PCI_MSIX_IRQ_INDEX, 3, self->eventfd); }
CALL(reset) { return ioctl(self->a.fd, VFIO_DEVICE_RESET) ? -errno : 0; }
CALL(attribute) { return attr_set(UUID_A, "precopy", "1"); }
STEP(close_a) { dev_close(&self->a); }
STEP(open_a) { dev_open(&self->a, UUID_A); }

static const struct call calls[] = {
	{ "open", close_b, open_b, map_b },
	{ "region info", nothing, ask_region, nothing },
	{ "set irqs", nothing, trigger, nothing },
	{ "mmap", nothing, map_memory, unmap_memory },
	{ "trapped write", nothing, trapped_write, nothing },
	{ "trapped read", nothing, trapped_read, nothing },
	{ "running -> saving", run, start_saving, run },
	{ "running -> stopped and saving", run, save_stopped, run },
	{ "prepare a chunk", touch_and_begin, prepare, run },
	{ "resuming", stop_b, start_loading, stop_b },
	{ "load", resume_b, load, stop_b, .final = true },
	{ "reset", nothing, reset, nothing },
	{ "attribute", close_a, attribute, open_a },
};

FIXTURE_SETUP(fault)
{
	static const char * const injectors[] = { "failslab", "fail_page_alloc", "fail_usercopy" };
	char path[128], page[PAGE] = { 1 };
	int i;

	if (!have_tern())
		SKIP(return, "module tern is not loaded");
	if (access(FAIL_NTH, W_OK) || access(DEBUG "failslab", F_OK))
		SKIP(return, "the kernel has no fail-nth");
	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), DEBUG "%s/verbose", injectors[i]);
		ASSERT_EQ(write_file(path, "0"), 0);
		/* Allocations that may sleep fail, too. */
		snprintf(path, sizeof(path), DEBUG "%s/ignore-gfp-wait", injectors[i]);
		write_file(path, "N");
	}
	write_file(DEBUG "fail_page_alloc/min-order", "0");
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

TEST_F_TIMEOUT(fault, each_chance_to_fail, 120)
{
	const int fd = open(FAIL_NTH, O_RDWR);
	unsigned int i, nth;

	ASSERT_GE(fd, 0);
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		const struct call *c = &calls[i];
		unsigned int injected = 0, refused = 0;

		for (nth = 1; nth < NTH_MAX; nth++) {
			int ret, again, left, state_a, state_b;

			c->before(self);
			state_a = get_state(&self->a);
			state_b = get_state(&self->b);
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
				/* shmem says so when it cannot have an inode. */
				EXPECT_TRUE(ret == -ENOMEM || ret == -EFAULT ||
					    (c->call == open_b && ret == -ENOSPC))
					TH_LOG("%s, %u: %d", c->name, nth, ret);
				EXPECT_EQ(get_state(&self->a), state_a);
				if (c->call != open_b)
					EXPECT_EQ(get_state(&self->b), state_b);
				/* Again, and nothing fails; but a load that failed is over. */
				again = c->call(self);
				EXPECT_TRUE(!again || (c->final && again == ret))
					TH_LOG("%s, %u: %d, again %d", c->name, nth, ret, again);
			}
			c->after(self);
		}
		EXPECT_LT(nth, NTH_MAX);
		TH_LOG("%s: %u made to fail, %u refused", c->name, injected, refused);
	}
	close(fd);
}

TEST_HARNESS_MAIN
