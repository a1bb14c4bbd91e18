//! A proxy made of hyper and nothing else, on one thread, with connections kept on both sides: what the library itself
//! takes on this machine. It rewrites nothing and checks nothing.

use crate::others::{stop, wait_for};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self as client, SendRequest};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustix::process::Signal;
use std::cell::RefCell;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::net::{TcpListener, TcpStream};

/// This program again, as that proxy.
pub(crate) struct Bare {
    child: Child,
    pub(crate) port: u16,
}

impl Bare {
    /// In front of that port.
    pub(crate) fn start(service: u16) -> Self {
        let port = crate::others::free_port();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--bare-proxy", &port.to_string(), &service.to_string()]);
        let child = command.stdin(Stdio::null()).process_group(0).spawn().unwrap();
        let bare = Self { child, port };
        wait_for("the bare proxy", port);
        bare
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        stop(&mut self.child, Signal::KILL);
    }
}

/// Is that proxy, until it is killed.
pub(crate) fn run(port: u16, service: u16) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let pool = Rc::new(Pool { service, idle: RefCell::default() });
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let pool = Rc::clone(&pool);
            let service = service_fn(move |request| answer(Rc::clone(&pool), request));
            // wrk closes its connections as it likes.
            tokio::task::spawn_local(server::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
}

async fn answer(pool: Rc<Pool>, request: Request<Incoming>) -> Result<Response<Returning>, Infallible> {
    let mut sender = match pool.kept() {
        Some(sender) => sender,
        None => pool.connect().await,
    };
    let response = sender.send_request(request).await.unwrap();
    Ok(response.map(|body| Returning { body, sender: Some(sender), pool }))
}

/// Connections to the service.
struct Pool {
    service: u16,
    idle: RefCell<Vec<SendRequest<Incoming>>>,
}

impl Pool {
    fn kept(&self) -> Option<SendRequest<Incoming>> {
        let mut idle = self.idle.borrow_mut();
        let at = idle.iter().rposition(SendRequest::is_ready)?;
        Some(idle.remove(at))
    }

    async fn connect(&self) -> SendRequest<Incoming> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.service)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = client::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::task::spawn_local(connection);
        sender
    }
}

/// The service's body; its connection is free again once it is over.
struct Returning {
    body: Incoming,
    sender: Option<SendRequest<Incoming>>,
    pool: Rc<Pool>,
}

impl Body for Returning {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        self.pool.idle.borrow_mut().extend(self.sender.take());
    }
}
