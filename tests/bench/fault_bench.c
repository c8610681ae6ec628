// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a store costs that the device has to notice, against the first store to a
 * page of a tmpfs file. Taken in a VM, where a fault costs what it costs.
 */
#include "tern.h"
#include "bench.h"

#define PAGES	8192UL

/* Nanoseconds of a store a page. */
static double stores(volatile char *mem)
{
	double begin = now();
	unsigned long i;

	for (i = 0; i < PAGES; i++)
		mem[i * PAGE]++;
	return (now() - begin) * 1e9 / PAGES;
}

static void must(int ret, const char *what)
{
	errno = -ret;
	if (ret < 0)
		give_up(what);
}

int main(void)
{
	double first, again, harvested, idle, file;
	uint64_t offset;
	struct dev d;
	char *mem;
	int fd;

	fd = memfd_create("baseline", 0);
	if (ftruncate(fd, PAGES * PAGE))
		give_up("ftruncate");
	mem = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	file = stores(mem);
	munmap(mem, PAGES * PAGE);
	close(fd);

	must(mdev_create(UUID_A), "create");
	must(attr_set(UUID_A, "memory_mib", "32"), "memory_mib");
	must(dev_open(&d, UUID_A), "open");
	mem = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, d.fd, d.bar2.offset);
	if (mem == MAP_FAILED)
		give_up("mmap");
	first = stores(mem);
	idle = stores(mem);
	must(set_state(&d, RUNNING | SAVING), "saving");
	again = stores(mem);
	while (pending(&d))
		must(reg_read(&d, V1(data_offset), &offset), "data_offset");
	harvested = stores(mem);
	figure("store-first", first, "ns", file, first / file);
	figure("store-again", idle, "ns", file, idle / file);
	figure("store-session", again, "ns", file, again / file);
	figure("store-harvested", harvested, "ns", file, harvested / file);
	munmap(mem, PAGES * PAGE);
	dev_close(&d);
	must(mdev_remove(UUID_A), "remove");
	return 0;
}
