// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs in a guest, with a device whose BAR2 is memory: tern's or ivshmem's. Writes a
 * word to page after page of it.
 *
 * On ttyS1 it says "ready PAGES"; to "fill N" it writes the first N pages once and
 * answers "filled N"; to "rate N" it answers the same, and from then on it writes N
 * pages a second, round and round. It says "stamps N" now and then. A guest without
 * such a device has none: "ready 0".
 */
#include "guest.h"

static volatile uint64_t *mem;
static unsigned long pages;
static uint64_t stamps;

static void stamp(unsigned long page)
{
	mem[page * PAGE / sizeof(*mem)] = ++stamps;
}

static void fill(unsigned long n)
{
	unsigned long i;

	for (i = 0; i < n && i < pages; i++)
		stamp(i);
	dprintf(line, "filled %lu\n", n);
}

int main(void)
{
	unsigned long rate = 0, next = 0, n, due;
	double since = 0, said = 0;
	const char *text;
	glob_t g;

	open_line();
	if (!glob("/sys/bus/pci/devices/*/resource2_wc", 0, NULL, &g))
		mem = map_device(&pages);
	dprintf(line, "ready %lu\n", pages);
	for (;;) {
		text = order();
		if (text && sscanf(text, "fill %lu", &n) == 1) {
			fill(n);
		} else if (text && sscanf(text, "rate %lu", &n) == 1) {
			rate = n;
			since = now_ns();
			dprintf(line, "rate %lu\n", n);
		}
		for (due = pages ? rate * (now_ns() - since) / 1e9 : 0; due; due--) {
			stamp(next++ % pages);
			since += 1e9 / rate;
		}
		if (now_ns() - said > 5e8) {
			said = now_ns();
			dprintf(line, "stamps %ju\n", (uintmax_t)stamps);
		}
		usleep(5000);
	}
}
