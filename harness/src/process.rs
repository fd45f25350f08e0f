//! Node processes: starting, stopping, pausing and watching them.
//!
//! ```text
//!   anybody --NodeCommand--> spawner thread --fork--> setns, death signal --exec--> node (process group of its own)
//!                            (permanent)                                              |
//!   NodeProcess: kill, pause, resume, power_loss, try_exit <--------------------------+   stdout, stderr -> log file
//! ```
//!
//! Nodes never outlive the harness, however it ends: each asks the kernel to be killed when the thread that spawned it ends
//! (`PDEATHSIG` is about threads, not processes), so all are spawned from one thread that lives as long as the [`Spawner`].
//! A process group of its own keeps a terminal's Ctrl-C away from a node, and lets its helpers be stopped with it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, kill_process, kill_process_group, pidfd_open, waitid,
};

use crate::network::kernel;

/// How long a process may take to be gone after SIGKILL. Only one stuck in the kernel needs more.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a node may take to write its torn tail and exit after the power-failure signal.
const POWER_LOSS_TIMEOUT: Duration = Duration::from_secs(2);
/// What a node exits with when it was told to lose its power (`docs/node-contract.md`).
const POWER_LOSS_EXIT: i32 = 75;
/// Spawn requests under way at once; further ones wait.
const REQUESTS_MAX: usize = 64;

/// What to start.
#[derive(Debug)]
pub struct NodeCommand {
    /// The program's path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables beside those it inherits.
    pub env: Vec<(OsString, OsString)>,
    /// Where it is started; the harness's own directory if it is not said.
    pub dir: Option<PathBuf>,
    /// The network namespace to start in, or the harness's own.
    pub netns: Option<OwnedFd>,
    /// Where stdout and stderr are appended.
    pub log_file: PathBuf,
}

/// A process could not be started or reached.
#[derive(Debug, thiserror::Error)]
#[error("could not {attempted}: {source}")]
pub struct ProcessError {
    attempted: String,
    source: io::Error,
}

/// The thread that all nodes are spawned from. When the last clone is dropped, every node that still runs is killed.
#[derive(Clone, Debug)]
pub struct Spawner {
    requests: SyncSender<Request>,
}

struct Request {
    command: Command,
    reply: SyncSender<io::Result<Child>>,
}

impl Spawner {
    /// Starts the thread. After [`enter`](crate::network::enter::enter), not before.
    pub fn start() -> Result<Self, ProcessError> {
        let (requests, inbox) = sync_channel(REQUESTS_MAX);
        thread::Builder::new()
            .name("spawner".into())
            .spawn(move || serve(&inbox))
            .map_err(failed("start the thread that spawns nodes"))?;
        Ok(Spawner { requests })
    }

    /// Starts a process.
    pub fn spawn(&self, node: NodeCommand) -> Result<NodeProcess, ProcessError> {
        let name = node.program.display().to_string();
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&node.log_file)
            .map_err(failed(format!("open the log file {}", node.log_file.display())))?;
        let command = command(node, log).map_err(failed(format!("prepare {name}")))?;
        let child = self.request(command).map_err(failed(format!("start {name}")))?;
        NodeProcess::new(child).map_err(failed(format!("watch {name}")))
    }

    fn request(&self, command: Command) -> io::Result<Child> {
        let (reply, answer) = sync_channel(1);
        let gone = || io::Error::other("the spawner thread has ended");
        self.requests.send(Request { command, reply }).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

fn serve(inbox: &Receiver<Request>) {
    for mut request in inbox {
        // Whoever asked may have gone: then nobody owns the child.
        if let Err(unclaimed) = request.reply.send(request.command.spawn())
            && let Ok(mut child) = unclaimed.0
        {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn command(node: NodeCommand, log: File) -> io::Result<Command> {
    let mut command = Command::new(node.program);
    command.args(node.args).envs(node.env).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    if let Some(dir) = node.dir {
        command.current_dir(dir);
    }
    kernel::before_exec(&mut command, node.netns, getpid());
    Ok(command)
}

/// Why a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCause {
    /// Nobody here asked for it: an assertion, a refused start, or a signal from elsewhere.
    ByItself,
    /// [`NodeProcess::kill`].
    Killed,
    /// [`NodeProcess::power_loss`].
    PowerLoss,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitInfo {
    /// Its exit code, if it exited.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Who wanted that.
    pub cause: ExitCause,
}

/// What became of a power failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerLoss {
    /// The process took the signal and is gone.
    Gone(ExitInfo),
    /// It was still there after the time it has for that, and was then killed: what it had not synced may be lost
    /// differently than by a power failure.
    HadToBeKilled(ExitInfo),
}

/// A node's process. Dropping it kills the process.
#[derive(Debug)]
pub struct NodeProcess {
    pid: Pid,
    /// Becomes readable when the process has ended; never confuses it with a later one of the same number.
    pidfd: OwnedFd,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    child: Child,
    asked: Option<ExitCause>,
    paused: bool,
    exit: Option<ExitInfo>,
}

impl NodeProcess {
    fn new(mut child: Child) -> io::Result<Self> {
        let pid = Pid::from_child(&child);
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => {
                let state = State { child, asked: None, paused: false, exit: None };
                Ok(NodeProcess { pid, pidfd, state: Mutex::new(state) })
            }
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error.into())
            }
        }
    }

    /// The process id, as seen in the harness's pid namespace.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// How the process ended, if it has.
    pub fn try_exit(&self) -> Result<Option<ExitInfo>, ProcessError> {
        let mut state = self.lock();
        self.reap(&mut state).map_err(failed(format!("ask for the state of process {}", self.pid())))
    }

    /// Waits until the process has ended, at most this long. Blocks the calling thread.
    pub fn wait(&self, timeout: Duration) -> Result<Option<ExitInfo>, ProcessError> {
        wait_readable(self.pidfd.as_fd(), timeout).map_err(failed(format!("wait for process {}", self.pid())))?;
        self.try_exit()
    }

    /// `kill -9`, for the whole process group, and waits until it is gone. One that has ended before tells how it did.
    pub fn kill(&self) -> Result<ExitInfo, ProcessError> {
        self.signal_group(Signal::KILL, Some(ExitCause::Killed))?;
        self.must_exit_within(KILL_TIMEOUT)
    }

    /// SIGSTOP: the processes of the group stand still until [`resume`](Self::resume).
    pub fn pause(&self) -> Result<(), ProcessError> {
        self.signal_group(Signal::STOP, None)?;
        self.lock().paused = true;
        Ok(())
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<(), ProcessError> {
        self.signal_group(Signal::CONT, None)?;
        self.lock().paused = false;
        Ok(())
    }

    /// Whether it was paused and not resumed.
    pub fn is_paused(&self) -> bool {
        self.lock().paused
    }

    /// Asks the node to behave as in a power failure (SIGUSR1: a part of what is not synced may reach the disk, then it
    /// exits at once), and waits for that a bounded time. One that does not is killed, and the answer says so.
    pub fn power_loss(&self) -> Result<PowerLoss, ProcessError> {
        self.signal_node(Signal::USR1, ExitCause::PowerLoss)?;
        // One that is paused takes the signal when it goes on.
        self.resume()?;
        if let Some(exit) = self.wait(POWER_LOSS_TIMEOUT)? {
            return Ok(PowerLoss::Gone(exit));
        }
        self.kill().map(PowerLoss::HadToBeKilled)
    }

    /// Tells the node to read its file of faults again (SIGUSR2). One that is paused does so when it goes on.
    pub fn faults_changed(&self) -> Result<(), ProcessError> {
        self.signal(Signal::USR2, None, kill_process)
    }

    fn must_exit_within(&self, timeout: Duration) -> Result<ExitInfo, ProcessError> {
        self.wait(timeout)?.ok_or_else(|| {
            let source = io::Error::new(io::ErrorKind::TimedOut, format!("it is still there after {timeout:?}"));
            failed(format!("end process {}", self.pid()))(source)
        })
    }

    fn signal_node(&self, signal: Signal, cause: ExitCause) -> Result<(), ProcessError> {
        self.signal(signal, Some(cause), kill_process)
    }

    fn signal_group(&self, signal: Signal, cause: Option<ExitCause>) -> Result<(), ProcessError> {
        self.signal(signal, cause, kill_process_group)
    }

    /// Sends a signal unless the process has ended. The number cannot belong to another process: only `reap` gives it back,
    /// under the same lock.
    fn signal(
        &self,
        signal: Signal,
        cause: Option<ExitCause>,
        send: impl FnOnce(Pid, Signal) -> rustix::io::Result<()>,
    ) -> Result<(), ProcessError> {
        let attempted = || format!("send signal {} to process {}", signal.as_raw(), self.pid());
        let mut state = self.lock();
        if self.reap(&mut state).map_err(failed(attempted()))?.is_some() {
            return Ok(());
        }
        send(self.pid, signal).map_err(failed(attempted()))?;
        state.asked = cause.or(state.asked);
        Ok(())
    }

    /// Takes the exit status if the process has ended, and ends what is left of its group first: while the process is not
    /// reaped, the group's number cannot belong to anybody else.
    fn reap(&self, state: &mut State) -> io::Result<Option<ExitInfo>> {
        if state.exit.is_none() {
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            if waitid(WaitId::Pid(self.pid), look)?.is_some() {
                // Fails when nobody is left.
                let _ = kill_process_group(self.pid, Signal::KILL);
                let status = state.child.wait()?;
                state.exit = Some(exit_info(status, state.asked));
            }
        }
        Ok(state.exit)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // Nobody is left to tell; the death signal is the second net.
        let _ = self.kill();
    }
}

/// The cause that was asked for counts only if the end looks like it: a node that aborts on an assertion just before it is
/// killed has ended by itself.
fn exit_info(status: ExitStatus, asked: Option<ExitCause>) -> ExitInfo {
    let (code, signal) = (status.code(), status.signal());
    let by_sigkill = signal == Some(Signal::KILL.as_raw());
    let cause = match asked {
        Some(ExitCause::Killed) if by_sigkill => ExitCause::Killed,
        // The signal itself, or the exit that the node's handler makes of it; a crash is neither.
        Some(ExitCause::PowerLoss) if code == Some(POWER_LOSS_EXIT) || signal == Some(Signal::USR1.as_raw()) => {
            ExitCause::PowerLoss
        }
        _ => ExitCause::ByItself,
    };
    ExitInfo { code, signal, cause }
}

/// Whether a descriptor became readable in time.
fn wait_readable(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn failed<E: Into<io::Error>>(attempted: impl Into<String>) -> impl FnOnce(E) -> ProcessError {
    let attempted = attempted.into();
    move |source| ProcessError { attempted, source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_does_not_fit_what_was_asked_for_is_the_nodes_own() {
        let killed = ExitStatus::from_raw(libc::SIGKILL);
        let aborted = ExitStatus::from_raw(libc::SIGABRT);
        let exited = ExitStatus::from_raw(POWER_LOSS_EXIT << 8);
        let asserted = ExitStatus::from_raw(70 << 8);
        assert_eq!(exit_info(killed, Some(ExitCause::Killed)).cause, ExitCause::Killed);
        assert_eq!(exit_info(killed, None).cause, ExitCause::ByItself);
        assert_eq!(exit_info(aborted, Some(ExitCause::Killed)).cause, ExitCause::ByItself);
        assert_eq!(exit_info(aborted, Some(ExitCause::PowerLoss)).cause, ExitCause::ByItself);
        let lost = exit_info(exited, Some(ExitCause::PowerLoss));
        assert_eq!((lost.cause, lost.code), (ExitCause::PowerLoss, Some(POWER_LOSS_EXIT)));
        assert_eq!(exit_info(asserted, Some(ExitCause::PowerLoss)).cause, ExitCause::ByItself);
        assert_eq!(exit_info(exited, Some(ExitCause::Killed)).cause, ExitCause::ByItself);
    }
}
