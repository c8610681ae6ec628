/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The core's surroundings in user space: tools/env.h, which stands in for src/core/env.h,
 * and what tests need. It is put in front of every file of the host build.
 *
 * One thread, so a lock only checks that it is used right. An allocation can
 * be made to fail (host_fail_alloc), and a test can hang a function on the
 * step points (host_step) and behind each copy (host_copied).
 */
#ifndef TERN_HOST_ENV_H
#define TERN_HOST_ENV_H

#include <stdbool.h>

#define env_alloc(n)		host_alloc(n)
extern bool host_killed;
#define tern_killed()		host_killed

#include "../../tools/env.h"

#define BITS_TO_LONGS(n)	(((n) + BITS_PER_LONG - 1) / BITS_PER_LONG)
#define ilog2(n)		((unsigned int)__builtin_ctzl(n))
#define DIV_ROUND_UP(n, by)	(((n) + (by) - 1) / (by))
#define round_up(n, by)		(DIV_ROUND_UP(n, by) * (by))
#define container_of(p, t, m)	((t *)((char *)(p) - offsetof(t, m)))
#define READ_ONCE(x)		(*(volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v)	(*(volatile __typeof__(x) *)&(x) = (v))
#define smp_mb()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_mb__before_atomic()	__atomic_thread_fence(__ATOMIC_SEQ_CST)

/* What must never happen ends the test. */
#define WARN_ON_ONCE(cond)	({ bool w_ = (cond); assert(!w_ && #cond); w_; })

/* Bits. */
static inline bool test_and_clear_bit(unsigned long bit, unsigned long *map)
{
	unsigned long *word = host_word(bit, map);
	unsigned long old = __atomic_fetch_and(word, ~BIT(bit % BITS_PER_LONG), __ATOMIC_SEQ_CST);

	return old >> bit % BITS_PER_LONG & 1;
}

static inline unsigned long find_next_bit(const unsigned long *map, unsigned long size,
					  unsigned long bit)
{
	while (bit < size) {
		unsigned long word = *host_word(bit, map) >> bit % BITS_PER_LONG;

		if (word)
			return min(bit + __builtin_ctzl(word), size);
		bit = round_up(bit + 1, BITS_PER_LONG);
	}
	return size;
}

#define find_first_bit(map, size)	find_next_bit(map, size, 0)
#define for_each_set_bit(bit, map, size)				\
	for ((bit) = find_first_bit(map, size); (bit) < (size);		\
	     (bit) = find_next_bit(map, size, (bit) + 1))

static inline void bitmap_zero(unsigned long *map, unsigned long bits)
{
	memset(map, 0, BITS_TO_LONGS(bits) * sizeof(long));
}

static inline unsigned long bitmap_weight(const unsigned long *map, unsigned long bits)
{
	unsigned long n = 0, bit;

	for_each_set_bit(bit, map, bits)
		n++;
	return n;
}

#define atomic_long_set(a, n)	((void)((a)->v = (n)))
#define atomic_long_inc(a)	((void)(a)->v++)
#define atomic_long_dec(a)	((void)(a)->v--)
#define atomic_long_add(n, a)	((void)__atomic_fetch_add(&(a)->v, n, __ATOMIC_SEQ_CST))
#define atomic_long_sub(n, a)	((void)__atomic_fetch_sub(&(a)->v, n, __ATOMIC_SEQ_CST))
#define hweight_long(w)		((unsigned long)__builtin_popcountl(w))
#define xchg(p, n)		__atomic_exchange_n(p, n, __ATOMIC_SEQ_CST)

static inline long atomic_long_fetch_or(long bits, atomic_long_t *a)
{
	return __atomic_fetch_or(&a->v, bits, __ATOMIC_SEQ_CST);
}

/* Locks. */
#define mutex_init(m)		((void)((m)->held = false))
#define mutex_destroy(m)	assert(!(m)->held)
#define mutex_lock(m)		((void)(assert(!(m)->held), (m)->held = true))
#define mutex_unlock(m)		((void)(assert((m)->held), (m)->held = false))

/* Memory. */
extern long host_fail_alloc;	/* the n-th allocation from now on fails; 0: none */

static inline void *host_alloc(size_t n)
{
	if (host_fail_alloc && !--host_fail_alloc)
		return NULL;
	return calloc(1, n);
}

#define kvzalloc(n, gfp)	host_alloc(n)

/* A test can look at what is copied, and spoil it thereafter. */
extern void (*host_copied)(const void *from, size_t n);

static inline void *host_memcpy(void *to, const void *from, size_t n)
{
	memcpy(to, from, n);
	if (host_copied)
		host_copied(from, n);
	return to;
}

#define memcpy(to, from, n)	host_memcpy(to, from, n)

/* Time passes when a test says so; tracepoints are nothing. */
extern u64 host_clock;
#define ktime_get_ns()				(host_clock)
#define trace_tern_session_begin(...)		((void)0)
#define trace_tern_session_end(...)		((void)0)
#define trace_tern_pass_end(...)		((void)0)
#define trace_tern_take(device, pages, bytes, ns)	((void)(ns))
#define trace_tern_chunk(...)			((void)0)
#define trace_tern_read(...)			((void)0)

void get_random_bytes(void *p, size_t n);

extern void (*host_step)(const char *name, unsigned long page);
static inline void tern_step_point(const char *name, unsigned long page)
{
	if (host_step)
		host_step(name, page);
}

#endif /* TERN_HOST_ENV_H */
