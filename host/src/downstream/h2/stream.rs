//! One stream of an HTTP/2 connection: its request taken in, its answer sent, or a tunnel run on
//! it. It ends early when its client resets it, takes nothing for too long, or its time is over.
//! What is dropped before its end is reset by the library: with CANCEL, or with NO_ERROR where
//! the answer was sent whole and the rest of the request is of no use (RFC 9113 §8.1).

use std::{
    future::{Future as _, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use h2::{Reason, RecvStream, server::SendResponse};
use http::{
    HeaderMap, Method, Request, Response,
    header::{CONTENT_LENGTH, DATE, EXPECT},
};
use http_body::Body as _;
use tokio::time::{Instant, Sleep};

use super::{reply::Reply, tunnel::TunnelStream};
use crate::{
    client_body::{ClientBody, Continue},
    h2_body::{self, Pump, Received},
    local::{Date, OpenConnection, StreamWatch},
    plugin::Connection,
    proxy::{self, Served},
};

/// Serves a stream, whose client may let it wait for `limit`.
pub(super) async fn serve(
    open: Rc<OpenConnection>,
    connection: Arc<Connection>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    limit: Duration,
) {
    if is_connect_with_content(&request) {
        return respond.send_reset(Reason::PROTOCOL_ERROR);
    }
    let local = Rc::clone(&open.local);
    let reply = Arc::new(Reply::new(respond));
    let (request, tunnel_input) = taken_in(request, &reply);
    let watch = Rc::new(StreamWatch::default());
    let mut patience = Patience::new(Rc::clone(&watch), limit);
    let client = proxy::Client {
        open,
        connection,
        watch,
        interim: Some(Arc::clone(&reply) as _),
    };
    let served = {
        let mut serving = pin!(proxy::serve(client, request));
        poll_fn(|cx| match serving.as_mut().poll(cx) {
            Poll::Ready(served) => Poll::Ready(Some(served)),
            Poll::Pending if reply.poll_reset(cx).is_ready() => Poll::Ready(None),
            Poll::Pending => patience.poll_over(cx).map(|()| None),
        })
        .await
    };
    let (Some(served), Some(mut respond)) = (served, reply.take()) else {
        return;
    };
    let Served { response, tunnel } = served;
    let (mut head, body) = response.into_parts();
    add_fields(&mut head.headers, &body, &local.date);
    let ends = tunnel.is_none() && body.is_end_stream();
    let Ok(output) = respond.send_response(Response::from_parts(head, ()), ends) else {
        return respond.send_reset(Reason::INTERNAL_ERROR);
    };
    drop(respond);
    match (tunnel, tunnel_input) {
        (Some(tunnel), Some(input)) => {
            let stream = TunnelStream::new(input, output);
            // Boxed: streams that stay HTTP need no room for it.
            Box::pin(tunnel.run(stream, Bytes::new(), TunnelStream::poll_reset)).await;
        }
        _ if ends => {}
        _ => {
            let mut pump = Pump::new(output, body, Reason::INTERNAL_ERROR);
            poll_fn(|cx| match pump.poll(cx) {
                Poll::Pending => patience.poll_over(cx),
                Poll::Ready(()) => Poll::Ready(()),
            })
            .await;
        }
    }
}

/// Such a request is no request (RFC 9110 §9.3.6): the length would end its tunnel.
fn is_connect_with_content(request: &Request<RecvStream>) -> bool {
    let length = || h2_body::declared_length(request.headers());
    request.method() == Method::CONNECT && !matches!(length(), Ok(None | Some(0)))
}

/// A request with its body; what follows the head of a CONNECT is none, but what a tunnel reads.
fn taken_in(
    request: Request<RecvStream>,
    reply: &Arc<Reply>,
) -> (Request<ClientBody>, Option<RecvStream>) {
    let (head, stream) = request.into_parts();
    if head.method == Method::CONNECT {
        return (Request::from_parts(head, ClientBody::Empty), Some(stream));
    }
    let length = h2_body::declared_length(&head.headers).unwrap_or_default();
    let waits = expects_continue(&head.headers).then(|| {
        let reply = Arc::clone(reply);
        Continue::new(move || reply.go_on())
    });
    let body = ClientBody::H2(Received::new(stream, length), waits);
    (Request::from_parts(head, body), None)
}

fn expects_continue(headers: &HeaderMap) -> bool {
    let expected = headers.get(EXPECT).map(|value| value.as_bytes());
    expected.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"))
}

/// What the server library adds over HTTP/1.1: the date (RFC 9110 §6.6.1), and the length of a
/// body where it is known.
fn add_fields(headers: &mut HeaderMap, body: &proxy::Body, date: &Date) {
    headers.entry(DATE).or_insert_with(|| date.now());
    if let Some(length) = body.size_hint().exact()
        && !body.is_end_stream()
    {
        headers
            .entry(CONTENT_LENGTH)
            .or_insert_with(|| length.into());
    }
}

/// How long a client, or a request, may take. One whose client takes what comes never touches
/// the runtime's timers.
struct Patience {
    watch: Rc<StreamWatch>,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    fn new(watch: Rc<StreamWatch>, limit: Duration) -> Self {
        Self {
            watch,
            limit,
            timer: None,
        }
    }

    /// Ready when the client's or the request's time is over; else this wakes when it would be.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.watch.due(self.limit).map(Instant::from_std) else {
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        ready!(timer.as_mut().poll(cx));
        self.watch.cut_now();
        Poll::Ready(())
    }
}
