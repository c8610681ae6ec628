/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The interface of a device model to the core: an ops table, a dirty tracker and a
 * few numbers.
 */
#ifndef TERN_CORE_MODEL_H
#define TERN_CORE_MODEL_H

#include "core/env.h"

struct tern_dirty;
struct tern_model;

/* Sections of one model, the final records of a stream. */
#define TERN_SECTIONS_MAX	8
/* The longest payload that a section may have. */
#define TERN_SECTION_BYTES_MAX	8192

/**
 * struct tern_section - one part of the state that is sent once, at the end
 * @type: its record's type
 * @since: version of the format that it came with; an older stream has none, and
 *	leaves this part as at power-on
 * @length: its payload, exactly: a multiple of 8, which keeps records aligned, and
 *	TERN_SECTION_BYTES_MAX at most
 * @present: has the device such a part now? NULL: always. Otherwise the record is
 *	optional: a stream need not have it, and an older reader skips it. Takes no lock.
 * @save: write @length bytes at @to. The device is stopped. Cannot fail.
 * @validate: does @from have a meaning for this device? 0, or -EDOM. Changes
 *	nothing.
 * @load: become what @from says; only called with what @validate passed, or NULL if
 *	the stream has no such part, which is possible with @present. Cannot fail.
 *
 * Context: may sleep; state_mutex is held.
 */
struct tern_section {
	u32 type;
	u32 since;
	u32 length;
	bool (*present)(const struct tern_model *m);
	void (*save)(struct tern_model *m, void *to);
	int (*validate)(struct tern_model *m, const void *from);
	void (*load)(struct tern_model *m, const void *from);
};

/**
 * struct tern_model_ops - a device model
 * @id: names the model in the stream
 * @version: of the stream's format as this model writes it. Each model counts its own:
 *	a change of one does not lock out older readers of another.
 * @reader: the oldest reader that understands it
 * @sections: in the order in which they are sent
 * @n_sections: TERN_SECTIONS_MAX at most
 * @page_get: take a reference on a page and lock it: until @page_unlock no
 *	page table entry of it becomes writable. 0, or -errno with nothing held.
 *	May sleep and allocate.
 * @page_unlock: end of the lock; the reference stays
 * @page_rearm: make the next store to each of these pages call mark(). Called
 *	with no page locked.
 * @page_pinned: can a device or the kernel store to the page past the page tables?
 * @page_copy: copy the page to @to. 0 or -errno.
 * @page_put: end of the reference
 * @memory_load: store bytes of a stream, and mark the pages. 0 or -errno.
 * @may_load: may a stream replace what the device holds? 0, or the -errno of the
 *	arc that begins a load. Changes nothing. NULL: always.
 * @reset: registers, config space and interrupts as at power-on, and memory zero where
 *	a reset of the device makes it so. What survives a reset (a disk) stays. Cannot
 *	fail.
 * @wipe: as @reset, and nothing stays: the device is as it was made. For a load, which
 *	begins, fails or is given up. Cannot fail.
 * @start: let the device run; deliver what waited. Cannot fail.
 * @quiesce: let it run, but on return it begins no access to memory of its own
 *	accord, and those under way have ended. Cannot fail.
 * @stop: on return the device changes nothing and raises nothing by itself.
 *	Cannot fail.
 *
 * Context: all may sleep. state_mutex is held for @memory_load, @may_load, @reset,
 * @wipe, @start, @quiesce and @stop, the session lock for the steps of take().
 */
struct tern_model_ops {
	u32 id;
	u32 version;
	u32 reader;
	const struct tern_section *sections;
	unsigned int n_sections;

	int (*page_get)(struct tern_model *m, unsigned long page, void **handle);
	void (*page_unlock)(struct tern_model *m, void *handle);
	void (*page_rearm)(struct tern_model *m, unsigned long first, unsigned long n);
	bool (*page_pinned)(struct tern_model *m, void *handle);
	int (*page_copy)(struct tern_model *m, void *handle, void *to);
	void (*page_put)(struct tern_model *m, void *handle);

	int (*memory_load)(struct tern_model *m, u64 offset, const void *from, size_t len);
	int (*may_load)(struct tern_model *m);
	void (*reset)(struct tern_model *m);
	void (*wipe)(struct tern_model *m);
	void (*start)(struct tern_model *m);
	void (*quiesce)(struct tern_model *m);
	void (*stop)(struct tern_model *m);
};

/**
 * struct tern_model - one device, as the core sees it
 * @ops: its model
 * @name: of the device on its bus, for tracepoints
 * @dirty: tracker of its memory
 * @memory_size: bytes of device memory
 * @page_size: bytes that one bit of @dirty stands for
 * @state_mutex: its owner's, which the core asserts; NULL where there is none
 * @resets: how many callers wait to reset or close the device: long work must end early
 *	[atomic]
 *
 * Immutable while the device is open, except for @resets.
 */
struct tern_model {
	const struct tern_model_ops *ops;
	const char *name;
	struct tern_dirty *dirty;
	u64 memory_size;
	u32 page_size;
	struct mutex *state_mutex;
	atomic_long_t resets;
};

#endif /* TERN_CORE_MODEL_H */
