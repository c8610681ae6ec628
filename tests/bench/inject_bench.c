// SPDX-License-Identifier: GPL-2.0-only
/*
 * inject_bench TERN.KO BASELINE.KO - what the hooks of inject/ cost if no rule is set: the
 * module against one without hooks (no-injection.patch), loaded in turn. Read in pieces of
 * 64 bytes, a session goes through most hooks; a change of state goes through one.
 */
#include "mapped.h"
#include <sys/syscall.h>

#define MEMORY_MIB	1
#define ROUNDS		10
#define PIECE		64

struct cost {
	double read, state;	/* ns of a call */
};

static struct dev d;

static void load(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		give_up(path);
	if (syscall(SYS_finit_module, fd, "", 0))
		give_up("finit_module");
	close(fd);
}

static void unload(void)
{
	if (syscall(SYS_delete_module, "tern", 0))
		give_up("delete_module");
}

static double read_ns(void)
{
	static uint8_t buf[PIECE];
	unsigned long reads = 0;
	double begin;
	ssize_t n;
	int fd;

	must(go_open(&d, S_STOP_COPY, &fd), "STOP_COPY");
	begin = now();
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		reads++;
	begin = now() - begin;
	if (n)
		give_up("read");
	must(go(&d, S_RUNNING), "RUNNING");
	close(fd);
	return begin * 1e9 / reads;
}

/* Keep the best of a module. */
static void measure(const char *module, struct cost *best)
{
	char *mem;

	load(module);
	power_on(&d, UUID_A, "1");
	mem = map_memory(&d, MEMORY_MIB * MIB);
	memset(mem, 0x5a, MEMORY_MIB * MIB);
	best->read = less_of(best->read, read_ns());
	best->state = less_of(best->state, each_ns(to_p2p_and_back, &d) / 2);
	munmap(mem, MEMORY_MIB * MIB);
	power_off(&d);
	unload();
}

int main(int argc, char **argv)
{
	struct cost ours = { 1e9, 1e9 }, bare = { 1e9, 1e9 };
	int i;

	if (argc != 3) {
		fprintf(stderr, "usage: inject_bench TERN.KO BASELINE.KO\n");
		return 2;
	}
	/* In turn: what disturbs the one for a while disturbs the other. */
	for (i = 0; i < ROUNDS; i++) {
		measure(argv[1], &ours);
		measure(argv[2], &bare);
	}
	figure("inject-read", ours.read, "ns", bare.read, ours.read / bare.read);
	figure("inject-state", ours.state, "ns", bare.state, ours.state / bare.state);
	return 0;
}
