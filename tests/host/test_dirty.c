// SPDX-License-Identifier: GPL-2.0-only
/* The dirty tracker: against a naive model, and take() against stores. */
#include "device.h"
#include "tap.h"

#define PAGES	300

/* The tracker's state, as two arrays and a few words. */
static struct {
	bool touched[PAGES], dirty[PAGES];
	bool session, frozen;
	unsigned long cursor, late;
} naive;

/* The dirty pages from the cursor on, as many as fit; their number. */
static unsigned int naive_window(unsigned long *page, unsigned int max)
{
	unsigned long i;
	unsigned int n = 0;

	for (i = naive.cursor; i < PAGES && n < max; i++)
		if (naive.dirty[i])
			page[n++] = i;
	return n;
}

static void naive_check(const struct tern_dirty *d)
{
	unsigned int i, n = 0, ahead = 0, touched = 0;

	for (i = 0; i < PAGES; i++) {
		n += naive.dirty[i];
		touched += naive.touched[i];
		ahead += naive.dirty[i] && i >= naive.cursor;
		CHECK_EQ(test_bit(i, d->dirty.level[0]), naive.dirty[i]);
		CHECK_EQ(tern_dirty_touched(d, i), naive.touched[i]);
	}
	CHECK_EQ(tern_dirty_count(d), n);
	CHECK_EQ(tern_dirty_touched_count(d), touched);
	CHECK_EQ(tern_dirty_ahead(d), ahead > 0);
	CHECK_EQ(tern_dirty_any(d), (naive.frozen ? ahead : n) > 0);
	if (naive.frozen && naive.cursor == PAGES)
		naive.late = n;
	CHECK_EQ(tern_dirty_late_marks(d), naive.late);
}

/* Take some pages of the pass, and perhaps fail at one; at its end begin the next. */
static void naive_take(struct host_device *dev)
{
	static u8 out[TERN_BATCH_PAGES * HOST_PAGE];
	struct tern_dirty *d = &dev->dirty;
	unsigned int max = 1 + rand() % 200, n, i;
	unsigned long page[TERN_BATCH_PAGES];
	struct tern_batch b;
	int ret = 0;

	n = naive_window(page, min_t(unsigned int, max, TERN_BATCH_PAGES));
	CHECK_EQ(tern_dirty_next_window(d, &b, max), n);
	CHECK(!memcmp(b.page, page, n * sizeof(page[0])));
	if (!n) {
		naive.cursor = naive.frozen ? PAGES : 0;
		naive.frozen ? tern_dirty_finish(d) : tern_dirty_rewind(d);
		return;
	}
	switch (rand() % 4) {
	case 0:
		dev->fail_get = 1 + rand() % n;
		ret = -ENOMEM;
		break;
	case 1:
		dev->fail_copy = 1 + rand() % n;
		ret = -EIO;
		break;
	}
	CHECK_EQ(tern_dirty_take(d, &dev->m, &b, out, HOST_PAGE), ret);
	if (ret)
		return;
	for (i = 0; i < n; i++) {
		CHECK(!memcmp(out + i * HOST_PAGE, dev->mem + page[i] * HOST_PAGE, HOST_PAGE));
		naive.dirty[page[i]] = false;
	}
	naive.cursor = page[n - 1] + 1;
}

static void naive_store(struct host_device *dev)
{
	unsigned long page = rand() % PAGES;
	bool faults = !dev->writable[page];

	host_store(dev, page, rand());
	/* In a session each store is owed, before the stop or after; else those that fault are seen. */
	if (naive.session || faults)
		naive.touched[page] = naive.dirty[page] = true;
}

/* One step in the life of a session: it begins, stops, ends; in between, a clear. */
static void naive_step(struct host_device *dev)
{
	struct tern_dirty *d = &dev->dirty;
	unsigned int i;

	if (!naive.session && rand() % 3 == 0) {
		dev->m.ops->wipe(&dev->m);
		memset(&naive, 0, offsetof(typeof(naive), late));
	} else if (!naive.session) {
		tern_dirty_begin(d, NULL);
		naive.session = true;
		naive.late = naive.cursor = 0;
		for (i = 0; i < PAGES; i++)
			naive.dirty[i] |= naive.touched[i];
	} else if (!naive.frozen && rand() % 2) {
		tern_dirty_freeze(d);
		naive.frozen = true;
		naive.cursor = 0;
	} else {
		tern_dirty_thaw(d);
		naive.session = naive.frozen = false;
	}
}

/* Random steps of everything that there is, and after each both say the same. */
static void test_naive_model(void)
{
	struct host_device *dev = host_device_create(PAGES);
	unsigned int round;

	srand(1);
	memset(&naive, 0, sizeof(naive));
	for (round = 0; round < 20000; round++) {
		if (rand() % 100 == 0) {
			naive_step(dev);
		} else if (naive.session && rand() % 8 == 0) {
			naive_take(dev);
		} else if (naive.session && !naive.frozen && rand() % 100 == 0) {
			/* In mid-pass, from page 0 again. */
			tern_dirty_rewind(&dev->dirty);
			naive.cursor = 0;
		} else {
			naive_store(dev);
		}
		naive_check(&dev->dirty);
	}
	host_device_destroy(dev);
}

/* A second store to a page faults only if the page was harvested since. */
static void test_second_store_is_free(void)
{
	struct host_device *dev = host_device_create(4);
	static u8 out[HOST_PAGE];
	struct tern_batch b;

	host_store(dev, 2, 1);
	host_store(dev, 2, 2);
	CHECK_EQ(dev->faults, 1);
	tern_dirty_begin(&dev->dirty, NULL);
	host_store(dev, 2, 3);
	CHECK_EQ(dev->faults, 1);
	CHECK_EQ(tern_dirty_next_window(&dev->dirty, &b, 9), 1);
	CHECK_EQ(tern_dirty_take(&dev->dirty, &dev->m, &b, out, HOST_PAGE), 0);
	host_store(dev, 2, 4);
	host_store(dev, 2, 5);
	CHECK_EQ(dev->faults, 2);
	CHECK(tern_dirty_any(&dev->dirty));
	host_device_destroy(dev);
}

static struct {
	struct host_device *dev;
	const char *at, *mark_at;
	bool kernel;
	unsigned int hits;
} script;

/* At the named point a guest stores to page 1, with or without a fault. */
static void interfere(const char *name, unsigned long page)
{
	if (!strcmp(name, script.at)) {
		script.hits++;
		if (script.kernel)
			host_store_unmarked(script.dev, 1, 0x55);
		else
			host_store(script.dev, 1, 0x55);
	}
	if (script.kernel && !strcmp(name, script.mark_at))
		host_mark(script.dev, 1);
}

static const char *const points[] = { "locked", "cleared", "unlocked", "rearmed", "copied" };

/* Take page 1 while the script interferes, then the rest: what was sent last? */
static void run_script(bool writable)
{
	struct host_device *dev = host_device_create(3);
	static u8 out[TERN_BATCH_PAGES * HOST_PAGE];
	struct tern_batch b;
	u8 last;

	script.dev = dev;
	script.hits = 0;
	host_store(dev, 1, 0x11);
	dev->writable[1] = writable;
	host_step = interfere;
	CHECK_EQ(tern_dirty_next_window(&dev->dirty, &b, 3), 1);
	CHECK_EQ(tern_dirty_take(&dev->dirty, &dev->m, &b, out, HOST_PAGE), 0);
	host_step = NULL;
	last = out[7];
	CHECK(script.hits, "%s was not reached", script.at);
	/* A store after the copy through an entry that is still writable is lost. */
	host_store(dev, 1, 0x66);
	tern_dirty_rewind(&dev->dirty);
	CHECK(tern_dirty_any(&dev->dirty), "store at %s: page not dirty (sent %x)", script.at,
	      last);
	while (tern_dirty_next_window(&dev->dirty, &b, 3)) {
		CHECK_EQ(tern_dirty_take(&dev->dirty, &dev->m, &b, out, HOST_PAGE), 0);
		last = out[7];
	}
	CHECK_EQ(last, dev->mem[HOST_PAGE]);
	host_device_destroy(dev);
}

/* The same without the closing store: the interfering one must not be lost. */
static void run_script_alone(bool writable)
{
	struct host_device *dev = host_device_create(3);
	static u8 out[TERN_BATCH_PAGES * HOST_PAGE];
	struct tern_batch b;
	u8 last = 0;

	script.dev = dev;
	host_store(dev, 1, 0x11);
	dev->writable[1] = writable;
	host_step = interfere;
	CHECK_EQ(tern_dirty_next_window(&dev->dirty, &b, 3), 1);
	CHECK_EQ(tern_dirty_take(&dev->dirty, &dev->m, &b, out, HOST_PAGE), 0);
	host_step = NULL;
	last = out[7];
	tern_dirty_rewind(&dev->dirty);
	while (tern_dirty_next_window(&dev->dirty, &b, 3)) {
		CHECK_EQ(tern_dirty_take(&dev->dirty, &dev->m, &b, out, HOST_PAGE), 0);
		last = out[7];
		tern_dirty_rewind(&dev->dirty);
	}
	CHECK(last == dev->mem[HOST_PAGE], "store at %s, mark at %s: sent %x, memory has %x",
	      script.at, script.kernel ? script.mark_at : "fault", last, dev->mem[HOST_PAGE]);
	host_device_destroy(dev);
}

static void test_take_against_stores(void)
{
	unsigned int i, k;

	script.kernel = false;
	for (i = 0; i < ARRAY_SIZE(points); i++) {
		script.at = points[i];
		for (k = 0; k < 2; k++) {
			run_script(k);
			run_script_alone(k);
		}
	}
}

/* The kernel stores at one point and marks at that or a later one. */
static void test_take_against_kernel_stores(void)
{
	unsigned int i, k;

	script.kernel = true;
	for (i = 0; i < ARRAY_SIZE(points); i++)
		for (k = i; k < ARRAY_SIZE(points); k++) {
			script.at = points[i];
			script.mark_at = points[k];
			run_script_alone(true);
		}
}

/*
 * Two others at once: at any place of a take() of two pages one stores through
 * the page tables; and one, in the kernel, stores at any place and marks at any
 * later one. All places, all pages, exhaustively.
 */
#define PLACES	9	/* two pages pass four points each, and one together */

static struct {
	struct host_device *dev;
	unsigned int place, user_at, store_at, mark_at;
	unsigned long user_page, kernel_page;
} schedule;

static bool is_place_of_take(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(points); i++)
		if (!strcmp(name, points[i]))
			return true;
	return false;
}

static void follow(const char *name, unsigned long page)
{
	unsigned int place;

	/* Those of mark() the stores below get to themselves; test_bits.c has those of bits. */
	if (!is_place_of_take(name))
		return;
	place = schedule.place++;
	if (place == schedule.user_at)
		host_store(schedule.dev, schedule.user_page, 0x60 + place);
	if (place == schedule.store_at)
		host_store_unmarked(schedule.dev, schedule.kernel_page, 0x80 + place);
	if (place == schedule.mark_at)
		host_mark(schedule.dev, schedule.kernel_page);
}

static void run_schedule(u8 writable)
{
	struct host_device *dev = host_device_create(2);
	static u8 out[TERN_BATCH_PAGES * HOST_PAGE];
	u8 sent[2] = { 0 };
	struct tern_batch b;
	unsigned int i;

	host_store(dev, 0, 0x10);
	host_store(dev, 1, 0x11);
	dev->writable[0] = writable & 1;
	dev->writable[1] = writable >> 1;
	schedule.dev = dev;
	schedule.place = 0;
	host_step = follow;
	while (tern_dirty_next_window(&dev->dirty, &b, 2)) {
		CHECK_EQ(tern_dirty_take(&dev->dirty, &dev->m, &b, out, HOST_PAGE), 0);
		host_step = NULL;
		for (i = 0; i < b.n; i++)
			sent[b.page[i]] = out[i * HOST_PAGE + 7];
		tern_dirty_rewind(&dev->dirty);
	}
	CHECK(schedule.place == PLACES, "%u places", schedule.place);
	for (i = 0; i < 2; i++)
		CHECK(sent[i] == dev->mem[i * HOST_PAGE],
		      "page %u: sent %x, is %x; user %u/%lu, kernel %u-%u/%lu, writable %x", i,
		      sent[i], dev->mem[i * HOST_PAGE], schedule.user_at, schedule.user_page,
		      schedule.store_at, schedule.mark_at, schedule.kernel_page, writable);
	host_device_destroy(dev);
}

static void test_every_interleaving(void)
{
	unsigned int pages, runs = 0;
	u8 writable;

	for (schedule.user_at = 0; schedule.user_at < PLACES; schedule.user_at++)
		for (schedule.store_at = 0; schedule.store_at < PLACES; schedule.store_at++)
			for (schedule.mark_at = schedule.store_at; schedule.mark_at < PLACES;
			     schedule.mark_at++)
				for (pages = 0; pages < 4; pages++)
					for (writable = 0; writable < 4; writable++, runs++) {
						schedule.user_page = pages & 1;
						schedule.kernel_page = pages >> 1;
						run_schedule(writable);
					}
	CHECK_EQ(runs, PLACES * PLACES * (PLACES + 1) / 2 * 16);
}

/* Whatever step fails, at whatever page: nothing counts as taken. */
static void test_take_fails(void)
{
	static u8 out[TERN_BATCH_PAGES * HOST_PAGE];
	unsigned int fail, kind;
	struct tern_batch b;

	for (kind = 0; kind < 2; kind++)
		for (fail = 1; fail <= 8; fail++) {
			struct host_device *dev = host_device_create(64);
			unsigned int i;

			for (i = 0; i < 8; i++)
				host_store(dev, i * 7, i);
			if (kind)
				tern_dirty_freeze(&dev->dirty);
			dev->fail_get = fail % 2 ? fail : 0;
			dev->fail_copy = fail % 2 ? 0 : fail;
			tern_dirty_next_window(&dev->dirty, &b, 64);
			CHECK_EQ(tern_dirty_take(&dev->dirty, &dev->m, &b, out, HOST_PAGE),
				 fail % 2 ? -ENOMEM : -EIO);
			CHECK_EQ(tern_dirty_count(&dev->dirty), 8);
			CHECK_EQ(dev->gets, dev->puts);
			CHECK_EQ(tern_dirty_next_window(&dev->dirty, &b, 64), 8);
			CHECK_EQ(tern_dirty_take(&dev->dirty, &dev->m, &b, out, HOST_PAGE), 0);
			CHECK_EQ(tern_dirty_count(&dev->dirty), 0);
			CHECK_EQ(tern_dirty_late_marks(&dev->dirty), 0);
			host_device_destroy(dev);
		}
}

/* A pinned page is sent in each pass, and once after the stop. */
static void test_pinned(void)
{
	struct host_device *dev = host_device_create(4);
	static u8 out[TERN_BATCH_PAGES * HOST_PAGE];
	struct tern_batch b;
	unsigned int i;

	host_store(dev, 1, 1);
	dev->pinned[1] = true;
	for (i = 0; i < 3; i++) {
		CHECK_EQ(tern_dirty_next_window(&dev->dirty, &b, 4), 1);
		CHECK_EQ(tern_dirty_take(&dev->dirty, &dev->m, &b, out, HOST_PAGE), 0);
		tern_dirty_rewind(&dev->dirty);
	}
	tern_dirty_freeze(&dev->dirty);
	CHECK_EQ(tern_dirty_next_window(&dev->dirty, &b, 4), 1);
	CHECK_EQ(tern_dirty_take(&dev->dirty, &dev->m, &b, out, HOST_PAGE), 0);
	CHECK(!tern_dirty_any(&dev->dirty));
	host_device_destroy(dev);
}

/* Take what the pass has left, at most @max pages; how many. */
static unsigned int take_some(struct host_device *dev, unsigned int max)
{
	static u8 out[TERN_BATCH_PAGES * HOST_PAGE];
	struct tern_batch b;

	if (tern_dirty_next_window(&dev->dirty, &b, max))
		CHECK_EQ(tern_dirty_take(&dev->dirty, &dev->m, &b, out, HOST_PAGE), 0);
	return b.n;
}

/*
 * After the stop a store ahead of the cursor is taken, and one behind it counted,
 * whether it faults or not; and the last pass has its end.
 */
static void test_stores_after_the_stop(void)
{
	struct host_device *dev = host_device_create(8);
	unsigned int i;

	host_store(dev, 4, 1);
	host_store(dev, 5, 1);
	tern_dirty_begin(&dev->dirty, NULL);
	tern_dirty_freeze(&dev->dirty);
	host_store(dev, 2, 1);
	host_store(dev, 5, 2);
	CHECK_EQ(take_some(dev, 1), 1);
	/* Behind, behind again, at the cursor, ahead, and one that needs no fault. */
	host_store(dev, 1, 1);
	host_store(dev, 2, 2);
	host_store(dev, 3, 1);
	host_store(dev, 7, 1);
	host_store(dev, 7, 2);
	CHECK_EQ(tern_dirty_late_marks(&dev->dirty), 0);
	CHECK_EQ(take_some(dev, 8), 4);
	CHECK(!tern_dirty_any(&dev->dirty));
	tern_dirty_finish(&dev->dirty);
	CHECK_EQ(tern_dirty_late_marks(&dev->dirty), 2);
	for (i = 0; i < 8; i++) {
		host_store(dev, i, 9);
		CHECK(!tern_dirty_any(&dev->dirty));
	}
	CHECK_EQ(tern_dirty_late_marks(&dev->dirty), 8);
	/* The number stays until the next session, which sends them all. */
	tern_dirty_thaw(&dev->dirty);
	CHECK_EQ(tern_dirty_late_marks(&dev->dirty), 8);
	tern_dirty_begin(&dev->dirty, NULL);
	CHECK_EQ(tern_dirty_late_marks(&dev->dirty), 0);
	CHECK_EQ(take_some(dev, 8), 8);
	host_device_destroy(dev);
}

/* A last pass that never came to its end has lost nothing: no destination has its stream. */
static void test_given_up_after_the_stop(void)
{
	struct host_device *dev = host_device_create(8);

	host_store(dev, 1, 1);
	host_store(dev, 5, 1);
	tern_dirty_begin(&dev->dirty, NULL);
	tern_dirty_freeze(&dev->dirty);
	CHECK_EQ(take_some(dev, 1), 1);
	host_store(dev, 0, 1);
	tern_dirty_thaw(&dev->dirty);
	CHECK_EQ(tern_dirty_late_marks(&dev->dirty), 0);
	host_device_destroy(dev);
}

/* Word by word or page by page: begin and clear count and set the same. */
static void test_whole_words(void)
{
	static const unsigned long sizes[] = { 1, 63, 64, 65, 128, PAGES };
	unsigned long i, k;

	for (k = 0; k < ARRAY_SIZE(sizes); k++) {
		struct host_device *dev = host_device_create(sizes[k]);
		struct tern_dirty *d = &dev->dirty;
		unsigned long touched = 0;

		for (i = 0; i < sizes[k]; i += 1 + i % 3, touched++)
			host_store(dev, i, 1);
		while (take_some(dev, 100))
			;
		CHECK_EQ(tern_dirty_count(d), 0);
		/* One is dirty already: it counts once. */
		host_store(dev, 0, 2);
		tern_dirty_begin(d, NULL);
		CHECK_EQ(tern_dirty_count(d), touched);
		CHECK_EQ(tern_bits_weight(&d->dirty), touched);
		CHECK_EQ(tern_dirty_touched_count(d), touched);
		tern_dirty_clear(d);
		CHECK_EQ(tern_dirty_count(d) + tern_dirty_touched_count(d), 0);
		CHECK_EQ(tern_bits_weight(&d->dirty), 0);
		CHECK_EQ(bitmap_weight(d->touched, d->pages), 0);
		host_device_destroy(dev);
	}
}

/* Runs near each other are re-armed together, and only what lies between. */
static void test_rearm_runs(void)
{
	struct host_device *dev = host_device_create(PAGES);
	static u8 out[TERN_BATCH_PAGES * HOST_PAGE];
	static const unsigned long at[] = { 0, 1, 33, 100, 101, 140, 299 };
	struct tern_batch b;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(at); i++)
		host_store(dev, at[i], 1);
	dev->writable[200] = true;
	tern_dirty_next_window(&dev->dirty, &b, PAGES);
	CHECK_EQ(tern_dirty_take(&dev->dirty, &dev->m, &b, out, HOST_PAGE), 0);
	for (i = 0; i < ARRAY_SIZE(at); i++)
		CHECK(!dev->writable[at[i]], "page %lu", at[i]);
	/* 0 to 33, 100 to 101, 140, 299; and page 200 lies in none of them. */
	CHECK_EQ(dev->rearms, 4);
	CHECK(dev->writable[200]);
	host_device_destroy(dev);
}

/* Without memory for both bitmaps there is no tracker, and nothing is left of it. */
static void test_no_memory(void)
{
	struct tern_dirty d;
	long nth;

	for (nth = 1; nth <= 2; nth++) {
		host_fail_alloc = nth;
		CHECK_EQ(tern_dirty_init(&d, PAGES), -ENOMEM);
		CHECK_EQ(host_fail_alloc, 0);
	}
	CHECK_EQ(tern_dirty_init(&d, PAGES), 0);
	tern_dirty_uninit(&d);
}

static const struct tap_test tests[] = {
	{ "dirty: equal to a naive model over 20000 random steps of all kinds", test_naive_model },
	{ "S-10 dirty: a second store faults only if harvested since", test_second_store_is_free },
	{ "P-1 P-4 take: a store at any step point is sent or leaves its page dirty", test_take_against_stores },
	{ "P-1 take: a kernel store, marked later, is not lost", test_take_against_kernel_stores },
	{ "P-1 P-4 take: two concurrent stores, at all step points", test_every_interleaving },
	{ "take: whatever fails, the same pages come again", test_take_fails },
	{ "take: a pinned page is sent in each pass and once after the stop", test_pinned },
	{ "P-3 V1-6 dirty: a store after the stop is taken, or counted where the pass is past it", test_stores_after_the_stop },
	{ "P-3 dirty: a last pass that is aborted counts no late marks", test_given_up_after_the_stop },
	{ "dirty: begin and clear any number of pages", test_whole_words },
	{ "dirty: what was taken is re-armed, in runs", test_rearm_runs },
	{ "dirty: without memory for both bitmaps there is none", test_no_memory },
};

TAP_MAIN(tests)
