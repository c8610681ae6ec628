// SPDX-License-Identifier: GPL-2.0-only
/* Device memory: trapped and mapped, its faults, and what it says of them. */
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include "fixture.h"
#include "kselftest_harness.h"

#define MEMORY	(8 * MIB)
#define PAGES	(MEMORY / PAGE)
#define WORDS	(PAGE / 8)

FIXTURE(memory) {
	struct dev a, b;
	uint64_t *mem;
	struct stream s;
};

FIXTURE_SETUP(memory)
{
	NEEDS_TERN();
	ASSERT_EQ(pair_on(&self->a, &self->b,
			  (struct setting){ .memory_mib = 8, .map_memory = true, .map_window = true }), 0);
	self->mem = self->a.mem;
}

FIXTURE_TEARDOWN(memory)
{
	EXPECT_EQ(pair_off(&self->a, &self->b, &self->s), 0);
}

TEST_F(memory, trapped_and_mapped_memory_are_the_same)
{
	static uint8_t buf[3 * PAGE], back[3 * PAGE];
	const uint64_t bar2 = self->a.bar2.offset;
	unsigned int i;

	for (i = 0; i < sizeof(buf); i++)
		buf[i] = i * 7 + i / 256;
	/* Untouched reads as zero and is not made dirty by that. */
	ASSERT_EQ(dev_read(&self->a, bar2, back, sizeof(back)), sizeof(back));
	for (i = 0; i < sizeof(back); i++)
		ASSERT_EQ(back[i], 0);
	ASSERT_EQ(self->mem[77], 0);
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	EXPECT_EQ(pending(&self->a), BEGIN_RECORD);
	/* Across pages, unaligned. */
	ASSERT_EQ(dev_write(&self->a, bar2 + 5000, buf, 6000), 6000);
	EXPECT_EQ(memcmp((char *)self->mem + 5000, buf, 6000), 0);
	EXPECT_EQ(pending(&self->a), BEGIN_RECORD + 2 * MEMORY_RECORD);
	self->mem[3 * WORDS] = 0x1122334455667788;
	ASSERT_EQ(dev_read(&self->a, bar2 + 3 * PAGE, back, 8), 8);
	EXPECT_EQ(memcmp(back, &self->mem[3 * WORDS], 8), 0);
	EXPECT_EQ(pending(&self->a), BEGIN_RECORD + 3 * MEMORY_RECORD);
	/* The last byte is there, the one after it is not. */
	EXPECT_EQ(dev_write(&self->a, bar2 + MEMORY - 1, buf, 1), 1);
	EXPECT_EQ(dev_write(&self->a, bar2 + MEMORY, buf, 1), -EINVAL);
	EXPECT_EQ(dev_write(&self->a, bar2 + MEMORY - 1, buf, 2), -EINVAL);
}

TEST_F(memory, wrong_mappings_are_refused)
{
	const int rw = PROT_READ | PROT_WRITE;
	const uint64_t bar2 = self->a.bar2.offset;

#define TRY(len, flags, at) mmap(NULL, len, rw, flags, self->a.fd, at)
	EXPECT_EQ(TRY(PAGE, MAP_PRIVATE, bar2), MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(TRY(2 * PAGE, MAP_SHARED, bar2 + MEMORY - PAGE), MAP_FAILED);
	EXPECT_EQ(TRY(PAGE, MAP_SHARED, bar2 + MEMORY), MAP_FAILED);
	EXPECT_EQ(TRY(PAGE, MAP_SHARED, region_base(VFIO_PCI_BAR0_REGION_INDEX)), MAP_FAILED);
	EXPECT_EQ(TRY(PAGE, MAP_SHARED, region_base(VFIO_PCI_CONFIG_REGION_INDEX)), MAP_FAILED);
	EXPECT_EQ(TRY(PAGE, MAP_SHARED, region_base(11)), MAP_FAILED);
	/* P-4: no hole can be punched behind the tracker. */
	self->mem[0] = 1;
	EXPECT_EQ(madvise(self->mem, PAGE, MADV_REMOVE), -1);
	EXPECT_EQ(self->mem[0], 1);
#undef TRY
}

/* Minor faults of the calling thread so far. */
static long faults(void)
{
	char buf[1024], *at;
	int i;

	if (read_file("/proc/thread-self/stat", buf, sizeof(buf)) < 0)
		return -1;
	at = strrchr(buf, ')') + 2;
	for (i = 0; i < 7; i++)
		at = strchr(at, ' ') + 1;
	return atol(at);
}

/* S-10: a page faults at its first write, and again only if it was harvested. */
TEST_F(memory, S10_page_faults_once_per_harvest)
{
	long n;
	int i;

	self->mem[5 * WORDS] = 1;
	faults();
	n = faults();
	for (i = 0; i < 1000; i++)
		self->mem[5 * WORDS + i % WORDS] = i;
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	self->mem[5 * WORDS] = 2;
	EXPECT_EQ(faults(), n);
	ASSERT_EQ(save_all(&self->a, &self->s), 0);
	n = faults();
	self->mem[5 * WORDS] = 3;
	EXPECT_EQ(faults(), n + 1);
	self->mem[5 * WORDS] = 4;
	EXPECT_EQ(faults(), n + 1);
	EXPECT_EQ(pending(&self->a), MEMORY_RECORD);
}

/* A writer that never rests: it counts up words, all over the memory. */
struct writer {
	volatile uint64_t *mem;
	volatile bool stop;
};

static void *write_on(void *arg)
{
	struct writer *w = arg;
	uint64_t x = 88172645463325252ULL;

	while (!w->stop) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		w->mem[x % (MEMORY / 8)]++;
	}
	return NULL;
}

/* A writer at a constant rate: so many pages a second, one after the other. */
#define RATE		500
#define PERIOD_MS	80

struct metronome {
	volatile uint8_t *mem;
	volatile bool stop;
	volatile uint64_t written;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void *write_steadily(void *arg)
{
	struct metronome *m = arg;
	const double begin = now();

	while (!m->stop) {
		for (; m->written < (now() - begin) * RATE; m->written++)
			m->mem[m->written % PAGES * PAGE] = m->written;
		usleep(1000);
	}
	return NULL;
}

/*
 * S-4 P-2: what a device says that is pending, from the snapshot over the
 * steady state, which shows the rate at which it is written to, to the end.
 */
TEST_F(memory, S4_P2_pending_follows_the_dirty_rate)
{
	struct metronome m = { .mem = (uint8_t *)self->mem };
	const unsigned int snapshot = 1500;
	uint64_t before, begun, ended;
	unsigned int pass;
	double begin;
	pthread_t thread;

	for (pass = 0; pass < snapshot; pass++)
		self->mem[pass * WORDS] = pass + 1;
	ASSERT_EQ(pthread_create(&thread, NULL, write_steadily, &m), 0);
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	EXPECT_GE(pending(&self->a), BEGIN_RECORD + snapshot * MEMORY_RECORD);
	ASSERT_EQ(save_all(&self->a, &self->s), 0);
	EXPECT_GE(self->s.len, BEGIN_RECORD + snapshot * MEMORY_RECORD);
	begun = ended = m.written;
	for (pass = 0; pass < 13; pass++) {
		uint64_t said, least, most;

		/* A pass takes its time, as on a network: this is the pace, no wait. */
		begin = now();
		while (now() < begin + PERIOD_MS * 1e-3)
			usleep(1000);
		/*
		 * Rate times time, as the writer really came to it. What it wrote
		 * while the last pass was read went with it or did not.
		 */
		least = (m.written - ended) * MEMORY_RECORD;
		said = pending(&self->a);
		most = (m.written - begun) * MEMORY_RECORD;
		begun = m.written;
		before = self->s.len;
		ASSERT_EQ(save_all(&self->a, &self->s), 0);
		ended = m.written;
		EXPECT_GE(self->s.len - before, said);
		if (pass < 3)
			continue;
		EXPECT_GT(most, 0);
		EXPECT_GE(said, least / 2)
			TH_LOG("pass %u: %lu pending, %lu expected", pass, said, least);
		EXPECT_LE(said, most * 2)
			TH_LOG("pass %u: %lu pending, %lu expected", pass, said, most);
	}
	ASSERT_EQ(set_state(&self->a, SAVING), 0);
	m.stop = true;
	pthread_join(thread, NULL);
	/* Not 0 before the last byte was read, and then 0 for good. */
	EXPECT_GE(pending(&self->a), FINAL_RECORDS);
	while (pending(&self->a)) {
		EXPECT_FALSE(read_account(self->s.buf, self->s.len).whole);
		ASSERT_GT(save_chunk(&self->a, &self->s), 0);
	}
	EXPECT_TRUE(read_account(self->s.buf, self->s.len).whole);
	EXPECT_EQ(pending(&self->a), 0);
	EXPECT_EQ(data_size(&self->a), 0);
	EXPECT_EQ(pending(&self->a), 0);
}

/* P-3 V1-8: a process that stores after the stop cannot hold up the end. */
TEST_F(memory, P3_V1_8_late_stores_do_not_delay_the_end)
{
	struct writer w = { .mem = self->mem };
	pthread_t thread;
	int ret, state;

	populate(self->mem, MEMORY);
	memset(self->mem, 1, MEMORY);
	ASSERT_EQ(set_state(&self->a, SAVING), 0);
	ASSERT_EQ(pthread_create(&thread, NULL, write_on, &w), 0);
	ret = save_all(&self->a, &self->s);
	while (!attr_sum(UUID_A, "late_marks"))
		;
	state = get_state(&self->a);
	w.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(ret, 0);
	EXPECT_EQ(state, SAVING);
	EXPECT_EQ(pending(&self->a), 0);
	EXPECT_EQ(records_of(&self->s, 0, TERN_RECORD_MEMORY), PAGES);
	EXPECT_EQ(records_of(&self->s, 0, TERN_RECORD_END), 1);
}

/* P-4: a mapping that is made again past the device is tracked as any other. */
TEST_F(memory, P4_remapped_pages_are_tracked)
{
	unsigned int i;

	/* Page 0 where it was, and page 3 in the place of page 8. */
	if (syscall(SYS_remap_file_pages, self->mem, PAGE, 0, 0, 0) ||
	    syscall(SYS_remap_file_pages, self->mem + 8 * WORDS, PAGE, 0, 3, 0))
		SKIP(return, "remap_file_pages: %s", strerror(errno));
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	for (i = 1; i < 4; i++) {
		self->mem[0] = i;
		EXPECT_EQ(pending(&self->a), (i == 1 ? BEGIN_RECORD : 0) + MEMORY_RECORD);
		self->mem[8 * WORDS] = i;
		EXPECT_EQ(pending(&self->a), (i == 1 ? BEGIN_RECORD : 0) + 2 * MEMORY_RECORD);
		EXPECT_EQ(self->mem[3 * WORDS], i);
		ASSERT_EQ(save_all(&self->a, &self->s), 0);
	}
	/* Nor does it grow. */
	EXPECT_EQ(mremap(self->mem, PAGE, 2 * PAGE, MREMAP_MAYMOVE), MAP_FAILED);
	EXPECT_EQ(errno, EFAULT);
}

/*
 * Root can make the file of the memory longer, by the link of a mapping in /proc, and map
 * what lies beyond the device. A store there is refused.
 */
TEST_F(memory, no_store_beyond_the_device)
{
	char link[128];
	int fd, status;
	pid_t child;

	snprintf(link, sizeof(link), "/proc/self/map_files/%lx-%lx", (unsigned long)self->mem,
		 (unsigned long)self->mem + MEMORY);
	fd = open(link, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		SKIP(return, "%s: %s", link, strerror(errno));
	ASSERT_EQ(ftruncate(fd, MEMORY + PAGE), 0);
	close(fd);
	child = fork();
	if (!child) {
		if (syscall(SYS_remap_file_pages, self->mem, PAGE, 0, PAGES, 0))
			_exit(1);
		self->mem[0] = 1;
		_exit(2);
	}
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_TRUE(WIFSIGNALED(status)) TH_LOG("exit code %d", WEXITSTATUS(status));
	EXPECT_EQ(WTERMSIG(status), SIGBUS);
	/* And the device is as it was. */
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	EXPECT_EQ(pending(&self->a), BEGIN_RECORD);
	ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_RESET), 0);
}

/* More references than a page can have that is not pinned, to page @page. */
static int pin(void *page, int pipes[2][2])
{
	static struct iovec again[1024];
	int i;

	for (i = 0; i < 1024; i++)
		again[i] = (struct iovec){ page, PAGE };
	for (i = 0; i < 2; i++)
		if (pipe(pipes[i]) || fcntl(pipes[i][1], F_SETPIPE_SZ, 1024 * PAGE) < 0 ||
		    vmsplice(pipes[i][1], again, 1024, 0) < 0)
			return -errno;
	return 0;
}

/*
 * P-14: a page that others have pinned stays the device's own across a reset, as zeroes,
 * and the pages around it are dropped. What is stored to it past the page tables is not
 * noticed: so it is sent in each pass.
 */
TEST_F(memory, P14_pinned_page)
{
	int pipes[2][2], i;
	uint64_t word;
	size_t before;

	for (i = 0; i < 5; i++)
		self->mem[i * WORDS] = i + 1;
	i = pin(self->mem + 2 * WORDS, pipes);
	if (i)
		SKIP(return, "vmsplice: %s", strerror(-i));
	ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_RESET), 0);
	for (i = 0; i < 5; i++)
		EXPECT_EQ(self->mem[i * WORDS], 0);
	/* The page that the pipe has is the device's. */
	self->mem[2 * WORDS] = 0x1234;
	ASSERT_EQ(read(pipes[0][0], &word, sizeof(word)), sizeof(word));
	EXPECT_EQ(word, 0x1234);

	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	for (i = 0; i < 3; i++) {
		before = self->s.len;
		EXPECT_GT(save_chunk(&self->a, &self->s), 0);
		EXPECT_GE(pending(&self->a), MEMORY_RECORD);
		EXPECT_EQ(records_of(&self->s, before, TERN_RECORD_MEMORY), 1);
	}
	for (i = 0; i < 4; i++)
		close(pipes[i / 2][i % 2]);
	ASSERT_EQ(set_state(&self->a, SAVING), 0);
	ASSERT_EQ(save_all(&self->a, &self->s), 0);
	EXPECT_EQ(pending(&self->a), 0);
}

/* A mapping that outlives its device reaches no other memory. */
TEST_F(memory, old_mapping_reaches_no_new_memory)
{
	uint64_t v = 0;

	self->mem[0] = 0x1111;
	self->a.mem = NULL;
	dev_close(&self->a);
	ASSERT_EQ(dev_open(&self->a, UUID_A), 0);
	ASSERT_EQ(dev_read(&self->a, self->a.bar2.offset, &v, 8), 8);
	EXPECT_EQ(v, 0);
	v = 0x2222;
	ASSERT_EQ(dev_write(&self->a, self->a.bar2.offset, &v, 8), 8);
	EXPECT_EQ(self->mem[0], 0x1111);
	self->mem[0] = 0x3333;
	ASSERT_EQ(dev_read(&self->a, self->a.bar2.offset, &v, 8), 8);
	EXPECT_EQ(v, 0x2222);
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	EXPECT_EQ(pending(&self->a), BEGIN_RECORD + MEMORY_RECORD);
	munmap(self->mem, MEMORY);
}

/*
 * P-15: a mapping that outlives its device holds memory that counts: all memory that is
 * alive together stays below the limit, and the next open waits for none of it. It
 * counts for the device that it was made for, also after that was removed: another
 * device opens, because its memory was promised.
 */
TEST(P15_limit_covers_all_live_memory)
{
	struct dev d;
	void *page;

	NEEDS_TERN();
	/* All of the default limit. */
	ASSERT_EQ(device_on(&d, UUID_A, (struct setting){ .memory_mib = 65536 }), 0);
	page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, d.fd, d.bar2.offset);
	ASSERT_NE(page, MAP_FAILED);
	dev_close(&d);
	EXPECT_EQ(dev_open(&d, UUID_A), -ENOSPC);
	dev_close(&d);
	/* A smaller promise makes no room: the memory is there. */
	EXPECT_EQ(attr_set(UUID_A, "memory_mib", "1"), 0);
	EXPECT_EQ(mdev_create(UUID_B), -ENOSPC);
	EXPECT_EQ(mdev_remove(UUID_A), 0);
	EXPECT_EQ(mdev_create(UUID_B), -ENOSPC);
	munmap(page, PAGE);
	EXPECT_EQ(mdev_create(UUID_A), 0);
	EXPECT_EQ(attr_set(UUID_A, "memory_mib", "65536"), 0);
	EXPECT_EQ(dev_open(&d, UUID_A), 0);
	EXPECT_EQ(device_off(&d), 0);
}

TEST(P15_promised_memory_is_available)
{
	struct dev a, b;
	void *page;

	NEEDS_TERN();
	ASSERT_EQ(pair_on(&a, &b, (struct setting){ .memory_mib = 32768 }), 0);
	dev_close(&b);
	page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, a.fd, a.bar2.offset);
	ASSERT_NE(page, MAP_FAILED);
	dev_close(&a);
	EXPECT_EQ(dev_open(&a, UUID_A), -ENOSPC);
	dev_close(&a);
	EXPECT_EQ(dev_open(&b, UUID_B), 0);
	munmap(page, PAGE);
	EXPECT_EQ(pair_off(&a, &b, &(struct stream){ 0 }), 0);
}

/* Where memory may not be overcommitted, a page that is refused is -ENOMEM. */
TEST_F(memory, refused_page_is_enomem)
{
	const char *mode = "/proc/sys/vm/overcommit_memory";
	const char *limit = "/proc/sys/vm/overcommit_kbytes";
	const uint64_t at = self->a.bar2.offset + 5 * PAGE;
	char mode_before[16], limit_before[32];
	uint32_t v = 1;
	ssize_t ret;

	ASSERT_GT(read_file(mode, mode_before, sizeof(mode_before)), 0);
	ASSERT_GT(read_file(limit, limit_before, sizeof(limit_before)), 0);
	ASSERT_EQ(write_file(limit, "4"), 0);
	ASSERT_EQ(write_file(mode, "2"), 0);
	ret = dev_write(&self->a, at, &v, 4);
	ASSERT_EQ(write_file(mode, mode_before), 0);
	ASSERT_EQ(write_file(limit, limit_before), 0);
	EXPECT_EQ(ret, -ENOMEM);
	EXPECT_EQ(self->mem[5 * PAGE / sizeof(self->mem[0])], 0);
	EXPECT_EQ(dev_write(&self->a, at, &v, 4), 4);
	EXPECT_EQ(self->mem[5 * PAGE / sizeof(self->mem[0])], 1);
}

/* A core dump of a VMM leaves the device's memory out, and allocates none of it. */
TEST_F(memory, core_dump_leaves_device_memory_out)
{
	const char *pattern = "/proc/sys/kernel/core_pattern", *core = "/tmp/tern-core";
	char before[256];
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct stat st;
	pid_t child;
	int status;

	ASSERT_GT(read_file(pattern, before, sizeof(before)), 0);
	ASSERT_EQ(write_file(pattern, core), 0);
	child = fork();
	if (!child) {
		setrlimit(RLIMIT_CORE, &all);
		abort();
	}
	ASSERT_EQ(waitpid(child, &status, 0), child);
	ASSERT_EQ(write_file(pattern, before), 0);
	EXPECT_TRUE(WCOREDUMP(status));
	ASSERT_EQ(stat(core, &st), 0);
	unlink(core);
	EXPECT_GT(st.st_size, 0);
	EXPECT_LT(st.st_size, MEMORY);
}

/* A file of its own for each open: a reset clears what is mapped, too. */
TEST_F(memory, reset_clears_mapped_memory)
{
	self->mem[0] = 1;
	ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_RESET), 0);
	EXPECT_EQ(self->mem[0], 0);
	self->mem[1] = 2;
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	EXPECT_EQ(pending(&self->a), BEGIN_RECORD + MEMORY_RECORD);
}

TEST_HARNESS_MAIN
