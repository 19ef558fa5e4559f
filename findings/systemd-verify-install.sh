#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd 252: `systemd-analyze verify` does not look at [Install]. It is silent about a comment behind WantedBy= and an alias of another
# type, with which `systemctl enable` fails; about the same comment in [Service] it warns.
. "${BASH_SOURCE%/*}/fetch"
debian 'systemd=252.*' 'libsystemd-shared=252.*'

export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu/systemd
root/bin/systemctl --version | head -1
mkdir -p tree/etc/systemd/system tree/usr/lib/systemd/system
unit=tree/etc/systemd/system/app.service
# seen SERVICE INSTALL: what each says of a unit with these lines.
seen() {
    printf '[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/true\n%b[Install]\n%b' "$1" "$2" > $unit
    SYSTEMD_UNIT_PATH=$work/${unit%/*} root/usr/bin/systemd-analyze verify --man=no $unit 2>&1 | sed 's/.*app.service:/verify: /'
    root/bin/systemctl --root="$work/tree" --quiet enable app.service 2>&1 | grep Failed | sed 's/^/enable: /' || true
}
same 'a comment in [Service]' "verify: 5: Failed to parse resource value, ignoring: 65536 # many" "$(seen 'LimitNOFILE=65536 # many\n' 'WantedBy=a.target\n')"
same 'a comment in [Install], and an alias' 'enable: Failed to enable unit, "#" is not a valid unit name.
enable: Failed to enable unit, "soon" is not a valid unit name.
enable: Failed to enable unit, cannot alias app.service as app.timer.' "$(seen '' 'WantedBy=a.target # soon\nAlias=app.timer\n' | LC_ALL=C sort)"
