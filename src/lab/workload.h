/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_LAB_WORKLOAD_H
#define TERN_LAB_WORKLOAD_H

#include "core/env.h"
#include <uapi/tern/stream.h>

/* Pages of a workload, whatever the kernel's are. */
#define TERN_WORKLOAD_PAGE	TERN_STREAM_BLOCK
/* No set is smaller. */
#define TERN_WORKLOAD_PAGES_MIN	256
/* MiB/s: more than any memory has. */
#define TERN_WORKLOAD_MIBS_MAX	(1U << 20)

/**
 * enum tern_pattern - the order in which the pages of a set are written
 * @TERN_PATTERN_SEQUENTIAL: one after the other, again and again
 * @TERN_PATTERN_PERMUTED: each once in a round, each round in another order
 * @TERN_PATTERN_HOT: the same, but 15 of 16 writes go to the first 16th of the set
 * @TERN_PATTERNS: how many there are
 */
enum tern_pattern {
	TERN_PATTERN_SEQUENTIAL,
	TERN_PATTERN_PERMUTED,
	TERN_PATTERN_HOT,
	TERN_PATTERNS
};

/**
 * struct tern_workload - what was asked for, and how far it has come
 * @mibs: MiB to write in a second; 0: it pauses
 * @pattern: the order
 * @pages: the set: the first pages of memory, a power of two
 * @seed: different orders and contents for each
 * @writes: pages written so far
 * @rest_pages: pages behind the set that were not zero when it began
 * @rest_crc: CRC-32C of their numbers and contents
 *
 * What must stand in each page follows from this alone, so the destination of a
 * migration can check the memory, too.
 */
struct tern_workload {
	u32 mibs;
	enum tern_pattern pattern;
	u64 pages;
	u64 seed;
	u64 writes;
	u64 rest_pages;
	u32 rest_crc;
};

/**
 * struct tern_stamp - the head of a page that a workload has written
 * @page: its number
 * @generation: how often it was written, with this time
 * @seed: of the workload
 * @crc32c: of all other bytes of the page
 * @reserved: 0
 *
 * A pattern that follows from these fills the rest of the page.
 */
struct tern_stamp {
	__le64 page;
	__le64 generation;
	__le64 seed;
	__le32 crc32c;
	__le32 reserved;
};

/**
 * enum tern_damage - what is wrong with a page
 * @TERN_DAMAGE_NONE: nothing
 * @TERN_DAMAGE_LOST: it is zero, and was written
 * @TERN_DAMAGE_STALE: it has an older generation
 * @TERN_DAMAGE_NEWER: it has a newer one
 * @TERN_DAMAGE_MISPLACED: it is another page of this workload
 * @TERN_DAMAGE_FOREIGN: it is of another workload
 * @TERN_DAMAGE_TORN: it is no page of a workload: its CRC is wrong
 * @TERN_DAMAGE_STRAY: it was never written, and is not zero
 * @TERN_DAMAGE_REST: not of one page: those behind the set are not what they were
 * @TERN_DAMAGES: how many there are
 */
enum tern_damage {
	TERN_DAMAGE_NONE,
	TERN_DAMAGE_LOST,
	TERN_DAMAGE_STALE,
	TERN_DAMAGE_NEWER,
	TERN_DAMAGE_MISPLACED,
	TERN_DAMAGE_FOREIGN,
	TERN_DAMAGE_TORN,
	TERN_DAMAGE_STRAY,
	TERN_DAMAGE_REST,
	TERN_DAMAGES
};

/**
 * struct tern_verdict - of all pages of a device
 * @pages: that were looked at
 * @bad: of them
 * @damage: of the first bad one
 * @page: its number
 * @expected: its generation; 0: it must be zero
 * @found: generation or page that stands in it, where @damage says that one does
 */
struct tern_verdict {
	u64 pages;
	u64 bad;
	enum tern_damage damage;
	u64 page;
	u64 expected;
	u64 found;
};

/**
 * typedef tern_workload_read_fn - read a page of device memory
 * @device: what was passed with it
 * @page: its number
 * @to: TERN_WORKLOAD_PAGE bytes
 *
 * Return: 0, or -errno, which ends the whole.
 */
typedef int (*tern_workload_read_fn)(void *device, u64 page, void *to);

void tern_workload_begin(struct tern_workload *w);
u64 tern_workload_page(const struct tern_workload *w, u64 write);
u64 tern_workload_generation(const struct tern_workload *w, u64 page, u64 writes);
void tern_workload_stamp(const struct tern_workload *w, u64 page, u64 generation, void *to);
u64 tern_workload_due(const struct tern_workload *w, u64 due, u64 now, unsigned int written);
int tern_workload_take_rest(struct tern_workload *w, u64 pages, tern_workload_read_fn read,
			    void *device, void *buf);
int tern_workload_verify(const struct tern_workload *w, u64 pages, tern_workload_read_fn read,
			 void *device, void *buf, struct tern_verdict *v);

void tern_workload_save(const struct tern_workload *w, struct tern_workload_state *to);
int tern_workload_validate(const struct tern_workload_state *from, u64 pages);
void tern_workload_load(struct tern_workload *w, const struct tern_workload_state *from);

/**
 * tern_workload_exists() - is there something to verify?
 * @w: the workload
 */
static inline bool tern_workload_exists(const struct tern_workload *w)
{
	return w->mibs || w->writes;
}

#endif /* TERN_LAB_WORKLOAD_H */
