// SPDX-License-Identifier: GPL-2.0-only
/* The loader: any segmentation of a good stream, and no other stream at all. */
#include "device.h"
#include "core/loader.h"
#include "core/stream.h"
#include "tap.h"
#include "../selftests/golden.h"
#include <time.h>

#define PAGES	16	/* a device of 64 KiB */

/* The stream that is spoiled bit by bit is short; the one that is cut is not. */
static struct feeder from, full;

static void save_pages(struct feeder *f, unsigned long first, unsigned long n)
{
	unsigned long page;

	for (page = first; page < first + n; page++)
		host_store(f->dev, page, 0x40 + page);
	feeder_save(f);
}

static void make_stream(void)
{
	if (from.dev)
		return;
	feeder_init(&from, PAGES, true);
	host_device_dress(from.dev, 5);
	save_pages(&from, 6, 1);
	feeder_init(&full, PAGES, true);
	host_device_dress(full.dev, 8);
	save_pages(&full, 0, PAGES);
}

/* A device that has a past. */
static void used_device(struct feeder *f)
{
	feeder_init(f, PAGES, true);
	host_device_dress(f->dev, 77);
	host_store(f->dev, 3, 0x99);
}

/* Load into a device; with @good it must become the same, else blank. */
static int load(const void *stream, size_t len, size_t cut, bool good)
{
	struct feeder to;
	int ret, run;

	used_device(&to);
	ret = feeder_load(&to, stream, len, cut);
	run = tern_machine_go(&to.mc, TERN_PHASE_RUNNING);
	if (good) {
		CHECK(!ret && !run, "cut %zu: %d, %d", cut, ret, run);
		CHECK(host_device_equal(from.dev, to.dev));
	} else {
		CHECK_EQ(run, -EIO);
		/* What was refused is wiped at once, not only when the load is left. */
		CHECK(!ret || host_device_blank(to.dev));
		CHECK_EQ(tern_machine_go(&to.mc, TERN_PHASE_STOPPED), 0);
		CHECK(host_device_blank(to.dev));
		/* And the device is as good as new. */
		CHECK_EQ(feeder_load(&to, from.stream, from.len, 0), 0);
		CHECK_EQ(tern_machine_go(&to.mc, TERN_PHASE_RUNNING), 0);
		CHECK(host_device_equal(from.dev, to.dev));
	}
	feeder_uninit(&to);
	return ret;
}

static void test_round_trip(void)
{
	make_stream();
	load(from.stream, from.len, 0, true);
}

/* Where the records of a good stream begin; at[n] is its end. */
#define RECORDS		32

static unsigned int boundaries(const struct feeder *f, size_t *at)
{
	unsigned int n = 0;
	size_t pos;

	for (pos = 0; pos < f->len; n++) {
		u32 length;

		CHECK(n < RECORDS - 1);
		at[n] = pos;
		memcpy(&length, f->stream + pos + 16, 4);
		pos += 24 + le32toh(length);
	}
	at[n] = pos;
	return n;
}

/* Load in pieces whose lengths next() returns: the device is the source's equal. */
static void load_in_pieces_by(const struct feeder *f, size_t (*next)(size_t done, void *arg),
			      void *arg, bool in_place)
{
	struct feeder to;
	size_t at, n;

	used_device(&to);
	to.mc.config.in_place = in_place;
	for (at = 0; at < f->len; at += n) {
		n = min(next(at, arg), f->len - at);
		CHECK_EQ(feeder_load(&to, f->stream + at, n, 0), 0);
	}
	CHECK_EQ(tern_machine_go(&to.mc, TERN_PHASE_RUNNING), 0);
	CHECK(host_device_equal(f->dev, to.dev));
	feeder_uninit(&to);
}

static void load_in_pieces(const struct feeder *f, size_t (*next)(size_t done, void *arg),
			   void *arg)
{
	load_in_pieces_by(f, next, arg, false);
	load_in_pieces_by(f, next, arg, true);
}

static size_t always(size_t done, void *size)
{
	return *(size_t *)size;
}

/* One cut at a place, and no other. */
static size_t one_cut(size_t done, void *at)
{
	return done ? SIZE_MAX : *(size_t *)at;
}

static size_t random_piece(size_t done, void *arg)
{
	return 1 + rand() % 5000;
}

/* Sessions that were given up, and one that was not: longer than any piece. */
static void make_long_stream(struct feeder *f)
{
	unsigned int i;

	feeder_init(f, PAGES, true);
	for (i = 0; f->len <= (1 << 20) + 1; i++) {
		CHECK_EQ(tern_machine_go(&f->mc, TERN_PHASE_RUNNING), 0);
		host_device_dress(f->dev, i);
		save_pages(f, 0, PAGES);
	}
}

static void test_chunking(void)
{
	const char *given = getenv("SEED");
	const unsigned int seed = given ? strtoul(given, NULL, 0) : time(NULL);
	struct feeder many;
	size_t cut, at[RECORDS];
	unsigned int i, n, cuts = 0;
	int k;

	make_stream();
	for (cut = 1; cut <= 4097; cut++)
		load_in_pieces(&full, always, &cut);
	make_long_stream(&many);
	for (n = 8192; n <= 1 << 20; n *= 2)
		for (k = -1; k <= 1; k++) {
			cut = n + k;
			CHECK(cut < many.len);
			load_in_pieces(&many, always, &cut);
		}
	feeder_uninit(&many);
	n = boundaries(&full, at);
	CHECK_EQ(n, 1 + PAGES + 5);
	for (i = 0; i <= n; i++)
		for (k = -1; k <= 1; k++) {
			cut = at[i] + k;
			if (cut > 0 && cut < full.len) {
				load_in_pieces(&full, one_cut, &cut);
				cuts++;
			}
		}
	/* All three of each between two records, one of each end. */
	CHECK_EQ(cuts, 3 * (n - 1) + 2);
	printf("# seed %u; with SEED=%u it comes again\n", seed, seed);
	srand(seed);
	for (i = 0; i < 1000; i++)
		load_in_pieces(&full, random_piece, NULL);
}

/* The window of a user who writes to it as soon as a byte was read. */
static struct {
	u8 *bytes;
	size_t len, copied;
} window;

static void scribble(const void *from, size_t n)
{
	size_t at = (const u8 *)from - window.bytes, i;

	if (at >= window.len)
		return;
	for (i = at; i < at + n; i++)
		window.bytes[i] = ~window.bytes[i];
	window.copied += n;
}

/*
 * Each byte is read once, and what is loaded is what was checked: a loader that reads the
 * window again, for a length, a check sum or the data, finds something else there.
 */
static void test_read_once(void)
{
	static const size_t pieces[] = { 1, 7, 23, 24, 25, 4097, 65536, SIZE_MAX };
	unsigned int i;

	make_stream();
	window.len = full.len;
	window.bytes = malloc(window.len);
	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		struct feeder to;
		size_t at, n;

		used_device(&to);
		CHECK_EQ(tern_machine_go(&to.mc, TERN_PHASE_LOADING), 0);
		memcpy(window.bytes, full.stream, window.len);
		window.copied = 0;
		host_copied = scribble;
		for (at = 0; at < window.len; at += n) {
			n = min(pieces[i], window.len - at);
			CHECK_EQ(tern_loader_feed(to.mc.loader, window.bytes + at, n), 0);
		}
		host_copied = NULL;
		CHECK_EQ(window.copied, window.len);
		CHECK_EQ(tern_machine_go(&to.mc, TERN_PHASE_RUNNING), 0);
		CHECK(host_device_equal(full.dev, to.dev));
		feeder_uninit(&to);
	}
	free(window.bytes);
}

/*
 * Only what user space cannot reach is checked and loaded where it lies. That needs a
 * record that is whole there, with its fields aligned.
 */
static void test_in_place(void)
{
	static const struct {
		bool in_place;
		size_t shift, cut;
		bool stays;
	} loads[] = {
		{ false, 0, 0, false },
		{ true, 0, 0, true },
		{ true, 4, 0, false },
		{ true, 0, 1, false },
	};
	unsigned int i;
	u8 *bytes;

	make_stream();
	bytes = malloc(full.len + 8);
	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		size_t at[RECORDS], cut, shift = loads[i].shift;
		const u8 *from;
		struct feeder to;

		used_device(&to);
		to.mc.config.in_place = loads[i].in_place;
		CHECK_EQ(tern_machine_go(&to.mc, TERN_PHASE_LOADING), 0);
		memcpy(bytes + shift, full.stream, full.len);
		/* The last page of the first records ends there. */
		CHECK_EQ(boundaries(&full, at), 1 + PAGES + 5);
		cut = at[1 + PAGES] - loads[i].cut;
		CHECK_EQ(tern_loader_feed(to.mc.loader, bytes + shift, cut), 0);
		CHECK_EQ(tern_loader_feed(to.mc.loader, bytes + shift + cut, full.len - cut), 0);
		from = to.dev->loaded_from;
		CHECK_EQ(from >= bytes && from < bytes + full.len + 8, loads[i].stays);
		CHECK_EQ(tern_machine_go(&to.mc, TERN_PHASE_RUNNING), 0);
		CHECK(host_device_equal(full.dev, to.dev));
		feeder_uninit(&to);
	}
	free(bytes);
}

static void test_truncation(void)
{
	size_t len;

	make_stream();
	for (len = 0; len < from.len; len++)
		CHECK_EQ(load(from.stream, len, 0, false), 0);
}

/* Payload lengths by type, as the format has them: { from, to }, 0 is unknown. */
static const u32 lengths[8][2] = {
	{ 0 }, { 48, 48 }, { 8 + 4096, 8 + 65536 }, { 72, 72 }, { 4096, 4096 },
	{ 264, 264 }, { 64, 64 }, { 16, 16 },
};

/*
 * What the format says of a record that is not what was sealed: the checks in
 * their order, and the CRC catches the rest. 0: the reader waits for more.
 */
static int verdict(const u8 *record, size_t left, bool first)
{
	u32 type, flags, length;

	memcpy(&type, record, 4);
	memcpy(&flags, record + 4, 4);
	memcpy(&length, record + 16, 4);
	type = le32toh(type);
	flags = le32toh(flags);
	length = le32toh(length);
	if (first && type != 1)
		return -EINVAL;
	if (flags & ~1)
		return -EOPNOTSUPP;
	if (type >= 8 || !lengths[type][0])
		return -EOPNOTSUPP;
	if (length < lengths[type][0] || length > lengths[type][1])
		return -EMSGSIZE;
	return left < 24 + length ? 0 : -EBADMSG;
}

/* Every bit: the errno that the format names, nothing left, a good load works. */
static void test_flipped_bit(void)
{
	size_t at[RECORDS], byte;
	unsigned int i, n, bit;
	u8 *bad;

	make_stream();
	CHECK(from.len <= 16384, "%zu", from.len);
	bad = malloc(from.len);
	n = boundaries(&from, at);
	for (i = 0; i < n; i++)
		for (byte = at[i]; byte < at[i + 1]; byte++)
			for (bit = 0; bit < 8; bit++) {
				int want, got;

				memcpy(bad, from.stream, from.len);
				bad[byte] ^= 1 << bit;
				want = verdict(bad + at[i], from.len - at[i], i == 0);
				got = load(bad, from.len, 0, false);
				CHECK(got == want, "record %u, byte %zu, bit %u: %d, not %d", i,
				      byte - at[i], bit, got, want);
			}
	free(bad);
}

/* A stream of records of our own making. */
struct forge {
	struct tern_writer w;
	u8 buf[512 * 1024] __attribute__((aligned(8)));
	size_t len;
};

static void *payload(struct forge *g)
{
	return tern_writer_payload(g->buf + g->len);
}

static void seal(struct forge *g, u32 type, u32 length)
{
	g->len += tern_writer_seal(&g->w, g->buf + g->len, type, 0, length);
}

static struct tern_session_begin good_begin(void)
{
	return (struct tern_session_begin){
		.magic = htole64(TERN_STREAM_MAGIC),
		.version = htole32(3),
		.reader = htole32(3),
		.model = htole32(HOST_MODEL),
		.block = htole32(4096),
		.memory_size = htole64(PAGES * HOST_PAGE),
		.id = { 42 },
	};
}

static struct forge *forge(const struct tern_session_begin *begin)
{
	static struct forge g;

	memset(&g, 0, sizeof(g));
	tern_writer_init(&g.w);
	memcpy(payload(&g), begin, sizeof(*begin));
	seal(&g, TERN_RECORD_SESSION_BEGIN, sizeof(*begin));
	return &g;
}

static void put_memory(struct forge *g, u64 offset, u32 bytes)
{
	*(__le64 *)payload(g) = htole64(offset);
	seal(g, TERN_RECORD_MEMORY, 8 + bytes);
}

static void put_sections_of_1(struct forge *g)
{
	memset(payload(g), 0, 8192);
	seal(g, TERN_RECORD_REGISTERS, 72);
	memset(payload(g), 0, 8192);
	seal(g, TERN_RECORD_CONFIG_SPACE, 4096);
	memset(payload(g), 0, 8192);
	seal(g, TERN_RECORD_INTERRUPTS, 264);
}

static void put_sections(struct forge *g)
{
	put_sections_of_1(g);
	memset(payload(g), 0, 8192);
	seal(g, TERN_RECORD_DMA, 64);
}

static void put_end(struct forge *g, long records, long bytes)
{
	struct tern_end *end = payload(g);

	end->records = htole64(g->w.seq + records);
	end->bytes = htole64(g->w.bytes + bytes);
	seal(g, TERN_RECORD_END, 16);
}

static void test_wrong_begin(void)
{
	struct tern_session_begin b;
	struct forge *g;

	make_stream();
#define TRY(field, value, err)						\
	do {								\
		b = good_begin();					\
		b.field = (value);					\
		CHECK_EQ(load(forge(&b)->buf, 72, 0, false), err);	\
	} while (0)
	TRY(magic, htole64(1), -EINVAL);
	TRY(reader, htole32(4), -EPROTONOSUPPORT);
	TRY(model, htole32(HOST_MODEL + 1), -EMEDIUMTYPE);
	TRY(memory_size, htole64(2 * PAGES * HOST_PAGE), -ERANGE);
	TRY(block, htole32(512), -ERANGE);
	TRY(version, 0, -EINVAL);
#undef TRY
	CHECK_EQ(load("this is no stream at all", 24, 0, false), -EINVAL);
	/* It is the first of its session, or nothing. */
	b = good_begin();
	g = forge(&b);
	g->len = 0;
	g->w.seed = ~0U;
	memcpy(payload(g), &b, sizeof(b));
	seal(g, TERN_RECORD_SESSION_BEGIN, sizeof(b));
	CHECK_EQ(load(g->buf, g->len, 0, false), -EILSEQ);
}

/* Flags that a writer of today never sets. */
static void optional(void *record, u32 flags)
{
	((struct tern_record *)record)->flags = htole32(flags);
}

static void test_wrong_records(void)
{
	const struct tern_session_begin begin = good_begin();
	struct forge *g;

	make_stream();
#define TRY(err, ...)							\
	do {								\
		g = forge(&begin);					\
		__VA_ARGS__;						\
		CHECK_EQ(load(g->buf, g->len, 0, false), err);		\
	} while (0)
	TRY(-EOVERFLOW, put_memory(g, PAGES * HOST_PAGE, 4096));
	TRY(-EOVERFLOW, put_memory(g, (PAGES - 1) * HOST_PAGE, 8192));
	TRY(-EOVERFLOW, put_memory(g, ~0xfffULL, 4096));
	TRY(-EOVERFLOW, put_memory(g, 512, 4096));
	TRY(-EOVERFLOW, put_memory(g, 0, 4608));
	TRY(-EMSGSIZE, put_memory(g, 0, 0));
	TRY(-EMSGSIZE, put_memory(g, 0, 65536 + 4096));
	TRY(-EMSGSIZE, seal(g, TERN_RECORD_REGISTERS, 71));
	TRY(-EMSGSIZE, seal(g, TERN_RECORD_END, 17));
	TRY(-EMSGSIZE, seal(g, TERN_RECORD_DMA, 63));
	TRY(-EOPNOTSUPP, seal(g, 8, 16));
	TRY(-EOPNOTSUPP, seal(g, 0, 16));
	/* Optional, and longer than any record. */
	TRY(-EMSGSIZE, seal(g, 99, 65545), optional(g->buf + 72, 1));
	TRY(-EOPNOTSUPP, seal(g, 99, 16), optional(g->buf + 72, 3));
	TRY(-EDOM, memset(payload(g), 0xff, 72), seal(g, TERN_RECORD_REGISTERS, 72));
	/* A section twice. */
	TRY(-EPROTO, put_sections(g), put_sections(g), put_end(g, 0, 0));
	/* END: without the sections, or with other counts than there were. */
	TRY(-EPROTO, put_end(g, 0, 0));
	TRY(-EPROTO, put_sections_of_1(g), put_end(g, 0, 0));
	TRY(-EPROTO, put_sections(g), put_end(g, 1, 0));
	TRY(-EPROTO, put_sections(g), put_end(g, -1, 0));
	TRY(-EPROTO, put_sections(g), put_end(g, 0, 1));
	/* After END nothing but repeats and a new session. */
	TRY(-EPROTO, put_sections(g), put_end(g, 0, 0), put_memory(g, 0, 4096));
	/* A number left out. */
	TRY(-EILSEQ, g->w.seq++, put_sections(g), put_end(g, 0, 0));
#undef TRY
}

static void test_order(void)
{
	u8 *s = malloc(1 << 20);
	unsigned int n, i, j, k;
	size_t at[RECORDS], len;

	make_stream();
	n = boundaries(&from, at);
	for (i = 0; i < n; i++) {
		/* Left out. Without END it just ends, too early. */
		memcpy(s, from.stream, at[i]);
		memcpy(s + at[i], from.stream + at[i + 1], from.len - at[i + 1]);
		CHECK_EQ(load(s, from.len - (at[i + 1] - at[i]), 0, false),
			 i == 0 ? -EINVAL : i + 1 == n ? 0 : -EILSEQ);
		/* Twice, and again at the very end: no harm. SESSION_BEGIN and END, too. */
		memcpy(s, from.stream, at[i + 1]);
		memcpy(s + at[i + 1], from.stream + at[i], from.len - at[i]);
		len = at[i + 1] + from.len - at[i];
		memcpy(s + len, from.stream + at[i], at[i + 1] - at[i]);
		load(s, len + at[i + 1] - at[i], 0, true);
	}
	/* All of it twice. */
	memcpy(s, from.stream, from.len);
	memcpy(s + from.len, from.stream, from.len);
	load(s, 2 * from.len, 0, true);
	/* Two that changed places. */
	for (i = 0; i < n; i++)
		for (k = i + 1; k < n; k++) {
			len = 0;
#define PUT(r)	(memcpy(s + len, from.stream + at[r], at[(r) + 1] - at[r]), len += at[(r) + 1] - at[r])
			for (j = 0; j < n; j++)
				PUT(j == i ? k : j == k ? i : j);
#undef PUT
			CHECK_EQ(len, from.len);
			CHECK_EQ(load(s, len, 0, false), i ? -EILSEQ : -EINVAL);
		}
	free(s);
}

/* The records of two sessions do not mix. */
static void test_spliced(void)
{
	u8 *s = malloc(1 << 20);
	struct feeder other;
	unsigned int i, n;
	size_t at[RECORDS];

	make_stream();
	feeder_init(&other, PAGES, true);
	host_store(other.dev, 6, 0x99);
	feeder_save(&other);
	CHECK_EQ(other.len, from.len);
	n = boundaries(&from, at);
	for (i = 0; i < n; i++) {
		memcpy(s, from.stream, from.len);
		memcpy(s + at[i], other.stream + at[i], at[i + 1] - at[i]);
		CHECK_EQ(load(s, from.len, 0, false), -EBADMSG);
		/* All from there on. */
		memcpy(s + at[i], other.stream + at[i], from.len - at[i]);
		if (i)
			CHECK_EQ(load(s, from.len, 0, false), -EBADMSG);
	}
	feeder_uninit(&other);
	free(s);
}

/*
 * Bytes after END that are no whole record: the device does not run, and a load that
 * is left has loaded nothing. Where they become a record that was there before, all
 * is well.
 */
static void test_stray_bytes(void)
{
	size_t at[RECORDS], first, n, i;
	static u8 stray[2 * TERN_RECORD_HEAD];
	struct feeder to;

	make_stream();
	boundaries(&from, at);
	/* MEMORY, the second record, once more. */
	first = at[2] - at[1];
	for (i = 0; i < 2; i++)
		for (n = 1; n <= first; n += n < 2 * TERN_RECORD_HEAD ? 1 : first / 7) {
			const u8 *bytes = i ? from.stream + at[1] : stray;

			if (!i && n >= TERN_RECORD_HEAD)
				break;
			feeder_init(&to, PAGES, true);
			CHECK_EQ(feeder_load(&to, from.stream, from.len, 0), 0);
			CHECK_EQ(feeder_load(&to, bytes, n, 0), 0);
			CHECK_EQ(tern_machine_go(&to.mc, TERN_PHASE_RUNNING), -EIO);
			CHECK_EQ(tern_machine_commit(&to.mc), -EIO);
			CHECK_EQ(to.mc.phase, TERN_PHASE_LOADING);
			if (i && n % 2 && n < first) {
				CHECK_EQ(feeder_load(&to, bytes + n, first - n, 0), 0);
				CHECK_EQ(tern_machine_go(&to.mc, TERN_PHASE_RUNNING), 0);
				CHECK(host_device_equal(from.dev, to.dev));
			} else {
				CHECK_EQ(tern_machine_go(&to.mc, TERN_PHASE_STOPPED), 0);
				CHECK(host_device_blank(to.dev));
			}
			feeder_uninit(&to);
		}
}

/* A new session, in mid-stream or after END, starts over. */
static void test_new_session(void)
{
	struct feeder old;
	size_t at[RECORDS], cut[3];
	u8 *s = malloc(1 << 20);
	unsigned int i;

	make_stream();
	boundaries(&from, at);
	feeder_init(&old, PAGES, true);
	for (i = 0; i < PAGES; i++)
		host_store(old.dev, i, 0x77);
	host_device_dress(old.dev, 9);
	feeder_save(&old);
	cut[0] = 72;
	cut[1] = at[2];
	cut[2] = old.len;
	for (i = 0; i < ARRAY_SIZE(cut); i++) {
		memcpy(s, old.stream, cut[i]);
		memcpy(s + cut[i], from.stream, from.len);
		load(s, cut[i] + from.len, 0, true);
	}
	feeder_uninit(&old);
	free(s);
}

/* The last record of @bytes, sealed again with other flags: a reader may skip it. */
static void make_optional(struct forge *g, size_t bytes)
{
	struct tern_record *head = (void *)(g->buf + g->len - bytes);
	u32 crc;

	optional(head, TERN_RECORD_OPTIONAL);
	crc = crc32c(crc32c(g->w.seed, head, 20), head + 1, bytes - sizeof(*head));
	head->crc32c = htole32(crc);
}

static void put_unknown(struct forge *g)
{
	memset(payload(g), 0x44, 40);
	seal(g, 99, 40);
	make_optional(g, sizeof(struct tern_record) + 40);
}

/*
 * A feeder's stream, as a writer of another version writes it: one of version 1
 * knows no DMA, and a newer one has records that no reader knows @before each.
 */
static struct forge *retell(const struct feeder *f, u32 version, u32 reader,
			    void (*before)(struct forge *g))
{
	struct tern_session_begin begin = good_begin();
	size_t at[RECORDS];
	unsigned int i, n = boundaries(f, at);
	struct forge *g;

	begin.version = htole32(version);
	begin.reader = htole32(reader);
	g = forge(&begin);
	for (i = 1; i < n; i++) {
		struct tern_record head;

		memcpy(&head, f->stream + at[i], sizeof(head));
		if (le32toh(head.type) == TERN_RECORD_DMA && version < 2)
			continue;
		if (before)
			before(g);
		if (le32toh(head.type) == TERN_RECORD_END) {
			put_end(g, 0, 0);
			continue;
		}
		memcpy(payload(g), f->stream + at[i] + sizeof(head), le32toh(head.length));
		seal(g, le32toh(head.type), le32toh(head.length));
	}
	return g;
}

/* An unknown record that says it is optional is passed over, wherever it stands. */
static void test_optional(void)
{
	const struct tern_session_begin begin = good_begin();
	struct forge *g;

	make_stream();
	g = retell(&from, 3, 3, put_unknown);
	load(g->buf, g->len, 1, true);
	/* One that is known is not passed over, optional or not. */
	g = forge(&begin);
	memset(payload(g), 0xff, 72);
	seal(g, TERN_RECORD_REGISTERS, 72);
	make_optional(g, sizeof(struct tern_record) + 72);
	CHECK_EQ(load(g->buf, g->len, 0, false), -EDOM);
}

/* A stream of a newer format that this reader can read is read completely. */
static void test_newer(void)
{
	struct forge *g;

	make_stream();
	g = retell(&from, 9, 3, NULL);
	load(g->buf, g->len, 0, true);
	g = retell(&from, 9, 3, put_unknown);
	load(g->buf, g->len, 777, true);
	g = retell(&from, 9, 1, put_unknown);
	load(g->buf, g->len, 0, true);
	g = retell(&from, 9, 4, put_unknown);
	CHECK_EQ(load(g->buf, g->len, 0, false), -EPROTONOSUPPORT);
}

/* One of version 2 loads. One of version 1 must not have DMA: the engine is reset. */
static void test_older(void)
{
	struct tern_session_begin begin = good_begin();
	struct tern_dma_state kept;
	struct forge *g;

	make_stream();
	g = retell(&from, 2, 2, NULL);
	load(g->buf, g->len, 0, true);
	g = retell(&from, 1, 1, NULL);
	kept = from.dev->dma;
	memset(&from.dev->dma, 0, sizeof(kept));
	load(g->buf, g->len, 0, true);
	load(g->buf, g->len, 1, true);
	from.dev->dma = kept;

	begin.version = htole32(1);
	begin.reader = htole32(1);
	g = forge(&begin);
	put_sections(g);
	put_end(g, 0, 0);
	CHECK_EQ(load(g->buf, g->len, 0, false), -EPROTO);
}

/* The first error stays the answer. */
static void test_error_is_final(void)
{
	struct feeder to;
	u8 bad[72];

	make_stream();
	memcpy(bad, from.stream, sizeof(bad));
	bad[30] ^= 1;
	feeder_init(&to, PAGES, true);
	CHECK_EQ(feeder_load(&to, bad, sizeof(bad), 0), -EBADMSG);
	CHECK(tern_machine_failed(&to.mc));
	CHECK_EQ(feeder_load(&to, from.stream, from.len, 0), -EBADMSG);
	CHECK(host_device_blank(to.dev));
	feeder_uninit(&to);
}

static void load_golden(unsigned int version)
{
	const u8 *const *stream = golden_streams[version - 1];
	const u16 command = GOLDEN_COMMAND;
	struct feeder to;
	unsigned int i, k;

	feeder_init(&to, GOLDEN_PAGES, true);
	CHECK_EQ(feeder_load(&to, stream[0], stream[1] - stream[0], 1000), 0);
	CHECK_EQ(tern_machine_go(&to.mc, TERN_PHASE_RUNNING), 0);
	for (i = 0; i < GOLDEN_PAGES; i++)
		for (k = 0; k < 1024; k++)
			CHECK_EQ(((u32 *)to.dev->mem)[i * 1024 + k], golden_word(i, k));
	for (i = 0; i < 16; i++)
		CHECK_EQ(le32toh(to.dev->registers.scratch[i]), GOLDEN_SCRATCH(i));
	CHECK_EQ(le32toh(to.dev->registers.irq_mask), GOLDEN_IRQ_MASK);
	CHECK_EQ(to.dev->config.bytes[0x3c], GOLDEN_LINE);
	CHECK(!memcmp(to.dev->config.bytes + 4, &command, 2));
	CHECK_EQ(le32toh(to.dev->dma.pattern), version > 1 ? GOLDEN_PATTERN : 0);
	feeder_uninit(&to);
}

/* A stream of each version that there was. */
static void test_golden(void)
{
	unsigned int version;

	for (version = 1; version <= GOLDEN_STREAMS; version++)
		load_golden(version);
}

static void test_crc_vector(void)
{
	CHECK_EQ(crc32c(~0U, "123456789", 9) ^ ~0U, 0xe3069283);
}

static const struct tap_test tests[] = {
	{ "crc32c: the known vector", test_crc_vector },
	{ "S-9 loader: round trip", test_round_trip },
	{ "V1-10 P-12 loader: any segmentation gives the same", test_chunking },
	{ "V1-12 loader: each byte is read once, and what was checked is loaded", test_read_once },
	{ "V1-12 loader: only what user space cannot reach is loaded from its place", test_in_place },
	{ "S-9 P-9 loader: a stream cut short does not run", test_truncation },
	{ "S-9 V1-20 P-10 loader: each flipped bit is detected", test_flipped_bit },
	{ "P-11 P-13 loader: another model, geometry or version is refused at once", test_wrong_begin },
	{ "P-10 loader: each wrong record has its errno", test_wrong_records },
	{ "S-9 V1-7 loader: a missing record is refused, a repeated one is harmless", test_order },
	{ "S-9 loader: records of two sessions do not mix", test_spliced },
	{ "S-9 P-9 loader: a device with stray bytes after END does not run", test_stray_bytes },
	{ "V1-26 loader: a new session starts over", test_new_session },
	{ "P-11 loader: an unknown optional record is skipped", test_optional },
	{ "P-11 loader: a stream of each version still loads", test_golden },
	{ "P-11 loader: a newer version that an old reader can read loads", test_newer },
	{ "P-11 loader: an older version loads without the later records", test_older },
	{ "P-21 loader: each later write returns the first error", test_error_is_final },
};

TAP_MAIN(tests)
