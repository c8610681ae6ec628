// SPDX-License-Identifier: GPL-2.0-only
/*
 * The models that this module has: one line each. Test models are for the tests.
 */
#include "function/function.h"
#include "mem/tern_mem.h"
#include "null/tern_null.h"

const struct tern_function_ops *const tern_models[] = {
	&tern_mem_function,
#ifdef TERN_TEST_MODELS
	&tern_null_function,
#endif
	NULL
};
