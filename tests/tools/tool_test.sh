#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# tern(8) on devices of the module: each command, and its errors. It needs the module, and
# beside this file the program and a VMM (vmm.c).

tern=$(dirname "$0")/tern
vmm=$(dirname "$0")/vmm
type=/sys/class/mdev_bus/tern/mdev_supported_types/tern-mem
if [ ! -w $type/create ]; then
	echo "1..0 # SKIP module tern is not loaded"
	exit 4
fi

a=7e100000-0000-4000-8000-0000000000a1
b=7e100000-0000-4000-8000-0000000000a2
devices=/sys/bus/mdev/devices
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

n=0
bad=0
check() { # NAME COMMAND...
	name=$1
	shift
	n=$((n + 1))
	if "$@" >"$dir/log" 2>&1; then
		echo "ok $n $name"
	else
		sed 's/^/# /' "$dir/log" | head -n 20
		echo "not ok $n $name"
		bad=1
	fi
}

# Run the program: status, stdout and stderr are kept.
run() {
	status=0
	$tern "$@" >"$dir/out" 2>"$dir/err" </dev/null || status=$?
	cat "$dir/out" "$dir/err"
}
good() {
	run "$@"
	[ $status -eq 0 ] && [ ! -s "$dir/err" ]
}
has() { # TEXT: in what was printed
	grep -qF -e "$1" "$dir/out" || {
		echo "expected: $1"
		return 1
	}
}
# One line, with each of these, and status 1: fails_with "TEXT|TEXT" COMMAND...
fails_with() {
	texts=$1
	shift
	run "$@"
	[ $status -eq 1 ] && [ ! -s "$dir/out" ] && [ "$(wc -l <"$dir/err")" -eq 1 ] || return 1
	while [ -n "$texts" ]; do
		text=${texts%%|*}
		grep -qF -e "$text" "$dir/err" || {
			echo "expected: $text"
			return 1
		}
		case $texts in *'|'*) texts=${texts#*|} ;; *) texts='' ;; esac
	done
}
is() { # VALUE FILE
	[ "$(cat "$2")" = "$1" ] || {
		echo "$2 is $(cat "$2"), expected $1"
		return 1
	}
}

# The VMM is asked by one pipe, and answers by another.
mkfifo "$dir/asks" "$dir/answers"
open_device() { # UUID
	$vmm "$1" <"$dir/asks" >"$dir/answers" &
	pid=$!
	exec 8>"$dir/asks" 9<"$dir/answers"
	read -r answer <&9
	[ "$answer" = ready ]
}
ask() { # LINE
	echo "$*" >&8
	read -r answer <&9
	[ "$answer" = "done" ] || {
		echo "the VMM: $answer"
		return 1
	}
}
close_device() {
	exec 8>&-
	wait $pid
	exec 9<&-
}

created() {
	good create --uuid $a memory_mib=4 tern/precopy=1 tern-mem && is $a "$dir/out" &&
		is 4 $devices/$a/tern/memory_mib
}
created_by_chance() {
	good create mem && uuid=$(cat "$dir/out") && [ ${#uuid} -eq 36 ] &&
		[ -e "$devices/$uuid/remove" ] && good remove "$uuid" && [ ! -e "$devices/$uuid" ]
}
refused_attribute_leaves_nothing() {
	fails_with "$b: |memory_mib=3 is refused, Invalid argument: " create --uuid $b memory_mib=3 mem &&
		[ ! -e $devices/$b ]
}
listed() {
	good list && has "$a  tern-mem  running           4  -" && good list --json &&
		has "\"uuid\": \"$a\"" && has '"memory_mib": 4' && has '"open_by": null' &&
		good list --types && has 'tern-mem' && has 'Tern migratable memory'
}
shown() {
	good show $a && has 'memory_mib' && has 'time_in_state' && has 'inject' &&
		good show --json $a && has '"tern": { ' && has '"memory_mib": 4' &&
		has '"pass_bytes": [ ]' && has '"time_in_state": { "running": '
}
set_attributes() {
	good set $a precopy=0 window_kib=1024 && is 0 $devices/$a/tern/precopy &&
		is 1024 $devices/$a/tern/window_kib && good set $a tern/precopy=1 &&
		is 1 $devices/$a/tern/precopy
}
set_refused() {
	fails_with "tern: $a: |memory_mib=3 is refused, Invalid argument: " set $a memory_mib=3 &&
		fails_with "memory_mib=99999999999 is refused, Numerical result out of range: " \
			set $a memory_mib=99999999999 &&
		fails_with "no attribute frob: see 'tern show $a'" set $a frob=1 &&
		fails_with 'no attribute ../tern/precopy' set $a ../tern/precopy=0
}
prefix() {
	good create --uuid $b mem && fails_with '7e100000: 2 devices begin so: give more' show 7e100000 &&
		good show 7e100000-0000-4000-8000-0000000000A2 && has $b && good remove $b &&
		good show 7e1 && has $a
}
unknown() {
	fails_with "5: Tern has no such device: see 'tern list'" show 5 &&
		fails_with ': Tern has no such device' remove '' &&
		fails_with "$a: not created, File exists: choose another UUID" create --uuid $a mem &&
		fails_with 'x: not created: give a whole UUID' create --uuid x mem &&
		fails_with "frob: no such type of parent tern: see 'tern list --types'" create frob
}
no_module() {
	mkdir "$dir/sys"
	for words in "list" "show 7" "create mem" "set 7 a=1" "verify 7" "watch 7"; do
		# shellcheck disable=SC2086 # words
		fails_with "the module is not loaded: run 'modprobe tern'" $words --sysfs "$dir/sys" || return
	done
}
injected() {
	good inject $a 'state=stopped-saving 5 1' 'state=stopped 5' read_mibs=10 &&
		is "stopped-saving 5 1
stopped 5" $devices/$a/inject/state && is 10 $devices/$a/inject/read_mibs &&
		good inject $a && has 'state                 0  stopped-saving 5 1' && has 'read_mibs' &&
		good inject --json $a && has '{ "rule": "read_mibs", "hits": 0, "value": "10" }' &&
		good inject --clear $a pending=zero && is 0 $devices/$a/inject/state &&
		is 0 $devices/$a/inject/read_mibs && is zero $devices/$a/inject/pending &&
		good inject --clear $a && is 0 $devices/$a/inject/pending
}
inject_refused() {
	fails_with 'inject/flip=5 9 is refused, Invalid argument' inject $a 'flip=5 9' &&
		fails_with "no rule frob: see 'tern inject $a'" inject $a frob=1
}
hit() {
	good inject $a 'state=stopped-saving 5 1' && ! ask "save $dir/none" && close_device
	good inject $a && has 'state                 1  0' && open_device $a
}
open_is_seen() {
	good list && has "$pid vmm" && good show $a && has "$pid vmm" &&
		fails_with 'memory_mib=8 is refused, Device or resource busy: close the device' \
			set $a memory_mib=8
}
worked() {
	good workload $a mibs=1048576 pattern=hot seed=5 set_mib=1 && is hot $devices/$a/workload/pattern &&
		good workload $a && has 'pattern  hot' && good workload --json $a && has '"seed": 5' &&
		has '"mibs": 1048576' || return
	until [ "$(cat $devices/$a/workload/writes)" -gt 500 ]; do sleep 1; done
	fails_with 'seed=6 is refused, Device or resource busy' workload $a seed=6 &&
		good workload $a seed=6 mibs=0 && good workload $a seed=5 set_mib=1 mibs=1048576 &&
		sleep 1 && good workload $a mibs=0
}
verified() {
	good verify $a && grep -qE '^pages 1024 written [1-9][0-9]+ bad 0$' "$dir/out" &&
		good verify --json $a && has '"bad": 0, "first_bad": null'
}
spoilt() {
	good set $a spoil=7 && run verify $a && [ $status -eq 1 ] && has ' bad 1' && has 'page 7 ' &&
		[ ! -s "$dir/err" ] && run verify --json $a && [ $status -eq 1 ] && has '"first_bad": "page 7 '
}
not_verified() {
	fails_with 'not verified, No data available: open the device, and begin a workload' verify $a
}
decoded() {
	ask "save $dir/stream" && good decode --verify "$dir/stream" && good decode "$dir/stream" &&
		has WORKLOAD && has 'pattern hot' && has 'mibs 0' && has 'END' &&
		good convert --to-version 2 "$dir/stream" "$dir/older" && has 'workload_left_out yes' &&
		good decode --verify "$dir/older"
}
cut_stream() {
	good inject $a 'flip=5000 1' && ask "save $dir/flipped" &&
		fails_with 'EBADMSG, a wrong CRC' decode --verify "$dir/flipped" &&
		good inject $a flip=0 cut=5000 && ask "save $dir/cut" &&
		fails_with 'EIO, the file ends' decode --verify "$dir/cut" && good inject --clear $a
}
watched() {
	$tern watch --interval 0.1 $a >"$dir/watch" 2>&1 8>&- 9<&- &
	watcher=$!
	sleep 1
	ask pass && sleep 1 && ask stop && sleep 1 && ask "save $dir/stream" && sleep 1 && close_device &&
		good remove $a || {
		kill $watcher
		return 1
	}
	wait $watcher || return
	cat "$dir/watch"
	grep -qE ' running-saving +pass +[1-9]' "$dir/watch" && tail -n 1 "$dir/watch" | grep -q ' removed ' &&
		[ "$(grep -c . "$dir/watch")" -ge 4 ] && [ "$(grep -c . "$dir/watch")" -lt 30 ]
}
watched_n_times() {
	good watch --interval 0.1 --count 5 $a && [ "$(wc -l <"$dir/out")" -eq 1 ] && has 'running' &&
		good watch --json --count 1 $a && has '"state": "running"'
}

# The commands of Documentation/tern.rst below such a mark: each must succeed.
example() { # NAME
	{
		sed -n "/^\.\. example $1/,/^\.\. end/s/^    //p" "$(dirname "$0")/tern.rst"
		# shellcheck disable=SC2016 # of that script
		echo 'echo "$a" >"$uuid"'
	} >"$dir/example"
	grep -q '^tern ' "$dir/example" || return
	a=$(cat "$dir/uuid" 2>/dev/null) uuid=$dir/uuid PATH=$(cd "$(dirname "$0")" && pwd):$PATH \
		sh -eux "$dir/example"
}
page() {
	example closed && uuid=$(cat "$dir/uuid") && open_device "$uuid" && example open 8>&- 9<&- &&
		close_device && example end && [ ! -e "$devices/$uuid" ]
}

echo "TAP version 13"
echo "1..24"
check "create makes a device with its attributes" created
check "create chooses a UUID, and remove removes" created_by_chance
check "LAB-18 create leaves nothing if an attribute is refused" refused_attribute_leaves_nothing
check "list has the device and the types" listed
check "show has all folders" shown
check "set writes attributes" set_attributes
check "LAB-18 set reports the errno of the device" set_refused
check "the beginning of a UUID is enough, if it is one device's" prefix
check "an unknown device, UUID or type is reported" unknown
check "without the module, modprobe is advised" no_module
check "inject sets, shows and ends rules" injected
check "LAB-18 inject reports what is refused" inject_refused
check "verify needs an open device" not_verified
check "a VMM opens the device" open_device $a
check "inject counts hits" hit
check "list and show name the VMM" open_is_seen
check "workload begins, shows and pauses" worked
check "verify finds no bad page" verified
check "LAB-19 decode and convert read what a device wrote" decoded
check "LAB-19 decode finds what inject has damaged" cut_stream
check "verify finds a page that was damaged" spoilt
check "watch prints one line if nothing changes" watched_n_times
check "LAB-18 watch is a log until the device is removed" watched
check "the examples of Documentation/tern.rst work" page
exit $bad
