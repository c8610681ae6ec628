// SPDX-License-Identifier: GPL-2.0-only
/*
 * The records of tern-mem in words, and a model of it for the core's loader.
 *
 * The model has the sections of tern-mem and no memory. So the loader checks a stream as
 * it does for a device: form, order, counts and versions. Whether a device can have the
 * values of a section depends on that device, and is left to it. Only those of a workload
 * can be checked here, by the same function.
 */
#include "config_space.h"
#include "output.h"
#include "sections.h"
#include "core/model.h"
#include "core/stream.h"
#include "lab/workload.h"
#include <uapi/tern/registers.h>

static int accept_any(struct tern_model *m, const void *from)
{
	return 0;
}

static int validate_workload(struct tern_model *m, const void *from)
{
	return tern_workload_validate(from, m->memory_size / TERN_WORKLOAD_PAGE);
}

static void load_nothing(struct tern_model *m, const void *from)
{
}

static bool never_present(const struct tern_model *m)
{
	return false;
}

#define SECTION(number, version, state) {				\
	.type = (number), .since = (version), .length = sizeof(state),	\
	.validate = accept_any, .load = load_nothing }

static const struct tern_section sections[] = {
	SECTION(TERN_RECORD_REGISTERS, 1, struct tern_registers_state),
	SECTION(TERN_RECORD_CONFIG_SPACE, 1, struct tern_config_state),
	SECTION(TERN_RECORD_INTERRUPTS, 1, struct tern_interrupts_state),
	SECTION(TERN_RECORD_DMA, 2, struct tern_dma_state),
	{
		.type		= TERN_RECORD_WORKLOAD,
		.since		= 3,
		.length		= sizeof(struct tern_workload_state),
		.present	= never_present,
		.validate	= validate_workload,
		.load		= load_nothing,
	},
};

static int forget_memory(struct tern_model *m, u64 offset, const void *from, size_t len)
{
	return 0;
}

static void wipe_nothing(struct tern_model *m)
{
}

/**
 * sections_model() - tern-mem as a loader sees it
 *
 * Return: its operations. The owner of the model sets memory_size.
 */
const struct tern_model_ops *sections_model(void)
{
	static const struct tern_model_ops ops = {
		.id = TERN_MODEL_MEM,
		.version = TERN_STREAM_VERSION,
		.reader = TERN_STREAM_READER,
		.sections = sections,
		.n_sections = ARRAY_SIZE(sections),
		.memory_load = forget_memory,
		.wipe = wipe_nothing,
	};

	return &ops;
}

/* A word for a number, or the number. */
static void add_word(struct json_object *to, const char *key, u32 number, const char *const *words,
		     unsigned int n)
{
	if (number < n && words[number])
		output_add_text(to, key, words[number]);
	else
		output_add_number(to, key, number);
}

static void add_bits(struct json_object *to, const char *key, u32 bits)
{
	struct json_object *list = json_object_new_array();
	unsigned int i;

	for (i = 0; i < 32; i++)
		if (bits >> i & 1)
			json_object_array_add(list, json_object_new_int(i));
	output_add(to, key, list);
}

static void describe_begin(struct json_object *to, const void *payload, u32 length)
{
	static const char *const models[] = { [TERN_MODEL_MEM] = "tern-mem" };
	const struct tern_session_begin *begin = payload;
	char id[2 * sizeof(begin->id) + 1];
	unsigned int i;

	output_add_number(to, "version", le32_to_cpu(begin->version));
	output_add_number(to, "reader", le32_to_cpu(begin->reader));
	add_word(to, "model", le32_to_cpu(begin->model), models, ARRAY_SIZE(models));
	output_add_number(to, "block", le32_to_cpu(begin->block));
	output_add_number(to, "memory_size", le64_to_cpu(begin->memory_size));
	for (i = 0; i < sizeof(begin->id); i++)
		snprintf(id + 2 * i, 3, "%02x", begin->id[i]);
	output_add_text(to, "id", id);
}

static void describe_memory(struct json_object *to, const void *payload, u32 length)
{
	const struct tern_memory_head *head = payload;
	u32 bytes = length - sizeof(*head);

	output_add_hex(to, "offset", le64_to_cpu(head->offset), 1);
	output_add_number(to, "bytes", bytes);
	output_add(to, "zero", json_object_new_boolean(!memchr_inv(head + 1, 0, bytes)));
}

static void describe_registers(struct json_object *to, const void *payload, u32 length)
{
	const struct tern_registers_state *regs = payload;
	struct json_object *scratch = json_object_new_array();
	char text[16];
	unsigned int i;

	output_add_hex(to, "irq_status", le32_to_cpu(regs->irq_status), 4);
	output_add_hex(to, "irq_mask", le32_to_cpu(regs->irq_mask), 4);
	for (i = 0; i < TERN_SCRATCH_REGISTERS; i++) {
		snprintf(text, sizeof(text), "0x%x", le32_to_cpu(regs->scratch[i]));
		json_object_array_add(scratch, json_object_new_string(text));
	}
	output_add(to, "scratch", scratch);
}

static void add_flags(struct json_object *to, const char *key, u32 bits, const char *const *names,
		      unsigned int n)
{
	struct json_object *list = json_object_new_array();
	unsigned int i;

	for (i = 0; i < n; i++)
		if (bits >> i & 1 && names[i])
			json_object_array_add(list, json_object_new_string(names[i]));
	output_add(to, key, list);
}

static void describe_capability(struct json_object *to, const u8 *cap)
{
	static const char *const states[] = { "D0", "D1", "D2", "D3hot" };
	u32 capabilities;
	u16 flags;

	switch (cap[0]) {
	case PCI_CAP_ID_PM:
		add_word(to, "power", config_get16(cap + PCI_PM_CTRL) & PCI_PM_CTRL_STATE_MASK,
			 states, ARRAY_SIZE(states));
		break;
	case PCI_CAP_ID_MSIX:
		flags = config_get16(cap + PCI_MSIX_FLAGS);
		output_add_number(to, "msix_vectors", (flags & PCI_MSIX_FLAGS_QSIZE) + 1);
		output_add(to, "msix_enabled",
			   json_object_new_boolean(!!(flags & PCI_MSIX_FLAGS_ENABLE)));
		output_add(to, "msix_masked",
			   json_object_new_boolean(!!(flags & PCI_MSIX_FLAGS_MASKALL)));
		break;
	case PCI_CAP_ID_EXP:
		capabilities = config_get32(cap + PCI_EXP_DEVCAP);
		output_add(to, "flr",
			   json_object_new_boolean(!!(capabilities & PCI_EXP_DEVCAP_FLR)));
		output_add_hex(to, "device_control", config_get16(cap + PCI_EXP_DEVCTL), 4);
		break;
	}
}

static void describe_config(struct json_object *to, const void *payload, u32 length)
{
	static const char *const command[] = {
		"io", "memory", "bus-master", NULL, NULL, NULL, "parity", NULL, "serr", NULL,
		"intx-disable",
	};
	const u8 *cfg = payload, *cap;
	struct json_object *bars = json_object_new_array();
	unsigned int i;
	char text[16];

	snprintf(text, sizeof(text), "%04x:%04x", config_get16(cfg + PCI_VENDOR_ID),
		 config_get16(cfg + PCI_DEVICE_ID));
	output_add_text(to, "id", text);
	output_add_hex(to, "class", config_get32(cfg + PCI_CLASS_REVISION) >> 8, 6);
	output_add_number(to, "revision", cfg[PCI_REVISION_ID]);
	add_flags(to, "command", config_get16(cfg + PCI_COMMAND), command, ARRAY_SIZE(command));
	output_add_hex(to, "status", config_get16(cfg + PCI_STATUS), 4);
	for (i = 0; i < PCI_STD_NUM_BARS; i++) {
		snprintf(text, sizeof(text), "0x%x",
			 config_get32(cfg + PCI_BASE_ADDRESS_0 + 4 * i));
		json_object_array_add(bars, json_object_new_string(text));
	}
	output_add(to, "bars", bars);
	output_add_number(to, "interrupt_line", cfg[PCI_INTERRUPT_LINE]);
	output_add_number(to, "interrupt_pin", cfg[PCI_INTERRUPT_PIN]);
	for (i = 0; (cap = config_capability(cfg, i)); i++)
		describe_capability(to, cap);
}

static void describe_interrupts(struct json_object *to, const void *payload, u32 length)
{
	const struct tern_interrupts_state *irqs = payload;
	struct json_object *table = json_object_new_array();
	unsigned int i;

	add_bits(to, "pending", le32_to_cpu(irqs->pending));
	for (i = 0; i < TERN_VECTORS; i++) {
		const struct tern_msix_entry *e = &irqs->table[i];
		u64 address = (u64)le32_to_cpu(e->address_high) << 32 | le32_to_cpu(e->address_low);
		bool masked = le32_to_cpu(e->control) & PCI_MSIX_ENTRY_CTRL_MASKBIT;
		struct json_object *entry;

		/* As after a reset: there is nothing to say of it. */
		if (masked && !address && !e->data)
			continue;
		entry = json_object_new_object();
		output_add_number(entry, "vector", i);
		output_add_hex(entry, "address", address, 8);
		output_add_hex(entry, "data", le32_to_cpu(e->data), 4);
		output_add(entry, "masked", json_object_new_boolean(masked));
		json_object_array_add(table, entry);
	}
	output_add(to, "table", table);
}

static void describe_dma(struct json_object *to, const void *payload, u32 length)
{
	static const char *const operations[] = {
		"none", "to-device", "from-device", "fill", "crc",
	};
	static const char *const states[] = { "idle", "busy", "done", "failed" };
	static const char *const errors[] = {
		"none", "command", "length", "range", "address", "list", "bus-master", "memory",
	};
	const struct tern_dma_state *dma = payload;
	u32 command = le32_to_cpu(dma->command), status = le32_to_cpu(dma->status);

	add_word(to, "operation", command & TERN_DMA_OP, operations, ARRAY_SIZE(operations));
	output_add(to, "list", json_object_new_boolean(!!(command & TERN_DMA_LIST)));
	output_add(to, "interrupt", json_object_new_boolean(!!(command & TERN_DMA_INTERRUPT)));
	output_add_number(to, "vector", command >> 8 & 0xf);
	add_word(to, "state", status & TERN_DMA_STATE, states, ARRAY_SIZE(states));
	add_word(to, "error", TERN_DMA_ERROR(status), errors, ARRAY_SIZE(errors));
	output_add_hex(to, "command", command, 1);
	output_add_hex(to, "status", status, 1);
	output_add_hex(to, "address", le64_to_cpu(dma->address), 1);
	output_add_hex(to, "offset", le64_to_cpu(dma->offset), 1);
	output_add_number(to, "length", le64_to_cpu(dma->length));
	output_add_number(to, "done", le64_to_cpu(dma->done));
	output_add_number(to, "entries", le32_to_cpu(dma->entries));
	output_add_number(to, "entry", le32_to_cpu(dma->entry));
	output_add_number(to, "entry_done", le32_to_cpu(dma->entry_done));
	output_add_hex(to, "pattern", le32_to_cpu(dma->pattern), 8);
	output_add_hex(to, "crc", le32_to_cpu(dma->crc), 8);
}

static void describe_workload(struct json_object *to, const void *payload, u32 length)
{
	static const char *const patterns[TERN_PATTERNS] = {
		[TERN_PATTERN_SEQUENTIAL]	= "sequential",
		[TERN_PATTERN_PERMUTED]		= "permuted",
		[TERN_PATTERN_HOT]		= "hot",
	};
	const struct tern_workload_state *w = payload;

	output_add_number(to, "mibs", le32_to_cpu(w->mibs));
	add_word(to, "pattern", le32_to_cpu(w->pattern), patterns, ARRAY_SIZE(patterns));
	output_add_number(to, "pages", le64_to_cpu(w->pages));
	output_add_number(to, "seed", le64_to_cpu(w->seed));
	output_add_number(to, "writes", le64_to_cpu(w->writes));
	output_add_number(to, "rest_pages", le64_to_cpu(w->rest_pages));
	output_add_hex(to, "rest_crc", le32_to_cpu(w->rest_crc), 8);
}

static void describe_end(struct json_object *to, const void *payload, u32 length)
{
	const struct tern_end *end = payload;

	output_add_number(to, "records", le64_to_cpu(end->records));
	output_add_number(to, "bytes", le64_to_cpu(end->bytes));
}

/* By the number of the type. */
static const struct {
	const char *name;
	void (*describe)(struct json_object *to, const void *payload, u32 length);
} types[] = {
	[TERN_RECORD_SESSION_BEGIN]	= { "SESSION_BEGIN", describe_begin },
	[TERN_RECORD_MEMORY]		= { "MEMORY", describe_memory },
	[TERN_RECORD_REGISTERS]		= { "REGISTERS", describe_registers },
	[TERN_RECORD_CONFIG_SPACE]	= { "CONFIG_SPACE", describe_config },
	[TERN_RECORD_INTERRUPTS]	= { "INTERRUPTS", describe_interrupts },
	[TERN_RECORD_DMA]		= { "DMA", describe_dma },
	[TERN_RECORD_END]		= { "END", describe_end },
	[TERN_RECORD_WORKLOAD]		= { "WORKLOAD", describe_workload },
};

/**
 * sections_type_name() - the name of a record's type
 * @type: as the header has it
 *
 * Return: the name, or NULL if it is none of tern-mem's.
 */
const char *sections_type_name(u32 type)
{
	return type < ARRAY_SIZE(types) ? types[type].name : NULL;
}

/**
 * sections_describe() - a payload in words
 * @type: of the record
 * @payload: of a length that the core's reader has checked
 * @length: of @payload
 *
 * Return: an object; NULL if the type is unknown.
 */
struct json_object *sections_describe(u32 type, const void *payload, u32 length)
{
	struct json_object *to;

	if (!sections_type_name(type))
		return NULL;
	to = json_object_new_object();
	types[type].describe(to, payload, length);
	return to;
}
