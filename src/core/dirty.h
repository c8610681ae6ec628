/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_CORE_DIRTY_H
#define TERN_CORE_DIRTY_H

#include "core/bits.h"
#include "core/env.h"

struct tern_model;

/* Pages that one take() handles: bounds the references held at once. */
#define TERN_BATCH_PAGES	128

/**
 * struct tern_dirty - which pages of a device's memory have changed
 * @pages: number of pages; immutable
 * @touched: one bit per page: written since the last clear [atomic bit operations]
 * @dirty: one bit per page: written since it was last taken [core/bits.c]
 * @count: at least the number of bits in @dirty: raised before a bit is set,
 *	lowered after one is cleared
 * @touched_count: the same of @touched
 * @late_marks: of the last session: pages that its last pass left dirty [session lock]
 * @frozen: the device is stopped and saving: one pass is left [session lock]
 * @lock: the lock of the session that lives; NULL: there is none
 * @cursor: first page that this pass has not looked at [session lock]
 */
struct tern_dirty {
	unsigned long pages;
	unsigned long *touched;
	struct tern_bits dirty;
	atomic_long_t count;
	atomic_long_t touched_count;
	unsigned long late_marks;
	bool frozen;
	struct mutex *lock;
	unsigned long cursor;
};

/**
 * struct tern_batch - the pages of one take()
 * @n: how many
 * @page: their numbers, ascending
 * @handle: the model's reference on each, while take() runs
 */
struct tern_batch {
	unsigned int n;
	unsigned long page[TERN_BATCH_PAGES];
	void *handle[TERN_BATCH_PAGES];
};

int tern_dirty_init(struct tern_dirty *d, unsigned long pages);
void tern_dirty_uninit(struct tern_dirty *d);
void tern_dirty_clear(struct tern_dirty *d);
void tern_dirty_mark(struct tern_dirty *d, unsigned long first, unsigned long n);
bool tern_dirty_touched(const struct tern_dirty *d, unsigned long page);
void tern_dirty_begin(struct tern_dirty *d, struct mutex *lock);
void tern_dirty_again(struct tern_dirty *d);
void tern_dirty_freeze(struct tern_dirty *d);
void tern_dirty_thaw(struct tern_dirty *d);
unsigned long tern_dirty_late_marks(const struct tern_dirty *d);
void tern_dirty_rewind(struct tern_dirty *d);
void tern_dirty_finish(struct tern_dirty *d);
bool tern_dirty_ahead(const struct tern_dirty *d);
bool tern_dirty_any(const struct tern_dirty *d);
unsigned long tern_dirty_count(const struct tern_dirty *d);
unsigned long tern_dirty_touched_count(const struct tern_dirty *d);
unsigned int tern_dirty_next_window(const struct tern_dirty *d, struct tern_batch *b,
				    unsigned int max);
int tern_dirty_take(struct tern_dirty *d, struct tern_model *m, struct tern_batch *b, void *dst,
		    size_t stride);

#endif /* TERN_CORE_DIRTY_H */
