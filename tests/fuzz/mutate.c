// SPDX-License-Identifier: GPL-2.0-only
/*
 * How inputs are changed. An input is a stream; after libFuzzer's own change its
 * records are numbered, measured and sealed again, most of the time: a change
 * that only spoils a CRC finds nothing behind the CRC.
 *
 * The first byte of an input says how the stream is cut (see cut()).
 */
#include "fuzz.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);

/* Seal the records of a stream as a writer would. */
static void seal(uint8_t *stream, size_t size, unsigned int seed)
{
	u32 crc_seed = ~0U, crc;
	u64 seq = 0, bytes = 0;
	size_t at;

	for (at = 0; at + TERN_RECORD_HEAD <= size;) {
		size_t left = size - at - TERN_RECORD_HEAD;
		uint8_t *payload = stream + at + TERN_RECORD_HEAD;
		struct tern_record head;
		u32 type, length;

		memcpy(&head, stream + at, sizeof(head));
		type = le32toh(head.type);
		/* A length that leads out of the input, now and then as it is. */
		if (le32toh(head.length) > left && seed & 1)
			head.length = htole32(left);
		length = le32toh(head.length);
		if (length > left)
			return;
		if (seed & 2)
			head.seq = htole64(seq);
		if (type == TERN_RECORD_SESSION_BEGIN)
			crc_seed = ~0U;
		if (type == TERN_RECORD_END && length == sizeof(struct tern_end) && seed & 4) {
			struct tern_end end = { htole64(seq), htole64(bytes) };

			memcpy(payload, &end, sizeof(end));
		}
		crc = crc32c(crc_seed, &head, offsetof(struct tern_record, crc32c));
		crc = crc32c(crc, payload, length);
		head.crc32c = htole32(crc);
		memcpy(stream + at, &head, sizeof(head));
		if (type == TERN_RECORD_SESSION_BEGIN) {
			crc_seed = crc;
			seq = bytes = 0;
		}
		seq++;
		bytes += TERN_RECORD_HEAD + length;
		at += TERN_RECORD_HEAD + length;
	}
}

/* Take a record away, say it again, or let two change places. */
static size_t shuffle(uint8_t *stream, size_t size, size_t max, unsigned int seed)
{
	static uint8_t copy[FUZZ_MAX];
	size_t starts[64], n = 0, at, i, length;

	for (at = 0; n < ARRAY_SIZE(starts) && at + TERN_RECORD_HEAD <= size; n++) {
		u32 le;

		memcpy(&le, stream + at + offsetof(struct tern_record, length), 4);
		if (le32toh(le) > size - at - TERN_RECORD_HEAD)
			break;
		starts[n] = at;
		at += TERN_RECORD_HEAD + le32toh(le);
	}
	if (n < 2)
		return size;
	i = seed / 8 % n;
	length = (i + 1 < n ? starts[i + 1] : at) - starts[i];
	memcpy(copy, stream + starts[i], length);
	switch (seed % 3) {
	case 0:	/* away */
		memmove(stream + starts[i], stream + starts[i] + length, size - starts[i] - length);
		return size - length;
	case 1:	/* again, behind itself */
		if (size + length > max)
			return size;
		memmove(stream + starts[i] + length, stream + starts[i], size - starts[i]);
		return size + length;
	default: /* to the front of another */
		memmove(stream + starts[i], stream + starts[i] + length, size - starts[i] - length);
		at = starts[seed / 512 % n];
		if (at > size - length)
			at = 0;
		memmove(stream + at + length, stream + at, size - length - at);
		memcpy(stream + at, copy, length);
		return size;
	}
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	if (seed % 5 == 0 && size > 1 && (size <= 4 || memcmp(data + 1, "QEVM", 4)))
		size = 1 + shuffle(data + 1, size - 1, max - 1, seed / 8);
	else
		size = LLVMFuzzerMutate(data, size, max);
	/* A file of QEMU has no records at its beginning. */
	if (size > 4 && !memcmp(data + 1, "QEVM", 4))
		return size;
	if (seed % 8 && size > 1)
		seal(data + 1, size - 1, seed / 64);
	return size;
}
