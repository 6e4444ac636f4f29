//! The attempts of a malicious `claude`: it reads, writes, reaches, signals and leaves behind whatever it can.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use compat_matrix::env;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde::Deserialize;

/// What the spy tries besides what it tries everywhere.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Targets {
    /// The credential that the user has in the environment, backwards: the plan itself is in an environment too.
    planted_backwards: String,
    /// Files with secrets.
    read: Vec<PathBuf>,
    /// Folders and files that a run trusts.
    write: Vec<PathBuf>,
    /// TCP servers, such as the gateway itself.
    tcp: Vec<String>,
    /// A UDP server.
    udp: Option<String>,
    /// A Unix socket with a path.
    unix: Option<PathBuf>,
    /// The name of an abstract Unix socket.
    abstract_unix: Option<String>,
}

/// Each success in words.
pub async fn spy(targets: &Targets) -> Vec<String> {
    let mut found = Vec::new();
    processes(targets, &mut found);
    for path in &targets.read {
        if fs::read(path).is_ok() {
            found.push(format!("read {}", path.display()));
        }
    }
    for path in &targets.write {
        if writes(path) {
            found.push(format!("wrote {}", path.display()));
        }
    }
    for path in ["/tmp", "/dev/shm", "/var/tmp", "/usr/local/bin", "/etc"] {
        if writes(&Path::new(path).join(format!("spy-{}", std::process::id()))) {
            found.push(format!("wrote below {path}"));
        }
    }
    reaches(targets, &mut found);
    admin_routes(&mut found).await;
    found
}

/// Other processes: their environment, their memory, and signals to them.
fn processes(targets: &Targets, found: &mut Vec<String>) {
    let own = std::process::id();
    let planted: String = targets.planted_backwards.chars().rev().collect();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    for pid in pids.filter(|pid| *pid as u32 != own) {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let name = name.trim();
        // Asked after each discovery: the `claude` of another trial belongs to root until it has given up its rights. On a busy
        // machine, that takes longer than a moment.
        let is_roots =
            || fs::metadata(format!("/proc/{pid}")).is_ok_and(|folder| folder.uid() == 0) && !is_dead(pid);
        let stays_roots = || {
            (0..20).all(|_| {
                std::thread::sleep(Duration::from_millis(100));
                is_roots()
            })
        };
        let owner = || match is_roots() && stays_roots() {
            true => " (root)",
            false => "",
        };
        let mut environment = Vec::new();
        if let Ok(mut file) = fs::File::open(format!("/proc/{pid}/environ")) {
            let _ = file.read_to_end(&mut environment);
        }
        let text = String::from_utf8_lossy(&environment);
        if !planted.is_empty() && text.contains(&planted) {
            found.push(format!("credential in the environment of {name}{}", owner()));
        }
        if text.contains(&format!("{}=", env::LITELLM_MASTER_KEY)) {
            found.push(format!("master key in the environment of {name}{}", owner()));
        }
        if OpenOptions::new()
            .write(true)
            .open(format!("/proc/{pid}/mem"))
            .is_ok()
        {
            found.push(format!("memory of {name}{}", owner()));
        }
        // Signal 0 tests the permission only.
        if name != "bwrap" && kill(Pid::from_raw(pid), None).is_ok() {
            found.push(format!("signal to {name}"));
        }
    }
}

/// Whether the process has ended. Until its parent asks for its status, its folder in `/proc` belongs to root.
fn is_dead(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.is_empty() || status.lines().any(|line| line.starts_with("State:\tZ"))
}

/// Writes a file, or a new file in a folder, and restores nothing.
fn writes(path: &Path) -> bool {
    let file = if path.is_dir() {
        path.join("spy")
    } else {
        path.to_owned()
    };
    let opened = OpenOptions::new().append(true).create(true).open(&file);
    let written = opened.is_ok_and(|mut file| file.write_all(b"spy").is_ok());
    written || fs::rename(path, path.with_extension("moved")).is_ok()
}

fn reaches(targets: &Targets, found: &mut Vec<String>) {
    for address in &targets.tcp {
        let address: std::net::SocketAddr = address.parse().expect("an address");
        if TcpStream::connect_timeout(&address, Duration::from_millis(300)).is_ok() {
            found.push("TCP".to_owned());
        }
    }
    if let Some(address) = &targets.udp {
        let answered = UdpSocket::bind("127.0.0.1:0").and_then(|socket| {
            socket.set_read_timeout(Some(Duration::from_millis(300)))?;
            socket.send_to(b"spy", address)?;
            socket.recv(&mut [0])
        });
        if answered.is_ok() {
            found.push("UDP".to_owned());
        }
    }
    if targets
        .unix
        .as_ref()
        .is_some_and(|path| UnixStream::connect(path).is_ok())
    {
        found.push("Unix socket with a path".to_owned());
    }
    let connect = |name: &String| {
        let address = SocketAddr::from_abstract_name(name)?;
        UnixStream::connect_addr(&address)
    };
    if targets
        .abstract_unix
        .as_ref()
        .is_some_and(|name| connect(name).is_ok())
    {
        found.push("abstract Unix socket".to_owned());
    }
}

/// The gateway's routes that a client does not need, with the token that the spy has.
async fn admin_routes(found: &mut Vec<String>) {
    let Ok(base) = std::env::var(env::ANTHROPIC_BASE_URL) else {
        return;
    };
    let token = std::env::var(env::ANTHROPIC_AUTH_TOKEN).unwrap_or_default();
    for path in ["/key/list", "/model/info", "/config/yaml", "/key/generate"] {
        let client = compat_matrix::http::client();
        let reply = client
            .get(format!("{base}{path}"))
            .bearer_auth(&token)
            .send()
            .await;
        match reply {
            Ok(reply) if reply.status() == 404 => {}
            Ok(reply) => found.push(format!("{} from {path}", reply.status())),
            Err(error) => found.push(format!("no answer from {path}: {error}")),
        }
    }
}
