/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The migration stream: the state of a device, from the source to the destination.
 *
 * A stream is a row of records, little-endian, each a header and a payload:
 *
 *   SESSION_BEGIN  MEMORY ...  REGISTERS  CONFIG_SPACE  INTERRUPTS  DMA  [WORKLOAD]  END
 *
 * Records are absolute: a MEMORY record that comes later replaces the
 * same bytes of an earlier one. User space never has to look inside.
 */
#ifndef _UAPI_TERN_STREAM_H
#define _UAPI_TERN_STREAM_H

#include <linux/types.h>

/* "TERNSTRM", as the bytes stand in the stream. */
#define TERN_STREAM_MAGIC	0x4d5254534e524554ULL

/*
 * The format written, and the oldest reader that understands it.
 * Version 2 has DMA, and an interrupt pin. Version 3 has a function-level reset.
 */
#define TERN_STREAM_VERSION	3
#define TERN_STREAM_READER	3

/* Memory is spoken of in blocks of this many bytes, whatever the page size. */
#define TERN_STREAM_BLOCK	4096

/* The most data that one MEMORY record may carry. */
#define TERN_MEMORY_DATA_MAX	65536

enum tern_record_type {
	TERN_RECORD_SESSION_BEGIN	= 1,
	TERN_RECORD_MEMORY		= 2,
	TERN_RECORD_REGISTERS		= 3,
	TERN_RECORD_CONFIG_SPACE	= 4,
	TERN_RECORD_INTERRUPTS		= 5,
	TERN_RECORD_DMA			= 6,	/* since version 2 */
	TERN_RECORD_END			= 7,
	TERN_RECORD_WORKLOAD		= 8,	/* optional */
};

/* A reader that does not know this record's type may pass over it. */
#define TERN_RECORD_OPTIONAL	(1U << 0)

/**
 * struct tern_record - the header of every record
 * @type: enum tern_record_type
 * @flags: TERN_RECORD_OPTIONAL or 0
 * @seq: place of the record in its session; SESSION_BEGIN is 0
 * @length: bytes of payload that follow
 * @crc32c: CRC-32C of the 20 bytes before it and of the payload. The CRC of
 *	SESSION_BEGIN starts from ~0, that of every other record from the crc32c of its
 *	session's SESSION_BEGIN. So records of two sessions cannot be mixed.
 */
struct tern_record {
	__le32 type;
	__le32 flags;
	__le64 seq;
	__le32 length;
	__le32 crc32c;
};

/**
 * struct tern_session_begin - payload of SESSION_BEGIN
 * @magic: TERN_STREAM_MAGIC
 * @version: format of what follows
 * @reader: oldest reader version that understands it
 * @model: enum tern_model_id
 * @block: TERN_STREAM_BLOCK
 * @memory_size: bytes of device memory; the destination must have the same
 * @id: random, a new one for each session
 */
struct tern_session_begin {
	__le64 magic;
	__le32 version;
	__le32 reader;
	__le32 model;
	__le32 block;
	__le64 memory_size;
	__u8 id[16];
};

enum tern_model_id {
	TERN_MODEL_MEM	= 1,
};

/**
 * struct tern_memory_head - the payload of MEMORY, before the data
 * @offset: first byte in device memory, a multiple of TERN_STREAM_BLOCK.
 *	The data is a whole number of blocks, TERN_MEMORY_DATA_MAX at most.
 *
 * Memory that no record names is zero.
 */
struct tern_memory_head {
	__le64 offset;
};

#define TERN_SCRATCH_REGISTERS	16
#define TERN_VECTORS		16
#define TERN_CONFIG_SIZE	4096

/**
 * struct tern_registers_state - payload of REGISTERS
 * @irq_status: register TERN_REG_IRQ_STATUS
 * @irq_mask: register TERN_REG_IRQ_MASK
 * @scratch: the scratch registers
 */
struct tern_registers_state {
	__le32 irq_status;
	__le32 irq_mask;
	__le32 scratch[TERN_SCRATCH_REGISTERS];
};

/**
 * struct tern_config_state - payload of CONFIG_SPACE
 * @bytes: config space as the guest reads it. What the guest cannot write
 *	must equal the destination's.
 */
struct tern_config_state {
	__u8 bytes[TERN_CONFIG_SIZE];
};

/**
 * struct tern_msix_entry - one entry of the MSI-X table (PCI 3.0, 6.8.2.6)
 * @address_low: message address, bits 2..31
 * @address_high: message address, upper half
 * @data: message data
 * @control: bit 0 masks the vector; the others are 0
 */
struct tern_msix_entry {
	__le32 address_low;
	__le32 address_high;
	__le32 data;
	__le32 control;
};

/**
 * struct tern_interrupts_state - payload of INTERRUPTS
 * @pending: one bit per vector: raised, not delivered yet
 * @reserved: 0
 * @table: the MSI-X table
 */
struct tern_interrupts_state {
	__le32 pending;
	__le32 reserved;
	struct tern_msix_entry table[TERN_VECTORS];
};

/**
 * struct tern_dma_state - payload of DMA: the registers, and how far it came
 * @command: register TERN_DMA_COMMAND
 * @status: register TERN_DMA_STATUS; busy: the transfer continues at @done
 * @address: registers TERN_DMA_ADDRESS_*
 * @offset: registers TERN_DMA_OFFSET_*
 * @length: registers TERN_DMA_LENGTH_*
 * @done: registers TERN_DMA_DONE_*
 * @entries: register TERN_DMA_ENTRIES
 * @pattern: register TERN_DMA_PATTERN
 * @crc: register TERN_DMA_CRC
 * @entry: entry of the list that @done lies in
 * @entry_done: bytes of it that are done
 * @reserved: 0
 */
struct tern_dma_state {
	__le32 command;
	__le32 status;
	__le64 address;
	__le64 offset;
	__le64 length;
	__le64 done;
	__le32 entries;
	__le32 pattern;
	__le32 crc;
	__le32 entry;
	__le32 entry_done;
	__le32 reserved;
};

/**
 * struct tern_workload_state - payload of WORKLOAD, which a device has that dirties its
 *	memory by itself
 * @mibs: MiB that it writes in a second; 0: it pauses
 * @pattern: 0: sequential, 1: permuted, 2: hot
 * @pages: the pages of 4096 bytes that it writes, the first ones of memory
 * @seed: of their order and their contents
 * @writes: pages written so far
 * @rest_pages: pages behind them that were not zero when it began
 * @rest_crc: CRC-32C of their numbers, 8 bytes each, and their contents, from ~0 on and
 *	not inverted
 * @reserved: 0
 */
struct tern_workload_state {
	__le32 mibs;
	__le32 pattern;
	__le64 pages;
	__le64 seed;
	__le64 writes;
	__le64 rest_pages;
	__le32 rest_crc;
	__le32 reserved;
};

/**
 * struct tern_end - payload of END
 * @records: records before this one, each counted once
 * @bytes: their bytes, headers included
 */
struct tern_end {
	__le64 records;
	__le64 bytes;
};

#endif /* _UAPI_TERN_STREAM_H */
