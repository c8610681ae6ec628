// SPDX-License-Identifier: GPL-2.0-only
/* A save and a load between two mdevs, by either protocol, with no VMM. */
#include "fixture.h"
#include "golden.h"
#include "kselftest_harness.h"

#define MEMORY	(4 * MIB)
#define PAGES	(MEMORY / PAGE)

FIXTURE(pair) {
	struct dev a, b;
	uint32_t *mem;		/* BAR2 of the source, mapped */
	struct stream s;
};

FIXTURE_VARIANT(pair) {
	const struct front_end *save, *load;
};

FIXTURE_VARIANT_ADD(pair, mapped) { .save = &v1_mapped, .load = &v1_mapped };
FIXTURE_VARIANT_ADD(pair, save_trapped) { .save = &v1_trapped, .load = &v1_mapped };
FIXTURE_VARIANT_ADD(pair, load_trapped) { .save = &v1_mapped, .load = &v1_trapped };
FIXTURE_VARIANT_ADD(pair, trapped) { .save = &v1_trapped, .load = &v1_trapped };
FIXTURE_VARIANT_ADD(pair, v2) { .save = &v2_file, .load = &v2_file };
FIXTURE_VARIANT_ADD(pair, v1_to_v2) { .save = &v1_mapped, .load = &v2_file };
FIXTURE_VARIANT_ADD(pair, v2_to_v1) { .save = &v2_file, .load = &v1_mapped };

static int set_up(struct dev *a, struct dev *b, const struct front_end *save,
		  const struct front_end *load)
{
	struct setting given = { .memory_mib = 4, .window_kib = 256, .map_memory = true, .by = save };
	int ret = device_on(a, UUID_A, given);

	given.map_memory = false;
	given.by = load;
	return ret ?: device_on(b, UUID_B, given);
}

FIXTURE_SETUP(pair)
{
	NEEDS_TERN();
	ASSERT_EQ(set_up(&self->a, &self->b, variant->save, variant->load), 0);
	self->mem = self->a.mem;
}

FIXTURE_TEARDOWN(pair)
{
	EXPECT_EQ(pair_off(&self->a, &self->b, &self->s), 0);
}

/* What only v1 has: chunks, and registers that acknowledge them. */
FIXTURE(chunks) {
	struct dev a, b;
	uint32_t *mem;
	struct stream s;
};

FIXTURE_VARIANT(chunks) {
	const struct front_end *save, *load;
};

FIXTURE_VARIANT_ADD(chunks, mapped) { .save = &v1_mapped, .load = &v1_mapped };
FIXTURE_VARIANT_ADD(chunks, save_trapped) { .save = &v1_trapped, .load = &v1_mapped };
FIXTURE_VARIANT_ADD(chunks, load_trapped) { .save = &v1_mapped, .load = &v1_trapped };
FIXTURE_VARIANT_ADD(chunks, trapped) { .save = &v1_trapped, .load = &v1_trapped };

FIXTURE_SETUP(chunks)
{
	NEEDS_TERN();
	ASSERT_EQ(set_up(&self->a, &self->b, variant->save, variant->load), 0);
	self->mem = self->a.mem;
}

FIXTURE_TEARDOWN(chunks)
{
	EXPECT_EQ(pair_off(&self->a, &self->b, &self->s), 0);
}

/* From any state of a, all that is left to b, which runs then. */
#define MOVE(self) do {							\
	ASSERT_EQ(save_by(&(self)->a, &(self)->s, 2 * MIB), 0);		\
	ASSERT_EQ(load_by(&(self)->b, &(self)->s, 100000), 0);		\
	EXPECT_TRUE(same_memory(&(self)->a, &(self)->b));		\
} while (0)

/* S-1 S-2 S-4 S-5: snapshot, iterations, and the final sections once. */
TEST_F(pair, S1_S2_S4_S5_iterations_then_final_sections)
{
	uint32_t line = 0x5a, command = 0x0406;
	struct account account;
	unsigned int i, pass;
	size_t stop;

	for (i = 0; i < 300; i++)
		touch(self->mem, i * 3, i + 1);
	for (i = 0; i < 16; i++)
		bar0_write(&self->a, TERN_REG_SCRATCH(i), i * 77);
	bar0_write(&self->a, TERN_REG_IRQ_MASK, 0x8000);
	dev_write(&self->a, region_base(7) + 0x3c, &line, 1);
	dev_write(&self->a, region_base(7) + 4, &command, 2);

	ASSERT_EQ(variant->save->begin(&self->a), 0);
	EXPECT_EQ(variant->save->pending(&self->a), BEGIN_RECORD + 300 * MEMORY_RECORD);
	ASSERT_EQ(variant->save->drain(&self->a, &self->s, 2 * MIB), 0);
	EXPECT_EQ(self->s.len, BEGIN_RECORD + 300 * MEMORY_RECORD);
	for (pass = 0; pass < 4; pass++) {
		for (i = 0; i < 10; i++)
			touch(self->mem, pass + 7 * i, pass * 100 + i);
		EXPECT_EQ(variant->save->pending(&self->a), 10 * MEMORY_RECORD);
		/* A second write to a page is no second page. */
		touch(self->mem, pass, 1);
		EXPECT_EQ(variant->save->pending(&self->a), 10 * MEMORY_RECORD);
		ASSERT_EQ(variant->save->drain(&self->a, &self->s, 2 * MIB), 0);
	}
	EXPECT_EQ(records_of(&self->s, 0, TERN_RECORD_REGISTERS), 0);
	stop = self->s.len;
	EXPECT_EQ(attr_sum(UUID_A, "passes"), 5);
	EXPECT_EQ(attr_sum(UUID_A, "pass_bytes"), stop);
	MOVE(self);
	EXPECT_EQ(variant->save->pending(&self->a), 0);
	EXPECT_EQ(variant->save->state(&self->a), STOP);
	EXPECT_EQ(variant->load->state(&self->b), RUNNING);
	EXPECT_EQ(self->s.len - stop, FINAL_RECORDS);
	EXPECT_EQ(attr_sum(UUID_A, "pass_bytes"), stop);
	EXPECT_EQ(attr_sum(UUID_A, "stopped_bytes"), FINAL_RECORDS);
	EXPECT_EQ(attr_sum(UUID_A, "late_marks"), 0);
	/* S-5, by a reader of its own: once each, after the stop, and last. */
	account = read_account(self->s.buf, self->s.len);
	EXPECT_EQ(account.wrong, NULL)
		TH_LOG("%s at %zu", account.wrong, account.at);
	EXPECT_EQ(account.sessions, 1);
	EXPECT_EQ(account.repeats, 0);
	EXPECT_EQ(account.records[TERN_RECORD_MEMORY], 340);
	for (i = TERN_RECORD_REGISTERS; i <= TERN_RECORD_DMA; i++)
		EXPECT_EQ(account.records[i], 1);
	EXPECT_GE(account.first_final, stop);
	EXPECT_GT(account.first_final, account.last_memory);
	EXPECT_TRUE(account.whole);

	for (i = 0; i < 16; i++)
		EXPECT_EQ(bar0_read(&self->b, TERN_REG_SCRATCH(i)), i * 77);
	EXPECT_EQ(bar0_read(&self->b, TERN_REG_IRQ_MASK), 0x8000);
	line = command = 0;
	dev_read(&self->b, region_base(7) + 0x3c, &line, 1);
	dev_read(&self->b, region_base(7) + 4, &command, 2);
	EXPECT_EQ(line, 0x5a);	/* V1-23 */
	EXPECT_EQ(command, 0x0406);
}

/* S-3 P-34: stopped at once, with nothing read before. */
TEST_F(pair, S3_P34_stop_at_once)
{
	unsigned int i;

	for (i = 0; i < 100; i++)
		touch(self->mem, i * 10, i + 1);
	MOVE(self);
	EXPECT_EQ(attr_sum(UUID_A, "passes"), 0);
	EXPECT_EQ(attr_sum(UUID_A, "stopped_bytes"), self->s.len);
}

/* P-35: a device that was stopped before. */
TEST_F(pair, P35_stopped_device_is_saved)
{
	touch(self->mem, 5, 9);
	ASSERT_EQ(variant->save->end(&self->a, false), 0);
	MOVE(self);
	EXPECT_EQ(records_of(&self->s, 0, TERN_RECORD_MEMORY), 1);
}

/* S-6 V1-25 P-8: cancelled at each point, then once more, complete. */
TEST_F(pair, S6_V1_25_P8_whole_after_a_cancel_at_each_point)
{
	unsigned int i, k;

	for (i = 0; i < 100; i++)
		touch(self->mem, i * 7, i + 1);
	for (k = 0; k < 12; k++) {
		const unsigned int point = k / 2, pages = 100 + (k ? (k - 1) / 2 : 0);

		self->s.len = 0;
		ASSERT_EQ(variant->save->begin(&self->a), 0);
		EXPECT_EQ(variant->save->pending(&self->a), BEGIN_RECORD + pages * MEMORY_RECORD);
		if (point > 0)
			EXPECT_GT(variant->save->read(&self->a, &self->s, 1000), 0);
		if (point > 1)
			ASSERT_EQ(variant->save->drain(&self->a, &self->s, 2 * MIB), 0);
		if (point > 2)
			ASSERT_EQ(variant->save->quiesce(&self->a), 0);
		if (point > 3)
			ASSERT_EQ(variant->save->stop(&self->a), 0);
		if (point > 4)
			EXPECT_GT(variant->save->read(&self->a, &self->s, 100), 0);
		/* QEMU closes v2's data file first. */
		if (k % 2 && self->a.data_fd >= 0) {
			close(self->a.data_fd);
			self->a.data_fd = -1;
		}
		ASSERT_EQ(variant->save->end(&self->a, true), 0);
		EXPECT_EQ(pending(&self->a), 0);
		EXPECT_EQ(data_size(&self->a), 0);
		touch(self->mem, point, 1000 + k);
	}
	self->s.len = 0;
	MOVE(self);
	EXPECT_EQ(read_account(self->s.buf, self->s.len).wrong, NULL);
	EXPECT_EQ(records_of(&self->s, 0, TERN_RECORD_SESSION_BEGIN), 1);
	EXPECT_EQ(records_of(&self->s, 0, TERN_RECORD_MEMORY), 105);
}

/* V1-26: the first session's bytes came too; the second starts over. */
TEST_F(chunks, V1_26_new_session_starts_over)
{
	unsigned int i;

	for (i = 0; i < 50; i++)
		touch(self->mem, i, i + 1);
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	EXPECT_GT(save_chunk(&self->a, &self->s), 0);
	pending(&self->a);
	ASSERT_EQ(set_state(&self->a, SAVING), 0);
	ASSERT_EQ(set_state(&self->a, RUNNING), 0);
	EXPECT_EQ(pending(&self->a), 0);
	touch(self->mem, 3, 999);
	ASSERT_EQ(set_state(&self->a, STOP), 0);
	MOVE(self);
	EXPECT_EQ(records_of(&self->s, 0, TERN_RECORD_SESSION_BEGIN), 2);
}

/* V1-4 P-5 P-6: nothing moves but by the read of pending_bytes. */
TEST_F(chunks, V1_4_P5_P6_only_pending_bytes_acknowledges)
{
	void *volatile nowhere = (void *)8;
	struct stream again = { 0 };
	uint64_t all, n;
	unsigned int i;

	for (i = 0; i < 200; i++)
		touch(self->mem, i, i + 1);
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	all = pending(&self->a);
	EXPECT_EQ(pending(&self->a), all);
	n = save_chunk(&self->a, &self->s);
	EXPECT_LT(n, all);
	/* V1-6: pending means data; the same chunk as often as it is asked for. */
	EXPECT_GT(n, 0);
	EXPECT_EQ(data_size(&self->a), n);
	EXPECT_EQ(save_chunk(&self->a, &again), n);
	EXPECT_EQ(memcmp(self->s.buf, again.buf, n), 0);
	EXPECT_EQ(attr_sum(UUID_A, "pending_bytes"), all);
	/* A read that failed has not happened. */
	EXPECT_EQ(dev_read(&self->a, self->a.mig.offset + V1(data_size), nowhere, 8), -EFAULT);
	EXPECT_EQ(attr_sum(UUID_A, "pass_bytes"), n);
	EXPECT_EQ(dev_read(&self->a, self->a.mig.offset + V1(pending_bytes), nowhere, 8), -EFAULT);
	EXPECT_EQ(attr_sum(UUID_A, "pending_bytes"), all);
	EXPECT_EQ(pending(&self->a), all - n);
	EXPECT_EQ(pending(&self->a), all - n);
	EXPECT_EQ(dev_read(&self->a, self->a.mig.offset + V1(data_offset), nowhere, 8), -EFAULT);
	EXPECT_EQ(attr_sum(UUID_A, "pass_bytes"), n);
	free(again.buf);
	MOVE(self);
}

/* V1-7: prepared, read or not, then stopped: offered again. */
TEST_F(chunks, V1_7_unacknowledged_chunk_is_offered_again)
{
	struct stream again = { 0 };
	unsigned int i;
	uint64_t n, left;

	for (i = 0; i < 200; i++)
		touch(self->mem, i, i + 1);
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	n = save_chunk(&self->a, &self->s);
	left = pending(&self->a);
	n = save_chunk(&self->a, &self->s);
	ASSERT_EQ(set_state(&self->a, SAVING), 0);
	ASSERT_EQ(set_state(&self->a, SAVING), 0);
	EXPECT_EQ(pending(&self->a), left + FINAL_RECORDS);
	EXPECT_EQ(pending(&self->a), left + FINAL_RECORDS);
	EXPECT_EQ(save_chunk(&self->a, &again), n);
	EXPECT_EQ(memcmp(self->s.buf + self->s.len - n, again.buf, n), 0);
	stream_add(&self->s, again.buf, n);
	free(again.buf);
	MOVE(self);
	EXPECT_EQ(attr_sum(UUID_A, "pass_bytes") + attr_sum(UUID_A, "stopped_bytes"), self->s.len);
}

/* How many calls a VMM makes of a chunk: pending, offset, size, data, pending. */
#define CALLS	5

/*
 * S-3 V1-7: stopped after each call of a chunk, the data of the last one
 * sent or not; the destination is equal.
 */
TEST_F(chunks, S3_V1_7_stop_after_each_call)
{
	/* The paths differ in how bytes are read, not in when: one chunk will do. */
	const unsigned int chunks = self->a.map && self->b.map ? 3 : 1;
	const unsigned int pages = 67 * chunks;		/* a chunk has less */
	unsigned int i, stop, call;
	uint64_t v;
	int sent;

	for (i = 0; i < pages; i++)
		touch(self->mem, i, i + 1);
	for (stop = 0; stop < chunks * CALLS; stop++) {
		for (sent = 0; sent < 2; sent++) {
			size_t before = 0;

			self->s.len = 0;
			ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
			for (call = 0; call <= stop; call++) {
				switch (call % CALLS) {
				case 0:
				case 4:
					pending(&self->a);
					break;
				case 1:
					ASSERT_EQ(reg_read(&self->a, V1(data_offset), &v), 0);
					break;
				case 2:
					EXPECT_GT(data_size(&self->a), 0);
					break;
				case 3:
					before = self->s.len;
					EXPECT_GT(save_chunk(&self->a, &self->s), 0);
					break;
				}
				touch(self->mem, (stop + 11 * call) % pages, stop * 100 + call);
			}
			/* Read, and not sent: it was not acknowledged yet. */
			if (!sent && stop % CALLS == 3)
				self->s.len = before;
			ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
			ASSERT_EQ(set_state(&self->a, RUNNING), 0);
			ASSERT_EQ(load_by(&self->b, &self->s, 100000), 0);
			EXPECT_TRUE(same_memory(&self->a, &self->b))
				TH_LOG("stopped after call %u, sent %d", stop, sent);
		}
	}
}

/* V1-17: a chunk is as large as the window lets it be. */
TEST_F(chunks, V1_17_chunk_fills_the_window)
{
	const uint64_t window = self->a.mig.size - self->a.window;

	memset(self->mem, 7, MEMORY);
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	EXPECT_GT(data_size(&self->a), window - MEMORY_RECORD);
	EXPECT_LE(data_size(&self->a), window);
}

static struct stream golden_of(unsigned int version)
{
	const uint8_t *const *stream = golden_streams[version - 1];

	return (struct stream){ .buf = (uint8_t *)stream[0], .len = stream[1] - stream[0] };
}

/* P-11: a stream of each version still loads. */
TEST_F(pair, P11_golden_streams_load)
{
	static uint32_t mem[GOLDEN_PAGES][PAGE / 4];
	unsigned int version, i, k;

	for (version = 1; version <= GOLDEN_STREAMS; version++) {
		const struct stream golden = golden_of(version);
		struct account account = read_account(golden.buf, golden.len);
		uint16_t command = 0;
		uint8_t line = 0;

		EXPECT_EQ(account.wrong, NULL);
		EXPECT_EQ(account.records[TERN_RECORD_MEMORY], 4);
		/* It is of a smaller device than the fixture's. */
		ASSERT_EQ(device_again(&self->b, (struct setting){ .memory_mib = 1 }), 0);
		ASSERT_EQ(load_by(&self->b, &golden, 10000), 0);
		ASSERT_EQ(dev_read(&self->b, self->b.bar2.offset, mem, sizeof(mem)), sizeof(mem));
		for (i = 0; i < GOLDEN_PAGES; i++)
			for (k = 0; k < PAGE / 4; k++)
				ASSERT_EQ(mem[i][k], golden_word(i, k));
		for (i = 0; i < 16; i++)
			EXPECT_EQ(bar0_read(&self->b, TERN_REG_SCRATCH(i)), GOLDEN_SCRATCH(i));
		EXPECT_EQ(bar0_read(&self->b, TERN_REG_IRQ_MASK), GOLDEN_IRQ_MASK);
		EXPECT_EQ(bar0_read(&self->b, TERN_DMA_PATTERN), version > 1 ? GOLDEN_PATTERN : 0);
		dev_read(&self->b, region_base(7) + 0x3c, &line, 1);
		dev_read(&self->b, region_base(7) + 4, &command, 2);
		EXPECT_EQ(line, GOLDEN_LINE);
		EXPECT_EQ(command, GOLDEN_COMMAND);
	}
}

/* Write the page of the golden device; @other: in other words. */
static int write_golden_page(struct dev *d, unsigned int page, uint32_t other)
{
	uint32_t words[PAGE / 4];
	unsigned int k;

	for (k = 0; k < PAGE / 4; k++)
		words[k] = golden_word(page, k) ^ other;
	return dev_write(d, d->bar2.offset + page * PAGE, words, PAGE) == PAGE ? 0 : -EIO;
}

/* P-11: and this version's is written byte for byte as before, except for the id and the CRCs. */
TEST_F(pair, P11_golden_stream_is_written)
{
	const struct stream golden = golden_of(GOLDEN_STREAMS);
	const size_t id = sizeof(struct tern_record) + offsetof(struct tern_session_begin, id);
	const uint16_t command = GOLDEN_COMMAND;
	const uint8_t line = GOLDEN_LINE;
	struct dev *d = &self->b;
	unsigned int i;
	size_t at;

	ASSERT_EQ(device_again(d, (struct setting){ .memory_mib = 1, .by = variant->save }), 0);
	for (i = 0; i < 16; i++)
		bar0_write(d, TERN_REG_SCRATCH(i), GOLDEN_SCRATCH(i));
	bar0_write(d, TERN_REG_IRQ_MASK, GOLDEN_IRQ_MASK);
	bar0_write(d, TERN_DMA_PATTERN, GOLDEN_PATTERN);
	ASSERT_EQ(dev_write(d, region_base(7) + 0x3c, &line, 1), 1);
	ASSERT_EQ(dev_write(d, region_base(7) + 4, &command, 2), 2);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(write_golden_page(d, golden_pages[i], golden_pages[i] == 5 ? ~0U : 0), 0);
	ASSERT_EQ(variant->save->begin(d), 0);
	ASSERT_EQ(variant->save->drain(d, &self->s, MIB), 0);
	ASSERT_EQ(write_golden_page(d, 5, 0), 0);
	ASSERT_EQ(variant->save->stop(d), 0);
	ASSERT_EQ(variant->save->drain(d, &self->s, MIB), 0);
	ASSERT_EQ(variant->save->end(d, true), 0);

	ASSERT_EQ(self->s.len, golden.len);
	memcpy(self->s.buf + id, golden.buf + id, sizeof(((struct tern_session_begin *)0)->id));
	for (at = 0; at < golden.len;
	     at += sizeof(struct tern_record) + record_at(&golden, at)->length)
		((struct tern_record *)(self->s.buf + at))->crc32c = record_at(&golden, at)->crc32c;
	EXPECT_EQ(memcmp(self->s.buf, golden.buf, golden.len), 0);
}

/* Change a byte of a stream's config space. */
static void set_config_byte(struct stream *s, unsigned int offset, uint8_t value)
{
	struct tern_record *head = find_record(s, TERN_RECORD_CONFIG_SPACE);

	((uint8_t *)(head + 1))[offset] = value;
	seal_record(s, head);
}

/*
 * P-11 V1-22: a stream of an older device, which had no interrupt pin, offered no
 * function-level reset and let a guest write D1. The bits that a guest cannot write are
 * those of this device, whatever the stream says. No stream resets it.
 */
TEST_F(pair, P11_V1_22_older_config_space_loads)
{
	static const struct {
		uint8_t offset, value;
	} older[] = {
		{ 0x3d, 0 }, { 0x67, 0 }, { 0x44, 9 },
	}, wrong[] = {
		{ 0x3d, 2 }, { 0x67, 0x30 }, { 0x67, 0x20 }, { 0x44, 1 }, { 0x69, 0xa0 },
	};
	uint32_t devcap, want = 1 << 28 | 1 << 15;
	struct stream begin, rest;
	uint8_t pin = 0, pmcsr = 0xff, kept;
	unsigned int i;

	bar0_write(&self->a, TERN_REG_SCRATCH(0), 7);
	ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
	for (i = 0; i < ARRAY_SIZE(older); i++)
		set_config_byte(&self->s, older[i].offset, older[i].value);
	begin = (struct stream){ .buf = self->s.buf, .len = BEGIN_RECORD };
	rest = (struct stream){ .buf = self->s.buf + BEGIN_RECORD,
				.len = self->s.len - BEGIN_RECORD };
	/* What the destination was before does not come through, nor what is written meanwhile. */
	ASSERT_EQ(set_power(&self->b, D3HOT), 0);
	ASSERT_EQ(variant->load->resume(&self->b), 0);
	ASSERT_EQ(variant->load->feed(&self->b, &begin, 9999), 0);
	ASSERT_EQ(set_power(&self->b, D3HOT), 0);
	ASSERT_EQ(variant->load->feed(&self->b, &rest, 9999), 0);
	ASSERT_EQ(variant->load->commit(&self->b), 0);
	EXPECT_EQ(bar0_read(&self->b, TERN_REG_SCRATCH(0)), 7);
	dev_read(&self->b, region_base(7) + 0x3d, &pin, 1);
	dev_read(&self->b, region_base(7) + 0x44, &pmcsr, 1);
	dev_read(&self->b, region_base(7) + 0x64, &devcap, 4);
	EXPECT_EQ(pin, 1);
	EXPECT_EQ(pmcsr, 8);
	EXPECT_EQ(devcap, want);

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		dev_read(&self->a, region_base(7) + wrong[i].offset, &kept, 1);
		set_config_byte(&self->s, wrong[i].offset, wrong[i].value);
		EXPECT_EQ(load_by(&self->b, &self->s, 9999), -EDOM)
			TH_LOG("wrong number %u", i);
		ASSERT_EQ(variant->load->abort(&self->b), 0);
		set_config_byte(&self->s, wrong[i].offset, kept);
	}
}

/*
 * P-29: QEMU compares what a guest cannot write in config space with a device
 * of its own that was never written to.
 */
TEST_F(pair, P29_config_space_is_comparable)
{
	uint8_t fresh[256], from[256], to[256];
	uint8_t line = 0x0b;
	uint16_t command = 0xffff, control;
	uint32_t bar = 0xfeb00000;
	unsigned int i;

	ASSERT_EQ(dev_read(&self->b, region_base(7), fresh, sizeof(fresh)), sizeof(fresh));
	dev_write(&self->a, region_base(7) + 4, &command, 2);
	dev_write(&self->a, region_base(7) + 0x10, &bar, 4);
	dev_write(&self->a, region_base(7) + 0x3c, &line, 1);
	for (i = 0x40; i < 0x100; i += 4)
		if (fresh[i] == 0x11 && !(i & 3)) {
			control = 0xffff;
			dev_write(&self->a, region_base(7) + i + 2, &control, 2);
		}
	MOVE(self);
	ASSERT_EQ(dev_read(&self->a, region_base(7), from, sizeof(from)), sizeof(from));
	ASSERT_EQ(dev_read(&self->b, region_base(7), to, sizeof(to)), sizeof(to));
	EXPECT_EQ(memcmp(from, to, sizeof(to)), 0);
	EXPECT_NE(memcmp(fresh, to, sizeof(to)), 0);
	/* Ids, class, header type, the list of capabilities, interrupt pin. */
	EXPECT_EQ(memcmp(fresh, to, 4), 0);
	EXPECT_EQ(memcmp(fresh + 8, to + 8, 4), 0);
	EXPECT_EQ(fresh[0x0e], to[0x0e]);
	EXPECT_EQ(memcmp(fresh + 0x28, to + 0x28, 0x3c - 0x28), 0);
	EXPECT_EQ(fresh[0x3d], to[0x3d]);
	/* The capabilities except for MSI-X's control, of which a guest has two bits. */
	for (i = 0x40; i < 0x100; i++)
		if (!(i & 3) || fresh[i & ~3] != 0x11)
			EXPECT_EQ(fresh[i], to[i])
				TH_LOG("config space at %#x", i);
}

/*
 * P-10 P-29: a stream is refused if a section has a value that this device cannot have,
 * whatever its CRC. In config space 0 is a value, too, where no guest can write; but the
 * interrupt pin may be 0: a stream of version 1 has none.
 */
TEST_F(pair, P10_P29_impossible_values_are_refused)
{
	static const struct {
		uint32_t type;
		unsigned int at;
		uint8_t value;
		int result;
	} changes[] = {
#define CONFIG		TERN_RECORD_CONFIG_SPACE
#define REGS		TERN_RECORD_REGISTERS
#define IRQS		TERN_RECORD_INTERRUPTS
#define R(field)	offsetof(struct tern_registers_state, field)
#define I(field)	offsetof(struct tern_interrupts_state, field)
		{ CONFIG, 0x00, 0, -EDOM }, { CONFIG, 0x01, 0xff, -EDOM },
		{ CONFIG, 0x0b, 0, -EDOM }, { CONFIG, 0x34, 0, -EDOM },
		{ CONFIG, 0x40, 0, -EDOM }, { CONFIG, 0x3d, 2, -EDOM },
		{ CONFIG, 0xfff, 1, -EDOM }, { CONFIG, 0x3d, 0, 0 },
		{ REGS, R(irq_status) + 2, 1, -EDOM }, { REGS, R(irq_mask) + 3, 0x80, -EDOM },
		{ REGS, R(irq_status) + 1, 0x80, 0 }, { REGS, R(irq_mask), 1, 0 },
		{ IRQS, I(pending) + 2, 1, -EDOM }, { IRQS, I(reserved), 1, -EDOM },
		{ IRQS, I(table[0].control), 2, -EDOM },
		{ IRQS, I(table[15].control), 3, -EDOM },
		{ IRQS, I(table[15].control), 0, 0 }, { IRQS, I(pending) + 1, 0x80, 0 },
#undef CONFIG
#undef REGS
#undef IRQS
#undef R
#undef I
	};
	uint8_t pin = 0;
	unsigned int i;

	ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
	for (i = 0; i < ARRAY_SIZE(changes); i++) {
		struct tern_record *head = find_record(&self->s, changes[i].type);
		uint8_t *bytes = (void *)(head + 1), kept;

		ASSERT_NE(head, NULL);
		kept = bytes[changes[i].at];
		bytes[changes[i].at] = changes[i].value;
		seal_record(&self->s, head);
		ASSERT_EQ(variant->load->resume(&self->b), 0);
		EXPECT_EQ(variant->load->feed(&self->b, &self->s, 100000), changes[i].result)
			TH_LOG("record type %u: %#x at %#x", changes[i].type, changes[i].value,
			       changes[i].at);
		ASSERT_EQ(variant->load->abort(&self->b), 0);
		bytes[changes[i].at] = kept;
		seal_record(&self->s, head);
	}
	EXPECT_EQ(dev_read(&self->b, region_base(7) + 0x3d, &pin, 1), 1);
	EXPECT_EQ(pin, 1);
}

/*
 * P-11: a record that this device does not know is skipped if it is optional; if it is not,
 * or if it is too long, the stream is refused.
 */
TEST_F(chunks, P11_optional_record_is_skipped)
{
	static const struct {
		uint32_t flags, length;
		int result;
	} records[] = {
		{ TERN_RECORD_OPTIONAL, 0, 0 }, { TERN_RECORD_OPTIONAL, 100, 0 },
		{ TERN_RECORD_OPTIONAL, 1U << 30, -EMSGSIZE }, { 0, 100, -EOPNOTSUPP },
	};
	static const uint8_t payload[100] = { 1, 2, 3 };
	const size_t head_size = sizeof(struct tern_record);
	unsigned int i;
	uint32_t seed;

	touch(self->mem, 3, 1);
	ASSERT_EQ(set_state(&self->a, SAVING), 0);
	ASSERT_EQ(save_all(&self->a, &self->s), 0);
	seed = record_at(&self->s, 0)->crc32c;
	for (i = 0; i < ARRAY_SIZE(records); i++) {
		struct tern_record added = {
			.type = 1000, .flags = records[i].flags, .seq = 1,
			.length = records[i].length,
		};
		const size_t bytes = records[i].length > sizeof(payload) ? 0 : records[i].length;
		struct stream s = { 0 };
		size_t at;

		added.crc32c = reader_crc(reader_crc(seed, (void *)&added, 20), payload, bytes);
		stream_add(&s, self->s.buf, BEGIN_RECORD);
		stream_add(&s, &added, head_size);
		stream_add(&s, payload, bytes);
		for (at = BEGIN_RECORD; at < self->s.len;) {
			const size_t n = head_size + record_at(&self->s, at)->length;
			struct tern_record *head;

			stream_add(&s, self->s.buf + at, n);
			at += n;
			head = (void *)(s.buf + s.len - n);
			head->seq++;
			if (head->type == TERN_RECORD_END) {
				struct tern_end *end = (void *)(head + 1);

				end->records++;
				end->bytes += head_size + bytes;
			}
			head->crc32c = reader_crc(reader_crc(seed, (void *)head, 20),
						  (void *)(head + 1), head->length);
		}
		ASSERT_EQ(set_state(&self->b, RESUMING), 0);
		EXPECT_EQ(load_all(&self->b, &s, 100000), records[i].result)
			TH_LOG("flags %u, %u bytes", records[i].flags, records[i].length);
		if (records[i].result)
			ASSERT_EQ(set_state(&self->b, STOP), 0);
		ASSERT_EQ(set_state(&self->b, RUNNING), 0);
		if (!records[i].result)
			EXPECT_TRUE(same_memory(&self->a, &self->b));
		free(s.buf);
	}
}

/* The bytes of all passes add up, of those that are no longer kept one by one, too. */
TEST_F(pair, pass_bytes_add_up)
{
	unsigned int i;

	ASSERT_EQ(variant->save->begin(&self->a), 0);
	for (i = 0; i < 300; i++) {
		touch(self->mem, i % 4, i + 1);
		ASSERT_EQ(variant->save->drain(&self->a, &self->s, 2 * MIB), 0);
	}
	EXPECT_GE(attr_sum(UUID_A, "passes"), 300);
	EXPECT_EQ(attr_sum(UUID_A, "pass_bytes"), self->s.len);
	ASSERT_EQ(variant->save->end(&self->a, true), 0);
}

/* V1-10 P-12: read, where the protocol lets it choose, and written in pieces of every size. */
TEST_F(pair, V1_10_P12_stream_loads_in_any_pieces)
{
	static const size_t pieces[] = { 1, 7, 24, 4096, 4127, 65536, 262144 };
	unsigned int i;

	touch(self->mem, PAGES - 1, 2);
	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		/* By the byte it takes three accesses each: of one page, and not trapped as well. */
		if (pieces[i] == 1 &&
		    (variant->save == &v1_trapped || variant->load == &v1_trapped))
			continue;
		if (i)
			touch(self->mem, 1, 1);
		self->s.len = 0;
		ASSERT_EQ(variant->save->begin(&self->a), 0);
		ASSERT_EQ(variant->save->quiesce(&self->a), 0);
		ASSERT_EQ(variant->save->drain(&self->a, &self->s, pieces[i]), 0);
		ASSERT_EQ(save_by(&self->a, &self->s, pieces[i]), 0);
		EXPECT_EQ(self->s.len, BEGIN_RECORD + (i ? 2 : 1) * MEMORY_RECORD + FINAL_RECORDS);
		ASSERT_EQ(load_by(&self->b, &self->s, pieces[i]), 0);
		EXPECT_TRUE(same_memory(&self->a, &self->b));
		ASSERT_EQ(variant->save->end(&self->a, true), 0);
	}
}

/*
 * S-9 P-9 P-10 P-21 V1-20 V2-10 V2-11: a stream that is damaged or foreign fails at the bad
 * byte, and from then on; one that is cut fails when RESUMING is left. The device never
 * runs on either, keeps nothing of it, and a good one works afterwards.
 */
TEST_F(pair, S9_P9_P10_P21_V2_11_bad_stream_never_runs)
{
	static const uint8_t zero[PAGE];
	uint8_t page[PAGE];
	unsigned int i;

	for (i = 0; i < 10; i++)
		touch(self->mem, i, i + 1);
	bar0_write(&self->a, TERN_REG_SCRATCH(0), 42);
	ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
	for (i = 0; i < 6; i++) {
		struct stream bad = self->s;
		uint8_t *flipped = NULL;
		int expect = 0;

		if (i == 0)
			bad.len = 0;				/* nothing came */
		if (i == 1)
			bad.len -= 1;				/* cut */
		if (i == 2)
			bad.len = BEGIN_RECORD + MEMORY_RECORD;	/* cut between records */
		if (i == 3)
			flipped = bad.buf + bad.len / 2, expect = -EBADMSG;
		if (i == 4)
			flipped = bad.buf + bad.len - 1, expect = -EBADMSG;
		if (i == 5)
			bad.buf += BEGIN_RECORD, bad.len -= BEGIN_RECORD, expect = -EINVAL;
		if (flipped)
			*flipped ^= 4;
		ASSERT_EQ(variant->load->resume(&self->b), 0);
		EXPECT_EQ(variant->load->feed(&self->b, &bad, 5000), expect)
			TH_LOG("stream %u", i);
		if (flipped)
			*flipped ^= 4;
		if (expect) {
			EXPECT_EQ(variant->load->feed(&self->b, &self->s, 1), expect);
			EXPECT_EQ(variant->load->feed(&self->b, &self->s, 5000), expect);
		}
		EXPECT_EQ(variant->load->commit(&self->b), -EIO);
		EXPECT_EQ(variant->load->state(&self->b), RESUMING);
		ASSERT_EQ(variant->load->abort(&self->b), 0);
		ASSERT_EQ(dev_read(&self->b, self->b.bar2.offset, page, PAGE), PAGE);
		EXPECT_EQ(memcmp(page, zero, PAGE), 0);
		EXPECT_EQ(bar0_read(&self->b, TERN_REG_SCRATCH(0)), 0);
	}
	ASSERT_EQ(load_by(&self->b, &self->s, 5000), 0);
	EXPECT_TRUE(same_memory(&self->a, &self->b));
	EXPECT_EQ(bar0_read(&self->b, TERN_REG_SCRATCH(0)), 42);
	/* The source can always run again. */
	EXPECT_EQ(variant->save->end(&self->a, true), 0);
}

/* P-11 P-13: another geometry is refused before anything is touched. */
TEST_F(pair, P13_other_geometry_is_refused)
{
	touch(self->mem, 0, 1);
	ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
	ASSERT_EQ(device_again(&self->b, (struct setting){ .memory_mib = 8 }), 0);
	EXPECT_EQ(load_by(&self->b, &self->s, 4000), -ERANGE);
	EXPECT_EQ(variant->load->commit(&self->b), -EIO);
}

/* S-8: without pre-copy, nothing before the stop. */
TEST_F(chunks, S8_nothing_is_pending_before_the_stop)
{
	dev_close(&self->a);
	ASSERT_EQ(attr_set(UUID_A, "precopy", "0"), 0);
	ASSERT_EQ(device_again(&self->a, (struct setting){ .map_memory = true }), 0);
	self->mem = self->a.mem;
	touch(self->mem, 7, 7);
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	EXPECT_EQ(pending(&self->a), 0);
	EXPECT_EQ(data_size(&self->a), 0);
	MOVE(self);
	EXPECT_EQ(attr_sum(UUID_A, "passes"), 0);
	EXPECT_EQ(self->s.len, BEGIN_RECORD + MEMORY_RECORD + FINAL_RECORDS);
}

/* V1-21 V1-24 P-28: raised while stopped: not delivered there, delivered once here. */
TEST_F(pair, V1_24_P28_interrupt_is_delivered_once)
{
	int a = eventfd(0, EFD_NONBLOCK), b = eventfd(0, EFD_NONBLOCK);

	ASSERT_EQ(set_trigger(&self->a, VFIO_PCI_MSIX_IRQ_INDEX, 2, a), 0);
	ASSERT_EQ(set_trigger(&self->b, VFIO_PCI_MSIX_IRQ_INDEX, 2, b), 0);
	ASSERT_EQ(set_command(&self->a, MASTER), 0);
	ASSERT_EQ(variant->save->stop(&self->a), 0);
	bar0_write(&self->a, TERN_REG_DOORBELL, 2);
	EXPECT_EQ(signals(a), 0);
	ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
	ASSERT_EQ(variant->load->resume(&self->b), 0);
	ASSERT_EQ(variant->load->feed(&self->b, &self->s, 9999), 0);
	EXPECT_EQ(signals(b), 0);
	/* Eventfds are set again while it resumes, and survive the load. */
	ASSERT_EQ(set_trigger(&self->b, VFIO_PCI_MSIX_IRQ_INDEX, 2, b), 0);
	EXPECT_EQ(signals(b), 0);
	ASSERT_EQ(variant->load->commit(&self->b), 0);
	EXPECT_EQ(signals(b), 1);
	EXPECT_EQ(signals(b), 0);
	EXPECT_EQ(signals(a), 0);
	EXPECT_EQ(bar0_read(&self->b, TERN_REG_IRQ_STATUS), 1 << 2);
}

static uint16_t get_command(struct dev *d)
{
	uint16_t bits = 0xffff;

	dev_read(d, region_base(VFIO_PCI_CONFIG_REGION_INDEX) + 4, &bits, 2);
	return bits;
}

/*
 * V1-21: while it resumes a VMM restores config space and connects interrupts;
 * QEMU 5.2 before the data, those after it behind. Either way nothing of it is lost.
 */
TEST_F(pair, V1_21_setup_around_the_data_is_kept)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	unsigned int i;

	ASSERT_EQ(set_command(&self->a, 0x0406), 0);
	ASSERT_EQ(variant->save->stop(&self->a), 0);
	bar0_write(&self->a, TERN_REG_DOORBELL, 2);
	ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
	/* Bit 0: the command is written before the data, else after; bit 1: the eventfd. */
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(ioctl(self->b.fd, VFIO_DEVICE_RESET), 0);
		ASSERT_EQ(set_trigger(&self->b, VFIO_PCI_MSIX_IRQ_INDEX, 2, -1), 0);
		ASSERT_EQ(variant->load->resume(&self->b), 0);
		if (i & 1) {
			EXPECT_EQ(set_command(&self->b, 0x0406), 0);
			EXPECT_EQ(get_command(&self->b), 0x0406);
		}
		if (i & 2)
			EXPECT_EQ(set_trigger(&self->b, VFIO_PCI_MSIX_IRQ_INDEX, 2, fd), 0);
		ASSERT_EQ(variant->load->feed(&self->b, &self->s, 9999), 0);
		EXPECT_EQ(get_command(&self->b), 0x0406);
		if (!(i & 1)) {
			/* Another value than the one that is there, to see it written. */
			EXPECT_EQ(set_command(&self->b, 0x0446), 0);
			EXPECT_EQ(get_command(&self->b), 0x0446);
		}
		if (!(i & 2))
			EXPECT_EQ(set_trigger(&self->b, VFIO_PCI_MSIX_IRQ_INDEX, 2, fd), 0);
		EXPECT_EQ(signals(fd), 0);
		ASSERT_EQ(variant->load->commit(&self->b), 0);
		EXPECT_EQ(signals(fd), 1);
		EXPECT_EQ(get_command(&self->b), i & 1 ? 0x0406 : 0x0446);
		/* It is connected still. */
		bar0_write(&self->b, TERN_REG_DOORBELL, 2);
		EXPECT_EQ(signals(fd), 1);
	}
	close(fd);
}

/* A chain of migrations: a device that was loaded is saved in turn, by its own front end. */
TEST_F(pair, loaded_device_is_saved_in_turn)
{
	struct stream back = { 0 };
	unsigned int i;

	for (i = 0; i < 64; i++)
		touch(self->mem, i * 16, i + 1);
	MOVE(self);
	ASSERT_EQ(variant->load->begin(&self->b), 0);
	EXPECT_EQ(variant->load->pending(&self->b), BEGIN_RECORD + 64 * MEMORY_RECORD);
	ASSERT_EQ(save_by(&self->b, &back, MIB), 0);
	memset(self->mem, 0xee, PAGE);
	ASSERT_EQ(load_by(&self->a, &back, 100000), 0);
	EXPECT_TRUE(same_memory(&self->a, &self->b));
	free(back.buf);
}

/* P-33: one stream for all front ends, in pieces of several sizes. */
TEST_F(pair, P33_stream_loads_by_either_protocol)
{
	/* A byte at a time: V1_10_P12_stream_loads_in_any_pieces. */
	static const size_t pieces[] = { 7, 4127, 256 * 1024 };
	struct account account;
	unsigned int i;

	/* Few: in small pieces, a page is thousands of calls. */
	for (i = 0; i < 4; i++)
		memset((uint8_t *)self->mem + i * 3 * PAGE, i + 1, PAGE);
	bar0_write(&self->a, TERN_REG_SCRATCH(3), 1234);
	ASSERT_EQ(variant->save->begin(&self->a), 0);
	ASSERT_EQ(variant->save->drain(&self->a, &self->s, 100000), 0);
	touch(self->mem, 5, 0x77777777);
	ASSERT_EQ(save_by(&self->a, &self->s, 100000), 0);
	account = read_account(self->s.buf, self->s.len);
	EXPECT_EQ(account.wrong, NULL);
	EXPECT_EQ(account.records[TERN_RECORD_MEMORY], 5);
	EXPECT_EQ(self->s.len, BEGIN_RECORD + 5 * MEMORY_RECORD + FINAL_RECORDS);
	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		ASSERT_EQ(reset_by(&self->b, false), 0);
		ASSERT_EQ(load_by(&self->b, &self->s, pieces[i]), 0);
		EXPECT_TRUE(same_memory(&self->a, &self->b));
		EXPECT_EQ(bar0_read(&self->b, TERN_REG_SCRATCH(3)), 1234);
	}
}

TEST_HARNESS_MAIN
