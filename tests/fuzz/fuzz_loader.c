// SPDX-License-Identifier: GPL-2.0-only
/*
 * The loader against any bytes. A stream that is refused leaves the device as at
 * power-on, one that is whole makes it run, however it is cut; and a good stream
 * loads after each.
 */
#include "fuzz.h"
#include "device.h"
#include "core/loader.h"

#define PAGES	8

static struct feeder good;

static struct feeder *load(const uint8_t *data, size_t size, int how, int *error)
{
	struct feeder *f = malloc(sizeof(*f));
	size_t at, n;

	feeder_init(f, PAGES, true);
	*error = tern_machine_go(&f->mc, TERN_PHASE_LOADING);
	assert(!*error);
	for (at = 0; at < size && !*error; at += n) {
		n = how < 0 ? size : cut(how, at, size - at);
		*error = feeder_load(f, data + at, n, 0);
	}
	if (*error) {
		assert(host_device_blank(f->dev));
		assert(feeder_load(f, data, size, 0) == *error);
	}
	return f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feeder *whole, *pieces;
	int error, again, run;

	if (size < 2 || size > FUZZ_MAX)
		return 0;
	if (!good.dev) {
		feeder_init(&good, PAGES, true);
		host_device_dress(good.dev, 5);
		host_store(good.dev, 2, 7);
		feeder_save(&good);
	}
	whole = load(data + 1, size - 1, -1, &error);
	pieces = load(data + 1, size - 1, data[0], &again);
	assert(error == again);
	assert(host_device_equal(whole->dev, pieces->dev));

	run = tern_machine_go(&whole->mc, TERN_PHASE_RUNNING);
	assert(run == tern_machine_go(&pieces->mc, TERN_PHASE_RUNNING));
	assert(!run || run == -EIO);
	assert(!error || run);
	if (run) {
		assert(!tern_machine_go(&whole->mc, TERN_PHASE_STOPPED));
		assert(host_device_blank(whole->dev));
		assert(!feeder_load(whole, good.stream, good.len, 0));
		assert(!tern_machine_go(&whole->mc, TERN_PHASE_RUNNING));
		assert(host_device_equal(whole->dev, good.dev));
	}
	feeder_uninit(whole);
	feeder_uninit(pieces);
	free(whole);
	free(pieces);
	return 0;
}
