// SPDX-License-Identifier: GPL-2.0-only
/*
 * migfd_bench [asks] - what the v2 protocol costs: its data file, against a tmpfs
 * file on the same kernel that is read or written in pieces of the same size; with
 * "asks", what it costs to ask for a size and for a state.
 *
 * A data file carries from or to a tmpfs file. The baseline is to copy from one
 * tmpfs file to another, with and without a CRC-32C over the bytes.
 */
#include "mapped.h"

#define SAVE_MIB	128
#define BYTES		(SAVE_MIB * MIB)
#define PIECE_MAX	MIB
#define RUNS		8
#define SAVED		"/tmp/saved"
#define COPY		"/tmp/copy"

static struct dev a, b;
static volatile uint32_t keep;

/* All there is in one file to another, in pieces. */
static void carry(int from, int to, size_t piece, bool sum)
{
	static uint8_t buf[PIECE_MAX];
	uint32_t crc = ~0U;
	ssize_t n;

	while ((n = read(from, buf, piece)) > 0) {
		if (sum)
			crc = bench_crc(crc, buf, n);
		if (write(to, buf, n) != n)
			give_up("write");
	}
	if (n)
		give_up("read");
	keep = crc;
}

static int create(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0)
		give_up(name);
	return fd;
}

/* All of a device as it is. */
static double save_it(size_t piece)
{
	int to = create(SAVED), from;
	double begin = now();

	must(go_open(&a, S_STOP_COPY, &from), "STOP_COPY");
	carry(from, to, piece, false);
	begin = now() - begin;
	must(go(&a, S_RUNNING), "RUNNING");
	close(from);
	close(to);
	return begin;
}

/* With its memory, which is mapped, just written. */
static double save(char *mem, size_t piece)
{
	touch(mem, BYTES, BYTES / PAGE);
	return save_it(piece);
}

static double load(size_t piece)
{
	int from = open(SAVED, O_RDONLY), to;
	double begin = now();

	must(go_open(&b, S_RESUMING, &to), "RESUMING");
	carry(from, to, piece, false);
	must(go(&b, S_RUNNING), "RUNNING");
	begin = now() - begin;
	close(from);
	close(to);
	return begin;
}

static double copy(size_t piece, bool sum)
{
	int from = open(SAVED, O_RDONLY), to = create(COPY);
	double begin = now();

	carry(from, to, piece, sum);
	begin = now() - begin;
	close(from);
	close(to);
	return begin;
}

static double file_mib(const char *name)
{
	int fd = open(name, O_RDONLY);
	double mib = lseek(fd, 0, SEEK_END) / (double)MIB;

	close(fd);
	return mib;
}

static void throughput(char *mem, size_t piece, const char *size)
{
	double saved = 1e9, loaded = 1e9, summed = 1e9, copied = 1e9, mib;
	char name[32];
	int i;

	/* In turn: what disturbs the one for a while disturbs the others. */
	for (i = 0; i < RUNS; i++) {
		saved = less_of(saved, save(mem, piece));
		loaded = less_of(loaded, load(piece));
		summed = less_of(summed, copy(piece, true));
		copied = less_of(copied, copy(piece, false));
	}
	mib = file_mib(SAVED);
	snprintf(name, sizeof(name), "v2-save-%s", size);
	figure(name, mib / saved, "MiB/s", mib / summed, summed / saved);
	strcat(name, "-copy");
	figure(name, mib / saved, "MiB/s", mib / copied, copied / saved);
	snprintf(name, sizeof(name), "v2-load-%s", size);
	figure(name, mib / loaded, "MiB/s", mib / summed, summed / loaded);
	strcat(name, "-copy");
	figure(name, mib / loaded, "MiB/s", mib / copied, copied / loaded);
}

/* All of the memory was written, and is zero now. */
static void zeroes(char *mem)
{
	double some = file_mib(SAVED), none, took = save(mem, MIB), cleared = 1e9;
	int i;

	memset(mem, 0, BYTES);
	for (i = 0; i < RUNS; i++)
		cleared = less_of(cleared, save_it(MIB));
	none = file_mib(SAVED);
	figure("zero-bytes", none, "MiB", some, none / some);
	figure("zero-time", cleared * 1e3, "ms", took * 1e3, cleared / took);
}

static void throughputs(void)
{
	char *mem;

	power_on(&a, UUID_A, "128");
	power_on(&b, UUID_B, "128");
	mem = map_memory(&a, BYTES);
	memset(mem, 0x5a, BYTES);
	throughput(mem, MIB, "1m");
	throughput(mem, 65536, "64k");
	throughput(mem, 4096, "4k");
	zeroes(mem);
	munmap(mem, BYTES);
	unlink(SAVED);
	unlink(COPY);
	power_off(&a);
	power_off(&b);
}

static void ask_size(struct dev *d)
{
	if (stop_copy_length(d) == ~0ULL)
		give_up("MIG_DATA_SIZE");
}

/* With 4096 pages dirty all over it. */
static double size_at(const char *mib, uint64_t bytes, uint32_t state)
{
	double ns;
	char *mem;
	int fd;

	power_on(&a, UUID_A, mib);
	mem = map_memory(&a, bytes);
	touch(mem, bytes, 4096);
	must(go_open(&a, state, &fd), "a state");
	ns = BEST_OF(RUNS, each_ns(ask_size, &a));
	munmap(mem, bytes);
	close(fd);
	power_off(&a);
	return ns;
}

static void size_figure(const char *name, uint32_t state)
{
	double small = size_at("16", 16 * MIB, state), large = size_at("1024", 1024 * MIB, state);

	figure(name, large, "ns", small, large / small);
}

static void to_nowhere_twice(struct dev *d)
{
	must(go(d, S_RUNNING), "RUNNING");
	must(go(d, S_RUNNING), "RUNNING");
}

static void states(void)
{
	double p2p, nowhere;

	power_on(&a, UUID_A, "16");
	p2p = BEST_OF(RUNS, each_ns(to_p2p_and_back, &a));
	nowhere = BEST_OF(RUNS, each_ns(to_nowhere_twice, &a));
	figure("p2p", p2p, "ns", nowhere, p2p / nowhere);
	power_off(&a);
}

int main(int argc, char **argv)
{
	if (argc == 1) {
		throughputs();
		return 0;
	}
	size_figure("size", S_PRE_COPY);
	size_figure("size-before", S_RUNNING);
	states();
	return 0;
}
