/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_TOOLS_CONVERT_H
#define TERN_TOOLS_CONVERT_H

#include "env.h"
#include "stream_file.h"
#include "core/stream.h"

/**
 * struct converter - a stream that is written again
 * @version: the version to write
 * @from: the version that was read
 * @writer: seals the records
 * @record: room for one record
 * @out: the new stream
 * @room: bytes that @out has room for
 * @irq_on: vectors that are raised and not masked
 * @is_intx: they are signalled by INTx
 * @workload_left_out: a workload was there
 * @flr_left_out: a function-level reset was offered
 * @reason: why it cannot be written; NULL: it can
 */
struct converter {
	u32 version;
	u32 from;
	struct tern_writer writer;
	u64 *record;
	u8 *out;
	size_t room;
	u32 irq_on;
	bool is_intx;
	bool workload_left_out;
	bool flr_left_out;
	const char *reason;
};

int convert_stream(const struct stream_file *f, struct converter *c);
void convert_free(struct converter *c);

#endif /* TERN_TOOLS_CONVERT_H */
