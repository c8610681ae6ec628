// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a store costs that the device has to notice, and what it costs to ask how
 * much is pending. Taken in a VM, where a fault and a system call cost what they
 * cost.
 */
#include "mapped.h"

#define PAGES	8192UL
#define RUNS	5

static struct dev d;

/* Nanoseconds of a store a page. */
static double stores(volatile char *mem)
{
	double begin = now();
	unsigned long i;

	for (i = 0; i < PAGES; i++)
		mem[i * PAGE]++;
	return (now() - begin) * 1e9 / PAGES;
}

/* The same of pages that were written just before: so few that nothing evicts them. */
static double again(volatile char *mem)
{
	const unsigned long rounds = 1000, few = 64;
	unsigned long i, k;
	double begin;

	for (i = 0; i < few; i++)
		mem[i * PAGE]++;
	begin = now();
	for (k = 0; k < rounds; k++)
		for (i = 0; i < few; i++)
			mem[i * PAGE]++;
	return (now() - begin) * 1e9 / (rounds * few);
}

/* The baselines: pages of a tmpfs file that are new, and that are there. */
static double first_to_file(void)
{
	int fd = memfd_create("baseline", 0);
	double ns;
	char *mem;

	if (ftruncate(fd, PAGES * PAGE))
		give_up("ftruncate");
	mem = map(fd, 0, PAGES * PAGE);
	ns = stores(mem);
	munmap(mem, PAGES * PAGE);
	close(fd);
	return ns;
}

static double unmapped_of_file(char *mem)
{
	madvise(mem, PAGES * PAGE, MADV_DONTNEED);
	return stores(mem);
}

static double first_to_device(void)
{
	double ns;
	char *mem;

	power_on(&d, UUID_A, "32");
	mem = map_memory(&d, PAGES * PAGE);
	ns = stores(mem);
	munmap(mem, PAGES * PAGE);
	power_off(&d);
	return ns;
}

static void harvest(void)
{
	uint64_t offset;

	while (pending(&d))
		must(reg_read(&d, V1(data_offset), &offset), "data_offset");
}

static double harvested(char *mem)
{
	harvest();
	return stores(mem);
}

static void store_figures(void)
{
	int fd = memfd_create("baseline", 0);
	double first, file, there;
	char *mem, *base;

	if (ftruncate(fd, PAGES * PAGE))
		give_up("ftruncate");
	base = map(fd, 0, PAGES * PAGE);
	stores(base);
	there = BEST_OF(RUNS, unmapped_of_file(base));
	first = BEST_OF(RUNS, first_to_device());
	file = BEST_OF(RUNS, first_to_file());
	figure("store-first", first, "ns", file, first / file);
	file = BEST_OF(RUNS, again(base));
	power_on(&d, UUID_A, "32");
	mem = map_memory(&d, PAGES * PAGE);
	stores(mem);
	first = BEST_OF(RUNS, again(mem));
	figure("store-again", first, "ns", file, first / file);
	must(set_state(&d, RUNNING | SAVING), "saving");
	first = BEST_OF(RUNS, again(mem));
	figure("store-session", first, "ns", file, first / file);
	first = BEST_OF(RUNS, harvested(mem));
	figure("store-harvested", first, "ns", there, first / there);
	munmap(mem, PAGES * PAGE);
	power_off(&d);
}

static void ask_pending(struct dev *dev)
{
	pending(dev);
}

/* With so many pages dirty, spread over all of the memory, or the last one alone. */
static double pending_at(const char *mib, uint64_t bytes, unsigned int dirty)
{
	char *mem;
	double ns;

	power_on(&d, UUID_A, mib);
	mem = map_memory(&d, bytes);
	touch(mem, bytes, dirty);
	must(set_state(&d, RUNNING | SAVING), "saving");
	ns = BEST_OF(RUNS, each_ns(ask_pending, &d));
	munmap(mem, bytes);
	power_off(&d);
	return ns;
}

int main(void)
{
	double small, large;

	store_figures();
	small = pending_at("16", 16 * MIB, 4096);
	large = pending_at("65536", 65536 * MIB, 4096);
	figure("pending", large, "ns", small, large / small);
	small = pending_at("16", 16 * MIB, 1);
	large = pending_at("65536", 65536 * MIB, 1);
	figure("pending-last", large, "ns", small, large / small);
	return 0;
}
