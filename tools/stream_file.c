// SPDX-License-Identifier: GPL-2.0-only
/*
 * A stream in a file: as it was read from a device, or inside a file that a QEMU wrote.
 *
 * QEMU writes a row of sections, in big-endian order:
 *
 *   START	u8 1, u32 number, u8 length, name, u32 instance, u32 version, contents
 *   PART, END	u8 2 or 3, u32 number, contents
 *   footer	u8 0x7e, u32 number, behind the contents of each
 *
 * The length of the contents is known to their owner alone. So the sections of a VFIO
 * device are searched for by what they begin with, and all else is passed over. Their
 * contents are tags of 64 bits. DATA is followed by a length of 64 bits and by bytes of
 * the device. Both protocols of the kernel have the same tags: hw/vfio/migration.c of
 * QEMU 5.2 to 11.1.
 *
 * The name of such a section ends in "vfio". Two headers of it must fit, so a tag in the
 * guest's memory is no section by itself. Memory that holds a whole file of QEMU is: its
 * sections are found, too.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"
#include "stream_file.h"
#include <uapi/tern/stream.h>

#define QEMU_MAGIC	"QEVM"
/* What virsh save puts in front of it. */
#define LIBVIRT_MAGIC	"LibvirtQemudSave"

#define SECTION_START	1
#define SECTION_PART	2
#define SECTION_END	3

#define TAG_END_OF_STATE	0xffffffffef100001ULL
#define TAG_CONFIG		0xffffffffef100002ULL
#define TAG_SETUP		0xffffffffef100003ULL
#define TAG_DATA		0xffffffffef100004ULL
#define TAG_INITIAL_SENT	0xffffffffef100005ULL
#define TAG_BYTES		8

/* Behind the name: instance and version. */
#define START_TAIL	8
/* Before the contents of PART and END: kind and number. */
#define PART_HEAD	5

/* More are not listed: "--section" does not find them. */
#define SECTIONS_MAX	64

static u64 big_endian(const u8 *p, unsigned int bytes)
{
	u64 value = 0;

	while (bytes--)
		value = value << 8 | *p++;
	return value;
}

/* Offset of the next such tag; the size of the file: there is none. */
static size_t find_tag(const struct stream_file *f, size_t from, u64 tag)
{
	u64 wanted = htobe64(tag);
	const u8 *found;

	if (from >= f->size)
		return f->size;
	found = memmem(f->data + from, f->size - from, &wanted, sizeof(wanted));
	return found ? (size_t)(found - f->data) : f->size;
}

/* Is there a START in front of the contents at @at? Its name and its number. */
static bool get_start(const struct stream_file *f, size_t at, char *name, u32 *number)
{
	size_t length, begins;

	for (length = strlen("vfio"); length < STREAM_SECTION_MAX; length++) {
		if (at < START_TAIL + length + 1 + PART_HEAD)
			return false;
		begins = at - START_TAIL - length - 1 - PART_HEAD;
		if (f->data[begins] != SECTION_START || f->data[begins + PART_HEAD] != length)
			continue;
		memcpy(name, f->data + begins + PART_HEAD + 1, length);
		name[length] = 0;
		if (strlen(name) != length || strcmp(name + length - strlen("vfio"), "vfio"))
			continue;
		*number = big_endian(f->data + begins + 1, 4);
		return true;
	}
	return false;
}

static bool is_part(const struct stream_file *f, size_t at, u32 number)
{
	const u8 *head = f->data + at - PART_HEAD;

	return at >= PART_HEAD && (head[0] == SECTION_PART || head[0] == SECTION_END) &&
	       big_endian(head + 1, 4) == number;
}

static int add_piece(struct stream_file *f, size_t at, size_t length)
{
	struct stream_piece *pieces;

	if (!length)
		return 0;
	pieces = realloc(f->pieces, (f->n + 1) * sizeof(*pieces));
	if (!pieces)
		return -ENOMEM;
	f->pieces = pieces;
	pieces[f->n].at = at;
	pieces[f->n].begins = f->bytes;
	pieces[f->n++].length = length;
	f->bytes += length;
	return 0;
}

/* The device's bytes in the contents at @at; moves @at behind them. */
static int read_contents(struct stream_file *f, size_t *at)
{
	u64 tag, length;

	while (f->size - *at >= TAG_BYTES) {
		tag = big_endian(f->data + *at, TAG_BYTES);
		if (tag == TAG_DATA) {
			if (f->size - *at < 2 * TAG_BYTES)
				break;
			length = big_endian(f->data + *at + TAG_BYTES, TAG_BYTES);
			*at += 2 * TAG_BYTES;
			/* A file that ends early has less. */
			length = min_t(u64, length, f->size - *at);
			if (add_piece(f, *at, length))
				return -ENOMEM;
			*at += length;
			continue;
		}
		if (tag == TAG_CONFIG) {
			/* Config space in QEMU's own format, up to the next tag. */
			*at = find_tag(f, *at, TAG_END_OF_STATE);
			continue;
		}
		if (tag != TAG_END_OF_STATE && tag != TAG_INITIAL_SENT)
			f->damaged = *at;
		*at += TAG_BYTES;
		return 0;
	}
	*at = f->size;
	return 0;
}

/* All bytes of the device whose section has that number. */
static int read_section(struct stream_file *f, size_t at, u32 number)
{
	int ret = 0;

	free(f->pieces);
	f->pieces = NULL;
	f->n = 0;
	f->bytes = 0;
	f->damaged = 0;
	while (!ret && !f->damaged && (at = find_tag(f, at, TAG_DATA)) < f->size) {
		if (is_part(f, at, number))
			ret = read_contents(f, &at);
		else
			at += TAG_BYTES;
	}
	return ret;
}

/* Copy bytes of the stream, which has that many. */
static void copy_out(const struct stream_file *f, size_t offset, void *to, size_t length)
{
	u8 *byte = to;

	for (; length--; offset++)
		*byte++ = f->data[stream_file_place(f, offset)];
}

static bool has_magic(const struct stream_file *f)
{
	const size_t at = sizeof(struct tern_record);
	__le64 magic;

	if (f->bytes < at + sizeof(magic))
		return false;
	copy_out(f, at, &magic, sizeof(magic));
	return le64_to_cpu(magic) == TERN_STREAM_MAGIC;
}

/* A device of the file, as it is listed. */
struct section {
	char name[STREAM_SECTION_MAX];
	size_t at;
	u32 number;
	bool has_magic;
};

static int list_sections(struct stream_file *f, struct section *list, size_t *n)
{
	size_t at = 0;
	int ret;

	*n = 0;
	while (*n < SECTIONS_MAX && (at = find_tag(f, at, TAG_SETUP)) < f->size) {
		struct section *s = &list[*n];

		at += TAG_BYTES;
		if (!get_start(f, at - TAG_BYTES, s->name, &s->number))
			continue;
		s->at = at;
		ret = read_section(f, at, s->number);
		if (ret)
			return ret;
		s->has_magic = has_magic(f);
		++*n;
	}
	return 0;
}

/* The one that was asked for, or else the only one that can be Tern's. */
static const struct section *pick(const struct stream_file *f, const struct section *list, size_t n,
				  const char *wanted)
{
	const struct section *found = NULL;
	size_t i, ours = 0;

	for (i = 0; i < n; i++)
		ours += list[i].has_magic;
	for (i = 0; i < n; i++) {
		/* The begin of a damaged stream may lack the magic. */
		if (wanted ? strcmp(list[i].name, wanted) : ours && !list[i].has_magic)
			continue;
		if (found) {
			complain("%s: sections %s and %s: choose one with --section", f->path,
				 found->name, list[i].name);
			return NULL;
		}
		found = &list[i];
	}
	if (!found && wanted)
		complain("%s: no section %s: without --section, Tern's is found by its contents",
			 f->path, wanted);
	else if (!found)
		complain("%s: no VFIO device in this file of QEMU: save a guest that has one",
			 f->path);
	return found;
}

static int parse_qemu(struct stream_file *f, const char *wanted)
{
	struct section *list = calloc(SECTIONS_MAX, sizeof(*list));
	const struct section *chosen;
	int ret = -ENOMEM;
	size_t n;

	if (list)
		ret = list_sections(f, list, &n);
	if (ret)
		complain("%s: %s: free memory", f->path, strerror(-ret));
	if (!ret) {
		chosen = pick(f, list, n, wanted);
		ret = chosen ? read_section(f, chosen->at, chosen->number) : -ENOENT;
		if (chosen)
			snprintf(f->section, sizeof(f->section), "%s", chosen->name);
	}
	free(list);
	return ret;
}

static bool begins_with(const struct stream_file *f, const char *magic)
{
	return f->size >= strlen(magic) && !memcmp(f->data, magic, strlen(magic));
}

/**
 * stream_file_parse() - find the stream in a file that was read
 * @f: the file: @path, @data and @size are set, the rest is 0
 * @section: of a file of QEMU; NULL: the only one that is Tern's
 *
 * What is no file of QEMU is a stream from its first byte on.
 *
 * Return: 0, or -errno after a complaint.
 */
int stream_file_parse(struct stream_file *f, const char *section)
{
	f->is_qemu = begins_with(f, QEMU_MAGIC) || begins_with(f, LIBVIRT_MAGIC);
	if (f->is_qemu)
		return parse_qemu(f, section);
	if (section) {
		complain("%s: no file of QEMU, so it has no sections: omit --section", f->path);
		return -EINVAL;
	}
	return add_piece(f, 0, f->size);
}

/* What cannot be mapped, as a pipe. */
static int read_all(struct stream_file *f, int fd)
{
	size_t room = 1 << 20;
	u8 *data = malloc(room), *larger;
	ssize_t n;

	while (data && (n = read(fd, data + f->size, room - f->size)) > 0) {
		f->size += n;
		if (f->size < room)
			continue;
		room *= 2;
		larger = realloc(data, room);
		if (!larger)
			free(data);
		data = larger;
	}
	f->data = data;
	if (!data)
		return -ENOMEM;
	return n < 0 ? -errno : 0;
}

static int load(struct stream_file *f, int fd)
{
	struct stat st;
	void *data;

	if (fstat(fd, &st))
		return -errno;
	/* stdin begins where its file stands. */
	if (fd == STDIN_FILENO || !S_ISREG(st.st_mode) || !st.st_size)
		return read_all(f, fd);
	data = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	f->data = data;
	f->size = st.st_size;
	f->mapped = true;
	return 0;
}

/**
 * stream_file_open() - read a file and find the stream in it
 * @f: gets it; stream_file_close() is due whatever the result
 * @path: of the file; "-": stdin
 * @section: of a file of QEMU; NULL: the only one that is Tern's
 *
 * Return: 0, or -errno after a complaint.
 */
int stream_file_open(struct stream_file *f, const char *path, const char *section)
{
	int ret, fd;

	memset(f, 0, sizeof(*f));
	f->path = path;
	fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	ret = fd < 0 ? -errno : load(f, fd);
	if (fd > STDIN_FILENO)
		close(fd);
	if (ret) {
		complain("%s: %s: name a file that can be read", path, strerror(-ret));
		return ret;
	}
	return stream_file_parse(f, section);
}

/**
 * stream_file_place() - where a byte of the stream is in the file
 * @f: the file
 * @offset: in the stream
 *
 * Return: the offset in the file; behind the stream, that of its end.
 */
size_t stream_file_place(const struct stream_file *f, size_t offset)
{
	const struct stream_piece *last = f->pieces;
	size_t low = 0, high = f->n, middle;

	if (!f->n)
		return 0;
	/* The last piece that begins at it or before it. */
	while (high - low > 1) {
		middle = low + (high - low) / 2;
		if (f->pieces[middle].begins <= offset)
			low = middle;
		else
			high = middle;
	}
	last += low;
	return last->at + min(offset - last->begins, last->length);
}

/**
 * stream_file_close() - free what an open has allocated
 * @f: the file
 */
void stream_file_close(struct stream_file *f)
{
	if (f->mapped)
		munmap((void *)f->data, f->size);
	else
		free((void *)f->data);
	free(f->pieces);
	memset(f, 0, sizeof(*f));
}
