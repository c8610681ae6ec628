# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What no run's kernel log may hold, as an extended regular expression. Sourced
# by the scripts that run a kernel.

# shellcheck disable=SC2034
complaints='WARNING:|BUG:|Oops|general protection|Call Trace|Kernel panic'
complaints+='|KASAN|UBSAN|KCSAN|refcount_t:|kmemleak: [0-9]+ new|list_(add|del) corruption'
complaints+='|possible (circular|recursive|irq lock|deadlock)|suspicious RCU|detected stall'
complaints+='|inconsistent lock state|INFO: task .* blocked|unchecked MSR'
