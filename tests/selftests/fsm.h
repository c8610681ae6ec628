/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way from one of v2's states to another, by a search that follows the rules
 * of uapi/linux/vfio.h and no table. What a device does is held against it.
 */
#ifndef TERN_FSM_H
#define TERN_FSM_H

#include "migfd.h"
#include "kselftest.h"

static const struct {
	uint32_t from, to;
} arcs[] = {
	{ S_RUNNING_P2P, S_STOP }, { S_STOP_COPY, S_STOP }, { S_RESUMING, S_STOP },
	{ S_PRE_COPY, S_RUNNING }, { S_RUNNING_P2P, S_RUNNING },
	{ S_PRE_COPY_P2P, S_RUNNING_P2P }, { S_RUNNING, S_RUNNING_P2P }, { S_STOP, S_RUNNING_P2P },
	{ S_RUNNING, S_PRE_COPY }, { S_RUNNING_P2P, S_PRE_COPY_P2P }, { S_STOP, S_STOP_COPY },
	{ S_PRE_COPY, S_PRE_COPY_P2P }, { S_PRE_COPY_P2P, S_PRE_COPY },
	{ S_PRE_COPY_P2P, S_STOP_COPY }, { S_STOP, S_RESUMING },
};

static inline bool in_saving_group(uint32_t state)
{
	return state == S_PRE_COPY || state == S_PRE_COPY_P2P || state == S_STOP_COPY;
}

/* Does a device with these VFIO_MIGRATION_* have the state? */
static inline bool has_state(uint64_t flags, uint32_t state)
{
	if ((state == S_RUNNING_P2P || state == S_PRE_COPY_P2P) && !(flags & VFIO_MIGRATION_P2P))
		return false;
	if ((state == S_PRE_COPY || state == S_PRE_COPY_P2P) && !(flags & VFIO_MIGRATION_PRE_COPY))
		return false;
	return state != S_ERROR && state < STATES;
}

/* Without pre-copy its arcs do not exist; without P2P its states are passed unseen. */
static inline bool is_arc(uint64_t flags, uint32_t from, uint32_t to)
{
	unsigned int i;

	if (!has_state(flags | VFIO_MIGRATION_P2P, from) ||
	    !has_state(flags | VFIO_MIGRATION_P2P, to))
		return false;
	for (i = 0; i < ARRAY_SIZE(arcs); i++)
		if (arcs[i].from == from && arcs[i].to == to)
			return true;
	return false;
}

/*
 * The shortest way, without a state of the saving group in its middle, unless it
 * stays in the group. The states after the first come to way[]; how many, or -1.
 */
static inline int find_way(uint64_t flags, uint32_t from, uint32_t to, uint32_t *way)
{
	const bool inside = in_saving_group(from) && in_saving_group(to);
	int before[STATES], queue[STATES], head = 0, tail = 0, n = 0, at, next;

	if (!has_state(flags, from) || !has_state(flags, to))
		return -1;
	memset(before, 0xff, sizeof(before));
	queue[tail++] = from;
	before[from] = from;
	while (head < tail && before[to] < 0) {
		at = queue[head++];
		if (at != (int)from && in_saving_group(at) && !inside)
			continue;
		for (next = 1; next < STATES; next++)
			if (before[next] < 0 && is_arc(flags, at, next) &&
			    (!inside || in_saving_group(next))) {
				before[next] = at;
				queue[tail++] = next;
			}
	}
	if (before[to] < 0)
		return -1;
	for (at = to; at != (int)from; at = before[at])
		n += has_state(flags, at);
	for (at = to, next = n; at != (int)from; at = before[at])
		if (has_state(flags, at))
			way[--next] = at;
	return n;
}

/* Does a way of n states after the first one open a data file at its end? */
static inline bool opens_file(uint32_t from, const uint32_t *way, int n)
{
	const uint32_t last = n > 1 ? way[n - 2] : from;

	return n > 0 && (way[n - 1] == S_RESUMING ||
			 (in_saving_group(way[n - 1]) && !in_saving_group(last)));
}

#endif /* TERN_FSM_H */
