/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers that depend on a seed and nothing else: the same seed, the same run. */
#ifndef TERN_DRAW_H
#define TERN_DRAW_H

#include <stdbool.h>
#include <stdint.h>

static uint64_t draw_state;

/* The last step of splitmix64. */
static inline uint64_t mixed(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* Begin the numbers of one place in a run. */
static inline void draw_from(uint64_t seed, uint64_t place)
{
	draw_state = mixed(seed + 0x9e3779b97f4a7c15ULL * (place + 1));
}

static inline uint64_t draw(void)
{
	draw_state += 0x9e3779b97f4a7c15ULL;
	return mixed(draw_state);
}

static inline uint64_t below(uint64_t n)
{
	return n ? draw() % n : 0;
}

static inline bool one_in(uint64_t n)
{
	return !below(n);
}

/* From 1 to @most: small numbers as often as large ones. */
static inline uint64_t any_size(uint64_t most)
{
	uint64_t n = 1ULL << below(64 - __builtin_clzll(most));

	n += below(n);
	return n < most ? n : most;
}

#endif /* TERN_DRAW_H */
