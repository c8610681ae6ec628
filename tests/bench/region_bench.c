// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the v1 region costs, against a tmpfs file on the same kernel that is read
 * or written in pieces of the same size, with a CRC-32C over the same bytes: what
 * a device that kept its state in a file could at best do.
 */
#include "tern.h"
#include "bench.h"

#define SAVE_MIB	128
#define CHUNK		(4 * MIB)
#define RUNS		5

static struct dev a, b;
static struct stream stream;
static char *file_name = "/tmp/bench";

static void must(int ret, const char *what)
{
	errno = -ret;
	if (ret < 0)
		give_up(what);
}

static void open_devices(const char *mib)
{
	must(mdev_create(UUID_A), "create");
	must(mdev_create(UUID_B), "create");
	must(attr_set(UUID_A, "memory_mib", mib), "memory_mib");
	must(attr_set(UUID_B, "memory_mib", mib), "memory_mib");
	must(dev_open(&a, UUID_A), "open");
	must(dev_open(&b, UUID_B), "open");
}

static void close_devices(void)
{
	dev_close(&a);
	dev_close(&b);
	must(mdev_remove(UUID_A), "remove");
	must(mdev_remove(UUID_B), "remove");
}

static char *map_memory(uint64_t bytes)
{
	char *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, a.fd, a.bar2.offset);

	if (mem == MAP_FAILED)
		give_up("mmap");
	return mem;
}

/* All of a device, stopped, to a buffer; through the mapping or by pread(). */
static double save(void)
{
	static uint8_t *to;
	uint64_t size, offset;
	double begin;
	size_t len = 0;

	if (!to)
		to = malloc(stream.room);
	must(set_state(&a, RUNNING), "running");
	begin = now();
	must(set_state(&a, SAVING), "saving");
	while (pending(&a)) {
		must(reg_read(&a, V1(data_offset), &offset), "data_offset");
		must(reg_read(&a, V1(data_size), &size), "data_size");
		if (a.map)
			memcpy(to + len, a.map, size);
		else
			must(dev_read(&a, a.mig.offset + offset, to + len, size), "pread");
		len += size;
	}
	begin = now() - begin;
	memcpy(stream.buf, to, len);
	stream.len = len;
	return begin;
}

static double load(void)
{
	double begin = now();
	size_t done, n;

	must(set_state(&b, RESUMING), "resuming");
	for (done = 0; done < stream.len; done += n) {
		uint64_t size = n = stream.len - done < CHUNK ? stream.len - done : CHUNK;

		if (b.map)
			memcpy(b.map, stream.buf + done, n);
		else
			must(dev_write(&b, b.mig.offset + b.window, stream.buf + done, n),
			     "pwrite");
		must(dev_write(&b, b.mig.offset + V1(data_size), &size, 8), "data_size");
	}
	must(set_state(&b, RUNNING), "running");
	begin = now() - begin;
	must(set_state(&b, STOP), "stop");
	return begin;
}

static volatile uint32_t keep;

static double file_read(void)
{
	static uint8_t *to;
	double begin = now();
	int fd = open(file_name, O_RDONLY);
	uint32_t crc = ~0U;
	size_t done;
	ssize_t n;

	if (!to)
		to = malloc(stream.room);
	for (done = 0; (n = read(fd, to + done, CHUNK)) > 0; done += n)
		crc = bench_crc(crc, to + done, n);
	keep = crc;
	begin = now() - begin;
	close(fd);
	return begin;
}

static double file_write(void)
{
	double begin = now();
	int fd = open(file_name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	uint32_t crc = ~0U;
	size_t done, n;

	for (done = 0; done < stream.len; done += n) {
		n = stream.len - done < CHUNK ? stream.len - done : CHUNK;
		crc = bench_crc(crc, stream.buf + done, n);
		if (write(fd, stream.buf + done, n) != n)
			give_up("write");
	}
	keep = crc;
	begin = now() - begin;
	close(fd);
	return begin;
}

static void throughput(void)
{
	double window_save, trapped_save, window_load, trapped_load, file_r, file_w, mib;
	char *mem;

	open_devices("128");
	mem = map_memory(SAVE_MIB * MIB);
	memset(mem, 0x5a, SAVE_MIB * MIB);
	stream.room = (SAVE_MIB + 8) * MIB;
	stream.buf = malloc(stream.room);
	memset(stream.buf, 1, stream.room);

	trapped_save = BEST_OF(RUNS, save());
	trapped_load = BEST_OF(RUNS, load());
	must(dev_map_window(&a), "map");
	must(dev_map_window(&b), "map");
	window_save = BEST_OF(RUNS, save());
	window_load = BEST_OF(RUNS, load());
	file_w = BEST_OF(RUNS, file_write());
	file_r = BEST_OF(RUNS, file_read());
	unlink(file_name);
	mib = stream.len / (double)MIB;
	figure("save-window", mib / window_save, "MiB/s", mib / file_r, file_r / window_save);
	figure("save-pread", mib / trapped_save, "MiB/s", mib / file_r, file_r / trapped_save);
	figure("load-window", mib / window_load, "MiB/s", mib / file_w, file_w / window_load);
	figure("load-pwrite", mib / trapped_load, "MiB/s", mib / file_w, file_w / trapped_load);
	munmap(mem, SAVE_MIB * MIB);
	close_devices();
}

/* Seconds of one read of pending_bytes while a session runs. */
static double pending_once(void)
{
	const int n = 20000;
	double begin = now();
	int i;

	for (i = 0; i < n; i++)
		pending(&a);
	return (now() - begin) / n;
}

/* Harvest all that is dirty: the seconds of the calls that do it. */
static double harvest(void)
{
	uint64_t offset;
	double begin = now();

	while (pending(&a))
		must(reg_read(&a, V1(data_offset), &offset), "data_offset");
	return now() - begin;
}

static double dirty_and_harvest(char *mem, unsigned long pages, unsigned long step)
{
	unsigned long i;

	for (i = 0; i < pages; i += step)
		mem[i * PAGE]++;
	return harvest();
}

static double pending_at(const char *mib, uint64_t bytes, bool harvests)
{
	const unsigned long pages = bytes / PAGE;
	double seconds, all, percent, permille;
	unsigned long i;
	char *mem;

	open_devices(mib);
	mem = map_memory(bytes);
	/* The same number of pages, whatever the size; spread over all of it. */
	for (i = 0; i < 4096; i++)
		mem[i * (pages / 4096) * PAGE] = 1;
	must(set_state(&a, RUNNING | SAVING), "saving");
	seconds = BEST_OF(RUNS, pending_once());
	if (harvests) {
		harvest();
		dirty_and_harvest(mem, pages, 1);
		all = BEST_OF(2, dirty_and_harvest(mem, pages, 1));
		percent = BEST_OF(RUNS, dirty_and_harvest(mem, pages, 100));
		permille = BEST_OF(RUNS, dirty_and_harvest(mem, pages, 1000));
		figure("harvest-all", all * 1e3, "ms", pages, 1);
		figure("harvest-percent", percent * 1e3, "ms", (pages + 99) / 100,
		       percent / all * 100);
		figure("harvest-permille", permille * 1e3, "ms", (pages + 999) / 1000,
		       permille / all * 1000);
	}
	munmap(mem, bytes);
	close_devices();
	return seconds;
}

int main(void)
{
	double small, large;

	throughput();
	small = pending_at("16", 16 * MIB, false);
	large = pending_at("1024", 1024 * MIB, true);
	figure("pending", large * 1e9, "ns", small * 1e9, large / small);
	return 0;
}
