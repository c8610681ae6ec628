// SPDX-License-Identifier: GPL-2.0-only
/* The session's rules, by a feeder that reads chunks, and a reader of its own. */
#include "core/loader.h"
#include "device.h"
#include "tap.h"

#define MEMORY_RECORD	(24 + 8 + HOST_PAGE)
#define BEGIN_RECORD	(24 + 48)
#define FINAL_RECORDS	(24 + 72 + 24 + 4096 + 24 + 264 + 24 + 64 + 24 + 16)

/* Count the records of a type without the core's reader. */
static unsigned int count(const struct feeder *f, u32 type, size_t from)
{
	unsigned int n = 0;
	size_t at;

	for (at = from; at < f->len;) {
		u32 t, length;

		memcpy(&t, f->stream + at, 4);
		memcpy(&length, f->stream + at + 16, 4);
		n += le32toh(t) == type;
		at += 24 + le32toh(length);
	}
	CHECK_EQ(at, f->len);
	return n;
}

/* Load all of a feeder's stream elsewhere and compare. */
static void check_moves(struct feeder *f)
{
	struct feeder to;

	feeder_init(&to, f->dev->dirty.pages, true);
	CHECK_EQ(feeder_load(&to, f->stream, f->len, 0), 0);
	CHECK_EQ(tern_machine_go(&to.mc, TERN_PHASE_RUNNING), 0);
	CHECK(host_device_equal(f->dev, to.dev));
	feeder_uninit(&to);
}

static void test_snapshot_then_iterations(void)
{
	struct feeder f;
	unsigned int pass, i;
	size_t before;

	feeder_init(&f, 64, true);
	host_device_dress(f.dev, 3);
	for (i = 0; i < 40; i++)
		host_store(f.dev, i, i + 1);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
	/* S-4: at first, the whole snapshot, to the byte. */
	CHECK_EQ(tern_session_pending(f.mc.session), BEGIN_RECORD + 40 * MEMORY_RECORD);
	feeder_drain(&f);
	CHECK_EQ(f.len, BEGIN_RECORD + 40 * MEMORY_RECORD);
	for (pass = 0; pass < 5; pass++) {
		before = f.len;
		for (i = 0; i < 7; i++)
			host_store(f.dev, (pass * 11 + i * 3) % 64, pass * 16 + i);
		CHECK_EQ(tern_session_pending(f.mc.session), 7 * MEMORY_RECORD);
		feeder_drain(&f);
		CHECK_EQ(f.len - before, 7 * MEMORY_RECORD);
	}
	/* S-5: none of the final records while it runs. */
	CHECK_EQ(count(&f, TERN_RECORD_REGISTERS, 0), 0);
	before = f.len;
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED_SAVING), 0);
	CHECK_EQ(tern_session_pending(f.mc.session), FINAL_RECORDS);
	feeder_drain(&f);
	CHECK_EQ(tern_session_pending(f.mc.session), 0);
	CHECK_EQ(feeder_chunk(&f), 0);
	CHECK_EQ(count(&f, TERN_RECORD_REGISTERS, before), 1);
	CHECK_EQ(count(&f, TERN_RECORD_CONFIG_SPACE, before), 1);
	CHECK_EQ(count(&f, TERN_RECORD_INTERRUPTS, before), 1);
	CHECK_EQ(count(&f, TERN_RECORD_DMA, before), 1);
	CHECK_EQ(count(&f, TERN_RECORD_END, before), 1);
	CHECK_EQ(f.mc.stats.passes, 6);
	CHECK_EQ(f.mc.stats.stopped_bytes, FINAL_RECORDS);
	check_moves(&f);
	feeder_uninit(&f);
}

/* S-3: stopped after any chunk of a run that dirties continuously. */
static void test_stop_anywhere(void)
{
	unsigned int stop, i;

	for (stop = 0; stop < 30; stop++) {
		struct feeder f;

		feeder_init(&f, 32, true);
		srand(stop);
		host_device_dress(f.dev, stop);
		for (i = 0; i < 32; i += 2)
			host_store(f.dev, i, i + 1);
		CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
		for (i = 0; i < stop; i++) {
			feeder_chunk(&f);
			host_store(f.dev, rand() % 32, rand());
			host_store(f.dev, rand() % 32, rand());
		}
		CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED_SAVING), 0);
		feeder_drain(&f);
		check_moves(&f);
		feeder_uninit(&f);
	}
}

/* How far into a life of reading the stop comes, and what went out by then. */
struct life {
	struct feeder f;
	unsigned int calls, stop;
	bool partly;
};

/* One more call was made: is it the last? The device works on meanwhile. */
static bool called(struct life *l)
{
	if (l->calls++ == l->stop)
		return true;
	host_store(l->f.dev, l->calls * 7 % 32, l->calls);
	return false;
}

/* Read as a VMM does, three passes; true if the stop came in between. */
static bool read_on(struct life *l)
{
	struct feeder *f = &l->f;

	while (f->mc.stats.passes < 3) {
		ssize_t n, at;
		size_t before = f->len;

		tern_session_pending(f->mc.session);
		if (called(l))
			return true;
		n = tern_session_prepare(f->mc.session);
		CHECK(n > 0);
		if (n <= 0)
			return false;
		if (called(l))
			return true;
		CHECK_EQ(tern_session_prepare(f->mc.session), n);
		for (at = 0; at < n;) {
			struct tern_record *head = (void *)(f->staging + at);
			size_t bytes = sizeof(*head) + le32toh(head->length);

			/* What was read of a chunk went out, or was dropped. */
			feeder_append(f, head, bytes);
			at += bytes;
			if (called(l)) {
				if (!l->partly)
					f->len = before;
				return true;
			}
		}
		tern_session_retire(f->mc.session);
		if (called(l))
			return true;
	}
	return false;
}

/* S-3, V1-7: stopped after each call and after each record of three passes. */
static void test_stop_after_every_call(void)
{
	struct life l = { 0 };
	bool stopped = true;
	unsigned int i;

	for (; stopped; l.stop += l.partly, l.partly = !l.partly) {
		l.calls = 0;
		feeder_init(&l.f, 32, true);
		host_device_dress(l.f.dev, 7);
		for (i = 0; i < 32; i++)
			host_store(l.f.dev, i, i + 100);
		CHECK_EQ(tern_machine_go(&l.f.mc, TERN_PHASE_RUNNING_SAVING), 0);
		stopped = read_on(&l);
		CHECK_EQ(tern_machine_go(&l.f.mc, TERN_PHASE_STOPPED_SAVING), 0);
		feeder_drain(&l.f);
		check_moves(&l.f);
		feeder_uninit(&l.f);
	}
	/* 32 pages in the snapshot alone, and each was a place to stop. */
	CHECK(l.stop > 64, "%u", l.stop);
}

/* P-2: a device that rests is asked again and again, and has nothing to say. */
static void test_rests(void)
{
	struct feeder f;
	unsigned int i;

	feeder_init(&f, 64, true);
	for (i = 0; i < 64; i++)
		host_store(f.dev, i, i + 1);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
	feeder_drain(&f);
	for (i = 0; i < 10; i++) {
		CHECK_EQ(tern_session_pending(f.mc.session), 0);
		CHECK_EQ(feeder_chunk(&f), 0);
	}
	/* One page is one page, not the device. */
	host_store(f.dev, 9, 1);
	CHECK_EQ(tern_session_pending(f.mc.session), MEMORY_RECORD);
	feeder_uninit(&f);
}

/* S-7: a session that is over has nothing, and its bytes do not come back. */
static void test_nothing_afterwards(void)
{
	struct feeder f;

	feeder_init(&f, 16, true);
	host_store(f.dev, 3, 1);
	feeder_save(&f);
	CHECK_EQ(tern_session_pending(f.mc.session), 0);
	CHECK_EQ(tern_session_prepare(f.mc.session), 0);
	tern_session_retire(f.mc.session);
	CHECK_EQ(tern_session_pending(f.mc.session), 0);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED), 0);
	CHECK(!f.mc.session);
	feeder_uninit(&f);
}

/* Of two chunks: at some sizes of the window the sections fill the second one exactly. */
#define PAGES_OF_TWO	31

static void check_capacity(size_t capacity, unsigned int pages)
{
	struct tern_record next;
	struct feeder f;
	ssize_t n = capacity;
	unsigned int i;
	size_t at;

	feeder_init_with(&f, pages, true, capacity);
	host_device_dress(f.dev, 7);
	for (i = 0; i < pages; i++)
		host_store(f.dev, i, i + 1);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED_SAVING), 0);
	while (tern_session_pending(f.mc.session)) {
		size_t before = n;

		at = f.len;
		n = feeder_chunk(&f);
		CHECK(n > 0 && n <= (ssize_t)capacity);
		/* The chunk before had no room for a page, nor for END behind a section. */
		memcpy(&next, f.stream + at, sizeof(next));
		if (le32toh(next.type) == TERN_RECORD_END)
			CHECK(before + sizeof(next) + le32toh(next.length) > capacity);
		else
			CHECK(before + MEMORY_RECORD > capacity);
	}
	CHECK_EQ(f.len, BEGIN_RECORD + pages * MEMORY_RECORD + FINAL_RECORDS);
	check_moves(&f);
	feeder_uninit(&f);
}

/* V1-17: a chunk is as large as the window allows, in whole records, at any size. */
static void test_any_capacity(void)
{
	size_t capacity;
	unsigned int n;

	for (capacity = TERN_CHUNK_MIN; capacity < TERN_CHUNK_MIN + MEMORY_RECORD + 200;
	     capacity += 8)
		check_capacity(capacity, PAGES_OF_TWO);
	/* Whole records fill it exactly, also behind those that are put together at once. */
	for (n = 120; n < 140; n++)
		check_capacity(BEGIN_RECORD + n * MEMORY_RECORD, n + 1);
}

/* Records are put together out of user space's reach: there only in place. */
static void test_in_place(void)
{
	unsigned int in_place;

	for (in_place = 0; in_place <= 1; in_place++) {
		const u8 *to;
		struct feeder f;

		feeder_init(&f, 16, true);
		f.mc.config.in_place = in_place;
		host_store(f.dev, 3, 1);
		CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED_SAVING), 0);
		feeder_drain(&f);
		to = f.dev->copied_to;
		CHECK_EQ(to >= f.staging && to < f.staging + FEEDER_CAPACITY, in_place);
		check_moves(&f);
		feeder_uninit(&f);
	}
}

/* Pages of zeroes: first they need no record, later one that clears what was sent. */
static void check_zeroes(unsigned int pages, bool in_place, bool (*is_zero)(unsigned int page))
{
	unsigned int i, zeroes = 0, before;
	struct feeder f;

	feeder_init(&f, pages, true);
	f.mc.config.in_place = in_place;
	for (i = 0; i < pages; i++) {
		zeroes += is_zero(i);
		host_store(f.dev, i, is_zero(i) ? 0 : i % 255 + 1);
	}
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
	/* What is pending gives bytes, zeroes or not: feeder_drain() asserts that. */
	feeder_drain(&f);
	before = count(&f, TERN_RECORD_MEMORY, 0);
	/* A batch has one in any case. 16, 15, 14 ... pages are one, then the chunk is full. */
	CHECK(before >= pages - zeroes && before <= pages - zeroes + DIV_ROUND_UP(zeroes, 8),
	      "%u records of %u pages, %u zero", before, pages, zeroes);
	for (i = 0; i < pages; i++)
		host_store(f.dev, i, is_zero(i) ? i % 255 + 1 : 0);
	feeder_drain(&f);
	CHECK_EQ(count(&f, TERN_RECORD_MEMORY, 0), before + pages);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED_SAVING), 0);
	feeder_drain(&f);
	check_moves(&f);
	feeder_uninit(&f);
}

static bool all(unsigned int page)
{
	return true;
}

static bool every_third(unsigned int page)
{
	return page % 3 == 0;
}

static bool all_but_every_third(unsigned int page)
{
	return page % 3 != 1;
}

static void test_zeroes(void)
{
	unsigned int in_place;

	for (in_place = 0; in_place <= 1; in_place++) {
		check_zeroes(1, in_place, all);
		check_zeroes(100, in_place, all);
		check_zeroes(100, in_place, every_third);
		check_zeroes(100, in_place, all_but_every_third);
	}
}

/* What is asked of a session while a store is being marked: what is pending is given. */
static struct {
	struct feeder *f;
	unsigned int asked;
} midst;

static void ask_in_the_midst(const char *name, unsigned long page)
{
	struct tern_session *s = midst.f->mc.session;
	u64 pending;

	if (strcmp(name, "summary"))
		return;
	host_step = NULL;
	pending = tern_session_pending(s);
	CHECK_EQ(feeder_chunk(midst.f) > 0, pending > 0);
	midst.asked++;
	host_step = ask_in_the_midst;
}

/* The pass before has ended in the middle of a word; its bits are clear, and its summaries. */
static void test_asked_while_marking(void)
{
	struct feeder f;
	unsigned long page;

	feeder_init(&f, 8192, true);
	midst.f = &f;
	midst.asked = 0;
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
	for (page = 8000; page < 8192; page += 7) {
		host_store(f.dev, page, 1);
		feeder_drain(&f);
		host_step = ask_in_the_midst;
		host_store(f.dev, page + 1 < 8192 ? page + 1 : 0, 2);
		host_step = NULL;
	}
	CHECK_EQ(midst.asked, 2 * 28);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED_SAVING), 0);
	feeder_drain(&f);
	check_moves(&f);
	feeder_uninit(&f);
}

static void test_logging_again(void)
{
	struct feeder f;
	unsigned int i;

	feeder_init(&f, 16, true);
	for (i = 0; i < 16; i++)
		host_store(f.dev, i, i + 1);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
	feeder_drain(&f);
	CHECK_EQ(tern_session_prepare(f.mc.session), 0);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING), 0);
	f.len = 0;
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
	CHECK_EQ(tern_session_pending(f.mc.session), BEGIN_RECORD + 16 * MEMORY_RECORD);
	CHECK_EQ(f.mc.stats.passes, 0);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED_SAVING), 0);
	feeder_drain(&f);
	check_moves(&f);
	feeder_uninit(&f);
}

static void test_no_precopy(void)
{
	struct feeder f;

	feeder_init(&f, 16, false);
	host_store(f.dev, 3, 1);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
	CHECK_EQ(tern_session_pending(f.mc.session), 0);
	CHECK_EQ(feeder_chunk(&f), 0);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED_SAVING), 0);
	CHECK_EQ(tern_session_pending(f.mc.session), BEGIN_RECORD + MEMORY_RECORD + FINAL_RECORDS);
	feeder_drain(&f);
	CHECK_EQ(f.mc.stats.passes, 0);
	CHECK_EQ(f.mc.stats.stopped_bytes, f.len);
	check_moves(&f);
	feeder_uninit(&f);
}

/* An idle device, never touched: nothing to say before the stop, little after. */
static void test_untouched(void)
{
	struct feeder f;

	feeder_init(&f, 4096, true);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
	CHECK_EQ(tern_session_pending(f.mc.session), BEGIN_RECORD);
	CHECK_EQ(tern_session_initial(f.mc.session), BEGIN_RECORD);
	feeder_drain(&f);
	CHECK_EQ(f.len, BEGIN_RECORD);
	CHECK_EQ(tern_session_pending(f.mc.session), 0);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED_SAVING), 0);
	feeder_drain(&f);
	CHECK_EQ(f.len, BEGIN_RECORD + FINAL_RECORDS);
	check_moves(&f);
	feeder_uninit(&f);
}

/* Only a retired chunk was sent; nothing else advances the session. */
static void test_chunk_is_stable(void)
{
	u8 first[FEEDER_CAPACITY];
	struct feeder f;
	ssize_t n;
	u64 left;

	feeder_init(&f, 64, true);
	for (n = 0; n < 64; n++)
		host_store(f.dev, n, n + 1);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
	left = tern_session_pending(f.mc.session);
	tern_session_retire(f.mc.session);
	CHECK_EQ(tern_session_pending(f.mc.session), left);
	n = tern_session_prepare(f.mc.session);
	CHECK(n > 0 && n <= (ssize_t)FEEDER_CAPACITY);
	memcpy(first, f.staging, n);
	CHECK_EQ(tern_session_prepare(f.mc.session), n);
	CHECK(!memcmp(first, f.staging, n));
	CHECK_EQ(tern_session_pending(f.mc.session), left);
	tern_session_retire(f.mc.session);
	CHECK_EQ(tern_session_pending(f.mc.session), left - n);
	tern_session_retire(f.mc.session);
	CHECK_EQ(tern_session_pending(f.mc.session), left - n);
	feeder_uninit(&f);
}

/* Prepared, read or not, and then stopped: it comes again, and does no harm. */
static void test_unacknowledged_chunk(void)
{
	unsigned int delivered;

	for (delivered = 0; delivered < 2; delivered++) {
		u8 chunk[FEEDER_CAPACITY];
		struct feeder f;
		ssize_t n;
		u64 left;

		feeder_init(&f, 64, true);
		for (n = 0; n < 64; n++)
			host_store(f.dev, n, n + 1);
		CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
		CHECK(feeder_chunk(&f) > 0);
		n = tern_session_prepare(f.mc.session);
		memcpy(chunk, f.staging, n);
		if (delivered)
			feeder_append(&f, chunk, n);
		left = tern_session_pending(f.mc.session);
		CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED_SAVING), 0);
		/* Offered: a retire does not make it go. */
		tern_session_retire(f.mc.session);
		CHECK_EQ(tern_session_pending(f.mc.session), left + FINAL_RECORDS);
		CHECK_EQ(tern_session_prepare(f.mc.session), n);
		CHECK(!memcmp(chunk, f.staging, n));
		feeder_drain(&f);
		check_moves(&f);
		feeder_uninit(&f);
	}
}

/* A page that cannot be read is read later; nothing is lost in between. */
static void test_take_fails(void)
{
	long fail;

	for (fail = 1; fail < 40; fail++) {
		struct feeder f;
		unsigned int i, errors = 0;

		feeder_init(&f, 32, true);
		for (i = 0; i < 32; i++)
			host_store(f.dev, i, i + fail);
		CHECK_EQ(tern_machine_go(&f.mc, fail % 2 ? TERN_PHASE_RUNNING_SAVING :
					 TERN_PHASE_STOPPED_SAVING), 0);
		f.dev->fail_get = fail;
		while (tern_session_pending(f.mc.session)) {
			ssize_t n = feeder_chunk(&f);

			CHECK(n > 0 || n == -ENOMEM, "%zd", n);
			errors += n < 0;
		}
		CHECK(errors <= 1);
		if (fail % 2)
			CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED_SAVING), 0);
		f.dev->fail_get = 0;
		feeder_drain(&f);
		check_moves(&f);
		feeder_uninit(&f);
	}
}

/* Every store while the chunk is put together, at every step point. */
static struct feeder *racing;
static unsigned int step_n, step_hit;

static void store_at_step(const char *name, unsigned long page)
{
	if (++step_n == step_hit)
		host_store(racing->dev, page, 0xaa);
}

static void test_stores_while_saving(void)
{
	for (step_hit = 1; step_hit < 120; step_hit++) {
		struct feeder f;
		unsigned int i;

		feeder_init(&f, 24, true);
		for (i = 0; i < 24; i++)
			host_store(f.dev, i, i + 1);
		CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
		racing = &f;
		step_n = 0;
		host_step = store_at_step;
		feeder_drain(&f);
		host_step = NULL;
		CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED_SAVING), 0);
		feeder_drain(&f);
		check_moves(&f);
		feeder_uninit(&f);
	}
}

/* pass_bytes and stopped_bytes add up to all that was offered. */
static void test_accounts(void)
{
	struct feeder f;
	unsigned int i, k;
	u64 sum;

	feeder_init(&f, 64, true);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
	for (i = 0; i < TERN_PASSES_KEPT + 10; i++) {
		for (k = 0; k <= i % 40; k++)
			host_store(f.dev, (i + k) % 64, i);
		feeder_drain(&f);
	}
	CHECK_EQ(f.mc.stats.passes, TERN_PASSES_KEPT + 10);
	sum = f.mc.stats.older_bytes;
	for (i = 0; i < TERN_PASSES_KEPT; i++)
		sum += f.mc.stats.pass_bytes[i];
	CHECK_EQ(sum, f.len);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED_SAVING), 0);
	feeder_drain(&f);
	CHECK_EQ(sum + f.mc.stats.stopped_bytes, f.len);
	feeder_uninit(&f);
}

static struct tern_totals totals(const struct feeder *f)
{
	struct tern_totals t;

	tern_machine_totals(&f->mc, &t);
	return t;
}

/* Each copy takes a moment. */
static void tick(const void *from, size_t n)
{
	host_clock += n == HOST_PAGE;
}

/* Since it was opened: sessions that have ended, the one that lives, and time. */
static void test_totals(void)
{
	static const enum tern_phase way[] = {
		TERN_PHASE_RUNNING_SAVING, TERN_PHASE_STOPPED_SAVING, TERN_PHASE_STOPPED,
		TERN_PHASE_RUNNING, TERN_PHASE_RUNNING_SAVING, TERN_PHASE_RUNNING,
	};
	static const struct {
		size_t from;
		int error;
	} refused[] = { { 0, -EBADMSG }, { 72, -EINVAL }, { 0, -EBADMSG } };
	u64 bytes = 0, ns[TERN_PHASES] = { 0 };
	struct tern_totals t;
	struct feeder f;
	unsigned int i;

	feeder_init(&f, 8, true);
	host_copied = tick;
	for (i = 0; i < 5; i++)
		host_store(f.dev, i, i + 1);
	for (i = 0; i < ARRAY_SIZE(way); i++) {
		enum tern_phase from = f.mc.phase;

		host_clock += 1000 << i;
		ns[from] += 1000 << i;
		CHECK_EQ(tern_machine_go(&f.mc, way[i]), 0);
		if (f.mc.session) {
			u64 began = host_clock;

			feeder_drain(&f);
			ns[way[i]] += host_clock - began;
			bytes = f.len;
		}
		t = totals(&f);
		CHECK_EQ(t.bytes, bytes);
	}
	host_copied = NULL;
	CHECK_EQ(t.passes, 2);
	CHECK_EQ(t.pages, 10);
	CHECK_EQ(t.take_ns, 10);
	for (i = 0; i < TERN_PHASES; i++)
		CHECK_EQ(t.phase_ns[i], ns[i]);

	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_LOADING), 0);
		f.stream[60] ^= i == 0;
		CHECK_EQ(tern_loader_feed(f.mc.loader, f.stream + refused[i].from, 72),
			 refused[i].error);
		CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED), 0);
	}
	t = totals(&f);
	for (i = 0; i < TERN_ERRNOS; i++)
		CHECK_EQ(t.refused[i], i == EINVAL ? 1 : i == EBADMSG ? 2 : 0);
	/* Another open begins with nothing. */
	tern_machine_init(&f.mc, &f.dev->m, &f.mc.config, &f.state_mutex);
	t = totals(&f);
	CHECK(!t.bytes && !t.phase_ns[TERN_PHASE_STOPPED] && !t.refused[EINVAL]);
	feeder_uninit(&f);
}

/* A killed caller, and one that waits for a reset, end long work; nothing is lost. */
static void test_gives_up(void)
{
	struct feeder f;
	unsigned int i;

	feeder_init(&f, 64, true);
	for (i = 0; i < 64; i++)
		host_store(f.dev, i, i + 1);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED_SAVING), 0);
	/* The begin is put together before anything takes long. */
	CHECK(feeder_chunk(&f) > 0);
	host_killed = true;
	CHECK_EQ(feeder_chunk(&f), -EINTR);
	host_killed = false;
	/* While a reset waits, a chunk is smaller, but there is no error. */
	atomic_long_inc(&f.dev->m.resets);
	CHECK(feeder_chunk(&f) > 0);
	atomic_long_dec(&f.dev->m.resets);
	feeder_drain(&f);
	check_moves(&f);

	/* A load that gave up has failed, once and for all. */
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED), 0);
	host_killed = true;
	CHECK_EQ(feeder_load(&f, f.stream, f.len, 0), -EINTR);
	host_killed = false;
	CHECK_EQ(feeder_load(&f, f.stream, f.len, 0), -EINTR);
	CHECK(host_device_blank(f.dev));
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING), -EIO);
	feeder_uninit(&f);
}

/* Where the stop and some of the last pass come in between two steps of a mark. */
static struct {
	struct feeder *f;
	unsigned int chunks, hits;
} late;

static void stop_in_mid_mark(const char *name, unsigned long page)
{
	unsigned int i;

	if (strcmp(name, "touched"))
		return;
	host_step = NULL;
	late.hits++;
	CHECK_EQ(tern_machine_go(&late.f->mc, TERN_PHASE_STOPPED_SAVING), 0);
	for (i = 0; i < late.chunks && tern_session_pending(late.f->mc.session); i++)
		CHECK(feeder_chunk(late.f) > 0);
}

/*
 * A mark has seen that the device runs, and sets its bit when that is long over:
 * at any time of the last pass, or after it. What was ahead of the pass may be sent
 * still; but 0 pending is the end, and after END there is nothing. The page is
 * touched, so the next session has it.
 */
static void test_mark_across_the_stop(void)
{
	unsigned int page, ends = 0;

	for (late.chunks = 0; late.chunks < 6; late.chunks++)
		for (page = 0; page < 40; page++) {
			struct feeder f;
			unsigned int i;
			bool ended;

			feeder_init_with(&f, 40, true, TERN_CHUNK_MIN);
			host_device_dress(f.dev, 7);
			for (i = 0; i < 40; i += 1 + page % 3)
				host_store(f.dev, i, i + 1);
			CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
			if (page % 2)
				feeder_drain(&f);
			f.dev->writable[page] = false;
			late.f = &f;
			late.hits = 0;
			host_step = stop_in_mid_mark;
			host_store(f.dev, page, 0x99);
			host_step = NULL;
			CHECK_EQ(late.hits, 1);
			ended = count(&f, TERN_RECORD_END, 0);
			ends += ended;
			if (ended)
				CHECK_EQ(tern_session_pending(f.mc.session), 0);
			feeder_drain(&f);
			for (i = 0; i < 3; i++) {
				CHECK_EQ(tern_session_pending(f.mc.session), 0);
				CHECK_EQ(feeder_chunk(&f), 0);
			}
			CHECK_EQ(count(&f, TERN_RECORD_END, 0), 1);
			CHECK_EQ(count(&f, TERN_RECORD_END, f.len - (24 + 16)), 1);
			/* The next one is whole. */
			CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING), 0);
			feeder_save(&f);
			check_moves(&f);
			feeder_uninit(&f);
		}
	/* Before, in the midst, and after. */
	CHECK(ends > 80 && ends < 200, "%u", ends);
}

/* Read up to so many bytes for good; 0 if there are none. */
static size_t read_bytes(struct feeder *f, size_t most)
{
	size_t at;
	ssize_t n = tern_session_peek(f->mc.session, &at);

	assert(n >= 0);
	n = min_t(size_t, n, most);
	feeder_append(f, f->staging + at, n);
	tern_session_consume(f->mc.session, n);
	return n;
}

/*
 * V2-12 P-2: by bytes, in pieces of every kind. What is left falls by what was read,
 * all that is offered while it runs is the snapshot, and stopped at any byte it resumes
 * on at the next: the stream has each byte once.
 */
static void test_by_bytes(void)
{
	static const size_t pieces[] = { 1, 23, 24, 4096, 70000 };
	static const size_t stops[] = { 0, 1, 72, 5000, 8 * MEMORY_RECORD, 1 << 20 };
	unsigned int i, k, page;

	for (i = 0; i < ARRAY_SIZE(pieces); i++)
		for (k = 0; k < ARRAY_SIZE(stops); k++) {
			u64 left = BEGIN_RECORD + 16 * MEMORY_RECORD + FINAL_RECORDS;
			struct feeder f;
			size_t n;

			feeder_init(&f, 32, true);
			/* Only the reader reaches the buffer, or user space does. */
			f.mc.config.in_place = (i + k) % 2;
			host_device_dress(f.dev, 5);
			CHECK_EQ(tern_session_estimate(&f.dev->m), BEGIN_RECORD + FINAL_RECORDS);
			for (page = 0; page < 16; page++)
				host_store(f.dev, 2 * page, page + 1);
			CHECK_EQ(tern_session_estimate(&f.dev->m), left);
			CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
			while (f.len < stops[k]) {
				CHECK_EQ(tern_session_remaining(f.mc.session), left);
				CHECK_EQ(tern_session_initial(f.mc.session), left - FINAL_RECORDS);
				n = read_bytes(&f, min(pieces[i], stops[k] - f.len));
				left -= n;
				if (!n)
					break;
			}
			CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED_SAVING), 0);
			CHECK_EQ(tern_session_pending(f.mc.session), left);
			while ((n = read_bytes(&f, pieces[i])) > 0) {
				left -= n;
				CHECK_EQ(tern_session_remaining(f.mc.session), left);
			}
			CHECK_EQ(left, 0);
			CHECK_EQ(f.len, BEGIN_RECORD + 16 * MEMORY_RECORD + FINAL_RECORDS);
			check_moves(&f);
			feeder_uninit(&f);
		}
}

/* S-3: stopped between the look and the word that it was read: it was. */
static void test_stopped_while_read(void)
{
	struct tern_session_stats *st;
	struct feeder f;
	size_t at;
	ssize_t n;

	feeder_init(&f, 32, true);
	host_store(f.dev, 3, 3);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
	n = tern_session_peek(f.mc.session, &at);
	CHECK_EQ(n, BEGIN_RECORD + MEMORY_RECORD);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED_SAVING), 0);
	feeder_append(&f, f.staging + at, 100);
	tern_session_consume(f.mc.session, 100);
	CHECK_EQ(tern_session_pending(f.mc.session), n - 100 + FINAL_RECORDS);
	while (read_bytes(&f, 999))
		;
	CHECK_EQ(f.len, BEGIN_RECORD + MEMORY_RECORD + FINAL_RECORDS);
	/* Nothing of it was offered twice. */
	st = &f.mc.stats;
	CHECK_EQ(st->pass_bytes[0] + st->stopped_bytes, f.len);
	check_moves(&f);
	feeder_uninit(&f);
}

/* V2-12 P-2: what is written meanwhile is left to be read, and is not of the snapshot. */
static void test_what_came_since(void)
{
	struct feeder f;
	unsigned int i;

	feeder_init(&f, 64, true);
	for (i = 0; i < 10; i++)
		host_store(f.dev, i, 1);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
	/* Of the snapshot, once more; and new. */
	host_store(f.dev, 5, 2);
	CHECK_EQ(tern_session_initial(f.mc.session), BEGIN_RECORD + 10 * MEMORY_RECORD);
	CHECK_EQ(tern_session_pending(f.mc.session), BEGIN_RECORD + 10 * MEMORY_RECORD);
	host_store(f.dev, 50, 2);
	CHECK_EQ(tern_session_initial(f.mc.session), BEGIN_RECORD + 10 * MEMORY_RECORD);
	CHECK_EQ(tern_session_pending(f.mc.session), BEGIN_RECORD + 11 * MEMORY_RECORD);
	feeder_drain(&f);
	for (i = 0; i < 5; i++) {
		CHECK_EQ(tern_session_initial(f.mc.session), 0);
		CHECK_EQ(tern_session_remaining(f.mc.session), FINAL_RECORDS);
		host_store(f.dev, i, 3);
		CHECK_EQ(tern_session_initial(f.mc.session), 0);
		CHECK_EQ(tern_session_remaining(f.mc.session), MEMORY_RECORD + FINAL_RECORDS);
		feeder_drain(&f);
	}
	feeder_uninit(&f);
}

/* V2-12 P-2: a chunk of the second pass is not of the snapshot, if asked for the first time. */
static void test_first_asked_in_second_pass(void)
{
	struct feeder f;

	feeder_init(&f, 64, true);
	host_store(f.dev, 1, 1);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
	feeder_drain(&f);
	host_store(f.dev, 2, 1);
	CHECK_EQ(tern_session_prepare(f.mc.session), MEMORY_RECORD);
	CHECK_EQ(tern_session_pending(f.mc.session), MEMORY_RECORD);
	CHECK_EQ(tern_session_initial(f.mc.session), 0);
	feeder_uninit(&f);
}

/*
 * V2-12 P-2: new pages in front of the snapshot make it look smaller, but it is not 0
 * before its last page was sent. Of every size: one of them is that of the last chunk.
 */
static void test_new_pages_in_front(void)
{
	const unsigned int chunk = FEEDER_CAPACITY / MEMORY_RECORD;
	unsigned int snapshot, i;

	for (snapshot = 1; snapshot <= 2 * chunk; snapshot++) {
		const struct tern_dirty *d;
		struct feeder f;

		feeder_init(&f, 256, true);
		d = &f.dev->dirty;
		for (i = 0; i < snapshot; i++)
			host_store(f.dev, 100 + i, i + 1);
		CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
		for (i = 0; i < 3; i++)
			host_store(f.dev, i, i + 1);
		while (tern_bits_next(&d->dirty, d->cursor) < d->pages) {
			CHECK(tern_session_initial(f.mc.session) > 0);
			feeder_chunk(&f);
		}
		CHECK_EQ(tern_session_initial(f.mc.session), 0);
		feeder_uninit(&f);
	}
}

/*
 * V2-15: new initial data is all memory once more, whatever was read of it, and is
 * initial data until it was read. What was staged before is part of it.
 */
static void test_reinit(void)
{
	unsigned int done, i;

	for (done = 0; done <= 3; done++) {
		struct feeder f;
		u64 initial, left;
		size_t at;

		feeder_init(&f, 128, true);
		for (i = 0; i < 40; i++)
			host_store(f.dev, i, 1);
		CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
		if (done == 1)
			feeder_chunk(&f);
		if (done >= 2)
			feeder_drain(&f);
		host_store(f.dev, 100, 2);
		if (done == 3)
			CHECK(tern_session_peek(f.mc.session, &at) == MEMORY_RECORD);
		CHECK_EQ(tern_session_initial(f.mc.session),
			 done == 0 ? BEGIN_RECORD + 40 * MEMORY_RECORD :
			 done == 1 ? BEGIN_RECORD + 40 * MEMORY_RECORD - f.len : 0);
		CHECK_EQ(tern_session_reinits(f.mc.session), 0);
		CHECK_EQ(tern_session_reinit(f.mc.session, true), 0);
		CHECK_EQ(tern_session_reinits(f.mc.session), 1);
		initial = tern_session_initial(f.mc.session);
		CHECK_EQ(initial, tern_session_pending(f.mc.session));
		CHECK_EQ(initial, (done ? 0 : BEGIN_RECORD) + 41 * MEMORY_RECORD +
				  (done == 3 ? MEMORY_RECORD : 0));
		host_store(f.dev, 110, 3);
		while ((left = tern_session_initial(f.mc.session))) {
			CHECK(left <= initial);
			initial = left;
			feeder_chunk(&f);
		}
		/* The page that came since was read along, or is left. */
		feeder_drain(&f);
		host_store(f.dev, 7, 4);
		CHECK_EQ(tern_session_initial(f.mc.session), 0);
		CHECK_EQ(tern_session_pending(f.mc.session), MEMORY_RECORD);
		CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_STOPPED_SAVING), 0);
		CHECK_EQ(tern_session_reinit(f.mc.session, true), -EINVAL);
		feeder_drain(&f);
		check_moves(&f);
		feeder_uninit(&f);
	}
}

/* Unreported, it is dirty pages. Without pre-copy there is none. */
static void test_reinit_unreported(void)
{
	struct feeder f;

	feeder_init(&f, 64, true);
	host_store(f.dev, 1, 1);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
	feeder_drain(&f);
	CHECK_EQ(tern_session_reinit(f.mc.session, false), 0);
	CHECK_EQ(tern_session_reinits(f.mc.session), 0);
	CHECK_EQ(tern_session_initial(f.mc.session), 0);
	CHECK_EQ(tern_session_pending(f.mc.session), MEMORY_RECORD);
	feeder_uninit(&f);

	feeder_init(&f, 64, false);
	host_store(f.dev, 1, 1);
	CHECK_EQ(tern_machine_go(&f.mc, TERN_PHASE_RUNNING_SAVING), 0);
	CHECK_EQ(tern_session_reinit(f.mc.session, true), -EINVAL);
	CHECK_EQ(tern_session_pending(f.mc.session), 0);
	feeder_uninit(&f);
}

static const struct tap_test tests[] = {
	{ "S-1 S-2 S-4 S-5 session: snapshot, iterations, final sections once", test_snapshot_then_iterations },
	{ "S-3 P-9 session: stopped after any chunk, it is whole", test_stop_anywhere },
	{ "S-3 V1-7 session: stopped after any call and any record, it is whole", test_stop_after_every_call },
	{ "P-2 S-4 session: a device without stores has nothing pending", test_rests },
	{ "S-7 session: an ended session returns no data", test_nothing_afterwards },
	{ "V1-17 session: chunks of every size of window", test_any_capacity },
	{ "V1-6 session: what is pending while a store is marked is given", test_asked_while_marking },
	{ "S-1 session: zeroes that were never anything else need no records", test_zeroes },
	{ "P-5 session: only a buffer out of user space's reach is filled in place", test_in_place },
	{ "V2-12 S-3 session: read by bytes, and stopped at any of them", test_by_bytes },
	{ "S-3 session: stopped while it is read", test_stopped_while_read },
	{ "V2-12 P-2 session: pages written since are not in the snapshot", test_what_came_since },
	{ "V2-12 P-2 session: a chunk of the second pass is not the snapshot", test_first_asked_in_second_pass },
	{ "V2-12 P-2 session: new pages in front do not end the snapshot", test_new_pages_in_front },
	{ "S-6 V1-25 P-8 session: logging again is a new session with a new snapshot", test_logging_again },
	{ "S-8 session: without pre-copy nothing is pending before the stop", test_no_precopy },
	{ "S-4 session: a page that was never written is not sent", test_untouched },
	{ "V1-4 P-6 session: a chunk stays until it is retired, once", test_chunk_is_stable },
	{ "V1-7 session: an unacknowledged chunk is offered again", test_unacknowledged_chunk },
	{ "V1-8 session: a page that could not be read is read later", test_take_fails },
	{ "P-1 session: a store at any step of a save is loaded", test_stores_while_saving },
	{ "session: the bytes of all passes add up", test_accounts },
	{ "LAB-15 session: totals of a device are those of all its sessions", test_totals },
	{ "session: long work ends early for a killed caller or a reset", test_gives_up },
	{ "V2-15 session: new initial data is all memory once more", test_reinit },
	{ "V2-15 session: new initial data that is not reported is dirty", test_reinit_unreported },
	{ "S-4 S-5 P-3 session: a mark that began before the stop adds nothing after END", test_mark_across_the_stop },
};

TAP_MAIN(tests)
