// SPDX-License-Identifier: Apache-2.0
//! Names of network interfaces, changed over at once: `SIOCSIFNAME` of `netdevice(7)`.

use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, Result, anyhow};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// Gives each interface its new name, also where they are each other's. All or none.
///
/// # Errors
/// A name that can't be given: the interface is gone, or up on a kernel before 6.2, or somebody else took the name. The
/// interfaces then have the names that they had.
pub fn change_over(names: &[(&str, &str)]) -> Result<()> {
    // The kernel wants any socket for this.
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let call = |from: &str, to: &str| -> Result<()> {
        let request = request(from, to)?;
        // SAFETY: the request is a whole ifreq that lives for the call, both its names end in NUL; the kernel keeps none.
        let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFNAME, &raw const request) };
        Errno::result(done).map(drop).with_context(|| format!("renaming {from} to {to}"))
    };
    // By way of names that nobody has.
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

fn request(from: &str, to: &str) -> Result<libc::ifreq> {
    let name = |text: &str| -> Result<[libc::c_char; libc::IFNAMSIZ]> {
        let mut name = [0; libc::IFNAMSIZ];
        // One less: a NUL stands at the end.
        if text.len() >= name.len() {
            return Err(anyhow!("{text}: longer than {} bytes", libc::IFNAMSIZ - 1));
        }
        for (place, byte) in name.iter_mut().zip(text.bytes()) {
            *place = byte.cast_signed();
        }
        Ok(name)
    };
    Ok(libc::ifreq {
        ifr_name: name(from)?,
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_newname: name(to)? },
    })
}
