// SPDX-License-Identifier: GPL-2.0-only
/* The DMA engine: what it moves, what it refuses, and that it stops and moves on. */
#include "dma.h"
#include "kselftest_harness.h"
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define VECTORS		16

FIXTURE(dma) {
	struct dev a, b;
	uint8_t *ram, *ram_b;	/* guest memory of either */
	uint8_t *mem;		/* BAR2 of a, mapped */
	struct stream s;
	int irq_a, irq_b;
};

/* Guest memory, bus mastering and an interrupt for a device that is open. */
static int connect_guest(struct dev *d, uint8_t *ram, int *irq)
{
	int ret = map_guest(d, ram, ADDRESS, RAM) ?: set_command(d, MASTER);

	*irq = eventfd(0, EFD_NONBLOCK);
	return ret ?: set_trigger(d, VFIO_PCI_MSIX_IRQ_INDEX, VECTOR, *irq);
}

FIXTURE_SETUP(dma)
{
	NEEDS_TERN();
	ASSERT_EQ(
		pair_on(&self->a, &self->b,
			(struct setting){ .memory_mib = 8, .map_memory = true, .by = &v1_mapped }),
		0);
	self->ram = anonymous(RAM);
	self->ram_b = anonymous(RAM);
	self->mem = self->a.mem;
	ASSERT_EQ(connect_guest(&self->a, self->ram, &self->irq_a), 0);
	ASSERT_EQ(connect_guest(&self->b, self->ram_b, &self->irq_b), 0);
}

FIXTURE_TEARDOWN(dma)
{
	EXPECT_EQ(pair_off(&self->a, &self->b, &self->s), 0);
	munmap(self->ram, RAM);
	munmap(self->ram_b, RAM);
	close(self->irq_a);
	close(self->irq_b);
}

static uint32_t crc_of(const uint8_t *p, size_t n)
{
	return ~reader_crc(~0U, p, n);
}

static const size_t lengths[] = { 1, 4095, 4096, 4097, 65535, 65536, 65537, 3 * MIB + 5 };
static const size_t offsets[] = { 0, 1, 4093, 65536 - 7 };

/* DMA-1: both ways, whatever the length and the alignment; the neighbours stay. */
TEST_F(dma, DMA_1_linear_transfer_leaves_neighbours)
{
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(lengths); i++)
		for (k = 0; k < ARRAY_SIZE(offsets); k++) {
			size_t n = lengths[i], at = 4096 + offsets[k], from = 8192 + offsets[3 - k];

			paint(self->ram, 4 * MIB, i);
			memset(self->mem, 0xee, 4 * MIB);
			ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_TO_DEVICE, ADDRESS + from, at, n),
				  DONE);
			EXPECT_EQ(bar0_read64(&self->a, TERN_DMA_DONE_LOW), n);
			EXPECT_EQ(memcmp(self->mem + at, self->ram + from, n), 0);
			EXPECT_EQ(self->mem[at - 1], 0xee);
			EXPECT_EQ(self->mem[at + n], 0xee);

			memset(self->ram, 0x11, 4 * MIB);
			ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_FROM_DEVICE, ADDRESS + from, at, n),
				  DONE);
			EXPECT_EQ(memcmp(self->mem + at, self->ram + from, n), 0);
			EXPECT_EQ(self->ram[from - 1], 0x11);
			EXPECT_EQ(self->ram[from + n], 0x11);
		}
}

/* DMA-2: fill, and CRC-32C, which is the usual one. */
TEST_F(dma, DMA_2_fill_and_crc_at_any_length)
{
	const uint32_t pattern = 0x12345678;
	unsigned int i, k;
	size_t j;

	memcpy(self->mem + 77, "123456789", 9);
	EXPECT_EQ(dma_do(&self->a, TERN_DMA_OP_CRC, 0, 77, 9), DONE);
	EXPECT_EQ(bar0_read(&self->a, TERN_DMA_CRC), 0xe3069283);
	bar0_write(&self->a, TERN_DMA_PATTERN, pattern);
	for (i = 0; i < ARRAY_SIZE(lengths); i++)
		for (k = 0; k < ARRAY_SIZE(offsets); k++) {
			size_t n = lengths[i], at = 4096 + offsets[k];
			bool same = true;

			memset(self->mem, 0xee, 4 * MIB);
			ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_FILL, 0, at, n), DONE);
			for (j = 0; j < n; j++)
				same &= self->mem[at + j] == (uint8_t)(pattern >> 8 * (j % 4));
			EXPECT_TRUE(same);
			EXPECT_EQ(self->mem[at - 1], 0xee);
			EXPECT_EQ(self->mem[at + n], 0xee);
			ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_CRC, 0, at, n), DONE);
			EXPECT_EQ(bar0_read(&self->a, TERN_DMA_CRC), crc_of(self->mem + at, n));
		}
	/* Memory that was never written sums up as zeroes. */
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_CRC, 0, 6 * MIB, 4096), DONE);
	EXPECT_EQ(bar0_read(&self->a, TERN_DMA_CRC), 0x98f94189);
}

/* A list at the start of RAM, of pieces behind it. The bytes it stands for. */
static uint64_t put_list(uint8_t *ram, unsigned int entries, uint64_t first)
{
	struct tern_dma_entry *list = (void *)ram;
	uint64_t at = first, sum = 0;
	unsigned int i;

	for (i = 0; i < entries; i++) {
		uint32_t n = 1 + (i * 7919) % 20000 + (i % 5 == 0) * 100000;

		list[i] = (struct tern_dma_entry){ .address = ADDRESS + at, .length = n };
		at += n + 13;
		sum += n;
	}
	return sum;
}

/* DMA-3: scatter and gather. */
TEST_F(dma, DMA_3_list_scatters_and_gathers)
{
	const unsigned int entries = 100;	/* and some 3 MiB */
	const uint32_t list = TERN_DMA_LIST;
	struct tern_dma_entry *e = (void *)self->ram;
	uint64_t sum, at;
	unsigned int i;

	paint(self->ram, RAM, 1);
	/* One that is valid lies behind them, and does not count. */
	sum = put_list(self->ram, entries + 1, 4096) - e[entries].length;
	bar0_write(&self->a, TERN_DMA_ENTRIES, entries);
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_TO_DEVICE | list, ADDRESS, 4321, sum), DONE);
	for (i = 0, at = 4321; i < entries; at += e[i++].length)
		EXPECT_EQ(memcmp(self->mem + at, self->ram + (e[i].address - ADDRESS), e[i].length),
			  0);

	memset(self->ram + 4096, 0x11, RAM - 4096);
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_FROM_DEVICE | list, ADDRESS, 4321, sum), DONE);
	for (i = 0, at = 4321; i < entries; at += e[i++].length) {
		EXPECT_EQ(memcmp(self->mem + at, self->ram + (e[i].address - ADDRESS), e[i].length),
			  0);
		EXPECT_EQ(self->ram[e[i].address - ADDRESS + e[i].length], 0x11);
	}

	/* Less than the list holds is fine; more is not, and what could be done was. */
	EXPECT_EQ(dma_do(&self->a, TERN_DMA_OP_FROM_DEVICE | list, ADDRESS, 0, sum - 1), DONE);
	EXPECT_EQ(dma_do(&self->a, TERN_DMA_OP_FROM_DEVICE | list, ADDRESS, 0, sum + 1),
		  ERROR(LIST));
	EXPECT_EQ(bar0_read64(&self->a, TERN_DMA_DONE_LOW), sum);
	e[1].length = 0;
	EXPECT_EQ(dma_do(&self->a, TERN_DMA_OP_FROM_DEVICE | list, ADDRESS, 0, sum), ERROR(LIST));
	EXPECT_EQ(bar0_read64(&self->a, TERN_DMA_DONE_LOW), e[0].length);
	e[0].reserved = 1;
	EXPECT_EQ(dma_do(&self->a, TERN_DMA_OP_FROM_DEVICE | list, ADDRESS, 0, sum), ERROR(LIST));
	EXPECT_EQ(bar0_read64(&self->a, TERN_DMA_DONE_LOW), 0);
}

/* DMA-4 DMA-8: whatever is wrong ends in a status of its own, and the next one works. */
TEST_F(dma, DMA_4_DMA_8_each_error_has_its_status)
{
	static const struct {
		uint32_t command;
		uint64_t address, offset, length;
		uint32_t entries, status;
	} wrong[] = {
		{ 0, ADDRESS, 0, 1, 0, ERROR(COMMAND) },
		{ 5, ADDRESS, 0, 1, 0, ERROR(COMMAND) },
		{ TERN_DMA_OP_FILL | 1U << 6, ADDRESS, 0, 1, 0, ERROR(COMMAND) },
		{ TERN_DMA_OP_FILL | 1U << 31, ADDRESS, 0, 1, 0, ERROR(COMMAND) },
		{ TERN_DMA_OP_FILL | TERN_DMA_VECTOR(16), ADDRESS, 0, 1, 0, ERROR(COMMAND) },
		{ TERN_DMA_OP_FILL | TERN_DMA_LIST, ADDRESS, 0, 1, 1, ERROR(COMMAND) },
		{ TERN_DMA_OP_CRC | TERN_DMA_LIST, ADDRESS, 0, 1, 1, ERROR(COMMAND) },
		{ TERN_DMA_OP_FILL, 0, 0, 0, 0, ERROR(LENGTH) },
		{ TERN_DMA_OP_FILL, 0, MEMORY, 1, 0, ERROR(RANGE) },
		{ TERN_DMA_OP_FILL, 0, MEMORY - 1, 2, 0, ERROR(RANGE) },
		{ TERN_DMA_OP_FILL, 0, ~0ULL, 2, 0, ERROR(RANGE) },
		{ TERN_DMA_OP_CRC, 0, 1, ~0ULL, 0, ERROR(RANGE) },
		{ TERN_DMA_OP_CRC, 0, 0, 1ULL << 32 | 1, 0, ERROR(RANGE) },
		{ TERN_DMA_OP_TO_DEVICE, ADDRESS - 1, 0, 1, 0, ERROR(ADDRESS) },
		{ TERN_DMA_OP_FROM_DEVICE, ADDRESS + RAM, 0, 1, 0, ERROR(ADDRESS) },
		{ TERN_DMA_OP_FROM_DEVICE, ~0ULL, 0, 2, 0, ERROR(ADDRESS) },
		{ TERN_DMA_OP_TO_DEVICE | TERN_DMA_LIST, ADDRESS, 0, 1, 0, ERROR(LIST) },
		{ TERN_DMA_OP_TO_DEVICE | TERN_DMA_LIST, ~0ULL - 8, 0, 1, 1, ERROR(ADDRESS) },
		{ TERN_DMA_OP_TO_DEVICE | TERN_DMA_LIST, 0, 0, 1, 1, ERROR(ADDRESS) },
	};
	struct tern_dma_entry *e = (void *)self->ram;
	unsigned int i;

	memset(self->mem, 0xee, 2 * MIB);
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		uint32_t command = wrong[i].command | TERN_DMA_INTERRUPT;

		bar0_write(&self->a, TERN_DMA_ENTRIES, wrong[i].entries);
		EXPECT_EQ(dma_do(&self->a, command, wrong[i].address, wrong[i].offset,
				 wrong[i].length),
			  wrong[i].status)
			TH_LOG("number %u", i);
		EXPECT_EQ(bar0_read64(&self->a, TERN_DMA_DONE_LOW), 0);
	}
	/* Nor is a vector raised that the device does not have. */
	EXPECT_EQ(bar0_read(&self->a, TERN_REG_IRQ_STATUS), 1);
	/* The end of the map is in the middle of a transfer: what lies before is done. */
	EXPECT_EQ(dma_do(&self->a, TERN_DMA_OP_FROM_DEVICE, ADDRESS + RAM - PIECE, 0, 2 * PIECE),
		  ERROR(ADDRESS));
	EXPECT_EQ(bar0_read64(&self->a, TERN_DMA_DONE_LOW), PIECE);
	/* An entry whose end no number can tell. */
	e[0] = (struct tern_dma_entry){ .address = ~0ULL - 3, .length = 8 };
	bar0_write(&self->a, TERN_DMA_ENTRIES, 1);
	EXPECT_EQ(dma_do(&self->a, TERN_DMA_OP_TO_DEVICE | TERN_DMA_LIST, ADDRESS, 0, 8),
		  ERROR(ADDRESS));
	/* Without bus mastering the device reaches no guest memory, and all of its own. */
	ASSERT_EQ(set_command(&self->a, MASTER & ~4), 0);
	EXPECT_EQ(dma_do(&self->a, TERN_DMA_OP_TO_DEVICE, ADDRESS, 0, 1), ERROR(MASTER));
	EXPECT_EQ(dma_do(&self->a, TERN_DMA_OP_CRC, 0, 0, 1), DONE);
	ASSERT_EQ(set_command(&self->a, MASTER), 0);
	EXPECT_TRUE(all_are(self->mem, 2 * MIB, 0xee));

	paint(self->ram, PIECE, 3);
	EXPECT_EQ(dma_do(&self->a, TERN_DMA_OP_TO_DEVICE, ADDRESS, 0, PIECE), DONE);
	EXPECT_EQ(memcmp(self->mem, self->ram, PIECE), 0);
}

/* DMA-5: the end is signalled by an interrupt, once, or not; a failure is an end, too. */
TEST_F(dma, DMA_5_end_is_signalled_once)
{
	const uint32_t tell = TERN_DMA_INTERRUPT | TERN_DMA_VECTOR(VECTOR);
	struct pollfd wait = { .fd = self->irq_a, .events = POLLIN };

	EXPECT_EQ(dma_do(&self->a, TERN_DMA_OP_FILL, 0, 0, PIECE), DONE);
	EXPECT_EQ(signals(self->irq_a), 0);
	EXPECT_EQ(bar0_read(&self->a, TERN_REG_IRQ_STATUS), 0);

	dma_start(&self->a, TERN_DMA_OP_FILL | tell, 0, 0, 3 * PIECE);
	ASSERT_EQ(poll(&wait, 1, -1), 1);
	/* When the interrupt comes, the transfer is done. */
	EXPECT_EQ(bar0_read(&self->a, TERN_DMA_STATUS), DONE);
	EXPECT_EQ(bar0_read(&self->a, TERN_REG_IRQ_STATUS), 1 << VECTOR);
	EXPECT_EQ(signals(self->irq_a), 1);

	EXPECT_EQ(dma_do(&self->a, TERN_DMA_OP_FILL | tell, 0, MEMORY, 1), ERROR(RANGE));
	EXPECT_EQ(signals(self->irq_a), 1);
	EXPECT_EQ(dma_do(&self->a, TERN_DMA_OP_TO_DEVICE | tell, 0, 0, 1), ERROR(ADDRESS));
	ASSERT_EQ(poll(&wait, 1, -1), 1);
	EXPECT_EQ(signals(self->irq_a), 1);

	/* Masked, it waits for the unmasking. */
	bar0_write(&self->a, TERN_REG_IRQ_MASK, 1 << VECTOR);
	EXPECT_EQ(dma_do(&self->a, TERN_DMA_OP_FILL | tell, 0, 0, 1), DONE);
	EXPECT_EQ(signals(self->irq_a), 0);
	bar0_write(&self->a, TERN_REG_IRQ_MASK, 0);
	EXPECT_EQ(signals(self->irq_a), 1);
}

/* DMA-6: a transfer that is under way is not disturbed by writes to its registers. */
TEST_F(dma, DMA_6_busy_engine_ignores_register_writes)
{
	paint(self->ram, PIECE, 4);
	/* Stopped, it begins and does not move. */
	ASSERT_EQ(set_state(&self->a, STOP), 0);
	dma_start(&self->a, TERN_DMA_OP_TO_DEVICE, ADDRESS, 8192, PIECE);
	EXPECT_EQ(bar0_read(&self->a, TERN_DMA_STATUS), TERN_DMA_BUSY);
	dma_start(&self->a, TERN_DMA_OP_FILL, 0, 0, 5);
	bar0_write(&self->a, TERN_DMA_PATTERN, 5);
	bar0_write(&self->a, TERN_DMA_ENTRIES, 5);
	bar0_write(&self->a, TERN_DMA_STATUS, 0);
	EXPECT_EQ(bar0_read(&self->a, TERN_DMA_COMMAND), TERN_DMA_OP_TO_DEVICE);
	EXPECT_EQ(bar0_read64(&self->a, TERN_DMA_ADDRESS_LOW), ADDRESS);
	EXPECT_EQ(bar0_read64(&self->a, TERN_DMA_OFFSET_LOW), 8192);
	EXPECT_EQ(bar0_read64(&self->a, TERN_DMA_LENGTH_LOW), PIECE);
	EXPECT_EQ(bar0_read(&self->a, TERN_DMA_PATTERN), 0);
	EXPECT_EQ(bar0_read(&self->a, TERN_DMA_ENTRIES), 0);
	EXPECT_EQ(bar0_read64(&self->a, TERN_DMA_DONE_LOW), 0);
	EXPECT_TRUE(all_are(self->mem, PIECE + 8192, 0));
	ASSERT_EQ(set_state(&self->a, RUNNING), 0);
	EXPECT_EQ(dma_wait(&self->a), DONE);
	EXPECT_EQ(memcmp(self->mem + 8192, self->ram, PIECE), 0);
}

/* DMA-7: aimed at the device's own memory it neither hangs nor loses a mark. */
TEST_F(dma, DMA_7_own_memory_is_copied_and_marked)
{
	const uint64_t own = 0x100000000ULL;
	unsigned int i;

	ASSERT_EQ(map_guest(&self->a, self->mem, own, MEMORY), 0);
	paint(self->mem, MIB, 9);
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	ASSERT_EQ(save_all(&self->a, &self->s), 0);
	for (i = 1; i < 8; i++) {
		/* One of its pages becomes another one's, either way. */
		ASSERT_EQ(dma_do(&self->a, i % 2 ? TERN_DMA_OP_FROM_DEVICE : TERN_DMA_OP_TO_DEVICE,
				 own + (i % 2 ? i : i - 1) * MIB, (i % 2 ? i - 1 : i) * MIB, MIB),
			  DONE);
		EXPECT_EQ(memcmp(self->mem, self->mem + i * MIB, MIB), 0);
		EXPECT_EQ(pending(&self->a), 256 * MEMORY_RECORD);
		ASSERT_EQ(save_all(&self->a, &self->s), 0);
	}
	/* While it moves, a harvest meets it. */
	dma_start(&self->a, TERN_DMA_OP_FROM_DEVICE, own + MEMORY / 2, 0, MEMORY / 2);
	while (bar0_read(&self->a, TERN_DMA_STATUS) == TERN_DMA_BUSY)
		ASSERT_EQ(save_all(&self->a, &self->s), 0);
	EXPECT_EQ(bar0_read(&self->a, TERN_DMA_STATUS), DONE);
	ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
	ASSERT_EQ(load_by(&self->b, &self->s, MIB), 0);
	for (i = 0; i < MEMORY; i += RAM) {
		EXPECT_EQ(dma_do(&self->b, TERN_DMA_OP_FROM_DEVICE, ADDRESS, i, RAM), DONE);
		EXPECT_EQ(memcmp(self->ram_b, self->mem + i, RAM), 0);
	}
	EXPECT_EQ(unmap_guest(&self->a, own, MEMORY), 0);
}

/* What the engine writes to device memory is dirty, page by page; reads are not. */
TEST_F(dma, DMA_1_P4_written_device_memory_is_marked)
{
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_TO_DEVICE, ADDRESS, 4095, 4098), DONE);
	EXPECT_EQ(pending(&self->a), BEGIN_RECORD + 3 * MEMORY_RECORD);
	ASSERT_EQ(save_all(&self->a, &self->s), 0);
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_FILL, 0, 0, 40 * PAGE), DONE);
	EXPECT_EQ(pending(&self->a), 40 * MEMORY_RECORD);
	ASSERT_EQ(save_all(&self->a, &self->s), 0);
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_FROM_DEVICE, ADDRESS, 0, RAM), DONE);
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_CRC, 0, 0, MEMORY), DONE);
	EXPECT_EQ(pending(&self->a), 0);
}

/* V1-18 P-32: once the write that stops it has returned, nothing is written. */
TEST_F(dma, V1_18_P32_stop_stops_dma)
{
	uint8_t *copy = anonymous(RAM);
	unsigned int caught = 0, i;
	uint64_t done;

	paint(self->mem, MEMORY, 1);
	for (i = 0; again(i, 10, caught, 5); i++) {
		memset(self->ram + LIST, 0x11, RAM - LIST);
		start_long(&self->a, self->ram, TERN_DMA_OP_FROM_DEVICE | TERN_DMA_LIST | LONG);
		ASSERT_EQ(set_state(&self->a, i % 2 ? SAVING : STOP), 0);
		done = bar0_read64(&self->a, TERN_DMA_DONE_LOW);
		memcpy(copy, self->ram, RAM);
		EXPECT_EQ(signals(self->irq_a), done == MEMORY);
		/* What is written is what is reported as done, to the byte. */
		if (done < SPAN) {
			EXPECT_EQ(memcmp(copy + LIST, self->mem, done), 0);
			EXPECT_TRUE(all_are(copy + LIST + done, RAM - LIST - done, 0x11));
		}
		if (i % 2)
			ASSERT_EQ(save_all(&self->a, &self->s), 0);
		self->s.len = 0;
		EXPECT_EQ(memcmp(copy, self->ram, RAM), 0);
		EXPECT_EQ(bar0_read64(&self->a, TERN_DMA_DONE_LOW), done);
		caught += done < MEMORY;
		ASSERT_EQ(set_state(&self->a, RUNNING), 0);
		ASSERT_EQ(dma_wait(&self->a), DONE);
		EXPECT_EQ(signals(self->irq_a), done < MEMORY);
		EXPECT_EQ(memcmp(self->ram + LIST, self->mem + MEMORY - SPAN, SPAN), 0);
	}
	TH_LOG("%u of %u were caught on their way", caught, i);
	EXPECT_GE(caught, 5);
	munmap(copy, RAM);
}

static void move(struct __test_metadata *_metadata, FIXTURE_DATA(dma) *self)
{
	self->s.len = 0;
	ASSERT_EQ(set_state(&self->a, SAVING), 0);
	/* The VMM copies guest memory. */
	memcpy(self->ram_b, self->ram, RAM);
	ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
	ASSERT_EQ(set_state(&self->b, RESUMING), 0);
	ASSERT_EQ(load_all(&self->b, &self->s, MIB), 0);
}

/* DMA-9: under way at the stop, it is finished on the destination, once. */
TEST_F(dma, DMA_9_transfer_finishes_on_the_destination)
{
	static const uint32_t ops[] = {
		TERN_DMA_OP_TO_DEVICE, TERN_DMA_OP_FROM_DEVICE, TERN_DMA_OP_FILL, TERN_DMA_OP_CRC,
	};
	uint8_t *mem_b = anonymous(MEMORY);
	unsigned int i, k, caught = 0;
	uint64_t done;

	for (i = 0; again(i, ARRAY_SIZE(ops), caught, 2); i++) {
		uint32_t op = ops[i % ARRAY_SIZE(ops)];
		uint32_t list = op <= TERN_DMA_OP_FROM_DEVICE ? TERN_DMA_LIST : 0;

		paint(self->mem, MEMORY, i);
		paint(self->ram, RAM, i + 99);
		start_long(&self->a, self->ram, op | list | LONG);
		move(_metadata, self);
		done = bar0_read64(&self->a, TERN_DMA_DONE_LOW);
		caught += done < MEMORY;
		EXPECT_EQ(bar0_read64(&self->b, TERN_DMA_DONE_LOW), done);
		EXPECT_EQ(bar0_read(&self->b, TERN_DMA_STATUS), done < MEMORY ? TERN_DMA_BUSY : DONE);
		ASSERT_EQ(set_state(&self->b, RUNNING), 0);
		ASSERT_EQ(dma_wait(&self->b), DONE);
		EXPECT_EQ(bar0_read64(&self->b, TERN_DMA_DONE_LOW), MEMORY);
		/* One interrupt, on one side. */
		EXPECT_EQ(signals(self->irq_a), done == MEMORY);
		EXPECT_EQ(signals(self->irq_b), done < MEMORY);
		EXPECT_EQ(bar0_read(&self->b, TERN_REG_IRQ_STATUS), 1 << VECTOR);

		ASSERT_EQ(dev_read(&self->b, self->b.bar2.offset, mem_b, MEMORY), MEMORY);
		if (op == TERN_DMA_OP_TO_DEVICE)
			for (k = 0; k < MEMORY; k += SPAN)
				EXPECT_EQ(memcmp(mem_b + k, self->ram_b + LIST, SPAN), 0);
		if (op == TERN_DMA_OP_FROM_DEVICE)
			EXPECT_EQ(memcmp(self->ram_b + LIST, self->mem + MEMORY - SPAN, SPAN), 0);
		if (op == TERN_DMA_OP_FILL)
			EXPECT_TRUE(all_are(mem_b, MEMORY, 0x5a));
		if (op == TERN_DMA_OP_CRC)
			EXPECT_EQ(bar0_read(&self->b, TERN_DMA_CRC), crc_of(self->mem, MEMORY));
		ASSERT_EQ(set_state(&self->b, STOP), 0);
		ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_RESET), 0);
		ASSERT_EQ(set_command(&self->a, MASTER), 0);
	}
	/* Those by list take their time; the others may be over. */
	TH_LOG("%u of %u were caught on their way", caught, i);
	EXPECT_GE(caught, 2);
	munmap(mem_b, MEMORY);
}

/* A vector that is pending at the stop. That of the transfer is VECTOR. */
#define WAITING		3

/* All vectors by one call, each with an eventfd of its own, as Cloud Hypervisor does. */
static int connect_vectors(struct dev *d, const int *fds)
{
	struct {
		struct vfio_irq_set head;
		int fds[VECTORS];
	} set = {
		.head = {
			.argsz = sizeof(set),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_MSIX_IRQ_INDEX, .count = VECTORS,
		},
	};

	memcpy(set.fds, fds, sizeof(set.fds));
	return ioctl(d->fd, VFIO_DEVICE_SET_IRQS, &set) ? -errno : 0;
}

static int disconnect_vectors(struct dev *d)
{
	return set_irqs(d, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
			VFIO_PCI_MSIX_IRQ_INDEX, 0, 0, -1);
}

static void make_vectors(int *fds)
{
	unsigned int i;

	for (i = 0; i < VECTORS; i++)
		fds[i] = eventfd(0, EFD_NONBLOCK);
}

/* How often each vector was signalled, four bits for each. */
static uint64_t count_signals(const int *fds)
{
	uint64_t counts = 0;
	unsigned int i;

	for (i = 0; i < VECTORS; i++)
		counts |= (signals(fds[i]) & 0xf) << 4 * i;
	return counts;
}

#define ONCE(vector)	(1ULL << 4 * (vector))

/*
 * Save a device with a transfer in progress and a pending vector in Cloud Hypervisor's order:
 * STOP, then STOP_COPY, read to the end, and STOP. Returns how much of the transfer is done.
 */
static uint64_t save_stopped(struct __test_metadata *_metadata, FIXTURE_DATA(dma) *self)
{
	int fd;

	self->s.len = 0;
	paint(self->mem, MEMORY, 1);
	start_long(&self->a, self->ram, TERN_DMA_OP_FROM_DEVICE | TERN_DMA_LIST | LONG);
	EXPECT_EQ(go(&self->a, S_STOP), 0);
	bar0_write(&self->a, TERN_REG_DOORBELL, WAITING);
	memcpy(self->ram_b, self->ram, RAM);
	EXPECT_EQ(go_open(&self->a, S_STOP_COPY, &fd), 0);
	EXPECT_EQ(read_all(fd, &self->s, MIB), 0);
	EXPECT_EQ(go(&self->a, S_STOP), 0);
	close(fd);
	return bar0_read64(&self->a, TERN_DMA_DONE_LOW);
}

/* Reset the source for the next try. */
static void start_over(struct __test_metadata *_metadata, FIXTURE_DATA(dma) *self)
{
	EXPECT_EQ(reset_by(&self->a, false) ?: set_command(&self->a, MASTER), 0);
	signals(self->irq_a);
}

/*
 * DMA-9 V1-21 V1-24 P-28: Cloud Hypervisor enables bus mastering and connects all vectors
 * after the data, while the device is still in RESUMING. Before it runs, nothing is signalled
 * and no DMA is done. Then there is one interrupt for the pending vector and one for the
 * transfer, which completes once.
 */
TEST_F(dma, DMA_9_V1_21_V1_24_P28_setup_while_resuming_as_cloud_hypervisor)
{
	unsigned int i, caught = 0;
	int fds[VECTORS], fd;
	uint64_t done;

	make_vectors(fds);
	for (i = 0; again(i, 3, caught, 3); i++) {
		done = save_stopped(_metadata, self);
		EXPECT_EQ(signals(self->irq_a), done == MEMORY);
		caught += done < MEMORY;

		ASSERT_EQ(reset_by(&self->b, false) ?: disconnect_vectors(&self->b), 0);
		ASSERT_EQ(go_open(&self->b, S_RESUMING, &fd), 0);
		ASSERT_EQ(write_all(fd, &self->s, MIB), 0);
		close(fd);
		ASSERT_EQ(set_command(&self->b, MASTER), 0);
		ASSERT_EQ(connect_vectors(&self->b, fds), 0);
		let_it_run();
		EXPECT_EQ(count_signals(fds), 0);
		EXPECT_EQ(bar0_read64(&self->b, TERN_DMA_DONE_LOW), done);
		EXPECT_EQ(where(&self->b), S_RESUMING);

		ASSERT_EQ(go(&self->b, S_RUNNING), 0);
		EXPECT_EQ(dma_wait(&self->b), DONE);
		EXPECT_EQ(bar0_read64(&self->b, TERN_DMA_DONE_LOW), MEMORY);
		EXPECT_EQ(memcmp(self->ram_b + LIST, self->mem + MEMORY - SPAN, SPAN), 0);
		EXPECT_TRUE(all_are(self->ram_b + LIST + SPAN, RAM - LIST - SPAN, 0));
		EXPECT_EQ(count_signals(fds), ONCE(WAITING) | (done < MEMORY ? ONCE(VECTOR) : 0));
		let_it_run();
		EXPECT_EQ(count_signals(fds), 0);
		EXPECT_EQ(bar0_read(&self->b, TERN_REG_IRQ_STATUS), 1 << WAITING | 1 << VECTOR);
		start_over(_metadata, self);
	}
	TH_LOG("%u of %u were caught on their way", caught, i);
	EXPECT_GE(caught, 3);
	for (i = 0; i < VECTORS; i++)
		close(fds[i]);
}

/*
 * V2-7 V2-11 P-14 P-21 P-28: after a stream that is refused, Cloud Hypervisor resets the
 * device, enables bus mastering and connects the vectors again. The device works from its reset
 * state. It signals no interrupt of the stream, and writes no byte of its transfer. The
 * undamaged stream loads thereafter.
 */
TEST_F(dma, V2_7_V2_11_P14_P21_P28_rearmed_after_a_refused_stream)
{
	/* The pending vectors, the transfer, and the end, which completes a load. */
	static const uint32_t damaged[] = {
		TERN_RECORD_INTERRUPTS, TERN_RECORD_DMA, TERN_RECORD_END,
	};
	struct tern_record *head;
	int fds[VECTORS], fd;
	unsigned int i;
	uint64_t done;

	make_vectors(fds);
	done = save_stopped(_metadata, self);
	/* The device must not write to it before the undamaged stream is loaded. */
	memset(self->ram_b + LIST, 0x11, RAM - LIST);
	for (i = 0; i < ARRAY_SIZE(damaged); i++) {
		head = find_record(&self->s, damaged[i]);
		ASSERT_NE(head, NULL);
		head->crc32c ^= 1;
		ASSERT_EQ(go_open(&self->b, S_RESUMING, &fd), 0);
		EXPECT_LT(write_all(fd, &self->s, MIB), 0);
		EXPECT_LT(write_all(fd, &self->s, MIB), 0);
		close(fd);
		head->crc32c ^= 1;

		ASSERT_EQ(reset_by(&self->b, false), 0);
		EXPECT_EQ(where(&self->b), S_RUNNING);
		ASSERT_EQ(set_command(&self->b, MASTER), 0);
		ASSERT_EQ(connect_vectors(&self->b, fds), 0);
		let_it_run();
		EXPECT_EQ(count_signals(fds), 0);
		EXPECT_EQ(signals(self->irq_b), 0);
		EXPECT_EQ(bar0_read(&self->b, TERN_DMA_STATUS), TERN_DMA_IDLE);
		EXPECT_TRUE(all_are(self->ram_b + LIST, RAM - LIST, 0x11));
		EXPECT_EQ(dma_do(&self->b, TERN_DMA_OP_TO_DEVICE | LONG, ADDRESS, 0, PIECE), DONE);
		bar0_write(&self->b, TERN_REG_DOORBELL, WAITING);
		EXPECT_EQ(count_signals(fds), ONCE(WAITING) | ONCE(VECTOR));
	}
	ASSERT_EQ(go_open(&self->b, S_RESUMING, &fd), 0);
	ASSERT_EQ(write_all(fd, &self->s, MIB), 0);
	close(fd);
	ASSERT_EQ(set_command(&self->b, MASTER), 0);
	ASSERT_EQ(connect_vectors(&self->b, fds), 0);
	ASSERT_EQ(go(&self->b, S_RUNNING), 0);
	EXPECT_EQ(dma_wait(&self->b), DONE);
	EXPECT_EQ(count_signals(fds), ONCE(WAITING) | (done < MEMORY ? ONCE(VECTOR) : 0));
	if (done <= MEMORY - SPAN)
		EXPECT_EQ(memcmp(self->ram_b + LIST, self->mem + MEMORY - SPAN, SPAN), 0);
	for (i = 0; i < VECTORS; i++)
		close(fds[i]);
}

/*
 * V1-18 P-32: once the write that puts the device into D3hot has returned, nothing is
 * written. D0 finishes the transfer, here or where the device was migrated to meanwhile,
 * with one interrupt.
 */
TEST_F(dma, V1_18_P32_d3hot_stops_dma)
{
	uint8_t *copy = anonymous(RAM);
	unsigned int i, caught = 0;
	bool here;

	for (i = 0; again(i, 10, caught, 6); i++) {
		struct dev *d = i % 2 ? &self->b : &self->a;
		uint8_t *ram = i % 2 ? self->ram_b : self->ram;

		paint(self->mem, MEMORY, i);
		memset(self->ram + LIST, 0x11, RAM - LIST);
		start_long(&self->a, self->ram, TERN_DMA_OP_FROM_DEVICE | TERN_DMA_LIST | LONG);
		ASSERT_EQ(set_power(&self->a, D3HOT), 0);
		memcpy(copy, self->ram, RAM);
		here = signals(self->irq_a);
		let_it_run();
		EXPECT_EQ(memcmp(copy, self->ram, RAM), 0);
		EXPECT_EQ(signals(self->irq_a), 0);
		if (i % 2) {
			move(_metadata, self);
			ASSERT_EQ(set_state(d, RUNNING), 0);
			let_it_run();
		}
		EXPECT_EQ(memcmp(copy, ram, RAM), 0);
		EXPECT_EQ(bar0_read(d, TERN_DMA_STATUS), ~0U);
		ASSERT_EQ(set_power(d, D0), 0);
		ASSERT_EQ(dma_wait(d), DONE);
		EXPECT_EQ(bar0_read64(d, TERN_DMA_DONE_LOW), MEMORY);
		EXPECT_EQ(memcmp(ram + LIST, self->mem + MEMORY - SPAN, SPAN), 0);
		EXPECT_EQ(signals(i % 2 ? self->irq_b : self->irq_a), !here);
		caught += !here;
		if (i % 2) {
			ASSERT_EQ(set_state(&self->b, STOP), 0);
			ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_RESET), 0);
			ASSERT_EQ(set_command(&self->a, MASTER), 0);
		}
	}
	TH_LOG("%u of %u were caught on their way", caught, i);
	EXPECT_GE(caught, 6);

	/* What needs no bus mastering rests as well: a fill of device memory. */
	for (i = 0, caught = 0; again(i, 10, caught, 5); i++) {
		ASSERT_EQ(set_command(&self->a, MASTER & ~4), 0);
		memset(self->mem, 0x11, MEMORY);
		bar0_write(&self->a, TERN_DMA_PATTERN, 0x5a5a5a5a);
		dma_start(&self->a, TERN_DMA_OP_FILL, 0, 0, MEMORY);
		while (!bar0_read64(&self->a, TERN_DMA_DONE_LOW))
			sched_yield();
		ASSERT_EQ(set_power(&self->a, D3HOT), 0);
		memcpy(copy, self->mem + MEMORY - RAM, RAM);
		here = copy[RAM - 1] == 0x5a;
		let_it_run();
		EXPECT_EQ(memcmp(copy, self->mem + MEMORY - RAM, RAM), 0);
		caught += !here;
		ASSERT_EQ(set_power(&self->a, D0), 0);
		ASSERT_EQ(dma_wait(&self->a), DONE);
		EXPECT_TRUE(all_are(self->mem, MEMORY, 0x5a));
	}
	TH_LOG("%u of %u fills were caught on their way", caught, i);
	EXPECT_GE(caught, 5);
	munmap(copy, RAM);
}

/* P-14 P-30: a reset ends a transfer, without an interrupt; and so does a close. */
TEST_F(dma, P14_P30_reset_and_close_end_a_transfer)
{
	uint8_t *copy = anonymous(RAM);
	unsigned int i, k;

	for (k = 0; k < 2; k++) {
		paint(self->mem, MEMORY, 1);
		start_long(&self->a, self->ram, TERN_DMA_OP_FROM_DEVICE | TERN_DMA_LIST | LONG);
		ASSERT_EQ(reset_by(&self->a, k), 0);
		memcpy(copy, self->ram, RAM);
		for (i = TERN_DMA_COMMAND; i <= TERN_DMA_CRC; i += 4)
			EXPECT_EQ(bar0_read(&self->a, i), 0);
		EXPECT_TRUE(all_are(self->mem, MEMORY, 0));
		EXPECT_EQ(memcmp(copy, self->ram, RAM), 0);
		ASSERT_EQ(set_command(&self->a, MASTER), 0);
	}

	start_long(&self->a, self->ram, TERN_DMA_OP_FROM_DEVICE | TERN_DMA_LIST | LONG);
	dev_close(&self->a);
	memcpy(copy, self->ram, RAM);
	ASSERT_EQ(dev_open(&self->a, UUID_A), 0);
	EXPECT_EQ(bar0_read(&self->a, TERN_DMA_STATUS), TERN_DMA_IDLE);
	EXPECT_EQ(memcmp(copy, self->ram, RAM), 0);
	munmap(copy, RAM);
}

/* V1-27 V1-29 P-26: memory that is unmapped under a transfer is released at once. */
TEST_F(dma, V1_27_V1_29_P26_unmap_releases_memory)
{
	uint8_t *copy = anonymous(RAM);
	unsigned int i, caught = 0;
	uint32_t status;

	for (i = 0; again(i, 10, caught, 5); i++) {
		paint(self->mem, MEMORY, i);
		start_long(&self->a, self->ram, TERN_DMA_OP_FROM_DEVICE | TERN_DMA_LIST | LONG);
		ASSERT_EQ(unmap_guest(&self->a, ADDRESS, RAM), 0);
		memcpy(copy, self->ram, RAM);
		status = dma_wait(&self->a);
		EXPECT_TRUE(status == DONE || status == ERROR(ADDRESS));
		EXPECT_TRUE(status != DONE || bar0_read64(&self->a, TERN_DMA_DONE_LOW) == MEMORY);
		caught += status != DONE;
		EXPECT_EQ(memcmp(copy, self->ram, RAM), 0);
		EXPECT_EQ(signals(self->irq_a), 1);
		ASSERT_EQ(map_guest(&self->a, self->ram, ADDRESS, RAM), 0);
		EXPECT_EQ(dma_do(&self->a, TERN_DMA_OP_TO_DEVICE, ADDRESS, 0, PIECE), DONE);
	}
	TH_LOG("%u of %u were caught on their way", caught, i);
	EXPECT_GE(caught, 5);
	munmap(copy, RAM);
}

/* What became dirty of the RAM since the last time, by the container's books. */
static int get_dirty(struct dev *d, uint64_t *bitmap)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap head;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} dirty = {
		.head = {
			.argsz = sizeof(dirty), .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
		},
		.get = {
			.iova = ADDRESS, .size = RAM,
			.bitmap = {
				.pgsize = PAGE, .size = RAM_PAGES / 8, .data = (void *)bitmap,
			},
		},
	};

	memset(bitmap, 0, RAM_PAGES / 8);
	return ioctl(d->container, VFIO_IOMMU_DIRTY_PAGES, &dirty) ? -errno : 0;
}

/* How many pages are dirty that are not these? */
static unsigned long dirty_but(const uint64_t *bitmap, unsigned long first, unsigned long n)
{
	unsigned long page, count = 0;

	for (page = 0; page < RAM_PAGES; page++)
		count += is_dirty(bitmap, page) != (page >= first && page < first + n);
	return count;
}

/* The log of what the device writes, in the container or its own: what came since. */
struct books {
	int (*get)(struct dev *d, uint64_t *bitmap);
	int (*stop)(struct dev *d, unsigned int round);
	int (*start)(struct dev *d);
};

/* By the page, once, and nothing that was only read, filled or summed up. */
static void check_pages(struct __test_metadata *_metadata, FIXTURE_DATA(dma) *self,
			const struct books *books)
{
	uint64_t bitmap[RAM_PAGES / 64];

	ASSERT_EQ(books->get(&self->a, bitmap), 0);
	EXPECT_EQ(dirty_but(bitmap, 0, 0), 0);
	/* The last byte of a page, a whole one, the first of the third. */
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_FROM_DEVICE, ADDRESS + 3 * PAGE - 1, 0, PAGE + 2),
		  DONE);
	ASSERT_EQ(books->get(&self->a, bitmap), 0);
	EXPECT_EQ(dirty_but(bitmap, 2, 3), 0);
	ASSERT_EQ(books->get(&self->a, bitmap), 0);
	EXPECT_EQ(dirty_but(bitmap, 0, 0), 0);
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_TO_DEVICE, ADDRESS, 0, RAM), DONE);
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_CRC, 0, 0, RAM), DONE);
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_FILL, 0, 0, RAM), DONE);
	ASSERT_EQ(books->get(&self->a, bitmap), 0);
	EXPECT_EQ(dirty_but(bitmap, 0, 0), 0);
}

/* As a VMM does: copy what is dirty while the device writes, stop it, the rest. */
static void check_nothing_lost(struct __test_metadata *_metadata, FIXTURE_DATA(dma) *self,
			       const struct books *books)
{
	unsigned long page, copied = 0, looks = 0, round;
	uint64_t bitmap[RAM_PAGES / 64];
	uint8_t *shadow = anonymous(RAM);

	for (round = 0; round < 10; round++) {
		paint(self->mem, MEMORY, round);
		start_long(&self->a, self->ram, TERN_DMA_OP_FROM_DEVICE | TERN_DMA_LIST | LONG);
		memcpy(shadow, self->ram, LIST);	/* the list is not the device's */
		do {
			if (++looks % 4 == 0)
				ASSERT_EQ(books->stop(&self->a, round), 0);
			ASSERT_EQ(books->get(&self->a, bitmap), 0);
			for (page = 0; page < RAM_PAGES; page++)
				if (is_dirty(bitmap, page)) {
					memcpy(shadow + page * PAGE, self->ram + page * PAGE, PAGE);
					copied++;
				}
		} while (looks % 4);
		EXPECT_EQ(memcmp(shadow, self->ram, RAM), 0);
		ASSERT_EQ(books->start(&self->a), 0);
		ASSERT_EQ(dma_wait(&self->a), DONE);
	}
	TH_LOG("%lu pages copied in %lu looks", copied, looks);
	EXPECT_GT(copied, 0);
	munmap(shadow, RAM);
}

static int stop_v1(struct dev *d, unsigned int round)
{
	return set_state(d, STOP);
}

static int start_v1(struct dev *d)
{
	return set_state(d, RUNNING);
}

/* V1-27 V1-28 P-32: the container sees every write of the device, and no other. */
TEST_F(dma, V1_27_V1_28_container_sees_each_write)
{
	static const struct books books = { get_dirty, stop_v1, start_v1 };
	struct vfio_iommu_type1_dirty_bitmap start = {
		.argsz = sizeof(start), .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_START,
	};

	paint(self->mem, MEMORY, 1);
	ASSERT_EQ(ioctl(self->a.container, VFIO_IOMMU_DIRTY_PAGES, &start), 0);
	check_pages(_metadata, self, &books);
	check_nothing_lost(_metadata, self, &books);
}

static int stop_v2(struct dev *d, unsigned int round)
{
	return go(d, round % 2 ? S_STOP : S_RUNNING_P2P);
}

static int start_v2(struct dev *d)
{
	return go(d, S_RUNNING);
}

static const struct books log_books = { get_log, stop_v2, start_v2 };

/*
 * P-23: a device that says that it logs can be asked for its log. Where the kernel
 * could not pass it on, all of it is not there.
 */
TEST_F(dma, P23_dma_log_is_offered_whole_or_not)
{
	uint64_t bitmap[RAM_PAGES / 64];
	int expect = has_log(&self->a) ? 0 : -ENOTTY;

	EXPECT_EQ(probe_feature(&self->a, STOP_LOG), expect);
	EXPECT_EQ(probe_feature(&self->a, REPORT), expect);
	EXPECT_EQ(log_ram(&self->a), expect);
	EXPECT_EQ(get_log(&self->a, bitmap), expect);
	EXPECT_EQ(log_stop(&self->a), expect);
	TH_LOG("this kernel %s", expect ? "leaves it to the container" : "has the device's log read");
}

/* V2-13: started once, stopped any number of times, and nothing to report when off. */
TEST_F(dma, V2_13_log_starts_once)
{
	struct vfio_device_feature_dma_logging_range range[2] = {
		{ .iova = ADDRESS, .length = RAM }, { .iova = 0, .length = 1ULL << 50 },
	};
	uint64_t bitmap[RAM_PAGES / 64], page_size = PAGE;
	unsigned int i;

	if (!has_log(&self->a))
		SKIP(return, "this kernel has no use for a device's log");
	EXPECT_EQ(get_log(&self->a, bitmap), -EINVAL);
	EXPECT_EQ(log_stop(&self->a), 0);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(log_ram(&self->a), 0);
		EXPECT_EQ(log_ram(&self->a), -EBUSY);
		EXPECT_EQ(get_log(&self->a, bitmap), 0);
		EXPECT_EQ(log_stop(&self->a), 0);
		EXPECT_EQ(log_stop(&self->a), 0);
		EXPECT_EQ(get_log(&self->a, bitmap), -EINVAL);
	}
	/* More than any guest has. */
	EXPECT_EQ(log_start(&self->a, range + 1, 1, &page_size), -E2BIG);
	/* The smallest range, an empty one, and a page size of the user's own. */
	page_size = 1;
	range[1].length = 1;
	range[1].iova = 1 << 20;
	EXPECT_EQ(log_start(&self->a, range + 1, 1, &page_size), 0);
	EXPECT_EQ(log_stop(&self->a), 0);
	range[1].length = 0;
	EXPECT_EQ(log_start(&self->a, range, 2, &page_size), -EINVAL);
	EXPECT_EQ(get_log(&self->a, bitmap), -EINVAL);
	page_size = 1 << 16;
	EXPECT_EQ(log_start(&self->a, range, 1, &page_size), 0);
	EXPECT_EQ(page_size, PAGE);
	/* Not the next owner's. */
	ASSERT_EQ(device_again(&self->a, (struct setting){ 0 }), 0);
	EXPECT_EQ(get_log(&self->a, bitmap), -EINVAL);
}

/* V2-13: what was written, by the page; once; and nothing else. */
TEST_F(dma, V2_13_written_pages_are_reported_once)
{
	uint64_t bitmap[RAM_PAGES / 64], few[RAM_PAGES / 64];
	unsigned long page;

	if (!has_log(&self->a))
		SKIP(return, "this kernel has no use for a device's log");
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_FROM_DEVICE, ADDRESS, 0, RAM), DONE);
	ASSERT_EQ(log_ram(&self->a), 0);
	check_pages(_metadata, self, &log_books);
	/* Asked for in parts: each clears its own, and adds to the bitmap. */
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_FROM_DEVICE, ADDRESS, 0, RAM), DONE);
	memset(bitmap, 0, sizeof(bitmap));
	ASSERT_EQ(log_report(&self->a, ADDRESS + 64 * PAGE, 128 * PAGE, PAGE, bitmap + 1), 0);
	EXPECT_EQ(dirty_but(bitmap, 64, 128), 0);
	ASSERT_EQ(get_log(&self->a, few), 0);
	for (page = 0; page < RAM_PAGES; page++)
		ASSERT_NE(is_dirty(few, page), is_dirty(bitmap, page));
	/* By a larger page: any of its pages will do. */
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_FROM_DEVICE, ADDRESS + 17 * PAGE, 0, 1), DONE);
	memset(bitmap, 0, sizeof(bitmap));
	ASSERT_EQ(log_report(&self->a, ADDRESS, RAM, 16 * PAGE, bitmap), 0);
	EXPECT_EQ(bitmap[0], 2);
	/* A piece that failed may have been written in part. */
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_FROM_DEVICE, ADDRESS + RAM - PAGE, 0, 2 * PAGE),
		  ERROR(ADDRESS));
	ASSERT_EQ(get_log(&self->a, bitmap), 0);
	EXPECT_EQ(dirty_but(bitmap, RAM_PAGES - 1, 1), 0);
}

/* V2-13: only the ranges that were asked for, and apart from any migration. */
TEST_F(dma, V2_13_only_requested_ranges_are_logged)
{
	struct vfio_device_feature_dma_logging_range range[2] = {
		{ .iova = ADDRESS + 100 * PAGE, .length = 50 * PAGE },
		{ .iova = ADDRESS + 10 * PAGE, .length = 20 * PAGE },
	};
	uint64_t bitmap[RAM_PAGES / 64], page_size = PAGE;
	unsigned long page;

	if (!has_log(&self->a))
		SKIP(return, "this kernel has no use for a device's log");
	ASSERT_EQ(log_start(&self->a, range, 2, &page_size), 0);
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_FROM_DEVICE, ADDRESS, 0, RAM), DONE);
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	ASSERT_EQ(set_state(&self->a, STOP), 0);
	ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_RESET), 0);
	ASSERT_EQ(get_log(&self->a, bitmap), 0);
	for (page = 0; page < RAM_PAGES; page++)
		ASSERT_EQ(is_dirty(bitmap, page),
			  (page >= 10 && page < 30) || (page >= 100 && page < 150));
}

/* V2-13: what is reported is what was asked for; the rest stays in the log. */
TEST_F(dma, V2_13_report_of_one_range_leaves_the_other)
{
	struct vfio_device_feature_dma_logging_range range[2] = {
		{ .iova = ADDRESS, .length = 8 * PAGE },
		{ .iova = ADDRESS + 64 * PAGE, .length = 8 * PAGE },
	};
	uint64_t bitmap[RAM_PAGES / 64] = {}, page_size = PAGE;

	if (!has_log(&self->a))
		SKIP(return, "this kernel has no use for a device's log");
	ASSERT_EQ(log_start(&self->a, range, 2, &page_size), 0);
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_FROM_DEVICE, ADDRESS + 64 * PAGE, 0, 8 * PAGE),
		  DONE);
	ASSERT_EQ(log_report(&self->a, ADDRESS, 8 * PAGE, PAGE, bitmap), 0);
	EXPECT_EQ(dirty_but(bitmap, 0, 0), 0);
	ASSERT_EQ(get_log(&self->a, bitmap), 0);
	EXPECT_EQ(dirty_but(bitmap, 64, 8), 0);
	EXPECT_EQ(bitmap[1], 0xff);
}

/* V2-13: a range need not end where a page does. A page of two ranges is reported once. */
TEST_F(dma, V2_13_page_of_two_ranges_is_reported_once)
{
	struct vfio_device_feature_dma_logging_range range[3] = {
		{ .iova = ADDRESS + 400, .length = 2 * PAGE },
		{ .iova = ADDRESS + 100, .length = 200 },
		{ .iova = ADDRESS + 5 * PAGE - 1, .length = 2 },
	};
	uint64_t bitmap[RAM_PAGES / 64], page_size = 1;

	if (!has_log(&self->a))
		SKIP(return, "this kernel has no use for a device's log");
	ASSERT_EQ(log_start(&self->a, range, 3, &page_size), 0);
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_FROM_DEVICE, ADDRESS + 150, 0, 1), DONE);
	ASSERT_EQ(get_log(&self->a, bitmap), 0);
	EXPECT_EQ(dirty_but(bitmap, 0, 1), 0);
	ASSERT_EQ(get_log(&self->a, bitmap), 0);
	EXPECT_EQ(dirty_but(bitmap, 0, 0), 0);
	/* What lies between the ranges is of no range. */
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_FROM_DEVICE, ADDRESS, 0, 8 * PAGE), DONE);
	ASSERT_EQ(get_log(&self->a, bitmap), 0);
	EXPECT_FALSE(is_dirty(bitmap, 3));
	EXPECT_EQ(bitmap[0], 0x37);
	ASSERT_EQ(get_log(&self->a, bitmap), 0);
	EXPECT_EQ(dirty_but(bitmap, 0, 0), 0);
}

/* V2-13 V1-28 P-32: copied while the device writes, then stopped, and the rest: all is there. */
TEST_F(dma, V2_13_V1_28_P32_no_write_is_lost)
{
	if (!has_log(&self->a))
		SKIP(return, "this kernel has no use for a device's log");
	ASSERT_EQ(log_ram(&self->a), 0);
	check_nothing_lost(_metadata, self, &log_books);
}

#define CGROUPS	"/tmp/cgroups"

static uint64_t charged(const char *what)
{
	char text[8192], *at;

	if (read_file(CGROUPS "/tern/memory.stat", text, sizeof(text)) < 0)
		return 0;
	at = strstr(text, what);
	return at ? strtoull(at + strlen(what), NULL, 10) : 0;
}

/* DMA-10: what a transfer fills is charged to the opener of the device. */
TEST_F(dma, DMA_10_fill_is_charged_to_the_opener)
{
	int ready[2], go[2], status;
	char c = 0;
	pid_t child;

	mkdir(CGROUPS, 0700);
	ASSERT_EQ(mount("none", CGROUPS, "cgroup2", 0, NULL), 0);
	ASSERT_EQ(write_file(CGROUPS "/cgroup.subtree_control", "+memory"), 0);
	ASSERT_EQ(mkdir(CGROUPS "/tern", 0700), 0);
	ASSERT_EQ(pipe(ready), 0);
	ASSERT_EQ(pipe(go), 0);
	dev_close(&self->b);
	child = fork();
	if (!child) {
		int ret = write_file(CGROUPS "/tern/cgroup.procs", "0");

		ret = ret ?: dev_open(&self->b, UUID_B);
		ret = ret ?: dma_do(&self->b, TERN_DMA_OP_FILL, 0, 0, MEMORY) != DONE;
		if (ret || write(ready[1], &c, 1) != 1 || read(go[0], &c, 1) != 1)
			_exit(1);
		_exit(0);
	}
	close(ready[1]);
	EXPECT_EQ(read(ready[0], &c, 1), 1);
	EXPECT_GE(charged("\nshmem "), MEMORY);
	EXPECT_EQ(write(go[1], &c, 1), 1);
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(charged("\nshmem "), 0);
	EXPECT_EQ(rmdir(CGROUPS "/tern"), 0);
	EXPECT_EQ(umount(CGROUPS), 0);
}

/* A state that the engine cannot have is refused, whatever its CRC. */
TEST_F(dma, P10_impossible_dma_state_is_refused)
{
	static const struct {
		size_t field;
		uint32_t value;
	} wrong[] = {
#define F(name)	offsetof(struct tern_dma_state, name)
		{ F(status), 4 }, { F(status), 0x1000 }, { F(status), TERN_DMA_FAILED },
		{ F(status), TERN_DMA_DONE | 0x100 }, { F(status), TERN_DMA_FAILED | 0x800 },
		{ F(reserved), 1 }, { F(done), 1 << 20 }, { F(length), 0 },
		{ F(length) + 4, 1 }, { F(offset), MEMORY }, { F(command), 9 },
		{ F(command), TERN_DMA_OP_CRC | TERN_DMA_LIST },
		/* A list without an entry. */
		{ F(command), TERN_DMA_OP_TO_DEVICE | TERN_DMA_LIST },
#undef F
	};
	struct tern_record *head;
	unsigned int i;

	ASSERT_EQ(set_state(&self->a, STOP), 0);
	dma_start(&self->a, TERN_DMA_OP_CRC, 0, 0, 1 << 20);
	ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
	head = find_record(&self->s, TERN_RECORD_DMA);
	ASSERT_NE(head, NULL);
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		uint32_t *field = (void *)((uint8_t *)(head + 1) + wrong[i].field), kept = *field;

		*field = wrong[i].value;
		seal_record(&self->s, head);
		ASSERT_EQ(set_state(&self->b, RESUMING), 0);
		EXPECT_EQ(load_all(&self->b, &self->s, MIB), -EDOM)
			TH_LOG("number %u", i);
		EXPECT_EQ(set_state(&self->b, RUNNING), -EIO);
		ASSERT_EQ(set_state(&self->b, STOP), 0);
		EXPECT_EQ(bar0_read(&self->b, TERN_DMA_STATUS), TERN_DMA_IDLE);
		*field = kept;
		seal_record(&self->s, head);
	}
	ASSERT_EQ(load_by(&self->b, &self->s, MIB), 0);
	EXPECT_EQ(dma_wait(&self->b), DONE);

	/* But each error that a transfer ends with is a possible one. */
	for (i = 1; i <= TERN_DMA_ERROR_MEMORY; i++) {
		const uint32_t failed = TERN_DMA_FAILED | i << 8;

		((struct tern_dma_state *)(head + 1))->status = failed;
		seal_record(&self->s, head);
		ASSERT_EQ(set_state(&self->b, STOP), 0);
		ASSERT_EQ(load_by(&self->b, &self->s, MIB), 0) TH_LOG("error %u", i);
		EXPECT_EQ(bar0_read(&self->b, TERN_DMA_STATUS), failed);
	}
}

/* A transfer whose first piece is blocked in a fault of such memory. 0 or -errno. */
static int start_blocked(struct dev *d, struct caught *c, uint32_t command)
{
	int ret = catch_faults(c, MIB) ?: map_guest(d, c->p, CAUGHT, MIB);

	if (!ret)
		dma_start(d, command, CAUGHT, 0, MIB);
	return ret ?: wait_for_fault(c);
}

/*
 * V2-13: the log is read while a piece is on its way. The page was not written yet,
 * so whatever was reported before, it is reported after it.
 */
TEST_F(dma, V2_13_marked_after_the_write)
{
	struct vfio_device_feature_dma_logging_range range = { .iova = CAUGHT, .length = MIB };
	uint64_t bitmap[MIB / PAGE / 64] = { 0 }, page_size = PAGE;
	struct caught c;
	unsigned int i;

	if (!has_log(&self->a))
		SKIP(return, "this kernel has no use for a device's log");
	paint(self->mem, MIB, 1);
	ASSERT_EQ(log_start(&self->a, &range, 1, &page_size), 0);
	ASSERT_EQ(start_blocked(&self->a, &c, TERN_DMA_OP_FROM_DEVICE), 0);
	ASSERT_EQ(log_report(&self->a, CAUGHT, MIB, PAGE, bitmap), 0);
	ASSERT_EQ(let_go(&c), 0);
	ASSERT_EQ(dma_wait(&self->a), DONE);
	EXPECT_EQ(memcmp(c.p, self->mem, MIB), 0);
	memset(bitmap, 0, sizeof(bitmap));
	ASSERT_EQ(log_report(&self->a, CAUGHT, MIB, PAGE, bitmap), 0);
	for (i = 0; i < ARRAY_SIZE(bitmap); i++)
		EXPECT_EQ(bitmap[i], ~0ULL);
	end_caught(&c);
}

/* Clearing bus mastering ends what is under way before the write returns. */
TEST_F(dma, DMA_8_clearing_bus_master_waits_for_the_piece)
{
	uint8_t *copy = anonymous(RAM);
	unsigned int caught = 0, i;
	uint32_t status;

	for (i = 0; again(i, 10, caught, 5); i++) {
		paint(self->mem, MEMORY, i);
		start_long(&self->a, self->ram, TERN_DMA_OP_FROM_DEVICE | TERN_DMA_LIST | LONG);
		ASSERT_EQ(set_command(&self->a, MASTER & ~4), 0);
		memcpy(copy, self->ram, RAM);
		status = dma_wait(&self->a);
		EXPECT_TRUE(status == DONE || status == ERROR(MASTER));
		EXPECT_TRUE(status != DONE || bar0_read64(&self->a, TERN_DMA_DONE_LOW) == MEMORY);
		caught += status != DONE;
		EXPECT_EQ(memcmp(copy, self->ram, RAM), 0);
		ASSERT_EQ(set_command(&self->a, MASTER), 0);
	}
	TH_LOG("%u of %u were caught on their way", caught, i);
	EXPECT_GE(caught, 5);
	munmap(copy, RAM);
}

/* An entry that changed so that what is left of it would lie round the corner. */
TEST_F(dma, P10_wrapping_entry_fails)
{
	struct tern_dma_entry *e = (void *)self->ram;
	struct tern_dma_state *state;
	struct tern_record *head;

	e[0] = (struct tern_dma_entry){ .address = ~0ULL - 0xfff, .length = 0x2000 };
	ASSERT_EQ(set_state(&self->a, STOP), 0);
	bar0_write(&self->a, TERN_DMA_ENTRIES, 1);
	dma_start(&self->a, TERN_DMA_OP_TO_DEVICE | TERN_DMA_LIST, ADDRESS, 0, 0x2000);
	ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
	head = find_record(&self->s, TERN_RECORD_DMA);
	ASSERT_NE(head, NULL);
	state = (void *)(head + 1);
	state->entry_done = 0x1000;
	state->done = 0x1000;
	seal_record(&self->s, head);
	memcpy(self->ram_b, self->ram, RAM);
	ASSERT_EQ(load_by(&self->b, &self->s, MIB), 0);
	EXPECT_EQ(dma_wait(&self->b), ERROR(ADDRESS));
	EXPECT_EQ(bar0_read64(&self->b, TERN_DMA_DONE_LOW), 0x1000);
}

/* P-32: the write that puts the device into D3hot does not return before a piece that moves. */
TEST_F(dma, P32_d3hot_waits_for_the_piece)
{
	struct caught c;
	pid_t child;
	int status;

	ASSERT_EQ(start_blocked(&self->a, &c, TERN_DMA_OP_TO_DEVICE | LONG), 0);
	child = fork();
	if (!child)
		_exit(set_power(&self->a, D3HOT));
	while (!in_the_kernel(child)) {
		ASSERT_EQ(waitpid(child, &status, WNOHANG), 0);
		sched_yield();
	}
	ASSERT_EQ(let_go(&c), 0);
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
	/* That piece, and no other. */
	ASSERT_EQ(set_state(&self->a, STOP), 0);
	ASSERT_EQ(set_power(&self->a, D0), 0);
	EXPECT_EQ(bar0_read64(&self->a, TERN_DMA_DONE_LOW), PIECE);
	ASSERT_EQ(set_state(&self->a, RUNNING), 0);
	EXPECT_EQ(dma_wait(&self->a), DONE);
	EXPECT_EQ(signals(self->irq_a), 1);
	end_caught(&c);
}

/* P-27: a piece that waits indefinitely blocks neither a close nor a killed process. */
TEST_F(dma, P27_blocked_piece_blocks_no_exit)
{
	struct caught c;
	pid_t child;
	int status;

	ASSERT_EQ(start_blocked(&self->a, &c, TERN_DMA_OP_TO_DEVICE | LONG), 0);
	child = fork();
	if (!child) {
		set_state(&self->a, STOP);
		_exit(1);
	}
	while (!in_the_kernel(child))
		sched_yield();
	kill(child, SIGKILL);
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	EXPECT_EQ(bar0_read(&self->a, TERN_DMA_STATUS), ERROR(ADDRESS));
	end_caught(&c);

	ASSERT_EQ(reset_by(&self->a, false), 0);
	ASSERT_EQ(set_command(&self->a, MASTER), 0);
	ASSERT_EQ(unmap_guest(&self->a, CAUGHT, MIB), 0);
	ASSERT_EQ(start_blocked(&self->a, &c, TERN_DMA_OP_TO_DEVICE | LONG), 0);
	dev_close(&self->a);
	end_caught(&c);
}

struct stalled {
	int fd;
	void *buf;
	bool writes;
	ssize_t ret;
};

static void *copy_there(void *arg)
{
	struct stalled *s = arg;

	s->ret = s->writes ? write(s->fd, s->buf, MIB) : read(s->fd, s->buf, MIB);
	if (s->ret < 0)
		s->ret = -errno;
	return NULL;
}

/*
 * V2-3 P-19: a reader whose buffer is never served blocks the users of its file, and
 * not the device: that continues through its states. Once it is served, what it
 * copied is not taken for good, for the session is over.
 */
TEST_F(dma, V2_3_P19_stalled_reader_blocks_only_its_file)
{
	static uint8_t page[PAGE];
	struct stalled stalled = { .writes = false };
	struct caught c;
	pthread_t thread;
	int other, flags;

	ASSERT_EQ(catch_faults(&c, MIB), 0);
	stalled.buf = c.p;
	paint(self->mem, MEMORY, 1);
	ASSERT_EQ(go_open(&self->a, S_PRE_COPY, &stalled.fd), 0);
	ASSERT_EQ(pthread_create(&thread, NULL, copy_there, &stalled), 0);
	ASSERT_EQ(wait_for_fault(&c), 0);
	flags = fcntl(stalled.fd, F_GETFL);
	ASSERT_EQ(fcntl(stalled.fd, F_SETFL, flags | O_NONBLOCK), 0);
	EXPECT_EQ(read(stalled.fd, page, 1) == -1 ? errno : 0, EAGAIN);
	EXPECT_GT(stop_copy_length(&self->a), MEMORY);
	EXPECT_EQ(go(&self->a, S_STOP_COPY), 0);
	EXPECT_EQ(go(&self->a, S_RUNNING), 0);
	ASSERT_EQ(go_open(&self->a, S_PRE_COPY, &other), 0);
	EXPECT_EQ(read(other, page, PAGE), PAGE);
	close(other);
	EXPECT_EQ(reset_by(&self->a, false), 0);
	ASSERT_EQ(let_go(&c), 0);
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_EQ(stalled.ret, -ENODEV);
	close(stalled.fd);
	end_caught(&c);
}

/* V2-3 P-19: the same of a writer. What it copied is loaded into no later session. */
TEST_F(dma, V2_3_P19_stalled_writer_blocks_only_its_file)
{
	static uint8_t page[PAGE];
	struct stalled stalled = { .writes = true };
	struct caught c;
	pthread_t thread;
	int other, flags;

	ASSERT_EQ(catch_faults(&c, MIB), 0);
	stalled.buf = c.p;
	ASSERT_EQ(go_open(&self->b, S_RESUMING, &stalled.fd), 0);
	ASSERT_EQ(pthread_create(&thread, NULL, copy_there, &stalled), 0);
	ASSERT_EQ(wait_for_fault(&c), 0);
	flags = fcntl(stalled.fd, F_GETFL);
	ASSERT_EQ(fcntl(stalled.fd, F_SETFL, flags | O_NONBLOCK), 0);
	EXPECT_EQ(write(stalled.fd, page, 1) == -1 ? errno : 0, EAGAIN);
	ASSERT_EQ(reset_by(&self->b, false), 0);
	ASSERT_EQ(go_open(&self->b, S_RESUMING, &other), 0);
	ASSERT_EQ(let_go(&c), 0);
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_EQ(stalled.ret, -ENODEV);
	/* The new session is at its beginning. */
	ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
	EXPECT_EQ(write_all(other, &self->s, MIB), 0);
	close(other);
	EXPECT_EQ(go(&self->b, S_RUNNING), 0);
	close(stalled.fd);
	end_caught(&c);
}

/* Maps indefinitely, which needs what a piece may hold. */
static volatile pid_t mapper;

static void *map_and_unmap(void *arg)
{
	struct dev *d = arg;

	mapper = syscall(SYS_gettid);
	for (;;) {
		map_guest(d, d->map, 0x300000000ULL, PAGE);
		unmap_guest(d, 0x300000000ULL, PAGE);
	}
	return NULL;
}

/* P-27: a VMM that is killed dies, whatever its threads and its piece wait for. */
TEST_F(dma, P27_killed_opener_releases_the_device)
{
	int fds[2], status;
	char c = 0;
	pid_t child;

	dev_close(&self->b);
	ASSERT_EQ(pipe(fds), 0);
	child = fork();
	if (!child) {
		struct caught caught;
		pthread_t thread;

		if (dev_open(&self->b, UUID_B) || dev_map_window(&self->b) ||
		    set_command(&self->b, MASTER))
			_exit(1);
		if (start_blocked(&self->b, &caught, TERN_DMA_OP_TO_DEVICE | LONG))
			_exit(2);
		if (pthread_create(&thread, NULL, map_and_unmap, &self->b))
			_exit(3);
		while (!mapper || !in_the_kernel(mapper))
			sched_yield();
		if (write(fds[1], &c, 1) != 1)
			_exit(4);
		pthread_join(thread, NULL);
		_exit(5);
	}
	ASSERT_EQ(read(fds[0], &c, 1), 1);
	kill(child, SIGKILL);
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	/* And the device is free again, once the last of its memory is freed. */
	while ((status = dev_open(&self->b, UUID_B)) == -EBUSY) {
		dev_close(&self->b);
		sched_yield();
	}
	ASSERT_EQ(status, 0);
}

TEST_HARNESS_MAIN
