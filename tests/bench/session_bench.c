// SPDX-License-Identifier: GPL-2.0-only
/*
 * A whole session under stores: how long the stop takes, by the size of
 * the device, and how much is sent for what was written.
 *
 * A thread writes a word to so many pages a second, all over the device, and comes
 * back to a page only once it was sent: what it writes is as much as must be sent.
 */
#include "tern.h"
#include "bench.h"

#define RATE		4096UL	/* pages a second: 16 MiB/s */
#define SECONDS		2
#define INTERVAL_US	50000	/* between two passes */
#define STOPS		5

/* A device's writer, and its orders. */
struct writer {
	struct dev d;
	volatile char *mem;
	unsigned long pages;	/* a power of two */
	unsigned long written;
	unsigned long limit;	/* of written, until another pass is read */
	bool stop;
};

static uint64_t sent;

/* Neighbours in the order lie far apart; see tests/migration/stamp.c. */
static unsigned long in_order(unsigned long k, unsigned long pages)
{
	return k * 0x9e3779b1UL & (pages - 1);
}

static void *write_at_rate(void *arg)
{
	struct writer *w = arg;
	double begin = now();

	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		unsigned long due = (now() - begin) * RATE;
		unsigned long limit = __atomic_load_n(&w->limit, __ATOMIC_ACQUIRE);

		for (due = due < limit ? due : limit; w->written < due; w->written++)
			w->mem[in_order(w->written, w->pages) * PAGE]++;
		usleep(2000);
	}
	return NULL;
}

/* Read until nothing is pending, as QEMU does: by the mapping. */
static void read_all(struct dev *d)
{
	static void *to;
	uint64_t size, offset;

	if (!to)
		to = malloc(d->mig.size);
	while (pending(d)) {
		must(reg_read(d, V1(data_offset), &offset), "data_offset");
		must(reg_read(d, V1(data_size), &size), "data_size");
		memcpy(to, d->map, size);
		sent += size;
	}
}

/* A session, from the snapshot to the end. The seconds from the stop on. */
static double session(struct writer *w)
{
	unsigned long before;
	double begin, end;
	pthread_t thread;

	w->written = 0;
	w->limit = w->pages;
	w->stop = false;
	sent = 0;
	must(set_state(&w->d, RUNNING), "running");
	must(set_state(&w->d, RUNNING | SAVING), "saving");
	read_all(&w->d);
	if (pthread_create(&thread, NULL, write_at_rate, w))
		give_up("a thread");
	for (end = now() + SECONDS; now() < end;) {
		before = __atomic_load_n(&w->written, __ATOMIC_RELAXED);
		read_all(&w->d);
		__atomic_store_n(&w->limit, before + w->pages, __ATOMIC_RELEASE);
		usleep(INTERVAL_US);
	}
	/* Not by the clock: a late reader would find more dirty pages. */
	read_all(&w->d);
	before = __atomic_load_n(&w->written, __ATOMIC_RELAXED) + RATE * INTERVAL_US / 1000000;
	__atomic_store_n(&w->limit, before, __ATOMIC_RELEASE);
	while (__atomic_load_n(&w->written, __ATOMIC_RELAXED) < before)
		usleep(1000);
	/* The vCPUs are stopped before the device is. */
	__atomic_store_n(&w->stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	begin = now();
	must(set_state(&w->d, SAVING), "stop");
	read_all(&w->d);
	return now() - begin;
}

/* A device of that size, all of it written. */
static void power_on(struct writer *w, const char *uuid, unsigned long mib)
{
	char text[16];

	snprintf(text, sizeof(text), "%lu", mib);
	must(mdev_create(uuid), "create");
	must(attr_set(uuid, "memory_mib", text), "memory_mib");
	must(dev_open(&w->d, uuid), "open");
	must(dev_map_window(&w->d), "map");
	w->pages = mib * MIB / PAGE;
	w->mem = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, w->d.fd,
		      w->d.bar2.offset);
	if (w->mem == MAP_FAILED || madvise((void *)w->mem, mib * MIB, MADV_POPULATE_WRITE))
		give_up("the device's memory");
}

static void power_off(struct writer *w)
{
	munmap((void *)w->mem, w->pages * PAGE);
	dev_close(&w->d);
	must(mdev_remove(w->d.uuid), "remove");
}

static void bytes_sent(void)
{
	struct writer w;
	double bytes;

	power_on(&w, UUID_A, 64);
	session(&w);
	bytes = (w.pages + w.written) * PAGE;
	figure("sent", sent / (double)MIB, "MiB", bytes / MIB, sent / bytes);
	power_off(&w);
}

static void stops(void)
{
	double small_best = 1e9, large_best = 1e9, t;
	struct writer small, large;
	int i;

	power_on(&small, UUID_A, 16);
	power_on(&large, UUID_B, 4096);
	/* In turn: what disturbs the one for a while disturbs the other. */
	for (i = 0; i < STOPS; i++) {
		t = session(&small);
		small_best = t < small_best ? t : small_best;
		t = session(&large);
		large_best = t < large_best ? t : large_best;
	}
	figure("stop", large_best * 1e3, "ms", small_best * 1e3, large_best / small_best);
	power_off(&small);
	power_off(&large);
}

int main(void)
{
	bytes_sent();
	stops();
	return 0;
}
