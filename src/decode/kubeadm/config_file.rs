// SPDX-License-Identifier: Apache-2.0
//! The configuration that commands hand to kubeadm: whether the data writes it.

use super::reads::{MAX_NAMED, is_open, named};
use crate::model::config::NodeConfig;
use crate::model::problem::{Pos, Problem};
use crate::model::secret::Secret;
use crate::model::storage::File;

/// The code of a file that `--config` names and nothing writes.
pub const MISSING: &str = "kubeadm/config-missing";

/// An error for each `kubeadm init` and `kubeadm join` whose `--config` names a file that nothing of the data mentions elsewhere.
/// Its position is one in the command. A path with a variable in it is not looked at, and nor is data with parts that are not read here.
/// Where files of the data can't be read, `unread` is its text, and a path is one of them that stands there beside the commands.
pub fn problems(config: &NodeConfig, unread: Option<&str>) -> Vec<Problem> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("\\\n", " ");
    let program = |file: &&File| file.content.expose().starts_with(b"#!");
    let programs: Vec<&File> = config.files.iter().filter(program).collect();
    let key = |file: &File| if file.place.starts_with("storage.") { "contents.source" } else { "content" };
    let commands: Vec<(String, &Secret)> = config
        .runcmd
        .iter()
        .enumerate()
        .map(|(i, line)| (format!("runcmd[{i}]"), line))
        .chain(config.scripts.iter().map(|s| (s.place.clone(), &s.content)))
        .chain(programs.iter().map(|f| (format!("{}.{}", f.place, key(f)), &f.content)))
        .collect();
    let written: Vec<&str> =
        commands.iter().map(|(_, c)| std::str::from_utf8(c.expose()).unwrap_or_default()).collect();
    let commands: Vec<(&str, String)> =
        commands.iter().map(|(place, c)| (place.as_str(), text(c.expose()))).collect();
    // A command may make the file, and so may whatever runs before.
    let hooks = [&config.boothooks, &config.included_hooks, &config.boot_scripts];
    let others = hooks.into_iter().flatten().map(|script| &script.content).chain(&config.bootcmd);
    let others: Vec<String> = others.map(|content| text(content.expose())).collect();
    let named: Vec<Vec<&str>> = commands.iter().map(|(_, command)| configs(command).collect()).collect();
    let mut problems = Vec::new();
    let paths = named.iter().enumerate().flat_map(|(i, paths)| paths.iter().map(move |path| (i, *path)));
    for (i, path) in paths.take(MAX_NAMED) {
        let place = commands[i].0;
        // Another program may write it under a name that it makes up.
        let another = programs.iter().any(|f| !place.starts_with(f.place.as_str()));
        // A relative path is one from where the commands are.
        let at = path.trim_start_matches("./").trim_start_matches("../");
        let is_it =
            |f: &File| f.path == path || !path.starts_with('/') && f.path.ends_with(&format!("/{at}"));
        let mentions = |text: &str| text.matches(path).count();
        let only_named = |((_, command), named): (&(&str, String), &Vec<&str>)| {
            mentions(command) == named.iter().filter(|p| **p == path).count()
        };
        let by_commands = named.iter().flatten().filter(|p| **p == path).count();
        if !another
            && unread.is_none_or(|text| mentions(text) == by_commands)
            && !config.files.iter().any(is_it)
            && commands.iter().zip(&named).all(only_named)
            && others.iter().all(|o| mentions(o) == 0)
        {
            let what = "`kubeadm --config` names a file that nothing writes";
            let line = 1 + written[i].lines().position(|l| l.contains(path)).unwrap_or(0);
            let within = Some(Pos { line, column: 1 });
            problems.push(
                Problem { within, ..Problem::error(place, what) }
                    .cure("write the file with `write_files` (an object's `files`), or correct its path")
                    .code(MISSING),
            );
        }
    }
    problems
}

/// A warning where the data writes a configuration for kubeadm and nothing of it ever names kubeadm as a program.
pub fn unused(config: &NodeConfig) -> Option<Problem> {
    let is_config = |text: &str| text.contains("kubeadm.k8s.io/") && text.contains("Configuration");
    let mut found = None;
    for file in &config.files {
        let text = file.content.expose_text();
        if is_config(&text) && (text.contains("JoinConfiguration") || text.contains("InitConfiguration")) {
            found = found.or(Some(file));
        } else if text.contains("kubeadm") {
            return None;
        }
    }
    let units =
        config.units.iter().flat_map(|u| u.contents.iter().chain(u.dropins.iter().map(|(_, text)| text)));
    let mut texts = config.programs().chain(units);
    let file = found.filter(|_| !texts.any(|text| text.expose_text().contains("kubeadm")))?;
    let what =
        "a configuration for kubeadm, and no command of the data runs kubeadm: the machine joins no cluster";
    let problem = Problem::warning(file.place.clone(), what).code("bootstrap/none");
    Some(problem.cure(format!("add `kubeadm join --config {}` to `runcmd`", file.path)))
}

/// The paths behind `--config` of kubeadm's `init` and `join`.
fn configs(text: &str) -> impl Iterator<Item = &str> {
    named(text).filter(|n| n.option == "--config" && n.bootstrap && !is_open(n.word)).map(|n| n.word)
}
