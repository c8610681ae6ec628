// SPDX-License-Identifier: GPL-2.0-only
/*
 * What lab/trace.h declares, defined once.
 */
#define CREATE_TRACE_POINTS
#include "lab/trace.h"
