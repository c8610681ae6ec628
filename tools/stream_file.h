/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_TOOLS_STREAM_FILE_H
#define TERN_TOOLS_STREAM_FILE_H

#include "env.h"

/* The longest name that QEMU can give a section, and its end. */
#define STREAM_SECTION_MAX	256

/**
 * struct stream_piece - bytes of the stream that are adjacent in the file
 * @at: offset in the file
 * @begins: offset in the stream
 * @length: how many; not 0
 */
struct stream_piece {
	size_t at;
	size_t begins;
	size_t length;
};

/**
 * struct stream_file - a stream in a file
 * @path: of the file
 * @data: the whole file
 * @size: its bytes
 * @mapped: @data is a mapping
 * @is_qemu: the file is one of QEMU, and the stream a part of it
 * @section: the name of that part
 * @pieces: where the bytes of the stream are, in its order
 * @n: how many pieces
 * @bytes: of the stream
 * @damaged: offset in the file where QEMU's framing is damaged; 0: nowhere
 */
struct stream_file {
	const char *path;
	const u8 *data;
	size_t size;
	bool mapped;
	bool is_qemu;
	char section[STREAM_SECTION_MAX];
	struct stream_piece *pieces;
	size_t n;
	size_t bytes;
	size_t damaged;
};

int stream_file_open(struct stream_file *f, const char *path, const char *section);
int stream_file_parse(struct stream_file *f, const char *section);
size_t stream_file_place(const struct stream_file *f, size_t offset);
void stream_file_close(struct stream_file *f);

#endif /* TERN_TOOLS_STREAM_FILE_H */
