// SPDX-License-Identifier: GPL-2.0-only
/* The loader: any segmentation of a good stream, and no other stream at all. */
#include "device.h"
#include "core/loader.h"
#include "core/stream.h"
#include "tap.h"

#define PAGES	8

static struct feeder from;

static void make_stream(void)
{
	if (from.dev)
		return;
	feeder_init(&from, PAGES, true);
	host_device_dress(from.dev, 5);
	host_store(from.dev, 1, 0x21);
	host_store(from.dev, 6, 0x46);
	feeder_save(&from);
}

/* Load into a fresh device; with @good it must become the same, else blank. */
static int load(const void *stream, size_t len, size_t cut, bool good)
{
	struct feeder to;
	int ret, run;

	feeder_init(&to, PAGES, true);
	ret = feeder_load(&to, stream, len, cut);
	run = tern_machine_go(&to.mc, TERN_PHASE_RUNNING);
	if (good) {
		CHECK(!ret && !run, "cut %zu: %d, %d", cut, ret, run);
		CHECK(host_device_equal(from.dev, to.dev));
	} else {
		CHECK_EQ(run, -EIO);
		/* What was refused is gone at once, not only when the load is left. */
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

static void test_chunking(void)
{
	struct feeder to;
	unsigned int i;
	size_t cut, at;

	make_stream();
	for (cut = 1; cut <= 130; cut++)
		load(from.stream, from.len, cut, true);
	for (cut = 4090; cut < 4200; cut++)
		load(from.stream, from.len, cut, true);
	srand(7);
	for (i = 0; i < 200; i++) {
		feeder_init(&to, PAGES, true);
		for (at = 0; at < from.len; at += cut) {
			cut = min((size_t)(1 + rand() % 5000), from.len - at);
			CHECK_EQ(feeder_load(&to, from.stream + at, cut, 0), 0);
		}
		CHECK_EQ(tern_machine_go(&to.mc, TERN_PHASE_RUNNING), 0);
		CHECK(host_device_equal(from.dev, to.dev));
		feeder_uninit(&to);
	}
}

static void test_truncation(void)
{
	size_t len;

	make_stream();
	for (len = 0; len < from.len; len += len < 200 || from.len - len < 50 ? 1 : 37)
		CHECK_EQ(load(from.stream, len, 0, false), 0);
}

/* One flipped bit, anywhere: some check fails, or the END never comes. */
static void test_flipped_bit(void)
{
	u8 *bad = malloc(from.len ? from.len : 1);
	size_t bit;

	make_stream();
	bad = realloc(bad, from.len);
	for (bit = 0; bit < from.len * 8; bit += 5) {
		memcpy(bad, from.stream, from.len);
		bad[bit / 8] ^= 1 << bit % 8;
		load(bad, from.len, 0, false);
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
	g->len += tern_writer_seal(&g->w, g->buf + g->len, type, length);
}

static struct tern_session_begin good_begin(void)
{
	return (struct tern_session_begin) {
		.magic = htole64(TERN_STREAM_MAGIC), .version = htole32(1),
		.reader = htole32(1), .model = htole32(HOST_MODEL),
		.block = htole32(4096), .memory_size = htole64(PAGES * HOST_PAGE),
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

static void put_sections(struct forge *g)
{
	memset(payload(g), 0, 8192);
	seal(g, TERN_RECORD_REGISTERS, 72);
	memset(payload(g), 0, 8192);
	seal(g, TERN_RECORD_CONFIG_SPACE, 4096);
	memset(payload(g), 0, 8192);
	seal(g, TERN_RECORD_INTERRUPTS, 264);
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

	make_stream();
#define TRY(field, value, err)						\
	do {								\
		b = good_begin();					\
		b.field = (value);					\
		CHECK_EQ(load(forge(&b)->buf, 72, 0, false), err);	\
	} while (0)
	TRY(magic, htole64(1), -EINVAL);
	TRY(reader, htole32(2), -EPROTONOSUPPORT);
	TRY(model, htole32(HOST_MODEL + 1), -EMEDIUMTYPE);
	TRY(memory_size, htole64(2 * PAGES * HOST_PAGE), -ERANGE);
	TRY(block, htole32(512), -ERANGE);
	/* A newer writer that says an old reader will do is right. */
	TRY(version, htole32(9), 0);
#undef TRY
	CHECK_EQ(load("this is no stream at all", 24, 0, false), -EINVAL);
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
	TRY(-EOPNOTSUPP, seal(g, 6, 16));
	TRY(-EOPNOTSUPP, seal(g, 8, 16));
	TRY(-EOPNOTSUPP, seal(g, 0, 16));
	TRY(-EDOM, memset(payload(g), 0xff, 72), seal(g, TERN_RECORD_REGISTERS, 72));
	/* A section twice. */
	TRY(-EPROTO, put_sections(g), put_sections(g), put_end(g, 0, 0));
	/* END: without the sections, or with other counts than there were. */
	TRY(-EPROTO, put_end(g, 0, 0));
	TRY(-EPROTO, put_sections(g), put_end(g, 1, 0));
	TRY(-EPROTO, put_sections(g), put_end(g, -1, 0));
	TRY(-EPROTO, put_sections(g), put_end(g, 0, 1));
	/* After END nothing but repeats and a new session. */
	TRY(-EPROTO, put_sections(g), put_end(g, 0, 0), put_memory(g, 0, 4096));
	/* A number left out. */
	TRY(-EILSEQ, g->w.seq++, put_sections(g), put_end(g, 0, 0));
#undef TRY
}

/* Where the records of the good stream begin. */
static unsigned int boundaries(size_t *at)
{
	unsigned int n = 0;
	size_t pos;

	for (pos = 0; pos < from.len; n++) {
		u32 length;

		at[n] = pos;
		memcpy(&length, from.stream + pos + 16, 4);
		pos += 24 + le32toh(length);
	}
	at[n] = pos;
	return n;
}

static void test_order(void)
{
	u8 *s = malloc(1 << 20);
	size_t at[32], len;
	unsigned int n, i;

	make_stream();
	n = boundaries(at);
	for (i = 1; i + 1 < n; i++) {
		/* Left out. */
		memcpy(s, from.stream, at[i]);
		memcpy(s + at[i], from.stream + at[i + 1], from.len - at[i + 1]);
		CHECK_EQ(load(s, from.len - (at[i + 1] - at[i]), 0, false), -EILSEQ);
		/* Twice, and again at the very end: no harm. */
		memcpy(s, from.stream, at[i + 1]);
		memcpy(s + at[i + 1], from.stream + at[i], from.len - at[i]);
		len = at[i + 1] + from.len - at[i];
		memcpy(s + len, from.stream + at[i], at[i + 1] - at[i]);
		load(s, len + at[i + 1] - at[i], 0, true);
	}
	free(s);
}

/* The records of two sessions do not mix. */
static void test_spliced(void)
{
	struct feeder other;
	size_t at[32];
	u8 *s = malloc(1 << 20);

	make_stream();
	boundaries(at);
	feeder_init(&other, PAGES, true);
	host_store(other.dev, 1, 0x99);
	host_store(other.dev, 6, 0x99);
	feeder_save(&other);
	CHECK_EQ(other.len, from.len);
	memcpy(s, from.stream, from.len);
	memcpy(s + at[2], other.stream + at[2], at[3] - at[2]);
	CHECK_EQ(load(s, from.len, 0, false), -EBADMSG);
	feeder_uninit(&other);
	free(s);
}

/* A new session, in mid-stream or after END, starts over. */
static void test_new_session(void)
{
	struct feeder old;
	size_t at[32], cut[3];
	u8 *s = malloc(1 << 20);
	unsigned int i;

	make_stream();
	boundaries(at);
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

/* An unknown record that says it is optional is passed over. */
static void test_optional(void)
{
	const struct tern_session_begin begin = good_begin();
	struct forge *g = forge(&begin);
	struct tern_record *head;
	struct feeder to;
	u32 crc;

	head = (void *)(g->buf + g->len);
	seal(g, 99, 40);
	head->flags = htole32(TERN_RECORD_OPTIONAL);
	crc = crc32c(crc32c(g->w.seed, head, 20), head + 1, 40);
	head->crc32c = htole32(crc);
	/* One that is known is not passed over, optional or not. */
	head = (void *)(g->buf + g->len);
	put_sections(g);
	memset(head + 1, 0x33, 72);
	head->flags = htole32(TERN_RECORD_OPTIONAL);
	crc = crc32c(crc32c(g->w.seed, head, 20), head + 1, 72);
	head->crc32c = htole32(crc);
	put_end(g, 0, 0);
	feeder_init(&to, PAGES, true);
	CHECK_EQ(feeder_load(&to, g->buf, g->len, 1), 0);
	CHECK_EQ(tern_machine_go(&to.mc, TERN_PHASE_RUNNING), 0);
	CHECK_EQ(to.dev->registers.irq_mask, 0x33333333);
	feeder_uninit(&to);
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

static void test_crc_vector(void)
{
	CHECK_EQ(crc32c(~0U, "123456789", 9) ^ ~0U, 0xe3069283);
}

static const struct tap_test tests[] = {
	{ "crc32c: the known vector", test_crc_vector },
	{ "S-9 loader: round trip", test_round_trip },
	{ "V1-10 P-12 loader: any segmentation gives the same", test_chunking },
	{ "S-9 P-9 loader: a stream cut short does not run", test_truncation },
	{ "S-9 V1-20 P-10 loader: one flipped bit is noticed", test_flipped_bit },
	{ "P-11 P-13 loader: another model, geometry or version is refused at once", test_wrong_begin },
	{ "P-10 loader: each wrong record has its errno", test_wrong_records },
	{ "S-9 V1-7 loader: left out is refused, repeated does no harm", test_order },
	{ "S-9 loader: records of two sessions do not mix", test_spliced },
	{ "V1-26 loader: a new session starts over", test_new_session },
	{ "P-11 loader: an unknown optional record is passed over", test_optional },
	{ "P-21 loader: the first error stays the answer", test_error_is_final },
};

TAP_MAIN(tests)
