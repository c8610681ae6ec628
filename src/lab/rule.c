// SPDX-License-Identifier: GPL-2.0-only
/*
 * A rule of an injection, as user space reads and writes it: a row of the table below,
 * which has lines of words. What is shown can be written again. A line that cannot be
 * read is refused whole.
 */
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "lab/rule.h"

#define MS_MAX		(3600 * MSEC_PER_SEC)
#define US_MAX		(3600ULL * USEC_PER_SEC)
#define MIBS_MAX	(1ULL << 20)
/* What lies above is the kernel's own. */
#define ERRNO_MAX	511

/* What a word of a line can be. */
enum word {
	WORD_NONE,
	WORD_STATE,	/* a phase; with an errno also "error" */
	WORD_BYTES,	/* an offset in the data */
	WORD_ERRNO,
	WORD_BIT,	/* of a byte */
	WORD_MS,
	WORD_US,
	WORD_MIBS,
	WORD_SIZE,	/* bytes, not 0 */
	WORD_LIE,
};

static const char *const lie_names[TERN_LIES] = {
	[TERN_LIE_EXACT]	= "exact",
	[TERN_LIE_ZERO]	= "zero",
	[TERN_LIE_STUCK]	= "stuck",
	[TERN_LIE_HUGE]	= "huge",
};

static const char *const offer_names[] = {
	"v1", "v2", "stop_copy", "p2p", "precopy", "dma_log", "data_size", "precopy_info2",
};

static_assert(BIT(ARRAY_SIZE(offer_names)) - 1 == TERN_OFFER_ALL);

/**
 * struct rule - how the lines of a rule are written
 * @name: its attribute
 * @at: the word for struct tern_rule_line's at
 * @value: the word for its value
 * @several: it may have more than one line
 */
struct rule {
	const char *name;
	enum word at;
	enum word value;
	bool several;
};

static const struct rule rules[TERN_RULES] = {
	[TERN_RULE_STATE]	= { "state", WORD_STATE, WORD_ERRNO, true },
	[TERN_RULE_STATE_DELAY]	= { "state_delay", WORD_STATE, WORD_MS, true },
	[TERN_RULE_READ]	= { "read", WORD_BYTES, WORD_ERRNO, true },
	[TERN_RULE_WRITE]	= { "write", WORD_BYTES, WORD_ERRNO, true },
	[TERN_RULE_READ_DELAY]	= { "read_delay_us", WORD_NONE, WORD_US },
	[TERN_RULE_WRITE_DELAY]	= { "write_delay_us", WORD_NONE, WORD_US },
	[TERN_RULE_READ_RATE]	= { "read_mibs", WORD_NONE, WORD_MIBS },
	[TERN_RULE_WRITE_RATE]	= { "write_mibs", WORD_NONE, WORD_MIBS },
	[TERN_RULE_READ_MAX]	= { "read_max", WORD_NONE, WORD_SIZE },
	[TERN_RULE_FLIP]	= { "flip", WORD_BYTES, WORD_BIT },
	[TERN_RULE_CUT]		= { "cut", WORD_BYTES, WORD_NONE },
	[TERN_RULE_PENDING]	= { "pending", WORD_NONE, WORD_LIE },
	[TERN_RULE_INITIAL]	= { "initial", WORD_NONE, WORD_LIE },
	[TERN_RULE_DATA_SIZE]	= { "data_size", WORD_NONE, WORD_LIE },
	[TERN_RULE_FEATURES]	= { "features" },
};

/**
 * tern_rule_name() - the attribute of a rule
 * @rule: the rule
 */
const char *tern_rule_name(enum tern_rule rule)
{
	return rules[rule].name;
}

static int parse_number(const char *text, u64 least, u64 most, u64 *value)
{
	int ret = kstrtou64(text, 0, value);

	if (ret)
		return ret;
	return *value < least || *value > most ? -EINVAL : 0;
}

static int parse_name(const char *text, const char *const *names, unsigned int n, u64 *value)
{
	int i = match_string(names, n, text);

	if (i < 0)
		return -EINVAL;
	*value = i;
	return 0;
}

static int parse_state(const char *text, u64 *value)
{
	enum tern_phase phase;

	for (phase = 0; phase < TERN_PHASES && strcmp(text, tern_phase_name(phase)); phase++)
		;
	*value = phase;
	return phase < TERN_PHASES || !strcmp(text, "error") ? 0 : -EINVAL;
}

static int parse_word(enum word word, const char *text, u64 *value)
{
	switch (word) {
	case WORD_NONE:
		return 0;
	case WORD_STATE:
		return parse_state(text, value);
	case WORD_BYTES:
		return parse_number(text, 0, S64_MAX, value);
	case WORD_ERRNO:
		return parse_number(text, 1, ERRNO_MAX, value);
	case WORD_BIT:
		return parse_number(text, 0, BITS_PER_BYTE - 1, value);
	case WORD_MS:
		return parse_number(text, 1, MS_MAX, value);
	case WORD_US:
		return parse_number(text, 1, US_MAX, value);
	case WORD_MIBS:
		return parse_number(text, 1, MIBS_MAX, value);
	case WORD_SIZE:
		return parse_number(text, 1, S32_MAX, value);
	case WORD_LIE:
		return parse_name(text, lie_names, TERN_LIES, value);
	}
	return -EINVAL;
}

/* The next word of a line, or NULL. */
static const char *next_word(char **line)
{
	const char *word;

	*line = skip_spaces(*line);
	word = strsep(line, " \t");
	if (!*line)
		*line = "";
	return *word ? word : NULL;
}

static int parse_features(char *line, struct tern_rule_line *l)
{
	const char *word;
	u64 feature;
	int ret;

	while ((word = next_word(&line))) {
		ret = parse_name(word, offer_names, ARRAY_SIZE(offer_names), &feature);
		if (ret)
			return ret;
		l->value |= BIT(feature);
	}
	return 0;
}

static int parse_line(enum tern_rule rule, char *line, struct tern_rule_line *l)
{
	const enum word words[] = { rules[rule].at, rules[rule].value };
	u64 *values[] = { &l->at, &l->value }, times;
	const char *word;
	unsigned int i;
	int ret;

	memset(l, 0, sizeof(*l));
	if (rule == TERN_RULE_FEATURES)
		return parse_features(line, l);
	for (i = 0; i < ARRAY_SIZE(words); i++) {
		if (words[i] == WORD_NONE)
			continue;
		word = next_word(&line);
		ret = word ? parse_word(words[i], word, values[i]) : -EINVAL;
		if (ret)
			return ret;
	}
	/* A device gets into the error state by an error. */
	if (l->at == TERN_PHASES && rule == TERN_RULE_STATE_DELAY)
		return -EINVAL;
	word = next_word(&line);
	if (word && rules[rule].value == WORD_ERRNO) {
		ret = parse_number(word, 1, U32_MAX, &times);
		if (ret)
			return ret;
		l->times = times;
		word = next_word(&line);
	}
	return word ? -EINVAL : 0;
}

/**
 * tern_rule_parse() - read the lines of a rule
 * @rule: the rule
 * @text: a line or lines, which are spoilt; empty or "0": none
 * @lines: gets them, TERN_RULE_LINES at most
 *
 * Return: how many, or one of:
 *
 * - -EINVAL: a word is missing, unknown or too much, or a number out of range
 * - -ERANGE: a number does not fit into 64 bits
 * - -E2BIG: too many lines
 */
int tern_rule_parse(enum tern_rule rule, char *text, struct tern_rule_line *lines)
{
	unsigned int most = rules[rule].several ? TERN_RULE_LINES : 1;
	unsigned int n = 0;
	char *line;
	int ret;

	text = strim(text);
	if (!*text || !strcmp(text, "0"))
		return 0;
	while ((line = strsep(&text, "\n"))) {
		if (n == most)
			return -E2BIG;
		ret = parse_line(rule, line, &lines[n++]);
		if (ret)
			return ret;
	}
	return n;
}

static int show_word(char *buf, int len, enum word word, u64 value)
{
	switch (word) {
	case WORD_NONE:
		return 0;
	case WORD_STATE:
		return sysfs_emit_at(buf, len, "%s ", tern_phase_name(value) ?: "error");
	case WORD_LIE:
		return sysfs_emit_at(buf, len, "%s ", lie_names[value]);
	default:
		return sysfs_emit_at(buf, len, "%llu ", value);
	}
}

static int show_features(char *buf, u64 offered)
{
	unsigned int i;
	int len = 0;

	for (i = 0; i < ARRAY_SIZE(offer_names); i++)
		if (offered & BIT(i))
			len += sysfs_emit_at(buf, len, "%s ", offer_names[i]);
	return len;
}

/* A line without the space at its end. */
static int end_line(char *buf, int len)
{
	return len - 1 + sysfs_emit_at(buf, len - 1, "\n");
}

/**
 * tern_rule_show() - the lines of a rule as they can be written again
 * @rule: the rule
 * @lines: its lines
 * @n: how many
 * @buf: a page for them
 *
 * Return: bytes.
 */
ssize_t tern_rule_show(enum tern_rule rule, const struct tern_rule_line *lines, unsigned int n,
		       char *buf)
{
	const struct tern_rule_line *l;
	int len = 0;

	if (rule == TERN_RULE_FEATURES)
		return end_line(buf, show_features(buf, n ? lines->value : TERN_OFFER_ALL));
	for (l = lines; l < lines + n; l++) {
		len += show_word(buf, len, rules[rule].at, l->at);
		len += show_word(buf, len, rules[rule].value, l->value);
		if (l->times)
			len += sysfs_emit_at(buf, len, "%u ", l->times);
		len = end_line(buf, len);
	}
	return len ?: sysfs_emit(buf, "0\n");
}
