//! TLS on either leg, with client certificates, and the choice of protocol.

use crate::gateway::{Gateway, Setup};
use crate::peer::{PATIENCE, Service, status};
use crate::support::tls::{Authority, Identity};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ServerConfig};
use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

fn roots(authority: &Authority) -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.cert.as_bytes()).unwrap()).unwrap();
    roots
}

fn chain(identity: &Identity) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let cert = CertificateDer::from_pem_slice(identity.cert.as_bytes()).unwrap();
    (vec![cert], PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap())
}

fn client(authority: &Authority, identity: Option<&Identity>, alpn: &[&[u8]]) -> ClientConfig {
    let builder = ClientConfig::builder().with_root_certificates(roots(authority));
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = chain(identity);
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

fn listener(authority: &Authority, more: &str, client_ca: bool) -> (Gateway, Service) {
    let service = Service::new();
    let identity = authority.issue();
    let ca = if client_ca { ", client_ca = \"ca.pem\"" } else { "" };
    let gateway = Setup::new(service.url())
        .with(&format!("tls = {{ cert = \"cert.pem\", key = \"key.pem\"{ca} }}\n{more}"))
        .file("cert.pem", &identity.cert)
        .file("key.pem", &identity.key)
        .file("ca.pem", &authority.cert)
        .start();
    (gateway, service)
}

/// A handshake and one request of HTTP/1.1; what came back, or why nothing did.
fn one(gateway: &Gateway, config: ClientConfig, service: &Service) -> std::io::Result<String> {
    let name = ServerName::try_from("localhost").unwrap();
    let session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let tcp = TcpStream::connect(&gateway.address)?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    let mut stream = rustls::StreamOwned::new(session, tcp);
    stream.write_all(b"GET /tls HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    // In TLS 1.3 the server judges a client's certificate after the client's first bytes.
    stream.sock.set_nonblocking(true)?;
    let mut text = String::new();
    loop {
        if let Some(peer) = service.try_accept() {
            let mut asked = peer.asked();
            assert_eq!(asked.field("x-forwarded-proto"), Some("https"));
            asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            stream.sock.set_nonblocking(false)?;
            stream.read_to_string(&mut text)?;
            return Ok(text);
        }
        match stream.read(&mut [0]) {
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
            Ok(_) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

#[test]
fn a_client_may_come_by_tls() {
    let authority = Authority::new();
    let (gateway, service) = listener(&authority, "", false);
    let text = one(&gateway, client(&authority, None, &[]), &service).unwrap();
    assert_eq!(status(&text), 200);
}

#[test]
fn a_client_without_a_certificate_is_not_let_in_where_one_is_needed() {
    let authority = Authority::new();
    let (gateway, service) = listener(&authority, "", true);
    one(&gateway, client(&authority, None, &[]), &service).unwrap_err();
    let stranger = Authority::new().issue();
    one(&gateway, client(&authority, Some(&stranger), &[]), &service).unwrap_err();
    let known = authority.issue();
    assert_eq!(status(&one(&gateway, client(&authority, Some(&known), &[]), &service).unwrap()), 200);
}

#[tokio::test]
async fn http_2_is_chosen_where_the_client_offers_it() {
    let authority = Authority::new();
    let (gateway, service) = listener(&authority, "", false);
    let config = Arc::new(client(&authority, None, &[b"h2", b"http/1.1"]));
    let tcp = tokio::net::TcpStream::connect(&gateway.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://localhost/two").body(Full::new(Bytes::new())).unwrap();
    let answered = std::thread::spawn(move || {
        let mut asked = service.next();
        asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        asked.line().to_owned()
    });
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
    assert_eq!(answered.join().unwrap(), "GET /two HTTP/1.1");
}

/// Answers with what it saw: version, target, `Host`, length of the body.
async fn serve<I>(io: I, two: bool)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(|request: Request<hyper::body::Incoming>| async move {
        let said = format!("{:?} {} {:?}", request.version(), request.uri(), request.headers().get("host"));
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(format!("{said} {}", body.len())))))
    });
    // How it ends is the gateway's choice.
    if two {
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(io, service)
            .await;
    } else {
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
    }
}

/// A service by TLS that answers with the protocol that it was spoken to in.
async fn secure_service(authority: &Authority, alpn: &[&[u8]], client_ca: bool) -> u16 {
    let (cert, key) = chain(&authority.issue());
    let builder = ServerConfig::builder();
    let builder = if client_ca {
        let verifier =
            rustls::server::WebPkiClientVerifier::builder(Arc::new(roots(authority))).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_single_cert(cert, key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(tcp).await else { continue };
            let two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            tokio::spawn(serve(TokioIo::new(stream), two));
        }
    });
    port
}

fn to_service(port: u16, authority: &Authority, more: &str) -> Gateway {
    let identity = authority.issue();
    Setup::new(format!("https://localhost:{port}"))
        .with(&format!("upstream_tls = {{ ca = \"ca.pem\"{more} }}"))
        .file("ca.pem", &authority.cert)
        .file("cert.pem", &identity.cert)
        .file("key.pem", &identity.key)
        .start()
}

fn ask(gateway: &Gateway) -> (u16, String) {
    let mut client = gateway.client();
    client.send("POST /up?a=b HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let (head, body) = client.message();
    (status(&head), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_may_be_reached_by_tls_in_either_version_of_http() {
    let authority = Authority::new();
    let two = secure_service(&authority, &[b"h2"], false).await;
    let gateway = to_service(two, &authority, "");
    // Several requests share the one connection.
    for _ in 0..3 {
        assert_eq!(ask(&gateway), (200, "HTTP/2.0 https://app.example/up?a=b None 5".to_owned()));
    }
    let one = secure_service(&authority, &[b"http/1.1"], false).await;
    let gateway = to_service(one, &authority, "");
    assert_eq!(ask(&gateway), (200, "HTTP/1.1 /up?a=b Some(\"app.example\") 5".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_may_speak_http_2_in_clear() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(TokioIo::new(tcp), true));
        }
    });
    let gateway = Setup::new(format!("h2c://localhost:{port}")).start();
    assert_eq!(ask(&gateway), (200, "HTTP/2.0 http://app.example/up?a=b None 5".to_owned()));
    // HTTP/2 has no upgrades: the request goes on without its wish.
    let mut client = gateway.client();
    client.send("GET /ws HTTP/1.1\r\nHost: app.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.message().1, "HTTP/2.0 http://app.example/ws None 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_does_not_hold_is_no_service() {
    let authority = Authority::new();
    let port = secure_service(&Authority::new(), &[], false).await;
    assert_eq!(ask(&to_service(port, &authority, "")).0, 502);
    let port = secure_service(&authority, &[], false).await;
    assert_eq!(ask(&to_service(port, &authority, ", name = \"other.example\"")).0, 502);
    assert_eq!(ask(&to_service(port, &authority, ", name = \"localhost\"")).0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_may_ask_for_a_certificate() {
    let authority = Authority::new();
    let port = secure_service(&authority, &[b"http/1.1"], true).await;
    assert_eq!(ask(&to_service(port, &authority, "")).0, 502);
    assert_eq!(ask(&to_service(port, &authority, ", cert = \"cert.pem\", key = \"key.pem\"")).0, 200);
}
