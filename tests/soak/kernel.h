/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel under a long run has reported until now. */
#ifndef TERN_SOAK_KERNEL_H
#define TERN_SOAK_KERNEL_H

#include "tern.h"
#include <sys/utsname.h>

/* NULL, or which part reports. The report itself is in the kernel's log. */
static inline const char *kernel_complains(void)
{
	char text[8192] = "0", *at;

	read_file("/proc/sys/kernel/tainted", text, sizeof(text));
	/* An oops, a bad page or KASAN, a warning. */
	if (strtoul(text, NULL, 10) & (1 << 7 | 1 << 5 | 1 << 9))
		return "the kernel complained";
	if (read_file("/proc/lockdep_stats", text, sizeof(text)) <= 0)
		return NULL;
	at = strstr(text, "debug_locks:");
	if (at && !strtoul(at + strlen("debug_locks:"), NULL, 10))
		return "lockdep complained";
	return NULL;
}

static inline void show_kernel(void)
{
	struct utsname name = { .release = "?" };

	uname(&name);
	printf("# kernel       Linux %s\n", name.release);
}

#endif /* TERN_SOAK_KERNEL_H */
