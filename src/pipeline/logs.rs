// SPDX-License-Identifier: Apache-2.0
//! The logs of this node's parts, where kubeadm's own output names only the part that failed.

use std::io::{Read as _, Seek as _, SeekFrom};

use anyhow::Result;

use crate::diagnosis::{self, Log};
use crate::io::exec::{self, Entry};
use crate::io::root::Root;

/// Where the kubelet has the containers' logs: a directory NAMESPACE_POD_UID for a pod, a directory in it for a container, a file
/// N.log there for the container's N-th start
/// ([Kubernetes](https://kubernetes.io/docs/concepts/cluster-administration/logging/#log-location-node)).
const PODS: &str = "/var/log/pods";

/// How much of a log's end is read, in bytes.
const TAIL: u64 = 64 << 10;

/// The end of a log. A log that can't be read says nothing. `journal` is that of the bootstrap: what the kubelet wrote before
/// kubeadm started it is none of this bootstrap, since it ends again and again until it has its configuration.
pub fn read(root: &Root, log: Log, journal: &[Entry]) -> String {
    match log {
        Log::Kubelet => {
            let lines = journal.iter().map(|entry| (entry.at_ms, entry.message.as_str()));
            let start = diagnosis::phases(lines).into_iter().rfind(|(_, phase)| *phase == "kubelet-start");
            let begin = start.map_or(0, |(at, _)| at);
            // A kubelet that ends by its own will lists what each of its parts was doing: that is more than is read.
            let errors: Option<fn(&str) -> bool> = Some(diagnosis::is_error);
            let entries = exec::journal_of("kubelet.service", None, errors).unwrap_or_default();
            let entries = entries.into_iter().filter(|entry| entry.at_ms >= begin);
            entries.map(|entry| entry.message + "\n").collect()
        }
        Log::Container(name) => of_container(root, name).unwrap_or_default(),
    }
}

/// The ends of a container's last two logs: the last start may be only a moment old.
fn of_container(root: &Root, name: &str) -> Result<String> {
    let mut text = String::new();
    let pods = root.list(PODS)?;
    for pod in pods.iter().filter(|pod| pod.starts_with(&format!("kube-system_{name}-"))) {
        let dir = format!("{PODS}/{pod}/{name}");
        let mut logs = root.list(&dir)?;
        logs.sort_by_key(|log| log.trim_end_matches(".log").parse::<u32>().unwrap_or_default());
        for log in &logs[logs.len().saturating_sub(2)..] {
            let Some(mut file) = root.open_file(&format!("{dir}/{log}"))? else { continue };
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
            let mut bytes = Vec::new();
            file.take(TAIL).read_to_end(&mut bytes)?;
            text += &String::from_utf8_lossy(&bytes);
            text.push('\n');
        }
    }
    Ok(text)
}
