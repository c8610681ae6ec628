/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_CORE_LOADER_H
#define TERN_CORE_LOADER_H

#include "core/env.h"

struct tern_loader;
struct tern_model;

struct tern_loader *tern_loader_create(struct tern_model *m, bool in_place);
void tern_loader_destroy(struct tern_loader *l);
int tern_loader_feed(struct tern_loader *l, const void *from, size_t len);
bool tern_loader_complete(const struct tern_loader *l);
int tern_loader_error(const struct tern_loader *l);

#endif /* TERN_CORE_LOADER_H */
