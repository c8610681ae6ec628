// SPDX-License-Identifier: GPL-2.0-only
/*
 * The phase table, and the machine that walks it. The oracle does not repeat
 * the table: it derives from rules which arcs there must be, and from the two
 * properties of a phase what its device and session must look like after.
 */
#include "device.h"
#include "core/loader.h"
#include "core/phase.h"
#include "tap.h"

/* What a phase is: what its device does, and its session. */
static const struct {
	bool running, quiesced, saving, loading;
} is[TERN_PHASES] = {
	[TERN_PHASE_RUNNING]		= { .running = true },
	[TERN_PHASE_RUNNING_SAVING]	= { .running = true, .saving = true },
	[TERN_PHASE_QUIESCED]		= { .running = true, .quiesced = true },
	[TERN_PHASE_QUIESCED_SAVING]	= { .running = true, .quiesced = true, .saving = true },
	[TERN_PHASE_STOPPED_SAVING]	= { .saving = true },
	[TERN_PHASE_STOPPED]		= { },
	[TERN_PHASE_LOADING]		= { .loading = true },
};

/* How far from a standstill. */
static int pace(enum tern_phase phase)
{
	return is[phase].running + (is[phase].running && !is[phase].quiesced);
}

/* Which arcs there are, by rule. */
static bool allowed(enum tern_phase from, enum tern_phase to)
{
	if (from == to)
		return true;
	/* A load and a session have nothing to do with each other. */
	if ((is[from].loading && is[to].saving) || (is[from].saving && is[to].loading))
		return false;
	/* A session that records changes begins on a running device. */
	if (is[to].running && is[to].saving && !is[from].running)
		return false;
	/* A device is quiesced between running and stopped: one thing changes at a time. */
	if (is[from].quiesced || is[to].quiesced) {
		int steps = abs(pace(from) - pace(to)) + (is[from].saving != is[to].saving);

		return !is[from].loading && !is[to].loading && steps == 1;
	}
	return true;
}

static void check_machine(const struct feeder *f, enum tern_phase phase)
{
	CHECK_EQ(f->mc.phase, phase);
	CHECK_EQ(f->dev->running, is[phase].running);
	CHECK_EQ(f->dev->quiesced, is[phase].quiesced);
	CHECK_EQ(!!f->mc.session, is[phase].saving);
	CHECK_EQ(!!f->mc.loader, is[phase].loading);
	CHECK_EQ(tern_phase_saving(phase), is[phase].saving);
}

/* A machine in a phase, on the shortest way from running. */
static void feeder_in(struct feeder *f, enum tern_phase phase)
{
	feeder_init(f, 4, true);
	host_store(f->dev, 2, 9);
	if (is[phase].quiesced && is[phase].saving)
		CHECK_EQ(tern_machine_go(&f->mc, TERN_PHASE_QUIESCED), 0);
	CHECK_EQ(tern_machine_go(&f->mc, phase), 0);
	check_machine(f, phase);
}

static void test_all_pairs(void)
{
	enum tern_phase from, to;

	for (from = 0; from < TERN_PHASES; from++)
		for (to = 0; to < TERN_PHASES; to++) {
			struct feeder f;
			int ret;

			feeder_in(&f, from);
			ret = tern_machine_go(&f.mc, to);
			if (allowed(from, to) && is[from].loading && is[to].running) {
				/* Nothing was loaded: it must not run. */
				CHECK_EQ(ret, -EIO);
				check_machine(&f, from);
			} else if (allowed(from, to)) {
				CHECK(!ret, "%d -> %d: %d", from, to, ret);
				check_machine(&f, to);
			} else {
				CHECK(ret == -EINVAL, "%d -> %d: %d", from, to, ret);
				check_machine(&f, from);
			}
			tern_machine_reset(&f.mc);
			check_machine(&f, TERN_PHASE_RUNNING);
			CHECK(host_device_blank(f.dev));
			feeder_uninit(&f);
		}
}

/* N - 1 is a phase, N and N + 1 are not, nor is anything far away. */
static void test_no_such_phase(void)
{
	static const unsigned int bad[] = { TERN_PHASES, TERN_PHASES + 1, 0x80000000, ~0U };
	enum tern_phase from;
	unsigned int i;

	for (from = 0; from < TERN_PHASES; from++) {
		struct feeder f;

		CHECK(allowed(from, TERN_PHASES - 1) == !!tern_phase_arc(from, TERN_PHASES - 1));
		feeder_in(&f, from);
		for (i = 0; i < ARRAY_SIZE(bad); i++) {
			CHECK_EQ(tern_machine_go(&f.mc, bad[i]), -EINVAL);
			check_machine(&f, from);
		}
		feeder_uninit(&f);
	}
}

/* Each allocation of each arc fails once: everything is as it was. */
static void test_failed_arc(void)
{
	enum tern_phase from, to;
	unsigned int failed = 0;
	long nth;

	for (from = 0; from < TERN_PHASES; from++)
		for (to = 0; to < TERN_PHASES; to++)
			for (nth = 1; nth < 20; nth++) {
				unsigned int wipes;
				struct feeder f;
				int ret;

				feeder_in(&f, from);
				wipes = f.dev->wipes;
				host_fail_alloc = nth;
				ret = tern_machine_go(&f.mc, to);
				if (!host_fail_alloc) {
					failed++;
					CHECK_EQ(ret, -ENOMEM);
					check_machine(&f, from);
					CHECK_EQ(f.dev->wipes, wipes);
				}
				host_fail_alloc = 0;
				feeder_uninit(&f);
			}
	CHECK(failed > 10, "only %u arcs failed", failed);
}

/*
 * A VMM does not survive that a device cannot run or cannot stop. So to either
 * no allocation may be needed, from wherever; and no load that is whole either.
 */
static void test_must_not_fail(void)
{
	static const enum tern_phase ends[] = {
		TERN_PHASE_RUNNING, TERN_PHASE_QUIESCED, TERN_PHASE_STOPPED,
	};
	struct feeder source;
	enum tern_phase from;
	unsigned int i;
	long nth;

	feeder_init(&source, 4, true);
	feeder_save(&source);
	for (from = 0; from < TERN_PHASES; from++)
		for (i = 0; i < ARRAY_SIZE(ends); i++)
			for (nth = 1; nth < 20; nth++) {
				struct feeder f;
				int ret;

				if (!allowed(from, ends[i]))
					break;
				feeder_in(&f, from);
				if (is[from].loading)
					CHECK_EQ(feeder_load(&f, source.stream, source.len, 0), 0);
				host_fail_alloc = nth;
				ret = tern_machine_go(&f.mc, ends[i]);
				host_fail_alloc = 0;
				CHECK(!ret, "%d -> %d without allocation %ld: %d", from, ends[i],
				      nth, ret);
				check_machine(&f, ends[i]);
				feeder_uninit(&f);
			}
	feeder_uninit(&source);
}

/*
 * To commit is to stop with a whole stream, from loading and nowhere else. What
 * is missing can still come.
 */
static void test_commit(void)
{
	struct feeder source;
	enum tern_phase from;

	feeder_init(&source, 4, true);
	host_store(source.dev, 1, 7);
	feeder_save(&source);
	for (from = 0; from < TERN_PHASES; from++) {
		struct feeder f;

		feeder_in(&f, from);
		if (!is[from].loading) {
			CHECK_EQ(tern_machine_commit(&f.mc), -EINVAL);
			check_machine(&f, from);
			feeder_uninit(&f);
			continue;
		}
		/* Nothing came; a byte is missing; that comes, too. */
		CHECK_EQ(tern_machine_commit(&f.mc), -EIO);
		CHECK_EQ(feeder_load(&f, source.stream, source.len - 1, 0), 0);
		CHECK_EQ(tern_machine_commit(&f.mc), -EIO);
		check_machine(&f, from);
		CHECK_EQ(feeder_load(&f, source.stream + source.len - 1, 1, 0), 0);
		CHECK_EQ(tern_machine_commit(&f.mc), 0);
		check_machine(&f, TERN_PHASE_STOPPED);
		CHECK(host_device_equal(f.dev, source.dev));
		feeder_uninit(&f);
	}
	feeder_uninit(&source);
}

/* From any phase; and only a reset leads out. */
static void test_fail(void)
{
	enum tern_phase from, to;

	for (from = 0; from < TERN_PHASES; from++) {
		struct feeder f;

		feeder_in(&f, from);
		CHECK(!tern_machine_failed(&f.mc));
		tern_machine_fail(&f.mc);
		CHECK(tern_machine_failed(&f.mc));
		check_machine(&f, TERN_PHASE_STOPPED);
		/* What was loaded in part was wiped; what was being saved was not. */
		CHECK(host_device_blank(f.dev) == is[from].loading);
		for (to = 0; to < TERN_PHASES; to++)
			CHECK_EQ(tern_machine_go(&f.mc, to), -EINVAL);
		CHECK_EQ(tern_machine_commit(&f.mc), -EINVAL);
		check_machine(&f, TERN_PHASE_STOPPED);
		tern_machine_reset(&f.mc);
		CHECK(!tern_machine_failed(&f.mc));
		check_machine(&f, TERN_PHASE_RUNNING);
		CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
		feeder_uninit(&f);
	}
}

static void test_names(void)
{
	enum tern_phase a, b;

	for (a = 0; a < TERN_PHASES; a++)
		for (b = 0; b < a; b++)
			CHECK(strcmp(tern_phase_name(a), tern_phase_name(b)), "%d and %d", a, b);
	CHECK(!tern_phase_name(TERN_PHASES));
	CHECK(!tern_phase_name(-1));
}

/* The law of the table: a step that can fail is the first of its arc. */
static void test_law_of_the_table(void)
{
	enum tern_phase from, to;
	unsigned int i;

	for (from = 0; from < TERN_PHASES; from++)
		for (to = 0; to < TERN_PHASES; to++) {
			const enum tern_step *step = tern_phase_arc(from, to);

			for (i = 1; step && step[0] && step[i]; i++)
				CHECK(step[i] != TERN_STEP_BEGIN_SAVE &&
					      step[i] != TERN_STEP_BEGIN_LOAD &&
					      step[i] != TERN_STEP_COMMIT_LOAD,
				      "%d -> %d", from, to);
		}
}

static const struct tap_test tests[] = {
	{ "V1-1 V1-30 phases: all pairs follow the rules", test_all_pairs },
	{ "V1-2 phases: an invalid phase has no arc", test_no_such_phase },
	{ "phases: a failed arc changes nothing", test_failed_arc },
	{ "V1-30 phases: running and stopping need no memory", test_must_not_fail },
	{ "P-9 phases: only a whole stream is committed", test_commit },
	{ "LAB-3 phases: only a reset leads out of an error", test_fail },
	{ "phases: each has a name of its own", test_names },
	{ "phases: a step that can fail is the first of its arc", test_law_of_the_table },
};

TAP_MAIN(tests)
