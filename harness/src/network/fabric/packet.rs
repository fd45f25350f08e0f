//! The few bytes of an IP packet that the switch looks at.

use std::net::Ipv4Addr;

/// An IPv4 header without options (RFC 791, section 3.1).
const IPV4_HEADER_BYTES_MIN: usize = 20;
/// Where the source address starts in it.
const SOURCE_OFFSET: usize = 12;
/// Where the destination address starts in it.
const DESTINATION_OFFSET: usize = 16;

/// Where an IPv4 packet wants to go. `None` for anything else: IPv6 (interfaces chat by themselves when they come up), or
/// something too short to be a packet.
pub(super) fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    address(packet, DESTINATION_OFFSET)
}

/// Where an IPv4 packet comes from, as it says.
pub(super) fn source(packet: &[u8]) -> Option<Ipv4Addr> {
    address(packet, SOURCE_OFFSET)
}

fn address(packet: &[u8], offset: usize) -> Option<Ipv4Addr> {
    if packet.len() < IPV4_HEADER_BYTES_MIN || packet[0] >> 4 != 4 {
        return None;
    }
    let bytes: [u8; 4] = packet[offset..offset + 4].try_into().ok()?;
    Some(Ipv4Addr::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_an_ipv4_header_only() {
        let mut packet = [0; 20];
        packet[0] = 0x45;
        packet[12..16].copy_from_slice(&[10, 84, 76, 1]);
        packet[16..20].copy_from_slice(&[10, 84, 76, 2]);
        assert_eq!(destination(&packet), Some(Ipv4Addr::new(10, 84, 76, 2)));
        assert_eq!(source(&packet), Some(Ipv4Addr::new(10, 84, 76, 1)));
        assert_eq!(destination(&packet[..19]), None);
        packet[0] = 0x60;
        assert_eq!(destination(&packet), None);
        assert_eq!(destination(&[]), None);
    }
}
