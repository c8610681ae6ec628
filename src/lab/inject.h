/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_LAB_INJECT_H
#define TERN_LAB_INJECT_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "core/phase.h"

/**
 * enum tern_rule - what a tester can ask of a device
 * @TERN_RULE_STATE: a change of state fails
 * @TERN_RULE_STATE_DELAY: a change of state takes time
 * @TERN_RULE_READ: a read of a session's data fails
 * @TERN_RULE_WRITE: a write of a load's data fails
 * @TERN_RULE_READ_DELAY: each read takes time
 * @TERN_RULE_WRITE_DELAY: each write takes time
 * @TERN_RULE_READ_RATE: so much is read in a second, and no more
 * @TERN_RULE_WRITE_RATE: so much is written
 * @TERN_RULE_READ_MAX: a read gives no more than this
 * @TERN_RULE_FLIP: a bit of what is read is wrong
 * @TERN_RULE_CUT: what is read ends too early
 * @TERN_RULE_PENDING: the count of pending bytes lies
 * @TERN_RULE_INITIAL: the count of initial bytes lies
 * @TERN_RULE_DATA_SIZE: the estimate of the data lies
 * @TERN_RULE_FEATURES: only some features are offered
 * @TERN_RULES: how many there are
 */
enum tern_rule {
	TERN_RULE_STATE,
	TERN_RULE_STATE_DELAY,
	TERN_RULE_READ,
	TERN_RULE_WRITE,
	TERN_RULE_READ_DELAY,
	TERN_RULE_WRITE_DELAY,
	TERN_RULE_READ_RATE,
	TERN_RULE_WRITE_RATE,
	TERN_RULE_READ_MAX,
	TERN_RULE_FLIP,
	TERN_RULE_CUT,
	TERN_RULE_PENDING,
	TERN_RULE_INITIAL,
	TERN_RULE_DATA_SIZE,
	TERN_RULE_FEATURES,
	TERN_RULES
};

/**
 * enum tern_way - which way data goes
 * @TERN_WAY_READ: out of the device, to the reader of a session
 * @TERN_WAY_WRITE: into it, from the writer of a load
 * @TERN_WAYS: how many there are
 */
enum tern_way { TERN_WAY_READ, TERN_WAY_WRITE, TERN_WAYS };

/**
 * enum tern_offer - a feature that can be withheld, as a bit
 * @TERN_OFFER_V1: the migration region
 * @TERN_OFFER_V2: migration by a data file
 * @TERN_OFFER_STOP_COPY: that flag of it, without which it is of no use
 * @TERN_OFFER_P2P: the quiesced states
 * @TERN_OFFER_PRECOPY: pre-copy
 * @TERN_OFFER_DMA_LOG: the log of the device's DMA
 * @TERN_OFFER_DATA_SIZE: the estimate of the data
 * @TERN_OFFER_PRECOPY_INFO2: the flags of the pre-copy information
 * @TERN_OFFER_ALL: all of them
 */
enum tern_offer {
	TERN_OFFER_V1			= BIT(0),
	TERN_OFFER_V2			= BIT(1),
	TERN_OFFER_STOP_COPY		= BIT(2),
	TERN_OFFER_P2P			= BIT(3),
	TERN_OFFER_PRECOPY		= BIT(4),
	TERN_OFFER_DMA_LOG		= BIT(5),
	TERN_OFFER_DATA_SIZE		= BIT(6),
	TERN_OFFER_PRECOPY_INFO2	= BIT(7),
	TERN_OFFER_ALL			= GENMASK(7, 0),
};

/* One for each state, and one for the error state. */
#define TERN_RULE_LINES		(TERN_PHASES + 1)

/**
 * struct tern_rule_line - one line of a rule
 * @at: a phase, TERN_PHASES for the error state, or an offset in the data
 * @value: a number or an errno
 * @times: how often it still applies; 0: always
 */
struct tern_rule_line {
	u64 at;
	u64 value;
	u32 times;
};

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
const char *tern_rule_name(enum tern_rule rule);

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
