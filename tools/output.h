/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_TOOLS_OUTPUT_H
#define TERN_TOOLS_OUTPUT_H

#include "env.h"
#include <json-c/json.h>

/**
 * struct output_column - a column of a table
 * @key: of the row's object, and the column's title
 * @right: aligned to the right, as numbers are
 */
struct output_column {
	const char *key;
	bool right;
};

void output_result(bool json, struct json_object *object);
void output_json(FILE *to, struct json_object *value);
void output_table(FILE *to, struct json_object *rows, const struct output_column *columns,
		  unsigned int n);
void output_tree(FILE *to, struct json_object *object, unsigned int indent);
void output_fields(FILE *to, struct json_object *object, unsigned int indent);

#define OUTPUT_PRINTABLE(size)	(4 * (size))
void output_printable(const char *text, char *buf);
const char *output_text(struct json_object *value, char *buf, size_t size);
void output_add(struct json_object *object, const char *key, struct json_object *value);
void output_add_number(struct json_object *object, const char *key, u64 value);
void output_add_text(struct json_object *object, const char *key, const char *text);
void output_add_hex(struct json_object *object, const char *key, u64 value, int digits);

bool output_failed(void);
int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif /* TERN_TOOLS_OUTPUT_H */
