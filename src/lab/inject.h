/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_LAB_INJECT_H
#define TERN_LAB_INJECT_H

#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "core/phase.h"
#include "lab/rule.h"

/**
 * enum tern_way - which way data goes
 * @TERN_WAY_READ: out of the device, to the reader of a session
 * @TERN_WAY_WRITE: into it, from the writer of a load
 * @TERN_WAYS: how many there are
 */
enum tern_way { TERN_WAY_READ, TERN_WAY_WRITE, TERN_WAYS };

/**
 * struct tern_inject - what a tester asks of one device
 * @device: its name, for tracepoints; immutable
 * @set: a bit per rule that has lines. Written under @lock. While there is none, no hook
 *	takes that
 * @lock: guards the rest; a leaf
 * @lines: of each rule, in the order in which they were written
 * @n: how many
 * @hits: how often each rule has applied
 * @moved: bytes of the session's or load's data so far, whether rules are set or not
 *	[one writer at a time]
 * @due: when data may move, in ns of the monotonic clock; 0: no caller has waited
 * @stuck: what a stuck counter shows
 * @is_stuck: a bit per rule: that is known
 * @epoch: changes when all that wait must look again; read without @lock
 * @wait: where they wait
 */
struct tern_inject {
	const char *device;
	unsigned long set;
	spinlock_t lock;
	struct tern_rule_line lines[TERN_RULES][TERN_RULE_LINES];
	unsigned int n[TERN_RULES];
	u64 hits[TERN_RULES];
	u64 moved[TERN_WAYS];
	u64 due[TERN_WAYS];
	u64 stuck[TERN_RULES];
	unsigned long is_stuck;
	unsigned int epoch;
	wait_queue_head_t wait;
};

void tern_inject_init(struct tern_inject *in);
int tern_inject_set(struct tern_inject *in, enum tern_rule rule, const char *text);
ssize_t tern_inject_show(struct tern_inject *in, enum tern_rule rule, char *buf);
ssize_t tern_inject_show_hits(struct tern_inject *in, char *buf);

void tern_inject_clear(struct tern_inject *in);
void tern_inject_begin(struct tern_inject *in);
void tern_inject_wake(struct tern_inject *in);
u64 tern_inject_offer(struct tern_inject *in);
int tern_inject_state_slow(struct tern_inject *in, enum tern_phase to, const atomic_long_t *resets,
			   bool *error);
int tern_inject_wait_slow(struct tern_inject *in, enum tern_way way, unsigned int epoch,
			  bool nonblock);
u64 tern_inject_left_slow(struct tern_inject *in, enum tern_way way);
ssize_t tern_inject_room_slow(struct tern_inject *in, enum tern_way way, size_t n);
size_t tern_inject_cut_slow(struct tern_inject *in, size_t n);
bool tern_inject_is_cut_slow(struct tern_inject *in);
void tern_inject_moved_slow(struct tern_inject *in, enum tern_way way, size_t n);
u8 tern_inject_flip_slow(struct tern_inject *in, size_t n, size_t *at);
u64 tern_inject_count_slow(struct tern_inject *in, enum tern_rule rule, u64 exact);

/* Is any rule set? Without one a hook gets no further than this. */
static inline bool tern_inject_active(const struct tern_inject *in)
{
	return unlikely(READ_ONCE(in->set));
}

/**
 * tern_inject_state() - before a change of state
 * @in: the injection
 * @to: the phase that it leads to
 * @resets: how many callers wait to reset the device
 * @error: becomes true if the device must fail with it
 *
 * Waits for as long as the rules say, or until tern_inject_wake() or a reset.
 *
 * Return: 0, or the error of a rule; -EINTR if the caller was killed. Context:
 * state_mutex; may sleep.
 */
static inline int tern_inject_state(struct tern_inject *in, enum tern_phase to,
				    const atomic_long_t *resets, bool *error)
{
	return tern_inject_active(in) ? tern_inject_state_slow(in, to, resets, error) : 0;
}

/**
 * tern_inject_epoch() - before a look at the session that tern_inject_wait() is for
 * @in: the injection
 *
 * If the session ends after this, that wait ends, too.
 */
static inline unsigned int tern_inject_epoch(const struct tern_inject *in)
{
	/* Before the look; tern_inject_wake() has the partner. */
	return smp_load_acquire(&in->epoch);
}

/**
 * tern_inject_wait() - before data moves
 * @in: the injection
 * @way: which way
 * @epoch: of tern_inject_epoch()
 * @nonblock: the caller does not wait
 *
 * Return: 0: it may move. 1: rules have changed, or the session or load is over, and the
 * caller must look again. -EAGAIN; -ERESTARTSYS if a signal came. Context: no lock; may
 * sleep.
 */
static inline int tern_inject_wait(struct tern_inject *in, enum tern_way way, unsigned int epoch,
				   bool nonblock)
{
	return tern_inject_active(in) ? tern_inject_wait_slow(in, way, epoch, nonblock) : 0;
}

/**
 * tern_inject_left() - for how long data must not move
 * @in: the injection
 * @way: which way
 *
 * Return: ns from now on; 0: it may move.
 */
static inline u64 tern_inject_left(struct tern_inject *in, enum tern_way way)
{
	return tern_inject_active(in) ? tern_inject_left_slow(in, way) : 0;
}

/**
 * tern_inject_room() - how much of it may move
 * @in: the injection
 * @way: which way
 * @n: bytes there are
 *
 * Return: 1 to @n, or the error of a rule.
 */
static inline ssize_t tern_inject_room(struct tern_inject *in, enum tern_way way, size_t n)
{
	return tern_inject_active(in) ? tern_inject_room_slow(in, way, n) : n;
}

/**
 * tern_inject_cut() - how much of what is read next is there?
 * @in: the injection
 * @n: bytes there are
 *
 * Return: @n, or less: what lies behind is cut off.
 */
static inline size_t tern_inject_cut(struct tern_inject *in, size_t n)
{
	return tern_inject_active(in) ? tern_inject_cut_slow(in, n) : n;
}

/**
 * tern_inject_is_cut() - is there nothing left to read, for it was cut off?
 * @in: the injection
 */
static inline bool tern_inject_is_cut(struct tern_inject *in)
{
	return tern_inject_active(in) && tern_inject_is_cut_slow(in);
}

/**
 * tern_inject_moved() - data has moved: the next wait begins
 * @in: the injection
 * @way: which way
 * @n: bytes
 *
 * Context: one caller at a time, and not beside tern_inject_begin().
 */
static inline void tern_inject_moved(struct tern_inject *in, enum tern_way way, size_t n)
{
	/* Counted always: a rule may be written at any time. */
	WRITE_ONCE(in->moved[way], in->moved[way] + n);
	if (tern_inject_active(in))
		tern_inject_moved_slow(in, way, n);
}

/**
 * tern_inject_flip() - does a bit of what is read have to be wrong?
 * @in: the injection
 * @n: bytes that are read next
 * @at: gets the byte of these
 *
 * Return: the bits of that byte that are wrong; 0: none.
 */
static inline u8 tern_inject_flip(struct tern_inject *in, size_t n, size_t *at)
{
	return tern_inject_active(in) ? tern_inject_flip_slow(in, n, at) : 0;
}

/**
 * tern_inject_count() - what a counter shows
 * @in: the injection
 * @rule: of that counter
 * @exact: what it should show
 */
static inline u64 tern_inject_count(struct tern_inject *in, enum tern_rule rule, u64 exact)
{
	return tern_inject_active(in) ? tern_inject_count_slow(in, rule, exact) : exact;
}

#endif /* TERN_LAB_INJECT_H */
