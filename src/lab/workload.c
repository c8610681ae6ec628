// SPDX-License-Identifier: GPL-2.0-only
/*
 * The workload: which page a device writes next, what it writes there, and what must
 * therefore stand in each page.
 *
 * The proof of a migration needs an expectation for each page, and the expectation has to
 * migrate, too. Here it is a few numbers. A set of n pages is written in rounds. Each
 * round visits each page once, in the order
 *
 *	page(i) = (a * i + b) mod n,	i = 0 .. n - 1
 *
 * n is a power of two and a is odd, so this is a permutation, and it can be inverted. From
 * the number of writes follows how often any page was written. That number is the page's
 * generation, which stands in it, with the page's number and a CRC. So a page that was
 * lost, is stale, or belongs elsewhere says so itself.
 *
 * The hot pattern is two such walks, over the first 16th of the set and over all of it. A
 * page's generation is the sum of both.
 *
 * No lock, no clock and no device: the host tests run this, too.
 */
#include "lab/workload.h"

/* Of the hot pattern: one write of so many goes to any page, the others to so small a part. */
#define HOT	16

#define SECOND		1000000000ULL
/* What may be made up for, in ns. */
#define BEHIND_MAX	(SECOND / 10)
/* After a failure: memory is short. */
#define PAUSE		(SECOND / 10)

#define PAGES_PER_MIB	((1U << 20) / TERN_WORKLOAD_PAGE)

#define WORDS	((TERN_WORKLOAD_PAGE - sizeof(struct tern_stamp)) / sizeof(__le64))

static_assert(sizeof(struct tern_stamp) == 32);
static_assert(sizeof(struct tern_workload_state) == 48);
static_assert(TERN_WORKLOAD_PAGES_MIN >= HOT);

/* A bijection that leaves no trace of its argument's order (splitmix64's last step). */
static u64 mix(u64 x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/**
 * struct walk - rounds over some pages
 * @pages: a power of two
 * @seed: of the orders; 0: ascending
 */
struct walk {
	u64 pages;
	u64 seed;
};

/**
 * struct order - the order of one round
 * @a: odd
 * @b: the first page
 */
struct order {
	u64 a;
	u64 b;
};

static unsigned int shift_of(const struct walk *walk)
{
	return __builtin_ctzll(walk->pages);
}

static struct order order_of(const struct walk *walk, u64 round)
{
	struct order ascending = { 1, 0 };

	if (!walk->seed)
		return ascending;
	return (struct order){ mix(walk->seed ^ round) | 1, mix(walk->seed + ~round) };
}

/* The page that visit number @n goes to. */
static u64 visited(const struct walk *walk, u64 n)
{
	struct order order = order_of(walk, n >> shift_of(walk));

	return (order.a * n + order.b) & (walk->pages - 1);
}

/* a * x = 1 modulo 2^64: each step doubles the number of bits that are right. */
static u64 inverse(u64 a)
{
	u64 x = a;
	unsigned int bits;

	for (bits = 3; bits < 64; bits *= 2)
		x *= 2 - a * x;
	return x;
}

/* How often @n visits have come to @page. */
static u64 visits(const struct walk *walk, u64 page, u64 n)
{
	u64 round = n >> shift_of(walk), mask = walk->pages - 1;
	struct order order = order_of(walk, round);

	if (page >= walk->pages)
		return 0;
	return round + ((inverse(order.a) * (page - order.b) & mask) < (n & mask));
}

static struct walk whole_walk(const struct tern_workload *w)
{
	return (struct walk){
		w->pages, w->pattern == TERN_PATTERN_SEQUENTIAL ? 0 : mix(w->seed) | 1,
	};
}

static struct walk hot_walk(const struct tern_workload *w)
{
	return (struct walk){ w->pages / HOT, mix(~w->seed) | 1 };
}

/**
 * tern_workload_begin() - nothing is written yet, and all memory is zero
 * @w: the workload
 */
void tern_workload_begin(struct tern_workload *w)
{
	w->writes = 0;
	w->rest_pages = 0;
	w->rest_crc = ~0U;
}

/**
 * tern_workload_page() - where a write goes
 * @w: the workload
 * @write: its number, from 0
 *
 * Return: the page.
 */
u64 tern_workload_page(const struct tern_workload *w, u64 write)
{
	struct walk whole = whole_walk(w), hot = hot_walk(w);

	if (w->pattern != TERN_PATTERN_HOT)
		return visited(&whole, write);
	if (write % HOT == HOT - 1)
		return visited(&whole, write / HOT);
	return visited(&hot, write - write / HOT);
}

/**
 * tern_workload_generation() - how often a page has been written
 * @w: the workload
 * @page: the page
 * @writes: after so many writes
 *
 * Return: how often; 0: never.
 */
u64 tern_workload_generation(const struct tern_workload *w, u64 page, u64 writes)
{
	struct walk whole = whole_walk(w), hot = hot_walk(w);

	if (w->pattern != TERN_PATTERN_HOT)
		return visits(&whole, page, writes);
	return visits(&whole, page, writes / HOT) + visits(&hot, page, writes - writes / HOT);
}

static u64 first_word(u64 seed, u64 page, u64 generation)
{
	return mix(seed ^ mix(page ^ mix(generation)));
}

static u32 crc_of(const struct tern_stamp *stamp)
{
	u32 crc = crc32c(~0U, stamp, offsetof(struct tern_stamp, crc32c));

	return crc32c(crc, &stamp->reserved,
		      TERN_WORKLOAD_PAGE - offsetof(struct tern_stamp, reserved));
}

/**
 * tern_workload_stamp() - what is written to a page
 * @w: the workload
 * @page: its number
 * @generation: how often it was written, with this time
 * @to: TERN_WORKLOAD_PAGE bytes
 */
void tern_workload_stamp(const struct tern_workload *w, u64 page, u64 generation, void *to)
{
	struct tern_stamp *stamp = to;
	__le64 *word = to + sizeof(*stamp);
	u64 x = first_word(w->seed, page, generation);
	unsigned int i;

	stamp->page = cpu_to_le64(page);
	stamp->generation = cpu_to_le64(generation);
	stamp->seed = cpu_to_le64(w->seed);
	stamp->reserved = 0;
	for (i = 0; i < WORDS; i++)
		word[i] = cpu_to_le64(x * (2 * i + 1));
	stamp->crc32c = cpu_to_le32(crc_of(stamp));
}

/**
 * tern_workload_due() - when the next pages may be written
 * @w: the workload, which does not pause
 * @due: when the last ones might be, in ns of a clock
 * @now: they were written
 * @written: how many; 0: they could not be
 *
 * What was missed is made up for, but no more than of a moment: a device that was stopped
 * does not hurry afterwards.
 *
 * Return: ns of that clock.
 */
u64 tern_workload_due(const struct tern_workload *w, u64 due, u64 now, unsigned int written)
{
	u64 cost = written ? div_u64(written * SECOND, PAGES_PER_MIB * w->mibs) : PAUSE;

	return max(due + BEHIND_MAX, now) - BEHIND_MAX + cost;
}

static bool is_zero(const void *page)
{
	return !memchr_inv(page, 0, TERN_WORKLOAD_PAGE);
}

/* What is wrong with a page that should have been written @expected times, last by us. */
static enum tern_damage examine(const struct tern_workload *w, u64 page, u64 expected,
				const void *data, u64 *found)
{
	const struct tern_stamp *stamp = data;

	if (is_zero(data))
		return expected ? TERN_DAMAGE_LOST : TERN_DAMAGE_NONE;
	if (!expected)
		return TERN_DAMAGE_STRAY;
	if (le32_to_cpu(stamp->crc32c) != crc_of(stamp))
		return TERN_DAMAGE_TORN;
	if (le64_to_cpu(stamp->seed) != w->seed)
		return TERN_DAMAGE_FOREIGN;
	*found = le64_to_cpu(stamp->page);
	if (*found != page)
		return TERN_DAMAGE_MISPLACED;
	*found = le64_to_cpu(stamp->generation);
	if (*found < expected)
		return TERN_DAMAGE_STALE;
	return *found > expected ? TERN_DAMAGE_NEWER : TERN_DAMAGE_NONE;
}

static void count_bad(struct tern_verdict *v, enum tern_damage damage, u64 page, u64 expected,
		      u64 found)
{
	if (!v->bad++) {
		v->damage = damage;
		v->page = page;
		v->expected = expected;
		v->found = found;
	}
}

static u32 add_to_rest(u32 crc, u64 page, const void *data)
{
	__le64 number = cpu_to_le64(page);

	return crc32c(crc32c(crc, &number, sizeof(number)), data, TERN_WORKLOAD_PAGE);
}

/* Sum up the pages behind the set. Where they must be zero, @v counts those that are not. */
static int sum_rest(struct tern_workload *rest, u64 pages, tern_workload_read_fn read, void *device,
		    void *buf, struct tern_verdict *v)
{
	u64 page;
	int ret;

	rest->rest_pages = 0;
	rest->rest_crc = ~0U;
	for (page = rest->pages; page < pages; page++) {
		ret = read(device, page, buf);
		if (ret)
			return ret;
		if (is_zero(buf))
			continue;
		if (v)
			count_bad(v, TERN_DAMAGE_STRAY, page, 0, 0);
		rest->rest_crc = add_to_rest(rest->rest_crc, page, buf);
		rest->rest_pages++;
	}
	return 0;
}

/**
 * tern_workload_take_rest() - before it begins: remember what stands behind the set
 * @w: the workload
 * @pages: of the device's memory
 * @read: reads one
 * @device: its argument
 * @buf: TERN_WORKLOAD_PAGE bytes
 *
 * Return: 0, or what @read returned, with nothing changed. Context: as @read.
 */
int tern_workload_take_rest(struct tern_workload *w, u64 pages, tern_workload_read_fn read,
			    void *device, void *buf)
{
	struct tern_workload rest = *w;
	int ret = sum_rest(&rest, pages, read, device, buf, NULL);

	if (!ret)
		*w = rest;
	return ret;
}

/* Pages behind the set: each is zero, or they are together what they were. */
static int verify_rest(const struct tern_workload *w, u64 pages, tern_workload_read_fn read,
		       void *device, void *buf, struct tern_verdict *v)
{
	struct tern_workload rest = *w;
	int ret = sum_rest(&rest, pages, read, device, buf, w->rest_pages ? NULL : v);

	if (!ret && w->rest_pages &&
	    (rest.rest_pages != w->rest_pages || rest.rest_crc != w->rest_crc))
		count_bad(v, TERN_DAMAGE_REST, w->pages, w->rest_pages, rest.rest_pages);
	return ret;
}

/**
 * tern_workload_verify() - does each page have what the workload has written there last?
 * @w: the workload, which writes nothing meanwhile
 * @pages: of the device's memory
 * @read: reads one
 * @device: its argument
 * @buf: TERN_WORKLOAD_PAGE bytes
 * @v: gets the verdict
 *
 * Return: 0, or what @read returned. Context: as @read.
 */
int tern_workload_verify(const struct tern_workload *w, u64 pages, tern_workload_read_fn read,
			 void *device, void *buf, struct tern_verdict *v)
{
	enum tern_damage damage;
	u64 page, expected, found;
	int ret;

	*v = (struct tern_verdict){ .pages = pages };
	for (page = 0; page < w->pages; page++) {
		ret = read(device, page, buf);
		if (ret)
			return ret;
		found = 0;
		expected = tern_workload_generation(w, page, w->writes);
		damage = examine(w, page, expected, buf, &found);
		if (damage != TERN_DAMAGE_NONE)
			count_bad(v, damage, page, expected, found);
	}
	return verify_rest(w, pages, read, device, buf, v);
}

/**
 * tern_workload_save() - for a stream
 * @w: the workload
 * @to: gets it
 */
void tern_workload_save(const struct tern_workload *w, struct tern_workload_state *to)
{
	to->mibs = cpu_to_le32(w->mibs);
	to->pattern = cpu_to_le32(w->pattern);
	to->pages = cpu_to_le64(w->pages);
	to->seed = cpu_to_le64(w->seed);
	to->writes = cpu_to_le64(w->writes);
	to->rest_pages = cpu_to_le64(w->rest_pages);
	to->rest_crc = cpu_to_le32(w->rest_crc);
	to->reserved = 0;
}

/**
 * tern_workload_validate() - can a device have this workload?
 * @from: a state from a stream
 * @pages: of its memory
 *
 * Return: 0, or -EDOM.
 */
int tern_workload_validate(const struct tern_workload_state *from, u64 pages)
{
	u64 set = le64_to_cpu(from->pages);

	if (le32_to_cpu(from->mibs) > TERN_WORKLOAD_MIBS_MAX ||
	    le32_to_cpu(from->pattern) >= TERN_PATTERNS || set < TERN_WORKLOAD_PAGES_MIN ||
	    set & (set - 1) || set > pages || le64_to_cpu(from->rest_pages) > pages - set ||
	    from->reserved)
		return -EDOM;
	return 0;
}

/**
 * tern_workload_load() - restore from a validated section
 * @w: the workload
 * @from: a validated state
 */
void tern_workload_load(struct tern_workload *w, const struct tern_workload_state *from)
{
	w->mibs = le32_to_cpu(from->mibs);
	w->pattern = le32_to_cpu(from->pattern);
	w->pages = le64_to_cpu(from->pages);
	w->seed = le64_to_cpu(from->seed);
	w->writes = le64_to_cpu(from->writes);
	w->rest_pages = le64_to_cpu(from->rest_pages);
	w->rest_crc = le32_to_cpu(from->rest_crc);
}
