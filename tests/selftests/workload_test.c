// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that dirties its own memory, by the folder "workload" of sysfs: what it writes
 * is what verify expects, on the source and after a migration by either protocol; and each
 * kind of damage is found.
 */
#include <sys/stat.h>
#include <time.h>

#include "dma.h"
#include "fixture.h"
#include "kselftest_harness.h"

#define PAGES		(4 * MIB / PAGE)
#define SET_PAGES	(MIB / PAGE)
/* As fast as it can. */
#define FAST		"1048576"
/* Within what the harness allows a test. */
#define DEADLINE_S	20

FIXTURE(workload) {
	struct dev a, b;
	struct stream s;
};

FIXTURE_VARIANT(workload) {
	const struct front_end *by;
};

FIXTURE_VARIANT_ADD(workload, v1) { .by = &v1_trapped };
FIXTURE_VARIANT_ADD(workload, v2) { .by = &v2_file };

FIXTURE_SETUP(workload)
{
	NEEDS_TERN();
	ASSERT_EQ(pair_on(&self->a, &self->b, (struct setting){
		.memory_mib = 4, .map_memory = true, .by = variant->by }), 0);
}

FIXTURE_TEARDOWN(workload)
{
	EXPECT_EQ(pair_off(&self->a, &self->b, &self->s), 0);
}

static int set(struct dev *d, const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/workload/%s", d->uuid, name);
	return write_file(path, text);
}

static int text_of(struct dev *d, const char *name, char *buf, size_t size)
{
	char path[128];

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/workload/%s", d->uuid, name);
	return read_file(path, buf, size);
}

static unsigned int mode_of(struct dev *d, const char *name)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/workload/%s", d->uuid, name);
	return stat(path, &st) ? 0 : st.st_mode & 0777;
}

static bool is(struct dev *d, const char *name, const char *text)
{
	char buf[256];

	return text_of(d, name, buf, sizeof(buf)) > 0 && !strcmp(strtok(buf, "\n"), text);
}

static uint64_t writes(struct dev *d)
{
	char buf[64];

	return text_of(d, "writes", buf, sizeof(buf)) > 0 ? strtoull(buf, NULL, 10) : ~0ULL;
}

struct verdict {
	unsigned long long pages, written, bad;
	char first[256];
};

/* 0 or -errno. */
static int verify(struct dev *d, struct verdict *v)
{
	char buf[512], *line;
	int ret = text_of(d, "verify", buf, sizeof(buf));

	*v = (struct verdict){ };
	if (ret < 0)
		return ret;
	if (sscanf(buf, "pages %llu written %llu bad %llu", &v->pages, &v->written, &v->bad) != 3)
		return -EPROTO;
	line = strchr(buf, '\n') + 1;
	snprintf(v->first, sizeof(v->first), "%.*s", (int)strcspn(line, "\n"), line);
	return 0;
}

#define EXPECT_GOOD(d) do {						\
	struct verdict v_;						\
									\
	EXPECT_EQ(verify(d, &v_), 0);					\
	EXPECT_EQ(v_.pages, PAGES);					\
	EXPECT_EQ(v_.bad, 0) TH_LOG("%s", v_.first);			\
} while (0)

/* One page is bad, and this is its name. */
#define EXPECT_BAD(d, ...) do {						\
	char name_[128];						\
	struct verdict v_;						\
									\
	snprintf(name_, sizeof(name_), __VA_ARGS__);			\
	EXPECT_EQ(verify(d, &v_), 0);					\
	EXPECT_EQ(v_.bad, 1);						\
	EXPECT_STREQ(v_.first, name_);					\
} while (0)

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Wait until so many pages were written. */
static bool written(struct dev *d, uint64_t pages)
{
	double end = now() + DEADLINE_S;

	while (writes(d) < pages) {
		if (now() > end)
			return false;
		usleep(1000);
	}
	return true;
}

static int start(struct dev *d, const char *pattern, const char *set_mib, const char *seed,
		 const char *mibs)
{
	return set(d, "pattern", pattern) ?: set(d, "set_mib", set_mib) ?: set(d, "seed", seed) ?:
	       set(d, "mibs", mibs);
}

/* Write so many pages, and pause. */
static int run(struct dev *d, const char *pattern, uint64_t pages)
{
	int ret = start(d, pattern, "0", "1", FAST);

	if (!ret && !written(d, pages))
		ret = -ETIME;
	return ret ?: set(d, "mibs", "0");
}

static const struct {
	const char *name, *preset, *good, *bad;
	int error;
} values[] = {
	{ "mibs", "0", "0", "1048577", -EINVAL },
	{ "mibs", "0", "0", "4294967296", -EINVAL },
	{ "mibs", "0", "0", "fast", -EINVAL },
	{ "set_mib", "0", "2", "3", -EINVAL },
	{ "set_mib", "0", "65536", "131072", -EINVAL },
	{ "set_mib", "0", "1", "-1", -EINVAL },
	{ "pattern", "permuted", "hot", "cold", -EINVAL },
	{ "pattern", "permuted", "sequential", "\n", -EINVAL },
	{ "seed", "0", "18446744073709551615", "18446744073709551616", -ERANGE },
};

TEST_F(workload, LAB_12_a_bad_value_changes_nothing)
{
	unsigned int i;

	for (i = 0; i < sizeof(values) / sizeof(*values); i++) {
		EXPECT_TRUE(is(&self->a, values[i].name, values[i].preset));
		EXPECT_EQ(set(&self->a, values[i].name, values[i].good), 0);
		EXPECT_EQ(set(&self->a, values[i].name, values[i].bad), values[i].error)
			TH_LOG("%s: %s", values[i].name, values[i].bad);
		EXPECT_TRUE(is(&self->a, values[i].name, values[i].good));
		EXPECT_EQ(set(&self->a, values[i].name, values[i].preset), 0);
	}
	EXPECT_EQ(writes(&self->a), 0);
	EXPECT_EQ(set(&self->a, "writes", "1"), -EACCES);
	EXPECT_EQ(mode_of(&self->a, "verify"), 0400);
}

TEST_F(workload, LAB_12_while_it_runs_only_its_rate_changes)
{
	ASSERT_EQ(start(&self->a, "hot", "2", "3", "1"), 0);
	EXPECT_EQ(set(&self->a, "pattern", "permuted"), -EBUSY);
	EXPECT_EQ(set(&self->a, "set_mib", "1"), -EBUSY);
	EXPECT_EQ(set(&self->a, "seed", "4"), -EBUSY);
	EXPECT_TRUE(is(&self->a, "pattern", "hot"));
	EXPECT_TRUE(is(&self->a, "set_mib", "2"));
	EXPECT_TRUE(is(&self->a, "seed", "3"));
	EXPECT_EQ(set(&self->a, "mibs", FAST), 0);
	EXPECT_TRUE(written(&self->a, PAGES));
	/* Paused, it keeps what it has written; another one forgets it. */
	EXPECT_EQ(set(&self->a, "mibs", "0"), 0);
	EXPECT_GE(writes(&self->a), PAGES);
	EXPECT_GOOD(&self->a);
	EXPECT_EQ(set(&self->a, "mibs", "1"), 0);
	EXPECT_GE(writes(&self->a), PAGES);
	EXPECT_EQ(set(&self->a, "mibs", "0"), 0);
	EXPECT_EQ(set(&self->a, "seed", "3"), 0);
	EXPECT_EQ(writes(&self->a), 0);
}

TEST_F(workload, LAB_12_it_writes_no_faster_than_at_its_rate)
{
	/* What may be made up for, and the piece after it. */
	const double slack = 0.1 * 8 * 256 + 16;
	double begin, took;
	uint64_t n;

	ASSERT_EQ(start(&self->a, "permuted", "0", "0", "8"), 0);
	begin = now();
	n = writes(&self->a);
	ASSERT_TRUE(written(&self->a, n + 1000));
	n = writes(&self->a) - n;
	took = now() - begin;
	EXPECT_LE(n, took * 8 * 256 + slack) TH_LOG("%.3f s", took);
}

TEST_F(workload, LAB_13_memory_is_what_the_workload_wrote)
{
	static const char *const patterns[] = { "sequential", "permuted", "hot" };
	unsigned int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(start(&self->a, patterns[i], "0", "5", FAST), 0);
		ASSERT_TRUE(written(&self->a, 3 * PAGES));
		/* It runs meanwhile. */
		EXPECT_GOOD(&self->a);
		EXPECT_EQ(set(&self->a, "mibs", "0"), 0);
		EXPECT_GOOD(&self->a);
	}
}

TEST_F(workload, LAB_13_each_kind_of_damage_is_found)
{
	uint8_t *mem = (void *)self->a.mem, kept[PAGE], other[PAGE];
	uint64_t n;

	ASSERT_EQ(run(&self->a, "sequential", PAGES), 0);
	memcpy(other, mem + 9 * PAGE, PAGE);

	EXPECT_EQ(set(&self->a, "spoil", "7"), 0);
	EXPECT_BAD(&self->a, "page 7 has a wrong CRC");
	EXPECT_EQ(set(&self->a, "spoil", "7"), 0);
	EXPECT_GOOD(&self->a);

	memcpy(kept, mem + 5 * PAGE, PAGE);
	memset(mem + 5 * PAGE, 0, PAGE);
	n = (writes(&self->a) + PAGES - 6) / PAGES;
	EXPECT_BAD(&self->a, "page 5 is zero, expected generation %lu", n);
	memcpy(mem + 5 * PAGE, other, PAGE);
	EXPECT_BAD(&self->a, "page 5 holds page 9");
	memcpy(mem + 5 * PAGE, kept, PAGE);
	EXPECT_GOOD(&self->a);

	/* One that is a round behind. */
	ASSERT_EQ(set(&self->a, "mibs", FAST), 0);
	ASSERT_TRUE(written(&self->a, writes(&self->a) + PAGES));
	ASSERT_EQ(set(&self->a, "mibs", "0"), 0);
	memcpy(mem + 5 * PAGE, kept, PAGE);
	EXPECT_BAD(&self->a, "page 5 has generation %lu, expected %lu", n,
		   (writes(&self->a) + PAGES - 6) / PAGES);

	/* One of another seed. */
	ASSERT_EQ(start(&self->a, "sequential", "0", "2", FAST), 0);
	ASSERT_TRUE(written(&self->a, PAGES));
	ASSERT_EQ(set(&self->a, "mibs", "0"), 0);
	memcpy(mem + 9 * PAGE, other, PAGE);
	EXPECT_BAD(&self->a, "page 9 is of another workload");
}

TEST_F(workload, LAB_13_the_rest_of_memory_stays_what_it_was)
{
	unsigned long page;

	/* Also in the set: it is cleared. */
	for (page = 0; page < PAGES; page += 3)
		touch(self->a.mem, page, page + 1);
	ASSERT_EQ(start(&self->a, "sequential", "1", "5", "1"), 0);
	EXPECT_GOOD(&self->a);
	ASSERT_EQ(set(&self->a, "mibs", FAST), 0);
	ASSERT_TRUE(written(&self->a, SET_PAGES));
	EXPECT_GOOD(&self->a);
	touch(self->a.mem, SET_PAGES + 2, 0);
	EXPECT_BAD(&self->a, "pages from 256 on changed: 255 not zero, expected 256");
	touch(self->a.mem, SET_PAGES + 2, SET_PAGES + 3);
	EXPECT_GOOD(&self->a);

	/* With a rest that is zero each page has its name. */
	ASSERT_EQ(reset_by(&self->a, false), 0);
	EXPECT_GOOD(&self->a);
	touch(self->a.mem, SET_PAGES + 2, 1);
	EXPECT_BAD(&self->a, "page 258 was never written and is not zero");
}

/* Without a workload there is nothing to verify. */
TEST_F(workload, LAB_13_verify_needs_a_workload)
{
	struct verdict v;

	EXPECT_EQ(verify(&self->a, &v), -ENODATA);
	ASSERT_EQ(set(&self->a, "mibs", "1"), 0);
	EXPECT_EQ(verify(&self->a, &v), 0);
	dev_close(&self->a);
	EXPECT_EQ(verify(&self->a, &v), -ENODATA);
	EXPECT_EQ(set(&self->a, "spoil", "0"), -ENODATA);
	/* It begins again when the device is opened. */
	ASSERT_EQ(device_open(&self->a, UUID_A, &(struct setting){ .by = variant->by }), 0);
	EXPECT_TRUE(written(&self->a, 1));
	EXPECT_GOOD(&self->a);
	EXPECT_EQ(set(&self->a, "spoil", "1024"), -EINVAL);
	EXPECT_EQ(set(&self->a, "spoil", "4503599627370496"), -EINVAL);
}

TEST_F(workload, LAB_12_it_migrates_and_continues)
{
	uint64_t before;

	ASSERT_EQ(start(&self->a, "hot", "2", "77", "64"), 0);
	ASSERT_TRUE(written(&self->a, SET_PAGES));
	ASSERT_EQ(variant->by->begin(&self->a), 0);
	ASSERT_EQ(set(&self->a, "mibs", FAST), 0);
	ASSERT_TRUE(written(&self->a, writes(&self->a) + 2 * PAGES));
	ASSERT_EQ(set(&self->a, "mibs", "64"), 0);
	ASSERT_EQ(variant->by->stop(&self->a), 0);
	before = writes(&self->a);
	EXPECT_GOOD(&self->a);
	ASSERT_EQ(variant->by->drain(&self->a, &self->s, PIECE), 0);
	ASSERT_EQ(variant->by->end(&self->a, false), 0);
	EXPECT_EQ(writes(&self->a), before);
	EXPECT_EQ(attr_sum(UUID_A, "late_marks"), 0);

	ASSERT_EQ(load_by(&self->b, &self->s, PIECE), 0);
	EXPECT_TRUE(is(&self->b, "mibs", "64"));
	EXPECT_TRUE(is(&self->b, "set_mib", "2"));
	EXPECT_TRUE(is(&self->b, "pattern", "hot"));
	EXPECT_TRUE(is(&self->b, "seed", "77"));
	EXPECT_GOOD(&self->b);
	EXPECT_TRUE(written(&self->b, before + SET_PAGES));
	EXPECT_GOOD(&self->b);
}

/* The source can go on after a cancelled migration. */
TEST_F(workload, LAB_12_it_continues_where_it_was_stopped)
{
	uint64_t before;

	ASSERT_EQ(start(&self->a, "permuted", "0", "0", FAST), 0);
	ASSERT_TRUE(written(&self->a, PAGES));
	ASSERT_EQ(variant->by->stop(&self->a), 0);
	before = writes(&self->a);
	EXPECT_EQ(set(&self->a, "mibs", "0"), 0);
	EXPECT_EQ(set(&self->a, "mibs", FAST), 0);
	EXPECT_EQ(writes(&self->a), before);
	ASSERT_EQ(variant->by->end(&self->a, true), 0);
	EXPECT_TRUE(written(&self->a, before + PAGES));
	EXPECT_GOOD(&self->a);
}

/* One that would begin clears memory: not under a VMM that has stopped the device. */
TEST_F(workload, LAB_12_none_begins_while_the_device_is_stopped)
{
	struct verdict v;

	ASSERT_EQ(variant->by->stop(&self->a), 0);
	EXPECT_EQ(set(&self->a, "mibs", "1"), -EBUSY);
	EXPECT_TRUE(is(&self->a, "mibs", "0"));
	EXPECT_EQ(verify(&self->a, &v), -ENODATA);
	ASSERT_EQ(variant->by->end(&self->a, true), 0);
	EXPECT_EQ(set(&self->a, "mibs", "1"), 0);
}

TEST_F(workload, LAB_12_after_a_reset_it_begins_again)
{
	bool guest;

	ASSERT_EQ(start(&self->a, "permuted", "0", "0", FAST), 0);
	for (guest = false;; guest = true) {
		ASSERT_TRUE(written(&self->a, 8 * PAGES));
		ASSERT_EQ(set(&self->a, "mibs", "1"), 0);
		ASSERT_EQ(reset_by(&self->a, guest), 0);
		EXPECT_LT(writes(&self->a), 8 * PAGES);
		EXPECT_TRUE(written(&self->a, 1));
		EXPECT_GOOD(&self->a);
		if (guest)
			break;
		ASSERT_EQ(set(&self->a, "mibs", FAST), 0);
	}
}

TEST_F(workload, LAB_12_a_loaded_device_does_what_its_source_did)
{
	struct verdict v;

	touch(self->a.mem, 3, 4);
	ASSERT_EQ(set(&self->b, "mibs", FAST), 0);
	ASSERT_TRUE(written(&self->b, 1));
	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	/* A stream is what it has always been if there is no workload. */
	EXPECT_EQ(find_record(&self->s, TERN_RECORD_WORKLOAD), NULL);
	ASSERT_EQ(load_by(&self->b, &self->s, PIECE), 0);
	EXPECT_TRUE(is(&self->b, "mibs", "0"));
	EXPECT_EQ(verify(&self->b, &v), -ENODATA);
	EXPECT_TRUE(same_memory(&self->a, &self->b));
}

/* What a stream has brought is not the next owner's, nor that of a load that failed. */
TEST_F(workload, LAB_12_P10_P15_a_loaded_workload_ends_with_the_open)
{
	struct stream both;
	struct verdict v;

	ASSERT_EQ(start(&self->a, "hot", "2", "77", FAST), 0);
	ASSERT_TRUE(written(&self->a, 1));
	ASSERT_EQ(set(&self->b, "seed", "5"), 0);
	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	ASSERT_EQ(load_by(&self->b, &self->s, PIECE), 0);
	EXPECT_TRUE(is(&self->b, "seed", "77"));
	dev_close(&self->b);
	ASSERT_EQ(device_open(&self->b, UUID_B, &(struct setting){ .by = variant->by }), 0);
	EXPECT_TRUE(is(&self->b, "mibs", "0"));
	EXPECT_TRUE(is(&self->b, "set_mib", "0"));
	EXPECT_TRUE(is(&self->b, "pattern", "permuted"));
	EXPECT_TRUE(is(&self->b, "seed", "5"));
	EXPECT_EQ(verify(&self->b, &v), -ENODATA);

	/* A reset ends it, too. */
	ASSERT_EQ(load_by(&self->b, &self->s, PIECE), 0);
	ASSERT_EQ(reset_by(&self->b, true), 0);
	EXPECT_TRUE(is(&self->b, "mibs", "0"));

	/* It was whole, and then another session began, and no more came. */
	both = (struct stream){ .len = self->s.len };
	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	both.buf = self->s.buf;
	ASSERT_EQ(variant->by->resume(&self->b), 0);
	ASSERT_EQ(variant->by->feed(&self->b, &both, PIECE), 0);
	EXPECT_TRUE(is(&self->b, "seed", "77"));
	both.buf += both.len;
	both.len = BEGIN_RECORD;
	ASSERT_EQ(variant->by->feed(&self->b, &both, PIECE), 0);
	EXPECT_TRUE(is(&self->b, "mibs", "0"));
	EXPECT_TRUE(is(&self->b, "seed", "5"));
	ASSERT_EQ(reset_by(&self->b, false), 0);
	if (self->b.data_fd >= 0)
		close(self->b.data_fd);
	self->b.data_fd = -1;
	EXPECT_EQ(writes(&self->b), 0);
}

/* A load is half done: its pages are no damage. */
TEST_F(workload, LAB_13_nothing_is_verified_while_a_load_lasts)
{
	struct stream half;
	struct verdict v;

	ASSERT_EQ(run(&self->a, "permuted", PAGES), 0);
	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	ASSERT_EQ(set(&self->b, "mibs", FAST), 0);
	ASSERT_EQ(variant->by->resume(&self->b), 0);
	half = (struct stream){ .buf = self->s.buf, .len = PIECE };
	ASSERT_EQ(variant->by->feed(&self->b, &half, PIECE), 0);
	EXPECT_EQ(verify(&self->b, &v), -ENODATA);
	half = (struct stream){ .buf = self->s.buf + PIECE, .len = self->s.len - PIECE };
	ASSERT_EQ(variant->by->feed(&self->b, &half, PIECE), 0);
	EXPECT_GOOD(&self->b);
	ASSERT_EQ(variant->by->commit(&self->b), 0);
}

static const struct {
	size_t at;
	uint8_t value;
} wrong[] = {
	{ offsetof(struct tern_workload_state, mibs) + 3, 1 },
	{ offsetof(struct tern_workload_state, pattern), 3 },
	{ offsetof(struct tern_workload_state, pages), 1 },
	{ offsetof(struct tern_workload_state, reserved), 1 },
};

TEST_F(workload, LAB_12_P10_a_wrong_record_is_refused)
{
	struct tern_record *record;
	uint8_t *payload, kept;
	unsigned int i;

	ASSERT_EQ(run(&self->a, "permuted", 1), 0);
	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	record = find_record(&self->s, TERN_RECORD_WORKLOAD);
	ASSERT_NE(record, NULL);
	EXPECT_EQ(record->flags, TERN_RECORD_OPTIONAL);
	payload = (void *)(record + 1);
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		kept = payload[wrong[i].at];
		payload[wrong[i].at] = wrong[i].value;
		seal_record(&self->s, record);
		ASSERT_EQ(self->b.by->resume(&self->b), 0);
		EXPECT_EQ(self->b.by->feed(&self->b, &self->s, PIECE), -EDOM);
		payload[wrong[i].at] = kept;
		ASSERT_EQ(self->b.by->abort(&self->b), 0);
		ASSERT_EQ(reset_by(&self->b, false), 0);
	}
	seal_record(&self->s, record);
	ASSERT_EQ(load_by(&self->b, &self->s, PIECE), 0);
	EXPECT_GOOD(&self->b);
}

/* DMA and the workload take turns. */
TEST_F(workload, LAB_12_DMA_5_a_transfer_completes_beside_it)
{
	uint64_t before;
	int i;

	ASSERT_EQ(start(&self->a, "permuted", "2", "0", FAST), 0);
	ASSERT_EQ(set_command(&self->a, MASTER), 0);
	before = writes(&self->a);
	for (i = 0; i < 8; i++)
		EXPECT_EQ(dma_do(&self->a, TERN_DMA_OP_CRC, 0, 2 * MIB, 2 * MIB), TERN_DMA_DONE);
	/* 256 pieces, and as many of the workload, except for the last one. */
	EXPECT_GE(writes(&self->a), before + 255 * 16);
	EXPECT_GOOD(&self->a);
}

/* What root asks of a device waits for no guest memory. */
TEST_F(workload, LAB_12_LAB_13_a_blocked_transfer_blocks_no_attribute)
{
	struct caught c;

	ASSERT_EQ(catch_faults(&c, MIB), 0);
	ASSERT_EQ(map_guest(&self->a, c.p, CAUGHT, MIB), 0);
	ASSERT_EQ(set_command(&self->a, MASTER), 0);
	dma_start(&self->a, TERN_DMA_OP_FROM_DEVICE, CAUGHT, 0, MIB);
	ASSERT_EQ(wait_for_fault(&c), 0);
	EXPECT_EQ(start(&self->a, "permuted", "0", "0", FAST), 0);
	EXPECT_EQ(writes(&self->a), 0);
	EXPECT_GOOD(&self->a);
	ASSERT_EQ(let_go(&c), 0);
	EXPECT_EQ(dma_wait(&self->a), TERN_DMA_DONE);
	EXPECT_TRUE(written(&self->a, PAGES));
	end_caught(&c);
}

TEST_F(workload, LAB_12_V1_18_it_pauses_in_D3hot)
{
	uint64_t before;

	ASSERT_EQ(start(&self->a, "permuted", "0", "0", FAST), 0);
	ASSERT_EQ(set_power(&self->a, D3HOT), 0);
	before = writes(&self->a);
	EXPECT_GOOD(&self->a);
	EXPECT_EQ(writes(&self->a), before);
	ASSERT_EQ(set_power(&self->a, D0), 0);
	EXPECT_TRUE(written(&self->a, before + PAGES));
}

TEST_HARNESS_MAIN
