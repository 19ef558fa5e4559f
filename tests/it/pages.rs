// SPDX-License-Identifier: Apache-2.0
//! The completions and man pages of a release: shells and groff read them, and the program prints those that are installed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use footplate::facade::bake::lock::OWN_ARCHITECTURE;
use serde_json::json;

use crate::common::debian::unpacked;
use crate::common::scratch::{FOOTPLATE, Ran, Scratch, footplate, fresh};
use crate::common::vmware::{build, programs};

/// Makes the pages below a directory of the test's own.
fn made(name: &str) -> PathBuf {
    build(&["--package", "pages"]);
    let share = fresh(name).join("share");
    Ran::of(Command::new(programs().join("pages")).arg(&share)).ended(0, &[]);
    share
}

fn bash(script: &str, share: &Path) -> Ran {
    Ran::of(Command::new("bash").args(["-euc", script, "bash"]).arg(share))
}

#[test]
fn bash_completes_commands_options_and_values() {
    let share = made("pages-bash");
    bash("bash -n \"$1/bash-completion/completions/footplate\"", &share).ended(0, &[]);
    let complete = |words: &str, prefix: &str| {
        let script = format!(
            ". \"$1/bash-completion/completions/footplate\"; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
             _footplate footplate '{prefix}' \"${{COMP_WORDS[COMP_CWORD - 1]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        bash(&script, &share).ended(0, &[]).out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete("footplate re", "re"), ["render", "report", "retry"]);
    assert_eq!(complete("footplate status --wa", "--wa"), ["--wait", "--watch"]);
    assert_eq!(complete("footplate status --format ''", ""), ["text", "json"]);
    let commands = complete("footplate ''", "");
    let help = footplate(&["--help"]).out;
    let listed = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let listed = listed.lines().filter(|l| l.starts_with("  ") && !l.starts_with("   "));
    let listed: Vec<&str> = listed.filter_map(|l| l.split_whitespace().next()).collect();
    assert!(listed.len() > 15, "{help}");
    for command in listed {
        assert!(commands.iter().any(|c| c == command), "{command}: {commands:?}");
    }
}

#[test]
fn zsh_and_fish_take_their_completions() {
    let zsh = needs!(unpacked(&["zsh", "zsh-common"]));
    let share = made("pages-zsh");
    // As a zsh loads it whose owner has the file among its functions.
    let load = "setopt extended_glob; module_path=($2/usr/lib/*/zsh/*(/)); fpath=($1/zsh/site-functions $2/usr/share/zsh/functions/**/*(/))
        autoload -Uz compinit; compinit -u -D; autoload +X _footplate && print $_comps[footplate] $+functions[_footplate]";
    let mut command = Command::new(zsh.join("bin/zsh"));
    let ran = Ran::of(command.args(["-fc", load, "zsh"]).arg(&share).arg(&zsh));
    assert_eq!(ran.ended(0, &[]).out, "_footplate 1\n", "{}", ran.err);
    let fish = needs!(unpacked(&["fish", "libpcre2-32-0"]));
    let mut command = Command::new(fish.join("usr/bin/fish"));
    command
        .env("LD_LIBRARY_PATH", fish.join("usr/lib/x86_64-linux-gnu"))
        .env("HOME", share.parent().unwrap());
    let load = "source $argv[1]; complete -C 'footplate status --wa'";
    command.args(["-Nc", load]).arg(share.join("fish/vendor_completions.d/footplate.fish"));
    let ran = Ran::of(&mut command);
    let words = ran.ended(0, &[]).out.lines().filter_map(|line| line.split('\t').next());
    assert_eq!(words.collect::<Vec<_>>(), ["--wait", "--watch"], "{}", ran.err);
}

/// groff warns of nothing, each page has its command, and each command has its page.
#[test]
fn groff_takes_the_man_pages() {
    needs!(program("groff", "groff-base"));
    let share = made("pages-man");
    let pages: Vec<PathBuf> =
        fs::read_dir(share.join("man/man1")).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(pages.len() > 20, "{pages:?}");
    for page in &pages {
        let ran = Ran::of(Command::new("groff").args(["-man", "-ww", "-Tutf8", "-P-cbou"]).arg(page));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", page.display());
        let name = page.file_stem().unwrap().to_str().unwrap();
        assert!(ran.out.contains("SYNOPSIS") && ran.out.contains(name), "{name}: {}", ran.out);
    }
    let page = |name: &str| fs::read_to_string(share.join("man/man1").join(name)).unwrap();
    assert!(page("footplate-status.1").contains("Wait until the bootstrap"));
    assert!(page("footplate-bake-lock.1").contains("Sigstore"));
    assert!(page("footplate-status.1").contains(".SH \"EXIT STATUS\"\nExit codes: 0 done"));
}

/// A lock installs them where the program, the shells and man look for them, as dist/release packs them.
#[test]
fn a_lock_installs_the_pages() {
    let (share, root) = (made("pages-baked"), Scratch::new("pages-baked-root"));
    let from = share.parent().unwrap();
    let pack = "tar -C \"$1/..\" -czf \"$1/../footplate-pages.tar.gz\" share; sha256sum \"$1/../footplate-pages.tar.gz\"";
    let digest = bash(pack, &share).ended(0, &[]).out[..64].to_owned();
    let lock = json!({"version": 1, "arch": OWN_ARCHITECTURE, "artifacts": [{
        "name": "footplate-pages", "version": "v0", "url": "https://release.invalid/footplate-pages.tar.gz",
        "sha256": digest, "install": [{"from": "share", "to": "/opt/share/", "mode": "0644"}],
    }]});
    let file = from.join("lock.json");
    fs::write(&file, lock.to_string()).unwrap();
    root.put("/etc/os-release", "ID=flatcar\n");
    let [lock, from] = [&file, from].map(|path| path.to_str().unwrap());
    footplate(&["bake", "--root", root.arg(), "--lock", lock, "--from", from]).ended(0, &[]);
    for path in ["man/man1/footplate-status.1", "bash-completion/completions/footplate"] {
        let link = fs::read_link(root.path(&format!("/opt/share/{path}"))).unwrap();
        let target = root.path(&format!("/opt/share/{path}")).parent().unwrap().join(link);
        assert_eq!(fs::read(&target).unwrap(), fs::read(share.join(path)).unwrap(), "{path}");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o644);
    }
}

/// What is installed is printed; else it is said where it is.
#[test]
fn the_program_prints_what_is_installed() {
    needs!(root("a root of its own"));
    let (share, root) = (made("pages-installed"), Scratch::new("pages-installed-root"));
    root.put_program("/footplate", fs::read(FOOTPLATE).unwrap());
    let completion =
        |shell: &str| Ran::of(Command::new("chroot").args([root.arg(), "/footplate", "completion", shell]));
    completion("fish").ended(64, &["the completion for fish is not installed", "pages.tar.gz"]);
    for dir in ["/opt", "/usr"] {
        fs::create_dir_all(root.path(dir)).unwrap();
        Ran::of(Command::new("cp").arg("-r").arg(&share).arg(root.path(dir))).ended(0, &[]);
        for (shell, path) in footplate::facade::cli::COMPLETIONS {
            let file = fs::read_to_string(share.join(path)).unwrap();
            assert_eq!(completion(shell).ended(0, &[]).out, file, "{shell}");
        }
        fs::remove_dir_all(root.path(dir)).unwrap();
    }
    completion("tcsh").ended(64, &["tcsh"]);
}
