#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The crate smbios-lib 0.9.4 reads the UUID of each table in the byte order of SMBIOS 2.6, also where it is told that the table is older: of
# a machine with SMBIOS 2.4, an older virtual machine of VMware for example, it has another UUID than dmidecode 3.4 and the kernel, and by
# its UUID a node is found in what made it.
. "${BASH_SOURCE%/*}/fetch"
debian 'dmidecode=3.4-*'
crates smbios-lib@=0.9.4 <<'RUST'
use smbioslib::{SMBiosData, SMBiosSystemInformation, SMBiosVersion};
fn main() {
    let [_, file, minor] = &std::env::args().collect::<Vec<_>>()[..] else { panic!("FILE MINOR") };
    let version = SMBiosVersion { major: 2, minor: minor.parse().unwrap(), revision: 0 };
    let data = SMBiosData::from_vec_and_version(std::fs::read(file).unwrap(), Some(version));
    println!("{}", data.first::<SMBiosSystemInformation>().unwrap().uuid().unwrap());
}
RUST

# table MINOR: the table of a machine with SMBIOS 2.MINOR as ./table, and with its entry point, as dmidecode writes it, as ./dump.
table() {
    /usr/bin/python3 - "$1" <<'PYTHON'
import struct, sys
minor = int(sys.argv[1])
uuid = bytes.fromhex("00112233445566778899aabbccddeeff")
table = struct.pack("<BBHBBBB", 1, 27, 1, 1, 2, 0, 0) + uuid + bytes((6, 0, 0)) + b"Maker\0Machine\0\0" + struct.pack("<BBH", 127, 4, 2) + b"\0\0"
entry = bytearray(b"_SM_\0" + struct.pack("<BBBHB5x", 31, 2, minor, 64, 0) + b"_DMI_\0" + struct.pack("<HIHB", len(table), 32, 2, 0x20 | minor))
entry[0x15] = -sum(entry[0x10:]) & 255
entry[4] = -sum(entry) & 255
open("table", "wb").write(table)
open("dump", "wb").write(bytes(entry).ljust(32, b"\0") + table)
PYTHON
}
uuids() {
    table "$1"
    echo "dmidecode $(root/usr/sbin/dmidecode --from-dump dump -s system-uuid), smbios-lib $(probe/target/debug/probe table "$1")"
}
same 'SMBIOS 2.8' 'dmidecode 33221100-5544-7766-8899-aabbccddeeff, smbios-lib 33221100-5544-7766-8899-aabbccddeeff' "$(uuids 8)"
same 'SMBIOS 2.4' 'dmidecode 00112233-4455-6677-8899-aabbccddeeff, smbios-lib 33221100-5544-7766-8899-aabbccddeeff' "$(uuids 4)"
