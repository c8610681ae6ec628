// SPDX-License-Identifier: GPL-2.0-only
/*
 * The dirty tracker: which pages must be sent, and how one is taken so that no
 * store is lost.
 *
 * Two bits per page. "touched": written since the memory was last cleared. "dirty":
 * written since the page was last taken. mark() sets both, session or not. No flag says
 * whether a session lives, so there is none to race with. Outside a session no page is
 * re-armed, so a page's second store costs nothing. A session begins with dirty |=
 * touched: the snapshot is a dirty iteration in which everything is dirty.
 *
 * Vocabulary:
 *
 * - to mark: to say that a page was written
 * - to take: to clear a page's dirty bit and copy the page
 * - to re-arm: to make the next store mark again
 * - a pass: one walk of the cursor from page 0 to the end
 *
 * Why no store is lost. take() does, for each page: lock, clear the bit, unlock;
 * re-arm; copy. A store to an armed page faults. The fault marks the page and makes the
 * entry writable, under one hold of the page's lock. If that was before the clear,
 * re-arming unmaps the entry. The copy comes after that, and sees what was stored until
 * then. If it was after, the mark outlives the clear and the page is taken again. A
 * store by the kernel itself marks afterwards, with a full barrier between. Then either
 * the copy sees the store, or the mark comes after the clear. Copy before clear, or
 * clear without re-arming, and this breaks.
 *
 * Stores legitimately arrive after the device was stopped: a disk read into its memory
 * completes late, or another device's DMA ends there. So a mark sets its bit at any
 * time. The tracker is frozen then: one pass is left. That pass walks the cursor once
 * from page 0 to the end, and takes each dirty page that it reaches. It never turns
 * back. A process that stores without end cannot hold it up. Bits left behind the
 * cursor when that pass has ended are stores that the stream may lack: late_marks is
 * their number.
 *
 * A counter may be higher than the number of its bits, never lower: what needs
 * the truth about "none" looks at the bitmap.
 */
#include "core/dirty.h"
#include "core/model.h"

/* Runs of pages nearer than this are re-armed by one call. */
#define REARM_GAP	32

/* Groups of a bitmap that are handled without a look at the scheduler. */
#define GROUPS_AT_ONCE	64

/**
 * tern_dirty_init() - make a tracker with no page touched
 * @d: the tracker
 * @pages: number of pages
 *
 * Return: 0, or -ENOMEM. Context: may sleep.
 */
int tern_dirty_init(struct tern_dirty *d, unsigned long pages)
{
	size_t bytes = BITS_TO_LONGS(pages) * sizeof(long);

	memset(d, 0, sizeof(*d));
	d->pages = pages;
	d->touched = kvzalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!d->touched || tern_bits_init(&d->dirty, pages)) {
		tern_dirty_uninit(d);
		return -ENOMEM;
	}
	return 0;
}

/**
 * tern_dirty_uninit() - free a tracker that nothing can mark any more
 * @d: the tracker; may be half made
 */
void tern_dirty_uninit(struct tern_dirty *d)
{
	kvfree(d->touched);
	tern_bits_uninit(&d->dirty);
}

/* The bitmap of touched pages in the groups of the other one. */
static unsigned long groups(const struct tern_dirty *d)
{
	return DIV_ROUND_UP(BITS_TO_LONGS(d->pages), TERN_BITS_GROUP);
}

static unsigned long *group(const struct tern_dirty *d, unsigned long g)
{
	return d->touched + g * TERN_BITS_GROUP;
}

static void set_touched(struct tern_dirty *d, unsigned long page)
{
	atomic_long_inc(&d->touched_count);
	if (test_and_set_bit(page, d->touched))
		atomic_long_dec(&d->touched_count);
}

/* Partner of the decrement in clear_dirty(): up before the bit, down after. */
static void set_dirty(struct tern_dirty *d, unsigned long page)
{
	atomic_long_inc(&d->count);
	if (tern_bits_set(&d->dirty, page))
		atomic_long_dec(&d->count);
}

static void clear_dirty(struct tern_dirty *d, unsigned long page)
{
	/* A full barrier: the copy that follows cannot be older than this. */
	if (tern_bits_clear(&d->dirty, page))
		atomic_long_dec(&d->count);
}

/**
 * tern_dirty_clear() - forget every page
 * @d: the tracker
 *
 * The first half of clearing the memory. The caller drops the pages after it. So a
 * store in between is dropped too, and leaves only a mark, which costs a page of
 * zeroes. Context: no session lives; may sleep.
 */
void tern_dirty_clear(struct tern_dirty *d)
{
	unsigned long g, i;

	for (g = 0; g < groups(d); g++) {
		unsigned long were = 0;

		/* Each bit is counted down once. */
		for (i = 0; i < tern_bits_words(&d->dirty, g); i++)
			if (READ_ONCE(group(d, g)[i]))
				were += hweight_long(xchg(&group(d, g)[i], 0));
		atomic_long_sub(were, &d->touched_count);
		atomic_long_sub(tern_bits_clear_group(&d->dirty, g), &d->count);
		if (g % GROUPS_AT_ONCE == 0)
			cond_resched();
	}
	d->cursor = 0;
}

/**
 * tern_dirty_mark() - say that pages were, or are about to be, written
 * @d: the tracker
 * @first: first page
 * @n: how many
 *
 * Guarantees that a take() that does not see the store leaves the pages dirty. For that
 * the caller either holds the page's lock until its entry is writable, or has stored
 * already. After such a store comes a full barrier (smp_mb__before_atomic()).
 *
 * Context: any; takes no lock.
 */
void tern_dirty_mark(struct tern_dirty *d, unsigned long first, unsigned long n)
{
	unsigned long page;

	for (page = first; page < first + n; page++) {
		set_touched(d, page);
		tern_step_point("touched", page);
		set_dirty(d, page);
	}
}

/**
 * tern_dirty_touched() - can the page be anything but zero?
 * @d: the tracker
 * @page: the page
 *
 * Return: false if it was not written since the last clear.
 */
bool tern_dirty_touched(const struct tern_dirty *d, unsigned long page)
{
	return test_bit(page, d->touched);
}

/* Group by group: for a large memory it takes milliseconds. */
static void mark_touched(struct tern_dirty *d)
{
	unsigned long words[TERN_BITS_GROUP], g, i;

	for (g = 0; g < groups(d); g++) {
		unsigned long weight = 0;

		for (i = 0; i < tern_bits_words(&d->dirty, g); i++) {
			words[i] = READ_ONCE(group(d, g)[i]);
			weight += hweight_long(words[i]);
		}
		if (weight) {
			/* Up before the bits are set, as in set_dirty(). */
			atomic_long_add(weight, &d->count);
			atomic_long_sub(tern_bits_set_group(&d->dirty, g, words), &d->count);
		}
		if (g % GROUPS_AT_ONCE == 0)
			cond_resched();
	}
}

/**
 * tern_dirty_begin() - a session begins: what was ever touched is dirty
 * @d: the tracker
 * @lock: the session's, which what follows asserts until tern_dirty_thaw(); or NULL
 *
 * Context: nothing else knows the session yet; may sleep.
 */
void tern_dirty_begin(struct tern_dirty *d, struct mutex *lock)
{
	d->lock = lock;
	d->frozen = false;
	d->late_marks = 0;
	d->cursor = 0;
	mark_touched(d);
}

/**
 * tern_dirty_again() - what was ever touched is dirty once more
 * @d: the tracker
 *
 * Context: the session lock; may sleep.
 */
void tern_dirty_again(struct tern_dirty *d)
{
	tern_assert_held(d->lock);
	mark_touched(d);
}

/**
 * tern_dirty_freeze() - the device is stopped: the last pass begins
 * @d: the tracker
 *
 * Marks go on setting bits: see the top of this file. Context: the session lock.
 */
void tern_dirty_freeze(struct tern_dirty *d)
{
	tern_assert_held(d->lock);
	d->frozen = true;
	d->cursor = 0;
}

/**
 * tern_dirty_thaw() - the session is over
 * @d: the tracker
 *
 * The pages that it did not take are touched, so the next session sends them.
 * Context: the session lock, or no session.
 */
void tern_dirty_thaw(struct tern_dirty *d)
{
	d->late_marks = tern_dirty_late_marks(d);
	d->frozen = false;
	d->lock = NULL;
}

/**
 * tern_dirty_late_marks() - how many pages the stream may lack a store to
 * @d: the tracker
 *
 * Return: the dirty pages that the last pass left behind, in this session or the last
 * one; 0 before that pass has ended. Counts bits: in time proportional to the size of
 * the memory.
 * Context: the session lock, or whatever keeps sessions from changing.
 */
unsigned long tern_dirty_late_marks(const struct tern_dirty *d)
{
	return d->frozen && d->cursor == d->pages ? tern_bits_weight(&d->dirty) :
						   d->late_marks;
}

/**
 * tern_dirty_rewind() - a pass is over, the next one begins at page 0
 * @d: the tracker
 *
 * Context: the session lock.
 */
void tern_dirty_rewind(struct tern_dirty *d)
{
	tern_assert_held(d->lock);
	d->cursor = 0;
}

/**
 * tern_dirty_finish() - the pass after the stop is over, and there is no other
 * @d: the tracker
 *
 * A bit that is set from now on is a late mark, and for the next session.
 * Context: the session lock.
 */
void tern_dirty_finish(struct tern_dirty *d)
{
	tern_assert_held(d->lock);
	d->cursor = d->pages;
}

/**
 * tern_dirty_ahead() - has this pass anything left?
 * @d: the tracker
 *
 * Looks at the bitmap, not at the counter. Context: the session lock.
 */
bool tern_dirty_ahead(const struct tern_dirty *d)
{
	tern_assert_held(d->lock);
	return tern_bits_next(&d->dirty, d->cursor) < d->pages;
}

/**
 * tern_dirty_any() - is there a page that this session can still take?
 * @d: the tracker
 *
 * While frozen the pages behind the cursor do not count: there is no further
 * pass. Context: the session lock.
 */
bool tern_dirty_any(const struct tern_dirty *d)
{
	tern_assert_held(d->lock);
	if (!atomic_long_read(&d->count))
		return false;
	if (tern_dirty_ahead(d))
		return true;
	return !d->frozen && tern_bits_next(&d->dirty, 0) < d->cursor;
}

/**
 * tern_dirty_count() - about how many pages are dirty
 * @d: the tracker
 *
 * Return: never less than there are. In constant time, for any memory size.
 */
unsigned long tern_dirty_count(const struct tern_dirty *d)
{
	return atomic_long_read(&d->count);
}

/**
 * tern_dirty_touched_count() - how many pages a session would begin with
 * @d: the tracker
 *
 * Return: never less than the pages that were written since the last clear. In
 * constant time, for any memory size.
 */
unsigned long tern_dirty_touched_count(const struct tern_dirty *d)
{
	return atomic_long_read(&d->touched_count);
}

/**
 * tern_dirty_next_window() - the next dirty pages, from the cursor on
 * @d: the tracker
 * @b: gets their numbers
 * @max: how many at most; no more than TERN_BATCH_PAGES are given
 *
 * Changes nothing: a page counts as done when take() has copied it.
 *
 * Return: how many; 0 if this pass has none left. Context: the session lock.
 */
unsigned int tern_dirty_next_window(const struct tern_dirty *d, struct tern_batch *b,
				    unsigned int max)
{
	unsigned long page = d->cursor;

	tern_assert_held(d->lock);
	max = min_t(unsigned int, max, TERN_BATCH_PAGES);
	for (b->n = 0; b->n < max; b->n++) {
		page = tern_bits_next(&d->dirty, page);
		if (page >= d->pages)
			break;
		b->page[b->n] = page++;
	}
	return b->n;
}

/* Re-arm the pages of a batch, near ones together. */
static void rearm_runs(struct tern_model *m, const struct tern_batch *b)
{
	unsigned int i, first = 0;

	for (i = 1; i <= b->n; i++) {
		if (i < b->n && b->page[i] - b->page[i - 1] <= REARM_GAP)
			continue;
		m->ops->page_rearm(m, b->page[first], b->page[i - 1] - b->page[first] + 1);
		first = i;
	}
}

static void put_pages(struct tern_model *m, const struct tern_batch *b, unsigned int n)
{
	while (n--)
		m->ops->page_put(m, b->handle[n]);
}

/**
 * tern_dirty_take() - take the pages of a window: the one place of the order
 * @d: the tracker
 * @m: whose memory it is
 * @b: what tern_dirty_next_window() gave; not empty
 * @dst: where the first page's bytes go
 * @stride: from one page's place to the next one's
 *
 * Guarantees that every store made before the call is in the copy, and that
 * every store that is not leaves its page dirty. On an error no page counts as
 * taken: all are dirty, the cursor stands, and the next call can do it again.
 *
 * Return: 0, or the -errno of a step. Context: the session lock; may sleep.
 */
int tern_dirty_take(struct tern_dirty *d, struct tern_model *m, struct tern_batch *b, void *dst,
		    size_t stride)
{
	unsigned int got, i;
	int ret;

	tern_assert_held(d->lock);
	for (got = 0; got < b->n; got++) {
		ret = m->ops->page_get(m, b->page[got], &b->handle[got]);
		if (ret)
			goto err_mark_again;
		tern_step_point("locked", b->page[got]);
		clear_dirty(d, b->page[got]);
		tern_step_point("cleared", b->page[got]);
		m->ops->page_unlock(m, b->handle[got]);
		tern_step_point("unlocked", b->page[got]);
	}

	rearm_runs(m, b);
	tern_step_point("rearmed", b->page[0]);

	for (i = 0; i < b->n; i++) {
		/*
		 * Whatever has the page pinned stores without a fault: send it
		 * in each pass, and once after the stop.
		 */
		if (!d->frozen && m->ops->page_pinned(m, b->handle[i]))
			set_dirty(d, b->page[i]);
		ret = m->ops->page_copy(m, b->handle[i], dst + i * stride);
		if (ret)
			goto err_mark_again;
		tern_step_point("copied", b->page[i]);
	}

	put_pages(m, b, b->n);
	d->cursor = b->page[b->n - 1] + 1;
	return 0;

err_mark_again:
	for (i = 0; i < got; i++)
		set_dirty(d, b->page[i]);
	put_pages(m, b, got);
	return ret;
}
