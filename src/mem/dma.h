/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_MEM_DMA_H
#define TERN_MEM_DMA_H

#include <linux/types.h>

#include <uapi/tern/stream.h>

struct mutex;
struct tern_dma;
struct tern_memory;
struct tern_model;
struct tern_worker;

/**
 * struct tern_dma_ops - what the engine needs of its device
 * @guest: read or write guest memory. 0; -EACCES if bus mastering is off; another
 *	-errno if the memory is not there. Called with no lock; may sleep.
 * @interrupt: a transfer has ended that signals completion. Called with the io lock.
 */
struct tern_dma_ops {
	int (*guest)(struct tern_dma *dma, u64 address, void *buf, size_t len, bool write);
	void (*interrupt)(struct tern_dma *dma, unsigned int vector);
};

/**
 * struct tern_transfer - the registers, and how far a transfer has come
 * @command: what to do
 * @status: whether it is done
 * @address: in guest memory, of the bytes or of the list
 * @offset: in device memory
 * @length: bytes in all
 * @done: bytes done
 * @entries: of the list
 * @pattern: to fill with
 * @crc: of the bytes done, not inverted at its end
 * @entry: entry of the list where it continues
 * @entry_done: bytes of that entry that are done
 *
 * As struct tern_dma_state has them for a stream.
 */
struct tern_transfer {
	u32 command;
	u32 status;
	u64 address;
	u64 offset;
	u64 length;
	u64 done;
	u32 entries;
	u32 pattern;
	u32 crc;
	u32 entry;
	u32 entry_done;
};

/**
 * struct tern_dma - the DMA engine of a device
 * @worker: of the device, which does the pieces
 * @ops: immutable
 * @model: of the device, for its name; immutable
 * @lock: the device's io lock
 * @memory: device memory; there while the device is open
 * @transfer: the registers [lock]
 * @piece: the transfer as the piece in progress advances it; the worker's
 * @error: of that piece, TERN_DMA_ERROR_* or 0; the worker's
 * @bounce: one piece; the worker's
 */
struct tern_dma {
	struct tern_worker *worker;
	const struct tern_dma_ops *ops;
	const struct tern_model *model;
	struct mutex *lock;
	struct tern_memory *memory;
	struct tern_transfer transfer;
	struct tern_transfer piece;
	u32 error;
	void *bounce;
};

void tern_dma_init(struct tern_dma *dma, const struct tern_dma_ops *ops,
		   const struct tern_model *model, struct tern_worker *worker, struct mutex *lock);
int tern_dma_open(struct tern_dma *dma, struct tern_memory *memory);
void tern_dma_close(struct tern_dma *dma);
void tern_dma_clear(struct tern_dma *dma);
bool tern_dma_has_work(const struct tern_dma *dma);
void tern_dma_begin_piece(struct tern_dma *dma);
void tern_dma_do_piece(struct tern_dma *dma, bool mm);
void tern_dma_end_piece(struct tern_dma *dma);
u32 tern_dma_read_register(const struct tern_dma *dma, unsigned int offset);
void tern_dma_write_register(struct tern_dma *dma, unsigned int offset, u32 value);
void tern_dma_save(const struct tern_dma *dma, struct tern_dma_state *to);
int tern_dma_validate(const struct tern_dma *dma, const struct tern_dma_state *from);
void tern_dma_load(struct tern_dma *dma, const struct tern_dma_state *from);

#endif /* TERN_MEM_DMA_H */
