// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs in a guest: stores to the device's memory and to its own, page by page in
 * turn, and prints what they cost. Meanwhile the VMM migrates the guest, and takes
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
#include <x86intrin.h>

#include "guest.h"

#define PAGES	512UL
#define ROOM	(1UL << 19)	/* slow stores of a kind that are kept */
#define SLOW	20		/* times the cost of a store while no page is taken */

enum { BAR2, RAM, KINDS };

static struct kind {
	const char *name;
	volatile uint64_t *mem;
	uint64_t ticks, count, slow;
	uint64_t *kept;
} kinds[KINDS] = { { .name = "bar2" }, { .name = "ram" } };

static uint64_t threshold;	/* in ticks; more is slow */

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

/* Pages of 4 KiB, as the device's are. */
static void *map_ram(void)
{
	void *mem = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);

	if (mem == MAP_FAILED)
		die("memory");
	madvise(mem, PAGES * PAGE, MADV_NOHUGEPAGE);
	return mem;
}

/* The cost of a store while no page is taken: the median. */
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
	unsigned long pages;
	const char *text;
	int i;

	open_line();
	kinds[BAR2].mem = map_device(&pages);
	if (pages < PAGES)
		die("too little device memory");
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
		text = order();
		if (text && !strcmp(text, "begin")) {
			forget();
			ns = now_ns();
			ticks = __rdtsc();
			dprintf(line, "begin\n");
		} else if (text && !strcmp(text, "end")) {
			tell((now_ns() - ns) / (__rdtsc() - ticks));
		}
	}
}
