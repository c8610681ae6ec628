/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_TOOLS_SECTIONS_H
#define TERN_TOOLS_SECTIONS_H

#include "env.h"
#include <json-c/json.h>

struct tern_model_ops;

const struct tern_model_ops *sections_model(void);
const char *sections_type_name(u32 type);
struct json_object *sections_describe(u32 type, const void *payload, u32 length);

#endif /* TERN_TOOLS_SECTIONS_H */
