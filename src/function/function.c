// SPDX-License-Identifier: GPL-2.0-only
/*
 * A PCI function: what every model has, whatever it does.
 *
 * A model embeds struct tern_function and adds registers, memory, and what it does with
 * them. Here stand config space and what follows from it. Bus mastering, the power
 * state and INTx are bits that a guest writes, and that interrupts and DMA obey. A bus
 * and vfio know a model by struct tern_function_ops alone.
 */
#include <linux/err.h>
#include <linux/pci_regs.h>

#include "function/function.h"

/**
 * tern_function_init() - a function that is not open
 * @fn: the function
 * @ops: its model
 *
 * Return: 0 or -ENOMEM. Context: may sleep.
 */
int tern_function_init(struct tern_function *fn, const struct tern_function_ops *ops)
{
	mutex_init(&fn->io);
	fn->ops = ops;
	fn->model.ops = ops->model;
	return tern_interrupts_init(&fn->irqs, ops->identity, &fn->model);
}

/**
 * tern_function_uninit() - free what tern_function_init() allocated
 * @fn: the function, closed
 */
void tern_function_uninit(struct tern_function *fn)
{
	tern_interrupts_uninit(&fn->irqs);
	mutex_destroy(&fn->io);
}

/**
 * tern_function_lock() - lock a function: it changes no state meanwhile
 * @fn: the function
 *
 * Return: 0, and its state_mutex is held; -EINTR if the caller was killed.
 */
int tern_function_lock(struct tern_function *fn)
{
	return mutex_lock_killable(fn->state_mutex) ? -EINTR : 0;
}

/**
 * tern_function_lock_closed() - lock a function for a change that needs it closed
 * @fn: the function
 *
 * Return: 0, and its state_mutex is held; -EBUSY if it is open; -EINTR if the caller was
 * killed.
 */
int tern_function_lock_closed(struct tern_function *fn)
{
	int ret = tern_function_lock(fn);

	if (ret)
		return ret;
	if (!fn->is_open)
		return 0;
	mutex_unlock(fn->state_mutex);
	return -EBUSY;
}

/**
 * tern_function_open() - power on
 * @fn: the function, closed
 *
 * Return: 0, or the -errno of the model with nothing done. Context: the opener's
 * process; state_mutex; may sleep.
 */
int tern_function_open(struct tern_function *fn)
{
	int ret;

	lockdep_assert_held(fn->state_mutex);
	ret = fn->ops->open(fn);
	fn->is_open = !ret;
	return ret;
}

/**
 * tern_function_close() - power off
 * @fn: the function, open
 *
 * Context: state_mutex; may sleep.
 */
void tern_function_close(struct tern_function *fn)
{
	lockdep_assert_held(fn->state_mutex);
	fn->is_open = false;
	fn->ops->close(fn);
}

static u16 command(struct tern_function *fn)
{
	__le16 word;

	lockdep_assert_held(&fn->io);
	tern_config_space_read(&fn->config, PCI_COMMAND, &word, sizeof(word));
	return le16_to_cpu(word);
}

/* Config space has changed: tell the parts that go by it. */
static void config_changed(struct tern_function *fn)
{
	bool d3hot = tern_config_space_in_d3hot(&fn->config);

	lockdep_assert_held(&fn->io);
	WRITE_ONCE(fn->d3hot, d3hot);
	if (fn->ops->set_d3hot)
		fn->ops->set_d3hot(fn, d3hot);
	tern_interrupts_configure(&fn->irqs, command(fn), d3hot);
}

/**
 * tern_function_power_on() - config space and interrupts of a function that is opened
 * @fn: the function; its BARs have the sizes of this open
 *
 * Context: state_mutex.
 */
void tern_function_power_on(struct tern_function *fn)
{
	struct tern_config_bar bars[TERN_BARS];
	unsigned int i;

	lockdep_assert_held(fn->state_mutex);
	for (i = 0; i < TERN_BARS; i++) {
		const struct tern_bar *bar = fn->ops->bar(fn, i);

		bars[i] = (struct tern_config_bar){ bar->size, bar->flags };
	}
	tern_config_space_init(&fn->config, fn->ops->identity, bars, &fn->io);
	mutex_lock(&fn->io);
	tern_function_reset(fn);
	mutex_unlock(&fn->io);
	tern_interrupts_start(&fn->irqs);
}

/**
 * tern_function_power_off() - no interrupt is delivered any more, nor has an eventfd
 * @fn: the function
 *
 * Context: state_mutex.
 */
void tern_function_power_off(struct tern_function *fn)
{
	lockdep_assert_held(fn->state_mutex);
	tern_interrupts_stop(&fn->irqs);
	tern_interrupts_disconnect(&fn->irqs);
}

/**
 * tern_function_reset() - config space and interrupts in their reset state
 * @fn: the function
 *
 * The eventfds stay. Context: the io lock.
 */
void tern_function_reset(struct tern_function *fn)
{
	lockdep_assert_held(&fn->io);
	tern_config_space_clear(&fn->config);
	tern_interrupts_clear(&fn->irqs);
	config_changed(fn);
}

/**
 * tern_function_load_config() - restore config space from a stream
 * @fn: the function
 * @from: a state that tern_config_space_validate() passed
 *
 * Context: takes the io lock.
 */
void tern_function_load_config(struct tern_function *fn, const struct tern_config_state *from)
{
	mutex_lock(&fn->io);
	tern_config_space_load(&fn->config, from);
	config_changed(fn);
	mutex_unlock(&fn->io);
}

/**
 * tern_function_read_config() - read config space
 * @fn: an open function
 * @offset: first byte; the range lies inside
 * @to: gets the bytes
 * @len: how many
 *
 * The level of INTx is in the status, as PCI 3.0 has it (6.2.3): it is no state, and is
 * not in a stream. Context: takes the io lock.
 */
void tern_function_read_config(struct tern_function *fn, unsigned int offset, void *to, size_t len)
{
	u8 *byte = to;

	mutex_lock(&fn->io);
	tern_config_space_read(&fn->config, offset, to, len);
	if (offset <= PCI_STATUS && PCI_STATUS - offset < len && tern_interrupts_intx(&fn->irqs))
		byte[PCI_STATUS - offset] |= PCI_STATUS_INTERRUPT;
	mutex_unlock(&fn->io);
}

/**
 * tern_function_write_config() - write config space
 * @fn: an open function
 * @offset: first byte; the range lies inside
 * @from: the bytes
 * @len: how many
 *
 * After a write that clears bus mastering, guest memory is not used any more, because a
 * guest frees it then. After one that chooses D3hot, device memory is not, either.
 * Context: takes the io lock; may wait for DMA.
 */
void tern_function_write_config(struct tern_function *fn, unsigned int offset, const void *from,
				size_t len)
{
	bool was_master, was_in_d0, ended;

	mutex_lock(&fn->io);
	was_master = command(fn) & PCI_COMMAND_MASTER;
	was_in_d0 = !fn->d3hot;
	tern_config_space_write(&fn->config, offset, from, len);
	config_changed(fn);
	ended = (was_master && !(command(fn) & PCI_COMMAND_MASTER)) || (was_in_d0 && fn->d3hot);
	mutex_unlock(&fn->io);
	if (ended && fn->ops->settle)
		fn->ops->settle(fn);
}

/**
 * tern_function_in_d3hot() - has the guest chosen D3hot?
 * @fn: an open function
 *
 * Then only config space answers. Context: any.
 */
bool tern_function_in_d3hot(const struct tern_function *fn)
{
	return READ_ONCE(fn->d3hot);
}

/**
 * tern_function_guest() - an access of the function to guest memory
 * @fn: an open function
 * @iova: the address that the guest gave
 * @buf: kernel memory
 * @len: bytes
 * @write: to guest memory, or from it
 *
 * Return: 0; -EACCES if bus mastering is off; another -errno if the memory is not
 * there. Context: as tern_guest_fn; takes the io lock.
 */
int tern_function_guest(struct tern_function *fn, u64 iova, void *buf, size_t len, bool write)
{
	bool master;

	mutex_lock(&fn->io);
	master = command(fn) & PCI_COMMAND_MASTER;
	mutex_unlock(&fn->io);
	return master ? fn->guest(fn, iova, buf, len, write) : -EACCES;
}

/**
 * tern_function_access_msix() - the BAR of the MSI-X table and its pending bits
 * @fn: an open function
 * @at: first byte
 * @buf: kernel memory
 * @n: bytes
 * @write: to the BAR, or from it
 *
 * For struct tern_bar. Return: 0.
 */
int tern_function_access_msix(struct tern_function *fn, u64 at, void *buf, size_t n, bool write)
{
	if (write)
		tern_interrupts_write(&fn->irqs, at, buf, n);
	else
		tern_interrupts_read(&fn->irqs, at, buf, n);
	return 0;
}
