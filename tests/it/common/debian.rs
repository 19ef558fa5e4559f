// SPDX-License-Identifier: Apache-2.0
//! Debian's packages, unpacked beside the tests: what they bring is used and the machine stays as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use super::needs::{Need, said};
use super::scratch::Ran;

/// The root below which these packages are unpacked, once; without what they depend on.
pub fn unpacked(packages: &[&str]) -> Need<PathBuf> {
    fetched(packages[0], packages, "$APT download \"$@\"")
}

/// The same of packages that this machine's release need not have, from another suite by the machine's own mirror.
pub fn unpacked_of(suite: &str, packages: &[&str]) -> Need<PathBuf> {
    let fetch = "mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -m1 '/debian/$')
        mkdir -p apt/lists/partial apt/cache/archives/partial
        keys=/usr/share/keyrings/debian-archive-keyring.gpg
        echo \"deb [signed-by=$keys] $mirror $suite main\" > apt/sources
        theirs() {
            apt-get -q -o APT::Sandbox::User=root -o Dir::Etc::SourceList=\"$PWD/apt/sources\" -o Dir::Etc::SourceParts=/dev/null \\
                -o Dir::State::Lists=\"$PWD/apt/lists\" -o Dir::Cache=\"$PWD/apt/cache\" \"$@\"
        }
        theirs update; theirs download \"$@\"; rm -r apt";
    fetched(&format!("{}-{suite}", packages[0]), packages, &format!("suite={suite}; {fetch}"))
}

/// The directory of the real kubeadm and kubelet, built from Debian's source. Building them takes some minutes, once.
pub fn kubernetes() -> PathBuf {
    programs("--kubernetes")
}

/// That of the programs of a control plane: twice as long, once.
pub fn control_plane() -> PathBuf {
    programs("--control-plane")
}

fn programs(which: &str) -> PathBuf {
    let run = format!("{}/qemu-tests/run", env!("CARGO_MANIFEST_DIR"));
    let made = Ran::of(Command::new("timeout").args(["2400", &run, which]));
    made.ended(0, &[]);
    PathBuf::from(made.out.trim())
}

fn fetched(name: &str, packages: &[&str], fetch: &str) -> Need<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian").join(name);
    let root = dir.join("root");
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap();
    if !root.exists() {
        fs::create_dir_all(&dir).unwrap();
        let script = format!(
            "set -e; rm -rf *.deb new; {fetch}
            for deb in *.deb; do dpkg-deb -x \"$deb\" new; done; mv new root; rm *.deb"
        );
        let mut command = Command::new("timeout");
        command.args(["1200", "sh", "-c", &script, "sh"]).args(packages).current_dir(&dir);
        command.env("APT", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/apt"));
        let packages = packages.join(", ");
        said(&mut command)
            .map_err(|e| format!("Debian's packages {packages}: make `tests/apt download` work\n{e}"))?;
    }
    Ok(root)
}
