use std::{io::Cursor, sync::mpsc::Sender};

use checkers::{
    history::{Format, Function, Loaded, ProcessId, ReadOptions, Value, read_with},
    model::ModelKind,
};

use super::*;

const MODEL: ModelSpec = ModelSpec { model: ModelKind::Register, initial: Value::Nil };

/// A file in memory, that may be full, or whose writes may have to wait for a permit.
#[derive(Clone, Default)]
struct Memory {
    bytes: Arc<Mutex<Vec<u8>>>,
    room: Option<usize>,
    syncs: Arc<Mutex<u32>>,
}

impl Memory {
    fn text(&self) -> Vec<u8> {
        self.bytes.lock().expect("no panic").clone()
    }

    fn read(&self) -> Loaded {
        let options = ReadOptions { keep_complete_lines: true, ..ReadOptions::default() };
        read_with(Cursor::new(self.text()), Format::Jsonl, &options).expect("a history")
    }
}

impl Write for Memory {
    fn write(&mut self, new: &[u8]) -> io::Result<usize> {
        let mut bytes = self.bytes.lock().expect("no panic");
        let room = self.room.map_or(new.len(), |room| room.saturating_sub(bytes.len()).min(new.len()));
        if room == 0 && !new.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        bytes.extend_from_slice(&new[..room]);
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl HistoryOutput for Memory {
    fn sync(&mut self) -> io::Result<()> {
        *self.syncs.lock().expect("no panic") += 1;
        Ok(())
    }
}

fn event(process: u64, kind: EventKind, value: i64) -> Event {
    Event {
        index: None,
        time: None,
        process: Process::Client(ProcessId(process)),
        kind,
        function: Some(Function::Write),
        key: Value::Nil,
        value: Value::Int(value),
        observed: None,
        reason: None,
        note: None,
    }
}

fn record_one(recorder: &Recorder, process: u64, value: i64) -> Result<u64, SinkError> {
    recorder.record(event(process, EventKind::Invoke, value))?;
    recorder.record(event(process, EventKind::Ok, value))
}

/// The reader refuses times that go back and operations that overlap in one process, so reading is the test.
#[test]
fn many_threads_make_one_ordered_history() {
    const THREADS: u64 = 16;
    const EACH: i64 = 500;
    let memory = Memory::default();
    let sink = HistorySink::start(memory.clone(), &MODEL, Instant::now()).expect("started");
    std::thread::scope(|scope| {
        for process in 0..THREADS {
            let recorder = sink.recorder();
            scope.spawn(move || {
                let mut last = 0;
                for value in 0..EACH {
                    let time = record_one(&recorder, process, value).expect("recorded");
                    assert!(time >= last, "times go back");
                    last = time;
                }
            });
        }
    });
    let counts = sink.finish().expect("finished");
    let operations = THREADS * EACH as u64;
    assert_eq!((counts.events, counts.invocations, counts.completions), (2 * operations, operations, operations));
    assert!((1..=THREADS).contains(&counts.open_max), "{}", counts.open_max);

    let lines: Vec<serde_json::Value> = memory
        .text()
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .skip(1)
        .map(|line| serde_json::from_slice(line).expect("a line of JSON"))
        .collect();
    assert_eq!(lines.len() as u64, 2 * operations);
    assert_eq!(memory.read().truncated, None);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(line["index"], index);
    }
    assert!(lines.is_sorted_by_key(|line| line["time"].as_u64().expect("a time")));
    assert_eq!(memory.read().history.operations().len() as u64, operations);
    assert_eq!(*memory.syncs.lock().expect("no panic"), 1);
}

#[test]
fn open_operations_are_counted() {
    let sink = HistorySink::start(Memory::default(), &MODEL, Instant::now()).expect("started");
    let recorder = sink.recorder();
    for (process, kind) in
        [(1, EventKind::Invoke), (2, EventKind::Invoke), (1, EventKind::Info), (3, EventKind::Invoke)]
    {
        recorder.record(event(process, kind, 1)).expect("recorded");
    }
    let nemesis = Event { process: Process::Nemesis, function: None, ..event(0, EventKind::Info, 0) };
    recorder.record(nemesis).expect("recorded");
    let counts = sink.finish().expect("finished");
    assert_eq!(counts, SinkCounts { events: 5, invocations: 3, completions: 1, open_max: 2 });
}

#[test]
fn what_was_handed_over_is_there_without_finishing() {
    let memory = Memory::default();
    let sink = HistorySink::start(memory.clone(), &MODEL, Instant::now()).expect("started");
    let recorder = sink.recorder();
    for value in 0..100 {
        record_one(&recorder, 1, value).expect("recorded");
    }
    recorder.handed_over().expect("handed over");
    // The sink still runs: this is what a killed harness leaves.
    assert_eq!(memory.read().history.operations().len(), 100);
    drop(sink);
}

/// The disk fills up. What was written stays and is a history; the error comes out everywhere.
#[test]
fn a_full_disk_is_told_and_spoils_nothing() {
    // How long lines are hangs on the clock: of two sizes one byte apart, one at least is within a line.
    assert!(fills_up(10_000) | fills_up(10_001), "both disks were full exactly after a line");
}

/// Whether the last line was torn.
fn fills_up(room: usize) -> bool {
    let memory = Memory { room: Some(room), ..Memory::default() };
    let sink = HistorySink::start(memory.clone(), &MODEL, Instant::now()).expect("started");
    let recorder = sink.recorder();
    let error = (0..).find_map(|value| {
        // Each batch is waited for, so that the error comes at a known place.
        record_one(&recorder, 1, value).and_then(|_| recorder.handed_over()).err()
    });
    let error = error.expect("an endless loop ends by its error");
    assert!(matches!(error, SinkError::Write(_)), "{error}");
    assert_eq!(recorder.failed(), Some(error.clone()));
    assert_eq!(record_one(&recorder, 2, 0), Err(error.clone()));
    assert_eq!(sink.finish(), Err(error));

    assert_eq!(memory.text().len(), room, "something was written after the error");
    assert_eq!(*memory.syncs.lock().expect("no panic"), 0);
    let kept = memory.read();
    assert!(kept.history.operations().len() > 20, "only {} were kept", kept.history.operations().len());
    kept.truncated.is_some()
}

/// The kernel's own full device.
#[test]
fn dev_full_is_refused_at_the_start() {
    let full = File::options().write(true).open("/dev/full").expect("a Linux system");
    let error = HistorySink::start(full, &MODEL, Instant::now()).expect_err("no room for the header");
    assert!(error.to_string().contains("No space left"), "{error}");
}

#[test]
fn nothing_is_recorded_after_the_end() {
    let sink = HistorySink::start(Memory::default(), &MODEL, Instant::now()).expect("started");
    let recorder = sink.recorder();
    assert_eq!(sink.finish(), Ok(SinkCounts::default()));
    assert_eq!(record_one(&recorder, 1, 1), Err(SinkError::Finished));
    assert_eq!(recorder.handed_over(), Err(SinkError::Finished));
}

/// A disk that stands still stops the clients when the queue is full, and no event is lost or disordered by that.
#[test]
fn a_full_queue_waits_and_loses_nothing() {
    struct Gate(Memory, Receiver<()>);
    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            _ = self.1.recv();
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl HistoryOutput for Gate {
        fn sync(&mut self) -> io::Result<()> {
            self.0.sync()
        }
    }
    let memory = Memory::default();
    let (open, gate): (Sender<()>, _) = mpsc::channel();
    open.send(()).expect("the header may pass");
    let sink = HistorySink::start(Gate(memory.clone(), gate), &MODEL, Instant::now()).expect("started");
    let operations = QUEUE_EVENTS_MAX as i64 / 2 + BATCH_EVENTS_MAX as i64;
    let recorder = sink.recorder();
    let client = std::thread::spawn(move || {
        for value in 0..operations {
            record_one(&recorder, 1, value).expect("recorded");
        }
    });
    // More than the queue and a batch hold: the client cannot be through before the gate opens.
    assert!(!client.is_finished());
    drop(open);
    client.join().expect("the client went on");
    let counts = sink.finish().expect("finished");
    assert_eq!(counts.events, 2 * operations as u64);
    assert_eq!(memory.read().history.operations().len() as i64, operations);
}

/// Names the file for the process that is to be killed.
const VICTIM_FILE: &str = "TRUELINE_TEST_VICTIM_FILE";

/// Records for ever, and says on its output how many operations it knows to be safe.
#[test]
#[ignore = "the other half of a_killed_process_loses_nothing_handed_over"]
fn victim() {
    let Some(path) = std::env::var_os(VICTIM_FILE) else { return };
    let file = File::create_new(path).expect("a new file");
    let sink = HistorySink::start(file, &MODEL, Instant::now()).expect("started");
    let recorder = sink.recorder();
    for value in 0..1_000_000 {
        record_one(&recorder, 1, value).expect("recorded");
        recorder.handed_over().expect("handed over");
        println!("\nsafe {}", value + 1);
    }
}

/// `kill -9` in the middle of it.
#[test]
fn a_killed_process_loses_nothing_handed_over() {
    use std::{io::BufRead, process};
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("history.jsonl");
    let mut child = process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "sink::tests::victim", "--ignored", "--nocapture"])
        .env(VICTIM_FILE, &path)
        .stdout(process::Stdio::piped())
        .spawn()
        .expect("started");
    let mut output = io::BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let safe = |line: String| line.strip_prefix("safe ").and_then(|count| count.parse::<usize>().ok());
    let before = output.by_ref().filter_map(safe).find(|&count| count >= 200).expect("it gets there");
    child.kill().expect("killed");
    child.wait().expect("gone");
    // What it still said before it died counts too.
    let last = output.filter_map(safe).last().unwrap_or(before);
    let options = ReadOptions { keep_complete_lines: true, ..ReadOptions::default() };
    let kept =
        read_with(io::BufReader::new(File::open(&path).expect("there")), Format::Jsonl, &options).expect("a history");
    let done = kept.history.operations().iter().filter(|operation| operation.ret != u64::MAX).count();
    assert!((200..=last).contains(&before) && done >= last, "{done} of {last} operations are left");
}

#[test]
fn a_follower_sees_every_event_in_order_and_a_slow_one_is_left_behind() {
    let memory = Memory::default();
    let (follower, followed) = Follower::new(100);
    let sink = HistorySink::start_followed(memory.clone(), &MODEL, Instant::now(), Some(follower)).expect("a sink");
    for value in 0..100 {
        sink.recorder().record(event(value as u64, EventKind::Invoke, value)).expect("recorded");
    }
    sink.finish().expect("finished");
    let seen: Vec<Value> = std::iter::from_fn(|| followed.next()).map(|event| event.value).collect();
    assert_eq!(seen, (0..100).map(Value::Int).collect::<Vec<_>>());
    assert!(!followed.was_left_behind());

    let (follower, followed) = Follower::new(3);
    let sink = HistorySink::start_followed(memory, &MODEL, Instant::now(), Some(follower)).expect("a sink");
    for value in 0..100 {
        sink.recorder().record(event(value as u64, EventKind::Invoke, value)).expect("nobody waits for a follower");
    }
    assert_eq!(sink.finish().expect("finished").events, 100);
    assert_eq!(std::iter::from_fn(|| followed.next()).count(), 3);
    assert!(followed.was_left_behind());
}
