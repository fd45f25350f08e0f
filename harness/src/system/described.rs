//! A server that is described in `trueline.toml`, and not known to this program otherwise.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use checkers::history::Value;
use tokio::net::TcpStream;
use workloads::client::{
    AnyClient, ClientError, DescribedClient,
    described::{Api, probe::without_a_part},
};

use super::{MissingBinary, NodePlace, StatusFuture, System, given, is_executable, unmodified_suffers};
use crate::{
    config::{NetworkKind, RunConfig},
    nemesis::NemesisKind,
    settings::system::{DescribedSystem, OfNode},
};

/// A server that takes no connection within this does not serve.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);

/// Any server.
#[derive(Debug)]
pub struct Described {
    system: Arc<DescribedSystem>,
    api: Arc<Api>,
    program: PathBuf,
}

impl Described {
    /// The server that `config` has the description of.
    ///
    /// # Errors
    /// When its program is not there.
    pub fn new(config: &RunConfig) -> Result<Self, MissingBinary> {
        let system = config.described.clone().ok_or(MissingBinary::NotDescribed)?;
        let program = match &config.binary {
            Some(path) => given(path)?,
            None => program(&system)?,
        };
        let api = Arc::new(system.description.api(system.reads.as_deref()));
        Ok(Self { system: Arc::new(system), api, program })
    }
}

/// The first word of the command: a path if it has a slash, as seen from the file's directory, and else a name in PATH.
fn program(system: &DescribedSystem) -> Result<PathBuf, MissingBinary> {
    let words = |word: &str| match word {
        "config_dir" => Value::Text(system.config_dir.display().to_string()),
        _ => Value::Nil,
    };
    let word = system.description.command()[0].fill(words);
    let candidates: Vec<PathBuf> = match word.contains('/') {
        true => vec![system.config_dir.join(&word)],
        false => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|dir| dir.join(&word)).collect()
        }
    };
    candidates.into_iter().find(|candidate| is_executable(candidate)).ok_or_else(|| MissingBinary::Described {
        system: system.name.to_string(),
        program: word,
        config: system.config.clone(),
    })
}

impl Described {
    /// The nodes as this one is told of them, itself among them or not.
    fn peers(&self, place: &NodePlace, with_itself: bool) -> String {
        let Some(template) = self.system.description.peer() else { return String::new() };
        let one = |(id, address): &(u32, SocketAddr)| {
            template.fill(|word| match word {
                "id" => Value::Int((*id).into()),
                "name" => Value::Text(format!("n{id}")),
                "host" => Value::Text(address.ip().to_string()),
                "peer_port" => Value::Int(address.port().into()),
                "client_port" => Value::Int(self.client_port().into()),
                _ => Value::Text(address.to_string()),
            })
        };
        let told = place.peers.iter().filter(|(id, _)| with_itself || *id != place.id);
        told.map(one).collect::<Vec<_>>().join(self.system.description.peer_separator())
    }

    fn word(&self, word: &str, place: &NodePlace) -> Value {
        let text = |text: &dyn std::fmt::Display| Value::Text(text.to_string());
        match word {
            "id" => Value::Int(place.id.into()),
            "name" => Value::Text(format!("n{}", place.id)),
            "host" => text(&place.listen_client.ip()),
            "client_port" => Value::Int(place.listen_client.port().into()),
            "client_addr" => text(&place.listen_client),
            "peer_port" => Value::Int(place.listen_peer.port().into()),
            "addr" => text(&place.listen_peer),
            "peers" => Value::Text(self.peers(place, true)),
            "others" => Value::Text(self.peers(place, false)),
            "nodes" => Value::Int(i64::try_from(place.peers.len()).unwrap_or(i64::MAX)),
            "data_dir" => text(&place.data_dir.display()),
            "config_dir" => text(&self.system.config_dir.display()),
            "cluster" => text(&place.cluster),
            "seed" => text(&place.seed),
            other => unreachable!(
                "{other:?} is not among {:?}",
                <OfNode as workloads::client::described::template::Words>::ALL
            ),
        }
    }
}

impl System for Described {
    fn client_port(&self) -> u16 {
        self.system.description.client_port()
    }

    fn peer_port(&self) -> u16 {
        self.system.description.peer_port()
    }

    fn program(&self) -> &Path {
        &self.program
    }

    /// An interpreter finds its libraries, and a script its neighbours, by where it is.
    fn may_be_linked(&self) -> bool {
        false
    }

    fn arguments(&self, place: &NodePlace) -> Vec<String> {
        self.system.description.command()[1..].iter().map(|word| word.fill(|name| self.word(name, place))).collect()
    }

    fn environment(&self, place: &NodePlace) -> Vec<(OsString, OsString)> {
        let env = self.system.description.env().iter();
        env.map(|(name, value)| (name.into(), value.fill(|word| self.word(word, place)).into())).collect()
    }

    fn runs_in_its_directory(&self) -> bool {
        true
    }

    fn client(&self, address: SocketAddr) -> Result<AnyClient, ClientError> {
        Ok(AnyClient::Described(DescribedClient::new(&format!("http://{address}"), Arc::clone(&self.api))?))
    }

    fn status(&self, address: SocketAddr) -> StatusFuture {
        let system = Arc::clone(&self.system);
        Box::pin(async move {
            match system.description.status() {
                Some(status) => status.ask(&format!("http://{address}")).await.ok(),
                // Nobody is to be aimed at, and nothing to be learnt.
                None => None,
            }
        })
    }

    fn ready(&self, address: SocketAddr) -> StatusFuture {
        let system = Arc::clone(&self.system);
        Box::pin(async move {
            let base_url = format!("http://{address}");
            let is_ready = match system.description.ready() {
                Some(ready) => ready.ask(&base_url).await,
                None => {
                    let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
                    matches!(connected, Ok(Ok(_)))
                }
            };
            match system.description.status() {
                Some(status) if is_ready => status.ask(&base_url).await.ok(),
                None if is_ready => Some(without_a_part()),
                _ => None,
            }
        })
    }

    fn suffers(&self, kind: NemesisKind) -> Result<(), String> {
        unmodified_suffers(kind)
    }

    fn election_timeout_ms(&self) -> u64 {
        self.system.description.election_timeout_ms()
    }

    fn check_network(&self, network: NetworkKind) -> Result<(), String> {
        match network {
            NetworkKind::Proxy if !self.system.description.fits_relays() => Err(format!(
                "over --network proxy every node reaches each other one at an address of its own (a relay); if {} can be told so, say \
                 `proxy = true` in its description, else it needs --network fabric",
                self.system.name
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    const KV: &str = r#"
[system.kv]
command = ["sh", "{config_dir}/kv.sh", "{id}/{nodes}", "{client_addr}", "{addr}", "{peers}", "{others}", "{name}:{seed}:{cluster}"]
client-port = 8000
peer-port = 8001
peer = "{name}={host}:{peer_port}/{client_port}"
peer-separator = ";"
env = { DATA = "{data_dir}" }

[system.kv.lock.acquire]
method = "POST"
path = "/lock/{key}/{value}"
answers = [{ status = 200, outcome = "ok" }, { status = 409, outcome = "refused" }]

[system.kv.lock.release]
method = "DELETE"
path = "/lock/{key}/{value}"
answers = [{ status = 200, outcome = "ok" }, { status = 409, outcome = "refused" }]
"#;

    fn system(text: &str) -> DescribedSystem {
        let (name, description) = Settings::parse(text).expect("settings").system.into_iter().next().expect("a system");
        DescribedSystem {
            name,
            config: "/etc/kv/trueline.toml".into(),
            config_dir: "/etc/kv".into(),
            reads: None,
            description,
        }
    }

    fn described(text: &str) -> Described {
        let system = system(text);
        let api = Arc::new(system.description.api(None));
        Described { program: program(&system).expect("a shell"), system: Arc::new(system), api }
    }

    fn place() -> NodePlace {
        let at = |text: &str| text.parse().expect("an address");
        NodePlace {
            id: 2,
            listen_client: at("10.0.0.2:8000"),
            listen_peer: at("10.0.0.2:8001"),
            peers: vec![(1, at("10.0.0.1:8001")), (2, at("10.0.0.2:8001"))],
            founders: None,
            faults_file: None,
            data_dir: "/data/2".into(),
            cluster: "run".to_owned(),
            seed: 7,
        }
    }

    #[test]
    fn a_node_is_told_who_it_is_and_whom_it_reaches_where() {
        let described = described(KV);
        let (one, two) = ("n1=10.0.0.1:8001/8000", "n2=10.0.0.2:8001/8000");
        let both = format!("{one};{two}");
        let wanted = ["/etc/kv/kv.sh", "2/2", "10.0.0.2:8000", "10.0.0.2:8001", &both, one, "n2:7:run"];
        assert_eq!(described.arguments(&place()), wanted);
        assert_eq!(described.environment(&place()), [("DATA".into(), "/data/2".into())]);
        assert!(described.program().is_absolute());
    }

    #[test]
    fn a_program_that_is_not_there_is_told_before_anything_starts() {
        for word in ["no-such-program-4711", "./no-such-program", "{config_dir}/kv"] {
            let error = program(&system(&KV.replace("\"sh\"", &format!("\"{word}\"")))).expect_err(word).to_string();
            assert!(error.contains("kv") && error.contains("/etc/kv/trueline.toml"), "{error}");
        }
    }

    #[test]
    fn relays_only_where_addresses_may_differ() {
        assert!(described(KV).check_network(NetworkKind::Proxy).is_err());
        assert!(described(KV).check_network(NetworkKind::Fabric).is_ok());
        let fits = KV.replace("client-port = 8000", "client-port = 8000\nproxy = true");
        assert!(described(&fits).check_network(NetworkKind::Proxy).is_ok());
    }

    #[test]
    fn what_only_the_nodes_in_the_box_suffer_is_refused() {
        let described = described(KV);
        for kind in [NemesisKind::Power, NemesisKind::Messages, NemesisKind::Clock, NemesisKind::Membership] {
            assert!(described.suffers(kind).is_err(), "{kind}");
        }
        for kind in [NemesisKind::Partition, NemesisKind::Kill, NemesisKind::Pause, NemesisKind::MuteAnswers] {
            assert!(described.suffers(kind).is_ok(), "{kind}");
        }
    }
}
