//! Opens files of a run by name, and nothing else: what lies in a store may have been put there by somebody else.
//!
//! ```text
//!   directory ──> "nodes" ──> "1.log"     each step without following a symbolic link; the last one a plain file
//! ```

use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    os::fd::OwnedFd,
    path::Path,
};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};

/// Opens a plain file below a directory for reading. `name` is one of the program's own, with `/` between directories; neither the
/// directory itself nor anything below it may be a symbolic link, and a pipe or device does not hold the caller up.
pub(super) fn open_inside(directory: &Path, name: &str) -> io::Result<File> {
    let step = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let mut at: OwnedFd = openat(CWD, directory, step, Mode::empty())?;
    let (folders, file) = name.rsplit_once('/').map_or((None, name), |(folders, file)| (Some(folders), file));
    for folder in folders.into_iter().flat_map(|folders| folders.split('/')) {
        at = openat(&at, folder, step, Mode::empty())?;
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::RDONLY;
    let opened = openat(&at, file, flags, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&opened)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a plain file"));
    }
    Ok(File::from(opened))
}

/// All of a file below a directory, which may have `bytes_max` bytes.
pub(super) fn read_inside(directory: &Path, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_inside(directory, name)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let what = format!("it is larger than {} MiB, the most that is read of it", bytes_max >> 20);
        return Err(io::Error::new(ErrorKind::FileTooLarge, what));
    }
    Ok(bytes)
}
