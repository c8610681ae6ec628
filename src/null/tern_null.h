/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_NULL_TERN_NULL_H
#define TERN_NULL_TERN_NULL_H

struct tern_function_ops;

extern const struct tern_function_ops tern_null_function;

#endif /* TERN_NULL_TERN_NULL_H */
