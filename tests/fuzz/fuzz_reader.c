// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reader against any bytes. What it says of them must not depend on how
 * they were cut, and a record in hand lies within its bounds.
 */
#include "device.h"
#include "fuzz.h"

/* What a reader returned: a sum over its events, and where it ended. */
struct account {
	u64 sum;
	u64 events;
	int error;
};

static void note(struct account *a, const struct tern_reader *r, enum tern_reader_event event)
{
	u32 length = tern_reader_length(r);

	assert(length <= TERN_PAYLOAD_MAX);
	a->events++;
	a->sum = a->sum * 31 + event;
	a->sum = a->sum * 31 + tern_reader_type(r);
	a->sum = a->sum * 31 + crc32c(0, r->payload, length);
}

/* With a buffer of its own for each piece: a read beyond it is seen. */
static struct account take_apart(const uint8_t *data, size_t size, int how, bool in_place)
{
	struct account a = { 0 };
	struct tern_reader r;
	size_t at, n;

	assert(!tern_reader_init(&r, host_device_ops(), in_place));
	for (at = 0; at < size && !a.error; at += n) {
		enum tern_reader_event event;
		const void *from;
		void *piece;
		size_t left;

		n = how < 0 ? size : cut(how, at, size - at);
		left = n;
		piece = malloc(n);
		from = memcpy(piece, data + at, n);
		while (left && !a.error) {
			size_t before = left;

			a.error = tern_reader_feed(&r, &from, &left, &event);
			assert(left < before);
			assert((uint8_t *)from == (uint8_t *)piece + n - left);
			if (!a.error && event != TERN_READER_HUNGRY)
				note(&a, &r, event);
		}
		free(piece);
	}
	tern_reader_uninit(&r);
	return a;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct account whole;
	unsigned int i;

	if (size < 1 || size > FUZZ_MAX)
		return 0;
	whole = take_apart(data + 1, size - 1, -1, false);
	for (i = 1; i < 4; i++) {
		struct account other = take_apart(data + 1, size - 1, i & 1 ? data[0] : -1, i & 2);

		assert(whole.error == other.error && whole.events == other.events &&
		       whole.sum == other.sum);
	}
	return 0;
}
