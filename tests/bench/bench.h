/* SPDX-License-Identifier: GPL-2.0-only */
/* Time, a CRC, and one line per figure: "name|value|unit|baseline|ratio". */
#ifndef TERN_BENCH_H
#define TERN_BENCH_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

/* CRC-32C by eight tables, which is what a kernel without instructions for it does. */
static inline uint32_t bench_crc(uint32_t crc, const void *p, size_t n)
{
	static uint32_t t[8][256];
	const uint8_t *b = p;
	uint64_t word;
	uint32_t c;
	int i, k;

	if (!t[0][1]) {
		for (i = 0; i < 256; i++) {
			for (c = i, k = 0; k < 8; k++)
				c = c & 1 ? c >> 1 ^ 0x82f63b78 : c >> 1;
			t[0][i] = c;
		}
		for (i = 0; i < 256; i++)
			for (k = 1; k < 8; k++)
				t[k][i] = t[k - 1][i] >> 8 ^ t[0][t[k - 1][i] & 0xff];
	}
	for (; n >= 8; n -= 8, b += 8) {
		memcpy(&word, b, 8);
		word ^= crc;
		crc = t[7][word & 0xff] ^ t[6][word >> 8 & 0xff] ^ t[5][word >> 16 & 0xff] ^
		      t[4][word >> 24 & 0xff] ^ t[3][word >> 32 & 0xff] ^ t[2][word >> 40 & 0xff] ^
		      t[1][word >> 48 & 0xff] ^ t[0][word >> 56];
	}
	while (n--)
		crc = t[0][(crc ^ *b++) & 0xff] ^ crc >> 8;
	return crc;
}

/* The best of some runs: what disturbs only ever makes it slower. */
#define BEST_OF(runs, seconds)						\
	({								\
		double best_ = 1e9, s_;					\
		int r_;							\
		for (r_ = 0; r_ < (runs); r_++) {			\
			s_ = (seconds);					\
			best_ = s_ < best_ ? s_ : best_;		\
		}							\
		best_;							\
	})

/* Three digits or more say enough. */
static inline int decimals(double value)
{
	return value < 10 ? 2 : value < 100 ? 1 : 0;
}

static inline void figure(const char *name, double value, const char *unit, double baseline,
			  double ratio)
{
	printf("%s|%.*f|%s|%.*f|%.3f\n", name, decimals(value), value, unit, decimals(baseline),
	       baseline, ratio);
	fflush(stdout);
}

static inline void give_up(const char *what)
{
	perror(what);
	exit(1);
}

/* For calls that give -errno. */
static inline void must(int ret, const char *what)
{
	errno = -ret;
	if (ret < 0)
		give_up(what);
}

#endif /* TERN_BENCH_H */
