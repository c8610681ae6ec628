// SPDX-License-Identifier: GPL-2.0-only
/*
 * An eventfd of user space that the driver waits for: KVM signals one when a guest has
 * handled INTx.
 *
 * The signal comes under the eventfd's own lock, where nothing else may be
 * signalled: so a kernel thread acts on it. An eventfd that is closed stays where
 * it is, because the watch holds it; it is never signalled again.
 */
#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/file.h>

#include "vfio/watch.h"

static void run_callback(struct work_struct *work)
{
	struct tern_watch *watch = container_of(work, struct tern_watch, work);

	watch->callback(watch);
}

/*
 * Is it a callback, of whichever watch, that signals? Then no watch reacts: a watch is
 * for the signals of user space and of KVM. Eventfds can form a ring through the
 * callbacks of any number of devices. It would keep kernel threads busy indefinitely,
 * for each unmasks an interrupt that is still asserted.
 */
static bool signalled_by_callback(void)
{
	struct work_struct *work = current_work();

	return work && work->func == run_callback;
}

static int woken(wait_queue_entry_t *entry, unsigned int mode, int flags, void *key)
{
	struct tern_watch *watch = container_of(entry, struct tern_watch, entry);
	u64 count;

	if (key_to_poll(key) & EPOLLIN) {
		/* Consumed, or the next signal might overflow it. */
		eventfd_ctx_do_read(watch->ctx, &count);
		if (!signalled_by_callback())
			schedule_work(&watch->work);
	}
	return 0;
}

static void enqueue(struct file *file, wait_queue_head_t *head, poll_table *table)
{
	add_wait_queue(head, &container_of(table, struct tern_watch, table)->entry);
}

/**
 * tern_watch_init() - a watch of nothing
 * @watch: the watch
 * @callback: what to call
 */
void tern_watch_init(struct tern_watch *watch, void (*callback)(struct tern_watch *watch))
{
	watch->callback = callback;
	watch->ctx = NULL;
	INIT_WORK(&watch->work, run_callback);
	init_waitqueue_func_entry(&watch->entry, woken);
	init_poll_funcptr(&watch->table, enqueue);
}

/**
 * tern_watch_start() - watch another eventfd, or none
 * @watch: the watch
 * @fd: the eventfd, or -1
 *
 * Return: 0; -EBADF or -EINVAL if @fd is not an eventfd, and the old one stays.
 * Context: may sleep.
 */
int tern_watch_start(struct tern_watch *watch, int fd)
{
	struct eventfd_ctx *ctx;
	struct file *file;

	if (fd == -1) {
		tern_watch_end(watch);
		return 0;
	}
	if (fd < 0)
		return -EINVAL;
	file = fget(fd);
	if (!file)
		return -EBADF;
	ctx = eventfd_ctx_fileget(file);
	if (IS_ERR(ctx)) {
		fput(file);
		return PTR_ERR(ctx);
	}
	tern_watch_end(watch);
	watch->ctx = ctx;
	/* It may have been signalled already. */
	if (vfs_poll(file, &watch->table) & EPOLLIN)
		schedule_work(&watch->work);
	fput(file);
	return 0;
}

/**
 * tern_watch_end() - watch nothing any more
 * @watch: the watch
 *
 * What was signalled before has been acted upon on return, and nothing is after.
 * Context: may sleep.
 */
void tern_watch_end(struct tern_watch *watch)
{
	u64 count;

	if (!watch->ctx)
		return;
	eventfd_ctx_remove_wait_queue(watch->ctx, &watch->entry, &count);
	flush_work(&watch->work);
	eventfd_ctx_put(watch->ctx);
	watch->ctx = NULL;
}
