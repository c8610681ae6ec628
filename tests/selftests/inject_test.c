// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a tester asks of a device by the folder "inject" of sysfs: each rule, by each
 * protocol that it applies to; and that a rule which cannot be read changes nothing.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <time.h>

#include "fixture.h"
#include "kselftest_harness.h"

#define PAGES		(4 * MIB / PAGE)
#define PIECE		(64UL << 10)
#define GET		VFIO_DEVICE_FEATURE_GET

/* A source, with a quarter of its pages written, and a destination. */
static int set_up(struct dev *a, struct dev *b, const struct front_end *by)
{
	return pair_filled(a, b, (struct setting){ .memory_mib = 4, .window_kib = 256, .by = by },
			   PAGES, 4);
}

FIXTURE(inject) {
	struct dev a, b;
	struct stream s;
};

FIXTURE_VARIANT(inject) {
	const struct front_end *by;
};

FIXTURE_VARIANT_ADD(inject, v1) { .by = &v1_trapped };
FIXTURE_VARIANT_ADD(inject, v2) { .by = &v2_file };

FIXTURE_SETUP(inject)
{
	NEEDS_TERN();
	ASSERT_EQ(set_up(&self->a, &self->b, variant->by), 0);
}

FIXTURE_TEARDOWN(inject)
{
	EXPECT_EQ(pair_off(&self->a, &self->b, &self->s), 0);
}

static int ask(struct dev *d, const char *rule, const char *text)
{
	return step(d->uuid, rule, rule_set(d->uuid, rule, text));
}

static uint64_t hits(struct dev *d, const char *rule)
{
	return rule_hits(d->uuid, rule);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* What the source sends is what the destination has. */
#define EXPECT_WHOLE(self) do {						\
	EXPECT_EQ(load_by(&(self)->b, &(self)->s, PIECE), 0);		\
	EXPECT_TRUE(same_memory(&(self)->a, &(self)->b));		\
} while (0)

static const struct {
	const char *name, *good, *bad;
	int error;
} texts[] = {
	{ "state", "stopped-saving 5 2\nerror 12\n", "stopped-saving", -EINVAL },
	{ "state", "running 1\n", "nowhere 5", -EINVAL },
	{ "state", "running 1\n", "running 0", -EINVAL },
	{ "state", "running 1\n", "running 512", -EINVAL },
	{ "state", "running 511\n", "running 5 0", -EINVAL },
	{ "state", "running 1 4294967295\n", "running 5 4294967296", -EINVAL },
	{ "state", "running 1\n", "running 5 1 1", -EINVAL },
	{ "state", "running 1\n", "running 5\n\nstopped 5", -EINVAL },
	{ "state", "running 1\n", "running 1\nrunning 1\nrunning 1\nrunning 1\nrunning 1\n"
				   "running 1\nrunning 1\nrunning 1\nrunning 1", -E2BIG },
	{ "state_delay", "quiesced 20\nrunning 1\n", "error 20", -EINVAL },
	{ "state_delay", "stopped 3600000\n", "stopped 3600001", -EINVAL },
	{ "read", "0 5\n4096 5 1\n", "5", -EINVAL },
	{ "read", "9223372036854775807 5\n", "9223372036854775808 5", -EINVAL },
	{ "write", "100 28 3\n", "18446744073709551616 5", -ERANGE },
	{ "read_delay_us", "3600000000\n", "3600000001", -EINVAL },
	{ "write_delay_us", "1\n", "1 1", -EINVAL },
	{ "read_mibs", "1048576\n", "1048577", -EINVAL },
	{ "write_mibs", "1\n", "fast", -EINVAL },
	{ "read_max", "1\n", "2147483648", -EINVAL },
	{ "flip", "8 7\n", "8 8", -EINVAL },
	{ "cut", "4096\n", "4096\n5", -E2BIG },
	{ "pending", "stuck\n", "never", -EINVAL },
	{ "initial", "huge\n", "huge zero", -EINVAL },
	{ "data_size", "zero\n", "-1", -EINVAL },
	{ "features", "v2 stop_copy\n", "v2 v3", -EINVAL },
};

TEST_F(inject, LAB_1_a_rule_that_cannot_be_read_changes_nothing)
{
	unsigned int i;

	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		const char *name = texts[i].name;

		EXPECT_EQ(ask(&self->a, name, texts[i].good), 0);
		EXPECT_EQ(rule_set(self->a.uuid, name, texts[i].bad), texts[i].error)
			TH_LOG("%s: \"%s\"", name, texts[i].bad);
		EXPECT_TRUE(rule_is(self->a.uuid, name, texts[i].good))
			TH_LOG("%s: \"%s\"", name, texts[i].good);
		EXPECT_EQ(ask(&self->a, name, i % 2 ? "0" : "\n"), 0);
		EXPECT_TRUE(rule_is(self->a.uuid, name, strcmp(name, "features") ? "0\n" :
			"v1 v2 stop_copy p2p precopy dma_log data_size precopy_info2\n"));
	}
	/* Nothing is left of them. */
	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	EXPECT_WHOLE(self);
}

TEST_F(inject, LAB_2_a_change_of_state_fails_so_many_times)
{
	ASSERT_EQ(variant->by->begin(&self->a), 0);
	ASSERT_EQ(ask(&self->a, "state", "stopped-saving 28 2"), 0);
	EXPECT_EQ(variant->by->stop(&self->a), -ENOSPC);
	EXPECT_TRUE(rule_is(self->a.uuid, "state", "stopped-saving 28 1\n"));
	EXPECT_EQ(variant->by->stop(&self->a), -ENOSPC);
	/* It still runs, and its session lives. */
	EXPECT_EQ(variant->by->state(&self->a) & RUNNING, RUNNING);
	EXPECT_TRUE(rule_is(self->a.uuid, "state", "0\n"));
	EXPECT_EQ(hits(&self->a, "state"), 2);
	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	EXPECT_WHOLE(self);
}

TEST_F(inject, LAB_2_a_rule_without_times_holds_until_it_is_taken_back)
{
	int i;

	ASSERT_EQ(ask(&self->a, "state", "running-saving 5\nresuming 12"), 0);
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(variant->by->begin(&self->a), -EIO);
		EXPECT_EQ(variant->by->state(&self->a), RUNNING);
		/* v2 gets as far as STOP. */
		EXPECT_EQ(variant->by->resume(&self->a), -ENOMEM);
		EXPECT_EQ(variant->by->state(&self->a), variant->by == &v2_file ? STOP : RUNNING);
		EXPECT_EQ(reset_by(&self->a, false), 0);
	}
	EXPECT_EQ(hits(&self->a, "state"), 10);
	ASSERT_EQ(ask(&self->a, "state", "\n"), 0);
	EXPECT_EQ(variant->by->begin(&self->a), 0);
}

static bool is_blank(struct dev *d)
{
	static uint8_t one[64 * 1024];
	uint64_t at;
	size_t i;

	for (at = 0; at < d->bar2.size; at += sizeof(one)) {
		if (dev_read(d, d->bar2.offset + at, one, sizeof(one)) != sizeof(one))
			return false;
		for (i = 0; i < sizeof(one); i++)
			if (one[i])
				return false;
	}
	return true;
}

/* What the status page shows. */
static struct tern_status_page status_of(struct dev *d)
{
	struct tern_status_page page = {};

	dev_read(d, d->mig.offset + TERN_REGION_STATUS, &page, sizeof(page));
	return page;
}

TEST_F(inject, LAB_3_an_error_state_is_left_by_reset_only)
{
	uint64_t n;

	ASSERT_EQ(variant->by->begin(&self->a), 0);
	ASSERT_EQ(ask(&self->a, "state", "error 5 1"), 0);
	EXPECT_EQ(variant->by->stop(&self->a), -EIO);
	EXPECT_EQ(variant->by->state(&self->a), SAVING | RESUMING);
	EXPECT_TRUE(attr_is(self->a.uuid, "state", "error"));
	EXPECT_EQ(status_of(&self->a).state, SAVING | RESUMING);
	EXPECT_EQ(status_of(&self->a).pending_bytes, 0);
	/* Its session is over, and no state is reached, not even the one that it is in. */
	if (variant->by == &v2_file) {
		EXPECT_TRUE(is_stale(self->a.data_fd, S_STOP_COPY));
		EXPECT_EQ(go(&self->a, S_STOP), -EINVAL);
		EXPECT_EQ(go(&self->a, S_RUNNING), -EINVAL);
		EXPECT_EQ(go_open(&self->a, S_RESUMING, &self->b.data_fd), -EINVAL);
	} else {
		EXPECT_EQ(pending(&self->a), 0);
		EXPECT_EQ(reg_read(&self->a, V1(data_size), &n), 0);
		EXPECT_EQ(n, 0);
		EXPECT_EQ(set_state(&self->a, STOP), -EINVAL);
		EXPECT_EQ(set_state(&self->a, RUNNING), -EINVAL);
		EXPECT_EQ(set_state(&self->a, RESUMING), -EINVAL);
	}
	ASSERT_EQ(reset_by(&self->a, false), 0);
	EXPECT_EQ(variant->by->state(&self->a), RUNNING);
	if (self->a.data_fd >= 0)
		close(self->a.data_fd);
	self->a.data_fd = -1;
	touch(self->a.mem, 7, 7);
	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	EXPECT_WHOLE(self);
}

TEST_F(inject, LAB_3_a_load_that_meets_an_error_leaves_nothing)
{
	struct stream part;

	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	part = (struct stream){ .buf = self->s.buf, .len = self->s.len / 2 };
	ASSERT_EQ(variant->by->resume(&self->b), 0);
	ASSERT_EQ(variant->by->feed(&self->b, &part, PIECE), 0);
	EXPECT_FALSE(is_blank(&self->b));
	ASSERT_EQ(ask(&self->b, "state", "error 5"), 0);
	EXPECT_EQ(variant->by->commit(&self->b), -EIO);
	EXPECT_EQ(variant->by->state(&self->b), SAVING | RESUMING);
	EXPECT_TRUE(is_blank(&self->b));
	/* The rule is not asked again: there is no change of state to fail. */
	EXPECT_EQ(variant->by->commit(&self->b), -EINVAL);
	EXPECT_EQ(hits(&self->b, "state"), 1);
	ASSERT_EQ(ask(&self->b, "state", "0"), 0);
	EXPECT_EQ(variant->by->abort(&self->b), variant->by == &v2_file ? 0 : -EINVAL);
	ASSERT_EQ(reset_by(&self->b, false), 0);
	EXPECT_WHOLE(self);
}

TEST_F(inject, LAB_4_a_change_of_state_takes_its_time)
{
	double start;

	ASSERT_EQ(ask(&self->a, "state_delay", "stopped-saving 300"), 0);
	ASSERT_EQ(variant->by->begin(&self->a), 0);
	EXPECT_EQ(hits(&self->a, "state_delay"), 0);
	start = now();
	EXPECT_EQ(variant->by->stop(&self->a), 0);
	EXPECT_GE(now() - start, 0.3);
	EXPECT_EQ(hits(&self->a, "state_delay"), 1);
	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	EXPECT_WHOLE(self);
}

struct stopper {
	struct dev *d;
	pthread_t thread;
	volatile pid_t tid;
	int ret;
};

static void *run_stopper(void *arg)
{
	struct stopper *st = arg;

	st->tid = gettid();
	st->ret = st->d->by->stop(st->d);
	return NULL;
}

/* Wait for the rule to apply: then its thread waits. */
static void until_hit(struct dev *d, const char *rule)
{
	while (!hits(d, rule))
		sched_yield();
}

TEST_F(inject, LAB_4_a_reset_ends_the_wait_for_a_state)
{
	struct stopper st = { .d = &self->a };

	ASSERT_EQ(variant->by->begin(&self->a), 0);
	ASSERT_EQ(ask(&self->a, "state_delay", "stopped-saving 3600000"), 0);
	ASSERT_EQ(pthread_create(&st.thread, NULL, run_stopper, &st), 0);
	until_hit(&self->a, "state_delay");
	EXPECT_EQ(reset_by(&self->a, false), 0);
	pthread_join(st.thread, NULL);
	EXPECT_EQ(variant->by->state(&self->a), RUNNING);
}

TEST_F(inject, LAB_4_a_new_rule_ends_the_wait_for_a_state)
{
	struct stopper st = { .d = &self->a };

	ASSERT_EQ(variant->by->begin(&self->a), 0);
	ASSERT_EQ(ask(&self->a, "state_delay", "stopped-saving 3600000"), 0);
	ASSERT_EQ(pthread_create(&st.thread, NULL, run_stopper, &st), 0);
	until_hit(&self->a, "state_delay");
	ASSERT_EQ(ask(&self->a, "state_delay", "0"), 0);
	pthread_join(st.thread, NULL);
	EXPECT_EQ(st.ret, 0);
	EXPECT_EQ(variant->by->state(&self->a), SAVING);
}

/* Read until it fails: the bytes before it. */
static uint64_t read_until(struct dev *d, struct stream *s, ssize_t *ret)
{
	size_t begin = s->len;

	do
		*ret = d->by->read(d, s, PIECE);
	while (*ret > 0);
	return s->len - begin;
}

TEST_F(inject, LAB_5_a_read_fails_where_it_is_asked_to)
{
	ssize_t ret;

	/* Of two lines for one place the first one applies first. */
	ASSERT_EQ(ask(&self->a, "read", "100000 5 2\n200000 12 1\n200000 28 1"), 0);
	ASSERT_EQ(variant->by->stop(&self->a), 0);
	/* v1 gives chunks, v2 bytes. */
	EXPECT_GE(read_until(&self->a, &self->s, &ret), 100000);
	EXPECT_EQ(ret, -EIO);
	if (variant->by == &v2_file)
		EXPECT_EQ(self->s.len, 100000);
	EXPECT_EQ(read_until(&self->a, &self->s, &ret), 0);
	EXPECT_EQ(ret, -EIO);
	read_until(&self->a, &self->s, &ret);
	EXPECT_EQ(ret, -ENOMEM);
	if (variant->by == &v2_file)
		EXPECT_EQ(self->s.len, 200000);
	EXPECT_EQ(read_until(&self->a, &self->s, &ret), 0);
	EXPECT_EQ(ret, -ENOSPC);
	EXPECT_EQ(hits(&self->a, "read"), 4);
	/* The reader continues, and has lost nothing. */
	ASSERT_EQ(variant->by->drain(&self->a, &self->s, PIECE), 0);
	ASSERT_EQ(variant->by->end(&self->a, false), 0);
	EXPECT_WHOLE(self);
}

TEST_F(inject, LAB_5_a_write_fails_where_it_is_asked_to)
{
	struct stream rest;
	ssize_t ret;

	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	ASSERT_EQ(ask(&self->b, "write", "131072 28 1"), 0);
	ASSERT_EQ(variant->by->resume(&self->b), 0);
	ret = variant->by->feed(&self->b, &self->s, PIECE);
	EXPECT_EQ(ret, -ENOSPC);
	EXPECT_EQ(hits(&self->b, "write"), 1);
	/* What was accepted before it counts. */
	rest = (struct stream){ .buf = self->s.buf + 131072, .len = self->s.len - 131072 };
	EXPECT_EQ(variant->by->feed(&self->b, &rest, PIECE), 0);
	EXPECT_EQ(variant->by->commit(&self->b), 0);
	EXPECT_TRUE(same_memory(&self->a, &self->b));
}

TEST_F(inject, LAB_6_reads_and_writes_take_their_time)
{
	struct stream first = {};
	double start;

	ASSERT_EQ(ask(&self->a, "read_delay_us", "200000"), 0);
	ASSERT_EQ(variant->by->stop(&self->a), 0);
	start = now();
	ASSERT_GT(variant->by->read(&self->a, &self->s, PIECE), 0);
	ASSERT_GT(variant->by->read(&self->a, &self->s, PIECE), 0);
	EXPECT_GE(now() - start, 0.4);
	EXPECT_EQ(hits(&self->a, "read_delay_us"), 2);
	ASSERT_EQ(ask(&self->a, "read_delay_us", "0"), 0);
	ASSERT_EQ(variant->by->drain(&self->a, &self->s, PIECE), 0);
	ASSERT_EQ(variant->by->end(&self->a, false), 0);

	ASSERT_EQ(ask(&self->b, "write_delay_us", "200000"), 0);
	ASSERT_EQ(variant->by->resume(&self->b), 0);
	first = (struct stream){ .buf = self->s.buf, .len = 2 * PIECE };
	start = now();
	ASSERT_EQ(variant->by->feed(&self->b, &first, PIECE), 0);
	EXPECT_GE(now() - start, 0.4);
	EXPECT_EQ(hits(&self->b, "write_delay_us"), 2);
	ASSERT_EQ(ask(&self->b, "write_delay_us", "\n"), 0);
	first = (struct stream){ .buf = self->s.buf + 2 * PIECE, .len = self->s.len - 2 * PIECE };
	ASSERT_EQ(variant->by->feed(&self->b, &first, PIECE), 0);
	EXPECT_EQ(variant->by->commit(&self->b), 0);
	EXPECT_TRUE(same_memory(&self->a, &self->b));
}

TEST_F(inject, LAB_7_a_rate_is_kept)
{
	double start, least;

	ASSERT_EQ(ask(&self->a, "read_mibs", "2"), 0);
	ASSERT_EQ(ask(&self->b, "write_mibs", "2"), 0);
	start = now();
	ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
	/* There is no wait behind the last piece. */
	least = (self->s.len - 256 * 1024) / (2.0 * MIB);
	EXPECT_GE(now() - start, least);
	start = now();
	EXPECT_WHOLE(self);
	EXPECT_GE(now() - start, least);
}

/* Each of the two adds to the wait. */
TEST_F(inject, LAB_6_LAB_7_a_delay_beside_a_rate)
{
	double start;

	ASSERT_EQ(ask(&self->a, "read_mibs", "8"), 0);
	ASSERT_EQ(ask(&self->a, "read_delay_us", "200000"), 0);
	ASSERT_EQ(variant->by->stop(&self->a), 0);
	start = now();
	ASSERT_GT(variant->by->read(&self->a, &self->s, PIECE), 0);
	ASSERT_GT(variant->by->read(&self->a, &self->s, PIECE), 0);
	/* The rate of the first read, and a delay for each. */
	EXPECT_GE(now() - start, 0.4 + PIECE / (8.0 * MIB));
	EXPECT_GE(hits(&self->a, "read_delay_us"), 2);
	EXPECT_GE(hits(&self->a, "read_mibs"), 2);
}

TEST_F(inject, LAB_9_one_bit_is_flipped)
{
	ASSERT_EQ(ask(&self->a, "flip", "50000 6"), 0);
	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	EXPECT_EQ(hits(&self->a, "flip"), 1);
	EXPECT_EQ(load_by(&self->b, &self->s, PIECE), -EBADMSG);
	/* That one, and no other. */
	self->s.buf[50000] ^= 1 << 6;
	ASSERT_EQ(reset_by(&self->b, false), 0);
	if (self->b.data_fd >= 0)
		close(self->b.data_fd);
	EXPECT_WHOLE(self);
	/* The next session begins with the first byte. */
	free(self->s.buf);
	self->s = (struct stream){};
	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	EXPECT_EQ(hits(&self->a, "flip"), 2);
}

TEST_F(inject, LAB_9_a_stream_is_cut)
{
	ASSERT_EQ(ask(&self->a, "cut", "300001"), 0);
	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	EXPECT_EQ(self->s.len, 300001);
	EXPECT_GE(hits(&self->a, "cut"), 1);
	EXPECT_EQ(load_by(&self->b, &self->s, PIECE), -EIO);
}

TEST_F(inject, LAB_10_the_pending_bytes_lie)
{
	uint64_t exact, before;

	ASSERT_EQ(variant->by->begin(&self->a), 0);
	exact = variant->by->pending(&self->a);
	ASSERT_EQ(ask(&self->a, "pending", "huge"), 0);
	EXPECT_GE(variant->by->pending(&self->a), 1ULL << 60);
	/* Outside the protocol the truth is shown. */
	EXPECT_EQ(attr_sum(self->a.uuid, "pending_bytes"), exact);
	/* v2 has initial bytes besides. */
	ASSERT_EQ(ask(&self->a, "initial", "zero"), 0);
	ASSERT_EQ(ask(&self->a, "pending", "zero"), 0);
	EXPECT_EQ(variant->by->pending(&self->a), 0);
	ASSERT_EQ(ask(&self->a, "initial", "0"), 0);
	ASSERT_EQ(ask(&self->a, "pending", "stuck"), 0);
	before = variant->by->pending(&self->a);
	ASSERT_GT(variant->by->read(&self->a, &self->s, PIECE), 0);
	/* v2's dirty bytes are stuck at 0 here: see LAB_10_dirty_bytes_are_stuck_at_0. */
	if (variant->by != &v2_file)
		EXPECT_EQ(variant->by->pending(&self->a), before);
	ASSERT_EQ(ask(&self->a, "pending", "exact"), 0);
	EXPECT_LT(variant->by->pending(&self->a), exact);
	ASSERT_EQ(ask(&self->a, "pending", "0"), 0);
	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	EXPECT_WHOLE(self);
}

/* What only v1 has. */
FIXTURE(inject_region) {
	struct dev a, b;
	struct stream s;
};

FIXTURE_SETUP(inject_region)
{
	NEEDS_TERN();
	ASSERT_EQ(set_up(&self->a, &self->b, &v1_trapped), 0);
}

FIXTURE_TEARDOWN(inject_region)
{
	EXPECT_EQ(pair_off(&self->a, &self->b, &self->s), 0);
}

/* A chunk that was not acknowledged goes with its session. */
TEST_F(inject_region, LAB_5_the_next_session_is_asked_from_its_first_chunk)
{
	uint64_t n;

	ASSERT_EQ(v1_trapped.begin(&self->a), 0);
	ASSERT_EQ(reg_read(&self->a, V1(data_size), &n), 0);
	ASSERT_EQ(v1_trapped.end(&self->a, true), 0);
	ASSERT_EQ(ask(&self->a, "read", "0 5 1"), 0);
	ASSERT_EQ(v1_trapped.begin(&self->a), 0);
	EXPECT_EQ(reg_read(&self->a, V1(data_size), &n), -EIO);
	EXPECT_EQ(reg_read(&self->a, V1(data_size), &n), 0);
	EXPECT_EQ(hits(&self->a, "read"), 1);
}

/* The same bytes are offered again after a stop: what was asked of them was done. */
TEST_F(inject_region, LAB_9_flip_and_fault_hold_for_a_chunk_across_a_stop)
{
	struct stream first = {};

	ASSERT_EQ(ask(&self->a, "flip", "50000 6"), 0);
	ASSERT_EQ(v1_trapped.begin(&self->a), 0);
	ASSERT_GT(pending(&self->a), 0);
	ASSERT_GT(save_chunk(&self->a, &first), 50000);
	/* A chunk that was prepared is given, whatever is asked now. */
	ASSERT_EQ(ask(&self->a, "read", "0 5 1"), 0);
	free(first.buf);
	first = (struct stream){};
	EXPECT_GT(save_chunk(&self->a, &first), 50000);
	ASSERT_EQ(ask(&self->a, "read", "0"), 0);
	ASSERT_EQ(v1_trapped.stop(&self->a), 0);
	ASSERT_EQ(save_all(&self->a, &self->s), 0);
	ASSERT_EQ(v1_trapped.end(&self->a, false), 0);
	EXPECT_EQ(memcmp(first.buf, self->s.buf, first.len), 0);
	free(first.buf);
	EXPECT_EQ(hits(&self->a, "flip"), 1);
	EXPECT_EQ(load_by(&self->b, &self->s, PIECE), -EBADMSG);
	self->s.buf[50000] ^= 1 << 6;
	ASSERT_EQ(reset_by(&self->b, false), 0);
	EXPECT_WHOLE(self);
}

/* What only v2 has. */
FIXTURE(inject_file) {
	struct dev a, b;
	struct stream s;
};

FIXTURE_SETUP(inject_file)
{
	NEEDS_TERN();
	ASSERT_EQ(set_up(&self->a, &self->b, &v2_file), 0);
}

FIXTURE_TEARDOWN(inject_file)
{
	EXPECT_EQ(pair_off(&self->a, &self->b, &self->s), 0);
}

TEST_F(inject_file, LAB_8_reads_are_short)
{
	ASSERT_EQ(ask(&self->a, "read_max", "1000"), 0);
	ASSERT_EQ(v2_file.stop(&self->a), 0);
	EXPECT_EQ(read_some(self->a.data_fd, &self->s, PIECE), 1000);
	EXPECT_EQ(read_some(self->a.data_fd, &self->s, 500), 500);
	EXPECT_EQ(hits(&self->a, "read_max"), 1);
	ASSERT_EQ(v2_file.drain(&self->a, &self->s, PIECE), 0);
	ASSERT_EQ(v2_file.end(&self->a, false), 0);
	EXPECT_WHOLE(self);
}

TEST_F(inject_file, LAB_6_nonblocking_reader_is_woken_in_time)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int epoll = epoll_create1(0);
	double start;

	ASSERT_EQ(ask(&self->a, "read_delay_us", "300000"), 0);
	ASSERT_EQ(v2_file.stop(&self->a), 0);
	ASSERT_EQ(fcntl(self->a.data_fd, F_SETFL, O_NONBLOCK), 0);
	start = now();
	EXPECT_EQ(read_some(self->a.data_fd, &self->s, PIECE), -EAGAIN);
	EXPECT_EQ(poll_now(self->a.data_fd), 0);
	ASSERT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, self->a.data_fd, &event), 0);
	EXPECT_EQ(epoll_wait(epoll, &event, 1, 10000), 1);
	EXPECT_GE(now() - start, 0.3);
	EXPECT_EQ(read_some(self->a.data_fd, &self->s, PIECE), PIECE);
	EXPECT_EQ(read_some(self->a.data_fd, &self->s, PIECE), -EAGAIN);
	EXPECT_EQ(epoll_wait(epoll, &event, 1, 10000), 1);
	EXPECT_EQ(read_some(self->a.data_fd, &self->s, PIECE), PIECE);
	close(epoll);
}

TEST_F(inject_file, LAB_6_nonblocking_writer_is_woken_in_time)
{
	struct pollfd p = { .events = POLLOUT };
	double start;

	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	ASSERT_EQ(ask(&self->b, "write_delay_us", "300000"), 0);
	ASSERT_EQ(v2_file.resume(&self->b), 0);
	p.fd = self->b.data_fd;
	ASSERT_EQ(fcntl(p.fd, F_SETFL, O_NONBLOCK), 0);
	start = now();
	EXPECT_EQ(write(p.fd, self->s.buf, PIECE), -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(poll(&p, 1, 10000), 1);
	EXPECT_EQ(p.revents, POLLOUT);
	EXPECT_GE(now() - start, 0.3);
	EXPECT_EQ(write(p.fd, self->s.buf, PIECE), PIECE);
}

static void on_alarm(int signal)
{
}

TEST_F(inject_file, LAB_6_a_signal_ends_the_wait_of_a_reader)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerval timer = { .it_value.tv_usec = 100000, .it_interval.tv_usec = 100000 };

	sigaction(SIGALRM, &action, NULL);
	ASSERT_EQ(ask(&self->a, "read_delay_us", "3600000000"), 0);
	ASSERT_EQ(v2_file.stop(&self->a), 0);
	setitimer(ITIMER_REAL, &timer, NULL);
	EXPECT_EQ(read_some(self->a.data_fd, &self->s, PIECE), -EINTR);
	timer = (struct itimerval){};
	setitimer(ITIMER_REAL, &timer, NULL);
}

TEST_F(inject_file, LAB_6_a_new_rule_wakes_a_poller)
{
	struct pollfd p = { .events = POLLIN };

	ASSERT_EQ(ask(&self->a, "read_delay_us", "3600000000"), 0);
	ASSERT_EQ(v2_file.stop(&self->a), 0);
	p.fd = self->a.data_fd;
	ASSERT_EQ(fcntl(p.fd, F_SETFL, O_NONBLOCK), 0);
	EXPECT_EQ(poll(&p, 1, 0), 0);
	EXPECT_EQ(read_some(p.fd, &self->s, PIECE), -EAGAIN);
	/* The time that was begun by the old rule does not count. */
	ASSERT_EQ(ask(&self->a, "read_delay_us", "1000"), 0);
	EXPECT_EQ(poll(&p, 1, 10000), 1);
	EXPECT_EQ(read_some(p.fd, &self->s, PIECE), PIECE);
	ASSERT_EQ(ask(&self->a, "read_delay_us", "3600000000"), 0);
	EXPECT_EQ(poll(&p, 1, 0), 0);
	ASSERT_EQ(ask(&self->a, "read_delay_us", "0"), 0);
	EXPECT_EQ(poll(&p, 1, 10000), 1);
}

TEST_F(inject_file, LAB_6_a_reset_ends_the_wait_of_a_writer)
{
	struct pollfd p = { .events = POLLOUT };

	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	ASSERT_EQ(ask(&self->b, "write_delay_us", "3600000000"), 0);
	ASSERT_EQ(v2_file.resume(&self->b), 0);
	p.fd = self->b.data_fd;
	EXPECT_EQ(poll(&p, 1, 0), 0);
	ASSERT_EQ(reset_by(&self->b, false), 0);
	EXPECT_EQ(poll(&p, 1, 10000), 1);
	EXPECT_EQ(write(p.fd, self->s.buf, PIECE), -1);
	EXPECT_EQ(errno, ENODEV);
	/* It began no wait of the next load's. */
	EXPECT_EQ(hits(&self->b, "write_delay_us"), 1);
}

struct reader {
	struct dev *d;
	pthread_t thread;
	size_t len;
	ssize_t ret;
};

static void *read_to_the_end(void *arg)
{
	struct reader *r = arg;
	char *buf = malloc(PIECE);

	while ((r->ret = read(r->d->data_fd, buf, PIECE)) > 0)
		r->len += r->ret;
	free(buf);
	return NULL;
}

/* Neither several readers nor another rule that changes makes it faster. */
TEST_F(inject_file, LAB_7_rate_holds_for_all_readers_of_a_file)
{
	struct reader r[3];
	size_t len = 0;
	double start;
	unsigned int i;

	ASSERT_EQ(ask(&self->a, "read_mibs", "2"), 0);
	ASSERT_EQ(v2_file.stop(&self->a), 0);
	start = now();
	for (i = 0; i < 3; i++) {
		r[i] = (struct reader){ .d = &self->a };
		ASSERT_EQ(pthread_create(&r[i].thread, NULL, read_to_the_end, &r[i]), 0);
	}
	for (i = 0; i < 200; i++)
		EXPECT_EQ(rule_set(self->a.uuid, "pending", "exact"), 0);
	for (i = 0; i < 3; i++) {
		pthread_join(r[i].thread, NULL);
		EXPECT_EQ(r[i].ret, 0);
		len += r[i].len;
	}
	EXPECT_GT(len, MIB);
	EXPECT_GE(now() - start, (len - 3 * PIECE) / (2.0 * MIB));
}

TEST_F(inject_file, LAB_7_nonblocking_reader_is_held_to_a_rate)
{
	struct pollfd p = { .events = POLLIN };

	ASSERT_EQ(ask(&self->a, "read_mibs", "1"), 0);
	ASSERT_EQ(v2_file.stop(&self->a), 0);
	p.fd = self->a.data_fd;
	ASSERT_EQ(fcntl(p.fd, F_SETFL, O_NONBLOCK), 0);
	EXPECT_GT(read_some(p.fd, &self->s, MIB), MIB / 2);
	EXPECT_EQ(poll(&p, 1, 0), 0);
	EXPECT_EQ(read_some(p.fd, &self->s, MIB), -EAGAIN);
	EXPECT_EQ(poll(&p, 1, 10000), 1);
	EXPECT_GT(read_some(p.fd, &self->s, MIB), 0);
}

/* Nothing is left to read, and poll() says the same. */
TEST_F(inject_file, LAB_9_cut_in_precopy)
{
	uint64_t initial = 1, dirty = 1;

	ASSERT_EQ(ask(&self->a, "cut", "100000"), 0);
	ASSERT_EQ(v2_file.begin(&self->a), 0);
	EXPECT_EQ(read_all(self->a.data_fd, &self->s, PIECE), -ENOMSG);
	EXPECT_EQ(self->s.len, 100000);
	EXPECT_EQ(poll_now(self->a.data_fd), 0);
	ASSERT_EQ(precopy_info(self->a.data_fd, &initial, &dirty), 0);
	EXPECT_EQ(initial, 0);
	EXPECT_EQ(dirty, 0);
	ASSERT_EQ(v2_file.stop(&self->a), 0);
	EXPECT_EQ(poll_now(self->a.data_fd), POLLIN);
	EXPECT_EQ(read_some(self->a.data_fd, &self->s, PIECE), 0);
}

static void *run_reader(void *arg)
{
	struct stopper *st = arg;
	char byte;

	st->ret = read(st->d->data_fd, &byte, 1) < 0 ? -errno : 0;
	return NULL;
}

TEST_F(inject_file, LAB_6_the_end_of_a_session_ends_the_wait_of_its_reader)
{
	struct stopper st = { .d = &self->a };

	ASSERT_EQ(ask(&self->a, "read_delay_us", "3600000000"), 0);
	ASSERT_EQ(v2_file.stop(&self->a), 0);
	ASSERT_EQ(pthread_create(&st.thread, NULL, run_reader, &st), 0);
	until_hit(&self->a, "read_delay_us");
	EXPECT_EQ(go(&self->a, S_STOP), 0);
	pthread_join(st.thread, NULL);
	EXPECT_EQ(st.ret, -ENODEV);
}

TEST_F(inject_file, LAB_10_the_initial_bytes_and_the_data_size_lie)
{
	uint64_t initial = 0, dirty, size;

	ASSERT_EQ(v2_file.begin(&self->a), 0);
	ASSERT_EQ(precopy_info(self->a.data_fd, &initial, &dirty), 0);
	size = stop_copy_length(&self->a);
	ASSERT_EQ(ask(&self->a, "initial", "zero"), 0);
	ASSERT_EQ(precopy_info(self->a.data_fd, &initial, &dirty), 0);
	EXPECT_EQ(initial, 0);
	ASSERT_EQ(ask(&self->a, "initial", "huge"), 0);
	ASSERT_EQ(precopy_info(self->a.data_fd, &initial, &dirty), 0);
	EXPECT_EQ(initial, 1ULL << 60);
	ASSERT_EQ(ask(&self->a, "data_size", "huge"), 0);
	EXPECT_EQ(stop_copy_length(&self->a), 1ULL << 60);
	ASSERT_EQ(ask(&self->a, "data_size", "zero"), 0);
	EXPECT_EQ(stop_copy_length(&self->a), 0);
	ASSERT_EQ(ask(&self->a, "data_size", "stuck"), 0);
	EXPECT_EQ(stop_copy_length(&self->a), size);
	ASSERT_GT(read_some(self->a.data_fd, &self->s, PIECE), 0);
	EXPECT_EQ(stop_copy_length(&self->a), size);
	ASSERT_EQ(ask(&self->a, "data_size", "0"), 0);
	EXPECT_LT(stop_copy_length(&self->a), size);
}

TEST_F(inject_file, LAB_10_dirty_bytes_are_stuck_at_0)
{
	uint64_t initial = 0, dirty = 1;

	ASSERT_EQ(v2_file.begin(&self->a), 0);
	ASSERT_EQ(ask(&self->a, "pending", "stuck"), 0);
	ASSERT_EQ(precopy_info(self->a.data_fd, &initial, &dirty), 0);
	EXPECT_EQ(dirty, 0);
	ASSERT_EQ(read_all(self->a.data_fd, &self->s, PIECE), -ENOMSG);
	touch(self->a.mem, 0, 77);
	ASSERT_EQ(precopy_info(self->a.data_fd, &initial, &dirty), 0);
	EXPECT_EQ(dirty, 0);
	EXPECT_GE(hits(&self->a, "pending"), 1);
	ASSERT_EQ(ask(&self->a, "pending", "0"), 0);
	ASSERT_EQ(precopy_info(self->a.data_fd, &initial, &dirty), 0);
	EXPECT_GT(dirty, 0);
}

/* Open it again with these features alone. */
static int offer(struct dev *d, const char *features)
{
	int ret = ask(d, "features", features);

	return ret ?: device_again(d, (struct setting){ .memory_mib = 4, .map_memory = true });
}

TEST_F(inject_file, LAB_11_features_are_withheld)
{
	struct dev *d = &self->a;

	/* To the kernel all states need it. */
	ASSERT_EQ(offer(d, "v2 p2p"), 0);
	EXPECT_EQ(migration_flags(d), VFIO_MIGRATION_P2P);
	EXPECT_EQ(go(d, S_STOP), -EINVAL);
	EXPECT_EQ(go(d, S_RUNNING_P2P), -EINVAL);
	ASSERT_EQ(offer(d, "v2 stop_copy"), 0);
	EXPECT_GE(hits(d, "features"), 2);
	EXPECT_EQ(probe_feature(d, GET | VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT), -ENOTTY);
	ASSERT_EQ(offer(d, "v2 stop_copy dma_log"), 0);
	EXPECT_EQ(migration_flags(d), VFIO_MIGRATION_STOP_COPY);
	EXPECT_EQ(d->mig.size, 0);
	EXPECT_EQ(go(d, S_PRE_COPY), -EINVAL);
	EXPECT_EQ(go(d, S_RUNNING_P2P), -EINVAL);
	EXPECT_EQ(stop_copy_length(d), ~0ULL);
	touch(d->mem, 3, 3);
	ASSERT_EQ(save_by(d, &self->s, PIECE), 0);
	EXPECT_WHOLE(self);
	EXPECT_EQ(go(d, S_RUNNING), 0);

	ASSERT_EQ(offer(d, "v2 stop_copy p2p"), 0);
	EXPECT_EQ(migration_flags(d), VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P);
	ASSERT_EQ(offer(d, "v2 stop_copy precopy dma_log"), 0);
	EXPECT_EQ(migration_flags(d), VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_PRE_COPY);
	ASSERT_EQ(go_open(d, S_PRE_COPY, &d->data_fd), 0);
	EXPECT_EQ(go(d, S_PRE_COPY_P2P), -EINVAL);
	EXPECT_EQ(go(d, S_STOP_COPY), 0);
	EXPECT_EQ(v2_file.end(d, true), 0);

	/* Of v1 alone no feature is left, and its region is there. */
	ASSERT_EQ(offer(d, "v1"), 0);
	EXPECT_EQ(probe_feature(d, GET | VFIO_DEVICE_FEATURE_MIGRATION), -ENOTTY);
	EXPECT_EQ(set_state(d, SAVING), 0);
	ASSERT_EQ(offer(d, "0"), 0);
	EXPECT_EQ(migration_flags(d),
		  VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P | VFIO_MIGRATION_PRE_COPY);
	EXPECT_GT(d->mig.size, 0);
}

/*
 * The kernel takes the opt-in without asking the device; one that withholds the flags
 * leaves them as they are.
 */
TEST_F(inject_file, LAB_11_flags_of_precopy_info_are_withheld)
{
	const uint32_t v2 = VFIO_DEVICE_FEATURE_SET | FEATURE_PRECOPY_INFO_V2;
	struct dev *d = &self->a;

	ASSERT_EQ(offer(d, "v2 stop_copy precopy dma_log"), 0);
	if (feature(d, v2, "", 0))
		TH_LOG("this kernel has no MIG_PRECOPY_INFOv2");
	EXPECT_EQ(precopy_flags(d, 0x55), 0x55);
	ASSERT_EQ(offer(d, "v2 stop_copy precopy dma_log precopy_info2"), 0);
	if (!feature(d, v2, "", 0))
		EXPECT_EQ(precopy_flags(d, 0x55), 0);
}

TEST_HARNESS_MAIN
