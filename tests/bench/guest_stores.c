// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs in a guest: stores to the device's memory and to its own, page by page in
 * turn, and says what they cost. In between somebody migrates the guest, and takes
 * both kinds of pages again and again.
 *
 * On ttyS1 it says "ready PAGES"; to "begin" it answers "begin", and from then on it
 * counts; to "end" it answers two lines
 *
 *	KIND COUNT MEAN SLOW MEDIAN
 *
 * of the device ("bar2") and of guest memory ("ram"): how many stores there were, the
 * mean in ns, how many of them were slow, and the median of those.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define PAGE	4096UL
#define PAGES	512UL
#define ROOM	(1UL << 19)	/* slow stores of a kind that are kept */
#define SLOW	20		/* times what a store costs when nobody takes the pages */

enum { BAR2, RAM, KINDS };
enum { NONE, BEGIN, END };

static struct kind {
	const char *name;
	volatile uint64_t *mem;
	uint64_t ticks, count, slow;
	uint64_t *kept;
} kinds[KINDS] = { { .name = "bar2" }, { .name = "ram" } };

static int line;
static uint64_t threshold;	/* in ticks; more is slow */

static void die(const char *what)
{
	fprintf(stderr, "stores: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static uint64_t store(struct kind *k, unsigned long page)
{
	uint64_t begin = __rdtsc(), ticks;

	k->mem[page * PAGE / sizeof(*k->mem)]++;
	_mm_mfence();
	ticks = __rdtsc() - begin;
	k->ticks += ticks;
	k->count++;
	if (ticks > threshold && k->slow < ROOM)
		k->kept[k->slow++] = ticks;
	return ticks;
}

/* Both kinds in turn, and each as often the first. */
static void round_of_stores(void)
{
	static unsigned int first;
	unsigned long i;

	first ^= 1;
	for (i = 0; i < PAGES; i++) {
		store(&kinds[first], i);
		store(&kinds[!first], i);
	}
}

static void forget(void)
{
	int i;

	for (i = 0; i < KINDS; i++)
		kinds[i].ticks = kinds[i].count = kinds[i].slow = 0;
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void tell(double ns_per_tick)
{
	int i;

	for (i = 0; i < KINDS; i++) {
		struct kind *k = &kinds[i];

		qsort(k->kept, k->slow, sizeof(*k->kept), by_size);
		dprintf(line, "%s %ju %.1f %ju %.1f\n", k->name, (uintmax_t)k->count,
			k->ticks * ns_per_tick / k->count, (uintmax_t)k->slow,
			k->slow ? k->kept[k->slow / 2] * ns_per_tick : 0);
	}
}

/* What the other end wants, if anything. */
static int order(void)
{
	static char text[64];
	static size_t len;

	while (len < sizeof(text) - 1 && read(line, text + len, 1) == 1) {
		if (text[len++] != '\n')
			continue;
		text[len - 1] = 0;
		len = 0;
		return !strcmp(text, "begin") ? BEGIN : !strcmp(text, "end") ? END : NONE;
	}
	return NONE;
}

/* Device memory, write-combined: the one BAR of this guest that can be mapped so. */
static void *map_device(void)
{
	void *mem;
	glob_t g;
	int fd;

	if (glob("/sys/bus/pci/devices/*/resource2_wc", 0, NULL, &g) || g.gl_pathc != 1)
		die("not one device with memory");
	fd = open(g.gl_pathv[0], O_RDWR);
	mem = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || mem == MAP_FAILED)
		die(g.gl_pathv[0]);
	return mem;
}

/* Pages of 4 KiB, as the device's are. */
static void *map_ram(void)
{
	void *mem = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		die("memory");
	madvise(mem, PAGES * PAGE, MADV_NOHUGEPAGE);
	return mem;
}

static void open_line(void)
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

/* What a store costs when nobody takes the pages: the median. */
static uint64_t usual(void)
{
	struct kind *k = &kinds[BAR2];

	/* The first round finds the pages, the second one is the usual. */
	round_of_stores();
	threshold = 0;
	forget();
	round_of_stores();
	qsort(k->kept, k->slow, sizeof(*k->kept), by_size);
	return k->kept[k->slow / 2];
}

int main(void)
{
	uint64_t ticks = 0;
	double ns = 0, said = 0;
	int i;

	open_line();
	kinds[BAR2].mem = map_device();
	kinds[RAM].mem = map_ram();
	for (i = 0; i < KINDS; i++) {
		kinds[i].kept = calloc(ROOM, sizeof(*kinds[i].kept));
		if (!kinds[i].kept)
			die("memory");
	}
	threshold = SLOW * usual();
	dprintf(line, "ready %lu\n", PAGES);
	for (;;) {
		round_of_stores();
		if (now_ns() - said > 5e8) {
			said = now_ns();
			dprintf(line, "stamps %ju\n", (uintmax_t)kinds[RAM].count);
		}
		switch (order()) {
		case BEGIN:
			forget();
			ns = now_ns();
			ticks = __rdtsc();
			dprintf(line, "begin\n");
			break;
		case END:
			tell((now_ns() - ns) / (__rdtsc() - ticks));
			break;
		}
	}
}
