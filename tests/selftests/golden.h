/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The device that tests/golden/first.stream is of, as rules: what it was made
 * from once, and what must always come out of it. Depends on nothing, so that
 * the selftests and the host tests can both hold the stream against it.
 * To be included once in a program.
 */
#ifndef TERN_GOLDEN_H
#define TERN_GOLDEN_H

#include <stdint.h>

/* The stream itself, put into the program by the assembler. */
__asm__(".section .rodata\n"
	"golden_stream: .incbin \"first.stream\"\n"
	"golden_stream_end: .byte 0\n"
	".previous\n");
extern const uint8_t golden_stream[], golden_stream_end[];

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

#endif /* TERN_GOLDEN_H */
