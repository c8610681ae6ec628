// SPDX-License-Identifier: GPL-2.0-only
#include "env.h"

long host_fail_alloc;
bool host_killed;
u64 host_clock = 1000000;
void (*host_copied)(const void *from, size_t n);
void (*host_step)(const char *name, unsigned long page);

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

/* Every session has another id; which one does not matter here. */
void get_random_bytes(void *p, size_t n)
{
	static u32 state = 1;
	u8 *byte = p;

	while (n--) {
		state = state * 1664525 + 1013904223;
		*byte++ = state >> 24;
	}
}
