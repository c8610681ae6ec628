// SPDX-License-Identifier: GPL-2.0-only
/*
 * The models that this module has: one line each.
 */
#include "function/function.h"
#include "mem/tern_mem.h"

const struct tern_function_ops *const tern_models[] = {
	&tern_mem_function,
	NULL
};
