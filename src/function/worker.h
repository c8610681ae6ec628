/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_FUNCTION_WORKER_H
#define TERN_FUNCTION_WORKER_H

#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct mm_struct;
struct mutex;
struct task_struct;
struct tern_worker;

/**
 * struct tern_worker_ops - what a worker does, in pieces
 * @has_work: is there a piece to do? Context: the lock, or none: then it is a hint.
 * @wait: jiffies until there may be a piece although nothing kicks the worker;
 *	MAX_SCHEDULE_TIMEOUT: never. NULL: never. Context: no lock.
 * @begin: take the next piece. Context: the lock.
 * @piece: do it. @mm: the thread uses the opener's address space; else that no longer exists,
 *	and the piece must fail. Context: no lock; may sleep.
 * @end: the piece was done. Context: the lock.
 */
struct tern_worker_ops {
	bool (*has_work)(const struct tern_worker *w);
	long (*wait)(const struct tern_worker *w);
	void (*begin)(struct tern_worker *w);
	void (*piece)(struct tern_worker *w, bool mm);
	void (*end)(struct tern_worker *w);
};

/**
 * struct tern_worker - a thread that works for a function
 * @ops: immutable
 * @lock: the function's io lock
 * @frozen: no piece begins: the device is quiesced or stopped [lock]
 * @paused: no piece begins: the function is in D3hot [lock]
 * @moving: a piece is in progress: set under @lock, cleared with release order
 * @pieces: how many have ended [written under @lock]
 * @kicked: the thread must look again for how long it may wait
 * @wake: the thread waits here for something to do
 * @idle: waits for @moving to end
 * @thread: there while the device is open
 * @opener: main thread of the process that opened the device, dead or alive
 * @mm: the opener's address space
 * @watchdog: kills a piece of an opener that was killed
 */
struct tern_worker {
	const struct tern_worker_ops *ops;
	struct mutex *lock;
	bool frozen;
	bool paused;
	bool moving;
	unsigned long pieces;
	bool kicked;
	wait_queue_head_t wake;
	wait_queue_head_t idle;
	struct task_struct *thread;
	struct task_struct *opener;
	struct mm_struct *mm;
	struct delayed_work watchdog;
};

void tern_worker_init(struct tern_worker *w, const struct tern_worker_ops *ops, struct mutex *lock);
int tern_worker_open(struct tern_worker *w, const char *name);
void tern_worker_close(struct tern_worker *w);
void tern_worker_kick(struct tern_worker *w);
void tern_worker_freeze(struct tern_worker *w);
bool tern_worker_frozen(const struct tern_worker *w);
void tern_worker_thaw(struct tern_worker *w);
void tern_worker_pause(struct tern_worker *w, bool paused);
void tern_worker_settle(struct tern_worker *w);
unsigned long tern_worker_piece(const struct tern_worker *w);
void tern_worker_settle_piece(struct tern_worker *w, unsigned long piece);

#endif /* TERN_FUNCTION_WORKER_H */
