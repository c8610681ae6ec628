// SPDX-License-Identifier: GPL-2.0-only
/*
 * The machine: takes the steps that core/phase.c lists. Each step is one small
 * function, and the phase is written last. By the table only a first step can fail, so
 * a failed arc leaves everything as it was.
 *
 * Front ends translate their protocol's states to phases and back, and decide
 * nothing.
 */
#include "core/machine.h"
#include "core/loader.h"
#include "core/model.h"

/* A session that has ended, or one that lives, adds to what there was. */
static void add_session(struct tern_totals *t, const struct tern_session_stats *st)
{
	u64 i;

	t->passes += st->passes;
	t->bytes += st->older_bytes + st->stopped_bytes;
	for (i = 0; i < min_t(u64, st->passes, TERN_PASSES_KEPT); i++)
		t->bytes += st->pass_bytes[i];
	t->pages += st->pages;
	t->take_ns += st->take_ns;
}

static void enter(struct tern_machine *mc, enum tern_phase phase)
{
	u64 now = ktime_get_ns();

	mc->totals.phase_ns[mc->phase] += now - mc->since;
	mc->since = now;
	mc->phase = phase;
}

static int step_begin_save(struct tern_machine *mc)
{
	mc->session = tern_session_create(mc->m, &mc->config, &mc->stats);
	if (!mc->session)
		return -ENOMEM;
	/* From a stopped device there is nothing to wait for. */
	if (mc->phase == TERN_PHASE_STOPPED)
		tern_session_stop(mc->session);
	return 0;
}

static int step_end_save(struct tern_machine *mc)
{
	add_session(&mc->totals, &mc->stats);
	tern_session_destroy(mc->session);
	mc->session = NULL;
	return 0;
}

static int step_begin_load(struct tern_machine *mc)
{
	int ret = mc->m->ops->may_load ? mc->m->ops->may_load(mc->m) : 0;

	if (ret)
		return ret;
	mc->loader = tern_loader_create(mc->m, mc->config.in_place);
	return mc->loader ? 0 : -ENOMEM;
}

/* What was loaded in part is no valid state. */
static void drop_loader(struct tern_machine *mc)
{
	int error = -tern_loader_error(mc->loader);

	if (error)
		mc->totals.refused[min(error, TERN_ERRNOS - 1)]++;
	if (!tern_loader_complete(mc->loader))
		mc->m->ops->wipe(mc->m);
	tern_loader_destroy(mc->loader);
	mc->loader = NULL;
}

static int step_commit_load(struct tern_machine *mc)
{
	if (!tern_loader_complete(mc->loader))
		return -EIO;
	drop_loader(mc);
	return 0;
}

static int step_leave_load(struct tern_machine *mc)
{
	drop_loader(mc);
	return 0;
}

static int step_stop(struct tern_machine *mc)
{
	mc->m->ops->stop(mc->m);
	if (mc->session)
		tern_session_stop(mc->session);
	return 0;
}

static int step_quiesce(struct tern_machine *mc)
{
	mc->m->ops->quiesce(mc->m);
	return 0;
}

static int step_start(struct tern_machine *mc)
{
	mc->m->ops->start(mc->m);
	return 0;
}

static int step_wipe(struct tern_machine *mc)
{
	mc->m->ops->wipe(mc->m);
	return 0;
}

static int (*const steps[TERN_STEPS])(struct tern_machine *mc) = {
	[TERN_STEP_BEGIN_SAVE]	= step_begin_save,
	[TERN_STEP_END_SAVE]	= step_end_save,
	[TERN_STEP_BEGIN_LOAD]	= step_begin_load,
	[TERN_STEP_COMMIT_LOAD]	= step_commit_load,
	[TERN_STEP_LEAVE_LOAD]	= step_leave_load,
	[TERN_STEP_STOP]	= step_stop,
	[TERN_STEP_QUIESCE]	= step_quiesce,
	[TERN_STEP_START]	= step_start,
	[TERN_STEP_WIPE]	= step_wipe,
};

/**
 * tern_machine_init() - the machine of a device that was just opened
 * @mc: the machine
 * @m: the device: running, as at power-on
 * @config: for its sessions; copied. Where they stage, tern_machine_stage() can
 *	say later.
 * @state_mutex: guards the machine, its session and its load; held by the caller of
 *	everything below. NULL: there is only one thread.
 */
void tern_machine_init(struct tern_machine *mc, struct tern_model *m,
		       const struct tern_session_config *config, struct mutex *state_mutex)
{
	unsigned int i;

	WARN_ON_ONCE(m->ops->n_sections > TERN_SECTIONS_MAX);
	for (i = 0; i < m->ops->n_sections; i++)
		WARN_ON_ONCE(m->ops->sections[i].length > TERN_SECTION_BYTES_MAX ||
			     m->ops->sections[i].length % 8);
	memset(mc, 0, sizeof(*mc));
	mc->m = m;
	m->state_mutex = state_mutex;
	mc->config = *config;
	mc->phase = TERN_PHASE_RUNNING;
	mc->since = ktime_get_ns();
}

/**
 * tern_machine_uninit() - end the session or load that lives; keep the stats
 * @mc: the machine
 *
 * Context: state_mutex.
 */
void tern_machine_uninit(struct tern_machine *mc)
{
	tern_assert_held(mc->m->state_mutex);
	if (mc->session)
		step_end_save(mc);
	if (mc->loader)
		drop_loader(mc);
	enter(mc, TERN_PHASE_RUNNING);
}

/**
 * tern_machine_stage() - say where sessions and loads that begin from now on stage
 * @mc: the machine
 * @staging: their chunks lie there, or what a load is fed; it must outlive them
 * @capacity: its bytes, at least TERN_CHUNK_MIN
 * @in_place: user space cannot reach it
 *
 * Context: state_mutex.
 */
void tern_machine_stage(struct tern_machine *mc, void *staging, size_t capacity, bool in_place)
{
	tern_assert_held(mc->m->state_mutex);
	mc->config.staging = staging;
	mc->config.capacity = capacity;
	mc->config.in_place = in_place;
}

/**
 * tern_machine_go() - go to another phase
 * @mc: the machine
 * @to: the phase
 *
 * Guarantees that on return the device is in @to, or where it was before.
 *
 * Return: 0, or one of:
 *
 * - -EINVAL: there is no such arc, or tern_machine_fail() was called
 * - -ENOMEM: a session or a load could not be begun
 * - -EIO: a load that is not whole was to run
 * - an error of the model's may_load()
 *
 * Context: state_mutex; may sleep.
 */
int tern_machine_go(struct tern_machine *mc, enum tern_phase to)
{
	const enum tern_step *step = tern_phase_arc(mc->phase, to);
	int ret;

	tern_assert_held(mc->m->state_mutex);
	if (!step || mc->error)
		return -EINVAL;
	for (; *step != TERN_STEP_END; step++) {
		ret = steps[*step](mc);
		if (ret)
			return ret;
	}
	enter(mc, to);
	return 0;
}

/**
 * tern_machine_commit() - stop loading with a whole stream
 * @mc: the machine
 *
 * tern_machine_go() to TERN_PHASE_STOPPED discards a load that is not whole. This
 * one is for a front end that requires a whole one.
 *
 * Return: 0, and the device is stopped, with the stream's state. -EIO if the stream is
 * not whole or was refused: the load continues. -EINVAL if the device is not loading.
 * Context: state_mutex; may sleep.
 */
int tern_machine_commit(struct tern_machine *mc)
{
	int ret;

	tern_assert_held(mc->m->state_mutex);
	if (mc->phase != TERN_PHASE_LOADING)
		return -EINVAL;
	ret = step_commit_load(mc);
	if (!ret)
		enter(mc, TERN_PHASE_STOPPED);
	return ret;
}

/**
 * tern_machine_reset() - as at power-on, from any phase
 * @mc: the machine
 *
 * Guarantees that no session or load lives on return, that the device is as the
 * model's reset makes it, and that it runs. A load that was under way has wiped it.
 * Context: state_mutex; may sleep.
 */
void tern_machine_reset(struct tern_machine *mc)
{
	tern_assert_held(mc->m->state_mutex);
	mc->m->ops->stop(mc->m);
	tern_machine_uninit(mc);
	mc->error = false;
	mc->m->ops->reset(mc->m);
	mc->m->ops->start(mc->m);
}

/**
 * tern_machine_fail() - the device fails in a way that only a reset repairs
 * @mc: the machine
 *
 * Guarantees that the device is stopped, that no session or load lives, and that no arc
 * leads out of this before tern_machine_reset(). Context: state_mutex; may sleep.
 */
void tern_machine_fail(struct tern_machine *mc)
{
	tern_assert_held(mc->m->state_mutex);
	mc->m->ops->stop(mc->m);
	tern_machine_uninit(mc);
	enter(mc, TERN_PHASE_STOPPED);
	mc->error = true;
}

/**
 * tern_machine_failed() - has a load gone wrong, or the device failed?
 * @mc: the machine
 *
 * Return: true from the first bad byte until the load is left or reset, and from
 * tern_machine_fail() to the reset.
 */
bool tern_machine_failed(const struct tern_machine *mc)
{
	return mc->error || (mc->loader && tern_loader_error(mc->loader));
}

/**
 * tern_machine_totals() - what the device has done since it was opened
 * @mc: the machine
 * @t: gets it, with the session that lives and the phase it is in
 *
 * Context: state_mutex.
 */
void tern_machine_totals(const struct tern_machine *mc, struct tern_totals *t)
{
	tern_assert_held(mc->m->state_mutex);
	*t = mc->totals;
	if (mc->session)
		add_session(t, &mc->stats);
	t->phase_ns[mc->phase] += ktime_get_ns() - mc->since;
}
