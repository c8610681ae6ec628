// SPDX-License-Identifier: GPL-2.0-only
/*
 * An error: one line on stderr, which says what it is about, what is wrong, and what to do.
 */
#include <stdarg.h>

#include "output.h"

/**
 * complain() - an error, as one line on stderr
 * @format: of what follows "tern: ", without the end of the line
 *
 * Return: EXIT_FAILURE, for the caller to return.
 */
int complain(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("tern: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}
