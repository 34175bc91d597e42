//! The host's side of the WIT interface `callout`: what a plugin wants to ask is checked here;
//! `proxy` sends it.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Uri, header::CONTENT_LENGTH, uri::PathAndQuery};
use tokio::sync::oneshot;
use wasmtime::{
    Result,
    component::{Accessor, HasSelf},
};

use super::{
    bindings::{
        v0_2::witgate::plugin0_2_0::callout::{Answer, Failure, Host, HostWithStore, Outgoing},
        witgate::plugin::types::Field,
    },
    state::State,
    waiting::{Ask, Callout, CalloutAnswer, CalloutFailure, Wait},
};
use crate::{config::CalloutLimits, headers};

/// What `callout.wit` promises.
const MAX_BODY: usize = 64 << 10;
/// As in edits.
const MAX_FIELDS: usize = 128;
const MAX_BYTES: usize = 256 << 10;

impl Host for State {}

impl<T: Send + 'static> HostWithStore<T> for HasSelf<State> {
    async fn send(
        accessor: &Accessor<T, Self>,
        request: Outgoing,
    ) -> Result<std::result::Result<Answer, Failure>> {
        let asked = accessor.with(|mut access| access.get().callout(request));
        let answered = match asked? {
            Ok((asked, _wait)) => asked.await,
            Err(failure) => return Ok(Err(failure)),
        };
        let has_failed = !matches!(answered, Ok(Ok(_)));
        accessor.with(|mut access| access.get().called_out(has_failed));
        let outside = || Failure::Unavailable("no call about a request is running".to_owned());
        let answered = answered.map_err(|_| outside());
        Ok(answered.and_then(|answered| answered.map(answer).map_err(failure)))
    }
}

type Asked = (
    oneshot::Receiver<std::result::Result<CalloutAnswer, CalloutFailure>>,
    Wait,
);

impl State {
    /// Asks, if the plugin may. What is not granted is not imported either; this is a second lock
    /// on the same door.
    fn callout(&mut self, request: Outgoing) -> Result<std::result::Result<Asked, Failure>> {
        let asking = self.asking.as_mut();
        let Some((asking, limits)) = asking.and_then(|asking| {
            let limits = asking.callout.clone()?;
            Some((asking, limits))
        }) else {
            return Err(wasmtime::Error::msg("the sidecar does not grant `callout`"));
        };
        if asking.callouts >= limits.per_call {
            return Ok(Err(Failure::TooMany));
        }
        let callout = match checked(request, &limits) {
            Ok(callout) => callout,
            Err(failure) => return Ok(Err(failure)),
        };
        asking.callouts += 1;
        let asked = asking.ask(|answer| Ask::Callout(Box::new(callout), answer));
        Ok(Ok((asked, asking.waits.begin())))
    }

    /// A callout is over.
    fn called_out(&mut self, has_failed: bool) {
        if let Some(asking) = &mut self.asking {
            asking.failed += u32::from(has_failed);
        }
    }
}

/// A request that can be sent, or why it cannot.
fn checked(request: Outgoing, limits: &CalloutLimits) -> std::result::Result<Callout, Failure> {
    if !limits.pools.contains(&request.pool) {
        let pool = request.pool;
        return Err(Failure::NotGranted(format!(
            "`[callout]` does not name pool {pool:?}"
        )));
    }
    let invalid = |message: String| Failure::Invalid(message);
    if request.body.len() > MAX_BODY {
        let found = request.body.len();
        return Err(invalid(format!(
            "the body has {found} bytes, more than {MAX_BODY}"
        )));
    }
    let mut head = http::Request::new(()).into_parts().0;
    head.method = Method::from_bytes(request.method.as_bytes())
        .ok()
        .filter(|method| *method != Method::CONNECT)
        .ok_or_else(|| {
            invalid(format!(
                "{:?} is no method that can be sent",
                request.method
            ))
        })?;
    let path = PathAndQuery::try_from(request.path.as_str())
        .ok()
        .filter(|path| path.as_str().starts_with('/'))
        .ok_or_else(|| invalid(format!("{:?} is no path", request.path)))?;
    head.uri = match &request.authority {
        None => Uri::from(path),
        Some(authority) if authority.contains('@') => {
            return Err(invalid(format!(
                "{authority:?} has more than host and port"
            )));
        }
        Some(authority) => Uri::builder()
            .scheme("https")
            .authority(authority.as_str())
            .path_and_query(path)
            .build()
            .map_err(|_| invalid(format!("{authority:?} is no authority")))?,
    };
    let size = |field: &Field| field.name.len() + field.value.len();
    if request.headers.len() > MAX_FIELDS
        || request.headers.iter().map(size).sum::<usize>() > MAX_BYTES
    {
        return Err(invalid(format!(
            "more than {MAX_FIELDS} fields or {MAX_BYTES} bytes of them"
        )));
    }
    for Field { name, value } in request.headers {
        let checked = HeaderName::from_bytes(name.as_bytes()).ok();
        let checked = checked.filter(|name| !headers::is_protected(name));
        let checked = checked.zip(HeaderValue::from_bytes(&value).ok());
        let (name, value) =
            checked.ok_or_else(|| invalid(format!("{name:?} is no field that can be sent")))?;
        head.headers.append(name, value);
    }
    let has_body = !request.body.is_empty() || head.method == Method::POST;
    if has_body || head.method == Method::PUT {
        let length = HeaderValue::from(request.body.len());
        head.headers.insert(CONTENT_LENGTH, length);
    }
    let timeout = request
        .timeout
        .map(|timeout| Duration::from_millis(timeout.into()));
    Ok(Callout {
        pool: request.pool,
        head,
        body: request.body.into(),
        timeout: timeout.map_or(limits.timeout, |timeout| timeout.min(limits.timeout)),
        most: limits.bytes,
    })
}

fn answer(answer: CalloutAnswer) -> Answer {
    let fields = answer.head.headers.iter().map(|(name, value)| Field {
        name: name.as_str().to_owned(),
        value: value.as_bytes().to_vec(),
    });
    Answer {
        status: answer.head.status.as_u16(),
        headers: fields.collect(),
        body: answer.body,
    }
}

fn failure(failure: CalloutFailure) -> Failure {
    match failure {
        CalloutFailure::UndeclaredPool(_) => Failure::NotGranted(failure.to_string()),
        CalloutFailure::Unavailable(cause) => Failure::Unavailable(cause),
        CalloutFailure::Timeout(_) => Failure::Timeout,
        CalloutFailure::TooLarge(_) => Failure::TooLarge,
    }
}
