/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_CORE_BITS_H
#define TERN_CORE_BITS_H

#include "core/env.h"

/* A level has a bit for each word of the one below. */
#define TERN_BITS_LEVELS	3

/* Words that are handled at once: those that one word of the next level stands for. */
#define TERN_BITS_GROUP		BITS_PER_LONG

/**
 * struct tern_bits - a large bitmap in which the next set bit is found at once
 * @n: number of bits; immutable
 * @words: of each level; immutable
 * @level: the bits, and their summaries [atomic bit operations]
 */
struct tern_bits {
	unsigned long n;
	unsigned long words[TERN_BITS_LEVELS];
	unsigned long *level[TERN_BITS_LEVELS];
};

int tern_bits_init(struct tern_bits *b, unsigned long n);
void tern_bits_uninit(struct tern_bits *b);
unsigned long tern_bits_words(const struct tern_bits *b, unsigned long g);
bool tern_bits_set(struct tern_bits *b, unsigned long bit);
unsigned long tern_bits_set_group(struct tern_bits *b, unsigned long g, const unsigned long *words);
bool tern_bits_clear(struct tern_bits *b, unsigned long bit);
unsigned long tern_bits_clear_group(struct tern_bits *b, unsigned long g);
unsigned long tern_bits_next(const struct tern_bits *b, unsigned long from);
unsigned long tern_bits_weight(const struct tern_bits *b);

#endif /* TERN_CORE_BITS_H */
