// SPDX-License-Identifier: GPL-2.0-only
/*
 * soak [-n ITERATIONS] [-t SECONDS] [-s SEED] [-f FROM] - migrate a guest between two devices
 * again and again, and compare all of it each time.
 *
 * Each iteration has one complete migration. Before it, a session may be cancelled or its
 * device closed, or a load be refused. Sizes, protocols, pieces and loads depend on the
 * seed and the number of the iteration only. At some iterations both devices are created
 * again, with other sizes: a run that begins at FROM begins at the last of these before it.
 *
 * The program is the guest: it has the expected contents of device memory and registers.
 * Where a workload writes, the device's own expectation replaces them.
 *
 * Prints TAP. The first difference ends the run.
 */
#include "fixture.h"
#include "draw.h"
#include "kernel.h"
#include "kselftest.h"

#include <dirent.h>
#include <getopt.h>
#include <stdarg.h>
#include <time.h>

#define ADDRESS		0x40000000ULL
#define RAM		MIB
#define MEMORY_MAX	(4 * MIB)
/* The part that a workload writes. Its guest stores to no page. */
#define SET		MIB
#define VECTOR		5
#define TRANSFER_MAX	(128 * 1024)
/* On average, the iterations between two creations of the devices. */
#define LIFE		24
/* What no condition of a sound device needs. */
#define DEADLINE_S	60
#define PROGRESS_S	5
#define WARM		100

/*
 * What memory may differ by, at 1 % of a run and at its end, with no device. One page that is
 * leaked in each hundredth migration exceeds it after 51,200. kmemleak has no such bound:
 * it reports each slab object at the end.
 */
#define BOUND_KIB	2048

/* A transfer that was started, and not seen to end. */
struct transfer {
	bool is_under_way, has_interrupt;
	uint32_t op, pattern;
	uint64_t address, offset, length;
};

struct side {
	struct dev d;
	const char *uuid;
	void *window;		/* d.map, or hidden from it */
	int irq;
};

static struct side sides[2] = { { .uuid = UUID_A }, { .uuid = UUID_B } };

/* The guest, and what it expects. */
static struct {
	unsigned int at;	/* which side it is on */
	struct setting given;
	bool has_devices, has_workload;
	uint8_t *ram, *expected;
	uint32_t scratch[TERN_SCRATCH_REGISTERS], irq_mask;
	uint16_t command;
	uint8_t line;
	struct transfer transfer;
} guest;

static struct {
	uint64_t seed, n, from, now;
	double seconds, began;
} run = { .n = 1000, .seed = 1 };

static const struct front_end *const front_ends[] = { &v1_mapped, &v1_trapped, &v2_file };

static struct {
	uint64_t by[3][3], sent_from[2], bytes, pages, verified, created, cancelled, closed,
		refused;
	uint64_t transfers, split;
} counted;

static struct stream stream;

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void __attribute__((format(printf, 1, 2), noreturn)) fail(const char *format, ...)
{
	va_list args;

	printf("not ok 1 - ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n# iteration %llu of seed %llu; to repeat it: SEED=%llu FROM=%llu N=%llu\n",
	       (unsigned long long)run.now, (unsigned long long)run.seed,
	       (unsigned long long)run.seed, (unsigned long long)run.now,
	       (unsigned long long)run.now + 1);
	fflush(stdout);
	/* The devices are closed with the process. */
	_exit(1);
}

/* A call that returns 0 or -errno, and may not fail here. */
#define MUST(call) do {							\
	long ret_ = (call);						\
									\
	if (ret_)							\
		fail("%s returned %ld, expected 0", #call, ret_);	\
} while (0)

#define CHECK(condition, ...) do {					\
	if (!(condition))						\
		fail(__VA_ARGS__);					\
} while (0)

static int workload_set(struct side *s, const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/workload/%s", s->uuid, name);
	return write_file(path, text);
}

static int workload_text(struct side *s, const char *name, char *buf, size_t size)
{
	char path[128];

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/workload/%s", s->uuid, name);
	return read_file(path, buf, size);
}

static uint64_t memory_size(void)
{
	return guest.given.memory_mib * MIB;
}

/* Guest memory, an interrupt and mappings, for a device that was just opened. */
static void connect_side(struct side *s)
{
	MUST(dev_map_window(&s->d));
	s->window = s->d.map;
	MUST(map_guest(&s->d, guest.ram, ADDRESS, RAM));
	MUST(set_trigger(&s->d, VFIO_PCI_MSIX_IRQ_INDEX, VECTOR, s->irq));
}

static void close_side(struct side *s)
{
	s->d.map = s->window;
	dev_close(&s->d);
}

static void reopen_side(struct side *s)
{
	close_side(s);
	MUST(device_open(&s->d, s->uuid, &guest.given));
	connect_side(s);
}

static void use(struct side *s, unsigned int front_end)
{
	s->d.by = front_ends[front_end];
	s->d.map = s->d.by->map_window ? s->window : NULL;
}

static void remove_devices(void)
{
	unsigned int i;

	if (!guest.has_devices)
		return;
	for (i = 0; i < 2; i++) {
		close_side(&sides[i]);
		MUST(mdev_remove(sides[i].uuid));
	}
	guest.has_devices = false;
}

/* Can a store or a transfer change these bytes now? */
static bool is_free(uint64_t at, uint64_t n)
{
	const struct transfer *t = &guest.transfer;

	return !t->is_under_way || at + n <= t->offset || t->offset + t->length <= at;
}

/* One that may cross pages, mapped or trapped. */
static void store(struct side *s)
{
	uint8_t bytes[512];
	uint64_t n = any_size(sizeof(bytes)), at = below(memory_size() - n + 1), i;

	for (i = 0; i < n; i++)
		bytes[i] = draw();
	if (!is_free(at, n))
		return;
	if (one_in(2))
		memcpy((uint8_t *)s->d.mem + at, bytes, n);
	else
		CHECK(dev_write(&s->d, s->d.bar2.offset + at, bytes, n) == n, "a store failed");
	memcpy(guest.expected + at, bytes, n);
}

/* Which may have been sent with other content. */
static void clear_page(struct side *s)
{
	uint64_t at = below(memory_size() / PAGE) * PAGE;

	if (!is_free(at, PAGE))
		return;
	memset((uint8_t *)s->d.mem + at, 0, PAGE);
	memset(guest.expected + at, 0, PAGE);
}

static void set_registers(struct side *s)
{
	const struct tern_msix_entry entry = { .data = draw(), .control = one_in(2) };
	unsigned int i = below(TERN_SCRATCH_REGISTERS), vector = below(TERN_VECTORS);
	uint64_t at = region_base(VFIO_PCI_BAR4_REGION_INDEX) + vector * sizeof(entry);

	guest.scratch[i] = draw();
	guest.irq_mask = draw() & 0xffff & ~(1U << VECTOR);
	guest.line = draw();
	guest.command = MASTER | (one_in(2) ? 0x400 : 0);
	MUST(bar0_write(&s->d, TERN_REG_SCRATCH(i), guest.scratch[i]));
	MUST(bar0_write(&s->d, TERN_REG_IRQ_MASK, guest.irq_mask));
	MUST(set_command(&s->d, guest.command));
	CHECK(dev_write(&s->d, region_base(VFIO_PCI_CONFIG_REGION_INDEX) + 0x3c, &guest.line, 1) ==
		      1,
	      "a write of the interrupt line failed");
	if (vector == VECTOR)
		return;
	CHECK(dev_write(&s->d, at + 8, &entry.data, 4) == 4 &&
		      dev_write(&s->d, at + 12, &entry.control, 4) == 4,
	      "a write of the MSI-X table failed");
	MUST(bar0_write(&s->d, TERN_REG_DOORBELL, vector));
}

/* An operation that changes what a workload has written would be damage. */
static void start_transfer(struct side *s)
{
	static const uint32_t ops[] = {
		TERN_DMA_OP_CRC, TERN_DMA_OP_FROM_DEVICE, TERN_DMA_OP_FILL, TERN_DMA_OP_TO_DEVICE,
	};
	struct transfer *t = &guest.transfer;
	uint64_t first = guest.has_workload ? SET : 0;
	unsigned int i;

	t->op = ops[below(guest.has_workload ? 2 : 4)];
	t->length = any_size(TRANSFER_MAX);
	t->offset = first + below(memory_size() - first - t->length + 1);
	t->address = below(RAM - t->length + 1);
	t->pattern = one_in(4) ? 0 : draw();
	t->has_interrupt = one_in(2);
	t->is_under_way = true;
	for (i = 0; i < 8; i++)
		guest.ram[t->address + below(t->length)] = draw();
	for (i = 0; i < 2; i++)
		signals(sides[i].irq);
	MUST(bar0_write(&s->d, TERN_DMA_PATTERN, t->pattern));
	dma_start(&s->d, t->op | (t->has_interrupt ? TERN_DMA_INTERRUPT | TERN_DMA_VECTOR(VECTOR) : 0),
		  ADDRESS + t->address, t->offset, t->length);
	counted.transfers++;
}

/* Wait for its end, on whichever side it comes, and expect what it has done. */
static void finish_transfer(struct side *s)
{
	struct transfer *t = &guest.transfer;
	struct pollfd p = { .fd = s->irq, .events = POLLIN };
	double end = seconds_now() + DEADLINE_S;
	uint32_t status;
	uint64_t i;

	if (!t->is_under_way)
		return;
	while ((status = bar0_read(&s->d, TERN_DMA_STATUS)) == TERN_DMA_BUSY) {
		CHECK(seconds_now() < end, "a transfer has not ended in %d s", DEADLINE_S);
		sched_yield();
	}
	CHECK(status == TERN_DMA_DONE, "operation %u ended with status %#x", t->op, status);
	t->is_under_way = false;
	if (t->has_interrupt) {
		/* The source may have signalled it before the stop. */
		while (!(i = signals(sides[0].irq) + signals(sides[1].irq))) {
			CHECK(seconds_now() < end, "no interrupt of a transfer");
			poll(&p, 1, 10);
		}
		CHECK(i == 1, "a transfer raised %llu interrupts", (unsigned long long)i);
		MUST(bar0_write(&s->d, TERN_REG_IRQ_STATUS, 1U << VECTOR));
	}
	switch (t->op) {
	case TERN_DMA_OP_FILL:
		for (i = 0; i < t->length; i++)
			guest.expected[t->offset + i] = t->pattern >> 8 * (i % 4);
		break;
	case TERN_DMA_OP_TO_DEVICE:
		memcpy(guest.expected + t->offset, guest.ram + t->address, t->length);
		break;
	case TERN_DMA_OP_FROM_DEVICE:
		CHECK(!memcmp(guest.ram + t->address, guest.expected + t->offset, t->length),
		      "a transfer to guest memory brought other bytes");
		break;
	case TERN_DMA_OP_CRC:
		CHECK(bar0_read(&s->d, TERN_DMA_CRC) ==
			      ~reader_crc(~0U, guest.expected + t->offset, t->length),
		      "the CRC of device memory is another");
		break;
	}
}

static uint64_t workload_writes(struct side *s)
{
	char text[64] = "";

	CHECK(workload_text(s, "writes", text, sizeof(text)) > 0, "no attribute writes");
	return strtoull(text, NULL, 10);
}

static void wait_for_writes(struct side *s, uint64_t n)
{
	const uint64_t wanted = workload_writes(s) + n;
	double end = seconds_now() + DEADLINE_S;

	while (workload_writes(s) < wanted) {
		CHECK(seconds_now() < end, "the workload has not written %llu pages in %d s",
		      (unsigned long long)n, DEADLINE_S);
		sched_yield();
	}
}

/* The guest runs for some time. */
static void act(struct side *s)
{
	unsigned int i;

	if (guest.has_workload) {
		wait_for_writes(s, below(64));
	} else {
		for (i = below(12); i; i--)
			one_in(8) ? clear_page(s) : store(s);
	}
	if (one_in(2))
		set_registers(s);
	if (one_in(4) && !guest.transfer.is_under_way)
		start_transfer(s);
	if (one_in(4))
		finish_transfer(s);
}

static void start_workload(struct side *s)
{
	static const char *const patterns[] = { "sequential", "permuted", "hot" };
	char text[24];

	/* One that was set before begins with the open. */
	MUST(workload_set(s, "mibs", "0"));
	MUST(workload_set(s, "pattern", patterns[below(3)]));
	MUST(workload_set(s, "set_mib", "1"));
	snprintf(text, sizeof(text), "%llu", (unsigned long long)draw());
	MUST(workload_set(s, "seed", text));
	/* MiB/s. Slower ones would determine how long a run takes. */
	snprintf(text, sizeof(text), "%llu", 15 + (unsigned long long)any_size(256));
	MUST(workload_set(s, "mibs", text));
	/* A stopped device without any has nothing to verify. */
	wait_for_writes(s, 1);
}

/* A device in its reset state becomes the guest's. */
static void boot(struct side *s)
{
	unsigned int i;

	guest.at = s - sides;
	guest.transfer.is_under_way = false;
	memset(guest.expected, 0, MEMORY_MAX);
	memset(guest.scratch, 0, sizeof(guest.scratch));
	guest.irq_mask = 0;
	set_registers(s);
	for (i = below(40); i; i--)
		store(s);
	if (guest.has_workload)
		start_workload(s);
}

static void create_devices(void)
{
	unsigned int i;

	remove_devices();
	guest.has_workload = one_in(4);
	guest.given = (struct setting){
		.memory_mib = one_in(8) ? 4 : 1 + (guest.has_workload || one_in(2)),
		.window_kib = 4 * (32 + below(224)), .map_memory = true,
	};
	for (i = 0; i < 2; i++) {
		MUST(device_on(&sides[i].d, sides[i].uuid, guest.given));
		connect_side(&sides[i]);
	}
	guest.has_devices = true;
	counted.created += 2;
	boot(&sides[below(2)]);
}

/* Where a session may end before its time. */
enum step { BEGUN, READ, QUIESCED, STOPPED, DRAINED, STEPS };

/*
 * The bytes of a read, or of a write of a stream: mostly not so few that calls take all of
 * the time.
 */
static size_t piece_of(struct side *s)
{
	uint64_t most = s->d.by == &v2_file ? MIB : guest.given.window_kib * 1024;
	uint64_t least = one_in(128) ? 64 : 8192 + stream.len / 32;

	return least < most ? least + any_size(most - least) : most;
}

/* Save up to a step. */
static void save(struct side *s, enum step until)
{
	const struct front_end *by = s->d.by;
	unsigned int i, passes;
	ssize_t n;

	stream.len = 0;
	if (until < STOPPED || !one_in(4)) {
		MUST(by->begin(&s->d));
		if (until == BEGUN)
			return;
		for (passes = below(3); passes; passes--) {
			act(s);
			for (i = below(4); i; i--) {
				n = by->read(&s->d, &stream, piece_of(s));
				CHECK(n >= 0 || n == -ENOMSG, "a read in pre-copy returned %zd", n);
			}
		}
		if (until == READ)
			return;
		if (one_in(2)) {
			MUST(by->quiesce(&s->d));
			if (!guest.has_workload && by == &v2_file)
				store(s);
		}
		if (until == QUIESCED)
			return;
	}
	MUST(by->stop(&s->d));
	if (until == STOPPED)
		return;
	MUST(by->drain(&s->d, &stream, piece_of(s)));
	if (until == DRAINED)
		return;
	MUST(by->end(&s->d, false));
}

static void read_memory(struct side *s, uint64_t at, uint8_t *buf, size_t n)
{
	CHECK(dev_read(&s->d, s->d.bar2.offset + at, buf, n) == n, "a read of memory failed");
}

/* All pages of both, or of one that is blank; and each that only the guest changes. */
static void compare_memory(struct side *from, struct side *to)
{
	static uint8_t one[64 * 1024], other[64 * 1024];
	const uint64_t first = guest.has_workload ? SET : 0;
	uint64_t at, page, i;

	for (at = 0; at < memory_size(); at += sizeof(one)) {
		read_memory(to, at, other, sizeof(other));
		if (from)
			read_memory(from, at, one, sizeof(one));
		for (i = 0; i < sizeof(one); i += PAGE) {
			page = at + i;
			counted.pages++;
			CHECK(!from || !memcmp(one + i, other + i, PAGE),
			      "page %llu is not what it was on the source",
			      (unsigned long long)page / PAGE);
			CHECK(page < first || !is_free(page, PAGE) ||
				      !memcmp(guest.expected + page, other + i, PAGE),
			      "page %llu is not what the guest has stored",
			      (unsigned long long)page / PAGE);
		}
	}
}

static void compare_region(struct side *from, struct side *to, unsigned int region, uint64_t at,
			   unsigned int n, const char *name)
{
	uint64_t base = region_base(region);
	uint32_t one, other;
	unsigned int i;

	for (i = at; i < at + n; i += 4) {
		CHECK(dev_read(&from->d, base + i, &one, 4) == 4 &&
			      dev_read(&to->d, base + i, &other, 4) == 4,
		      "a read of %s failed", name);
		CHECK(one == other, "%s at %#x is %#x, expected %#x", name, i, other, one);
	}
}

/* The registers that a section of the stream has: of both while both are stopped. */
static void compare_registers(struct side *from, struct side *to)
{
	compare_region(from, to, VFIO_PCI_BAR0_REGION_INDEX, TERN_REG_IRQ_STATUS, 8, "BAR0");
	compare_region(from, to, VFIO_PCI_BAR0_REGION_INDEX, TERN_DMA_COMMAND, 0x34, "DMA");
	compare_region(from, to, VFIO_PCI_CONFIG_REGION_INDEX, 0, 256, "config space");
	compare_region(from, to, VFIO_PCI_BAR4_REGION_INDEX, TERN_MSIX_TABLE,
		       TERN_VECTORS * sizeof(struct tern_msix_entry), "MSI-X table");
	compare_region(from, to, VFIO_PCI_BAR4_REGION_INDEX, TERN_MSIX_PBA, 8, "pending bits");
}

/* What the guest itself has written to registers. */
static void check_registers(struct side *s)
{
	uint16_t command = 0;
	uint8_t line = 0;
	unsigned int i;

	for (i = 0; i < TERN_SCRATCH_REGISTERS; i++)
		CHECK(bar0_read(&s->d, TERN_REG_SCRATCH(i)) == guest.scratch[i],
		      "scratch register %u is another", i);
	CHECK(bar0_read(&s->d, TERN_REG_IRQ_MASK) == guest.irq_mask, "the IRQ mask is another");
	dev_read(&s->d, region_base(VFIO_PCI_CONFIG_REGION_INDEX) + 4, &command, 2);
	dev_read(&s->d, region_base(VFIO_PCI_CONFIG_REGION_INDEX) + 0x3c, &line, 1);
	CHECK(command == guest.command, "the command register is %#x, expected %#x", command,
	      guest.command);
	CHECK(line == guest.line, "the interrupt line is %#x, expected %#x", line, guest.line);
}

static void verify(struct side *s, const char *where)
{
	unsigned long long pages, written, bad = 0;
	char text[512] = "";
	int ret;

	if (!guest.has_workload)
		return;
	ret = workload_text(s, "verify", text, sizeof(text));
	CHECK(ret > 0, "verify on the %s returned %d", where, ret);
	CHECK(sscanf(text, "pages %llu written %llu bad %llu", &pages, &written, &bad) == 3 && !bad,
	      "verify on the %s: %s", where, text);
	counted.verified += pages;
}

/* The old source, for the next migration. */
static void blank(struct side *s)
{
	if (one_in(8))
		reopen_side(s);
	else
		MUST(reset_by(&s->d, one_in(2)));
}

static void cancel_one(struct side *s)
{
	save(s, below(STEPS));
	MUST(s->d.by->end(&s->d, true));
	act(s);
	counted.cancelled++;
}

/* A file that outlives its session. */
static int keep_file(struct side *s)
{
	return s->d.data_fd >= 0 && one_in(2) ? dup(s->d.data_fd) : -1;
}

static void drop_file(int fd, uint32_t state)
{
	if (fd < 0)
		return;
	CHECK(is_stale(fd, state), "a data file outlives its session");
	close(fd);
}

/* The guest is lost with its device. */
static void close_source(struct side *s)
{
	int fd;

	save(s, below(STEPS));
	fd = keep_file(s);
	reopen_side(s);
	drop_file(fd, S_STOP_COPY);
	guest.transfer.is_under_way = false;
	boot(s);
	counted.closed++;
}

/* The first part of a stream, or one with a wrong bit. Then the destination is closed or reset. */
static void refuse_one(struct side *s)
{
	const bool whole = one_in(2);
	struct stream part = { .buf = stream.buf, .len = whole ? stream.len : below(stream.len) };
	uint64_t at = below(stream.len);
	uint8_t bit = 1U << below(8);
	int fd, ret;

	MUST(s->d.by->resume(&s->d));
	if (whole)
		part.buf[at] ^= bit;
	ret = s->d.by->feed(&s->d, &part, piece_of(s));
	if (whole)
		part.buf[at] ^= bit;
	CHECK(whole || !ret, "the first %zu of %zu bytes returned %d", part.len, stream.len, ret);
	if (!ret) {
		ret = s->d.by == &v2_file ? go(&s->d, S_RUNNING) : set_state(&s->d, RUNNING);
		CHECK(ret == -EIO, "a stream that is not whole returned %d, expected -EIO", ret);
	}
	fd = keep_file(s);
	if (one_in(2)) {
		reopen_side(s);
		counted.closed++;
	} else {
		MUST(s->d.by->abort(&s->d));
		MUST(reset_by(&s->d, false));
	}
	drop_file(fd, S_RESUMING);
	counted.refused++;
}

static void check_stream(void)
{
	struct account a;

	/* That reader does not know the record of a workload. */
	if (guest.has_workload)
		return;
	a = read_account(stream.buf, stream.len);
	CHECK(!a.wrong, "the stream, at %zu: %s", a.at, a.wrong);
	CHECK(a.whole && a.sessions == 1 && !a.repeats, "the stream is not one whole session");
}

/* To a stopped device, as a guest arrives that was paused. */
static int arrive(struct dev *d)
{
	if (d->by == &v2_file)
		return go(d, S_STOP) ?: file_over(d, S_RESUMING);
	return set_state(d, STOP);
}

static int start(struct dev *d)
{
	return d->by == &v2_file ? go(d, S_RUNNING) : set_state(d, RUNNING);
}

static void migrate(void)
{
	struct side *from = &sides[guest.at], *to = &sides[!guest.at];
	unsigned int by[2] = { below(3), below(3) };
	bool paused;

	use(from, by[0]);
	use(to, by[1]);
	act(from);
	if (one_in(8))
		cancel_one(from);
	if (one_in(32))
		close_source(from);
	use(from, by[0]);
	save(from, STEPS);
	verify(from, "source");
	CHECK(!attr_sum(from->uuid, "late_marks"), "stores after the stop");
	if (one_in(4))
		check_stream();
	if (one_in(8)) {
		refuse_one(to);
		use(to, by[1]);
	}
	MUST(to->d.by->resume(&to->d));
	MUST(to->d.by->feed(&to->d, &stream, piece_of(to)));
	/* What continues at once is compared before that. */
	paused = guest.has_workload || guest.transfer.is_under_way || one_in(2);
	if (paused) {
		MUST(arrive(&to->d));
		compare_registers(from, to);
		compare_memory(from, to);
		verify(to, "destination");
		MUST(start(&to->d));
	} else {
		MUST(to->d.by->commit(&to->d));
		compare_memory(from, to);
	}
	check_registers(to);
	counted.split += guest.transfer.is_under_way;
	guest.at = to - sides;
	finish_transfer(to);
	blank(from);
	counted.by[by[0]][by[1]]++;
	counted.sent_from[from - sides]++;
	counted.bytes += stream.len;
}

/* KiB, by the name in /proc/meminfo. */
static long meminfo(const char *name)
{
	char text[4096], *at;

	if (read_file("/proc/meminfo", text, sizeof(text)) < 0)
		return -1;
	at = strstr(text, name);
	return at ? strtol(at + strlen(name) + 1, NULL, 10) : -1;
}

static const char *const figures[] = { "MemFree", "MemAvailable", "Slab", "VmallocUsed", "AnonPages" };

struct memory {
	long kib[ARRAY_SIZE(figures)];
	uint64_t iteration;
};

/* KASAN holds what was freed back until its cache is shrunk. */
static void shrink_caches(void)
{
	DIR *folder = opendir("/sys/kernel/slab");
	struct dirent *entry;
	char path[512];

	while (folder && (entry = readdir(folder))) {
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", entry->d_name);
		write_file(path, "1");
	}
	if (folder)
		closedir(folder);
}

/* With no device, no page cache, and nothing that was freed and is held back. */
static struct memory measure(uint64_t iteration)
{
	struct memory m = { .iteration = iteration };
	unsigned int i;

	remove_devices();
	sync();
	write_file("/proc/sys/vm/drop_caches", "3");
	shrink_caches();
	for (i = 0; i < ARRAY_SIZE(figures); i++)
		m.kib[i] = meminfo(figures[i]);
	return m;
}

/* The first complaint ends the run, while its iteration is known. */
static void check_kernel(void)
{
	const char *complaint = kernel_complains();

	CHECK(!complaint, "%s", complaint);
}

static void progress(uint64_t done)
{
	double took = seconds_now() - run.began, rate = done / took;
	double left = run.seconds ? run.seconds - took : (run.n - run.from - done) / rate;

	printf("# %llu migrations", (unsigned long long)done);
	if (!run.seconds)
		printf(" of %llu", (unsigned long long)(run.n - run.from));
	printf(", %.1f per s, %d:%02d:%02d left\n", rate, (int)left / 3600, (int)left / 60 % 60,
	       (int)left % 60);
	fflush(stdout);
}

static void summary(const struct memory *before, const struct memory *after)
{
	uint64_t sum = counted.sent_from[0] + counted.sent_from[1];
	double took = seconds_now() - run.began;
	unsigned int i, k;

	printf("#\n");
	show_kernel();
	printf("# seed         %llu\n", (unsigned long long)run.seed);
	printf("# migrations   %llu in %.0f s, %.1f per s: %llu from A to B, %llu from B to A\n",
	       (unsigned long long)sum, took, sum / took, (unsigned long long)counted.sent_from[0],
	       (unsigned long long)counted.sent_from[1]);
	for (i = 0; i < 3; i++) {
		printf("#   saved by   %-11s ", front_ends[i]->name);
		for (k = 0; k < 3; k++)
			printf(" %8llu to %s%s", (unsigned long long)counted.by[i][k],
			       front_ends[k]->name, k < 2 ? "," : "\n");
	}
	printf("# bytes        %.1f MiB\n", counted.bytes / (double)MIB);
	printf("# pages        %llu compared, and %llu by verify\n",
	       (unsigned long long)counted.pages, (unsigned long long)counted.verified);
	printf("# transfers    %llu, of which %llu continued on the destination\n",
	       (unsigned long long)counted.transfers, (unsigned long long)counted.split);
	printf("# besides      %llu sessions cancelled, %llu closed, %llu loads refused, %llu devices created\n",
	       (unsigned long long)counted.cancelled, (unsigned long long)counted.closed,
	       (unsigned long long)counted.refused, (unsigned long long)counted.created);
	printf("# memory, KiB  after %llu migrations, and after %llu\n",
	       (unsigned long long)before->iteration, (unsigned long long)after->iteration);
	for (i = 0; i < ARRAY_SIZE(figures); i++)
		printf("#   %-12s %9ld %9ld %+8ld\n", figures[i], before->kib[i], after->kib[i],
		       after->kib[i] - before->kib[i]);
	fflush(stdout);
}

/* At 1 % of a run; in a short one, when each path was taken. */
static bool is_warm(uint64_t done)
{
	if (done < WARM)
		return false;
	if (run.seconds)
		return seconds_now() - run.began > run.seconds / 100;
	return done >= (run.n - run.from) / 100;
}

static void soak(void)
{
	struct memory before = { .iteration = ~0ULL }, after;
	uint64_t first = run.from, done = 0;
	double shown;
	long lost;

	/* Back to where the devices were created. */
	while (first && mixed(run.seed ^ mixed(first)) % LIFE)
		first--;
	run.from = first;
	run.began = shown = seconds_now();
	for (run.now = first; run.seconds ? seconds_now() < run.began + run.seconds : run.now < run.n;
	     run.now++) {
		if (!guest.has_devices || !(mixed(run.seed ^ mixed(run.now)) % LIFE)) {
			/* While there are none. */
			if (before.iteration == ~0ULL && is_warm(done))
				before = measure(done);
			draw_from(run.seed, 2 * run.now);
			create_devices();
		}
		draw_from(run.seed, 2 * run.now + 1);
		migrate();
		done++;
		if (seconds_now() > shown + PROGRESS_S) {
			shown = seconds_now();
			check_kernel();
			progress(done);
		}
	}
	check_kernel();
	after = measure(done);
	if (before.iteration == ~0ULL) {
		summary(&after, &after);
		printf("# verdict      pass, without memory: the run is too short to judge it\n");
		return;
	}
	summary(&before, &after);
	lost = before.kib[1] - after.kib[1];
	CHECK(lost <= BOUND_KIB, "MemAvailable is %ld KiB less, more than %d", lost, BOUND_KIB);
	printf("# verdict      pass: MemAvailable %+ld KiB, at most -%d\n", -lost, BOUND_KIB);
}

static void *pages(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED, "no memory");
	populate(p, n);
	return p;
}

int main(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "n:t:s:f:")) != -1)
		switch (option) {
		case 'n':
			run.n = strtoull(optarg, NULL, 10);
			break;
		case 't':
			run.seconds = strtod(optarg, NULL);
			break;
		case 's':
			run.seed = strtoull(optarg, NULL, 10);
			break;
		case 'f':
			run.from = strtoull(optarg, NULL, 10);
			break;
		default:
			fprintf(stderr,
				"usage: soak [-n ITERATIONS] [-t SECONDS] [-s SEED] [-f FROM]\n");
			return 2;
		}
	printf("TAP version 13\n1..1\n# seed %llu\n", (unsigned long long)run.seed);
	if (!have_tern()) {
		printf("ok 1 - migrations again and again # SKIP module tern is not loaded\n");
		return 4;
	}
	stream.room = 8 * MEMORY_MAX;
	guest.ram = pages(RAM);
	guest.expected = pages(MEMORY_MAX);
	stream.buf = pages(stream.room);
	/* And what is static: so what memory is lost later is the kernel's. */
	mlockall(MCL_CURRENT);
	munlockall();
	sides[0].irq = eventfd(0, EFD_NONBLOCK);
	sides[1].irq = eventfd(0, EFD_NONBLOCK);
	soak();
	printf("ok 1 - migrations again and again\n");
	return 0;
}
