//! The only module with unsafe code: system calls that have no safe wrapper elsewhere, each made safe to call here.
//!
//! ```text
//!   enter.rs    fork_into, fork, exit_now, Signals             namespaces of the controller
//!   fabric/     new_network_namespace, in_namespace, tun       namespaces and interfaces of the nodes
//!   process.rs  before_exec                                    what a node does between fork and exec
//! ```
//!
//! Interfaces are configured by plain ioctls; netlink is not needed for an address, a mask, an MTU and "up".
#![expect(unsafe_code, reason = "system calls without a safe wrapper; each block says why it is sound")]

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// The device that makes TUN interfaces.
pub(crate) const TUN_DEVICE: &str = "/dev/net/tun";

/// Which of the two processes a fork has returned in.
pub(crate) enum Fork {
    /// In the process that forked; the child's id as seen from here.
    Parent(Pid),
    /// In the new process.
    Child,
}

/// Which namespaces a forked child gets for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Namespaces {
    /// Mounts, process ids and network: what root needs.
    WithoutUser,
    /// The same under a user namespace of its own: what everybody else needs.
    WithUser,
}

/// Forks; the child is process 1 of a new pid namespace and has new mount and network namespaces.
///
/// # Panics
/// When this process has more than one thread: the child would inherit locks whose owners it does not have.
pub(crate) fn fork_into(namespaces: Namespaces) -> io::Result<Fork> {
    let mut flags = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWNET;
    if namespaces == Namespaces::WithUser {
        flags |= libc::CLONE_NEWUSER;
    }
    raw_fork(flags)
}

/// Forks.
///
/// # Panics
/// As [`fork_into`].
pub(crate) fn fork() -> io::Result<Fork> {
    raw_fork(0)
}

fn raw_fork(namespace_flags: libc::c_int) -> io::Result<Fork> {
    assert_eq!(thread_count()?, 1, "forking is only sound while there is a single thread");
    let flags = libc::c_long::from(namespace_flags | libc::SIGCHLD);
    let none: libc::c_long = 0;
    // SAFETY: without CLONE_VM and without a new stack this is a fork: the child runs on a copy of this memory. There is one
    // thread (asserted above), so no lock in the copy is held by a thread that does not exist there.
    let child = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) };
    match child {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        child => Ok(Fork::Parent(Pid::from_raw(child as i32).expect("a child's process id is positive"))),
    }
}

fn thread_count() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}

/// Ends the process without running destructors or exit handlers: those belong to the process it was forked from.
pub(crate) fn exit_now(code: u8) -> ! {
    // SAFETY: `_exit` takes any code and does not return.
    unsafe { libc::_exit(i32::from(code)) }
}

/// Signals that are kept from acting, to be taken one by one with [`wait`](Self::wait).
pub(crate) struct Signals {
    set: libc::sigset_t,
    before: libc::sigset_t,
}

impl Signals {
    /// Blocks these signals for the calling thread. [`restore`](Self::restore) undoes it.
    pub(crate) fn block(signals: &[Signal]) -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigemptyset` initialises the set, which the other calls then read; `before` is written by
        // `pthread_sigmask` when it succeeds, and only then assumed to be initialised.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in signals {
                libc::sigaddset(set.as_mut_ptr(), signal.as_raw());
            }
            match libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr()) {
                0 => Ok(Signals { set: set.assume_init(), before: before.assume_init() }),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        }
    }

    /// Waits for the next of the blocked signals, and tells whether a process sent it (and not the kernel, as for a terminal's
    /// Ctrl-C).
    pub(crate) fn wait(&self) -> io::Result<(Signal, bool)> {
        loop {
            // SAFETY: a `siginfo_t` is plain data, for which all zeroes is a value.
            let mut info: libc::siginfo_t = unsafe { zeroed() };
            // SAFETY: the set is initialised, and `info` is writable for the whole call.
            let signal = unsafe { libc::sigwaitinfo(&self.set, &mut info) };
            match Signal::from_named_raw(signal) {
                Some(signal) => return Ok((signal, info.si_code <= 0)),
                None => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Puts the mask back as it was before.
    pub(crate) fn restore(&self) -> io::Result<()> {
        // SAFETY: `before` was written by `pthread_sigmask`, and the old mask is not wanted.
        match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) } {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Makes a network namespace with its loopback interface up. It lives as long as the descriptor or a process in it.
pub(crate) fn new_network_namespace() -> io::Result<OwnedFd> {
    on_own_thread(|| {
        // SAFETY: the unsafe part of `unshare` is a descriptor table of one's own, and NEWNET does not ask for one.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET)? };
        interface_up(LOOPBACK)?;
        Ok(File::open("/proc/thread-self/ns/net")?.into())
    })
}

/// Runs a function inside a network namespace, on a thread of its own that ends with it. Descriptors it opens there stay usable.
pub fn in_namespace<T: Send>(namespace: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    on_own_thread(|| {
        move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?;
        Ok(work())
    })
}

/// A thread's network namespace cannot always be put back, so the thread is thrown away.
fn on_own_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("namespace".into()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The loopback interface's name.
pub(crate) const LOOPBACK: &CStr = c"lo";

/// Opens [`TUN_DEVICE`], which decides whether this user may make interfaces at all.
pub(crate) fn open_tun_device() -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(TUN_DEVICE, flags, Mode::empty())?)
}

/// Makes a TUN interface in the calling thread's network namespace, of which the device is one end: whole IP packets, nothing
/// in front of them. It goes away with the descriptor.
pub(crate) fn create_tun(device: &OwnedFd, name: &CStr) -> io::Result<()> {
    let mut request = interface_request(name);
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes an `ifreq`, and this is one.
    ioctl(device.as_fd(), |fd| unsafe { libc::ioctl(fd, libc::TUNSETIFF, &mut request) })
}

/// Gives an interface of the calling thread's namespace its address, mask and MTU, and brings it up. The route to the
/// addresses under the mask comes by itself.
pub(crate) fn configure_interface(name: &CStr, address: Ipv4Addr, mask: Ipv4Addr, mtu: u16) -> io::Result<()> {
    let socket = control_socket()?;
    let mut request = interface_request(name);
    request.ifr_ifru.ifru_addr = socket_address(address);
    // SAFETY: SIOCSIFADDR reads an `ifreq` with an address in it, which was just set.
    ioctl(socket.as_fd(), |fd| unsafe { libc::ioctl(fd, libc::SIOCSIFADDR as _, &request) })?;
    request.ifr_ifru.ifru_addr = socket_address(mask);
    // SAFETY: as above, for SIOCSIFNETMASK.
    ioctl(socket.as_fd(), |fd| unsafe { libc::ioctl(fd, libc::SIOCSIFNETMASK as _, &request) })?;
    request.ifr_ifru.ifru_mtu = libc::c_int::from(mtu);
    // SAFETY: SIOCSIFMTU reads an `ifreq` with an MTU in it, which was just set.
    ioctl(socket.as_fd(), |fd| unsafe { libc::ioctl(fd, libc::SIOCSIFMTU as _, &request) })?;
    interface_up(name)
}

/// Brings an interface of the calling thread's namespace up.
pub(crate) fn interface_up(name: &CStr) -> io::Result<()> {
    let socket = control_socket()?;
    let mut request = interface_request(name);
    // SAFETY: SIOCGIFFLAGS writes the flags into an `ifreq`.
    ioctl(socket.as_fd(), |fd| unsafe { libc::ioctl(fd, libc::SIOCGIFFLAGS as _, &mut request) })?;
    // SAFETY: the kernel has just written this field of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    request.ifr_ifru.ifru_flags = flags | libc::IFF_UP as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an `ifreq` with flags in it, which were just set.
    ioctl(socket.as_fd(), |fd| unsafe { libc::ioctl(fd, libc::SIOCSIFFLAGS as _, &request) })
}

fn control_socket() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?)
}

fn ioctl(fd: BorrowedFd<'_>, call: impl FnOnce(libc::c_int) -> libc::c_int) -> io::Result<()> {
    if call(fd.as_raw_fd()) < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// # Panics
/// When the name is longer than the kernel takes; all names are constants of this crate.
fn interface_request(name: &CStr) -> libc::ifreq {
    // SAFETY: an `ifreq` is bytes, numbers and a null pointer: all zeroes is one.
    let mut request: libc::ifreq = unsafe { zeroed() };
    let name = name.to_bytes_with_nul();
    assert!(name.len() <= request.ifr_name.len(), "an interface name has at most 15 bytes");
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = *from as libc::c_char;
    }
    request
}

fn socket_address(address: Ipv4Addr) -> libc::sockaddr {
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: u32::from(address).to_be() },
        sin_zero: [0; 8],
    };
    // SAFETY: both are 16 plain bytes; the family at their start says which of the two it is.
    unsafe { std::mem::transmute::<libc::sockaddr_in, libc::sockaddr>(address) }
}

/// Makes the command's process, between fork and exec, move into a network namespace, and die when the *thread* that spawns
/// it ends. `parent` is this process: a child whose parent died before the request was in place ends at once. SIGUSR2 is ignored
/// until the program handles it: told too early of a change of its faults, a node must not die of that.
pub(crate) fn before_exec(command: &mut Command, namespace: Option<OwnedFd>, parent: Pid) {
    let hook = move || {
        if let Some(namespace) = &namespace {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        }
        set_parent_process_death_signal(Some(Signal::KILL))?;
        if getppid() != Some(parent) {
            return Err(rustix::io::Errno::SRCH.into());
        }
        // SAFETY: ignoring a signal installs no handler of this process; the call may be made in a signal handler, and so here.
        if unsafe { libc::signal(libc::SIGUSR2, libc::SIG_IGN) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    };
    // SAFETY: between fork and exec only calls that are safe in a signal handler may run. The hook makes four plain system
    // calls, allocates nothing, takes no lock, and owns the descriptor it uses.
    unsafe { command.pre_exec(hook) };
}
