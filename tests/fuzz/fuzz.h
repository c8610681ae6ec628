/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_FUZZ_H
#define TERN_FUZZ_H

#include "env.h"
#include "core/stream.h"

/* Longer than any record; what is longer still says nothing new. */
#define FUZZ_MAX	(2 * 65536)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The length of the next piece, by the input's first byte. */
static inline size_t cut(uint8_t how, size_t at, size_t left)
{
	size_t n = how < 128 ? how + 1 : 1 + (at * 2654435761u ^ how * 40503u) % 4000;

	return min(n, left);
}

#endif /* TERN_FUZZ_H */
