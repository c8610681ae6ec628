// SPDX-License-Identifier: GPL-2.0-only
/*
 * The workload: its formula against a table that counts, and every kind of damage.
 */
#include "device.h"
#include "lab/workload.h"
#include "tap.h"

#define SET	TERN_WORKLOAD_PAGES_MIN
#define ALL	(2 * SET)

static u8 memory[ALL][TERN_WORKLOAD_PAGE];
static u64 unreadable = ~0ULL;

static int read_page(void *device, u64 page, void *to)
{
	assert(device == memory && page < ALL);
	if (page == unreadable)
		return -EIO;
	memcpy(to, memory[page], TERN_WORKLOAD_PAGE);
	return 0;
}

static struct tern_workload workload(enum tern_pattern pattern, u64 pages, u64 seed)
{
	struct tern_workload w = { .mibs = 1, .pattern = pattern, .pages = pages, .seed = seed };

	tern_workload_begin(&w);
	return w;
}

static void write_pages(struct tern_workload *w, u64 n)
{
	for (; n; n--, w->writes++) {
		u64 page = tern_workload_page(w, w->writes);

		tern_workload_stamp(w, page, tern_workload_generation(w, page, w->writes) + 1,
				    memory[page]);
	}
}

static struct tern_verdict verify(const struct tern_workload *w)
{
	u8 buf[TERN_WORKLOAD_PAGE];
	struct tern_verdict v;

	CHECK_EQ(tern_workload_verify(w, ALL, read_page, memory, buf, &v), 0);
	CHECK_EQ(v.pages, ALL);
	return v;
}

static void check_generation(const struct tern_workload *w, u64 page, u64 writes, u64 expected)
{
	CHECK_EQ(tern_workload_generation(w, page, writes), expected);
}

/* What stands in a page is how often it was written: counted here, computed there. */
static void test_generations(void)
{
	static const u64 sizes[] = { TERN_WORKLOAD_PAGES_MIN, 1024 };
	static u64 count[1024];
	enum tern_pattern pattern;
	u64 seed, write, page;
	unsigned int i;

	for (pattern = 0; pattern < TERN_PATTERNS; pattern++)
		for (i = 0; i < ARRAY_SIZE(sizes); i++)
			for (seed = 0; seed < 3; seed++) {
				struct tern_workload w = workload(pattern, sizes[i], seed);

				memset(count, 0, sizeof(count));
				for (write = 0; write < 20000; write++) {
					page = tern_workload_page(&w, write);
					assert(page < w.pages);
					check_generation(&w, page, write, count[page]);
					count[page]++;
				}
				for (page = 0; page < w.pages; page++)
					check_generation(&w, page, write, count[page]);
			}
}

/* A round visits each page once, and the orders are what their names say. */
static void test_orders(void)
{
	struct tern_workload w = workload(TERN_PATTERN_SEQUENTIAL, SET, 7), other;
	unsigned int i, same = 0, hot = 0;

	for (i = 0; i < 3 * SET; i++)
		CHECK_EQ(tern_workload_page(&w, i), i % SET);
	w.pattern = TERN_PATTERN_PERMUTED;
	other = workload(TERN_PATTERN_PERMUTED, SET, 8);
	for (i = 0; i < SET; i++)
		same += tern_workload_page(&w, i) == tern_workload_page(&w, i + SET) ||
			tern_workload_page(&w, i) == tern_workload_page(&other, i) ||
			tern_workload_page(&w, i) == i;
	CHECK(same < SET / 8, "%u of %u are where another order has them", same, SET);
	w.pattern = TERN_PATTERN_HOT;
	for (i = 0; i < 16 * SET; i++)
		hot += tern_workload_page(&w, i) < SET / 16;
	/* 15 of 16, and a 16th of the others. */
	CHECK_EQ(hot, 15 * SET + SET / 16);
}

static void test_verdict_is_good(void)
{
	enum tern_pattern pattern;
	u64 writes;

	for (pattern = 0; pattern < TERN_PATTERNS; pattern++) {
		struct tern_workload w = workload(pattern, SET, 99);

		memset(memory, 0, sizeof(memory));
		for (writes = 0; writes < 3 * SET; writes += 37) {
			CHECK_EQ(verify(&w).bad, 0);
			write_pages(&w, 37);
		}
		CHECK_EQ(verify(&w).bad, 0);
	}
}

/* One page of each kind of damage, and its name. */
static void test_damage(void)
{
	struct tern_workload w = workload(TERN_PATTERN_PERMUTED, SET, 5), foreign = w;
	u8 kept[TERN_WORKLOAD_PAGE];
	struct tern_verdict v;
	enum tern_damage damage;

	foreign.seed = 6;
	memset(memory, 0, sizeof(memory));
	write_pages(&w, 5 * SET);
	for (damage = TERN_DAMAGE_LOST; damage < TERN_DAMAGE_REST; damage++) {
		u64 page = damage == TERN_DAMAGE_STRAY ? SET + 3 : 40 + damage;

		memcpy(kept, memory[page], sizeof(kept));
		switch (damage) {
		case TERN_DAMAGE_LOST:
			memset(memory[page], 0, sizeof(kept));
			break;
		case TERN_DAMAGE_STALE:
			tern_workload_stamp(&w, page, 4, memory[page]);
			break;
		case TERN_DAMAGE_NEWER:
			tern_workload_stamp(&w, page, 6, memory[page]);
			break;
		case TERN_DAMAGE_MISPLACED:
			tern_workload_stamp(&w, page + 1, 5, memory[page]);
			break;
		case TERN_DAMAGE_FOREIGN:
			tern_workload_stamp(&foreign, page, 5, memory[page]);
			break;
		default:
			memory[page][TERN_WORKLOAD_PAGE - 1] ^= 0x10;
			break;
		}
		v = verify(&w);
		CHECK_EQ(v.bad, 1);
		CHECK_EQ(v.damage, damage);
		CHECK_EQ(v.page, page);
		CHECK_EQ(v.expected, damage == TERN_DAMAGE_STRAY ? 0 : 5);
		CHECK_EQ(v.found, damage == TERN_DAMAGE_STALE ? 4 : damage == TERN_DAMAGE_NEWER ? 6 :
				  damage == TERN_DAMAGE_MISPLACED ? page + 1 : 0);
		memcpy(memory[page], kept, sizeof(kept));
	}
	/* The first of several. */
	memory[9][77]++;
	memory[8][77]++;
	memset(memory[100], 0, sizeof(kept));
	v = verify(&w);
	CHECK_EQ(v.bad, 3);
	CHECK_EQ(v.page, 8);
}

/* Each bit of a page counts. */
static void test_each_byte(void)
{
	struct tern_workload w = workload(TERN_PATTERN_SEQUENTIAL, SET, 5);
	unsigned int at;

	memset(memory, 0, sizeof(memory));
	write_pages(&w, SET);
	for (at = 0; at < TERN_WORKLOAD_PAGE; at++) {
		memory[3][at] ^= 1 << at % 8;
		CHECK_EQ(verify(&w).bad, 1);
		memory[3][at] ^= 1 << at % 8;
	}
	CHECK_EQ(verify(&w).bad, 0);
}

/* In a set that is not written yet, a page is zero. */
static void test_unwritten(void)
{
	struct tern_workload w = workload(TERN_PATTERN_SEQUENTIAL, SET, 5);
	struct tern_verdict v;

	memset(memory, 0, sizeof(memory));
	write_pages(&w, 10);
	memory[10][0] = 1;
	v = verify(&w);
	CHECK_EQ(v.bad, 1);
	CHECK_EQ(v.damage, TERN_DAMAGE_STRAY);
	CHECK_EQ(v.page, 10);
}

/* What stood behind the set when the workload began must stand there. */
static void test_rest(void)
{
	static const struct {
		u64 page;
		unsigned int at;
	} changes[] = { { SET + 4, 10 }, { ALL - 1, 0 }, { SET, 4095 } };
	struct tern_workload w = workload(TERN_PATTERN_SEQUENTIAL, SET, 5), before;
	u8 buf[TERN_WORKLOAD_PAGE];
	struct tern_verdict v;
	unsigned int i;

	memset(memory, 0, sizeof(memory));
	memory[SET + 4][10] = 3;
	memory[ALL - 1][0] = 3;
	CHECK_EQ(tern_workload_take_rest(&w, ALL, read_page, memory, buf), 0);
	CHECK_EQ(w.rest_pages, 2);
	write_pages(&w, 2 * SET);
	CHECK_EQ(verify(&w).bad, 0);
	for (i = 0; i < ARRAY_SIZE(changes); i++) {
		memory[changes[i].page][changes[i].at] ^= 3;
		v = verify(&w);
		CHECK_EQ(v.bad, 1);
		CHECK_EQ(v.damage, TERN_DAMAGE_REST);
		CHECK_EQ(v.expected, 2);
		CHECK_EQ(v.found, changes[i].page == SET ? 3 : 1);
		memory[changes[i].page][changes[i].at] ^= 3;
	}
	/* Two pages in each other's place. */
	memory[SET + 4][10] = 0;
	memory[SET + 5][10] = 3;
	CHECK_EQ(verify(&w).damage, TERN_DAMAGE_REST);
	/* A page that cannot be read ends it, and changes nothing. */
	before = w;
	unreadable = ALL - 2;
	CHECK_EQ(tern_workload_take_rest(&w, ALL, read_page, memory, buf), -EIO);
	CHECK(!memcmp(&w, &before, sizeof(w)));
	CHECK_EQ(tern_workload_verify(&w, ALL, read_page, memory, buf, &v), -EIO);
	unreadable = 7;
	CHECK_EQ(tern_workload_verify(&w, ALL, read_page, memory, buf, &v), -EIO);
	unreadable = ~0ULL;
}

/* Pages are due at the rate, exactly; and a moment is made up for, no more. */
static void test_rate(void)
{
	const u64 second = 1000000000, start = 5 * second;
	struct tern_workload w = workload(TERN_PATTERN_PERMUTED, SET, 0);
	u64 due = start;
	unsigned int i;

	w.mibs = 8;
	/* In time: 16 pages of 8 * 256 a second. */
	for (i = 0; i < 3 * 128; i++)
		due = tern_workload_due(&w, due, due, 16);
	CHECK_EQ(due, start + 3 * second);
	/* A little late each time: made up for. */
	for (i = 0; i < 128; i++)
		due = tern_workload_due(&w, due, due + second / 20, 16);
	CHECK_EQ(due, start + 4 * second);
	/* Much too late: all but the last tenth of a second is lost. */
	CHECK_EQ(tern_workload_due(&w, due, due + 10 * second, 16),
		 due + 10 * second - second / 10 + second / 128);
	/* At once after the boot. */
	CHECK_EQ(tern_workload_due(&w, 0, 1, 16), second / 128);
	/* Nothing could be written. */
	CHECK_EQ(tern_workload_due(&w, due, due, 0), due + second / 10);
	w.mibs = TERN_WORKLOAD_MIBS_MAX;
	CHECK(tern_workload_due(&w, due, due, 16) < due + 100, "%u MiB/s", w.mibs);
}

/* The numbers migrate; those that no device can have are refused. */
static void test_state(void)
{
	struct tern_workload w = workload(TERN_PATTERN_HOT, SET, ~5ULL), loaded = { };
	struct tern_workload_state good, bad;

	w.mibs = TERN_WORKLOAD_MIBS_MAX;
	w.writes = 1ULL << 40;
	w.rest_pages = ALL - SET;
	w.rest_crc = 0x12345678;
	tern_workload_save(&w, &good);
	CHECK_EQ(tern_workload_validate(&good, ALL), 0);
	tern_workload_load(&loaded, &good);
	CHECK(!memcmp(&w, &loaded, sizeof(w)));
#define REFUSED(field, value, pages)					\
	do {								\
		bad = good;						\
		bad.field = value;					\
		CHECK_EQ(tern_workload_validate(&bad, pages), -EDOM);	\
	} while (0)
	REFUSED(mibs, cpu_to_le32(TERN_WORKLOAD_MIBS_MAX + 1), ALL);
	REFUSED(pattern, cpu_to_le32(TERN_PATTERNS), ALL);
	REFUSED(pages, cpu_to_le64(0), ALL);
	REFUSED(pages, cpu_to_le64(SET / 2), ALL);
	REFUSED(pages, cpu_to_le64(SET + 1), 4 * ALL);
	REFUSED(pages, cpu_to_le64(2 * ALL), ALL);
	REFUSED(rest_pages, cpu_to_le64(ALL - SET + 1), ALL);
	REFUSED(reserved, cpu_to_le32(1), ALL);
}

static const struct tap_test tests[] = {
	{ "LAB-12 workload: a page's generation is the number of its writes", test_generations },
	{ "LAB-12 workload: each pattern has its order", test_orders },
	{ "LAB-12 workload: pages are due at the rate", test_rate },
	{ "LAB-13 workload: at any time the memory is what it should be", test_verdict_is_good },
	{ "LAB-13 workload: each kind of damage has its name", test_damage },
	{ "LAB-13 workload: each byte of a page counts", test_each_byte },
	{ "LAB-13 workload: a page that is not written yet is zero", test_unwritten },
	{ "LAB-13 workload: pages behind the set stay what they were", test_rest },
	{ "LAB-12 P-10 workload: its state migrates, and is checked", test_state },
};

TAP_MAIN(tests)
