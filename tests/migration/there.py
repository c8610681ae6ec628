#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The other machine of a migration between two: does what host.There asks for."""

import argparse
import socketserver
import threading
import xmlrpc.server

from host import Files


class Server(socketserver.ThreadingMixIn, xmlrpc.server.SimpleXMLRPCServer):
    daemon_threads = True


class Service(Files):
    def __init__(self, server):
        self._server = server
        self._processes = []

    def start(self, command, output):
        self._processes.append(self.popen(command, output))
        return len(self._processes) - 1

    def wait(self, number):
        return self._processes[number].wait()

    def kill(self, number):
        self._processes[number].kill()

    def end(self):
        """No more is asked for. (In a thread: the caller must get its answer.)"""
        threading.Thread(target=self._server.shutdown).start()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="of this machine, on the network between the two")
    parser.add_argument("port", type=int)
    args = parser.parse_args()
    with Server((args.address, args.port), logRequests=False, allow_none=True) as server:
        server.register_instance(Service(server))
        print("# the other host: ready", flush=True)
        server.serve_forever()
    host = Files()
    assert not host.devices(), f"there: left: {host.devices()}"
    host.unload_module()
    print("# the other host: nothing is left, and the module is unloaded", flush=True)


if __name__ == "__main__":
    main()
