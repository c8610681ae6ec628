// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the DMA engine costs beside vfio_dma_rw(), the call that reaches guest memory.
 * The time of each such call of a transfer is taken in one of two ways, whichever
 * there is: by a clock in the module (time-dma.patch), or by the kernel's
 * function_graph tracer. The same transfer without it shows what the tracer costs.
 */
#include "tern.h"
#include "bench.h"

#define BYTES		(8 * MIB)
#define PIECE		65536	/* as the engine has it */
#define ADDRESS		0x40000000ULL
#define MASTER		0x0006	/* config space: memory, bus mastering */
#define VECTOR		1
#define RUNS		50
#define TRACING		"/sys/kernel/tracing/"
#define CLOCK		"/sys/module/tern/parameters/"

static struct dev d;
static int irq;

static void trace(const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), TRACING "%s", file);
	must(write_file(path, text), path);
}

/* Polling would take the engine's processor: sleep until the interrupt. */
static double transfer(uint32_t op)
{
	double begin = now();
	uint64_t n;

	dma_start(&d, op | TERN_DMA_INTERRUPT | TERN_DMA_VECTOR(VECTOR), ADDRESS, 0, BYTES);
	if (read(irq, &n, sizeof(n)) != sizeof(n))
		give_up("the interrupt");
	begin = now() - begin;
	if (bar0_read(&d, TERN_DMA_STATUS) != TERN_DMA_DONE)
		give_up("the transfer");
	return begin;
}

static void check_calls(unsigned long calls)
{
	if (calls == BYTES / PIECE)
		return;
	fprintf(stderr, "%lu calls were timed, of %lu\n", calls, BYTES / PIECE);
	exit(1);
}

/* Seconds in vfio_dma_rw(): its lines end in "123.456 us |  vfio_dma_rw [vfio]();" */
static double traced_seconds(void)
{
	FILE *f = fopen(TRACING "trace", "r");
	unsigned long calls = 0;
	char line[256], *at;
	double us = 0;

	if (!f)
		give_up("trace");
	while (fgets(line, sizeof(line), f)) {
		at = strstr(line, " us ");
		if (!at || !strstr(at, "vfio_dma_rw"))
			continue;
		while (at > line && strchr("0123456789.", at[-1]))
			at--;
		us += strtod(at, NULL);
		calls++;
	}
	fclose(f);
	check_calls(calls);
	return us * 1e-6;
}

static double traced_transfer(uint32_t op, double *inside)
{
	double t;

	trace("trace", "");
	trace("current_tracer", "function_graph");
	t = transfer(op);
	trace("tracing_on", "0");
	*inside = traced_seconds();
	trace("current_tracer", "nop");
	trace("tracing_on", "1");
	return t;
}

/* What the module has counted since it was loaded. */
static unsigned long long counted(const char *what)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), CLOCK "%s", what);
	must(read_file(path, text, sizeof(text)), path);
	return strtoull(text, NULL, 0);
}

static double clocked_transfer(uint32_t op, double *inside)
{
	unsigned long long ns = counted("guest_ns"), calls = counted("guest_calls");
	double t = transfer(op);

	*inside = (counted("guest_ns") - ns) * 1e-9;
	check_calls(counted("guest_calls") - calls);
	return t;
}

/* Both figures are of the same transfer. */
static void measure(const char *name, uint32_t op)
{
	double (*timed)(uint32_t op, double *inside) = traced_transfer;
	double plain = 1e9, whole = 1e9, alone = 1, t, inside, mib = BYTES / (double)MIB;
	char full[32];
	int i;

	if (!access(CLOCK "guest_ns", R_OK))
		timed = clocked_transfer;
	transfer(op);
	/* In turn: what disturbs the one for a while disturbs the other. */
	for (i = 0; i < RUNS; i++) {
		t = transfer(op);
		plain = t < plain ? t : plain;
		t = timed(op, &inside);
		if (t < whole) {
			whole = t;
			alone = inside;
		}
	}
	snprintf(full, sizeof(full), "%s%s", name, timed == traced_transfer ? "-vm" : "");
	figure(full, mib / whole, "MiB/s", mib / alone, alone / whole);
	if (timed == traced_transfer) {
		strcat(full, "-traced");
		figure(full, mib / whole, "MiB/s", mib / plain, plain / whole);
	}
}

int main(void)
{
	void *ram = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (ram == MAP_FAILED)
		give_up("mmap");
	memset(ram, 0x5a, BYTES);
	must(mdev_create(UUID_A), "create");
	must(attr_set(UUID_A, "memory_mib", "8"), "memory_mib");
	must(dev_open(&d, UUID_A), "open");
	must(map_guest(&d, ram, ADDRESS, BYTES), "map");
	must(set_command(&d, MASTER), "bus mastering");
	irq = eventfd(0, 0);
	must(set_trigger(&d, VFIO_PCI_MSIX_IRQ_INDEX, VECTOR, irq), "trigger");
	if (access(CLOCK "guest_ns", R_OK))
		trace("set_ftrace_filter", "vfio_dma_rw");
	measure("dma-to", TERN_DMA_OP_TO_DEVICE);
	measure("dma-from", TERN_DMA_OP_FROM_DEVICE);
	dev_close(&d);
	must(mdev_remove(UUID_A), "remove");
	return 0;
}
