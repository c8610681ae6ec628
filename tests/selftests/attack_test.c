// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device memory under attack: writers run against a session that is read into a
 * second device continuously, and the kernel's memory management is made to do
 * what it can to the pages and to the mappings.
 *
 * Each word has one writer, which counts it up and keeps the count elsewhere. At
 * the end each word of the mapping and each word that arrived must be what its
 * writer counted. And that they raced is shown, not hoped for: the run continues
 * until enough pages were stored to in flight, between their take and the end of
 * their chunk, and sent again; until enough harvests have raced with the attack; and until
 * the attack has done to the pages of the mapping what it is there for.
 */
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include "fixture.h"
#include "kselftest_harness.h"

/* Newer than some C libraries. */
#ifndef MPOL_MF_MOVE_ALL
#define MPOL_MF_MOVE_ALL	4
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED	24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif

#define MEMORY		(8 * MIB)
#define PAGES		(MEMORY / PAGE)
#define WORDS		(MEMORY / 8)
#define WRITERS		2
#define OWNERS		(WRITERS + 1)	/* the last one is the attack's */

/* The last pages are the disk's: no other writer uses them. */
#define DISK_PAGES	32
#define DISK_WORDS	(DISK_PAGES * PAGE / 8)

/* How often they must have raced before a run is over. */
#define PAGES_MET_STORES	500
#define HARVESTS_MET_ATTACK	5
#define PASSES			5
#define SECONDS_MAX		60

#define HUGE		(2 * MIB)
#define SHMEM_HUGE	"/sys/kernel/mm/transparent_hugepage/shmem_enabled"
#define ZRAM		"/dev/zram0"

/* One device under attack; shared, for the attack that forks. */
struct run {
	struct dev a, b;
	volatile uint64_t *mem;		/* the writers' mapping */
	uint64_t *counts;		/* what each word was counted up to */
	volatile bool stop;
	volatile uint64_t stores[OWNERS];
	volatile uint64_t entered, left;	/* rounds of the attack */
	int (*attack)(struct run *r, uint64_t round);	/* 0, or what went wrong */
	volatile int wrong;
	volatile uint64_t bites;	/* pages of the mapping that it moved */
	int disk;
	bool changed[PAGES];	/* stored to since its last take, as the chunk showed */
	unsigned int met_stores;	/* pages that were, and were sent again */
	unsigned int met_attack;	/* harvests that were made during a round */
};

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13, *x ^= *x >> 7, *x ^= *x << 17;
	return *x;
}

/* Count up one of an owner's words, through the mapping at hand. */
static void store(struct run *r, volatile uint64_t *mem, unsigned int owner, uint64_t *x)
{
	uint64_t word = next_random(x) % ((WORDS - DISK_WORDS) / OWNERS) * OWNERS + owner;

	mem[word] = ++r->counts[word];
	r->stores[owner]++;
}

struct writer {
	struct run *r;
	unsigned int owner;
};

static void *write_on(void *arg)
{
	struct writer *w = arg;
	uint64_t x = 88172645463325252ULL + w->owner;

	while (!w->r->stop)
		store(w->r, w->r->mem, w->owner, &x);
	return NULL;
}

static void *attack_on(void *arg)
{
	struct run *r = arg;

	while (!r->stop && !r->wrong) {
		r->entered++;
		r->wrong = r->attack(r, r->left);
		r->left++;
	}
	return NULL;
}

/* A number of /proc/vmstat. */
static uint64_t vmstat(const char *name)
{
	char buf[16384], *at;

	if (read_file("/proc/vmstat", buf, sizeof(buf)) < 0)
		return 0;
	at = strstr(buf, name);
	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* The attacks. */

static int rest(struct run *r, uint64_t round)
{
	sched_yield();
	return 0;
}

static int advise(struct run *r, int advice)
{
	return madvise((void *)r->mem, MEMORY, advice) ? errno : 0;
}

/* Huge pages, mapped page by page, and not mapped any more. */
static int huge(struct run *r, uint64_t round)
{
	return advise(r, MADV_HUGEPAGE) ?: advise(r, MADV_DONTNEED);
}

/* Where the pages of the mapping are, or -errno each. */
static int nodes_of(struct run *r, const int *to, int *status)
{
	static void *pages[PAGES];
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		pages[i] = (char *)r->mem + i * PAGE;
	return syscall(SYS_move_pages, 0, PAGES, pages, to, status, MPOL_MF_MOVE_ALL) < 0 ?
	       errno : 0;
}

/* All pages to the other node, and back. */
static int migrate(struct run *r, uint64_t round)
{
	static int before[PAGES], after[PAGES], to[PAGES];
	unsigned int i;
	int ret;

	for (i = 0; i < PAGES; i++)
		to[i] = round % 2;
	ret = nodes_of(r, NULL, before) ?: nodes_of(r, to, after);
	for (i = 0; i < PAGES && !ret; i++)
		r->bites += before[i] == !to[i] && after[i] == to[i];
	return ret;
}

/* Which frames of memory the pages are in; 0 of what is not mapped. */
static int frames_of(struct run *r, uint64_t *frames)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), ret = 0;
	unsigned int i;

	if (pread(fd, frames, PAGES * 8, (uintptr_t)r->mem / PAGE * 8) != PAGES * 8)
		ret = errno ?: EIO;
	close(fd);
	for (i = 0; i < PAGES; i++)
		frames[i] = frames[i] >> 63 ? frames[i] & ((1ULL << 55) - 1) : 0;
	return ret;
}

/* From node to node first: what was compacted once would stay where it is. */
static int compact(struct run *r, uint64_t round)
{
	static uint64_t before[PAGES], after[PAGES];
	uint64_t bites = r->bites;
	unsigned int i;
	int ret;

	ret = migrate(r, round) ?: frames_of(r, before) ?:
	      -write_file("/proc/sys/vm/compact_memory", "1") ?: frames_of(r, after);
	r->bites = bites;
	for (i = 0; i < PAGES && !ret; i++)
		r->bites += before[i] && after[i] && before[i] != after[i];
	return ret;
}

static int page_out(struct run *r, uint64_t round)
{
	return advise(r, MADV_PAGEOUT);
}

/* Read-only and back; a writer gets a signal meanwhile, and tries again. */
static int protect(struct run *r, uint64_t round)
{
	return mprotect((void *)r->mem, MEMORY, PROT_READ) ||
	       mprotect((void *)r->mem, MEMORY, PROT_READ | PROT_WRITE) ? errno : 0;
}

static void try_again(int signal)
{
	sched_yield();
}

static void *map(struct run *r, int flags)
{
	return mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, flags, r->a.fd, r->a.bar2.offset);
}

/* Where a huge page of the file fits: Linux 7 allocates one for no other address. */
static void *map_aligned(struct run *r)
{
	const size_t room = MEMORY + HUGE;
	char *free = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *at;

	if (free == MAP_FAILED)
		return free;
	at = (char *)(((uintptr_t)free + HUGE - 1) / HUGE * HUGE);
	munmap(free, at - free);
	munmap(at + MEMORY, free + room - (at + MEMORY));
	return mmap(at, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, r->a.fd,
		    r->a.bar2.offset);
}

/* A second mapping, with stores through it; and a private one, which is refused. */
static int second_mapping(struct run *r, uint64_t round)
{
	uint64_t x = 7 + round;
	void *mem;
	int i;

	if (map(r, MAP_PRIVATE) != MAP_FAILED || errno != EINVAL)
		return EDOM;
	mem = map(r, MAP_SHARED);
	if (mem == MAP_FAILED)
		return errno;
	for (i = 0; i < 20; i++)
		store(r, mem, WRITERS, &x);
	return munmap(mem, MEMORY) ? errno : 0;
}

/* A mapping that moves between stores. */
static int move(struct run *r, uint64_t round)
{
	uint64_t x = 7 + round;
	char *mem = map(r, MAP_SHARED), *to;
	int i;

	if (mem == MAP_FAILED)
		return errno;
	for (i = 0; i < 20; i++) {
		store(r, (void *)mem, WRITERS, &x);
		to = mmap(NULL, MEMORY, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mem = mremap(mem, MEMORY, MEMORY, MREMAP_MAYMOVE | MREMAP_FIXED, to);
		if (mem == MAP_FAILED)
			return errno;
		store(r, (void *)mem, WRITERS, &x);
	}
	return munmap(mem, MEMORY) ? errno : 0;
}

/* A child stores through what it inherited. */
static int fork_and_store(struct run *r, uint64_t round)
{
	uint64_t x = 7 + round;
	pid_t child = fork();
	int i, status;

	if (child < 0)
		return errno;
	if (!child) {
		for (i = 0; i < 20; i++)
			store(r, r->mem, WRITERS, &x);
		_exit(0);
	}
	return waitpid(child, &status, 0) != child || status ? ECHILD : 0;
}

/*
 * Whatever madvise() offers but what is meant to destroy pages, and what it says to
 * it: to punch holes, to dump and to collapse is refused, for each would go behind
 * the tracker. To collapse is asked for where huge pages are, or it proved nothing.
 */
#define AS_THE_WINDOW	(-1)	/* Linux 7 refuses it of what cannot be expanded */

static const struct {
	int advice, error;
} kinds[] = {
	{ MADV_NORMAL, 0 },
	{ MADV_RANDOM, 0 },
	{ MADV_SEQUENTIAL, 0 },
	{ MADV_WILLNEED, 0 },
	{ MADV_DONTNEED, 0 },
	{ MADV_FREE, EINVAL },
	{ MADV_REMOVE, EOPNOTSUPP },
	{ MADV_DONTFORK, 0 },
	{ MADV_DOFORK, AS_THE_WINDOW },
	{ MADV_MERGEABLE, 0 },
	{ MADV_UNMERGEABLE, 0 },
	{ MADV_NOHUGEPAGE, 0 },
	{ MADV_HUGEPAGE, 0 },
	{ MADV_COLLAPSE, EINVAL },
	{ MADV_DONTDUMP, 0 },
	{ MADV_DODUMP, EINVAL },
	{ MADV_WIPEONFORK, EINVAL },
	{ MADV_KEEPONFORK, 0 },
	{ MADV_COLD, 0 },
	{ MADV_PAGEOUT, 0 },
	{ MADV_POPULATE_READ, 0 },
	{ MADV_POPULATE_WRITE, 0 },
	{ MADV_DONTNEED_LOCKED, 0 },
};

static int advise_everything(struct run *r, uint64_t round)
{
	unsigned int i;
	int ret, error;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		error = kinds[i].error;
		if (error == AS_THE_WINDOW)
			error = madvise(r->a.map, PAGE, kinds[i].advice) ? errno : 0;
		ret = advise(r, kinds[i].advice);
		if (ret != error)
			return 1000 * kinds[i].advice + ret;	/* both must be seen */
	}
	return 0;
}

/* A disk reads into the mapping, past the page tables. */
static int read_disk(struct run *r, uint64_t round)
{
	char *to = (char *)r->mem + MEMORY - DISK_PAGES * PAGE;
	static uint64_t block[PAGE / 8] __attribute__((aligned(4096)));
	unsigned int page = round % DISK_PAGES, i;

	for (i = 0; i < PAGE / 8; i++)
		block[i] = round + 1;
	if (pwrite(r->disk, block, PAGE, page * PAGE) != PAGE ||
	    pread(r->disk, to + page * PAGE, PAGE, page * PAGE) != PAGE)
		return errno;
	for (i = 0; i < PAGE / 8; i++)
		r->counts[WORDS - DISK_WORDS + page * PAGE / 8 + i] = round + 1;
	r->stores[WRITERS]++;
	return 0;
}

FIXTURE(attack) {
	struct run *r;
	char huge[256];		/* as it was */
	uint64_t grew_from;
	bool swap;
};

FIXTURE_VARIANT(attack) {
	int (*attack)(struct run *r, uint64_t round);
	const char *huge;	/* for shmem_enabled */
	const char *grows;	/* the number of vmstat that shows that it bites */
	bool bites;		/* it counts itself */
	unsigned int least;	/* how far; 1 if not given */
	bool swap, disk;
};

FIXTURE_VARIANT_ADD(attack, none) { .attack = rest };
FIXTURE_VARIANT_ADD(attack, huge_always) {
	.attack = huge, .huge = "always", .grows = "thp_file_alloc ",
	.least = MEMORY / (2 * MIB) };
FIXTURE_VARIANT_ADD(attack, huge_force) {
	.attack = huge, .huge = "force", .grows = "thp_file_alloc ",
	.least = MEMORY / (2 * MIB) };
FIXTURE_VARIANT_ADD(attack, huge_advise) {
	.attack = huge, .huge = "advise", .grows = "thp_file_alloc ",
	.least = MEMORY / (2 * MIB) };
FIXTURE_VARIANT_ADD(attack, compaction) { .attack = compact, .bites = true };
FIXTURE_VARIANT_ADD(attack, page_migration) { .attack = migrate, .bites = true };
FIXTURE_VARIANT_ADD(attack, swap) { .attack = page_out, .grows = "pswpout ", .swap = true };
FIXTURE_VARIANT_ADD(attack, mprotect) { .attack = protect };
FIXTURE_VARIANT_ADD(attack, second_mapping) { .attack = second_mapping };
FIXTURE_VARIANT_ADD(attack, mremap) { .attack = move };
FIXTURE_VARIANT_ADD(attack, fork) { .attack = fork_and_store };
FIXTURE_VARIANT_ADD(attack, madvise) { .attack = advise_everything };
FIXTURE_VARIANT_ADD(attack, direct_io) { .attack = read_disk, .disk = true };

/* What is selected in a file of choices. */
static void selected(const char *path, char *buf, size_t size)
{
	char *open, *close;

	if (read_file(path, buf, size) < 0)
		buf[0] = 0;
	open = strchr(buf, '[');
	close = strchr(buf, ']');
	if (open && close) {
		*close = 0;
		memmove(buf, open + 1, close - open);
	}
}

/* A signature that mkswap would write; this is a disk of memory. */
static int make_swap(int disk, uint64_t bytes)
{
	static uint8_t page[PAGE] __attribute__((aligned(4096)));
	uint32_t info[3] = { 1, bytes / PAGE - 1, 0 };

	memcpy(page + 1024, info, sizeof(info));
	memcpy(page + PAGE - 10, "SWAPSPACE2", 10);
	return pwrite(disk, page, PAGE, 0) == PAGE ? 0 : -errno;
}

FIXTURE_SETUP(attack)
{
	static const struct sigaction again = { .sa_handler = try_again };

	NEEDS_TERN();
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "two processors are needed");
	self->r = mmap(NULL, sizeof(*self->r), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	ASSERT_NE(self->r, MAP_FAILED);
	self->r->counts =
		mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(self->r->counts, MAP_FAILED);
	self->r->disk = -1;
	if (variant->swap || variant->disk) {
		if (write_file("/sys/block/zram0/reset", "1") ||
		    write_file("/sys/block/zram0/disksize", "64M"))
			SKIP(return, "no zram0: modprobe zram");
		self->r->disk = open(ZRAM, O_RDWR | O_DIRECT | O_CLOEXEC);
		ASSERT_GE(self->r->disk, 0);
	}
	if (variant->swap) {
		ASSERT_EQ(make_swap(self->r->disk, 64 * MIB), 0);
		close(self->r->disk);
		self->r->disk = -1;
		ASSERT_EQ(swapon(ZRAM, 0), 0)
			TH_LOG("swapon: %s", strerror(errno));
		self->swap = true;
	}
	if (variant->huge) {
		selected(SHMEM_HUGE, self->huge, sizeof(self->huge));
		if (write_file(SHMEM_HUGE, variant->huge))
			SKIP(return, "no huge pages in shmem");
	}
	sigaction(SIGSEGV, &again, NULL);
	ASSERT_EQ(pair_on(&self->r->a, &self->r->b,
			  (struct setting){ .memory_mib = 8, .map_window = true }), 0);
	self->r->mem = map_aligned(self->r);
	ASSERT_NE(self->r->mem, MAP_FAILED);
	/* Before the first store: once there are small pages, they stay. */
	if (variant->huge)
		ASSERT_EQ(advise(self->r, MADV_HUGEPAGE), 0);
	self->r->attack = variant->attack;
	if (variant->grows)
		self->grew_from = vmstat(variant->grows);
}

FIXTURE_TEARDOWN(attack)
{
	if (!self->r)
		return;
	if (self->huge[0])
		write_file(SHMEM_HUGE, self->huge);
	if (self->r->mem) {
		munmap((void *)self->r->mem, MEMORY);
		EXPECT_EQ(pair_off(&self->r->a, &self->r->b, &(struct stream){ 0 }), 0);
	}
	if (self->swap)
		ASSERT_EQ(swapoff(ZRAM), 0);
	if (self->r->disk >= 0)
		close(self->r->disk);
}

/* Which pages of a chunk have changed since they were taken, or before that? */
static void look_at(struct run *r, uint64_t size)
{
	const struct stream chunk = { .buf = r->a.map, .len = size };
	const struct tern_memory_head *head;
	const struct tern_record *record;
	uint64_t at, page;

	for (at = 0; at < size; at += sizeof(*record) + record->length) {
		record = record_at(&chunk, at);
		if (record->type != TERN_RECORD_MEMORY)
			continue;
		head = (const void *)(record + 1);
		page = head->offset / PAGE;
		r->met_stores += r->changed[page];
		r->changed[page] = memcmp((char *)r->mem + head->offset, head + 1, PAGE);
	}
}

/* One chunk from here to there. */
static int carry(struct run *r)
{
	uint64_t offset, size, entered = r->entered, left = r->left;
	int ret;

	ret = reg_read(&r->a, V1(data_offset), &offset) ?: reg_read(&r->a, V1(data_size), &size);
	if (ret)
		return ret;
	/* After the stop nothing races, and an old chunk may be offered again. */
	if (!r->stop) {
		look_at(r, size);
		r->met_attack += entered != left || r->entered != entered || r->left != left;
	}
	return size ? load_chunk(&r->b, r->a.map, size) : 0;
}

/* P-1 P-4 V1-16: whatever happens to the pages, no store is lost. */
TEST_F_TIMEOUT(attack, P1_P4_no_store_is_lost, 150)
{
	struct run *r = self->r;
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS], attacker;
	unsigned int i, lost = 0, broken = 0;
	const uint64_t least = variant->least ?: 1;
	uint64_t passes = 0, begin = time(NULL), grown = 0;
	uint64_t *arrived = malloc(MEMORY);
	int ret = 0;

	for (i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ r, i };
		ASSERT_EQ(pthread_create(&threads[i], NULL, write_on, &writers[i]), 0);
	}
	ASSERT_EQ(pthread_create(&attacker, NULL, attack_on, r), 0);
	ASSERT_EQ(set_state(&r->b, RESUMING), 0);
	ASSERT_EQ(set_state(&r->a, RUNNING | SAVING), 0);
	while (!ret && !r->wrong && time(NULL) < begin + SECONDS_MAX) {
		if (pending(&r->a))
			ret = carry(r);
		passes = attr_sum(UUID_A, "passes");
		grown = variant->grows ? vmstat(variant->grows) - self->grew_from :
			variant->bites ? r->bites : 1;
		if (passes >= PASSES && r->met_stores >= PAGES_MET_STORES &&
		    r->met_attack >= HARVESTS_MET_ATTACK && grown >= least)
			break;
	}
	r->stop = true;
	for (i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	pthread_join(attacker, NULL);
	EXPECT_EQ(ret, 0);
	EXPECT_EQ(r->wrong, 0);
	ASSERT_EQ(set_state(&r->a, SAVING), 0);
	while (pending(&r->a))
		ASSERT_EQ(carry(r), 0);
	ASSERT_EQ(set_state(&r->b, RUNNING), 0);

	TH_LOG("%lu passes; %u pages raced with stores, %u harvests with the attack; %lu rounds of it, %s%lu",
	       (unsigned long)passes, r->met_stores, r->met_attack, (unsigned long)r->left,
	       variant->grows ?: variant->bites ? "pages moved " : "", (unsigned long)grown);
	EXPECT_GE(passes, PASSES);
	EXPECT_GE(r->met_stores, PAGES_MET_STORES);
	EXPECT_GE(r->met_attack, HARVESTS_MET_ATTACK);
	EXPECT_GE(grown, least);
	EXPECT_EQ(attr_sum(UUID_A, "late_marks"), 0);

	ASSERT_EQ(dev_read(&r->b, r->b.bar2.offset, arrived, MEMORY), MEMORY);
	for (i = 0; i < WORDS; i++) {
		broken += r->mem[i] != r->counts[i];
		lost += arrived[i] != r->counts[i];
	}
	EXPECT_EQ(broken, 0);
	EXPECT_EQ(lost, 0);
	free(arrived);
}

/* A device of that name with this memory, which begins at a generation. */
static int power_on(struct run *r, const char *uuid, uint64_t generation)
{
	unsigned int i;
	int ret;

	memset(r, 0, sizeof(*r));
	ret = device_on(&r->a, uuid, (struct setting){ .memory_mib = 8, .map_window = true });
	if (ret)
		return ret;
	r->mem = map(r, MAP_SHARED);
	r->counts = malloc(MEMORY);
	for (i = 0; i < WORDS; i++)
		r->mem[i] = r->counts[i] = generation;
	return 0;
}

static unsigned int wrong_words(const volatile uint64_t *mem, const uint64_t *counts)
{
	unsigned int i, wrong = 0;

	for (i = 0; i < WORDS; i++)
		wrong += mem[i] != counts[i];
	return wrong;
}

static int unload(void)
{
	return syscall(SYS_delete_module, "tern", O_NONBLOCK) ? -errno : 0;
}

/*
 * P-15: a mapping that outlives its device keeps the module, and nothing else. A
 * writer continues in it while the next owner's device is written to and moved.
 */
TEST(P15_mapping_keeps_the_module)
{
	const char *module = getenv("TERN_MODULE");
	static struct run old, next;
	struct writer writers[] = { { &old, 0 }, { &next, 1 } };
	uint64_t *arrived = malloc(MEMORY), stores, begin;
	pthread_t threads[2];
	int fd;

	NEEDS_TERN();
	ASSERT_EQ(power_on(&old, UUID_A, 1ULL << 40), 0);
	ASSERT_EQ(pthread_create(&threads[0], NULL, write_on, &writers[0]), 0);
	dev_close(&old.a);
	ASSERT_EQ(mdev_remove(UUID_A), 0);

	/* The next owner, by the same name. */
	ASSERT_EQ(power_on(&next, UUID_A, 1), 0);
	ASSERT_EQ(device_on(&next.b, UUID_B, (struct setting){ .memory_mib = 8, .map_window = true }), 0);
	ASSERT_EQ(pthread_create(&threads[1], NULL, write_on, &writers[1]), 0);
	ASSERT_EQ(set_state(&next.b, RESUMING), 0);
	ASSERT_EQ(set_state(&next.a, RUNNING | SAVING), 0);
	stores = old.stores[0];
	for (begin = time(NULL); time(NULL) < begin + 10;) {
		if (pending(&next.a))
			ASSERT_EQ(carry(&next), 0);
		if (attr_sum(UUID_A, "passes") >= PASSES && next.met_stores >= PAGES_MET_STORES)
			break;
	}
	stores = old.stores[0] - stores;
	next.stop = true;
	pthread_join(threads[1], NULL);
	ASSERT_EQ(set_state(&next.a, SAVING), 0);
	while (pending(&next.a))
		ASSERT_EQ(carry(&next), 0);
	ASSERT_EQ(set_state(&next.b, RUNNING), 0);
	TH_LOG("%lu stores through the old mapping, %u pages of the new one raced with stores",
	       (unsigned long)stores, next.met_stores);
	EXPECT_GE(next.met_stores, PAGES_MET_STORES);
	EXPECT_GT(stores, 1000);
	ASSERT_EQ(dev_read(&next.b, next.b.bar2.offset, arrived, MEMORY), MEMORY);
	EXPECT_EQ(wrong_words(arrived, next.counts), 0);
	EXPECT_EQ(wrong_words(next.mem, next.counts), 0);
	ASSERT_EQ(munmap((void *)next.mem, MEMORY), 0);
	ASSERT_EQ(pair_off(&next.a, &next.b, &(struct stream){ 0 }), 0);

	/* Nothing is left but the mapping, and its writer. */
	EXPECT_EQ(unload(), -EWOULDBLOCK);
	stores = old.stores[0];
	while (old.stores[0] == stores)
		sched_yield();
	old.stop = true;
	pthread_join(threads[0], NULL);
	EXPECT_EQ(wrong_words(old.mem, old.counts), 0);
	ASSERT_EQ(munmap((void *)old.mem, MEMORY), 0);
	free(old.counts);
	free(next.counts);
	free(arrived);
	if (!module)
		SKIP(return, "TERN_MODULE does not name tern.ko: not unloaded");
	EXPECT_EQ(unload(), 0);
	fd = open(module, O_RDONLY | O_CLOEXEC);
	ASSERT_EQ(syscall(SYS_finit_module, fd, "", 0), 0)
		TH_LOG("%s: %s", module, strerror(errno));
	close(fd);
	EXPECT_TRUE(have_tern());
}

TEST_HARNESS_MAIN
