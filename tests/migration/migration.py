# SPDX-License-Identifier: GPL-2.0-only
"""The steps of a migration, by the monitors of its QEMUs."""


class Failed(Exception):
    """QEMU reported that the migration failed."""


class Migration:
    """A migration between two QEMUs; or, with one of them, to a file or from one."""

    def __init__(self, loop, source=None, destination=None, **capabilities):
        self._loop = loop
        self._source = source
        self._destination = destination
        # What an earlier migration set stays set.
        capabilities = {"return_path": True, "pause_before_switchover": False, **capabilities}
        for vmm in filter(None, (source, destination)):
            vmm.qmp.set_capabilities(events=True, **capabilities)

    def limit(self, bandwidth, downtime_ms, exact=False):
        """exact: even if a pass of QEMU's own takes too long at so many bytes per second"""
        least = 0 if exact else self._source.protocol.least_bandwidth
        limits = {"max-bandwidth": max(bandwidth, least), "downtime-limit": downtime_ms}
        self._source.qmp.command("migrate-set-parameters", **limits)

    def listen(self, uri):
        self._destination.qmp.command("migrate-incoming", uri=uri)

    def begin(self, uri, *more):
        """more: commands in the same write to the monitor"""
        self._source.qmp.events.clear()
        self._source.qmp.commands(("migrate", {"uri": uri}), *more)

    def cancel(self, uri=None):
        """uri: begin, too, in the same write to the monitor"""
        qmp, cancel = self._source.qmp, ("migrate_cancel", {})
        if uri:
            self.begin(uri, cancel)
        else:
            qmp.commands(cancel)
        self._loop.until(qmp.cancelled, "the cancelled migration's end")
        # QEMU 10.0 reports that a moment before another one can begin.
        self._loop.until_looked(
            lambda: all(each["type"] != "migration" for each in qmp.command("query-yank")),
            "the rest of it to end",
        )

    def reported(self, *statuses):
        """Whether the source has reported one of these."""
        return any(self._source.qmp.event("MIGRATION", status=each) for each in statuses)

    def completed(self):
        if self.reported("failed"):
            info = self._source.qmp.command("query-migrate")
            raise Failed(info.get("error-desc", "no reason given"))
        return self.reported("completed")

    def arrived(self, status="completed"):
        return self._destination.qmp.event("MIGRATION", status=status)

    def resumed(self):
        return self._destination.qmp.event("RESUME")
