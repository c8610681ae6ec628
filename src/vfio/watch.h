/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_VFIO_WATCH_H
#define TERN_VFIO_WATCH_H

#include <linux/poll.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct eventfd_ctx;

/**
 * struct tern_watch - an eventfd of user space that we listen to
 * @told: called when it was signalled, by a kernel thread; may sleep
 * @ctx: the eventfd, or NULL
 * @entry: our place in its queue
 * @table: how we got there
 * @work: calls @told
 *
 * Guarded by whoever starts and ends it.
 */
struct tern_watch {
	void (*told)(struct tern_watch *watch);
	struct eventfd_ctx *ctx;
	wait_queue_entry_t entry;
	poll_table table;
	struct work_struct work;
};

void tern_watch_init(struct tern_watch *watch, void (*told)(struct tern_watch *watch));
int tern_watch_start(struct tern_watch *watch, int fd);
void tern_watch_end(struct tern_watch *watch);

#endif /* TERN_VFIO_WATCH_H */
