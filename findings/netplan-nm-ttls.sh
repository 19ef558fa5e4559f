#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# netplan 0.106: its own example of 802.1X on a wire, of the method ttls, is written for NetworkManager without the authentication inside
# of the tunnel. NetworkManager 1.42 refuses that connection, so the NIC stays down. netplan's `phase2-auth` names it; nothing in the manual
# says that the one renderer needs it.
. "${BASH_SOURCE%/*}/fetch"
debian 'netplan.io=0.106-*' 'libnetplan0=0.106-*' 'network-manager=1.42.4-*' 'libnm0=1.42.4-*' 'libglib2.0-0=2.74.6-*' 'libndp0=1.8-*' \
    libreadline8=8.2-1.3

export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu
example=root/usr/share/doc/netplan/examples/dhcp_wired8021x.yaml
mkdir -p etc/netplan
# checked EDIT: what nmcli says of the connection that netplan writes for the example after an edit by sed.
checked() {
    sed "s/renderer: .*/renderer: NetworkManager/; $1" $example > etc/netplan/a.yaml
    chmod 600 etc/netplan/a.yaml
    root/usr/libexec/netplan/generate --root-dir "$work"
    root/usr/bin/nmcli --offline connection modify connection.autoconnect yes \
        < run/NetworkManager/system-connections/netplan-enp3s0.nmconnection 2>&1 | grep -E '^(Error|eap|phase2)' || true
}
grep method $example
same 'the example' 'Error: Error writing connection: 802-1x.phase2-auth, 802-1x.phase2-autheap: exactly one property must be set' "$(checked '')"
same 'with phase2-auth' 'eap=ttls;
phase2-auth=pap' "$(checked 's/^\( *\)method: ttls/&\n\1phase2-auth: pap/')"
