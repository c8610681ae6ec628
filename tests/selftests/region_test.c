// SPDX-License-Identifier: GPL-2.0-only
/* The v1 region itself: what it looks like, and what it refuses. */
#include "fixture.h"
#include "kselftest_harness.h"

FIXTURE(region) {
	struct dev d;
};

FIXTURE_SETUP(region)
{
	NEEDS_TERN();
	ASSERT_EQ(device_on(&self->d, UUID_A, (struct setting){ 0 }), 0);
}

FIXTURE_TEARDOWN(region)
{
	EXPECT_EQ(device_off(&self->d), 0);
}

/* V1-13 V1-19 V1-31: found by its type; what can be mapped lies where data_offset is. */
TEST_F(region, V1_13_V1_31_region_is_found_by_its_type)
{
	char buf[512] __attribute__((aligned(8)));
	struct vfio_region_info *info = (void *)buf;
	struct vfio_region_info_cap_sparse_mmap *sparse = NULL;
	struct vfio_region_info_cap_type *type = NULL;
	struct vfio_info_cap_header *cap;
	uint64_t offset;
	uint32_t at;

	/* A small buffer learns how much there is. */
	ASSERT_EQ(region_info(&self->d, VFIO_PCI_NUM_REGIONS, info, sizeof(*info)), 0);
	EXPECT_GT(info->argsz, sizeof(*info));
	EXPECT_EQ(info->cap_offset, 0);
	ASSERT_LE(info->argsz, sizeof(buf));
	ASSERT_EQ(region_info(&self->d, VFIO_PCI_NUM_REGIONS, info, info->argsz), 0);
	EXPECT_EQ(info->flags, VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
				       VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS);
	for (at = info->cap_offset; at; at = cap->next) {
		cap = (void *)(buf + at);
		if (cap->id == VFIO_REGION_INFO_CAP_TYPE)
			type = (void *)cap;
		if (cap->id == VFIO_REGION_INFO_CAP_SPARSE_MMAP)
			sparse = (void *)cap;
	}
	ASSERT_TRUE(type && sparse);
	EXPECT_EQ(type->type, VFIO_REGION_TYPE_MIGRATION_DEPRECATED);
	EXPECT_EQ(type->subtype, VFIO_REGION_SUBTYPE_MIGRATION_DEPRECATED);
	ASSERT_EQ(sparse->nr_areas, 2);
	EXPECT_EQ(sparse->areas[0].offset, 0x1000);
	EXPECT_EQ(sparse->areas[0].size, 0x1000);
	EXPECT_EQ(sparse->areas[1].offset, 0x2000);
	/* From data_offset to the end of the region it is all window. */
	EXPECT_EQ(sparse->areas[1].offset + sparse->areas[1].size, info->size);
	ASSERT_EQ(reg_read(&self->d, V1(data_offset), &offset), 0);
	EXPECT_EQ(offset, sparse->areas[1].offset);
}

/* V1-9: no session, no data, no error. */
TEST_F(region, S7_V1_9_no_data_outside_a_session)
{
	static const uint32_t states[] = { RUNNING, STOP, RESUMING };
	uint64_t v;
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(set_state(&self->d, states[i]), 0);
		EXPECT_EQ(pending(&self->d), 0);
		EXPECT_EQ(data_size(&self->d), 0);
		ASSERT_EQ(reg_read(&self->d, V1(data_offset), &v), 0);
		EXPECT_EQ(v, self->d.window);
	}
}

/* V1-9: and where the data will be is known while there is none. */
TEST_F(region, S7_V1_9_no_data_while_nothing_is_dirty)
{
	uint64_t v = 0;

	ASSERT_EQ(set_state(&self->d, RUNNING | SAVING), 0);
	EXPECT_GT(data_size(&self->d), 0);
	EXPECT_EQ(pending(&self->d), 0);
	ASSERT_EQ(reg_read(&self->d, V1(data_offset), &v), 0);
	EXPECT_EQ(v, self->d.window);
	EXPECT_EQ(data_size(&self->d), 0);
}

/*
 * V1-1: every arc that QEMU uses, and no other. The oracle is the protocol's
 * text: S and Z exclude each other, Z and R too, and to start logging needs a
 * running device.
 */
static bool arc_allowed(uint32_t from, uint32_t to)
{
	if (from == to)
		return true;
	if (((from | to) & (SAVING | RESUMING)) == (SAVING | RESUMING))
		return false;
	if (to == (RUNNING | SAVING))
		return from == RUNNING;
	return true;
}

static int go_from_reset(struct dev *d, uint32_t state)
{
	return reset_by(d, false) ?: set_state(d, state);
}

TEST_F(region, V1_1_V1_2_V1_3_arcs_follow_the_rules)
{
	static const uint32_t states[] = { 0, 1, 2, 3, 4 };
	static const uint32_t bad[] = { 5, 6, 7, 8, 9, 0x10, 0x80000001, ~0U };
	int i, k;

	EXPECT_EQ(get_state(&self->d), RUNNING);
	for (i = 0; i < 5; i++) {
		for (k = 0; k < 5; k++) {
			uint32_t from = states[i], to = states[k];
			int ret, expect = arc_allowed(from, to) ? 0 : -EINVAL;

			/* Nothing was loaded, so it must not run. */
			if (from == RESUMING && to == RUNNING)
				expect = -EIO;
			ASSERT_EQ(go_from_reset(&self->d, from), 0);
			ret = set_state(&self->d, to);
			EXPECT_EQ(ret, expect)
				TH_LOG("%d -> %d: %d", from, to, ret);
			EXPECT_EQ(get_state(&self->d), ret ? from : to);
		}
		for (k = 0; k < 8; k++) {
			ASSERT_EQ(go_from_reset(&self->d, states[i]), 0);
			EXPECT_EQ(set_state(&self->d, bad[k]), -EINVAL);
			EXPECT_EQ(get_state(&self->d), states[i]);
		}
	}
}

/* P-7: an access of 0 bytes inside a region returns 0 and acts on nothing. */
TEST_F(region, P7_access_of_0_bytes_has_no_effect)
{
	const struct {
		unsigned int index;
		uint64_t last;
	} regions[] = {
		{ VFIO_PCI_BAR0_REGION_INDEX, TERN_BAR0_SIZE - 1 },
		{ VFIO_PCI_BAR2_REGION_INDEX, 64 * MIB - 1 },
		{ VFIO_PCI_BAR4_REGION_INDEX, TERN_BAR4_SIZE - 1 },
		{ VFIO_PCI_CONFIG_REGION_INDEX, 4095 },
		{ VFIO_PCI_NUM_REGIONS, self->d.mig.size - 1 },
	};
	static const unsigned int at[] = { 0, 4, 8, 13, 0x800, 0x803 };
	const uint64_t mig = self->d.mig.offset;
	uint64_t size;
	unsigned int i, k;
	uint8_t byte = 0;

	for (i = 0; i < ARRAY_SIZE(regions); i++) {
		uint64_t base = region_base(regions[i].index);

		for (k = 0; k < ARRAY_SIZE(at); k++) {
			EXPECT_EQ(dev_read(&self->d, base + at[k], &byte, 0), 0);
			EXPECT_EQ(dev_write(&self->d, base + at[k], &byte, 0), 0);
		}
		EXPECT_EQ(dev_read(&self->d, base + regions[i].last, &byte, 0), 0);
		EXPECT_EQ(dev_read(&self->d, base + regions[i].last + 1, &byte, 0), -EINVAL);
		EXPECT_EQ(dev_write(&self->d, base + regions[i].last + 1, &byte, 0), -EINVAL);
	}
	EXPECT_EQ(dev_read(&self->d, mig + self->d.window + 1, &byte, 0), 0);
	EXPECT_EQ(dev_write(&self->d, mig + self->d.window + 1, &byte, 0), 0);
	EXPECT_EQ(dev_read(&self->d, region_base(VFIO_PCI_BAR1_REGION_INDEX), &byte, 0), -EINVAL);
	EXPECT_EQ(dev_read(&self->d, region_base(VFIO_PCI_NUM_REGIONS + 1), &byte, 0), -EINVAL);
	/* No state is changed, and no chunk acknowledged. */
	ASSERT_EQ(set_state(&self->d, RUNNING | SAVING), 0);
	size = data_size(&self->d);
	ASSERT_NE(size, 0);
	EXPECT_EQ(dev_read(&self->d, mig + V1(pending_bytes), &byte, 0), 0);
	EXPECT_EQ(dev_write(&self->d, mig + V1(device_state), &byte, 0), 0);
	EXPECT_EQ(get_state(&self->d), RUNNING | SAVING);
	EXPECT_EQ(data_size(&self->d), size);
}

/* P-7 V1-15: a register is one access of its own size, and no half of it another. */
TEST_F(region, P7_registers_have_one_access_size)
{
	const uint64_t mig = self->d.mig.offset, size = self->d.mig.size;
	static const struct {
		unsigned int at, n;
	} good[] = { { 0, 4 }, { 4, 4 }, { 8, 8 }, { 16, 8 }, { 24, 8 } };
	uint8_t buf[8192];
	unsigned int at, n;
	int i;

	ASSERT_EQ(set_state(&self->d, RUNNING | SAVING), 0);
	for (at = 0; at < 40; at++) {
		for (n = 1; n <= 40; n++) {
			bool ok = false;

			for (i = 0; i < 5; i++)
				ok |= good[i].at == at && good[i].n == n;
			EXPECT_EQ(dev_read(&self->d, mig + at, buf, n), ok ? (int)n : -EINVAL)
				TH_LOG("read of %u at %u", n, at);
			if (!ok)
				EXPECT_EQ(dev_write(&self->d, mig + at, buf, n), -EINVAL);
		}
	}
	memset(buf, 0, sizeof(buf));
	/* Read-only registers; the reserved one ignores. */
	EXPECT_EQ(dev_write(&self->d, mig + V1(pending_bytes), buf, 8), -EINVAL);
	EXPECT_EQ(dev_write(&self->d, mig + V1(data_offset), buf, 8), -EINVAL);
	EXPECT_EQ(dev_write(&self->d, mig + V1(data_size), buf, 8), -EINVAL);
	EXPECT_EQ(dev_write(&self->d, mig + V1(reserved), buf, 4), 4);
	/* Between the parts, across them, beyond the end. */
	EXPECT_EQ(dev_read(&self->d, mig + 0x800, buf, 4), -EINVAL);
	EXPECT_EQ(dev_read(&self->d, mig + 0xffc, buf, 8), -EINVAL);
	EXPECT_EQ(dev_read(&self->d, mig + 0x1ffc, buf, 8), -EINVAL);
	EXPECT_EQ(dev_write(&self->d, mig + 0x1000, buf, 8), -EINVAL);
	EXPECT_EQ(dev_read(&self->d, mig + 0x1000, buf, sizeof(struct tern_status_page)),
		  sizeof(struct tern_status_page));
	EXPECT_EQ(dev_read(&self->d, mig + size - 4, buf, 8), -EINVAL);
	EXPECT_EQ(dev_read(&self->d, mig + size, buf, 1), -EINVAL);
	/* The window at any natural size, and longer. */
	for (n = 1; n <= 8; n++) {
		for (at = 0; at < 16; at++) {
			bool ok = (n & (n - 1)) == 0 && at % n == 0;

			EXPECT_EQ(dev_read(&self->d, mig + 0x2000 + at, buf, n), ok ? (int)n : -EINVAL);
			EXPECT_EQ(dev_write(&self->d, mig + 0x2000 + at, buf, n), ok ? (int)n : -EINVAL);
		}
	}
	EXPECT_EQ(dev_read(&self->d, mig + 0x2003, buf, 5001), 5001);
	EXPECT_EQ(get_state(&self->d), RUNNING | SAVING);
}

/* Read it to the end, and look where each chunk lies. */
static unsigned int chunks_inside(struct dev *d, bool *inside, uint64_t *largest)
{
	const uint64_t window = d->mig.size - d->window;
	uint64_t offset, size, again;
	unsigned int n;

	for (n = 0; pending(d); n++) {
		/* Either of the two may be asked first. */
		if (n % 2)
			reg_read(d, V1(data_offset), &offset);
		size = data_size(d);
		reg_read(d, V1(data_offset), &offset);
		again = data_size(d);
		*inside &= size && size == again && size <= window && offset == d->window &&
			   offset + size <= d->mig.size;
		if (size > *largest)
			*largest = size;
	}
	return n;
}

/* V1-5: every chunk lies in the region, whatever the window: QEMU does not check. */
TEST_F(region, V1_5_chunks_lie_in_the_region)
{
	static const char *const windows[] = { "128", "256", "4096" };
	const uint64_t memory = 8 * MIB;
	unsigned int i, n;
	void *mem;

	for (i = 0; i < 3; i++) {
		uint64_t window = strtoull(windows[i], NULL, 10) * 1024, largest = 0;
		bool inside = true;

		dev_close(&self->d);
		ASSERT_EQ(attr_set(UUID_A, "memory_mib", "8"), 0);
		ASSERT_EQ(attr_set(UUID_A, "window_kib", windows[i]), 0);
		ASSERT_EQ(dev_open(&self->d, UUID_A), 0);
		EXPECT_EQ(self->d.mig.size, self->d.window + window);
		mem = mmap(NULL, memory, PROT_READ | PROT_WRITE, MAP_SHARED, self->d.fd,
			   self->d.bar2.offset);
		ASSERT_NE(mem, MAP_FAILED);
		populate(mem, memory);
		memset(mem, i + 1, memory);
		ASSERT_EQ(set_state(&self->d, RUNNING | SAVING), 0);
		n = chunks_inside(&self->d, &inside, &largest);
		EXPECT_GE(n, memory / window);
		populate(mem, memory);
		memset(mem, i + 2, memory);
		ASSERT_EQ(set_state(&self->d, SAVING), 0);
		n = chunks_inside(&self->d, &inside, &largest);
		EXPECT_GE(n, memory / window);
		EXPECT_TRUE(inside);
		/* They came near enough to the end to tell. */
		EXPECT_GT(largest, window - MEMORY_RECORD);
		munmap(mem, memory);
	}
}

TEST_F(region, V1_31_status_and_window_are_mapped_alone)
{
	const uint64_t mig = self->d.mig.offset, size = self->d.mig.size;
	const int rw = PROT_READ | PROT_WRITE;
	void *p;

#define TRY(len, prot, flags, at) mmap(NULL, len, prot, flags, self->d.fd, mig + (at))
	EXPECT_EQ(TRY(PAGE, rw, MAP_SHARED, 0), MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(TRY(size, rw, MAP_SHARED, 0), MAP_FAILED);
	EXPECT_EQ(TRY(PAGE, rw, MAP_SHARED, size), MAP_FAILED);
	EXPECT_EQ(TRY(2 * PAGE, rw, MAP_SHARED, size - PAGE), MAP_FAILED);
	EXPECT_EQ(TRY(PAGE, rw, MAP_PRIVATE, 0x2000), MAP_FAILED);
	p = TRY(PAGE, rw, MAP_SHARED, 0x1000);
	ASSERT_NE(p, MAP_FAILED);
	EXPECT_EQ(munmap(p, PAGE), 0);
	p = TRY(size - 0x2000, rw, MAP_SHARED, 0x2000);
	ASSERT_NE(p, MAP_FAILED);
	/* The same bytes, by either way. */
	memcpy(p, "tern", 4);
	EXPECT_EQ(dev_write(&self->d, mig + 0x2004, "mem", 4), 4);
	EXPECT_EQ(memcmp(p, "ternmem", 8), 0);
	EXPECT_EQ(munmap(p, size - 0x2000), 0);
#undef TRY
}

/* V1-11: data_size takes what is in the window, when resuming. */
TEST_F(region, V1_11_data_size_is_bounded_by_the_window)
{
	uint64_t n;

	n = 24;
	EXPECT_EQ(dev_write(&self->d, self->d.mig.offset + V1(data_size), &n, 8), -EINVAL);
	ASSERT_EQ(set_state(&self->d, RESUMING), 0);
	n = 0;
	EXPECT_EQ(dev_write(&self->d, self->d.mig.offset + V1(data_size), &n, 8), 8);
	n = self->d.mig.size - self->d.window + 1;
	EXPECT_EQ(dev_write(&self->d, self->d.mig.offset + V1(data_size), &n, 8), -EINVAL);
	n = ~0ULL;
	EXPECT_EQ(dev_write(&self->d, self->d.mig.offset + V1(data_size), &n, 8), -EINVAL);
	EXPECT_TRUE(attr_is(UUID_A, "state", "resuming"));
	/* A window of zeroes is no stream. */
	n = 24;
	EXPECT_EQ(dev_write(&self->d, self->d.mig.offset + V1(data_size), &n, 8), -EINVAL);
	EXPECT_TRUE(attr_is(UUID_A, "state", "error"));
	EXPECT_EQ(get_state(&self->d), RESUMING);
	EXPECT_EQ(set_state(&self->d, RUNNING), -EIO);
	EXPECT_EQ(set_state(&self->d, STOP), 0);
	EXPECT_EQ(set_state(&self->d, RUNNING), 0);
}

/* A user who writes to the window that he has the device read. */
struct scribbler {
	uint8_t *window;
	size_t len;
	volatile bool stop;
};

/*
 * Turn a bit over, and back, here and there. A turn a round of the loop: an emulated
 * processor may be interrupted nowhere else.
 */
static void *scribble(void *arg)
{
	struct scribbler *s = arg;
	unsigned int seed = 1, i;

	while (!s->stop) {
		volatile uint8_t *byte = s->window + rand_r(&seed) % s->len;
		uint8_t bit = 1 << rand_r(&seed) % 8;

		for (i = 0; i < 100; i++)
			*byte ^= bit;
	}
	return NULL;
}

#define SCRIBBLED	(20 * PAGE)

/* Is all as it was saved, or all as at power-on? Anything else is neither. */
static bool device_is(struct dev *d, const uint8_t *mem, uint32_t scratch)
{
	uint8_t *copy = malloc(SCRIBBLED);
	bool ret = dev_read(d, d->bar2.offset, copy, SCRIBBLED) == SCRIBBLED &&
		   !memcmp(copy, mem, SCRIBBLED) && bar0_read(d, TERN_REG_SCRATCH(3)) == scratch;

	free(copy);
	return ret;
}

/*
 * V1-12: what is loaded is what was checked, though the window changes meanwhile.
 * What passes its CRC is what was saved, so no load is refused for its meaning.
 */
TEST_F(region, V1_12_window_changes_do_not_reach_the_load)
{
	uint8_t *mem = malloc(SCRIBBLED), *zero = calloc(1, SCRIBBLED);
	unsigned int round, equal = 0, refused = 0;
	struct scribbler s = { 0 };
	struct stream stream = { 0 };
	pthread_t thread;
	size_t i;

	for (i = 0; i < SCRIBBLED; i++)
		mem[i] = i * 7 + i / PAGE;
	ASSERT_EQ(dev_write(&self->d, self->d.bar2.offset, mem, SCRIBBLED), SCRIBBLED);
	bar0_write(&self->d, TERN_REG_SCRATCH(3), 0xabcdef);
	ASSERT_EQ(set_state(&self->d, SAVING), 0);
	ASSERT_EQ(save_all(&self->d, &stream), 0);
	ASSERT_EQ(set_state(&self->d, STOP), 0);
	ASSERT_EQ(dev_map_window(&self->d), 0);
	memcpy(self->d.map, stream.buf, stream.len);
	s.window = self->d.map;
	s.len = stream.len;
	ASSERT_EQ(pthread_create(&thread, NULL, scribble, &s), 0);
	for (round = 0; round < 5000 && (round < 200 || equal < 10 || refused < 10); round++) {
		uint64_t n = stream.len;
		ssize_t ret;

		ASSERT_EQ(set_state(&self->d, RESUMING), 0);
		ret = dev_write(&self->d, self->d.mig.offset + V1(data_size), &n, 8);
		if (!set_state(&self->d, RUNNING)) {
			EXPECT_EQ(ret, 8);
			ASSERT_TRUE(device_is(&self->d, mem, 0xabcdef));
			equal++;
		} else {
			/* All 8 with a length that announced more. */
			EXPECT_TRUE(ret == 8 || ret == -EINVAL || ret == -EOPNOTSUPP ||
				    ret == -EMSGSIZE || ret == -EBADMSG)
				TH_LOG("%zd", ret);
			EXPECT_EQ(get_state(&self->d), RESUMING);
			if (ret != 8)
				ASSERT_TRUE(device_is(&self->d, zero, 0));
			ASSERT_EQ(set_state(&self->d, STOP), 0);
			ASSERT_TRUE(device_is(&self->d, zero, 0));
			refused++;
		}
		ASSERT_EQ(set_state(&self->d, STOP), 0);
		/* One processor is enough, if both have their turn. */
		sched_yield();
	}
	s.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(memcmp(self->d.map, stream.buf, stream.len), 0);
	TH_LOG("%u loads: %u equal, %u refused", round, equal, refused);
	EXPECT_GE(equal, 10);
	EXPECT_GE(refused, 10);
	free(stream.buf);
	free(mem);
	free(zero);
}

/* The status page follows, acknowledges nothing, and is not believed. */
TEST_F(region, status_page_follows_the_session)
{
	struct tern_status_page *page;
	uint32_t v = 1;

	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->d.fd,
		    self->d.mig.offset + TERN_REGION_STATUS);
	ASSERT_NE(page, MAP_FAILED);
	EXPECT_EQ(page->state, RUNNING);
	EXPECT_EQ(page->pending_bytes, 0);
	ASSERT_EQ(dev_write(&self->d, self->d.bar2.offset, &v, 4), 4);
	ASSERT_EQ(set_state(&self->d, RUNNING | SAVING), 0);
	EXPECT_EQ(page->state, RUNNING | SAVING);
	EXPECT_EQ(page->pending_bytes, BEGIN_RECORD + MEMORY_RECORD);
	EXPECT_EQ(page->chunks, 0);
	EXPECT_EQ(data_size(&self->d), BEGIN_RECORD + MEMORY_RECORD);
	EXPECT_EQ(page->chunks, 1);
	EXPECT_EQ(page->passes, 1);
	EXPECT_EQ(page->pending_bytes, BEGIN_RECORD + MEMORY_RECORD);
	EXPECT_EQ(pending(&self->d), 0);
	EXPECT_EQ(page->pending_bytes, 0);
	EXPECT_EQ(page->sequence % 2, 0);
	memset(page, 0xff, PAGE);
	EXPECT_EQ(get_state(&self->d), RUNNING | SAVING);
	EXPECT_EQ(page->state, RUNNING | SAVING);
	EXPECT_EQ(page->sequence % 2, 0);
	EXPECT_EQ(munmap(page, PAGE), 0);
}

/* P-15: each open is a new device. */
TEST_F(region, P15_open_finds_a_new_device)
{
	uint32_t v = 77;

	ASSERT_EQ(dev_write(&self->d, self->d.bar2.offset, &v, 4), 4);
	bar0_write(&self->d, TERN_REG_SCRATCH(0), v);
	ASSERT_EQ(set_state(&self->d, SAVING), 0);
	data_size(&self->d);
	dev_close(&self->d);
	EXPECT_TRUE(attr_is(UUID_A, "state", "running"));
	ASSERT_EQ(dev_open(&self->d, UUID_A), 0);
	EXPECT_EQ(get_state(&self->d), RUNNING);
	EXPECT_EQ(bar0_read(&self->d, TERN_REG_SCRATCH(0)), 0);
	ASSERT_EQ(dev_read(&self->d, self->d.bar2.offset, &v, 4), 4);
	EXPECT_EQ(v, 0);
	ASSERT_EQ(set_state(&self->d, RUNNING | SAVING), 0);
	EXPECT_EQ(pending(&self->d), BEGIN_RECORD);
}

static bool window_is_blank(struct dev *d)
{
	uint64_t size = d->mig.size - d->window;
	uint8_t *copy = malloc(size);
	bool blank = dev_read(d, d->mig.offset + d->window, copy, size) == size;

	while (blank && size)
		blank = !copy[--size];
	free(copy);
	return blank;
}

/* S-7 P-8: what a session left in the window goes with it, however it ends. */
TEST_F(region, S7_P8_end_of_session_clears_the_window)
{
	static const uint32_t ends[] = { RUNNING, STOP, ~0U };
	uint32_t v = 5;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(dev_write(&self->d, self->d.bar2.offset, &v, 4), 4);
		ASSERT_EQ(set_state(&self->d, i ? SAVING : RUNNING | SAVING), 0);
		EXPECT_GT(data_size(&self->d), 0);
		EXPECT_FALSE(window_is_blank(&self->d));
		ASSERT_EQ(ends[i] == ~0U ? ioctl(self->d.fd, VFIO_DEVICE_RESET) :
			  set_state(&self->d, ends[i]), 0);
		EXPECT_TRUE(window_is_blank(&self->d));
		ASSERT_EQ(set_state(&self->d, RUNNING), 0);
	}
	/* Nor does a load find a stream that was not written. */
	ASSERT_EQ(set_state(&self->d, RESUMING), 0);
	EXPECT_TRUE(window_is_blank(&self->d));
}

/* P-14: reset from each state, by the VMM or the guest; the next session is whole. */
TEST_F(region, P14_reset_leads_to_running)
{
	static const uint32_t states[] = { 0, 1, 2, 3, 4 };
	int i, fd = eventfd(0, EFD_NONBLOCK);
	uint32_t v = 5;

	for (i = 0; i < 10; i++) {
		ASSERT_EQ(dev_write(&self->d, self->d.bar2.offset, &v, 4), 4);
		ASSERT_EQ(set_state(&self->d, states[i % 5]), 0);
		if (states[i % 5] & SAVING)
			EXPECT_GT(data_size(&self->d), 0);
		ASSERT_EQ(reset_by(&self->d, i >= 5), 0);
		EXPECT_EQ(get_state(&self->d), RUNNING);
		EXPECT_EQ(pending(&self->d), 0);
		/* P-30: it runs, and not only by its word. */
		ASSERT_EQ(set_command(&self->d, MASTER), 0);
		ASSERT_EQ(set_trigger(&self->d, VFIO_PCI_MSIX_IRQ_INDEX, 1, fd), 0);
		bar0_write(&self->d, TERN_REG_DOORBELL, 1);
		EXPECT_EQ(signals(fd), 1);
		ASSERT_EQ(set_state(&self->d, RUNNING | SAVING), 0);
		EXPECT_EQ(pending(&self->d), BEGIN_RECORD);
		ASSERT_EQ(set_state(&self->d, RUNNING), 0);
	}
	close(fd);
}

TEST_HARNESS_MAIN
