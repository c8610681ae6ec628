// SPDX-License-Identifier: GPL-2.0-only
/*
 * What any VFIO device owes that speaks v2, be it Tern's or not:
 *
 *	TERN_VFIO_DEVICE=/sys/...	the device, by its folder in sysfs
 *	TERN_VFIO_OTHER=/sys/...	one that loads what it saves; else it does so itself
 *	TERN_MDEV_TYPE=/sys/...		or: the mdev type of which to make two
 *
 * With none of them, two of Tern's. Nothing here knows what the device is: it is
 * asked only by the uapi. Each test says first what it asks, and a failure what came
 * instead. In the fixture "uapi" are the demands of uapi/linux/vfio.h, in "beyond"
 * what that leaves open and what VMMs or Tern's own rules still rely on.
 */
#include "fsm.h"
#include "kselftest_harness.h"

#define ASKS(what)	TH_LOG("asks: " what)

static struct dev a, b;
static bool ours;	/* made here, so to be removed here */
static bool absent;	/* there is no type to make it of */
static bool alone;	/* there is no other: a loads what it saved */
static char folder_a[PATH_MAX], folder_b[PATH_MAX];
static uint64_t flags;
static struct stream s;

static const char * const names[STATES] = {
	[S_ERROR] = "ERROR", [S_STOP] = "STOP", [S_RUNNING] = "RUNNING",
	[S_STOP_COPY] = "STOP_COPY", [S_RESUMING] = "RESUMING", [S_RUNNING_P2P] = "RUNNING_P2P",
	[S_PRE_COPY] = "PRE_COPY", [S_PRE_COPY_P2P] = "PRE_COPY_P2P",
};

static const char *name_of(int state)
{
	return state >= 0 && state < STATES ? names[state] : "no state";
}

/* The device's next state after this one; STATES if there is none. */
static uint32_t next_state(uint32_t state)
{
	do
		state++;
	while (state < STATES && !has_state(flags, state));
	return state;
}

#define for_each_state(state)	for (state = next_state(S_ERROR); state < STATES; state = next_state(state))

static const char *result(int ret)
{
	return ret >= 0 ? "success" : strerrorname_np(-ret) ?: "?";
}

/* Make a device of the type; its folder. 0 or -errno. */
static int make(const char *type, const char *uuid, char *folder)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/create", type);
	snprintf(folder, PATH_MAX, MDEV_DEVICES "/%s", uuid);
	return write_file(path, uuid);
}

static void power_off(void)
{
	dev_close(&a);
	dev_close(&b);
	if (ours) {
		mdev_remove(UUID_A);
		mdev_remove(UUID_B);
	}
	free(s.buf);
}

static const char *find_devices(void)
{
	const char *device = getenv("TERN_VFIO_DEVICE"), *other = getenv("TERN_VFIO_OTHER");
	const char *type = getenv("TERN_MDEV_TYPE") ?: MDEV_TYPE;

	a.fd = a.group = a.container = a.data_fd = -1;
	b = a;
	alone = device && !other;
	ours = !device;
	absent = ours && access(type, F_OK);
	if (absent)
		return "no such mdev type: is the module loaded?";
	if (ours && (make(type, UUID_A, folder_a) || make(type, UUID_B, folder_b)))
		return "cannot make two devices";
	if (device)
		snprintf(folder_a, sizeof(folder_a), "%s", device);
	if (device && other)
		snprintf(folder_b, sizeof(folder_b), "%s", other);
	if (vfio_open(&a, folder_a) || (!alone && vfio_open(&b, folder_b)))
		return "cannot open the device";
	flags = migration_flags(&a);
	return flags ? NULL : "the device does not migrate by v2";
}

static void power_on(struct __test_metadata *_metadata)
{
	const char *why = find_devices();

	if (why)
		power_off();
	if (absent)
		SKIP(return, "%s", why);
	ASSERT_EQ(why, NULL)
		TH_LOG("%s", why);
}

FIXTURE(uapi) {
};

FIXTURE_SETUP(uapi)
{
	power_on(_metadata);
}

FIXTURE_TEARDOWN(uapi)
{
	power_off();
}

FIXTURE(beyond) {
};

FIXTURE_SETUP(beyond)
{
	power_on(_metadata);
}

FIXTURE_TEARDOWN(beyond)
{
	power_off();
}

#define NEEDS_PRECOPY() do {						\
	if (!(flags & VFIO_MIGRATION_PRE_COPY))				\
		SKIP(return, "the device offers no PRE_COPY");		\
} while (0)

/* The device that loads: the other one if there is. */
static struct dev *target(void)
{
	return alone ? &a : &b;
}

static int reset(struct dev *d)
{
	return ioctl(d->fd, VFIO_DEVICE_RESET) ? -errno : 0;
}

/* Save all of it, with pre-copy first where there is that. 0 or -errno. */
static int save(struct dev *d, size_t piece)
{
	int fd = -1, ret = 0;

	s.len = 0;
	if (flags & VFIO_MIGRATION_PRE_COPY) {
		ret = go_open(d, S_PRE_COPY, &fd);
		ret = ret ?: read_all(fd, &s, piece);
		ret = ret == 0 || ret == -ENOMSG ? go(d, S_STOP_COPY) : ret;
	} else {
		ret = go_open(d, S_STOP_COPY, &fd);
	}
	ret = ret ?: read_all(fd, &s, piece);
	if (fd >= 0)
		close(fd);
	return ret;
}

/* Nothing comes out of the file, and nothing goes into it. */
static bool is_over(int fd, uint32_t state)
{
	char byte = 0;

	return (state == S_RESUMING ? write(fd, &byte, 1) : read(fd, &byte, 1)) <= 0;
}

TEST_F(uapi, V2_2_stop_copy_is_offered)
{
	ASKS("STOP_COPY is offered, and RUNNING, STOP, STOP_COPY and RESUMING with it");
	EXPECT_TRUE(flags & VFIO_MIGRATION_STOP_COPY)
		TH_LOG("the flags are %#llx", (unsigned long long)flags);
	if (!(flags & VFIO_MIGRATION_P2P))
		TH_LOG("no P2P: its states must be refused");
	if (!(flags & VFIO_MIGRATION_PRE_COPY))
		TH_LOG("no PRE_COPY: its states must be refused, other tests are skipped");
}

TEST_F(uapi, V2_1_P25_features_answer_probe_get_set)
{
	static const struct {
		uint32_t index, size, get_only;
	} known[] = {
		{ VFIO_DEVICE_FEATURE_MIGRATION, 8, true },
		{ VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, 8, false },
		{ VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, 8, true },
	};
	uint64_t payload = 0;
	unsigned int i;

	ASKS("features support PROBE, GET and SET; not GET and SET at once, nor a short buffer");
	for (i = 0; i < ARRAY_SIZE(known); i++) {
		const uint32_t n = known[i].index;

		EXPECT_EQ(probe_feature(&a, n), 0)
			TH_LOG("feature %u: no answer to PROBE", n);
		EXPECT_EQ(probe_feature(&a, VFIO_DEVICE_FEATURE_GET | n), 0)
			TH_LOG("feature %u: no answer to PROBE of GET", n);
		EXPECT_EQ(feature(&a, VFIO_DEVICE_FEATURE_GET | n, &payload, known[i].size),
			  0)
			TH_LOG("feature %u: no answer to GET", n);
		EXPECT_LT(feature(&a, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET | n,
				  &payload, known[i].size),
			  0)
			TH_LOG("feature %u: GET and SET at once succeeded", n);
		EXPECT_LT(feature(&a, VFIO_DEVICE_FEATURE_GET | n, &payload, known[i].size - 1),
			  0)
			TH_LOG("feature %u: GET into too little room succeeded", n);
		EXPECT_EQ(probe_feature(&a, VFIO_DEVICE_FEATURE_SET | n) == 0,
			  !known[i].get_only)
			TH_LOG("feature %u: PROBE of SET", n);
		if (known[i].get_only) {
			EXPECT_LT(feature(&a, VFIO_DEVICE_FEATURE_SET | n, &payload, known[i].size),
				  0)
				TH_LOG("feature %u: SET succeeded", n);
		}
	}
}

/* All pairs of states, against what the rules say of the way between them. */
TEST_F(uapi, V2_2_V2_3_each_pair_follows_the_rules)
{
	uint32_t from, to, way[STATES];
	int fd = -1, new_fd, n, ret;

	ASKS("every change of state follows the rules, or is refused and changes nothing");
	ASSERT_EQ(save(&a, 2 * MIB), 0);
	for_each_state(from)
		for (to = 1; to < STATES; to++) {
			const bool stays =
				from == to || (in_saving_group(from) && in_saving_group(to));

			ASSERT_EQ(walk_to(&a, from, &fd), 0)
				TH_LOG("from a reset to %s", name_of(from));
			EXPECT_EQ(fd >= 0, in_saving_group(from) || from == S_RESUMING)
				TH_LOG("from a reset to %s: file %d", name_of(from), fd);
			if (from == S_RESUMING)
				ASSERT_EQ(write_all(fd, &s, 10000), 0);
			n = find_way(flags, from, to, way);
			ret = go_open(&a, to, &new_fd);
			EXPECT_EQ(ret == 0, n >= 0)
				TH_LOG("%s to %s: %s", name_of(from), name_of(to), result(ret));
			EXPECT_EQ(where(&a), n < 0 ? from : to)
				TH_LOG("%s to %s led to %s", name_of(from), name_of(to),
				       name_of(where(&a)));
			EXPECT_EQ(new_fd >= 0, n >= 0 && opens_file(from, way, n))
				TH_LOG("%s to %s: file %d", name_of(from), name_of(to), new_fd);
			if (fd >= 0 && n >= 0 && !stays) {
				EXPECT_TRUE(is_over(fd, from))
					TH_LOG("%s to %s: the session continues", name_of(from),
					       name_of(to));
			}
			close(fd);
			close(new_fd);
		}
}

/* N - 1 is a state, N and N + 1 are not, nor is ERROR one to ask for. */
TEST_F(uapi, V2_2_invalid_state_is_refused)
{
	static const uint32_t bad[] = { S_ERROR, STATES, STATES + 1, 0x80000000, ~0U };
	unsigned int i, from;
	int fd, new_fd;

	ASKS("a request for ERROR, or for no valid state, fails and opens no file");
	for_each_state(from)
		for (i = 0; i < ARRAY_SIZE(bad); i++) {
			ASSERT_EQ(walk_to(&a, from, &fd), 0);
			EXPECT_LT(go_open(&a, bad[i], &new_fd), 0)
				TH_LOG("%s to state %#x succeeded", name_of(from), bad[i]);
			EXPECT_EQ(new_fd, -1)
				TH_LOG("%s to state %#x gave a file", name_of(from), bad[i]);
			EXPECT_EQ(where(&a), from)
				TH_LOG("%s to state %#x led to %s", name_of(from), bad[i],
				       name_of(where(&a)));
			close(fd);
		}
}

TEST_F(uapi, V2_9_P20_temporary_end_is_ENOMSG)
{
	uint64_t initial = 1, dirty = 1;
	int fd, ret, tries = 1000;

	NEEDS_PRECOPY();
	ASKS("read() at the temporary end of pre-copy returns ENOMSG");
	ASSERT_EQ(go_open(&a, S_PRE_COPY, &fd), 0);
	/* One that is busy has more now and then. */
	do {
		ret = read_all(fd, &s, 2 * MIB);
		ASSERT_EQ(precopy_info(fd, &initial, &dirty), 0);
	} while (initial + dirty && tries--);
	if (initial + dirty)
		SKIP(return, "the device never rests");
	EXPECT_EQ(ret, -ENOMSG)
		TH_LOG("in PRE_COPY read() returns %s", ret ? result(ret) : "0, which is the permanent end");
	if (flags & VFIO_MIGRATION_P2P) {
		ASSERT_EQ(go(&a, S_PRE_COPY_P2P), 0);
		ret = read_all(fd, &s, 2 * MIB);
		EXPECT_EQ(ret, -ENOMSG)
			TH_LOG("in PRE_COPY_P2P read() returns %s",
			       ret ? result(ret) : "0, which is the permanent end");
	}
}

TEST_F(uapi, V2_9_poll_waits_only_without_data)
{
	uint64_t initial = 1, dirty = 1;
	int fd, polled, tries = 1000;

	NEEDS_PRECOPY();
	ASKS("poll() on the data file waits only while pre-copy has no data");
	ASSERT_EQ(go_open(&a, S_PRE_COPY, &fd), 0);
	EXPECT_TRUE(poll_now(fd) & POLLIN)
		TH_LOG("it waits when there are initial bytes");
	do {
		read_all(fd, &s, 2 * MIB);
		polled = poll_now(fd);
		ASSERT_EQ(precopy_info(fd, &initial, &dirty), 0);
	} while (initial + dirty && tries--);
	if (initial + dirty)
		SKIP(return, "the device never rests");
	EXPECT_FALSE(polled & POLLIN)
		TH_LOG("at the temporary end the file is readable");
}

TEST_F(uapi, V2_9_P20_final_end_is_0)
{
	int fd, ret, i;

	ASKS("at the end of STOP_COPY read() always returns 0, and poll() readable");
	ASSERT_EQ(go_open(&a, S_STOP_COPY, &fd), 0);
	EXPECT_TRUE(poll_now(fd) & POLLIN)
		TH_LOG("not readable at the beginning");
	ret = read_all(fd, &s, 100);
	EXPECT_EQ(ret, 0)
		TH_LOG("the stream ended with %s", result(ret));
	EXPECT_GT(s.len, 0)
		TH_LOG("the stream is empty");
	for (i = 0; i < 3; i++) {
		ret = read_all(fd, &s, 100);
		EXPECT_EQ(ret, 0)
			TH_LOG("after the end read() returns %s", result(ret));
		EXPECT_TRUE(poll_now(fd) & POLLIN)
			TH_LOG("after the end the file is not readable");
	}
}

TEST_F(uapi, V2_9_P2_initial_bytes_fall_with_each_read)
{
	uint64_t initial = 0, dirty = 1, last;
	int fd, tries = 1000;

	NEEDS_PRECOPY();
	ASKS("initial_bytes begins above 0 and falls with each read, dirty_bytes begins at 0");
	ASSERT_EQ(go_open(&a, S_PRE_COPY, &fd), 0);
	ASSERT_EQ(precopy_info(fd, &initial, &dirty), 0)
		TH_LOG("this driver has no VFIO_MIG_GET_PRECOPY_INFO");
	EXPECT_GT(initial, 0)
		TH_LOG("initial_bytes begins at 0");
	EXPECT_EQ(dirty, 0)
		TH_LOG("dirty_bytes begins above 0");
	for (last = initial; initial && tries--; last = initial) {
		ASSERT_GT(read_some(fd, &s, initial / 2 + 1), 0)
			TH_LOG("initial bytes are left, and read() returns none");
		ASSERT_EQ(precopy_info(fd, &initial, &dirty), 0);
		ASSERT_LT(initial, last)
			TH_LOG("initial_bytes did not fall by the bytes read");
	}
}

TEST_F(uapi, V2_9_precopy_info_is_EINVAL_after_precopy)
{
	struct vfio_precopy_info info = { .argsz = sizeof(info) - 1 };
	uint64_t initial, dirty;
	int fd, ret;

	NEEDS_PRECOPY();
	ASKS("VFIO_MIG_GET_PRECOPY_INFO is EINVAL outside pre-copy, and with a short argsz");
	ASSERT_EQ(go_open(&a, S_PRE_COPY, &fd), 0);
	EXPECT_EQ(ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, &info) ? errno : 0, EINVAL)
		TH_LOG("a short argsz is accepted");
	if (flags & VFIO_MIGRATION_P2P) {
		ASSERT_EQ(go(&a, S_PRE_COPY_P2P), 0);
		ret = precopy_info(fd, &initial, &dirty);
		EXPECT_EQ(ret, 0)
			TH_LOG("in PRE_COPY_P2P it returns %s", result(ret));
	}
	ASSERT_EQ(go(&a, S_STOP_COPY), 0);
	ret = precopy_info(fd, &initial, &dirty);
	EXPECT_EQ(ret, -EINVAL)
		TH_LOG("in STOP_COPY it returns %s", result(ret));
	ASSERT_EQ(go(&a, S_RUNNING), 0);
	EXPECT_NE(precopy_info(fd, &initial, &dirty), 0)
		TH_LOG("in RUNNING it still answers");
}

TEST_F(uapi, V2_8_V2_12_P22_data_size_in_each_state)
{
	uint32_t state;
	uint64_t size;
	int fd;

	ASKS("MIG_DATA_SIZE works in each state, and is an estimate above 0");
	for_each_state(state) {
		ASSERT_EQ(walk_to(&a, state, &fd), 0);
		size = stop_copy_length(&a);
		EXPECT_NE(size, ~0ULL)
			TH_LOG("in %s: no answer", name_of(state));
		if (state != S_RESUMING) {
			EXPECT_GT(size, 0)
				TH_LOG("in %s: 0 bytes, and nothing is read yet", name_of(state));
		}
		close(fd);
	}
}

TEST_F(uapi, V2_10_P12_stream_loads_in_any_pieces)
{
	static const size_t pieces[] = { 1, 7, 4096, 2 * MIB };
	unsigned int i;
	int ret;

	ASKS("a saved stream loads, whatever the sizes of read() and write()");
	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		ret = save(&a, pieces[i]);
		ASSERT_EQ(ret, 0)
			TH_LOG("read by %zu: %s", pieces[i], result(ret));
		ret = alone ? reset(&a) : 0;
		ret = ret ?: load_and_go(target(), &s, pieces[ARRAY_SIZE(pieces) - 1 - i], S_RUNNING);
		ASSERT_EQ(ret, 0)
			TH_LOG("written by %zu: %s", pieces[ARRAY_SIZE(pieces) - 1 - i],
			       result(ret));
		ASSERT_EQ(where(target()), S_RUNNING);
		/* And what was loaded is saved in turn, and given back. */
		ret = save(target(), 2 * MIB);
		ASSERT_EQ(ret, 0)
			TH_LOG("the loaded state is not saved: %s", result(ret));
		ASSERT_EQ(reset(&a), 0);
		ret = load_and_go(&a, &s, pieces[i], S_STOP);
		ASSERT_EQ(ret, 0)
			TH_LOG("the state that was loaded and saved is not loaded: %s",
			       result(ret));
		ASSERT_EQ(reset(&a), 0);
		ASSERT_EQ(reset(target()), 0);
	}
}

TEST_F(uapi, V2_11_P9_cut_stream_fails_the_commit)
{
	size_t kept[4];
	unsigned int i;
	int fd, ret;

	ASKS("leaving RESUMING fails if the stream is not whole");
	ASSERT_EQ(save(&a, 2 * MIB), 0);
	kept[0] = 0, kept[1] = 1, kept[2] = s.len / 2, kept[3] = s.len - 1;
	for (i = 0; i < ARRAY_SIZE(kept); i++) {
		const struct stream cut = { .buf = s.buf, .len = kept[i] };

		ASSERT_EQ(reset(target()), 0);
		ASSERT_EQ(go_open(target(), S_RESUMING, &fd), 0);
		write_all(fd, &cut, 4096);
		ret = go(target(), i % 2 ? S_RUNNING : S_STOP);
		EXPECT_LT(ret, 0)
			TH_LOG("%s was enough",
			       i == 0 ? "nothing" : i == 1 ? "one byte" : i == 2 ? "half of it" :
			       "all but the last byte");
		close(fd);
	}
}

TEST_F(uapi, V2_11_P10_invalid_data_fails_the_commit)
{
	static const char * const kinds[] = { "zeroes", "its bytes inverted", "its bytes reversed" };
	struct stream bad = { 0 };
	unsigned int kind;
	size_t i, done;
	int fd, wrote;

	ASKS("leaving RESUMING fails if the data is invalid, whatever write() returned");
	ASSERT_EQ(save(&a, 2 * MIB), 0);
	stream_add(&bad, s.buf, s.len);
	for (kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
		for (i = 0; i < s.len; i++)
			bad.buf[i] = kind == 0 ? 0 : kind == 1 ? ~s.buf[i] : s.buf[s.len - 1 - i];
		ASSERT_EQ(reset(target()), 0);
		ASSERT_EQ(go_open(target(), S_RESUMING, &fd), 0);
		wrote = 0;
		/* A user that does not look at what write() says. */
		for (done = 0; done < bad.len; done += 4096) {
			i = bad.len - done < 4096 ? bad.len - done : 4096;
			if (write(fd, bad.buf + done, i) < 0 && !wrote)
				wrote = -errno;
		}
		EXPECT_LT(go(target(), S_STOP), 0)
			TH_LOG("%s: write() returned %s, but the device entered %s", kinds[kind],
			       result(wrote), name_of(where(target())));
		close(fd);
	}
	free(bad.buf);
}

TEST_F(uapi, V2_5_P17_close_changes_nothing)
{
	uint32_t state;
	int fd, ret;

	ASKS("closing the data file changes neither the state nor the loaded data");
	for_each_state(state) {
		if (!in_saving_group(state))
			continue;
		ASSERT_EQ(walk_to(&a, state, &fd), 0);
		read_some(fd, &s, 1);
		close(fd);
		EXPECT_EQ(where(&a), state)
			TH_LOG("%s became %s", name_of(state), name_of(where(&a)));
		ret = go(&a, state == S_STOP_COPY ? S_STOP : S_STOP_COPY);
		EXPECT_EQ(ret, 0)
			TH_LOG("on from %s: %s", name_of(state), result(ret));
	}
	ASSERT_EQ(reset(&a), 0);
	ASSERT_EQ(save(&a, 2 * MIB), 0);
	ASSERT_EQ(reset(target()), 0);
	ASSERT_EQ(go_open(target(), S_RESUMING, &fd), 0);
	ASSERT_EQ(write_all(fd, &s, 4096), 0);
	close(fd);
	EXPECT_EQ(where(target()), S_RESUMING)
		TH_LOG("RESUMING became %s", name_of(where(target())));
	ret = go(target(), S_STOP);
	EXPECT_EQ(ret, 0)
		TH_LOG("the written data is not loaded: %s", result(ret));
}

TEST_F(uapi, V2_3_P8_data_file_ends_with_its_session)
{
	uint32_t state;
	int fd, other;

	ASKS("the data file of an ended session is not part of the next session");
	for_each_state(state) {
		if (!in_saving_group(state) && state != S_RESUMING)
			continue;
		ASSERT_EQ(walk_to(&a, state, &fd), 0);
		/* What is left by a reset, and, where that can be, by an arc. */
		ASSERT_EQ(state == S_RESUMING ? reset(&a) : go(&a, S_RUNNING), 0);
		EXPECT_TRUE(is_over(fd, state))
			TH_LOG("the file of %s works in RUNNING", name_of(state));
		ASSERT_EQ(go_open(&a, state, &other), 0);
		ASSERT_GE(other, 0);
		EXPECT_TRUE(is_over(fd, state))
			TH_LOG("the file of %s works in another session", name_of(state));
		close(fd);
		if (state != S_RESUMING) {
			s.len = 0;
			EXPECT_GT(read_some(other, &s, 1), 0)
				TH_LOG("in %s the other session has no data", name_of(state));
		}
		close(other);
	}
}

TEST_F(uapi, V2_7_P30_reset_is_offered)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	ASKS("the reset, which leaves ERROR and aborts RESUMING, is reported by its flag");
	ASSERT_EQ(ioctl(a.fd, VFIO_DEVICE_GET_INFO, &info), 0);
	EXPECT_TRUE(info.flags & VFIO_DEVICE_FLAGS_RESET)
		TH_LOG("VFIO_DEVICE_FLAGS_RESET is not set; VFIO_DEVICE_RESET returns %s",
		       result(reset(&a)));
}

TEST_F(uapi, V2_7_P14_reset_leads_to_running)
{
	uint32_t state;
	int fd, ret;

	ASKS("a reset leads to RUNNING from each state, and ends a session");
	for_each_state(state) {
		ASSERT_EQ(walk_to(&a, state, &fd), 0);
		ret = reset(&a);
		EXPECT_EQ(ret, 0)
			TH_LOG("in %s: %s", name_of(state), result(ret));
		EXPECT_EQ(where(&a), S_RUNNING)
			TH_LOG("in %s it led to %s", name_of(state), name_of(where(&a)));
		if (fd >= 0) {
			EXPECT_TRUE(is_over(fd, state))
				TH_LOG("the file of %s still works", name_of(state));
		}
		close(fd);
	}
}

/* The next opener may ask for any state; the host must survive it. */
TEST_F(uapi, V2_4_P16_reopen_after_close_in_any_state)
{
	uint32_t state, to;
	int fd, new_fd, ret;

	ASKS("no sequence of states harms the host: close in one, open, request another");
	for_each_state(state) {
		/* The last one that is printed is where a kernel ended. */
		TH_LOG("now: close in %s, open, request any other state", name_of(state));
		for_each_state(to) {
			ASSERT_EQ(walk_to(&a, state, &fd), 0);
			dev_close(&a);
			ASSERT_EQ(vfio_open(&a, folder_a), 0);
			ret = go_open(&a, to, &new_fd);
			EXPECT_EQ(where(&a) == (int)to, ret == 0)
				TH_LOG("closed in %s, %s requested: %s, and it is in %s",
				       name_of(state), name_of(to), result(ret),
				       name_of(where(&a)));
			close(fd);
			close(new_fd);
		}
	}
}

/* V2-4 P-15: a VMM takes it for granted, and asks for no state that it thinks it is in. */
TEST_F(beyond, V2_4_P15_open_starts_in_running)
{
	uint32_t state;
	int fd;

	ASKS("an opened device is in RUNNING");
	EXPECT_EQ(where(&a), S_RUNNING)
		TH_LOG("new, it is in %s", name_of(where(&a)));
	for_each_state(state) {
		ASSERT_EQ(walk_to(&a, state, &fd), 0);
		dev_close(&a);
		ASSERT_EQ(vfio_open(&a, folder_a), 0);
		EXPECT_EQ(where(&a), S_RUNNING)
			TH_LOG("after a close in %s it is in %s", name_of(state),
			       name_of(where(&a)));
		if (fd >= 0) {
			EXPECT_TRUE(is_over(fd, state))
				TH_LOG("closed in %s, its file still works", name_of(state));
		}
		close(fd);
	}
}

TEST_F(beyond, V2_1_P24_unknown_feature_is_ENOTTY)
{
	static const uint32_t unknown[] = { 100, VFIO_DEVICE_FEATURE_MASK };
	uint64_t payload = 0;
	unsigned int i;
	int ret;

	ASKS("an unknown feature is ENOTTY");
	for (i = 0; i < ARRAY_SIZE(unknown); i++) {
		ret = probe_feature(&a, VFIO_DEVICE_FEATURE_GET | unknown[i]);
		EXPECT_EQ(ret, -ENOTTY)
			TH_LOG("PROBE returns %s", result(ret));
		ret = probe_feature(&a, VFIO_DEVICE_FEATURE_SET | unknown[i]);
		EXPECT_EQ(ret, -ENOTTY)
			TH_LOG("PROBE of SET returns %s", result(ret));
		ret = feature(&a, VFIO_DEVICE_FEATURE_GET | unknown[i], &payload, sizeof(payload));
		EXPECT_EQ(ret, -ENOTTY)
			TH_LOG("GET returns %s", result(ret));
		ret = feature(&a, VFIO_DEVICE_FEATURE_SET | unknown[i], &payload, sizeof(payload));
		EXPECT_EQ(ret, -ENOTTY)
			TH_LOG("SET returns %s", result(ret));
	}
}

TEST_F(beyond, V2_2_unoffered_state_is_EINVAL)
{
	uint32_t from, to, way[STATES];
	int fd, new_fd, ret;

	ASKS("a change to a state that is not offered is EINVAL");
	for_each_state(from)
		for (to = 0; to <= STATES; to++) {
			if (find_way(flags, from, to, way) >= 0)
				continue;
			ASSERT_EQ(walk_to(&a, from, &fd), 0);
			ret = go_open(&a, to, &new_fd);
			EXPECT_EQ(ret, -EINVAL)
				TH_LOG("%s to %s returns %s", name_of(from), name_of(to),
				       result(ret));
			close(fd);
			close(new_fd);
		}
	EXPECT_EQ(go_open(&a, 0x80000000, &new_fd), -EINVAL);
	EXPECT_EQ(go_open(&a, ~0U, &new_fd), -EINVAL);
}

/* A pipe of bytes, one way: there is no place in it. */
TEST_F(beyond, V2_9_V2_10_data_files_are_one_way)
{
	char byte = 0;
	int fd;

	ASKS("a data file is only read or only written, from its beginning to its end");
	ASSERT_EQ(go_open(&a, S_STOP_COPY, &fd), 0);
	EXPECT_EQ(write(fd, &byte, 1) == -1 ? errno : 0, EBADF)
		TH_LOG("the file of STOP_COPY is written");
	EXPECT_EQ(lseek(fd, 0, SEEK_SET) == -1 ? errno : 0, ESPIPE)
		TH_LOG("the file of STOP_COPY is seekable");
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC)
		TH_LOG("the file of STOP_COPY is open after exec()");
	close(fd);
	ASSERT_EQ(walk_to(&a, S_RESUMING, &fd), 0);
	EXPECT_EQ(read(fd, &byte, 1) == -1 ? errno : 0, EBADF)
		TH_LOG("the file of RESUMING is read");
	EXPECT_EQ(lseek(fd, 0, SEEK_SET) == -1 ? errno : 0, ESPIPE)
		TH_LOG("the file of RESUMING is seekable");
	close(fd);
}

TEST_F(beyond, V2_11_P21_write_fails_after_an_error)
{
	const uint8_t zeroes[64] = { 0 };
	int fd, i, n = 1;

	ASKS("write() refuses invalid data, and accepts none after that");
	ASSERT_EQ(go_open(target(), S_RESUMING, &fd), 0);
	for (i = 0; i < 4096 && n == 1; i++)
		n = write(fd, zeroes, 1);
	EXPECT_EQ(n, -1)
		TH_LOG("4096 zeroes were accepted");
	EXPECT_EQ(write(fd, zeroes, 1), -1)
		TH_LOG("after the error it accepted a byte");
	close(fd);
	EXPECT_EQ(reset(target()), 0);
}

/* V2-3 P-16 P-36: the device is closed, and then gone; its files stay, and say so. */
TEST_F(beyond, V2_3_P16_P36_data_files_outlive_the_device)
{
	uint64_t initial, dirty;
	int saved, loaded;

	if (!ours)
		SKIP(return, "a device that was given is not removed");
	ASKS("data files return ENODEV after a close of the device, and after its removal");
	ASSERT_EQ(go_open(&a, flags & VFIO_MIGRATION_PRE_COPY ? S_PRE_COPY : S_STOP_COPY, &saved), 0);
	ASSERT_EQ(go_open(&b, S_RESUMING, &loaded), 0);
	dev_close(&a);
	dev_close(&b);
	EXPECT_TRUE(is_stale(saved, S_PRE_COPY))
		TH_LOG("closed: the file that is read is not ENODEV");
	EXPECT_TRUE(is_stale(loaded, S_RESUMING))
		TH_LOG("closed: the file that is written is not ENODEV");
	ASSERT_EQ(mdev_remove(UUID_A), 0);
	ASSERT_EQ(mdev_remove(UUID_B), 0);
	EXPECT_TRUE(is_stale(saved, S_PRE_COPY))
		TH_LOG("removed: the file that is read is not ENODEV");
	EXPECT_TRUE(is_stale(loaded, S_RESUMING))
		TH_LOG("removed: the file that is written is not ENODEV");
	if (flags & VFIO_MIGRATION_PRE_COPY) {
		EXPECT_EQ(precopy_info(saved, &initial, &dirty), -ENODEV)
			TH_LOG("removed: VFIO_MIG_GET_PRECOPY_INFO is not ENODEV");
	}
	EXPECT_TRUE(poll_now(saved) & POLLIN)
		TH_LOG("removed: poll() waits on the file that is read");
	close(saved);
	close(loaded);
}

TEST_HARNESS_MAIN
