// SPDX-License-Identifier: Apache-2.0
//! What the tests, the benchmarks and the fuzz targets use of the program, under the names that it has inside. Everything else is
//! private to the crate, so the compiler finds what nothing uses.

#![allow(missing_docs)]

pub mod model {
    pub use crate::model::{fetch, network, plan, policy, problem};

    pub mod config {
        pub use crate::model::config::{NodeConfig, UnitSpec};
    }
    pub mod facts {
        pub use crate::model::facts::{Facts, Os};
    }
    pub mod instance {
        pub use crate::model::instance::Instance;
    }
    pub mod secret {
        pub use crate::model::secret::Secret;
    }
    pub mod storage {
        pub use crate::model::storage::partition_path;
    }
    pub mod time {
        pub use crate::model::time::Time;
    }
}

pub mod decode {
    pub use crate::decode::{Decoded, capi, merged, user_data};

    pub mod capa {
        pub use crate::decode::capa::{is_transport, parse};
    }
    pub mod cloud_config {
        pub use crate::decode::cloud_config::check_hostname;
    }
    pub mod document {
        pub use crate::decode::document::{Documents, Source, no_fetch, read, sniff};

        pub mod envelope {
            pub use crate::decode::document::envelope::{Encoding, MAX_DECODED, open};
        }
        pub mod jinja {
            pub use crate::decode::document::jinja::{HEADER, Variables, render};
        }
    }
    pub mod ignition {
        pub use crate::decode::ignition::decode;
    }
    pub mod kubeadm {
        pub mod expiry {
            pub use crate::decode::kubeadm::expiry::problems;
        }
        pub mod prepare {
            pub use crate::decode::kubeadm::prepare::{Values, prepare};
        }
    }
    pub mod network {
        pub use crate::decode::network::{parse, parse_guestinfo_legacy, parse_interfaces, parse_kargs};
    }
    pub mod azure {
        pub use crate::decode::azure::{GoalState, provisioning};
    }
    pub mod ovf {
        pub use crate::decode::ovf::properties;
    }
    pub mod syntax {
        pub mod json {
            pub use crate::decode::syntax::json::parse;
        }
        pub mod yaml {
            pub use crate::decode::syntax::yaml::parse;
        }
    }
}

pub mod plan {
    pub use crate::plan::node;

    pub mod kubeadm {
        pub use crate::plan::kubeadm::bootstraps;
    }
    pub mod metadata {
        pub use crate::plan::metadata::items;
    }
    pub mod network {
        pub use crate::plan::network::{NetFile, Rendered, Unit, render};
    }
}

pub mod io {
    pub use crate::io::{Ask, Console, Error, Tell, World};

    pub mod disk {
        pub use crate::io::disk::{Entry, in_use, probe, size, table, types};
    }
    pub mod guestinfo {
        pub use crate::io::guestinfo::{Guestinfo, hypervisor_signature};
    }
    pub mod http {
        pub use crate::io::http::{Client, Error, Method, Request, Response, Sink, Unfinished, Way};
    }
    pub mod live {
        pub use crate::io::live::Live;
    }
    pub mod nic {
        pub use crate::io::nic::{change_over, driver, permanent_address};
    }
    pub mod replay {
        pub use crate::io::replay::Replay;
    }
    pub mod root {
        pub use crate::io::root::Root;
    }
}

pub mod apply {
    pub use crate::apply::{Done, apply, compare, outline};

    pub mod manifest {
        pub use crate::apply::manifest::MANIFEST;
    }
}

pub mod bake {
    pub use crate::bake::lay_out;

    pub mod attestation {
        pub use crate::bake::attestation::verify;
    }
    pub mod cosign {
        pub use crate::bake::cosign::{Authority, Signer, key, signed};
    }
    pub mod location {
        pub use crate::bake::location::Location;
        pub use crate::bake::store::Origin;
    }
    pub mod lock {
        pub use crate::bake::lock::{Lock, OWN_ARCHITECTURE};
    }
    pub mod progress {
        pub use crate::bake::progress::Progress;
    }
    pub mod published {
        pub use crate::bake::published::{Trust, lock};
    }
    pub mod seal {
        pub use crate::bake::seal::seal;
    }
    pub mod store {
        pub use crate::bake::store::digest_of;
    }
}

pub mod cli {
    pub use crate::cli::{COMPLETIONS, Cli};
}

pub mod platform {
    pub use crate::platform::{PLATFORMS, Platform, Reach, Wanted, detect, facts, fetch};
}

pub mod pipeline {
    pub mod redact {
        pub use crate::pipeline::redact::{Known, redact};
    }
    pub mod settle {
        pub use crate::pipeline::settle::Ended;
    }
    pub mod sources {
        pub use crate::pipeline::sources::fetch;
    }
}
