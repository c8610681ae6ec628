/* SPDX-License-Identifier: GPL-2.0-only */
/* What the bench's programs in a guest have in common: the line, the device, a clock. */
#ifndef GUEST_H
#define GUEST_H

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PAGE	4096UL

static int line;	/* to the program that migrates the guest */

static inline void die(const char *what)
{
	fprintf(stderr, "guest: %s: %s\n", what, strerror(errno));
	exit(1);
}

static inline double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static inline void open_line(void)
{
	struct termios t;

	line = open("/dev/ttyS1", O_RDWR | O_NOCTTY | O_NONBLOCK);
	if (line < 0 || tcgetattr(line, &t))
		die("ttyS1");
	cfmakeraw(&t);
	t.c_cflag |= CLOCAL;
	if (tcsetattr(line, TCSANOW, &t))
		die("ttyS1");
}

/* What the other end wants: a line of text, or NULL if there is none yet. */
static inline const char *order(void)
{
	static char text[64];
	static size_t len;

	while (len < sizeof(text) - 1 && read(line, text + len, 1) == 1) {
		if (text[len++] != '\n')
			continue;
		text[len - 1] = 0;
		len = 0;
		return text;
	}
	return NULL;
}

/* BAR2, write-combined: there is one in this guest that can be mapped so. */
static inline void *map_device(unsigned long *pages)
{
	struct stat st;
	void *mem;
	glob_t g;
	int fd;

	if (glob("/sys/bus/pci/devices/*/resource2_wc", 0, NULL, &g) || g.gl_pathc != 1)
		die("not one device with memory");
	fd = open(g.gl_pathv[0], O_RDWR);
	if (fd < 0 || fstat(fd, &st))
		die(g.gl_pathv[0]);
	mem = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		die(g.gl_pathv[0]);
	*pages = st.st_size / PAGE;
	return mem;
}

#endif
