//! Certificates: what must be refused, the file, and how small cores of stale reads are.

#[path = "certificates/registers.rs"]
mod registers;

use std::path::Path;

use checkers::certificate::{Certificate, CertificateFile, Core, HistoryDigest, KeyOrder};
use checkers::history::{Action, History, OpIndex, Operation, Value};
use checkers::model::{ModelKind, ModelSpec};
use checkers::verdict::Verdict;
use checkers::verify::{Bounds, Proven, Refuted, verify, verify_within};
use checkers::{CheckOptions, check};

use registers::Registers;

fn spec(model: ModelKind, initial: impl Into<Value>) -> ModelSpec {
    ModelSpec { model, initial: initial.into() }
}

fn history(operations: Vec<Operation>) -> History {
    History::from_operations(operations).unwrap()
}

fn write(process: u64, value: i64, invoke: u64) -> Operation {
    Operation::invoked(process, Action::Write(value.into()), invoke)
}

fn read(process: u64, invoke: u64) -> Operation {
    Operation::invoked(process, Action::Read, invoke)
}

fn orders(orders: &[(&str, &[u32])]) -> Certificate {
    let order = |(key, order): &(&str, &[u32])| KeyOrder {
        key: (*key).into(),
        order: order.iter().copied().map(OpIndex).collect(),
    };
    Certificate::Linearization(orders.iter().map(order).collect())
}

fn core(cut: Option<u64>, operations: &[u32]) -> Core {
    Core { key: "x".into(), cut, operations: operations.iter().copied().map(OpIndex).collect(), minimal: true }
}

#[track_caller]
fn refused(history: &History, spec: &ModelSpec, certificate: &Certificate, why: &str) {
    match verify(history, spec, certificate) {
        Err(Refuted::Wrong(said)) => assert!(said.contains(why), "{why:?} is not why: {said}"),
        said => panic!("{certificate:?} must be refused: {said:?}"),
    }
}

/// Two keys; a failed write, an unknown one that was read, and an unknown one that was not.
fn a_valid_history() -> History {
    history(vec![
        write(0, 1, 0).on("x").done(10),
        write(1, 2, 5).on("x").done(15),
        write(2, 3, 6).on("x").failed(7),
        read(2, 20).on("x").returned(21, 1),
        write(3, 4, 22).on("x"),
        read(2, 30).on("x").returned(31, 4),
        write(4, 5, 32).on("x"),
        read(2, 33).on("y").returned(34, Value::Nil),
    ])
}

#[test]
fn tampered_orders_are_refused() {
    let (history, spec) = (a_valid_history(), spec(ModelKind::Register, Value::Nil));
    let good = orders(&[("x", &[1, 0, 3, 4, 5]), ("y", &[7])]);
    assert_eq!(verify(&history, &spec, &good), Ok(Proven::Linearizable { keys: 2, operations: 6 }));
    assert!(
        verify(&history, &spec, &orders(&[("y", &[7]), ("x", &[1, 0, 3, 4, 5, 6])])).is_ok(),
        "6 may have happened"
    );
    let y: (&str, &[u32]) = ("y", &[7]);
    for (order, why) in [
        (&[0, 1, 3, 4, 5][..], "operation 3 cannot end as it did"),
        (&[1, 0, 3, 5], "operation 5 cannot end as it did"),
        (&[0, 3, 4, 5], "operation 1 happened, but is in no order"),
        (&[1, 0, 3, 4], "operation 5 happened, but is in no order"),
        (&[1, 0, 3, 4, 5, 5], "operation 5 is in the order of key \"x\" twice"),
        (&[1, 0, 2, 3, 4, 5], "operation 2 failed"),
        (&[1, 0, 3, 4, 5, 8], "operation 8 is not in the history"),
        (&[1, 0, 3, 4, 5, u32::MAX], "is not in the history"),
        (&[1, 0, 7, 3, 4, 5], "operation 7 is on another key"),
        (&[0, 3, 1, 4, 5], "operation 1 returned at 15, but comes after one invoked at 20"),
        (&[1, 0, 4, 5, 3], "operation 3 returned at 21, but comes after one invoked at 30"),
        (&[], "operation 0 happened, but is in no order"),
    ] {
        refused(&history, &spec, &orders(&[("x", order), y]), why);
    }
    refused(&history, &spec, &orders(&[("x", &[1, 0, 3, 4, 5])]), "operation 7 happened");
    refused(&history, &spec, &orders(&[("x", &[1, 0, 3, 4, 5]), y, y]), "two orders");
    refused(&history, &spec, &orders(&[("z", &[1, 0, 3, 4, 5]), y]), "on another key");
    refused(&history, &ModelSpec { initial: 9.into(), ..spec.clone() }, &good, "operation 7 cannot end as it did");
    refused(&history, &ModelSpec { model: ModelKind::ListAppend, ..spec.clone() }, &good, "cannot end as it did");
    refused(&History::default(), &spec, &orders(&[]), "nothing is no proof");
}

#[test]
fn where_nothing_was_done_the_empty_order_is_a_proof() {
    let refused_write = Operation::invoked(0, Action::Write(1.into()), 0).failed(5);
    let history = History::from_operations(vec![refused_write]).unwrap();
    let spec = ModelSpec { model: ModelKind::Register, initial: Value::Nil };
    let judgement = check(&history, &spec, &CheckOptions::default()).unwrap();
    let certificate = judgement.certificate.expect("a valid verdict has its proof");
    assert!(verify(&history, &spec, &certificate).is_ok());
}

/// A stale read: 1 was read when 2 had long been written. Operations 3 and 6 have nothing to do with it.
fn a_stale_read() -> History {
    history(vec![
        write(0, 1, 0).on("x").done(10),
        write(0, 2, 20).on("x").done(30),
        read(1, 35).on("x").returned(36, 2),
        write(1, 7, 37).on("x").done(38),
        read(2, 40).on("x").returned(50, 1),
        write(3, 8, 41).on("x").failed(42),
        write(4, 9, 60).on("x").done(61),
        write(5, 9, 70).on("y").done(71),
    ])
}

#[test]
fn tampered_cores_are_refused() {
    let (history, spec) = (a_stale_read(), spec(ModelKind::Register, Value::Nil));
    let good = core(None, &[0, 1, 4]);
    assert_eq!(
        verify(&history, &spec, &Certificate::Core(good.clone())),
        Ok(Proven::NotLinearizable { operations: 3, minimal: true })
    );
    for (cut, operations, why) in [
        (None, &[0, 1][..], "the core is possible"),
        (None, &[1, 4], "operation 4 was kept: it has to do with a value that was set by what was deleted"),
        (None, &[0, 4], "the core is possible"),
        (None, &[4], "operation 4 was kept"),
        (None, &[1, 0, 4], "not in ascending order"),
        (None, &[0, 1, 1, 4], "not in ascending order"),
        (None, &[], "no operations"),
        (None, &[0, 1, 4, 5], "operation 5 failed"),
        (None, &[0, 1, 4, 7], "operation 7 is on another key"),
        (None, &[0, 1, 4, 99], "operation 99 is not in the history"),
        (Some(45), &[0, 1, 4], "the core is possible"),
        (Some(39), &[0, 1, 4], "operation 4 was invoked after the cut"),
        (Some(25), &[0, 1], "the core is possible"),
    ] {
        refused(&history, &spec, &Certificate::Core(core(cut, operations)), why);
    }
    assert!(
        verify(&history, &spec, &Certificate::Core(core(Some(50), &[0, 1, 4]))).is_ok(),
        "a cut that cuts nothing needed"
    );
    let other_key = Core { key: "y".into(), ..good.clone() };
    refused(&history, &spec, &Certificate::Core(other_key), "operation 0 is on another key");
    let counter = ModelSpec { model: ModelKind::Counter, initial: 0.into() };
    refused(&history, &counter, &Certificate::Core(good.clone()), "operation 3 must not be deleted");
    let mut later = history.clone().into_operations();
    later[1].ret = 45;
    refused(&self::history(later), &spec, &Certificate::Core(good), "the core is possible");
}

/// The deletions that need an argument, each with one that looks alike and is not allowed.
#[test]
fn deletions_that_are_not_allowed_are_refused() {
    let cas = |process, old: i64, new: i64, invoke| {
        Operation::invoked(process, Action::Cas { old: old.into(), new: new.into() }, invoke)
    };
    // The end of a chain may go, its beginning may not.
    let chain = history(vec![
        write(0, 1, 0).on("x").done(1),
        cas(0, 1, 2, 2).on("x").done(3),
        cas(0, 2, 3, 4).on("x").done(5),
        read(0, 6).on("x").returned(7, 2),
    ]);
    let registers = spec(ModelKind::CasRegister, Value::Nil);
    assert!(verify(&chain, &registers, &Certificate::Core(core(None, &[0, 1, 2, 3]))).is_ok());
    refused(&chain, &registers, &Certificate::Core(core(None, &[0, 1, 3])), "the core is possible");
    refused(&chain, &registers, &Certificate::Core(core(None, &[1, 2, 3])), "operation 1 was kept");
    // With a refused compare-and-set that does not tell what it saw, no write may go.
    let not_equal = history(vec![
        write(0, 1, 0).on("x").done(1),
        write(0, 2, 2).on("x").done(3),
        cas(0, 1, 5, 4).on("x").mismatched(5, None),
    ]);
    refused(&not_equal, &registers, &Certificate::Core(core(None, &[0, 2])), "writes were deleted");
    // An element whose addition goes is taken out of what was read; one that only failed additions gave stays.
    let append = |process, element: i64, invoke| Operation::invoked(process, Action::Append(element.into()), invoke);
    let list = |elements: &[i64]| Value::List(elements.iter().map(|&element| element.into()).collect());
    let lists = spec(ModelKind::ListAppend, Value::Nil);
    let phantom = history(vec![
        append(0, 1, 0).on("x").done(1),
        append(0, 2, 2).on("x").failed(3),
        read(0, 4).on("x").returned(5, list(&[1, 2])),
    ]);
    assert!(verify(&phantom, &lists, &Certificate::Core(core(None, &[2]))).is_ok());
    let mut done = phantom.into_operations();
    done[1] = append(0, 2, 2).on("x").done(3);
    refused(&history(done), &lists, &Certificate::Core(core(None, &[2])), "the core is possible");
    // What a dequeue of unknown result took cannot be taken out, so it stays, and it need not have happened.
    let queue = |taken| {
        let enqueue = |element: i64, invoke| {
            Operation::invoked(0, Action::Enqueue(element.into()), invoke).on("x").done(invoke + 1)
        };
        let dequeue = |invoke| Operation::invoked(0, Action::Dequeue, invoke).on("x");
        history(vec![enqueue(1, 0), enqueue(2, 2), dequeue(4).done(5), dequeue(6).returned(7, taken)])
    };
    let queues = spec(ModelKind::Queue, Value::Nil);
    assert!(verify(&queue(1), &queues, &Certificate::Core(core(None, &[0, 1, 2, 3]))).is_ok());
    refused(&queue(2), &queues, &Certificate::Core(core(None, &[1, 3])), "nobody knows what it took");
    refused(&queue(2), &queues, &Certificate::Core(core(None, &[1, 2, 3])), "the core is possible");
    // An addition may go only when all kept reads came after it.
    let add = |process, number: i64, invoke| Operation::invoked(process, Action::Add(number.into()), invoke).on("x");
    let counters = spec(ModelKind::Counter, 0);
    let counted = history(vec![
        add(0, 5, 0).done(1),
        add(1, 3, 2).done(9),
        read(2, 4).on("x").returned(5, 5),
        read(2, 10).on("x").returned(11, 5),
    ]);
    assert!(verify(&counted, &counters, &Certificate::Core(core(None, &[1, 3]))).is_ok());
    assert!(
        verify(&counted, &counters, &Certificate::Core(core(None, &[3]))).is_ok(),
        "both were before the last read"
    );
    refused(&counted, &counters, &Certificate::Core(core(None, &[2, 3])), "operation 1 must not be deleted");
    // A pair may go only where nothing of its owner is beside it.
    let acquire = |owner: i64, invoke| Operation::invoked(owner as u64, Action::Acquire(owner.into()), invoke).on("x");
    let release = |owner: i64, invoke| Operation::invoked(owner as u64, Action::Release(owner.into()), invoke).on("x");
    let locks = spec(ModelKind::Lock, Value::Nil);
    let held_twice = history(vec![
        acquire(1, 0).done(1),
        release(1, 2).done(3),
        acquire(1, 4).done(5),
        acquire(2, 6).done(7),
        release(1, 8).done(9),
    ]);
    assert!(verify(&held_twice, &locks, &Certificate::Core(core(Some(7), &[2, 3]))).is_ok());
    refused(&held_twice, &locks, &Certificate::Core(core(None, &[0, 3])), "operation 1 must not be deleted");
    refused(&held_twice, &locks, &Certificate::Core(core(None, &[0, 1, 3])), "the core is possible");
    refused(&held_twice, &locks, &Certificate::Core(core(None, &[0, 1, 3, 4])), "operation 2 must not be deleted");
}

#[test]
fn a_core_that_is_too_large_is_undecided() {
    let mut operations: Vec<Operation> =
        (0..40).map(|value| Operation::invoked(value, Action::Enqueue((value as i64).into()), 0).done(100)).collect();
    operations.push(Operation::invoked(99, Action::Dequeue, 101).returned(102, 77));
    let history = history(operations);
    let all = Core { key: Value::Nil, ..core(None, &(0..41).collect::<Vec<_>>()) };
    let bounds = Bounds { steps: 10_000, ..Bounds::default() };
    let said = verify_within(&history, &spec(ModelKind::Queue, Value::Nil), &Certificate::Core(all), bounds);
    assert!(matches!(&said, Err(Refuted::Undecided(why)) if why.contains("10000 steps")), "{said:?}");
}

/// The bar: at most six operations, for every stale read that was put into a register's history.
#[test]
fn stale_reads_have_cores_of_at_most_six_operations() {
    let mut found = 0;
    for seed in 0..24 {
        let operations = [1_000, 3_000, 10_000, 30_000][seed as usize % 4];
        let clients = [2, 5, 20, 50][seed as usize / 4 % 4];
        let unknown = [0, 10, 100][seed as usize % 3];
        let history = Registers { operations, clients, unknown, stale: true }.history(seed);
        let spec = spec(ModelKind::Register, Value::Nil);
        let judgement = check(&history, &spec, &CheckOptions::default()).unwrap();
        if judgement.verdict == Verdict::Valid {
            continue;
        }
        let Some(certificate @ Certificate::Core(core)) = &judgement.certificate else {
            panic!("{}", judgement.reason)
        };
        assert!(core.operations.len() <= 6, "seed {seed}: {core:?}");
        let proven = Proven::NotLinearizable { operations: core.operations.len(), minimal: true };
        assert_eq!(verify(&history, &spec, certificate), Ok(proven), "seed {seed}");
        found += 1;
    }
    assert!(found >= 20, "only {found} of 24 histories had a stale read");
}

#[test]
fn valid_registers_have_orders() {
    for (seed, unknown) in [0, 10, 100].into_iter().enumerate() {
        let history = Registers { operations: 20_000, clients: 20, unknown, stale: false }.history(seed as u64);
        let spec = spec(ModelKind::Register, Value::Nil);
        let judgement = check(&history, &spec, &CheckOptions::default()).unwrap();
        assert_eq!(judgement.verdict, Verdict::Valid, "{}", judgement.reason);
        let certificate = judgement.certificate.expect("a valid verdict has an order");
        assert!(verify(&history, &spec, &certificate).is_ok());
    }
}

fn written(file: &CertificateFile) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.write(&mut bytes).unwrap();
    bytes
}

#[test]
fn certificates_come_back_from_their_files() {
    let history = a_stale_read();
    let spec = spec(ModelKind::Register, Value::Nil);
    for certificate in [
        Certificate::Core(core(None, &[0, 1, 4])),
        Certificate::Core(Core { cut: Some(50), minimal: false, ..core(None, &[0, 1, 4]) }),
        orders(&[("x", &[0, 1]), ("y", &[])]),
    ] {
        let file = CertificateFile::new(&history, &spec, certificate);
        assert_eq!(CertificateFile::read(&written(&file)[..]).unwrap(), file);
    }
    let file = CertificateFile::new(&history, &spec, Certificate::Core(core(None, &[0, 1, 4])));
    assert_eq!(
        String::from_utf8(written(&file)).unwrap(),
        format!(
            "{{\"trueline_certificate\":1,\"verdict\":\"invalid\",\"model\":\"register\",\"initial\":null,\
             \"history\":{{\"operations\":8,\"crc32c\":\"{:08x}\"}},\
             \"core\":{{\"key\":\"x\",\"cut\":null,\"operations\":[0,1,4],\"minimal\":true}}}}\n",
            HistoryDigest::of(&history).crc32c
        )
    );
}

#[test]
fn a_million_operations_take_less_than_eight_megabytes() {
    let order = (0..1_000_000).map(OpIndex).collect();
    let certificate = Certificate::Linearization(vec![KeyOrder { key: Value::Nil, order }]);
    let file = CertificateFile::new(&History::default(), &spec(ModelKind::Register, Value::Nil), certificate);
    assert!(written(&file).len() < 8_000_000);
}

#[test]
fn the_digest_tells_histories_apart() {
    let history = a_stale_read();
    let digest = HistoryDigest::of(&history);
    let operations = history.into_operations();
    let changes: [fn(&mut Operation); 6] = [
        |operation| operation.ret += 1,
        |operation| operation.process = checkers::history::ProcessId(77),
        |operation| operation.key = "z".into(),
        |operation| operation.action = Action::Append(1.into()),
        |operation| operation.action = Action::Write("1".into()),
        |operation| operation.completion = checkers::history::Completion::Fail,
    ];
    for change in changes {
        let mut operations = operations.clone();
        change(&mut operations[0]);
        assert_ne!(HistoryDigest::of(&self::history(operations)), digest);
    }
    assert_eq!(HistoryDigest::of(&self::history(operations)), digest);
}

#[test]
fn files_that_are_no_certificates_are_refused() {
    let file = CertificateFile::new(
        &a_stale_read(),
        &spec(ModelKind::Register, Value::Nil),
        Certificate::Core(core(Some(50), &[0, 1, 4])),
    );
    let good = String::from_utf8(written(&file)).unwrap();
    let refused = |text: &str, why: &str| match CertificateFile::read(text.as_bytes()) {
        Err(error) => assert!(error.to_string().contains(why), "{why:?} is not why: {error}"),
        Ok(file) => panic!("{text} was read as {file:?}"),
    };
    refused("", "EOF");
    refused("[]", "");
    refused(&good.replace("\"trueline_certificate\":1", "\"trueline_certificate\":2"), "its version is 2");
    refused(&good.replace("\"cut\":50", "\"cut\":50,\"more\":1"), "unknown field `more`");
    refused(&good.replace("\"verdict\":\"invalid\"", "\"verdict\":\"valid\""), "`valid` needs `keys`");
    refused(&good.replace("\"model\":\"register\"", "\"model\":\"regster\""), "unknown variant");
    refused(&good.replace("[0,1,4]", "[0,1,-4]"), "invalid value");
    refused(&good.replace("[0,1,4]", "[0,1,4294967296]"), "invalid value");
    refused(&good.replace("\"crc32c\":\"", "\"crc32c\":\"0x"), "eight lower-case hexadecimal digits");
    refused(&good.replace("\"minimal\":true", "\"minimal\":1"), "invalid type");
    refused(&format!("{good}{good}"), "trailing characters");
    let deep = format!("\"initial\":{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    refused(&good.replace("\"initial\":null", &deep), "recursion limit");
    // Whatever the bytes, reading ends without a panic, and so does verifying what was read.
    let bytes = good.as_bytes();
    for place in 0..bytes.len() {
        for byte in [b'0', b'9', b'"', b'}', b',', 0xff] {
            let mut bytes = bytes.to_vec();
            bytes[place] = byte;
            if let Ok(file) = CertificateFile::read(&bytes[..]) {
                let _ = verify(&a_stale_read(), &file.spec, &file.certificate);
            }
        }
        assert!(CertificateFile::read(&bytes[..place]).is_err() || place + 1 == bytes.len(), "cut at {place}");
    }
}

/// The verifier shares with the checkers only the types of histories, models and certificates.
#[test]
fn the_verifier_shares_no_code_with_the_checkers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in ["verify.rs", "verify/object.rs", "verify/deletions.rs", "verify/search.rs"] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        for line in text.lines().filter(|line| line.contains("crate::") && !line.trim_start().starts_with("//")) {
            let allowed = [
                "use crate::history::",
                "use crate::certificate::",
                "use crate::model::{ModelKind",
                "use crate::model::ModelKind;",
                "use crate::model::ModelSpec;",
            ];
            assert!(allowed.iter().any(|allowed| line.starts_with(allowed)), "{file}: {line}");
        }
    }
}
