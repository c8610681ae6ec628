// SPDX-License-Identifier: GPL-2.0-only
/*
 * The status page: what a monitor on the host can read of a migration without a system
 * call, and without acknowledging anything.
 */
#include <uapi/tern/region.h>

#include "vfio/migration.h"
#include "vfio/region.h"
#include "vfio/status.h"

/**
 * tern_status_publish() - write the status page
 * @mig: the migration of an open device
 *
 * User space can map the page and overwrite it: it is written as a whole, and never
 * read.
 *
 * Return: pending_bytes as it was written. Context: state_mutex.
 */
u64 tern_status_publish(struct tern_migration *mig)
{
	struct tern_machine *mc = &mig->machine;
	struct tern_status_page *page = mig->shared;
	u64 pending = mc->session ? tern_session_pending(mc->session) : 0;

	lockdep_assert_held(&mig->state_mutex);
	WRITE_ONCE(page->sequence, ++mig->status_sequence);
	smp_wmb();	/* odd before the fields; the reader has the partner */
	WRITE_ONCE(page->state, tern_region_state(mig));
	WRITE_ONCE(page->pending_bytes, pending);
	WRITE_ONCE(page->passes, mc->stats.passes);
	WRITE_ONCE(page->chunks, mc->stats.chunks);
	smp_wmb();	/* the fields before even */
	WRITE_ONCE(page->sequence, ++mig->status_sequence);
	return pending;
}
