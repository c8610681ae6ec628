/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_TOOLS_DECODE_H
#define TERN_TOOLS_DECODE_H

#include "env.h"
#include "stream_file.h"
#include "core/stream.h"

/**
 * struct decode_fault - what is wrong with a stream
 * @error: an errno of the core's reader or loader; EIO: it ends early; 0: nothing
 * @offset: in the stream of the record, or of the end
 * @type: of the record
 * @seq: its number
 * @length: its payload
 * @is_form: its form is wrong, so its other fields may be, too
 * @has_record: there is a record at @offset
 */
struct decode_fault {
	int error;
	size_t offset;
	u32 type;
	u64 seq;
	u32 length;
	bool is_form;
	bool has_record;
};

/**
 * typedef decode_record_fn - a record whose form is right
 * @arg: what was passed with it
 * @r: the reader, with the record in hand
 * @offset: of the record in the stream
 * @is_repeat: it came before
 *
 * Return: 0, or -errno, which ends the whole.
 */
typedef int (*decode_record_fn)(void *arg, const struct tern_reader *r, size_t offset,
				bool is_repeat);

int decode_stream(const struct stream_file *f, decode_record_fn record, void *arg,
		  struct decode_fault *fault);
const char *decode_fault_text(const struct decode_fault *fault);
int decode_print(const struct stream_file *f, FILE *to, bool json, bool faults_only);
int decode_complain(const struct stream_file *f, const struct decode_fault *fault);

#endif /* TERN_TOOLS_DECODE_H */
