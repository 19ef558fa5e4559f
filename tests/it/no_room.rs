// SPDX-License-Identifier: Apache-2.0
//! A node without room: its disk or `/run` is full, no inode is left, `/etc` is read-only. The error names the file, the bootstrap does not start, and
//! once there is room a second run makes the node that a run with room makes.

use std::fs;
use std::path::Path;
use std::thread;

use nix::mount::{MsFlags, mount, umount};

use crate::common::sandbox::Sandbox;
use crate::common::scratch::{Scratch, provision, seed};
use crate::cut::{USERS, furnish, made};

fn tmpfs(at: &Path, options: &str) {
    fs::create_dir_all(at).unwrap();
    mount(Some("none"), at, Some("tmpfs"), MsFlags::empty(), Some(options)).unwrap();
}

/// What is wrong with a machine, and what the error says.
type Fault = (&'static str, fn(&Scratch), fn(&Scratch), &'static [&'static str]);

const FAULTS: &[Fault] = &[
    (
        "/run is full",
        |root| {
            tmpfs(&root.path("/run"), "size=16k,mode=755");
            root.put("/run/ballast", vec![0; 8 << 10]);
        },
        |root| {
            mount(None::<&str>, &root.path("/run"), None::<&str>, MsFlags::MS_REMOUNT, Some("size=1m"))
                .unwrap()
        },
        &["/run/", "No space left on device", "`df -i`"],
    ),
    (
        "no inode is left",
        |root| tmpfs(&root.path("/srv"), "nr_inodes=2,mode=755"),
        |root| {
            mount(None::<&str>, &root.path("/srv"), None::<&str>, MsFlags::MS_REMOUNT, Some("nr_inodes=99"))
                .unwrap()
        },
        &["/srv/new", "No space left on device", "`df -i`"],
    ),
    (
        "/etc is read-only",
        |root| {
            let etc = root.path("/etc");
            mount(Some(&etc), &etc, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
            let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            mount(None::<&str>, &etc, None::<&str>, flags, None::<&str>).unwrap();
        },
        |root| umount(&root.path("/etc")).unwrap(),
        &["/etc/", "Read-only file system"],
    ),
];

#[test]
fn a_node_without_room_says_so_and_is_completed_once_there_is_some() {
    needs!(root("mounts and owners"));
    let run = || {
        let _sandbox = Sandbox::enter("no-room", &[]);
        let seed = seed("no-room", USERS);
        let room = Scratch::new("room");
        furnish(&room);
        fs::create_dir(room.path("/srv")).unwrap();
        provision(&seed, &room).ended(0, &[]);
        let wanted = made(&room);
        for (what, spoil, mend, says) in FAULTS {
            let root = Scratch::new(&format!("no-room {what}").replace('/', "-"));
            furnish(&root);
            fs::create_dir(root.path("/srv")).unwrap();
            spoil(&root);
            let ran = provision(&seed, &root);
            assert!(ran.code != 0, "{what}: {}", ran.err);
            for text in *says {
                assert!(ran.err.contains(text), "{what}: {text:?} is not in\n{}", ran.err);
            }
            let told = ran.err.lines().filter(|line| !line.starts_with("warning: ")).collect::<String>();
            assert!(["ENO", "EROFS", "os error"].iter().all(|raw| !told.contains(raw)), "{what}: {told}");
            assert!(!root.path("/run/footplate/bootstrap").exists(), "{what}: the bootstrap would start");
            mend(&root);
            let _ = fs::remove_file(root.path("/run/ballast"));
            provision(&seed, &root).ended(0, &[]);
            let is = made(&root);
            assert!(is == wanted, "{what}:\n{}", crate::common::scratch::difference(&wanted, &is));
        }
    };
    if let Err(panic) = thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}

/// A small disk that is full before the run begins, or becomes full in the middle of it.
#[test]
fn a_disk_that_becomes_full_is_told_and_the_node_is_completed_once_there_is_room() {
    needs!(root("mounts and owners"));
    let run = || {
        let _sandbox = Sandbox::enter("full-disk", &[]);
        let seed = seed("full-disk", USERS);
        let wanted = {
            let room = Scratch::new("full-disk-room");
            furnish(&room);
            provision(&seed, &room).ended(0, &[]);
            made(&room)
        };
        let mut failed = 0;
        // How many pages are left of the disk.
        for left in (0..200).step_by(7) {
            let root = Scratch::new("full-disk");
            tmpfs(&root.dir, "size=2m,mode=755");
            furnish(&root);
            let ballast = root.path("/ballast");
            let _ = fs::write(&ballast, vec![1; 2 << 20]);
            let size = fs::metadata(&ballast).unwrap().len();
            let file = fs::OpenOptions::new().write(true).open(&ballast).unwrap();
            file.set_len(size.saturating_sub(left * 4096)).unwrap();
            drop(file);
            let ran = provision(&seed, &root);
            if ran.code != 0 {
                failed += 1;
                // Where, what, and what to do.
                let told = ["error: ", "/", "No space left on device", "hint: ", "`df -i`"];
                assert!(told.iter().all(|text| ran.err.contains(text)), "{left} pages: {}", ran.err);
                assert!(!root.path("/run/footplate/bootstrap").exists(), "{left} pages: it would start");
            }
            fs::remove_file(&ballast).unwrap();
            provision(&seed, &root).ended(0, &[]);
            let is = made(&root);
            assert!(is == wanted, "{left} pages:\n{}", crate::common::scratch::difference(&wanted, &is));
            umount(&root.dir).unwrap();
        }
        assert!(failed >= 3, "{failed} runs met a full disk");
    };
    if let Err(panic) = thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}
