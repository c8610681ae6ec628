/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The surroundings of the core's reader in user space. It stands in for src/core/env.h,
 * whose guard it has, and is put in front of every file of the tool.
 *
 * It has what stream.c, loader.c and lab/workload.c use. What tests need besides is in
 * tests/host/env.h, which begins with this file.
 */
#ifndef TERN_CORE_ENV_H
#define TERN_CORE_ENV_H

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <linux/types.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;

#define BITS_PER_LONG		((int)(8 * sizeof(long)))
#define BIT(n)			(1UL << (n))
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define min(a, b)		({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ < b_ ? a_ : b_; })
#define max(a, b)		({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ > b_ ? a_ : b_; })
#define min_t(t, a, b)		({ t x_ = (a), y_ = (b); x_ < y_ ? x_ : y_; })

#define cpu_to_le32(v)		htole32(v)
#define cpu_to_le64(v)		htole64(v)
#define le32_to_cpu(v)		le32toh(v)
#define le64_to_cpu(v)		le64toh(v)

#undef static_assert
#define static_assert(cond)	_Static_assert(cond, #cond)

/* Bits. */
static inline unsigned long *host_word(unsigned long bit, const unsigned long *map)
{
	return (unsigned long *)map + bit / BITS_PER_LONG;
}

static inline bool test_bit(unsigned long bit, const unsigned long *map)
{
	return *host_word(bit, map) >> bit % BITS_PER_LONG & 1;
}

/* A real atomic operation: benchmarks measure what is built of it. */
static inline bool test_and_set_bit(unsigned long bit, unsigned long *map)
{
	unsigned long *word = host_word(bit, map);
	unsigned long old = __atomic_fetch_or(word, BIT(bit % BITS_PER_LONG), __ATOMIC_SEQ_CST);

	return old >> bit % BITS_PER_LONG & 1;
}

#define set_bit(bit, map)	((void)test_and_set_bit(bit, map))
#define __set_bit(bit, map)	set_bit(bit, map)

typedef struct {
	long v;
} atomic_long_t;
#define atomic_long_read(a)	((a)->v)

/* Locks: one thread, so a lock only checks that it is used right. */
struct mutex {
	bool held;
};
#define lockdep_assert_held(m)	assert((m)->held)

static inline void tern_assert_held(const struct mutex *lock)
{
	if (lock)
		lockdep_assert_held(lock);
}

#define div_u64(a, b)		((u64)(a) / (u32)(b))
#define cond_resched()		do { } while (0)

/* Memory. */
#define GFP_KERNEL_ACCOUNT	0
#define __GFP_NOWARN		0
#ifndef env_alloc
#define env_alloc(n)		calloc(1, n)
#endif

#define kzalloc(n, gfp)		env_alloc(n)
#define kvmalloc(n, gfp)	env_alloc(n)
#define kfree(p)		free(p)
#define kvfree(p)		free(p)

static inline void *memchr_inv(const void *p, int c, size_t n)
{
	const u8 *at = p;

	for (; n; n--, at++)
		if (*at != (u8)c)
			return (void *)at;
	return NULL;
}

/* Tracepoints are nothing. */
#define trace_tern_write(...)			((void)0)
#define trace_tern_refused(...)			((void)0)
#define trace_tern_loaded(...)			((void)0)

u32 crc32c(u32 crc, const void *p, size_t n);

#ifndef tern_killed
#define tern_killed()		false
#endif

#endif /* TERN_CORE_ENV_H */
