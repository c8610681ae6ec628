/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_CORE_PHASE_H
#define TERN_CORE_PHASE_H

#include "core/env.h"

/**
 * enum tern_phase - what the device and its session do
 * @TERN_PHASE_RUNNING: the device runs, no session
 * @TERN_PHASE_RUNNING_SAVING: it runs, and a session records what changes
 * @TERN_PHASE_QUIESCED: it runs, but starts no DMA
 * @TERN_PHASE_QUIESCED_SAVING: the same, and a session records what changes
 * @TERN_PHASE_STOPPED_SAVING: it is stopped, and the rest is read
 * @TERN_PHASE_STOPPED: it is stopped, no session
 * @TERN_PHASE_LOADING: it is stopped, and a stream is loaded
 * @TERN_PHASES: how many there are
 */
enum tern_phase {
	TERN_PHASE_RUNNING,
	TERN_PHASE_RUNNING_SAVING,
	TERN_PHASE_QUIESCED,
	TERN_PHASE_QUIESCED_SAVING,
	TERN_PHASE_STOPPED_SAVING,
	TERN_PHASE_STOPPED,
	TERN_PHASE_LOADING,
	TERN_PHASES
};

/**
 * enum tern_step - what has to be done on an arc
 * @TERN_STEP_END: no further step
 * @TERN_STEP_REFUSE: there is no such arc
 * @TERN_STEP_BEGIN_SAVE: make a session. Can fail.
 * @TERN_STEP_END_SAVE: drop the session
 * @TERN_STEP_BEGIN_LOAD: make a loader. Can fail.
 * @TERN_STEP_COMMIT_LOAD: the stream must be whole. Can fail.
 * @TERN_STEP_LEAVE_LOAD: a stream that is not whole is dropped
 * @TERN_STEP_STOP: stop the device
 * @TERN_STEP_QUIESCE: let it run, except for its DMA
 * @TERN_STEP_START: let it run
 * @TERN_STEP_WIPE: device as it was made
 * @TERN_STEPS: how many there are
 */
enum tern_step {
	TERN_STEP_END,
	TERN_STEP_REFUSE,
	TERN_STEP_BEGIN_SAVE,
	TERN_STEP_END_SAVE,
	TERN_STEP_BEGIN_LOAD,
	TERN_STEP_COMMIT_LOAD,
	TERN_STEP_LEAVE_LOAD,
	TERN_STEP_STOP,
	TERN_STEP_QUIESCE,
	TERN_STEP_START,
	TERN_STEP_WIPE,
	TERN_STEPS
};

#define TERN_ARC_STEPS	4

const enum tern_step *tern_phase_arc(enum tern_phase from, enum tern_phase to);
bool tern_phase_saving(enum tern_phase phase);
const char *tern_phase_name(enum tern_phase phase);

#endif /* TERN_CORE_PHASE_H */
