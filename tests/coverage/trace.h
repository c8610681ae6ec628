/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_TRACE_H
#define TERN_TRACE_H

#include <linux/types.h>

/* Bytes of the module's text whose blocks are recorded, half of them before the function. */
#define TERN_TRACE_MAX	(1L << 20)

enum { TERN_TRACE_NOT_RUN, TERN_TRACE_RUN, TERN_TRACE_GIVEN };

extern u8 tern_trace[TERN_TRACE_MAX];

#endif /* TERN_TRACE_H */
