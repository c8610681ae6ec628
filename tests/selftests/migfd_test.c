// SPDX-License-Identifier: GPL-2.0-only
/*
 * v2 as Tern has it: its own bytes, sizes and errnos. What uapi/linux/vfio.h asks of any
 * device is in v2_test, what holds for v1 as well in migration_test.
 */
#include "fsm.h"
#include "fixture.h"
#include "kselftest_harness.h"

#include <limits.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <linux/io_uring.h>

#define MEMORY		(4 * MIB)
#define PAGES		(MEMORY / PAGE)

FIXTURE(migfd) {
	struct dev a, b;
	uint32_t *mem;		/* BAR2 of a, mapped */
	volatile struct tern_status_page *page;	/* a's */
	struct stream s;
};

FIXTURE_SETUP(migfd)
{
	NEEDS_TERN();
	ASSERT_EQ(pair_on(&self->a, &self->b,
			  (struct setting){ .memory_mib = 4, .map_memory = true, .by = &v2_file }), 0);
	self->mem = self->a.mem;
	self->page = dev_map(&self->a, self->a.mig.offset + TERN_REGION_STATUS, PAGE);
	ASSERT_NE(self->page, NULL);
}

/* The mappings would keep the device open. */
static void close_source(FIXTURE_DATA(migfd) *self)
{
	munmap((void *)self->page, PAGE);
	dev_close(&self->a);
}

FIXTURE_TEARDOWN(migfd)
{
	close_source(self);
	EXPECT_EQ(pair_off(&self->a, &self->b, &self->s), 0);
}

/* Can this device be saved at all on this kernel (V2-14)? */
static bool on_iommufd(struct dev *d)
{
	uint32_t none[4] = { 0 };

	/* iommufd's container has no log of its own, and says so. */
	return ioctl(d->container, VFIO_IOMMU_DIRTY_PAGES, none) && errno == ENOTTY;
}

static bool can_log(struct dev *d)
{
	return !probe_feature(d, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START);
}

/*
 * V2-1 V2-2 P-24: what is offered, on every kernel; and to the uapi's other features the
 * one errno that a VMM takes for "not there".
 */
TEST_F(migfd, V2_1_V2_2_P24_offered_features)
{
	static const uint32_t others[] = { 3, 4, 5, 10, 11, 13 };
	uint8_t payload[64] = { 0 };
	unsigned int i;

	EXPECT_EQ(migration_flags(&self->a),
		  VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P | VFIO_MIGRATION_PRE_COPY);
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		EXPECT_EQ(probe_feature(&self->a, VFIO_DEVICE_FEATURE_GET | others[i]),
			  -ENOTTY)
			TH_LOG("probe %u", others[i]);
		EXPECT_EQ(probe_feature(&self->a, VFIO_DEVICE_FEATURE_SET | others[i]), -ENOTTY);
		EXPECT_EQ(feature(&self->a, VFIO_DEVICE_FEATURE_GET | others[i], payload, 64),
			  -ENOTTY);
		EXPECT_EQ(feature(&self->a, VFIO_DEVICE_FEATURE_SET | others[i], payload, 0),
			  -ENOTTY);
	}
}

/*
 * All pairs of states: the way is the one of the rules, step by step, and a file
 * whose session it ends is stale. Where it leads is v2_test's.
 */
TEST_F(migfd, V2_2_V2_3_each_path_is_the_shortest)
{
	const uint64_t flags = migration_flags(&self->a);
	uint32_t from, to, way[STATES];
	int fd = -1;

	touch(self->mem, 3, 3);
	ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
	for (from = 1; from < STATES; from++)
		for (to = 1; to < STATES; to++) {
			bool stays = from == to || (in_saving_group(from) && in_saving_group(to));
			uint32_t sequence;
			int n, new_fd;

			ASSERT_EQ(walk_to(&self->a, from, &fd), 0);
			if (from == S_RESUMING)
				ASSERT_EQ(write_all(fd, &self->s, 10000), 0);
			n = find_way(flags, from, to, way);
			sequence = self->page->sequence;
			go_open(&self->a, to, &new_fd);
			EXPECT_EQ(self->page->state, bits_of(n < 0 ? from : to));
			EXPECT_EQ(self->page->sequence - sequence, n < 0 ? 0 : 2 * n)
				TH_LOG("%u -> %u: another way", from, to);
			if (fd >= 0) {
				EXPECT_EQ(is_stale(fd, from), n >= 0 && !stays)
					TH_LOG("%u -> %u: the file", from, to);
				close(fd);
			}
			if (new_fd >= 0)
				close(new_fd);
		}
}

/* S-8: what has no pre-copy does not offer it, and takes no way over it. */
TEST_F(migfd, S8_precopy_0_offers_no_precopy)
{
	const uint64_t flags = VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P;
	uint32_t from, to, way[STATES];
	int fd, new_fd;

	close_source(self);
	ASSERT_EQ(attr_set(UUID_A, "precopy", "0"), 0);
	ASSERT_EQ(device_again(&self->a, (struct setting){ 0 }), 0);
	EXPECT_EQ(migration_flags(&self->a), flags);
	for (from = 1; from < S_PRE_COPY; from++)
		for (to = 1; to < STATES; to++) {
			if (from == S_RESUMING)
				continue;
			ASSERT_EQ(walk_to(&self->a, from, &fd), 0);
			EXPECT_EQ(go_open(&self->a, to, &new_fd),
				  find_way(flags, from, to, way) < 0 ? -EINVAL : 0);
			if (fd >= 0)
				close(fd);
			if (new_fd >= 0)
				close(new_fd);
		}
}

/*
 * S-3: stopped in the middle of a chunk, at any byte: the file continues at the
 * next, and gives nothing twice.
 */
TEST_F(migfd, S3_stop_at_any_byte_keeps_the_stream)
{
	/* In the first chunk, where the second one is about to begin, and in that. */
	static const size_t at[] = { 0, 1, 23, 24, 71, 72, 73, 4095, 100000, 1 << 20, 3 << 19 };
	unsigned int i, k;
	int fd;

	for (i = 0; i < PAGES / 2; i++)
		touch(self->mem, i, i + 1);
	for (k = 0; k < ARRAY_SIZE(at); k++) {
		struct account account;

		self->s.len = 0;
		ASSERT_EQ(go_open(&self->a, S_PRE_COPY, &fd), 0);
		while (self->s.len < at[k])
			ASSERT_GT(read_some(fd, &self->s, at[k] - self->s.len), 0);
		touch(self->mem, 0, 1000 + k);
		touch(self->mem, PAGES - 1, 2000 + k);
		ASSERT_EQ(go(&self->a, S_STOP_COPY), 0);
		ASSERT_EQ(read_all(fd, &self->s, 2 * MIB), 0);
		EXPECT_EQ(attr_sum(UUID_A, "pass_bytes") + attr_sum(UUID_A, "stopped_bytes"),
			  self->s.len);
		close(fd);
		account = read_account(self->s.buf, self->s.len);
		EXPECT_EQ(account.wrong, NULL)
			TH_LOG("stopped at %zu: %s at %zu", at[k], account.wrong, account.at);
		EXPECT_EQ(account.repeats, 0);
		EXPECT_TRUE(account.whole);
		ASSERT_EQ(load_and_go(&self->b, &self->s, 77777, S_RUNNING), 0);
		EXPECT_TRUE(same_memory(&self->a, &self->b));
		ASSERT_EQ(go(&self->a, S_RUNNING), 0);
	}
}

/*
 * V2-3 P-16: a file whose session is over is stale, whatever ended it, and it
 * stays so when another session begins.
 */
TEST_F(migfd, V2_3_P16_ended_session_makes_its_file_stale)
{
	static const uint32_t opened[] = { S_PRE_COPY, S_PRE_COPY_P2P, S_STOP_COPY, S_RESUMING };
	uint64_t initial, dirty;
	int fd, other;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		touch(self->mem, 0, i);
		ASSERT_EQ(walk_to(&self->a, opened[i], &fd), 0);
		EXPECT_FALSE(is_stale(fd, opened[i]));
		ASSERT_EQ(walk_to(&self->a, opened[i], &other), 0);
		EXPECT_TRUE(is_stale(fd, opened[i]));
		if (opened[i] != S_RESUMING) {
			EXPECT_EQ(precopy_info(fd, &initial, &dirty), -ENODEV);
			EXPECT_EQ(poll_now(fd), POLLIN | POLLRDHUP);
		}
		EXPECT_FALSE(is_stale(other, opened[i]));
		close(fd);
		EXPECT_FALSE(is_stale(other, opened[i]));
		close(other);
	}
}

/* Of the module, by all descriptors of it that are open. */
static int references(void)
{
	char text[16];

	return read_file("/sys/module/tern/refcnt", text, sizeof(text)) < 0 ? -1 : atoi(text);
}

/* V2-3 P-36: the device was removed; the module stays with the files. */
TEST_F(migfd, V2_3_P36_files_keep_the_module)
{
	int save, load;

	ASSERT_EQ(go_open(&self->a, S_PRE_COPY, &save), 0);
	ASSERT_EQ(go_open(&self->b, S_RESUMING, &load), 0);
	close_source(self);
	ASSERT_EQ(device_off(&self->a), 0);
	ASSERT_EQ(device_off(&self->b), 0);
	ASSERT_EQ(references(), 2);
	EXPECT_EQ(syscall(SYS_delete_module, "tern", O_NONBLOCK) ? errno : 0, EAGAIN);
	close(save);
	ASSERT_EQ(references(), 1);
	EXPECT_EQ(syscall(SYS_delete_module, "tern", O_NONBLOCK) ? errno : 0, EAGAIN);
	close(load);
	EXPECT_EQ(references(), 0);
	EXPECT_EQ(mdev_create(UUID_A), 0);
	EXPECT_EQ(mdev_create(UUID_B), 0);
}

/* V2-4 P-15: nothing that the last opener stored is left. That it runs is v2_test's. */
TEST_F(migfd, V2_4_P15_open_finds_no_stores)
{
	uint64_t fresh = stop_copy_length(&self->b);
	uint32_t state;
	int fd;

	for (state = 1; state < STATES; state++) {
		ASSERT_EQ(go_open(&self->b, state, &fd), 0);
		bar0_write(&self->b, TERN_REG_SCRATCH(0), 1);
		dev_write(&self->b, self->b.bar2.offset, "x", 1);
		dev_close(&self->b);
		ASSERT_EQ(dev_open(&self->b, UUID_B), 0);
		EXPECT_EQ(stop_copy_length(&self->b), fresh);
		if (fd >= 0) {
			EXPECT_TRUE(is_stale(fd, state));
			close(fd);
		}
	}
}

/* V2-5 P-17: to close a file that is read in part leaves the size of what is left. */
TEST_F(migfd, V2_5_P17_close_leaves_the_size)
{
	static const uint32_t opened[] = { S_PRE_COPY, S_PRE_COPY_P2P, S_STOP_COPY };
	uint64_t size;
	unsigned int i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(opened); i++) {
		ASSERT_EQ(walk_to(&self->a, opened[i], &fd), 0);
		ASSERT_EQ(read_some(fd, &self->s, 50), 50);
		size = stop_copy_length(&self->a);
		close(fd);
		EXPECT_EQ(stop_copy_length(&self->a), size);
		EXPECT_EQ(where(&self->a), opened[i]);
	}
}

/* A big fill, which takes many pieces. */
static void start_fill(struct dev *d, uint32_t pattern)
{
	bar0_write(d, TERN_DMA_PATTERN, pattern);
	dma_start(d, TERN_DMA_OP_FILL, 0, 0, MEMORY);
}

/*
 * V2-6: quiesced, a device is what it is when it runs, but that it moves nothing:
 * a transfer that was under way stands where a piece ended, one that is begun
 * waits, and both go on when it runs again.
 */
TEST_F(migfd, V2_6_quiesced_device_runs_without_dma)
{
	static const uint32_t states[] = { S_RUNNING_P2P, S_PRE_COPY_P2P };
	int irq = eventfd(0, EFD_NONBLOCK), fd;
	uint64_t done;
	unsigned int i, k;

	ASSERT_EQ(set_trigger(&self->a, VFIO_PCI_MSIX_IRQ_INDEX, 2, irq), 0);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(walk_to(&self->a, S_RUNNING, &fd), 0);
		ASSERT_EQ(set_command(&self->a, MASTER), 0);
		start_fill(&self->a, 0x11111111);
		ASSERT_EQ(go_open(&self->a, states[i], &fd), 0);
		done = bar0_read64(&self->a, TERN_DMA_DONE_LOW);
		EXPECT_EQ(done % 65536, 0);
		/* It had MEMORY / 64 KiB of them to go; and nothing moves now. */
		for (k = 0; k < 1000; k++)
			ASSERT_EQ(bar0_read64(&self->a, TERN_DMA_DONE_LOW), done);
		EXPECT_EQ(self->mem[done / 4 % (MEMORY / 4)], done == MEMORY ? 0x11111111 : 0);
		/* Registers, memory and interrupts are as ever. */
		bar0_write(&self->a, TERN_REG_DOORBELL, 2);
		EXPECT_EQ(signals(irq), 1);
		bar0_write(&self->a, TERN_REG_SCRATCH(0), i + 5);
		EXPECT_EQ(bar0_read(&self->a, TERN_REG_SCRATCH(0)), i + 5);
		ASSERT_EQ(go(&self->a, i ? S_PRE_COPY : S_RUNNING), 0);
		EXPECT_EQ(dma_wait(&self->a), TERN_DMA_DONE);
		EXPECT_EQ(self->mem[MEMORY / 4 - 1], 0x11111111);
		/* Begun while it is quiesced. */
		ASSERT_EQ(go(&self->a, states[i]), 0);
		start_fill(&self->a, 0x22222222);
		for (k = 0; k < 1000; k++)
			ASSERT_EQ(bar0_read(&self->a, TERN_DMA_STATUS), TERN_DMA_BUSY);
		EXPECT_EQ(self->mem[0], 0x11111111);
		ASSERT_EQ(go(&self->a, i ? S_PRE_COPY : S_RUNNING), 0);
		EXPECT_EQ(dma_wait(&self->a), TERN_DMA_DONE);
		EXPECT_EQ(self->mem[0], 0x22222222);
		if (fd >= 0)
			close(fd);
	}
	/* From a stop, too: what waited is delivered, and the transfer still waits. */
	ASSERT_EQ(walk_to(&self->a, S_STOP, &fd), 0);
	ASSERT_EQ(set_command(&self->a, MASTER), 0);
	bar0_write(&self->a, TERN_REG_DOORBELL, 2);
	start_fill(&self->a, 0x33333333);
	EXPECT_EQ(signals(irq), 0);
	ASSERT_EQ(go(&self->a, S_RUNNING_P2P), 0);
	EXPECT_EQ(signals(irq), 1);
	for (k = 0; k < 1000; k++)
		ASSERT_EQ(bar0_read(&self->a, TERN_DMA_STATUS), TERN_DMA_BUSY);
	ASSERT_EQ(go(&self->a, S_RUNNING), 0);
	EXPECT_EQ(dma_wait(&self->a), TERN_DMA_DONE);
	EXPECT_EQ(signals(irq), 0);
	close(irq);
}

/* V2-15: by an attribute, with a session in pre-copy, and only there. */
TEST_F(migfd, V2_15_reinit_needs_a_session_in_precopy)
{
	static const uint32_t states[] = { S_RUNNING, S_RUNNING_P2P, S_STOP, S_STOP_COPY, S_RESUMING };
	unsigned int i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(states); i++) {
		ASSERT_EQ(walk_to(&self->a, states[i], &fd), 0);
		EXPECT_EQ(attr_set(UUID_A, "reinit", "1"), -EINVAL)
			TH_LOG("state %u", states[i]);
		close(fd);
	}
	ASSERT_EQ(walk_to(&self->a, S_PRE_COPY, &fd), 0);
	EXPECT_EQ(attr_set(UUID_A, "reinit", "0"), -EINVAL);
	EXPECT_EQ(attr_set(UUID_A, "reinit", "2"), -EINVAL);
	EXPECT_EQ(attr_set(UUID_A, "reinit", "4294967297"), -ERANGE);
	EXPECT_EQ(attr_set(UUID_A, "reinit", "1"), 0);
	ASSERT_EQ(go(&self->a, S_PRE_COPY_P2P), 0);
	EXPECT_EQ(attr_set(UUID_A, "reinit", "1"), 0);
	close(fd);
	dev_close(&self->b);
	EXPECT_EQ(attr_set(UUID_B, "reinit", "1"), -EINVAL);
}

/*
 * V2-15: a user that did not ask for the flags finds them as they were, and all memory
 * dirty. One that did, where the kernel has that, gets the flag once.
 */
TEST_F(migfd, V2_15_reinit_sends_all_memory_again)
{
	struct vfio_precopy_info info = { .argsz = sizeof(info), .flags = 0x55 };
	const uint32_t v2 = VFIO_DEVICE_FEATURE_SET | FEATURE_PRECOPY_INFO_V2;
	void *locked = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i, asked;
	int fd;

	ASSERT_NE(locked, MAP_FAILED);
	memcpy(locked, &info, sizeof(info));
	ASSERT_EQ(mprotect(locked, PAGE, PROT_READ), 0);

	for (i = 0; i < 40; i++)
		touch(self->mem, i, i + 1);
	for (asked = 0; asked < 2; asked++) {
		if (asked && feature(&self->a, v2, "", 0)) {
			TH_LOG("this kernel has no MIG_PRECOPY_INFOv2");
			break;
		}
		ASSERT_EQ(go_open(&self->a, S_PRE_COPY, &fd), 0);
		ASSERT_EQ(read_all(fd, &self->s, MIB), -ENOMSG);
		touch(self->mem, 3, 33);
		ASSERT_EQ(attr_set(UUID_A, "reinit", "1"), 0);
		/* An answer that does not arrive does not take the flag away. */
		EXPECT_EQ(ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, locked) ? errno : 0, EFAULT);
		info.flags = 0x55;
		ASSERT_EQ(ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, &info), 0);
		EXPECT_EQ(info.flags, asked ? PRECOPY_INFO_REINIT : 0x55);
		EXPECT_EQ(info.initial_bytes, asked ? 40 * MEMORY_RECORD : 0);
		EXPECT_EQ(info.dirty_bytes, asked ? 0 : 40 * MEMORY_RECORD);
		info.flags = 0x55;
		ASSERT_EQ(ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, &info), 0);
		EXPECT_EQ(info.flags, asked ? 0 : 0x55);
		EXPECT_EQ(info.initial_bytes, asked ? 40 * MEMORY_RECORD : 0);
		ASSERT_EQ(read_all(fd, &self->s, MIB), -ENOMSG);
		ASSERT_EQ(ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, &info), 0);
		EXPECT_EQ(info.initial_bytes + info.dirty_bytes, 0);
		ASSERT_EQ(go(&self->a, S_STOP_COPY), 0);
		ASSERT_EQ(read_all(fd, &self->s, MIB), 0);
		close(fd);
		ASSERT_EQ(go(&self->a, S_STOP), 0);
		ASSERT_EQ(load_and_go(&self->b, &self->s, MIB, S_RUNNING), 0);
		EXPECT_TRUE(same_memory(&self->a, &self->b));
		ASSERT_EQ(go(&self->a, S_RUNNING), 0);
		self->s.len = 0;
	}
	munmap(locked, PAGE);
}

/* V2-15: the feature holds until the last close, and needs pre-copy. */
TEST_F(migfd, V2_15_flags_are_an_output_until_the_close)
{
	const uint32_t v2 = VFIO_DEVICE_FEATURE_SET | FEATURE_PRECOPY_INFO_V2;
	int missing = feature(&self->b, v2, "", 0);

	EXPECT_TRUE(!missing || missing == -ENOTTY);
	EXPECT_EQ(precopy_flags(&self->b, 0x55), missing ? 0x55 : 0);
	dev_close(&self->b);
	ASSERT_EQ(dev_open(&self->b, UUID_B), 0);
	EXPECT_EQ(precopy_flags(&self->b, 0x55), 0x55);
	dev_close(&self->b);
	ASSERT_EQ(attr_set(UUID_B, "precopy", "0"), 0);
	ASSERT_EQ(dev_open(&self->b, UUID_B), 0);
	EXPECT_EQ(feature(&self->b, v2, "", 0), missing ?: -EINVAL);
}

/*
 * V2-7 P-18: a VMM goes through P2P each time it starts or stops a guest, and
 * resets a device that fails there. A transfer is in progress meanwhile.
 */
TEST_F(migfd, V2_7_P18_p2p_arcs_succeed_during_dma)
{
	unsigned int i;

	for (i = 0; i < 300; i++) {
		start_fill(&self->a, i);
		ASSERT_EQ(go(&self->a, S_RUNNING_P2P), 0);
		ASSERT_EQ(go(&self->a, S_STOP), 0);
		ASSERT_EQ(go(&self->a, S_RUNNING_P2P), 0);
		ASSERT_EQ(go(&self->a, S_RUNNING), 0);
	}
	EXPECT_EQ(dma_wait(&self->a), TERN_DMA_DONE);
}

/*
 * V2-8 V2-12 P-2 P-22: the size is what would be read if the device stopped now: it is
 * the whole before a session, falls by what is read, and is 0 when read() has returned 0.
 */
TEST_F(migfd, V2_8_V2_12_P2_P22_data_size_falls_with_each_read)
{
	const uint64_t all = BEGIN_RECORD + 300 * MEMORY_RECORD + FINAL_RECORDS;
	uint64_t initial = 0, dirty = 0, size;
	unsigned int i, pass;
	ssize_t n;
	int fd;

	EXPECT_EQ(stop_copy_length(&self->a), BEGIN_RECORD + FINAL_RECORDS);
	for (i = 0; i < 300; i++)
		touch(self->mem, i, i + 1);
	EXPECT_EQ(stop_copy_length(&self->a), all);
	ASSERT_EQ(go(&self->a, S_RUNNING_P2P), 0);
	EXPECT_EQ(stop_copy_length(&self->a), all);
	ASSERT_EQ(go(&self->a, S_STOP), 0);
	EXPECT_EQ(stop_copy_length(&self->a), all);
	ASSERT_EQ(go_open(&self->a, S_PRE_COPY, &fd), 0);
	/* The snapshot: all of it initial, and it falls. */
	for (size = all; (n = read_some(fd, &self->s, 33333)) > 0;) {
		size -= n;
		ASSERT_EQ(stop_copy_length(&self->a), size);
		ASSERT_EQ(precopy_info(fd, &initial, &dirty), 0);
		ASSERT_EQ(initial, size - FINAL_RECORDS);
		ASSERT_EQ(dirty, 0);
	}
	EXPECT_EQ(n, -ENOMSG);
	EXPECT_EQ(size, FINAL_RECORDS);
	/* What comes since is dirty, as much as it is and no more. */
	for (pass = 0; pass < 3; pass++) {
		for (i = 0; i < 20; i++)
			touch(self->mem, 5 * i, i);
		ASSERT_EQ(precopy_info(fd, &initial, &dirty), 0);
		EXPECT_EQ(initial, 0);
		EXPECT_EQ(dirty, 20 * MEMORY_RECORD);
		EXPECT_EQ(stop_copy_length(&self->a), dirty + FINAL_RECORDS);
		EXPECT_EQ(read_some(fd, &self->s, 1000), 1000);
		ASSERT_EQ(precopy_info(fd, &initial, &dirty), 0);
		EXPECT_EQ(dirty, 20 * MEMORY_RECORD - 1000);
		EXPECT_EQ(read_all(fd, &self->s, 2 * MIB), -ENOMSG);
		ASSERT_EQ(precopy_info(fd, &initial, &dirty), 0);
		EXPECT_EQ(dirty, 0);
	}
	touch(self->mem, 7, 7);
	ASSERT_EQ(go(&self->a, S_STOP_COPY), 0);
	for (size = MEMORY_RECORD + FINAL_RECORDS; size; size -= n) {
		EXPECT_EQ(stop_copy_length(&self->a), size);
		n = read_some(fd, &self->s, 999);
		ASSERT_GT(n, 0);
		ASSERT_LE(n, size);
	}
	/* All was read, but read() has not returned 0. */
	EXPECT_EQ(stop_copy_length(&self->a), 1);
	EXPECT_EQ(read_some(fd, &self->s, 999), 0);
	EXPECT_EQ(stop_copy_length(&self->a), 0);
	close(fd);
}

/* Go to pre-copy with these pages written. The file, or -errno. */
static int begin_with(FIXTURE_DATA(migfd) *self, unsigned int first, unsigned int end)
{
	int fd, ret;

	for (; first < end; first++)
		touch(self->mem, first, first);
	ret = go_open(&self->a, S_PRE_COPY, &fd);
	return ret ?: fd;
}

/* What changes before the snapshot has come to it is of the snapshot; what is new is not. */
TEST_F(migfd, P2_initial_bytes_fall_to_0)
{
	uint64_t initial = 0, dirty = 0, last = ~0ULL;
	int fd = begin_with(self, 500, 1000);
	unsigned int i;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(precopy_info(fd, &initial, &dirty), 0);
	EXPECT_EQ(initial, BEGIN_RECORD + 500 * MEMORY_RECORD);
	EXPECT_EQ(dirty, 0);
	touch(self->mem, 999, 5);
	ASSERT_EQ(precopy_info(fd, &initial, &dirty), 0);
	EXPECT_EQ(dirty, 0);
	for (i = 0; i < 10; i++)
		touch(self->mem, i, 5);
	ASSERT_EQ(precopy_info(fd, &initial, &dirty), 0);
	EXPECT_EQ(initial, BEGIN_RECORD + 500 * MEMORY_RECORD);
	EXPECT_EQ(dirty, 10 * MEMORY_RECORD);
	/* A guest that never rests: the snapshot still comes to its end. */
	for (i = 0; last; i++) {
		for (unsigned int k = 0; k < 100; k++)
			touch(self->mem, (37 * k + i) % PAGES, i);
		ASSERT_GT(read_some(fd, &self->s, 200000), 0);
		ASSERT_EQ(precopy_info(fd, &initial, &dirty), 0);
		ASSERT_LE(initial, last);
		last = initial;
		ASSERT_LT(i, 100);
	}
	/* And it does not come back. */
	for (i = 0; i < 20; i++) {
		touch(self->mem, 37 * i % PAGES, i);
		ASSERT_GT(read_some(fd, &self->s, 1000), 0);
		ASSERT_EQ(precopy_info(fd, &initial, &dirty), 0);
		ASSERT_EQ(initial, 0);
	}
	close(fd);
}

/* P-2 V2-8: new pages that lie before the snapshot are not taken for it. */
TEST_F(migfd, P2_new_pages_are_not_initial_bytes)
{
	uint64_t initial = 0, dirty = 0, last = ~0ULL;
	int fd = begin_with(self, 900, 950);
	unsigned int i;

	ASSERT_GE(fd, 0);
	for (i = 0; i < 600; i++)
		touch(self->mem, i, 5);
	do {
		ASSERT_EQ(precopy_info(fd, &initial, &dirty), 0);
		ASSERT_LE(initial, last);
		last = initial;
		if (initial)
			ASSERT_GT(read_some(fd, &self->s, 50000), 0);
	} while (initial);
	EXPECT_EQ(self->s.len, BEGIN_RECORD + 650 * MEMORY_RECORD);
	close(fd);
}

/*
 * V2-9 P-19 P-20: nothing now is ENOMSG, at once, and only in pre-copy; the end
 * is 0, as often as it is asked for, and only after the stop.
 */
TEST_F(migfd, V2_9_P19_P20_ENOMSG_in_precopy_and_0_at_the_end)
{
	unsigned int i, k;
	int fd;

	ASSERT_EQ(go_open(&self->a, S_PRE_COPY, &fd), 0);
	for (k = 0; k < 4; k++) {
		if (k == 2)
			ASSERT_EQ(go(&self->a, S_PRE_COPY_P2P), 0);
		if (k == 3)
			ASSERT_EQ(go(&self->a, S_PRE_COPY), 0);
		touch(self->mem, k, k + 1);
		ASSERT_EQ(read_all(fd, &self->s, 999), -ENOMSG);
		for (i = 0; i < 3; i++)
			EXPECT_EQ(read_some(fd, &self->s, 1), -ENOMSG);
		/* A read of no byte lacks none. */
		EXPECT_EQ(read(fd, self->s.buf, 0), 0);
	}
	ASSERT_EQ(go(&self->a, S_STOP_COPY), 0);
	ASSERT_EQ(read_all(fd, &self->s, 999), 0);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(read_some(fd, &self->s, 1), 0);
	/* A store that comes too late opens nothing again. */
	touch(self->mem, 5, 5);
	EXPECT_EQ(read_some(fd, &self->s, 1), 0);
	EXPECT_EQ(attr_sum(UUID_A, "late_marks"), 1);
	close(fd);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

/* V2-9: poll() waits for what read() would give, and for the end. */
TEST_F(migfd, V2_9_store_wakes_poll)
{
	struct pollfd p = { .events = POLLIN };
	double begin;
	pid_t child;
	int fd;

	touch(self->mem, 1, 1);
	ASSERT_EQ(go_open(&self->a, S_PRE_COPY, &fd), 0);
	p.fd = fd;
	EXPECT_EQ(poll_now(fd), POLLIN);
	ASSERT_EQ(read_all(fd, &self->s, 2 * MIB), -ENOMSG);
	EXPECT_EQ(poll_now(fd), 0);
	touch(self->mem, 1, 2);
	EXPECT_EQ(poll(&p, 1, -1), 1);
	ASSERT_EQ(read_all(fd, &self->s, 2 * MIB), -ENOMSG);
	/*
	 * Asleep when the store comes, and woken before the timeout. What read() has started
	 * by ENOMSG is over by then: only poll() itself can cause the wake-up.
	 */
	child = fork();
	if (!child) {
		while (!is_in_state(getppid(), ") S "))
			sched_yield();
		usleep(100 * 1000);
		touch(self->mem, 1, 3);
		_exit(0);
	}
	begin = seconds();
	EXPECT_EQ(poll(&p, 1, 10000), 1);
	EXPECT_LT(seconds() - begin, 10);
	EXPECT_EQ(waitpid(child, NULL, 0), child);
	ASSERT_EQ(read_all(fd, &self->s, 2 * MIB), -ENOMSG);
	ASSERT_EQ(go(&self->a, S_STOP_COPY), 0);
	EXPECT_EQ(poll_now(fd), POLLIN);
	ASSERT_EQ(read_all(fd, &self->s, 2 * MIB), 0);
	EXPECT_EQ(poll_now(fd), POLLIN);
	close(fd);
}

/* An edge-triggered epoll instance that watches the file; or -1. */
static int watch_edges(int fd)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) ? -1 : epoll;
}

/* What an edge-triggered poller is woken by within that time; 0 if by nothing. */
static uint32_t next_edge(int epoll, int ms)
{
	struct epoll_event event;

	return epoll_wait(epoll, &event, 1, ms) == 1 ? event.events : 0;
}

/*
 * V2-9: a poller that asks for edges reads until ENOMSG and asks no more: the store
 * that comes then wakes it, and so do the stop and the end of the session.
 */
TEST_F(migfd, V2_9_store_wakes_edge_triggered_pollers)
{
	unsigned int round;
	int fd, epoll;

	ASSERT_EQ(go_open(&self->a, S_PRE_COPY, &fd), 0);
	epoll = watch_edges(fd);
	ASSERT_GE(epoll, 0);
	EXPECT_EQ(next_edge(epoll, 10000), EPOLLIN);
	for (round = 0; round < 3; round++) {
		ASSERT_EQ(read_all(fd, &self->s, 2 * MIB), -ENOMSG);
		touch(self->mem, 1, round);
		EXPECT_EQ(next_edge(epoll, 10000), EPOLLIN);
	}
	ASSERT_EQ(read_all(fd, &self->s, 2 * MIB), -ENOMSG);
	ASSERT_EQ(go(&self->a, S_STOP_COPY), 0);
	EXPECT_EQ(next_edge(epoll, 10000), EPOLLIN);
	ASSERT_EQ(read_all(fd, &self->s, 2 * MIB), 0);
	ASSERT_EQ(go(&self->a, S_STOP), 0);
	EXPECT_EQ(next_edge(epoll, 10000), EPOLLIN | EPOLLRDHUP);
	close(epoll);
	close(fd);
}

/* V2-9: and one that sleeps while the session is given up. */
TEST_F(migfd, V2_9_reset_wakes_pollers)
{
	int fd, epoll, status;
	pid_t child;

	ASSERT_EQ(go_open(&self->a, S_PRE_COPY, &fd), 0);
	ASSERT_EQ(read_all(fd, &self->s, 2 * MIB), -ENOMSG);
	epoll = watch_edges(fd);
	ASSERT_GE(epoll, 0);
	child = fork();
	if (!child)
		_exit(next_edge(epoll, 10000) != (EPOLLIN | EPOLLRDHUP));
	while (!is_in_state(child, ") S "))
		sched_yield();
	ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_RESET), 0);
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
	close(epoll);
	close(fd);
}

/* The rings of an io_uring, as the kernel lays them out. */
struct ring {
	int fd;
	struct io_uring_params p;
	uint8_t *sq, *cq;
	struct io_uring_sqe *sqes;
};

static uint32_t *ring_word(uint8_t *ring, uint32_t at)
{
	return (uint32_t *)(ring + at);
}

static int ring_open(struct ring *r)
{
	const int rw = PROT_READ | PROT_WRITE;

	memset(r, 0, sizeof(*r));
	r->fd = syscall(SYS_io_uring_setup, 4, &r->p);
	if (r->fd < 0)
		return -errno;
	r->sq = mmap(NULL, PAGE, rw, MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
	r->cq = mmap(NULL, PAGE, rw, MAP_SHARED, r->fd, IORING_OFF_CQ_RING);
	r->sqes = mmap(NULL, PAGE, rw, MAP_SHARED, r->fd, IORING_OFF_SQES);
	return r->sq == MAP_FAILED || r->cq == MAP_FAILED || r->sqes == MAP_FAILED ? -ENOMEM : 0;
}

static void ring_close(struct ring *r)
{
	munmap(r->sq, PAGE);
	munmap(r->cq, PAGE);
	munmap(r->sqes, PAGE);
	close(r->fd);
}

/* Poll a file as often as it becomes readable. */
static int ring_poll(struct ring *r, int fd)
{
	struct io_uring_sqe *sqe = r->sqes;

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = fd;
	sqe->len = IORING_POLL_ADD_MULTI;
	sqe->poll32_events = POLLIN;
	*ring_word(r->sq, r->p.sq_off.array) = 0;
	__atomic_store_n(ring_word(r->sq, r->p.sq_off.tail), 1, __ATOMIC_RELEASE);
	return syscall(SYS_io_uring_enter, r->fd, 1, 0, 0, NULL, 0) == 1 ? 0 : -errno;
}

/* Wait for a completion; its result, or -ETIME after 10 s. */
static int ring_next(struct ring *r)
{
	struct __kernel_timespec patience = { .tv_sec = 10 };
	struct io_uring_getevents_arg arg = { .ts = (uintptr_t)&patience };
	uint32_t *head = ring_word(r->cq, r->p.cq_off.head);
	struct io_uring_cqe *cqes = (void *)(r->cq + r->p.cq_off.cqes);
	int res;

	if (*head == __atomic_load_n(ring_word(r->cq, r->p.cq_off.tail), __ATOMIC_ACQUIRE) &&
	    syscall(SYS_io_uring_enter, r->fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
		    &arg, sizeof(arg)) < 0)
		return -errno;
	res = cqes[*head & *ring_word(r->cq, r->p.cq_off.ring_mask)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return res;
}

/* V2-9: io_uring's multishot poll, which asks once for all times. */
TEST_F(migfd, V2_9_store_completes_a_multishot_poll)
{
	unsigned int round;
	struct ring r;
	int fd;

	ASSERT_EQ(ring_open(&r), 0);
	ASSERT_EQ(go_open(&self->a, S_PRE_COPY, &fd), 0);
	ASSERT_EQ(ring_poll(&r, fd), 0);
	EXPECT_EQ(ring_next(&r) & POLLIN, POLLIN);
	for (round = 0; round < 3; round++) {
		ASSERT_EQ(read_all(fd, &self->s, 2 * MIB), -ENOMSG);
		touch(self->mem, 1, round);
		EXPECT_EQ(ring_next(&r) & POLLIN, POLLIN);
	}
	ASSERT_EQ(read_all(fd, &self->s, 2 * MIB), -ENOMSG);
	ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_RESET), 0);
	EXPECT_EQ(ring_next(&r) & POLLIN, POLLIN);
	ring_close(&r);
	close(fd);
}

static long free_kib(void)
{
	char text[4096], *at;

	if (read_file("/proc/meminfo", text, sizeof(text)) < 0)
		return -1;
	at = strstr(text, "MemFree:");
	return at ? atol(at + 8) : -1;
}

/*
 * V2-3 P-8: a file whose session is over holds no buffer: a process that has
 * hundreds of them open costs a few KiB each, not a MiB that cannot be swapped.
 */
TEST_F(migfd, V2_3_P8_stale_files_hold_no_buffer)
{
	const unsigned int files = 128;
	int fd[files], kind;
	unsigned int i;
	long before, taken;

	for (kind = 0; kind < 2; kind++) {
		before = free_kib();
		ASSERT_GT(before, 0);
		for (i = 0; i < files; i++) {
			ASSERT_EQ(go_open(&self->a, kind ? S_RESUMING : S_STOP_COPY, &fd[i]), 0);
			ASSERT_EQ(kind ? ioctl(self->a.fd, VFIO_DEVICE_RESET) : go(&self->a, S_STOP), 0);
		}
		taken = before - free_kib();
		EXPECT_LT(taken, 128 * 1024 / 4);
		for (i = 0; i < files; i++) {
			EXPECT_TRUE(is_stale(fd[i], kind ? S_RESUMING : S_STOP_COPY));
			close(fd[i]);
		}
	}
}

/* What a data file refuses changes nothing. That it is one-way is v2_test's. */
TEST_F(migfd, V2_9_V2_10_refused_calls_of_data_files)
{
	struct vfio_precopy_info info = { .argsz = sizeof(info), .flags = 0x55 };
	void *volatile nowhere = (void *)8;
	char buf[64] = { 0 };
	int save, load;

	touch(self->mem, 0, 1);
	ASSERT_EQ(go_open(&self->a, S_PRE_COPY, &save), 0);
	ASSERT_EQ(go_open(&self->b, S_RESUMING, &load), 0);
	EXPECT_EQ(pread(save, buf, 1, 0) == -1 ? errno : 0, ESPIPE);
	EXPECT_EQ(pwrite(load, buf, 1, 0) == -1 ? errno : 0, ESPIPE);
	EXPECT_EQ(read(save, buf, 0), 0);
	EXPECT_EQ(write(load, buf, 0), 0);
	/* A buffer that is not there: nothing was read. */
	EXPECT_EQ(read(save, nowhere, 8) == -1 ? errno : 0, EFAULT);
	EXPECT_EQ(write(load, nowhere, 8) == -1 ? errno : 0, EFAULT);
	EXPECT_EQ(stop_copy_length(&self->a), BEGIN_RECORD + MEMORY_RECORD + FINAL_RECORDS);
	EXPECT_EQ(ioctl(load, VFIO_MIG_GET_PRECOPY_INFO, &info) ? errno : 0, ENOTTY);
	EXPECT_EQ(ioctl(save, VFIO_DEVICE_RESET) ? errno : 0, ENOTTY);
	EXPECT_EQ(ioctl(save, VFIO_MIG_GET_PRECOPY_INFO, nowhere) ? errno : 0, EFAULT);
	info.argsz += 8;
	EXPECT_EQ(ioctl(save, VFIO_MIG_GET_PRECOPY_INFO, &info), 0);
	EXPECT_EQ(info.flags, 0x55);
	EXPECT_EQ(info.initial_bytes, BEGIN_RECORD + MEMORY_RECORD);
	close(save);
	close(load);
}

/*
 * V2-11 P-9: neither way out of RESUMING commits a damaged stream or one that lacks a
 * byte; the latter succeeds once that is written.
 */
TEST_F(migfd, V2_11_P9_commit_waits_for_the_last_byte)
{
	int fd;

	touch(self->mem, 9, 9);
	ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
	self->s.buf[self->s.len / 2] ^= 4;
	EXPECT_EQ(load_and_go(&self->b, &self->s, MIB, S_STOP), -EBADMSG);
	self->s.buf[self->s.len / 2] ^= 4;
	EXPECT_EQ(go(&self->b, S_STOP), -EIO);
	EXPECT_EQ(go(&self->b, S_RUNNING), -EIO);
	ASSERT_EQ(reset_by(&self->b, false), 0);
	ASSERT_EQ(go_open(&self->b, S_RESUMING, &fd), 0);
	self->s.len--;
	ASSERT_EQ(write_all(fd, &self->s, 5000), 0);
	EXPECT_EQ(go(&self->b, S_STOP), -EIO);
	EXPECT_EQ(go(&self->b, S_RUNNING), -EIO);
	EXPECT_EQ(where(&self->b), S_RESUMING);
	EXPECT_EQ(write(fd, self->s.buf + self->s.len, 1), 1);
	close(fd);
	ASSERT_EQ(go(&self->b, S_RUNNING), 0);
	EXPECT_TRUE(same_memory(&self->a, &self->b));
}

/* P-14: a guest that reboots in mid-migration: the migration fails, the next does not. */
TEST_F(migfd, P14_reset_ends_each_session)
{
	uint32_t state;
	unsigned int i;
	int fd;

	/* Each state twice: the VMM resets it, or the guest does. */
	for (i = 2; i < 2 * STATES; i++) {
		state = i / 2;
		touch(self->mem, 0, 1);
		ASSERT_EQ(go_open(&self->a, state, &fd), 0);
		ASSERT_EQ(reset_by(&self->a, i % 2), 0);
		EXPECT_EQ(where(&self->a), S_RUNNING);
		EXPECT_EQ(self->mem[0], 0);
		EXPECT_EQ(stop_copy_length(&self->a), BEGIN_RECORD + FINAL_RECORDS);
		if (fd >= 0) {
			EXPECT_TRUE(is_stale(fd, state));
			close(fd);
		}
	}
	touch(self->mem, 5, 5);
	ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
	ASSERT_EQ(load_and_go(&self->b, &self->s, 9999, S_RUNNING), 0);
	EXPECT_TRUE(same_memory(&self->a, &self->b));
}

/* P-35: a guest that is paused arrives paused, its file closed before the commit. */
TEST_F(migfd, P35_arrives_paused)
{
	touch(self->mem, 5, 5);
	ASSERT_EQ(go(&self->a, S_STOP), 0);
	ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
	ASSERT_EQ(load_and_go(&self->b, &self->s, 9999, S_STOP), 0);
	EXPECT_TRUE(same_memory(&self->a, &self->b));
	ASSERT_EQ(go(&self->b, S_RUNNING), 0);
}

/*
 * P-33: one protocol at a time. The other reads what it likes, changes nothing, and
 * has its turn when the device runs again, or is reset.
 */
TEST_F(migfd, P33_one_protocol_at_a_time)
{
	static const uint32_t v1[] = { STOP, SAVING, RUNNING | SAVING, RESUMING };
	uint64_t zero = 0, offset;
	uint32_t state, to;
	unsigned int i;
	int fd;

	touch(self->mem, 0, 1);
	for (state = 1; state < STATES; state++) {
		if (state == S_RUNNING)
			continue;
		ASSERT_EQ(walk_to(&self->a, state, &fd), 0);
		for (to = 0; to < 5; to++)
			EXPECT_EQ(set_state(&self->a, to), -EBUSY);
		EXPECT_EQ(dev_write(&self->a, self->a.mig.offset + V1(data_size), &zero, 8),
			  -EBUSY);
		EXPECT_EQ(get_state(&self->a), bits_of(state));
		EXPECT_EQ(pending(&self->a), 0);
		EXPECT_EQ(reg_read(&self->a, V1(data_offset), &offset), 0);
		EXPECT_EQ(data_size(&self->a), 0);
		/* None of it has touched the session. */
		EXPECT_EQ(where(&self->a), state);
		if (in_saving_group(state)) {
			self->s.len = 0;
			EXPECT_GE(read_some(fd, &self->s, 2 * MIB), (ssize_t)BEGIN_RECORD);
			EXPECT_EQ(read_account(self->s.buf, self->s.len).wrong, NULL);
		}
		if (fd >= 0)
			close(fd);
		if (state != S_RESUMING) {
			ASSERT_EQ(go(&self->a, S_RUNNING), 0);
			EXPECT_EQ(set_state(&self->a, STOP), 0);
			ASSERT_EQ(set_state(&self->a, RUNNING), 0);
		}
		touch(self->mem, 0, state);
	}
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_RESET), 0);
		touch(self->mem, 0, 7);
		ASSERT_EQ(set_state(&self->a, v1[i]), 0);
		for (state = 1; state < STATES; state++)
			EXPECT_EQ(go(&self->a, state), -EBUSY);
		EXPECT_GT(where(&self->a), 0);
		EXPECT_EQ(bits_of(where(&self->a)), v1[i]);
		EXPECT_GT(stop_copy_length(&self->a), 0);
		EXPECT_EQ(get_state(&self->a), v1[i]);
	}
	ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_RESET), 0);
	EXPECT_EQ(go(&self->a, S_STOP), 0);
}

/* V2-14: on iommufd, and with no log of its own, nothing would see the device's DMA. */
TEST_F(migfd, V2_14_save_needs_a_dma_log)
{
	int expect = on_iommufd(&self->a) && !can_log(&self->a) ? -EOPNOTSUPP : 0;
	int fd;

	EXPECT_EQ(walk_to(&self->a, S_PRE_COPY, &fd), expect);
	EXPECT_EQ(where(&self->a), expect ? S_RUNNING : S_PRE_COPY);
	close(fd);
	EXPECT_EQ(walk_to(&self->a, S_PRE_COPY_P2P, &fd), expect);
	close(fd);
	EXPECT_EQ(walk_to(&self->a, S_STOP_COPY, &fd), expect);
	EXPECT_EQ(where(&self->a), expect ? S_STOP : S_STOP_COPY);
	close(fd);
	/* To start, to stop and to load never hangs on it. */
	EXPECT_EQ(walk_to(&self->a, S_RUNNING_P2P, &fd), 0);
	EXPECT_EQ(go(&self->a, S_STOP), 0);
	EXPECT_EQ(go(&self->a, S_RUNNING), 0);
	EXPECT_EQ(go_open(&self->a, S_RESUMING, &fd), 0);
	close(fd);
	if (expect)
		TH_LOG("this kernel has no log of DMA: saving is refused");
}

TEST_HARNESS_MAIN
