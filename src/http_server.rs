//! An HTTP server in this process: the provider simulator and the relays are such servers.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The time that open connections have to end at shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

/// A server that has its address but does not serve yet.
pub struct BoundServer {
    listener: TcpListener,
    base_url: String,
}

impl BoundServer {
    /// Listens on `address`; port 0 is any free one.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        Ok(Self { listener, base_url })
    }

    /// `listener` serves as `base_url`.
    pub fn of(listener: TcpListener, base_url: &str) -> Self {
        Self {
            listener,
            base_url: base_url.to_owned(),
        }
    }

    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Serves `router` on the current runtime.
    pub fn serve(self, router: Router) -> HttpServer {
        let (stop, stopped) = oneshot::channel::<()>();
        // Without it, small events wait for the acknowledgement of earlier ones.
        let listener = self.listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let serving = axum::serve(listener, router).with_graceful_shutdown(async {
            // Sent or dropped: both stop the server.
            let _ = stopped.await;
        });
        HttpServer {
            base_url: self.base_url,
            stop,
            task: tokio::spawn(async { serving.await }),
        }
    }
}

/// A running server. Dropping it stops it; [`HttpServer::shutdown`] also waits for its end.
#[derive(Debug)]
pub struct HttpServer {
    base_url: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl HttpServer {
    /// `http://host:port`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Stops it. Open streams are cut off after half a second.
    pub async fn shutdown(self) {
        // An error means that it has ended already.
        let _ = self.stop.send(());
        let _ = timeout(SHUTDOWN_GRACE, self.task).await;
    }
}
