/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_CORE_SESSION_H
#define TERN_CORE_SESSION_H

#include "core/env.h"
#include "core/dirty.h"
#include "core/stream.h"

struct tern_model;

/* Passes whose bytes are kept one by one; older ones are kept as a sum. */
#define TERN_PASSES_KEPT	256

/**
 * struct tern_session_stats - what a session has sent
 * @passes: passes of the running phase that gave at least a byte
 * @pass_bytes: bytes offered in pass n (from 0) at n % TERN_PASSES_KEPT
 * @older_bytes: bytes of the passes that are no longer in @pass_bytes
 * @stopped_bytes: bytes offered after the stop
 * @chunks: chunks offered
 * @pages: pages taken, each as often as it was
 * @take_ns: time that took
 *
 * Bytes are bytes of the stream, headers included; what is offered again
 * counts again. Written under the session lock; outlives the session.
 */
struct tern_session_stats {
	u64 passes;
	u64 pass_bytes[TERN_PASSES_KEPT];
	u64 older_bytes;
	u64 stopped_bytes;
	u64 chunks;
	u64 pages;
	u64 take_ns;
};

/**
 * struct tern_session_config - how a session must be run
 * @precopy: false: nothing is given before the stop
 * @staging: where chunks are staged; user space may read and spoil it, unless @in_place
 * @capacity: its bytes, at least TERN_CHUNK_MIN
 * @in_place: user space can't: they are put together right there
 */
struct tern_session_config {
	bool precopy;
	void *staging;
	size_t capacity;
	bool in_place;
};

/* A staging buffer of this size can hold any record. */
#define TERN_CHUNK_MIN		(TERN_RECORD_HEAD + TERN_PAYLOAD_MAX)

struct tern_session;

struct tern_session *tern_session_create(struct tern_model *m,
					 const struct tern_session_config *config,
					 struct tern_session_stats *stats);
void tern_session_destroy(struct tern_session *s);
void tern_session_stop(struct tern_session *s);
u64 tern_session_pending(struct tern_session *s);
u64 tern_session_initial(struct tern_session *s);
int tern_session_reinit(struct tern_session *s, bool reported);
u32 tern_session_reinits(struct tern_session *s);
u64 tern_session_remaining(struct tern_session *s);
u64 tern_session_estimate(const struct tern_model *m);
ssize_t tern_session_prepare(struct tern_session *s);
bool tern_session_retire(struct tern_session *s);
ssize_t tern_session_peek(struct tern_session *s, size_t *at);
void tern_session_consume(struct tern_session *s, size_t bytes);

#endif /* TERN_CORE_SESSION_H */
