// SPDX-License-Identifier: Apache-2.0
//! Files of networkd that are not ours: a person's, Ignition's, another program's. Where one of them takes a NIC, ours
//! is left out, wherever the other sorts: a file that was written for a NIC by hand is meant for it.

use super::files::{DIR, PREFIX, Rendered};
use super::matching::glob;
use crate::model::network::Nic;
use crate::model::plan::{Item, Plan};
use crate::model::problem::Problem;

/// A `.network` file that stands beside ours.
#[derive(Clone, Debug)]
pub struct Theirs {
    /// Its path.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Theirs {
    /// Whether the file takes that NIC: all keys of its `[Match]` that are known here agree, and one of them names it, or
    /// the file sorts before ours, so that networkd never comes to ours. A file that does neither is a default for the
    /// NICs that no other file takes.
    fn takes(&self, nic: &Nic) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        // Sections of one name are one, and a file without any takes nothing: systemd.network(5).
        let (mut named, mut any, mut unknown) = (false, false, false);
        for (key, value) in self.matching() {
            any = true;
            // A list that begins with `!` names what must not match.
            let (value, inverted) = value.strip_prefix('!').map_or((value, false), |rest| (rest, true));
            let words: Vec<&str> = value.split_whitespace().collect();
            let mac = |mac: &Option<crate::model::network::Mac>| {
                mac.as_ref().is_some_and(|m| words.iter().any(|w| w.parse().is_ok_and(|w| *m == w)))
            };
            let text =
                |text: &Option<String>| text.as_ref().is_some_and(|t| words.iter().any(|w| glob(w, t)));
            let agrees = match key {
                "MACAddress" => mac(&nic.mac),
                "PermanentMACAddress" => mac(&nic.permanent_mac),
                "Driver" => text(&nic.driver),
                "Name" => text(&Some(nic.name.clone())),
                "Kind" => text(&nic.kind),
                "Type" => words.contains(&"ether"),
                _ => {
                    unknown = true;
                    continue;
                }
            };
            if agrees == inverted {
                return false;
            }
            named |= !inverted && !matches!(key, "Kind" | "Type") && words != ["*"];
        }
        named || (any && !unknown && name < PREFIX)
    }

    /// The assignments of the `[Match]` section.
    fn matching(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.text.lines().map(str::trim);
        let section = lines.skip_while(|l| *l != "[Match]").skip(1).take_while(|l| !l.starts_with('['));
        section
            .filter(|l| !l.starts_with(['#', ';']))
            .filter_map(|l| l.split_once('='))
            .map(|(k, v)| (k.trim(), v.trim()))
    }
}

/// The `.network` files that a plan writes.
pub fn theirs_in(plan: &Plan) -> Vec<Theirs> {
    let files = plan.items.iter().filter_map(|item| match item {
        Item::File(file) => Some((&file.path, &file.content)),
        _ => None,
    });
    let is_one = |path: &str| {
        let name = path.strip_prefix(DIR).and_then(|name| name.strip_prefix('/'));
        name.is_some_and(|n| n.ends_with(".network") && !n.starts_with(PREFIX) && !n.contains('/'))
    };
    files
        .filter(|(path, _)| is_one(path))
        .map(|(path, content)| Theirs {
            path: path.clone(),
            text: String::from_utf8_lossy(content.expose()).into_owned(),
        })
        .collect()
}

/// Removes footplate's files for a NIC that one of `theirs` configures, and says so.
pub fn step_back(rendered: &mut Rendered, theirs: &[Theirs]) {
    for matched in &rendered.matches {
        let mine = rendered.nics.iter().filter(|n| matched.nics.contains(&n.name));
        let Some(other) = mine.flat_map(|n| theirs.iter().filter(|t| t.takes(n))).next() else { continue };
        if rendered.interfaces.iter().all(|i| i.id != matched.interface) {
            continue;
        }
        rendered.files.retain(|f| !f.is_for(&matched.interface));
        rendered.interfaces.retain(|i| i.id != matched.interface);
        // Whether its link is waited for is for that file to say.
        rendered.nothing_required = false;
        let what = format!("{} takes this NIC: footplate's files for it are left out", other.path);
        rendered.problems.push(
            Problem::warning(format!("network {}", matched.interface), what)
                .cure("remove that file to use the metadata's configuration"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_a_nic() {
        let nic = Nic {
            name: "ens192".to_owned(),
            mac: "00:50:56:aa:bb:03".parse().ok(),
            permanent_mac: "00:50:56:aa:bb:03".parse().ok(),
            driver: Some("vmxnet3".to_owned()),
            kind: None,
        };
        let cases = [
            ("[Match]\nName=ens192\n[Network]\nDHCP=yes\n", true),
            ("[Match]\nName = en*\n", true),
            ("[Match]\nMACAddress=00:50:56:AA:BB:03 00:50:56:aa:bb:04\n", true),
            ("[Match]\nName=ens192\nMACAddress=00:50:56:aa:bb:09\n", false),
            ("[Match]\nDriver=vmxnet3\n", true),
            // Defaults: Flatcar's own zz-default and yy-vmware look like these.
            ("[Match]\nName=*\n", false),
            ("[Match]\nVirtualization=vmware\n", false),
            ("[Network]\nDHCP=yes\n", false),
            ("# Name=ens192\n[Match]\n#Name=ens192\nName=eth0\n", false),
        ];
        let takes = |name: &str, text: &str| {
            let path = format!("/etc/systemd/network/{name}.network");
            Theirs { path, text: text.to_owned() }.takes(&nic)
        };
        for (text, want) in cases {
            assert_eq!(takes("20", text), want, "{text}");
        }
        // A file that sorts before ours takes each NIC that it matches, also as a default would match it.
        let before = [
            ("[Match]\nName=*\n", true),
            ("[Match]\nType=ether\nKind=!*\n", true),
            ("[Match]\nName=!lo docker*\n", true),
            ("[Match]\nType=wlan\n", false),
            ("[Match]\nKind=veth\n", false),
            ("[Match]\nName=!ens*\n", false),
            // Whether this machine is such a one is not known here.
            ("[Match]\nName=*\nVirtualization=container\n", false),
            ("[Match]\n", false),
        ];
        for (text, want) in before {
            assert_eq!(takes("05", text), want, "{text}");
            assert!(!takes("zz-default", text), "{text}");
        }
    }
}
