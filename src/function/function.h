/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_FUNCTION_FUNCTION_H
#define TERN_FUNCTION_FUNCTION_H

#include <linux/mutex.h>

#include "core/model.h"
#include "function/config_space.h"
#include "function/interrupts.h"

struct attribute_group;
struct tern_function;
struct vm_area_struct;

/* BAR0 to BAR5. */
#define TERN_BARS	6

/**
 * typedef tern_guest_fn - read or write guest memory
 * @fn: the function
 * @iova: the address that the guest gave
 * @buf: kernel memory
 * @len: bytes
 * @write: to guest memory, or from it
 *
 * Return: 0, or -errno if the memory is not there. Context: a thread that uses the
 * opener's mm, with no lock held; may sleep.
 */
typedef int (*tern_guest_fn)(struct tern_function *fn, u64 iova, void *buf, size_t len, bool write);

/**
 * struct tern_bar - a BAR of a function
 * @size: bytes, a power of two; 0: there is none
 * @flags: PCI_BASE_ADDRESS_MEM_TYPE_64 and PCI_BASE_ADDRESS_MEM_PREFETCH, or 0. A 64-bit
 *	BAR takes the place of the next one, too.
 * @access: read or write bytes; the range lies inside. 0 or -errno. May sleep.
 * @mmap: map pages of it from @pgoff on; NULL: it cannot be mapped. The whole can be.
 */
struct tern_bar {
	u64 size;
	u32 flags;
	int (*access)(struct tern_function *fn, u64 at, void *buf, size_t n, bool write);
	int (*mmap)(struct tern_function *fn, struct vm_area_struct *vma, unsigned long pgoff);
};

/**
 * struct tern_function_ops - a model of a PCI function, as a bus and vfio know it
 * @model: what it offers the core
 * @type: its name on a bus, after "tern-"
 * @name: what a user is shown
 * @description: one line that says what it is
 * @identity: what makes its config space its own
 * @attributes: attributes of its own in the folder "tern" of sysfs, or NULL
 * @folders: folders of its own, or NULL
 * @create: make a function that is not open. Calls tern_function_init(). An ERR_PTR:
 *	-ENOMEM, or -ENOSPC if it promises memory and there is not that much.
 * @destroy: the reverse
 * @open: power on, each time as new. 0, or -errno with nothing done. Context: the
 *	opener's process; state_mutex.
 * @close: power off. Context: state_mutex.
 * @bar: a BAR, as it is or as the next open will have it; never NULL. @index is below
 *	TERN_BARS
 * @set_d3hot: the power state was written; in D3hot no DMA begins. NULL: has no DMA.
 *	Context: the io lock.
 * @settle: on return, accesses to memory have ended that began before the guest cleared
 *	bus mastering or chose D3hot. NULL: has no DMA. Context: no io lock; may sleep.
 */
struct tern_function_ops {
	const struct tern_model_ops *model;
	const char *type;
	const char *name;
	const char *description;
	const struct tern_identity *identity;
	const struct attribute_group *attributes;
	const struct attribute_group **folders;
	struct tern_function *(*create)(void);
	void (*destroy)(struct tern_function *fn);
	int (*open)(struct tern_function *fn);
	void (*close)(struct tern_function *fn);
	const struct tern_bar *(*bar)(struct tern_function *fn, unsigned int index);
	void (*set_d3hot)(struct tern_function *fn, bool d3hot);
	void (*settle)(struct tern_function *fn);
};

/**
 * struct tern_function - any PCI function; a model embeds it
 * @ops: its model; immutable
 * @model: what the core sees
 * @io: guards @config and the model's registers; under state_mutex, over the interrupts'
 *	lock
 * @config: config space
 * @irqs: MSI-X and INTx
 * @d3hot: the guest has chosen D3hot [written under @io]
 * @is_open: [state_mutex]
 * @guest: how guest memory is reached; immutable
 * @state_mutex: of the device that offers it; immutable
 * @owner: that device, for @guest; immutable
 */
struct tern_function {
	const struct tern_function_ops *ops;
	struct tern_model model;
	struct mutex io;
	struct tern_config_space config;
	struct tern_interrupts irqs;
	bool d3hot;
	bool is_open;
	tern_guest_fn guest;
	struct mutex *state_mutex;
	void *owner;
};

/* The models that there are; ends with NULL (src/models.c). */
extern const struct tern_function_ops *const tern_models[];

int tern_function_init(struct tern_function *fn, const struct tern_function_ops *ops);
void tern_function_uninit(struct tern_function *fn);
int tern_function_lock(struct tern_function *fn);
int tern_function_lock_closed(struct tern_function *fn);
int tern_function_open(struct tern_function *fn);
void tern_function_close(struct tern_function *fn);
void tern_function_power_on(struct tern_function *fn);
void tern_function_power_off(struct tern_function *fn);
void tern_function_reset(struct tern_function *fn);
void tern_function_load_config(struct tern_function *fn, const struct tern_config_state *from);
void tern_function_read_config(struct tern_function *fn, unsigned int offset, void *to, size_t len);
void tern_function_write_config(struct tern_function *fn, unsigned int offset, const void *from,
				size_t len);
bool tern_function_in_d3hot(const struct tern_function *fn);
int tern_function_guest(struct tern_function *fn, u64 iova, void *buf, size_t len, bool write);
int tern_function_access_msix(struct tern_function *fn, u64 at, void *buf, size_t n, bool write);

#endif /* TERN_FUNCTION_FUNCTION_H */
