//! `trueline serve`.

use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, anyhow};
use clap::Args;
use results::{exit::ExitCode, store::Store};
use tokio::signal::unix::{SignalKind, signal};

use super::{desktop::show, runs::StoreArgs};
use crate::{failure::Failure, serve::serve};

const EXAMPLES: &str = "\
Examples:
  trueline serve --open
  trueline serve --store nightly/runs --listen 127.0.0.1:0     any free port, which is printed

The pages only show: nothing can be changed or removed there. They are for this machine alone unless --allow-remote is said; then
whoever reaches the address sees every run, for there is no password and no encryption.";

/// Flags of `trueline serve`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// Which store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:7357", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Take a --listen that other machines reach, too
    #[arg(long)]
    pub allow_remote: bool,
    /// Show it in the desktop's browser
    #[arg(long)]
    pub open: bool,
}

/// After an interrupt, answers that are under way have so long.
const ENDING_MAX: Duration = Duration::from_secs(2);

/// Serves until it is interrupted.
///
/// # Errors
/// When the store is not there, or the address cannot be had.
pub fn execute(args: &ServeArgs) -> Result<ExitCode, Failure> {
    if !args.listen.ip().is_loopback() && !args.allow_remote {
        let what = "--listen {} can be reached from other machines, which would see every run; say --allow-remote if that is meant";
        return Err(Failure::usage(anyhow!(what.replace("{}", &args.listen.to_string()))));
    }
    let store = args.store.open()?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime").map_err(Failure::harness)?;
    let served = runtime.block_on(until_interrupted(store, args));
    // Somebody may be in the middle of a large file.
    runtime.shutdown_background();
    served.map(|()| ExitCode::Valid)
}

async fn until_interrupted(store: Store, args: &ServeArgs) -> Result<(), Failure> {
    let listening = || format!("cannot listen on {}: choose another port with --listen", args.listen);
    let listener = tokio::net::TcpListener::bind(args.listen).await.with_context(listening).map_err(Failure::usage)?;
    let address = listener.local_addr().context("cannot tell the port").map_err(Failure::harness)?;
    let mut int = signal(SignalKind::interrupt()).context("cannot take signals").map_err(Failure::harness)?;
    let mut term = signal(SignalKind::terminate()).context("cannot take signals").map_err(Failure::harness)?;
    let (stopper, mut stop) = tokio::sync::watch::channel(false);
    let asked = async move {
        tokio::select! {
            _ = int.recv() => {},
            _ = term.recv() => {},
        }
        stopper.send_replace(true);
        tokio::time::sleep(ENDING_MAX).await;
    };
    let url = format!("http://{}/", browsable(address));
    let told = writeln!(std::io::stdout(), "serving {} at {url}; Ctrl-C ends it", store.path().display());
    told.context("cannot print").map_err(Failure::harness)?;
    if args.open {
        // That there is no desktop is no reason not to serve.
        if let Err(error) = show(&url) {
            eprintln!("trueline: cannot open a browser with xdg-open: {error}; go to {url}");
        }
    }
    let stopped = async move {
        // An error means that nobody can ask any more, which is asking, too.
        _ = stop.wait_for(|stop| *stop).await;
    };
    tokio::select! {
        served = serve(store, listener, stopped) => served.context("cannot serve any longer").map_err(Failure::harness),
        () = asked => Ok(()),
    }
}

/// Every address of the machine is none to browse to.
fn browsable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new([127, 0, 0, 1].into(), address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), address.port()),
        _ => address,
    }
}
