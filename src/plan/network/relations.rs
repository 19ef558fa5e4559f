// SPDX-License-Identifier: Apache-2.0
//! How the interfaces of one configuration depend on each other.

use std::collections::HashMap;

use crate::model::network::{Device, Ethernet, Interface};

/// Ports, stacked links and virtual functions by the id of the other side.
pub(super) struct Relations<'a> {
    /// From a port to what it is a port of.
    pub masters: HashMap<&'a str, &'a Interface>,
    /// From a link to the VLANs and VXLANs on top of it.
    pub above: HashMap<&'a str, Vec<&'a Interface>>,
    /// From a NIC to the number of its virtual functions that are named.
    pub functions: HashMap<&'a str, usize>,
}

impl<'a> Relations<'a> {
    pub fn new(interfaces: &'a [Interface]) -> Self {
        let mut relations =
            Self { masters: HashMap::new(), above: HashMap::new(), functions: HashMap::new() };
        for interface in interfaces {
            for port in interface.device.ports() {
                relations.masters.insert(port, interface);
            }
            if let Some(link) = interface.device.link() {
                relations.above.entry(link).or_default().push(interface);
            }
            if let Device::Ethernet(Ethernet { function_of: Some(nic), .. }) = &interface.device {
                *relations.functions.entry(nic).or_default() += 1;
            }
        }
        relations
    }
}
