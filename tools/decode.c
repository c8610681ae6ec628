// SPDX-License-Identifier: GPL-2.0-only
/*
 * A stream, record by record, as the core's own reader and loader take it.
 *
 * The reader checks the form of a record: then it is shown. The loader checks what it
 * means at its place: the same bytes are given to it, with a device that has no memory.
 * The first fault of either ends the whole, as it ends a load.
 *
 * A stream that lacks its end is no fault to the core until the device must run. Here it
 * is one, EIO.
 */
#include "decode.h"
#include "output.h"
#include "sections.h"
#include "tern.h"
#include "core/loader.h"
#include "core/model.h"

/**
 * struct decoder - a stream on its way
 * @reader: has the record in hand
 * @model: the device that the loader loads
 * @loader: checks the meaning
 * @at: bytes of the stream so far
 * @begin: where the record in hand begins
 */
struct decoder {
	struct tern_reader reader;
	struct tern_model model;
	struct tern_loader *loader;
	size_t at;
	size_t begin;
};

static int decoder_init(struct decoder *d)
{
	int ret;

	memset(d, 0, sizeof(*d));
	d->model.ops = sections_model();
	ret = tern_reader_init(&d->reader, d->model.ops, false);
	if (ret)
		return ret;
	d->loader = tern_loader_create(&d->model, true);
	return d->loader ? 0 : -ENOMEM;
}

static void decoder_uninit(struct decoder *d)
{
	tern_reader_uninit(&d->reader);
	if (d->loader)
		tern_loader_destroy(d->loader);
}

/* The device has the size that the stream is of, if a device can have it. */
static void size_model(struct decoder *d)
{
	const struct tern_session_begin *begin = d->reader.payload;
	u64 size = le64_to_cpu(begin->memory_size);

	if (tern_reader_type(&d->reader) == TERN_RECORD_SESSION_BEGIN && !d->model.memory_size &&
	    size % TERN_STREAM_BLOCK == 0)
		d->model.memory_size = size;
}

static int give_to_loader(struct decoder *d)
{
	int ret;

	size_model(d);
	ret = tern_loader_feed(d->loader, &d->reader.head, TERN_RECORD_HEAD);
	if (ret)
		return ret;
	return tern_loader_feed(d->loader, d->reader.payload, tern_reader_length(&d->reader));
}

static void set_fault(const struct decoder *d, struct decode_fault *fault, int error, bool is_form)
{
	const struct tern_reader *r = &d->reader;

	fault->error = -error;
	fault->offset = d->begin;
	fault->is_form = is_form;
	fault->has_record = r->have >= TERN_RECORD_HEAD;
	if (fault->has_record) {
		fault->type = tern_reader_type(r);
		fault->seq = le64_to_cpu(r->head.seq);
		fault->length = tern_reader_length(r);
	}
}

/* One piece of the file. True: there is no fault. */
static bool decode_piece(struct decoder *d, const void *from, size_t len, decode_record_fn record,
			 void *arg, struct decode_fault *fault, int *ret)
{
	enum tern_reader_event event;
	size_t left = len, before;
	int error;

	while (left) {
		if (tern_reader_between(&d->reader))
			d->begin = d->at;
		before = left;
		error = tern_reader_feed(&d->reader, &from, &left, &event);
		d->at += before - left;
		if (error) {
			set_fault(d, fault, error, true);
			return false;
		}
		if (event == TERN_READER_HUNGRY)
			continue;
		*ret = record(arg, &d->reader, d->begin, event == TERN_READER_REPEAT);
		if (*ret)
			return false;
		error = give_to_loader(d);
		if (error) {
			set_fault(d, fault, error, false);
			return false;
		}
	}
	return true;
}

/* What was read has no fault; is it all? */
static void check_end(struct decoder *d, struct decode_fault *fault)
{
	if (!tern_reader_between(&d->reader)) {
		set_fault(d, fault, -EIO, true);
	} else if (!tern_loader_complete(d->loader)) {
		fault->error = EIO;
		fault->offset = d->at;
	}
}

/**
 * decode_stream() - read a stream up to its end or its first fault
 * @f: the file that has it
 * @record: called for each record whose form is right
 * @arg: for @record
 * @fault: gets the first fault
 *
 * Return: 0, also if there is a fault, or -errno: -ENOMEM, or what @record has returned.
 */
int decode_stream(const struct stream_file *f, decode_record_fn record, void *arg,
		  struct decode_fault *fault)
{
	struct decoder d;
	bool good = true;
	size_t i;
	int ret;

	memset(fault, 0, sizeof(*fault));
	ret = decoder_init(&d);
	for (i = 0; !ret && good && i < f->n; i++)
		good = decode_piece(&d, f->data + f->pieces[i].at, f->pieces[i].length, record, arg,
				    fault, &ret);
	if (!ret && good)
		check_end(&d, fault);
	/* The stream is whole, and what QEMU put around it is not: QEMU does not load it. */
	if (!ret && !fault->error && f->damaged) {
		fault->error = EIO;
		fault->offset = d.at;
	}
	decoder_uninit(&d);
	return ret;
}

/**
 * decode_fault_text() - the check that a stream has failed, in words
 * @fault: the fault
 */
const char *decode_fault_text(const struct decode_fault *fault)
{
	switch (fault->error) {
	case EINVAL:
		return fault->is_form ? "the stream does not begin with SESSION_BEGIN" :
					"SESSION_BEGIN with another magic or version 0";
	case EOPNOTSUPP:
		return "an unknown flag, or an unknown type that is not optional";
	case EMSGSIZE:
		return "a length that the type cannot have";
	case EBADMSG:
		return "a wrong CRC";
	case EILSEQ:
		return "a number above the expected one: records are missing";
	case EMEDIUMTYPE:
		return "another model";
	case EPROTONOSUPPORT:
		return "written for a newer reader";
	case ERANGE:
		return "a memory size or block size that no device has, or another than before";
	case EOVERFLOW:
		return "MEMORY that is not whole blocks or lies outside the device";
	case EDOM:
		return "a value that no device can have";
	case EPROTO:
		return "a section twice or too new, a wrong END, or a record after END";
	case EIO:
		return fault->has_record || fault->is_form ? "the file ends inside this record" :
							     "the file ends before END";
	default:
		return strerror(fault->error);
	}
}

static const char *errno_name(int error)
{
	return strerrorname_np(error) ?: "?";
}

/* A type's name, or its number. */
static void type_text(u32 type, char *buf, size_t size)
{
	const char *name = sections_type_name(type);

	if (name)
		snprintf(buf, size, "%s", name);
	else
		snprintf(buf, size, "type %u", type);
}

/**
 * decode_complain() - a fault as an error
 * @f: the file
 * @fault: the fault
 *
 * Return: EXIT_FAILURE.
 */
int decode_complain(const struct stream_file *f, const struct decode_fault *fault)
{
	char record[96] = "", type[24], place[64] = "";

	type_text(fault->type, type, sizeof(type));
	if (fault->has_record)
		snprintf(record, sizeof(record), " (record %llu, %s, %u bytes of payload)",
			 (unsigned long long)fault->seq, type, fault->length);
	if (f->is_qemu)
		snprintf(place, sizeof(place), " of the device's bytes, %zu of the file",
			 stream_file_place(f, fault->offset));
	if (f->damaged && fault->error == EIO)
		return complain("%s: offset %zu%s: EIO, QEMU's framing is damaged at %zu", f->path,
				fault->offset, place, f->damaged);
	return complain("%s: offset %zu%s: %s, %s%s", f->path, fault->offset, place,
			errno_name(fault->error), decode_fault_text(fault), record);
}

/**
 * struct printer - where records are shown
 * @f: the file
 * @to: text is printed here, as the records come
 * @records: JSON is gathered here; NULL: text
 * @quiet: nothing is shown
 */
struct printer {
	const struct stream_file *f;
	FILE *to;
	struct json_object *records;
	bool quiet;
};

static struct json_object *flags_of(u32 flags)
{
	struct json_object *list = json_object_new_array();

	if (flags & TERN_RECORD_OPTIONAL)
		json_object_array_add(list, json_object_new_string("optional"));
	return list;
}

static struct json_object *describe(const struct printer *p, const struct tern_reader *r,
				    size_t offset, bool is_repeat)
{
	struct json_object *o = json_object_new_object();
	char type[24];

	output_add_number(o, "offset", offset);
	if (p->f->is_qemu)
		output_add_number(o, "file_offset", stream_file_place(p->f, offset));
	output_add_number(o, "seq", le64_to_cpu(r->head.seq));
	type_text(tern_reader_type(r), type, sizeof(type));
	output_add_text(o, "type", type);
	output_add(o, "flags", flags_of(le32_to_cpu(r->head.flags)));
	output_add_number(o, "length", tern_reader_length(r));
	output_add_hex(o, "crc32c", le32_to_cpu(r->head.crc32c), 8);
	/* The reader has checked it: a record with another one is a fault. */
	output_add_text(o, "crc", "good");
	output_add(o, "repeat", json_object_new_boolean(is_repeat));
	output_add(o, "contents",
		   sections_describe(tern_reader_type(r), r->payload, tern_reader_length(r)));
	return o;
}

static void print_record(FILE *to, struct json_object *o)
{
	struct json_object *contents = json_object_object_get(o, "contents");
	struct json_object *place = json_object_object_get(o, "file_offset");
	char flags[32];

	fprintf(to, "%8s  ", json_object_get_string(json_object_object_get(o, "offset")));
	if (place)
		fprintf(to, "file %8s  ", json_object_get_string(place));
	output_text(json_object_object_get(o, "flags"), flags, sizeof(flags));
	fprintf(to, "seq %-4s  %-13s  flags %-8s  %5s bytes  crc %s %s%s\n",
		json_object_get_string(json_object_object_get(o, "seq")),
		json_object_get_string(json_object_object_get(o, "type")), flags,
		json_object_get_string(json_object_object_get(o, "length")),
		json_object_get_string(json_object_object_get(o, "crc32c")),
		json_object_get_string(json_object_object_get(o, "crc")),
		json_object_get_boolean(json_object_object_get(o, "repeat")) ? "  repeat" : "");
	if (contents)
		output_fields(to, contents, 10);
}

static int show_record(void *arg, const struct tern_reader *r, size_t offset, bool is_repeat)
{
	struct printer *p = arg;
	struct json_object *o;

	if (p->quiet)
		return 0;
	o = describe(p, r, offset, is_repeat);
	if (p->records) {
		json_object_array_add(p->records, o);
	} else {
		print_record(p->to, o);
		json_object_put(o);
	}
	return 0;
}

static struct json_object *describe_fault(const struct stream_file *f,
					  const struct decode_fault *fault)
{
	struct json_object *o;
	char type[24];

	if (!fault->error)
		return NULL;
	o = json_object_new_object();
	output_add_number(o, "offset", fault->offset);
	if (f->is_qemu)
		output_add_number(o, "file_offset", stream_file_place(f, fault->offset));
	output_add_text(o, "errno", errno_name(fault->error));
	output_add_text(o, "what", f->damaged && fault->error == EIO ?
				"QEMU's framing is damaged" : decode_fault_text(fault));
	if (fault->has_record) {
		type_text(fault->type, type, sizeof(type));
		output_add_number(o, "seq", fault->seq);
		output_add_text(o, "type", type);
		output_add_number(o, "length", fault->length);
	}
	if (f->damaged)
		output_add_number(o, "framing_damaged_at", f->damaged);
	return o;
}

static void print_head(const struct printer *p)
{
	char section[OUTPUT_PRINTABLE(STREAM_SECTION_MAX)];

	output_printable(p->f->section, section);
	if (p->f->is_qemu)
		fprintf(p->to, "%zu bytes of the device in %zu pieces, section %s of a QEMU\n",
			p->f->bytes, p->f->n, section);
	else
		fprintf(p->to, "%zu bytes of the device\n", p->f->bytes);
}

/**
 * decode_print() - show a stream
 * @f: the file that has it
 * @to: where to
 * @json: as JSON
 * @faults_only: no record
 *
 * Records up to the first fault are shown, then the fault, as an error.
 *
 * Return: EXIT_SUCCESS, or EXIT_FAILURE if there is a fault.
 */
int decode_print(const struct stream_file *f, FILE *to, bool json, bool faults_only)
{
	struct printer p = { .f = f, .to = to, .quiet = faults_only };
	struct json_object *o = NULL;
	struct decode_fault fault;
	int ret;

	if (json) {
		o = json_object_new_object();
		output_add_text(o, "file", f->path);
		output_add_text(o, "format", f->is_qemu ? "qemu" : "raw");
		output_add_text(o, "section", f->is_qemu ? f->section : NULL);
		output_add_number(o, "bytes", f->bytes);
		if (!faults_only) {
			p.records = json_object_new_array();
			output_add(o, "records", p.records);
		}
	} else if (!faults_only) {
		print_head(&p);
	}
	ret = decode_stream(f, show_record, &p, &fault);
	if (json) {
		output_add(o, "whole", json_object_new_boolean(!ret && !fault.error));
		output_add(o, "fault", describe_fault(f, &fault));
		output_json(to, o);
		json_object_put(o);
	}
	if (ret)
		return complain("%s: %s: free memory", f->path, strerror(-ret));
	return fault.error ? decode_complain(f, &fault) : EXIT_SUCCESS;
}

/**
 * tern_decode() - the command: show a stream in a file
 * @r: one word, the file
 *
 * Return: the exit status.
 */
int tern_decode(const struct request *r)
{
	struct stream_file f;
	int status = EXIT_FAILURE;

	if (!stream_file_open(&f, r->words[0], r->section))
		status = decode_print(&f, stdout, r->json, r->verify);
	stream_file_close(&f);
	return status;
}
