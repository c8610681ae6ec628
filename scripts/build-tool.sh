#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# build-tool.sh - build tern(8) so that it runs where nothing is installed, and print its
# path. Checks that run at the same time share it.

set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

out=$PWD/build/tools-static
mkdir -p "$out"
exec {lock}>"$out.lock"
flock "$lock"
make -s -C tools STATIC=1 WERROR=-Werror OUT="$out" >&2
echo "$out/tern"
