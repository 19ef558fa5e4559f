// SPDX-License-Identifier: Apache-2.0
//! What only the kernel's `ioctl(2)` says of network interfaces and does to them: their names changed over at once
//! (`SIOCSIFNAME` of `netdevice(7)`), the address that one was made with and its driver (`SIOCETHTOOL`).

use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, anyhow};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// `MAX_ADDR_LEN` of linux/netdevice.h.
const MAX_ADDRESS: usize = 32;

/// linux/ethtool.h's `struct ethtool_perm_addr`, with room for the longest address.
#[repr(C)]
struct PermanentAddress {
    cmd: u32,
    size: u32,
    data: [u8; MAX_ADDRESS],
}

/// The same header's `struct ethtool_drvinfo`. What comes after the driver's name is not looked at.
#[repr(C)]
struct DriverInfo {
    cmd: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// The address that the interface was made with, which it keeps while a bond gives it another; none for one that has no
/// hardware behind it. It is what networkd compares `PermanentMACAddress=` to.
pub fn permanent_address(name: &str) -> Option<String> {
    // ETHTOOL_GPERMADDR.
    let size = u32::try_from(MAX_ADDRESS).ok()?;
    let asked = PermanentAddress { cmd: 0x20, size, data: [0; MAX_ADDRESS] };
    let answer = ethtool(name, asked)?;
    let octets = answer.data.get(..usize::try_from(answer.size).ok()?)?;
    let known = octets.iter().any(|octet| *octet != 0);
    known.then(|| octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(":"))
}

/// The name of the interface's driver: what networkd compares `Driver=` to.
pub fn driver(name: &str) -> Option<String> {
    // ETHTOOL_GDRVINFO.
    let answer = ethtool(name, DriverInfo { cmd: 0x03, driver: [0; 32], rest: [0; 160] })?;
    let text = answer.driver.split(|byte| *byte == 0).next().map(String::from_utf8_lossy)?;
    (!text.is_empty()).then(|| text.into_owned())
}

/// Hands one of the two structures above to the driver, which fills it in.
fn ethtool<T>(name: &str, mut asked: T) -> Option<T> {
    let socket = any_socket().ok()?;
    let request = request(name, libc::__c_anonymous_ifr_ifru { ifru_data: (&raw mut asked).cast() }).ok()?;
    // SAFETY: the request is a whole ifreq whose name ends in NUL. It points to the structure of its command, which has the
    // size that the kernel fills; both live for the call, and the kernel keeps neither.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw const request) };
    Errno::result(done).ok().map(|_| asked)
}

/// The kernel wants any socket for these calls. One of this machine alone is enough, and footplate-network.service gets no other.
fn any_socket() -> Result<OwnedFd> {
    Ok(socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?)
}

/// Gives each interface its new name, also where they are each other's. All or none.
///
/// # Errors
/// A name that can't be given: the interface is gone, or up on a kernel before 6.2, or another interface took the name. The
/// interfaces then have the names that they had.
pub fn change_over(names: &[(&str, &str)]) -> Result<()> {
    let socket = any_socket()?;
    let call = |from: &str, to: &str| -> Result<()> {
        let request = request(from, libc::__c_anonymous_ifr_ifru { ifru_newname: chars(to)? })?;
        // SAFETY: the request is a whole ifreq that lives for the call, both its names end in NUL; the kernel keeps none.
        let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFNAME, &raw const request) };
        Errno::result(done).map(drop).with_context(|| format!("renaming {from} to {to}"))
    };
    // By way of names that no link has.
    let between: Vec<String> = (0..names.len()).map(|n| format!("footplate{n}")).collect();
    let there = names.iter().zip(&between).map(|((from, _), between)| (*from, between.as_str()));
    let onward = names.iter().zip(&between).map(|((_, to), between)| (between.as_str(), *to));
    let mut done: Vec<(&str, &str)> = Vec::new();
    for (from, to) in there.chain(onward) {
        if let Err(error) = call(from, to) {
            for (from, to) in done.iter().rev() {
                call(to, from)?;
            }
            return Err(error);
        }
        done.push((from, to));
    }
    Ok(())
}

fn request(name: &str, rest: libc::__c_anonymous_ifr_ifru) -> Result<libc::ifreq> {
    Ok(libc::ifreq { ifr_name: chars(name)?, ifr_ifru: rest })
}

/// A name as the kernel takes it.
fn chars(text: &str) -> Result<[libc::c_char; libc::IFNAMSIZ]> {
    let mut name = [0; libc::IFNAMSIZ];
    // One less: a NUL stands at the end.
    if text.len() >= name.len() {
        return Err(anyhow!("{text}: longer than {} bytes", libc::IFNAMSIZ - 1));
    }
    for (place, byte) in name.iter_mut().zip(text.bytes()) {
        *place = byte as libc::c_char;
    }
    Ok(name)
}
