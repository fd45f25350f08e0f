//! The machine and the source that a run was of: results of two machines are not to be compared unawares.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// A machine, as far as it matters to speed and behaviour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Processors that this process may use.
    pub cpus: usize,
    /// Their model, if the system tells.
    pub cpu_model: Option<String>,
    /// Memory of the machine in bytes, if the system tells.
    pub memory_bytes: Option<u64>,
    /// Name and release of the kernel.
    pub kernel: String,
    /// The distribution, if the system tells.
    pub os: Option<String>,
    /// The processor architecture.
    pub architecture: String,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn here() -> Self {
        let uname = rustix::system::uname();
        let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        let field = |path, name| fs::read_to_string(path).ok().and_then(|file| field_of(&file, name));
        Self {
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            cpu_model: field("/proc/cpuinfo", "model name"),
            memory_bytes: field("/proc/meminfo", "MemTotal").as_deref().and_then(kibibytes),
            kernel: format!("{} {}", text(uname.sysname()), text(uname.release())),
            os: field("/etc/os-release", "PRETTY_NAME"),
            architecture: text(uname.machine()),
        }
    }

    /// In what this machine and another differ, in words: "cpus: 2 and 4". Nothing where figures of both may be compared.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let told = |text: &Option<String>| text.clone().unwrap_or_else(|| "not told".to_owned());
        let memory = |machine: &Self| {
            machine.memory_bytes.map_or_else(|| "not told".to_owned(), |bytes| format!("{} MiB", bytes >> 20))
        };
        let mut differences = Vec::new();
        let mut differ = |name: &str, is_same: bool, ours: String, theirs: String| {
            if !is_same {
                differences.push(format!("{name}: {ours} and {theirs}"));
            }
        };
        differ("cpus", self.cpus == other.cpus, self.cpus.to_string(), other.cpus.to_string());
        differ("cpu model", self.cpu_model == other.cpu_model, told(&self.cpu_model), told(&other.cpu_model));
        differ("memory", same_memory(self.memory_bytes, other.memory_bytes), memory(self), memory(other));
        differ("kernel", self.kernel == other.kernel, self.kernel.clone(), other.kernel.clone());
        differ("os", self.os == other.os, told(&self.os), told(&other.os));
        let (ours, theirs) = (&self.architecture, &other.architecture);
        differ("architecture", ours == theirs, ours.clone(), theirs.clone());
        differences
    }
}

/// A machine does not tell quite the same after each start: the kernel keeps a little for itself. A hundredth is no other memory.
fn same_memory(ours: Option<u64>, theirs: Option<u64>) -> bool {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => ours.abs_diff(theirs) <= ours / 100,
        (ours, theirs) => ours == theirs,
    }
}

/// The value of the first `name: value` or `name=value` line.
fn field_of(file: &str, name: &str) -> Option<String> {
    file.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?.trim_start();
        let value = rest.strip_prefix([':', '='])?.trim().trim_matches('"');
        (!value.is_empty()).then(|| value.to_owned())
    })
}

fn kibibytes(text: &str) -> Option<u64> {
    text.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// Where Git keeps what it knows of the checkout at a path or above it.
pub(crate) fn git_directory(path: &Path) -> Option<PathBuf> {
    let git = path.ancestors().map(|directory| directory.join(".git")).find(|git| git.exists())?;
    // In a worktree, `.git` is a file that names the directory.
    match fs::read_to_string(&git) {
        Ok(link) => Some(git.parent()?.join(link.strip_prefix("gitdir:")?.trim())),
        Err(_) => Some(git),
    }
}

/// The commit that is checked out at a path or above it. Whether files differ from it is not looked at.
#[must_use]
pub fn git_revision(path: &Path) -> Option<String> {
    let git = git_directory(path)?;
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    let Some(reference) = head.strip_prefix("ref:").map(str::trim) else {
        return hash(&head);
    };
    // Branches of a worktree are with the main checkout.
    let common =
        fs::read_to_string(git.join("commondir")).map_or_else(|_| git.clone(), |common| git.join(common.trim()));
    if let Ok(loose) = fs::read_to_string(common.join(reference)) {
        return hash(&loose);
    }
    let packed = fs::read_to_string(common.join("packed-refs")).ok()?;
    packed.lines().find_map(|line| hash(line.strip_suffix(reference)?))
}

fn hash(text: &str) -> Option<String> {
    let text = text.trim();
    (text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_systems_files() {
        let cpuinfo = "processor\t: 0\nmodel name\t: A: fast one\nmodel name\t: another\n";
        assert_eq!(field_of(cpuinfo, "model name").as_deref(), Some("A: fast one"));
        assert_eq!(field_of("NAME=\"x\"\nPRETTY_NAME=\"Debian 12\"\n", "PRETTY_NAME").as_deref(), Some("Debian 12"));
        assert_eq!(field_of("MemTotalled: 3 kB\n", "MemTotal"), None);
        assert_eq!(kibibytes("16 kB"), Some(16_384));
        assert_eq!(kibibytes("16 MB"), None);
    }

    #[test]
    fn this_machine_has_something_to_say() {
        let here = Machine::here();
        assert!(here.cpus >= 1);
        assert!(here.kernel.starts_with("Linux "), "{}", here.kernel);
    }

    #[test]
    fn what_differs_is_named() {
        let here = Machine::here();
        assert!(here.differences(&here).is_empty());
        let bigger = Machine { memory_bytes: Some(64 << 30), cpus: here.cpus + 1, os: None, ..here.clone() };
        let names: Vec<String> =
            here.differences(&bigger).iter().map(|d| d[..d.find(':').expect("a name")].to_owned()).collect();
        assert_eq!(names, ["cpus", "memory", "os"]);
        let (one, almost) = (Some(16_u64 << 30), Some((16_u64 << 30) - (1 << 20)));
        assert!(same_memory(one, almost) && !same_memory(one, None) && !same_memory(one, Some(15 << 30)));
    }

    #[test]
    fn the_revision_of_a_checkout_is_found_from_below() {
        let root = tempfile::tempdir().expect("a directory");
        let (git, below) = (root.path().join(".git"), root.path().join("a/b"));
        fs::create_dir_all(git.join("refs/heads")).expect("made");
        fs::create_dir_all(&below).expect("made");
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        fs::write(git.join("HEAD"), "ref: refs/heads/main\n").expect("written");
        assert_eq!(git_revision(&below), None);
        fs::write(git.join("packed-refs"), format!("# pack-refs\n{two} refs/heads/other\n{one} refs/heads/main\n"))
            .expect("written");
        assert_eq!(git_revision(&below), Some(one.clone()));
        fs::write(git.join("refs/heads/main"), format!("{two}\n")).expect("written");
        assert_eq!(git_revision(&below), Some(two));
        fs::write(git.join("HEAD"), format!("{one}\n")).expect("written");
        assert_eq!(git_revision(&below), Some(one));
    }

    #[test]
    fn the_revision_of_a_worktree_is_found() {
        let root = tempfile::tempdir().expect("a directory");
        let (main, tree) = (root.path().join("main/.git"), root.path().join("tree"));
        let own = main.join("worktrees/tree");
        for directory in [&own, &main.join("refs/heads/wt"), &tree] {
            fs::create_dir_all(directory).expect("made");
        }
        fs::write(tree.join(".git"), format!("gitdir: {}\n", own.display())).expect("written");
        fs::write(own.join("HEAD"), "ref: refs/heads/wt/x\n").expect("written");
        fs::write(own.join("commondir"), "../..\n").expect("written");
        fs::write(main.join("refs/heads/wt/x"), "3".repeat(40)).expect("written");
        assert_eq!(git_revision(&tree), Some("3".repeat(40)));
    }
}
