// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine alone, in user space, against memcpy() plus the same CRC-32C over
 * the same bytes. Both use the processor's own instruction, so that what is left
 * to see is the engine.
 */
#include "device.h"
#include "bench.h"

#define PAGES	16384
#define CHUNK	(4UL << 20)
#define RUNS	50

/* No test counts copies here. */
#undef memcpy

/* Stand in for tests/host/env.c, whose CRC is for tests. */
long host_fail_alloc;
bool host_killed;
u64 host_clock;
void (*host_copied)(const void *from, size_t n);
void (*host_step)(const char *name, unsigned long page);

u32 crc32c(u32 crc, const void *p, size_t n)
{
	const u8 *b = p;
	u64 c = crc, word;

	for (; n >= 8; n -= 8, b += 8) {
		memcpy(&word, b, 8);
		c = __builtin_ia32_crc32di(c, word);
	}
	while (n--)
		c = __builtin_ia32_crc32qi(c, *b++);
	return c;
}

void get_random_bytes(void *p, size_t n)
{
	memset(p, 0x42, n);
}

static struct feeder f;
static volatile u32 keep;

/* As a reader of chunks has it: each is assembled in the staging buffer. */
static double save(void)
{
	size_t len = 0;
	double begin;
	ssize_t n;

	assert(!tern_machine_go(&f.mc, TERN_PHASE_RUNNING));
	begin = now();
	assert(!tern_machine_go(&f.mc, TERN_PHASE_STOPPED_SAVING));
	while (tern_session_pending(f.mc.session)) {
		n = tern_session_prepare(f.mc.session);
		assert(n > 0);
		tern_session_retire(f.mc.session);
		len += n;
	}
	f.len = len;
	return now() - begin;
}

/* The same bytes to the same buffer, in pieces as large, and a sum of them. */
static double copy_and_sum(void)
{
	double begin = now();
	u32 crc = ~0U;
	size_t at, n;

	for (at = 0; at < PAGES * HOST_PAGE; at += n) {
		n = min(CHUNK, PAGES * HOST_PAGE - at);
		memcpy(f.staging, f.dev->mem + at, n);
		crc = crc32c(crc, f.staging, n);
	}
	keep = crc;
	return now() - begin;
}

#define BEGIN_PAGES	(64UL << 30 >> 12)

/* A session of 64 GiB begins, all of it touched: the bitmap by words, or by pages. */
static void begin(void)
{
	double words = 1e9, pages = 1e9, clear = 1e9, from;
	struct tern_dirty d;
	unsigned long page;
	int i;

	assert(!tern_dirty_init(&d, BEGIN_PAGES));
	memset(d.touched, 0xff, BEGIN_PAGES / 8);
	for (i = 0; i < 5; i++) {
		from = now();
		tern_dirty_begin(&d, NULL);
		words = min(words, now() - from);
		from = now();
		tern_dirty_clear(&d);
		clear = min(clear, now() - from);
		memset(d.touched, 0xff, BEGIN_PAGES / 8);
		from = now();
		for (page = 0; page < BEGIN_PAGES; page++) {
			unsigned long *word = &d.dirty.level[0][page / BITS_PER_LONG];

			__atomic_fetch_add(&d.count.v, 1, __ATOMIC_SEQ_CST);
			__atomic_fetch_or(word, BIT(page % BITS_PER_LONG), __ATOMIC_SEQ_CST);
		}
		pages = min(pages, now() - from);
		memset(d.dirty.level[0], 0, BEGIN_PAGES / 8);
	}
	tern_dirty_uninit(&d);
	figure("begin", words * 1e3, "ms", pages * 1e3, words / pages);
	figure("clear", clear * 1e3, "ms", pages * 1e3, clear / pages);
}

int main(void)
{
	double engine = 1e9, copy = 1e9, mib;
	unsigned long i;

	feeder_init_with(&f, PAGES, true, CHUNK);
	for (i = 0; i < PAGES; i++)
		host_store(f.dev, i, i);
	/* In turn: what disturbs the one for a while disturbs the other. */
	for (i = 0; i < RUNS; i++) {
		engine = min(engine, save());
		copy = min(copy, copy_and_sum());
	}
	mib = f.len / 1048576.0;
	figure("engine", mib / engine, "MiB/s", mib / copy, copy / engine);
	begin();
	return 0;
}
