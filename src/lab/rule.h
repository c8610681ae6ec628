/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_LAB_RULE_H
#define TERN_LAB_RULE_H

#include <linux/bits.h>
#include <linux/types.h>

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
 * enum tern_lie - what a counter shows
 * @TERN_LIE_EXACT: what is true
 * @TERN_LIE_ZERO: nothing
 * @TERN_LIE_STUCK: what it showed first
 * @TERN_LIE_HUGE: more than there can be
 * @TERN_LIES: how many there are
 */
enum tern_lie { TERN_LIE_EXACT, TERN_LIE_ZERO, TERN_LIE_STUCK, TERN_LIE_HUGE, TERN_LIES };

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

const char *tern_rule_name(enum tern_rule rule);
int tern_rule_parse(enum tern_rule rule, char *text, struct tern_rule_line *lines);
ssize_t tern_rule_show(enum tern_rule rule, const struct tern_rule_line *lines, unsigned int n,
		       char *buf);

#endif /* TERN_LAB_RULE_H */
