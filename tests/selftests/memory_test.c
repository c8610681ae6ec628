// SPDX-License-Identifier: GPL-2.0-only
/* Device memory: trapped and mapped, and nothing lost while somebody writes. */
#include "tern.h"
#include "kselftest_harness.h"

#define MEMORY	(8 * MIB)
#define PAGES	(MEMORY / PAGE)
#define WORDS	(PAGE / 8)

FIXTURE(memory) {
	struct dev a, b;
	uint64_t *mem;
	struct stream s;
};

FIXTURE_SETUP(memory)
{
	if (!have_tern())
		SKIP(return, "module tern is not loaded");
	ASSERT_EQ(mdev_create(UUID_A), 0);
	ASSERT_EQ(mdev_create(UUID_B), 0);
	ASSERT_EQ(attr_set(UUID_A, "memory_mib", "8"), 0);
	ASSERT_EQ(attr_set(UUID_B, "memory_mib", "8"), 0);
	ASSERT_EQ(dev_open(&self->a, UUID_A), 0);
	ASSERT_EQ(dev_open(&self->b, UUID_B), 0);
	ASSERT_EQ(dev_map_window(&self->a), 0);
	ASSERT_EQ(dev_map_window(&self->b), 0);
	self->mem = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->a.fd, self->a.bar2.offset);
	ASSERT_NE(self->mem, MAP_FAILED);
}

FIXTURE_TEARDOWN(memory)
{
	munmap(self->mem, MEMORY);
	dev_close(&self->a);
	dev_close(&self->b);
	EXPECT_EQ(mdev_remove(UUID_A), 0);
	EXPECT_EQ(mdev_remove(UUID_B), 0);
	free(self->s.buf);
}

TEST_F(memory, trapped_and_mapped_are_one)
{
	static uint8_t buf[3 * PAGE], back[3 * PAGE];
	const uint64_t bar2 = self->a.bar2.offset;
	unsigned int i;

	for (i = 0; i < sizeof(buf); i++)
		buf[i] = i * 7 + i / 256;
	/* Untouched reads as zero and is not made dirty by that. */
	ASSERT_EQ(dev_read(&self->a, bar2, back, sizeof(back)), sizeof(back));
	for (i = 0; i < sizeof(back); i++)
		ASSERT_EQ(back[i], 0);
	ASSERT_EQ(self->mem[77], 0);
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	EXPECT_EQ(pending(&self->a), 0);
	/* Across pages, unaligned. */
	ASSERT_EQ(dev_write(&self->a, bar2 + 5000, buf, 6000), 6000);
	EXPECT_EQ(memcmp((char *)self->mem + 5000, buf, 6000), 0);
	EXPECT_EQ(pending(&self->a), BEGIN_RECORD + 2 * MEMORY_RECORD);
	self->mem[3 * WORDS] = 0x1122334455667788;
	ASSERT_EQ(dev_read(&self->a, bar2 + 3 * PAGE, back, 8), 8);
	EXPECT_EQ(memcmp(back, &self->mem[3 * WORDS], 8), 0);
	EXPECT_EQ(pending(&self->a), BEGIN_RECORD + 3 * MEMORY_RECORD);
	/* The last byte is there, the one after it is not. */
	EXPECT_EQ(dev_write(&self->a, bar2 + MEMORY - 1, buf, 1), 1);
	EXPECT_EQ(dev_write(&self->a, bar2 + MEMORY, buf, 1), -EINVAL);
	EXPECT_EQ(dev_write(&self->a, bar2 + MEMORY - 1, buf, 2), -EINVAL);
}

TEST_F(memory, mappings_refused)
{
	const int rw = PROT_READ | PROT_WRITE;
	const uint64_t bar2 = self->a.bar2.offset;

#define TRY(len, flags, at) mmap(NULL, len, rw, flags, self->a.fd, at)
	EXPECT_EQ(TRY(PAGE, MAP_PRIVATE, bar2), MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(TRY(2 * PAGE, MAP_SHARED, bar2 + MEMORY - PAGE), MAP_FAILED);
	EXPECT_EQ(TRY(PAGE, MAP_SHARED, bar2 + MEMORY), MAP_FAILED);
	EXPECT_EQ(TRY(PAGE, MAP_SHARED, region_base(VFIO_PCI_BAR0_REGION_INDEX)), MAP_FAILED);
	EXPECT_EQ(TRY(PAGE, MAP_SHARED, region_base(VFIO_PCI_CONFIG_REGION_INDEX)), MAP_FAILED);
	EXPECT_EQ(TRY(PAGE, MAP_SHARED, region_base(11)), MAP_FAILED);
	/* P-4: no hole can be punched behind the tracker. */
	self->mem[0] = 1;
	EXPECT_EQ(madvise(self->mem, PAGE, MADV_REMOVE), -1);
	EXPECT_EQ(self->mem[0], 1);
#undef TRY
}

/* Minor faults of the calling thread so far. */
static long faults(void)
{
	char buf[1024], *at;
	int i;

	if (read_file("/proc/thread-self/stat", buf, sizeof(buf)) < 0)
		return -1;
	at = strrchr(buf, ')') + 2;
	for (i = 0; i < 7; i++)
		at = strchr(at, ' ') + 1;
	return atol(at);
}

/* S-10: a page faults at its first write, and again only if it was harvested. */
TEST_F(memory, S10_faults)
{
	long n;
	int i;

	self->mem[5 * WORDS] = 1;
	faults();
	n = faults();
	for (i = 0; i < 1000; i++)
		self->mem[5 * WORDS + i % WORDS] = i;
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	self->mem[5 * WORDS] = 2;
	EXPECT_EQ(faults(), n);
	ASSERT_EQ(save_all(&self->a, &self->s), 0);
	n = faults();
	self->mem[5 * WORDS] = 3;
	EXPECT_EQ(faults(), n + 1);
	self->mem[5 * WORDS] = 4;
	EXPECT_EQ(faults(), n + 1);
	EXPECT_EQ(pending(&self->a), MEMORY_RECORD);
}

/* A writer that never rests: it counts up words, all over the memory. */
struct writer {
	volatile uint64_t *mem;
	volatile bool stop;
	uint64_t stores;
};

static void *write_on(void *arg)
{
	struct writer *w = arg;
	uint64_t x = 88172645463325252ULL;

	while (!w->stop) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		w->mem[x % (MEMORY / 8)]++;
		w->stores++;
	}
	return NULL;
}

/*
 * P-1 P-4 V1-16: a writer runs against a session with many passes; what the
 * stream says at the end is what the memory has, word by word.
 */
TEST_F(memory, P1_P4_writer_against_session)
{
	struct writer w = { .mem = self->mem };
	uint8_t *copy = malloc(MEMORY);
	pthread_t thread;
	unsigned int i, chunks = 0;

	ASSERT_EQ(pthread_create(&thread, NULL, write_on, &w), 0);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
		ASSERT_EQ(set_state(&self->a, RUNNING), 0);
	}
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	while (attr_sum(UUID_A, "passes") < 6) {
		if (!pending(&self->a))
			continue;
		ASSERT_GT(save_chunk(&self->a, &self->s), 0);
		chunks++;
	}
	w.stop = true;
	pthread_join(thread, NULL);
	ASSERT_EQ(set_state(&self->a, SAVING), 0);
	ASSERT_EQ(save_all(&self->a, &self->s), 0);
	EXPECT_EQ(pending(&self->a), 0);
	TH_LOG("%lu stores, %u chunks, %zu MiB", (unsigned long)w.stores, chunks,
	       self->s.len >> 20);
	/* It did run against the harvest: pages came more than once. */
	EXPECT_GT(records_of(&self->s, 0, TERN_RECORD_MEMORY), PAGES * 3 / 2);

	ASSERT_EQ(set_state(&self->b, RESUMING), 0);
	ASSERT_EQ(load_all(&self->b, &self->s, MIB), 0);
	ASSERT_EQ(set_state(&self->b, RUNNING), 0);
	ASSERT_EQ(dev_read(&self->b, self->b.bar2.offset, copy, MEMORY), MEMORY);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(memcmp(copy + i * PAGE, (char *)self->mem + i * PAGE, PAGE), 0)
			TH_LOG("page %u differs", i);
	free(copy);
}

/* P-3 V1-8: who stores after the stop cannot hold up the end. */
TEST_F(memory, P3_V1_8_late_writer)
{
	struct writer w = { .mem = self->mem };
	pthread_t thread;
	int ret, state;

	memset(self->mem, 1, MEMORY);
	ASSERT_EQ(set_state(&self->a, SAVING), 0);
	ASSERT_EQ(pthread_create(&thread, NULL, write_on, &w), 0);
	ret = save_all(&self->a, &self->s);
	while (!attr_sum(UUID_A, "late_marks"))
		;
	state = get_state(&self->a);
	w.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(ret, 0);
	EXPECT_EQ(state, SAVING);
	EXPECT_EQ(pending(&self->a), 0);
	EXPECT_EQ(records_of(&self->s, 0, TERN_RECORD_MEMORY), PAGES);
	EXPECT_EQ(records_of(&self->s, 0, TERN_RECORD_END), 1);
}

/* A mapping that outlives its device reaches nobody else's memory. */
TEST_F(memory, mapping_outlives_close)
{
	uint64_t v = 0;

	self->mem[0] = 0x1111;
	dev_close(&self->a);
	ASSERT_EQ(dev_open(&self->a, UUID_A), 0);
	ASSERT_EQ(dev_read(&self->a, self->a.bar2.offset, &v, 8), 8);
	EXPECT_EQ(v, 0);
	v = 0x2222;
	ASSERT_EQ(dev_write(&self->a, self->a.bar2.offset, &v, 8), 8);
	EXPECT_EQ(self->mem[0], 0x1111);
	self->mem[0] = 0x3333;
	ASSERT_EQ(dev_read(&self->a, self->a.bar2.offset, &v, 8), 8);
	EXPECT_EQ(v, 0x2222);
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	EXPECT_EQ(pending(&self->a), BEGIN_RECORD + MEMORY_RECORD);
}

/* A file of its own for each open: a reset clears what is mapped, too. */
TEST_F(memory, reset_under_a_mapping)
{
	self->mem[0] = 1;
	ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_RESET), 0);
	EXPECT_EQ(self->mem[0], 0);
	self->mem[1] = 2;
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	EXPECT_EQ(pending(&self->a), BEGIN_RECORD + MEMORY_RECORD);
}

TEST_HARNESS_MAIN
