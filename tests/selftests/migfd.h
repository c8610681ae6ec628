/* SPDX-License-Identifier: GPL-2.0-only */
/* The v2 protocol, as vfio's text has it. */
#ifndef TERN_MIGFD_H
#define TERN_MIGFD_H

#include "tern.h"
#include <poll.h>

/* v2's states, in a word. */
#define S_ERROR		VFIO_DEVICE_STATE_ERROR
#define S_STOP		VFIO_DEVICE_STATE_STOP
#define S_RUNNING	VFIO_DEVICE_STATE_RUNNING
#define S_STOP_COPY	VFIO_DEVICE_STATE_STOP_COPY
#define S_RESUMING	VFIO_DEVICE_STATE_RESUMING
#define S_RUNNING_P2P	VFIO_DEVICE_STATE_RUNNING_P2P
#define S_PRE_COPY	VFIO_DEVICE_STATE_PRE_COPY
#define S_PRE_COPY_P2P	VFIO_DEVICE_STATE_PRE_COPY_P2P
#define STATES		8

/* What Linux got with 7.2, and the headers of older kernels lack. */
#define FEATURE_PRECOPY_INFO_V2	12
#define PRECOPY_INFO_REINIT	(1 << 0)

/* VFIO_DEVICE_FEATURE with a payload. 0 or -errno. */
static inline int feature(struct dev *d, uint32_t flags, void *payload, size_t size)
{
	uint64_t buf[16] = { 0 };
	struct vfio_device_feature *f = (void *)buf;
	int ret;

	f->argsz = sizeof(*f) + size;
	f->flags = flags;
	memcpy(f->data, payload, size);
	ret = ioctl(d->fd, VFIO_DEVICE_FEATURE, f) ? -errno : 0;
	memcpy(payload, f->data, size);
	return ret;
}

/* Is the feature there? 0 or -errno. */
static inline int probe_feature(struct dev *d, uint32_t flags)
{
	return feature(d, flags | VFIO_DEVICE_FEATURE_PROBE, "", 0);
}

static inline uint64_t migration_flags(struct dev *d)
{
	struct vfio_device_feature_migration mig = { 0 };

	if (feature(d, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIGRATION, &mig, sizeof(mig)))
		return 0;
	return mig.flags;
}

/* Go to a state. The new data file comes to *data_fd, or -1. 0 or -errno. */
static inline int go_open(struct dev *d, uint32_t state, int *data_fd)
{
	struct vfio_device_feature_mig_state mig = { .device_state = state, .data_fd = -7 };
	int ret;

	ret = feature(d, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, &mig,
		      sizeof(mig));
	*data_fd = mig.data_fd;
	return ret;
}

/* Go to a state on an arc that opens no file. */
static inline int go(struct dev *d, uint32_t state)
{
	int fd, ret = go_open(d, state, &fd);

	if (fd != -1) {
		close(fd);
		return ret ?: -EBADFD;
	}
	return ret;
}

static inline int where(struct dev *d)
{
	struct vfio_device_feature_mig_state mig = { 0 };
	int ret;

	ret = feature(d, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, &mig,
		      sizeof(mig));
	return ret ?: mig.data_fd != -1 ? -EBADFD : (int)mig.device_state;
}

static inline uint64_t stop_copy_length(struct dev *d)
{
	struct vfio_device_feature_mig_data_size size = { ~0ULL };

	if (feature(d, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, &size,
		    sizeof(size)))
		return ~0ULL;
	return size.stop_copy_length;
}

static inline int precopy_info(int data_fd, uint64_t *initial, uint64_t *dirty)
{
	struct vfio_precopy_info info = { .argsz = sizeof(info) };

	if (ioctl(data_fd, VFIO_MIG_GET_PRECOPY_INFO, &info))
		return -errno;
	*initial = info.initial_bytes;
	*dirty = info.dirty_bytes;
	return 0;
}

/* The flags of an answer in pre-copy, or -errno. @given: those of the question. */
static inline int precopy_flags(struct dev *d, uint32_t given)
{
	struct vfio_precopy_info info = { .argsz = sizeof(info), .flags = given };
	int fd, ret = go_open(d, S_PRE_COPY, &fd);

	if (ret)
		return ret;
	ret = ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, &info) ? -errno : (int)info.flags;
	close(fd);
	return go(d, S_RUNNING) ?: ret;
}

/* One read; bytes added to the stream, or -errno. */
static inline ssize_t read_some(int data_fd, struct stream *s, size_t most)
{
	static uint8_t buf[2 * MIB];
	ssize_t n = read(data_fd, buf, most < sizeof(buf) ? most : sizeof(buf));

	if (n < 0)
		return -errno;
	stream_add(s, buf, n);
	return n;
}

/* Read until there is nothing: 0 at the end, -ENOMSG in between, or -errno. */
static inline int read_all(int data_fd, struct stream *s, size_t piece)
{
	ssize_t n;

	do
		n = read_some(data_fd, s, piece);
	while (n > 0);
	return n;
}

/* Write all of it, in pieces. 0 or -errno; a write that takes nothing is -EIO. */
static inline int write_all(int data_fd, const struct stream *s, size_t piece)
{
	size_t done, n;
	ssize_t ret;

	for (done = 0; done < s->len; done += ret) {
		n = s->len - done < piece ? s->len - done : piece;
		ret = write(data_fd, s->buf + done, n);
		if (ret <= 0)
			return ret ? -errno : -EIO;
	}
	return 0;
}

/* Load a whole stream, and go on to a state. 0 or -errno. */
static inline int load_and_go(struct dev *d, const struct stream *s, size_t piece, uint32_t state)
{
	int fd, ret = go_open(d, S_RESUMING, &fd);

	if (ret)
		return ret;
	ret = write_all(fd, s, piece);
	close(fd);
	return ret ?: go(d, state);
}

/* From reset to a state; the file of it, or -1. */
static inline int walk_to(struct dev *d, uint32_t state, int *fd)
{
	*fd = -1;
	if (ioctl(d->fd, VFIO_DEVICE_RESET))
		return -errno;
	return go_open(d, state, fd);
}

/* Is its session over? A file of RESUMING is written to, any other read. */
static inline bool is_stale(int fd, uint32_t state)
{
	char byte = 0;

	if (state == S_RESUMING)
		return write(fd, &byte, 1) == -1 && errno == ENODEV;
	return read(fd, &byte, 1) == -1 && errno == ENODEV;
}

/* What poll() says at once. */
static inline int poll_now(int data_fd)
{
	struct pollfd p = { .fd = data_fd, .events = POLLIN | POLLRDHUP };

	return poll(&p, 1, 0) < 0 ? -errno : p.revents;
}

#endif /* TERN_MIGFD_H */
