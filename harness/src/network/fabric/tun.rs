//! A TUN interface with its address: what is sent to it by the kernel is read here, and the other way round.

use std::ffi::CStr;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::network::kernel;

/// Every namespace has its own interface of this name.
const NAME: &CStr = c"line0";
/// The same interface, for its second address.
const ALIAS: &CStr = c"line0:1";
/// All addresses of a fabric are on one network: the connected route suffices.
const MASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);
/// Without offload, so that one packet read is one packet on the wire.
pub(super) const MTU_BYTES: u16 = 1500;

/// One end of an interface; the interface goes away with it.
#[derive(Debug)]
pub(super) struct Tun {
    device: OwnedFd,
}

impl Tun {
    /// Makes the interface in the calling thread's network namespace. The handle stays usable elsewhere.
    pub(super) fn create(address: Ipv4Addr) -> io::Result<Self> {
        let device = kernel::open_tun_device()?;
        kernel::create_tun(&device, NAME)?;
        kernel::configure_interface(NAME, address, MASK, MTU_BYTES)?;
        Ok(Tun { device })
    }

    /// Gives the interface in the calling thread's network namespace another address.
    pub(super) fn add_address(address: Ipv4Addr) -> io::Result<()> {
        kernel::configure_interface(ALIAS, address, MASK, MTU_BYTES)
    }

    /// The next packet that the namespace has sent, if there is one.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match rustix::io::read(&self.device, buffer) {
            Ok(length) => Ok(Some(length)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Hands a packet to the namespace. Never waits.
    pub(super) fn write(&self, packet: &[u8]) -> io::Result<()> {
        rustix::io::write(&self.device, packet)?;
        Ok(())
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}
