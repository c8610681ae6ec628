/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: what a device does, for perf, trace-cmd and bpftrace. Documentation/lab.rst
 * lists them. Off, each costs a branch that the processor predicts.
 *
 * The first field of each is the device's name on its bus. It has a fixed size, for what
 * assigns a string of any length differs from kernel to kernel.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM tern

#if !defined(TERN_LAB_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define TERN_LAB_TRACE_H

#include <linux/tracepoint.h>

#define TERN_TRACE_NAME	40
#define TERN_TRACE_WORD	16

/* clang-format off */

TRACE_EVENT(tern_state,
	TP_PROTO(const char *device, const char *from, const char *to, int ret, u64 ns),
	TP_ARGS(device, from, to, ret, ns),
	TP_STRUCT__entry(
		__array(char, device, TERN_TRACE_NAME)
		__array(char, from, TERN_TRACE_WORD)
		__array(char, to, TERN_TRACE_WORD)
		__field(int, ret)
		__field(u64, ns)
	),
	TP_fast_assign(
		strscpy(__entry->device, device, TERN_TRACE_NAME);
		strscpy(__entry->from, from, TERN_TRACE_WORD);
		strscpy(__entry->to, to, TERN_TRACE_WORD);
		__entry->ret = ret;
		__entry->ns = ns;
	),
	TP_printk("%s: %s -> %s ret=%d ns=%llu", __entry->device, __entry->from, __entry->to,
		  __entry->ret, __entry->ns)
);

TRACE_EVENT(tern_session_begin,
	TP_PROTO(const char *device, u64 pages),
	TP_ARGS(device, pages),
	TP_STRUCT__entry(
		__array(char, device, TERN_TRACE_NAME)
		__field(u64, pages)
	),
	TP_fast_assign(
		strscpy(__entry->device, device, TERN_TRACE_NAME);
		__entry->pages = pages;
	),
	TP_printk("%s: pages=%llu", __entry->device, __entry->pages)
);

TRACE_EVENT(tern_session_end,
	TP_PROTO(const char *device, u64 passes, u64 records, u64 bytes, bool whole),
	TP_ARGS(device, passes, records, bytes, whole),
	TP_STRUCT__entry(
		__array(char, device, TERN_TRACE_NAME)
		__field(u64, passes)
		__field(u64, records)
		__field(u64, bytes)
		__field(bool, whole)
	),
	TP_fast_assign(
		strscpy(__entry->device, device, TERN_TRACE_NAME);
		__entry->passes = passes;
		__entry->records = records;
		__entry->bytes = bytes;
		__entry->whole = whole;
	),
	TP_printk("%s: passes=%llu records=%llu bytes=%llu whole=%d", __entry->device,
		  __entry->passes, __entry->records, __entry->bytes, __entry->whole)
);

TRACE_EVENT(tern_pass_end,
	TP_PROTO(const char *device, u64 pass, bool stopped),
	TP_ARGS(device, pass, stopped),
	TP_STRUCT__entry(
		__array(char, device, TERN_TRACE_NAME)
		__field(u64, pass)
		__field(bool, stopped)
	),
	TP_fast_assign(
		strscpy(__entry->device, device, TERN_TRACE_NAME);
		__entry->pass = pass;
		__entry->stopped = stopped;
	),
	TP_printk("%s: pass=%llu stopped=%d", __entry->device, __entry->pass, __entry->stopped)
);

TRACE_EVENT(tern_take,
	TP_PROTO(const char *device, unsigned int pages, u64 bytes, u64 ns),
	TP_ARGS(device, pages, bytes, ns),
	TP_STRUCT__entry(
		__array(char, device, TERN_TRACE_NAME)
		__field(unsigned int, pages)
		__field(u64, bytes)
		__field(u64, ns)
	),
	TP_fast_assign(
		strscpy(__entry->device, device, TERN_TRACE_NAME);
		__entry->pages = pages;
		__entry->bytes = bytes;
		__entry->ns = ns;
	),
	TP_printk("%s: pages=%u bytes=%llu ns=%llu", __entry->device, __entry->pages,
		  __entry->bytes, __entry->ns)
);

DECLARE_EVENT_CLASS(tern_bytes,
	TP_PROTO(const char *device, u64 bytes),
	TP_ARGS(device, bytes),
	TP_STRUCT__entry(
		__array(char, device, TERN_TRACE_NAME)
		__field(u64, bytes)
	),
	TP_fast_assign(
		strscpy(__entry->device, device, TERN_TRACE_NAME);
		__entry->bytes = bytes;
	),
	TP_printk("%s: bytes=%llu", __entry->device, __entry->bytes)
);

/* A chunk was put together, or is offered again. */
DEFINE_EVENT(tern_bytes, tern_chunk,
	TP_PROTO(const char *device, u64 bytes),
	TP_ARGS(device, bytes)
);

/* A reader has taken so much, for good. */
DEFINE_EVENT(tern_bytes, tern_read,
	TP_PROTO(const char *device, u64 bytes),
	TP_ARGS(device, bytes)
);

/* A writer gives so much to a load. */
DEFINE_EVENT(tern_bytes, tern_write,
	TP_PROTO(const char *device, u64 bytes),
	TP_ARGS(device, bytes)
);

TRACE_EVENT(tern_refused,
	TP_PROTO(const char *device, u32 type, u64 seq, int error),
	TP_ARGS(device, type, seq, error),
	TP_STRUCT__entry(
		__array(char, device, TERN_TRACE_NAME)
		__field(u32, type)
		__field(u64, seq)
		__field(int, error)
	),
	TP_fast_assign(
		strscpy(__entry->device, device, TERN_TRACE_NAME);
		__entry->type = type;
		__entry->seq = seq;
		__entry->error = error;
	),
	TP_printk("%s: type=%u seq=%llu error=%d", __entry->device, __entry->type, __entry->seq,
		  __entry->error)
);

TRACE_EVENT(tern_loaded,
	TP_PROTO(const char *device, u64 records, u64 bytes),
	TP_ARGS(device, records, bytes),
	TP_STRUCT__entry(
		__array(char, device, TERN_TRACE_NAME)
		__field(u64, records)
		__field(u64, bytes)
	),
	TP_fast_assign(
		strscpy(__entry->device, device, TERN_TRACE_NAME);
		__entry->records = records;
		__entry->bytes = bytes;
	),
	TP_printk("%s: records=%llu bytes=%llu", __entry->device, __entry->records,
		  __entry->bytes)
);

DECLARE_EVENT_CLASS(tern_transfer,
	TP_PROTO(const char *device, u32 command, u64 done, u64 length, u32 status),
	TP_ARGS(device, command, done, length, status),
	TP_STRUCT__entry(
		__array(char, device, TERN_TRACE_NAME)
		__field(u32, command)
		__field(u64, done)
		__field(u64, length)
		__field(u32, status)
	),
	TP_fast_assign(
		strscpy(__entry->device, device, TERN_TRACE_NAME);
		__entry->command = command;
		__entry->done = done;
		__entry->length = length;
		__entry->status = status;
	),
	TP_printk("%s: command=%#x done=%llu length=%llu status=%#x", __entry->device,
		  __entry->command, __entry->done, __entry->length, __entry->status)
);

DEFINE_EVENT(tern_transfer, tern_dma_piece,
	TP_PROTO(const char *device, u32 command, u64 done, u64 length, u32 status),
	TP_ARGS(device, command, done, length, status)
);

DEFINE_EVENT(tern_transfer, tern_dma_end,
	TP_PROTO(const char *device, u32 command, u64 done, u64 length, u32 status),
	TP_ARGS(device, command, done, length, status)
);

/* A vector, or -1 for INTx. */
DECLARE_EVENT_CLASS(tern_vector,
	TP_PROTO(const char *device, int vector),
	TP_ARGS(device, vector),
	TP_STRUCT__entry(
		__array(char, device, TERN_TRACE_NAME)
		__field(int, vector)
	),
	TP_fast_assign(
		strscpy(__entry->device, device, TERN_TRACE_NAME);
		__entry->vector = vector;
	),
	TP_printk("%s: vector=%d", __entry->device, __entry->vector)
);

DEFINE_EVENT(tern_vector, tern_irq_raise,
	TP_PROTO(const char *device, int vector),
	TP_ARGS(device, vector)
);

DEFINE_EVENT(tern_vector, tern_irq_deliver,
	TP_PROTO(const char *device, int vector),
	TP_ARGS(device, vector)
);

TRACE_EVENT(tern_inject,
	TP_PROTO(const char *device, const char *rule),
	TP_ARGS(device, rule),
	TP_STRUCT__entry(
		__array(char, device, TERN_TRACE_NAME)
		__array(char, rule, TERN_TRACE_WORD)
	),
	TP_fast_assign(
		strscpy(__entry->device, device, TERN_TRACE_NAME);
		strscpy(__entry->rule, rule, TERN_TRACE_WORD);
	),
	TP_printk("%s: %s", __entry->device, __entry->rule)
);

/* clang-format on */

#endif /* TERN_LAB_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH lab
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
