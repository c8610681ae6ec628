// SPDX-License-Identifier: GPL-2.0-only
#include "env.h"

/* CRC-32C (Castagnoli), as the kernel's crc32c(): no inversion at either end. */
u32 crc32c(u32 crc, const void *p, size_t n)
{
	static u32 table[256];
	const u8 *byte = p;
	u32 i, k, c;

	if (!table[1])
		for (i = 0; i < 256; i++) {
			for (c = i, k = 0; k < 8; k++)
				c = c & 1 ? c >> 1 ^ 0x82f63b78 : c >> 1;
			table[i] = c;
		}
	while (n--)
		crc = table[(crc ^ *byte++) & 0xff] ^ crc >> 8;
	return crc;
}
