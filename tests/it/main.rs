// SPDX-License-Identifier: Apache-2.0
//! The integration tests, in one program: `cargo test --test it NAME` runs the tests whose path has NAME in it, for
//! instance `users::`. What they share is in `common`; their data stays in the folders beside this one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[macro_use]
mod common;

mod aws;
mod azure;
mod azure_agent;
mod bad_input;
mod bake;
mod bombs;
mod canaries;
mod capa;
mod check;
mod check_objects;
mod check_templates;
mod cloud_init_oracle;
mod condition;
mod containerd_oracle;
mod cut;
mod disks;
mod disks_oracle;
mod docs;
mod faults;
mod found_services;
mod fstab_oracle;
mod fuzz;
mod google_agent;
mod guestinfo;
mod http;
mod ignition;
mod ignition_disks;
mod ignition_oracle;
mod ignition_sources;
mod jinja_oracle;
mod kargs_oracle;
mod kubeadm_prepare;
mod kvp;
mod layering;
mod messages;
mod names;
mod netplan_later;
mod network;
mod network_cli;
mod network_cloud_init;
mod network_oracle;
mod network_property;
mod networkd;
mod nic;
mod no_room;
mod nocloud;
mod nspawn;
mod nspawn_causes;
mod nspawn_join;
mod nspawn_retry;
mod packages;
mod pages;
mod people;
mod platform_cases;
mod platform_shapes;
mod platforms;
mod policy;
mod preflight;
mod promises;
mod reader;
mod s3;
mod schema;
mod schemas;
mod sealed;
mod security;
mod signed;
mod sources;
mod static_binary;
mod systemd;
mod tears;
mod trust;
mod unidentified;
mod units;
mod userdata;
mod userdata_property;
mod users;
mod users_oracle;
mod vsphere;
