// SPDX-License-Identifier: GPL-2.0-only
#include "env.h"

long host_fail_alloc;
bool host_killed;
u64 host_clock = 1000000;
void (*host_copied)(const void *from, size_t n);
void (*host_step)(const char *name, unsigned long page);

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
