/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_MEM_STAMPER_H
#define TERN_MEM_STAMPER_H

#include <linux/types.h>

#include "lab/workload.h"

/* A set may be larger than the memory: then it is all of that. */
#define TERN_SET_MIB_MAX	65536U

struct mutex;
struct tern_memory;
struct tern_worker;

/**
 * struct tern_stamper_request - what was asked for here, and not by a stream
 * @mibs: MiB/s; 0: it pauses
 * @set_mib: MiB of the set; 0: all memory
 * @pattern: the order
 * @seed: any number
 */
struct tern_stamper_request {
	u32 mibs;
	u32 set_mib;
	enum tern_pattern pattern;
	u64 seed;
};

/**
 * struct tern_stamper - writes a workload's pages to device memory
 * @worker: of the device, which does the pieces
 * @lock: the device's io lock
 * @resets: struct tern_model has it: long work must end early [atomic]
 * @memory: device memory; NULL while the device is closed [state_mutex]
 * @asked: what a device has that is opened or reset [lock]
 * @set_mib: the set, as it was asked for or loaded; 0: all memory [lock]
 * @workload: what is written, and how far it has come [written under @lock, and while no
 *	piece of ours is in progress]
 * @held: no piece begins: the memory is being looked at [written under @lock]
 * @writing: a piece of ours is in progress [lock]
 * @due: when the next piece may begin, in ns of the monotonic clock; 0: at once [written
 *	under @lock]
 * @written: pages of the piece in progress; the worker's
 * @page: one page; the worker's, or of what holds it
 */
struct tern_stamper {
	struct tern_worker *worker;
	struct mutex *lock;
	const atomic_long_t *resets;
	struct tern_memory *memory;
	struct tern_stamper_request asked;
	u32 set_mib;
	struct tern_workload workload;
	bool held;
	bool writing;
	u64 due;
	unsigned int written;
	void *page;
};

int tern_stamper_init(struct tern_stamper *s, struct tern_worker *worker, struct mutex *lock,
		      const atomic_long_t *resets);
void tern_stamper_uninit(struct tern_stamper *s);
void tern_stamper_open(struct tern_stamper *s, struct tern_memory *memory);
void tern_stamper_close(struct tern_stamper *s);
void tern_stamper_clear(struct tern_stamper *s);

bool tern_stamper_has_work(const struct tern_stamper *s);
long tern_stamper_wait(const struct tern_stamper *s);
void tern_stamper_begin_piece(struct tern_stamper *s);
void tern_stamper_do_piece(struct tern_stamper *s, bool mm);
void tern_stamper_end_piece(struct tern_stamper *s);

int tern_stamper_set_rate(struct tern_stamper *s, u64 mibs);
int tern_stamper_set_size(struct tern_stamper *s, u64 mib);
int tern_stamper_set_pattern(struct tern_stamper *s, u64 pattern);
int tern_stamper_set_seed(struct tern_stamper *s, u64 seed);
int tern_stamper_verify(struct tern_stamper *s, struct tern_verdict *v, u64 *writes);
int tern_stamper_spoil(struct tern_stamper *s, u64 page);

bool tern_stamper_present(const struct tern_stamper *s);
void tern_stamper_save(const struct tern_stamper *s, struct tern_workload_state *to);
int tern_stamper_validate(const struct tern_stamper *s, const struct tern_workload_state *from);
void tern_stamper_load(struct tern_stamper *s, const struct tern_workload_state *from);

#endif /* TERN_MEM_STAMPER_H */
