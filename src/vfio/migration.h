/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_VFIO_MIGRATION_H
#define TERN_VFIO_MIGRATION_H

#include <linux/mutex.h>
#include <linux/vfio.h>

#include "core/loader.h"
#include "core/machine.h"
#include "lab/inject.h"

struct tern_migfd;
struct tern_model;

/**
 * enum tern_front - the protocols that migrate a device: one at a time
 * @TERN_FRONT_REGION: version 1, the migration region
 * @TERN_FRONT_MIGFD: version 2, the data file
 */
enum tern_front {
	TERN_FRONT_REGION,
	TERN_FRONT_MIGFD,
};

/**
 * struct tern_migration - the migration of a device, as its two protocols see it
 * @state_mutex: states, sessions, reset, open and close, the attributes.
 *	Order: state_mutex -> session lock -> page lock; session lock -> the function's
 *	io lock -> the interrupts' lock. Never taken by mmap or by a page fault.
 * @vdev: what a data file pins; immutable
 * @machine: phase, session and load [state_mutex]
 * @front: the protocol that took the device out of running; meaningless while it runs
 *	[state_mutex]
 * @migfd: the data file of the session or load that lives, or NULL [state_mutex]
 * @shared: status page and data window; there while open
 * @status_sequence: of the status page; even [state_mutex]
 * @is_open: [state_mutex]
 * @untracked: neither the device nor a container reports its DMA writes to guest
 *	memory; immutable while open
 * @window_kib: size of the data window, from the next open on [state_mutex]
 * @precopy: from the next open on [state_mutex]
 * @late_marks: of the last open [state_mutex]
 * @chunk: bytes of the window that v1's reader has not acknowledged [state_mutex]
 * @inject: what a tester asks of it
 * @offered: TERN_OFFER_* of this open; immutable while open
 */
struct tern_migration {
	struct mutex state_mutex;
	struct vfio_device *vdev;
	struct tern_machine machine;
	enum tern_front front;
	struct tern_migfd *migfd;
	void *shared;
	u32 status_sequence;
	bool is_open;
	bool untracked;
	u32 window_kib;
	bool precopy;
	unsigned long late_marks;
	u64 chunk;
	struct tern_inject inject;
	u64 offered;
};

void tern_migration_init(struct tern_migration *mig, struct vfio_device *vdev);
void tern_migration_uninit(struct tern_migration *mig);
int tern_migration_open(struct tern_migration *mig, struct tern_model *model);
void tern_migration_close(struct tern_migration *mig);
int tern_migration_lock(struct tern_migration *mig);
u64 tern_migration_unlock(struct tern_migration *mig);
int tern_migration_claim(struct tern_migration *mig, enum tern_front front);
int tern_migration_go(struct tern_migration *mig, enum tern_phase to);
int tern_migration_reset(struct tern_migration *mig);
bool tern_migration_has_precopy_flags(const struct tern_migration *mig);
int tern_migration_reinit(struct tern_migration *mig);

#endif /* TERN_VFIO_MIGRATION_H */
