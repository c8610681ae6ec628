// SPDX-License-Identifier: GPL-2.0-only
/*
 * stamp - runs in the guest, writes to the device, and keeps the expected contents.
 *
 * It looks for the device itself, and takes commands on ttyS1. If there is a second device, a second process does the same with that one
 * and ttyS2.
 *
 * A stamp fills a page of device memory: number of the page, generation,
 * checksum of the two, and a pattern made from the two up to the page's end.
 * The expected contents, in guest memory, are a generation for every page of the
 * device; 0 is a page that was never written, and is zero.
 * Before a page is written again it is checked. Device memory and guest memory
 * migrate by two different ways: what the device loses is detected.
 *
 * A bad page is
 *
 *   lost	zero, and should not be
 *   stale	its own stamp of an older generation
 *   ahead	its own stamp of a generation that is not expected yet
 *   doubled	another page's stamp
 *   torn	no whole stamp at all
 *
 * It also has the device move stamps by DMA, in both directions in turn, by lists
 * of pages that lie scattered in guest memory. A page of guest memory that the
 * device reads or writes has a slot with its expected contents, too. The end
 * of each transfer is signalled by an interrupt, and by nothing else: it is counted, and
 * one that is missing or one too many is reported.
 *
 * Device memory can be written by others: by the other device's DMA ("lend", and "peer"
 * to the program of that one), and by a disk ("disk"). Then the last pages are theirs.
 * What they must hold is kept by the program that starts the transfer.
 *
 * The registers have expected contents too: scratch, interrupt mask, and the
 * interrupt status that the doorbell sets.
 *
 * Lines that it obeys, and what it answers:
 *
 *   rate N	stamp N pages a second			"rate N"
 *   set N	stamp pages of the first N of the order	"set N"
 *   fill N	stamp the first N of the order once	"filled N"
 *   dma N [BYTES]  N transfers a second, 0 to end them; by a list of entries of so
 *		many bytes, by default a page, or of more, so that the list has room:
 *		the less, the longer it takes
 *						"dma N", once none is on its way
 *   verify	check all there is, once no transfer is on its way: a line "bad ..."
 *		for each bad page since the last time, then "moved N transfers, M
 *		interrupts", "read N pages" and "verified PAGES pages, STAMPS stamps, bad N"
 *   sabotage KIND  spoil a page in secret: lost, stale, doubled
 *		or torn			"sabotaged page N: KIND"
 *   lend	leave the last pages of device memory to others
 *				"lend PAGES", which are left to check
 *   peer	transfer from here into what the other device has lent, from then on
 *						"peer"
 *   disk	read pages of the disk into the last pages of device memory, one after
 *		the other, from then on		"disk PAGES", as after "lend"
 *   config	show config space	lines "config OFFSET: BYTES", in hex, then
 *					"config of BUS ADDRESS: N bytes"
 *
 * Unasked it says "ready PAGES" once, and "stamps N" now and then.
 *
 * The peer on the other end of the line changes when the guest migrates, and for
 * a while there is none. Nothing here waits for the line: what does not fit is
 * kept, and what cannot be kept is dropped.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "guest/tern_irq.h"
#include "tern/registers.h"

#define PAGE		4096
#define WORDS		(PAGE / sizeof(uint64_t))
#define TICK_MS		10
#define REPORT_MS	500
#define REGISTERS_MS	100
#define BATCH		64	/* pages between two looks at the line */
#define NAMED_BAD	32	/* bad pages that are named one by one */
#define SCRATCH		16
#define VECTORS		16
#define DMA_VECTOR	15	/* not rung by the doorbell, and not masked */
#define DMA_BIT		(1U << DMA_VECTOR)
#define VECTOR_BITS	(DMA_BIT - 1)
#define PMCSR		0x44	/* in config space: the power state */
#define D3HOT		3
#define VIRTIO_VENDOR	0x1af4
#define VIRTIO_BLK	0x1001
#define DMA_PAGES	64	/* that one transfer moves */
#define SLOTS		1024	/* pages of guest memory, or of a peer, for it */
#define DISK_PAGES	255
#define READ_PAGES	64	/* that the disk is read into, in turn */
#define LIST_BYTES	(2UL << 20)	/* in one piece: a huge page */
#define RING_AT		(1UL << 20)	/* there: the disk's requests */
#define RING_SIZE	256	/* QEMU's */

/* Words of a stamp. The pattern follows. */
enum { NUMBER, GENERATION, CHECKSUM, PATTERN };

enum verdict { GOOD, LOST, STALE, AHEAD, DOUBLED, TORN };

static const char *const verdicts[] = {
	[GOOD] = "good", [LOST] = "lost", [STALE] = "stale", [AHEAD] = "ahead",
	[DOUBLED] = "doubled", [TORN] = "torn",
};

static const char *device; /* its folder in sysfs */
static unsigned int number; /* 1 for a second one */
static volatile uint64_t *memory;
static volatile uint32_t *registers;
static unsigned long pages, lent; /* all; the last ones, for others to write */

/* The expected contents. */
static uint32_t *generations;
static uint32_t scratch[SCRATCH];
static uint32_t irq_status;

static unsigned long rate, working_set, next;
static unsigned long fill_goal, filled;
static unsigned long stamps, turns, bad, spoiled;

/* A page that something else writes: where it is for DMA, and what it must hold. */
struct slot {
	uint64_t address;
	unsigned long number;
	uint32_t generation;
};

static struct slot slots[SLOTS];
static volatile uint64_t *slot_pages; /* in guest memory, or in the other device's */
static bool peer;
static struct tern_dma_entry *list;
static uint64_t list_address;

/* The transfer on its way. */
static struct {
	bool busy;
	bool to_device;
	unsigned long page, pages, slot;
} transfer;

/* The disk: a virtio-blk-pci of the first kind, and the only request, which reads a page. */
struct ring {
	struct vring_desc desc[RING_SIZE];
	struct vring_avail avail;
	__u16 avail_ring[RING_SIZE];
	char pad[PAGE - sizeof(struct vring_avail) - 2 * RING_SIZE];
	struct vring_used used;
	struct vring_used_elem used_ring[RING_SIZE];
	struct virtio_blk_outhdr header;
	uint8_t status;
};

_Static_assert(offsetof(struct ring, used) == 2 * PAGE, "where the device finds it");

static struct {
	int io; /* its registers; 0: there is none */
	volatile struct ring *ring;
	uint64_t address; /* of the pages it is read into */
	bool busy;
	unsigned long reads;
	struct slot holds[READ_PAGES];
} disk;

static bool in_d3hot; /* the device does not answer: it is left alone */
static int irq_fd;
static unsigned long dma_rate, dma_entry = PAGE, transfers, interrupts;
static bool tell_dma, asked_to_verify;

static int line_fd;
static char out[1 << 16];
static size_t out_len;

static void die(const char *what)
{
	fprintf(stderr, "stamp: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void flush(void)
{
	ssize_t n = write(line_fd, out, out_len);

	if (n <= 0)
		return;
	memmove(out, out + n, out_len - n);
	out_len -= n;
}

static void say(const char *format, ...)
{
	char text[256];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (out_len + n <= sizeof(out)) {
		memcpy(out + out_len, text, n);
		out_len += n;
	}
	flush();
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ULL + t.tv_nsec / 1000000;
}

/* Any word of either input changes every bit of the result about half the time. */
static uint64_t mix(uint64_t number, uint64_t generation)
{
	uint64_t x = number * 0x9e3779b97f4a7c15ULL ^ (generation + 1) * 0xc2b2ae3d27d4eb4fULL;

	x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9ULL;
	return x ^ x >> 32;
}

static uint64_t checksum(uint64_t number, uint64_t generation)
{
	return ~mix(generation, number);
}

static uint64_t pattern(uint64_t base, unsigned int i)
{
	return base + i * 0x9e3779b97f4a7c15ULL;
}

static volatile uint64_t *page_at(unsigned long page)
{
	return memory + page * WORDS;
}

static void write_stamp(volatile uint64_t *w, uint64_t number, uint64_t generation)
{
	uint64_t base = mix(number, generation);
	unsigned int i;

	w[NUMBER] = number;
	w[GENERATION] = generation;
	w[CHECKSUM] = checksum(number, generation);
	for (i = PATTERN; i < WORDS; i++)
		w[i] = pattern(base, i);
}

/* How many words of the page are as in this stamp: WORDS if it is whole. */
static unsigned int stamp_words(volatile uint64_t *w, uint64_t number, uint64_t generation)
{
	uint64_t base = mix(number, generation);
	unsigned int i;

	if (w[NUMBER] != number || w[GENERATION] != generation ||
	    w[CHECKSUM] != checksum(number, generation))
		return 0;
	for (i = PATTERN; i < WORDS && w[i] == pattern(base, i); i++)
		;
	return i;
}

static bool holds_zeroes(volatile uint64_t *w)
{
	unsigned int i;

	for (i = 0; i < WORDS; i++)
		if (w[i])
			return false;
	return true;
}

/**
 * struct finding - what is wrong with a page
 * @number: page whose stamp it holds, or seems to
 * @generation: generation of that stamp
 * @words: so much of the stamp is there
 */
struct finding {
	uint64_t number;
	uint64_t generation;
	unsigned int words;
};

static enum verdict judge(volatile uint64_t *w, uint64_t number, uint64_t expected,
			  struct finding *found)
{
	if (expected ? stamp_words(w, number, expected) == WORDS : holds_zeroes(w))
		return GOOD;
	if (expected && holds_zeroes(w))
		return LOST;
	found->number = w[NUMBER];
	found->generation = w[GENERATION];
	found->words = stamp_words(w, found->number, found->generation);
	if (found->words < WORDS)
		return TORN;
	if (found->number != number)
		return DOUBLED;
	return found->generation < expected ? STALE : AHEAD;
}

static void check(volatile uint64_t *w, const char *kind, unsigned long place, uint64_t number,
		  uint32_t expected)
{
	struct finding found = { 0 };
	enum verdict v = judge(w, number, expected, &found);

	if (v == GOOD || ++bad > NAMED_BAD)
		return;
	if (v == LOST)
		say("bad %s %lu: lost: expected generation %u, found zeroes\n", kind, place,
		    expected);
	else
		say("bad %s %lu: %s: expected generation %u, found generation %ju of page %ju, %zu bytes of it\n",
		    kind, place, verdicts[v], expected, (uintmax_t)found.generation,
		    (uintmax_t)found.number, found.words * sizeof(uint64_t));
}

static void check_page(unsigned long page)
{
	check(page_at(page), "page", page, page, generations[page]);
}

static volatile uint64_t *slot_at(unsigned long n)
{
	return slot_pages + n * WORDS;
}

static void check_slot(unsigned long n)
{
	check(slot_at(n), "slot", n, slots[n].number, slots[n].generation);
}

/* Does the device read or write this page at the moment? */
static bool in_flight(unsigned long page)
{
	return transfer.busy && page >= transfer.page && page < transfer.page + transfer.pages;
}

static void stamp(unsigned long page)
{
	if (in_flight(page) || page >= pages - lent)
		return;
	check_page(page);
	write_stamp(page_at(page), page, ++generations[page]);
	stamps++;
}

/*
 * The order in which pages are used: an odd factor visits each of a power of
 * two once, and puts neighbours in the order far apart.
 */
static unsigned long in_order(unsigned long k)
{
	return k * 0x9e3779b1UL & (pages - 1);
}

static volatile uint32_t *reg(unsigned int offset)
{
	return registers + offset / sizeof(uint32_t);
}

static void check_register(unsigned int offset, uint32_t expected, const char *name)
{
	uint32_t found = *reg(offset);

	/* The end of a transfer may be signalled already. */
	if (offset == TERN_REG_IRQ_STATUS && transfer.busy)
		found &= ~DMA_BIT;
	if (found == expected)
		return;
	if (++bad <= NAMED_BAD)
		say("bad register %s (0x%x): expected 0x%x, found 0x%x\n", name, offset, expected,
		    found);
}

static void check_registers(void)
{
	unsigned int i;

	check_register(TERN_REG_ID, TERN_ID, "id");
	check_register(TERN_REG_IRQ_STATUS, irq_status, "interrupt status");
	check_register(TERN_REG_IRQ_MASK, VECTOR_BITS, "interrupt mask");
	for (i = 0; i < SCRATCH; i++)
		check_register(TERN_REG_SCRATCH(i), scratch[i], "scratch");
}

/* Check a register or two and change them: each access is an exit to the VMM. */
static void turn_registers(void)
{
	unsigned int i = turns++ % SCRATCH, vector = i % DMA_VECTOR;

	check_register(TERN_REG_SCRATCH(i), scratch[i], "scratch");
	scratch[i] = turns;
	*reg(TERN_REG_SCRATCH(i)) = turns;

	check_register(TERN_REG_IRQ_STATUS, irq_status, "interrupt status");
	if (irq_status == VECTOR_BITS) {
		*reg(TERN_REG_IRQ_STATUS) = VECTOR_BITS;
		irq_status = 0;
	} else {
		*reg(TERN_REG_DOORBELL) = vector;
		irq_status |= 1U << vector;
	}
}

/* The slot of a transfer's page: neighbours lie far apart. */
static unsigned long slot_of(unsigned long i)
{
	return (transfer.slot + i * 37) % SLOTS;
}

/* Bytes of each entry: what was asked for, or as few as the list has room for. */
static unsigned long entry_bytes(void)
{
	unsigned long bytes = dma_entry;

	while (transfer.pages * PAGE / bytes * sizeof(*list) > LIST_BYTES)
		bytes *= 2;
	return bytes;
}

/* Books of what it will have moved are kept at its end: until then neither is. */
static void begin_transfer(void)
{
	unsigned long i, k, bytes, entries = 0;
	uint64_t offset;

	/* A part of the device's memory, so that passes can come to an end. */
	transfer.page = pages / 2 + transfers * 29 % (3 * DMA_PAGES);
	transfer.pages = peer ? SLOTS : DMA_PAGES;
	transfer.slot = transfers * 101 % SLOTS;
	transfer.to_device = !peer && transfers % 2;
	bytes = entry_bytes();
	for (i = 0; i < transfer.pages; i++) {
		unsigned long n = slot_of(i), page = transfer.page + i;

		/* Once it is written again, what was lost cannot be seen. */
		check_page(page);
		check_slot(n);
		if (transfer.to_device) {
			slots[n].number = page;
			slots[n].generation = generations[page] + 1;
			write_stamp(slot_at(n), page, slots[n].generation);
		}
		for (k = 0; k < PAGE; k += bytes)
			list[entries++] = (struct tern_dma_entry){
				.address = slots[n].address + k, .length = bytes,
			};
	}
	__sync_synchronize();
	transfer.busy = true;
	offset = transfer.page * PAGE;
	*reg(TERN_DMA_ADDRESS_LOW) = list_address;
	*reg(TERN_DMA_ADDRESS_HIGH) = list_address >> 32;
	*reg(TERN_DMA_OFFSET_LOW) = offset;
	*reg(TERN_DMA_OFFSET_HIGH) = offset >> 32;
	*reg(TERN_DMA_LENGTH_LOW) = transfer.pages * PAGE;
	*reg(TERN_DMA_LENGTH_HIGH) = 0;
	*reg(TERN_DMA_ENTRIES) = entries;
	*reg(TERN_DMA_COMMAND) =
		(transfer.to_device ? TERN_DMA_OP_TO_DEVICE : TERN_DMA_OP_FROM_DEVICE) |
		TERN_DMA_LIST | TERN_DMA_INTERRUPT | TERN_DMA_VECTOR(DMA_VECTOR);
}

/* There was an interrupt. The driver has acknowledged it. */
static void end_transfer(void)
{
	static uint32_t before;
	uint32_t count, status;
	unsigned long i;

	if (read(irq_fd, &count, sizeof(count)) != sizeof(count) || count == before)
		return;
	interrupts += count - before;
	before = count;
	status = *reg(TERN_DMA_STATUS);
	if (!transfer.busy || status != TERN_DMA_DONE) {
		bad++;
		say("bad interrupt %lu: %s, DMA status 0x%x\n", interrupts,
		    transfer.busy ? "a transfer is on its way" : "no transfer is", status);
	}
	if (transfer.busy && status != TERN_DMA_BUSY) {
		for (i = 0; i < transfer.pages; i++) {
			unsigned long n = slot_of(i), page = transfer.page + i;

			if (transfer.to_device) {
				generations[page] = slots[n].generation;
			} else {
				slots[n].number = page;
				slots[n].generation = generations[page];
			}
		}
		transfer.busy = false;
		transfers++;
	}
}

static bool transfer_due(uint64_t *since_ms, uint64_t now)
{
	if (transfer.busy || !dma_rate || in_d3hot || now - *since_ms < 1000 / dma_rate)
		return false;
	*since_ms = now;
	begin_transfer();
	return true;
}

static volatile uint64_t *read_page(unsigned long n)
{
	return page_at(pages - lent + n);
}

/* What is on the disk, at a page of it. */
static struct slot on_disk(unsigned long page)
{
	return (struct slot){ .number = page, .generation = page + 1 };
}

static void begin_read(void)
{
	volatile struct ring *r = disk.ring;
	uint16_t none = 0;

	r->header.type = VIRTIO_BLK_T_IN;
	r->header.sector = disk.reads % DISK_PAGES * (PAGE / 512);
	r->status = VIRTIO_BLK_S_UNSUPP;
	r->desc[1].addr = disk.address + disk.reads % READ_PAGES * PAGE;
	__sync_synchronize();
	r->avail.idx++;
	__sync_synchronize();
	disk.busy = true;
	if (pwrite(disk.io, &none, sizeof(none), VIRTIO_PCI_QUEUE_NOTIFY) != sizeof(none))
		die("the disk's doorbell");
}

static void end_read(void)
{
	if (disk.ring->status != VIRTIO_BLK_S_OK) {
		bad++;
		say("bad read of the disk: status %u\n", disk.ring->status);
	}
	disk.holds[disk.reads % READ_PAGES] = on_disk(disk.reads % DISK_PAGES);
	disk.reads++;
	disk.busy = false;
}

/* One read is always on its way, except for a verification. */
static void read_disk(void)
{
	if (disk.busy && disk.ring->used.idx == disk.ring->avail.idx)
		end_read();
	if (disk.io && !disk.busy && !asked_to_verify && !in_d3hot)
		begin_read();
}

static void verify(void)
{
	unsigned long page;

	for (page = 0; page < pages - lent; page++) {
		check_page(page);
		if (page % BATCH == 0)
			flush();
	}
	for (page = 0; page < SLOTS; page++)
		check_slot(page);
	for (page = 0; disk.io && page < READ_PAGES; page++)
		check(read_page(page), "page from the disk", page, disk.holds[page].number,
		      disk.holds[page].generation);
	check_registers();
	if (interrupts != transfers) {
		bad++;
		say("bad interrupts: %lu for %lu transfers\n", interrupts, transfers);
	}
	if (bad > NAMED_BAD)
		say("bad: %lu more\n", bad - NAMED_BAD);
	say("moved %lu transfers, %lu interrupts\n", transfers, interrupts);
	say("read %lu pages\n", disk.reads);
	say("verified %lu pages, %lu stamps, bad %lu\n", pages - lent, stamps, bad);
	bad = 0;
}

/* What a device could do wrong, done on purpose, to see it found. */
static void sabotage(const char *kind)
{
	unsigned long page = in_order(spoiled++), other = in_order(spoiled);
	unsigned int i;

	if (!strcmp(kind, "stale")) {
		write_stamp(page_at(page), page, generations[page] - 1);
	} else if (!strcmp(kind, "doubled")) {
		write_stamp(page_at(page), other, generations[other]);
	} else {
		i = strcmp(kind, "torn") ? 0 : WORDS / 2;
		for (; i < WORDS; i++)
			page_at(page)[i] = 0;
	}
	say("sabotaged page %lu: %s\n", page, kind);
}

/* All of config space that the guest can reach, as its kernel reads it. */
static void show_config(void)
{
	char path[PATH_MAX], hex[3 * 16 + 1];
	unsigned char bytes[4096];
	ssize_t n, i, k;
	int fd;

	snprintf(path, sizeof(path), "%s/config", device);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		die(path);
	n = read(fd, bytes, sizeof(bytes));
	close(fd);
	for (i = 0; i + 16 <= n; i += 16) {
		for (k = 0; k < 16; k++)
			sprintf(hex + 3 * k, " %02x", bytes[i + k]);
		say("config %02zx:%s\n", i, hex);
	}
	say("config of %s: %zd bytes\n", strrchr(device, '/') + 1, n);
}

static void *map(const char *dir, const char *name, size_t *size)
{
	char path[PATH_MAX];
	struct stat st;
	void *p;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR);
	if (fd < 0 || fstat(fd, &st))
		die(path);
	*size = st.st_size;
	p = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die(path);
	close(fd);
	return p;
}

static unsigned int read_id(const char *dir, const char *name)
{
	char path[PATH_MAX];
	unsigned int id = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	if (f && fscanf(f, "%x", &id) != 1)
		id = 0;
	if (f)
		fclose(f);
	return id;
}

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags);

	if (fd < 0)
		die(path);
	return fd;
}

static void write_text(const char *path, const char *text)
{
	int fd = open_file(path, O_WRONLY);

	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		die(path);
	close(fd);
}

/* The folder in sysfs of the n-th function with that identity, or NULL. */
static const char *find(unsigned int vendor, unsigned int id, unsigned int n)
{
	size_t i;
	glob_t g;

	if (glob("/sys/bus/pci/devices/*", 0, NULL, &g))
		die("no PCI device");
	for (i = 0; i < g.gl_pathc; i++)
		if (read_id(g.gl_pathv[i], "vendor") == vendor &&
		    read_id(g.gl_pathv[i], "device") == id && !n--)
			return g.gl_pathv[i];
	return NULL;
}

static const char *find_device(unsigned int n)
{
	return find(TERN_PCI_VENDOR, TERN_PCI_DEVICE, n);
}

/* Where in guest memory a BAR is. */
static uint64_t bar_address(const char *dir, unsigned int bar)
{
	unsigned long long start = 0;
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/resource", dir);
	f = fopen(path, "r");
	do {
		if (!f || fscanf(f, "%llx %*x %*x", &start) != 1)
			die(path);
	} while (bar--);
	fclose(f);
	return start;
}

static int open_device_file(const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", device, name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		die(path);
	return fd;
}

static void set_power(uint16_t state)
{
	int fd = open_device_file("config");

	if (pwrite(fd, &state, sizeof(state), PMCSR) != sizeof(state))
		die("PMCSR");
	close(fd);
	in_d3hot = state == D3HOT;
	/* In D3hot the driver acknowledges in vain, if it was interrupted just before. */
	if (!in_d3hot)
		*reg(TERN_REG_IRQ_STATUS) = DMA_BIT;
	say("power %u\n", state);
}

/* The kernel does it, by a function-level reset: it finds no other way. */
static void reset_device(void)
{
	int fd = open_device_file("reset");

	if (write(fd, "1", 1) != 1)
		die("reset");
	close(fd);
	memset(generations, 0, pages * sizeof(*generations));
	memset(scratch, 0, sizeof(scratch));
	irq_status = 0;
	*reg(TERN_REG_IRQ_MASK) = VECTOR_BITS;
	say("reset\n");
}

/* The other device writes the slots from now on, and they are pages of its own. */
static void use_peer(void)
{
	const char *folder = find_device(!number);
	uint64_t address = bar_address(folder, 2);
	unsigned long i, first;
	size_t size;

	slot_pages = map(folder, "resource2", &size);
	first = size / PAGE - SLOTS;
	slot_pages += first * WORDS;
	for (i = 0; i < SLOTS; i++)
		slots[i] = (struct slot){ .address = address + (first + i) * PAGE };
	peer = true;
	say("peer\n");
}

static void lend(void)
{
	lent = SLOTS;
}

static void write_disk_register(unsigned int offset, uint32_t value, size_t size)
{
	if (pwrite(disk.io, &value, size, offset) != (ssize_t)size)
		die("the disk's registers");
}

static void use_disk(void)
{
	const char *folder = find(VIRTIO_VENDOR, VIRTIO_BLK, 0);
	volatile struct ring *r = (void *)((char *)list + RING_AT);
	const uint64_t at = list_address + RING_AT;
	uint16_t command = 7; /* I/O, memory, bus mastering */
	uint16_t size;
	char path[PATH_MAX];
	int config;

	snprintf(path, sizeof(path), "%s/enable", folder);
	write_text(path, "1");
	snprintf(path, sizeof(path), "%s/config", folder);
	config = open_file(path, O_RDWR);
	if (pwrite(config, &command, sizeof(command), 4) != sizeof(command))
		die(path);
	close(config);
	snprintf(path, sizeof(path), "%s/resource0", folder);
	disk.io = open_file(path, O_RDWR);
	lend();
	disk.address = bar_address(device, 2) + (pages - lent) * PAGE;
	disk.ring = r;
	r->desc[0] = (struct vring_desc){ at + offsetof(struct ring, header),
		sizeof(r->header), VRING_DESC_F_NEXT, 1 };
	r->desc[1] = (struct vring_desc){ 0, PAGE, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2 };
	r->desc[2] = (struct vring_desc){ at + offsetof(struct ring, status), 1,
		VRING_DESC_F_WRITE, 0 };
	r->avail.flags = VRING_AVAIL_F_NO_INTERRUPT;
	write_disk_register(VIRTIO_PCI_STATUS, 0, 1);
	write_disk_register(VIRTIO_PCI_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER,
			    1);
	write_disk_register(VIRTIO_PCI_GUEST_FEATURES, 0, 4);
	write_disk_register(VIRTIO_PCI_QUEUE_SEL, 0, 2);
	if (pread(disk.io, &size, sizeof(size), VIRTIO_PCI_QUEUE_NUM) != sizeof(size) ||
	    size != RING_SIZE)
		die("the disk's queue");
	write_disk_register(VIRTIO_PCI_QUEUE_PFN, at / PAGE, 4);
	write_disk_register(VIRTIO_PCI_STATUS,
			    VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
				    VIRTIO_CONFIG_S_DRIVER_OK,
			    1);
}

/* What a disk must hold for use_disk(), made where the guests are started. */
static void write_image(const char *path)
{
	static uint64_t page[WORDS];
	FILE *f = fopen(path, "w");
	unsigned long i;

	if (!f)
		die(path);
	for (i = 0; i < DISK_PAGES; i++) {
		write_stamp(page, on_disk(i).number, on_disk(i).generation);
		if (fwrite(page, PAGE, 1, f) != 1)
			die(path);
	}
	if (fclose(f))
		die(path);
}

static unsigned long at_most_pages(unsigned long n)
{
	return n < pages ? n : pages;
}

static void obey(const char *line)
{
	unsigned long n, bytes = PAGE;
	char word[16];

	if (sscanf(line, "rate %lu", &n) == 1) {
		rate = n;
		say("rate %lu\n", n);
	} else if (sscanf(line, "set %lu", &n) == 1) {
		working_set = at_most_pages(n);
		next = 0;
		say("set %lu\n", n);
	} else if (sscanf(line, "fill %lu", &n) == 1) {
		fill_goal = at_most_pages(n);
		filled = 0;
	} else if (sscanf(line, "dma %lu %lu", &n, &bytes) >= 1) {
		dma_rate = n;
		dma_entry = bytes >= 8 && PAGE % bytes == 0 ? bytes : PAGE;
		tell_dma = true;
	} else if (sscanf(line, "power %lu", &n) == 1) {
		set_power(n);
	} else if (!strcmp(line, "reset")) {
		reset_device();
	} else if (!strcmp(line, "lend")) {
		lend();
		say("lend %lu\n", pages - lent);
	} else if (!strcmp(line, "peer")) {
		use_peer();
	} else if (!strcmp(line, "disk")) {
		use_disk();
		say("disk %lu\n", pages - lent);
	} else if (!strcmp(line, "verify")) {
		asked_to_verify = true;
	} else if (!strcmp(line, "config")) {
		show_config();
	} else if (sscanf(line, "sabotage %15s", word) == 1) {
		sabotage(word);
	} else {
		say("what is \"%.100s\"?\n", line);
	}
}

static void take_orders(void)
{
	static char line[128];
	static size_t len;
	char c;

	while (read(line_fd, &c, 1) == 1) {
		if (c != '\n') {
			if (len < sizeof(line) - 1)
				line[len++] = c;
			continue;
		}
		line[len] = 0;
		len = 0;
		obey(line);
	}
}

/* The first stamps: as fast as it goes, but not deaf meanwhile. */
static void fill_some(void)
{
	unsigned int i;

	for (i = 0; i < BATCH && filled < fill_goal; i++)
		stamp(in_order(filled++));
	if (filled == fill_goal) {
		say("filled %lu\n", filled);
		fill_goal = 0;
		filled = 0;
	}
}

/*
 * Stamp what is due. What was late is not made up for: the rate is asked for,
 * not the sum.
 */
static bool stamp_due(uint64_t *since_ms, uint64_t now)
{
	unsigned long due, i;

	if (!rate || !working_set || in_d3hot) {
		*since_ms = now;
		return false;
	}
	due = (now - *since_ms) * rate / 1000;
	if (!due)
		return false;
	*since_ms = due > BATCH ? now : *since_ms + due * 1000 / rate;
	for (i = 0; i < due && i < BATCH; i++) {
		stamp(in_order(next));
		next = (next + 1) % working_set;
	}
	return due > BATCH;
}

static void run(void)
{
	uint64_t since = now_ms(), reported = since, turned = since, moved = since, now;
	struct pollfd fds[] = { { .fd = line_fd }, { .fd = irq_fd, .events = POLLIN } };
	bool busy;

	for (;;) {
		now = now_ms();
		busy = stamp_due(&since, now);
		if (filled < fill_goal) {
			fill_some();
			busy = true;
		}
		/* What is asked for is done when nothing is on its way. */
		if (!asked_to_verify)
			busy |= transfer_due(&moved, now);
		if (tell_dma && (dma_rate || !transfer.busy)) {
			tell_dma = false;
			say("dma %lu\n", dma_rate);
		}
		read_disk();
		if (asked_to_verify && !transfer.busy && !disk.busy) {
			asked_to_verify = false;
			verify();
		}
		if (!in_d3hot && now - turned >= REGISTERS_MS) {
			turn_registers();
			turned = now;
		}
		if (now - reported >= REPORT_MS) {
			say("stamps %lu\n", stamps);
			reported = now;
		}
		flush();
		fds[0].events = POLLIN | (out_len ? POLLOUT : 0);
		if (poll(fds, 2, busy ? 0 : TICK_MS) <= 0)
			continue;
		if (fds[1].revents && !in_d3hot)
			end_transfer();
		if (fds[0].revents)
			take_orders();
	}
}

/* Where the device finds such a page of ours; it stays there. */
static uint64_t address_of(const volatile void *p, size_t len)
{
	struct tern_irq_map map = { .memory = (uintptr_t)p, .len = len };

	if (ioctl(irq_fd, TERN_IRQ_MAP, &map))
		die("TERN_IRQ_MAP");
	return map.address;
}

static void make_slots(void)
{
	const size_t size = SLOTS * PAGE;
	unsigned long i;
	void *ram;

	slot_pages = ram = mmap(NULL, size, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ram == MAP_FAILED || madvise(ram, size, MADV_NOHUGEPAGE))
		die("guest memory for DMA");
	memset(ram, 0, size);
	for (i = 0; i < SLOTS; i++)
		slots[i].address = address_of(slot_at(i), PAGE);
	write_text("/proc/sys/vm/nr_hugepages", "4");
	list = mmap(NULL, LIST_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
	if (list == MAP_FAILED)
		die("a huge page");
	list_address = address_of(list, LIST_BYTES);
}

static void open_line(const char *path)
{
	struct termios t;

	line_fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
	if (line_fd < 0 || tcgetattr(line_fd, &t))
		die(path);
	cfmakeraw(&t);
	cfsetspeed(&t, B115200);
	t.c_cflag |= CLOCAL;
	if (tcsetattr(line_fd, TCSANOW, &t))
		die(path);
}

int main(int argc, char **argv)
{
	char path[32];
	size_t size;

	if (argc > 1) {
		write_image(argv[1]);
		return 0;
	}
	number = find_device(1) && !fork();
	device = find_device(number);
	if (!device)
		die("no tern-mem among the PCI devices");
	snprintf(path, sizeof(path), "/dev/ttyS%u", number + 1);
	open_line(path);
	registers = map(device, "resource0", &size);
	memory = map(device, "resource2", &size);
	pages = size / PAGE;
	generations = calloc(pages, sizeof(*generations));
	if (!generations)
		die("no memory for the expected contents");

	snprintf(path, sizeof(path), "/dev/tern-irq%u", number);
	irq_fd = open_file(path, O_RDONLY);
	make_slots();

	/* The doorbell is to set bits only. */
	*reg(TERN_REG_IRQ_MASK) = VECTOR_BITS;
	check_registers();
	/* On a line of its own: a reset may have cut an earlier one short. */
	say("\nready %lu\n", pages);
	run();
	return 0;
}
