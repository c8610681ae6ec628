// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the tool prints. A command always makes a JSON value of its result, and prints
 * that or text. The text is made of the same value, so neither has more than the other.
 */
#include <wchar.h>
#include <wctype.h>

#include "output.h"

/* No line of fields is longer, unless one field is. */
#define LINE_MAX_CHARS	96
/* The longest text of one value: what an attribute can have, and more. */
#define TEXT_MAX	8192

/**
 * output_json() - print a value as one line of JSON
 * @to: where to
 * @value: the value
 */
void output_json(FILE *to, struct json_object *value)
{
	const char *text = json_object_to_json_string_ext(
		value, JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE);

	if (!text) {
		complain("%s: free memory, or omit --json", strerror(ENOMEM));
		exit(EXIT_FAILURE);
	}
	fprintf(to, "%s\n", text);
}

/**
 * output_failed() - write what has been printed
 *
 * Return: true after a complaint if any of it was not written.
 */
bool output_failed(void)
{
	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return false;
	complain("standard output: not all was written: %s", strerror(errno ?: EIO));
	return true;
}

/**
 * output_add() - one more member of an object
 * @object: the object
 * @key: its name
 * @value: the value, which the object owns from now on
 */
void output_add(struct json_object *object, const char *key, struct json_object *value)
{
	json_object_object_add(object, key, value);
}

/**
 * output_add_number() - a number as a member
 * @object: the object
 * @key: its name
 * @value: the number
 */
void output_add_number(struct json_object *object, const char *key, u64 value)
{
	output_add(object, key, json_object_new_uint64(value));
}

/**
 * output_printable() - a text that came from outside, fit for a terminal and for JSON
 * @text: may hold any byte
 * @buf: gets it, with each byte that is no part of a printable character as \\xNN;
 *	OUTPUT_PRINTABLE(strlen(@text) + 1) bytes
 *
 * Needs a locale of UTF-8: see main().
 */
void output_printable(const char *text, char *buf)
{
	size_t left = strlen(text), n;
	mbstate_t state;
	wchar_t wide;

	for (; left; text += n, left -= n) {
		memset(&state, 0, sizeof(state));
		n = mbrtowc(&wide, text, left, &state);
		if (n <= left && (iswprint(wide) || *text == '\n')) {
			memcpy(buf, text, n);
			buf += n;
		} else {
			n = 1;
			buf += sprintf(buf, "\\x%02x", (u8)*text);
		}
	}
	*buf = 0;
}

/**
 * output_add_text() - a text as a member
 * @object: the object
 * @key: its name
 * @text: the text; NULL: null
 */
void output_add_text(struct json_object *object, const char *key, const char *text)
{
	char *printable = text ? malloc(OUTPUT_PRINTABLE(strlen(text) + 1)) : NULL;

	if (printable)
		output_printable(text, printable);
	output_add(object, key, printable ? json_object_new_string(printable) : NULL);
	free(printable);
}

/**
 * output_add_hex() - a register as a member: a text, as JSON has no such numbers
 * @object: the object
 * @key: its name
 * @value: the number
 * @digits: at least so many
 */
void output_add_hex(struct json_object *object, const char *key, u64 value, int digits)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%0*llx", digits, (unsigned long long)value);
	output_add_text(object, key, text);
}

/**
 * output_result() - print what a command has found, and free it
 * @json: as JSON
 * @object: an object, whose members can be objects
 */
void output_result(bool json, struct json_object *object)
{
	if (json)
		output_json(stdout, object);
	else
		output_tree(stdout, object, 0);
	json_object_put(object);
}

static bool is_list_of_objects(struct json_object *value)
{
	return json_object_is_type(value, json_type_array) && json_object_array_length(value) &&
	       json_object_is_type(json_object_array_get_idx(value, 0), json_type_object);
}

static bool is_plain(struct json_object *value)
{
	return !json_object_is_type(value, json_type_object) && !is_list_of_objects(value);
}

/**
 * output_text() - a value in words
 * @value: a number, a text, or a list of these
 * @buf: for the words
 * @size: of @buf
 *
 * Return: @buf.
 */
const char *output_text(struct json_object *value, char *buf, size_t size)
{
	size_t i, n, len = 0;

	switch (json_object_get_type(value)) {
	case json_type_null:
		snprintf(buf, size, "-");
		break;
	case json_type_boolean:
		snprintf(buf, size, "%s", json_object_get_boolean(value) ? "yes" : "no");
		break;
	case json_type_array:
		n = json_object_array_length(value);
		snprintf(buf, size, "%s", n ? "" : "-");
		for (i = 0; i < n && len + 1 < size; i++) {
			const char *text =
				json_object_get_string(json_object_array_get_idx(value, i));

			len += snprintf(buf + len, size - len, "%s%s", i ? " " : "", text ?: "-");
		}
		break;
	default:
		snprintf(buf, size, "%s", json_object_get_string(value));
	}
	return buf;
}

static struct json_object *member(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return value;
}

/**
 * output_table() - print a list of objects, one per line, below the names of the columns
 * @to: where to
 * @rows: the list
 * @columns: what is printed of each
 * @n: how many columns
 *
 * Each column is as wide as its longest value.
 */
void output_table(FILE *to, struct json_object *rows, const struct output_column *columns,
		  unsigned int n)
{
	size_t count = json_object_array_length(rows), i;
	char text[TEXT_MAX];
	unsigned int c;

	for (i = 0; i <= count; i++) {
		struct json_object *row = i ? json_object_array_get_idx(rows, i - 1) : NULL;

		for (c = 0; c < n; c++) {
			size_t k, width = strlen(columns[c].key);

			for (k = 0; k < count; k++) {
				struct json_object *other = json_object_array_get_idx(rows, k);

				output_text(member(other, columns[c].key), text, sizeof(text));
				width = max(width, strlen(text));
			}
			if (row)
				output_text(member(row, columns[c].key), text, sizeof(text));
			else
				snprintf(text, sizeof(text), "%s", columns[c].key);
			if (columns[c].right)
				fprintf(to, "%*s", (int)width, text);
			else
				fprintf(to, "%-*s", c + 1 < n ? (int)width : 0, text);
			fputs(c + 1 < n ? "  " : "\n", to);
		}
	}
}

/* A text of several lines, each below the first one. */
static void print_lines(FILE *to, const char *text, int indent)
{
	const char *end;

	for (; (end = strchr(text, '\n')); text = end + 1)
		fprintf(to, "%.*s\n%*s", (int)(end - text), text, indent, "");
	fprintf(to, "%s\n", text);
}

/**
 * output_tree() - print an object, one member per line
 * @to: where to
 * @object: the object, whose members can be objects
 * @indent: spaces in front of each line
 */
void output_tree(FILE *to, struct json_object *object, unsigned int indent)
{
	char text[TEXT_MAX];
	int width = 0;

	json_object_object_foreach(object, name, item) {
		if (is_plain(item))
			width = max(width, (int)strlen(name));
	}
	json_object_object_foreach(object, key, value) {
		if (is_plain(value)) {
			fprintf(to, "%*s%-*s  ", indent, "", width, key);
			print_lines(to, output_text(value, text, sizeof(text)), indent + width + 2);
		} else {
			fprintf(to, "%*s%s\n", indent, "", key);
			output_tree(to, value, indent + 2);
		}
	}
}

/* Print one field, in a new line if this one has no room for it. */
static void print_field(FILE *to, const char *key, const char *text, unsigned int indent,
			size_t *used)
{
	size_t n = strlen(key) + strlen(text) + 1;

	if (*used && *used + 2 + n > LINE_MAX_CHARS) {
		fputc('\n', to);
		*used = 0;
	}
	if (*used)
		*used += fprintf(to, ", %s %s", key, text);
	else
		*used = fprintf(to, "%*s%s %s", indent, "", key, text);
}

/**
 * output_fields() - print an object in few lines, several members in each
 * @to: where to
 * @object: the object; lists of objects follow, one object per line
 * @indent: spaces in front of each line
 */
void output_fields(FILE *to, struct json_object *object, unsigned int indent)
{
	char text[TEXT_MAX];
	size_t used = 0, i;

	json_object_object_foreach(object, name, item) {
		if (is_plain(item))
			print_field(to, name, output_text(item, text, sizeof(text)), indent, &used);
	}
	if (used)
		fputc('\n', to);
	json_object_object_foreach(object, key, value) {
		if (!is_list_of_objects(value))
			continue;
		fprintf(to, "%*s%s\n", indent, "", key);
		for (i = 0; i < json_object_array_length(value); i++)
			output_fields(to, json_object_array_get_idx(value, i), indent + 2);
	}
}
