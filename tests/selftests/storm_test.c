// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything that can be asked of a device at once, by a thread each, as the
 * migration thread and the processors of a guest do. There is no prediction of what
 * one of them finds; but each call does what it is asked or says why not with an
 * errno that it is known for, the device is of use afterwards, and what is moved
 * then is whole. At the end it is closed under all of them.
 */
#include "fixture.h"
#include "kselftest_harness.h"

#define MEMORY		MIB
#define PAGES		(MEMORY / PAGE)
#define RAM		MIB
#define ADDRESS		0x40000000ULL

/* Rounds of the slowest thread; more where threads really run at the same time. */
#define ROUNDS		12
#define ROUNDS_MANY	50

struct storm {
	struct dev d;
	int irq;
	int file;			/* a data file that is not used yet, or -1 */
	volatile bool over;
	volatile bool closing;		/* from now on the descriptor may be gone */
};

struct thread {
	const char *name;
	long (*round)(struct storm *s, unsigned int round);
	uint64_t known;			/* errnos that it may get, a bit each */
	bool unmaps;			/* it needs a kernel where many may do so at once */
	struct storm *s;
	pthread_t id;
	volatile unsigned int rounds, refused;
	long wrong;
};

#define KNOWN(error)	(1ULL << (error))

/* An access: 0 if it was done as a whole, or its errno. */
static long get(struct storm *s, unsigned int region, uint64_t at, void *buf, size_t n)
{
	ssize_t ret = dev_read(&s->d, region_base(region) + at, buf, n);

	return ret == n ? 0 : ret < 0 ? ret : -EOVERFLOW;
}

static long put(struct storm *s, unsigned int region, uint64_t at, const void *buf, size_t n)
{
	ssize_t ret = dev_write(&s->d, region_base(region) + at, buf, n);

	return ret == n ? 0 : ret < 0 ? ret : -EOVERFLOW;
}

static long put32(struct storm *s, uint64_t at, uint32_t v)
{
	return put(s, VFIO_PCI_BAR0_REGION_INDEX, at, &v, 4);
}

static long put64(struct storm *s, uint64_t at, uint64_t v)
{
	return put(s, VFIO_PCI_BAR0_REGION_INDEX, at, &v, 8);
}

static long registers(struct storm *s, unsigned int round)
{
	uint32_t v;

	return put32(s, TERN_REG_SCRATCH(round % 16), round) ?:
	       put32(s, TERN_REG_IRQ_MASK, round % 3 ? 0 : 0xffff) ?:
	       put32(s, TERN_REG_DOORBELL, round % TERN_VECTORS) ?:
	       put32(s, TERN_REG_IRQ_STATUS, 0xffff) ?:
	       get(s, VFIO_PCI_BAR0_REGION_INDEX, TERN_REG_STATUS, &v, 4);
}

static long memory(struct storm *s, unsigned int round)
{
	uint64_t at = round * 7919 % (MEMORY - 5000);
	uint8_t buf[5000];

	memset(buf, round, sizeof(buf));
	return put(s, VFIO_PCI_BAR2_REGION_INDEX, at, buf, sizeof(buf)) ?:
	       get(s, VFIO_PCI_BAR2_REGION_INDEX, MEMORY - 5000 - at, buf, sizeof(buf));
}

static void *map_memory(struct storm *s)
{
	return mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, s->d.fd, s->d.bar2.offset);
}

/* Mappings that come and go, and are stored through. */
static long mappings(struct storm *s, unsigned int round)
{
	volatile uint64_t *mem = map_memory(s);
	unsigned int i;

	if (mem == MAP_FAILED)
		return -errno;
	for (i = 0; i < 10; i++)
		mem[(round + i * 7) % PAGES * 512] = round;
	return munmap((void *)mem, MEMORY) ? -errno : 0;
}

static long config(struct storm *s, unsigned int round)
{
	uint16_t command = MASTER ^ (round % 8 == 0) * 4;
	uint32_t bar = 0xfeb00000 + round * MEMORY;
	uint8_t all[256];

	return put(s, VFIO_PCI_CONFIG_REGION_INDEX, 4, &command, 2) ?:
	       put(s, VFIO_PCI_CONFIG_REGION_INDEX, 0x10, &bar, 4) ?:
	       get(s, VFIO_PCI_CONFIG_REGION_INDEX, 0, all, sizeof(all));
}

static long vectors(struct storm *s, unsigned int round)
{
	struct tern_msix_entry entry = { .data = round, .control = round % 2 };
	uint64_t at = TERN_MSIX_TABLE + round % TERN_VECTORS * sizeof(entry), pending;

	return put(s, VFIO_PCI_BAR4_REGION_INDEX, at, &entry.address_low, 4) ?:
	       put(s, VFIO_PCI_BAR4_REGION_INDEX, at + 12, &entry.control, 4) ?:
	       get(s, VFIO_PCI_BAR4_REGION_INDEX, at, &entry.data, 4) ?:
	       get(s, VFIO_PCI_BAR4_REGION_INDEX, TERN_MSIX_PBA, &pending, 8);
}

static long disable(struct storm *s, uint32_t index)
{
	return set_irqs(&s->d, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, index, 0, 0,
			-1);
}

/* Eight rounds of one kind, then of the other: both at the same time are refused. */
static long triggers(struct storm *s, unsigned int round)
{
	const uint32_t mask = round % 2 ? VFIO_IRQ_SET_ACTION_MASK : VFIO_IRQ_SET_ACTION_UNMASK;
	const bool line = round / 8 % 2;
	long ret;

	if (line)
		ret = set_trigger(&s->d, VFIO_PCI_INTX_IRQ_INDEX, 0, round % 4 ? s->irq : -1) ?:
		      set_irqs(&s->d, VFIO_IRQ_SET_DATA_NONE | mask,
				       VFIO_PCI_INTX_IRQ_INDEX, 0, 1, -1);
	else
		ret = set_trigger(&s->d, VFIO_PCI_MSIX_IRQ_INDEX, round % TERN_VECTORS,
				  round % 5 ? s->irq : -1);
	if (!ret && round % 8 == 7)
		ret = disable(s, line ? VFIO_PCI_INTX_IRQ_INDEX : VFIO_PCI_MSIX_IRQ_INDEX);
	return ret;
}

static long transfers(struct storm *s, unsigned int round)
{
	const uint32_t op = 1 + round % 4;
	uint64_t done;

	return put64(s, TERN_DMA_ADDRESS_LOW, ADDRESS + round * 4093 % (RAM / 2)) ?:
	       put64(s, TERN_DMA_OFFSET_LOW, round * 8191 % (MEMORY / 2)) ?:
	       put64(s, TERN_DMA_LENGTH_LOW, 1 + round * 65521 % (RAM / 2)) ?:
	       put32(s, TERN_DMA_COMMAND, op | TERN_DMA_INTERRUPT | TERN_DMA_VECTOR(round % 16)) ?:
	       get(s, VFIO_PCI_BAR0_REGION_INDEX, TERN_DMA_DONE_LOW, &done, 8);
}

static long states(struct storm *s, unsigned int round)
{
	/* On with a session, whole and in part; a load; and what is never allowed. */
	static const uint32_t to[] = {
		RUNNING, RUNNING | SAVING, SAVING, STOP, RUNNING, RUNNING | SAVING, RUNNING,
		STOP, RESUMING, RUNNING, STOP, SAVING, RUNNING, 5, 6, 7, RUNNING | SAVING,
	};
	uint32_t state;
	long ret;

	ret = set_state(&s->d, to[round % ARRAY_SIZE(to)]) ?:
	      get(s, VFIO_PCI_NUM_REGIONS, V1(device_state), &state, 4);
	return ret ?: state <= RESUMING ? 0 : -EPROTO;
}

/* The migration thread of a source, and that of a destination. */
static long chunks(struct storm *s, unsigned int round)
{
	uint64_t n, offset, size;
	uint8_t piece[PAGE];
	long ret;

	ret = reg_read(&s->d, V1(pending_bytes), &n) ?:
	      reg_read(&s->d, V1(data_offset), &offset) ?:
	      reg_read(&s->d, V1(data_size), &size) ?:
	      get(s, VFIO_PCI_NUM_REGIONS, s->d.window, piece, sizeof(piece));
	if (ret)
		return ret;
	return offset == s->d.window && size <= s->d.mig.size - offset ? 0 : -EPROTO;
}

static long loads(struct storm *s, unsigned int round)
{
	uint64_t n = round % 100;
	uint8_t piece[64];

	memset(piece, round, sizeof(piece));
	return put(s, VFIO_PCI_NUM_REGIONS, s->d.window + 64, piece, sizeof(piece)) ?:
	       put(s, VFIO_PCI_NUM_REGIONS, V1(data_size), &n, 8);
}

/* The other protocol; its files are for data_files(), which uses what it finds. */
static long other_states(struct storm *s, unsigned int round)
{
	static const uint32_t to[] = {
		S_PRE_COPY, S_PRE_COPY_P2P, S_STOP_COPY, S_STOP, S_RUNNING, S_RESUMING, S_RUNNING,
		S_RUNNING_P2P, S_PRE_COPY, S_RUNNING, S_STOP_COPY, S_RUNNING, S_ERROR, STATES,
	};
	int fd, state, old;
	long ret;

	ret = go_open(&s->d, to[round % ARRAY_SIZE(to)], &fd);
	if (!ret && fd >= 0) {
		old = __atomic_exchange_n(&s->file, fd, __ATOMIC_SEQ_CST);
		if (old >= 0)
			close(old);
	}
	if (ret)
		return ret;
	state = where(&s->d);
	return state < 0 ? state : state > S_ERROR && state < STATES ? 0 : -EPROTO;
}

/* Reads, writes, polls and asks it, while its session continues or ends. */
static long data_files(struct storm *s, unsigned int round)
{
	int fd = __atomic_exchange_n(&s->file, -1, __ATOMIC_SEQ_CST), state = where(&s->d), i;
	uint64_t initial, dirty;
	static uint8_t buf[70000];
	long ret = 0;

	if (fd < 0)
		return state < 0 ? state : 0;
	for (i = 0; i < 5 && ret >= 0; i++) {
		poll_now(fd);
		precopy_info(fd, &initial, &dirty);
		ret = read(fd, buf, sizeof(buf));
		if (ret < 0 && errno == EBADF) {
			/* Which check of the loader's notices is not the matter here. */
			ret = write(fd, buf, 1 + round % 100);
			if (ret < 0 && errno != ENODEV && errno != EINTR)
				errno = EINVAL;
		}
		if (ret < 0)
			ret = -errno;
		sched_yield();
	}
	close(fd);
	return state < 0 ? state : ret < 0 ? ret : 0;
}

static long resets(struct storm *s, unsigned int round)
{
	return ioctl(s->d.fd, VFIO_DEVICE_RESET) ? -errno : 0;
}

static long attributes(struct storm *s, unsigned int round)
{
	char buf[4096];

	return attr_text(UUID_A, "state", buf, sizeof(buf)) < 0 ||
	       attr_text(UUID_A, "pending_bytes", buf, sizeof(buf)) < 0 ||
	       attr_text(UUID_A, "pass_bytes", buf, sizeof(buf)) < 0 ? -EPROTO : 0;
}

/* What gives up for a reset says -EINTR, what comes at the wrong time -EINVAL. */
static const struct thread threads[] = {
	{ .name = "registers", .round = registers },
	{ .name = "memory", .round = memory },
	{ .name = "mappings", .round = mappings, .unmaps = true },
	{ .name = "more mappings", .round = mappings, .unmaps = true },
	{ .name = "config space", .round = config },
	{ .name = "MSI-X table", .round = vectors },
	{ .name = "triggers", .round = triggers },
	{ .name = "DMA", .round = transfers },
	{ .name = "states", .round = states,
	  .known = KNOWN(EINVAL) | KNOWN(EIO) | KNOWN(EBUSY) },
	{ .name = "other states", .round = other_states,
	  .known = KNOWN(EINVAL) | KNOWN(EIO) | KNOWN(EBUSY) },
	{ .name = "data files", .round = data_files,
	  .known = KNOWN(EINVAL) | KNOWN(EINTR) | KNOWN(ENODEV) | KNOWN(ENOMSG) },
	{ .name = "chunks", .round = chunks, .known = KNOWN(EINTR) },
	{ .name = "loads", .round = loads,
	  .known = KNOWN(EINVAL) | KNOWN(EINTR) | KNOWN(EBUSY) },
	{ .name = "resets", .round = resets },
	{ .name = "attributes", .round = attributes },
};

#define THREADS	ARRAY_SIZE(threads)

static void *blow(void *arg)
{
	struct thread *t = arg;
	long ret;

	while (!t->s->over && !t->wrong) {
		ret = t->round(t->s, t->rounds);
		if (ret == -EBADF && t->s->closing)
			break;
		if (ret < 0 && t->known >> -ret & 1)
			t->refused++;
		else
			t->wrong = ret;
		t->rounds++;
		/* With one processor and no preemption, no other thread had a turn. */
		sched_yield();
	}
	return NULL;
}

FIXTURE(storm) {
	struct storm s;
	struct dev b;
	uint8_t *ram;
	struct stream stream;
	struct thread threads[THREADS];
};

FIXTURE_SETUP(storm)
{
	NEEDS_TERN();
	self->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(pair_on(&self->s.d, &self->b,
			  (struct setting){ .memory_mib = 1, .by = &v1_trapped }), 0);
	ASSERT_EQ(dev_map_window(&self->b), 0);
	ASSERT_EQ(map_guest(&self->s.d, self->ram, ADDRESS, RAM), 0);
	self->s.irq = eventfd(0, EFD_NONBLOCK);
}

FIXTURE_TEARDOWN(storm)
{
	EXPECT_EQ(pair_off(&self->s.d, &self->b, &self->stream), 0);
	close(self->s.irq);
}

static void begin(struct __test_metadata *_metadata, FIXTURE_DATA(storm) *self)
{
	const bool many = sysconf(_SC_NPROCESSORS_ONLN) > 1;
	const unsigned int rounds = many ? ROUNDS_MANY : ROUNDS;
	unsigned int i;

	self->s.over = self->s.closing = false;
	self->s.file = -1;
	for (i = 0; i < THREADS; i++) {
		self->threads[i] = threads[i];
		self->threads[i].s = &self->s;
		/*
		 * User Mode Linux walks the vmas without a lock when two unmap at
		 * once, or one unmaps while the device does, and lockdep says so.
		 */
		if (threads[i].unmaps && !many)
			self->threads[i].round = memory;
		ASSERT_EQ(pthread_create(&self->threads[i].id, NULL, blow, &self->threads[i]), 0);
	}
	for (i = 0; i < THREADS; i++)
		while (self->threads[i].rounds < rounds && !self->threads[i].wrong)
			usleep(1000);
}

static void end(struct __test_metadata *_metadata, FIXTURE_DATA(storm) *self)
{
	unsigned int i;

	self->s.over = true;
	for (i = 0; i < THREADS; i++)
		pthread_join(self->threads[i].id, NULL);
	if (self->s.file >= 0)
		close(self->s.file);
	/* Whichever is enabled. */
	disable(&self->s, VFIO_PCI_INTX_IRQ_INDEX);
	disable(&self->s, VFIO_PCI_MSIX_IRQ_INDEX);
	for (i = 0; i < THREADS; i++) {
		struct thread *t = &self->threads[i];

		TH_LOG("%s: %u rounds, %u refused", t->name, t->rounds, t->refused);
		EXPECT_EQ(t->wrong, 0)
			TH_LOG("%s: round %u", t->name, t->rounds);
		/* A load may find the device never resuming; all others are let through. */
		if (t->round != loads)
			EXPECT_LT(t->refused, t->rounds);
	}
}

/* It runs, interrupts, transfers; and all of it arrives at another one. */
static void of_use(struct __test_metadata *_metadata, FIXTURE_DATA(storm) *self)
{
	static uint8_t from[MEMORY], to[MEMORY];
	struct dev *a = &self->s.d, *b = &self->b;
	volatile uint64_t *mem = map_memory(&self->s);
	struct account account;
	unsigned int i;

	ASSERT_NE(mem, MAP_FAILED);
	ASSERT_EQ(ioctl(a->fd, VFIO_DEVICE_RESET), 0);
	EXPECT_EQ(get_state(a), RUNNING);
	EXPECT_EQ(pending(a), 0);
	ASSERT_EQ(dev_read(a, a->bar2.offset, from, MEMORY), MEMORY);
	EXPECT_EQ(memcmp(from, to, MEMORY), 0);
	signals(self->s.irq);
	ASSERT_EQ(set_command(a, MASTER), 0);
	ASSERT_EQ(set_trigger(a, VFIO_PCI_MSIX_IRQ_INDEX, 3, self->s.irq), 0);
	bar0_write(a, TERN_REG_DOORBELL, 3);
	EXPECT_EQ(signals(self->s.irq), 1);
	memset(self->ram, 0x77, PAGE);
	EXPECT_EQ(dma_do(a, TERN_DMA_OP_TO_DEVICE, ADDRESS, 9 * PAGE, PAGE), TERN_DMA_DONE);

	for (i = 0; i < 32; i++)
		mem[i * 3 * 512] = i + 1;
	self->stream.len = 0;
	ASSERT_EQ(set_state(a, RUNNING | SAVING), 0);
	ASSERT_EQ(save_all(a, &self->stream), 0);
	for (i = 0; i < 32; i++)
		mem[i * 5 * 512 + 7] = ~i;
	ASSERT_EQ(save_by(a, &self->stream, 100000), 0);
	account = read_account(self->stream.buf, self->stream.len);
	EXPECT_TRUE(account.whole && !account.wrong);
	ASSERT_EQ(load_by(b, &self->stream, 100000), 0);
	ASSERT_EQ(dev_read(b, b->bar2.offset, to, MEMORY), MEMORY);
	EXPECT_EQ(memcmp((void *)mem, to, MEMORY), 0);
	munmap((void *)mem, MEMORY);
}

/* V1-16 P-33: all at once, by both protocols, and then nothing of it is left. */
TEST_F(storm, V1_16_P33_concurrent_callers_leave_a_usable_device)
{
	begin(_metadata, self);
	end(_metadata, self);
	of_use(_metadata, self);
}

/* V1-16 V2-3 P-15: closed under all of them, and the next owner finds a new device. */
TEST_F(storm, V1_16_P15_close_under_callers_leaves_a_new_device)
{
	int nothing = open("/", O_PATH | O_CLOEXEC);
	unsigned int i;

	ASSERT_GE(nothing, 0);
	begin(_metadata, self);
	self->s.closing = true;
	/* To close it would have its number mean another file before all have seen it. */
	ASSERT_EQ(dup2(nothing, self->s.d.fd), self->s.d.fd);
	close(nothing);
	/* All threads that need a descriptor are ended. */
	for (i = 0; i < THREADS; i++)
		if (threads[i].round != attributes)
			pthread_join(self->threads[i].id, NULL);
	ASSERT_EQ(device_again(&self->s.d, (struct setting){ 0 }), 0);
	ASSERT_EQ(map_guest(&self->s.d, self->ram, ADDRESS, RAM), 0);
	self->s.over = true;
	for (i = 0; i < THREADS; i++) {
		struct thread *t = &self->threads[i];

		if (t->round == attributes)
			pthread_join(t->id, NULL);
		EXPECT_EQ(t->wrong, 0)
			TH_LOG("%s: round %u", t->name, t->rounds);
	}
	if (self->s.file >= 0)
		close(self->s.file);
	EXPECT_EQ(bar0_read(&self->s.d, TERN_REG_SCRATCH(1)), 0);
	of_use(_metadata, self);
}

TEST_HARNESS_MAIN
