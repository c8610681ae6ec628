// SPDX-License-Identifier: GPL-2.0-only
/*
 * pause.so - preloaded into QEMU 7.2, stops the process (SIGSTOP) once: when it has
 * stopped the first of its devices, and not yet the second one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#define REGION		9	/* of the migration; device_state is its first field */
#define INDEX_SHIFT	40
#define STATES		7	/* running, saving, resuming */
#define SAVING		2

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t offset)
{
	static ssize_t (*next)(int fd, const void *buf, size_t n, off64_t offset);
	static bool paused;
	uint32_t state;
	ssize_t ret;

	if (!next)
		next = dlsym(RTLD_NEXT, "pwrite64");
	ret = next(fd, buf, n, offset);
	if (paused || ret != sizeof(state) || offset != (off64_t)REGION << INDEX_SHIFT)
		return ret;
	memcpy(&state, buf, sizeof(state));
	if ((state & STATES) == SAVING) {
		paused = true;
		raise(SIGSTOP);
	}
	return ret;
}
