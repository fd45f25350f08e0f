//! Moving the controller into namespaces of its own, or finding out why that is not to be had.
//!
//! ```text
//!   outer        waits; ignores a terminal's Ctrl-C, hands other signals down; its exit code is the controller's
//!     |  fork into new (user,) mount, pid and network namespaces
//!   reaper       pid 1 inside: sets everything up, tells the outer how that went, reaps orphans
//!     |  fork
//!   controller   pid 2 inside: returns from `enter` and is the harness; starts threads, nodes, clients
//! ```
//!
//! Whoever of the three dies, nothing is left: the reaper dies with the outer (`PDEATHSIG`), it ends when the controller has
//! ended, and when it ends the kernel kills all processes of its pid namespace; with them go namespaces and interfaces.
//!
//! The outer changes nothing about itself, and the set-up is tried completely (down to a TUN interface with an address)
//! before it commits: some systems let a user namespace be made and deny its capabilities later. So after [`Unavailable`]
//! the process is as good as before and can go on with the proxy. All of this happens while there is one thread.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getegid, geteuid, kill_process, set_parent_process_death_signal, wait,
    waitpid,
};

use super::kernel::{self, Fork, Namespaces, Signals};

/// Exit code when the controller was ended by a signal: "harness error".
const EXIT_HARNESS_ERROR: u8 = 255;

/// What the outer process and the reaper take by `sigwait` instead of being interrupted or ended by it.
const HANDLED: [Signal; 4] = [Signal::CHILD, Signal::INT, Signal::TERM, Signal::HUP];

/// Proof that this process is the controller inside its own namespaces. Only [`enter`] makes it.
#[derive(Clone, Copy, Debug)]
pub struct Entered {
    _made_here: (),
}

/// A step of the set-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Forking into new namespaces.
    Namespaces = 1,
    /// Becoming root inside the user namespace.
    UserMap,
    /// Asking to be killed when the outer process dies.
    DeathSignal,
    /// Making mounts private.
    Mounts,
    /// Mounting a `/proc` that shows the new processes.
    Proc,
    /// Opening `/dev/net/tun`.
    TunDevice,
    /// Making a TUN interface.
    TunInterface,
    /// Giving interfaces an address and bringing them up.
    Interface,
    /// Starting the controller inside.
    Controller,
}

const STEPS: [Step; 9] = [
    Step::Namespaces,
    Step::UserMap,
    Step::DeathSignal,
    Step::Mounts,
    Step::Proc,
    Step::TunDevice,
    Step::TunInterface,
    Step::Interface,
    Step::Controller,
];

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Namespaces => "create namespaces",
            Step::UserMap => "map the user into the new user namespace",
            Step::DeathSignal => "tie the new processes to this one",
            Step::Mounts => "make mounts private",
            Step::Proc => "mount /proc in the new pid namespace",
            Step::TunDevice => "open /dev/net/tun",
            Step::TunInterface => "create a TUN interface",
            Step::Interface => "configure a network interface",
            Step::Controller => "start the controller inside the namespaces",
        })
    }
}

/// The network fabric is not to be had here, and why.
#[derive(Debug, thiserror::Error)]
#[error("the network fabric is unavailable: could not {step}: {source}; {remedy}")]
pub struct Unavailable {
    /// What failed.
    pub step: Step,
    /// How.
    pub source: io::Error,
    /// What to do about it.
    pub remedy: String,
}

impl Unavailable {
    fn new(step: Step, source: io::Error) -> Self {
        let remedy = remedy(step, &source);
        Unavailable { step, source, remedy }
    }
}

/// Moves into namespaces of its own. To be called while the process has one thread.
///
/// Returns `Ok` only in the controller inside; the calling process itself stays outside, waits, and exits with the
/// controller's exit code. `Err` comes in the calling process, which is then unchanged.
pub fn enter() -> Result<Entered, Unavailable> {
    // What is buffered now would be written by each of the three processes.
    let flushed = io::stdout().flush().and_then(|()| io::stderr().flush());
    flushed.map_err(|error| Unavailable::new(Step::Controller, error))?;
    let attempts: &[Namespaces] =
        if geteuid().is_root() { &[Namespaces::WithoutUser, Namespaces::WithUser] } else { &[Namespaces::WithUser] };
    let mut first_failure = None;
    for namespaces in attempts {
        match enter_with(*namespaces) {
            Ok(entered) => return Ok(entered),
            // Root without capabilities may still make a user namespace; if not, the first reason is the one to fix.
            Err(failure) => first_failure.get_or_insert(failure),
        };
    }
    Err(first_failure.expect("there is at least one attempt"))
}

fn enter_with(namespaces: Namespaces) -> Result<Entered, Unavailable> {
    let failed = |step| move |error: io::Error| Unavailable::new(step, error);
    let identity = (geteuid().as_raw(), getegid().as_raw());
    let (mut report, report_writer) = io::pipe().map_err(failed(Step::Controller))?;
    let signals = Signals::block(&HANDLED).map_err(failed(Step::Controller))?;
    let reaper = match kernel::fork_into(namespaces) {
        Ok(Fork::Parent(reaper)) => reaper,
        Ok(Fork::Child) => {
            drop(report);
            return Ok(become_reaper(namespaces, identity, report_writer, &signals));
        }
        Err(error) => {
            restore_or_abort(&signals);
            return Err(Unavailable::new(Step::Namespaces, error));
        }
    };
    drop(report_writer);
    let mut words = Vec::new();
    // Ends when every writer has: the reaper drops its own before it starts the controller.
    let read = report.read_to_end(&mut words);
    match parse_report(&words, read) {
        Ok(()) => {
            let code = guard(reaper, &signals, false);
            std::process::exit(i32::from(code));
        }
        Err(unavailable) => {
            let _ = kill_process(reaper, Signal::KILL);
            let _ = waitpid(Some(reaper), WaitOptions::empty());
            restore_or_abort(&signals);
            Err(unavailable)
        }
    }
}

/// A process that silently ignores Ctrl-C is worse than one that stops here; and restoring a mask that was read from the
/// kernel has no reason to fail.
fn restore_or_abort(signals: &Signals) {
    signals.restore().expect("putting the signal mask back as it was");
}

const REPORT_READY: u8 = 0;

/// One byte for the step, four for the error number; a step of zero means that all is set up.
fn report_bytes(outcome: Result<(), (Step, &io::Error)>) -> [u8; 5] {
    let (step, errno) = match outcome {
        Ok(()) => (REPORT_READY, 0),
        Err((step, error)) => (step as u8, error.raw_os_error().unwrap_or(0)),
    };
    let mut bytes = [step; 5];
    bytes[1..].copy_from_slice(&errno.to_le_bytes());
    bytes
}

fn parse_report(words: &[u8], read: io::Result<usize>) -> Result<(), Unavailable> {
    read.map_err(|error| Unavailable::new(Step::Controller, error))?;
    let Ok([step, errno @ ..]) = <[u8; 5]>::try_from(words) else {
        let error = io::Error::other("the process inside ended without a word");
        return Err(Unavailable::new(Step::Controller, error));
    };
    if step == REPORT_READY {
        return Ok(());
    }
    let step = STEPS.into_iter().find(|known| *known as u8 == step).unwrap_or(Step::Controller);
    Err(Unavailable::new(step, io::Error::from_raw_os_error(i32::from_le_bytes(errno))))
}

/// Pid 1 of the new namespace. Returns in the controller only.
fn become_reaper(
    namespaces: Namespaces,
    identity: (u32, u32),
    mut report: io::PipeWriter,
    signals: &Signals,
) -> Entered {
    let outcome = set_up(namespaces, identity);
    let words = report_bytes(outcome.as_ref().copied().map_err(|(step, error)| (*step, error)));
    // Failing to write means that the outer died before the death signal was asked for: then nobody wants us.
    if report.write_all(&words).is_err() || outcome.is_err() {
        kernel::exit_now(EXIT_HARNESS_ERROR);
    }
    drop(report);
    match kernel::fork() {
        Ok(Fork::Child) => {
            restore_or_abort(signals);
            Entered { _made_here: () }
        }
        Ok(Fork::Parent(controller)) => kernel::exit_now(guard(controller, signals, true)),
        Err(_) => kernel::exit_now(EXIT_HARNESS_ERROR),
    }
}

/// Everything a run will need, tried once.
fn set_up(namespaces: Namespaces, (uid, gid): (u32, u32)) -> Result<(), (Step, io::Error)> {
    fn at<E: Into<io::Error>>(step: Step) -> impl FnOnce(E) -> (Step, io::Error) {
        move |error| (step, error.into())
    }
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(at(Step::DeathSignal))?;
    if namespaces == Namespaces::WithUser {
        // Without privileges the kernel takes a group map only from processes that have given up setgroups.
        fs::write("/proc/self/setgroups", "deny").map_err(at(Step::UserMap))?;
        fs::write("/proc/self/uid_map", format!("0 {uid} 1")).map_err(at(Step::UserMap))?;
        fs::write("/proc/self/gid_map", format!("0 {gid} 1")).map_err(at(Step::UserMap))?;
    }
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).map_err(at(Step::Mounts))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", "/proc", "proc", flags, None).map_err(at(Step::Proc))?;
    let device = kernel::open_tun_device().map_err(at(Step::TunDevice))?;
    try_interfaces(&device)?;
    kernel::interface_up(kernel::LOOPBACK).map_err(at(Step::Interface))
}

fn try_interfaces(device: &OwnedFd) -> Result<(), (Step, io::Error)> {
    kernel::create_tun(device, c"probe").map_err(|error| (Step::TunInterface, error))?;
    let (address, mask) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(255, 255, 255, 0));
    kernel::configure_interface(c"probe", address, mask, 1500).map_err(|error| (Step::Interface, error))
}

/// Waits for a child, handing down the signals that ask to stop; gives the exit code to end with.
///
/// A terminal's Ctrl-C goes to the whole foreground group, so the controller has it already; a SIGINT that a process sent to this
/// one alone is handed down.
fn guard(child: Pid, signals: &Signals, reap_orphans: bool) -> u8 {
    loop {
        match signals.wait() {
            Ok((Signal::CHILD, _)) => {}
            Ok((signal @ (Signal::TERM | Signal::HUP), _)) | Ok((signal @ Signal::INT, true)) => {
                // It may just have ended: the next wait will tell.
                let _ = kill_process(child, signal);
                continue;
            }
            Ok(_) => continue,
            Err(_) => return EXIT_HARNESS_ERROR,
        }
        // One SIGCHLD may stand for several ends.
        loop {
            let ended =
                if reap_orphans { wait(WaitOptions::NOHANG) } else { waitpid(Some(child), WaitOptions::NOHANG) };
            match ended {
                Ok(Some((pid, status))) if pid == child => return exit_code(status),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return EXIT_HARNESS_ERROR,
            }
        }
    }
}

fn exit_code(status: WaitStatus) -> u8 {
    status.exit_status().and_then(|code| u8::try_from(code).ok()).unwrap_or(EXIT_HARNESS_ERROR)
}

/// What to do about a failed step, as far as the system tells.
fn remedy(step: Step, error: &io::Error) -> String {
    let sysctl_is = |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    let capabilities =
        "run with sudo, or in a container with --cap-add SYS_ADMIN --cap-add NET_ADMIN --device /dev/net/tun";
    match step {
        Step::Namespaces | Step::UserMap | Step::Proc | Step::Mounts | Step::TunInterface
            if sysctl_is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") && !geteuid().is_root() =>
        {
            "AppArmor restricts user namespaces: run with sudo, or `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, \
             or install an AppArmor profile that grants `userns` to this program"
                .into()
        }
        Step::Namespaces if sysctl_is("/proc/sys/kernel/unprivileged_userns_clone", "0") => {
            "user namespaces are switched off: run with sudo, or `sysctl -w kernel.unprivileged_userns_clone=1`".into()
        }
        Step::Namespaces if sysctl_is("/proc/sys/user/max_user_namespaces", "0") => {
            "user namespaces are limited to none: run with sudo, or `sysctl -w user.max_user_namespaces=1000`".into()
        }
        Step::Namespaces if error.raw_os_error() == Some(libc::ENOSPC) => {
            "a limit on namespaces is reached: see the files in /proc/sys/user".into()
        }
        Step::TunDevice if !Path::new(kernel::TUN_DEVICE).exists() => {
            "the device is missing: `modprobe tun`, or start the container with --device /dev/net/tun".into()
        }
        Step::TunDevice if error.kind() == io::ErrorKind::PermissionDenied => {
            "this user may not open the device: run with sudo, or `chmod 0666 /dev/net/tun`".into()
        }
        _ => capabilities.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_failure_survives_the_pipe() {
        let denied = io::Error::from_raw_os_error(libc::EACCES);
        let words = report_bytes(Err((Step::TunDevice, &denied)));
        let unavailable = parse_report(&words, Ok(5)).expect_err("a failure was reported");
        assert_eq!(unavailable.step, Step::TunDevice);
        assert_eq!(unavailable.source.kind(), io::ErrorKind::PermissionDenied);
        let text = unavailable.to_string();
        assert!(text.contains("could not open /dev/net/tun") && text.contains("sudo"), "{text}");
    }

    #[test]
    fn ready_is_ready_and_silence_is_not() {
        assert!(parse_report(&report_bytes(Ok(())), Ok(5)).is_ok());
        assert!(parse_report(&[], Ok(0)).is_err());
        assert!(parse_report(&[0], Ok(1)).is_err());
    }
}
