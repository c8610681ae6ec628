/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A reader of streams that shares nothing with the driver: written from
 * Documentation/stream.rst, with offsets for structures and a CRC of its own.
 * What it and the driver agree on is what the document says.
 */
#ifndef TERN_READER_H
#define TERN_READER_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* What a stream holds. Positions are of a record's first byte. */
struct account {
	const char *wrong;	/* what is not as the document says, or NULL */
	size_t at;		/* where */
	unsigned int sessions;
	unsigned int records[8];	/* by type, of the last session, repeats not counted */
	unsigned int repeats;
	size_t first_final;	/* of the last session's first record after MEMORY */
	size_t last_memory;	/* of its last MEMORY */
	bool whole;		/* it came to its END */
};

/* CRC-32C, byte by byte: streams are long, and bit by bit it took a test's time. */
static inline uint32_t reader_crc(uint32_t crc, const uint8_t *p, size_t n)
{
	static uint32_t table[256];
	unsigned int i, bit;

	for (i = 1; !table[255] && i < 256; i++)
		for (table[i] = i, bit = 0; bit < 8; bit++)
			table[i] = table[i] & 1 ? table[i] >> 1 ^ 0x82f63b78 : table[i] >> 1;
	while (n--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
	return crc;
}

static inline uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return le32toh(v);
}

static inline uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return le64toh(v);
}

static inline struct account read_account(const uint8_t *s, size_t len)
{
	struct account a = { 0 };
	uint64_t next = 0, bytes = 0;
	uint32_t seed = ~0U;
	uint8_t id[16] = { 0 };
	size_t at = 0;

#define WRONG(what)	do { a.wrong = (what); a.at = at; return a; } while (0)
	while (at < len) {
		uint32_t type, length, crc;
		bool begin, repeat;
		uint64_t seq;

		if (len - at < 24)
			WRONG("a header is cut short");
		type = get32(s + at);
		seq = get64(s + at + 8);
		length = get32(s + at + 16);
		if (type < 1 || type > 7)
			WRONG("no such type");
		if (get32(s + at + 4))
			WRONG("a flag is set");
		if (length > len - at - 24)
			WRONG("a payload is cut short");
		begin = type == 1;
		crc = reader_crc(reader_crc(begin ? ~0U : seed, s + at, 20), s + at + 24, length);
		if (crc != get32(s + at + 20))
			WRONG("the CRC is another");
		repeat = a.sessions && (begin ? !memcmp(id, s + at + 24 + 32, 16) : seq < next);
		if (begin && !repeat) {
			if (length != 48 || memcmp(s + at + 24, "TERNSTRM", 8) || seq)
				WRONG("this is no SESSION_BEGIN");
			memset(a.records, 0, sizeof(a.records));
			a.first_final = a.last_memory = 0;
			a.whole = false;
			a.sessions++;
			memcpy(id, s + at + 24 + 32, 16);
			seed = crc;
			next = bytes = 0;
		}
		if (!a.sessions)
			WRONG("no session was begun");
		if (repeat) {
			a.repeats++;
		} else {
			if (seq != next)
				WRONG("a record is missing");
			if (a.whole)
				WRONG("a record after END");
			if (type == 2) {
				if ((length - 8) % 4096 || get64(s + at + 24) % 4096)
					WRONG("memory that is not of blocks");
				a.last_memory = at;
			} else if (!begin && !a.first_final) {
				a.first_final = at;
			}
			if (type == 7) {
				if (get64(s + at + 24) != next || get64(s + at + 32) != bytes)
					WRONG("END counts otherwise");
				a.whole = true;
			}
			a.records[type]++;
			next++;
			bytes += 24 + length;
		}
		at += 24 + length;
	}
#undef WRONG
	return a;
}

#endif /* TERN_READER_H */
