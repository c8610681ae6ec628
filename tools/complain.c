// SPDX-License-Identifier: GPL-2.0-only
/*
 * An error: one line on stderr, which says what it is about, what is wrong, and what to do.
 */
#include <stdarg.h>

#include "output.h"

/* A longer one is cut: a value of an attribute is the longest part. */
#define COMPLAINT_MAX	8192

/**
 * complain() - an error, as one line on stderr
 * @format: of what follows "tern: ", without the end of the line
 *
 * Return: EXIT_FAILURE, for the caller to return.
 */
int complain(const char *format, ...)
{
	char text[COMPLAINT_MAX], printable[OUTPUT_PRINTABLE(COMPLAINT_MAX)], *end;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	output_printable(text, printable);
	while ((end = strchr(printable, '\n')))
		*end = ' ';
	fflush(stdout);
	fprintf(stderr, "tern: %s\n", printable);
	return EXIT_FAILURE;
}
