// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stores that reach a device after it was stopped: another device's DMA, and a file
 * that is read into BAR2. By either protocol each is in the stream, or is counted.
 */
#include "migfd.h"
#include "kselftest_harness.h"

#define MEMORY		(8 * MIB)
#define WRITTEN		(4 * MIB)	/* before the stop */
#define ADDRESS		0x40000000ULL	/* where B finds A's memory */
#define MASTER		0x0006		/* config space: memory, bus mastering */
#define LENGTH		(64 * 1024)

/* What stores after the stop, at an offset of A's memory. */
enum kind { PEER_DMA, FILE_READ };

FIXTURE(late) {
	struct dev a, b;
	uint8_t *mem, *mem_b;
	struct stream s;
	int fd;
	FILE *file;
};

FIXTURE_VARIANT(late) {
	bool v2;
	enum kind kind;
};

FIXTURE_VARIANT_ADD(late, dma_by_region) { .v2 = false, .kind = PEER_DMA };
FIXTURE_VARIANT_ADD(late, dma_by_file) { .v2 = true, .kind = PEER_DMA };
FIXTURE_VARIANT_ADD(late, read_by_region) { .v2 = false, .kind = FILE_READ };
FIXTURE_VARIANT_ADD(late, read_by_file) { .v2 = true, .kind = FILE_READ };

static int power_on(struct dev *d, const char *uuid, uint8_t **mem)
{
	int ret = mdev_create(uuid);

	ret = ret ?: attr_set(uuid, "memory_mib", "8");
	ret = ret ?: attr_set(uuid, "window_kib", "1024");
	ret = ret ?: dev_open(d, uuid);
	if (ret)
		return ret;
	*mem = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, d->bar2.offset);
	return *mem == MAP_FAILED ? -errno : 0;
}

FIXTURE_SETUP(late)
{
	uint8_t bytes[LENGTH];

	if (!have_tern())
		SKIP(return, "module tern is not loaded");
	ASSERT_EQ(power_on(&self->a, UUID_A, &self->mem), 0);
	ASSERT_EQ(power_on(&self->b, UUID_B, &self->mem_b), 0);
	self->fd = -1;
	memset(self->mem, 0x11, WRITTEN);
	memset(bytes, 0x99, sizeof(bytes));
	self->file = tmpfile();
	ASSERT_NE(self->file, NULL);
	ASSERT_EQ(write(fileno(self->file), bytes, sizeof(bytes)), sizeof(bytes));
	/* B has the same bytes, and A's memory for guest memory. */
	memset(self->mem_b, 0x99, LENGTH);
	ASSERT_EQ(map_guest(&self->b, self->mem, ADDRESS, MEMORY), 0);
	ASSERT_EQ(set_command(&self->b, MASTER), 0);
}

FIXTURE_TEARDOWN(late)
{
	close(self->fd);
	fclose(self->file);
	munmap(self->mem, MEMORY);
	munmap(self->mem_b, MEMORY);
	dev_close(&self->a);
	dev_close(&self->b);
	EXPECT_EQ(mdev_remove(UUID_A), 0);
	EXPECT_EQ(mdev_remove(UUID_B), 0);
	free(self->s.buf);
}

/* 0x99 comes to @at, by what the variant says. */
static int store(FIXTURE_DATA(late) *self, enum kind kind, uint64_t at)
{
	if (kind == FILE_READ)
		return pread(fileno(self->file), self->mem + at, LENGTH, 0) == LENGTH ? 0 : -EIO;
	return dma_do(&self->b, TERN_DMA_OP_FROM_DEVICE, ADDRESS + at, 0, LENGTH) == TERN_DMA_DONE ?
	       0 : -EIO;
}

static int begin(FIXTURE_DATA(late) *self, bool v2)
{
	return v2 ? go_open(&self->a, S_PRE_COPY, &self->fd) :
		    set_state(&self->a, RUNNING | SAVING);
}

static int stop(FIXTURE_DATA(late) *self, bool v2)
{
	return v2 ? go(&self->a, S_STOP_COPY) : set_state(&self->a, SAVING);
}

/* All that there is now. */
static int drain(FIXTURE_DATA(late) *self, bool v2)
{
	int ret = v2 ? read_all(self->fd, &self->s, 2 * MIB) : save_all(&self->a, &self->s);

	return ret == -ENOMSG ? 0 : ret;
}

/* About a MiB. */
static ssize_t read_chunk(FIXTURE_DATA(late) *self, bool v2)
{
	ssize_t n;

	if (v2)
		return read_some(self->fd, &self->s, MIB);
	n = save_chunk(&self->a, &self->s);
	/* What is acknowledged is not given again. */
	pending(&self->a);
	return n;
}

/* B becomes what the stream says. */
static int load(FIXTURE_DATA(late) *self, bool v2)
{
	int ret = ioctl(self->b.fd, VFIO_DEVICE_RESET) ? -errno : 0;

	if (v2)
		return ret ?: load_and_go(&self->b, &self->s, MIB, S_RUNNING);
	ret = ret ?: set_state(&self->b, RESUMING);
	ret = ret ?: load_all(&self->b, &self->s, MIB);
	return ret ?: set_state(&self->b, RUNNING);
}

/*
 * S-3 P-3: before the last pass has come to the page, the store is in the stream: over
 * what was sent already, and where nothing ever was.
 */
TEST_F(late, S3_P3_ahead_of_the_last_pass)
{
	ASSERT_EQ(begin(self, variant->v2), 0);
	ASSERT_EQ(drain(self, variant->v2), 0);
	ASSERT_EQ(stop(self, variant->v2), 0);
	ASSERT_EQ(store(self, variant->kind, MIB), 0);
	ASSERT_EQ(store(self, variant->kind, 6 * MIB), 0);
	ASSERT_EQ(drain(self, variant->v2), 0);
	EXPECT_EQ(attr_sum(UUID_A, "late_marks"), 0);
	ASSERT_EQ(load(self, variant->v2), 0);
	EXPECT_EQ(self->mem_b[MIB], 0x99);
	EXPECT_EQ(self->mem_b[6 * MIB], 0x99);
	EXPECT_EQ(memcmp(self->mem, self->mem_b, MEMORY), 0);
}

/*
 * P-3: in the midst of it, what is ahead is in the stream, and of what is behind each
 * page is counted. After its end, too. None of it holds up the end.
 */
TEST_F(late, P3_behind_the_last_pass)
{
	const unsigned int pages = LENGTH / PAGE;

	ASSERT_EQ(begin(self, variant->v2), 0);
	ASSERT_EQ(stop(self, variant->v2), 0);
	ASSERT_GT(read_chunk(self, variant->v2), 0);
	ASSERT_EQ(store(self, variant->kind, 0), 0);
	ASSERT_EQ(store(self, variant->kind, WRITTEN - LENGTH), 0);
	ASSERT_EQ(store(self, variant->kind, 7 * MIB), 0);
	/* Whether the stream lacks anything is not known before the pass is over. */
	EXPECT_EQ(attr_sum(UUID_A, "late_marks"), 0);
	ASSERT_EQ(drain(self, variant->v2), 0);
	EXPECT_EQ(attr_sum(UUID_A, "late_marks"), pages);
	ASSERT_EQ(store(self, variant->kind, 2 * MIB), 0);
	EXPECT_EQ(attr_sum(UUID_A, "late_marks"), 2 * pages);
	EXPECT_EQ(attr_sum(UUID_A, "pending_bytes"), 0);
	/* And it stays when the session is over. */
	ASSERT_EQ(variant->v2 ? go(&self->a, S_STOP) : set_state(&self->a, STOP), 0);
	EXPECT_EQ(attr_sum(UUID_A, "late_marks"), 2 * pages);
	ASSERT_EQ(load(self, variant->v2), 0);
	EXPECT_EQ(self->mem_b[0], 0x11);
	EXPECT_EQ(self->mem_b[2 * MIB], 0x11);
	memset(self->mem, 0x11, LENGTH);
	memset(self->mem + 2 * MIB, 0x11, LENGTH);
	EXPECT_EQ(memcmp(self->mem, self->mem_b, MEMORY), 0);
}

TEST_HARNESS_MAIN
