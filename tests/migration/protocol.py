# SPDX-License-Identifier: GPL-2.0-only
"""What differs between a QEMU that speaks v1 and one that speaks v2.

What the source took from its device is read in its own trace: sizes, and the states
that it put the device in.
"""

import re
import subprocess

BEGUN, STOPPED, ENDED = "begun", "stopped", "ended"


def major(version):
    return int(version.partition(".")[0])


class V1:
    """QEMU 7.2: the migration region."""

    name = "v1"
    option = "x-enable-migration=on"
    traces = "vfio_save_buffer", "vfio_migration_set_state"
    capabilities = ()
    sessions_in_a_stream = True  # after a stop and a cont it begins another
    starts_anyway = False  # a guest whose device could not be started
    least_bandwidth = 0  # of a pass, in bytes a second
    msix_without_kvm = True  # no crash on the destination
    knows_bandwidth = False  # of the switchover, where it is set
    acknowledges_again = False  # new initial data, before it stops
    peers_stop_first = False  # each device's DMA, before any device is stopped
    switch_in_snapshot = 1  # the pass from which on it may stop, to stop in the first
    claim = "pending"  # the rule for what the device says is left
    cancels_unconnected = True  # a migration without a connection; else a monitor hangs
    excused = ()

    _size = re.compile(r"vfio_save_buffer .* size 0x([0-9a-f]+) ")
    _state = re.compile(r"vfio_migration_set_state .* state (\d+)$")
    _meaning = {"3": BEGUN, "2": STOPPED, "0": STOPPED, "1": ENDED}

    def __init__(self, binary, version):
        self.binary = binary
        self.version = version

    @classmethod
    def events(cls, text):
        """Of a trace: how many bytes were taken, or what became of the session."""
        for line in text.splitlines():
            if match := cls._size.match(line):
                yield int(match[1], 16 if cls is V1 else 10)
            elif (match := cls._state.match(line)) and match[1] in cls._meaning:
                yield cls._meaning[match[1]]


class V2(V1):
    """QEMU 10.0: VFIO_DEVICE_FEATURE, and a file for the data."""

    name = "v2"
    traces = "vfio_save_block", "vfio_migration_set_device_state"
    capabilities = "multifd", "switchover_ack"
    # It keeps the file of the session that the stop ended, and gets another.
    sessions_in_a_stream = False
    starts_anyway = True
    knows_bandwidth = True
    peers_stop_first = True  # RUNNING_P2P
    claim = "data_size"
    # The first round of the guest's own memory is under way in the device's first passes.
    least_bandwidth = 8 << 20
    switch_in_snapshot = 0
    # It says so once where the container has to track what the device writes.
    _untracked = (
        r"qemu-system-x86_64: -device vfio-pci,.*: warning: "
        r"[0-9a-f-]{36}: VFIO device doesn't support device and IOMMU dirty tracking"
    )
    # QEMU 11 says so once of each device that no kernel gives a dma-buf for.
    _no_dma_buf = (
        r"qemu-system-x86_64: -device vfio-pci,.*: warning: "
        r"VFIO dma-buf not supported in kernel, using mmap fallback, "
        r"P2P DMA will not work"
    )

    _acknowledged = (
        "vfio_query_precopy_size_request_switchover_ack",
        "source_return_path_thread_switchover_acked",
    )
    _steps = {
        **dict(zip(_acknowledged, ("asked", "acknowledged"))),
        "vfio_migration_set_device_state": "stopped",
    }

    _size = re.compile(r"vfio_save_block .* data_size (\d+)$")
    _state = re.compile(r"vfio_migration_set_device_state .* state (\w+)$")
    _meaning = {"PRE_COPY": BEGUN, "STOP_COPY": STOPPED, "STOP": STOPPED, "RUNNING": ENDED}

    def __init__(self, binary, version, machine, logs_dma):
        super().__init__(binary, version)
        self.option = "migration-events=on" + machine.device
        if machine.migrates:
            self.option += ",enable-migration=on"
        self.excused = [] if logs_dma else [self._untracked]
        newer = major(version) >= 11
        self.msix_without_kvm = newer
        # Whether new initial data delays the switchover.
        self.acknowledges_again = newer
        self.cancels_unconnected = not newer
        if newer:
            self.excused.append(self._no_dma_buf)
            self.traces = (*self.traces, *self._acknowledged)

    def acknowledgements(self, text):
        """Of a trace: what was asked, acknowledged and done with the device, in order."""
        return [
            self._steps[match[1]]
            for match in re.finditer(r"^(\w+) .*?(STOP_COPY)?$", text, re.MULTILINE)
            if match[1] in self._steps and (match[2] or match[1] in self._acknowledged)
        ]


def of(binary, machine, logs_dma):
    """The protocol of a QEMU: 7.2 is the last one that speaks v1."""
    said = subprocess.check_output([binary, "--version"], text=True)
    version = re.search(r"version (\d+\.\d+)\.", said)[1]
    return V1(binary, version) if major(version) < 8 else V2(binary, version, machine, logs_dma)


class Trace:
    """What the source QEMU took from the device, by its own trace."""

    def __init__(self, events):
        self.running_bytes = self.stopped_bytes = self.buffers = 0
        self.sessions = 0  # how many began
        stopped = False
        for event in events:
            if event == ENDED:
                # What such a session sent does not count.
                self.stopped_bytes = self.running_bytes = self.buffers = 0
                stopped = False
            elif event == STOPPED:
                stopped = True
            elif event == BEGUN:
                self.sessions += 1
            else:
                self.buffers += 1
                if stopped:
                    self.stopped_bytes += event
                else:
                    self.running_bytes += event
