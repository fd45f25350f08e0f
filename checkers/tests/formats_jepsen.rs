//! The formats of others, Jepsen's above all, on small histories of their own.

use std::path::Path;

use checkers::history::{
    Action, Completion, FailedCas, Format, HistoryError, Loaded, NilRead, Operation, ReadOptions, Value, read,
    read_with,
};
use checkers::model::{ModelKind, ModelSpec};

fn edn(text: &str) -> Result<Loaded, HistoryError> {
    read(text.as_bytes(), Format::JepsenEdn)
}

fn cas(old: i64, new: i64) -> Action {
    Action::Cas { old: old.into(), new: new.into() }
}

fn write(value: impl Into<Value>) -> Action {
    Action::Write(value.into())
}

fn list(numbers: &[i64]) -> Value {
    Value::List(numbers.iter().copied().map(Value::Int).collect())
}

/// Asserts the error's variant, and that its message has all of these words.
macro_rules! assert_error {
    ($result:expr, $variant:pat, $($word:expr),+) => {{
        let error = $result.map(|_| ()).expect_err("this history breaks a rule");
        assert!(matches!(error, $variant), "{error:?}");
        let message = error.to_string();
        $(assert!(message.contains($word), "`{}` is missing in: {message}", $word);)+
    }};
}

#[test]
fn jepsen_edn_means_what_knossos_means() {
    let text = r#"; a comment
        [{:process 3, :type :invoke, :f :cas, :value [0 7], :time 20}
         {:type :odd :process :nemesis :f 3 :value {"n1" #{#a.B{:c #"re(" :d #'v} #object[x.Y 0x1f "z"] #<No {way>}}}
         {:process 4  :type :invoke, :f :read, :value 9, :time 10}, #_ {:not "read"}
         {:process 3, :type :fail, :f :cas, :value [0 7], :error [:gone 1.5]}
         {:process 4, :type :ok, :f :read, :value nil}
         #jepsen.history.Op{:process 5, :type :invoke, :f :write, :value :w}
         {:process 5, :type :info, :f :write, :value :timed-out}]
        "#;
    let loaded = edn(text).unwrap();
    assert_eq!((loaded.nemesis_events, loaded.lines, loaded.model), (1, 9, None));
    let mut expected = [
        Operation::invoked(3, cas(0, 7), 0).failed(3),
        Operation::invoked(4, Action::Read, 2).done(4),
        Operation::invoked(5, write(":w"), 5),
    ];
    assert_eq!(loaded.history.clone().into_operations(), expected);

    let (nil_read, failed_cas) = (Some(NilRead::Absent), Some(FailedCas::Mismatch));
    let etcd = ReadOptions { nil_read, failed_cas, ..ReadOptions::default() };
    let loaded = read_with(text.as_bytes(), Format::JepsenEdn, &etcd).unwrap();
    expected[0].completion = Completion::Mismatch { observed: None };
    expected[1].completion = Completion::Ok(Some(Value::Nil));
    assert_eq!(loaded.history.clone().into_operations(), expected);
}

#[test]
fn jepsen_edn_reads_lists_map_lines_and_independent_keys() {
    let maps = "{:process 0 :type :invoke :f :write :value [\"k\" 1]}\n\
        {:process 0 :type :ok :f :write :value [\"k\" 1]}\n\
        {:process 1 :type :invoke :f :cas :value [:k [1 2]]}\n\
        {:process 1 :type :info :f :cas :value [:k :timed-out]}\n";
    let options = ReadOptions { independent_keys: true, ..ReadOptions::default() };
    let expected = [Operation::invoked(0, write(1), 0).on("k").done(1), Operation::invoked(1, cas(1, 2), 2).on(":k")];
    for text in [maps.to_owned(), format!("({maps})"), format!("[\n{maps}]\n;end")] {
        let loaded = read_with(text.as_bytes(), Format::JepsenEdn, &options).unwrap();
        assert_eq!(loaded.history.clone().into_operations(), expected, "{text}");
    }
    let plain = edn("{:process 0 :type :invoke :f :write :value [\"k\" 1]}").unwrap();
    let pair = Value::List(vec!["k".into(), 1.into()]);
    assert_eq!(
        plain.history.clone().into_operations()[0].action,
        Action::Write(pair),
        "without asking, a vector is a value"
    );
    let unkeyed = "{:process 1 :type :invoke :f :read :value [1 nil]} {:process 1 :type :fail :f :read :value :gone}";
    let loaded = read_with(unkeyed.as_bytes(), Format::JepsenEdn, &options).unwrap();
    assert_eq!(loaded.history.clone().into_operations(), [Operation::invoked(1, Action::Read, 0).on(1).failed(1)]);
    let mixed_up = read(unkeyed.as_bytes(), Format::JepsenEdn);
    assert_error!(mixed_up, HistoryError::Malformed { line: 1, .. }, "independent keys", "--independent");
    let bare = "{:process 0 :type :invoke :f :write :value 1}";
    let result = read_with(bare.as_bytes(), Format::JepsenEdn, &options);
    assert_error!(result, HistoryError::Malformed { line: 1, .. }, "[key value]");
}

#[test]
fn jepsen_log_means_what_etcd_tests_mean() {
    let text = "INFO  jepsen.core - Worker 0 starting\n\
        INFO  jepsen.util - 0\t:invoke\t:read\tnil\n\
        INFO  jepsen.util - 1\t:invoke\t:cas\t[1 2]\n\
        INFO  jepsen.util - 2\t:invoke\t:cas\t[3 4]\n\
        INFO  jepsen.util - :nemesis\t:info\t:start\tnil\n\
        INFO  jepsen.util - 0\t:ok\t:read\tnil\n\
        INFO  jepsen.util - 1\t:fail\t:cas\t[1 2]\n\
        INFO [2026-01-02 16:56:58,996] jepsen worker 2 - jepsen.util 2 :fail :cas :timed-out\n\
        INFO  jepsen.util - 0\t:invoke\t:read\tnil\n\
        INFO  jepsen.util - 0\t:fail\t:read\t:timed-out\n\
        INFO  jepsen.util - 3\t:invoke\t:write\t5\n\
        INFO  jepsen.util - 3\t:info\t:write\t:timed-out\n";
    let loaded = read(text.as_bytes(), Format::JepsenLog).unwrap();
    assert_eq!((loaded.skipped, loaded.nemesis_events, loaded.lines), (1, 1, 12));
    let expected = [
        Operation::invoked(0, Action::Read, 0).returned(4, Value::Nil),
        Operation::invoked(1, cas(1, 2), 1).mismatched(5, None),
        Operation::invoked(2, cas(3, 4), 2).failed(6),
        Operation::invoked(0, Action::Read, 7).failed(8),
        Operation::invoked(3, write(5), 9),
    ];
    assert_eq!(loaded.history.clone().into_operations(), expected);
    for wrong in ["go", "{:valid? true}", "INFO  jepsen.util - 0 :invoke :read", "INFO  jepsen.util - 0", "0 :ok :read"]
    {
        assert_error!(read(wrong.as_bytes(), Format::JepsenLog), HistoryError::Malformed { line: 1, .. }, "expected");
    }
}

#[test]
fn a_jepsen_log_file_has_times_threads_and_messages_of_many_lines() {
    let text = "2026-01-02 12:00:00,123{GMT}\tINFO\t[jepsen test runner] jepsen.core: Running test:\n\
        {:name \"etcd\",\n :nodes [\"n1\"]}\n\
        2026-01-02 12:00:00,200{GMT}\tINFO\t[jepsen node n1] jepsen.util: Waiting for port 2379 ...\n\
        2026-01-02 12:00:00,301{GMT}\tINFO\t[jepsen worker 0] jepsen.util: 0\t:invoke\t:write\t[7 2]\n\
        2026-01-02 12:00:00,302{GMT}\tINFO\t[jepsen worker 1] jepsen.print: 1\t:invoke\t:read\t[7 nil]\n\
        2026-01-02 12:00:00,303{GMT}\tINFO\t[jepsen worker nemesis] jepsen.util: :nemesis\t:info\t:start\t#<odd\n\
        2026-01-02 12:00:00,304{GMT}\tWARN\t[jepsen worker 0] jepsen.core: Process 0 crashed\n\
        java.net.ConnectException: Connection refused\n\tat jepsen.util$timeout.invoke(util.clj:1)\n\
        2026-01-02 12:00:00,305{GMT}\tINFO\t[jepsen worker 0] jepsen.util: 0\t:info\t:write\t[7 2]\t(it (broke\n\
        2026-01-02 12:00:00,306{GMT}\tINFO\t[jepsen worker 1] jepsen.util: 1\t:ok\t:read\t[7 2]\n\
        2026-01-02 12:00:00,307{GMT}\tINFO\t[jepsen worker 1] jepsen.util: 1\t:invoke\t:read\t[7 nil]\n\
        2026-01-02 12:00:00,308{GMT}\tINFO\t[jepsen worker 1] jepsen.util: 1\t:fail\t:read\t:timed-out\n";
    let options = ReadOptions { independent_keys: true, ..ReadOptions::default() };
    let loaded = read_with(text.as_bytes(), Format::JepsenLog, &options).unwrap();
    assert_eq!((loaded.skipped, loaded.nemesis_events, loaded.lines), (7, 1, 14));
    let expected = [
        Operation::invoked(0, write(2), 0).on(7),
        Operation::invoked(1, Action::Read, 1).on(7).returned(4, 2),
        Operation::invoked(1, Action::Read, 5).on(7).failed(6),
    ];
    assert_eq!(loaded.history.clone().into_operations(), expected);
    assert_eq!(Format::guess(Path::new("x"), text.as_bytes()), Some(Format::JepsenLog));
    let asked = read(text.as_bytes(), Format::JepsenLog);
    assert_error!(asked, HistoryError::Malformed { line: 6, .. }, "--independent");
}

#[test]
fn a_history_txt_has_operations_alone() {
    let text = "0\t:invoke\t:read\tnil\n:nemesis\t:info\t:start\tnil\n0\t:ok\t:read\t3\n";
    let loaded = read(text.as_bytes(), Format::JepsenLog).unwrap();
    assert_eq!(loaded.history.clone().into_operations(), [Operation::invoked(0, Action::Read, 0).returned(2, 3)]);
    assert_eq!(Format::guess(Path::new("history.txt"), text.as_bytes()), Some(Format::JepsenLog));
    let result = read(format!("{text}what is this\n").as_bytes(), Format::JepsenLog);
    assert_error!(result, HistoryError::Malformed { line: 4, .. }, "expected");
}

#[test]
fn key_value_text_has_get_put_and_append() {
    let text = "{:process 0, :type :invoke, :f :put, :key \"a\", :value \"x\"}\n\
        {:process 0, :type :ok, :f :put, :key \"a\", :value \"x\"}\n\
        {:process 0, :type :invoke, :f :append, :key \"a\", :value \"y\"}\n\
        {:process 1, :type :invoke, :f :get, :key \"b\", :value nil}\n\
        {:process 0, :type :ok, :f :append, :key \"a\", :value \"y\"}\n\
        {:process 1, :type :ok, :f :get, :key \"b\", :value \"\"}";
    let loaded = read(text.as_bytes(), Format::KvText).unwrap();
    assert_eq!(loaded.model, Some(ModelSpec { model: ModelKind::KeyValue, initial: "".into() }));
    let expected = [
        Operation::invoked(0, write("x"), 0).on("a").done(1),
        Operation::invoked(0, Action::Append("y".into()), 2).on("a").done(4),
        Operation::invoked(1, Action::Read, 3).on("b").returned(5, ""),
    ];
    assert_eq!(loaded.history.clone().into_operations(), expected);
    let number = "{:process 0, :type :invoke, :f :put, :key \"a\", :value 1}";
    assert_error!(read(number.as_bytes(), Format::KvText), HistoryError::Malformed { line: 1, .. }, "strings");
    let cas = "{:process 0, :type :invoke, :f :cas, :key \"a\", :value [1 2]}";
    assert_error!(read(cas.as_bytes(), Format::KvText), HistoryError::Malformed { line: 1, .. }, "get, put");
}

#[test]
fn edn_that_is_no_history_is_refused() {
    for (text, word) in [
        ("[1]", "a map such as"),
        ("{:process -1 :type :invoke :f :read}", "below zero"),
        ("{:process :client :type :invoke :f :read}", ":nemesis"),
        ("{:process 1 :type :done :f :read}", ":type"),
        ("{:process 1 :process 1 :type :invoke :f :read}", "twice"),
        ("{:process 1 :type :invoke :f :write :value 1.5}", "`1.5` is not a value"),
        ("{:process 1 :type :invoke :f :write :value {1 2}}", "a map is not a value"),
        ("{:process 1 :type :invoke :f :frob}", "unknown function `frob`"),
        ("{:process 1 :type :invoke}", ":f"),
        ("[] 1", "follows the end"),
        ("]", "closes nothing"),
        ("[)", "closes nothing"),
    ] {
        assert_error!(edn(text), HistoryError::Malformed { line: 1, .. }, word);
    }
    assert_error!(edn("[\n{}"), HistoryError::Malformed { line: 2, .. }, ":process");
    assert_error!(edn("[\n{:a"), HistoryError::Truncated { line: 2 }, "--keep-complete-lines");
    assert_error!(
        edn("{:process 1 :type :invoke :f :txn}"),
        HistoryError::WrongValue { line: 1, .. },
        "a txn is a list"
    );
}

#[test]
fn jepsen_edn_has_every_function() {
    let text = "[{:process 0 :type :invoke :f :add :value 3}\n\
        {:process 0 :type :ok :f :add :value 3}\n\
        {:process 0 :type :invoke :f :read :value #{9}}\n\
        {:process 0 :type :ok :f :read :value #{3 1 2}}\n\
        {:process 1 :type :invoke :f :enqueue :value :x}\n\
        {:process 1 :type :ok :f :enqueue :value :x}\n\
        {:process 1 :type :invoke :f :dequeue :value nil}\n\
        {:process 1 :type :ok :f :dequeue :value :x}\n\
        {:process 1 :type :invoke :f :dequeue}\n\
        {:process 1 :type :fail :f :dequeue :error :empty}\n\
        {:process 2 :type :invoke :f :acquire :value nil}\n\
        {:process 2 :type :ok :f :acquire :value {:fence 7}}\n\
        {:process 2 :type :invoke :f :release :value \"me\"}\n\
        {:process 2 :type :info :f :release :value nil}\n\
        {:process 3 :type :invoke :f :delete :key \"k\"}\n\
        {:process 3 :type :ok :f :delete :key \"k\"}\n\
        {:process 3 :type :invoke :f :txn :value [[:r :x nil] (:append 4 2) [:w :z 5]]}\n\
        {:process 3 :type :ok :f :txn :value [[:r :x [1]] [:append 4 2] [:w :z 5]]}]";
    let micro = |name: &str, key: Value, value: Value| Value::List(vec![name.into(), key, value]);
    let txn = |read: Value| {
        Value::List(vec![
            micro("r", ":x".into(), read),
            micro("append", 4.into(), 2.into()),
            micro("w", ":z".into(), 5.into()),
        ])
    };
    let expected = [
        Operation::invoked(0, Action::Add(3.into()), 0).done(1),
        Operation::invoked(0, Action::Read, 2).returned(3, list(&[1, 2, 3])),
        Operation::invoked(1, Action::Enqueue(":x".into()), 4).done(5),
        Operation::invoked(1, Action::Dequeue, 6).returned(7, ":x"),
        Operation::invoked(1, Action::Dequeue, 8).failed(9),
        Operation::invoked(2, Action::Acquire(2.into()), 10).done(11),
        Operation::invoked(2, Action::Release("me".into()), 12),
        Operation::invoked(3, Action::Delete, 14).on("k").done(15),
        Operation::invoked(3, Action::Txn(txn(Value::Nil)), 16).returned(17, txn(list(&[1]))),
    ];
    assert_eq!(edn(text).unwrap().history.into_operations(), expected);
    for (value, word) in [
        ("[[:inc :x 1]]", ":inc"),
        ("[[:r :x]]", "a transaction is"),
        ("[[r :x nil]]", "a transaction is"),
        ("7", "a transaction is"),
    ] {
        let text = format!("{{:process 0 :type :invoke :f :txn :value {value}}}");
        assert_error!(edn(&text), HistoryError::Malformed { line: 1, .. }, word);
    }
    let set = "{:process 0 :type :invoke :f :write :value #{1}}";
    assert_error!(edn(set), HistoryError::Malformed { line: 1, .. }, "a set is a value");
}
