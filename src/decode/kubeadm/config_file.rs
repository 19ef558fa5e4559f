// SPDX-License-Identifier: Apache-2.0
//! The configuration that commands hand to kubeadm: whether the data writes it.

use crate::model::config::NodeConfig;
use crate::model::problem::Problem;

/// An error for each `kubeadm init` and `kubeadm join` whose `--config` names a file that nothing of the data mentions elsewhere.
/// A path with a variable in it is not looked at, and nor is data with parts that are not read here.
pub fn problems(config: &NodeConfig) -> Vec<Problem> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let commands: Vec<(String, String)> = config
        .runcmd
        .iter()
        .enumerate()
        .map(|(i, line)| (format!("runcmd[{i}]"), text(line.expose())))
        .chain(config.scripts.iter().map(|s| (s.place.clone(), text(s.content.expose()))))
        .collect();
    // A command may make the file, and so may whatever runs before.
    let hooks = [&config.boothooks, &config.included_hooks, &config.boot_scripts];
    let others = hooks.into_iter().flatten().map(|script| &script.content).chain(&config.bootcmd);
    let others: Vec<String> = others.map(|content| text(content.expose())).collect();
    let mut problems = Vec::new();
    for (place, command) in &commands {
        for path in configs(command) {
            let written =
                config.files.iter().any(|f| f.path == path || f.content.expose().starts_with(b"#!"));
            let mentions = |text: &str| text.matches(path).count();
            let named: usize =
                commands.iter().map(|(_, c)| mentions(c) - configs(c).filter(|p| *p == path).count()).sum();
            if !written && named == 0 && others.iter().all(|o| mentions(o) == 0) {
                let what = "`kubeadm --config` names a file that nothing writes";
                problems.push(
                    Problem::error(place, what)
                        .cure("write the file with `write_files`, or correct its path"),
                );
            }
        }
    }
    problems
}

/// The paths behind `--config` of kubeadm's commands.
fn configs(text: &str) -> impl Iterator<Item = &str> {
    let commands = text.split(['\n', ';', '&', '|', '(', ')', '{', '}', '`']);
    commands.filter_map(|command| {
        let mut words = command.split_whitespace().map(|w| w.trim_matches(['"', '\'']));
        words.find(|word| word.rsplit('/').next() == Some("kubeadm"))?;
        words.find(|word| matches!(*word, "init" | "join"))?;
        let option = words.find_map(|word| word.strip_prefix("--config"))?;
        let path = match option.strip_prefix('=') {
            Some(path) => path,
            None if option.is_empty() => words.next()?,
            None => return None,
        };
        (path.starts_with('/') && !path.contains(['$', '*', '?', '~'])).then_some(path)
    })
}
