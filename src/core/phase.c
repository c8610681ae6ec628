// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state machine, as a table: from a phase to a phase by these steps.
 *
 * The law of the table: a step that can fail is the first of its arc. So a failed arc
 * has changed nothing, and nothing ever has to be undone. A VMM cannot survive that an
 * arc to RUNNING or to STOPPED fails. These have no such step, except where a device
 * would run on an incomplete state.
 *
 * Between running and stopped a device is quiesced, one step at a time. The quiesced
 * phases have arcs to their neighbours and no other.
 */
#include "core/phase.h"

#define ARC(...)	{ __VA_ARGS__, TERN_STEP_END }
#define REFUSE		ARC(TERN_STEP_REFUSE)

static const enum tern_step arcs[TERN_PHASES][TERN_PHASES][TERN_ARC_STEPS] = {
	[TERN_PHASE_RUNNING] = {
		[TERN_PHASE_RUNNING]		= { TERN_STEP_END },
		[TERN_PHASE_RUNNING_SAVING]	= ARC(TERN_STEP_BEGIN_SAVE),
		[TERN_PHASE_QUIESCED]		= ARC(TERN_STEP_QUIESCE),
		[TERN_PHASE_QUIESCED_SAVING]	= REFUSE,
		[TERN_PHASE_STOPPED_SAVING]	= ARC(TERN_STEP_BEGIN_SAVE, TERN_STEP_STOP),
		[TERN_PHASE_STOPPED]		= ARC(TERN_STEP_STOP),
		[TERN_PHASE_LOADING]		= ARC(TERN_STEP_BEGIN_LOAD, TERN_STEP_STOP,
						      TERN_STEP_WIPE),
	},
	[TERN_PHASE_RUNNING_SAVING] = {
		[TERN_PHASE_RUNNING]		= ARC(TERN_STEP_END_SAVE),
		[TERN_PHASE_RUNNING_SAVING]	= { TERN_STEP_END },
		[TERN_PHASE_QUIESCED]		= REFUSE,
		[TERN_PHASE_QUIESCED_SAVING]	= ARC(TERN_STEP_QUIESCE),
		[TERN_PHASE_STOPPED_SAVING]	= ARC(TERN_STEP_STOP),
		[TERN_PHASE_STOPPED]		= ARC(TERN_STEP_END_SAVE, TERN_STEP_STOP),
		[TERN_PHASE_LOADING]		= REFUSE,
	},
	[TERN_PHASE_QUIESCED] = {
		[TERN_PHASE_RUNNING]		= ARC(TERN_STEP_START),
		[TERN_PHASE_RUNNING_SAVING]	= REFUSE,
		[TERN_PHASE_QUIESCED]		= { TERN_STEP_END },
		[TERN_PHASE_QUIESCED_SAVING]	= ARC(TERN_STEP_BEGIN_SAVE),
		[TERN_PHASE_STOPPED_SAVING]	= REFUSE,
		[TERN_PHASE_STOPPED]		= ARC(TERN_STEP_STOP),
		[TERN_PHASE_LOADING]		= REFUSE,
	},
	[TERN_PHASE_QUIESCED_SAVING] = {
		[TERN_PHASE_RUNNING]		= REFUSE,
		[TERN_PHASE_RUNNING_SAVING]	= ARC(TERN_STEP_START),
		[TERN_PHASE_QUIESCED]		= ARC(TERN_STEP_END_SAVE),
		[TERN_PHASE_QUIESCED_SAVING]	= { TERN_STEP_END },
		[TERN_PHASE_STOPPED_SAVING]	= ARC(TERN_STEP_STOP),
		[TERN_PHASE_STOPPED]		= REFUSE,
		[TERN_PHASE_LOADING]		= REFUSE,
	},
	[TERN_PHASE_STOPPED_SAVING] = {
		[TERN_PHASE_RUNNING]		= ARC(TERN_STEP_END_SAVE, TERN_STEP_START),
		[TERN_PHASE_RUNNING_SAVING]	= REFUSE,
		[TERN_PHASE_QUIESCED]		= REFUSE,
		[TERN_PHASE_QUIESCED_SAVING]	= REFUSE,
		[TERN_PHASE_STOPPED_SAVING]	= { TERN_STEP_END },
		[TERN_PHASE_STOPPED]		= ARC(TERN_STEP_END_SAVE),
		[TERN_PHASE_LOADING]		= REFUSE,
	},
	[TERN_PHASE_STOPPED] = {
		[TERN_PHASE_RUNNING]		= ARC(TERN_STEP_START),
		[TERN_PHASE_RUNNING_SAVING]	= REFUSE,
		[TERN_PHASE_QUIESCED]		= ARC(TERN_STEP_QUIESCE),
		[TERN_PHASE_QUIESCED_SAVING]	= REFUSE,
		[TERN_PHASE_STOPPED_SAVING]	= ARC(TERN_STEP_BEGIN_SAVE),
		[TERN_PHASE_STOPPED]		= { TERN_STEP_END },
		[TERN_PHASE_LOADING]		= ARC(TERN_STEP_BEGIN_LOAD, TERN_STEP_WIPE),
	},
	[TERN_PHASE_LOADING] = {
		[TERN_PHASE_RUNNING]		= ARC(TERN_STEP_COMMIT_LOAD, TERN_STEP_START),
		[TERN_PHASE_RUNNING_SAVING]	= REFUSE,
		[TERN_PHASE_QUIESCED]		= REFUSE,
		[TERN_PHASE_QUIESCED_SAVING]	= REFUSE,
		[TERN_PHASE_STOPPED_SAVING]	= REFUSE,
		[TERN_PHASE_STOPPED]		= ARC(TERN_STEP_LEAVE_LOAD),
		[TERN_PHASE_LOADING]		= { TERN_STEP_END },
	},
};

/**
 * tern_phase_arc() - the steps from one phase to another
 * @from: the phase the device is in
 * @to: the phase asked for
 *
 * Return: a row of steps that ends with TERN_STEP_END; NULL if there is no
 * such phase or no such arc.
 */
const enum tern_step *tern_phase_arc(enum tern_phase from, enum tern_phase to)
{
	/* A bad @from is our bug, a bad @to the caller's mistake. */
	if (WARN_ON_ONCE((unsigned int)from >= ARRAY_SIZE(arcs)))
		return NULL;
	if ((unsigned int)to >= ARRAY_SIZE(arcs[0]))
		return NULL;
	return arcs[from][to][0] == TERN_STEP_REFUSE ? NULL : arcs[from][to];
}

/**
 * tern_phase_saving() - does a session live in this phase?
 * @phase: the phase
 */
bool tern_phase_saving(enum tern_phase phase)
{
	return phase == TERN_PHASE_RUNNING_SAVING || phase == TERN_PHASE_QUIESCED_SAVING ||
	       phase == TERN_PHASE_STOPPED_SAVING;
}

/**
 * tern_phase_name() - how user space writes a phase
 * @phase: the phase
 *
 * Return: a word; NULL if there is no such phase.
 */
const char *tern_phase_name(enum tern_phase phase)
{
	static const char *const names[TERN_PHASES] = {
		[TERN_PHASE_RUNNING]		= "running",
		[TERN_PHASE_RUNNING_SAVING]	= "running-saving",
		[TERN_PHASE_QUIESCED]		= "quiesced",
		[TERN_PHASE_QUIESCED_SAVING]	= "quiesced-saving",
		[TERN_PHASE_STOPPED_SAVING]	= "stopped-saving",
		[TERN_PHASE_STOPPED]		= "stopped",
		[TERN_PHASE_LOADING]		= "resuming",
	};

	return (unsigned int)phase < TERN_PHASES ? names[phase] : NULL;
}
