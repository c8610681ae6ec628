# SPDX-License-Identifier: GPL-2.0-only
# Tern's top level. `make help` lists what there is.

KVER ?= $(shell uname -r)
KDIR ?= /lib/modules/$(KVER)/build
INSTALL_MOD_DIR ?= updates

.DEFAULT_GOAL := modules

##@ The module
modules: kdir	## build tern.ko against the running kernel's headers, or KDIR=
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

install: modules	## install tern.ko for that kernel, and let modprobe know
	$(MAKE) -C $(KDIR) M=$(CURDIR) INSTALL_MOD_DIR=$(INSTALL_MOD_DIR) modules_install
	depmod $(if $(INSTALL_MOD_PATH),-b $(INSTALL_MOD_PATH)) $(shell scripts/kdir.sh release $(KDIR))

tools:	## build the program tern, in build/tools
	@scripts/setup.sh tools
	@$(MAKE) --no-print-directory -C tools

install-tools: tools	## install it, its page and its completion: PREFIX=, DESTDIR=
	@$(MAKE) --no-print-directory -C tools install

deb:	## the Debian packages tern-dkms and tern-tools for this machine's suite, in build/deb
	@scripts/setup.sh deb
	@scripts/deb.sh build/deb

clean:	## remove what was built; the cache of downloads stays
	-@test ! -e $(KDIR)/Makefile || $(MAKE) -C $(KDIR) M=$(CURDIR) clean
	$(RM) -r build

kdir:
	@scripts/kdir.sh check $(KDIR)

##@ See it work
demo:	## a guest with a Tern device migrates to another QEMU, and checks every page
	@scripts/setup.sh demo
	@scripts/demo.sh

##@ Read
docs:	## the documents as HTML in build/docs, held against the code
	@scripts/docs.sh

bench:	## what it costs; writes Documentation/performance.rst
	@scripts/setup.sh check
	@scripts/bench.sh

##@ Tests
check:	## all tests; ends with "N passed, N failed, N skipped"
	@scripts/setup.sh check
	@scripts/check.sh

lint:	## style, layers, licence lines, documents
	@scripts/lint.sh

requirements:	## each numbered requirement, and the tests that carry it
	@scripts/requirements.py

check-host:	## the core in user space, under ASAN and UBSAN, gcc and clang
	@$(MAKE) --no-print-directory -C tests/host check
	@$(MAKE) --no-print-directory -C tests/fuzz check
	@$(MAKE) --no-print-directory -C tests/tools check

regress:	## what shows each bug that was found: those that need no VM
	@tests/regress/run.sh

coverage:	## how much of src/core the host tests run; what of src/ the selftests reach
	@scripts/coverage.sh

fuzz:	## new inputs for the reader, the loader and the program: SECONDS=60
	@$(MAKE) --no-print-directory -C tests/fuzz fuzz SECONDS=$(or $(SECONDS),60)

check-build:	## tern.ko on the kernels of four suites, with W=1 and sparse
	@scripts/check-build.sh

check-uml:	## the selftests on User Mode Linux with KASAN: seconds
	@scripts/check-uml.sh

check-uml-plain:	## what only a kernel without the log of DMA can show
	@scripts/check-uml.sh plain

faults:	## the faults that check-uml leaves out: all at once, and in the load of the module
	@scripts/check-uml.sh faults

check-vm:	## the selftests in a VM with a stock kernel
	@scripts/check-vm.sh

check-by-hand:	## the README's session by hand, ten-minutes.rst and the scripts of ci.rst
	@scripts/check-by-hand.sh

# What a reader refuses and what a device does by itself depends on no protocol:
# check-iommufd has these ways, and check-long has them for this protocol, too.
check-migration:	## two QEMUs and a guest that checks every page
	@scripts/check-migration.sh --without W-9,W-10,W-11,W-12,W-16,W-20,W-21

check-v2:	## what of v2 needs KVM: QEMU 10.0 on Linux 6.12; and the newest of both
	@status=0; \
	scripts/check-migration.sh 6.12/10.0 load,rounds,ways --way 'S-3 P-3' || status=1; \
	scripts/check-migration.sh trixie-backports rounds || status=1; \
	exit $$status

check-iommufd: check-iommufd-sessions check-iommufd-ways	## v2 with QEMU 10.0 and 11.1 on iommufd, in User Mode Linux

check-iommufd-sessions:	## of it: to and fro, cancelled, lost, multifd
	@status=0; \
	scripts/check-migration.sh uml/10.0 load,guestless,rounds,cancelled,save,newer \
		--to-and-fro 20 || status=1; \
	scripts/check-migration.sh uml/trixie-backports rounds || status=1; \
	exit $$status

check-iommufd-ways:	## of it: the ways that a migration can go
	@scripts/check-migration.sh uml/10.0 ways --without W-17

mutants:	## break each rule, and see a test notice
	@scripts/mutants.sh

mutate:	## break src/ by rule at N=200 places drawn by SEED=1, and list what no test detects
	@scripts/setup.sh check
	@scripts/mutate.py -n $(or $(N),200) --seed $(or $(SEED),1)

soak:	## migrations for HOURS=, or N= of them, with all compared; PART=storm: random calls
	@scripts/setup.sh check
	@scripts/soak.sh $(or $(PART),devices)

ways:	## every way that a migration can go, all of each, between two hosts, too
	@status=0; \
	scripts/check-migration.sh 6.1/7.2 load,one-percent,rounds,cancelled,ways --long || status=1; \
	scripts/check-migration.sh 6.1/7.2 hosts || status=1; \
	exit $$status

ways-v2:	## the same with QEMU 10.0 on Linux 6.12; and a sample of each way on 6.1
	@status=0; \
	scripts/check-migration.sh 6.12/10.0 --long || status=1; \
	scripts/check-migration.sh 6.1/10.0 || status=1; \
	exit $$status

newer-hosts:	## the kernels of trixie and sid, and the QEMUs of trixie and its backports
	@status=0; \
	scripts/check-vm.sh trixie sid || status=1; \
	for suite in trixie trixie-backports; do \
		scripts/check-migration.sh $$suite load,rounds,cancelled,newer || status=1; \
	done; \
	exit $$status

check-mtty:	## the v2 selftests on the kernel's own sample, and what it fails
	@scripts/setup.sh check
	@scripts/check-mtty.sh

check-deb:	## the packages in fresh systems of bookworm and trixie, as root: minutes
	@scripts/setup.sh check
	@scripts/check-deb.sh

check-hosts:	## make demo in fresh systems of bookworm and trixie, as root: minutes
	@scripts/setup.sh check
	@scripts/check-hosts.sh

check-mdevctl:	## mdevctl's udev rule starts a device, in each of 30 loads of the module
	@scripts/setup.sh check
	@scripts/check-mdevctl.sh

lab:	## what QEMU 7.2, 10.0 and 11.1 make of each rule of injection, and vmm.rst
	@scripts/setup.sh check
	@scripts/check-lab.sh

tracers:	## the tracepoints by perf, trace-cmd and bpftrace, as lab.rst shows it
	@scripts/setup.sh tracers
	@scripts/check-tracers.sh

limits:	## what limits.rst states of QEMU 7.2, 10.0 and 11.1, and of mdev
	@scripts/check-limits.sh

libvirt:	## virsh migrates a domain between two libvirtd: 9.0 with QEMU 7.2, 11.3 with QEMU 10.0
	@scripts/setup.sh check
	@scripts/check-libvirt.sh

check-long:	## what does not fit into check: PART=mutants, faults, ways, ways-v2, newer-hosts, limits, lab, tracers, libvirt, deb, hosts, check-mdevctl or check-mtty
	@$(MAKE) --no-print-directory $(patsubst hosts,check-hosts,$(patsubst deb,check-deb,$(or $(PART),mutants)))

help:	## this list
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: modules install tools install-tools deb clean kdir demo docs bench check lint requirements check-host regress coverage fuzz \
	check-build check-uml check-uml-plain faults check-vm check-by-hand check-iommufd \
	check-iommufd-sessions check-iommufd-ways check-migration check-v2 mutants mutate soak \
	ways ways-v2 newer-hosts limits lab tracers libvirt check-deb check-hosts check-mdevctl check-mtty check-long help
