/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device of memory and registers, with page tables made of software: what
 * the core is tested against.
 */
#ifndef TERN_HOST_DEVICE_H
#define TERN_HOST_DEVICE_H

#include "core/machine.h"
#include "core/model.h"

#define HOST_PAGE	4096
#define HOST_MODEL	TERN_MODEL_MEM	/* the streams of the real one load, too */

/**
 * struct host_device - the device
 * @m: as the core sees it
 * @dirty: its tracker
 * @mem: its memory
 * @writable: page table entries: a store needs no fault
 * @pinned: a device stores past the page tables
 * @locked: the page that is locked, or -1
 * @copied_to: where the last page was copied to
 * @loaded_from: where the last data was loaded from
 * @late: a store that found its page locked waits for the unlock
 * @faults: faults taken
 * @rearms: calls that re-armed a run
 * @gets, @puts: references
 * @fail_get, @fail_copy: the n-th from now on fails; 0: none
 * @running, @quiesced, @starts, @wipes: what the core had done
 * @registers, @config, @interrupts, @dma: the sections
 */
struct host_device {
	struct tern_model m;
	struct tern_dirty dirty;
	u8 *mem;
	bool *writable;
	bool *pinned;
	const void *copied_to;
	const void *loaded_from;
	long locked;
	struct {
		bool waits;
		unsigned long page;
		u8 value;
	} late;
	unsigned long faults, rearms, gets, puts;
	long fail_get, fail_copy;
	bool running, quiesced;
	unsigned int starts, wipes;
	struct tern_registers_state registers;
	struct tern_config_state config;
	struct tern_interrupts_state interrupts;
	struct tern_dma_state dma;
};

const struct tern_model_ops *host_device_ops(void);
struct host_device *host_device_create(unsigned long pages);
void host_device_destroy(struct host_device *dev);
/* A store through a mapping, with a fault where it needs one. */
void host_store(struct host_device *dev, unsigned long page, u8 value);
/* The two halves of a store that the kernel itself makes. */
void host_store_unmarked(struct host_device *dev, unsigned long page, u8 value);
void host_mark(struct host_device *dev, unsigned long page);
bool host_device_equal(const struct host_device *a, const struct host_device *b);
/* Memory zero and registers as at power-on? */
bool host_device_blank(const struct host_device *dev);
/* Give the sections a state worth moving. */
void host_device_dress(struct host_device *dev, u32 seed);

/**
 * struct feeder - the third front end: a machine whose stream is an array
 * @dev: the device
 * @mc: its machine
 * @state_mutex: as its owner has it
 * @staging: the chunk
 * @stream: all bytes read so far
 * @len: how many
 * @room: how many there is room for
 */
struct feeder {
	struct host_device *dev;
	struct tern_machine mc;
	struct mutex state_mutex;
	u8 *staging;
	u8 *stream;
	size_t len;
	size_t room;
};

#define FEEDER_CAPACITY		(TERN_CHUNK_MIN + 4096)

void feeder_init(struct feeder *f, unsigned long pages, bool precopy);
/* With a staging buffer of another size. */
void feeder_init_with(struct feeder *f, unsigned long pages, bool precopy, size_t capacity);
void feeder_uninit(struct feeder *f);
/* Put bytes at the end of the stream. */
void feeder_append(struct feeder *f, const void *p, size_t n);
/* Read one chunk and retire it; its bytes, 0, or -errno. */
ssize_t feeder_chunk(struct feeder *f);
/* Read until nothing is pending. */
void feeder_drain(struct feeder *f);
/* Save everything of a running device in one go. */
void feeder_save(struct feeder *f);
/* Load a stream, cut after each @cut bytes (0: not at all). */
int feeder_load(struct feeder *f, const void *stream, size_t len, size_t cut);

#endif /* TERN_HOST_DEVICE_H */
