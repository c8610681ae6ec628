/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_CORE_STREAM_H
#define TERN_CORE_STREAM_H

#include "core/env.h"
#include <uapi/tern/stream.h>

#define TERN_RECORD_HEAD	sizeof(struct tern_record)

struct tern_model_ops;

/* The longest payload of any record. */
#define TERN_PAYLOAD_MAX	(sizeof(struct tern_memory_head) + TERN_MEMORY_DATA_MAX)

/**
 * struct tern_writer - makes the records of one session
 * @seq: the next record's number
 * @bytes: of all records so far
 * @seed: what the CRC of a record starts from
 *
 * Guarded by the session lock.
 */
struct tern_writer {
	u64 seq;
	u64 bytes;
	u32 seed;
};

/* What a reader has in its hands after a step. */
enum tern_reader_event {
	TERN_READER_HUNGRY,	/* no whole record yet: feed it more */
	TERN_READER_RECORD,	/* a new record, checked, in order */
	TERN_READER_REPEAT,	/* a whole record that was there before */
};

/**
 * struct tern_reader - takes a stream apart, whatever the segmentation
 * @ops: the model that the stream is for; immutable
 * @in_place: user space cannot reach the input: a record may stay where it lies; immutable
 * @seq: number of the record expected next
 * @seed: what its CRC starts from
 * @begun: SESSION_BEGIN was seen
 * @id: its session id
 * @have: bytes of the record in hand
 * @need: bytes it has to have before the next check
 * @head: its header, as far as it came
 * @payload: its payload: in @buffer, or in the input of the last call
 * @buffer: TERN_PAYLOAD_MAX bytes
 *
 * Guarded by its loader's lock.
 */
struct tern_reader {
	const struct tern_model_ops *ops;
	bool in_place;
	u64 seq;
	u32 seed;
	bool begun;
	u8 id[16];
	size_t have;
	size_t need;
	struct tern_record head;
	const void *payload;
	void *buffer;
};

void tern_writer_init(struct tern_writer *w);
void *tern_writer_payload(void *at);
size_t tern_writer_seal(struct tern_writer *w, void *at, u32 type, u32 flags, u32 length);

int tern_reader_init(struct tern_reader *r, const struct tern_model_ops *ops, bool in_place);
void tern_reader_uninit(struct tern_reader *r);
int tern_reader_feed(struct tern_reader *r, const void **from, size_t *len,
		     enum tern_reader_event *event);
bool tern_reader_between(const struct tern_reader *r);
u32 tern_reader_type(const struct tern_reader *r);
u32 tern_reader_length(const struct tern_reader *r);

#endif /* TERN_CORE_STREAM_H */
