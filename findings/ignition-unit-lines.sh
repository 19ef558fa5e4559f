#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Ignition 2.14.0 refuses units that systemd 252 takes: a line of more than 2048 bytes (systemd: 1 MiB), and a comment between lines
# that are continued, which systemd.syntax(7) allows. The whole config is invalid then.
. "${BASH_SOURCE%/*}/fetch"
debian 'ignition=2.14.0+ds1-*' 'systemd=252.*' 'libsystemd-shared=252.*'

root/usr/bin/ignition-validate --version
mkdir -p units
# judged UNIT: what both say of the unit.
judged() {
    printf '%s' "$1" > units/a.service
    python3 -c 'import json; print(json.dumps({"ignition": {"version": "3.3.0"}, "systemd": {"units": [{"name": "a.service",
        "contents": open("units/a.service").read()}]}}))' | root/usr/bin/ignition-validate - 2>&1 | sed 's/.*unit content: //' || true
    SYSTEMD_UNIT_PATH=$work/units LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu/systemd \
        root/usr/bin/systemd-analyze verify --man=no "$work/units/a.service" 2>&1 | grep a.service || echo 'systemd is content'
}
same 'a line of 2400 bytes' 'line too long (max 2048 bytes)
systemd is content' "$(judged "[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/echo $(printf 'word %.0s' {1..480})
")"
same 'a comment between continued lines' 'unexpected newline encountered while parsing option name
systemd is content' "$(judged '[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/echo \
# the second one
  two
')"
