/* SPDX-License-Identifier: GPL-2.0-only */
/* The commands, and what they are asked for. */
#ifndef TERN_TOOLS_TERN_H
#define TERN_TOOLS_TERN_H

#include "env.h"

/**
 * struct request - the options and the words of a command
 * @json: print JSON
 * @sysfs: where sysfs is mounted
 * @parent: of a device to create
 * @uuid: of a device to create; NULL: a new one
 * @clear: end the rules that there are
 * @types: list types, not devices
 * @verify: report the first fault and nothing else
 * @section: of a file of QEMU; NULL: Tern's only one
 * @interval: seconds between two looks at a device
 * @count: how many; 0: no limit
 * @version: of the stream to write
 * @words: what is no option
 * @n: how many words
 */
struct request {
	bool json;
	const char *sysfs;
	const char *parent;
	const char *uuid;
	bool clear;
	bool types;
	bool verify;
	const char *section;
	double interval;
	unsigned long count;
	unsigned long version;
	char **words;
	int n;
};

/* Each returns the exit status. */
int tern_create(const struct request *r);
int tern_remove(const struct request *r);
int tern_list(const struct request *r);
int tern_show(const struct request *r);
int tern_set(const struct request *r);
int tern_inject(const struct request *r);
int tern_workload(const struct request *r);
int tern_verify(const struct request *r);
int tern_watch(const struct request *r);
int tern_decode(const struct request *r);
int tern_convert(const struct request *r);

#endif /* TERN_TOOLS_TERN_H */
