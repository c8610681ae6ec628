/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_VFIO_WATCH_H
#define TERN_VFIO_WATCH_H

#include <linux/poll.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct eventfd_ctx;

/**
 * struct tern_watch - an eventfd of user space that the driver waits for
 * @callback: called when it was signalled, by a kernel thread; may sleep
 * @ctx: the eventfd, or NULL
 * @entry: our place in its queue
 * @table: how we got there
 * @work: calls @callback
 *
 * Guarded by the lock of its owner.
 */
struct tern_watch {
	void (*callback)(struct tern_watch *watch);
	struct eventfd_ctx *ctx;
	wait_queue_entry_t entry;
	poll_table table;
	struct work_struct work;
};

void tern_watch_init(struct tern_watch *watch, void (*callback)(struct tern_watch *watch));
int tern_watch_start(struct tern_watch *watch, int fd);
void tern_watch_end(struct tern_watch *watch);

#endif /* TERN_VFIO_WATCH_H */
