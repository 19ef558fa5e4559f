// SPDX-License-Identifier: Apache-2.0
//! Documents of platforms in the less usual of their shapes: parts that are absent, null, empty or of another type, IPv6 alone, NICs
//! without addresses, large numbers, MAC addresses in each spelling. Each row is a machine's answers and some lines of what becomes
//! of them: of the host name, of networkd's files, of `/run/metadata/flatcar`.

use std::fmt::Write as _;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::common::scratch::{Scratch, footplate, fresh};

/// A platform's name or `""` where DMI names it, its answers, lines that there must be, and lines that there must not be.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str], &'a [&'a str]);

const LINK_LOCAL: &str = "/http/169.254.169.254";

/// What a node is made of: `made-by`, the host name, networkd's files, Flatcar's names.
fn made(n: usize, platform: &str, answers: &[(&str, &str)]) -> String {
    let (replay, root) =
        (Scratch { dir: fresh(&format!("shape-{n}")) }, Scratch { dir: fresh(&format!("shape-{n}-root")) });
    root.put("/etc/passwd", "root:x:0:0::/root:/bin/sh\ncore:x:500:500::/home/core:/bin/sh\n");
    root.put("/etc/group", "root:x:0:\ncore:x:500:\n");
    root.put("/etc/shadow", "root:*:1::::::\ncore:*:1::::::\n");
    for (name, text) in answers {
        let path = match name.strip_prefix("dmi/") {
            Some(field) => format!("/file/sys/class/dmi/id/{field}"),
            None => name.replacen("LL", LINK_LOCAL, 1),
        };
        let text = match text.strip_prefix("base64:") {
            Some(text) => STANDARD.encode(text),
            None => (*text).to_owned(),
        };
        replay.put(&path, text);
    }
    let mut arguments = vec!["provision", "--replay", replay.arg(), "--root", root.arg()];
    if !platform.is_empty() {
        arguments.extend(["--platform", platform]);
    }
    let ran = footplate(&arguments);
    let mut told = format!("exit {}\n{}", ran.code, ran.err);
    for path in root.paths() {
        let looked_at = ["/etc/hostname", "/etc/made-by", "/run/metadata/flatcar"].contains(&path.as_str())
            || path.starts_with("/etc/systemd/network/");
        if looked_at && root.path(&path).is_file() {
            let _ = writeln!(told, "{path}\n{}", fs::read_to_string(root.path(&path)).unwrap());
        }
    }
    told
}

fn hold(rows: &[Row<'_>], first: usize) {
    for (n, (platform, answers, has, has_not)) in rows.iter().enumerate() {
        let told = made(first + n, platform, answers);
        let lines: Vec<&str> = told.lines().map(str::trim).collect();
        for line in *has {
            assert!(lines.contains(line), "{platform} {answers:?}: no line {line:?} in\n{told}");
        }
        for line in *has_not {
            assert!(!told.contains(line), "{platform} {answers:?}: {line:?} in\n{told}");
        }
    }
}

const USER: &str = "#cloud-config\nwrite_files: [{path: /etc/made-by, content: by-user-data}]\n";
const USER_64: &str = "base64:#cloud-config\nwrite_files: [{path: /etc/made-by, content: by-user-data}]\n";
const MADE: &str = "by-user-data";

#[test]
fn addresses_of_scaleway_in_each_list() {
    const AT: &str = "/http/169.254.42.42/conf";
    let data = ("/http/169.254.42.42/user_data/cloud-init", USER);
    let document = |rest: &str| {
        format!("{{\"id\": \"s-9\", \"hostname\": \"snipe-9\", \"zone\": \"fr-par-2\", {rest}}}")
    };
    let translated = document(
        r#""private_ip": "10.4.5.6", "public_ip": {"address": "203.0.113.9"},
        "ipv6": {"address": "2001:db8:5::2", "netmask": "64", "gateway": "2001:db8:5::1"}"#,
    );
    let both = document(
        r#""private_ip": null, "public_ips": [{"address": "203.0.113.9", "netmask": "32", "family": "inet"},
        {"address": "2001:db8:6::2", "netmask": "64", "gateway": "fe80::1", "family": "inet6"}, {"address": "203.0.113.10", "netmask": "32"}]"#,
    );
    hold(
        &[
            (
                "scaleway",
                &[(AT, &translated), data],
                &[
                    MADE,
                    "DHCP=ipv4",
                    "Address=2001:db8:5::2/64",
                    "Gateway=2001:db8:5::1",
                    "COREOS_SCALEWAY_IPV6_PUBLIC=2001:db8:5::2",
                    "COREOS_SCALEWAY_IPV4_PUBLIC=203.0.113.9",
                ],
                &[],
            ),
            (
                "scaleway",
                &[(AT, &both), data],
                &[
                    MADE,
                    "DHCP=ipv4",
                    "Address=203.0.113.10/32",
                    "Address=2001:db8:6::2/64",
                    "Gateway=fe80::1",
                    "COREOS_SCALEWAY_IPV4_PUBLIC=203.0.113.9",
                    "COREOS_SCALEWAY_IPV6_PUBLIC=2001:db8:6::2",
                ],
                &["Address=203.0.113.9"],
            ),
        ],
        920,
    );
}

#[test]
fn machines_of_metal3_and_of_tinkerbell() {
    const META: &str = "/drive/config-2/openstack/latest/meta_data.json";
    const DATA: &str = "/drive/config-2/openstack/latest/user_data";
    const LABEL: (&str, &str) = ("/labels", "config-2\tiso9660\t/dev/sda4\t\n");
    let metal3 = r#"{"uuid": "u-7", "metal3-name": "rook-3", "metal3-namespace": "metal", "name": "rook-3",
        "local-hostname": "rook-3", "local_hostname": "rook-3"}"#;
    let argument = ("/file/proc/cmdline", "root=LABEL=ROOT footplate.packet=http://192.0.2.1:50061/\n");
    let hegel = |name: &str| format!("/http/192.0.2.1:50061/{name}");
    let (data, id, name, keys, document) = (
        hegel("2009-04-04/user-data"),
        hegel("2009-04-04/meta-data/instance-id"),
        hegel("2009-04-04/meta-data/local-hostname"),
        hegel("2009-04-04/meta-data/public-keys"),
        hegel("metadata"),
    );
    hold(
        &[
            // Metal3's controller gives the node its provider id.
            (
                "openstack",
                &[LABEL, (META, metal3), (DATA, USER)],
                &[MADE, "rook-3", "COREOS_OPENSTACK_INSTANCE_UUID=u-7"],
                &["PROVIDER_ID"],
            ),
            // What Hegel has at Packet's place is for its own actions.
            (
                "",
                &[
                    argument,
                    (&document, r#"{"metadata": {"instance": {"storage": {"disks": []}}}}"#),
                    (&data, USER),
                    (&id, "5f3c\n"),
                    (&name, "crake-2"),
                    (&keys, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA ops\n"),
                ],
                &[MADE, "crake-2", "COREOS_CUSTOM_INSTANCE_ID=5f3c", "COREOS_PACKET_HOSTNAME=crake-2"],
                &["PROVIDER_ID"],
            ),
        ],
        900,
    );
    let told = made(910, "", &[LABEL, (META, metal3), ("dmi/sys_vendor", "Dell Inc.\n")]);
    assert!(told.contains("(openstack where Metal3 or OpenStack made the drive config-2)"), "{told}");
}

#[test]
fn drives_of_openstack_in_each_shape() {
    const META: &str = "/drive/config-2/openstack/latest/meta_data.json";
    const NET: &str = "/drive/config-2/openstack/latest/network_data.json";
    const DATA: &str = "/drive/config-2/openstack/latest/user_data";
    const LABEL: (&str, &str) = ("/labels", "config-2\tiso9660\t/dev/sr0\t\n");
    let nulls = r#"{"uuid": "A-1", "name": null, "hostname": null, "public_keys": null, "keys": null, "files": null, "network_config": null}"#;
    let no_network = r#"{"links": null, "networks": null, "services": null}"#;
    let six = r#"{"links": [{"id": "tap0", "type": "hw_veb", "ethernet_mac_address": "FA163E0A0B0C", "mtu": null}],
        "networks": [{"id": "n", "link": "tap0", "type": "ipv6", "ip_address": "2001:DB8:7:0::5", "netmask": "ffff:ffff:ffff:ffff::", "gateway": "fe80::7",
        "services": [{"type": "dns", "address": "2001:db8:7::53"}]}]}"#;
    let text = r#"{"links": [{"id": "a", "type": "vhostuser", "ethernet_mac_address": "fa:16:3e:7:8:9", "mtu": "1400"},
        {"id": "b", "type": "phy", "ethernet_mac_address": "fa:16:3e:00:00:0b"}, {"id": "c", "type": "bond", "bond_links": ["a", "b"],
        "bond_mode": "1", "bond_miimon": "70", "ethernet_mac_address": null}, {"id": "d", "type": "vlan", "vlan_link": "c", "vlan_id": "31", "vlan_mac_address": null}],
        "networks": [{"id": "n", "link": "d", "type": "ipv4", "ip_address": "192.0.2.9", "netmask": "26", "dns_nameservers": ["192.0.2.53"], "dns_search": ["one.example"],
        "routes": [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "192.0.2.1"}]}]}"#;
    let no_mask = r#"{"links": [{"id": "a", "type": "phy", "ethernet_mac_address": "fa:16:3e:00:00:0c"}], "networks": [{"id": "n", "link": "a", "type": "ipv4", "ip_address": "10.5.0.9", "netmask": "",
        "routes": [{"network": "0.0.0.0", "netmask": "", "gateway": "10.5.0.1"}]}, {"id": "m", "link": "a", "type": "ipv4", "ip_address": "10.5.8.9/21", "netmask": ""},
        {"id": "o", "link": "a", "type": "ipv6", "ip_address": "2001:db8:5::9", "netmask": "", "routes": [{"network": "::", "netmask": "", "gateway": "fe80::1"}]}]}"#;
    let named = r#"{"links": [{"id": "first", "name": "enp1s0", "type": "phy", "ethernet_mac_address": null}],
        "networks": [{"id": "n", "link": "first", "type": "ipv4_dhcp"}]}"#;
    hold(
        &[
            (
                "openstack",
                &[LABEL, (META, nulls), (NET, no_network), (DATA, USER)],
                &[MADE, "COREOS_CUSTOM_PROVIDER_ID=openstack:///A-1", "COREOS_OPENSTACK_INSTANCE_UUID=A-1"],
                &["/etc/systemd/network", "warning"],
            ),
            (
                "openstack",
                &[
                    LABEL,
                    (META, r#"{"uuid": "u", "hostname": "heron.a.example"}"#),
                    (NET, six),
                    (DATA, USER_64),
                ],
                &[
                    MADE,
                    "heron",
                    "PermanentMACAddress=fa:16:3e:0a:0b:0c",
                    "Address=2001:db8:7::5/64",
                    "Gateway=fe80::7",
                    "DNS=2001:db8:7::53",
                    "IPv6AcceptRA=no",
                ],
                &["DHCP=yes", "warning"],
            ),
            (
                "openstack",
                &[LABEL, (META, r#"{"uuid": "u"}"#), (NET, text), (DATA, USER)],
                &[
                    MADE,
                    "PermanentMACAddress=fa:16:3e:07:08:09",
                    "MTUBytes=1400",
                    "Mode=active-backup",
                    "MIIMonitorSec=70ms",
                    "Id=31",
                    "Address=192.0.2.9/26",
                    "Gateway=192.0.2.1",
                    "DNS=192.0.2.53",
                    "Domains=one.example",
                ],
                &["warning"],
            ),
            (
                "openstack",
                &[LABEL, ("dmi/product_uuid", "4C4C4544-0001-4A10-8054-B7C04F4A4B32\n"), (DATA, USER)],
                &[MADE, "COREOS_CUSTOM_INSTANCE_ID=4c4c4544-0001-4a10-8054-b7c04f4a4b32"],
                &[],
            ),
            // Written by a user of KubeVirt.
            (
                "kubevirt",
                &[LABEL, (META, r#"{"uuid": "u", "hostname": "kite"}"#), (NET, named), (DATA, USER)],
                &[MADE, "Name=enp1s0", "DHCP=ipv4"],
                &["PermanentMACAddress", "warning"],
            ),
            // A network config of cloud-init's own in its place, as `networkData` of KubeVirt takes any text.
            (
                "kubevirt",
                &[
                    LABEL,
                    (META, r#"{"uuid": "u", "hostname": "kite"}"#),
                    (
                        NET,
                        "version: 2\nethernets: {enp1s0: {addresses: [10.4.0.9/22], gateway4: 10.4.0.1}}\n",
                    ),
                    (DATA, USER),
                ],
                &[MADE, "Name=enp1s0", "Address=10.4.0.9/22", "Gateway=10.4.0.1"],
                &["warning"],
            ),
            // An empty mask is none.
            (
                "openstack",
                &[LABEL, (META, r#"{"uuid": "u"}"#), (NET, no_mask), (DATA, USER)],
                &[
                    MADE,
                    "Address=10.5.0.9/24",
                    "Address=10.5.8.9/21",
                    "Destination=0.0.0.0/0",
                    "Destination=::/0",
                    "Address=2001:db8:5::9/64",
                    "warning: network_data.networks[0].ip_address: has no netmask: 10.5.0.9/24 is taken (line 1, column 154); \
                     write the prefix with it: 10.5.0.9/24, or 10.5.0.9/32",
                ],
                &["is not a netmask"],
            ),
            (
                "openstack",
                &[LABEL, (META, r#"{"uuid": ["u"], "hostname": {"a": 1}, "public_keys": 7}"#)],
                &["exit 65"],
                &["by-user-data"],
            ),
        ],
        0,
    );
}

#[test]
fn cidata_drives_in_each_shape() {
    const META: &str = "/drive/cidata/meta-data";
    const NET: &str = "/drive/cidata/network-config";
    const DATA: &str = "/drive/cidata/user-data";
    const LABEL: (&str, &str) = ("/labels", "cidata\tiso9660\t/dev/sr0\t\n");
    let json = r#"{"instance-id": 90071992547409931234, "local-hostname": "", "hostname": "teal", "public-keys": {"0": {"openssh-key": "ssh-ed25519 AAAA teal"}}}"#;
    let v1 = "version: 1\r\nconfig:\r\n- type: physical\r\n  name: eth0\r\n  mac_address: 52:54:00:1:2:3\r\n  mtu: '1300'\r\n  subnets:\r\n  - {type: static6, address: '2001:db8::9/56', gateway: 'fe80::9'}\r\n";
    hold(
        &[
            (
                "",
                &[LABEL, (META, json), (DATA, USER_64)],
                &[MADE, "teal", "COREOS_CUSTOM_INSTANCE_ID=90071992547409931234"],
                &["warning"],
            ),
            (
                "",
                &[
                    LABEL,
                    (META, "\u{feff}instance-id: ~\r\nlocal-hostname: ~\r\npublic-keys: ~\r\n"),
                    (NET, v1),
                    (DATA, USER),
                ],
                &[
                    MADE,
                    "COREOS_CUSTOM_INSTANCE_ID=nocloud",
                    "PermanentMACAddress=52:54:00:01:02:03",
                    "MTUBytes=1300",
                    "Address=2001:db8::9/56",
                    "Gateway=fe80::9",
                ],
                &["warning"],
            ),
            (
                "",
                &[LABEL, (META, ""), (NET, "~\n"), (DATA, USER)],
                &[MADE],
                &["/etc/systemd/network", "warning"],
            ),
            ("", &[LABEL, (META, "[a, b]\n"), (DATA, USER)], &["exit 65"], &[MADE]),
        ],
        100,
    );
}

#[test]
fn azures_documents_in_each_shape() {
    const DOCUMENT: &str = "LL/metadata/instance/index";
    const DATA: &str = "LL/metadata/instance/compute/userData";
    const TAG: (&str, &str) = ("dmi/chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77\n");
    let nulls = r#"{"compute": {"vmId": "B-1", "name": "ibis_2", "location": null, "osProfile": null, "publicKeys": null, "resourceId": null, "zone": "", "userData": null},
        "network": null, "extended": null}"#;
    let nics = r#"{"compute": {"vmId": "B-2", "location": "NorthEurope", "zone": "3", "osProfile": {"computerName": "Ibis-2"}, "publicKeys": [{"keyData": null}, {"keyData": ""}],
        "resourceId": "/subscriptions/S/resourcegroups/Group-A/providers/Microsoft.Compute/virtualMachines/Ibis"},
        "network": {"interface": [{"macAddress": "6045BD0A0B0C", "ipv4": {"ipAddress": []}, "ipv6": {"ipAddress": [{"privateIpAddress": "2001:DB8:2::7"}, {"privateIpAddress": "2001:db8:2::8"}]}},
        {"macAddress": "", "ipv4": {"ipAddress": [{"privateIpAddress": "10.2.0.3"}]}}, {"macAddress": "60-45-BD-0A-0B-0D", "ipv4": {"ipAddress": [{"privateIpAddress": ""}]}}]}}"#;
    hold(
        &[
            (
                "",
                &[TAG, (DOCUMENT, nulls), (DATA, "")],
                &["ibis-2", "COREOS_CUSTOM_INSTANCE_ID=b-1"],
                // Afterburn has no such names there.
                &["COREOS_AZURE_HOSTNAME", "COREOS_AZURE_INSTANCE_ID", "/etc/systemd/network"],
            ),
            (
                "",
                &[TAG, (DOCUMENT, nics), (DATA, USER_64)],
                &[
                    MADE,
                    "COREOS_CUSTOM_PROVIDER_ID=azure:///subscriptions/S/resourcegroups/group-a/providers/Microsoft.Compute/virtualMachines/Ibis",
                    "COREOS_CUSTOM_AVAILABILITY_ZONE=northeurope-3",
                    "PermanentMACAddress=60:45:bd:0a:0b:0c",
                    "DHCP=ipv6",
                    "Address=2001:db8:2::8/128",
                ],
                &["60:45:bd:0a:0b:0d", "10.2.0.3"],
            ),
            ("", &[TAG, (DOCUMENT, nulls), (DATA, "not*base64")], &["exit 65"], &["not*base64"]),
        ],
        200,
    );
}

/// Azure's id of a machine is that of its firmware, with UEFI; without it the bytes of three groups stand in the other order. Letters
/// are large here and small there. A machine whose service does not tell the id, has the one that the service would tell.
#[test]
fn azures_id_of_a_machine_and_its_firmwares() {
    const DOCUMENT: &str = "LL/metadata/instance/index";
    const TAG: (&str, &str) = ("dmi/chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77\n");
    const UUID: (&str, &str) = ("dmi/product_uuid", "7E5D6F2A-41C3-B84F-9A01-0d3a5e7711bc\n");
    const UEFI: (&str, &str) = ("/file/sys/firmware/efi/fw_platform_size", "64\n");
    let (as_it_is, turned) = ("7e5d6f2a-41c3-b84f-9a01-0d3a5e7711bc", "2a6f5d7e-c341-4fb8-9a01-0d3a5e7711bc");
    let told = r#"{"compute": {"vmId": "2A6F5D7E-C341-4FB8-9A01-0D3A5E7711BC"}}"#;
    let not_told = r#"{"compute": {"name": "ibis"}}"#;
    let id = |id: &str| format!("COREOS_CUSTOM_INSTANCE_ID={id}");
    let (as_it_is, turned) = (id(as_it_is), id(turned));
    hold(
        &[
            ("", &[TAG, UUID, (DOCUMENT, told)], &["exit 0", &turned], &[&as_it_is]),
            ("", &[TAG, UUID, UEFI, (DOCUMENT, told)], &["exit 0", &turned], &[&as_it_is]),
            ("", &[TAG, UUID, (DOCUMENT, not_told)], &["exit 0", &turned], &[&as_it_is]),
            ("", &[TAG, UUID, UEFI, (DOCUMENT, not_told)], &["exit 0", &as_it_is], &[&turned]),
        ],
        210,
    );
}

/// Kernel arguments for which Afterburn, as Flatcar has it, does nothing: it knows no `cloudstack`, and not Ignition's name of the
/// argument.
#[test]
fn platforms_that_afterburn_is_not_told_of() {
    const CMDLINE: &str = "/file/proc/cmdline";
    let router = [
        ("/http/data-server/latest/meta-data/instance-id", "c-2\n"),
        ("/http/data-server/latest/meta-data/local-hostname", "teal\n"),
        ("/http/data-server/latest/user-data", USER),
    ];
    let google = r#"{"instance": {"id": 991, "name": "n-2", "hostname": "n-2.c.p.internal", "zone": "projects/4/zones/us-east1-b"}, "project": {"projectId": "p"}}"#;
    let google = ("LL/computeMetadata/v1/index", google);
    let both = [router[0], router[1], router[2], google];
    let with = |line: &'static str| [&[(CMDLINE, line)], &both[..]].concat();
    let (cloudstack, gcp) = (
        ["teal", MADE, "COREOS_CLOUDSTACK_INSTANCE_ID=c-2"],
        ["n-2", "COREOS_GCE_HOSTNAME=n-2.c.p.internal"],
    );
    hold(
        &[
            ("", &with("quiet flatcar.oem.id=cloudstack"), &cloudstack, &["warning", "GCE"]),
            ("", &with("ignition.platform.id=gcp"), &gcp, &["warning", "CLOUDSTACK"]),
            (
                "",
                &with("ignition.platform.id=gcp flatcar.oem.id=cloudstack"),
                &cloudstack,
                &["warning", "GCE"],
            ),
        ],
        220,
    );
}

#[test]
fn documents_of_services_in_each_shape() {
    const HETZNER: (&str, &str) = ("dmi/sys_vendor", "Hetzner\n");
    const GOOGLE: (&str, &str) = ("dmi/product_name", "Google Compute Engine\n");
    const ORACLE: (&str, &str) = ("dmi/chassis_asset_tag", "OracleCloud.com\n");
    let gcp_six = r#"{"instance": {"id": 17034251190773344561, "name": "n-1", "hostname": "n-1.deep.example.com", "zone": "projects/4/zones/us-east1-b",
        "attributes": {"user-data": "CiAK", "user-data-encoding": "base64"},
        "networkInterfaces": [{"mac": "42:01:0A:00:00:07", "ipv6s": ["fd20::7"], "mtu": 8896, "accessConfigs": null}, {"mac": "42:01:0a:00:00:08", "ip": "10.9.0.2", "ipv6s": []}]},
        "project": {"projectId": "example.com:p", "attributes": null}}"#;
    let upcloud = r#"{"instance_id": "u-1", "hostname": "dove.a.b", "public_keys": null, "region": null, "network": {"interfaces": [
        {"mac": "EE:1B:DB:00:00:01", "ip_addresses": [{"address": "2001:db8::7", "dhcp": true, "dns": ["2001:db8::53"]}, {"address": "203.0.113.9", "dhcp": false, "dns": null, "floating": true, "gateway": "", "network": "203.0.113.9/32"}]},
        {"mac": "ee:1b:db:00:00:02", "ip_addresses": null}], "dns": ["192.0.2.53"]}, "user_data": null, "vendor_data": null}"#;
    hold(
        &[
            (
                "",
                &[GOOGLE, ("LL/computeMetadata/v1/index", gcp_six)],
                &[
                    "COREOS_CUSTOM_INSTANCE_ID=17034251190773344561",
                    "COREOS_CUSTOM_PROVIDER_ID=gce://example.com:p/us-east1-b/n-1",
                    "COREOS_GCE_HOSTNAME=n-1.deep.example.com",
                    "DHCP=ipv6",
                    "DHCP=ipv4",
                    "MTUBytes=8896",
                ],
                &["DHCP=yes", "COREOS_GCE_INSTANCE_ID"],
            ),
            (
                "",
                &[
                    ORACLE,
                    (
                        "LL/opc/v2/instance/index",
                        r#"{"id": "ocid1.x", "displayName": "My Node (1)", "hostname": null, "metadata": {"user_data": "IAo="}, "region": null}"#,
                    ),
                    ("LL/opc/v2/vnics/index", "[]"),
                ],
                &["exit 0", "COREOS_CUSTOM_PROVIDER_ID=oci://ocid1.x"],
                &["/etc/hostname", "/etc/systemd/network"],
            ),
            (
                "upcloud",
                &[("LL/metadata/v1.json", upcloud)],
                &[
                    "DNS=2001:db8::53",
                    "DNS=192.0.2.53",
                    "Address=203.0.113.9/32",
                    "IPv6AcceptRA=yes",
                    "PermanentMACAddress=ee:1b:db:00:00:02",
                ],
                &["warning"],
            ),
            (
                "",
                &[
                    ("dmi/product_name", "CloudStack KVM Hypervisor\n"),
                    ("/http/data-server/latest/meta-data/instance-id", "c-1\n"),
                    ("/http/data-server/latest/meta-data/local-hostname", "Wren.cs.internal\n"),
                    ("/http/data-server/latest/meta-data/service-offering", "Small Instance\n"),
                    ("/http/data-server/latest/user-data", USER_64),
                ],
                &[
                    MADE,
                    "COREOS_CLOUDSTACK_SERVICE_OFFERING=\"Small Instance\"",
                    "COREOS_CUSTOM_NODE_NAME=wren",
                    "COREOS_CUSTOM_PROVIDER_ID=cloudstack:///c-1",
                ],
                &["warning"],
            ),
            (
                "",
                &[
                    HETZNER,
                    (
                        "LL/hetzner/v1/metadata/index",
                        "hostname: ~\ninstance-id: 9007199254740993\npublic-keys:\n- ssh-ed25519 AAAA k\n-\nnetwork-config: ~\n",
                    ),
                    ("LL/hetzner/v1/userdata", USER_64),
                    (
                        "LL/hetzner/v1/metadata/private-networks",
                        "- {ip: 10.0.0.2, mac_address: 86:0:0:1:2:3}\n- {}\n- ~\n",
                    ),
                ],
                &[
                    MADE,
                    "COREOS_CUSTOM_PROVIDER_ID=hcloud://9007199254740993",
                    "PermanentMACAddress=86:00:00:01:02:03",
                    "COREOS_HETZNER_PRIVATE_IPV4_0=10.0.0.2",
                ],
                &["warning"],
            ),
        ],
        300,
    );
}

#[test]
fn documents_of_further_services_in_each_shape() {
    hold(
        &[
            (
                "digitalocean",
                &[(
                    "LL/metadata/v1.json",
                    r#"{"droplet_id": "9", "hostname": "Wren.example", "tags": null, "features": null, "dns": null, "user_data": null, "public_keys": "ssh-ed25519 A a\nssh-ed25519 B b",
                    "interfaces": {"public": [{"mac": "E6:10:20:30:40:50", "ipv4": null, "ipv6": {"ip_address": "2A03:B0C0:0003:00D0:0000:0000:0ABC:D001", "cidr": 64, "gateway": "2A03:B0C0:3:D0::1"}}], "private": null}}"#,
                )],
                &[
                    "Wren",
                    "COREOS_CUSTOM_NODE_NAME=wren.example",
                    "Address=2a03:b0c0:3:d0::abc:d001/64",
                    "Gateway=2a03:b0c0:3:d0::1",
                    "COREOS_DIGITALOCEAN_IPV6_PUBLIC_0=2a03:b0c0:3:d0::abc:d001",
                ],
                &["warning", "COREOS_DIGITALOCEAN_INSTANCE_ID"],
            ),
            // Private networks alone.
            (
                "digitalocean",
                &[(
                    "LL/metadata/v1.json",
                    r#"{"droplet_id": 10, "hostname": "wren", "dns": {"nameservers": ["192.0.2.53"]}, "interfaces": {"private": [
                    {"mac": "e6:10:20:30:40:60", "ipv4": {"ip_address": "10.116.0.3", "netmask": "255.255.240.0", "gateway": "10.116.0.1"}}]}}"#,
                )],
                &["Address=10.116.0.3/20", "DNS=192.0.2.53"],
                &["Gateway=", "warning"],
            ),
            (
                "ionoscloud",
                &[
                    ("/file/etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
                    ("/file/var/lib/cloud/seed/nocloud/user-data", USER),
                    ("/file/var/lib/cloud/seed/nocloud/meta-data", "local-hostname: wren\n"),
                ],
                &[MADE, "COREOS_CUSTOM_INSTANCE_ID=0123456789abcdef0123456789abcdef"],
                &["ionos://", "warning"],
            ),
            (
                "scaleway",
                &[
                    (
                        "/http/169.254.42.42/conf",
                        r#"{"id": "s-1", "hostname": "kite", "zone": "fr-par-2", "tags": ["AUTHORIZED_KEY=ssh-ed25519_AAA_me"], "ssh_public_keys": null, "public_ip": null, "public_ips_v4": [],
                    "public_ips_v6": [{"address": "2001:DB8:5::1", "netmask": 64, "gateway": null}, {"address": "2001:db8:6::1", "netmask": "128", "gateway": "fe80::1"}]}"#,
                    ),
                    ("/http/169.254.42.42/user_data/cloud-init", USER),
                ],
                &[
                    MADE,
                    "kite",
                    "COREOS_CUSTOM_PROVIDER_ID=scaleway://instance/fr-par-2/s-1",
                    "Address=2001:db8:5::1/64",
                    "Address=2001:db8:6::1/128",
                    "Gateway=fe80::1",
                    "COREOS_SCALEWAY_PUBLIC_IPV6=2001:db8:5::1",
                ],
                &["DHCP=ipv4", "warning"],
            ),
            (
                "akamai",
                &[
                    ("LL/v1/token", "token"),
                    (
                        "LL/v1/instance",
                        r#"{"id": 9007199254740993, "label": "kite_1", "region": null, "tags": null, "specs": null}"#,
                    ),
                    (
                        "LL/v1/network",
                        r#"{"interfaces": null, "ipv4": null, "ipv6": {"slaac": null, "ranges": ["2001:db8:9::/64"]}}"#,
                    ),
                    ("LL/v1/ssh-keys", r#"{"users": null}"#),
                    ("LL/v1/user-data", USER_64),
                ],
                &[
                    MADE,
                    "kite-1",
                    "COREOS_CUSTOM_PROVIDER_ID=linode://9007199254740993",
                    "COREOS_AKAMAI_IPV6_RANGE_0=2001:db8:9::/64",
                    "COREOS_AKAMAI_INSTANCE_TAGS=",
                ],
                &[],
            ),
            // A service that has the user-data alone: the id is the machine's serial number.
            (
                "akamai",
                &[
                    ("LL/v1/token", "token"),
                    ("dmi/product_serial", "71234567\n"),
                    ("LL/v1/user-data", USER_64),
                ],
                &[MADE, "COREOS_CUSTOM_PROVIDER_ID=linode://71234567"],
                &["error"],
            ),
        ],
        400,
    );
}

#[test]
fn vultrs_documents_in_each_shape() {
    const VULTR: (&str, &str) = ("dmi/sys_vendor", "Vultr\n");
    let nics = r#"{"instance-v2-id": "v-1", "hostname": "ruff", "user-data": [], "interfaces": [
        {"mac": "56:00:05:AA:00:01", "network-type": "public", "mtu": 1400, "ipv4": {"address": "203.0.113.40", "netmask": "255.255.255.0",
            "additional": [{"address": "198.51.100.9", "netmask": "255.255.255.0", "routes": [{"network": "10.77.0.0", "netmask": "255.255.0.0", "gateway": "198.51.100.1"}]}]}},
        {"mac": "5a:00:05:aa:00:02", "network-type": "private", "mtu": "8900", "routes": [{"network": "172.20.0.0", "netmask": "255.255.0.0", "gateway": "10.9.96.1"}],
            "ipv4": {"address": "10.9.96.4", "gateway": "", "netmask": "255.255.240.0", "additional": []}, "ipv6": {"network": "", "prefix": "", "additional": []}},
        {"mac": "5a:00:05:aa:00:03", "network-type": "private", "unconfigured": true, "ipv4": {"address": "10.8.0.4", "netmask": "255.255.240.0"}}]}"#;
    let private = r#"{"instance-v2-id": "v-2", "interfaces": [{"mac": "5a:00:05:aa:00:04", "network-type": "private",
        "ipv4": {"address": "10.9.96.5", "gateway": "10.9.96.1", "netmask": "255.255.240.0", "additional": []}}]}"#;
    let newer = r#"{"instance-v2-id": "v-3", "interfaces": [], "cloud_interfaces": {"version": 1, "config": [{"type": "nameserver", "address": ["192.0.2.53"]},
        {"type": "physical", "mac_address": "56:00:05:aa:00:05", "accept-ra": 1, "subnets": [{"type": "dhcp", "control": "auto"}, {"type": "ipv6_slaac", "control": "auto"},
            {"type": "static6", "control": "auto", "address": "2001:db8:78::/64"}]},
        {"type": "physical", "mac_address": "5a:00:05:aa:00:06", "subnets": [{"type": "static", "address": "10.9.96.6", "netmask": "255.255.240.0"}]}]}}"#;
    hold(
        &[
            (
                "",
                &[VULTR, ("LL/v1.json", nics)],
                &[
                    "PermanentMACAddress=56:00:05:aa:00:01",
                    "MTUBytes=1400",
                    "Address=198.51.100.9/24",
                    "Destination=10.77.0.0/16",
                    "MTUBytes=8900",
                    "Address=10.9.96.4/20",
                    "Destination=172.20.0.0/16",
                    "Gateway=10.9.96.1",
                ],
                &["5a:00:05:aa:00:03", "warning", "Name=card"],
            ),
            (
                "",
                &[VULTR, ("LL/v1.json", private)],
                &["Address=10.9.96.5/20", "MTUBytes=1450", "Gateway=10.9.96.1", "DNS=108.61.10.10"],
                &["DHCP=ipv4", "warning"],
            ),
            (
                "",
                &[VULTR, ("LL/v1.json", newer)],
                &[
                    "PermanentMACAddress=56:00:05:aa:00:05",
                    "DHCP=ipv4",
                    "IPv6AcceptRA=yes",
                    "DNS=192.0.2.53",
                    "Address=2001:db8:78::/64",
                    "PermanentMACAddress=5a:00:05:aa:00:06",
                    "Address=10.9.96.6/20",
                ],
                &["Name=card", "108.61.10.10", "warning"],
            ),
        ],
        600,
    );
}

#[test]
fn contexts_and_lxds_metadata_in_each_shape() {
    const LABEL: (&str, &str) = ("/labels", "CONTEXT\tiso9660\t/dev/sr0\t\n");
    const CONTEXT: &str = "/drive/CONTEXT/context.sh";
    const METADATA: &str = "/http/lxd/1.0/meta-data";
    let links =
        r#"[{"name": "ens3", "mac": "02:00:0a:06:00:09", "addresses": [], "default_route": [false, false]}]"#;
    let old = "VMID='7'\nSET_HOSTNAME='reed_7'\nETH0_IP='10.6.0.9'\nETH0_MASK='255.255.0.0'\nETH0_GATEWAY='10.6.0.1'\n";
    let wrong = "VMID='8'\nETH0_MAC='02:00:0a:06:00:0a'\nETH0_IP6='2001:db8:6::a'\nETH0_MTU='big'\nETH0_ROUTES='172.20.0.0/16 by 10.6.0.1, , 172.21.0.0/16 via 10.6.0.2'\n";
    let further = "VMID='8'\nHOSTNAME='reed_8'\nETH0_MAC='02:00:0a:06:00:0b'\nETH0_IP='10.6.0.11'\nETH0_MASK='255.255.254.0'
ETH0_IPV6='2001:db8:6::b'\nETH0_IP6_PREFIX_LENGTH='56'\nETH0_IP6_ULA='fd00:6::b'\nETH0_GATEWAY6='fe80::6'\nETH0_METRIC='70'
ETH0_ALIAS0_IP='10.6.0.12'\nETH0_ALIAS0_MASK='33'\nETH0_ALIAS0_IP6='2001:db8:6::c'\nETH0_ALIAS0_IP6_PREFIX_LENGTH='120'
ETH0_ALIAS1_IP='10.6.0.13'\nETH0_ALIAS1_EXTERNAL='Yes'\n";
    let repeated =
        "#cloud-config\ninstance-id: c1\nlocal-hostname: c1\nlocal-hostname: reed\ninstance-id: own\n";
    let twice = "#cloud-config\ninstance-id: c1\nlocal-hostname: c1\nrack: a\nrack: b\n";
    hold(
        &[
            (
                "",
                &[LABEL, (CONTEXT, old)],
                &["reed-7", "Name=eth0", "Address=10.6.0.9/16", "Gateway=10.6.0.1"],
                &[],
            ),
            // What a person called it, as OpenNebula's own scripts take it.
            (
                "",
                &[LABEL, (CONTEXT, "VMID='8'\nSET_HOSTNAME='Reed (test) no. 8!.lab'\n")],
                &["Reed--test--no", "COREOS_CUSTOM_NODE_NAME=reed--test--no.8.lab"],
                &["error"],
            ),
            ("", &[LABEL, (CONTEXT, "VMID='8'\nSET_HOSTNAME=' - '\n")], &["exit 0"], &["/etc/hostname"]),
            (
                "",
                &[LABEL, ("/links", links), (CONTEXT, old)],
                &["MACAddress=02:00:0a:06:00:09", "Address=10.6.0.9/16"],
                &["Name=eth0"],
            ),
            (
                "",
                &[LABEL, (CONTEXT, wrong)],
                &[
                    "warning: context.sh: ETH0_MTU: is not of the form that OpenNebula writes, and is left out; correct it in the template",
                    "warning: context.sh: ETH0_ROUTES: is not of the form that OpenNebula writes, and is left out; correct it in the template",
                    "Destination=172.21.0.0/16",
                    "Address=2001:db8:6::a/64",
                ],
                &["Address=10.6.0.10", "172.20.0.0"],
            ),
            (
                "",
                &[LABEL, (CONTEXT, further)],
                &[
                    "exit 0",
                    "Address=10.6.0.11/23",
                    "Address=2001:db8:6::b/56",
                    "Address=fd00:6::b/64",
                    "Address=2001:db8:6::c/120",
                    "Address=10.6.0.12/24",
                    // The IPv6 route has the other one's metric.
                    "Gateway=fe80::6",
                    "Metric=70",
                    "warning: context.sh: ETH0_ALIAS0_MASK: is not of the form that OpenNebula writes, and is left out; correct it in the template",
                    "warning: context.sh: HOSTNAME: a machine's name can't have `_`, and this machine takes `-` for it; rename the instance",
                ],
                &["10.6.0.13", "error"],
            ),
            // Each family has its own way to get addresses.
            (
                "",
                &[
                    LABEL,
                    (
                        CONTEXT,
                        "VMID='8'\nETH0_MAC='02:00:0a:06:00:0c'\nETH0_METHOD='skip'\nETH0_IP6_METHOD='auto'\n",
                    ),
                ],
                &["exit 0", "DHCP=no", "IPv6AcceptRA=yes"],
                &["Address=10.6.0.12"],
            ),
            (
                "",
                &[LABEL, (CONTEXT, "VMID='8'\nETH0_MAC='02:00:0a:06:00:0d'\nETH0_METHOD='DHCP'\n")],
                &[
                    "exit 0",
                    "warning: context.sh: ETH0_METHOD: is not of the form that OpenNebula writes, and is left out; correct it in the template",
                ],
                &["/etc/systemd/network"],
            ),
            (
                "",
                &[LABEL, (CONTEXT, "VMID='9'\nETH0_DNS='10.6.0.2'\n")],
                &["exit 0"],
                &["/etc/systemd/network"],
            ),
            (
                "lxd",
                &[(METADATA, repeated), ("/http/lxd/1.0/config/cloud-init.network-config", "# none\n")],
                &["reed", "COREOS_CUSTOM_INSTANCE_ID=own"],
                &["warning", "/etc/systemd/network"],
            ),
            ("lxd", &[(METADATA, twice)], &["exit 65"], &[]),
        ],
        700,
    );
}

/// What a platform says is not taken for more than it says, and no word in it for something else.
#[test]
fn likely_readings_that_are_wrong() {
    let hyper_v = [("dmi/sys_vendor", "Microsoft Corporation\n"), ("dmi/product_name", "Virtual Machine\n")];
    let document = ("LL/metadata/instance/index", r#"{"compute": {"vmId": "B-9"}}"#);
    let data = ("LL/metadata/instance/compute/userData", USER_64);
    let tag = ("dmi/chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77\n");
    let metadata = "hostname: my-AWS-GCP-AFTERBURN-node\ninstance-id: 42\npublic-keys: []\n";
    hold(
        &[
            // Any host of Hyper-V has that vendor: Azure is told by its tag alone, and nothing else is asked.
            (
                "",
                &[hyper_v[0], hyper_v[1], document, data],
                &["exit 69"],
                &[MADE, "COREOS_CUSTOM_INSTANCE_ID"],
            ),
            (
                "",
                &[hyper_v[0], hyper_v[1], tag, document, data],
                &[MADE, "COREOS_CUSTOM_INSTANCE_ID=b-9"],
                &[],
            ),
            // Flatcar's own unit renames Afterburn's names of platforms in the values too.
            (
                "",
                &[
                    ("dmi/sys_vendor", "Hetzner\n"),
                    ("LL/hetzner/v1/metadata/index", metadata),
                    ("LL/hetzner/v1/userdata", USER),
                ],
                &[
                    MADE,
                    "COREOS_HETZNER_HOSTNAME=my-AWS-GCP-AFTERBURN-node",
                    "AFTERBURN_HETZNER_HOSTNAME=my-AWS-GCP-AFTERBURN-node",
                ],
                &["my-EC2", "my-COREOS"],
            ),
        ],
        500,
    );
}
