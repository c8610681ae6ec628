// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stamper: a device that dirties its memory by itself, as a workload
 * (lab/workload.h) says, on the device's worker.
 *
 * It writes as DMA does, and marks after the store. Its pieces are frozen with those of
 * DMA: when the device stops, the number of writes and the memory agree, and both
 * migrate. At the destination the workload continues with the next page.
 *
 * What was asked for through sysfs stays with the device. What a stream has brought ends
 * with the open, and with a reset, as all that it has brought.
 *
 * What looks at the whole memory holds the stamper meanwhile, and with it nothing else:
 * DMA and the guest go on.
 */
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "function/memory.h"
#include "function/worker.h"
#include "mem/stamper.h"

/* What is written at once, and what a freeze may have to wait for. */
#define PIECE_PAGES	16

#define MIB_PAGES	((1U << 20) / TERN_WORKLOAD_PAGE)

static_assert(MIB_PAGES >= TERN_WORKLOAD_PAGES_MIN);

/**
 * tern_stamper_init() - no workload, of a device that is not open
 * @s: the stamper
 * @worker: of the device; calls what follows
 * @lock: the device's io lock
 * @resets: how many callers wait to reset or close the device
 *
 * Return: 0 or -ENOMEM.
 */
int tern_stamper_init(struct tern_stamper *s, struct tern_worker *worker, struct mutex *lock,
		      const atomic_long_t *resets)
{
	memset(s, 0, sizeof(*s));
	s->page = kmalloc(TERN_WORKLOAD_PAGE, GFP_KERNEL);
	if (!s->page)
		return -ENOMEM;
	s->worker = worker;
	s->lock = lock;
	s->resets = resets;
	s->asked.pattern = TERN_PATTERN_PERMUTED;
	s->workload.pattern = TERN_PATTERN_PERMUTED;
	tern_workload_begin(&s->workload);
	return 0;
}

/**
 * tern_stamper_uninit() - free what tern_stamper_init() has allocated
 * @s: the stamper
 */
void tern_stamper_uninit(struct tern_stamper *s)
{
	kfree(s->page);
}

static u64 memory_pages(const struct tern_stamper *s)
{
	return s->memory->size / TERN_WORKLOAD_PAGE;
}

/* The memory may be smaller than the set that was asked for. */
static void choose_set(struct tern_stamper *s)
{
	u64 pages = memory_pages(s);

	lockdep_assert_held(s->lock);
	s->workload.pages = s->set_mib ? min(pages, (u64)s->set_mib * MIB_PAGES) : pages;
}

/* It is due now, and what was missed before is not made up for. */
static void begin_now(struct tern_stamper *s)
{
	lockdep_assert_held(s->lock);
	WRITE_ONCE(s->due, max(s->due, ktime_get_ns()));
}

/**
 * tern_stamper_open() - power on: the workload begins again
 * @s: the stamper
 * @memory: device memory, all zero
 *
 * Context: before the worker starts.
 */
void tern_stamper_open(struct tern_stamper *s, struct tern_memory *memory)
{
	mutex_lock(s->lock);
	s->memory = memory;
	tern_stamper_clear(s);
	mutex_unlock(s->lock);
}

/**
 * tern_stamper_close() - power off: what was asked for stays
 * @s: the stamper
 *
 * Context: the worker has exited.
 */
void tern_stamper_close(struct tern_stamper *s)
{
	mutex_lock(s->lock);
	s->memory = NULL;
	tern_stamper_clear(s);
	mutex_unlock(s->lock);
}

/**
 * tern_stamper_clear() - all memory is zero: the workload that was asked for begins
 * @s: the stamper, frozen
 *
 * Nothing stays of one that a stream has brought.
 *
 * Context: the io lock.
 */
void tern_stamper_clear(struct tern_stamper *s)
{
	lockdep_assert_held(s->lock);
	WRITE_ONCE(s->workload.mibs, s->asked.mibs);
	s->workload.pattern = s->asked.pattern;
	s->workload.seed = s->asked.seed;
	s->set_mib = s->asked.set_mib;
	if (s->memory)
		choose_set(s);
	tern_workload_begin(&s->workload);
	begin_now(s);
}

/**
 * tern_stamper_has_work() - is a piece due?
 * @s: the stamper
 *
 * Context: any. No more than a hint if what was asked for can change meanwhile.
 */
bool tern_stamper_has_work(const struct tern_stamper *s)
{
	return READ_ONCE(s->workload.mibs) && !READ_ONCE(s->held) &&
	       ktime_get_ns() >= READ_ONCE(s->due);
}

/**
 * tern_stamper_wait() - for how long is none due?
 * @s: the stamper
 *
 * Return: jiffies; MAX_SCHEDULE_TIMEOUT: until the worker is kicked. Context: any.
 */
long tern_stamper_wait(const struct tern_stamper *s)
{
	u64 now = ktime_get_ns(), due = READ_ONCE(s->due);

	if (!READ_ONCE(s->workload.mibs) || READ_ONCE(s->held))
		return MAX_SCHEDULE_TIMEOUT;
	return due > now ? nsecs_to_jiffies(due - now) + 1 : 0;
}

/**
 * tern_stamper_begin_piece() - what holds the stamper must wait from now on
 * @s: the stamper
 *
 * Context: the worker, with the io lock.
 */
void tern_stamper_begin_piece(struct tern_stamper *s)
{
	lockdep_assert_held(s->lock);
	s->writing = true;
}

/**
 * tern_stamper_do_piece() - write the next pages
 * @s: the stamper
 * @mm: the opener lives. Without it nothing is written: its memory is charged to it.
 *
 * Context: the worker, no lock; may sleep.
 */
void tern_stamper_do_piece(struct tern_stamper *s, bool mm)
{
	const struct tern_workload *w = &s->workload;
	u64 page, generation;

	s->written = 0;
	if (!mm)
		return;
	for (; s->written < PIECE_PAGES; s->written++) {
		page = tern_workload_page(w, w->writes + s->written);
		generation = tern_workload_generation(w, page, w->writes + s->written);
		tern_workload_stamp(w, page, generation + 1, s->page);
		if (tern_memory_write(s->memory, page * TERN_WORKLOAD_PAGE, s->page,
				      TERN_WORKLOAD_PAGE))
			return;
	}
}

/**
 * tern_stamper_end_piece() - the pages count as written
 * @s: the stamper
 *
 * Context: the worker, with the io lock.
 */
void tern_stamper_end_piece(struct tern_stamper *s)
{
	lockdep_assert_held(s->lock);
	s->writing = false;
	s->workload.writes += s->written;
	WRITE_ONCE(s->due, tern_workload_due(&s->workload, s->due, ktime_get_ns(), s->written));
}

/* On return the stamper writes nothing until release(). */
static void hold(struct tern_stamper *s)
{
	unsigned long piece;
	bool writing;

	mutex_lock(s->lock);
	WRITE_ONCE(s->held, true);
	writing = s->writing;
	piece = tern_worker_piece(s->worker);
	mutex_unlock(s->lock);
	/* Not for a piece of DMA: it may wait for guest memory, indefinitely. */
	if (writing)
		tern_worker_settle_piece(s->worker, piece);
}

static void release(struct tern_stamper *s)
{
	mutex_lock(s->lock);
	WRITE_ONCE(s->held, false);
	mutex_unlock(s->lock);
	if (s->memory)
		tern_worker_kick(s->worker);
}

static int read_page(void *device, u64 page, void *to)
{
	struct tern_stamper *s = device;

	cond_resched();
	if (fatal_signal_pending(current) || atomic_long_read(s->resets))
		return -EINTR;
	return tern_memory_read(s->memory, page * TERN_WORKLOAD_PAGE, to, TERN_WORKLOAD_PAGE);
}

/* The set belongs to the workload: it begins with pages that are zero. */
static int clear_set(struct tern_stamper *s)
{
	u64 page;
	int ret;

	for (page = 0; page < s->workload.pages; page++) {
		ret = read_page(s, page, s->page);
		if (ret)
			return ret;
		if (!memchr_inv(s->page, 0, TERN_WORKLOAD_PAGE))
			continue;
		memset(s->page, 0, TERN_WORKLOAD_PAGE);
		ret = tern_memory_write(s->memory, page * TERN_WORKLOAD_PAGE, s->page,
					TERN_WORKLOAD_PAGE);
		if (ret)
			return ret;
	}
	return 0;
}

/* Of a device that is open: its memory may hold anything. */
static int begin(struct tern_stamper *s)
{
	struct tern_workload w;
	int ret;

	if (tern_worker_frozen(s->worker))
		return -EBUSY;
	mutex_lock(s->lock);
	choose_set(s);
	w = s->workload;
	mutex_unlock(s->lock);
	ret = tern_workload_take_rest(&w, memory_pages(s), read_page, s, s->page);
	if (!ret)
		ret = clear_set(s);
	if (ret)
		return ret;
	mutex_lock(s->lock);
	s->workload.rest_pages = w.rest_pages;
	s->workload.rest_crc = w.rest_crc;
	mutex_unlock(s->lock);
	return 0;
}

/* What is there becomes what was asked for: root has changed it. */
static void adopt(struct tern_stamper *s)
{
	lockdep_assert_held(s->lock);
	s->asked = (struct tern_stamper_request){
		.mibs		= s->workload.mibs,
		.set_mib	= s->set_mib,
		.pattern	= s->workload.pattern,
		.seed		= s->workload.seed,
	};
}

/**
 * tern_stamper_set_rate() - begin a workload, change its rate, or pause it
 * @s: the stamper
 * @mibs: MiB/s; 0: pause
 *
 * A workload that begins clears its set, if the device is open.
 *
 * Return: 0, or one of:
 *
 * - -EINVAL: that is too much; nothing has changed
 * - -EBUSY: one would begin, and the device is quiesced or stopped; nothing has changed
 * - -EINTR: the caller was killed, or a reset or close waits; pages of the set may be cleared
 * - -ENOMEM, -EIO: of device memory; the same
 *
 * Context: the device is neither opened, closed nor reset meanwhile, and changes no state;
 * may sleep.
 */
int tern_stamper_set_rate(struct tern_stamper *s, u64 mibs)
{
	int ret = 0;

	if (mibs > TERN_WORKLOAD_MIBS_MAX)
		return -EINVAL;
	hold(s);
	if (s->memory && mibs && !tern_workload_exists(&s->workload))
		ret = begin(s);
	if (!ret) {
		mutex_lock(s->lock);
		WRITE_ONCE(s->workload.mibs, mibs);
		begin_now(s);
		adopt(s);
		mutex_unlock(s->lock);
	}
	release(s);
	return ret;
}

/* Another workload: what the last one has written is no longer known. */
static int change(struct tern_stamper *s, void (*set)(struct tern_stamper *s, u64 value), u64 value)
{
	if (s->workload.mibs)
		return -EBUSY;
	hold(s);
	mutex_lock(s->lock);
	set(s, value);
	adopt(s);
	tern_stamper_clear(s);
	mutex_unlock(s->lock);
	release(s);
	return 0;
}

static void set_size(struct tern_stamper *s, u64 mib)
{
	s->set_mib = mib;
}

/**
 * tern_stamper_set_size() - choose the set of the next workload
 * @s: the stamper
 * @mib: its MiB, a power of two; 0: all memory
 *
 * Return: 0; -EINVAL; -EBUSY while one runs. Context: as tern_stamper_set_rate().
 */
int tern_stamper_set_size(struct tern_stamper *s, u64 mib)
{
	if (mib > TERN_SET_MIB_MAX || mib & (mib - 1))
		return -EINVAL;
	return change(s, set_size, mib);
}

static void set_pattern(struct tern_stamper *s, u64 pattern)
{
	s->workload.pattern = pattern;
}

/**
 * tern_stamper_set_pattern() - choose the order of the next workload
 * @s: the stamper
 * @pattern: the order
 *
 * Return: 0; -EBUSY while one runs. Context: as tern_stamper_set_rate().
 */
int tern_stamper_set_pattern(struct tern_stamper *s, u64 pattern)
{
	return change(s, set_pattern, pattern);
}

static void set_seed(struct tern_stamper *s, u64 seed)
{
	s->workload.seed = seed;
}

/**
 * tern_stamper_set_seed() - choose the seed of the next workload
 * @s: the stamper
 * @seed: any number
 *
 * Return: 0; -EBUSY while one runs. Context: as tern_stamper_set_rate().
 */
int tern_stamper_set_seed(struct tern_stamper *s, u64 seed)
{
	return change(s, set_seed, seed);
}

/**
 * tern_stamper_verify() - does each page have what was written there last?
 * @s: the stamper; it writes nothing meanwhile
 * @v: gets the verdict
 * @writes: gets the number of pages written
 *
 * Return: 0, or one of:
 *
 * - -ENODATA: there is no workload, or the device is closed, or it is stopped and the
 *   workload has written nothing
 * - -EINTR: the caller was killed, or a reset or close waits
 * - -ENOMEM, -EIO: of device memory
 *
 * Context: as tern_stamper_set_rate().
 */
int tern_stamper_verify(struct tern_stamper *s, struct tern_verdict *v, u64 *writes)
{
	int ret;

	if (!s->memory || !tern_workload_exists(&s->workload))
		return -ENODATA;
	/* It has written nothing, and a load may be under way, which has. */
	if (!s->workload.writes && tern_worker_frozen(s->worker))
		return -ENODATA;
	hold(s);
	*writes = s->workload.writes;
	ret = tern_workload_verify(&s->workload, memory_pages(s), read_page, s, s->page, v);
	release(s);
	return ret;
}

/**
 * tern_stamper_spoil() - invert a bit of a page, so that tern_stamper_verify() finds it
 * @s: the stamper
 * @page: its number
 *
 * Return: 0; -EINVAL if there is no such page; -ENODATA if the device is closed; -ENOMEM
 * or -EIO of device memory. Context: as tern_stamper_set_rate().
 */
int tern_stamper_spoil(struct tern_stamper *s, u64 page)
{
	u64 at = page * TERN_WORKLOAD_PAGE + TERN_WORKLOAD_PAGE / 2;
	u8 byte;
	int ret;

	if (!s->memory)
		return -ENODATA;
	if (page >= memory_pages(s))
		return -EINVAL;
	hold(s);
	ret = tern_memory_read(s->memory, at, &byte, sizeof(byte));
	if (!ret) {
		byte ^= 1;
		ret = tern_memory_write(s->memory, at, &byte, sizeof(byte));
	}
	release(s);
	return ret;
}

/**
 * tern_stamper_present() - is there a workload to migrate?
 * @s: the stamper
 */
bool tern_stamper_present(const struct tern_stamper *s)
{
	return READ_ONCE(s->workload.mibs) || READ_ONCE(s->workload.writes);
}

/**
 * tern_stamper_save() - the workload, for a stream
 * @s: the stamper, frozen
 * @to: gets it
 *
 * Context: the io lock.
 */
void tern_stamper_save(const struct tern_stamper *s, struct tern_workload_state *to)
{
	lockdep_assert_held(s->lock);
	tern_workload_save(&s->workload, to);
}

/**
 * tern_stamper_validate() - can the device have this workload?
 * @s: the stamper
 * @from: a state from a stream
 *
 * Return: 0, or -EDOM.
 */
int tern_stamper_validate(const struct tern_stamper *s, const struct tern_workload_state *from)
{
	return tern_workload_validate(from, memory_pages(s));
}

/**
 * tern_stamper_load() - restore from a validated section
 * @s: the stamper, frozen
 * @from: a validated state; NULL: the source has no workload
 *
 * Context: the io lock.
 */
void tern_stamper_load(struct tern_stamper *s, const struct tern_workload_state *from)
{
	lockdep_assert_held(s->lock);
	if (!from) {
		WRITE_ONCE(s->workload.mibs, 0);
		return;
	}
	tern_workload_load(&s->workload, from);
	s->set_mib = s->workload.pages / MIB_PAGES;
	begin_now(s);
}
