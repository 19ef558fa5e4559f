// SPDX-License-Identifier: Apache-2.0
//! What the maker of an image decides of footplate's own behaviour, for every machine of that image.

use std::time::Duration;

/// What an image decides. The default is what holds without a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long a platform may take to answer all questions.
    pub metadata_wait: Duration,
    /// How long the machine may take to be online.
    pub network_wait: Duration,
    /// How long the API server that a node joins may take to answer before kubeadm runs.
    pub endpoint_wait: Duration,
    /// How long the bootstrap may take, kubeadm among its commands.
    pub bootstrap_wait: Duration,
    /// What is done before kubeadm: nothing, what stands against it is told, or kubeadm does not run where it could only fail.
    pub preflight: Strictness,
    /// How often a `join` that failed is tried again.
    pub join_retries: u32,
    /// The pause before it is tried again for the first time; each next one is twice as long.
    pub retry_pause: Duration,
    /// What is done with data that nobody signed whose key the image has: it is not looked at, it is told, or it is not used.
    pub signature: Strictness,
    /// Whether a kernel argument that names a platform decides where DMI names another one. Otherwise that is an error.
    pub argument_decides: bool,
    /// Whether a metadata service is asked without a token where it gives none.
    pub imdsv1: bool,
    /// Whether the platform is told how the bootstrap stands.
    pub report_platform: bool,
    /// Whether a failure is shown on the console.
    pub report_console: bool,
    /// The directory of node_exporter's text files, where the state is written for Prometheus.
    pub textfile: Option<String>,
    /// Whether the Node object of a machine that joined gets a condition.
    pub condition: bool,
    /// Whether user-data is deleted on a platform that allows it, once the bootstrap has succeeded.
    pub delete_user_data: bool,
    /// Whether bootstrap data in AWS' secret stores is deleted there, once it is on the node's disk.
    pub delete_secrets: bool,
}

/// How much something counts that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// It is not looked at.
    Off,
    /// What is wrong is told.
    Warn,
    /// What is wrong ends the run.
    Stop,
}

impl Default for Policy {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Self {
            // Metadata services are up a minute after the machine is, and platforms give a machine up after 20.
            metadata_wait: minutes(5),
            // DHCP over a slow switch takes a minute.
            network_wait: minutes(5),
            // An order of magnitude is a control plane that boots beside its workers.
            endpoint_wait: minutes(10),
            bootstrap_wait: minutes(30),
            preflight: Strictness::Warn,
            join_retries: 3,
            retry_pause: Duration::from_secs(10),
            signature: Strictness::Off,
            argument_decides: false,
            imdsv1: false,
            report_platform: true,
            report_console: true,
            textfile: None,
            condition: false,
            delete_user_data: true,
            delete_secrets: true,
        }
    }
}
