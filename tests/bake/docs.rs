// SPDX-License-Identifier: Apache-2.0
//! The commands of `docs/images.md` do what it says, in its order.

use std::fs;
use std::os::unix::fs::symlink;

use crate::image::Image;
use crate::scratch::footplate;

#[test]
fn the_documented_commands_make_an_image() {
    let text = fs::read_to_string(format!("{}/docs/images.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    // What a shell is given, a provisioner's list or Ansible's: from the program's name to the end of the command.
    let command = |line: &str| {
        let line = line.trim().trim_start_matches("- ansible.builtin.command: ");
        let line = line.trim_start_matches('"').trim_end_matches("\",");
        let rest = line.strip_prefix("footplate ").or_else(|| line.strip_prefix("/tmp/footplate "))?;
        Some(rest.to_owned())
    };
    let commands: Vec<String> = text.lines().filter_map(command).filter(|c| c.contains("--root /")).collect();
    let verbs: Vec<&str> = commands.iter().map(|c| c.split(' ').next().unwrap()).collect();
    assert_eq!(verbs, ["bake", "verify", "seal"].repeat(3), "{commands:#?}");
    for (number, steps) in commands.chunks(3).enumerate() {
        let image = Image::new(&format!("docs-{number}"));
        image.publish_node("v1.34.1");
        // As image-builder leaves it.
        if steps[0].contains("--allow foreign") {
            image.put_program("/opt/bin/kubeadm", "its own");
            image.put("/etc/systemd/system/kubelet.service", "[Service]\nExecStart=/opt/bin/kubelet\n");
            symlink("/dev/null", image.path("/etc/systemd/system/locksmithd.service")).unwrap();
        }
        for step in steps {
            let step = step.replace("--root /", &format!("--root {}", image.root.display()));
            let step = step.replace("/tmp/lock.json", image.lock.to_str().unwrap());
            let mut words: Vec<&str> = step.split_whitespace().collect();
            if words[0] == "bake" {
                words.extend(["--from", image.from.to_str().unwrap()]);
            }
            footplate(&words).ended(0, &[]);
        }
        assert!(image.path("/oem/config.ign").exists() && image.path("/boot/flatcar/first_boot").exists());
    }
}
