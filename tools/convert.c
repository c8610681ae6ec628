// SPDX-License-Identifier: GPL-2.0-only
/*
 * A stream for an older reader.
 *
 * What a version does not have is left out if it has its reset state, or if a reader has
 * its own value anyway. All else is refused, for the guest would notice it. The records are
 * numbered and sealed again by the core's own writer.
 *
 *   to 2	a function-level reset is not offered. A workload ends: that of the device,
 *		which the guest does not see
 *   to 1	besides, DMA has its reset state; INTx, which has no pin there, is not used
 *
 * Of several sessions in a file the last one is written: only that one is loaded.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_space.h"
#include "convert.h"
#include "decode.h"
#include "output.h"
#include "tern.h"

static int refuse(struct converter *c, const char *reason)
{
	c->reason = reason;
	return -EOPNOTSUPP;
}

static const u8 *find_capability(const u8 *cfg, u8 id)
{
	const u8 *cap;
	unsigned int i;

	for (i = 0; (cap = config_capability(cfg, i)); i++)
		if (cap[0] == id)
			break;
	return cap;
}

static int convert_begin(struct converter *c, struct tern_session_begin *begin)
{
	c->from = le32_to_cpu(begin->version);
	/* The loader, which comes next, has an errno for that. */
	if (!c->from || le64_to_cpu(begin->magic) != TERN_STREAM_MAGIC)
		return 0;
	if (c->from > TERN_STREAM_VERSION)
		return refuse(c, "it is newer than this tool: use the tool of its module");
	if (c->from < c->version)
		return refuse(c, "it is older: a reader of that version loads it as it is");
	begin->version = cpu_to_le32(c->version);
	begin->reader = cpu_to_le32(c->version);
	/* This session replaces the one before. */
	tern_writer_init(&c->writer);
	c->irq_on = 0;
	c->is_intx = false;
	c->workload_left_out = false;
	c->flr_left_out = false;
	return 0;
}

static int convert_config(struct converter *c, u8 *cfg)
{
	const u8 *express = find_capability(cfg, PCI_CAP_ID_EXP);
	const u8 *msix = find_capability(cfg, PCI_CAP_ID_MSIX);
	/* The bit is in the last byte of a register of 32 bits. */
	u8 *flr = express ? cfg + (express - cfg) + PCI_EXP_DEVCAP + 3 : NULL;
	const u8 flr_bit = PCI_EXP_DEVCAP_FLR >> 24;

	if (c->version < 3 && flr && *flr & flr_bit) {
		*flr &= ~flr_bit;
		c->flr_left_out = true;
	}
	c->is_intx = !(config_get16(cfg + PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE) &&
		     !(msix && config_get16(msix + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_ENABLE);
	if (c->version < 2 && c->from >= 2)
		cfg[PCI_INTERRUPT_PIN] = 0;
	return 0;
}

/* A reset leaves all registers 0, except for the CRC of no byte. */
static int check_dma(struct converter *c, const struct tern_dma_state *dma)
{
	struct tern_dma_state reset = { .crc = cpu_to_le32(~0U) };

	if (!memcmp(dma, &reset, sizeof(reset)))
		return 0;
	return refuse(c, "it has no DMA, which was used: save it after a reset");
}

static int append(struct converter *c, size_t at, const void *from, size_t n)
{
	if (at + n > c->room) {
		size_t room = 2 * (at + n);
		u8 *out = realloc(c->out, room);

		if (!out)
			return -ENOMEM;
		c->out = out;
		c->room = room;
	}
	memcpy(c->out + at, from, n);
	return 0;
}

static int put_record(struct converter *c, u32 type, u32 flags, u32 length)
{
	size_t at = c->writer.bytes;
	struct tern_end *end = tern_writer_payload(c->record);

	if (type == TERN_RECORD_END) {
		end->records = cpu_to_le64(c->writer.seq);
		end->bytes = cpu_to_le64(c->writer.bytes);
	}
	return append(c, at, c->record,
		      tern_writer_seal(&c->writer, c->record, type, flags, length));
}

/* Sections come in any order. */
static int check_interrupt(struct converter *c)
{
	if (c->version < 2 && c->from >= 2 && c->is_intx && c->irq_on)
		return refuse(c, "INTx is asserted: save it when the guest has served it");
	return 0;
}

/* Change the payload in place. 1: the record is left out. */
static int convert_payload(struct converter *c, u32 type, void *payload)
{
	const struct tern_registers_state *regs = payload;

	switch (type) {
	case TERN_RECORD_SESSION_BEGIN:
		return convert_begin(c, payload);
	case TERN_RECORD_REGISTERS:
		c->irq_on = le32_to_cpu(regs->irq_status) & ~le32_to_cpu(regs->irq_mask);
		return 0;
	case TERN_RECORD_CONFIG_SPACE:
		return convert_config(c, payload);
	case TERN_RECORD_DMA:
		return c->version < 2 ? check_dma(c, payload) ?: 1 : 0;
	case TERN_RECORD_END:
		return check_interrupt(c);
	case TERN_RECORD_WORKLOAD:
		c->workload_left_out = c->version < 3;
		return c->workload_left_out;
	default:
		return 0;
	}
}

static int convert_record(void *arg, const struct tern_reader *r, size_t offset, bool is_repeat)
{
	struct converter *c = arg;
	u32 type = tern_reader_type(r), length = tern_reader_length(r);
	int ret;

	/* Its writer did not know which records had arrived. */
	if (is_repeat)
		return 0;
	memcpy(tern_writer_payload(c->record), r->payload, length);
	ret = convert_payload(c, type, tern_writer_payload(c->record));
	if (ret)
		return min(ret, 0);
	return put_record(c, type, le32_to_cpu(r->head.flags), length);
}

/* Write and close a file. */
static int write_all(int fd, const u8 *data, size_t size)
{
	ssize_t n = 0;
	size_t done;
	int ret;

	if (fd < 0)
		return -errno;
	for (done = 0; done < size && n >= 0; done += n)
		n = write(fd, data + done, size - done);
	ret = n < 0 ? -errno : 0;
	if (close(fd) && !ret)
		ret = -errno;
	return ret;
}

/*
 * A file that is whole or not there, and that its owner alone can read: it has a guest's
 * memory. A device, a pipe or a link stays what it is, and is written to.
 */
static int write_file(const char *path, const u8 *data, size_t size)
{
	char draft[PATH_MAX];
	struct stat st;
	int fd, ret;

	if (!strcmp(path, "-"))
		return write_all(dup(STDOUT_FILENO), data, size);
	if (!lstat(path, &st) && !S_ISREG(st.st_mode))
		return write_all(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC), data, size);
	ret = snprintf(draft, sizeof(draft), "%s.XXXXXX", path);
	if (ret >= (int)sizeof(draft))
		return -ENAMETOOLONG;
	fd = mkstemp(draft);
	if (fd < 0)
		return -errno;
	ret = write_all(fd, data, size);
	if (!ret && rename(draft, path))
		ret = -errno;
	if (ret)
		unlink(draft);
	return ret;
}

static void print_result(const struct request *r, const struct converter *c, const char *out)
{
	struct json_object *o = json_object_new_object();

	output_add_text(o, "file", out);
	output_add_number(o, "from_version", c->from);
	output_add_number(o, "to_version", c->version);
	output_add_number(o, "records", c->writer.seq);
	output_add_number(o, "bytes", c->writer.bytes);
	output_add(o, "flr_left_out", json_object_new_boolean(c->flr_left_out));
	output_add(o, "workload_left_out", json_object_new_boolean(c->workload_left_out));
	if (r->json)
		output_json(stdout, o);
	else
		output_fields(stdout, o, 0);
	json_object_put(o);
}

/**
 * convert_stream() - make another version of a stream, in memory
 * @f: the file that has it
 * @c: @version is set, the rest is 0; convert_free() is due whatever the result
 *
 * Return: 0, or -errno after a complaint.
 */
int convert_stream(const struct stream_file *f, struct converter *c)
{
	struct decode_fault fault;
	int ret = -ENOMEM;

	c->record = malloc(TERN_RECORD_HEAD + TERN_PAYLOAD_MAX);
	if (c->record)
		ret = decode_stream(f, convert_record, c, &fault);
	if (c->reason) {
		complain("%s: not written as version %u: %s", f->path, c->version, c->reason);
	} else if (ret) {
		complain("%s: %s: free memory", f->path, strerror(-ret));
	} else if (fault.error) {
		decode_complain(f, &fault);
		ret = -fault.error;
	}
	return ret;
}

/**
 * convert_free() - free what convert_stream() has allocated
 * @c: the converter
 */
void convert_free(struct converter *c)
{
	free(c->record);
	free(c->out);
}

static int convert(const struct request *r, const struct stream_file *f, struct converter *c)
{
	int ret;

	if (convert_stream(f, c))
		return EXIT_FAILURE;
	ret = write_file(r->words[1], c->out, c->writer.bytes);
	if (ret)
		return complain("%s: %s: name a file that can be written", r->words[1],
				strerror(-ret));
	/* Nothing else goes where the stream has gone. */
	if (strcmp(r->words[1], "-"))
		print_result(r, c, r->words[1]);
	return EXIT_SUCCESS;
}

/**
 * tern_convert() - the command: write a stream as another version
 * @r: two words, the file and the new one
 *
 * Return: the exit status. After a failure there is no new file.
 */
int tern_convert(const struct request *r)
{
	struct converter c = { .version = r->version };
	struct stream_file f;
	int status = EXIT_FAILURE;

	if (!stream_file_open(&f, r->words[0], r->section))
		status = convert(r, &f, &c);
	stream_file_close(&f);
	convert_free(&c);
	return status;
}
