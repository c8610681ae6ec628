// SPDX-License-Identifier: GPL-2.0-only
/*
 * The records of the stream: a writer, and a reader that trusts no input.
 *
 * The reader copies each byte of its input once, into memory of its own, and looks only
 * at the copy. For the input may be a window that user space is writing at the same
 * time. Where user space cannot reach it, a payload that is whole stays where it lies. A
 * length is bounded before the payload is waited for. The buffer for the longest payload
 * is there from the start: nothing that a stream says makes the reader allocate.
 *
 * Order of the checks, each with an errno of its own:
 *
 *   no SESSION_BEGIN where a stream begins	-EINVAL
 *   an unknown flag, or an unknown type that
 *   is not optional				-EOPNOTSUPP
 *   a length that its type cannot have		-EMSGSIZE
 *   the CRC					-EBADMSG
 *   a place in the row that is yet to come	-EILSEQ
 *
 * A record that came before has a seq below the one expected, in the same session. It
 * is checked and then passed over: a chunk that was offered twice does no harm.
 */
#include "core/model.h"
#include "core/stream.h"

#define CRC_SEED	(~0U)

/* The header's fields before the CRC. */
#define CRC_HEAD	offsetof(struct tern_record, crc32c)

static_assert(sizeof(struct tern_record) == 24);
static_assert(offsetof(struct tern_record, crc32c) == 20);
static_assert(sizeof(struct tern_session_begin) == 48);
static_assert(offsetof(struct tern_session_begin, id) == 32);
static_assert(sizeof(struct tern_memory_head) == 8);
static_assert(sizeof(struct tern_end) == 16);

/* Lengths that a payload may have. @max 0: there is no such type. */
struct bounds {
	u32 min, max;
};

/* The types of every stream. All others are sections of the model. */
static const struct bounds common[] = {
	[TERN_RECORD_SESSION_BEGIN] = {
		sizeof(struct tern_session_begin), sizeof(struct tern_session_begin)
	},
	[TERN_RECORD_MEMORY] = {
		sizeof(struct tern_memory_head) + TERN_STREAM_BLOCK, TERN_PAYLOAD_MAX
	},
	[TERN_RECORD_END] = {
		sizeof(struct tern_end), sizeof(struct tern_end)
	},
};

static u32 record_crc(u32 seed, const struct tern_record *head, const void *payload, u32 length)
{
	return crc32c(crc32c(seed, head, CRC_HEAD), payload, length);
}

/**
 * tern_writer_init() - a new session: the next record is number 0
 * @w: the writer
 */
void tern_writer_init(struct tern_writer *w)
{
	memset(w, 0, sizeof(*w));
	w->seed = CRC_SEED;
}

/**
 * tern_writer_payload() - where the payload of a record goes
 * @at: where the record begins
 *
 * Return: the place to fill before tern_writer_seal().
 */
void *tern_writer_payload(void *at)
{
	return at + TERN_RECORD_HEAD;
}

/**
 * tern_writer_seal() - put the header before a payload that is in place
 * @w: the writer
 * @at: where the record begins; 8-byte aligned, in memory that nothing else can
 *	write
 * @type: of the record; SESSION_BEGIN first
 * @flags: TERN_RECORD_OPTIONAL or 0
 * @length: of its payload
 *
 * Return: bytes of the whole record.
 */
size_t tern_writer_seal(struct tern_writer *w, void *at, u32 type, u32 flags, u32 length)
{
	struct tern_record *head = at;

	head->type = cpu_to_le32(type);
	head->flags = cpu_to_le32(flags);
	head->seq = cpu_to_le64(w->seq);
	head->length = cpu_to_le32(length);
	head->crc32c = cpu_to_le32(record_crc(w->seed, head, tern_writer_payload(at), length));

	if (type == TERN_RECORD_SESSION_BEGIN)
		w->seed = le32_to_cpu(head->crc32c);
	w->seq++;
	w->bytes += TERN_RECORD_HEAD + length;
	return TERN_RECORD_HEAD + length;
}

/* Wait for a header. */
static void expect_record(struct tern_reader *r)
{
	r->have = 0;
	r->need = TERN_RECORD_HEAD;
}

/**
 * tern_reader_init() - a reader at the beginning of a stream
 * @r: the reader
 * @ops: the model, whose sections the stream may have
 * @in_place: nothing else can write its input while a record of it is in hand
 *
 * Return: 0, or -ENOMEM. Context: may sleep.
 */
int tern_reader_init(struct tern_reader *r, const struct tern_model_ops *ops, bool in_place)
{
	memset(r, 0, sizeof(*r));
	r->ops = ops;
	r->in_place = in_place;
	expect_record(r);
	r->buffer = kvmalloc(TERN_PAYLOAD_MAX, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	return r->buffer ? 0 : -ENOMEM;
}

/**
 * tern_reader_uninit() - free what a reader holds
 * @r: the reader; may be half made
 */
void tern_reader_uninit(struct tern_reader *r)
{
	kvfree(r->buffer);
	r->buffer = NULL;
}

/**
 * tern_reader_type() - type of the record in hand
 * @r: the reader, after an event other than TERN_READER_HUNGRY
 */
u32 tern_reader_type(const struct tern_reader *r)
{
	return le32_to_cpu(r->head.type);
}

/**
 * tern_reader_length() - payload length of the record in hand
 * @r: the reader, after an event other than TERN_READER_HUNGRY
 */
u32 tern_reader_length(const struct tern_reader *r)
{
	return le32_to_cpu(r->head.length);
}

/**
 * tern_reader_between() - does the input so far end where a record does?
 * @r: the reader
 *
 * Return: false if there are bytes of a record that is not whole.
 */
bool tern_reader_between(const struct tern_reader *r)
{
	return !r->have || r->have == r->need;
}

/* Move past input that is of this record. True if the record has what it needs. */
static bool eat(struct tern_reader *r, const void **from, size_t *len, size_t n)
{
	r->have += n;
	*from += n;
	*len -= n;
	return r->have == r->need;
}

/* Copy input until the header is whole. True if it is. */
static bool fill_head(struct tern_reader *r, const void **from, size_t *len)
{
	size_t n = min(*len, r->need - r->have);

	memcpy((void *)&r->head + r->have, *from, n);
	return eat(r, from, len, n);
}

/* May the payload stay where it lies? It is whole there, and its fields are aligned. */
static bool may_stay(const struct tern_reader *r, const void *from, size_t len)
{
	return r->in_place && r->have == TERN_RECORD_HEAD && len >= r->need - r->have &&
	       (uintptr_t)from % sizeof(u64) == 0;
}

/* Have input in hand until the payload is whole. True if it is. */
static bool fill_payload(struct tern_reader *r, const void **from, size_t *len)
{
	size_t n = min(*len, r->need - r->have);

	if (may_stay(r, *from, *len)) {
		r->payload = *from;
	} else {
		r->payload = r->buffer;
		memcpy(r->buffer + (r->have - TERN_RECORD_HEAD), *from, n);
	}
	return eat(r, from, len, n);
}

static struct bounds bounds_of(const struct tern_reader *r, u32 type)
{
	unsigned int i;

	if (type < ARRAY_SIZE(common) && common[type].max)
		return common[type];
	for (i = 0; i < r->ops->n_sections; i++)
		if (r->ops->sections[i].type == type)
			return (struct bounds){ r->ops->sections[i].length,
						r->ops->sections[i].length };
	return (struct bounds){};
}

static int check_head(const struct tern_reader *r)
{
	u32 type = tern_reader_type(r), length = tern_reader_length(r);
	struct bounds bounds = bounds_of(r, type);
	u32 flags = le32_to_cpu(r->head.flags);

	if (!r->begun && type != TERN_RECORD_SESSION_BEGIN)
		return -EINVAL;
	if (flags & ~TERN_RECORD_OPTIONAL)
		return -EOPNOTSUPP;
	if (!bounds.max) {
		if (!(flags & TERN_RECORD_OPTIONAL))
			return -EOPNOTSUPP;
		return length <= TERN_PAYLOAD_MAX ? 0 : -EMSGSIZE;
	}
	if (length < bounds.min || length > bounds.max)
		return -EMSGSIZE;
	return 0;
}

/* A SESSION_BEGIN starts over, unless it is the one we have already. */
static int check_begin(struct tern_reader *r, enum tern_reader_event *event)
{
	const struct tern_session_begin *begin = r->payload;

	if (le32_to_cpu(r->head.crc32c) !=
	    record_crc(CRC_SEED, &r->head, begin, tern_reader_length(r)))
		return -EBADMSG;
	if (r->head.seq)
		return -EILSEQ;
	if (r->begun && !memcmp(r->id, begin->id, sizeof(r->id))) {
		*event = TERN_READER_REPEAT;
		return 0;
	}
	memcpy(r->id, begin->id, sizeof(r->id));
	r->begun = true;
	r->seed = le32_to_cpu(r->head.crc32c);
	r->seq = 1;
	*event = TERN_READER_RECORD;
	return 0;
}

static int check_record(struct tern_reader *r, enum tern_reader_event *event)
{
	u64 seq = le64_to_cpu(r->head.seq);

	if (tern_reader_type(r) == TERN_RECORD_SESSION_BEGIN)
		return check_begin(r, event);
	if (le32_to_cpu(r->head.crc32c) !=
	    record_crc(r->seed, &r->head, r->payload, tern_reader_length(r)))
		return -EBADMSG;
	if (seq > r->seq)
		return -EILSEQ;
	*event = seq < r->seq ? TERN_READER_REPEAT : TERN_READER_RECORD;
	if (*event == TERN_READER_RECORD)
		r->seq++;
	return 0;
}

/**
 * tern_reader_feed() - eat input up to the end of one record
 * @r: the reader
 * @from: the input; moved past what was eaten
 * @len: its bytes; lowered by what was eaten
 * @event: what there is now; a record stays in hand until the next call
 *
 * Call again while input is left. If the reader takes records in place, their input stays
 * until the next call.
 *
 * Return: 0, or the errno of the check that failed (see the top of this file);
 * the reader is of no use after that.
 */
int tern_reader_feed(struct tern_reader *r, const void **from, size_t *len,
		     enum tern_reader_event *event)
{
	int ret;

	*event = TERN_READER_HUNGRY;
	if (r->have == r->need)
		expect_record(r);
	if (r->have < TERN_RECORD_HEAD) {
		if (!fill_head(r, from, len))
			return 0;
		ret = check_head(r);
		if (ret)
			return ret;
		r->need += tern_reader_length(r);
	}
	if (!fill_payload(r, from, len))
		return 0;
	return check_record(r, event);
}
