#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# docs.sh - the documents as HTML in build/docs, and what they say held against
# the code (scripts/docs.py).

set -euo pipefail
cd "$(dirname "$0")/.."
# Debian's own python3, which has Debian's docutils.
/usr/bin/python3 scripts/docs.py "$(scripts/cache.sh kselftest)/scripts/kernel-doc" build/docs
