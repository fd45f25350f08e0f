//! Readers take memory for the operations, not for the file: the same operations in a file many times as large take the same.

#![expect(unsafe_code, reason = "an allocator that counts is one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{BufReader, Read};
use std::sync::atomic::{AtomicUsize, Ordering};

use checkers::history::{Format, Loaded, Operation, ValueId, read};

/// Counts what is allocated now, and the most that ever was.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is handed to the system's allocator as it came; counting does not touch the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promise is that of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A file that is made as it is read: a beginning, then so many operations, each as these lines, then an end.
struct Made {
    operations: std::ops::Range<u64>,
    line: fn(u64, usize) -> String,
    padding: usize,
    end: &'static str,
    pending: Vec<u8>,
    at: usize,
    bytes: usize,
}

impl Made {
    fn new(operations: u64, padding: usize, (begin, line, end): Shape) -> Self {
        Made { operations: 0..operations, line, padding, end, pending: begin.into(), at: 0, bytes: 0 }
    }
}

impl Read for &mut Made {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.pending.len() {
            self.at = 0;
            self.pending = match self.operations.next() {
                Some(operation) => (self.line)(operation, self.padding).into_bytes(),
                None => std::mem::take(&mut self.end).into(),
            };
        }
        let count = buffer.len().min(self.pending.len() - self.at);
        buffer[..count].copy_from_slice(&self.pending[self.at..self.at + count]);
        self.at += count;
        self.bytes += count;
        Ok(count)
    }
}

/// What a file of a format begins with, the lines of one operation with so much padding, and what it ends with.
type Shape = (&'static str, fn(u64, usize) -> String, &'static str);

fn jsonl(operation: u64, padding: usize) -> String {
    let (value, note) = (operation % 1000, "n".repeat(padding));
    format!(
        "{{\"process\":1,\"type\":\"invoke\",\"f\":\"write\",\"value\":{value},\"note\":\"{note}\"}}\n\
         {{\"process\":1,\"type\":\"ok\",\"f\":\"write\",\"note\":\"{note}\"}}\n"
    )
}

fn jsonl_plain(operation: u64, padding: usize) -> String {
    let (value, nemesis) = (operation % 1000, "{\"process\":\"nemesis\",\"type\":\"info\"}\n".repeat(padding / 32));
    format!(
        "{{\"process\":1,\"type\":\"invoke\",\"f\":\"write\",\"value\":{value}}}\n{nemesis}\
         {{\"process\":1,\"type\":\"ok\",\"f\":\"write\",\"value\":{value}}}\n"
    )
}

fn edn(operation: u64, padding: usize) -> String {
    let (value, error) = (operation % 1000, ":e ".repeat(padding / 3));
    format!(
        "{{:process 1 :type :invoke :f :write :value {value} :error [{error}]}}\n\
         {{:process :nemesis :type :info :value #{{{error}}}}}\n\
         {{:process 1 :type :ok :f :write :value {value}}}\n"
    )
}

fn kv_text(operation: u64, padding: usize) -> String {
    let (value, error) = (operation % 1000, "e".repeat(padding));
    format!(
        "{{:process 1 :type :invoke :f :put :key \"k\" :value \"{value}\" :error \"{error}\"}}\n\
         {{:process 1 :type :ok :f :put :key \"k\" :value \"{value}\"}}\n"
    )
}

fn log(operation: u64, padding: usize) -> String {
    let (value, message) = (operation % 1000, "m".repeat(padding));
    format!(
        "INFO  jepsen.util - 1\t:invoke\t:write\t{value}\nINFO  jepsen.core - {message}\n{message}\n\
         INFO  jepsen.util - 1\t:ok\t:write\t{value}\t{message}\n"
    )
}

/// The history, the file's size, and the most memory that reading took beyond what there was before.
fn peak(operations: u64, padding: usize, format: Format, shape: Shape) -> (Loaded, usize, usize) {
    let mut file = Made::new(operations, padding, shape);
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let loaded = read(BufReader::with_capacity(1 << 16, &mut file), format).unwrap();
    let most = MOST.load(Ordering::Relaxed) - before;
    (loaded, file.bytes, most)
}

// One test, since the count is of the whole process.
#[test]
fn memory_grows_with_the_operations_and_not_with_the_file() {
    const OPERATIONS: u64 = 5_000;
    let shapes: [(Format, Shape); 6] = [
        (Format::Jsonl, ("", jsonl, "")),
        (Format::Jsonl, ("{\"trueline_history\":1}\n", jsonl_plain, "")),
        (Format::JepsenEdn, ("[", edn, "]")),
        (Format::JepsenEdn, ("", edn, "")),
        (Format::KvText, ("", kv_text, "")),
        (Format::JepsenLog, ("", log, "")),
    ];
    for (format, shape) in shapes {
        let (small, small_file, small_peak) = peak(OPERATIONS, 0, format, shape);
        let (large, large_file, large_peak) = peak(OPERATIONS, 1000, format, shape);
        let actions = |loaded: Loaded| loaded.history.operations().iter().map(|op| op.action).collect::<Vec<_>>();
        assert!(actions(small) == actions(large), "{format:?}: not the same operations");
        assert!(large_file > 8 * small_file, "{format:?}: {large_file} and {small_file} bytes");
        // One line or form may be in memory: a few kilobytes, and a tree of them for EDN.
        assert!(large_peak < small_peak + (128 << 10), "{format:?}: {large_peak} and {small_peak} bytes at most");
        // A vector that grows has its old and its new place at once: up to three times what it needs.
        let needed = OPERATIONS as usize * size_of::<Operation<ValueId>>();
        assert!(small_peak < 3 * needed + (512 << 10), "{format:?}: {small_peak} for {needed} bytes of operations");
    }
}
