// SPDX-License-Identifier: GPL-2.0-only
/*
 * A bitmap for which it makes no difference how far away the next set bit is.
 *
 * Level 0 has the bits. A bit of each higher level stands for a word of the level below,
 * and is set if that word has a bit set. With 64-bit words and three levels the search
 * for one page of 64 GiB reads 66 words, and not 262144.
 *
 * Any number of callers set bits while one clears some, without a lock:
 *
 *	to set:		set the bit;   barrier;  set its summary if it is clear
 *	to clear:	clear the bit, and if its word is 0:
 *			clear its summary;  barrier;  if the word is not 0, set it again
 *
 * Either the setter finds the summary clear and sets it, or the clearer finds the word
 * not 0. So once both have returned, a set bit has all its summaries. A setter looks at
 * every level, even if the first summary is set. The other setter may not have come to
 * the next level yet. A summary may be set above a word that is 0: that costs the
 * search a look.
 */
#include "core/bits.h"

#define TOP		(TERN_BITS_LEVELS - 1)
#define BITS_SHIFT	ilog2(BITS_PER_LONG)

/**
 * tern_bits_init() - make a bitmap in which no bit is set
 * @b: the bitmap
 * @n: number of bits
 *
 * Return: 0, or -ENOMEM. Context: may sleep.
 */
int tern_bits_init(struct tern_bits *b, unsigned long n)
{
	unsigned long words = 0;
	unsigned long *all;
	unsigned int i;

	memset(b, 0, sizeof(*b));
	b->n = n;
	for (i = 0; i <= TOP; i++) {
		b->words[i] = BITS_TO_LONGS(i ? b->words[i - 1] : n);
		words += b->words[i];
	}
	all = kvzalloc(words * sizeof(long), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!all)
		return -ENOMEM;
	for (i = 0; i <= TOP; i++) {
		b->level[i] = all;
		all += b->words[i];
	}
	return 0;
}

/**
 * tern_bits_uninit() - free a bitmap that nothing uses any more
 * @b: the bitmap; may be half made
 */
void tern_bits_uninit(struct tern_bits *b)
{
	kvfree(b->level[0]);
}

/* The summaries of a bit that is set on a level; the caller has made a full barrier. */
static void summarise(struct tern_bits *b, unsigned int level, unsigned long bit)
{
	unsigned int i;

	for (i = level + 1; i <= TOP; i++) {
		bit /= BITS_PER_LONG;
		tern_step_point("summary", bit);
		if (!test_bit(bit, b->level[i]))
			test_and_set_bit(bit, b->level[i]);
		else
			smp_mb(); /* as if it had set it: before it looks at the next level */
	}
}

/**
 * tern_bits_set() - set a bit
 * @b: the bitmap
 * @bit: its number
 *
 * A full barrier before and after the bit is set.
 *
 * Return: whether it was set before. Context: any; takes no lock.
 */
bool tern_bits_set(struct tern_bits *b, unsigned long bit)
{
	bool was = test_and_set_bit(bit, b->level[0]);

	summarise(b, 0, bit);
	return was;
}

/**
 * tern_bits_words() - how many words a group has
 * @b: the bitmap
 * @g: number of the group
 *
 * Return: TERN_BITS_GROUP, or fewer for the last one. Context: any.
 */
unsigned long tern_bits_words(const struct tern_bits *b, unsigned long g)
{
	return min_t(unsigned long, TERN_BITS_GROUP, b->words[0] - g * TERN_BITS_GROUP);
}

static unsigned long set_in_word(unsigned long *word, unsigned long bits)
{
	return atomic_long_fetch_or(bits, (atomic_long_t *)word);
}

/**
 * tern_bits_set_group() - set bits of TERN_BITS_GROUP words
 * @b: the bitmap
 * @g: number of the group
 * @words: the bits to set; as many words as the bitmap has there
 *
 * One atomic operation for each word that is not 0, and some for the group.
 *
 * Return: how many of them were set before. Context: any; takes no lock.
 */
unsigned long tern_bits_set_group(struct tern_bits *b, unsigned long g, const unsigned long *words)
{
	unsigned long *to = b->level[0] + g * TERN_BITS_GROUP;
	unsigned long i, summary = 0, were = 0;

	for (i = 0; i < tern_bits_words(b, g); i++) {
		if (words[i]) {
			were += hweight_long(set_in_word(&to[i], words[i]) & words[i]);
			summary |= BIT(i);
		}
	}
	if (summary) {
		set_in_word(&b->level[1][g], summary);
		summarise(b, 1, g * BITS_PER_LONG);
	}
	return were;
}

/* A word of a level may be 0 now: so may be what sums it up. */
static void settle(struct tern_bits *b, unsigned int below, unsigned long i)
{
	unsigned int level;

	for (level = below + 1; level <= TOP && !READ_ONCE(b->level[level - 1][i]); level++) {
		tern_step_point("empty", i);
		test_and_clear_bit(i, b->level[level]);
		tern_step_point("settling", i);
		if (READ_ONCE(b->level[level - 1][i]))
			test_and_set_bit(i, b->level[level]);
		i /= BITS_PER_LONG;
	}
}

/**
 * tern_bits_clear() - clear a bit
 * @b: the bitmap
 * @bit: its number
 *
 * A full barrier before and after.
 *
 * Return: whether it was set. Context: one caller at a time clears bits; takes no lock.
 */
bool tern_bits_clear(struct tern_bits *b, unsigned long bit)
{
	bool was = test_and_clear_bit(bit, b->level[0]);

	settle(b, 0, bit / BITS_PER_LONG);
	return was;
}

/**
 * tern_bits_clear_group() - clear all bits of TERN_BITS_GROUP words
 * @b: the bitmap
 * @g: number of the group
 *
 * Return: how many were set. Context: as tern_bits_clear().
 */
unsigned long tern_bits_clear_group(struct tern_bits *b, unsigned long g)
{
	unsigned long *words = b->level[0] + g * TERN_BITS_GROUP;
	unsigned long i, were = 0, summary = 0;

	for (i = 0; i < tern_bits_words(b, g); i++)
		if (READ_ONCE(words[i]))
			were += hweight_long(xchg(&words[i], 0));
	tern_step_point("empty", g);
	xchg(&b->level[1][g], 0);
	tern_step_point("settling", g);
	for (i = 0; i < tern_bits_words(b, g); i++)
		if (READ_ONCE(words[i]))
			summary |= BIT(i);
	if (summary)
		set_in_word(&b->level[1][g], summary);
	settle(b, 1, g);
	return were;
}

/**
 * tern_bits_next() - the next bit that is set
 * @b: the bitmap
 * @from: where the search begins
 *
 * From the top down: a bit counts only if all its summaries are set. So whether one that is
 * just being set counts does not depend on @from, and once it counts it continues to.
 *
 * Return: its number; that of bits if there is none. Context: nothing else clears bits.
 */
unsigned long tern_bits_next(const struct tern_bits *b, unsigned long from)
{
	unsigned int level = TOP;

	while (from < b->n) {
		const unsigned int shift = level * BITS_SHIFT;
		unsigned long at = from >> shift, end = b->words[level] * BITS_PER_LONG, next;

		/* Below the top: of one word, the one that a summary stands for. */
		if (level < TOP)
			end = min(end, round_up(at + 1, BITS_PER_LONG));
		next = find_next_bit(b->level[level], end, at);
		if (next > at)
			from = next << shift;
		if (next == end) {
			if (level == TOP)
				break;
			/* This word has no more: continue behind it. */
			level = TOP;
		} else if (level-- == 0) {
			return next;
		}
	}
	return b->n;
}

/**
 * tern_bits_weight() - how many bits are set
 * @b: the bitmap
 *
 * Looks at each word. Context: any.
 */
unsigned long tern_bits_weight(const struct tern_bits *b)
{
	return bitmap_weight(b->level[0], b->n);
}
