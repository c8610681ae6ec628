// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the v1 region costs, against a tmpfs file on the same kernel that is read
 * or written in pieces of the same size, with a CRC-32C over the same bytes: what
 * a device that kept its state in a file could at best do.
 */
#include "mapped.h"

#define SAVE_MIB	128
#define CHUNK		(4 * MIB)
#define RUNS		5
#define SAVES		3

static struct dev a, b;
static struct stream stream;
static char *file_name = "/tmp/bench";

static void open_devices(const char *mib)
{
	power_on(&a, UUID_A, mib);
	power_on(&b, UUID_B, mib);
}

static void close_devices(void)
{
	power_off(&a);
	power_off(&b);
}

/*
 * All of a device, stopped, to a buffer; through the mapping or by pread(). Its
 * memory is mapped and was just written, so that there is something to re-arm.
 */
static double save(char *mem)
{
	static uint8_t *to;
	uint64_t size, offset;
	double begin;
	size_t len = 0;

	if (!to)
		to = malloc(stream.room);
	must(set_state(&a, RUNNING), "running");
	touch(mem, SAVE_MIB * MIB, SAVE_MIB * MIB / PAGE);
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

static double device_sum(void)
{
	double begin = now();

	if (dma_do(&a, TERN_DMA_OP_CRC, 0, 0, SAVE_MIB * MIB) != TERN_DMA_DONE)
		give_up("CRC by the engine");
	return now() - begin;
}

static double buffer_sum(void)
{
	double begin = now();

	keep = bench_crc(~0U, stream.buf, SAVE_MIB * MIB);
	return now() - begin;
}

static void throughput(void)
{
	double window_save, trapped_save, window_load, trapped_load, file_r, file_w, mib, crc;
	char *mem;

	open_devices("128");
	mem = map_memory(&a, SAVE_MIB * MIB);
	memset(mem, 0x5a, SAVE_MIB * MIB);
	stream.room = (SAVE_MIB + 8) * MIB;
	stream.buf = malloc(stream.room);
	memset(stream.buf, 1, stream.room);

	trapped_save = BEST_OF(SAVES, save(mem));
	trapped_load = BEST_OF(RUNS, load());
	must(dev_map_window(&a), "map");
	must(dev_map_window(&b), "map");
	window_save = BEST_OF(SAVES, save(mem));
	window_load = BEST_OF(RUNS, load());
	file_w = BEST_OF(RUNS, file_write());
	file_r = BEST_OF(RUNS, file_read());
	unlink(file_name);
	mib = stream.len / (double)MIB;
	figure("save-window", mib / window_save, "MiB/s", mib / file_r, file_r / window_save);
	figure("save-pread", mib / trapped_save, "MiB/s", mib / file_r, file_r / trapped_save);
	figure("load-window", mib / window_load, "MiB/s", mib / file_w, file_w / window_load);
	figure("load-pwrite", mib / trapped_load, "MiB/s", mib / file_w, file_w / trapped_load);
	/* The two ways to sum up: the device's, by its engine, and the baseline's. */
	must(set_state(&a, RUNNING), "running");
	crc = BEST_OF(RUNS, device_sum());
	file_r = BEST_OF(RUNS, buffer_sum());
	figure("crc", SAVE_MIB / crc, "MiB/s", SAVE_MIB / file_r, file_r / crc);
	munmap(mem, SAVE_MIB * MIB);
	close_devices();
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

static void harvests(void)
{
	const uint64_t bytes = 1024 * MIB;
	const unsigned long pages = bytes / PAGE;
	double all, percent, permille;
	char *mem;

	open_devices("1024");
	mem = map_memory(&a, bytes);
	must(set_state(&a, RUNNING | SAVING), "saving");
	dirty_and_harvest(mem, pages, 1);
	all = BEST_OF(2, dirty_and_harvest(mem, pages, 1));
	percent = BEST_OF(RUNS, dirty_and_harvest(mem, pages, 100));
	permille = BEST_OF(RUNS, dirty_and_harvest(mem, pages, 1000));
	figure("harvest-all", all * 1e3, "ms", pages, 1);
	figure("harvest-percent", percent * 1e3, "ms", (pages + 99) / 100, percent / all * 100);
	figure("harvest-permille", permille * 1e3, "ms", (pages + 999) / 1000,
	       permille / all * 1000);
	munmap(mem, bytes);
	close_devices();
}

int main(void)
{
	throughput();
	harvests();
	return 0;
}
