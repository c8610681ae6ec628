/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_CORE_MACHINE_H
#define TERN_CORE_MACHINE_H

#include "core/env.h"
#include "core/phase.h"
#include "core/session.h"

struct tern_loader;
struct tern_model;

/* Errnos of a load that are counted: all that it can have. */
#define TERN_ERRNOS	128

/**
 * struct tern_totals - what a device has done since it was opened
 * @passes: as struct tern_session_stats has it, of all sessions
 * @bytes: offered before the stop and after it
 * @pages: taken
 * @take_ns: time that took
 * @phase_ns: time in each phase; that of an arc counts in the phase before it
 * @refused: loads that were refused, by errno
 */
struct tern_totals {
	u64 passes;
	u64 bytes;
	u64 pages;
	u64 take_ns;
	u64 phase_ns[TERN_PHASES];
	u32 refused[TERN_ERRNOS];
};

/**
 * struct tern_machine - a device's migration: its phase and what goes with it
 * @m: the device; immutable
 * @config: for the sessions; immutable while the device is open
 * @phase: where it is
 * @session: lives while tern_phase_saving()
 * @loader: lives in TERN_PHASE_LOADING
 * @error: it is stopped, and only a reset leads out of that
 * @stats: of the last session
 * @since: when it came to @phase, in ns of the monotonic clock
 * @totals: without the session that lives, and without the time since @since
 *
 * All guarded by state_mutex, which is its owner's.
 */
struct tern_machine {
	struct tern_model *m;
	struct tern_session_config config;
	enum tern_phase phase;
	struct tern_session *session;
	struct tern_loader *loader;
	bool error;
	struct tern_session_stats stats;
	u64 since;
	struct tern_totals totals;
};

void tern_machine_init(struct tern_machine *mc, struct tern_model *m,
		       const struct tern_session_config *config, struct mutex *state_mutex);
void tern_machine_uninit(struct tern_machine *mc);
void tern_machine_stage(struct tern_machine *mc, void *staging, size_t capacity, bool in_place);
int tern_machine_go(struct tern_machine *mc, enum tern_phase to);
int tern_machine_commit(struct tern_machine *mc);
void tern_machine_reset(struct tern_machine *mc);
void tern_machine_fail(struct tern_machine *mc);
bool tern_machine_failed(const struct tern_machine *mc);
void tern_machine_totals(const struct tern_machine *mc, struct tern_totals *t);

#endif /* TERN_CORE_MACHINE_H */
