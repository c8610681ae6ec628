/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The device that the streams of tests/golden are of, as rules: what it was made
 * from once, and what must always come out of it. Depends on nothing, so that
 * the selftests and the host tests can both hold the streams against it.
 * To be included once in a program.
 */
#ifndef TERN_GOLDEN_H
#define TERN_GOLDEN_H

#include <stdint.h>

/* The streams themselves, put into the program by the assembler. */
#define GOLDEN_STREAM(name)							\
	__asm__(".section .rodata\n"						\
		"golden_" #name ": .incbin \"" #name ".stream\"\n"		\
		"golden_" #name "_end: .byte 0\n"				\
		".previous\n");						\
	extern const uint8_t golden_##name[], golden_##name##_end[]

GOLDEN_STREAM(first);
GOLDEN_STREAM(second);
GOLDEN_STREAM(third);

/* By their version; the last one is of today's. */
#define GOLDEN_STREAMS	3

static const uint8_t *const golden_streams[GOLDEN_STREAMS][2] = {
	{ golden_first, golden_first_end },
	{ golden_second, golden_second_end },
	{ golden_third, golden_third_end },
};

#define GOLDEN_MIB	1
#define GOLDEN_PAGES	256

/* Of so few pages that the file stays small; 5 was written twice. */
static const unsigned int golden_pages[] = { 0, 5, 255 };

/* A 32-bit word of a page, as the device ended. */
static inline uint32_t golden_word(unsigned int page, unsigned int word)
{
	unsigned int i;

	for (i = 0; i < 3; i++)
		if (golden_pages[i] == page)
			return page << 16 ^ word * 2654435761u ^ (page == 5);
	return 0;
}

#define GOLDEN_SCRATCH(i)	(0x01010101u * (i) + 0x7e)
#define GOLDEN_IRQ_MASK		0x8001
#define GOLDEN_LINE		0x0b		/* config space, 0x3c */
#define GOLDEN_COMMAND		0x0406		/* config space, 0x04 */
#define GOLDEN_PATTERN		0x60d5e11e	/* of DMA, since version 2 */

#endif /* TERN_GOLDEN_H */
