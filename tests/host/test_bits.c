// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bitmap with summaries: against a plain one, and while others set and clear, each at
 * one step point of another. The order of memory is argued in bits.c, and not tested here.
 */
#include "core/bits.h"
#include "tap.h"

/* A walk from bit 0 on reaches both by their summaries alone, and by two of the highest. */
#define NEAR	(64UL * 64 * 2 + 5)
#define FAR	(64UL * 64 * 64 + 5)
#define SMALL	(2 * FAR)
/* A set has two step points, a clear up to four. */
#define STEPS	4

static void check_plain(const struct tern_bits *b, const bool *plain)
{
	unsigned long next = b->n, bit, weight = 0;

	for (bit = b->n; bit-- > 0;) {
		if (plain[bit])
			next = bit;
		weight += plain[bit];
		CHECK_EQ(test_bit(bit, b->level[0]), plain[bit]);
		CHECK_EQ(tern_bits_next(b, bit), next);
	}
	CHECK_EQ(tern_bits_next(b, b->n), b->n);
	CHECK_EQ(tern_bits_weight(b), weight);
}

#define GROUP_BITS	(64UL * TERN_BITS_GROUP)

/* Some bits of the group that this one is of. */
static void set_group(struct tern_bits *b, bool *plain, unsigned long bit)
{
	unsigned long first = bit / GROUP_BITS * GROUP_BITS, end = min(b->n, first + GROUP_BITS);
	unsigned long words[TERN_BITS_GROUP] = { 0 }, i, at, were = 0;

	for (i = rand() % 100; i > 0; i--) {
		at = first + rand() % (end - first);
		if (!test_and_set_bit(at - first, words))
			were += plain[at];
	}
	CHECK_EQ(tern_bits_set_group(b, bit / GROUP_BITS, words), were);
	for (at = first; at < end; at++)
		plain[at] |= test_bit(at - first, words);
}

static void clear_group(struct tern_bits *b, bool *plain, unsigned long bit)
{
	unsigned long first = bit / GROUP_BITS * GROUP_BITS, end = min(b->n, first + GROUP_BITS);
	unsigned long at, were = 0;

	for (at = first; at < end; at++) {
		were += plain[at];
		plain[at] = false;
	}
	CHECK_EQ(tern_bits_clear_group(b, bit / GROUP_BITS), were);
}

/* Random bits and groups of bitmaps of each size, sparse and dense. */
static void test_plain_model(void)
{
	static const unsigned long sizes[] = { 1, 63, 64, 65, 4096, 4097, 300000 };
	unsigned int i, round;

	srand(1);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned long n = sizes[i];
		bool *plain = calloc(n, 1);
		struct tern_bits b;

		CHECK_EQ(tern_bits_init(&b, n), 0);
		check_plain(&b, plain);
		for (round = 0; round < 2000; round++) {
			unsigned long bit = rand() % n;

			switch (rand() % 5) {
			case 0:
			case 1:
				CHECK_EQ(tern_bits_set(&b, bit), plain[bit]);
				plain[bit] = true;
				break;
			case 2:
				CHECK_EQ(tern_bits_clear(&b, bit), plain[bit]);
				plain[bit] = false;
				break;
			case 3:
				set_group(&b, plain, bit);
				break;
			case 4:
				clear_group(&b, plain, bit);
			}
			if (n <= 65)
				check_plain(&b, plain);
		}
		check_plain(&b, plain);
		tern_bits_uninit(&b);
		free(plain);
	}
}

/* Sets or clears a bit, and at one of its step points lets the next actor run. */
struct actor {
	unsigned long bit;
	bool sets;
	bool by_group;
};

static struct {
	struct tern_bits b;
	struct actor *actors;
	unsigned int n, depth;
	unsigned int at[3];	/* at which step point of each the next one runs */
	unsigned int seen[3];
} race;

/* Does a walk from the first bit on come to it? */
static bool is_found(unsigned long bit)
{
	unsigned long at;

	for (at = tern_bits_next(&race.b, 0); at < bit; at = tern_bits_next(&race.b, at + 1))
		;
	return at == bit;
}

static void act(void);

static void step(const char *name, unsigned long index)
{
	if (race.seen[race.depth - 1]++ == race.at[race.depth - 1] && race.depth < race.n)
		act();
}

static void act(void)
{
	struct actor *a = &race.actors[race.depth++];

	if (a->sets) {
		unsigned long words[TERN_BITS_GROUP] = { 0 };

		set_bit(a->bit % GROUP_BITS, words);
		if (a->by_group)
			tern_bits_set_group(&race.b, a->bit / GROUP_BITS, words);
		else
			tern_bits_set(&race.b, a->bit);
		/*
		 * Whatever the others have begun: this one has ended, and its bit is found,
		 * unless its group was cleared meanwhile.
		 */
		CHECK(!test_bit(a->bit, race.b.level[0]) || is_found(a->bit), "bit %lu", a->bit);
	} else if (a->by_group) {
		tern_bits_clear_group(&race.b, a->bit / GROUP_BITS);
	} else {
		tern_bits_clear(&race.b, a->bit);
	}
	race.depth--;
}

/* All of them in each other's midst; one at most clears. Whether each had its turn. */
static bool run_race(unsigned long set_before, const unsigned int *at)
{
	unsigned int i;

	CHECK_EQ(tern_bits_init(&race.b, SMALL), 0);
	if (set_before < SMALL)
		tern_bits_set(&race.b, set_before);
	memcpy(race.at, at, sizeof(race.at));
	memset(race.seen, 0, sizeof(race.seen));
	race.depth = 0;
	host_step = step;
	act();
	host_step = NULL;
	/* Each bit that is set is found. */
	for (i = 0; i < race.n; i++)
		if (test_bit(race.actors[i].bit, race.b.level[0]))
			CHECK(is_found(race.actors[i].bit), "bit %lu", race.actors[i].bit);
	tern_bits_uninit(&race.b);
	return race.seen[0] > at[0] && race.seen[1] > at[1];
}

/* At all their step points; those in @groups set or clear by groups. */
static unsigned int run_steps(struct actor *actors, unsigned int groups, unsigned int clears)
{
	unsigned int at[3] = { 0 }, i, runs = 0;

	race.actors = actors;
	race.n = 3;
	for (i = 0; i < race.n; i++)
		actors[i].by_group = groups & BIT(i);
	for (at[0] = 0; at[0] < STEPS; at[0]++)
		for (at[1] = 0; at[1] < STEPS; at[1]++)
			runs += run_race(actors[clears].bit, at);
	return runs;
}

/*
 * Three, of which one clears, first, second or third. The bits lie in the same word, or
 * in neighbouring words of each level.
 */
static void test_every_interleaving(void)
{
	static const unsigned long bits[] = { NEAR, NEAR + 4, NEAR + 64, NEAR + 64 * 64, FAR };
	unsigned int clears, i, j, k, groups, runs = 0;

	for (clears = 0; clears < 3; clears++)
		for (i = 0; i < ARRAY_SIZE(bits); i++)
			for (j = 0; j < ARRAY_SIZE(bits); j++)
				for (k = 0; k < ARRAY_SIZE(bits); k++) {
					struct actor actors[] = {
						{ .bit = bits[i], .sets = clears != 0 },
						{ .bit = bits[j], .sets = clears != 1 },
						{ .bit = bits[k], .sets = clears != 2 },
					};

					if (i == j || j == k || i == k)
						continue;
					for (groups = 0; groups < 8; groups++)
						runs += run_steps(actors, groups, clears);
				}
	printf("# %u runs\n", runs);
	CHECK(runs > 6000, "%u runs", runs);
}

static void test_no_memory(void)
{
	struct tern_bits b;

	host_fail_alloc = 1;
	CHECK_EQ(tern_bits_init(&b, 1000), -ENOMEM);
	CHECK_EQ(host_fail_alloc, 0);
	tern_bits_uninit(&b);
}

static const struct tap_test tests[] = {
	{ "bits: equal to a plain bitmap over random steps, for each size", test_plain_model },
	{ "P-1 bits: a bit that was set is found, at each step point of others", test_every_interleaving },
	{ "bits: without memory there are none", test_no_memory },
};

TAP_MAIN(tests)
