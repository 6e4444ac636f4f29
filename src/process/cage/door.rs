//! The only way out of a cage with namespaces: a TCP listener that was made inside and is served outside.
//!
//! A socket belongs to the network in which it was made, whatever process holds it. So the confined program connects to
//! loopback in its own network, and the relay accepts the connection. No byte is copied.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tokio::net::UnixListener;

/// The longest wait for the program's start to send its listener.
const PATIENCE: Duration = Duration::from_secs(5);

/// The door of one program, before the program starts.
#[derive(Debug)]
pub struct Door {
    socket: UnixListener,
    path: PathBuf,
}

impl Door {
    /// Waits in `folder`, the folder of a confined program.
    pub fn wait_in(folder: &Path) -> io::Result<Self> {
        let path = super::door_path(folder);
        let socket = UnixListener::bind(&path)?;
        Ok(Self { socket, path })
    }

    /// The listener in the program's network.
    pub async fn listener(self) -> io::Result<tokio::net::TcpListener> {
        let (stream, _) = self.socket.accept().await?;
        let stream = stream.into_std()?;
        let received = tokio::task::spawn_blocking(move || receive(&stream)).await;
        let listener = received.map_err(io::Error::other)??;
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn receive(stream: &UnixStream) -> io::Result<TcpListener> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut byte)],
        &mut ancillary,
        RecvFlags::empty(),
    )?;
    let sent = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    sent.map(TcpListener::from)
        .ok_or_else(|| io::Error::other("the cage sent no listener"))
}

/// Listens on `port` of this network, and sends the listener through the socket `door`.
pub(super) fn open_from_inside(door: &Path, port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let stream = UnixStream::connect(door)?;
    let files = [listener.as_fd()];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(&stream, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::empty())?;
    // The other side removes it too.
    let _ = std::fs::remove_file(door);
    Ok(())
}
