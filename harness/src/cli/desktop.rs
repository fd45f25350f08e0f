//! Handing something to the desktop, which shows it in its browser.

use std::{
    ffi::OsStr,
    io,
    process::{Command, Stdio},
};

/// Has the desktop show a file or an address (`xdg-open`), and does not wait for it.
///
/// # Errors
/// When there is no such program.
pub fn show(what: impl AsRef<OsStr>) -> io::Result<()> {
    let mut command = Command::new("xdg-open");
    let mut child = command.arg(what).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    // Whoever goes on for long must not keep what is left of it.
    std::thread::spawn(move || child.wait());
    Ok(())
}
