// SPDX-License-Identifier: GPL-2.0-only
/*
 * The migration of a device: one mutex, one machine, and the protocol that has it.
 *
 * Two protocols offer the same machine to user space. They are version 1 (region.c) and
 * version 2 (migfd.c). Both translate, and see the device only as what stands here. A
 * running device is free for either. The one that takes it out of running has it until
 * it runs again or is reset. A VMM that mixes them gets -EBUSY and not a half state.
 *
 * To unlock is to publish: whatever may have changed under the mutex is on the status
 * page before anything else can change it.
 */
#include "compat/vfio.h"
#include "core/model.h"
#include "vfio/migfd.h"
#include "vfio/migration.h"
#include "vfio/region.h"
#include "vfio/status.h"

/**
 * tern_migration_init() - of a device that is not open
 * @mig: the migration
 * @vdev: its device
 */
void tern_migration_init(struct tern_migration *mig, struct vfio_device *vdev)
{
	mutex_init(&mig->state_mutex);
	tern_inject_init(&mig->inject);
	mig->vdev = vdev;
	mig->offered = TERN_OFFER_ALL;
}

/**
 * tern_migration_uninit() - the device is released
 * @mig: the migration
 */
void tern_migration_uninit(struct tern_migration *mig)
{
	mutex_destroy(&mig->state_mutex);
}

/**
 * tern_migration_open() - the device is opened: it runs, and has no session
 * @mig: the migration
 * @model: the device, powered on
 *
 * Return: 0, or -ENOMEM with nothing done. Context: state_mutex; may sleep.
 */
int tern_migration_open(struct tern_migration *mig, struct tern_model *model)
{
	struct tern_session_config config = { .precopy = mig->precopy };
	int ret;

	lockdep_assert_held(&mig->state_mutex);
	ret = tern_region_open(mig);
	if (ret)
		return ret;
	tern_machine_init(&mig->machine, model, &config, &mig->state_mutex);
	tern_status_publish(mig);
	mig->is_open = true;
	return 0;
}

/* A session or load is over, and all waits for its data end: its file first (migfd.c). */
static void end_data(struct tern_migration *mig)
{
	lockdep_assert_held(&mig->state_mutex);
	tern_migfd_end(mig);
	tern_inject_wake(&mig->inject);
}

/**
 * tern_migration_close() - the device is closed: no session or load lives on return
 * @mig: the migration; its model is still powered on
 *
 * Context: state_mutex; may sleep.
 */
void tern_migration_close(struct tern_migration *mig)
{
	lockdep_assert_held(&mig->state_mutex);
	mig->is_open = false;
	tern_machine_uninit(&mig->machine);
	end_data(mig);
	mig->late_marks = tern_dirty_late_marks(mig->machine.m->dirty);
	tern_region_close(mig);
}

/**
 * tern_migration_lock() - take state_mutex for a caller that may be killed
 * @mig: the migration
 *
 * Return: 0, or -EINTR.
 */
int tern_migration_lock(struct tern_migration *mig)
{
	return mutex_lock_killable(&mig->state_mutex) ? -EINTR : 0;
}

/**
 * tern_migration_unlock() - publish, and release state_mutex
 * @mig: the migration of an open device
 *
 * Return: the pending bytes that were published. Context: state_mutex.
 */
u64 tern_migration_unlock(struct tern_migration *mig)
{
	u64 pending;

	lockdep_assert_held(&mig->state_mutex);
	pending = tern_status_publish(mig);
	mutex_unlock(&mig->state_mutex);
	return pending;
}

/**
 * tern_migration_claim() - may this protocol change the device's state?
 * @mig: the migration of an open device
 * @front: the protocol
 *
 * Return: 0, and a running device is that protocol's now; -EBUSY if it is the other's.
 * Context: state_mutex.
 */
int tern_migration_claim(struct tern_migration *mig, enum tern_front front)
{
	lockdep_assert_held(&mig->state_mutex);
	if (mig->machine.phase == TERN_PHASE_RUNNING)
		mig->front = front;
	return mig->front == front ? 0 : -EBUSY;
}

/* The machine's own step. v2 leaves a load only with the whole stream; else it is reset. */
static int go(struct tern_migration *mig, enum tern_phase to)
{
	struct tern_machine *mc = &mig->machine;

	if (mc->phase == TERN_PHASE_LOADING && mig->front == TERN_FRONT_MIGFD)
		return tern_machine_commit(mc);
	return tern_machine_go(mc, to);
}

/**
 * tern_migration_go() - take one arc to another phase
 * @mig: the migration of an open device
 * @to: the phase
 *
 * Return: 0; an error of tern_machine_go() or of tern_machine_commit(), or one that a
 * tester asked for. Then the device is where it was, unless it was asked to fail.
 * Context: state_mutex; may sleep.
 */
int tern_migration_go(struct tern_migration *mig, enum tern_phase to)
{
	struct tern_machine *mc = &mig->machine;
	bool idle = !mc->session && !mc->loader;
	enum tern_phase from = mc->phase;
	u64 began = ktime_get_ns();
	bool error = false;
	int ret;

	lockdep_assert_held(&mig->state_mutex);
	/* What is refused anyway, or no change, is not asked about. */
	if (!mc->error && mc->phase != to && tern_phase_arc(mc->phase, to)) {
		ret = tern_inject_state(&mig->inject, to, &mc->m->resets, &error);
		if (ret && error) {
			tern_machine_fail(mc);
			end_data(mig);
			tern_status_publish(mig);
		}
		if (ret)
			goto out;
	}
	ret = go(mig, to);
	if (idle && (mc->session || mc->loader)) {
		mig->chunk = 0;
		tern_inject_begin(&mig->inject);
	} else if (!idle && !mc->session && !mc->loader) {
		end_data(mig);
	}
out:
	dev_dbg(mig->vdev->dev, "%s -> %s: %d\n", tern_phase_name(from), tern_phase_name(to), ret);
	trace_tern_state(mc->m->name, tern_phase_name(from), error ? "error" : tern_phase_name(to),
			 ret, ktime_get_ns() - began);
	return ret;
}

/**
 * tern_migration_reset() - reset the device, whatever is under way
 * @mig: the migration of an open device
 *
 * Return: 0, and no session or load lives; -EINTR if the caller was killed while another
 * had the mutex, and nothing was done. Context: takes state_mutex; may sleep.
 */
int tern_migration_reset(struct tern_migration *mig)
{
	struct tern_machine *mc = &mig->machine;
	atomic_long_t *resets = &mc->m->resets;
	u64 began = ktime_get_ns();
	enum tern_phase from;
	int ret;

	/* Whatever is done under the mutex will be in vain. */
	atomic_long_inc(resets);
	tern_inject_wake(&mig->inject);
	ret = tern_migration_lock(mig);
	atomic_long_dec(resets);
	if (ret)
		return ret;
	from = mc->phase;
	tern_machine_reset(mc);
	end_data(mig);
	trace_tern_state(mc->m->name, tern_phase_name(from), tern_phase_name(mc->phase), 0,
			 ktime_get_ns() - began);
	dev_dbg(mig->vdev->dev, "reset\n");
	tern_migration_unlock(mig);
	return 0;
}

/**
 * tern_migration_has_precopy_flags() - are the flags of vfio_precopy_info an output?
 * @mig: the migration of an open device
 *
 * Return: whether the kernel has them, the user opted in, and they are offered.
 */
bool tern_migration_has_precopy_flags(const struct tern_migration *mig)
{
	return tern_compat_precopy_info_v2(mig->vdev) && mig->offered & TERN_OFFER_PRECOPY_INFO2;
}

/**
 * tern_migration_reinit() - have the session send all memory as new initial data
 * @mig: the migration
 *
 * A reader learns it from VFIO_PRECOPY_INFO_REINIT, if the kernel has that and the user
 * opted in (VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2). Else the memory is dirty.
 *
 * Return: 0; -EINVAL without a session in pre-copy; -EINTR if the caller was killed.
 * Context: takes state_mutex; may sleep.
 */
int tern_migration_reinit(struct tern_migration *mig)
{
	struct tern_session *s;
	int ret = tern_migration_lock(mig);

	if (ret)
		return ret;
	s = mig->is_open ? mig->machine.session : NULL;
	if (!s) {
		mutex_unlock(&mig->state_mutex);
		return -EINVAL;
	}
	ret = tern_session_reinit(s, mig->front == TERN_FRONT_MIGFD &&
					     tern_migration_has_precopy_flags(mig));
	tern_migration_unlock(mig);
	return ret;
}
