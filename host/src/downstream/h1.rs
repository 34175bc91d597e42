//! A client's connection of HTTP/1.1: one request after the other, by the library `hyper`. One that
//! idles for a while is parked: the library with its buffers goes, and comes back with the next
//! request.

mod head_timer;
mod switch;

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, Version, header::CONNECTION};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::{
    head_timer::{Due, HeadTimer},
    switch::Switch,
};
use super::{Manner, client_stream::ClientStream, ending::Broken, interim::Interim, leave};
use crate::{
    client_body::ClientBody,
    error::GatewayError,
    proxy::{self, Client},
};

/// The number of fields that hyper reads without being told; it keeps them on the stack then.
const DEFAULT_FIELDS: usize = 100;
/// How long a connection idles before it is parked.
const PARKED_AFTER: Duration = Duration::from_millis(500);
/// Bytes that are read of a request to find that there is one.
const FIRST_BYTES: usize = 512;

/// Serves a connection to its end.
pub(super) async fn serve<S>(
    client: Client,
    mut stream: ClientStream<S>,
    interim: Arc<Interim>,
    manner: Manner,
) -> Result<(), Broken>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let open = Rc::clone(&client.open);
    let config = Arc::clone(&open.local.snapshot().shared.config);
    let head_limit = config.timeouts.request_head;
    let mut timer = HeadTimer::new(head_limit, PARKED_AFTER);
    let mut builder = http1::Builder::new();
    builder
        .timer(timer.for_hyper())
        .header_read_timeout(head_limit)
        .max_buf_size(config.limits.head_bytes);
    if config.limits.head_fields != DEFAULT_FIELDS {
        builder.max_headers(config.limits.head_fields);
    }
    drop(config);
    let switch = Rc::new(Switch::default());
    let service = service(client, manner, Arc::clone(&interim), Rc::clone(&switch));
    let mut service = service_fn(move |request| Box::pin(service.call(request)));
    let unsent = stream.unsent();
    let mut leave = pin!(leave(&open));
    let mut leaving = false;
    loop {
        let mut served = builder.serve_connection(TokioIo::new(stream), service);
        let mut serving = Pin::new(&mut served);
        let end = loop {
            tokio::select! {
                biased;
                end = poll_fn(|cx| loop {
                    if let Poll::Ready(ended) = serving.poll_without_shutdown(cx) {
                        break Poll::Ready(ended.map(|()| End::Over));
                    }
                    match timer.poll(cx) {
                        Poll::Ready(Due::Parking) if unsent.get() => timer.restart(false),
                        Poll::Ready(Due::Parking) => break Poll::Ready(Ok(End::Idle)),
                        // The library finds that the time is over when it is asked again.
                        Poll::Ready(Due::Over) => {}
                        Poll::Pending => break Poll::Pending,
                    }
                }) => break end?,
                () = leave.as_mut(), if !leaving => {
                    leaving = true;
                    serving.as_mut().graceful_shutdown();
                }
                // The stream writes it when it is polled again.
                () = interim.queued() => {}
            }
        };
        let head_due = timer.due();
        let parts = served.into_parts();
        stream = parts.io.into_inner();
        if end == End::Over {
            // Boxed: connections that serve requests need no room for it.
            Box::pin(switch.finish(stream, parts.read_buf)).await;
            return Ok(());
        }
        service = parts.service;
        // A part of a head may have been read; what is left of its time it has once more.
        let mut first = parts.read_buf;
        let parked = first.is_empty();
        if parked {
            let until = head_due.unwrap_or_else(Instant::now);
            let waiting = tokio::time::timeout_at(until.into(), first_bytes(&mut stream));
            let woken = tokio::select! {
                biased;
                read = waiting => read,
                () = leave.as_mut(), if !leaving => Ok(Bytes::new()),
            };
            first = woken.map_err(|_| Broken::NoRequest(head_limit))?;
            if first.is_empty() {
                Box::pin(switch.finish(stream, first)).await;
                return Ok(());
            }
        }
        stream.put_back(first);
        timer.restart(parked);
    }
}

/// How serving came to a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nothing more is said in HTTP.
    Over,
    /// Nothing is going on.
    Idle,
}

/// The first bytes that come; none when the client has ended or broken its connection. Cancel
/// safe.
async fn first_bytes<S: AsyncRead + Unpin>(stream: &mut ClientStream<S>) -> Bytes {
    poll_fn(|cx| {
        let mut bytes = [0; FIRST_BYTES];
        let mut buffer = ReadBuf::new(&mut bytes);
        let read = Pin::new(&mut *stream).poll_read(cx, &mut buffer);
        read.map(|read| match read {
            Ok(()) => Bytes::copy_from_slice(buffer.filled()),
            Err(_) => Bytes::new(),
        })
    })
    .await
}

/// Answers the requests of an HTTP/1.1 connection, one after the other.
fn service(
    client: Client,
    manner: Manner,
    interim: Arc<Interim>,
    switch: Rc<Switch>,
) -> impl hyper::service::Service<
    hyper::Request<Incoming>,
    Response = hyper::Response<proxy::Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<hyper::Response<proxy::Body>, Infallible>>,
> + use<> {
    service_fn(move |request: hyper::Request<Incoming>| {
        let (interim, switch) = (Arc::clone(&interim), Rc::clone(&switch));
        let client = Client {
            open: Rc::clone(&client.open),
            connection: Arc::clone(&client.connection),
            watch: Rc::clone(&client.watch),
            interim: (request.version() == Version::HTTP_11).then(|| Arc::clone(&interim) as _),
        };
        async move {
            let local = Rc::clone(&client.open.local);
            let request = request.map(ClientBody::H1);
            let mut served = match manner {
                Manner::Serve => proxy::serve(client, request).await,
                Manner::RefusePlain => proxy::refuse(client, request, GatewayError::PlainHttp),
            };
            interim.all_written().await;
            let answer = &mut served.response;
            let stays_http = answer.status() != StatusCode::SWITCHING_PROTOCOLS;
            if stays_http && local.drain.announced() {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            switch.note(served.tunnel);
            Ok(served.response)
        }
    })
}
