// SPDX-License-Identifier: GPL-2.0-only
/*
 * Injection: faults, delays, rates and lies that a tester asks of a device, so that the
 * VMM's answer to them can be tested.
 *
 * User space writes the lines of a rule as a whole (lab/rule.c). What cannot be read
 * changes nothing. All policy is here. The protocols ask at three places, and decide
 * nothing:
 *
 *   before the first step of an arc	may it be taken, and when? A refused one has
 *					changed nothing.
 *   before and after data moves	may it, when, how much, and which bit is wrong?
 *   where a counter is shown		what does it show?
 *
 * Data that moves is asked for outside every lock, and a wait for it ends with its
 * session. A change of state waits under state_mutex, as a driver does whose device is
 * slow; a reset ends this wait before it takes that mutex.
 */
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "lab/inject.h"
#include "lab/trace.h"

#define HUGE_BYTES	(1ULL << 60)

static const enum tern_rule fault_of[TERN_WAYS] = {
	[TERN_WAY_READ]		= TERN_RULE_READ,
	[TERN_WAY_WRITE]	= TERN_RULE_WRITE,
};

static const enum tern_rule delay_of[TERN_WAYS] = {
	[TERN_WAY_READ]		= TERN_RULE_READ_DELAY,
	[TERN_WAY_WRITE]	= TERN_RULE_WRITE_DELAY,
};

static const enum tern_rule rate_of[TERN_WAYS] = {
	[TERN_WAY_READ]		= TERN_RULE_READ_RATE,
	[TERN_WAY_WRITE]	= TERN_RULE_WRITE_RATE,
};

/**
 * tern_inject_init() - nothing is asked for
 * @in: the injection
 */
void tern_inject_init(struct tern_inject *in)
{
	memset(in, 0, sizeof(*in));
	spin_lock_init(&in->lock);
	init_waitqueue_head(&in->wait);
}

/* A rule has applied. */
static void hit(struct tern_inject *in, enum tern_rule rule)
{
	lockdep_assert_held(&in->lock);
	in->hits[rule]++;
	trace_tern_inject(in->device, tern_rule_name(rule));
}

static void end_waits(struct tern_inject *in)
{
	lockdep_assert_held(&in->lock);
	/* After the end of what they wait for; tern_inject_epoch() has the partner. */
	smp_store_release(&in->epoch, in->epoch + 1);
}

/**
 * tern_inject_set() - write the lines of a rule
 * @in: the injection
 * @rule: the rule
 * @text: a line or lines; empty or "0": none
 *
 * Return: 0, or with nothing changed -ENOMEM or an error of tern_rule_parse().
 *
 * Context: may sleep.
 */
int tern_inject_set(struct tern_inject *in, enum tern_rule rule, const char *text)
{
	struct tern_rule_line lines[TERN_RULE_LINES];
	char *copy = kstrdup(text, GFP_KERNEL_ACCOUNT);
	enum tern_way way;
	int n;

	if (!copy)
		return -ENOMEM;
	n = tern_rule_parse(rule, copy, lines);
	kfree(copy);
	if (n < 0)
		return n;
	spin_lock(&in->lock);
	memcpy(in->lines[rule], lines, n * sizeof(*lines));
	in->n[rule] = n;
	in->is_stuck &= ~BIT(rule);
	WRITE_ONCE(in->set, n ? in->set | BIT(rule) : in->set & ~BIT(rule));
	for (way = 0; way < TERN_WAYS; way++)
		if (rule == delay_of[way] || rule == rate_of[way])
			in->due[way] = 0;
	/* What waits by the old lines looks at the new ones. */
	end_waits(in);
	spin_unlock(&in->lock);
	wake_up_all(&in->wait);
	return 0;
}

/**
 * tern_inject_clear() - end all rules
 * @in: the injection
 */
void tern_inject_clear(struct tern_inject *in)
{
	spin_lock(&in->lock);
	memset(in->n, 0, sizeof(in->n));
	WRITE_ONCE(in->set, 0);
	end_waits(in);
	spin_unlock(&in->lock);
	wake_up_all(&in->wait);
}

/* Those that are offered if the device is opened now. */
static u64 offer_now(const struct tern_inject *in)
{
	lockdep_assert_held(&in->lock);
	return in->n[TERN_RULE_FEATURES] ? in->lines[TERN_RULE_FEATURES][0].value : TERN_OFFER_ALL;
}

/**
 * tern_inject_show() - the lines of a rule as they can be written again
 * @in: the injection
 * @rule: the rule
 * @buf: a page for them
 *
 * Return: bytes.
 */
ssize_t tern_inject_show(struct tern_inject *in, enum tern_rule rule, char *buf)
{
	ssize_t len;

	spin_lock(&in->lock);
	len = tern_rule_show(rule, in->lines[rule], in->n[rule], buf);
	spin_unlock(&in->lock);
	return len;
}

/**
 * tern_inject_show_hits() - how often each rule has applied
 * @in: the injection
 * @buf: a page for a line per rule
 *
 * Return: bytes.
 */
ssize_t tern_inject_show_hits(struct tern_inject *in, char *buf)
{
	enum tern_rule rule;
	int len = 0;

	spin_lock(&in->lock);
	for (rule = 0; rule < TERN_RULES; rule++)
		len += sysfs_emit_at(buf, len, "%s %llu\n", tern_rule_name(rule), in->hits[rule]);
	spin_unlock(&in->lock);
	return len;
}

/**
 * tern_inject_begin() - a session or a load begins: its data begins at offset 0
 * @in: the injection
 *
 * Context: no data moves meanwhile.
 */
void tern_inject_begin(struct tern_inject *in)
{
	spin_lock(&in->lock);
	WRITE_ONCE(in->moved[TERN_WAY_READ], 0);
	WRITE_ONCE(in->moved[TERN_WAY_WRITE], 0);
	memset(in->due, 0, sizeof(in->due));
	spin_unlock(&in->lock);
}

/**
 * tern_inject_wake() - all waits that a rule has caused end
 * @in: the injection
 */
void tern_inject_wake(struct tern_inject *in)
{
	spin_lock(&in->lock);
	end_waits(in);
	spin_unlock(&in->lock);
	wake_up_all(&in->wait);
}

/**
 * tern_inject_offer() - the features that a device offers which is being opened
 * @in: the injection
 *
 * Return: bits of enum tern_offer.
 */
u64 tern_inject_offer(struct tern_inject *in)
{
	u64 offer;

	spin_lock(&in->lock);
	offer = offer_now(in);
	if (in->n[TERN_RULE_FEATURES])
		hit(in, TERN_RULE_FEATURES);
	spin_unlock(&in->lock);
	return offer;
}

/* The line of a rule for a state, or NULL. */
static struct tern_rule_line *line_for(struct tern_inject *in, enum tern_rule rule, u64 at)
{
	struct tern_rule_line *l = in->lines[rule];
	unsigned int i;

	lockdep_assert_held(&in->lock);
	for (i = 0; i < in->n[rule]; i++)
		if (l[i].at == at)
			return &l[i];
	return NULL;
}

/* The value of a rule of one line; 0: it has none. */
static u64 value_of(const struct tern_inject *in, enum tern_rule rule)
{
	lockdep_assert_held(&in->lock);
	return in->n[rule] ? in->lines[rule][0].value : 0;
}

/* Apply a line with an errno once: -errno. A line that was for the last time goes. */
static int apply(struct tern_inject *in, enum tern_rule rule, struct tern_rule_line *l)
{
	struct tern_rule_line *end = &in->lines[rule][in->n[rule]];
	int ret = -(int)l->value;

	lockdep_assert_held(&in->lock);
	hit(in, rule);
	if (l->times && !--l->times) {
		memmove(l, l + 1, (void *)end - (void *)(l + 1));
		if (!--in->n[rule])
			WRITE_ONCE(in->set, in->set & ~BIT(rule));
	}
	return ret;
}

static u64 delay_of_state(struct tern_inject *in, enum tern_phase to)
{
	const struct tern_rule_line *l;
	u64 ms = 0;

	spin_lock(&in->lock);
	l = line_for(in, TERN_RULE_STATE_DELAY, to);
	if (l) {
		ms = l->value;
		hit(in, TERN_RULE_STATE_DELAY);
	}
	spin_unlock(&in->lock);
	return ms;
}

static bool must_look_again(const struct tern_inject *in, unsigned int epoch,
			    const atomic_long_t *resets)
{
	return READ_ONCE(in->epoch) != epoch || atomic_long_read(resets);
}

int tern_inject_state_slow(struct tern_inject *in, enum tern_phase to, const atomic_long_t *resets,
			   bool *error)
{
	unsigned int epoch = READ_ONCE(in->epoch);
	u64 ms = delay_of_state(in, to);
	unsigned long timeout = msecs_to_jiffies(ms);
	struct tern_rule_line *l;
	long ret = 0;

	if (ms)
		ret = wait_event_killable_timeout(in->wait, must_look_again(in, epoch, resets),
						  timeout);
	if (ret < 0)
		return -EINTR;
	ret = 0;
	spin_lock(&in->lock);
	l = line_for(in, TERN_RULE_STATE, to);
	if (!l) {
		l = line_for(in, TERN_RULE_STATE, TERN_PHASES);
		*error = l;
	}
	if (l)
		ret = apply(in, TERN_RULE_STATE, l);
	spin_unlock(&in->lock);
	return ret;
}

u64 tern_inject_left_slow(struct tern_inject *in, enum tern_way way)
{
	u64 now = ktime_get_ns(), us, left;

	spin_lock(&in->lock);
	us = value_of(in, delay_of[way]);
	if (!us && !value_of(in, rate_of[way])) {
		in->due[way] = 0;
	} else if (!in->due[way]) {
		/* The first look begins the wait. */
		in->due[way] = now + us * NSEC_PER_USEC;
		if (us)
			hit(in, delay_of[way]);
	}
	left = in->due[way] > now ? in->due[way] - now : 0;
	spin_unlock(&in->lock);
	return left;
}

int tern_inject_wait_slow(struct tern_inject *in, enum tern_way way, unsigned int epoch,
			  bool nonblock)
{
	u64 left = tern_inject_left_slow(in, way);
	int ret;

	if (!left)
		return 0;
	if (nonblock)
		return -EAGAIN;
	ret = wait_event_interruptible_hrtimeout(in->wait, READ_ONCE(in->epoch) != epoch,
						 ns_to_ktime(left));
	if (ret == -ERESTARTSYS)
		return ret;
	return READ_ONCE(in->epoch) != epoch;
}

/* Of the lines that still lie ahead or are due: the first one. NULL: none. */
static struct tern_rule_line *first_line(struct tern_inject *in, enum tern_rule rule)
{
	struct tern_rule_line *l = in->lines[rule], *first = NULL;
	unsigned int i;

	lockdep_assert_held(&in->lock);
	for (i = 0; i < in->n[rule]; i++, l++)
		if (!first || l->at < first->at)
			first = l;
	return first;
}

ssize_t tern_inject_room_slow(struct tern_inject *in, enum tern_way way, size_t n)
{
	struct tern_rule_line *l;
	u64 moved, most = n;
	ssize_t ret;

	spin_lock(&in->lock);
	moved = READ_ONCE(in->moved[way]);
	l = first_line(in, fault_of[way]);
	if (l && l->at <= moved) {
		ret = apply(in, fault_of[way], l);
		goto out;
	}
	if (l)
		most = min(most, l->at - moved);
	if (way == TERN_WAY_READ && in->n[TERN_RULE_READ_MAX]) {
		u64 max = value_of(in, TERN_RULE_READ_MAX);

		if (max < most)
			hit(in, TERN_RULE_READ_MAX);
		most = min(most, max);
	}
	ret = most;
out:
	spin_unlock(&in->lock);
	return ret;
}

size_t tern_inject_cut_slow(struct tern_inject *in, size_t n)
{
	u64 moved, at;

	spin_lock(&in->lock);
	if (in->n[TERN_RULE_CUT]) {
		moved = READ_ONCE(in->moved[TERN_WAY_READ]);
		at = in->lines[TERN_RULE_CUT][0].at;
		if (at <= moved || at - moved < n) {
			n = at > moved ? at - moved : 0;
			hit(in, TERN_RULE_CUT);
		}
	}
	spin_unlock(&in->lock);
	return n;
}

static bool is_cut(const struct tern_inject *in)
{
	lockdep_assert_held(&in->lock);
	return in->n[TERN_RULE_CUT] &&
	       READ_ONCE(in->moved[TERN_WAY_READ]) >= in->lines[TERN_RULE_CUT][0].at;
}

bool tern_inject_is_cut_slow(struct tern_inject *in)
{
	bool cut;

	spin_lock(&in->lock);
	cut = is_cut(in);
	spin_unlock(&in->lock);
	return cut;
}

void tern_inject_moved_slow(struct tern_inject *in, enum tern_way way, size_t n)
{
	u64 mibs, us;

	spin_lock(&in->lock);
	in->due[way] = 0;
	mibs = value_of(in, rate_of[way]);
	us = value_of(in, delay_of[way]);
	if (mibs) {
		in->due[way] = ktime_get_ns() + div64_u64(n * NSEC_PER_SEC, mibs << 20) +
			       us * NSEC_PER_USEC;
		hit(in, rate_of[way]);
		if (us)
			hit(in, delay_of[way]);
	}
	spin_unlock(&in->lock);
}

u8 tern_inject_flip_slow(struct tern_inject *in, size_t n, size_t *at)
{
	const struct tern_rule_line *l = in->lines[TERN_RULE_FLIP];
	u8 bits = 0;
	u64 moved;

	spin_lock(&in->lock);
	moved = READ_ONCE(in->moved[TERN_WAY_READ]);
	if (in->n[TERN_RULE_FLIP] && l->at >= moved && l->at - moved < n) {
		*at = l->at - moved;
		bits = BIT(l->value);
		hit(in, TERN_RULE_FLIP);
	}
	spin_unlock(&in->lock);
	return bits;
}

u64 tern_inject_count_slow(struct tern_inject *in, enum tern_rule rule, u64 exact)
{
	u64 shown;

	spin_lock(&in->lock);
	/* What was cut off is not there. */
	if (rule != TERN_RULE_DATA_SIZE && is_cut(in))
		exact = 0;
	shown = exact;
	switch ((enum tern_lie)value_of(in, rule)) {
	case TERN_LIE_ZERO:
		shown = 0;
		break;
	case TERN_LIE_HUGE:
		shown = HUGE_BYTES;
		break;
	case TERN_LIE_STUCK:
		if (!(in->is_stuck & BIT(rule)))
			in->stuck[rule] = exact;
		in->is_stuck |= BIT(rule);
		shown = in->stuck[rule];
		break;
	default:
		break;
	}
	if (shown != exact)
		hit(in, rule);
	spin_unlock(&in->lock);
	return shown;
}
