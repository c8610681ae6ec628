/* SPDX-License-Identifier: GPL-2.0-only */
/* What the programs have in common that measure a device. */
#ifndef TERN_BENCH_MAPPED_H
#define TERN_BENCH_MAPPED_H

#include "migfd.h"
#include "bench.h"

static inline void power_on(struct dev *d, const char *uuid, const char *mib)
{
	must(mdev_create(uuid), "create");
	must(attr_set(uuid, "memory_mib", mib), "memory_mib");
	must(dev_open(d, uuid), "open");
}

static inline void power_off(struct dev *d)
{
	dev_close(d);
	must(mdev_remove(d->uuid), "remove");
}

static inline char *map(int fd, uint64_t offset, uint64_t bytes)
{
	char *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	if (mem == MAP_FAILED)
		give_up("mmap");
	return mem;
}

/* A device's memory. */
static inline char *map_memory(struct dev *d, uint64_t bytes)
{
	return map(d->fd, d->bar2.offset, bytes);
}

/* A store to each of so many pages, spread over all of the memory; or to the last one. */
static inline void touch(char *mem, uint64_t bytes, uint64_t pages)
{
	uint64_t i;

	for (i = 1; i <= pages; i++)
		mem[bytes / pages * i - PAGE]++;
}

/* Nanoseconds of one call of many; for what costs a system call or so. */
static inline double each_ns(void (*call)(struct dev *d), struct dev *d)
{
	const int n = 5000;
	double begin = now();
	int i;

	for (i = 0; i < n; i++)
		call(d);
	return (now() - begin) * 1e9 / n;
}

static inline void to_p2p_and_back(struct dev *d)
{
	must(go(d, S_RUNNING_P2P), "RUNNING_P2P");
	must(go(d, S_RUNNING), "RUNNING");
}

static inline double less_of(double x, double y)
{
	return x < y ? x : y;
}

#endif /* TERN_BENCH_MAPPED_H */
