// SPDX-License-Identifier: GPL-2.0-only
/*
 * The worker: a thread of a function's own, for what it does by itself.
 *
 * It works in pieces:
 *
 *	lock; take the piece, say that it moves; unlock
 *	do it: no lock is held, for guest memory can make us wait
 *	lock; note what was done; unlock
 *
 * Between two pieces the registers are the whole truth, and that is when a device
 * stops. To freeze is to let no further piece begin, and to wait for the one in
 * progress. A piece is either done or not begun, here or on the destination.
 *
 * The thread works in the opener's address space, and in its control groups. There
 * guest memory is found, and to them processor time and memory are charged that the
 * device uses. The opener is a process: its life decides, not that of the thread that
 * opened the device, nor of its main thread. Once the process has ended, or has given
 * up its address space by execve(), there is no guest memory any more, and every piece
 * fails. What a forked child does with the device uses the memory of the opener.
 *
 * A fault may wait for the process that serves that memory. Whatever must not wait
 * indefinitely (close, or a freeze whose caller was killed) kills the piece: SIGKILL
 * ends the fault, and the piece fails. A watchdog does so for an opener that was
 * killed: the piece may hold what the opener needs to exit, and so to close. Some
 * faults cannot be killed, such as one that waits for a FUSE daemon that has taken the
 * request. Then close sleeps until the daemon answers or its connection is aborted.
 */
#include <linux/cgroup.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "function/worker.h"

/* How often the watchdog looks. */
#define WATCH_EVERY	(HZ / 2)

/* Of the whole process: its main thread may have ended long before. */
static bool opener_dies(const struct tern_worker *w)
{
	const struct signal_struct *process = w->opener->signal;

	return READ_ONCE(process->flags) & SIGNAL_GROUP_EXIT || !atomic_read(&process->live);
}

static bool is_held(const struct tern_worker *w)
{
	return READ_ONCE(w->frozen) || READ_ONCE(w->paused);
}

static bool may_begin(const struct tern_worker *w)
{
	return !is_held(w) && w->ops->has_work(w);
}

static void do_piece(struct tern_worker *w)
{
	bool mm;

	mutex_lock(w->lock);
	if (!may_begin(w)) {
		mutex_unlock(w->lock);
		return;
	}
	w->ops->begin(w);
	/* A kill that came too late for the last piece is not meant for this one. */
	flush_signals(current);
	w->moving = true;
	mutex_unlock(w->lock);

	mm = !opener_dies(w) && mmget_not_zero(w->mm);
	if (mm)
		kthread_use_mm(w->mm);
	w->ops->piece(w, mm);
	if (mm) {
		kthread_unuse_mm(w->mm);
		mmput(w->mm);
	}

	mutex_lock(w->lock);
	w->ops->end(w);
	WRITE_ONCE(w->pieces, w->pieces + 1);
	/* Pairs with the load in is_idle(): a stop sees what the piece did. */
	smp_store_release(&w->moving, false);
	mutex_unlock(w->lock);
	wake_up(&w->idle);
}

static bool must_look(const struct tern_worker *w)
{
	return may_begin(w) || READ_ONCE(w->kicked) || kthread_should_stop();
}

static void wait_for_work(struct tern_worker *w)
{
	long timeout;

	/* Before the look: what changes after it kicks us again. Pairs with the release there. */
	smp_store_mb(w->kicked, false);
	timeout = is_held(w) || !w->ops->wait ? MAX_SCHEDULE_TIMEOUT : w->ops->wait(w);
	wait_event_idle_timeout(w->wake, must_look(w), timeout);
}

static int run(void *data)
{
	struct tern_worker *w = data;

	/* Root may kill a piece, too. */
	allow_signal(SIGKILL);
	while (!kthread_should_stop()) {
		wait_for_work(w);
		do_piece(w);
		cond_resched();
	}
	return 0;
}

static void watch_opener(struct work_struct *work)
{
	struct tern_worker *w = container_of(work, struct tern_worker, watchdog.work);

	if (READ_ONCE(w->moving) && opener_dies(w))
		send_sig(SIGKILL, w->thread, 1);
	schedule_delayed_work(&w->watchdog, WATCH_EVERY);
}

/**
 * tern_worker_init() - a worker of a function that is not open
 * @w: the worker
 * @ops: what it does
 * @lock: the function's io lock
 */
void tern_worker_init(struct tern_worker *w, const struct tern_worker_ops *ops, struct mutex *lock)
{
	w->ops = ops;
	w->lock = lock;
	init_waitqueue_head(&w->wake);
	init_waitqueue_head(&w->idle);
	INIT_DELAYED_WORK(&w->watchdog, watch_opener);
}

/* The thread, in the control groups of the opener. It is not awake before it is there. */
static struct task_struct *create_thread(struct tern_worker *w, const char *name)
{
	struct task_struct *thread = kthread_create(run, w, "%s", name);
	int ret;

	/* A fork that was interrupted by a kill has no better word. */
	if (IS_ERR(thread))
		return ERR_PTR(-ENOMEM);
	ret = cgroup_attach_task_all(current, thread);
	if (ret) {
		kthread_stop(thread);
		return ERR_PTR(ret);
	}
	wake_up_process(thread);
	return thread;
}

/**
 * tern_worker_open() - start the thread, for the calling process
 * @w: the worker; has_work() must say what is true from now on
 * @name: of the thread
 *
 * Return: 0; -ENOMEM, or why the thread may not join the caller's control groups, with
 * nothing done. Context: the opener's process; may sleep.
 */
int tern_worker_open(struct tern_worker *w, const char *name)
{
	struct task_struct *thread;

	w->moving = false;
	w->frozen = false;
	w->paused = false;
	w->mm = current->mm;
	w->opener = current->group_leader;
	thread = create_thread(w, name);
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	mmgrab(w->mm);
	get_task_struct(w->opener);
	w->thread = thread;
	schedule_delayed_work(&w->watchdog, WATCH_EVERY);
	return 0;
}

static bool is_idle(struct tern_worker *w)
{
	/* Pairs with the release in do_piece(). */
	return !smp_load_acquire(&w->moving);
}

static bool has_ended(struct tern_worker *w, unsigned long piece)
{
	return is_idle(w) || READ_ONCE(w->pieces) != piece;
}

/*
 * Kill a piece, and wait for its end. Once: the signal stays pending until the next
 * piece begins. If the fault that it waits in cannot be killed, the caller waits, too.
 * No hung task is reported: it is the memory's server that hangs.
 */
static void kill_piece(struct tern_worker *w, unsigned long piece)
{
	mutex_lock(w->lock);
	if (!has_ended(w, piece))
		send_sig(SIGKILL, w->thread, 1);
	mutex_unlock(w->lock);
	wait_event_idle(w->idle, has_ended(w, piece));
}

static void set_frozen(struct tern_worker *w, bool frozen)
{
	mutex_lock(w->lock);
	WRITE_ONCE(w->frozen, frozen);
	mutex_unlock(w->lock);
}

/**
 * tern_worker_close() - the thread has exited on return
 * @w: the worker
 *
 * A piece in progress is killed. Context: no io lock; may sleep, for as long as a fault
 * of that piece can neither go on nor be killed.
 */
void tern_worker_close(struct tern_worker *w)
{
	set_frozen(w, true);
	kill_piece(w, READ_ONCE(w->pieces));
	cancel_delayed_work_sync(&w->watchdog);
	kthread_stop(w->thread);
	w->thread = NULL;
	put_task_struct(w->opener);
	w->opener = NULL;
	mmdrop(w->mm);
	w->mm = NULL;
}

/**
 * tern_worker_kick() - there may be something to do, now or later than before
 * @w: the worker
 *
 * Context: any.
 */
void tern_worker_kick(struct tern_worker *w)
{
	/* After what has changed; pairs with the barrier in wait_for_work(). */
	smp_store_release(&w->kicked, true);
	wake_up(&w->wake);
}

/**
 * tern_worker_freeze() - on return the worker changes nothing any more
 * @w: the worker
 *
 * Waits for the piece in progress; if the caller is killed meanwhile, kills it. What is
 * left begins when the worker thaws.
 *
 * Context: no io lock; may sleep.
 */
void tern_worker_freeze(struct tern_worker *w)
{
	set_frozen(w, true);
	if (wait_event_killable(w->idle, is_idle(w)))
		kill_piece(w, READ_ONCE(w->pieces));
}

/**
 * tern_worker_frozen() - is the device quiesced or stopped?
 * @w: the worker
 *
 * Context: any. The answer holds until the device changes its state.
 */
bool tern_worker_frozen(const struct tern_worker *w)
{
	return READ_ONCE(w->frozen);
}

/**
 * tern_worker_thaw() - go on where it was frozen
 * @w: the worker
 *
 * Context: no io lock.
 */
void tern_worker_thaw(struct tern_worker *w)
{
	set_frozen(w, false);
	tern_worker_kick(w);
}

/**
 * tern_worker_pause() - the function has entered D3hot, or D0
 * @w: the worker
 * @paused: no piece begins. One that is in progress ends by itself:
 *	tern_worker_settle() waits for it
 *
 * Context: the io lock.
 */
void tern_worker_pause(struct tern_worker *w, bool paused)
{
	lockdep_assert_held(w->lock);
	WRITE_ONCE(w->paused, paused);
	tern_worker_kick(w);
}

/**
 * tern_worker_settle() - on return the piece that was in progress has ended
 * @w: the worker
 *
 * Call after changing what a piece may access: later pieces see the change. If the caller
 * is killed meanwhile, the piece is.
 *
 * Context: no io lock; may sleep.
 */
void tern_worker_settle(struct tern_worker *w)
{
	tern_worker_settle_piece(w, READ_ONCE(w->pieces));
}

/**
 * tern_worker_piece() - the piece that is in progress, or the next one
 * @w: the worker
 *
 * Return: its number, for tern_worker_settle_piece(). Context: the io lock.
 */
unsigned long tern_worker_piece(const struct tern_worker *w)
{
	lockdep_assert_held(w->lock);
	return w->pieces;
}

/**
 * tern_worker_settle_piece() - on return that piece is not in progress
 * @w: the worker
 * @piece: of tern_worker_piece()
 *
 * As tern_worker_settle(), and a piece that has begun since is not waited for.
 *
 * Context: no io lock; may sleep.
 */
void tern_worker_settle_piece(struct tern_worker *w, unsigned long piece)
{
	if (wait_event_killable(w->idle, has_ended(w, piece)))
		kill_piece(w, piece);
}
