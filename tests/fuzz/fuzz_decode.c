// SPDX-License-Identifier: GPL-2.0-only
/*
 * The program's `decode` and `convert` against any file. What was converted has no fault,
 * and decode as text and as JSON find the same fault.
 */
#include "fuzz.h"
#include "convert.h"
#include "decode.h"
#include "output.h"
#include <stdarg.h>

/* The complaints of a run; stderr is libFuzzer's. */
static char complaint[1024];

int complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(complaint, sizeof(complaint), format, args);
	va_end(args);
	assert(complaint[0]);
	return EXIT_FAILURE;
}

static bool parse(struct stream_file *f, const void *data, size_t size)
{
	u8 *copy = malloc(size);

	memset(f, 0, sizeof(*f));
	f->path = "file";
	f->size = size;
	f->data = memcpy(copy, data, size);
	return !stream_file_parse(f, NULL);
}

static int ignore(void *arg, const struct tern_reader *r, size_t offset, bool is_repeat)
{
	return 0;
}

static void convert(const struct stream_file *f, unsigned int version)
{
	struct converter c = { .version = version };
	struct decode_fault fault;
	struct stream_file again;

	if (!convert_stream(f, &c)) {
		assert(parse(&again, c.out, c.writer.bytes));
		assert(!decode_stream(&again, ignore, NULL, &fault));
		assert(!fault.error);
		stream_file_close(&again);
	}
	convert_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char as_text[sizeof(complaint)];
	struct stream_file f;
	static FILE *to;
	int status;

	if (size < 1 || size > FUZZ_MAX)
		return 0;
	if (!to)
		to = fopen("/dev/null", "w");
	if (parse(&f, data + 1, size - 1)) {
		complaint[0] = 0;
		status = decode_print(&f, to, false, false);
		memcpy(as_text, complaint, sizeof(complaint));
		assert(!status == !complaint[0]);
		complaint[0] = 0;
		assert(decode_print(&f, to, true, data[0] & 1) == status);
		assert(!strcmp(as_text, complaint));
		convert(&f, 1 + data[0] % 3);
	}
	stream_file_close(&f);
	return 0;
}
