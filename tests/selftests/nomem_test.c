// SPDX-License-Identifier: GPL-2.0-only
/*
 * No memory for a load: of the control group, of the machine, or now and then. The load is
 * refused, no process is killed for it, nothing is left of it, and the source continues.
 */
#include "fault.h"
#include "fixture.h"
#include "kselftest_harness.h"

#define MEMORY_MIB	16
#define PAGES_EACH	(MEMORY_MIB * MIB / PAGE)
#define GROUP_LIMIT	"8388608"
#define FREE_MIB	12
#define LOADS		20
#define WINDOW		(256UL << 10)

FIXTURE(nomem) {
	struct dev a, b;
	struct stream s;
	struct held before;
	long killed;		/* processes, for lack of memory */
};

FIXTURE_VARIANT(nomem) {
	const struct front_end *by;
};

FIXTURE_VARIANT_ADD(nomem, v1) { .by = &v1_mapped };
FIXTURE_VARIANT_ADD(nomem, v2) { .by = &v2_file };

static long count_killed(void)
{
	return read_number("/proc/vmstat", "\noom_kill ");
}

FIXTURE_SETUP(nomem)
{
	struct setting given = { .memory_mib = MEMORY_MIB, .window_kib = 256, .by = variant->by };

	NEEDS_TERN();
	ASSERT_EQ(pair_filled(&self->a, &self->b, given, PAGES_EACH, 1), 0);
	/* All of the stream but its end: the source can still continue. */
	ASSERT_EQ(variant->by->begin(&self->a), 0);
	ASSERT_EQ(variant->by->drain(&self->a, &self->s, WINDOW), 0);
	ASSERT_EQ(variant->by->stop(&self->a), 0);
	ASSERT_EQ(variant->by->drain(&self->a, &self->s, WINDOW), 0);
	self->killed = count_killed();
	ASSERT_GE(self->killed, 0);
	self->before = look_what_is_held();
}

FIXTURE_TEARDOWN(nomem)
{
	EXPECT_EQ(pair_off(&self->a, &self->b, &self->s), 0);
}

/* Load the stream. 0 or -errno; after an error the device is as it was made. */
static int load(struct dev *d, const struct stream *s)
{
	int ret = d->by->resume(d) ?: d->by->feed(d, s, WINDOW);

	if (!ret)
		return d->by->commit(d);
	return d->by->abort(d) ?: ret;
}

/* The source runs, what it has can be stored to, and goes to the destination. */
static void check_source_continues(struct __test_metadata *_metadata, FIXTURE_DATA(nomem) *self)
{
	const char *more;
	struct held after = look_what_is_held();

	more = more_held(&self->before, &after);
	EXPECT_EQ(more, NULL)
		TH_LOG("%s", more);
	EXPECT_EQ(count_killed(), self->killed);
	ASSERT_EQ(self->a.by->end(&self->a, true), 0);
	touch(self->a.mem, 7, 0x77);
	self->s.len = 0;
	ASSERT_EQ(save_by(&self->a, &self->s, WINDOW), 0);
	ASSERT_EQ(load(&self->b, &self->s), 0);
	EXPECT_TRUE(same_memory(&self->a, &self->b));
}

/* In the control group; 0, or what is wrong. */
static int load_in_group(FIXTURE_DATA(nomem) *self)
{
	if (write_file(CGROUP "/cgroup.procs", "0"))
		return 1;
	return load(&self->b, &self->s) == -ENOMEM ? 0 : 2;
}

TEST_F(nomem, S9_control_group_at_its_limit)
{
	int status;
	pid_t child;

	if (enter_cgroup())
		SKIP(return, "no control groups");
	ASSERT_EQ(write_file(CGROUPS "/cgroup.procs", "0"), 0);
	ASSERT_EQ(write_file(CGROUP "/memory.max", GROUP_LIMIT), 0);
	/* Where there is swap, it must not be a way out. */
	write_file(CGROUP "/memory.swap.max", "0");
	child = fork();
	if (!child)
		_exit(load_in_group(self));
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
	leave_cgroup();
	check_source_continues(_metadata, self);
}

/* Take all memory but so much, in a way that to end a process gives none back. */
static int take_memory(long free_mib)
{
	static uint8_t some[MIB];
	int fd = memfd_create("ballast", MFD_CLOEXEC);

	memset(some, 0x55, sizeof(some));
	while (read_number("/proc/meminfo", "\nMemAvailable:") > free_mib << 10)
		if (write(fd, some, sizeof(some)) != sizeof(some))
			return -1;
	return fd;
}

TEST_F_TIMEOUT(nomem, S9_machine_without_memory, 120)
{
	int ret, fd;

	/* What the test itself needs it has. */
	ASSERT_EQ(mlockall(MCL_CURRENT | MCL_FUTURE), 0);
	fd = take_memory(FREE_MIB);
	ASSERT_GE(fd, 0);
	ret = load(&self->b, &self->s);
	close(fd);
	EXPECT_EQ(ret, -ENOMEM);
	check_source_continues(_metadata, self);
}

/* One page of a hundred cannot be allocated: no load of so many pages is whole. */
TEST_F_TIMEOUT(nomem, S9_pages_fail_at_random, 120)
{
	unsigned int i, refused = 0;

	if (!have_faults())
		SKIP(return, "the kernel has no fail-nth");
	ASSERT_EQ(prepare_faults(), 0);
	ASSERT_EQ(set_knob(PAGES, "task-filter", "Y"), 0);
	ASSERT_EQ(set_knob(PAGES, "times", "-1"), 0);
	ASSERT_EQ(set_knob(PAGES, "probability", "1"), 0);
	for (i = 0; i < LOADS; i++) {
		int ret;

		ASSERT_EQ(write_file(MAKE_IT_FAIL, "1"), 0);
		ret = load(&self->b, &self->s);
		/* What cannot be written fails, too: it is asked until it is done. */
		while (write_file(MAKE_IT_FAIL, "0"))
			;
		refused += ret == -ENOMEM;
	}
	EXPECT_EQ(set_knob(PAGES, "probability", "0"), 0);
	EXPECT_EQ(refused, LOADS);
	check_source_continues(_metadata, self);
}

TEST_HARNESS_MAIN
