// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stores that reach a device after it was stopped: another device's DMA, and a file
 * that is read into BAR2. By either protocol each is in the stream, or is counted.
 */
#include "fixture.h"
#include "kselftest_harness.h"

#define MEMORY		(8 * MIB)
#define WRITTEN		(4 * MIB)	/* before the stop */
#define ADDRESS		0x40000000ULL	/* where B finds A's memory */
#define LENGTH		(64 * 1024)

/* What stores after the stop, at an offset of A's memory. */
enum kind { PEER_DMA, FILE_READ };

FIXTURE(late) {
	struct dev a, b;
	uint8_t *mem, *mem_b;
	struct stream s;
	FILE *file;
};

FIXTURE_VARIANT(late) {
	const struct front_end *by;
	enum kind kind;
};

FIXTURE_VARIANT_ADD(late, dma_by_region) { .by = &v1_trapped, .kind = PEER_DMA };
FIXTURE_VARIANT_ADD(late, dma_by_file) { .by = &v2_file, .kind = PEER_DMA };
FIXTURE_VARIANT_ADD(late, read_by_region) { .by = &v1_trapped, .kind = FILE_READ };
FIXTURE_VARIANT_ADD(late, read_by_file) { .by = &v2_file, .kind = FILE_READ };

FIXTURE_SETUP(late)
{
	uint8_t bytes[LENGTH];

	NEEDS_TERN();
	ASSERT_EQ(pair_on(&self->a, &self->b,
			  (struct setting){ .memory_mib = 8, .window_kib = 1024,
					    .map_memory = true, .by = variant->by }), 0);
	ASSERT_EQ(dev_map_memory(&self->b), 0);
	self->mem = self->a.mem;
	self->mem_b = self->b.mem;
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
	fclose(self->file);
	EXPECT_EQ(pair_off(&self->a, &self->b, &self->s), 0);
}

/* 0x99 comes to @at, by what the variant says. */
static int store(FIXTURE_DATA(late) *self, enum kind kind, uint64_t at)
{
	if (kind == FILE_READ)
		return pread(fileno(self->file), self->mem + at, LENGTH, 0) == LENGTH ? 0 : -EIO;
	return dma_do(&self->b, TERN_DMA_OP_FROM_DEVICE, ADDRESS + at, 0, LENGTH) == TERN_DMA_DONE ?
	       0 : -EIO;
}

/* B is what the stream describes. */
static int load(FIXTURE_DATA(late) *self)
{
	return reset_by(&self->b, false) ?: load_by(&self->b, &self->s, MIB);
}

/*
 * S-3 P-3: before the last pass has come to the page, the store is in the stream: over
 * what was sent already, and where nothing ever was.
 */
TEST_F(late, S3_P3_store_ahead_of_the_last_pass_is_sent)
{
	ASSERT_EQ(variant->by->begin(&self->a), 0);
	ASSERT_EQ(variant->by->drain(&self->a, &self->s, 2 * MIB), 0);
	ASSERT_EQ(variant->by->stop(&self->a), 0);
	ASSERT_EQ(store(self, variant->kind, MIB), 0);
	ASSERT_EQ(store(self, variant->kind, 6 * MIB), 0);
	ASSERT_EQ(variant->by->drain(&self->a, &self->s, 2 * MIB), 0);
	EXPECT_EQ(attr_sum(UUID_A, "late_marks"), 0);
	ASSERT_EQ(load(self), 0);
	EXPECT_EQ(self->mem_b[MIB], 0x99);
	EXPECT_EQ(self->mem_b[6 * MIB], 0x99);
	EXPECT_EQ(memcmp(self->mem, self->mem_b, MEMORY), 0);
}

/*
 * P-3: in the midst of it, what is ahead is in the stream, and of what is behind each
 * page is counted. After its end, too. None of it holds up the end.
 */
TEST_F(late, P3_store_behind_the_last_pass_is_counted)
{
	const unsigned int pages = LENGTH / PAGE;

	ASSERT_EQ(variant->by->begin(&self->a), 0);
	ASSERT_EQ(variant->by->stop(&self->a), 0);
	ASSERT_GT(variant->by->read(&self->a, &self->s, MIB), 0);
	ASSERT_EQ(store(self, variant->kind, 0), 0);
	ASSERT_EQ(store(self, variant->kind, WRITTEN - LENGTH), 0);
	ASSERT_EQ(store(self, variant->kind, 7 * MIB), 0);
	/* Whether the stream lacks anything is not known before the pass is over. */
	EXPECT_EQ(attr_sum(UUID_A, "late_marks"), 0);
	ASSERT_EQ(variant->by->drain(&self->a, &self->s, 2 * MIB), 0);
	EXPECT_EQ(attr_sum(UUID_A, "late_marks"), pages);
	ASSERT_EQ(store(self, variant->kind, 2 * MIB), 0);
	EXPECT_EQ(attr_sum(UUID_A, "late_marks"), 2 * pages);
	EXPECT_EQ(attr_sum(UUID_A, "pending_bytes"), 0);
	/* And it stays when the session is over. */
	ASSERT_EQ(variant->by->end(&self->a, false), 0);
	EXPECT_EQ(attr_sum(UUID_A, "late_marks"), 2 * pages);
	ASSERT_EQ(load(self), 0);
	EXPECT_EQ(self->mem_b[0], 0x11);
	EXPECT_EQ(self->mem_b[2 * MIB], 0x11);
	memset(self->mem, 0x11, LENGTH);
	memset(self->mem + 2 * MIB, 0x11, LENGTH);
	EXPECT_EQ(memcmp(self->mem, self->mem_b, MEMORY), 0);

	/* The next user of the device begins at 0. */
	dev_close(&self->a);
	ASSERT_EQ(dev_open(&self->a, UUID_A), 0);
	EXPECT_EQ(attr_sum(UUID_A, "late_marks"), 0);
}

TEST_HARNESS_MAIN
